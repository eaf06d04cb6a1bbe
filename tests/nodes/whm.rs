//! WHM in a browser: what an administrator and a reseller see and do.

use crate::browser::{Browser, WHM, Wish};
use crate::lab::{Lab, PASSWORD, lab};

/// Gives root of the parent the tests' password, and makes a reseller with these rights.
fn people(lab: &Lab, reseller: &str, acls: &str) {
    lab.sh("parent", &format!("echo 'root:{PASSWORD}' | chpasswd"));
    if !lab.sh("parent", "ls /var/cpanel/users").lines().any(|user| user == reseller) {
        lab.createacct(reseller, &["reseller=1"]);
    }
    lab.sh("parent", &format!("sed -i 's/^{reseller}:.*/{reseller}:{acls}/' /var/cpanel/resellers && grep -q '^{reseller}:{acls}$' /var/cpanel/resellers"));
}

/// The way in, the menu, a form and the way out, in the lab's WHM itself.
pub fn the_way_in() {
    let lab = lab();
    people(lab, "rita", "list-accts,create-acct");
    let mut browser = Browser::open(Wish::default());
    browser.go(&format!("{WHM}/"));
    browser.accessible();
    browser.sign_in("root", PASSWORD);
    browser.until("Create a New Account");
    browser.accessible();
    browser.follow("Create a New Account");
    browser.until("Domain Information");
    browser.accessible();
    browser.fill("domain", "formed.test");
    browser.fill("username", "formed");
    browser.fill("password", PASSWORD);
    browser.choose("plan", "default");
    browser.tick("mxcheck", "local");
    browser.press("Create");
    browser.until("Account Creation Ok");
    assert!(lab.sh("parent", "cat /var/cpanel/users/formed").contains("DNS=formed.test"));
    browser.follow("List Accounts");
    browser.until("formed.test");
    browser.accessible();
    browser.resize((360, 740));
    browser.fits();
    browser.click_on("header .out");
    browser.until("You have logged out.");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

/// A plugin of one's own: it writes its environment, then a line at a time.
const PLUGIN: &str = r#"#!/bin/sh
case "$QUERY_STRING" in
slow)
    printf 'Content-Type: text/event-stream\n\n'
    echo $$ > /root/slow.pid
    n=0; while :; do n=$((n+1)); echo "data: $n"; echo; sleep 0.2; done ;;
*)
    printf 'Content-Type: text/html\n\n<!DOCTYPE html><title>Trial</title><h1>Trial</h1><pre>'
    echo "uid=$(id -u) user=$REMOTE_USER token=$cp_security_token https=$HTTPS"
    echo '</pre>' ;;
esac
"#;

/// Plugins are in the menu of those whose rights they ask for, run as registered, and write as they go.
pub fn plugins_of_others() {
    let lab = lab();
    people(lab, "rita", "list-accts");
    let file = lab.scratch.join("trial.cgi");
    std::fs::write(&file, PLUGIN).expect("writing a plugin");
    let folder = "/usr/local/cpanel/whostmgr/docroot/cgi/trial";
    lab.lab(&["push", "parent", file.to_str().expect("path"), &format!("{folder}/index.cgi")]);
    let conf = "name=trial\\nservice=whostmgr\\nurl=/cgi/trial/\\nuser=root\\nacls=all\\ndisplayname=Trial\\nentryurl=trial/index.cgi\\ntarget=_self\\n";
    lab.sh("parent", &format!("chmod 755 {folder}/index.cgi && printf '{conf}' > /root/trial.conf && /usr/local/cpanel/bin/register_appconfig /root/trial.conf"));

    // Without scripts: the menu's search is a form.
    let browser = Browser::signed_in(Wish { scripts: false, ..Wish::default() }, "root");
    browser.fill("find", "trial");
    browser.keys("\u{e007}");
    browser.until("matches:");
    assert_eq!(browser.count("main .tiles a"), 1, "{}", browser.text());
    browser.follow("Trial");
    browser.until("uid=0 user=root token=/cpsess");
    assert!(browser.source().contains("https=on"));
    drop(browser);

    // A reseller sees nothing of it, and the address alone opens nothing.
    let browser = Browser::signed_in(Wish::default(), "rita");
    assert!(!browser.text().contains("Trial") && browser.has("nav"), "{}", browser.text());
    browser.page("/cgi/trial/index.cgi");
    browser.until("You do not have permission");
    drop(browser);

    // By keyboard alone to the plugin.
    let browser = Browser::signed_in(Wish::default(), "root");
    browser.tab_to("Skip to the content");
    browser.tab_to("find");
    browser.keys("trial");
    browser.tab_to("Trial");
    browser.keys("\u{e007}");
    browser.until("uid=0");
    // Events come while the program runs; when the browser goes on, it is ended.
    browser.page("/");
    let lines = browser.script(
        "const source = new EventSource(arguments[0] || location.pathname + 'cgi/trial/index.cgi?slow'); window.seen = []; \
         source.onmessage = e => window.seen.push(e.data); return window.seen;",
    );
    assert!(lines.is_array());
    lab.until("three events have come", std::time::Duration::from_secs(10), || {
        browser.script("return window.seen.length >= 3") == true
    });
    lab.sh("parent", "kill -0 $(cat /root/slow.pid)");
    browser.page("/scripts4/listaccts");
    lab.until("the program has ended", std::time::Duration::from_secs(10), || {
        !lab.try_exec("parent", &["sh", "-c", "kill -0 $(cat /root/slow.pid)"]).status.success()
    });
    lab.sh("parent", "/usr/local/cpanel/bin/unregister_appconfig trial && rm -r /usr/local/cpanel/whostmgr/docroot/cgi/trial");
}
