//! Every function's reply against what is published of it: `contracts/uapi.json`, made from the UAPI specification. Shapes are as in
//! [`crate::cpsrvd::whm::conformance`]. Three members are as the specification's own examples show them where its schema says
//! otherwise: `DomainInfo`'s `main_domain`, `customlog` and `scriptalias`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::functions::FUNCTIONS;
use crate::call::{Args, Caller};
use crate::cpsrvd::whm::conformance::differences;
use crate::machine::create::NewAccount;
use crate::machine::{Machine, scratch};

/// Members only some replies have: ActiveSync is not offered, and `select` stands beside the one domain asked for.
const SOMETIMES: &[&str] =
    &["activesync_host", "activesync_port", "activesync_username", "select", "is_https_redirecting", "phpopenbasedirprotect"];

/// Calls that make every function succeed, in an order in which they can. `{…}` takes a value of an earlier reply.
const CALLS: &[(&str, &str)] = &[
    ("Email::add_pop", "email=ann&domain=alice.example&password=Wonderland-7-rabbits&quota=100"),
    ("Email::add_pop", "email=bob@alice.example&password_hash=$6$salt$0123456789abcdef&quota=10"),
    ("Email::list_pops", ""),
    ("Email::list_pops_with_disk", ""),
    ("Email::count_pops", ""),
    ("Email::passwd_pop", "email=ann@alice.example&password=Wonderland-8-rabbits"),
    ("Email::verify_password", "email=ann@alice.example&password=Wonderland-8-rabbits"),
    ("Email::edit_pop_quota", "email=ann&domain=alice.example&quota=200"),
    ("Email::get_pop_quota", "email=ann&domain=alice.example&as_bytes=1"),
    ("Email::get_disk_usage", "user=ann&domain=alice.example"),
    ("Email::get_main_account_disk_usage", ""),
    ("Email::get_main_account_disk_usage_bytes", ""),
    ("Email::account_name", "account=ann@alice.example"),
    ("Email::get_client_settings", "account=ann@alice.example"),
    ("Email::list_mail_domains", "select=alice.example"),
    ("Email::add_list", "list=news&domain=alice.example&password=Wonderland-7-rabbits&private=1"),
    ("Email::list_lists", ""),
    ("Email::count_lists", ""),
    ("Email::passwd_list", "list=news@alice.example&password=Wonderland-8-rabbits"),
    ("Email::set_list_privacy_options", "list=news@alice.example&advertised=1&archive_private=0&subscribe_policy=1"),
    ("Email::delete_list", "list=news_alice.example"),
    ("Email::add_forwarder", "domain=alice.example&email=sales&fwdopt=fwd&fwdemail=x@example.com"),
    ("Email::list_forwarders", "domain=alice.example"),
    ("Email::count_forwarders", ""),
    ("Email::delete_forwarder", "address=sales@alice.example&forwarder=x@example.com"),
    ("Email::set_default_address", "domain=alice.example&fwdopt=blackhole"),
    ("Email::list_default_address", "user=alice"),
    (
        "Email::add_auto_responder",
        "email=ann&domain=alice.example&from=Ann&subject=Away&body=x&interval=24&is_html=0&start=100&stop=200",
    ),
    ("Email::get_auto_responder", "email=ann@alice.example"),
    ("Email::list_auto_responders", "domain=alice.example"),
    ("Email::count_auto_responders", ""),
    ("Email::delete_auto_responder", "email=ann@alice.example"),
    (
        "Email::store_filter",
        "account=ann@alice.example&filtername=f&part1=$header_subject:&match1=contains&val1=x&action1=deliver&dest1=b@c.example",
    ),
    ("Email::list_filters", "account=ann@alice.example"),
    ("Email::get_filter", "account=ann@alice.example&filtername=f"),
    ("Email::count_filters", ""),
    ("Email::disable_filter", "account=ann@alice.example&filtername=f"),
    ("Email::enable_filter", "account=ann@alice.example&filtername=f"),
    ("Email::reorder_filters", "mailbox=ann@alice.example&filter1=f"),
    ("Email::delete_filter", "account=ann@alice.example&filtername=f"),
    ("Email::suspend_login", "email=ann@alice.example"),
    ("Email::unsuspend_login", "email=ann@alice.example"),
    ("Email::suspend_incoming", "email=ann@alice.example"),
    ("Email::unsuspend_incoming", "email=ann@alice.example"),
    ("Email::terminate_mailbox_sessions", ""),
    ("SSL::install_ssl", "domain=alice.example&cert={crt}&key={key}&cabundle={cab}"),
    ("SubDomain::addsubdomain", "domain=shop&rootdomain=alice.example&dir=public_html/shop"),
    ("SubDomain::listsubdomains", "return_https_redirect_status=1"),
    ("AddonDomain::addaddondomain", "newdomain=more.example&subdomain=more"),
    ("AddonDomain::listaddondomains", "return_https_redirect_status=1"),
    ("Park::park", "domain=alias.example"),
    ("Park::listparkeddomains", "return_https_redirect_status=1"),
    ("DomainInfo::list_domains", ""),
    ("DomainInfo::domains_data", "return_https_redirects_status=1"),
    ("DomainInfo::single_domain_data", "domain=more.example&return_https_redirect_status=1"),
    ("Park::unpark", "domain=alias.example"),
    ("AddonDomain::deladdondomain", "domain=more.example&subdomain=more.alice.example"),
    ("SubDomain::delsubdomain", "domain=shop.alice.example"),
    ("DNS::parse_zone", "zone=alice.example"),
    ("DNS::mass_edit_zone", "zone=alice.example&serial={serial}&add={record}"),
    ("DomainInfo::list_domains", ""),
    ("DomainInfo::domains_data", "return_https_redirects_status=1"),
    ("DomainInfo::single_domain_data", "domain=alice.example&return_https_redirect_status=1"),
    ("DomainInfo::main_domain_builtin_subdomain_aliases", ""),
    ("PasswdStrength::get_required_strength", "app=pop"),
    ("UserManager::change_password", "oldpass=Looking-4-a-glass&newpass=Wonderland-7-rabbits"),
    ("Users::change_password", "oldpass=Wonderland-7-rabbits&newpass=Looking-4-a-glass"),
    ("Quota::get_local_quota_info", ""),
    ("Quota::get_quota_info", ""),
    ("Session::create_webmail_session_for_mail_user", "login=ann&domain=alice.example"),
    (
        "Session::create_webmail_session_for_mail_user_check_password",
        "login=ann&domain=alice.example&password=Wonderland-8-rabbits",
    ),
    ("Session::create_webmail_session_for_self", ""),
    ("Tokens::create_full_access", "name=one"),
    ("Tokens::list", ""),
    ("Tokens::rename", "name=one&new_name=two"),
    ("Tokens::revoke", "name=two"),
    ("Variables::get_user_information", ""),
    ("Email::delete_pop", "email=ann@alice.example"),
];

