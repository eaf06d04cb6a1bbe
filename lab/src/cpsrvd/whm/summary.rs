//! What accounts look like: `listaccts`, `accountsummary`.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde_json::{Value, json};

use super::manages;
use crate::call::{Args, Caller, Failure, Reply};
use crate::machine::{Account, Machine};

/// Bytes on disk and files below a folder. Links are counted, not followed.
fn usage(folder: &Path) -> (u64, u64) {
    let Ok(entries) = std::fs::read_dir(folder) else { return (0, 0) };
    entries.flatten().fold((0, 0), |(bytes, files), entry| {
        let Ok(found) = std::fs::symlink_metadata(entry.path()) else { return (bytes, files) };
        let (more, below) = if found.is_dir() { usage(&entry.path()) } else { (0, 0) };
        (bytes + found.blocks() * 512 + more, files + 1 + below)
    })
}

/// `/dev/shm`-less mount names do not matter to callers: the partition is the first part of the home's path.
fn partition(home: &str) -> &str {
    home.trim_start_matches('/').split('/').next().unwrap_or("home")
}

/// One account, as both functions list it.
fn account(machine: &Machine, account: &Account) -> Value {
    let get = |key: &str| account.get(key).unwrap_or_default();
    let or_unlimited = |key: &str| account.get(key).filter(|value| !value.is_empty()).unwrap_or("unlimited");
    let system = machine.system_user(&account.user);
    let home = system.as_ref().map(|user| user.home.to_string_lossy().into_owned()).unwrap_or_default();
    let (bytes, files) = if home.is_empty() { (0, 0) } else { usage(&machine.path(&home)) };
    let started = get("STARTDATE").parse::<i64>().ok().and_then(|second| jiff::Timestamp::from_second(second).ok());
    let startdate = started.map(|time| time.strftime("%y %b %d %H:%M").to_string()).unwrap_or_default();
    let suspended = account.is_suspended();
    let quota = match or_unlimited("QUOTA") {
        "unlimited" | "0" => "unlimited".to_owned(),
        megabytes => format!("{megabytes}M"),
    };
    let members = [
        ("backup", json!(u8::from(get("BACKUP") == "1"))),
        ("disklimit", json!(quota)),
        ("diskused", json!(format!("{}M", bytes.div_ceil(1 << 20)))),
        ("domain", json!(account.domain())),
        ("email", json!(if get("CONTACTEMAIL").is_empty() { "*unknown*" } else { get("CONTACTEMAIL") })),
        ("has_backup", json!(0)),
        ("inodeslimit", json!("unlimited")),
        ("inodesused", json!(files)),
        ("ip", json!(get("IP"))),
        ("ipv6", json!(account.get("IPV6").into_iter().collect::<Vec<_>>())),
        ("is_locked", json!(u8::from(machine.path(&format!("/var/cpanel/suspended/{}.lock", account.user)).exists()))),
        ("is_temporary_domain", json!(0)),
        ("legacy_backup", json!(0)),
        ("mailbox_format", json!(if get("MAILBOX_FORMAT").is_empty() { "maildir" } else { get("MAILBOX_FORMAT") })),
        ("max_defer_fail_percentage", json!(or_unlimited("MAX_DEFER_FAIL_PERCENTAGE"))),
        ("max_email_per_hour", json!(or_unlimited("MAX_EMAIL_PER_HOUR"))),
        ("max_emailacct_quota", json!(or_unlimited("MAX_EMAILACCT_QUOTA"))),
        ("maxaddons", json!(or_unlimited("MAXADDON"))),
        ("maxftp", json!(or_unlimited("MAXFTP"))),
        ("maxlst", json!(or_unlimited("MAXLST"))),
        ("maxparked", json!(or_unlimited("MAXPARK"))),
        ("maxpop", json!(or_unlimited("MAXPOP"))),
        ("maxsql", json!(or_unlimited("MAXSQL"))),
        ("maxsub", json!(or_unlimited("MAXSUB"))),
        ("min_defer_fail_to_trigger_protection", json!("5")),
        ("outgoing_mail_hold", json!(u8::from(get("OUTGOING_MAIL_HOLD") == "1"))),
        ("outgoing_mail_suspended", json!(u8::from(get("OUTGOING_MAIL_SUSPENDED") == "1"))),
        ("owner", json!(account.owner())),
        ("partition", json!(partition(&home))),
        ("plan", json!(get("PLAN"))),
        ("shell", json!(system.as_ref().map(|user| user.shell.as_str()).unwrap_or_default())),
        ("standalone_feature", json!(null)),
        ("standalone_feature_name", json!(null)),
        ("startdate", json!(startdate)),
        ("suspended", json!(u8::from(suspended))),
        (
            "suspendreason",
            json!(if suspended { machine.suspend_reason(&account.user) } else { Some("not suspended".to_owned()) }),
        ),
        ("suspendtime", json!(get("SUSPENDTIME").parse::<i64>().unwrap_or(0))),
        ("temporary", json!(0)),
        ("theme", json!(get("RS"))),
        ("uid", json!(system.as_ref().map(|user| user.uid.to_string()))),
        ("unix_startdate", json!(get("STARTDATE").parse::<i64>().ok())),
        ("user", json!(account.user)),
    ];
    members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Megabytes an account has on disk.
pub(super) fn disk_used(machine: &Machine, account: &Account) -> u64 {
    let home = machine.system_user(&account.user).map(|user| machine.path(&user.home.to_string_lossy()));
    home.map_or(0, |home| usage(&home).0.div_ceil(1 << 20))
}

/// `listsuspended`.
pub(super) fn listsuspended(machine: &Machine, caller: &Caller, _args: &Args) -> Reply {
    let suspended = machine.accounts()?.into_iter().filter(|account| account.is_suspended() && manages(caller, account));
    let shown: Vec<Value> = suspended
        .map(|account| {
            let second = account.get("SUSPENDTIME").and_then(|text| text.parse::<i64>().ok()).unwrap_or(0);
            let time = jiff::Timestamp::from_second(second).map(|time| time.strftime("%a %b %e %H:%M:%S %Y").to_string());
            json!({
                "is_locked": u8::from(machine.path(&format!("/var/cpanel/suspended/{}.lock", account.user)).exists()),
                "owner": account.owner(),
                "reason": machine.suspend_reason(&account.user),
                "time": time.unwrap_or_default(),
                "unixtime": second,
                "user": account.user,
            })
        })
        .collect();
    Ok(json!({"account": shown}).into())
}

/// Whether an account is what the caller searches.
fn wanted(account: &Account, kind: &str, exact: bool, term: &str) -> Result<bool, Failure> {
    let values: Vec<String> = match kind {
        "domain" => account.domains(),
        "owner" => vec![account.owner().to_owned()],
        "user" => vec![account.user.clone()],
        "ip" => vec![account.get("IP").unwrap_or_default().to_owned()],
        "package" => vec![account.get("PLAN").unwrap_or_default().to_owned()],
        other => return Err(Failure::new(format!("“{other}” is not a valid value of “searchtype”."))),
    };
    if exact {
        return Ok(values.iter().any(|value| value == term));
    }
    let pattern = regex::RegexBuilder::new(term).case_insensitive(true).size_limit(1 << 20).build();
    let pattern = pattern.map_err(|_| Failure::new(format!("“{term}” is not a valid regular expression.")))?;
    Ok(values.iter().any(|value| pattern.is_match(value)))
}

/// The accounts the caller manages.
pub(super) fn listaccts(machine: &Machine, caller: &Caller, args: &Args) -> Reply {
    let search = args.get("search").filter(|term| !term.is_empty());
    let exact = args.get("searchmethod") == Some("exact");
    let columns: Vec<&str> = args.get("want").map(|list| list.split(',').map(str::trim).collect()).unwrap_or_default();
    let mut found = Vec::new();
    for candidate in machine.accounts()? {
        let kind = args.get("searchtype").filter(|kind| !kind.is_empty()).unwrap_or("domain");
        if !manages(caller, &candidate) || !search.map_or(Ok(true), |term| wanted(&candidate, kind, exact, term))? {
            continue;
        }
        let mut shown = account(machine, &candidate);
        if let Some(members) = shown.as_object_mut().filter(|_| !columns.is_empty()) {
            members.retain(|name, _| columns.contains(&name.as_str()));
        }
        found.push(shown);
    }
    Ok(json!({"acct": found}).into())
}

/// One account, by user or by domain.
pub(super) fn accountsummary(machine: &Machine, caller: &Caller, args: &Args) -> Reply {
    let user = match (args.get("user").filter(|u| !u.is_empty()), args.get("domain").filter(|d| !d.is_empty())) {
        (Some(user), _) => user.to_owned(),
        (None, Some(domain)) => machine
            .domain_owner(domain)
            .ok_or_else(|| Failure::new(format!("The domain “{domain}” does not belong to an account on this server.")))?,
        (None, None) => return Err(Failure::new("Provide the “user” or the “domain” argument.")),
    };
    let found = super::managed(machine, caller, &user)?;
    let mut shown = account(machine, &found);
    if let Some(members) = shown.as_object_mut() {
        members.retain(|name, _| !matches!(name.as_str(), "has_backup" | "standalone_feature" | "standalone_feature_name"));
    }
    Ok(json!({"acct": [shown]}).into())
}
