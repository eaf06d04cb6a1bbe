//! Creating, removing, suspending accounts; their passwords.

use serde_json::{Value, json};

use super::managed;
use crate::call::{Args, Caller, Failure, Outcome, Reply};
use crate::hooks::{self, Stage, events};
use crate::machine::create::NewAccount;
use crate::machine::packages::Package;
use crate::machine::{Machine, names};

/// A blocking hook's refusal, as the caller hears it.
pub(super) fn vetoed(veto: &hooks::Veto) -> Failure {
    Failure::new(veto.message.clone())
}

/// Fires a `Whostmgr` event after it happened. Nothing can be stopped any more; failures are in cPanel's error log.
pub(super) fn after(machine: &Machine, event: &str, data: Value) {
    let _ = hooks::fire(machine, "Whostmgr", event, Stage::Post, data);
}

/// An account's key, the argument that sets it, and the package's key it comes from otherwise.
const LIMITS: &[(&str, &str, &str)] = &[
    ("BWLIMIT", "bwlimit", "BWLIMIT"),
    ("FEATURELIST", "featurelist", "FEATURELIST"),
    ("HASCGI", "cgi", "CGI"),
    ("LOCALE", "language", "LANG"),
    ("MAXADDON", "maxaddon", "MAXADDON"),
    ("MAXFTP", "maxftp", "MAXFTP"),
    ("MAXLST", "maxlst", "MAXLST"),
    ("MAXPARK", "maxpark", "MAXPARK"),
    ("MAXPOP", "maxpop", "MAXPOP"),
    ("MAXSQL", "maxsql", "MAXSQL"),
    ("MAXSUB", "maxsub", "MAXSUB"),
    ("MAX_DEFER_FAIL_PERCENTAGE", "max_defer_fail_percentage", "MAX_DEFER_FAIL_PERCENTAGE"),
    ("MAX_EMAILACCT_QUOTA", "max_emailacct_quota", "MAX_EMAILACCT_QUOTA"),
    ("MAX_EMAIL_PER_HOUR", "max_email_per_hour", "MAX_EMAIL_PER_HOUR"),
    ("QUOTA", "quota", "QUOTA"),
    ("RS", "cpmod", "CPMOD"),
];

/// A limit's value, checked: a whole number or `unlimited` (which 0 means for quotas).
fn limit(key: &str, value: &str) -> Result<String, Failure> {
    let numeric = key.starts_with("MAX") || matches!(key, "QUOTA" | "BWLIMIT");
    match (key, value) {
        ("HASCGI", "y" | "1") => Ok("1".to_owned()),
        ("HASCGI", _) => Ok("0".to_owned()),
        (_, "unlimited") => Ok("unlimited".to_owned()),
        (_, text) if numeric && text.parse::<u64>().is_err() => {
            Err(Failure::new(format!("“{text}” is not a valid value of “{key}”.")))
        }
        ("QUOTA" | "BWLIMIT", "0") => Ok("unlimited".to_owned()),
        (_, text) => Ok(text.to_owned()),
    }
}

/// The package a call names; a missing one is refused.
pub(super) fn package(machine: &Machine, name: &str) -> Result<Package, Failure> {
    machine.package(name)?.ok_or_else(|| Failure::new(format!("The package “{name}” does not exist.")))
}

/// An account's keys as the package gives them.
pub(super) fn from_package(package: &Package) -> Result<Vec<(String, String)>, Failure> {
    let mut values = vec![("PLAN".to_owned(), package.name.clone())];
    for (key, _, packaged) in LIMITS {
        values.push(((*key).to_owned(), limit(key, package.get(packaged).unwrap_or_default())?));
    }
    values.extend(extensions(package));
    Ok(values)
}

/// What package extensions put into the package; it goes into the account.
fn extensions(package: &Package) -> impl Iterator<Item = (String, String)> {
    let known = |key: &str| crate::machine::packages::DEFAULTS.iter().any(|(name, _)| *name == key);
    let added = package.values.iter().filter(move |(key, _)| !known(key) || key == "_PACKAGE_EXTENSIONS");
    added.filter(|(_, value)| !value.is_empty()).cloned()
}

