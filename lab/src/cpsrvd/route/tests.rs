use http_body_util::BodyExt;
use hyper::Request;

use super::*;
use crate::machine::scratch;
use crate::machine::tokens::{Service as TokenService, Wish};

const PASSWORD: &str = "Wonderland-7-rabbits";

fn ask(
    machine: &Machine,
    service: Service,
    method: &str,
    uri: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> (StatusCode, hyper::HeaderMap, String) {
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let (parts, ()) = request.body(()).unwrap().into_parts();
    let peer = "10.77.0.200".parse().unwrap();
    let answered = answer(machine, &Asked { service, peer, parts, body: Bytes::from(body.to_owned()) });
    let Answered::Page(answered) = answered else { panic!("{uri} is a program") };
    let (head, body) = answered.into_parts();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let bytes = runtime.block_on(body.collect()).unwrap().to_bytes();
    (head.status, head.headers, String::from_utf8(bytes.to_vec()).unwrap())
}

fn root_token(machine: &Machine) -> String {
    let wish = Wish { name: "t".into(), ..Wish::default() };
    let (secret, _) = machine.create_token(TokenService::Whostmgr, "root", &wish).unwrap();
    format!("whm root:{secret}")
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn with_account(machine: &Machine) -> String {
    let token = root_token(machine);
    let body = format!("api.version=1&username=alice&domain=alice.example&password={PASSWORD}");
    let (status, _, text) = ask(machine, Service::Whostmgrd, "POST", "/json-api/createacct", &[("authorization", &token)], &body);
    assert_eq!(status, StatusCode::OK);
    assert_eq!(json(&text)["metadata"]["reason"], "Account Creation Ok");
    token
}

#[test]
fn strangers_are_denied_in_cpanels_words() {
    let (_folder, machine) = scratch::machine();
    let asked =
        ask(&machine, Service::Whostmgrd, "GET", "/json-api/version?api.version=1", &[("authorization", "whm root:NOPE")], "");
    assert_eq!(asked.0, StatusCode::FORBIDDEN);
    assert_eq!(asked.1["content-type"], "text/plain; charset=\"utf-8\"");
    assert_eq!(json(&asked.2)["cpanelresult"]["error"], "Access denied");
    let page = ask(&machine, Service::Whostmgrd, "GET", "/", &[], "");
    assert_eq!(page.0, StatusCode::UNAUTHORIZED);
}

#[test]
fn one_function_answers_in_versions_one_and_zero_and_in_xml() {
    let (_folder, machine) = scratch::machine();
    let token = with_account(&machine);
    let whm = |uri: &str| ask(&machine, Service::Whostmgrd, "GET", uri, &[("authorization", &token)], "").2;
    let one = json(&whm("/json-api/listaccts?api.version=1"));
    assert_eq!(one["data"]["acct"][0]["user"], "alice");
    let zero = json(&whm("/json-api/listaccts"));
    assert_eq!((&zero["status"], &zero["acct"][0]["domain"]), (&json!(1), &json!("alice.example")));
    assert!(whm("/xml-api/version?api.version=1").contains("<result><data><version>"));
    assert_eq!(json(&whm("//json-api/./%76ersion?api.version=1"))["metadata"]["command"], "version");
    assert_eq!(json(&whm("/json-api/get_linked_server_node?api.version=1"))["metadata"]["result"], 0);
    let unversioned = json(&whm("/json-api/api_token_create?token_name=x"));
    assert_eq!((&unversioned["status"], unversioned.get("metadata")), (&json!(0), None));
    assert_eq!(machine.tokens(TokenService::Whostmgr, "root").unwrap().len(), 1);
}

#[test]
fn a_login_gives_a_session_that_needs_its_prefix() {
    let (_folder, machine) = scratch::machine();
    with_account(&machine);
    let body = format!("user=alice&pass={PASSWORD}");
    let (status, headers, text) = ask(&machine, Service::Cpaneld, "POST", "/login/?login_only=1", &[], &body);
    assert_eq!(status, StatusCode::OK);
    let prefix = json(&text)["security_token"].as_str().unwrap().to_owned();
    let cookie = headers["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    let call = |uri: &str| ask(&machine, Service::Cpaneld, "GET", uri, &[("cookie", &cookie)], "");
    let (status, _, text) = call(&format!("{prefix}/execute/Email/list_pops"));
    assert_eq!((status, &json(&text)["status"]), (StatusCode::OK, &json!(1)));
    assert_eq!(call("/execute/Email/list_pops").0, StatusCode::FORBIDDEN);
    assert_eq!(call(&format!("{prefix}/logout/")).0, StatusCode::OK);
    assert_eq!(call(&format!("{prefix}/execute/Email/list_pops")).0, StatusCode::FORBIDDEN);
    let (status, _, text) = ask(&machine, Service::Cpaneld, "POST", "/login/?login_only=1", &[], "user=alice&pass=wrong");
    assert_eq!((status, &json(&text)["status"]), (StatusCode::UNAUTHORIZED, &json!(0)));
}

#[test]
fn a_made_session_signs_in_once() {
    let (_folder, machine) = scratch::machine();
    let token = with_account(&machine);
    let uri = "/json-api/create_user_session?api.version=1&user=alice&service=cpaneld";
    let made = json(&ask(&machine, Service::Whostmgrd, "GET", uri, &[("authorization", &token)], "").2);
    let url = made["data"]["url"].as_str().unwrap();
    let path = url.strip_prefix("https://node.lab.test:2083").unwrap();
    let (status, headers, _) = ask(&machine, Service::Cpaneld, "GET", path, &[], "");
    assert_eq!(status, StatusCode::MOVED_PERMANENTLY);
    let cookie = headers["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    let prefix = made["data"]["cp_security_token"].as_str().unwrap();
    let uri = format!("{prefix}/execute/Email/list_pops");
    assert_eq!(ask(&machine, Service::Cpaneld, "GET", &uri, &[("cookie", &cookie)], "").0, StatusCode::OK);
    assert_eq!(ask(&machine, Service::Cpaneld, "GET", path, &[], "").0, StatusCode::UNAUTHORIZED);
}

#[test]
fn cpanel_functions_are_reached_through_whm() {
    let (_folder, machine) = scratch::machine();
    let token = with_account(&machine);
    let whm = |uri: &str| json(&ask(&machine, Service::Whostmgrd, "GET", uri, &[("authorization", &token)], "").2);
    let uapi = whm("/json-api/uapi_cpanel?api.version=1&cpanel.user=alice&cpanel.module=Email&cpanel.function=nonsense");
    assert_eq!((&uapi["metadata"]["result"], &uapi["data"]["uapi"]["status"]), (&json!(1), &json!(0)));
    let bare = whm(
        "/json-api/cpanel?cpanel_jsonapi_user=alice&cpanel_jsonapi_module=Email&cpanel_jsonapi_func=list_pops&cpanel_jsonapi_apiversion=3",
    );
    assert_eq!((&bare["apiversion"], &bare["result"]["status"]), (&json!(3), &json!(1)));
    let two = whm("/json-api/cpanel?cpanel_jsonapi_user=alice&cpanel_jsonapi_module=ZoneEdit&cpanel_jsonapi_func=x");
    assert_eq!(two["cpanelresult"]["event"]["result"], 0);
}
