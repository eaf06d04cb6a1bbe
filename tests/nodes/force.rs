//! The mirror of mail settings, and dedistributing by force when the child is gone.

use crate::lab::{Lab, PASSWORD, lab, messages};
use serde_json::Value;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);
const SETTINGS: &str = "/var/cpanel/linked-nodes/settings";
const DRILL: &str = "/var/cpanel/linked-nodes/crash-at";
const OTHER: &str = "Zr4?mNd81+tKyE6h";

fn email(lab: &Lab, user: &str, function: &str, arguments: &[&str]) -> Value {
    let done = lab.our_uapi("parent", user, "Email", function, arguments);
    assert_eq!(done["status"], 1, "{function} {arguments:?}: {done}");
    done["data"].clone()
}

fn distribute(lab: &Lab, user: &str, alias: &str) {
    let out = lab.product("parent", &["account", "distribute", user, alias]);
    assert!(out.status.success(), "{user} to {alias}: {out:?}");
}

fn shown(lab: &Lab, user: &str) -> Value {
    lab.product_json("parent", &["account", "show", user, "--json"])
}

fn quick_rounds(lab: &Lab) {
    lab.sh("parent", &format!("printf 'health_every=1\\ncount_every=1\\n' > {SETTINGS}"));
}

/// What the account has in the parent's own files.
fn on_parent(lab: &Lab, user: &str) -> String {
    lab.sh(
        "parent",
        &format!("cat /etc/valiases/{user}.test /home/{user}/etc/{user}.test/passwd /home/{user}/etc/{user}.test/shadow"),
    )
}

/// What is set up on the child, through the parent or there, is on the parent too.
pub fn mirrored() {
    let lab = lab();
    quick_rounds(lab);
    lab.account("mirror");
    distribute(lab, "mirror", "mail1");
    email(lab, "mirror", "add_pop", &["email=later", "domain=mirror.test", &format!("password={PASSWORD}"), "quota=25"]);
    email(lab, "mirror", "add_forwarder", &["email=fwd", "domain=mirror.test", "fwdopt=fwd", "fwdemail=info@mirror.test"]);
    lab.until("the parent has the mailbox and the forwarder", PATIENCE, || {
        let there = on_parent(lab, "mirror");
        there.contains("later:") && there.contains("fwd@mirror.test: info@mirror.test")
    });
    let before = shown(lab, "mirror")["mirrored_at"].as_i64().expect("a time");
    // A password changed where the parent does not see it: in the child's webmail, say.
    let changed = lab.sh("mail1", "grep ^later: /home/mirror/etc/mirror.test/shadow | cut -d: -f2").trim().replace("$6$", "$6$x");
    lab.sh("mail1", &format!("sed -i 's|^later:[^:]*|later:{changed}|' /home/mirror/etc/mirror.test/shadow"));
    lab.until("the parent has the hash", PATIENCE, || on_parent(lab, "mirror").contains(&changed));
    email(lab, "mirror", "delete_pop", &["email=later", "domain=mirror.test"]);
    lab.until("the mailbox is gone from the parent", PATIENCE, || !on_parent(lab, "mirror").contains("later:"));
    lab.until("time goes on", PATIENCE, || shown(lab, "mirror")["mirrored_at"].as_i64().is_some_and(|at| at > before));
    assert_eq!(lab.message_files("parent", "mirror"), 0, "messages are never mirrored");
    assert!(lab.product("parent", &["account", "dedistribute", "mirror"]).status.success());
    lab.sh("parent", &format!("rm {SETTINGS}"));
}

