//! The parent in front: functions act where the mail is, and the node fields are there.

use crate::lab::{Lab, PASSWORD, lab};
use serde_json::Value;

/// Whether a mailbox is in the files of a node.
fn on_disk(lab: &Lab, node: &str, user: &str, local: &str) -> bool {
    lab.sh(node, &format!("grep -c '^{local}:' /home/{user}/etc/{user}.test/passwd 2>/dev/null || true")).trim() == "1"
}

/// A request of the client node through the shim, as curl sends it; the status and the body.
pub fn curl(lab: &Lab, words: &[&str]) -> (u16, String) {
    let mut all = vec!["curl", "-sS", "-m", "60", "-w", "\n%{http_code}"];
    all.extend(words);
    let out = lab.exec("client", &all);
    let (body, status) = out.trim_end().rsplit_once('\n').expect("a status line");
    (status.parse().expect("a status"), body.to_owned())
}

/// Acceptance 3, on the parent: each function through the interface that its callers use.
pub fn mail_functions_act_on_the_child() {
    let lab = lab();
    lab.createacct("proxied", &["mail_node_alias=mail1"]);
    let basic = format!("proxied:{PASSWORD}");

    // A cPanel user over /execute.
    let url = "https://parent.lab.test:2083/execute/Email/add_pop";
    let made = curl(
        lab,
        &[
            "-u",
            &basic,
            url,
            "-d",
            "email=sales",
            "-d",
            "domain=proxied.test",
            "--data-urlencode",
            &format!("password={PASSWORD}"),
        ],
    );
    assert!(made.0 == 200 && made.1.contains("\"status\":1"), "{made:?}");
    assert!(on_disk(lab, "mail1", "proxied", "sales"), "the mailbox is on the child");

    // WHM's uapi_cpanel with a root token.
    let token = lab.token("parent", "tests");
    let header = format!("Authorization: whm root:{token}");
    let url = "https://parent.lab.test:2087/json-api/uapi_cpanel?api.version=1&cpanel.user=proxied&cpanel.module=Email&cpanel.function=list_pops";
    let (status, body) = curl(lab, &["-H", &header, url]);
    let listed: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!(
        (status, &listed["metadata"]["result"], &listed["data"]["uapi"]["status"]),
        (200, &1.into(), &1.into()),
        "{listed}"
    );
    assert!(body.contains("sales@proxied.test"), "{body}");

    // The wrapped form over /json-api/cpanel.
    let url = "https://parent.lab.test:2083/json-api/cpanel?cpanel_jsonapi_apiversion=3&cpanel_jsonapi_module=Email&cpanel_jsonapi_func=list_pops";
    let (_, body) = curl(lab, &["-u", &basic, url]);
    let wrapped: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!((&wrapped["func"], &wrapped["result"]["status"]), (&"list_pops".into(), &1.into()), "{wrapped}");
    assert!(body.contains("sales@proxied.test"));

    // The command line: another password, then it is gone.
    let changed = lab.our_uapi(
        "parent",
        "proxied",
        "Email",
        "passwd_pop",
        &["email=sales", "domain=proxied.test", "password=Zz9%21other-Secret41"],
    );
    assert_eq!(changed["status"], 1, "{changed}");
    let there = lab.imap_dump("mail.proxied.test", "sales@proxied.test", "Zz9!other-Secret41");
    assert!(there["folders"].is_object(), "the new password opens the mailbox on the child: {there}");
    let gone = lab.our_uapi("parent", "proxied", "Email", "delete_pop", &["email=sales", "domain=proxied.test"]);
    assert_eq!(gone["status"], 1, "{gone}");
    assert!(!on_disk(lab, "mail1", "proxied", "sales"), "the mailbox is gone from the child");

    // What concerns DNS stays with the parent; a stranger reaches nothing.
    let zone = lab.our_uapi("parent", "proxied", "DNS", "parse_zone", &["zone=proxied.test"]);
    assert_eq!(zone["status"], 1, "{zone}");
    let (status, _) = curl(lab, &["-u", "proxied:wrong", "https://parent.lab.test:2083/execute/Email/list_pops"]);
    assert!(matches!(status, 401 | 403), "{status}");
}

/// `child_nodes` of accountsummary and listaccts, `list_user_child_nodes`.
pub fn node_fields() {
    let lab = lab();
    lab.createacct("fieldy", &["mail_node_alias=mail2"]);
    lab.account("plainy");
    let token = lab.token("parent", "tests");
    let header = format!("Authorization: whm root:{token}");
    for (user, wanted) in
        [("fieldy", serde_json::json!([{"alias": "mail2", "workload": "Mail"}])), ("plainy", serde_json::json!([]))]
    {
        let url = format!("https://parent.lab.test:2087/json-api/accountsummary?api.version=1&user={user}");
        let (_, body) = curl(lab, &["-H", &header, &url]);
        let summary: Value = serde_json::from_str(&body).expect("JSON");
        assert_eq!(summary["data"]["acct"][0]["child_nodes"], wanted, "{summary}");
        let listed =
            lab.our_whmapi1("parent", "listaccts", &["searchtype=user", "searchmethod=exact", &format!("search={user}")]);
        assert_eq!(listed["data"]["acct"][0]["child_nodes"], wanted, "{listed}");
    }
    let nodes = lab.our_whmapi1("parent", "list_user_child_nodes", &[]);
    let row = serde_json::json!({"user": "fieldy", "alias": "mail2", "type": "Mail"});
    assert!(nodes["data"]["payload"].as_array().expect("rows").contains(&row), "{nodes}");
}

/// The group Server Nodes through the shim.
pub fn server_nodes_functions() {
    let lab = lab();
    let token = lab.token("parent", "tests");
    let header = format!("Authorization: whm root:{token}");
    let call = |function: &str, query: &str| -> Value {
        let url = format!("https://parent.lab.test:2087/json-api/{function}?api.version=1&{query}");
        serde_json::from_str(&curl(lab, &["-H", &header, &url]).1).expect("JSON")
    };
    let one = call("get_linked_server_node", "alias=mail1");
    for field in [
        "enabled_services",
        "hostname",
        "last_check",
        "system_settings",
        "tls_verified",
        "username",
        "version",
        "worker_capabilities",
    ] {
        assert!(!one["data"][field].is_null(), "{field} is missing: {one}");
    }
    assert_eq!(one["data"]["tls_verified"], 1);
    assert!(one["data"]["enabled_services"].as_array().expect("list").iter().any(|name| name == "exim"), "{one}");
    let all = call("list_linked_server_nodes", "");
    let aliases: Vec<&str> =
        all["data"]["payload"].as_array().expect("rows").iter().filter_map(|row| row["alias"].as_str()).collect();
    assert_eq!(aliases, ["mail1", "mail2"], "{all}");
    let child_token = lab.token("mail2", "status");
    let status = call("get_server_node_status", &format!("hostname=mail2.lab.test&username=root&api_token={child_token}"));
    assert_eq!((&status["metadata"]["result"], &status["data"]["version"]), (&1.into(), &"11.138.0.19".into()), "{status}");
    let force = call("force_dedistribution_from_node", "node_alias=mail1&user=nobody");
    assert_eq!(force["metadata"]["result"], 0);
    assert!(force["metadata"]["reason"].as_str().expect("reason").contains("“nobody” is not distributed"), "{force}");

    // A caller without the right gets cPanel's own refusal.
    let (status, body) = curl(
        lab,
        &["-H", "Authorization: whm root:WRONG", "https://parent.lab.test:2087/json-api/list_linked_server_nodes?api.version=1"],
    );
    assert_eq!(status, 403, "{body}");
}
