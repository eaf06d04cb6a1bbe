//! WHM API 1: which functions there are, who may call them on whom.

use serde_json::{Value, json};

use super::envelope;
use crate::call::{Args, Caller, Failure, Outcome, Reply};
use crate::machine::Machine;

mod accounts;
mod api;
mod change;
mod dns;
mod domains;
mod features;
mod ipv6;
mod mail;
mod packages;
mod resellers;
mod server;
mod services;
mod ssl;
mod summary;
mod tokens;

#[cfg(test)]
pub(crate) mod conformance;

/// A function's code.
type Handler = fn(&Machine, &Caller, &Args) -> Reply;

/// Which arguments of a function name an account or a domain; a reseller reaches only what it owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    /// None do, or the function sees to it itself.
    Free,
    /// These hold users.
    User(&'static str),
    /// These hold domains.
    Domain(&'static str),
}

/// One function.
struct Function {
    name: &'static str,
    /// The ACL needed; empty for everybody who may use WHM.
    acl: &'static str,
    scope: Scope,
    /// The role without which the function is off.
    role: Option<&'static str>,
    run: Handler,
}

const fn function(name: &'static str, acl: &'static str, scope: Scope, run: Handler) -> Function {
    Function { name, acl, scope, role: None, run }
}

const fn gated(name: &'static str, acl: &'static str, scope: Scope, role: &'static str, run: Handler) -> Function {
    Function { name, acl, scope, role: Some(role), run }
}

use Scope::{Domain, Free, User};

/// Every function, with the ACL of the WHM documentation's "ACL reference chart".
const FUNCTIONS: &[Function] = &[
    function("version", "", Free, server::version),
    function("gethostname", "", Free, server::gethostname),
    function("applist", "", Free, applist),
    function("myprivs", "", Free, server::myprivs),
    function("createacct", "create-acct", Free, accounts::createacct),
    function("modifyacct", "edit-account", User("user"), change::modifyacct),
    function("removeacct", "kill-acct", Free, accounts::removeacct),
    function("suspendacct", "suspend-acct", User("user"), accounts::suspendacct),
    function("unsuspendacct", "suspend-acct", User("user"), accounts::unsuspendacct),
    function("accountsummary", "acct-summary", Free, summary::accountsummary),
    function("listaccts", "list-accts", Free, summary::listaccts),
    function("passwd", "passwd", User("user"), accounts::passwd),
    function("listpkgs", "list-pkgs", Free, packages::listpkgs),
    function("addpkg", "add-pkg", Free, packages::addpkg),
    function("editpkg", "edit-pkg", Free, packages::editpkg),
    function("killpkg", "edit-pkg", Free, packages::killpkg),
    function("getpkginfo", "list-pkgs", Free, packages::getpkginfo),
    function("addpkgext", "edit-pkg", Free, packages::addpkgext),
    function("delpkgext", "edit-pkg", Free, packages::delpkgext),
    function("editquota", "quota", User("user"), packages::editquota),
    function("limitbw", "limit-bandwidth", User("user"), packages::limitbw),
    function("massmodifyacct", "edit-account", User("user"), change::massmodifyacct),
    function("changepackage", "upgrade-account", User("user"), packages::changepackage),
    function("get_featurelists", "all", Free, features::get_featurelists),
    function("create_featurelist", "all", Free, features::create_featurelist),
    function("update_featurelist", "all", Free, features::update_featurelist),
    function("add_override_features_for_user", "all", Free, features::add_override),
    function("remove_override_features_for_user", "all", Free, features::remove_override),
    function("verify_user_has_feature", "list-accts", User("user"), features::verify),
    gated("ipv6_range_add", "all", Free, "WebServer", ipv6::range_add),
    gated("ipv6_enable_account", "all", Free, "WebServer", ipv6::enable),
    gated("ipv6_disable_account", "all", Free, "WebServer", ipv6::disable),
    function("setupreseller", "all", Free, resellers::setupreseller),
    function("unsetupreseller", "all", Free, resellers::unsetupreseller),
    function("setacls", "all", Free, resellers::setacls),
    function("saveacllist", "all", Free, resellers::saveacllist),
    function("listacls", "all", Free, resellers::listacls),
    function("listresellers", "all", Free, resellers::listresellers),
    function("acctcounts", "acct-summary", Free, resellers::acctcounts),
    function("resellerstats", "stats", Free, resellers::resellerstats),
    function("listsuspended", "list-accts", Free, summary::listsuspended),
    function("api_token_create", "manage-api-tokens", Free, tokens::create),
    function("api_token_list", "manage-api-tokens", Free, tokens::list),
    function("api_token_get_details", "manage-api-tokens", Free, tokens::get_details),
    function("api_token_update", "manage-api-tokens", Free, tokens::update),
    function("api_token_revoke", "manage-api-tokens", Free, tokens::revoke),
    function("create_user_session", "create-user-session", Free, server::create_user_session),
    function("get_current_profile", "", Free, server::get_current_profile),
    function("get_available_profiles", "", Free, server::get_available_profiles),
    function("start_profile_activation", "all", Free, server::start_profile_activation),
    function("is_role_enabled", "", Free, server::is_role_enabled),
    function("servicestatus", "status", Free, services::servicestatus),
    function("set_manual_mx_redirects", "edit-mx", Domain("domain"), mail::set_manual_mx_redirects),
    function("unset_manual_mx_redirects", "edit-mx", Domain("domain"), mail::unset_manual_mx_redirects),
    function("set_service_proxy_backends", "all", User("username"), services::set_backends),
    function("get_service_proxy_backends", "all", User("username"), services::get_backends),
    function("unset_all_service_proxy_backends", "all", User("username"), services::unset_backends),
    function("terminate_cpuser_mailbox_sessions", "all", User("username"), mail::terminate_sessions),
    function("create_subdomain", "all", Free, domains::create_subdomain),
    function("create_parked_domain_for_user", "park-dns", User("username"), domains::create_parked),
    function("delete_domain", "all", Free, domains::delete_domain),
    function("getdomainowner", "list-accts", Free, domains::getdomainowner),
    function("get_domain_info", "list-accts", Free, domains::get_domain_info),
    function("parse_dns_zone", "edit-dns", Domain("zone"), dns::parse_dns_zone),
    function("mass_edit_dns_zone", "edit-dns", Domain("zone"), dns::mass_edit_dns_zone),
    gated("dumpzone", "edit-dns", Domain("domain"), "DNS", dns::dumpzone),
    function("fetch_dkim_private_keys", "all", Domain("domain"), mail::fetch_dkim_private_keys),
    function("install_dkim_private_keys", "all", Domain("domain"), mail::install_dkim_private_keys),
    function("ensure_dkim_keys_exist", "all", Domain("domain"), mail::ensure_dkim_keys_exist),
    function("fetch_ssl_certificates_for_fqdns", "ssl-info", Free, ssl::fetch_for_fqdns),
    function("installssl", "ssl", Domain("domain"), ssl::installssl),
    function("enqueue_deferred_ssl_installations", "all", User("username"), ssl::enqueue_deferred),
    function("start_autossl_check_for_one_user", "all", User("username"), ssl::start_autossl),
    gated("list_pops_for", "list-accts", User("user"), "MailReceive", mail::list_pops_for),
    function("uapi_cpanel", "list-accts", User("cpanel.user"), api::uapi_cpanel),
    function("cpanel", "cpanel-api", User("cpanel_jsonapi_user"), api::cpanel),
    function("batch", "", Free, batch),
    function("list_hooks", "all", Free, |machine, _, _| crate::hooks::whm::list_hooks(machine)),
    function("edit_hook", "all", Free, |machine, _, args| crate::hooks::whm::edit_hook(machine, args)),
    function("delete_hook", "all", Free, |machine, _, args| crate::hooks::whm::delete_hook(machine, args)),
    function("reorder_hooks", "all", Free, |machine, _, args| crate::hooks::whm::reorder_hooks(machine, args)),
    function("get_appconfig_application_list", "", Free, |machine, _, _| crate::appconfig::application_list(machine)),
    function("getminimumpasswordstrengths", "", Free, server::getminimumpasswordstrengths),
    function("setminimumpasswordstrengths", "all", Free, server::setminimumpasswordstrengths),
];

/// Why a call gave no outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The caller has no right to the function: HTTP 403.
    Denied,
    /// The function failed, in its own words.
    Failed(Failure),
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// Whether `caller` manages `account`: root-level callers manage all, a reseller its own and those it owns.
pub fn manages(caller: &Caller, account: &crate::machine::Account) -> bool {
    caller.may("all") || account.owner() == caller.user || account.user == caller.user
}

/// The account `user`, when the caller manages it.
fn managed(machine: &Machine, caller: &Caller, user: &str) -> Result<crate::machine::Account, Failure> {
    let sorry = || Failure::new(format!("You do not have permission to manage the account “{user}”."));
    match machine.account(user) {
        Ok(account) if manages(caller, &account) => Ok(account),
        Ok(_) => Err(sorry()),
        // Root learns that there is none; a reseller learns nothing of others' accounts.
        Err(failure) => Err(if caller.may("all") { failure } else { sorry() }),
    }
}

fn check_scope(machine: &Machine, caller: &Caller, scope: Scope, args: &Args) -> Result<(), Failure> {
    if caller.may("all") {
        return Ok(());
    }
    match scope {
        Free => Ok(()),
        User(name) => args.all(name).into_iter().try_for_each(|user| managed(machine, caller, user).map(drop)),
        Domain(name) => args.all(name).into_iter().try_for_each(|domain| {
            let owner = machine.owner_of_host(domain).map(|(user, _)| user).unwrap_or_default();
            managed(machine, caller, &owner)
                .map(drop)
                .map_err(|_| Failure::new(format!("You do not have permission to manage the domain “{domain}”.")))
        }),
    }
}

/// Calls a function of WHM API 1.
pub fn call(machine: &Machine, caller: &Caller, name: &str, args: &Args) -> Result<Outcome, Refusal> {
    let Some(function) = FUNCTIONS.iter().find(|function| function.name == name) else {
        return Err(Refusal::Failed(Failure::new(format!("Unknown app (“{name}”) requested for this version (1) of the API."))));
    };
    if !function.acl.is_empty() && !caller.may(function.acl) {
        return Err(Refusal::Denied);
    }
    if let Some(role) = function.role
        && machine.role_enabled(role) == Some(false)
    {
        return Err(Refusal::Failed(Failure::new(format!(
            "The function “{name}” is not available because the “{role}” role is disabled on this server."
        ))));
    }
    check_scope(machine, caller, function.scope, args)?;
    Ok((function.run)(machine, caller, args)?)
}

/// The packages `caller` may use for accounts, as `listpkgs` lists them.
///
/// # Errors
/// When the packages cannot be read.
pub fn packages_of(machine: &Machine, caller: &Caller, args: &Args) -> Reply {
    packages::listpkgs(machine, caller, args)
}

/// The functions `caller` may call.
fn applist(_machine: &Machine, caller: &Caller, _args: &Args) -> Reply {
    let may = FUNCTIONS.iter().filter(|function| function.acl.is_empty() || caller.may(function.acl));
    Ok(json!({"app": may.map(|function| function.name).collect::<Vec<_>>()}).into())
}

/// Several calls in one: `command=FUNC?a=b`, `command-1=…`.
fn batch(machine: &Machine, caller: &Caller, args: &Args) -> Reply {
    args.need("command")?;
    let mut results: Vec<Value> = Vec::new();
    let mut failed = false;
    for command in args.all("command") {
        let (name, rest) = command.split_once('?').unwrap_or((command, ""));
        let inner = Args(super::body::form(rest));
        let reply = match call(machine, caller, name, &inner) {
            Ok(outcome) => Ok(outcome),
            Err(Refusal::Failed(failure)) => Err(failure),
            Err(Refusal::Denied) => Err(Failure::new("Access denied")),
        };
        let stop = reply.is_err();
        results.push(envelope::whm(name, &inner, reply));
        if stop && args.flag("abort_on_error") {
            failed = true;
            break;
        }
    }
    if failed {
        return Ok(Outcome {
            data: json!({"result": results}),
            warnings: vec!["The batch was aborted at the first function that failed.".to_owned()],
            ..Outcome::default()
        });
    }
    Ok(json!({"result": results}).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::scratch;

    fn args(text: &str) -> Args {
        Args(super::super::body::form(text))
    }

    #[test]
    fn rights_are_asked_before_anything_else() {
        let (_folder, machine) = scratch::machine();
        let nobody = Caller { user: "r".into(), mailbox: None, acls: vec!["list-accts".into()] };
        assert_eq!(call(&machine, &nobody, "createacct", &Args::default()), Err(Refusal::Denied));
        let Err(Refusal::Failed(failure)) = call(&machine, &nobody, "nonsense", &Args::default()) else { panic!() };
        assert_eq!(failure.reason, "Unknown app (“nonsense”) requested for this version (1) of the API.");
        let listed = call(&machine, &nobody, "applist", &Args::default()).unwrap().data;
        let listed: Vec<&str> = listed["app"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        assert!(listed.contains(&"listaccts") && !listed.contains(&"createacct"));
    }

    #[test]
    fn resellers_reach_their_own_accounts_only() {
        let (_folder, machine) = scratch::machine();
        let create = "username=alice&domain=alice.example&password=Wonderland-7-rabbits&owner=root";
        call(&machine, &Caller::root(), "createacct", &args(create)).unwrap();
        let reseller =
            Caller { user: "rita".into(), mailbox: None, acls: vec!["passwd".into(), "edit-mx".into(), "list-accts".into()] };
        for (function, asked) in [
            ("passwd", "user=alice&password=Wonderland-8-rabbits"),
            ("set_manual_mx_redirects", "domain=alice.example&mx_host=x.example"),
            ("uapi_cpanel", "cpanel.user=alice&cpanel.module=Email&cpanel.function=list_pops"),
        ] {
            let refused = call(&machine, &reseller, function, &args(asked));
            assert!(matches!(&refused, Err(Refusal::Failed(f)) if f.reason.contains("permission")), "{function}: {refused:?}");
        }
        let listed = call(&machine, &reseller, "listaccts", &Args::default()).unwrap().data;
        assert_eq!(listed["acct"], json!([]));
    }

    #[test]
    fn a_batch_stops_where_told() {
        let (_folder, machine) = scratch::machine();
        let asked = "command=version&command-1=nonsense&command-2=gethostname";
        let all = call(&machine, &Caller::root(), "batch", &args(asked)).unwrap().data;
        assert_eq!(all["result"].as_array().unwrap().len(), 3);
        let some = call(&machine, &Caller::root(), "batch", &args(&format!("{asked}&abort_on_error=1"))).unwrap().data;
        assert_eq!(some["result"][1]["metadata"]["result"], 0);
        assert_eq!(some["result"].as_array().unwrap().len(), 2);
    }
}
