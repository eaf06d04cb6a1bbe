//! Bad input, each with a clear message and nothing changed.

use crate::lab::{Lab, PASSWORD, lab};
use serde_json::Value;

/// Links, accounts and their places: what must not change.
fn state(lab: &Lab) -> (Value, Value) {
    let mut nodes = lab.product_json("parent", &["node", "list", "--json"]);
    for node in nodes.as_array_mut().into_iter().flatten() {
        for volatile in ["last_check", "disk_free", "trouble"] {
            node[volatile] = Value::Null;
        }
    }
    (nodes, lab.product_json("parent", &["account", "list", "--json"]))
}

/// Acceptance 5.
pub fn bad_input() {
    let lab = lab();
    lab.account("stays");
    lab.createacct("gone", &["mail_node_alias=mail1"]);
    let token = lab.token("mail2", "badinput");
    // A token that is not root-level: a reseller's.
    lab.whmapi1("mail2", "createacct", &["username=resell", "domain=resell.test", &format!("password={PASSWORD}")]);
    lab.sh("mail2", "echo resell:list-accts,basic-whm-functions,manage-api-tokens >> /var/cpanel/resellers");
    let small = lab.whmapi1("mail2", "api_token_create", &["token_name=small", "acl-1=list-accts"]);
    let small = small["data"]["token"].as_str().expect("a token").to_owned();
    // Somebody else's user and domain on the child.
    for (user, domain) in [("taken", "taken.test"), ("squat", "wanted.test")] {
        lab.whmapi1(
            "mail1",
            "createacct",
            &[&format!("username={user}"), &format!("domain={domain}"), &format!("password={PASSWORD}")],
        );
    }
    lab.account("taken");
    lab.account("wanted");
    let before = state(lab);
    let link = |alias: &str, host: &str, token: &str| lab.refused("parent", &["node", "link", alias, host, "--token", token]);
    let cases = [
        ("alias grammar", link("no good", "mail2.lab.test", &token), "cannot be the alias"),
        ("alias taken", link("mail1", "other.lab.test", &token), "is taken"),
        ("linked already", link("again", "mail2.lab.test", &token), "linked already"),
        ("IP as hostname", link("byip", "10.77.0.12", &token), "IP address"),
        ("itself", link("me", "parent.lab.test", &token), "is this server"),
        ("no such host", link("ghost", "ghost.lab.test", &token), "does not resolve"),
        (
            "unknown alias",
            lab.refused("parent", &["account", "distribute", "stays", "nowhere"]),
            "No linked server node has the alias",
        ),
        ("already distributed", lab.refused("parent", &["account", "distribute", "gone", "mail1"]), "already distributed"),
        ("unlink in use", lab.refused("parent", &["node", "unlink", "mail1"]), "serves the mail of"),
        ("dedistribute a local account", lab.refused("parent", &["account", "dedistribute", "stays"]), "nothing to dedistribute"),
        ("user already there", lab.refused("parent", &["account", "distribute", "taken", "mail1"]), "not ours to touch"),
        (
            "domain already there",
            lab.refused("parent", &["account", "distribute", "wanted", "mail1"]),
            "belongs to another account",
        ),
        ("no such account", lab.refused("parent", &["account", "distribute", "nobody1", "mail1"]), "There is no account"),
    ];
    for (what, said, wanted) in &cases {
        assert!(said.contains(wanted), "{what}: it says: {said}");
    }
    // Through the API, in its envelope.
    for (function, arguments, wanted) in [
        ("modifyacct", vec!["user=stays", "mail_node_alias=nowhere"], "No linked server node"),
        ("modifyacct", vec!["user=stays", "mail_node_alias=.local"], "nothing to dedistribute"),
        ("createacct", vec!["username=newone", "domain=newone.test", "mail_node_alias=nowhere"], "No linked server node"),
        ("createacct", vec!["username=taken2", "domain=taken.test", "mail_node_alias=mail1"], "belongs to another account"),
        ("unlink_server_node", vec!["alias=mail1"], "serves the mail of"),
        ("link_server_node_with_api_token", vec!["alias=x", "hostname=10.0.0.1", "username=root", "api_token=t"], "IP address"),
    ] {
        let reply = lab.our_whmapi1("parent", function, &arguments);
        assert_eq!(reply["metadata"]["result"], 0, "{function} {arguments:?}: {reply}");
        assert!(reply["metadata"]["reason"].as_str().expect("a reason").contains(wanted), "{function}: {reply}");
    }
    assert_eq!(state(lab), before, "something changed");

    // Against a child that is free: it is unlinked, refused on each ground, and linked again.
    lab.free("mail2");
    let unlinked = state(lab);
    let wrong = link("mail2", "mail2.lab.test", "WRONGTOKEN");
    assert!(wrong.contains("does not accept"), "wrong token: {wrong}");
    let weak = link("mail2", "mail2.lab.test", &small);
    assert!(weak.contains("root-level"), "token without root: {weak}");
    lab.sh(
        "mail2",
        "cp /var/cpanel/server_profile.json /root/profile; echo '{\"code\":\"DNSNODE\"}' > /var/cpanel/server_profile.json",
    );
    let profile = link("mail2", "mail2.lab.test", &token);
    lab.sh("mail2", "cp /root/profile /var/cpanel/server_profile.json");
    assert!(profile.contains("profile"), "wrong profile: {profile}");
    untrusted_certificate(lab, &token);
    assert_eq!(state(lab), unlinked, "something changed");
    lab.link("mail2");
    for user in ["taken", "squat"] {
        lab.whmapi1("mail1", "removeacct", &[&format!("username={user}")]);
    }
    lab.whmapi1("mail2", "removeacct", &["username=resell"]);
}

