//! A large mailbox moved while it is in use, and back.

use crate::lab::{Lab, PASSWORD, lab, messages};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A move of some hundred megabytes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(300);

/// Everything of `before` must be in `after`, unchanged in every respect that a client can see.
pub fn same_messages(what: &str, before: &Value, after: &Value) {
    let key = |folder: &str, message: &Value| format!("{folder} {}", message["uid"]);
    let now: BTreeMap<String, Value> =
        messages(after).into_iter().map(|(folder, message)| (key(&folder, &message), message)).collect();
    let mut wrong = Vec::new();
    let old = messages(before);
    for (folder, message) in &old {
        match now.get(&key(folder, message)) {
            Some(same) if same == message => {}
            found => wrong.push(format!("{folder}: was {message}, is {found:?}")),
        }
    }
    let shown: Vec<_> = wrong.iter().take(5).collect();
    assert!(wrong.is_empty(), "{what}: {} of {} messages are not what they were: {shown:#?}", wrong.len(), old.len());
    for (name, folder) in before["folders"].as_object().expect("folders") {
        assert_eq!(after["folders"][name]["uidvalidity"], folder["uidvalidity"], "UIDVALIDITY of {name}");
    }
    let subscribed = |dump: &Value| -> BTreeSet<String> {
        dump["subscriptions"].as_array().into_iter().flatten().filter_map(|name| name.as_str().map(str::to_owned)).collect()
    };
    assert!(
        subscribed(before).is_subset(&subscribed(after)),
        "subscriptions: {:?} → {:?}",
        subscribed(before),
        subscribed(after)
    );
}

/// Every accepted number of a drip is in the dump exactly once; nothing was refused for good.
pub fn all_delivered(what: &str, drip: &Value, dump: &Value) {
    assert_eq!(drip["permanent"].as_array().map(Vec::len), Some(0), "{what}: refused for good: {drip}");
    let prefix = drip["prefix"].as_str().expect("prefix");
    let mut count: BTreeMap<u64, u32> = BTreeMap::new();
    for (_, message) in messages(dump) {
        let number = message["subject"].as_str().and_then(|subject| subject.strip_prefix(prefix)?.trim().parse().ok());
        if let Some(number) = number {
            *count.entry(number).or_default() += 1;
        }
    }
    let sent: Vec<u64> = drip["sent"].as_array().expect("sent").iter().filter_map(Value::as_u64).collect();
    assert!(!sent.is_empty(), "{what}: nothing was sent: {drip}");
    let lost: Vec<_> = sent.iter().filter(|number| !count.contains_key(number)).collect();
    let doubled: Vec<_> = count.iter().filter(|(_, times)| **times != 1).collect();
    assert!(
        lost.is_empty() && doubled.is_empty(),
        "{what}: of {} accepted messages lost: {lost:?}, doubled: {doubled:?}",
        sent.len()
    );
}

/// Waits until no node has mail for the account on its queue.
pub fn queues_are_empty(lab: &Lab, domain: &str) {
    for node in ["parent", "mail1", "mail2"] {
        lab.until(&format!("the queue of {node} holds nothing for {domain}"), Duration::from_secs(90), || {
            lab.sh(node, &format!("/usr/sbin/exim -bp | grep -c '@{domain}' || true")).trim() == "0"
        });
    }
}

fn checked(lab: &Lab, churn: &Value, drip: &Value, dump: &Value) {
    let (model, sent, seen) = (lab.give_client("churn", churn), lab.give_client("drip", drip), lab.give_client("dump", dump));
    let words = ["/usr/local/cpanel/bin/lab", "client", "imap-check", "--model", &model, "--dump", &seen, "--smtp", &sent];
    let output = lab.try_exec("client", &words);
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "the mailbox is not as its clients were promised: {said}");
    assert!(churn["operations"].as_u64().is_some_and(|done| done > 20), "the client did next to nothing: {churn}");
}

/// One direction under load: SMTP to the parent's address, an IMAP client that stays, and the move.
fn under_load(lab: &Lab, way: &[&str], served_by: &str, stays_at: &str, seed: &str) {
    let domain = "busy.test";
    let before = lab.imap_dump(stays_at, "info@busy.test", PASSWORD);
    let drip = lab.start_client(
        &format!("drip{seed}"),
        &[
            "smtp-drip",
            "--server",
            "parent.lab.test",
            "--from",
            "s@outside.test",
            "--to",
            "info@busy.test",
            "--every-ms",
            "100",
            "--prefix",
            &format!("drip{seed}"),
        ],
    );
    let churn = lab.start_client(
        &format!("churn{seed}"),
        &[
            "imap-churn",
            "--host",
            stays_at,
            "--user",
            "info@busy.test",
            "--password",
            PASSWORD,
            "--seed",
            seed,
            "--every-ms",
            "50",
        ],
    );
    let moved = lab.product("parent", way);
    let last = lab.moved("busy", PATIENCE);
    assert!(moved.status.success() && last["state"] == "done", "{moved:?} {last:#}");
    let (drip, churn) = (drip.stop(), churn.stop());
    queues_are_empty(lab, domain);

    // The time for which resolvers may keep the former address goes by.
    lab.exec("resolver", &["rec_control", "--socket-dir=/run/pdns-recursor", "wipe-cache", "busy.test$"]);
    // A client that knows the domain alone is served where the mail is.
    let after = lab.imap_dump("mail.busy.test", "info@busy.test", PASSWORD);
    assert!(after["peer"].as_str().expect("peer").starts_with(served_by), "mail.busy.test is served by {}", after["peer"]);
    same_messages(way[1], &before, &after);
    all_delivered(way[1], &drip, &after);
    checked(lab, &churn, &drip, &after);
    assert_eq!(churn["login_failures"], 0, "{churn}");
    // One that still uses the old address is proxied to the same mailbox.
    let proxied = lab.imap_dump(stays_at, "info@busy.test", PASSWORD);
    assert_eq!(messages(&proxied).len(), messages(&after).len(), "the former address shows the same mailbox");
    eprintln!(
        "  {} → {}: {} messages verified, mail waited {} ms; {} delivered, {} IMAP operations meanwhile, longest gap {} ms",
        last["from"],
        last["to"],
        last["verified"],
        last["pause_ms"],
        drip["sent"].as_array().map_or(0, Vec::len),
        churn["operations"],
        churn["longest_gap_ms"]
    );
}