/// The new account a call of `createacct` asks for.
fn wanted(machine: &Machine, caller: &Caller, args: &Args) -> Result<NewAccount, Failure> {
    let plan = args.get("plan").or_else(|| args.get("pkgname")).filter(|name| !name.is_empty()).unwrap_or("default");
    let package = package(machine, plan)?;
    let mut values = from_package(&package)?;
    let mut set = |key: &str, value: &str| match values.iter_mut().find(|(name, _)| name == key) {
        Some(entry) => value.clone_into(&mut entry.1),
        None => values.push((key.to_owned(), value.to_owned())),
    };
    for (key, argument, _) in LIMITS {
        if let Some(value) = args.get(argument).filter(|value| !value.is_empty()) {
            set(key, &limit(key, value)?);
        }
    }
    machine.apply_extensions(&mut values, args)?;
    let mut set = |key: &str, value: &str| match values.iter_mut().find(|(name, _)| name == key) {
        Some(entry) => value.clone_into(&mut entry.1),
        None => values.push((key.to_owned(), value.to_owned())),
    };
    let user = args.need("username")?.to_owned();
    let owner = match args.get("owner").filter(|owner| !owner.is_empty()) {
        _ if args.flag("ownerself") => user.clone(),
        Some(owner) if caller.may("all") => owner.to_owned(),
        _ => caller.user.clone(),
    };
    if owner != user && machine.reseller_acls(&owner).is_none() {
        return Err(Failure::new(format!("The owner “{owner}” is not a reseller.")));
    }
    set("OWNER", &owner);
    let contact = args.get("contactemail").unwrap_or_default();
    if !contact.is_empty() && !contact.contains('@') {
        return Err(Failure::new(format!("“{contact}” is not a valid email address.")));
    }
    set("CONTACTEMAIL", contact);
    set("MAILBOX_FORMAT", args.get("mailbox_format").filter(|kind| !kind.is_empty()).unwrap_or("maildir"));
    let domain = args.need("domain")?.to_owned();
    let number = |name: &str| -> Result<Option<u32>, Failure> {
        args.get(name).filter(|text| !text.is_empty()).map_or(Ok(None), |text| {
            let parsed = text.parse::<u32>().ok().filter(|number| *number >= 500);
            parsed.map(Some).ok_or_else(|| Failure::new(format!("“{text}” is not a valid value of “{name}”.")))
        })
    };
    let unless = |name: &str| args.get(name).is_none_or(|value| value != "0");
    Ok(NewAccount {
        password: args.get("password").or_else(|| args.get("pass")).filter(|p| !p.is_empty()).map_or_else(
            // cPanel makes one up where none is given; nobody learns it.
            crate::machine::tokens::random_secret,
            str::to_owned,
        ),
        user,
        domain,
        values,
        home: args.get("homedir").unwrap_or_default().to_owned(),
        uid: number("uid")?,
        gid: number("gid")?,
        shell: args.get("hasshell").map_or(package.get("HASSHELL") == Some("y"), |_| args.flag("hasshell")),
        dkim: unless("dkim"),
        spf: unless("spf"),
        mxcheck: args.get("mxcheck").unwrap_or_default().to_owned(),
        force_dns: args.flag("forcedns"),
    })
}

/// The `data` of `Accounts::Create`'s hooks: the account's values, and what else the caller gave (package extensions).
fn creation_event(machine: &Machine, args: &Args, new: &NewAccount) -> Value {
    let own = |name: &str| name.starts_with("api.") || matches!(name, "username" | "password" | "pass" | "domain");
    let mut values: Vec<(String, String)> = args.0.iter().filter(|(name, _)| !own(name)).cloned().collect();
    values.extend(new.values.iter().cloned());
    let theme = new.values.iter().find(|(key, _)| key == "RS").map(|(_, theme)| theme.clone());
    values.extend(theme.map(|theme| ("cpmod".to_owned(), theme)));
    for (name, flag) in [("dkim", new.dkim), ("spf", new.spf), ("hasshell", new.shell), ("forcedns", new.force_dns)] {
        values.push((name.to_owned(), u8::from(flag).to_string()));
    }
    let home = if new.home.is_empty() { format!("/home/{}", new.user) } else { new.home.clone() };
    events::create(events::Created {
        user: &new.user,
        domain: &names::domain(&new.domain).unwrap_or_default(),
        password: &new.password,
        home: &home,
        ids: machine.system_user(&new.user).map(|user| (user.uid, user.gid)),
        values: &values,
    })
}