/// Functions that need running daemons: their replies are tested where they are made.
const LIVE: &[&str] = &["Mailboxes::get_mailbox_status_list"];

fn furnished() -> (tempfile::TempDir, Machine) {
    let (folder, machine) = scratch::machine();
    let key = rcgen::KeyPair::generate().unwrap();
    let mut parameters = rcgen::CertificateParams::new(Vec::<String>::new()).unwrap();
    parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca = parameters.self_signed(&key).unwrap();
    for (file, text) in [("ca.pem", ca.pem()), ("ca.key", key.serialize_pem())] {
        crate::machine::files::replace(&machine.path(&format!("/var/cpanel/lab/ca/{file}")), text.as_bytes(), 0o600).unwrap();
    }
    for (user, domain) in [("alice", "alice.example"), ("carol", "carol.example")] {
        machine
            .create_account(&NewAccount {
                user: user.into(),
                domain: domain.into(),
                password: "Looking-4-a-glass".into(),
                ..NewAccount::default()
            })
            .unwrap();
    }
    (folder, machine)
}

fn arguments(query: &str) -> Args {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    Args(pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect())
}

fn alice(mailbox: Option<&str>) -> Caller {
    Caller { user: "alice".into(), mailbox: mailbox.map(str::to_owned), acls: Vec::new() }
}

