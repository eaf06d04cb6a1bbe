//! Rules of the guide that hold between servers: resellers, passwords, programs, server profiles.

use crate::api::curl;
use crate::lab::{Lab, PASSWORD, lab};
use serde_json::Value;
use std::time::Duration;

fn refused(reply: &Value, wanted: &str, what: &str) {
    assert_eq!(reply["metadata"]["result"], 0, "{what}: {reply}");
    let reason = reply["metadata"]["reason"].as_str().unwrap_or_default();
    assert!(reason.contains(wanted), "{what}: {reply}");
}

/// Asks the child how it is, which also puts right what drifted there.
fn look(lab: &Lab, alias: &str) -> Value {
    lab.product_json("parent", &["node", "status", alias, "--json"])
}

/// A distributed reseller has no rights on the child; its tokens reach nothing of linked nodes on the parent.
pub fn resellers() {
    let lab = lab();
    lab.createacct("rita", &["mail_node_alias=mail1", "reseller=1"]);
    let on = |node: &str| {
        let listed = lab.whmapi1(node, "listresellers", &[]);
        listed["data"]["reseller"].as_array().is_some_and(|all| all.iter().any(|one| one == "rita"))
    };
    assert!(on("parent") && !on("mail1"), "a reseller on the parent alone");
    // Whatever the parent grants later.
    let granted =
        lab.our_whmapi1("parent", "setacls", &["reseller=rita", "acl-create-acct=1", "acl-list-accts=1", "acl-edit-account=1"]);
    assert_eq!(granted["metadata"]["result"], 1, "{granted}");
    look(lab, "mail1");
    assert!(!on("mail1"), "rights went to the child");
    // Made one on the child itself, past the guard: it is none any more when the parent looks.
    lab.whmapi1("mail1", "setupreseller", &["user=rita", "makeowner=0"]);
    assert!(on("mail1"), "the test needs a reseller there");
    let node = look(lab, "mail1");
    assert!(node["trouble"].is_null(), "{node}");
    assert!(!on("mail1"), "the child keeps a reseller of the parent");
    // The guard refuses it with any token of the child's.
    let childs = lab.token("mail1", "rules");
    let header = format!("Authorization: whm root:{childs}");
    for call in ["setupreseller?api.version=1&user=rita", "setacls?api.version=1&reseller=rita&acl-all=1"] {
        let (_, body) = curl(lab, &["-H", &header, &format!("https://mail1.lab.test:2087/json-api/{call}")]);
        assert!(body.contains("parent.lab.test") && body.contains("\"result\":0"), "{call}: {body}");
    }
    let basic = format!("rita:{PASSWORD}");
    let (status, body) = curl(lab, &["-u", &basic, "https://mail1.lab.test:2087/json-api/version?api.version=1"]);
    assert!(status != 200 || body.contains("\"result\":0"), "WHM on the child let a distributed reseller in: {status} {body}");

    // On the parent its own rights reach none of the eight functions, nor the node fields of others.
    let url = |call: &str| format!("https://parent.lab.test:2087/json-api/{call}");
    let (status, body) = curl(lab, &["-u", &basic, &url("listaccts?api.version=1")]);
    assert!(status == 200 && body.contains("\"result\":1"), "a reseller signs in on the parent: {status} {body}");
    let cpanel = lab.our_uapi("parent", "rita", "Tokens", "create_full_access", &["name=rules"]);
    let cpanel = format!("Authorization: cpanel rita:{}", cpanel["data"]["token"].as_str().unwrap_or("none"));
    let before = lab.product_json("parent", &["node", "list", "--json"]).as_array().map(Vec::len);
    for call in [
        "link_server_node_with_api_token?api.version=1&alias=x&hostname=mail2.lab.test&username=root&api_token=t",
        "get_linked_server_node?api.version=1&alias=mail1",
        "list_linked_server_nodes?api.version=1",
        "get_server_node_status?api.version=1&hostname=mail1.lab.test&username=root&api_token=t",
        "update_linked_server_node?api.version=1&alias=mail1",
        "unlink_server_node?api.version=1&alias=mail1",
        "list_user_child_nodes?api.version=1",
        "force_dedistribution_from_node?api.version=1&node_alias=mail1&user=rita",
        "modifyacct?api.version=1&user=rita&mail_node_alias=.local",
        "createacct?api.version=1&username=ritas&domain=ritas.test&mail_node_alias=mail2",
        "start_profile_activation?api.version=1&code=MAILNODE",
    ] {
        for proof in [vec!["-u", basic.as_str()], vec!["-H", cpanel.as_str()]] {
            let mut words = proof;
            let address = url(call);
            words.push(&address);
            let (status, body) = curl(lab, &words);
            let let_in = status == 200 && body.contains("\"result\":1");
            assert!(!let_in && !body.contains("mail1.lab.test"), "{call}: {status} {body}");
        }
    }
    let after = lab.product_json("parent", &["node", "list", "--json"]).as_array().map(Vec::len);
    assert_eq!(before, after);
    lab.whmapi1("mail1", "api_token_revoke", &["token_name=rules"]);
}

