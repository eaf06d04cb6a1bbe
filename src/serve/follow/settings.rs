//! Mail settings that were written on the parent itself, past the shim: by cPanel's own pages and scripts.
//!
//! The child is the authority of an account's mail settings, so such a write would be lost. What it touched is noted (never with a
//! password), and for that one address or domain the child is made what the parent is. Only what a call says that it deletes is deleted.

use crate::child::Child;
use crate::error::Result;
use crate::host::{self, HostCall};
use crate::moves::configuration::{self, Change, Configuration};
use crate::serve::Serve;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// What a mail function of the parent touched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Touched {
    /// Address, domain or mailbox; `None` when the call named none that is known, and all of its kind is looked at.
    pub name: Option<String>,
    /// Whether the call deletes.
    pub deletes: bool,
}

impl Touched {
    /// From the function and the arguments of a call.
    pub fn by(function: &str, args: &Value) -> Self {
        let text = |key: &str| args[key].as_str().filter(|value| !value.is_empty());
        let email = text("email").or(text("address")).or(text("account")).or(text("user"));
        let name = match (email, text("domain")) {
            (Some(email), _) if email.contains('@') => Some(email.to_ascii_lowercase()),
            (Some(email), Some(domain)) => Some(format!("{email}@{domain}").to_ascii_lowercase()),
            (Some(email), None) => Some(email.to_owned()),
            (None, domain) => domain.map(str::to_ascii_lowercase),
        };
        Self { name, deletes: function.starts_with("delete") }
    }

    /// Whether a change of the child is one of this call's.
    fn covers(&self, change: &Change) -> bool {
        let is = |name: &str| self.name.as_deref().is_none_or(|own| own == name);
        match change {
            Change::DropMailbox(address) | Change::DropAutoresponder(address) => self.deletes && is(address),
            Change::DropForwarder(address, _) => self.deletes && is(address),
            // A filter that is changed goes and comes again.
            Change::DropFilter(mailbox, _) => is(mailbox),
            Change::AddMailbox(address, _)
            | Change::Quota(address, _)
            | Change::Incoming(address, _)
            | Change::AddForwarder(address, _)
            | Change::Autoresponder(address, _)
            | Change::Default(address, _) => is(address),
            Change::Filter(mailbox, _) => is(mailbox),
        }
    }
}

/// Makes on the child what calls on the parent touched. What was done, a line each.
pub async fn send(serve: &Serve, user: &str, child: &Child, domains: &[String], details: &[Value]) -> Result<Vec<String>> {
    let touched: Vec<Touched> = details.iter().filter_map(|detail| serde_json::from_value(detail.clone()).ok()).collect();
    let authority = &serve.authority;
    let call = HostCall::MailHashes { user: user.to_owned(), domains: domains.to_vec() };
    let hashes = host::perform(&authority.store, call).await?;
    let mut hashes: BTreeMap<String, String> = serde_json::from_value(hashes).unwrap_or_default();
    let wanted: Configuration = configuration::read(&authority.own, user, domains).await?;
    let present = configuration::read(&child.panel, user, domains).await?;
    let mut lines = Vec::new();
    for change in configuration::diff(&wanted, &present) {
        if touched.iter().any(|one| one.covers(&change)) {
            configuration::apply(&child.panel, user, &change, &hashes).await?;
            lines.push(line(&change));
        }
    }
    let named = |address: &String| touched.iter().any(|one| one.name.as_ref() == Some(address));
    hashes.retain(|address, _| named(address));
    if !hashes.is_empty() {
        child.host::<Value>(HostCall::SetMailHashes { user: user.to_owned(), hashes }).await?;
    }
    Ok(lines)
}

fn line(change: &Change) -> String {
    match change {
        Change::AddMailbox(name, _) => format!("mailbox {name} made"),
        Change::DropMailbox(name) => format!("mailbox {name} removed"),
        Change::Quota(name, _) => format!("quota of {name}"),
        Change::Incoming(name, _) => format!("incoming mail of {name}"),
        Change::AddForwarder(name, to) => format!("forwarder {name} → {to}"),
        Change::DropForwarder(name, to) => format!("forwarder {name} → {to} removed"),
        Change::Default(name, _) => format!("default address of {name}"),
        Change::Autoresponder(name, _) => format!("autoresponder of {name}"),
        Change::DropAutoresponder(name) => format!("autoresponder of {name} removed"),
        Change::Filter(name, _) | Change::DropFilter(name, _) => format!("filters of {name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_call_touches_what_it_names() {
        let touched = Touched::by("add_pop", &json!({"email": "info", "domain": "A.test", "quota": 5}));
        assert_eq!(touched, Touched { name: Some("info@a.test".into()), deletes: false });
        assert_eq!(Touched::by("delete_pop", &json!({"email": "info@a.test"})).name.as_deref(), Some("info@a.test"));
        assert_eq!(Touched::by("set_default_address", &json!({"domain": "a.test"})).name.as_deref(), Some("a.test"));
        assert_eq!(Touched::by("enable_mailbox_autocreate", &json!({})).name, None);
    }

    #[test]
    fn nothing_is_deleted_by_a_call_that_deletes_nothing() {
        let adds = Touched { name: Some("x@a.test".into()), deletes: false };
        assert!(!adds.covers(&Change::DropMailbox("x@a.test".into())));
        assert!(
            adds.covers(&Change::AddMailbox("x@a.test".into(), 0)) && !adds.covers(&Change::AddMailbox("y@a.test".into(), 0))
        );
        let deletes = Touched { name: Some("x@a.test".into()), deletes: true };
        assert!(
            deletes.covers(&Change::DropMailbox("x@a.test".into())) && !deletes.covers(&Change::DropMailbox("y@a.test".into()))
        );
    }
}
