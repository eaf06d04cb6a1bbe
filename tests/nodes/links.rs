//! Links: what is shown and checked before one is made, passwords used once, tokens changed.

use crate::lab::{Lab, lab};
use crate::refusals::{shown_certificate, trusted_again, untrusted};
use serde_json::Value;
use std::time::Duration;

/// Root's password on the lab's nodes for the length of a test; the former one comes back.
const ROOT_PASSWORD: &str = "Only once-in-a-lab 7Qz!";
const DRILL: &str = "/var/cpanel/linked-nodes/crash-at";

/// The names of root's tokens on a node.
fn tokens(lab: &Lab, node: &str) -> Vec<String> {
    let listed = lab.whmapi1(node, "api_token_list", &[]);
    listed["data"]["tokens"].as_object().expect("tokens").keys().cloned().collect()
}

/// Links `mail2` in some way and returns the report, whether it succeeded or not.
fn report(lab: &Lab, how: &[&str]) -> Value {
    let mut words = vec!["node", "link", "mail2", "mail2.lab.test", "--json"];
    words.extend(how);
    let output = lab.product("parent", &words);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("no report: {output:?}"));
    assert_eq!(output.status.success(), report["error"].is_null(), "{report:#}");
    report
}

/// The name of the check that failed; everything before it passed, nothing after it was looked at.
fn failed(report: &Value) -> String {
    let checks = report["checks"].as_array().expect("checks");
    let at = checks.iter().position(|check| check["passed"] == false).unwrap_or_else(|| panic!("none failed: {report:#}"));
    assert!(checks[..at].iter().all(|check| check["passed"] == true), "{report:#}");
    assert!(checks[at + 1..].iter().all(|check| check["passed"].is_null()), "{report:#}");
    checks[at]["name"].as_str().expect("a name").to_owned()
}

/// A certificate is shown, then confirmed; a password is used once and leaves no trace; what fails leaves no token behind.
pub fn by_password() {
    let lab = lab();
    lab.free("mail2");
    let hash = lab.sh("mail2", "getent shadow root | cut -d: -f2").trim().to_owned();
    lab.sh("mail2", &format!("echo 'root:{ROOT_PASSWORD}' | chpasswd"));
    let secret = "/root/mail2.password";
    lab.sh("parent", &format!("umask 077; printf '%s\\n' '{ROOT_PASSWORD}' > {secret}; printf 'wrong\\n' > {secret}.wrong"));
    let before = tokens(lab, "mail2");

    let trusted = lab.product_json("parent", &["node", "probe", "mail2.lab.test", "--json"]);
    assert!(trusted["distrust"].is_null() && trusted["names"].as_array().is_some_and(|names| !names.is_empty()), "{trusted}");
    untrusted(lab, "mail2");
    let shown = lab.product_json("parent", &["node", "probe", "mail2.lab.test", "--json"]);
    let colons = shown_certificate(lab, "mail2");
    assert_eq!(shown["fingerprint"], colons.replace(':', "").to_lowercase(), "{shown}");
    assert!(shown["distrust"].is_string(), "{shown}");

    let unverified = report(lab, &["--password-file", secret]);
    assert_eq!(failed(&unverified), "Its certificate is trusted");
    let unseen = report(lab, &["--password-file", secret, "--skip-tls-verification"]);
    assert_eq!(failed(&unseen), "Its certificate is trusted", "a password goes to nobody unconfirmed");
    let other = report(lab, &["--password-file", secret, "--certificate", &"ab".repeat(32)]);
    assert_eq!(failed(&other), "Its certificate is trusted");
    let wrong = report(lab, &["--password-file", &format!("{secret}.wrong"), "--certificate", &colons]);
    assert_eq!(failed(&wrong), "It accepts what proves us", "{wrong:#}");
    // Refused after the token was made: it is taken back.
    lab.sh(
        "mail2",
        "cp /var/cpanel/server_profile.json /root/profile; echo '{\"code\":\"DNSNODE\"}' > /var/cpanel/server_profile.json",
    );
    let profile = report(lab, &["--password-file", secret, "--certificate", &colons]);
    lab.sh("mail2", "cp /root/profile /var/cpanel/server_profile.json");
    assert_eq!(failed(&profile), "Its server profile is Mail or Standard");
    assert_eq!(tokens(lab, "mail2"), before, "a token was left behind");
    let nodes = lab.product_json("parent", &["node", "list", "--json"]);
    assert_eq!(nodes.as_array().expect("rows").len(), 1, "{nodes}");

    let linked = report(lab, &["--password-file", secret, "--certificate", &colons]);
    assert!(linked["checks"].as_array().expect("checks").iter().all(|check| check["passed"] == true), "{linked:#}");
    let own: Vec<String> = tokens(lab, "mail2").into_iter().filter(|name| !before.contains(name)).collect();
    assert!(own.len() == 1 && own[0].starts_with("linked-nodes-parent-lab-test-"), "{own:?}");
    let node = lab.product_json("parent", &["node", "show", "mail2", "--json"]);
    assert_eq!(node["tls_verified"], false, "{node}");
    // The password is nowhere on the parent but where this test put it.
    let traces = lab.sh(
        "parent",
        &format!("rm {secret}; grep -rlF '{ROOT_PASSWORD}' /var/cpanel /var/lib/linked-nodes /var/log /run/linked-nodes 2>/dev/null || true"),
    );
    assert_eq!(traces, "", "the password was kept");

    // The system verifies it again: then it is verified, whatever a caller waives.
    trusted_again(lab, "mail2");
    let reply = lab.our_whmapi1("parent", "update_linked_server_node", &["alias=mail2", "skip_tls_verification=1"]);
    assert_eq!(reply["metadata"]["result"], 1, "{reply}");
    let node = lab.product_json("parent", &["node", "show", "mail2", "--json"]);
    assert_eq!(node["tls_verified"], true, "a verified child cannot be taken unverified: {node}");
    lab.sh("mail2", &format!("usermod -p '{hash}' root"));
}

