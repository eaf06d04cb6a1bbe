//! Every page, made from views with names that try to break out, by a `serve` that answers them over a real socket.

use super::*;
use crate::wire::{AdminCall, Answer as Line, read_line, write_line};
use serde_json::{Value, json};
use tokio::io::BufReader;
use tokio::net::UnixListener;

const EVIL: &str = "<img src=x onerror=alert(1)>\"'&\u{202e}evil";
const TOKEN: &str = "0123456789abcdef";

fn node() -> Value {
    json!({"alias": "mail1", "hostname": EVIL, "username": EVIL, "tls_verified": false, "version": EVIL, "profile": EVIL,
        "enabled_services": [EVIL], "last_check": 1_700_000_000, "trouble": EVIL, "trouble_since": 1_700_000_000, "accounts": 0,
        "mail_bytes": 5, "disk_free": 7})
}

fn moving(ended: bool) -> Value {
    json!({"id": 7, "user": EVIL, "from": EVIL, "to": EVIL, "state": if ended { EVIL } else { "seeding" }, "step": EVIL, "ended": ended,
        "reason": EVIL, "mailbox": EVIL, "rate": 5, "seconds_left": 9, "messages": 1, "bytes": 1, "messages_planned": 2,
        "bytes_planned": 2, "verified": 1, "pause_ms": 12, "started_ms": 1, "ended_ms": ended.then_some(9), "log": [[1, EVIL]]})
}

fn account() -> Value {
    json!({"user": EVIL, "domain": EVIL, "owner": EVIL, "child": EVIL, "running_move": 7})
}

fn loss() -> Value {
    json!({"user": EVIL, "as_of": 1, "mailboxes": [{"mailbox": EVIL, "messages": 3, "bytes": 4}], "kept": [EVIL], "refusals": []})
}

/// What a `serve` full of such names answers.
fn said(call: &Value) -> Value {
    let error = json!({"code": "refused", "message": EVIL, "hint": EVIL});
    match call["call"].as_str().unwrap() {
        "node_list" => json!([node()]),
        "node_show" => node(),
        "node_probe" => json!({"hostname": EVIL, "fingerprint": "00ff", "subject": EVIL, "issuer": EVIL, "names": [EVIL],
            "not_before": 0, "not_after": i64::MAX, "distrust": EVIL}),
        "node_link" => {
            json!({"checks": [{"name": EVIL, "passed": false, "found": EVIL}, {"name": EVIL, "passed": null, "found": ""}],
            "error": error})
        }
        "move_show" => moving(call["id"] == 8),
        "account_show" => {
            json!({"user": EVIL, "domain": EVIL, "owner": EVIL, "domains": [EVIL], "child": EVIL, "running_move": 7,
            "retained": [EVIL], "mirrored_at": 1, "counted_at": 1, "mirror_trouble": EVIL,
            "mailboxes": [{"mailbox": EVIL, "messages": 3, "bytes": null}],
            "forced": [{"alias": EVIL, "at": 1, "done": false, "loss": loss(), "log": []}]})
        }
        "account_force_plan" => json!([loss()]),
        "accounts_move" => json!([{"user": EVIL, "id": null, "error": error}]),
        "account_sync" => json!({"changed": [EVIL], "left": [EVIL]}),
        "node_unlink" => Value::Null,
        "page" => match call["ask"]["ask"].as_str().unwrap() {
            "session" => json!({"version": EVIL, "hostname": EVIL, "role": "parent", "nodes": 1, "troubled": 1, "distributed": 1,
                "running": 1, "remainders": 1, "form_token": TOKEN, "note": {"good": false, "title": EVIL,
                "lines": [{"passed": true, "name": EVIL, "text": EVIL}]}}),
            "keep" => json!("kept"),
            "accounts" => json!({"total": 9, "matched": 3, "offset": 1,
                "rows": [{"account": account(), "suspended": true, "remainders": 2}]}),
            "moves" if call["ask"]["ended"] == true => json!({"matched": 1, "rows": [moving(true)]}),
            "moves" => json!({"matched": 1, "rows": [moving(false)]}),
            "plans" => json!([
                {"user": EVIL, "plan": {"user": EVIL, "from": EVIL, "to": EVIL, "messages": 1, "bytes": 1, "mailboxes": [EVIL],
                    "dns": [EVIL], "warnings": [EVIL], "refusals": []}, "error": null},
                {"user": "other", "plan": null, "error": error},
            ]),
            "account" => json!({"account": account(), "domains": [EVIL, "x.example"], "suspended": true, "child": node(),
                "retained": [EVIL], "names": [{"name": EVIL, "published": [EVIL], "seen": [EVIL], "wanted": [EVIL]}],
                "certificates": [{"name": EVIL, "node": EVIL, "names": [EVIL], "issuer": EVIL, "not_after": 1, "trouble": EVIL}],
                "remainders": [{"user": EVIL, "alias": EVIL, "what": EVIL, "since": 1, "trouble": EVIL, "command": EVIL}],
                "moves": [moving(true)], "looked_ms": 1}),
            other => panic!("{other}"),
        },
        other => panic!("{other}"),
    }
}