/// Passwords of mailboxes and lists obey the child's strengths, all others the parent's.
pub fn passwords() {
    let lab = lab();
    lab.createacct("strong", &["mail_node_alias=mail1"]);
    let set = |node: &str, strengths: &[&str]| {
        let done = lab.whmapi1(node, "setminimumpasswordstrengths", strengths);
        assert_eq!(done["metadata"]["result"], 1, "{done}");
    };
    let former = lab.sh("parent", "cat /var/cpanel/cpanel.config 2>/dev/null || true");
    let childs = lab.sh("mail1", "cat /var/cpanel/cpanel.config 2>/dev/null || true");
    set("parent", &["default=11", "virtual=12", "list=13", "ftp=14"]);
    set("mail1", &["default=100", "virtual=100", "list=90", "ftp=99"]);
    let required = |app: &str| {
        let told = lab.our_uapi("parent", "strong", "PasswdStrength", "get_required_strength", &[&format!("app={app}")]);
        assert_eq!(told["status"], 1, "{app}: {told}");
        told["data"]["strength"].to_string().trim_matches('"').parse::<u64>().expect("a number")
    };
    let seen: Vec<u64> = ["pop", "list", "ftp", "mysql"].into_iter().map(required).collect();
    // The same over HTTP, as the account itself asks.
    let basic = format!("strong:{PASSWORD}");
    let (_, page) =
        curl(lab, &["-u", &basic, "https://parent.lab.test:2083/execute/PasswdStrength/get_required_strength?app=pop"]);
    let (_, ftp) =
        curl(lab, &["-u", &basic, "https://parent.lab.test:2083/execute/PasswdStrength/get_required_strength?app=ftp"]);
    let weak = |function: &str, more: &[&str]| {
        let mut words = vec!["password=abcdefgh"];
        words.extend(more);
        lab.our_uapi("parent", "strong", "Email", function, &words)
    };
    let pop = weak("add_pop", &["email=weak", "domain=strong.test"]);
    let list = weak("add_list", &["list=weak", "domain=strong.test"]);
    // System-wide settings of each server: root's calls on the parent are about the parent.
    let own = lab.our_whmapi1("parent", "getminimumpasswordstrengths", &[]);
    let node = look(lab, "mail1");
    set("mail1", &["default=1", "virtual=1", "list=1"]);
    set("parent", &["default=100", "virtual=100", "list=100"]);
    let easy = weak("add_pop", &["email=weak", "domain=strong.test"]);
    for (node, text) in [("parent", former), ("mail1", childs)] {
        let file = lab.scratch.join("cpanel.config");
        std::fs::write(&file, text).expect("a file");
        lab.lab(&["push", node, file.to_str().expect("path"), "/var/cpanel/cpanel.config"]);
    }
    assert_eq!(seen, [100, 90, 14, 11], "pop and list of the child, ftp and mysql of the parent");
    assert!(page.contains("100") && ftp.contains("14"), "{page} {ftp}");
    assert_eq!((&pop["status"], &list["status"]), (&0.into(), &0.into()), "the child's rules were set aside: {pop} {list}");
    assert_eq!(easy["status"], 1, "the parent's rules count for a mailbox of the child: {easy}");
    assert_eq!(own["data"]["virtual"].to_string().trim_matches('"'), "12", "{own}");
    assert_eq!(node["password_strengths"]["virtual"], 100, "what the child requires is known: {node}");
}

