//! The table of UAPI functions. What is not here does not exist on this server, and is refused as cPanel refuses it.

use crate::call::{Failure, Reply};
use crate::machine::passwords;
use crate::uapi::{
    Context, autoresponders, domains, filters, forwarders, lists, pops, quota, session, ssl, suspension, tokens, web_domains,
    zones,
};

/// How a webmail caller reaches a function, whose mailbox is all it may touch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Not at all: the function is the account's.
    Account,
    /// Freely: it tells nothing of others, or narrows itself to the caller's mailbox.
    Anyone,
    /// `email` and `domain` must name its mailbox; both may be left out.
    Email,
    /// The argument of this name must be its address; it may be left out.
    Whole(&'static str),
}

/// One function.
#[derive(Debug)]
pub struct Function {
    module: &'static str,
    name: &'static str,
    /// What does it.
    pub handler: fn(&Context<'_>) -> Reply,
    /// Whether the server's lock is held around it.
    pub locks: bool,
    /// Who of the account may call it.
    pub reach: Reach,
    /// The role without which cPanel disables it.
    pub role: Option<&'static str>,
}

impl Function {
    /// `Module::function`.
    #[cfg(test)]
    pub fn full_name(&self) -> String {
        format!("{}::{}", self.module, self.name)
    }
}

const fn read(module: &'static str, name: &'static str, handler: fn(&Context<'_>) -> Reply, reach: Reach) -> Function {
    Function { module, name, handler, locks: false, reach, role: None }
}

const fn mail(name: &'static str, handler: fn(&Context<'_>) -> Reply, reach: Reach) -> Function {
    Function { module: "Email", name, handler, locks: false, reach, role: Some("MailReceive") }
}

/// A mail function that changes files.
const fn change(name: &'static str, handler: fn(&Context<'_>) -> Reply, reach: Reach) -> Function {
    Function { module: "Email", name, handler, locks: true, reach, role: Some("MailReceive") }
}

