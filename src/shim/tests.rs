//! The whole shim between a client, a cpsrvd and a `serve` that are small and real: sockets, TLS, HTTP.

mod bench;

use crate::error::{Code, Error};
use crate::wire::{Distributed, Role, Routing, token_digest};
use bench::{Ask, Bench};
use serde_json::{Value, json};

fn parent() -> Routing {
    let anna = Distributed { alias: "m1".into(), hostname: "mail1.lab.test".into(), domains: vec!["anna.test".into()] };
    Routing {
        version: 7,
        role: Role::Parent,
        hostname: "parent.lab.test".into(),
        distributed: [("anna".to_owned(), anna)].into(),
        ..Routing::default()
    }
}

fn child() -> Routing {
    Routing {
        version: 7,
        role: Role::Child {
            parent: "parent.lab.test".into(),
            token_digest: token_digest("LINK"),
            former_digest: Some(token_digest("FORMER")),
        },
        hostname: "mail1.lab.test".into(),
        served: [("anna".to_owned(), vec!["anna.test".to_owned()])].into(),
        ..Routing::default()
    }
}

#[tokio::test]
async fn what_nobody_has_an_opinion_on_streams_through() {
    let bench = Bench::start(Some(parent())).await;
    let body = "x".repeat(6 << 20);
    let answer = bench.whm(Ask::post("/echo?a=%41&b", &body).header("x-forwarded-for", "6.6.6.6").header("x-own", "kept")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body.len(), body.len(), "more than what may be inspected");
    let seen = bench.seen("/echo");
    assert_eq!(seen.uri, "/echo?a=%41&b");
    assert_eq!(seen.header("x-forwarded-for"), "127.0.0.1");
    assert_eq!(seen.header("x-own"), "kept");
    assert_eq!(seen.header("host"), "parent.lab.test");
}

#[tokio::test]
async fn bodies_are_passed_on_as_they_come() {
    let bench = Bench::start(Some(parent())).await;
    let (mut sender, mut answer) = bench.trickle("/echo").await;
    for piece in ["one", "two", "three"] {
        sender.send(piece).await;
        assert_eq!(answer.next().await, piece, "comes back before the next piece is sent");
    }
}

#[tokio::test]
async fn upgrades_are_spliced() {
    let bench = Bench::start(Some(child())).await;
    let mut socket = bench.upgrade(bench.webmail, "/socket", "websocket", None).await.unwrap();
    assert_eq!(socket.echo("over and out").await, "OVER AND OUT");
}

#[tokio::test]
async fn a_child_refuses_in_every_envelope() {
    let bench = Bench::start(Some(child())).await;
    let refused = |answer: &bench::Answered| assert!(answer.text().contains("parent.lab.test"), "{}", answer.text());
    let one = bench.whm(Ask::get("/json-api/removeacct?api.version=1&username=anna").root()).await;
    refused(&one);
    assert_eq!((one.status, one.json()["metadata"]["result"].clone()), (200, json!(0)));
    assert_eq!(one.json()["metadata"]["command"], "removeacct");
    let zero = bench.whm(Ask::post("/json-api/removeacct", "username=anna").root()).await;
    refused(&zero);
    assert_eq!(zero.json()["result"][0]["status"], 0);
    let xml = bench.whm(Ask::get("/xml-api/removeacct?api.version=1&username=anna").root()).await;
    refused(&xml);
    assert!(xml.text().contains("<result>0</result>"));
    let flat = bench.cpanel(Ask::get("/execute/Email/list_pops").cpanel("bert")).await;
    refused(&flat);
    assert_eq!(flat.json()["status"], 0);
    let two =
        bench.cpanel(Ask::get("/json-api/cpanel?cpanel_jsonapi_module=Email&cpanel_jsonapi_func=listpops").cpanel("bert")).await;
    refused(&two);
    assert_eq!(two.json()["cpanelresult"]["event"]["result"], 0);
    let three = bench
        .cpanel(Ask::post("/json-api/cpanel", "cpanel_jsonapi_apiversion=3&cpanel_jsonapi_module=Email&cpanel_jsonapi_func=x"))
        .await;
    refused(&three);
    assert_eq!(three.json()["result"]["status"], 0);
    let through = bench
        .whm(Ask::get("/json-api/uapi_cpanel?api.version=1&cpanel.user=anna&cpanel.module=Email&cpanel.function=x").root())
        .await;
    refused(&through);
    let page = bench.cpanel(Ask::get("/").header("accept", "text/html")).await;
    refused(&page);
    assert_eq!(page.status, 403);
    let login = bench.cpanel(Ask::post("/login/?login_only=1", "user=anna&pass=x")).await;
    refused(&login);
    assert_eq!((login.status, login.json()["status"].clone()), (403, json!(0)));
    let odd = bench.whm(Ask::get("/json-api/%2572emoveacct?username=anna").root()).await;
    refused(&odd);
    assert!(bench.all_seen().is_empty(), "cpsrvd heard of it: {:?}", bench.all_seen());
}

