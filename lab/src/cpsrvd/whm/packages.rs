//! Packages.

use serde_json::{Map, Value, json};

use super::accounts::{after, from_package, package, vetoed};
use crate::call::{Args, Caller, Failure, Outcome, Reply};
use crate::hooks::{self, Stage, events};
use crate::machine::Machine;
use crate::machine::packages::{DEFAULTS, Package};

/// Whether the caller sees a package: its own (`USER_NAME`), and those of root that belong to nobody.
fn visible(machine: &Machine, caller: &Caller, package: &Package) -> bool {
    let owner = package.name.split_once('_').map(|(owner, _)| owner);
    caller.may("all") || owner.is_none_or(|owner| owner == caller.user || machine.reseller_acls(owner).is_none())
}

/// `listpkgs`.
pub(super) fn listpkgs(machine: &Machine, caller: &Caller, args: &Args) -> Reply {
    let want = args.get("want").filter(|want| !want.is_empty()).unwrap_or("all");
    let own = match want {
        "all" | "viewable" | "creatable" => false,
        "editable" => true,
        other => return Err(Failure::new(format!("“{other}” is not a valid value of “want”."))),
    };
    let mut shown: Vec<Value> = Vec::new();
    for package in machine.packages()? {
        let editable = caller.may("all") || package.name.starts_with(&format!("{}_", caller.user));
        if !visible(machine, caller, &package) || (own && !editable) {
            continue;
        }
        let mut members: Map<String, Value> = package.values.iter().map(|(key, value)| (key.clone(), json!(value))).collect();
        members.insert("name".into(), json!(package.name));
        shown.push(Value::Object(members));
    }
    Ok(json!({"pkg": shown}).into())
}

/// `addpkg`. A reseller's packages carry its name.
pub(super) fn addpkg(machine: &Machine, caller: &Caller, args: &Args) -> Reply {
    let asked = args.need("name")?;
    let name = if caller.may("all") || asked.starts_with(&format!("{}_", caller.user)) {
        asked.to_owned()
    } else {
        format!("{}_{asked}", caller.user)
    };
    let mut package = Package::new(&name);
    for (key, value) in args.0.iter().filter(|(key, value)| !value.is_empty() && !key.starts_with("api.")) {
        let upper = key.to_ascii_uppercase();
        let upper = if upper == "LANGUAGE" { "LANG".to_owned() } else { upper };
        let Some((known, _)) = DEFAULTS.iter().find(|(known, _)| known.eq_ignore_ascii_case(&upper)) else {
            // Variables of package extensions keep their own names.
            if key != "name" && key != "frontpage" && args.get("_PACKAGE_EXTENSIONS").is_some_and(|list| !list.is_empty()) {
                package.set(key, value);
            }
            continue;
        };
        let value = match (*known, value.as_str()) {
            ("CGI" | "HASSHELL" | "DIGESTAUTH", "1" | "y") => "y",
            ("CGI" | "HASSHELL" | "DIGESTAUTH", _) => "n",
            ("QUOTA" | "BWLIMIT", "0") => "unlimited",
            (known, text)
                if (known.starts_with("MAX") || matches!(known, "QUOTA" | "BWLIMIT"))
                    && text != "unlimited"
                    && text.parse::<u64>().is_err() =>
            {
                return Err(Failure::new(format!("“{text}” is not a valid value of “{key}”.")));
            }
            (_, text) => text,
        };
        package.set(known, value);
    }
    machine.add_package(&package)?;
    Ok(Outcome { reason: Some(format!("Created the package {name}")), ..Outcome::from(json!({"pkg": name})) })
}

/// `changepackage`.
pub(super) fn changepackage(machine: &Machine, caller: &Caller, args: &Args) -> Reply {
    let (user, name) = (args.need("user")?, args.need("pkg")?);
    let package = package(machine, name)?;
    if !visible(machine, caller, &package) {
        return Err(Failure::new(format!("The package “{name}” does not exist.")));
    }
    let account = machine.account(user)?;
    let event = events::change_package(user, account.get("PLAN").unwrap_or_default(), name);
    hooks::fire(machine, "Whostmgr", "Accounts::change_package", Stage::Pre, event.clone()).map_err(|veto| vetoed(&veto))?;
    let values = from_package(&package)?;
    machine.edit_account(user, |account| values.iter().for_each(|(key, value)| account.set(key, value)))?;
    after(machine, "Accounts::change_package", event);
    Ok(Outcome { reason: Some("Account Upgrade/Downgrade Complete.".to_owned()), ..Outcome::default() })
}