/// An update that is refused changes nothing; one that follows a server to another name is one server still.
pub fn refused_updates() {
    let lab = lab();
    let show = || {
        let mut node = lab.product_json("parent", &["node", "show", "mail2", "--json"]);
        for volatile in ["last_check", "disk_free"] {
            node[volatile] = Value::Null;
        }
        node
    };
    let secrets = || lab.sh("parent", "sha256sum /var/cpanel/linked-nodes/tokens.json");
    let (before, kept) = (show(), secrets());
    for (what, change, wanted) in [
        ("an IP address", vec!["--hostname", "10.77.0.12"], "IP address"),
        ("itself", vec!["--hostname", "parent.lab.test"], "is this server"),
        ("another child", vec!["--hostname", "mail1.lab.test"], "does not accept"),
        ("no server", vec!["--hostname", "ghost.lab.test"], "cannot be reached"),
        ("a wrong token", vec!["--token", "WRONG"], "does not accept"),
        ("a user without root", vec!["--username", "nobody"], "does not accept"),
    ] {
        let mut words = vec!["node", "update", "mail2"];
        words.extend(change);
        let said = lab.refused("parent", &words);
        assert!(said.contains(wanted), "{what}: {said}");
        assert_eq!((show(), secrets()), (before.clone(), kept.clone()), "{what}: something changed");
    }
    let token = lab.token("mail1", "another");
    let said = lab.refused("parent", &["node", "update", "mail2", "--hostname", "mail1.lab.test", "--token", &token]);
    assert!(said.contains("is another server than"), "{said}");
    assert_eq!((show(), secrets()), (before, kept), "something changed");
    lab.whmapi1("mail1", "api_token_revoke", &["token_name=another"]);
}

/// A link's token is changed, also with `serve` ended between any two steps of it: there is always one that works.
pub fn rotated() {
    let lab = lab();
    lab.createacct("rotary", &["mail_node_alias=mail2"]);
    let works = |when: &str| {
        let listed = lab.our_uapi("parent", "rotary", "Email", "list_pops", &[]);
        assert_eq!(listed["status"], 1, "{when}: {listed}");
        let node = lab.product_json("parent", &["node", "status", "mail2", "--json"]);
        assert!(node["trouble"].is_null(), "{when}: {node}");
    };
    let own = || -> Vec<String> {
        tokens(lab, "mail2").into_iter().filter(|name| name.starts_with("linked-nodes-parent-lab-test-")).collect()
    };
    let kept = || lab.sh("parent", "sha256sum /var/cpanel/linked-nodes/tokens.json");
    let former = kept();
    assert!(lab.product("parent", &["node", "rotate-token", "mail2"]).status.success());
    assert_ne!(kept(), former);
    let first = own();
    assert_eq!(first.len(), 1, "{first:?}");
    works("after a change");

    for point in ["made", "taken", "stored", "revoked", "alone"] {
        let pid = lab.sh("parent", "pgrep -xf '.*linked-nodes serve' | head -1").trim().to_owned();
        lab.sh("parent", &format!("printf %s rotate:{point} > {DRILL}"));
        let _ = lab.product("parent", &["node", "rotate-token", "mail2"]);
        lab.until("serve is back", Duration::from_secs(30), || {
            let now = lab.sh("parent", "pgrep -xf '.*linked-nodes serve' | head -1 || true");
            now.trim() != pid && lab.product("parent", &["status"]).status.success()
        });
        assert_eq!(lab.sh("parent", &format!("test -e {DRILL} && echo waiting || true")), "", "{point} was not reached");
        works(point);
    }
    assert!(lab.product("parent", &["node", "rotate-token", "mail2"]).status.success());
    assert_eq!(own().len(), 1, "tokens were left behind: {:?}", own());
    works("at the end");
    let left = lab.sh("parent", "grep -c former /var/cpanel/linked-nodes/tokens.json || true");
    assert_eq!(left.trim(), "0", "a former token is kept");
}