fn call(machine: &Machine, caller: &Caller, name: &str, query: &str) -> crate::call::Reply {
    let (module, function) = name.split_once("::").unwrap();
    super::call(machine, caller, module, function, &arguments(query))
}

#[test]
fn every_reply_is_as_published() {
    let (_folder, machine) = furnished();
    let contracts: BTreeMap<String, Value> = serde_json::from_str(include_str!("../../contracts/uapi.json")).unwrap();
    let mut called = BTreeSet::new();
    for (name, query) in CALLS {
        let serial = crate::machine::zonefile::serial(&machine.zone_text("alice.example").unwrap(), "alice.example").unwrap();
        let record = json!({"dname": "x", "ttl": 300, "record_type": "A", "data": ["10.0.0.1"]}).to_string();
        let query = query.replace("{serial}", &serial.to_string()).replace("{record}", &record);
        let installed = machine.certificate("alice.example").unwrap();
        let query = query.replace("{crt}", &installed.crt).replace("{key}", &installed.key).replace("{cab}", &installed.cab);
        let outcome = call(&machine, &alice(None), name, &query).unwrap_or_else(|failure| panic!("{name}: {failure}"));
        let contract = contracts.get(*name).unwrap_or_else(|| panic!("{name} has no contract"));
        for (argument, _) in &arguments(&query).0 {
            let plain = argument.trim_end_matches(|c: char| c.is_ascii_digit());
            let known = contract["arguments"].as_array().unwrap().iter().any(|known| {
                let known = known.as_str().unwrap().trim_end_matches('?');
                known == argument || known == format!("{plain}*")
            });
            assert!(known, "{name} has no argument {argument}");
        }
        let mut found = Vec::new();
        differences(&contract["data"], &outcome.data, name, &mut found);
        found.retain(|line| !SOMETIMES.iter().any(|name| line.ends_with(&format!(".{name} is missing"))));
        assert!(found.is_empty(), "{found:#?}");
        called.insert(*name);
    }
    let all: BTreeSet<String> = FUNCTIONS.iter().map(super::functions::Function::full_name).collect();
    let tested: BTreeSet<String> = called.iter().chain(LIVE).map(|name| (*name).to_owned()).collect();
    assert_eq!(all, tested);
    assert_eq!(all, contracts.into_keys().collect());
}

#[test]
fn a_mailbox_reaches_only_itself() {
    let (_folder, machine) = furnished();
    for local in ["ann", "bob"] {
        call(&machine, &alice(None), "Email::add_pop", &format!("email={local}&password=Wonderland-7-rabbits")).unwrap();
    }
    let ann = alice(Some("ann@alice.example"));
    let may = |name: &str, query: &str| call(&machine, &ann, name, query).is_ok();
    assert!(may("Email::passwd_pop", "email=ann&domain=alice.example&password=Wonderland-8-rabbits"));
    assert!(may("Email::passwd_pop", "password=Wonderland-9-rabbits"));
    assert!(!may("Email::passwd_pop", "email=bob&domain=alice.example&password=Wonderland-8-rabbits"));
    assert!(!may("Email::passwd_pop", "email=bob@alice.example&password=Wonderland-8-rabbits"));
    assert!(!may("Email::passwd_pop", "email=ann&email=bob@carol.example&domain=carol.example&password=Wonderland-8-rabbits"));
    let filter = "filtername=f&part1=$header_subject:&match1=is&val1=x&action1=finish";
    assert!(may("Email::store_filter", filter));
    assert!(!may("Email::store_filter", &format!("account=bob@alice.example&{filter}")));
    assert!(!may("Email::store_filter", &format!("account=alice&{filter}")));
    assert!(!may("Email::store_filter", &format!("account=ann@alice.example&account=alice&{filter}")));
    for name in ["Email::list_pops", "Email::add_pop", "Tokens::list", "Quota::get_quota_info", "DNS::parse_zone"] {
        assert!(!may(name, "email=x&password=Wonderland-8-rabbits&zone=alice.example"), "{name}");
    }
    call(&machine, &alice(None), "Email::add_forwarder", "domain=alice.example&email=bob&fwdopt=blackhole").unwrap();
    assert_eq!(call(&machine, &ann, "Email::list_forwarders", "domain=alice.example").unwrap().data, json!([]));
}