/// No interface of the parent sets up a program for a distributed account; nothing of it reaches the child.
pub fn pipes() {
    let lab = lab();
    lab.createacct("runner", &["mail_node_alias=mail1"]);
    let (basic, root) = (format!("runner:{PASSWORD}"), lab.token("parent", "tests"));
    let header = format!("Authorization: whm root:{root}");
    let forms: [(&str, &[&str]); 6] = [
        ("add_forwarder", &["domain=runner.test", "email=a", "fwdopt=pipe", "pipefwd=bin/run"]),
        ("add_forwarder", &["domain=runner.test", "email=b", "fwdopt=fwd", "fwdemail=|/bin/run"]),
        ("add_forwarder", &["domain=runner.test", "email=c", "fwdopt=fwd", "fwdemail=:include:/home/runner/list"]),
        ("set_default_address", &["domain=runner.test", "fwdopt=pipe", "pipefwd=bin/run"]),
        (
            "store_filter",
            &[
                "account=",
                "filtername=f",
                "action1=pipe",
                "dest1=/bin/run",
                "match1=is",
                "part1=$header_from:",
                "val1=x",
                "opt1=or",
            ],
        ),
        ("add_forwarder", &["domain=runner.test", "email=d", "fwdopt= PIPE ", "pipefwd=x"]),
    ];
    let files = "cat /etc/valiases/runner.test /etc/vfilters/runner.test /home/runner/etc/runner.test/*/filter /home/runner/.filter 2>/dev/null | sha256sum";
    let (here, there) = (lab.sh("parent", files), lab.sh("mail1", files));
    for (function, arguments) in forms {
        let said = lab.our_uapi("parent", "runner", "Email", function, arguments);
        assert!(said["status"] == 0 && said["errors"].to_string().contains("program"), "{function} {arguments:?}: {said}");
        let mut data: Vec<&str> = Vec::new();
        for argument in arguments {
            data.extend(["--data-urlencode", argument]);
        }
        let flat = format!("https://parent.lab.test:2083/execute/Email/{function}");
        let wrapped = format!(
            "https://parent.lab.test:2087/json-api/cpanel?cpanel_jsonapi_user=runner&cpanel_jsonapi_apiversion=3&cpanel_jsonapi_module=Email&cpanel_jsonapi_func={function}"
        );
        let through = format!(
            "https://parent.lab.test:2087/json-api/uapi_cpanel?api.version=1&cpanel.user=runner&cpanel.module=Email&cpanel.function={function}"
        );
        for (proof, url) in [(["-u", &basic], &flat), (["-H", &header], &wrapped), (["-H", &header], &through)] {
            let mut words = proof.to_vec();
            words.extend(data.iter());
            words.push(url);
            let (_, body) = curl(lab, &words);
            assert!(body.contains("\"status\":0") && body.contains("program"), "{url} {arguments:?}: {body}");
        }
    }
    let batch = "uapi_cpanel?cpanel.user=runner&cpanel.module=Email&cpanel.function=add_forwarder&domain=runner.test&email=e&fwdopt=pipe&pipefwd=x";
    let (_, body) = curl(
        lab,
        &[
            "-H",
            &header,
            "https://parent.lab.test:2087/json-api/batch?api.version=1",
            "--data-urlencode",
            &format!("command={batch}"),
        ],
    );
    assert!(body.contains("program"), "{body}");
    let api2 = "https://parent.lab.test:2083/json-api/cpanel?cpanel_jsonapi_apiversion=2&cpanel_jsonapi_module=Email&cpanel_jsonapi_func=addforward&domain=runner.test&email=g&fwdopt=pipe&pipefwd=x";
    let (_, body) = curl(lab, &["-u", &basic, api2]);
    assert!(body.contains("error") && !body.contains("\"result\":1"), "{body}");
    assert_eq!((lab.sh("parent", files), lab.sh("mail1", files)), (here, there), "something was set up");
}

/// A profile that would break links is refused, with what depends on the present one; made past us, it is named.
pub fn profiles() {
    let lab = lab();
    lab.createacct("profi", &["mail_node_alias=mail2"]);
    let profile = |node: &str| lab.whmapi1(node, "get_current_profile", &[])["data"]["code"].clone();
    let (parents, childs) = (profile("parent"), profile("mail2"));
    let said = lab.our_whmapi1("parent", "start_profile_activation", &["code=MAILNODE"]);
    refused(&said, "mail2", "a parent stays Standard");
    let token = lab.token("parent", "tests");
    let (_, body) = curl(
        lab,
        &[
            "-H",
            &format!("Authorization: whm root:{token}"),
            "https://parent.lab.test:2087/json-api/start_profile_activation?api.version=1&code=DNSNODE",
        ],
    );
    refused(&serde_json::from_str(&body).expect("JSON"), "Dedistribute the accounts", "through the shim");
    refused(
        &lab.our_whmapi1("mail2", "start_profile_activation", &["code=DATABASENODE"]),
        "is a child of “parent.lab.test”",
        "a child stays Mail or Standard",
    );
    assert_eq!((profile("parent"), profile("mail2")), (parents, childs), "a profile changed");

    // WHM's own page cannot be stopped: the trouble is named where people look.
    for node in ["parent", "mail2"] {
        lab.sh(
            node,
            "cp /var/cpanel/server_profile.json /root/profile; echo '{\"code\":\"DNSNODE\"}' > /var/cpanel/server_profile.json",
        );
    }
    let trouble = look(lab, "mail2")["trouble"].clone();
    let told: Vec<Value> =
        ["parent", "mail2"].iter().map(|node| lab.product_json(node, &["status", "--json"])["troubles"].clone()).collect();
    let doctor = lab.product("parent", &["doctor"]);
    for node in ["parent", "mail2"] {
        lab.sh(node, "cp /root/profile /var/cpanel/server_profile.json");
    }
    assert!(trouble.as_str().is_some_and(|why| why.contains("DNSNODE")), "{trouble}");
    assert!(told[0].to_string().contains("activate Standard") && told[1].to_string().contains("parent.lab.test"), "{told:?}");
    assert!(String::from_utf8_lossy(&doctor.stdout).contains("activate Standard"), "{doctor:?}");
    lab.until("mail2 is well again", Duration::from_secs(30), || look(lab, "mail2")["trouble"].is_null());
}
