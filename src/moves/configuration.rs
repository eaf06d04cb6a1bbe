//! The mail configuration of an account: read from a server's UAPI, compared, and made the same on another.

mod apply;
mod read;

use crate::rules::pipes;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

pub use apply::apply;
pub use read::read;

/// What an account's mail is set up to do.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Configuration {
    /// Mailboxes by address, without the account's main one.
    pub mailboxes: BTreeMap<String, Mailbox>,
    /// (forwarded address, destination), sorted.
    pub forwarders: Vec<(String, String)>,
    /// Default address by domain.
    pub defaults: BTreeMap<String, String>,
    /// Autoresponders by address, as `get_auto_responder` gives them.
    pub autoresponders: BTreeMap<String, Value>,
    /// Filters by mailbox (empty for the account's own), in order.
    pub filters: BTreeMap<String, Vec<Value>>,
}

/// One mailbox.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mailbox {
    /// MiB; 0 is unlimited.
    pub quota: u64,
    /// Whether incoming mail is suspended.
    pub suspended_incoming: bool,
}

/// Something to do on the target.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// Make a mailbox.
    AddMailbox(String, u64),
    /// Remove a mailbox that the source does not have.
    DropMailbox(String),
    /// MiB; 0 is unlimited.
    Quota(String, u64),
    /// Suspend or let in.
    Incoming(String, bool),
    /// Forwarded address and destination.
    AddForwarder(String, String),
    /// Forwarded address and destination.
    DropForwarder(String, String),
    /// Domain and destination.
    Default(String, String),
    /// Address and settings.
    Autoresponder(String, Value),
    /// Address.
    DropAutoresponder(String),
    /// Mailbox and filter.
    Filter(String, Value),
    /// Mailbox and name of the filter.
    DropFilter(String, String),
}

/// What makes `target` the same as `source`. Mailboxes come first and go last; what runs a program stays where it is, on either side.
pub fn diff(source: &Configuration, target: &Configuration) -> Vec<Change> {
    let mut changes = Vec::new();
    for (address, mailbox) in &source.mailboxes {
        let present = target.mailboxes.get(address);
        match present {
            None => changes.push(Change::AddMailbox(address.clone(), mailbox.quota)),
            Some(there) if there.quota != mailbox.quota => changes.push(Change::Quota(address.clone(), mailbox.quota)),
            Some(_) => {}
        }
        if present.map_or(mailbox.suspended_incoming, |there| there.suspended_incoming != mailbox.suspended_incoming) {
            changes.push(Change::Incoming(address.clone(), mailbox.suspended_incoming));
        }
    }
    let missing = |here: &[(String, String)], there: &[(String, String)]| -> Vec<(String, String)> {
        here.iter().filter(|pair| !pipes::stays_behind(&pair.1) && !there.contains(pair)).cloned().collect()
    };
    changes.extend(missing(&target.forwarders, &source.forwarders).into_iter().map(|(a, d)| Change::DropForwarder(a, d)));
    changes.extend(missing(&source.forwarders, &target.forwarders).into_iter().map(|(a, d)| Change::AddForwarder(a, d)));
    for (domain, destination) in &source.defaults {
        if target.defaults.get(domain) != Some(destination) && !pipes::stays_behind(destination) {
            changes.push(Change::Default(domain.clone(), destination.clone()));
        }
    }
    for (address, settings) in &source.autoresponders {
        if target.autoresponders.get(address) != Some(settings) {
            changes.push(Change::Autoresponder(address.clone(), settings.clone()));
        }
    }
    for address in target.autoresponders.keys().filter(|address| !source.autoresponders.contains_key(*address)) {
        changes.push(Change::DropAutoresponder(address.clone()));
    }
    let moving = |side: &Configuration, mailbox: &String| -> Vec<Value> {
        let filters = side.filters.get(mailbox).into_iter().flatten();
        filters.filter(|filter| !pipes::filter_stays_behind(filter)).cloned().collect()
    };
    let with_filters: BTreeSet<&String> = source.filters.keys().chain(target.filters.keys()).collect();
    for mailbox in with_filters {
        let (wanted, there) = (moving(source, mailbox), moving(target, mailbox));
        if wanted != there {
            // Order decides what a filter does: all go, all come.
            changes.extend(there.iter().map(|filter| Change::DropFilter(mailbox.clone(), name_of(filter))));
            changes.extend(wanted.into_iter().map(|filter| Change::Filter(mailbox.clone(), filter)));
        }
    }
    for address in target.mailboxes.keys().filter(|address| !source.mailboxes.contains_key(*address)) {
        changes.push(Change::DropMailbox(address.clone()));
    }
    changes
}

fn name_of(filter: &Value) -> String {
    filter["filtername"].as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn configuration() -> Configuration {
        Configuration {
            mailboxes: BTreeMap::from([("info@a.test".into(), Mailbox { quota: 250, suspended_incoming: false })]),
            forwarders: vec![("x@a.test".into(), "y@b.test".into())],
            defaults: BTreeMap::from([("a.test".into(), "alice".into())]),
            autoresponders: BTreeMap::from([("info@a.test".into(), json!({"body": "away"}))]),
            filters: BTreeMap::from([("info@a.test".into(), vec![json!({"filtername": "f"})])]),
        }
    }

    #[test]
    fn equal_needs_nothing_and_empty_gets_all() {
        assert_eq!(diff(&configuration(), &configuration()), vec![]);
        assert_eq!(diff(&configuration(), &Configuration::default()).len(), 5);
    }

    #[test]
    fn each_difference_is_one_change() {
        let mut source = configuration();
        source.mailboxes.insert("info@a.test".into(), Mailbox { quota: 0, suspended_incoming: true });
        assert_eq!(
            diff(&source, &configuration()),
            vec![Change::Quota("info@a.test".into(), 0), Change::Incoming("info@a.test".into(), true)]
        );
        let changes = diff(&Configuration::default(), &configuration());
        assert_eq!(changes.last(), Some(&Change::DropMailbox("info@a.test".into())));
    }

    #[test]
    fn pipes_stay_behind() {
        let mut source = configuration();
        source.forwarders.push(("p@a.test".into(), "|/home/alice/run".into()));
        source.forwarders.push(("q@a.test".into(), "\" |/bin/x\"".into()));
        source.forwarders.push(("r@a.test".into(), ":include:/home/alice/list".into()));
        source.filters.insert(String::new(), vec![json!({"filtername": "p", "actions": [{"action": "pipe", "dest": "/bin/x"}]})]);
        assert_eq!(diff(&source, &configuration()), vec![]);
        assert_eq!(diff(&configuration(), &source), vec![], "and are not taken away where they are");
    }
}
