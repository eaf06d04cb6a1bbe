use super::*;
use proptest::prelude::*;

fn target(service: Service, path: &str, query: &str, body: &str) -> Result<Target, Unclear> {
    normalise(Raw {
        service,
        path,
        query: Some(query),
        content_type: Some("application/x-www-form-urlencoded"),
        body: body.as_bytes(),
    })
}

fn function_of(path: &str) -> Result<String, Unclear> {
    Ok(match place(path)?.shape {
        Shape::Api { function, .. } => function,
        Shape::Execute { module, function } => format!("{module}::{function}"),
        other => format!("{other:?}"),
    })
}

#[test]
fn spellings_of_one_path() {
    for path in [
        "/json-api/removeacct",
        "//json-api//removeacct",
        "/./json-api/./removeacct",
        "/cpsess1234567890/json-api/removeacct",
        "/%6ason-api/%72emoveacct",
        "/json-api/%2572emoveacct",
        "/json-api/removeacct/",
    ] {
        assert!(matches!(function_of(path).as_deref(), Ok("removeacct") | Err(_)), "{path}: {:?}", function_of(path));
    }
    assert_eq!(function_of("/%6ason-api/%72emoveacct").unwrap(), "removeacct");
    assert_eq!(function_of("/execute/Email/add_pop").unwrap(), "Email::add_pop");
}

#[test]
fn spellings_that_readers_could_take_apart_are_unclear() {
    for path in [
        "/json-api/%2572emoveacct",
        "/x/../json-api/removeacct",
        "/json-api/removeacct;x",
        "/json-api/removeacct%00",
        "/JSON-API/removeacct",
        "/json-api/removeacct/more",
        "/other/json-api/removeacct",
        "/cpsess1/cpsess2/json-api/removeacct",
        "/json-api%2fremoveacct%2f..%2fversion",
        "/json-api/%ff",
    ] {
        assert!(place(path).is_err(), "{path}: {:?}", place(path));
    }
}

#[test]
fn pages_stay_pages() {
    for path in ["/", "/cgi/linkednodes/index.cgi", "/cpsess1/scripts5/listaccts", "/a%20b/c%2520d", "/theme/100%"] {
        assert!(matches!(place(path).unwrap().shape, Shape::Page(_)), "{path}");
    }
    assert_eq!(place("/login/").unwrap().shape, Shape::Login);
    assert_eq!(place("/linked-nodes/agent").unwrap().shape, Shape::AgentChannel);
}

#[test]
fn versions_and_selectors() {
    let call = target(Service::Whm, "/json-api/modifyacct", "api.version=1&user=anna", "mail_node_alias=m1").unwrap();
    assert_eq!(call.kind, Kind::Whm { function: "modifyacct".into(), version: WhmVersion::One, format: Format::Json });
    assert_eq!(call.param("mail_node_alias"), Some("m1"));
    assert_eq!(call.param("api.version"), None);
    let call =
        target(Service::Cpanel, "/json-api/cpanel", "cpanel_jsonapi_module=Email&cpanel_jsonapi_func=listpops&a=1", "").unwrap();
    assert_eq!(
        call.kind,
        Kind::Cpanel {
            user: None,
            version: CpanelVersion::Two,
            module: "Email".into(),
            function: "listpops".into(),
            format: Format::Json
        }
    );
    assert_eq!(call.params, vec![("a".to_owned(), "1".to_owned())]);
    assert!(target(Service::Whm, "/json-api/uapi_cpanel", "cpanel.user=a&cpanel.user=b", "").is_err());
}

#[test]
fn batches_are_opened_all_the_way() {
    let inner = "batch?command=uapi_cpanel%3Fcpanel.user%3Danna%26cpanel.module%3DEmail%26cpanel.function%3Dlist_pops";
    let encoded: String = url::form_urlencoded::byte_serialize(inner.as_bytes()).collect();
    let call = target(Service::Whm, "/json-api/batch", "api.version=1", &format!("command={encoded}&command-1=version")).unwrap();
    let Kind::Batch { commands, .. } = call.kind else { panic!("no batch") };
    assert_eq!(commands[1].function, "version");
    let Kind::Batch { commands: inner, .. } = &commands[0].kind else { panic!("no batch inside") };
    assert!(matches!(&inner[0].kind, Kind::UapiCpanel { user, .. } if user == "anna"));
}

#[test]
fn a_batch_too_deep_is_unclear() {
    let mut text = "version".to_owned();
    for _ in 0..10 {
        let encoded: String = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
        text = format!("batch?command={encoded}");
    }
    let encoded: String = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
    assert!(target(Service::Whm, "/json-api/batch", &format!("command={encoded}"), "").is_err());
}

proptest! {
    /// However its letters are percent-encoded, and whatever empty parts stand between, a call is that call.
    #[test]
    fn encoding_changes_nothing(encoded in proptest::collection::vec(any::<bool>(), 19), slashes in 1_usize..3, session in any::<bool>()) {
        let plain = "json-api/removeacct";
        let mut path = if session { "/cpsess0123456789".to_owned() } else { String::new() };
        path.push_str(&"/".repeat(slashes));
        for (byte, encode) in plain.bytes().zip(&encoded) {
            if *encode { path.push_str(&format!("%{byte:02x}")) } else { path.push(char::from(byte)) }
        }
        prop_assert_eq!(function_of(&path).unwrap(), "removeacct");
    }

    /// Nothing that a request may hold makes the normaliser fail otherwise than by saying so.
    #[test]
    fn never_breaks(path in "\\PC{0,60}", query in "\\PC{0,60}", body in proptest::collection::vec(any::<u8>(), 0..200), kind in 0_usize..4) {
        let kinds = ["application/json", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded", ""];
        let _ = normalise(Raw { service: Service::Whm, path: &path, query: Some(&query), content_type: kinds.get(kind).copied(), body: &body });
    }

    /// A decoded argument is what a browser meant.
    #[test]
    fn arguments_survive(name in "[a-z._-]{1,8}", value in "\\PC{0,20}") {
        let query: String = url::form_urlencoded::Serializer::new(String::new()).append_pair(&name, &value).finish();
        let call = target(Service::Cpanel, "/execute/Email/list_pops", &query, "").unwrap();
        prop_assert_eq!(call.params, vec![(name, value)]);
    }
}