/// The child dies with three accounts on it, one of them on its way back. Each works on the parent at once, what was lost is told, and
/// the child that comes back serves none of them.
pub fn dead_child() {
    let lab = lab();
    quick_rounds(lab);
    for user in ["doomed1", "doomed2", "doomed3"] {
        lab.account(user);
        distribute(lab, user, "mail1");
    }
    lab.smtp("parent.lab.test", "info@doomed1.test", "lost", 5);
    lab.until("the messages are on the child", PATIENCE, || lab.message_files("mail1", "doomed1") == 5);
    email(lab, "doomed1", "passwd_pop", &["email=info", "domain=doomed1.test", &format!("password={OTHER}")]);
    email(lab, "doomed1", "add_forwarder", &["email=fwd", "domain=doomed1.test", "fwdopt=fwd", "fwdemail=info@doomed1.test"]);
    lab.until("the parent has mirrored and counted", PATIENCE, || {
        let now = shown(lab, "doomed1");
        on_parent(lab, "doomed1").contains("fwd@doomed1.test")
            && now["mailboxes"].as_array().is_some_and(|all| all.iter().any(|one| one["messages"] == 5))
    });
    let hash = |node: &str| lab.sh(node, "grep ^info: /home/doomed1/etc/doomed1.test/shadow");
    lab.until("the parent has the new hash", PATIENCE, || hash("parent") == hash("mail1"));
    let lost = lab.imap_dump("mail.doomed1.test", "info@doomed1.test", OTHER);
    lab.lab(&["fill", "info@doomed3.test", "--node", "mail1", "--messages", "4000", "--folders", "4", "--big", "0"]);
    lab.product("parent", &["account", "dedistribute", "doomed3", "--detach"]);
    lab.until("doomed3 is being copied", PATIENCE, || lab.last_move("doomed3").is_some_and(|row| row["state"] == "seeding"));
    lab.lab(&["stop", "mail1"]);

    // Mail that comes now waits; then the child is given up.
    let waiting = lab.smtp("parent.lab.test", "info@doomed1.test", "waited", 1);
    assert_eq!(waiting["sent"].as_array().map(Vec::len), Some(1), "{waiting}");
    let unasked = lab.refused("parent", &["account", "force-dedistribute", "mail1", "doomed1"]);
    assert!(unasked.contains("--i-accept-data-loss"), "{unasked}");
    assert_eq!(shown(lab, "doomed1")["child"], "mail1", "nothing was changed");
    let forced = lab.product_json(
        "parent",
        &["account", "force-dedistribute", "mail1", "doomed1", "doomed3", "--i-accept-data-loss", "--json"],
    );
    assert_eq!(forced[0]["error"], Value::Null, "{forced:#}");
    assert_eq!(forced[1]["error"], Value::Null, "{forced:#}");
    let loss = forced[0]["loss"]["mailboxes"].as_array().expect("mailboxes");
    assert!(loss.iter().any(|one| one["mailbox"] == "info@doomed1.test" && one["messages"] == 5), "{forced:#}");
    lab.until("the message that waited is here", PATIENCE, || lab.message_files("parent", "doomed1") == 1);
    let dump = lab.imap_dump("parent.lab.test", "info@doomed1.test", OTHER);
    assert_eq!(messages(&dump).len(), 1, "{dump}");
    assert_ne!(dump["folders"]["INBOX"]["uidvalidity"], lost["folders"]["INBOX"]["uidvalidity"], "a new numbering");
    assert_eq!(lab.last_move("doomed3").expect("a move")["state"], "undone");
    lab.smtp("parent.lab.test", "fwd@doomed1.test", "forwarded", 1);
    lab.until("forwarders work", PATIENCE, || lab.message_files("parent", "doomed1") == 2);

    // Through the API, with the end of serve in the middle.
    lab.sh("parent", &format!("printf %s force:before > {DRILL}"));
    let _ = lab.product("parent", &["whmapi1", "force_dedistribution_from_node", "node_alias=mail1", "user=doomed2"]);
    lab.until("serve is back and has gone on", PATIENCE, || {
        let out = lab.product("parent", &["account", "show", "doomed2", "--json"]);
        serde_json::from_slice::<Value>(&out.stdout).is_ok_and(|now| now["forced"][0]["done"] == true)
    });
    lab.smtp("parent.lab.test", "info@doomed2.test", "after", 1);
    lab.until("doomed2 gets its mail here", PATIENCE, || lab.message_files("parent", "doomed2") == 1);
    let again = lab.our_whmapi1("parent", "force_dedistribution_from_node", &["node_alias=mail1", "user=doomed2"]);
    assert_eq!(again["metadata"]["result"], 0, "{again}");

    // The child comes back: what reaches it goes to the parent, once.
    lab.lab(&["start", "mail1"]);
    lab.until("the child routes to the parent", PATIENCE, || {
        lab.sh("mail1", "grep -c '^doomed[123].test:' /etc/manualmx || true").trim() == "3"
    });
    let sent = lab.smtp("mail1.lab.test", "info@doomed1.test", "stray", 1);
    assert_eq!(sent["sent"].as_array().map(Vec::len), Some(1), "{sent}");
    lab.until("the stray message is on the parent", PATIENCE, || lab.message_files("parent", "doomed1") == 3);
    assert_eq!(lab.message_files("mail1", "doomed1"), 5, "and not on the child");
    let kept = shown(lab, "doomed1");
    assert_eq!(kept["retained"][0], "mail1", "{kept:#}");
    assert!(kept["forced"][0]["loss"]["mailboxes"].to_string().contains("info@doomed1.test"), "{kept:#}");
    lab.until("mail1 is well", PATIENCE, || {
        lab.product_json("parent", &["node", "status", "mail1", "--json"])["trouble"].is_null()
    });

    // With the child alive and two accounts in one call, to the letter of the API.
    for user in ["doomed1", "doomed2"] {
        distribute(lab, user, "mail1");
    }
    let done =
        lab.our_whmapi1("parent", "force_dedistribution_from_node", &["node_alias=mail1", "user-1=doomed1", "user-2=doomed2"]);
    assert_eq!(done["metadata"]["result"], 1, "{done}");
    assert_eq!(done["data"]["user_info"], serde_json::json!([{"username": "doomed1"}, {"username": "doomed2"}]), "{done}");
    let lines = done["data"]["log"].as_array().expect("a log");
    for line in lines {
        assert!(line["contents"].is_string() && line["indent"].is_u64(), "{line}");
        assert!(["success", "out", "warn", "error"].contains(&line["type"].as_str().expect("a type")), "{line}");
    }
    lab.sh("parent", &format!("rm {SETTINGS}"));
}
