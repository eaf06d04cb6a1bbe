//! Every function's reply against what is published of it: `contracts/whm.json`, made from the WHM API 1 specification.
//!
//! A contract's `data` is a shape: `null` stands for anything, `[x]` for a list of `x`, an object for its members, where `*`
//! stands for any name and `…` for members the list leaves out; `{"|": [x, y]}` is one of several.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;
use crate::cpsrvd::body;
use crate::machine::scratch;

/// What the stand-in leaves out on purpose: it has no linked nodes.
const WITHOUT: &[&str] = &["child_nodes", "proxied_from"];

fn contracts() -> BTreeMap<String, Value> {
    serde_json::from_str(include_str!("../../../contracts/whm.json")).unwrap()
}

/// Where `data` is not of `shape`.
pub(crate) fn differences(shape: &Value, data: &Value, at: &str, out: &mut Vec<String>) {
    if let Some(Value::Array(choices)) = shape.get("|") {
        let found = choices.iter().map(|shape| {
            let mut found = Vec::new();
            differences(shape, data, at, &mut found);
            found
        });
        out.extend(found.min_by_key(Vec::len).into_iter().flatten());
        return;
    }
    match (shape, data) {
        (Value::Object(wanted), Value::Object(found)) => {
            let any = wanted.get("*");
            let open = any.is_some() || wanted.contains_key("…");
            for (name, shape) in wanted.iter().filter(|(name, _)| !["*", "…"].contains(&name.as_str())) {
                match found.get(name) {
                    Some(data) => differences(shape, data, &format!("{at}.{name}"), out),
                    None if WITHOUT.contains(&name.as_str()) => {}
                    None => out.push(format!("{at}.{name} is missing")),
                }
            }
            for (name, data) in found.iter().filter(|(name, _)| !wanted.contains_key(*name)) {
                match any {
                    Some(shape) => differences(shape, data, &format!("{at}.{name}"), out),
                    None if open => {}
                    None => out.push(format!("{at}.{name} is not published")),
                }
            }
        }
        (Value::Array(wanted), Value::Array(found)) => {
            for (index, data) in found.iter().enumerate() {
                differences(&wanted[0], data, &format!("{at}[{index}]"), out);
            }
        }
        // A list with nothing to say may be null.
        (Value::Null, _) | (Value::Array(_), Value::Null) => {}
        _ => out.push(format!("{at} is {data}")),
    }
}