/// Makes a server show a certificate that nobody vouches for, until the answer is dropped through [`trusted_again`].
pub fn untrusted(lab: &Lab, node: &str) {
    lab.sh(node, "test -e /root/good.pem || cp /var/cpanel/ssl/cpanel/cpanel.pem /root/good.pem");
    let self_signed = format!(
        "openssl req -x509 -addext basicConstraints=critical,CA:FALSE -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 9 -subj /CN={node}.lab.test \
        -addext subjectAltName=DNS:{node}.lab.test -keyout /root/k.pem -out /root/c.pem 2>/dev/null && cat /root/k.pem /root/c.pem > /var/cpanel/ssl/cpanel/cpanel.pem"
    );
    replace_certificate(lab, node, &self_signed);
}

/// The server shows its own certificate again.
pub fn trusted_again(lab: &Lab, node: &str) {
    replace_certificate(lab, node, "cp /root/good.pem /var/cpanel/ssl/cpanel/cpanel.pem");
}

/// SHA-256 of the certificate that a server shows on WHM's port, as openssl writes it.
pub fn shown_certificate(lab: &Lab, node: &str) -> String {
    let line = format!(
        "openssl s_client -connect {node}.lab.test:2087 -servername {node}.lab.test </dev/null 2>/dev/null | openssl x509 -noout -fingerprint -sha256"
    );
    lab.sh("client", &line).trim().rsplit('=').next().unwrap_or_default().to_owned()
}

fn replace_certificate(lab: &Lab, node: &str, line: &str) {
    let old = shown_certificate(lab, node);
    lab.sh(node, line);
    lab.until("the server shows its other certificate", std::time::Duration::from_secs(40), || {
        shown_certificate(lab, node) != old
    });
}

/// A certificate nobody vouches for is refused; with the check waived it is pinned, and another one is refused then.
fn untrusted_certificate(lab: &Lab, token: &str) {
    untrusted(lab, "mail2");
    let refused = lab.refused("parent", &["node", "link", "mail2", "mail2.lab.test", "--token", token]);
    assert!(refused.contains("is not trusted"), "untrusted certificate: {refused}");
    let pinned = lab.product("parent", &["node", "link", "mail2", "mail2.lab.test", "--token", token, "--skip-tls-verification"]);
    assert!(pinned.status.success(), "{pinned:?}");
    let node = lab.product_json("parent", &["node", "show", "mail2", "--json"]);
    assert_eq!(node["tls_verified"], false, "{node}");
    untrusted(lab, "mail2");
    let other = lab.product_json("parent", &["node", "status", "mail2", "--json"]);
    assert!(other["trouble"].as_str().is_some_and(|why| why.contains("another certificate")), "a changed certificate: {other}");
    trusted_again(lab, "mail2");
    let back = lab.product("parent", &["node", "update", "mail2", "--skip-tls-verification=false"]);
    assert!(back.status.success(), "{back:?}");
    assert!(lab.product("parent", &["node", "unlink", "mail2"]).status.success());
}

/// A child that is down, and one whose disk is too small.
pub fn dead_and_full() {
    let lab = lab();
    lab.account("unlucky");
    lab.lab(&["fill", "unlucky", "--messages", "300", "--big", "8"]);
    let before = state(lab);
    let held = lab.message_files("parent", "unlucky");

    lab.sh("mail2", "mkdir -p /root/h && mount --bind /home /root/h && mount -t tmpfs -o size=20m tmpfs /home");
    let full = lab.refused("parent", &["account", "distribute", "unlucky", "mail2"]);
    lab.sh("mail2", "umount /home; umount /root/h");
    assert!(full.contains("free"), "disk too small: {full}");

    lab.lab(&["stop", "mail2"]);
    let dead = lab.refused("parent", &["account", "distribute", "unlucky", "mail2"]);
    let made = lab.our_whmapi1(
        "parent",
        "createacct",
        &["username=stillborn", "domain=stillborn.test", &format!("password={PASSWORD}"), "mail_node_alias=mail2"],
    );
    lab.lab(&["start", "mail2"]);
    assert!(dead.contains("does not answer"), "child down: {dead}");
    assert_eq!(made["metadata"]["result"], 0, "{made}");
    assert_eq!(state(lab), before, "something changed");
    assert_eq!(lab.message_files("parent", "unlucky"), held);
    lab.until("mail2 is back", std::time::Duration::from_secs(60), || {
        let node = lab.product_json("parent", &["node", "status", "mail2", "--json"]);
        node["trouble"].is_null()
    });
}

/// A child belongs to one parent.
pub fn second_parent() {
    let lab = lab();
    // mail2 is Standard, so it could be a parent, were it not a child; and nobody else's child can be linked.
    let token = lab.token("mail1", "second");
    let chained = lab.refused("mail2", &["node", "link", "mail1", "mail1.lab.test", "--token", &token]);
    assert!(chained.contains("is a child of"), "{chained}");
    lab.free("mail2");
    let second = lab.refused("mail2", &["node", "link", "mail1", "mail1.lab.test", "--token", &token]);
    assert!(second.contains("linked to the parent “parent.lab.test” already"), "{second}");
    lab.link("mail2");
    lab.product_json("parent", &["node", "status", "mail1", "--json"]);
}
