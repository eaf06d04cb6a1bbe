//! Many moves at once: the queue, what waits and why, and what is seen while they go on.

use crate::lab::{Lab, lab};
use serde_json::Value;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(120);
const SETTINGS: &str = "/var/cpanel/linked-nodes/settings";

fn moves(lab: &Lab, users: &[&str]) -> Vec<Value> {
    let all = lab.product_json("parent", &["move", "list", "--json"]);
    let rows = all.as_array().expect("rows");
    users
        .iter()
        .map(|user| rows.iter().find(|row| row["user"] == *user).unwrap_or_else(|| panic!("no move of {user}")).clone())
        .collect()
}

fn filled(lab: &Lab, users: &[&str], messages: &str) {
    for user in users {
        lab.account(user);
        lab.lab(&["fill", &format!("info@{user}.test"), "--messages", messages, "--folders", "4", "--big", "0"]);
    }
}

/// Several accounts in one call; a limit of one per target lets one begin and the others wait, visibly, in order, over a restart.
pub fn queued() {
    let lab = lab();
    let users = ["many1", "many2", "many3"];
    filled(lab, &users, "1500");
    lab.sh("parent", &format!("echo moves_per_target=1 > {SETTINGS}"));
    let output =
        lab.product("parent", &["account", "distribute", "many1", "many2", "nobody9", "many3", "mail1", "--detach", "--json"]);
    assert_eq!(output.status.code(), Some(1), "one of them is refused: {output:?}");
    let started: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let started = started.as_array().expect("an entry each");
    assert_eq!(started.len(), 4);
    for entry in started {
        assert_eq!(entry["id"].is_null(), entry["user"] == "nobody9", "one refusal stops nobody else: {entry}");
    }
    let waiting = moves(lab, &users);
    let first = waiting[0]["id"].as_i64().expect("an id");
    assert_eq!(waiting[2]["state"], "planned", "{waiting:#?}");
    assert_eq!(waiting[2]["reason"], format!("waits for move {first} on mail1"), "{waiting:#?}");
    let twice = lab.refused("parent", &["account", "distribute", "many3", "mail2"]);
    assert!(twice.contains("is under way"), "two moves of one account: {twice}");

    // The end of serve changes nothing about who waits.
    lab.sh("parent", "printf %s verify:before > /var/cpanel/linked-nodes/crash-at");
    lab.until("serve ended", PATIENCE, || {
        lab.sh("parent", "test -e /var/cpanel/linked-nodes/crash-at && echo waiting || true").is_empty()
    });
    lab.until("serve is back", Duration::from_secs(30), || lab.product("parent", &["status"]).status.success());
    let ended: Vec<Value> = users.iter().map(|user| lab.moved(user, PATIENCE)).collect();
    for pair in ended.windows(2) {
        assert_eq!(pair[1]["state"], "done", "{:#}", pair[1]);
        let begun = |of: &Value| {
            let log = of["log"].as_array().expect("a log");
            log.iter().find(|line| line[1] == "claim: begun").expect("it began")[0].as_i64().expect("a time")
        };
        let done = pair[0]["ended_ms"].as_i64().expect("an end");
        assert!(begun(&pair[1]) >= done, "one at a time, in order: {pair:#?}");
    }

    // A move that waits is cancelled without a trace.
    let back = lab.product("parent", &["account", "dedistribute", "many1", "many2", "many3"]);
    assert!(back.status.success(), "{back:?}");
    lab.product("parent", &["account", "distribute", "many1", "many2", "mail1", "--detach"]);
    let waiting = moves(lab, &["many2"]);
    assert_eq!(waiting[0]["state"], "planned", "{waiting:#?}");
    let id = waiting[0]["id"].to_string();
    let cancelled = lab.product("parent", &["move", "cancel", &id]);
    assert!(cancelled.status.success(), "{cancelled:?}");
    let ended = lab.product_json("parent", &["move", "show", &id, "--json"]);
    assert_eq!(ended["state"], "undone", "{ended:#}");
    assert_eq!(lab.moved("many1", PATIENCE)["state"], "done");
    lab.sh("parent", &format!("rm {SETTINGS}"));
}

/// While messages are copied, a move tells the mailbox, the rate and the time left.
pub fn progress_is_seen() {
    let lab = lab();
    filled(lab, &["visible"], "6000");
    let started = lab.product("parent", &["account", "distribute", "visible", "mail1", "--detach"]);
    assert!(started.status.success(), "{started:?}");
    let mut seen: Vec<Value> = Vec::new();
    lab.until("the move ends", PATIENCE, || {
        let now = moves(lab, &["visible"]).remove(0);
        let ended = now["ended"] == true;
        if seen.last() != Some(&now) {
            seen.push(now);
        }
        ended
    });
    assert_eq!(seen.last().expect("a move")["state"], "done", "{seen:#?}");
    let copying: Vec<&Value> = seen.iter().filter(|view| view["state"] == "seeding").collect();
    assert!(copying.iter().any(|view| view["mailbox"] == "info@visible.test"), "the mailbox: {copying:#?}");
    assert!(copying.iter().any(|view| view["rate"].as_u64().is_some_and(|rate| rate > 0)), "the rate: {copying:#?}");
    assert!(copying.iter().any(|view| view["seconds_left"].is_u64()), "the time left: {copying:#?}");
    let bytes: Vec<u64> = copying.iter().filter_map(|view| view["bytes"].as_u64()).collect();
    assert!(bytes.windows(2).all(|pair| pair[0] <= pair[1]), "bytes never go back: {bytes:?}");
}
