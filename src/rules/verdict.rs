//! Where a function is answered, and what it names: the verdict table.
//!
//! The table is data (`verdicts.json`, next to this file), read once and checked by the tests below. A function without a row is
//! [`Verdict::Local`]: cpsrvd answers, as it would without the product.

use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

/// Who answers a function on the parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// cpsrvd, untouched.
    Local,
    /// cpsrvd; then `child_nodes` is added to each account of the answer ([`super::nodes::add_child_nodes`]).
    Decorated,
    /// The child that serves the account's mail; cpsrvd when the account is not distributed.
    Child,
    /// The product itself.
    Ours,
}

/// The arguments that make `createacct` and `modifyacct` the product's own.
pub const NODE_PARAMS: [&str; 1] = ["mail_node_alias"];

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Row {
    Local,
    Decorated,
    Child,
    Ours,
    OursWithNode,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    whm: BTreeMap<String, Row>,
    uapi: BTreeMap<String, BTreeMap<String, Row>>,
    api2_child_modules: BTreeSet<String>,
    api2_local: BTreeMap<String, BTreeSet<String>>,
    reads: Vec<String>,
    link_functions: BTreeSet<String>,
    naming_default: Vec<String>,
    naming: BTreeMap<String, Vec<String>>,
}

#[expect(
    clippy::expect_used,
    reason = "the table is part of the program; a test reads it, so a broken one is never built into a release"
)]
static TABLE: LazyLock<Table> =
    LazyLock::new(|| serde_json::from_str(include_str!("verdicts.json")).expect("src/rules/verdicts.json is a verdict table"));

/// The verdict on a WHM API 1 function. `has_node_params`: whether the call carries one of [`NODE_PARAMS`].
///
/// `cpanel`, `uapi_cpanel` and `batch` wrap other calls; the verdict on them is the one on what they wrap.
pub fn whm(function: &str, has_node_params: bool) -> Verdict {
    match TABLE.whm.get(function) {
        None | Some(Row::Local) => Verdict::Local,
        Some(Row::Decorated) => Verdict::Decorated,
        Some(Row::Child) => Verdict::Child,
        Some(Row::Ours) => Verdict::Ours,
        Some(Row::OursWithNode) if has_node_params => Verdict::Ours,
        Some(Row::OursWithNode) => Verdict::Local,
    }
}

/// Whether the verdict on a WHM API 1 function depends on its arguments.
pub fn whm_depends_on_params(function: &str) -> bool {
    matches!(TABLE.whm.get(function), Some(Row::OursWithNode))
}

/// The verdict on a UAPI function of a distributed account.
pub fn uapi(module: &str, function: &str) -> Verdict {
    let Some(rows) = TABLE.uapi.get(module) else { return Verdict::Local };
    match rows.get(function).or_else(|| rows.get("*")) {
        Some(Row::Child) => Verdict::Child,
        _ => Verdict::Local,
    }
}

/// Whether a UAPI function whose verdict is [`Verdict::Child`] is one for these arguments too. Which password strength is required
/// depends on whose password it is: mailboxes and mailing lists are served, and judged, by the child; all else by the parent (F2.6).
pub fn uapi_is_childs(module: &str, function: &str, params: &crate::wire::Params) -> bool {
    if (module, function) != ("PasswdStrength", "get_required_strength") {
        return true;
    }
    let mut apps = params.iter().filter(|(key, _)| key == "app").map(|(_, app)| app.as_str());
    apps.next().is_some_and(|app| matches!(app, "pop" | "list"))
}

/// Whether an API 2 function acts on what lives on the child, and so is not supported for a distributed account.
pub fn api2_is_childs(module: &str, function: &str) -> bool {
    TABLE.api2_child_modules.contains(module)
        && !TABLE.api2_local.get(module).is_some_and(|local| local.contains(function.to_ascii_lowercase().as_str()))
}

