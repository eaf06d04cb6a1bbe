use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Instant;

use hyper::Request;

use super::*;

fn program(folder: &Path, text: &str) -> Program {
    let file = folder.join("program.cgi");
    std::fs::write(&file, format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    let environment = vec![("PATH".to_owned(), "/usr/bin:/bin".to_owned())];
    Program { file, user: None, environment, body: Bytes::new(), error_log: folder.join("logs/error_log") }
}

async fn whole(answer: Answer) -> (StatusCode, HeaderMap, String) {
    let (head, body) = answer.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    (head.status, head.headers, String::from_utf8_lossy(&bytes).into_owned())
}

fn ended(pid: &str) -> bool {
    // A zombie that nobody has waited for yet does nothing any more.
    std::fs::read_to_string(format!("/proc/{pid}/stat")).map_or(true, |stat| stat.contains(") Z "))
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < Duration::from_secs(20), "{what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn header_body_and_standard_input_pass() {
    let folder = tempfile::tempdir().unwrap();
    let mut asked = program(
        folder.path(),
        "printf 'Status: 404 Not There\\r\\nContent-Type: text/plain\\r\\nSet-Cookie: a=1\\r\\nSet-Cookie: b=2\\r\\nContent-Length: 3\\r\\n\\r\\n'; cat; echo; env; echo oops >&2",
    );
    asked.body = Bytes::from_static(b"name=value");
    let (status, headers, text) = whole(run(asked).await).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert_eq!(headers.get_all("set-cookie").iter().count(), 2);
    assert!(!headers.contains_key("content-length"), "the server frames the body");
    assert!(text.starts_with("name=value\n") && !text.contains("CARGO"), "{text}");
    until("its errors are logged", || {
        std::fs::read_to_string(folder.path().join("logs/error_log")).is_ok_and(|log| log.contains("oops"))
    })
    .await;
}

#[tokio::test]
async fn output_comes_while_the_program_runs_and_its_end_follows_the_browsers() {
    let folder = tempfile::tempdir().unwrap();
    let pids = folder.path().join("pids");
    let text = format!(
        "printf 'Content-Type: text/event-stream\\n\\n'; sleep 300 & echo $$ $! > {}; echo 'data: one'; wait; echo never",
        pids.display()
    );
    let answer = run(program(folder.path(), &text)).await;
    let mut body = answer.into_body();
    let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(&first[..], b"data: one\n");
    let pids = std::fs::read_to_string(pids).unwrap();
    assert!(pids.split_whitespace().count() == 2 && !pids.split_whitespace().any(ended), "{pids}");
    drop(body);
    until("the program and what it started are gone", || pids.split_whitespace().all(ended)).await;
}

#[tokio::test]
async fn a_program_without_an_answer_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    for text in ["exit 1", "echo no header", "printf 'Status: abc\\n\\n'", "printf '\\nbody'"] {
        let (status, _, told) = whole(run(program(folder.path(), text)).await).await;
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR, "{text}");
        assert!(told.contains("program.cgi"), "{told}");
    }
    let (status, headers, _) = whole(run(program(folder.path(), "printf 'Location: /x\\n\\n'")).await).await;
    assert_eq!((status, headers["location"].to_str().unwrap()), (StatusCode::FOUND, "/x"));
}

#[tokio::test]
async fn what_a_program_leaves_running_does_not_hold_the_page() {
    let folder = tempfile::tempdir().unwrap();
    let pid = folder.path().join("pid");
    let text = format!("printf 'Content-Type: text/plain\\n\\nhello'; sleep 300 & echo $! > {}", pid.display());
    let begun = Instant::now();
    let (_, _, told) = whole(run(program(folder.path(), &text)).await).await;
    assert_eq!(told, "hello");
    assert!(begun.elapsed() < Duration::from_secs(30));
    let left = std::fs::read_to_string(&pid).unwrap();
    assert!(!ended(left.trim()), "it goes on");
    let left = rustix::process::Pid::from_raw(left.trim().parse().unwrap()).unwrap();
    rustix::process::kill_process(left, rustix::process::Signal::KILL).unwrap();
}

#[test]
fn the_environment_is_cgis_and_cpanels() {
    let request = Request::builder()
        .method("POST")
        .uri("/cpsess0123456789/cgi/x/index.cgi?page=nodes&a=%20")
        .header("host", "parent:2087")
        .header("cookie", "a=1")
        .header("cookie", "b=2")
        .header("proxy", "http://evil/")
        .header("authorization", "Basic secret")
        .header("content-type", "application/x-www-form-urlencoded")
        .header("accept", "text/event-stream");
    let (parts, ()) = request.body(()).unwrap().into_parts();
    let made = environment(&Visit {
        parts: &parts,
        length: 3,
        peer: "10.77.0.200".parse().unwrap(),
        server: ("10.77.0.10".parse().unwrap(), "parent.lab.test", 2087),
        script: "/cgi/x/index.cgi",
        root: "/root",
        user: "rita",
        security_token: "/cpsess0123456789",
    });
    let get = |name: &str| made.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    for (name, value) in [
        ("REMOTE_USER", "rita"),
        ("cp_security_token", "/cpsess0123456789"),
        ("HTTPS", "on"),
        ("REQUEST_METHOD", "POST"),
        ("QUERY_STRING", "page=nodes&a=%20"),
        ("REQUEST_URI", "/cpsess0123456789/cgi/x/index.cgi?page=nodes&a=%20"),
        ("SCRIPT_NAME", "/cgi/x/index.cgi"),
        ("CONTENT_LENGTH", "3"),
        ("CONTENT_TYPE", "application/x-www-form-urlencoded"),
        ("HTTP_HOST", "parent:2087"),
        ("HTTP_COOKIE", "a=1; b=2"),
        ("HTTP_ACCEPT", "text/event-stream"),
        ("REMOTE_ADDR", "10.77.0.200"),
        ("SERVER_PORT", "2087"),
    ] {
        assert_eq!(get(name), Some(value), "{name}");
    }
    for absent in ["HTTP_PROXY", "HTTP_AUTHORIZATION", "REMOTE_PASSWORD", "HTTP_CONTENT_TYPE"] {
        assert_eq!(get(absent), None, "{absent}");
    }
}
