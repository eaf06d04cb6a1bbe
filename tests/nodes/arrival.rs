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

/// Whether a system user is on a node.
fn exists(node: &str, user: &str) -> bool {
    lab().sh(node, &format!("grep -c '^{user}:' /etc/passwd || true")).trim() == "1"
}

/// Removing an account on the parent, as cPanel does it, takes the child's half along, retained ones too; one that is being moved stays.
pub fn removed_from_both() {
    let lab = lab();
    lab.createacct("leaving", &["mail_node_alias=mail1"]);
    lab.createacct("returned", &["mail_node_alias=mail1"]);
    assert!(lab.product("parent", &["account", "dedistribute", "returned"]).status.success());
    assert!(exists("mail1", "leaving") && exists("mail1", "returned"));
    for user in ["leaving", "returned"] {
        let gone = lab.whmapi1("parent", "removeacct", &[&format!("username={user}")]);
        assert_eq!(gone["metadata"]["result"], 1, "{gone}");
        lab.until(&format!("{user} is gone from the child"), Duration::from_secs(30), || !exists("mail1", user));
    }
    let routes = lab.sh("parent", "cat /etc/manualmx");
    assert!(!routes.contains("leaving.test"), "a route is left: {routes}");

    // In the middle of a move: a drill ends serve with the move begun, and what is left of it refuses the removal when it is back.
    lab.account("midway");
    lab.sh("parent", "printf %s configure:before > /var/cpanel/linked-nodes/crash-at");
    let _ = lab.product("parent", &["account", "distribute", "midway", "mail1", "--detach"]);
    lab.until("serve ended", Duration::from_secs(30), || {
        lab.sh("parent", "test -e /var/cpanel/linked-nodes/crash-at && echo waiting || true").is_empty()
    });
    // Nobody can say now whether the account may go: it stays.
    let vetoed = lab.try_exec("parent", &["/usr/local/cpanel/bin/whmapi1", "--output=json", "removeacct", "username=midway"]);
    let said = String::from_utf8_lossy(&vetoed.stdout).into_owned();
    assert!(
        said.contains("\"result\":0") && exists("parent", "midway"),
        "the account is removed in the middle of a move: {said}"
    );
    lab.moved("midway", Duration::from_secs(60));
}