#[tokio::test]
async fn the_parents_own_calls_and_other_work_pass_a_child() {
    let bench = Bench::start(Some(child())).await;
    let own =
        bench.whm(Ask::get("/json-api/removeacct?api.version=1&username=anna").header("authorization", "whm root:LINK")).await;
    assert_eq!(own.json()["upstream"], "/json-api/removeacct");
    let wrong =
        bench.whm(Ask::get("/json-api/removeacct?api.version=1&username=anna").header("authorization", "whm root:LINKX")).await;
    assert_eq!(wrong.json()["metadata"]["result"], 0);
    let other = bench.whm(Ask::post("/json-api/removeacct", "api.version=1&username=bert").root()).await;
    assert_eq!(other.json()["upstream"], "/json-api/removeacct");
    assert_eq!(bench.seen("/json-api/removeacct").body, "api.version=1&username=bert");
    let webmail = bench.webmail_call(Ask::post("/login/", "user=info@anna.test&pass=x")).await;
    assert_eq!(webmail.status, 200);
    let api = "/execute/Email/get_pop_quota";
    assert_eq!(bench.webmail_call(Ask::get(api).basic("info@anna.test")).await.json()["upstream"], api);
    let account =
        Ask::get("/cpsess1/execute/Email/add_pop").basic("anna").header("cookie", "webmailsession=info%40anna.test%3Ax");
    assert_eq!(bench.webmail_call(account).await.json()["status"], 0, "an account's own sign-in is not webmail's");
    let linked = bench.whm(Ask::get("/json-api/list_linked_server_nodes?api.version=1").root()).await;
    assert_eq!(linked.json()["data"]["function"], "list_linked_server_nodes", "the product's own functions are here as well");
}

#[tokio::test]
async fn answers_without_a_body_come_as_they_are() {
    let bench = Bench::start(Some(parent())).await;
    for ask in [Ask::head("/json-api/version"), Ask::get("/unchanged")] {
        let answer = bench.whm(ask).await;
        assert!(matches!(answer.status, 200 | 304) && answer.body.is_empty(), "{}", answer.status);
    }
}

#[tokio::test]
async fn a_plain_port_sends_callers_to_tls() {
    let bench = Bench::start(Some(parent())).await;
    let ask = "GET /json-api/list_linked_server_nodes?api.version=1 HTTP/1.1\r\nHost: x\r\nAuthorization: whm moved:T\r\nConnection: close\r\n\r\n";
    let answer = bench.raw(ask).await;
    assert!(
        answer.starts_with("HTTP/1.1 301") && answer.contains("https://x:2087/json-api/list_linked_server_nodes"),
        "{answer}"
    );
}

#[tokio::test]
async fn a_child_whose_serve_never_came_keeps_cpanel_shut() {
    let bench = Bench::start_with_role(None, "child parent.lab.test\n").await;
    let refused = bench.cpanel(Ask::get("/execute/Email/list_pops").cpanel("anna")).await;
    assert!(refused.text().contains("parent.lab.test"));
    assert_eq!(bench.whm(Ask::get("/json-api/version").root()).await.json()["upstream"], "/json-api/version");
    let bench = Bench::start_with_role(None, "parent\n").await;
    assert_eq!(
        bench.cpanel(Ask::get("/execute/Email/list_pops").cpanel("anna")).await.json()["upstream"],
        "/execute/Email/list_pops"
    );
}