/// Whether a UAPI function changes anything. What is not known to be a read is a write.
pub fn uapi_writes(function: &str) -> bool {
    !TABLE.reads.iter().any(|prefix| function.starts_with(prefix.as_str()))
}

/// Whether a WHM function would make this server a parent or change its links.
pub fn makes_links(function: &str) -> bool {
    TABLE.link_functions.contains(function)
}

/// The arguments of a WHM function that name an account, a domain or a mailbox (F1.5), and whether the function is listed.
/// For a function that is not listed, the names that cPanel uses for such arguments everywhere.
pub fn naming(function: &str) -> &'static [String] {
    TABLE.naming.get(function).unwrap_or(&TABLE.naming_default)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_nodes_are_ours_and_node_params_decide() {
        assert_eq!(whm("link_server_node_with_api_token", false), Verdict::Ours);
        assert_eq!(whm("createacct", false), Verdict::Local);
        assert_eq!(whm("createacct", true), Verdict::Ours);
        assert_eq!(whm("suspendacct", true), Verdict::Local);
        assert_eq!(whm("listaccts", false), Verdict::Decorated);
    }

    #[test]
    fn mail_goes_to_the_child_and_dns_stays() {
        assert_eq!(uapi("Email", "add_pop"), Verdict::Child);
        assert_eq!(uapi("Email", "a_function_of_the_future"), Verdict::Child);
        assert_eq!(uapi("Email", "change_mx"), Verdict::Local);
        assert_eq!(uapi("Mailboxes", "get_mailbox_status_list"), Verdict::Child);
        assert_eq!(uapi("DNS", "parse_zone"), Verdict::Local);
        assert_eq!(uapi("email", "add_pop"), Verdict::Local, "module names are case-sensitive");
    }

    #[test]
    fn strengths_of_mail_passwords_are_the_childs() {
        let asked =
            |app: &str| uapi_is_childs("PasswdStrength", "get_required_strength", &vec![("app".to_owned(), app.to_owned())]);
        assert!(asked("pop") && asked("list"));
        for app in ["ftp", "mysql", "passwd", "createacct", "webdisk", "virtual", ""] {
            assert!(!asked(app), "{app}");
        }
        for function in ["add_pop", "passwd_pop", "add_list", "passwd_list"] {
            assert_eq!(uapi("Email", function), Verdict::Child, "{function}");
        }
        for (module, function) in [("Ftp", "add_ftp"), ("Mysql", "create_user"), ("UserManager", "change_password")] {
            assert_eq!(uapi(module, function), Verdict::Local, "{module}::{function}");
        }
        assert_eq!(whm("setminimumpasswordstrengths", false), Verdict::Local, "each server has its own");
    }

    #[test]
    fn what_makes_a_reseller_names_the_account() {
        for (function, argument) in [("setacls", "reseller"), ("setupreseller", "user"), ("unsetupreseller", "user")] {
            assert!(naming(function).iter().any(|name| name == argument), "{function}");
        }
    }

    #[test]
    fn every_mail_write_is_a_write() {
        for function in
            ["add_pop", "delete_pop", "passwd_pop", "edit_pop_quota", "store_filter", "set_default_address", "suspend_login"]
        {
            assert!(uapi_writes(function), "{function}");
        }
        for function in ["list_pops", "get_pop_quota", "verify_password", "count_forwarders"] {
            assert!(!uapi_writes(function), "{function}");
        }
    }

    #[test]
    fn api2_mx_stays_local() {
        assert!(api2_is_childs("Email", "addpop"));
        assert!(!api2_is_childs("Email", "listmxs"));
        assert!(!api2_is_childs("ZoneEdit", "fetchzone"));
    }

    #[test]
    fn functions_name_accounts_by_their_own_arguments() {
        assert!(naming("modifyacct").iter().any(|name| name == "DNS"));
        assert!(naming("a_function_of_the_future").iter().any(|name| name == "user"));
    }
}
