//! Process 1 of a node: makes the node's tree, starts its daemons, reaps what dies and starts daemons again.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitOptions, kill_process, wait};
use tokio::signal::unix::{SignalKind, signal};

use super::authority::Authority;
use super::daemons::{self, Daemon};
use super::error::{Context as _, Error, Result, at};
use super::layout::{Place, write_with_mode};
use super::{boot, furnish, root, services};
use crate::machine::Machine;

/// Where process 1 keeps `NAME.pid` of its daemons. A file `NAME.stop` here keeps a daemon from being started again.
pub const RUN: &str = "/run/lab";
/// How long daemons get to end by themselves when the node is stopped.
const GRACE: Duration = Duration::from_secs(5);
/// A daemon that lived this long is started again without waiting.
const SETTLED: Duration = Duration::from_secs(30);
/// The longest wait before a daemon that keeps dying is started again.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Runs as a node's process 1; returns when the node is stopped.
pub fn run(place: &Place, name: &str) -> Result<()> {
    let plan = place.plan()?;
    let node = plan.node(name)?;
    let authority = Authority::in_dir(&place.dir().join("ca"))?;
    // The old /proc is still in sight, so this is the number this machine knows the process by.
    let outside: i32 = fs::read_link("/proc/self")
        .ok()
        .and_then(|path| path.to_str()?.parse().ok())
        .ok_or_else(|| Error::Refused("process 1 of a node is started by `lab up`".into()))?;
    let started = boot::start_time(outside).ok_or_else(|| Error::Refused("/proc is not this machine's".into()))?;
    let pid_file = place.node(name).join("pid");
    rustix::system::sethostname(node.hostname().as_bytes()).doing("set the host name")?;
    write_with_mode(&pid_file, format!("{outside} {started}\n"), 0o644)?;
    root::enter(place, node)?;
    furnish::furnish(&Machine::here(), &plan, node, &authority)?;
    for dir in [RUN, "/var/log/lab"] {
        fs::create_dir_all(dir).doing(format!("create {dir}"))?;
    }
    if node.is_server() {
        services::hold_back(&Machine::here())?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().doing("start the runtime")?;
    runtime.block_on(watch(daemons::of(node.kind)))
}

/// One daemon under watch.
struct Watched {
    daemon: Daemon,
    running: Option<(Pid, Instant)>,
    wait: Duration,
    due: Instant,
}

async fn watch(daemons: Vec<Daemon>) -> Result<()> {
    let mut child_ended = signal(SignalKind::child()).doing("listen for ended processes")?;
    let mut term = signal(SignalKind::terminate()).doing("listen for SIGTERM")?;
    let mut tick = tokio::time::interval(Duration::from_millis(200));
    let mut watched: Vec<Watched> =
        daemons.into_iter().map(|daemon| Watched { daemon, running: None, wait: Duration::ZERO, due: Instant::now() }).collect();
    power_on();
    run_local_start();
    write_with_mode(Path::new("/run/lab/started"), "", 0o644)?;
    loop {
        start_due(&mut watched);
        tokio::select! {
            _ = child_ended.recv() => {}
            _ = tick.tick() => {}
            _ = term.recv() => break,
        }
        reap(&mut watched);
    }
    note("SIGTERM: ending all daemons");
    for one in watched.iter().rev() {
        if let Some((pid, _)) = one.running {
            let _ = kill_process(pid, Signal::TERM);
        }
    }
    let end = Instant::now() + GRACE;
    while watched.iter().any(|one| one.running.is_some()) && Instant::now() < end {
        tokio::select! {
            _ = child_ended.recv() => {}
            _ = tick.tick() => {}
        }
        reap(&mut watched);
    }
    Ok(())
}

/// A machine that starts has no packet rules; the node's network outlives its process 1, so they are taken away here.
fn power_on() {
    match std::process::Command::new("nft").args(["flush", "ruleset"]).status() {
        Ok(status) if status.success() => {}
        other => note(&format!("nft flush ruleset: {other:?}")),
    }
}

/// Debian's place for what an administrator wants run at boot: the product starts its processes from here.
fn run_local_start() {
    let path = Path::new("/etc/rc.local");
    if !path.exists() {
        return;
    }
    match spawn("rc.local", &["/bin/sh", "/etc/rc.local"]) {
        Ok(pid) => note(&format!("/etc/rc.local started as {pid}")),
        Err(error) => note(&format!("/etc/rc.local: {error}")),
    }
}

fn start_due(watched: &mut [Watched]) {
    for one in watched {
        if one.running.is_some() || Instant::now() < one.due || stopped(one.daemon.name) {
            continue;
        }
        match spawn(one.daemon.name, one.daemon.command) {
            Ok(pid) => {
                note(&format!("{} started as {pid}", one.daemon.name));
                one.running = Some((pid, Instant::now()));
                let pid_file = PathBuf::from(RUN).join(format!("{}.pid", one.daemon.name));
                if let Err(error) = write_with_mode(&pid_file, format!("{pid}\n"), 0o644) {
                    note(&error.to_string());
                }
            }
            Err(error) => {
                note(&format!("{}: {error}", one.daemon.name));
                put_off(one);
            }
        }
    }
}

fn put_off(one: &mut Watched) {
    one.wait = (one.wait * 2).clamp(Duration::from_secs(1), LONGEST_WAIT);
    one.due = Instant::now() + one.wait;
}

/// Whether an administrator of the lab stopped this daemon.
fn stopped(name: &str) -> bool {
    Path::new(RUN).join(format!("{name}.stop")).exists()
}

/// Takes the status of every process that ended: daemons, and whatever was left to process 1.
fn reap(watched: &mut [Watched]) {
    let mut ended = HashMap::new();
    while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
        ended.insert(pid, status);
    }
    for one in watched {
        let Some((pid, since)) = one.running else { continue };
        let Some(status) = ended.get(&pid) else { continue };
        let how = match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => format!("exit status {code}"),
            (_, Some(number)) => format!("signal {number}"),
            _ => "unknown status".into(),
        };
        one.running = None;
        let _ = fs::remove_file(PathBuf::from(RUN).join(format!("{}.pid", one.daemon.name)));
        if since.elapsed() > SETTLED || stopped(one.daemon.name) {
            one.wait = Duration::ZERO;
            one.due = Instant::now();
        } else {
            put_off(one);
        }
        note(&format!("{} ({pid}) ended: {how}; again in {:?}", one.daemon.name, one.wait));
    }
}

fn spawn(name: &str, command: &[&str]) -> Result<Pid> {
    use std::os::unix::process::CommandExt as _;
    let log_path = Path::new("/var/log/lab").join(format!("{name}.log"));
    let log = File::options().create(true).append(true).open(&log_path).doing(at("open", &log_path))?;
    let errors = log.try_clone().doing(at("open", &log_path))?;
    let (program, arguments) = command.split_first().ok_or_else(|| Error::Refused("an empty command".into()))?;
    let child = Command::new(program)
        .args(arguments)
        .env_clear()
        .env("PATH", boot::PATH)
        .env("HOME", "/root")
        .env("LC_ALL", "C.UTF-8")
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        .process_group(0)
        .spawn()
        .doing(format!("run {program}"))?;
    // The child is reaped with all others, by number.
    i32::try_from(child.id())
        .ok()
        .and_then(Pid::from_raw)
        .ok_or_else(|| Error::Refused(format!("{program} has no process number")))
}

/// One line in the node's `init.log` (process 1's standard error).
fn note(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{} {line}", jiff::Timestamp::now().strftime("%H:%M:%S%.3f"));
}
