//! `/json-api/cpanel`: cPanel API 1, API 2 and UAPI in one door.
//!
//! Source: api.docs.cpanel.net, WHM API 1 `cpanel`, "cPanel API 2 – Introduction".

use serde_json::{Value, json};

use super::envelope;
use crate::call::{Args, Caller, Failure, Reply};
use crate::hooks::{self, Stage};
use crate::machine::Machine;
use crate::uapi;

/// The value of `cpanel_jsonapi_NAME`, or of the older `cpanel_xmlapi_NAME`.
pub fn named<'a>(args: &'a Args, name: &str) -> Option<&'a str> {
    args.get(&format!("cpanel_jsonapi_{name}")).or_else(|| args.get(&format!("cpanel_xmlapi_{name}")))
}

/// API 2 functions whose arguments and data are those of a UAPI function: module, function, UAPI function.
const SAME: &[(&str, &str, &str)] = &[
    ("Email", "listpops", "list_pops"),
    ("Email", "listpopswithdisk", "list_pops_with_disk"),
    ("Email", "listforwards", "list_forwarders"),
    ("Email", "listmaildomains", "list_mail_domains"),
    ("Email", "listautoresponders", "list_auto_responders"),
    ("Email", "addforward", "add_forwarder"),
    ("Email", "setdefaultaddress", "set_default_address"),
    ("Email", "storefilter", "store_filter"),
    ("Email", "deletefilter", "delete_filter"),
    ("AddonDomain", "listaddondomains", "listaddondomains"),
    ("Park", "listparkeddomains", "listparkeddomains"),
    ("SubDomain", "listsubdomains", "listsubdomains"),
];

/// API 2 functions that change something, and the UAPI function that does it.
const ACTIONS: &[(&str, &str, &str)] = &[
    ("Email", "addpop", "add_pop"),
    ("Email", "delpop", "delete_pop"),
    ("Email", "passwdpop", "passwd_pop"),
    ("Email", "editquota", "edit_pop_quota"),
    ("Passwd", "change_password", "change_password"),
    ("AddonDomain", "addaddondomain", "addaddondomain"),
    ("AddonDomain", "deladdondomain", "deladdondomain"),
    ("Park", "park", "park"),
    ("Park", "unpark", "unpark"),
    ("SubDomain", "addsubdomain", "addsubdomain"),
    ("SubDomain", "delsubdomain", "delsubdomain"),
];

/// Calls a function of the account `caller` stands for and gives its envelope.
pub fn call(machine: &Machine, caller: &Caller, args: &Args) -> Result<Value, Failure> {
    let need = |name: &str| {
        named(args, name)
            .filter(|value| !value.is_empty())
            .ok_or_else(|| Failure::new(format!("Provide the “cpanel_jsonapi_{name}” argument.")))
    };
    let (module, function) = (need("module")?, need("func")?);
    let own = |name: &str| name.starts_with("cpanel_jsonapi_") || name.starts_with("cpanel_xmlapi_") || name == "api.version";
    let inner = Args(args.0.iter().filter(|(name, _)| !own(name)).cloned().collect());
    match named(args, "apiversion").unwrap_or("2") {
        "3" | "uapi" => {
            let reply = uapi::call(machine, caller, module, function, &inner);
            Ok(uapi::envelope::wrapped(module, function, &reply, &inner))
        }
        "1" => Ok(envelope::api1(module, function, &format!("The cPanel API 1 function “{module}::{function}” does not exist."))),
        "2" | "" => Ok(envelope::api2(module, function, api2(machine, caller, module, function, &inner))),
        other => Err(Failure::new(format!("“{other}” is not a valid value of “cpanel_jsonapi_apiversion”."))),
    }
}

/// Calls an API 2 function, between the hooks of `Api2::module::function`. Those after it always run: the function's own failure is in its
/// output.
fn api2(machine: &Machine, caller: &Caller, module: &str, function: &str, args: &Args) -> Reply {
    let find = |table: &[(&str, &str, &'static str)]| {
        table.iter().find(|(m, f, _)| *m == module && *f == function).map(|(_, _, same)| *same)
    };
    let (same, acts) = match (find(SAME), find(ACTIONS)) {
        (Some(same), _) => (same, false),
        (None, Some(same)) => (same, true),
        (None, None) => return Err(Failure::new(format!("Could not find function “{function}” in module “{module}”"))),
    };
    let event = format!("Api2::{module}::{function}");
    let data = uapi::event_data(caller, args, None);
    hooks::fire(machine, "Cpanel", &event, Stage::Pre, data).map_err(|veto| Failure::new(veto.message))?;
    // Modules have the same names in both, but for this one.
    let same_module = if module == "Passwd" { "UserManager" } else { module };
    let mut reply = uapi::call_without_hooks(machine, caller, same_module, same, args);
    if acts {
        // API 2 tells of failure inside its data.
        reply = Ok(match reply {
            Ok(_) => json!([{"result": 1, "reason": ""}]),
            Err(failure) => json!([{"result": 0, "reason": failure.reason}]),
        }
        .into());
    }
    let output =
        reply.as_ref().map_or_else(|failure| json!([{"result": 0, "reason": failure.reason}]), |outcome| outcome.data.clone());
    let _ = hooks::fire(machine, "Cpanel", &event, Stage::Post, uapi::event_data(caller, args, Some(&output)));
    reply
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::scratch;

    #[test]
    fn unknown_functions_are_refused_in_their_own_envelope() {
        let (_folder, machine) = scratch::machine();
        let caller = Caller { user: "alice".into(), mailbox: None, acls: Vec::new() };
        let ask = |version: &str| {
            let args = Args(super::super::body::form(&format!(
                "cpanel_jsonapi_module=Nope&cpanel_jsonapi_func=nope&cpanel_jsonapi_apiversion={version}"
            )));
            call(&machine, &caller, &args).unwrap()
        };
        assert_eq!(ask("2")["cpanelresult"]["event"]["result"], 0);
        assert!(ask("2")["cpanelresult"]["error"].as_str().unwrap().contains("nope"));
        assert_eq!(ask("3")["result"]["status"], 0);
        assert_eq!(ask("1")["event"]["result"], 0);
    }
}