/// A function of the web server's role. Those that change something run hooks, so they take the lock themselves.
const fn web(module: &'static str, name: &'static str, handler: fn(&Context<'_>) -> Reply) -> Function {
    Function { module, name, handler, locks: false, reach: Reach::Account, role: Some("WebServer") }
}

/// Every function.
pub const FUNCTIONS: &[Function] = &[
    mail("account_name", domains::account_name, Reach::Whole("account")),
    change("add_auto_responder", autoresponders::add, Reach::Email),
    change("add_forwarder", forwarders::add_forwarder, Reach::Email),
    change("add_list", lists::add_list, Reach::Account),
    change("add_pop", pops::add_pop, Reach::Account),
    mail("count_auto_responders", autoresponders::count, Reach::Account),
    mail("count_filters", filters::count, Reach::Account),
    mail("count_forwarders", forwarders::count_forwarders, Reach::Account),
    mail("count_lists", lists::count_lists, Reach::Account),
    mail("count_pops", pops::count_pops, Reach::Account),
    change("delete_auto_responder", autoresponders::delete, Reach::Email),
    change("delete_filter", filters::delete, Reach::Whole("account")),
    change("delete_forwarder", forwarders::delete_forwarder, Reach::Whole("address")),
    change("delete_list", lists::delete_list, Reach::Account),
    change("delete_pop", pops::delete_pop, Reach::Account),
    change("disable_filter", filters::disable, Reach::Whole("account")),
    change("edit_pop_quota", pops::edit_pop_quota, Reach::Account),
    change("enable_filter", filters::enable, Reach::Whole("account")),
    mail("get_auto_responder", autoresponders::get, Reach::Email),
    mail("get_client_settings", pops::get_client_settings, Reach::Whole("account")),
    mail("get_disk_usage", pops::get_disk_usage, Reach::Account),
    mail("get_filter", filters::get, Reach::Whole("account")),
    mail("get_main_account_disk_usage", pops::main_usage, Reach::Account),
    mail("get_main_account_disk_usage_bytes", pops::main_usage_bytes, Reach::Account),
    mail("get_pop_quota", pops::get_pop_quota, Reach::Email),
    mail("list_auto_responders", autoresponders::list, Reach::Anyone),
    mail("list_default_address", forwarders::list_default_address, Reach::Account),
    mail("list_filters", filters::list, Reach::Whole("account")),
    mail("list_forwarders", forwarders::list_forwarders, Reach::Anyone),
    mail("list_lists", lists::list_lists, Reach::Account),
    mail("list_mail_domains", domains::list_mail_domains, Reach::Account),
    mail("list_pops", pops::list_pops, Reach::Account),
    mail("list_pops_with_disk", pops::list_pops_with_disk, Reach::Account),
    change("passwd_list", lists::passwd_list, Reach::Account),
    change("passwd_pop", pops::passwd_pop, Reach::Email),
    change("reorder_filters", filters::reorder, Reach::Whole("mailbox")),
    change("set_default_address", forwarders::set_default_address, Reach::Account),
    change("set_list_privacy_options", lists::set_list_privacy_options, Reach::Account),
    change("store_filter", filters::store, Reach::Whole("account")),
    change("suspend_incoming", suspension::suspend_incoming, Reach::Account),
    change("suspend_login", suspension::suspend_login, Reach::Account),
    mail("terminate_mailbox_sessions", suspension::terminate_mailbox_sessions, Reach::Email),
    change("unsuspend_incoming", suspension::unsuspend_incoming, Reach::Account),
    change("unsuspend_login", suspension::unsuspend_login, Reach::Account),
    mail("verify_password", pops::verify_password, Reach::Account),
    web("AddonDomain", "addaddondomain", web_domains::addaddondomain),
    web("AddonDomain", "deladdondomain", web_domains::deladdondomain),
    read("AddonDomain", "listaddondomains", web_domains::listaddondomains, Reach::Account),
    web("Park", "park", web_domains::park),
    web("Park", "unpark", web_domains::unpark),
    read("Park", "listparkeddomains", web_domains::listparkeddomains, Reach::Account),
    web("SubDomain", "addsubdomain", web_domains::addsubdomain),
    web("SubDomain", "delsubdomain", web_domains::delsubdomain),
    read("SubDomain", "listsubdomains", web_domains::listsubdomains, Reach::Account),
    read("DNS", "mass_edit_zone", zones::mass_edit_zone, Reach::Account),
    read("DNS", "parse_zone", zones::parse_zone, Reach::Account),
    read("DomainInfo", "domains_data", domains::domains_data, Reach::Account),
    read("DomainInfo", "list_domains", domains::list_domains, Reach::Account),
    read("DomainInfo", "main_domain_builtin_subdomain_aliases", domains::builtin_aliases, Reach::Account),
    read("DomainInfo", "single_domain_data", domains::single_domain_data, Reach::Account),
    read("Mailboxes", "get_mailbox_status_list", quota::get_mailbox_status_list, Reach::Whole("account")),
    read("PasswdStrength", "get_required_strength", domains::get_required_strength, Reach::Anyone),
    read("Quota", "get_local_quota_info", quota::get_local_quota_info, Reach::Account),
    read("Quota", "get_quota_info", quota::get_quota_info, Reach::Account),
    read("SSL", "install_ssl", ssl::install_ssl, Reach::Account),
    read("Session", "create_webmail_session_for_mail_user", session::for_mail_user, Reach::Account),
    read("Session", "create_webmail_session_for_mail_user_check_password", session::for_mail_user_check_password, Reach::Account),
    read("Session", "create_webmail_session_for_self", session::for_self, Reach::Account),
    read("Tokens", "create_full_access", tokens::create_full_access, Reach::Account),
    read("Tokens", "list", tokens::list, Reach::Account),
    read("Tokens", "rename", tokens::rename, Reach::Account),
    read("Tokens", "revoke", tokens::revoke, Reach::Account),
    read("UserManager", "change_password", account_password, Reach::Account),
    read("Users", "change_password", account_password, Reach::Account),
    read("Variables", "get_user_information", domains::get_user_information, Reach::Account),
];

/// `UserManager::change_password`, and the same in `Users`: the account's own, by who knows the present one.
fn account_password(cx: &Context<'_>) -> Reply {
    let (new, old) = (cx.args.need("newpass")?, cx.args.need("oldpass")?);
    let user = &cx.account.user;
    let right = cx.machine.shadow_hash(user).is_some_and(|hash| passwords::verify(old, &hash));
    if !right {
        return Err(Failure::new("The current password that you entered is incorrect."));
    }
    crate::passwd::change(cx.machine, user, new)?;
    Ok(serde_json::Value::Null.into())
}

/// The function `module::name`.
///
/// # Errors
/// cPanel's words for a module or function it does not have.
pub fn find(module: &str, name: &str) -> Result<&'static Function, Failure> {
    let mut of_module = FUNCTIONS.iter().filter(|function| function.module == module).peekable();
    if of_module.peek().is_none() {
        return Err(Failure::new(format!("Failed to load module “{module}”.")));
    }
    of_module
        .find(|function| function.name == name)
        .ok_or_else(|| Failure::new(format!("The system could not find the function “{name}” in the module “{module}”.")))
}
