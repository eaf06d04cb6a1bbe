//! Reading the configuration of an account from a server.

use super::{Configuration, Mailbox};
use crate::error::Result;
use crate::panel::{Panel, number};
use serde_json::Value;

fn rows(data: &Value) -> impl Iterator<Item = &Value> {
    data.as_array().into_iter().flatten()
}

fn text<'a>(row: &'a Value, key: &str) -> &'a str {
    row[key].as_str().unwrap_or_default()
}

/// Reads everything of an account that is known to `panel`.
///
/// # Errors
/// As [`Panel::uapi`].
pub async fn read(panel: &Panel, user: &str, domains: &[String]) -> Result<Configuration> {
    let mut found = Configuration::default();
    for row in rows(&panel.uapi(user, "Email", "list_pops_with_disk", &[("no_disk", "1")]).await?) {
        let address = text(row, "email");
        if !address.contains('@') {
            continue;
        }
        let bytes = number(&row["_diskquota"]).unwrap_or(0);
        let mailbox =
            Mailbox { quota: bytes.div_ceil(1 << 20), suspended_incoming: number(&row["suspended_incoming"]) == Some(1) };
        found.mailboxes.insert(address.to_owned(), mailbox);
    }
    for domain in domains {
        for row in rows(&panel.uapi(user, "Email", "list_forwarders", &[("domain", domain)]).await?) {
            found.forwarders.push((text(row, "dest").to_owned(), text(row, "forward").to_owned()));
        }
        for row in rows(&panel.uapi(user, "Email", "list_auto_responders", &[("domain", domain)]).await?) {
            let address = text(row, "email").to_owned();
            let settings = panel.uapi(user, "Email", "get_auto_responder", &[("email", &address)]).await?;
            found.autoresponders.insert(address, settings);
        }
    }
    found.forwarders.sort();
    found.forwarders.dedup();
    for row in rows(&panel.uapi(user, "Email", "list_default_address", &[("user", user)]).await?) {
        if domains.iter().any(|domain| domain == text(row, "domain")) {
            found.defaults.insert(text(row, "domain").to_owned(), text(row, "defaultaddress").to_owned());
        }
    }
    let mailboxes: Vec<String> = std::iter::once(String::new()).chain(found.mailboxes.keys().cloned()).collect();
    for mailbox in mailboxes {
        let mut filters = Vec::new();
        for row in rows(&panel.uapi(user, "Email", "list_filters", &[("account", &mailbox)]).await?) {
            let mut filter = panel
                .uapi(user, "Email", "get_filter", &[("account", &mailbox), ("filtername", text(row, "filtername"))])
                .await?;
            if let Some(filter) = filter.as_object_mut() {
                filter.remove("metadata");
                filter.insert("enabled".into(), row["enabled"].clone());
            }
            filters.push(filter);
        }
        if !filters.is_empty() {
            found.filters.insert(mailbox, filters);
        }
    }
    Ok(found)
}
