//! serve, shim and the redirect as running things: by systemd's units, or by our own supervisor.

use super::host::{Host, PATH};
use super::layout::{LOG, PID_FILE, PROGRAM, UNITS};
use super::plan::Supervision;
use super::redirect;
use crate::error::{Code, Context as _, Error, Result};
use crate::wire::ADMIN_SOCKET;
use rustix::process::{Pid, Signal, kill_process};
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long serve and shim may take until they answer.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// How long they may take to end what they are doing.
const FAREWELL: Duration = Duration::from_secs(45);

/// How the services are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Running {
    /// All of them, from the program that is installed.
    Current,
    /// They run, but from a program that has been replaced since.
    Stale,
    /// Not, or not all.
    No,
}

/// How the services are.
///
/// # Errors
/// When the machine's tools cannot be started.
pub fn running(host: &Host, supervision: Supervision) -> Result<Running> {
    match supervision {
        Supervision::Own => {
            Ok(supervisor(host).map_or(Running::No, |(_, current)| if current { Running::Current } else { Running::Stale }))
        }
        Supervision::Systemd => {
            let mut stale = false;
            for (unit, _) in UNITS {
                if !host.tools.run("systemctl", &["is-active", "--quiet", unit])?.good
                    || !host.tools.run("systemctl", &["is-enabled", "--quiet", unit])?.good
                {
                    return Ok(Running::No);
                }
                let pid = host.must("systemctl", &["show", "--property=MainPID", "--value", unit])?;
                stale |=
                    pid.trim().parse::<i32>().is_ok_and(|pid| pid > 0 && program_of(host, pid).is_some_and(|current| !current));
            }
            Ok(if stale { Running::Stale } else { Running::Current })
        }
    }
}

/// Starts the services, or starts them again, and waits until they do their work.
///
/// # Errors
/// When they cannot be started or do not answer in time.
pub fn start(host: &Host, supervision: Supervision) -> Result<()> {
    match supervision {
        Supervision::Systemd => {
            host.must("systemctl", &["daemon-reload"])?;
            let units = UNITS.map(|(unit, _)| unit);
            host.must("systemctl", &[&["enable", "--quiet"], &units[..]].concat())?;
            host.must("systemctl", &[&["restart"], &units[..]].concat())?;
        }
        Supervision::Own => {
            stop_supervisor(host)?;
            spawn_supervisor(host)?;
        }
    }
    wait(host, supervision)
}

/// Ends the services and removes the redirect. What does not run is no failure.
///
/// # Errors
/// When something does not end.
pub fn stop(host: &Host, supervision: Supervision) -> Result<()> {
    match supervision {
        Supervision::Systemd => {
            let units = UNITS.map(|(unit, _)| unit);
            for unit in units.iter().rev() {
                let known = host.tools.run("systemctl", &["cat", unit])?.good;
                if known {
                    host.must("systemctl", &["disable", "--quiet", "--now", unit])?;
                }
            }
        }
        Supervision::Own => stop_supervisor(host)?,
    }
    redirect::down(host)
}

fn spawn_supervisor(host: &Host) -> Result<()> {
    let log = host.path(LOG);
    let log = OpenOptions::new().create(true).append(true).mode(0o600).open(&log).context(format!("opening {LOG}"))?;
    let again = log.try_clone().context(format!("opening {LOG}"))?;
    let mut command = Command::new(host.path(PROGRAM));
    command
        .arg("supervise")
        .env_clear()
        .env("PATH", PATH)
        .env("LC_ALL", "C")
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(again);
    if let Some(filter) = std::env::var_os("LINKED_NODES_LOG") {
        command.env("LINKED_NODES_LOG", filter);
    }
    // It leaves this session itself and outlives this process; the system's first process takes it over.
    command.spawn().context("starting “linked-nodes supervise”").map(drop)
}

fn stop_supervisor(host: &Host) -> Result<()> {
    let Some((pid, _)) = supervisor(host) else { return Ok(()) };
    let Some(process) = Pid::from_raw(pid) else { return Ok(()) };
    let gone = |patience: Duration| {
        let deadline = Instant::now() + patience;
        loop {
            if supervisor(host).is_none_or(|(other, _)| other != pid) {
                return true;
            }
            if Instant::now() >= deadline {
                return false;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    let _ = kill_process(process, Signal::TERM);
    if gone(FAREWELL) {
        return Ok(());
    }
    let _ = kill_process(process, Signal::KILL);
    if gone(Duration::from_secs(5)) {
        return Ok(());
    }
    Err(Error::new(Code::Machine, format!("“linked-nodes supervise” (process {pid}) does not end.")).hint(format!("See {LOG}.")))
}

/// The supervisor's process, and whether it runs the program that is installed.
pub fn supervisor(host: &Host) -> Option<(i32, bool)> {
    let pid: i32 = std::fs::read_to_string(host.path(PID_FILE)).ok()?.trim().parse().ok()?;
    let words = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let supervises = words.split(|byte| *byte == 0).nth(1) == Some(b"supervise");
    if !supervises {
        return None;
    }
    program_of(host, pid).map(|current| (pid, current))
}

/// Whether a process runs the installed program as it is now (`true`) or as it was (`false`); `None` when it runs something else.
fn program_of(host: &Host, pid: i32) -> Option<bool> {
    let runs = std::fs::read_link(format!("/proc/{pid}/exe")).ok()?;
    let installed = host.path(PROGRAM);
    if runs == installed {
        return Some(true);
    }
    let replaced = format!("{} (deleted)", installed.display());
    (runs.as_os_str() == replaced.as_str()).then_some(false)
}

fn wait(host: &Host, supervision: Supervision) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let lacking = if UnixStream::connect(host.path(ADMIN_SOCKET)).is_err() {
            "serve does not answer"
        } else if !redirect::shim_answers() {
            "the shim does not answer"
        } else if !redirect::is_up(host)? {
            "the redirect of cpsrvd's ports is not loaded"
        } else {
            return Ok(());
        };
        if Instant::now() >= deadline {
            let log = match supervision {
                Supervision::Own => LOG,
                Supervision::Systemd => "journalctl -u 'linked-nodes*'",
            };
            return Err(Error::new(
                Code::Machine,
                format!("Everything is in place, but {lacking} after {} s.", PATIENCE.as_secs()),
            )
            .hint(format!("See {log}, then run it again; what is in place stays.")));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}
