//! `modifyacct`.

use serde_json::{Map, Value, json};

use super::accounts::{after, vetoed};
use crate::call::{Args, Caller, Failure, Outcome, Reply};
use crate::hooks::{self, Stage, events};
use crate::machine::create::{NO_SHELL, SHELL};
use crate::machine::extensions::LIST;
use crate::machine::{Account, Machine, names};

/// Keys of an account's file that a call sets by their own names, in capitals (WHM documentation of `modifyacct`).
const KEYS: &[&str] = &[
    "BACKUP",
    "BWLIMIT",
    "DBOWNER",
    "HASCGI",
    "HASDKIM",
    "HASDMARC",
    "HASSPF",
    "LANG",
    "LOCALE",
    "MAILBOX_FORMAT",
    "MAXADDON",
    "MAXFTP",
    "MAXLST",
    "MAXPARK",
    "MAXPASSENGERAPPS",
    "MAXPOP",
    "MAXSQL",
    "MAXSUB",
    "MAX_DEFER_FAIL_PERCENTAGE",
    "MAX_EMAILACCT_QUOTA",
    "MAX_EMAIL_PER_HOUR",
    "OUTGOING_MAIL_SUSPENDED",
    "OUTGOING_EMAIL_SUSPENDED",
    "PUSHBULLET_ACCESS_TOKEN",
    "QUOTA",
    "RS",
    "STARTDATE",
    "STYLE",
];

/// The keys a call sets, checked.
fn settings(machine: &Machine, caller: &Caller, args: &Args) -> Result<Vec<(String, String)>, Failure> {
    let mut out = Vec::new();
    let invalid = |key: &str, value: &str| Failure::new(format!("“{value}” is not a valid value of “{key}”."));
    let extensions = args.get("_PACKAGE_EXTENSIONS").is_some_and(|list| !list.is_empty());
    for (name, value) in &args.0 {
        match name.as_str() {
            "contactemail" => {
                if !value.is_empty() && !value.contains('@') {
                    return Err(invalid(name, value));
                }
                out.push(("CONTACTEMAIL".to_owned(), value.clone()));
            }
            "owner" => {
                if !caller.may("all") {
                    return Err(Failure::new("Only the root user can change the owner of an account."));
                }
                if machine.reseller_acls(value).is_none() {
                    return Err(Failure::new(format!("The owner “{value}” is not a reseller.")));
                }
                out.push(("OWNER".to_owned(), value.clone()));
            }
            key if KEYS.contains(&key) => {
                let limit = key.starts_with("MAX") || matches!(key, "QUOTA" | "BWLIMIT");
                if limit && value != "unlimited" && value.parse::<u64>().is_err() {
                    return Err(invalid(key, value));
                }
                let value = if matches!(key, "QUOTA" | "BWLIMIT") && value == "0" { "unlimited" } else { value };
                let key = if key == "OUTGOING_EMAIL_SUSPENDED" { "OUTGOING_MAIL_SUSPENDED" } else { key };
                out.push((key.to_owned(), value.to_owned()));
            }
            key if key.starts_with("notify_") || key.starts_with("MXCHECK-") => out.push((key.to_owned(), value.clone())),
            // What a package extension on the form sent.
            key if extensions && is_extension(key) => out.push((key.to_owned(), value.clone())),
            _ => {}
        }
    }
    Ok(out)
}

/// Whether an argument is one cPanel has no meaning for, so that it belongs to a package extension.
fn is_extension(key: &str) -> bool {
    const OWN: &[&str] = &[
        LIST,
        "user",
        "newuser",
        "domain",
        "DNS",
        "reseller",
        "shell",
        "HASSHELL",
        "spamassassin",
        "remove_missing_extensions",
        "rename_database_objects",
        "modify_firewall",
        "update_existing_email_account_quotas",
        "account_enhancements",
        "max_team_users",
        "mail_node_alias",
        "DISK_BLOCK_LIMIT",
    ];
    !OWN.contains(&key) && !key.starts_with("api.")
}

/// `modifyacct`.
pub(super) fn modifyacct(machine: &Machine, caller: &Caller, args: &Args) -> Reply {
    let old_user = args.need("user")?.to_owned();
    let account = machine.account(&old_user)?;
    let values = settings(machine, caller, args)?;
    let new_user = args.get("newuser").filter(|new| !new.is_empty() && *new != old_user);
    new_user.map_or(Ok(()), names::check_username)?;
    let domain = args.get("DNS").filter(|domain| !domain.is_empty()).or_else(|| args.get("domain"));
    let domain = domain.filter(|domain| !domain.is_empty()).map(names::domain).transpose()?;
    let domain = domain.filter(|domain| domain != account.domain());
    let event = events::modify(args);
    hooks::fire(machine, "Whostmgr", "Accounts::Modify", Stage::Pre, event.clone()).map_err(|veto| vetoed(&veto))?;

    let mut messages = Vec::new();
    if let Some(domain) = &domain {
        machine.change_main_domain(&old_user, domain)?;
        messages.push(format!("The main domain of “{old_user}” is now “{domain}”."));
    }
    let user = match new_user {
        Some(new) => {
            machine.rename_account(&old_user, new)?;
            messages.push(format!("The account “{old_user}” is now “{new}”."));
            new.to_owned()
        }
        None => old_user,
    };
    let extended = extended(machine, &user, args)?;
    let changed = machine.edit_account(&user, |account| {
        account.values = extended;
        values.iter().for_each(|(key, value)| account.set(key, value));
    })?;
    apply_routing(machine, &changed, &values)?;
    if let Some(owner) = values.iter().find(|(key, _)| key == "OWNER").map(|(_, owner)| owner) {
        machine
            .edit::<Failure>("/etc/trueuserowners", 0o644, |old| Ok(crate::machine::files::with_pair(old, &user, Some(owner))))?;
    }
    let mut setshell = Value::Null;
    if let Some(shell) = wanted_shell(args)? {
        change_shell(machine, &user, &shell)?;
        setshell = json!({"shell": shell});
    }
    if let Some(reseller) = args.get("reseller").filter(|_| caller.may("all")) {
        let is_one = machine.reseller_acls(&user).is_some();
        match (reseller != "0" && !reseller.is_empty(), is_one) {
            (true, false) => machine.set_reseller(&user, Some(super::server::RESELLER_ACLS))?,
            (false, true) => machine.set_reseller(&user, None)?,
            _ => {}
        }
    }
    after(machine, "Accounts::Modify", event);
    let cpuser: Map<String, Value> = changed.values.iter().map(|(key, value)| (key.clone(), json!(value))).collect();
    Ok(Outcome {
        reason: Some("Account Modified".to_owned()),
        messages,
        ..Outcome::from(json!({"cpuser": cpuser, "domain": changed.domain(), "setshell": setshell, "user": user}))
    })
}