#[tokio::test]
async fn calls_of_the_products_own_need_root() {
    let bench = Bench::start(Some(parent())).await;
    let answer = bench.whm(Ask::get("/json-api/get_linked_server_node?api.version=1&alias=m1").root()).await;
    assert_eq!(answer.json()["data"]["params"], json!([["alias", "m1"]]));
    assert_eq!(answer.json()["data"]["caller"], "root");
    let xml = bench.whm(Ask::get("/xml-api/get_linked_server_node?api.version=1&alias=m1").root()).await;
    assert!(xml.text().contains("<caller>root</caller>"), "{}", xml.text());
    let older = bench.whm(Ask::post("/json-api/createacct", "username=new&domain=new.test&mail_node_alias=m1").root()).await;
    assert_eq!(older.json()["result"][0]["status"], 1);
    let reseller =
        bench.whm(Ask::get("/json-api/get_linked_server_node?api.version=1&alias=m1").header("authorization", "whm res:T")).await;
    assert_eq!(reseller.status, 403);
    assert!(reseller.text().contains(r#""apiversion":"2""#));
    let nobody = bench.whm(Ask::get("/json-api/get_linked_server_node?api.version=1&alias=m1")).await;
    assert_eq!(nobody.status, 403);
    let plain = bench.whm(Ask::post("/json-api/createacct", "username=new&domain=new.test").root()).await;
    assert_eq!(plain.json()["upstream"], "/json-api/createacct", "without a node it is cpsrvd's");
}

#[tokio::test]
async fn mail_functions_of_a_distributed_account_reach_its_child() {
    let bench = Bench::start(Some(parent())).await;
    let flat = bench.cpanel(Ask::post("/execute/Email/add_pop?api.paginate=1", "email=x&password=a%26b").cpanel("anna")).await;
    assert_eq!(flat.json()["data"]["user"], "anna");
    assert_eq!(flat.json()["data"]["params"], json!([["api.paginate", "1"], ["email", "x"], ["password", "a&b"]]));
    let wrapped = "/json-api/cpanel?cpanel_jsonapi_apiversion=3&cpanel_jsonapi_module=Email&cpanel_jsonapi_func=list_pops";
    assert_eq!(bench.cpanel(Ask::get(wrapped).cpanel("anna")).await.json()["result"]["data"]["function"], "list_pops");
    let through = "/json-api/uapi_cpanel?api.version=1&cpanel.user=anna&cpanel.module=Email&cpanel.function=list_pops&regex=x";
    let answer = bench.whm(Ask::get(through).root()).await.json();
    assert_eq!((&answer["metadata"]["result"], &answer["data"]["uapi"]["data"]["params"]), (&json!(1), &json!([["regex", "x"]])));
    let mailbox = bench.webmail_call(Ask::get("/execute/Email/get_pop_quota").basic("info@anna.test")).await;
    assert_eq!(mailbox.json()["data"]["mailbox"], "info@anna.test");
    let two =
        bench.cpanel(Ask::get("/json-api/cpanel?cpanel_jsonapi_module=Email&cpanel_jsonapi_func=listpops").cpanel("anna")).await;
    let session = bench.cpanel(Ask::get("/execute/Session/create_webmail_session_for_self").cpanel("anna")).await;
    assert_eq!(session.json()["data"]["hostname"], "mail1.lab.test");
    for (function, shape) in [
        ("list_pops_for", json!({"pops": ["x@anna.test"]})),
        ("get_mailbox_status_list", json!({"mailboxes": [{"email": "x@anna.test"}]})),
    ] {
        let asked = format!("/json-api/{function}?api.version=1&user=anna&account=x%40anna.test");
        assert_eq!(bench.whm(Ask::get(&asked).root()).await.json()["data"], shape);
    }
    let unsupported =
        bench.whm(Ask::get("/json-api/generate_mobileconfig?api.version=1&account=x%40anna.test").root()).await.json();
    assert!(unsupported["metadata"]["reason"].as_str().unwrap().contains("not supported"), "{unsupported}");
    assert!(two.json()["cpanelresult"]["error"].as_str().unwrap().contains("not supported"));
    for (ask, path) in [
        (Ask::get("/execute/Email/list_pops").cpanel("bert"), "/execute/Email/list_pops"),
        (Ask::get("/execute/Email/list_mxs").cpanel("anna"), "/execute/Email/list_mxs"),
        (Ask::get("/execute/DNS/parse_zone").cpanel("anna"), "/execute/DNS/parse_zone"),
    ] {
        assert_eq!(bench.cpanel(ask).await.json()["upstream"], path);
    }
}

#[tokio::test]
async fn rights_are_cpsrvds_to_judge() {
    let bench = Bench::start(Some(parent())).await;
    let through = "/json-api/uapi_cpanel?api.version=1&cpanel.user=anna&cpanel.module=Email&cpanel.function=list_pops";
    let reseller = bench.whm(Ask::get(through).header("authorization", "whm res:T")).await.json();
    assert_eq!(reseller["metadata"]["result"], 0);
    assert_eq!(reseller["metadata"]["reason"], "You do not have access to “anna”.", "cpsrvd's own words");
    let wrong = bench.cpanel(Ask::get("/execute/Email/list_pops").header("authorization", "cpanel anna:WRONG")).await;
    assert_eq!(wrong.status, 403);
    assert_eq!(bench.served(), Vec::<Value>::new(), "serve heard of it");
}

#[tokio::test]
async fn a_caller_is_proved_once_for_a_while_and_failures_each_time() {
    let bench = Bench::start(Some(parent())).await;
    for _ in 0..3 {
        bench.cpanel(Ask::get("/execute/Email/list_pops").cpanel("anna")).await;
        bench.cpanel(Ask::get("/execute/Email/list_pops").header("authorization", "cpanel anna:WRONG")).await;
    }
    let asked = |token: &str| {
        let all = bench.all_seen();
        all.iter()
            .filter(|seen| seen.uri.contains("get_user_information") && seen.header("authorization").ends_with(token))
            .count()
    };
    assert_eq!((asked(":T"), asked(":WRONG")), (1, 3));
}

#[tokio::test]
async fn listings_say_where_mail_lives() {
    let bench = Bench::start(Some(parent())).await;
    let one = bench.whm(Ask::get("/json-api/listaccts?api.version=1").root().header("accept-encoding", "gzip")).await.json();
    assert_eq!(one["data"]["acct"][0]["child_nodes"], json!([{"alias": "m1", "workload": "Mail"}]));
    assert_eq!(one["data"]["acct"][1]["child_nodes"], json!([]));
    let zero = bench.whm(Ask::get("/json-api/listaccts").root()).await.json();
    assert_eq!(zero["acct"][0]["child_nodes"][0]["alias"], "m1");
    let xml = bench.whm(Ask::get("/xml-api/listaccts").root()).await.text();
    assert!(xml.contains("<child_nodes><alias>m1</alias><workload>Mail</workload></child_nodes></acct>"), "{xml}");
}

#[tokio::test]
async fn a_batch_is_taken_apart_where_it_must_be() {
    let bench = Bench::start(Some(parent())).await;
    let ask = Ask::post(
        "/json-api/batch",
        "api.version=1&command=version&command-1=listaccts&command-2=get_linked_server_node%3Falias%3Dm1&command-3=uapi_cpanel%3Fcpanel.user%3Danna%26cpanel.module%3DEmail%26cpanel.function%3Dlist_pops",
    );
    let answer = bench.whm(ask.root()).await.json();
    let results = answer["data"]["result"].as_array().unwrap();
    assert_eq!(results[0]["upstream"], "/json-api/version");
    assert_eq!(results[1]["data"]["acct"][0]["child_nodes"][0]["alias"], "m1");
    assert_eq!(results[2]["data"]["caller"], "root");
    assert_eq!(results[3]["data"]["uapi"]["data"]["user"], "anna");
    let whole = bench.whm(Ask::post("/json-api/batch", "api.version=1&command=version").root()).await.json();
    assert_eq!(whole["upstream"], "/json-api/batch");
}

#[tokio::test]
async fn without_serve_only_what_needs_it_fails() {
    let mut bench = Bench::start(Some(parent())).await;
    bench.stop_serve().await;
    let ours = bench.whm(Ask::get("/json-api/list_linked_server_nodes?api.version=1").root()).await.json();
    assert_eq!(ours["metadata"]["result"], 0);
    assert!(ours["metadata"]["reason"].as_str().unwrap().contains("serve does not answer"), "{ours}");
    let flat = bench.cpanel(Ask::get("/execute/Email/list_pops").cpanel("anna")).await.json();
    assert!(flat["errors"][0].as_str().unwrap().contains("serve does not answer"), "the last routing still holds: {flat}");
    assert_eq!(
        bench.cpanel(Ask::get("/execute/Email/list_pops").cpanel("bert")).await.json()["upstream"],
        "/execute/Email/list_pops"
    );
    assert_eq!(bench.whm(Ask::get("/json-api/version").root()).await.json()["upstream"], "/json-api/version");
}

#[tokio::test]
async fn writes_of_a_held_account_wait() {
    let routing = Routing { held: ["bert".to_owned()].into(), ..parent() };
    let bench = Bench::start(Some(routing)).await;
    let write = bench.cpanel(Ask::get("/execute/Email/add_pop?email=x").cpanel("bert")).await.json();
    assert!(write["errors"][0].as_str().unwrap().contains("Try again in a minute"));
    assert_eq!(
        bench.cpanel(Ask::get("/execute/Email/list_pops").cpanel("bert")).await.json()["upstream"],
        "/execute/Email/list_pops"
    );
}

#[tokio::test]
async fn a_node_channel_needs_root_and_serves_consent() {
    let bench = Bench::start(Some(Routing::default())).await;
    let mut channel = bench.upgrade(bench.whm, "/linked-nodes/agent", "linked-nodes/1", Some("whm root:T")).await.unwrap();
    assert_eq!(channel.echo("hello").await, "HELLO");
    let served = bench.served();
    assert_eq!((&served[0]["call"], &served[0]["token_digest"]), (&json!("agent"), &json!(token_digest("T"))));
    for authorization in [Some("whm res:T"), Some("whm root:WRONG"), Some("Basic cm9vdDpU"), None] {
        assert_eq!(
            bench.upgrade(bench.whm, "/linked-nodes/agent", "linked-nodes/1", authorization).await.err(),
            Some(403),
            "{authorization:?}"
        );
    }
    bench.refuse_agents(Error::new(Code::Conflict, "Already linked to “other.lab.test”."));
    assert_eq!(bench.upgrade(bench.whm, "/linked-nodes/agent", "linked-nodes/1", Some("whm root:T")).await.err(), Some(403));
}

#[tokio::test]
async fn requests_that_two_readers_could_take_apart_end_here() {
    let bench = Bench::start(Some(parent())).await;
    let both = "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n";
    let answer = bench.raw(both).await;
    assert!(answer.contains("connection: close"), "{answer}");
    let seen = bench.seen("/echo");
    assert_eq!((seen.header("content-length"), seen.header("transfer-encoding")), ("", "chunked"), "one framing alone goes on");
    assert!(bench.all_seen().iter().all(|seen| seen.uri != "/smuggled"));
    for length in ["Content-Length: 3\r\nContent-Length: 4", "Content-Length: +3", "Transfer-Encoding: identity, chunkedx"] {
        let answer = bench.raw(&format!("POST /echo HTTP/1.1\r\nHost: x\r\n{length}\r\n\r\nabcd")).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{length}: {answer}");
    }
    let twice = bench.raw("GET /echo HTTP/1.1\r\nHost: x\r\nHost: y\r\nConnection: close\r\n\r\n").await;
    assert!(twice.starts_with("HTTP/1.1 400"), "{twice}");
}

#[tokio::test]
async fn a_changed_certificate_is_shown_to_the_next_client() {
    let bench = Bench::start(Some(parent())).await;
    let before = bench.certificate("parent.lab.test").await;
    bench.new_certificate("by-name/shop.test.pem", &["shop.test", "mail.shop.test"]);
    assert_ne!(bench.certificate("mail.shop.test").await, before);
    assert_eq!(bench.certificate("other.shop.test").await, before, "not covered");
    assert_eq!(bench.whm(Ask::get("/json-api/version")).await.status, 200);
}

#[tokio::test]
async fn requests_in_flight_end_when_the_shim_stops() {
    let mut bench = Bench::start(Some(parent())).await;
    let (mut sender, mut answer) = bench.trickle("/echo").await;
    sender.send("one").await;
    assert_eq!(answer.next().await, "one");
    bench.stop();
    sender.send("two").await;
    assert_eq!(answer.next().await, "two");
    drop((sender, answer));
    bench.stopped().await;
}