/// Calls that make every function succeed, in an order in which they can. `{…}` takes a value of an earlier step.
const CALLS: &[(&str, &str)] = &[
    ("version", ""),
    ("gethostname", ""),
    ("applist", ""),
    ("myprivs", ""),
    ("createacct", "username=alice&domain=alice.example&password=Wonderland-7-rabbits&contactemail=a@b.example"),
    ("modifyacct", "user=alice&MAXPOP=5&contactemail=c@d.example"),
    ("massmodifyacct", "user=alice&MAXPOP=6"),
    ("suspendacct", "user=alice&reason=unpaid"),
    ("listsuspended", ""),
    ("unsuspendacct", "user=alice"),
    ("accountsummary", "user=alice"),
    ("listaccts", "search=alice&searchtype=domain"),
    ("passwd", "user=alice&password=Wonderland-8-rabbits"),
    ("addpkg", "name=big&quota=0"),
    ("listpkgs", ""),
    ("changepackage", "user=alice&pkg=big"),
    ("editpkg", "name=big&maxpop=7"),
    ("getpkginfo", "pkg=big"),
    ("addpkgext", "name=big&_PACKAGE_EXTENSIONS=nodes"),
    ("delpkgext", "name=big&_DELETE_EXTENSIONS=nodes"),
    ("killpkg", "pkgname=big"),
    ("editquota", "user=alice&quota=50"),
    ("limitbw", "user=alice&bwlimit=500"),
    ("get_featurelists", ""),
    ("create_featurelist", "featurelist=few"),
    ("update_featurelist", "featurelist=few&apitokens=0"),
    ("add_override_features_for_user", "user=alice&features={\"apitokens\":1}"),
    ("remove_override_features_for_user", "user=alice&features=[\"apitokens\"]"),
    ("verify_user_has_feature", "user=alice&feature=apitokens"),
    ("ipv6_range_add", "name=lab&range=2001:db8::/64"),
    ("ipv6_enable_account", "range=lab&user=alice"),
    ("ipv6_disable_account", "user=alice"),
    ("setupreseller", "user=alice"),
    ("saveacllist", "acllist=some&acl-list-accts=1"),
    ("listacls", ""),
    ("setacls", "reseller=alice&acl-list-accts=1"),
    ("listresellers", ""),
    ("acctcounts", "user=alice"),
    ("resellerstats", "user=root"),
    ("unsetupreseller", "user=alice"),
    ("api_token_create", "token_name=one"),
    ("api_token_list", ""),
    ("api_token_get_details", "token={token}"),
    ("api_token_update", "token_name=one&expires_at=4000000000"),
    ("api_token_revoke", "token_name=one"),
    ("create_user_session", "user=alice&service=cpaneld"),
    ("get_current_profile", ""),
    ("get_available_profiles", ""),
    ("start_profile_activation", "code=STANDARD"),
    ("is_role_enabled", "role=DNS"),
    ("servicestatus", ""),
    ("set_manual_mx_redirects", "domain=alice.example&mx_host=mail1.lab.test"),
    ("unset_manual_mx_redirects", "domain=alice.example"),
    ("set_service_proxy_backends", "username=alice&service_group=Mail&service_group_backend=mail1.lab.test"),
    ("get_service_proxy_backends", "username=alice"),
    ("unset_all_service_proxy_backends", "username=alice"),
    ("terminate_cpuser_mailbox_sessions", "username=alice"),
    ("modifyacct", "user=alice&MAXPARK=9&MAXADDON=9"),
    ("create_subdomain", "domain=shop.alice.example&document_root=public_html/shop"),
    ("create_parked_domain_for_user", "domain=alias.example&username=alice&web_vhost_domain=alice.example"),
    ("getdomainowner", "domain=alias.example"),
    ("get_domain_info", ""),
    ("delete_domain", "domain=alias.example"),
    ("parse_dns_zone", "zone=alice.example"),
    ("mass_edit_dns_zone", "zone=alice.example&serial={serial}"),
    ("dumpzone", "domain=alice.example"),
    ("ensure_dkim_keys_exist", "domain=alice.example"),
    ("fetch_dkim_private_keys", "domain=alice.example"),
    ("install_dkim_private_keys", "domain=alice.example&key={pem}"),
    ("fetch_ssl_certificates_for_fqdns", "domains=mail.alice.example"),
    ("installssl", "domain=alice.example&crt={crt}&key={key}&cab={cab}"),
    ("enqueue_deferred_ssl_installations", "username=alice&vhost_name=alice.example&crt={crt}&key={key}&cab={cab}"),
    ("start_autossl_check_for_one_user", "username=alice"),
    ("list_pops_for", "user=alice"),
    ("uapi_cpanel", "cpanel.user=alice&cpanel.module=Email&cpanel.function=list_pops"),
    ("cpanel", "cpanel_jsonapi_user=alice&cpanel_jsonapi_module=Email&cpanel_jsonapi_func=listpops"),
    ("batch", "command=version"),
    ("list_hooks", ""),
    ("edit_hook", "id={hook}&notes=x"),
    ("reorder_hooks", "ids={hook}"),
    ("delete_hook", "id={hook}"),
    ("get_appconfig_application_list", ""),
    ("getminimumpasswordstrengths", ""),
    ("setminimumpasswordstrengths", "passwd=70"),
    ("removeacct", "username=alice"),
];