/// The account's values with the variables of package extensions a call sets. With `remove_missing_extensions`, those of extensions the
/// call does not list go.
fn extended(machine: &Machine, user: &str, args: &Args) -> Result<Vec<(String, String)>, Failure> {
    let mut values = machine.account(user)?.values;
    if args.flag("remove_missing_extensions") {
        let listed = args.get(LIST).unwrap_or_default();
        machine.drop_extensions(&mut values, |name| !listed.split_whitespace().any(|kept| kept == name))?;
    }
    machine.apply_extensions(&mut values, args)?;
    Ok(values)
}

/// Gives an account another login shell, between the hooks of `Accounts::set_shell`.
fn change_shell(machine: &Machine, user: &str, shell: &str) -> Result<(), Failure> {
    let current = machine.system_user(user).map(|found| found.shell).unwrap_or_default();
    if current == shell {
        return Ok(());
    }
    let mut event = json!({"user": user, "current_shell": current, "new_shell": shell});
    hooks::fire(machine, "Whostmgr", "Accounts::set_shell", Stage::Pre, event.clone()).map_err(|veto| vetoed(&veto))?;
    machine.set_shell(user, shell)?;
    event["rawout"] = json!(format!("Shell changed to {shell} for {user}\n"));
    after(machine, "Accounts::set_shell", event);
    Ok(())
}

/// Gives an account a shell, or takes it, as its package says.
pub(super) fn give_shell(machine: &Machine, user: &str, wanted: bool) -> Result<(), Failure> {
    change_shell(machine, user, if wanted { SHELL } else { NO_SHELL })
}

/// `massmodifyacct`: `modifyacct` for each user, told one by one. Those that fail do not keep the others from it.
pub(super) fn massmodifyacct(machine: &Machine, caller: &Caller, args: &Args) -> Reply {
    args.need("user")?;
    let own = |key: &str| {
        key != "user" && key.strip_prefix("user").is_none_or(|rest| rest.trim_start_matches('-').parse::<u32>().is_err())
    };
    let mut payload = Vec::new();
    for user in args.all("user") {
        let mut one = vec![("user".to_owned(), user.to_owned())];
        // It spells two arguments as the account's file does.
        one.extend(args.0.iter().filter(|(key, _)| own(key)).map(|(key, value)| match key.as_str() {
            "CONTACTEMAIL" | "OWNER" => (key.to_ascii_lowercase(), value.clone()),
            _ => (key.clone(), value.clone()),
        }));
        payload.push(match modifyacct(machine, caller, &Args(one)) {
            Ok(done) => json!({
                "user": user,
                "result": 1,
                "reason": done.reason,
                "messages": done.messages,
                "warnings": done.warnings,
                "extended": done.data,
            }),
            Err(failure) => json!({
                "user": user,
                "result": 0,
                "reason": failure.reason,
                "messages": [],
                "warnings": [],
                "extended": null,
            }),
        });
    }
    Ok(json!({"payload": payload}).into())
}

/// Mail routing follows `MXCHECK-DOMAIN`.
fn apply_routing(machine: &Machine, account: &Account, values: &[(String, String)]) -> Result<(), Failure> {
    for (key, value) in values {
        let Some(domain) = key.strip_prefix("MXCHECK-") else { continue };
        if account.domains().iter().any(|own| own == domain) {
            machine.set_mail_routing(domain, Some(crate::machine::create::routing(value)?))?;
        }
    }
    Ok(())
}

/// The login shell a call asks for.
fn wanted_shell(args: &Args) -> Result<Option<String>, Failure> {
    if let Some(shell) = args.get("shell").filter(|shell| !shell.is_empty()) {
        let plain = shell.starts_with('/') && shell.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._-".contains(&b));
        return if plain {
            Ok(Some(shell.to_owned()))
        } else {
            Err(Failure::new(format!("“{shell}” is not a valid shell.")))
        };
    }
    Ok(args.get("HASSHELL").map(|flag| if flag == "1" { SHELL.to_owned() } else { NO_SHELL.to_owned() }))
}