/// Acceptance 1.
pub fn there_and_back() {
    let lab = lab();
    lab.account("busy");
    lab.lab(&["fill", "info@busy.test", "--messages", "10000", "--folders", "12", "--big", "2"]);
    // The server gives numbers to what is new when somebody looks for the first time.
    let first = lab.imap_dump("parent.lab.test", "info@busy.test", PASSWORD);
    assert!(messages(&first).len() >= 10_000 && first["folders"].as_object().is_some_and(|all| all.len() >= 12));

    under_load(lab, &["account", "distribute", "busy", "mail1"], "10.77.0.11", "parent.lab.test", "1");
    assert_eq!(lab.message_files("parent", "busy"), 0, "the parent's mail directory holds no messages");

    under_load(lab, &["account", "dedistribute", "busy"], "10.77.0.10", "mail1.lab.test", "2");
    assert!(lab.message_files("mail1", "busy") > 10_000, "the child keeps its data");
    let zone = lab.whmapi1("parent", "dumpzone", &["domain=busy.test"]).to_string();
    assert!(!zone.contains("10.77.0.11"), "the zone is as it was: {zone}");
    let listed = lab.our_uapi("parent", "busy", "Email", "list_pops", &[]);
    assert!(listed.to_string().contains("info@busy.test"), "{listed}");
}

/// Passwords, quotas, forwarders, default addresses, autoresponders, filters, DKIM keys and certificates come along.
pub fn settings_travel() {
    let lab = lab();
    lab.account("settled");
    let uapi = |function: &str, arguments: &[&str]| {
        let done = lab.our_uapi("parent", "settled", "Email", function, arguments);
        assert_eq!(done["status"], 1, "{function}: {done}");
        done["data"].clone()
    };
    uapi("add_pop", &["email=limited", "domain=settled.test", &format!("password={PASSWORD}"), "quota=50"]);
    uapi("add_forwarder", &["domain=settled.test", "email=fwd", "fwdopt=fwd", "fwdemail=info@settled.test"]);
    uapi("set_default_address", &["domain=settled.test", "fwdopt=fail", "failmsgs=nobody"]);
    uapi(
        "add_auto_responder",
        &[
            "email=limited",
            "domain=settled.test",
            "from=Limited",
            "subject=away",
            "body=gone%20fishing",
            "interval=8",
            "is_html=0",
            "start=0",
            "stop=0",
            "charset=utf-8",
        ],
    );
    uapi(
        "store_filter",
        &[
            "account=info@settled.test",
            "filtername=spam",
            "action1=save",
            "dest1=/.spam",
            "part1=$header_subject:",
            "match1=contains",
            "val1=lottery",
        ],
    );
    uapi("suspend_login", &["email=limited@settled.test"]);
    let shown = || {
        [
            uapi("list_forwarders", &["domain=settled.test"]),
            uapi("list_default_address", &["user=settled"]),
            uapi("get_auto_responder", &["email=limited@settled.test"]),
            uapi("list_filters", &["account=info@settled.test"]),
            uapi("get_pop_quota", &["email=limited", "domain=settled.test"]),
            uapi("list_pops", &[]),
        ]
    };
    let key = |node: &str| lab.sh(node, "cat /var/cpanel/domain_keys/private/settled.test");
    let (before, key_before) = (shown(), key("parent"));
    assert!(lab.product("parent", &["account", "distribute", "settled", "mail2"]).status.success());
    assert_eq!(shown(), before, "settings as the child has them");
    assert_eq!(key("mail2"), key_before, "the DKIM key");
    let certificate = lab.sh("client", "openssl s_client -connect mail2.lab.test:993 -servername mail.settled.test -verify_return_error </dev/null 2>/dev/null | openssl x509 -noout -ext subjectAltName");
    assert!(certificate.contains("mail.settled.test"), "the certificate of the mail name: {certificate}");
    // The settings act: a forwarder delivers, the default address refuses.
    let sent = lab.smtp("mail.settled.test", "fwd@settled.test", "forwarded", 1);
    assert_eq!(sent["sent"].as_array().map(Vec::len), Some(1), "{sent}");
    lab.until("the forwarded message is in the mailbox", Duration::from_secs(30), || lab.message_files("mail2", "settled") >= 1);
    let refused = lab.smtp("mail.settled.test", "nobody@settled.test", "refused", 1);
    assert_eq!(refused["permanent"].as_array().map(Vec::len), Some(1), "{refused}");
    // And they come back, with what was changed meanwhile.
    uapi("delete_forwarder", &["address=fwd@settled.test", "forwarder=info@settled.test"]);
    uapi("add_pop", &["email=later", "domain=settled.test", &format!("password={PASSWORD}"), "quota=0"]);
    let there = shown();
    assert!(lab.product("parent", &["account", "dedistribute", "settled"]).status.success());
    assert_eq!(shown(), there, "settings back on the parent");
    lab.imap_dump("mail.settled.test", "later@settled.test", PASSWORD);
}