/// Creates an account.
pub(super) fn createacct(machine: &Machine, caller: &Caller, args: &Args) -> Reply {
    let new = wanted(machine, caller, args)?;
    machine.check_new_account(&new)?;
    hooks::fire(machine, "Whostmgr", "Accounts::Create", Stage::Pre, creation_event(machine, args, &new))
        .map_err(|veto| vetoed(&veto))?;
    let account = machine.create_account(&new)?;
    if args.flag("reseller") && caller.may("all") {
        machine.set_reseller(&account.user, Some(super::server::RESELLER_ACLS))?;
    }
    after(machine, "Accounts::Create", creation_event(machine, args, &new));
    let servers = machine.nameservers();
    let address = machine.address().to_string();
    let server = |index: usize| servers.get(index).cloned().unwrap_or_default();
    let server_address = |index: usize| if server(index).is_empty() { String::new() } else { address.clone() };
    let raw = format!(
        "Checking input data...…Done\nAdding User...…Success\nCopying skel files to {home}...…Done\nSetting up Mail & Local Domains...…Done\nAccount Creation Ok\n\nDomain: {domain}\nIp: {address}\nHasCgi: {cgi}\nUserName: {user}\nContactEmail: {contact}\nPackage: {plan}\n",
        home = account.get("HOMEDIRPATHS").unwrap_or_default(),
        domain = account.domain(),
        cgi = if account.get("HASCGI") == Some("1") { "y" } else { "n" },
        user = account.user,
        contact = account.get("CONTACTEMAIL").unwrap_or_default(),
        plan = account.get("PLAN").unwrap_or_default(),
    );
    Ok(Outcome {
        data: json!({
            "ip": address,
            "nameserver": server(0),
            "nameserver2": server(1),
            "nameserver3": server(2),
            "nameserver4": server(3),
            "nameservera": server_address(0),
            "nameservera2": server_address(1),
            "nameservera3": server_address(2),
            "nameservera4": server_address(3),
            "nameserverentry": server_address(0),
            "nameserverentry2": server_address(1),
            "nameserverentry3": server_address(2),
            "nameserverentry4": server_address(3),
            "package": account.get("PLAN").unwrap_or_default(),
        }),
        reason: Some("Account Creation Ok".to_owned()),
        raw: Some(raw),
        ..Outcome::default()
    })
}

/// Removes an account.
pub(super) fn removeacct(machine: &Machine, caller: &Caller, args: &Args) -> Reply {
    let user = args.get("username").filter(|user| !user.is_empty()).or_else(|| args.get("user"));
    let user = user.filter(|user| !user.is_empty()).map_or_else(|| args.need("username"), Ok)?;
    let account = managed(machine, caller, user)?;
    if caller.user == user {
        return Err(Failure::new("You cannot remove your own account."));
    }
    let event = events::remove(&account.user);
    hooks::fire(machine, "Whostmgr", "Accounts::Remove", Stage::Pre, event.clone()).map_err(|veto| vetoed(&veto))?;
    machine.remove_account(user, args.flag("keepdns"))?;
    after(machine, "Accounts::Remove", event);
    Ok(Outcome {
        reason: Some(format!("{user} account removed")),
        raw: Some(format!("Removing User...…Done\n{user} account removed\n")),
        ..Outcome::default()
    })
}

/// Suspends an account.
pub(super) fn suspendacct(machine: &Machine, _caller: &Caller, args: &Args) -> Reply {
    let user = args.need("user")?;
    machine.account(user)?;
    let reason = args.get("reason").filter(|reason| !reason.is_empty()).unwrap_or("Unknown");
    let event = events::suspend(user, reason, args.flag("disallowun"), None);
    hooks::fire(machine, "Whostmgr", "Accounts::suspendacct", Stage::Pre, event.clone()).map_err(|veto| vetoed(&veto))?;
    machine.suspend_account(user, reason, args.flag("disallowun"))?;
    let raw = format!("Locking Password...…Done\nEnding sessions...…Done\n{user}’s account has been suspended\n");
    finish(machine, "Accounts::suspendacct", event, raw)
}

/// Ends a suspension.
pub(super) fn unsuspendacct(machine: &Machine, caller: &Caller, args: &Args) -> Reply {
    let user = args.need("user")?;
    machine.account(user)?;
    let event = events::unsuspend(user, None);
    hooks::fire(machine, "Whostmgr", "Accounts::unsuspendacct", Stage::Pre, event.clone()).map_err(|veto| vetoed(&veto))?;
    machine.unsuspend_account(user, caller.may("all"), args.flag("retain-service-proxies"))?;
    let raw = format!("Unlocking Password...…Done\n{user}’s account is now active\n");
    finish(machine, "Accounts::unsuspendacct", event, raw)
}

/// Fires the event's post hooks with the text for people, and answers with it.
fn finish(machine: &Machine, event: &str, mut data: Value, raw: String) -> Reply {
    data["rawout"] = json!(raw);
    after(machine, event, data);
    Ok(Outcome { raw: Some(raw), ..Outcome::default() })
}

/// Changes an account's password.
pub(super) fn passwd(machine: &Machine, caller: &Caller, args: &Args) -> Reply {
    let (user, password) = (args.need("user")?, args.need("password")?);
    if user == "root" && !caller.may("all") {
        return Err(Failure::new("You do not have permission to change the root password."));
    }
    let raw = crate::passwd::change(machine, user, password)?;
    let applist = ["system", "mail"];
    Ok(Outcome {
        data: json!({"app": applist}),
        reason: Some(format!("Password changed for user “{user}”.")),
        raw: Some(raw),
        ..Outcome::default()
    })
}
