//! `serve` ended as by `kill -9` at every step: the move ends done or undone, and no message is lost or doubled.

use crate::lab::{Lab, PASSWORD, lab, messages};
use crate::load::{all_delivered, queues_are_empty, same_messages};
use serde_json::Value;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(120);
/// Where a drill's wish is written.
const DRILL: &str = "/var/cpanel/linked-nodes/crash-at";

/// The steps of a move, in order. Each is a place to end just before and just after.
const STEPS: [&str; 15] = [
    "claim",
    "account",
    "detour",
    "configure",
    "announce",
    "seed",
    "hold",
    "quiet",
    "final",
    "verify",
    "switch",
    "open",
    "publish",
    "clean",
    "release",
];

/// Drives one move with `serve` killed at `point`, under a trickle of mail, and checks what is left.
fn killed(lab: &Lab, user: &str, words: &[&str], point: &str, before: &Value) -> Value {
    let address = format!("info@{user}.test");
    let pid = lab.sh("parent", "pgrep -xf '.*linked-nodes serve' | head -1").trim().to_owned();
    lab.sh("parent", &format!("printf %s {point} > {DRILL}"));
    let name = point.replace(':', "-");
    let prefix = format!("{}-{name}", words[1]);
    let drip = lab.start_client(
        &name,
        &[
            "smtp-drip",
            "--server",
            "parent.lab.test",
            "--from",
            "s@outside.test",
            "--to",
            &address,
            "--every-ms",
            "100",
            "--prefix",
            &prefix,
        ],
    );
    let _ = lab.product("parent", words);
    lab.until(&format!("serve ended at {point}"), Duration::from_secs(30), || {
        lab.sh("parent", &format!("test -e {DRILL} && echo waiting || true")).is_empty()
    });
    lab.until("serve is back", Duration::from_secs(30), || {
        let now = lab.sh("parent", "pgrep -xf '.*linked-nodes serve' | head -1 || true");
        now.trim() != pid && lab.product("parent", &["status"]).status.success()
    });
    let last = lab.moved(user, PATIENCE);
    let drip = drip.stop();
    queues_are_empty(lab, &format!("{user}.test"));
    let state = last["state"].as_str().expect("a state");
    assert!(matches!(state, "done" | "undone"), "{point}: {last:#}");

    // Where the authority says that the mail is, it is, and nowhere in between.
    let accounts = lab.product_json("parent", &["account", "list", "--json"]);
    let row = accounts.as_array().expect("rows").iter().find(|row| row["user"] == user).expect("the account");
    let home = if state == "done" { &last["to"] } else { &last["from"] };
    let wanted = if home == ".local" { Value::Null } else { home.clone() };
    assert_eq!(row["child"], wanted, "{point}: {last:#}");
    let after = lab.imap_dump("parent.lab.test", &address, PASSWORD);
    same_messages(point, before, &after);
    all_delivered(point, &drip, &after);
    if !wanted.is_null() {
        assert_eq!(lab.message_files("parent", user), 0, "{point}: the parent holds messages");
    }
    let gates =
        ["parent", "mail1"].map(|node| lab.sh(node, "nft list table inet linked_nodes_gate 2>/dev/null | grep -c drop || true"));
    assert_eq!(gates.map(|count| count.trim().to_owned()), ["0", "0"], "{point}: a gate is left closed");
    let owner = lab.sh("parent", &format!("stat -c %U /home/{user}/mail"));
    assert_eq!(owner.trim(), user, "{point}: the fence is left up");
    let there = lab.sh("mail1", &format!("stat -c %U /home/{user}/mail 2>/dev/null || echo {user}"));
    assert_eq!(there.trim(), user, "{point}: the fence is left up on the child");
    last
}

fn prepared(lab: &Lab, user: &str) -> Value {
    lab.account(user);
    lab.lab(&["fill", &format!("info@{user}.test"), "--messages", "400", "--folders", "5", "--big", "0"]);
    lab.imap_dump("parent.lab.test", &format!("info@{user}.test"), PASSWORD)
}

/// Acceptance 4, to a child.
pub fn distributing() {
    let lab = lab();
    let user = "crashed";
    let mut before = prepared(lab, user);
    for step in STEPS {
        for point in ["before", "after"] {
            let last = killed(lab, user, &["account", "distribute", user, "mail1"], &format!("{step}:{point}"), &before);
            if last["state"] == "done" {
                assert!(lab.product("parent", &["account", "dedistribute", user]).status.success(), "back after {step}:{point}");
            }
            before = lab.imap_dump("parent.lab.test", "info@crashed.test", PASSWORD);
        }
    }
    assert!(messages(&before).len() > 400);
}

/// Acceptance 4, back to the parent.
pub fn dedistributing() {
    let lab = lab();
    let user = "crashback";
    prepared(lab, user);
    assert!(lab.product("parent", &["account", "distribute", user, "mail1"]).status.success());
    for step in STEPS {
        for point in ["before", "after"] {
            let before = lab.imap_dump("parent.lab.test", "info@crashback.test", PASSWORD);
            let last = killed(lab, user, &["account", "dedistribute", user], &format!("{step}:{point}"), &before);
            if last["state"] == "done" {
                assert!(
                    lab.product("parent", &["account", "distribute", user, "mail1"]).status.success(),
                    "again after {step}:{point}"
                );
            }
        }
    }
}

/// A move that is cancelled, and one whose undo is itself cut short, leave nothing.
pub fn cancelled() {
    let lab = lab();
    let before = prepared(lab, "wavering");
    // The drill holds the move at a known place: serve ends there, and the wish to cancel meets it when it is back.
    for point in ["seed:before", "verify:after"] {
        lab.sh("parent", &format!("printf %s {point} > {DRILL}"));
        let _ = lab.product("parent", &["account", "distribute", "wavering", "mail1", "--detach"]);
        lab.until(&format!("serve ended at {point}"), Duration::from_secs(30), || {
            lab.sh("parent", &format!("test -e {DRILL} && echo waiting || true")).is_empty()
        });
        lab.sh("parent", &format!("printf %s undo:before > {DRILL}"));
        lab.until("serve is back", Duration::from_secs(30), || lab.product("parent", &["status"]).status.success());
        let id = lab.last_move("wavering").expect("the move")["id"].to_string();
        let _ = lab.product("parent", &["move", "cancel", &id]);
        let last = lab.moved("wavering", PATIENCE);
        lab.sh("parent", &format!("rm -f {DRILL}"));
        if last["state"] == "undone" {
            let left = lab.sh("mail1", "grep -c '^wavering:' /etc/passwd || true");
            assert_eq!(left.trim(), "0", "the account on the child is gone: {last:#}");
        } else {
            assert!(lab.product("parent", &["account", "dedistribute", "wavering"]).status.success());
        }
        let after = lab.imap_dump("parent.lab.test", "info@wavering.test", PASSWORD);
        same_messages(point, &before, &after);
    }
}