/// A `serve` in a scratch folder, and everything it was asked.
struct Scratch {
    room: tempfile::TempDir,
    asked: std::sync::Arc<std::sync::Mutex<Vec<Value>>>,
    _runtime: tokio::runtime::Runtime,
}

impl Scratch {
    fn new() -> Self {
        let room = tempfile::tempdir().unwrap();
        let asked = std::sync::Arc::<std::sync::Mutex<Vec<Value>>>::default();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(async { UnixListener::bind(room.path().join("admin.sock")).unwrap() });
        std::fs::write(room.path().join("resellers"), "second:all\nthird:list-accts\n").unwrap();
        let heard = asked.clone();
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let heard = heard.clone();
                tokio::spawn(async move {
                    let mut stream = BufReader::new(stream);
                    while let Some(call) = read_line::<Value, _>(&mut stream).await.unwrap() {
                        // What the pages ask is what `serve` understands.
                        serde_json::from_value::<AdminCall>(call.clone()).unwrap();
                        heard.lock().unwrap().push(call.clone());
                        write_line(&mut stream, &Line::Ok(said(&call))).await.unwrap();
                    }
                });
            }
        });
        Self { room, asked, _runtime: runtime }
    }

    fn request(&self, user: &str, query: &str, form: Option<&str>) -> (u16, String, String) {
        let settings = Settings { socket: self.room.path().join("admin.sock"), resellers: self.room.path().join("resellers") };
        let environment = |name: &str| {
            let value = match name {
                "REQUEST_METHOD" => {
                    if form.is_some() {
                        "POST"
                    } else {
                        "GET"
                    }
                }
                "CONTENT_TYPE" => "application/x-www-form-urlencoded",
                "QUERY_STRING" => query,
                "REMOTE_USER" => user,
                "cp_security_token" => "/cpsess1234567890",
                _ => return None,
            };
            Some(OsString::from(value))
        };
        let mut out = Vec::new();
        answer_to(&settings, environment, form.unwrap_or_default().as_bytes(), &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.strip_prefix("Status: ").unwrap()[..3].parse().unwrap();
        (status, head.to_owned(), body.to_owned())
    }

    fn asked(&self, call: &str) -> bool {
        self.asked.lock().unwrap().iter().any(|asked| asked["call"] == call)
    }
}

const PAGES: [&str; 11] = [
    "",
    "page=link",
    "page=node&alias=mail1",
    "page=accounts&q=%3Cscript%3Ealert(1)%3C/script%3E%22&on=mail1",
    "page=account&user=x",
    "page=plan&to=mail1&user=x",
    "page=force&alias=mail1&user=x",
    "page=moves&user=%3Cb%3E%22",
    "page=move&id=7",
    "page=move&id=8",
    "page=nothing",
];

fn harmless(query: &str, head: &str, body: &str) {
    assert!(head.contains(&format!("Content-Security-Policy: {}", answer::POLICY)), "{query}: {head}");
    assert!(head.contains("X-Content-Type-Options: nosniff") && head.contains("Cache-Control: no-store"), "{query}: {head}");
    for bad in ["<img", "<script>", "<b>", " style=", " onclick=", "javascript:", "='", "\u{0}"] {
        assert!(!body.contains(bad), "{query} holds {bad:?}: {body}");
    }
    let scripts = body.matches("<script").count();
    assert_eq!(scripts, body.matches("<script src=\"index.cgi?asset=app.js&#38;v=").count(), "{query}: an inline script");
    assert!(body.contains("<html lang=\"en\">") && body.contains("id=\"main\"") && body.contains("<h1>"), "{query}");
    for form in body.split("<form").skip(1).filter(|form| form[..form.find('>').unwrap()].contains("method=\"post\"")) {
        let form = &form[..form.find("</form>").unwrap()];
        assert!(form.contains(&format!("name=\"token\" value=\"{TOKEN}\"")), "{query}: a form without its token: {form}");
    }
}

