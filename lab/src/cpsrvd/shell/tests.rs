use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::{HeaderMap, Request};

use super::*;
use crate::call::Caller;
use crate::cpsrvd::path::percent_encode;
use crate::cpsrvd::route;
use crate::cpsrvd::session::{self, Service};
use crate::cpsrvd::whm;
use crate::machine::extensions;
use crate::machine::scratch;

const PASSWORD: &str = "Wonderland-7-rabbits";

/// A browser on WHM's port.
struct Browser<'a> {
    machine: &'a Machine,
    cookie: String,
    prefix: String,
}

impl<'a> Browser<'a> {
    fn signed_in(machine: &'a Machine, user: &str) -> Self {
        let (name, made) = session::create(machine, user, None, Service::Whostmgrd, false, "").unwrap();
        let cookie = format!("whostmgrsession={}", percent_encode(&name));
        Self { machine, cookie, prefix: made.security_token }
    }

    fn raw(&self, method: &str, uri: &str, body: &str) -> (StatusCode, HeaderMap, String) {
        let request = Request::builder().method(method).uri(uri).header("cookie", &self.cookie);
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let peer = "10.77.0.200".parse().unwrap();
        let asked = Asked { service: Service::Whostmgrd, peer, parts, body: Bytes::from(body.to_owned()) };
        let Answered::Page(answer) = route::answer(self.machine, &asked) else { panic!("{uri} is a program") };
        let (head, body) = answer.into_parts();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let bytes = runtime.block_on(body.collect()).unwrap().to_bytes();
        (head.status, head.headers, String::from_utf8(bytes.to_vec()).unwrap())
    }

    fn get(&self, path: &str) -> (StatusCode, String) {
        let (status, _, text) = self.raw("GET", &format!("{}{path}", self.prefix), "");
        (status, text)
    }

    fn post(&self, path: &str, fields: &[(&str, &str)]) -> (StatusCode, String) {
        let body: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={}", percent_encode(value))).collect();
        let (status, _, text) = self.raw("POST", &format!("{}{path}", self.prefix), &body.join("&"));
        (status, text)
    }
}

fn extension(machine: &Machine) {
    let folder = machine.path(extensions::FOLDER);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("nodes"), "_NAME=Mail nodes\nmail_choice=auto\n").unwrap();
    std::fs::write(folder.join("nodes.tt2"), "<input name=\"mail_choice\" value=\"[% data.defaults.mail_choice | html %]\">")
        .unwrap();
}

fn account(machine: &Machine, user: &str, more: &[(&str, &str)]) {
    let domain = format!("{user}.example");
    let mut args = vec![("username", user), ("domain", &domain), ("password", PASSWORD)];
    args.extend(more);
    let args = Args(args.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect());
    whm::call(machine, &Caller::root(), "createacct", &args).unwrap();
}