/// A server with the lab's authority, one hook and one application.
fn furnished() -> (tempfile::TempDir, Machine, String) {
    let (folder, machine) = scratch::machine();
    let key = rcgen::KeyPair::generate().unwrap();
    let mut parameters = rcgen::CertificateParams::new(Vec::<String>::new()).unwrap();
    parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca = parameters.self_signed(&key).unwrap();
    for (file, text) in [("ca.pem", ca.pem()), ("ca.key", key.serialize_pem())] {
        crate::machine::files::replace(&machine.path(&format!("/var/cpanel/lab/ca/{file}")), text.as_bytes(), 0o600).unwrap();
    }
    let conf = "name=x\nservice=whostmgr\nurl=/cgi/x/\nacls=all\nuser=root\ndisplayname=X\nentryurl=x/index.cgi\n";
    crate::appconfig::register(&machine, &crate::appconfig::Application::parse(conf).unwrap()).unwrap();
    let hook = serde_json::from_value(json!({
        "hook": "/usr/bin/true", "stage": "post", "exectype": "script", "weight": 100, "id": "1",
    }));
    let hook = crate::hooks::registry::add(&machine, "Whostmgr", "Accounts::Create", hook.unwrap()).unwrap();
    (folder, machine, hook.id)
}

#[test]
fn every_reply_has_the_published_members() {
    let (_folder, machine, hook) = furnished();
    let contracts = contracts();
    let mut known: BTreeMap<&str, String> = BTreeMap::from([("hook", hook)]);
    let mut wrong: Vec<String> = Vec::new();
    for (name, asked) in CALLS {
        let asked = known.iter().fold((*asked).to_owned(), |text, (mark, value)| {
            text.replace(&format!("{{{mark}}}"), &crate::cpsrvd::path::percent_encode(value))
        });
        let args = Args(body::form(&asked));
        let contract = contracts.get(*name).unwrap_or_else(|| panic!("{name} has no contract"));
        // What is required is asked for.
        for required in contract["arguments"].as_array().unwrap().iter().filter_map(Value::as_str) {
            if required.ends_with('?') || !args.0.iter().any(|(given, _)| given == required) {
                continue;
            }
            let without = Args(args.0.iter().filter(|(given, _)| given != required).cloned().collect());
            if call(&machine, &Caller::root(), name, &without).is_ok() {
                wrong.push(format!("{name} succeeds without “{required}”"));
            }
        }
        let data = match call(&machine, &Caller::root(), name, &args) {
            Ok(outcome) => outcome.data,
            Err(refusal) => panic!("{name}: {refusal:?}"),
        };
        differences(&contract["data"], &data, name, &mut wrong);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        match *name {
            "api_token_create" => drop(known.insert("token", text(&data["token"]))),
            "parse_dns_zone" => drop(known.insert("serial", {
                let zone = machine.zone_text("alice.example").unwrap();
                crate::machine::zonefile::serial(&zone, "alice.example").unwrap().to_string()
            })),
            "fetch_dkim_private_keys" => drop(known.insert("pem", text(&data["payload"][0]["pem"]))),
            "fetch_ssl_certificates_for_fqdns" => {
                for part in ["crt", "key", "cab"] {
                    known.insert(part, text(&data["payload"][0][part]));
                }
            }
            _ => {}
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    for function in FUNCTIONS {
        assert!(CALLS.iter().any(|(name, _)| *name == function.name), "{} is not called here", function.name);
    }
}

#[test]
fn differences_are_seen() {
    let mut out = Vec::new();
    let shape = json!({"a": [{"b": null}], "m": {"*": {"c": null}}});
    differences(&shape, &json!({"a": [{"x": 1}], "m": {"any": {}}, "z": 1}), "f", &mut out);
    assert_eq!(out, ["f.a[0].b is missing", "f.a[0].x is not published", "f.m.any.c is missing", "f.z is not published"]);
}
