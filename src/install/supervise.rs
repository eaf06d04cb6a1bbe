//! Keeping serve, shim and the redirect going on a machine without systemd.
//!
//! One process of its own session. Each child that dies is started again, after a pause that doubles from half a second to half a
//! minute and starts over when the child has lived for a minute. The children end with the supervisor, however it ends.

use super::host::Host;
use super::layout::{PID_FILE, PROGRAM, RUN_DIR};
use super::{files, redirect, user};
use crate::error::{Code, Context as _, Error, Result};
use rustix::fs::FlockOperation;
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::process::ExitStatus;
use std::time::Duration;
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::Instant;

const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// Short: customers' mail may be waiting for a move that only `serve` can end.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
const HEALTHY: Duration = Duration::from_secs(2);
/// How long a child may take to end what it is doing.
const FAREWELL: Duration = Duration::from_secs(30);
/// How often the redirect is looked at: whoever reloads the machine's whole ruleset takes ours away.
const GLANCE: Duration = Duration::from_secs(10);
/// The same while it is not loaded, because the shim does not answer yet.
const EAGER_GLANCE: Duration = Duration::from_millis(200);
/// Tells a child that it is supervised, and so must not outlive this process.
pub const SUPERVISED: &str = "LINKED_NODES_SUPERVISED";

/// Runs until SIGTERM or SIGINT, then ends the children and removes the redirect. Has to run on a single-threaded runtime: the
/// children are tied to the thread that starts them.
///
/// # Errors
/// When another supervisor runs, or the machine refuses what is needed to begin.
pub async fn run() -> Result<()> {
    // Fails when this process leads a group already, as when a person starts it in a shell; then it stays in that session.
    let _ = rustix::process::setsid();
    let host = Host::here();
    let ids = user::ids(&host)?;
    let _lock = take_pid_file(&host)?;
    let (end, ending) = watch::channel(false);
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
    tracing::info!("supervising serve and shim");
    let asked = async {
        tokio::select! { _ = terminate.recv() => (), _ = interrupt.recv() => () }
        tracing::info!("ending");
        // First, so that new connections find cpsrvd and not a shim that is going.
        if let Err(error) = tokio::task::spawn_blocking(|| redirect::down(&Host::here())).await.unwrap_or(Ok(())) {
            tracing::warn!(?error, "the redirect could not be removed");
        }
        let _ = end.send(true);
    };
    tokio::join!(keep("serve", None, ending.clone()), keep("shim", Some(ids), ending.clone()), keep_redirected(ending), asked);
    files::remove(&host.path(PID_FILE))
}

/// Keeps one child running until the end is announced, then ends it.
async fn keep(role: &'static str, ids: Option<user::Ids>, mut ending: watch::Receiver<bool>) {
    let mut pause = FIRST_PAUSE;
    while !*ending.borrow() {
        let begun = Instant::now();
        match start(role, ids) {
            Err(error) => tracing::error!(role, ?error, "cannot be started"),
            Ok(mut child) => {
                tracing::info!(role, pid = child.id(), "started");
                let died = tokio::select! {
                    status = child.wait() => Some(status),
                    _ = ending.wait_for(|end| *end) => None,
                };
                match died {
                    Some(status) => tracing::error!(role, how = how(status), "ended by itself"),
                    None => return dismiss(role, child).await,
                }
            }
        }
        if begun.elapsed() >= HEALTHY {
            pause = FIRST_PAUSE;
        }
        let _ = tokio::time::timeout(pause, ending.wait_for(|end| *end)).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

fn start(role: &str, ids: Option<user::Ids>) -> Result<Child> {
    let mut command = Command::new(PROGRAM);
    command.arg(role).env(SUPERVISED, std::process::id().to_string()).stdin(std::process::Stdio::null());
    if let Some(user::Ids { uid, gid }) = ids {
        // Without groups of its own named, the standard library drops root's supplementary groups as well.
        command.uid(uid).gid(gid);
    }
    command.spawn().context(format!("starting {PROGRAM} {role}"))
}

async fn dismiss(role: &str, mut child: Child) {
    if let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw) {
        let _ = kill_process(pid, Signal::TERM);
    }
    match tokio::time::timeout(FAREWELL, child.wait()).await {
        Ok(status) => tracing::info!(role, how = how(status), "ended"),
        Err(_) => {
            tracing::warn!(role, "did not end in time and is killed");
            let _ = child.kill().await;
        }
    }
}

fn how(status: std::io::Result<ExitStatus>) -> String {
    status.map_or_else(|error| error.to_string(), |status| status.to_string())
}

/// Keeps the redirect loaded until the end is announced.
async fn keep_redirected(mut ending: watch::Receiver<bool>) {
    let mut loaded = false;
    while !*ending.borrow() {
        let looked = tokio::task::spawn_blocking(|| {
            let host = Host::here();
            if redirect::is_up(&host)? { Ok(false) } else { redirect::up(&host, Duration::ZERO).map(|()| true) }
        });
        loaded = match looked.await {
            Ok(Ok(new)) => {
                if new {
                    tracing::info!("cpsrvd's ports are redirected to the shim");
                }
                true
            }
            Ok(Err(error)) => {
                if loaded {
                    tracing::error!(?error, "the redirect is gone and cannot be loaded");
                }
                false
            }
            Err(_) => false,
        };
        let _ = tokio::time::timeout(if loaded { GLANCE } else { EAGER_GLANCE }, ending.wait_for(|end| *end)).await;
    }
}

/// Writes our pid and holds the file locked, so that there is one supervisor only.
fn take_pid_file(host: &Host) -> Result<File> {
    let directory = host.path(RUN_DIR);
    if files::metadata(&directory)?.is_none() {
        // /run is empty after a boot.
        files::make_directory(&directory, 0o755)?;
    }
    let path = host.path(PID_FILE);
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o644)
        .open(&path)
        .context(format!("opening {PID_FILE}"))?;
    rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|_| {
        Error::new(Code::Conflict, "“linked-nodes supervise” runs already.").hint(format!("Its process id is in {PID_FILE}."))
    })?;
    file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())).context(format!("writing {PID_FILE}"))?;
    Ok(file)
}

/// Called by serve and shim before anything else: when a supervisor started them, they end when it does, even if it is killed.
pub fn end_with_supervisor() {
    let Some(supervisor) = std::env::var(SUPERVISED).ok().and_then(|pid| pid.parse::<i32>().ok()) else { return };
    let _ = rustix::process::set_parent_process_death_signal(Some(Signal::TERM));
    // It may have died before we asked.
    if rustix::process::getppid().map(|parent| parent.as_raw_nonzero().get()) != Some(supervisor) {
        let _ = kill_process(rustix::process::getpid(), Signal::TERM);
    }
}