#[test]
fn the_way_in_and_out() {
    let (_folder, machine) = scratch::machine();
    account(&machine, "rita", &[("reseller", "1")]);
    let mut browser = Browser { machine: &machine, cookie: String::new(), prefix: String::new() };
    let (status, _, text) = browser.raw("GET", "/", "");
    assert!(status == StatusCode::UNAUTHORIZED && text.contains("action=\"/login/\""), "{text}");
    let (status, _, text) = browser.raw("POST", "/login/", "user=rita&pass=wrong");
    assert!(status == StatusCode::UNAUTHORIZED && text.contains("The login is invalid."), "{text}");
    let (_, headers, _) = browser.raw("POST", "/login/", &format!("user=rita&pass={PASSWORD}"));
    browser.cookie = headers["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    browser.prefix = headers["location"].to_str().unwrap().trim_end_matches('/').to_owned();
    assert!(headers["set-cookie"].to_str().unwrap().contains("HttpOnly; Secure"));
    let (status, text) = browser.get("/");
    assert!(status == StatusCode::OK && text.contains("List Accounts"), "{text}");
    // Without the security token, or with another one, the cookie alone opens nothing.
    for path in ["/scripts4/listaccts", "/cpsess0000000000/scripts4/listaccts"] {
        let (status, _, text) = browser.raw("GET", path, "");
        assert!(status == StatusCode::UNAUTHORIZED && !text.contains("rita.example"), "{path}: {text}");
    }
    let (_, headers, _) = browser.raw("GET", &format!("{}/logout/", browser.prefix), "");
    assert!(headers["set-cookie"].to_str().unwrap().contains("1970"));
    assert_eq!(browser.get("/").0, StatusCode::UNAUTHORIZED);
}

#[test]
fn forms_carry_what_package_extensions_ask_for() {
    let (_folder, machine) = scratch::machine();
    extension(&machine);
    let browser = Browser::signed_in(&machine, "root");
    let (_, form) = browser.get("/scripts5/wwwacctform");
    assert!(form.contains("<legend>Mail nodes</legend>") && form.contains("name=\"mail_choice\" value=\"auto\""), "{form}");
    assert!(form.contains("name=\"_PACKAGE_EXTENSIONS\" value=\"nodes\""));
    let sent = [
        ("username", "alice"),
        ("domain", "alice.example"),
        ("password", PASSWORD),
        ("plan", "default"),
        ("mxcheck", "auto"),
        ("mail_choice", "mail1\"<"),
        ("_PACKAGE_EXTENSIONS", "nodes"),
    ];
    let (_, told) = browser.post("/scripts5/wwwacct", &sent);
    assert!(told.contains("Account Creation Ok"), "{told}");
    let account = machine.account("alice").unwrap();
    assert_eq!((account.get("mail_choice"), account.get("_PACKAGE_EXTENSIONS")), (Some("mail1\"<"), Some("nodes")));
    let (_, form) = browser.get("/scripts/edituser?user=alice");
    assert!(form.contains("value=\"mail1&quot;&lt;\""), "{form}");
    let sent = [
        ("user", "alice"),
        ("newuser", "alice"),
        ("DNS", "alice.example"),
        ("MAXPOP", "7"),
        ("mail_choice", "auto"),
        ("_PACKAGE_EXTENSIONS", "nodes"),
    ];
    let (_, told) = browser.post("/scripts/saveuser", &sent);
    assert!(told.contains("Account Modified"), "{told}");
    let account = machine.account("alice").unwrap();
    assert_eq!((account.get("mail_choice"), account.get("MAXPOP")), (Some("auto"), Some("7")));
    let (_, told) = browser
        .post("/scripts/addpkg", &[("name", "gold"), ("maxpop", "9"), ("mail_choice", "m"), ("_PACKAGE_EXTENSIONS", "nodes")]);
    assert!(told.contains("Created the package gold"), "{told}");
    let (_, form) = browser.get("/scripts/editpkgform?pkg=gold");
    assert!(form.contains("name=\"mail_choice\" value=\"m\"") && form.contains("value=\"9\""), "{form}");
    let sent = [("name", "gold"), ("maxpop", "8"), ("mail_choice", "n"), ("_PACKAGE_EXTENSIONS", "nodes")];
    let (_, told) = browser.post("/scripts/editpkg", &sent);
    assert!(told.contains("notice success"), "{told}");
    let package = machine.package("gold").unwrap().unwrap();
    assert_eq!((package.get("mail_choice"), package.get("MAXPOP")), (Some("n"), Some("8")));
    let (_, form) = browser.get("/scripts5/wwwacctform?plan=gold");
    assert!(form.contains("name=\"mail_choice\" value=\"n\""), "{form}");
}

#[test]
fn hooks_hear_what_a_form_sends() {
    use std::os::unix::fs::PermissionsExt;
    let (folder, machine) = scratch::machine();
    extension(&machine);
    let (seen, script) = (folder.path().join("seen"), folder.path().join("hook"));
    std::fs::write(&script, format!("#!/bin/sh\ncat >> {}\necho '1 ok'\n", seen.display())).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    for event in ["Accounts::Create", "Accounts::Modify"] {
        let hook = crate::hooks::registry::Hook {
            stage: "post".into(),
            hook: script.to_str().unwrap().into(),
            ..crate::hooks::registry::Hook::default()
        };
        crate::hooks::registry::add(&machine, "Whostmgr", event, hook).unwrap();
    }
    let browser = Browser::signed_in(&machine, "root");
    let base = [("username", "alice"), ("domain", "alice.example"), ("password", PASSWORD), ("_PACKAGE_EXTENSIONS", "nodes")];
    browser.post("/scripts5/wwwacct", &[&base[..], &[("mail_choice", "created-there")]].concat());
    browser.post("/scripts/saveuser", &[("user", "alice"), ("mail_choice", "moved-there"), ("_PACKAGE_EXTENSIONS", "nodes")]);
    let seen = std::fs::read_to_string(seen).unwrap();
    assert!(seen.contains("\"mail_choice\":\"created-there\"") && seen.contains("\"mail_choice\":\"moved-there\""), "{seen}");
}

#[test]
fn resellers_see_their_rights_and_their_accounts() {
    let (_folder, machine) = scratch::machine();
    account(&machine, "rita", &[("reseller", "1")]);
    account(&machine, "alice", &[]);
    account(&machine, "bob", &[("owner", "rita")]);
    machine.set_reseller("rita", Some(&["list-accts", "edit-account"])).unwrap();
    let browser = Browser::signed_in(&machine, "rita");
    let (_, home) = browser.get("/");
    assert!(home.contains("List Accounts") && !home.contains("Create a New Account"), "{home}");
    let (_, list) = browser.get("/scripts4/listaccts");
    assert!(list.contains("bob.example") && !list.contains("alice.example"), "{list}");
    assert_eq!(browser.get("/scripts5/wwwacctform").0, StatusCode::FORBIDDEN);
    assert_eq!(browser.post("/scripts5/wwwacct", &[("username", "eve")]).0, StatusCode::FORBIDDEN);
    let (_, told) = browser.get("/scripts/edituser?user=alice");
    assert!(told.contains("permission") && !told.contains("alice.example"), "{told}");
    let (_, told) = browser.post("/scripts/saveuser", &[("user", "alice"), ("MAXPOP", "0")]);
    assert!(told.contains("permission"), "{told}");
    let (_, form) = browser.get("/scripts/edituser?user=bob");
    assert!(form.contains("bob.example") && !form.contains("Account Owner"), "{form}");
}

#[test]
fn every_form_of_the_menu_opens() {
    let (_folder, machine) = scratch::machine();
    account(&machine, "alice", &[]);
    let browser = Browser::signed_in(&machine, "root");
    let (_, home) = browser.get("/");
    let links: Vec<&str> = home.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    let ours: Vec<&str> = links.iter().filter_map(|link| link.strip_prefix(browser.prefix.as_str())).collect();
    assert!(ours.len() > 10, "{links:?}");
    for path in ours.into_iter().filter(|path| path.contains("scripts")) {
        let (status, text) = browser.get(path);
        assert!(status == StatusCode::OK && text.contains("</main>"), "{path}: {text}");
    }
    let (_, told) = browser.post("/scripts/suspendacct", &[("user", "alice"), ("reason", "<late>")]);
    assert!(told.contains("has been suspended") || told.contains("Done."), "{told}");
    assert!(machine.account("alice").unwrap().is_suspended());
    browser.post("/scripts/unsuspendacct", &[("user", "alice")]);
    assert!(!machine.account("alice").unwrap().is_suspended());
    let (_, told) = browser.post("/scripts/killacct", &[("user", "alice")]);
    assert!(told.contains("Tick the box"), "{told}");
    browser.post("/scripts/killacct", &[("user", "alice"), ("verify", "1")]);
    assert!(machine.find_account("alice").unwrap().is_none());
}