#[test]
fn names_are_text_on_every_page() {
    let serve = Scratch::new();
    for query in PAGES {
        let (status, head, body) = serve.request("root", query, None);
        assert_eq!(status, if query == "page=nothing" { 404 } else { 200 }, "{query}: {body}");
        harmless(query, &head, &body);
        assert!(query.is_empty() || body.contains("&#60;img") || body.contains("&lt;img"), "{query} shows no names at all");
    }
    let link =
        "do=link&hostname=mail1.lab.test&alias=mail1&by=password&secret=hunter2hunter2&fingerprint=00ff&confirm=yes&token=";
    for form in ["do=probe&hostname=mail1.lab.test&alias=mail1&token=", link] {
        let (_, head, body) = serve.request("root", "page=link", Some(&format!("{form}{TOKEN}")));
        harmless(form, &head, &body);
        assert!(!body.contains("hunter2"), "a secret never comes back");
    }
    assert!(serve.asked("node_link"));
    // A certificate that changed in between, or was not confirmed, links nothing.
    serve.asked.lock().unwrap().clear();
    for form in [link.replace("00ff", "11ff"), link.replace("&confirm=yes", "")] {
        assert_eq!(serve.request("root", "page=link", Some(&format!("{form}{TOKEN}"))).0, 422);
    }
    assert!(!serve.asked("node_link"));
}

#[test]
fn nobody_without_root_rights_sees_or_does_anything() {
    let serve = Scratch::new();
    for user in ["third", "", "nobody", "root "] {
        for query in PAGES.iter().chain(&["page=events", "page=progress"]) {
            let (status, _, body) = serve.request(user, query, None);
            assert_eq!(status, 403, "{user:?} {query}");
            assert!(body.contains("root-level"), "{body}");
        }
        assert_eq!(serve.request(user, "page=plan", Some(&format!("to=mail1&user=x&token={TOKEN}"))).0, 403);
    }
    assert!(serve.asked.lock().unwrap().is_empty(), "serve is not even asked");
    assert_eq!(serve.request("second", "", None).0, 200);
}

#[test]
fn a_change_needs_the_token_and_is_followed_by_a_page_that_can_be_reloaded() {
    let serve = Scratch::new();
    let changes = [
        ("page=node&alias=mail1", "do=unlink&token_fate=expire_24h", "node_unlink"),
        ("page=plan", "to=mail1&user=x", "accounts_move"),
        ("page=account&user=x", "do=sync", "account_sync"),
    ];
    for (query, form, call) in changes {
        for token in ["", "&token=", "&token=0123456789abcdee"] {
            assert_eq!(serve.request("root", query, Some(&format!("{form}{token}"))).0, 403, "{form}{token}");
        }
        assert_eq!(serve.request("root", &format!("{query}&{form}&token={TOKEN}"), None).0, 200, "a link only shows");
        assert!(!serve.asked(call), "{call} without a token");
        let (_, head, _) = serve.request("root", query, Some(&format!("{form}&token={TOKEN}")));
        assert!(serve.asked(call), "{call}: {head}");
    }
    let (status, head, _) = serve.request("root", "page=account&user=x", Some(&format!("do=sync&token={TOKEN}")));
    assert_eq!(status, 303);
    assert!(head.contains("Location: /cpsess1234567890/cgi/linkednodes/index.cgi?page=account&user=x&note=kept"), "{head}");
    // Forcing wants the name typed.
    let force = format!("alias=mail1&user=x&token={TOKEN}&confirm=mail2");
    assert_eq!(serve.request("root", "page=force", Some(&force)).0, 422);
    assert!(!serve.asked("account_force"));
}

#[test]
fn without_serve_there_is_a_page_that_says_so() {
    let serve = Scratch::new();
    std::fs::remove_file(serve.room.path().join("admin.sock")).unwrap();
    let (status, _, body) = serve.request("root", "", None);
    assert_eq!(status, 503);
    assert!(body.contains("linked-nodes doctor"), "{body}");
}
