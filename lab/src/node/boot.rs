//! Starting, finding and ending a node's process 1.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::error::{Context as _, Error, Result, at};
use super::layout::{Kind, Node, Place};
use super::net;

/// Starts a node: `lab init` as process 1 of new mount, process, host name and IPC namespaces, in the node's network namespace.
pub fn start(place: &Place, node: &Node) -> Result<()> {
    let dir = place.node(&node.name);
    for part in ["upper/usr/local/cpanel/bin", "work", "root", "home", "log", "spool", "tmp"] {
        let path = dir.join(part);
        fs::create_dir_all(&path).doing(at("create", &path))?;
    }
    if node.is_server() || node.kind == Kind::Client {
        link_binary(place, &dir)?;
    }
    let _ = fs::remove_file(dir.join("pid"));
    let log_path = place.log(&node.name).join("init.log");
    let log = File::options().create(true).append(true).open(&log_path).doing(at("open", &log_path))?;
    let errors = log.try_clone().doing(at("open", &log_path))?;
    // `setsid --fork` returns at once: the node must outlive the terminal it was started from.
    let status = Command::new("setsid")
        .args(["--fork", "nsenter"])
        .arg(format!("--net={}", net::path(&place.name, &node.name).display()))
        .args(["unshare", "--mount", "--uts", "--ipc", "--pid", "--fork", "--kill-child", "--propagation", "private", "--"])
        .arg(place.dir().join("bin/lab"))
        .args(["--name", &place.name, "init", &node.name])
        .env_clear()
        .env("LAB_DIR", &place.base)
        .env("PATH", PATH)
        .env("LC_ALL", "C.UTF-8")
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        .status()
        .doing("run setsid")?;
    if status.success() {
        return Ok(());
    }
    Err(Error::Command { command: format!("setsid … lab init {}", node.name), problem: status.to_string() })
}

/// The search path of everything in a node: cPanel's commands first, as on a cPanel server's root shell.
pub const PATH: &str =
    "/usr/local/cpanel/3rdparty/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/cpanel/bin";

/// Puts the lab's binary in the node's upper layer by a hard link: it is large and never written to.
fn link_binary(place: &Place, dir: &Path) -> Result<()> {
    let target = dir.join("upper/usr/local/cpanel/bin/lab");
    let _ = fs::remove_file(&target);
    fs::hard_link(place.dir().join("bin/lab"), &target).doing(at("link", &target))
}

/// The process 1 of a node as this machine numbers it, if it runs.
pub fn process(place: &Place, node: &str) -> Option<Pid> {
    let text = fs::read_to_string(place.node(node).join("pid")).ok()?;
    let (pid, started) = text.trim().split_once(' ')?;
    let pid: i32 = pid.parse().ok()?;
    // A number can be given to another process later; its start time tells them apart.
    (start_time(pid).as_deref() == Some(started)).then(|| Pid::from_raw(pid)).flatten()
}

/// When a process started, in clock ticks since this machine's boot, or nothing if it is gone or a zombie.
pub fn start_time(pid: i32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    let state = fields.next()?;
    (state != "Z" && state != "X").then(|| fields.nth(18).map(str::to_owned)).flatten()
}

/// Ends a node: politely first unless `at_once`, and certainly. Returns whether it ran.
pub fn stop(place: &Place, node: &str, at_once: bool) -> Result<bool> {
    let Some(pid) = process(place, node) else {
        return Ok(false);
    };
    if !at_once {
        let _ = kill_process(pid, Signal::TERM);
        if gone_within(place, node, Duration::from_secs(10)) {
            return Ok(true);
        }
    }
    let _ = kill_process(pid, Signal::KILL);
    if gone_within(place, node, Duration::from_secs(10)) {
        return Ok(true);
    }
    Err(Error::NotReady(format!("node {node}: process {pid} does not end")))
}

fn gone_within(place: &Place, node: &str, limit: Duration) -> bool {
    let end = Instant::now() + limit;
    while process(place, node).is_some() {
        if Instant::now() > end {
            return false;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    true
}
