//! A child answers nobody but its parent.

use crate::api::curl;
use crate::lab::{PASSWORD, lab};
use serde_json::Value;

/// Acceptance 3, on the child: the refusal in each caller's own envelope, with the parent's name.
pub fn refuses_in_every_envelope() {
    let lab = lab();
    lab.createacct("guarded", &["mail_node_alias=mail1"]);
    let token = lab.token("mail1", "intruder");
    let header = format!("Authorization: whm root:{token}");
    let basic = format!("guarded:{PASSWORD}");
    let child = "https://mail1.lab.test";
    let parsed = |body: &str| -> Value { serde_json::from_str(body).unwrap_or_else(|_| panic!("no JSON: {body}")) };

    // UAPI over /execute: flat.
    let (status, body) = curl(lab, &["-u", &basic, &format!("{child}:2083/execute/Email/list_pops")]);
    let flat = parsed(&body);
    assert_eq!((status, &flat["status"], &flat["data"]), (200, &0.into(), &Value::Null), "{body}");
    assert!(flat["errors"][0].as_str().expect("an error").contains("parent.lab.test"), "{body}");
    // Wrapped.
    let url = format!(
        "{child}:2083/json-api/cpanel?cpanel_jsonapi_apiversion=3&cpanel_jsonapi_module=Email&cpanel_jsonapi_func=list_pops"
    );
    let wrapped = parsed(&curl(lab, &["-u", &basic, &url]).1);
    assert_eq!(wrapped["result"]["status"], 0, "{wrapped}");
    // API 2.
    let url = format!(
        "{child}:2083/json-api/cpanel?cpanel_jsonapi_apiversion=2&cpanel_jsonapi_module=Email&cpanel_jsonapi_func=listpops"
    );
    let api2 = parsed(&curl(lab, &["-u", &basic, &url]).1);
    assert!(api2["cpanelresult"]["error"].as_str().expect("an error").contains("parent.lab.test"), "{api2}");
    // WHM, by a root token that is not the parent's.
    for query in [
        "uapi_cpanel?api.version=1&cpanel.user=guarded&cpanel.module=Email&cpanel.function=list_pops",
        "suspendacct?api.version=1&user=guarded",
        "removeacct?api.version=1&username=guarded",
        "accountsummary?api.version=1&domain=guarded.test",
        "batch?api.version=1&command=suspendacct%3Fuser%3Dguarded",
        "%73uspendacct?api.version=1&user=guarded",
    ] {
        let (status, body) = curl(lab, &["-H", &header, &format!("{child}:2087/json-api/{query}")]);
        let whm = parsed(&body);
        assert_eq!((status, &whm["metadata"]["result"]), (200, &0.into()), "{query}: {body}");
        assert!(whm["metadata"]["reason"].as_str().expect("a reason").contains("parent.lab.test"), "{query}: {body}");
    }
    let (_, xml) = curl(lab, &["-H", &header, &format!("{child}:2087/xml-api/suspendacct?api.version=1&user=guarded")]);
    assert!(xml.contains("<result>0</result>") && xml.contains("parent.lab.test"), "{xml}");
    let (_, v0) = curl(lab, &["-H", &header, &format!("{child}:2087/json-api/suspendacct?user=guarded")]);
    assert_eq!(parsed(&v0)["result"][0]["status"], 0, "{v0}");
    // The product's own command line on the child, in the style of `uapi`.
    let own = lab.our_uapi("mail1", "guarded", "Email", "list_pops", &[]);
    assert_eq!(own["status"], 0, "{own}");
    assert!(own["errors"][0].as_str().expect("an error").contains("parent.lab.test"), "{own}");
    // A login.
    let words =
        ["-d", "user=guarded", "--data-urlencode", &format!("pass={PASSWORD}"), &format!("{child}:2083/login/?login_only=1")];
    let (status, body) = curl(lab, &words);
    assert!(status == 403 && body.contains("parent.lab.test"), "{status} {body}");
    // None of it happened.
    let summary = lab.whmapi1("mail1", "accountsummary", &["user=guarded"]);
    assert_eq!(summary["data"]["acct"][0]["suspended"], 0, "{summary}");
}

/// What must not be in the way.
pub fn lets_through() {
    let lab = lab();
    let token = lab.token("mail2", "helper");
    let header = format!("Authorization: whm root:{token}");
    let (status, body) = curl(lab, &["-H", &header, "https://mail2.lab.test:2087/json-api/version?api.version=1"]);
    assert!(status == 200 && body.contains("11.138.0.19"), "{body}");
    // An account of the child's own is root's to manage there.
    lab.whmapi1("mail2", "createacct", &["username=own", "domain=own.test", &format!("password={PASSWORD}")]);
    let (_, body) = curl(lab, &["-H", &header, "https://mail2.lab.test:2087/json-api/suspendacct?api.version=1&user=own"]);
    assert!(body.contains("\"result\":1"), "{body}");
    let (status, _) = curl(lab, &["https://mail2.lab.test:2096/"]);
    assert!(status < 500 && status != 403, "webmail answers: {status}");
    lab.whmapi1("mail2", "removeacct", &["username=own"]);
    // The parent's own calls pass: the health check is made of them.
    lab.product_json("parent", &["node", "status", "mail2", "--json"]);
}
