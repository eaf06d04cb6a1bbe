//! What hooks of the events around accounts and passwords read as `data`.
//!
//! Source: "Guide to Standardized Hooks – Whostmgr functions" and "– Passwd functions", api.docs.cpanel.net; the keys of
//! `Accounts::Create` as plugins that print their input show them.

use serde_json::{Map, Value, json};

use crate::call::Args;

/// Keys of `Accounts::Create`, with what each is when the caller named nothing.
const CREATE: &[(&str, &str)] = &[
    ("bwlimit", "unlimited"),
    ("contactemail", ""),
    ("cpmod", "jupiter"),
    ("digestauth", "n"),
    ("featurelist", "default"),
    ("hascgi", "n"),
    ("hasshell", "n"),
    ("locale", "en"),
    ("mailbox_format", "maildir"),
    ("max_defer_fail_percentage", "unlimited"),
    ("max_email_per_hour", "unlimited"),
    ("max_emailacct_quota", "unlimited"),
    ("maxaddon", "0"),
    ("maxftp", "unlimited"),
    ("maxlst", "unlimited"),
    ("maxpark", "0"),
    ("maxpassengerapps", "4"),
    ("maxpop", "unlimited"),
    ("maxsql", "unlimited"),
    ("maxsub", "unlimited"),
    ("mxcheck", "local"),
    ("owner", "root"),
    ("plan", "default"),
    ("quota", "unlimited"),
];

/// Keys of `Accounts::Create` that are 0 or 1.
const CREATE_FLAGS: &[&str] = &[
    "account_init",
    "dkim",
    "force",
    "forcedns",
    "is_restore",
    "no_cache_update",
    "skip_mysql_dbowner_check",
    "skip_password_strength_check",
    "spamassassin",
    "spambox",
    "spf",
    "useip",
    "useregns",
];

/// The account that is, or is to be, created.
#[derive(Debug, Clone, Copy)]
pub struct Created<'a> {
    /// System user.
    pub user: &'a str,
    /// Main domain.
    pub domain: &'a str,
    /// Password in plain text, as cPanel gives it.
    pub password: &'a str,
    /// Home directory.
    pub home: &'a str,
    /// User and group number, known after the event.
    pub ids: Option<(u32, u32)>,
    /// The account's values by key, in any case (`MAXPOP`, `owner` …); what is missing has cPanel's default.
    pub values: &'a [(String, String)],
}

/// `Whostmgr`, `Accounts::Create`.
pub fn create(account: Created<'_>) -> Value {
    let values = account.values;
    let given = |key: &str| {
        let found = values.iter().rev().find(|(name, _)| name.eq_ignore_ascii_case(key));
        found.map(|(_, value)| value.as_str())
    };
    let mut data = Map::new();
    for (key, default) in CREATE {
        data.insert((*key).to_owned(), json!(given(key).unwrap_or(default)));
    }
    for key in CREATE_FLAGS {
        let on = given(key).is_some_and(|value| !matches!(value, "" | "0" | "n"));
        data.insert((*key).to_owned(), json!(u8::from(on)));
    }
    for (key, value) in [
        ("account_enhancements", json!({})),
        ("child_workloads", Value::Null),
        ("domain", json!(account.domain)),
        ("gid", json!(account.ids.map(|(_, gid)| gid))),
        ("homedir", json!(account.home)),
        ("homeroot", json!(account.home.rsplit_once('/').map_or("", |(root, _)| root))),
        ("pass", json!(account.password)),
        ("uid", json!(account.ids.map(|(uid, _)| uid))),
        ("user", json!(account.user)),
    ] {
        data.insert(key.to_owned(), value);
    }
    // What package extensions added to the call rides along.
    for (key, value) in values.iter().filter(|(key, _)| key.bytes().any(|b| b.is_ascii_lowercase())) {
        data.entry(key.clone()).or_insert_with(|| json!(value));
    }
    Value::Object(data)
}

/// `Whostmgr`, `Accounts::Modify`: only what the caller passed, in the caller's spelling.
pub fn modify(args: &Args) -> Value {
    let keep = |pair: &&(String, String)| !pair.0.starts_with("api.");
    Value::Object(args.0.iter().filter(keep).map(|(key, value)| (key.clone(), json!(value))).collect())
}

/// `Whostmgr`, `Accounts::Remove`.
pub fn remove(user: &str) -> Value {
    json!({"user": user})
}

/// `Whostmgr`, `Accounts::suspendacct`; `rawout` after the event.
pub fn suspend(user: &str, reason: &str, disallowun: bool, rawout: Option<&str>) -> Value {
    with_output(json!({"disallowun": u8::from(disallowun), "reason": reason, "user": user}), rawout)
}

/// `Whostmgr`, `Accounts::unsuspendacct`; `rawout` after the event.
pub fn unsuspend(user: &str, rawout: Option<&str>) -> Value {
    with_output(json!({"user": user}), rawout)
}

/// `Whostmgr`, `Accounts::change_package`.
pub fn change_package(user: &str, from: &str, to: &str) -> Value {
    json!({"cur_pkg": from, "new_pkg": to, "user": user})
}

/// `Passwd`, `ChangePasswd`; `rawout` after the event. The password is in plain text, as cPanel gives it.
pub fn change_password(user: &str, password: &str, rawout: Option<&str>) -> Value {
    with_output(json!({"applist": [], "new_password": password, "user": user}), rawout)
}

fn with_output(mut data: Value, rawout: Option<&str>) -> Value {
    if let (Some(text), Value::Object(map)) = (rawout, &mut data) {
        map.insert("rawout".into(), json!(text));
    }
    data
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn creation_tells_the_accounts_own_values() {
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let values = [pair("MAXPOP", "5"), pair("dkim", "1"), pair("ln_node", "m")];
        let data = create(Created {
            user: "u",
            domain: "u.test",
            password: "p",
            home: "/home/u",
            ids: Some((1001, 1002)),
            values: &values,
        });
        assert_eq!(data["maxpop"], "5");
        assert_eq!(data["dkim"], 1);
        assert_eq!(data["homeroot"], "/home");
        assert_eq!(data["gid"], 1002);
        assert_eq!(data["ln_node"], "m");
        assert!(data["child_workloads"].is_null());
        assert!(data.get("MAXPOP").is_none());
    }
}