#[test]
fn what_is_anothers_is_refused_and_nothing_changes() {
    let (_folder, machine) = furnished();
    let refused = |name: &str, query: &str| call(&machine, &alice(None), name, query).unwrap_err().reason;
    let strong = "password=Wonderland-7-rabbits";
    assert!(refused("Email::add_pop", &format!("email=x&domain=carol.example&{strong}")).contains("carol.example"));
    assert!(refused("Email::add_pop", "email=x&password=abc").contains("too weak"));
    assert!(refused("Email::add_pop", &format!("email=../x&{strong}")).contains("not a valid"));
    assert!(refused("Email::add_pop", &format!("email=x&{strong}&quota=-1")).contains("quota"));
    assert!(refused("Email::delete_pop", "email=nobody").contains("nobody@alice.example"));
    refused("Email::add_forwarder", "domain=alice.example&email=x&fwdopt=system&fwdsystem=root");
    refused("Email::add_forwarder", "domain=alice.example&email=x&fwdopt=fail&failmsgs=a%0a*: root\n*: root");
    refused("Email::set_default_address", "domain=carol.example&fwdopt=blackhole");
    refused("DNS::parse_zone", "zone=carol.example");
    assert!(refused("Nothing::here", "").contains("“Nothing”"));
    assert!(refused("Email::no_such", "").contains("“no_such”"));
    assert_eq!(call(&machine, &alice(None), "Email::list_pops", "skip_main=1").unwrap().data, json!([]));
    assert_eq!(std::fs::read_to_string(machine.path("/etc/valiases/alice.example")).unwrap(), "*: alice\n");
}

#[test]
fn hooks_before_a_function_can_veto_it_and_hooks_after_see_its_reply() {
    use std::os::unix::fs::PermissionsExt;
    let (folder, machine) = furnished();
    let script = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let seen = folder.path().join("seen");
    let hook = |stage: &str, command: String| {
        let hook = json!({"stage": stage, "hook": command, "blocking": true, "escalateprivs": true});
        let hook = serde_json::from_value(hook).unwrap();
        crate::hooks::registry::add(&machine, "Cpanel", "UAPI::Email::add_pop", hook).unwrap();
    };
    hook("post", script("post", &format!("cat > {}; echo '1 ok'", seen.display())));
    let add = || call(&machine, &alice(None), "Email::add_pop", "email=ann&password=Wonderland-7-rabbits");
    add().unwrap();
    let said: Value = serde_json::from_str(&std::fs::read_to_string(&seen).unwrap()).unwrap();
    assert_eq!(said["data"]["user"], "alice");
    assert_eq!(said["data"]["args"]["email"], "ann");
    assert_eq!(said["data"]["output"], "ann+alice.example");
    std::fs::remove_file(&seen).unwrap();
    assert!(add().is_err());
    assert!(!seen.exists(), "a failed call has no hook after it");
    hook("pre", script("pre", "echo '0 BAILOUT moved to another server'"));
    let veto = call(&machine, &alice(None), "Email::add_pop", "email=bob&password=Wonderland-7-rabbits").unwrap_err();
    assert_eq!(veto.reason, "moved to another server");
}

