//! Making one change of configuration on a server.

use super::Change;
use crate::error::{Code, Error, Result};
use crate::panel::Panel;
use serde_json::Value;
use std::collections::BTreeMap;

fn split(address: &str) -> Result<(&str, &str)> {
    address.rsplit_once('@').ok_or_else(|| Error::new(Code::Invalid, format!("“{address}” is not an address.")))
}

/// A value of an API reply as the text its setter takes.
fn word(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// `fwdopt` and the argument that goes with it, from a destination as an alias file has it.
fn destination(text: &str) -> (&'static str, &'static str, String) {
    if let Some(message) = text.strip_prefix(":fail:") {
        return ("fail", "failmsgs", message.trim().to_owned());
    }
    if text.starts_with(":blackhole:") {
        return ("blackhole", "failmsgs", String::new());
    }
    if text.contains('@') {
        return ("fwd", "fwdemail", text.to_owned());
    }
    ("system", "fwdsystem", text.to_owned())
}

/// Makes the change for `user` on `panel`. `hashes` are the password hashes of the source's mailboxes.
///
/// # Errors
/// As [`Panel::uapi`].
pub async fn apply(panel: &Panel, user: &str, change: &Change, hashes: &BTreeMap<String, String>) -> Result<()> {
    let (function, params) = call(change, hashes)?;
    send(panel, user, function, &params).await?;
    if let Change::Filter(mailbox, filter) = change
        && crate::panel::number(&filter["enabled"]) == Some(0)
    {
        // A filter is stored enabled.
        let params = vec![("account".to_owned(), mailbox.clone()), ("filtername".to_owned(), word(&filter["filtername"]))];
        send(panel, user, "disable_filter", &params).await?;
    }
    Ok(())
}

async fn send(panel: &Panel, user: &str, function: &str, params: &[(String, String)]) -> Result<()> {
    let borrowed: Vec<(&str, &str)> = params.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    panel.uapi(user, "Email", function, &borrowed).await.map(drop)
}

/// The function of `Email` that makes the change, and its arguments.
fn call(change: &Change, hashes: &BTreeMap<String, String>) -> Result<(&'static str, Vec<(String, String)>)> {
    let mut params: Vec<(String, String)> = Vec::new();
    let mut set = |key: &str, value: String| params.push((key.to_owned(), value));
    let function = match change {
        Change::AddMailbox(address, quota) => {
            let (local, domain) = split(address)?;
            let hash = hashes.get(address).ok_or_else(|| {
                Error::new(Code::NotFound, format!("The password of “{address}” is in no shadow file of its domain."))
            })?;
            set("email", local.into());
            set("domain", domain.into());
            set("password_hash", hash.trim_start_matches('!').into());
            set("quota", quota.to_string());
            "add_pop"
        }
        Change::DropMailbox(address) => {
            let (local, domain) = split(address)?;
            set("email", local.into());
            set("domain", domain.into());
            "delete_pop"
        }
        Change::Quota(address, quota) => {
            let (local, domain) = split(address)?;
            set("email", local.into());
            set("domain", domain.into());
            set("quota", quota.to_string());
            "edit_pop_quota"
        }
        Change::Incoming(address, suspended) => {
            set("email", address.clone());
            if *suspended { "suspend_incoming" } else { "unsuspend_incoming" }
        }
        Change::AddForwarder(address, to) => {
            let (local, domain) = split(address)?;
            let (option, key, value) = destination(to);
            set("email", local.into());
            set("domain", domain.into());
            set("fwdopt", option.into());
            set(key, value);
            "add_forwarder"
        }
        Change::DropForwarder(address, to) => {
            set("address", address.clone());
            set("forwarder", to.clone());
            "delete_forwarder"
        }
        Change::Default(domain, to) => {
            let (option, key, value) = destination(to);
            set("domain", domain.clone());
            set("fwdopt", option.into());
            set(key, value);
            "set_default_address"
        }
        Change::Autoresponder(address, settings) => {
            let (local, domain) = split(address)?;
            set("email", local.into());
            set("domain", domain.into());
            for key in ["from", "subject", "body", "charset", "interval", "is_html", "start", "stop"] {
                set(key, word(&settings[key]));
            }
            "add_auto_responder"
        }
        Change::DropAutoresponder(address) => {
            set("email", address.clone());
            "delete_auto_responder"
        }
        Change::Filter(mailbox, filter) => {
            set("account", mailbox.clone());
            set("filtername", word(&filter["filtername"]));
            for (n, rule) in filter["rules"].as_array().into_iter().flatten().enumerate() {
                for key in ["part", "match", "val", "opt"] {
                    set(&format!("{key}{}", n + 1), word(&rule[key]));
                }
            }
            for (n, action) in filter["actions"].as_array().into_iter().flatten().enumerate() {
                for key in ["action", "dest"] {
                    set(&format!("{key}{}", n + 1), word(&action[key]));
                }
            }
            "store_filter"
        }
        Change::DropFilter(mailbox, name) => {
            set("account", mailbox.clone());
            set("filtername", name.clone());
            "delete_filter"
        }
    };
    Ok((function, params))
}
