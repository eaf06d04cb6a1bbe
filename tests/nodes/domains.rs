//! Accounts with more than one domain, suspended accounts, and what runs programs.

use crate::lab::{Lab, PASSWORD, lab, messages};
use serde_json::Value;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);

fn whm(lab: &Lab, function: &str, arguments: &[&str]) -> Value {
    let done = lab.our_whmapi1("parent", function, arguments);
    assert_eq!(done["metadata"]["result"], 1, "{function} {arguments:?}: {done}");
    done["data"].clone()
}

fn email(lab: &Lab, user: &str, function: &str, arguments: &[&str]) -> Value {
    let done = lab.our_uapi("parent", user, "Email", function, arguments);
    assert_eq!(done["status"], 1, "{function} {arguments:?}: {done}");
    done["data"].clone()
}

fn leads_to(lab: &Lab, name: &str) -> String {
    lab.exec(
        "resolver",
        &["rec_control", "--socket-dir=/run/pdns-recursor", "wipe-cache", "multi.test$", "multishop.test$", "multialias.test$"],
    );
    lab.exec("client", &["dig", "+short", name]).lines().last().unwrap_or_default().trim().to_owned()
}

/// Addon, parked and sub domains go with the account, with their mailboxes, forwarders, names and certificates; and come back.
pub fn every_domain() {
    let lab = lab();
    lab.account("multi");
    whm(lab, "create_subdomain", &["domain=blog.multi.test", "document_root=public_html/blog"]);
    whm(lab, "create_subdomain", &["domain=shop.multi.test", "document_root=public_html/shop"]);
    whm(lab, "create_parked_domain_for_user", &["domain=multishop.test", "username=multi", "web_vhost_domain=shop.multi.test"]);
    whm(lab, "create_parked_domain_for_user", &["domain=multialias.test", "username=multi", "web_vhost_domain=multi.test"]);
    let password = format!("password={PASSWORD}");
    for domain in ["multishop.test", "blog.multi.test", "multialias.test"] {
        email(lab, "multi", "add_pop", &["email=sales", &format!("domain={domain}"), &password, "quota=0"]);
        email(
            lab,
            "multi",
            "add_forwarder",
            &["email=fwd", &format!("domain={domain}"), "fwdopt=fwd", &format!("fwdemail=sales@{domain}")],
        );
    }
    let shown = || {
        let mut all = vec![email(lab, "multi", "list_pops", &["skip_main=1"])];
        for domain in ["multi.test", "multishop.test", "blog.multi.test", "multialias.test"] {
            all.push(email(lab, "multi", "list_forwarders", &[&format!("domain={domain}")]));
        }
        all
    };
    let settings = shown();
    lab.smtp("parent.lab.test", "sales@multishop.test", "before", 3);
    lab.until("the messages are on the parent", PATIENCE, || lab.message_files("parent", "multi") == 3);
    let names = ["mail.multi.test", "mail.multishop.test", "mail.multialias.test", "webmail.multishop.test"];
    let home = names.map(|name| leads_to(lab, name));

    let output = lab.product("parent", &["account", "distribute", "multi", "mail1"]);
    assert!(output.status.success(), "{output:?}");
    for name in names {
        assert_eq!(leads_to(lab, name), "10.77.0.11", "{name}");
    }
    assert_eq!(shown(), settings, "settings as the child has them");
    let there = lab.sh("mail1", "grep -c ': multi$' /etc/userdomains");
    assert_eq!(there.trim(), lab.sh("parent", "grep -c ': multi$' /etc/userdomains").trim(), "every domain is on the child");
    for (to, prefix) in [("sales@blog.multi.test", "sub"), ("fwd@multialias.test", "parked"), ("fwd@multishop.test", "addon")] {
        let sent = lab.smtp("parent.lab.test", to, prefix, 2);
        assert_eq!(sent["sent"].as_array().map(Vec::len), Some(2), "{to}: {sent}");
    }
    lab.until("the messages are on the child", PATIENCE, || lab.message_files("mail1", "multi") == 9);
    assert_eq!(lab.message_files("parent", "multi"), 0);
    let dump = lab.imap_dump("mail.multishop.test", "sales@multishop.test", PASSWORD);
    assert_eq!(messages(&dump).len(), 5, "{dump}");

    let output = lab.product("parent", &["account", "dedistribute", "multi"]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(names.map(|name| leads_to(lab, name)), home, "names lead home again");
    assert_eq!(shown(), settings, "settings back on the parent");
    for (mailbox, count) in [("sales@multishop.test", 5), ("sales@blog.multi.test", 2), ("sales@multialias.test", 2)] {
        let dump = lab.imap_dump("parent.lab.test", mailbox, PASSWORD);
        assert_eq!(messages(&dump).len(), count, "{mailbox}: {dump}");
    }
    // What reaches the former child still gets home, for every domain.
    let sent = lab.smtp("mail1.lab.test", "sales@multishop.test", "stray", 1);
    assert_eq!(sent["sent"].as_array().map(Vec::len), Some(1), "{sent}");
    lab.until("the stray message is on the parent", PATIENCE, || lab.message_files("parent", "multi") == 10);
}

/// A suspended account can be moved, both ways, and stays suspended on both servers.
pub fn suspended() {
    let lab = lab();
    lab.account("paused");
    lab.smtp("parent.lab.test", "info@paused.test", "kept", 4);
    lab.until("the messages are there", PATIENCE, || lab.message_files("parent", "paused") == 4);
    whm(lab, "suspendacct", &["user=paused", "reason=unpaid"]);
    let is_suspended = |node: &str| {
        let found = lab.whmapi1(node, "accountsummary", &["user=paused"]);
        found["data"]["acct"][0]["suspended"].as_u64() == Some(1)
    };
    let out = lab.product("parent", &["account", "distribute", "paused", "mail1"]);
    assert!(out.status.success(), "{out:?}");
    assert!(is_suspended("parent") && is_suspended("mail1"), "suspended on both");
    assert_eq!(lab.message_files("mail1", "paused"), 4);
    let back = lab.product("parent", &["account", "dedistribute", "paused"]);
    assert!(back.status.success(), "{back:?}");
    assert!(is_suspended("parent"), "suspended still");
    whm(lab, "unsuspendacct", &["user=paused"]);
    let dump = lab.imap_dump("parent.lab.test", "info@paused.test", PASSWORD);
    assert_eq!(messages(&dump).len(), 4, "{dump}");
}

/// Whatever runs a program is named by the plan, and stays on the parent.
pub fn pipes_are_named() {
    let lab = lab();
    lab.account("piper");
    email(lab, "piper", "add_forwarder", &["email=run", "domain=piper.test", "fwdopt=pipe", "pipefwd=bin/run"]);
    email(
        lab,
        "piper",
        "store_filter",
        &[
            "account=info@piper.test",
            "filtername=runs",
            "action1=pipe",
            "dest1=/home/piper/bin/filter",
            "part1=$header_subject:",
            "match1=contains",
            "val1=x",
        ],
    );
    lab.sh(
        "parent",
        "su -s /bin/sh piper -c 'cd ~ && mkdir -p lists && printf \"a@piper.test\\n|/home/piper/bin/listed\\n\" > lists/people && ln -s /etc/shadow lists/link' \
         && printf 'list@piper.test: :include:/home/piper/lists/people\\nlink@piper.test: :include:/home/piper/lists/link\\n' >> /etc/valiases/piper.test",
    );
    let plan = lab.product_json("parent", &["account", "distribute", "piper", "mail1", "--dry-run", "--json"]);
    let warnings = plan["warnings"].to_string();
    for wanted in ["/home/piper/bin/run", "/home/piper/bin/filter", "/home/piper/bin/listed", "lists/link, which is not read"] {
        assert!(warnings.contains(wanted), "{wanted} is named: {plan:#}");
    }
    assert!(!warnings.contains("root:"), "nothing of a file that is not the account's: {warnings}");
    let out = lab.product("parent", &["account", "distribute", "piper", "mail1"]);
    assert!(out.status.success(), "{out:?}");
    let on_child =
        lab.sh("mail1", "cat /etc/valiases/piper.test; cat /home/piper/etc/piper.test/info/filter.yaml 2>/dev/null || true");
    assert!(!on_child.contains("/home/piper/bin"), "nothing that runs a program is on the child: {on_child}");
    assert!(lab.product("parent", &["account", "dedistribute", "piper"]).status.success());
    let kept = lab.sh("parent", "cat /etc/valiases/piper.test");
    assert!(
        kept.contains("/home/piper/bin/run") && kept.contains(":include:"),
        "and what was on the parent is there still: {kept}"
    );
}