#[test]
fn password_strengths_are_asked_for_by_application() {
    let (_folder, machine) = furnished();
    let set = |asked: &str| {
        let args = arguments(asked);
        crate::cpsrvd::whm::call(&machine, &Caller::root(), "setminimumpasswordstrengths", &args).unwrap();
    };
    let needs = |app: &str| {
        let told = call(&machine, &alice(None), "PasswdStrength::get_required_strength", &format!("app={app}"));
        told.unwrap().data["strength"].as_u64().unwrap()
    };
    set("default=20&virtual=90&list=0&passwd=89");
    assert_eq!(["pop", "webdisk", "list", "passwd", "mysql"].map(needs), [90, 90, 0, 89, 20]);
    let pop = |password: &str| call(&machine, &alice(None), "Email::add_pop", &format!("email=ann&password={password}"));
    assert!(pop("Wonder-7").unwrap_err().reason.contains("required rating of 90"));
    pop("Wonderland-7-rabbits").unwrap();
    call(&machine, &alice(None), "Email::add_list", "list=news&domain=alice.example&password=a").unwrap();
    set("list=95");
    let refused = call(&machine, &alice(None), "Email::passwd_list", "list=news@alice.example&password=Wonder-7");
    assert!(refused.unwrap_err().reason.contains("required rating of 95"));
    let asked = arguments("user=alice&password=Wonder-7");
    let refused = crate::cpsrvd::whm::call(&machine, &Caller::root(), "passwd", &asked);
    let Err(crate::cpsrvd::whm::Refusal::Failed(failure)) = refused else { panic!("{refused:?}") };
    assert!(failure.reason.contains("required rating of 89"), "{failure}");
}

#[test]
fn lists_follow_their_domain_and_go_with_it() {
    let (_folder, machine) = furnished();
    let add = |list: &str| {
        let asked = format!("list={list}&domain=alice.example&password=Wonderland-7-rabbits");
        call(&machine, &alice(None), "Email::add_list", &asked)
    };
    machine.edit_account("alice", |account| account.set("MAXLST", "1")).unwrap();
    add("news").unwrap();
    assert!(add("more").unwrap_err().reason.contains("maximum number of mailing lists"));
    machine.change_main_domain("alice", "wonder.example").unwrap();
    let listed = call(&machine, &alice(None), "Email::list_lists", "").unwrap().data;
    assert_eq!((&listed[0]["list"], &listed[0]["listid"]), (&json!("news@wonder.example"), &json!("news_wonder.example")));
    machine.remove_account("alice", false).unwrap();
    let left = std::fs::read_dir(machine.path("/usr/local/cpanel/3rdparty/mailman/lists")).unwrap().count();
    assert_eq!(left, 0);
}

#[test]
fn an_account_changes_its_password_by_knowing_it_and_hooks_are_told() {
    use std::os::unix::fs::PermissionsExt;
    let (folder, machine) = furnished();
    let (script, seen) = (folder.path().join("hook"), folder.path().join("seen"));
    let text = format!("#!/bin/sh\ncat >> {}; echo >> {}; echo '1 ok'\n", seen.display(), seen.display());
    std::fs::write(&script, text).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    for stage in ["pre", "post"] {
        let hook = serde_json::from_value(json!({"stage": stage, "hook": format!("{} {stage}", script.display())})).unwrap();
        crate::hooks::registry::add(&machine, "Passwd", "ChangePasswd", hook).unwrap();
    }
    let change = |old: &str| {
        let asked = format!("oldpass={old}&newpass=Wonderland-7-rabbits");
        call(&machine, &alice(None), "UserManager::change_password", &asked)
    };
    assert!(change("Wrong-7-rabbits").is_err() && !seen.exists());
    change("Looking-4-a-glass").unwrap();
    let told = std::fs::read_to_string(&seen).unwrap();
    let told: Vec<Value> = told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(told.iter().map(|event| &event["context"]["stage"]).collect::<Vec<_>>(), ["pre", "post"]);
    assert!(told.iter().all(|event| event["data"]["user"] == "alice"));
    assert!(crate::machine::passwords::verify("Wonderland-7-rabbits", &machine.shadow_hash("alice").unwrap()));
}
