use std::os::unix::fs::PermissionsExt;

use bytes::Bytes;
use hyper::Request;

use super::*;
use crate::cpsrvd::session::Service;
use crate::machine::scratch;

fn machine() -> (tempfile::TempDir, Machine) {
    let (folder, machine) = scratch::machine();
    for (name, user) in [("nodes", "user=root\nacls=all\nurl2=/cgi/single.cgi"), ("open", "user=$authuser\nacls=any")] {
        let text = format!("name={name}\nservice=whostmgr\nurl=/cgi/{name}/\n{user}\n");
        appconfig::register(&machine, &Application::parse(&text).unwrap()).unwrap();
    }
    let root = machine.path(ROOT);
    for (file, mode) in [
        ("cgi/nodes/index.cgi", 0o755),
        ("cgi/nodes/style.css", 0o644),
        ("cgi/nodes/notes.txt", 0o644),
        ("cgi/open/index.cgi", 0o755),
        ("cgi/single.cgi", 0o755),
        ("cgi/single.cgi.old", 0o755),
        ("cgi/unregistered.cgi", 0o755),
    ] {
        let path = root.join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, "x").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    let passwd = machine.path("/etc/passwd");
    let text = std::fs::read_to_string(&passwd).unwrap();
    std::fs::write(passwd, format!("{text}rita:x:1234:1235::/home/rita:/bin/sh\n")).unwrap();
    (folder, machine)
}

/// What a caller with these rights finds: `-` nothing, `no` what is not for it, `file`, or whom a program runs as.
fn found(machine: &Machine, acls: &[&str], path: &str) -> String {
    let (parts, ()) = Request::builder().uri(path).body(()).unwrap().into_parts();
    let peer = "10.77.0.200".parse().unwrap();
    let asked = Asked { service: Service::Whostmgrd, peer, parts, body: Bytes::new() };
    let acls = acls.iter().map(|acl| (*acl).to_owned()).collect();
    let caller = Caller { user: "rita".into(), mailbox: None, acls };
    match find(machine, &asked, &caller, "/cpsess0123456789", path).unwrap() {
        Found::Nothing => "-".to_owned(),
        Found::Forbidden => "no".to_owned(),
        Found::File(_) => "file".to_owned(),
        Found::Program(program) => program.user.map_or_else(|| "root".to_owned(), |user| user.uid.to_string()),
    }
}

#[test]
fn only_what_is_registered_for_the_caller_is_there() {
    let (_folder, machine) = machine();
    let root = |path: &str| found(&machine, &["all"], path);
    let reseller = |path: &str| found(&machine, &["list-accts"], path);
    assert_eq!(root("/cgi/nodes/index.cgi"), "root");
    assert_eq!(root("/cgi/nodes/style.css"), "file");
    assert_eq!(root("/cgi/nodes/notes.txt"), "-", "no known kind of file");
    assert_eq!(root("/cgi/nodes/"), "-");
    assert_eq!(root("/cgi/single.cgi"), "root");
    for unregistered in ["/cgi/unregistered.cgi", "/cgi/single.cgi.old", "/cgi/nodesx/index.cgi", "/cgi/"] {
        assert_eq!(root(unregistered), "no", "{unregistered}");
    }
    assert_eq!(reseller("/cgi/nodes/index.cgi"), "no");
    assert_eq!(reseller("/cgi/nodes/style.css"), "no");
    assert_eq!(reseller("/cgi/open/index.cgi"), "1234", "as the caller");
}
