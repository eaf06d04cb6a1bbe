//! Packages.

use serde_json::{Map, Value, json};

use super::accounts::{after, from_package, package, vetoed};
use crate::call::{Args, Caller, Failure, Outcome, Reply};
use crate::hooks::{self, Stage, events};
use crate::machine::Machine;
use crate::machine::extensions::LIST;
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

/// The name of a package as the caller may name one: a reseller's packages carry its name.
fn own_name(caller: &Caller, asked: &str) -> String {
    if caller.may("all") || asked.starts_with(&format!("{}_", caller.user)) {
        asked.to_owned()
    } else {
        format!("{}_{asked}", caller.user)
    }
}

/// Puts a call's values into a package.
fn apply(machine: &Machine, package: &mut Package, args: &Args) -> Result<(), Failure> {
    for (key, value) in args.0.iter().filter(|(key, value)| !value.is_empty() && !key.starts_with("api.")) {
        let upper = key.to_ascii_uppercase();
        let upper = if upper == "LANGUAGE" { "LANG".to_owned() } else { upper };
        let Some((known, _)) = DEFAULTS.iter().find(|(known, _)| known.eq_ignore_ascii_case(&upper)) else {
            // Variables of package extensions keep their own names.
            if key != "name" && key != "frontpage" && args.get(LIST).is_some_and(|list| !list.is_empty()) {
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
    Ok(machine.apply_extensions(&mut package.values, args)?)
}

/// `addpkg`.
pub(super) fn addpkg(machine: &Machine, caller: &Caller, args: &Args) -> Reply {
    let name = own_name(caller, args.need("name")?);
    let mut package = Package::new(&name);
    apply(machine, &mut package, args)?;
    machine.add_package(&package)?;
    Ok(Outcome { reason: Some(format!("Created the package {name}")), ..Outcome::from(json!({"pkg": name})) })
}

/// A package the caller may change.
fn editable(machine: &Machine, caller: &Caller, asked: &str) -> Result<Package, Failure> {
    if asked == "default" && caller.may("all") {
        return package(machine, asked);
    }
    package(machine, &own_name(caller, asked)).map_err(|_| Failure::new(format!("The package “{asked}” does not exist.")))
}

/// Writes a changed package and gives its values to the accounts that have it, each with the event of a changed package: it "triggers
/// whenever a hosting plan or an account's use of it changes" (guide to standardized hooks). An account whose hook says no keeps what it has.
fn change(machine: &Machine, package: &Package) -> Result<Vec<String>, Failure> {
    machine.save_package(package)?;
    let mut warnings = Vec::new();
    for account in machine.accounts()?.iter().filter(|account| account.get("PLAN") == Some(package.name.as_str())) {
        if let Err(failure) = use_package(machine, &account.user, package) {
            warnings.push(format!("{}: {failure}", account.user));
        }
    }
    Ok(warnings)
}

/// `editpkg`: what is not given stays.
pub(super) fn editpkg(machine: &Machine, caller: &Caller, args: &Args) -> Reply {
    let mut package = editable(machine, caller, args.need("name")?)?;
    apply(machine, &mut package, args)?;
    let warnings = change(machine, &package)?;
    let name = &package.name;
    Ok(Outcome { reason: Some(format!("Modified the package {name}")), warnings, ..Outcome::from(json!({"pkg": name})) })
}

/// `killpkg`. Accounts that have it keep their limits and its name.
pub(super) fn killpkg(machine: &Machine, caller: &Caller, args: &Args) -> Reply {
    // `pkg` is the parameter's older name.
    let name = args.get("pkgname").or_else(|| args.get("pkg")).filter(|name| !name.is_empty());
    let name = name.map_or_else(|| args.need("pkgname"), Ok)?;
    let package = editable(machine, caller, name)?;
    machine.remove_package(&package.name)?;
    Ok(Outcome { reason: Some("Package Deleted".to_owned()), ..Outcome::default() })
}

/// `getpkginfo`.
pub(super) fn getpkginfo(machine: &Machine, caller: &Caller, args: &Args) -> Reply {
    let name = args.need("pkg")?;
    let package = package(machine, name)?;
    if !visible(machine, caller, &package) {
        return Err(Failure::new(format!("The package “{name}” does not exist.")));
    }
    let mut members: Map<String, Value> = package.values.iter().map(|(key, value)| (key.clone(), json!(value))).collect();
    members.insert("FRONTPAGE".into(), json!("n"));
    Ok(json!({"pkg": members}).into())
}

/// `addpkgext`: gives a package extensions, with their variables.
pub(super) fn addpkgext(machine: &Machine, caller: &Caller, args: &Args) -> Reply {
    args.need(LIST)?;
    let mut package = editable(machine, caller, args.need("name")?)?;
    machine.apply_extensions(&mut package.values, args)?;
    let warnings = change(machine, &package)?;
    Ok(Outcome { warnings, ..Outcome::from(json!({"pkg": package.name})) })
}

/// `delpkgext`: takes extensions from a package, with their variables.
pub(super) fn delpkgext(machine: &Machine, caller: &Caller, args: &Args) -> Reply {
    let doomed: Vec<&str> = args.need("_DELETE_EXTENSIONS")?.split_whitespace().collect();
    let mut package = editable(machine, caller, args.need("name")?)?;
    machine.drop_extensions(&mut package.values, |name| doomed.contains(&name))?;
    let warnings = change(machine, &package)?;
    Ok(Outcome { warnings, ..Outcome::from(json!({"pkg": package.name})) })
}

/// Gives an account a package's values, between the hooks of `Accounts::change_package`.
fn use_package(machine: &Machine, user: &str, package: &Package) -> Result<(), Failure> {
    let account = machine.account(user)?;
    let event = events::change_package(user, account.get("PLAN").unwrap_or_default(), &package.name);
    hooks::fire(machine, "Whostmgr", "Accounts::change_package", Stage::Pre, event.clone()).map_err(|veto| vetoed(&veto))?;
    let values = from_package(package)?;
    // Extensions the new package has not go with the old one.
    let mut kept = account.values.clone();
    let listed = package.get(LIST).unwrap_or_default();
    machine.drop_extensions(&mut kept, |name| !listed.split_whitespace().any(|own| own == name))?;
    machine.edit_account(user, |account| {
        account.values.retain(|(key, _)| kept.iter().any(|(own, _)| own == key));
        if listed.is_empty() {
            account.unset(LIST);
        }
        values.iter().for_each(|(key, value)| account.set(key, value));
    })?;
    super::change::give_shell(machine, user, package.get("HASSHELL") == Some("y"))?;
    after(machine, "Accounts::change_package", event);
    Ok(())
}

/// `changepackage`.
pub(super) fn changepackage(machine: &Machine, caller: &Caller, args: &Args) -> Reply {
    let (user, name) = (args.need("user")?, args.need("pkg")?);
    let package = package(machine, name)?;
    if !visible(machine, caller, &package) {
        return Err(Failure::new(format!("The package “{name}” does not exist.")));
    }
    use_package(machine, user, &package)?;
    Ok(Outcome { reason: Some("Account Upgrade/Downgrade Complete.".to_owned()), ..Outcome::default() })
}

/// A limit in megabytes: a whole number, or `unlimited`, which 0 means too.
fn megabytes(name: &str, text: &str) -> Result<String, Failure> {
    match text {
        "0" | "unlimited" => Ok("unlimited".to_owned()),
        text if text.parse::<u64>().is_ok() => Ok(text.to_owned()),
        _ => Err(Failure::new(format!("“{text}” is not a valid value of “{name}”."))),
    }
}

/// `editquota`.
pub(super) fn editquota(machine: &Machine, _caller: &Caller, args: &Args) -> Reply {
    let (user, quota) = (args.need("user")?, megabytes("quota", args.need("quota")?)?);
    machine.edit_account(user, |account| account.set("QUOTA", &quota))?;
    Ok(Outcome { reason: Some(format!("Set quota for user {user}")), ..Outcome::default() })
}

/// `limitbw`. Nothing counts bandwidth on this server, so none is used.
pub(super) fn limitbw(machine: &Machine, _caller: &Caller, args: &Args) -> Reply {
    let user = args.need("user")?;
    let limit = megabytes("bwlimit", args.get("bwlimit").filter(|text| !text.is_empty()).unwrap_or("unlimited"))?;
    let account = machine.edit_account(user, |account| account.set("BWLIMIT", &limit))?;
    let unlimited = limit == "unlimited";
    let bytes = limit.parse::<u64>().map_or(0, |megabytes| megabytes << 20);
    Ok(json!({"bwlimits": [{
        "bwlimit": bytes,
        "bwlimitenable": u8::from(!unlimited),
        "domains": account.domains(),
        "human_bwlimit": if unlimited { "unlimited".to_owned() } else { format!("{limit} MB") },
        "human_bwused": "0 bytes",
        "unlimited": u8::from(unlimited),
    }]})
    .into())
}

#[cfg(test)]
mod tests {
    use super::super::call;
    use super::*;
    use crate::machine::scratch;

    fn args(text: &str) -> Args {
        Args(crate::cpsrvd::body::form(text))
    }

    #[test]
    fn packages_carry_extensions_and_changes_reach_their_accounts() {
        let (_folder, machine) = scratch::machine();
        let folder = machine.path(crate::machine::extensions::FOLDER);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("nodes"), "_NAME=Mail nodes\nnode=auto\n").unwrap();
        let root = |function: &str, asked: &str| call(&machine, &Caller::root(), function, &args(asked)).unwrap();
        let of = |key: &str| machine.account("alice").unwrap().get(key).map(str::to_owned);
        root("addpkg", "name=gold&maxpop=3&_PACKAGE_EXTENSIONS=nodes&node=mail1&hasshell=1");
        root("addpkg", "name=plain&maxpop=1");
        root("createacct", "username=alice&domain=alice.example&password=Wonderland-7-rabbits&plan=gold");
        assert_eq!((of("node").as_deref(), of("MAXPOP").as_deref()), (Some("mail1"), Some("3")));
        assert_eq!(machine.system_user("alice").unwrap().shell, crate::machine::create::SHELL);
        root("editpkg", "name=gold&maxpop=9");
        assert_eq!(of("MAXPOP").as_deref(), Some("9"), "an account has what its package says");
        assert_eq!(of("node").as_deref(), Some("mail1"));
        root("modifyacct", "user=alice&_PACKAGE_EXTENSIONS=nodes&node=mail2");
        assert_eq!(of("node").as_deref(), Some("mail2"));
        root("modifyacct", "user=alice&MAXPOP=4");
        assert_eq!((of("node").as_deref(), of("_PACKAGE_EXTENSIONS").as_deref()), (Some("mail2"), Some("nodes")));
        root("changepackage", "user=alice&pkg=plain");
        assert_eq!((of("node"), of("_PACKAGE_EXTENSIONS"), of("MAXPOP").as_deref()), (None, None, Some("1")));
        assert_eq!(machine.system_user("alice").unwrap().shell, crate::machine::create::NO_SHELL);
        root("editquota", "user=alice&quota=77");
        assert_eq!(of("QUOTA").as_deref(), Some("77"));
        root("killpkg", "pkgname=plain");
        assert!(call(&machine, &Caller::root(), "getpkginfo", &args("pkg=plain")).is_err());
    }
}
