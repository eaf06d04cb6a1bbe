//! An account whose mail lives on a child from the first message.

use crate::lab::{PASSWORD, lab};
use std::time::Duration;

/// Acceptance 2.
pub fn created_on_the_child() {
    let lab = lab();
    let made = lab.createacct("fresh", &["mail_node_alias=mail1"]);
    assert_eq!(made["metadata"]["output"]["warnings"], serde_json::Value::Null, "{made}");
    lab.mailbox("fresh", "info");
    let zone = lab.exec("client", &["dig", "+short", "mail.fresh.test"]);
    assert_eq!(zone.trim(), "10.77.0.11", "mail.fresh.test leads to the child");

    let sent = lab.smtp("parent.lab.test", "info@fresh.test", "first", 1);
    assert_eq!(sent["sent"].as_array().map(Vec::len), Some(1), "{sent}");
    lab.until("the first message is on the child", Duration::from_secs(30), || {
        lab.message_files("mail1", "fresh") == 1 && lab.message_files("parent", "fresh") == 0
    });
    let dump = lab.imap_dump("mail.fresh.test", "info@fresh.test", PASSWORD);
    assert_eq!(crate::lab::messages(&dump).len(), 1, "{dump}");
    assert_eq!(dump["peer"].as_str().map(|peer| peer.starts_with("10.77.0.11")), Some(true), "{dump}");
}
