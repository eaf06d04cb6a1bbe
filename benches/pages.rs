//! What the pages and the shim cost with 20,000 accounts and 50 children: `make bench-pages`.
//!
//! A request is measured from the start of the page's code to its last byte: the session, the accounts and the nodes are asked for over a
//! real socket, from a store on disk and cPanel's lists on disk, and made into HTML. The shim's memory is what a process of its own grows
//! by when it takes the routing through the same code as the shim.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::panic, reason = "a measurement that cannot be made fails")]

use linked_nodes::roster::{Around, Roster, page};
use linked_nodes::shim::routing::{View, follow};
use linked_nodes::store::{Node, Store};
use linked_nodes::ui::{Settings, answer_to};
use linked_nodes::wire::{
    AdminCall, Answer, Distributed, NodeView, PageCall, PageSession, Role, Routing, ShimCall, read_line, write_line,
};
use serde_json::Value;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::io::BufReader;
use tokio::net::UnixListener;

const ACCOUNTS: usize = 20_000;
const CHILDREN: usize = 50;
/// The most a page may take.
const TARGET: Duration = Duration::from_millis(100);
/// The most the routing may take of the shim's memory, in bytes.
const ROUTING_TARGET: u64 = 50 << 20;
const RUNS: usize = 25;

const REQUESTS: [(&str, &str); 7] = [
    ("nodes", "page=nodes"),
    ("list", "page=accounts&rows=100"),
    ("search", "page=accounts&q=shop199&rows=100"),
    ("search, none fits", "page=accounts&q=nothing-like-it"),
    ("sort by domain", "page=accounts&sort=domain&dir=desc&rows=100"),
    ("sort by place", "page=accounts&sort=place&rows=100"),
    ("last page of a child", "page=accounts&on=mail7&sort=owner&from=350&rows=50"),
];

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, word, socket] = arguments.as_slice()
        && word == "--routing"
    {
        return grow(Path::new(socket));
    }
    let room = tempfile::tempdir().unwrap();
    let store = fill(room.path());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (admin, shim) = (room.path().join("admin.sock"), room.path().join("shim.sock"));
    runtime.spawn(serve(
        runtime.block_on(async { UnixListener::bind(&admin).unwrap() }),
        store.clone(),
        Roster::new(room.path()),
    ));
    runtime.spawn(route(runtime.block_on(async { UnixListener::bind(&shim).unwrap() }), store));

    println!("{ACCOUNTS} accounts, half of them on {CHILDREN} children; {RUNS} requests each");
    println!("{:<22} {:>10} {:>10} {:>9}", "page", "median", "slowest", "bytes");
    let settings = Settings { socket: admin, resellers: "/nonexistent".into() };
    let mut late = Vec::new();
    for (name, query) in REQUESTS {
        let (mut times, mut size) = (Vec::new(), 0);
        for _ in 0..RUNS {
            let begun = Instant::now();
            size = request(&settings, query);
            times.push(begun.elapsed());
        }
        times.sort();
        let (median, slowest) = (times[RUNS / 2], times[RUNS - 1]);
        println!("{name:<22} {:>7.1} ms {:>7.1} ms {size:>9}", ms(median), ms(slowest));
        if median > TARGET {
            late.push(name);
        }
    }
    let grown = std::process::Command::new(std::env::current_exe().unwrap()).arg("--routing").arg(&shim).output().unwrap();
    let grown: u64 = String::from_utf8(grown.stdout).unwrap().trim().parse().unwrap();
    println!("the shim's routing of {ACCOUNTS} accounts: {:.1} MiB", grown as f64 / f64::from(1 << 20));
    assert!(late.is_empty(), "slower than {TARGET:?}: {late:?}");
    assert!(grown < ROUTING_TARGET, "the routing is too large");
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// A store and cPanel's lists.
fn fill(root: &Path) -> Store {
    let store = Store::open(root).unwrap();
    for child in 0..CHILDREN {
        store
            .add_node(&Node {
                alias: format!("mail{child}"),
                hostname: format!("mail{child}.example.net"),
                username: "root".into(),
                pin: None,
                version: "11.138.0.19".into(),
                profile: "MAILNODE".into(),
                services: ["imap", "pop", "exim"].map(str::to_owned).to_vec(),
                last_check: 1_700_000_000,
                trouble: (child % 9 == 0).then(|| "It does not answer.".to_owned()),
                disk_free: Some(1 << 40),
            })
            .unwrap();
    }
    let [mut main, mut all, mut owners] = [(); 3].map(|()| String::new());
    let connection = rusqlite::Connection::open(root.join("state.db")).unwrap();
    connection.execute_batch("BEGIN").unwrap();
    for number in 0..ACCOUNTS {
        // Not in order, as accounts are made.
        let (user, number) = (format!("user{number}"), number * 7919 % ACCOUNTS);
        let domain = format!("shop{number}.example.com");
        writeln!(main, "{domain}: {user}").unwrap();
        writeln!(all, "{domain}: {user}\nblog.{domain}: {user}\nextra{number}.example.org: {user}").unwrap();
        writeln!(owners, "{user}: reseller{}", number % 40).unwrap();
        if number % 2 == 0 {
            let domains = serde_json::json!([domain, format!("blog.{domain}"), format!("extra{number}.example.org")]).to_string();
            let alias = format!("mail{}", number / 2 % CHILDREN);
            connection
                .execute("INSERT INTO accounts (user, alias, domains, since) VALUES (?1, ?2, ?3, 0)", [&user, &alias, &domains])
                .unwrap();
        }
    }
    connection.execute_batch("COMMIT").unwrap();
    for (path, text) in [("etc/trueuserdomains", main), ("etc/userdomains", all), ("etc/trueuserowners", owners)] {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    store
}

/// Answers the pages' questions from the store and the roster.
async fn serve(listener: UnixListener, store: Store, roster: Roster) {
    let mut placed: Option<(u64, BTreeMap<String, String>)> = None;
    while let Ok((stream, _)) = listener.accept().await {
        let mut stream = BufReader::new(stream);
        while let Ok(Some(call)) = read_line::<AdminCall, _>(&mut stream).await {
            let answer = match call {
                AdminCall::NodeList => {
                    serde_json::to_value(store.nodes().unwrap().iter().map(|node| view(&store, node)).collect::<Vec<_>>())
                }
                AdminCall::Page { ask: PageCall::Session { .. } } => serde_json::to_value(session(&store)),
                AdminCall::Page { ask: PageCall::Accounts(query) } => {
                    let now = store.routing_now();
                    if placed.as_ref().is_none_or(|(version, _)| *version != now) {
                        placed = Some((now, store.placed().unwrap()));
                    }
                    let placed = &placed.as_ref().unwrap().1;
                    let around = Around { placed, moving: store.moving().unwrap(), remaining: BTreeMap::new() };
                    serde_json::to_value(page(&roster.accounts().unwrap(), &around, &query))
                }
                _ => Ok(Value::Null),
            };
            write_line(&mut stream, &Answer::Ok(answer.unwrap())).await.unwrap();
        }
    }
}

fn session(store: &Store) -> PageSession {
    let nodes = store.nodes().unwrap();
    PageSession {
        version: "0".into(),
        hostname: "parent.example.net".into(),
        role: store.role().unwrap(),
        nodes: nodes.len(),
        troubled: nodes.iter().filter(|node| node.trouble.is_some()).count(),
        distributed: store.distributed_count().unwrap(),
        running: store.moving().unwrap().len(),
        remainders: 0,
        form_token: "x".repeat(64),
        note: None,
    }
}

fn view(store: &Store, node: &Node) -> NodeView {
    NodeView {
        alias: node.alias.clone(),
        hostname: node.hostname.clone(),
        username: node.username.clone(),
        tls_verified: true,
        version: node.version.clone(),
        profile: node.profile.clone(),
        enabled_services: node.services.clone(),
        last_check: node.last_check,
        trouble: node.trouble.clone(),
        accounts: store.accounts_on(&node.alias).unwrap().len(),
        mail_bytes: None,
        trouble_since: None,
        certificate_expires: None,
        password_strengths: std::collections::BTreeMap::new(),
        warnings: Vec::new(),
        disk_free: node.disk_free,
    }
}

fn request(settings: &Settings, query: &str) -> usize {
    let environment = |name: &str| match name {
        "REQUEST_METHOD" => Some(OsString::from("GET")),
        "QUERY_STRING" => Some(OsString::from(query)),
        "REMOTE_USER" => Some(OsString::from("root")),
        "cp_security_token" => Some(OsString::from("/cpsess1234567890")),
        _ => None,
    };
    let mut out = Vec::new();
    answer_to(settings, environment, b"", &mut out).unwrap();
    assert!(out.starts_with(b"Status: 200"), "{query}: {}", String::from_utf8_lossy(&out));
    out.len()
}

/// Answers the shim: every account is distributed.
async fn route(listener: UnixListener, store: Store) {
    let mut routing = Routing { version: 1, role: Role::Parent, hostname: "parent.example.net".into(), ..Routing::default() };
    let placed = store.placed().unwrap();
    for number in 0..ACCOUNTS {
        let user = format!("user{number}");
        let alias = placed.get(&user).cloned().unwrap_or_else(|| "mail1".into());
        let domains = vec![
            format!("shop{number}.example.com"),
            format!("blog.shop{number}.example.com"),
            format!("extra{number}.example.org"),
        ];
        routing.distributed.insert(user, Distributed { hostname: format!("{alias}.example.net"), alias, domains });
    }
    let routing = serde_json::to_value(routing).unwrap();
    while let Ok((stream, _)) = listener.accept().await {
        let mut stream = BufReader::new(stream);
        while let Ok(Some(_)) = read_line::<ShimCall, _>(&mut stream).await {
            if write_line(&mut stream, &Answer::Ok(routing.clone())).await.is_err() {
                break;
            }
        }
    }
}

/// Takes the routing as the shim does and prints by how many bytes this process grew.
fn grow(socket: &Path) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let before = resident();
    let after = runtime.block_on(async {
        let routes = follow(socket.to_owned(), "/nonexistent".into());
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            if let View::Known(routing) = routes.view() {
                assert_eq!(routing.distributed.len(), ACCOUNTS);
                break resident();
            }
            assert!(Instant::now() < deadline, "no routing came");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    println!("{}", after.saturating_sub(before));
}

/// Resident memory of this process, in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}
