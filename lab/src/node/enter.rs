//! Working in a lab that is up: commands, a shell, questions to the resolver, logs, daemons.

use std::fs;
use std::io::Write;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::time::{Duration, Instant};

use super::error::{Context as _, Error, Result, at};
use super::layout::{Place, RESOLVER};
use super::{boot, daemons};

/// A command that runs inside a node, in all its namespaces, with a clean environment.
pub fn command(place: &Place, name: &str) -> Result<Command> {
    let plan = place.plan()?;
    let node = plan.node(name)?;
    let pid = boot::process(place, &node.name).ok_or_else(|| {
        Error::Refused(format!(
            "node {} of lab “{}” is not running; start it with: lab --name {} start {}",
            node.name, plan.name, plan.name, node.name
        ))
    })?;
    let mut command = Command::new("nsenter");
    command
        .arg(format!("--target={}", pid.as_raw_nonzero()))
        .args(["--mount", "--uts", "--ipc", "--net", "--pid", "--wdns=/root", "--"])
        .env_clear()
        .env("PATH", boot::PATH)
        .env("HOME", "/root")
        .env("USER", "root")
        .env("LOGNAME", "root")
        .env("LC_ALL", "C.UTF-8");
    if let Some(term) = std::env::var_os("TERM") {
        command.env("TERM", term);
    }
    Ok(command)
}

/// Replaces this process by a command in a node: its output, input and exit status are the command's own.
pub fn exec(place: &Place, name: &str, words: &[String]) -> Result<std::convert::Infallible> {
    let mut command = command(place, name)?;
    command.args(words);
    Err(command.exec()).doing("run nsenter")
}

/// A shell in a node.
pub fn shell(place: &Place, name: &str) -> Result<std::convert::Infallible> {
    let mut command = command(place, name)?;
    command.env("PS1", format!("{name}:\\w# ")).args(["bash", "--noprofile", "--norc", "-i"]);
    Err(command.exec()).doing("run nsenter")
}

/// Asks the lab's resolver.
pub fn resolve(place: &Place, question: &str, kind: &str) -> Result<std::convert::Infallible> {
    let mut command = command(place, "client")?;
    command.args(["dig", &format!("@{RESOLVER}"), "+noall", "+answer", "+comments", "+nocookie", question, kind]);
    Err(command.exec()).doing("run nsenter")
}

/// Shows the end of a node's logs, also of one that is not running; of those whose name contains `which`, if given.
pub fn logs(place: &Place, name: &str, which: Option<&str>, lines: usize, out: &mut dyn Write) -> Result<()> {
    let plan = place.plan()?;
    let dir = place.log(&plan.node(name)?.name);
    let mut files = Vec::new();
    for dir in [dir.clone(), dir.join("lab")] {
        for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_file() && which.is_none_or(|part| entry.file_name().to_string_lossy().contains(part)) {
                files.push(path);
            }
        }
    }
    files.sort();
    for path in files {
        let text = String::from_utf8_lossy(&fs::read(&path).doing(at("read", &path))?).into_owned();
        let all: Vec<&str> = text.lines().collect();
        if all.is_empty() {
            continue;
        }
        writeln!(out, "==> {}", path.display()).doing("write")?;
        for line in all.iter().skip(all.len().saturating_sub(lines)) {
            writeln!(out, "{line}").doing("write")?;
        }
    }
    Ok(())
}

/// What to do with a daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Verb {
    /// End it and keep it ended.
    Stop,
    /// Let it run again.
    Start,
    /// End it; it is started again.
    Restart,
}

/// Stops, starts or restarts one daemon of a node, and waits until it is so.
pub fn service(place: &Place, name: &str, verb: Verb, daemon: &str) -> Result<()> {
    let plan = place.plan()?;
    let node = plan.node(name)?;
    let known = daemons::of(node.kind);
    if !known.iter().any(|one| one.name == daemon) {
        let names: Vec<&str> = known.iter().map(|one| one.name).collect();
        return Err(Error::Refused(format!("{name} has no daemon “{daemon}”; it has {}", names.join(", "))));
    }
    // The names are known ones: nothing in them needs quoting.
    let (pid, stop) = (format!("/run/lab/{daemon}.pid"), format!("/run/lab/{daemon}.stop"));
    let end_it = format!("p=$(cat {pid} 2>/dev/null) && kill $p && while kill -0 $p 2>/dev/null; do sleep 0.05; done");
    let await_it = format!("until [ -s {pid} ] && kill -0 $(cat {pid}); do sleep 0.05; done");
    let script = match verb {
        Verb::Stop => format!("touch {stop}; {end_it}; true"),
        Verb::Start => format!("rm -f {stop}; {await_it}"),
        Verb::Restart => format!("touch {stop}; {end_it}; rm -f {stop}; {await_it}"),
    };
    let mut child = command(place, name)?.args(["sh", "-c", &script]).spawn().doing("run nsenter")?;
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(status) = child.try_wait().doing("wait for nsenter")? {
            if status.success() {
                return Ok(());
            }
            return Err(Error::NotReady(format!("{name}: {daemon}: {status}")));
        }
        if Instant::now() > end {
            let _ = child.kill();
            let _ = child.wait();
            return Err(Error::NotReady(format!("{name}: {daemon} did not do so in 20 s; see: lab logs {name}")));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Copies a file of this machine into a node as it is now. A node shows the machine's files through its overlay, but one that was
/// replaced after the node first looked at it may show in its old state.
pub fn push(place: &Place, name: &str, source: &std::path::Path, target: &str) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let file = fs::File::open(source).doing(at("open", source))?;
    let mode = file.metadata().doing(at("read", source))?.permissions().mode() & 0o7777;
    let script =
        "mkdir -p \"$(dirname \"$1\")\" && cat > \"$1.pushed\" && chmod \"$2\" \"$1.pushed\" && mv -f \"$1.pushed\" \"$1\"";
    let status = command(place, name)?
        .args(["sh", "-c", script, "push", target, &format!("{mode:o}")])
        .stdin(file)
        .status()
        .doing("run nsenter")?;
    if status.success() {
        return Ok(());
    }
    Err(Error::NotReady(format!("copying {} to {target} in {name}: {status}", source.display())))
}

/// A line a node: what it is, whether it runs, and which of its daemons do.
pub fn status(place: &Place, out: &mut dyn Write, json: bool) -> Result<()> {
    let plan = place.plan()?;
    let mut rows = Vec::new();
    for node in &plan.nodes {
        let pid = boot::process(place, &node.name);
        let mut up = Vec::new();
        let mut not_up = Vec::new();
        for daemon in daemons::of(node.kind) {
            let running = pid.is_some_and(|pid| {
                let file = format!("/proc/{}/root/run/lab/{}.pid", pid.as_raw_nonzero(), daemon.name);
                fs::read_to_string(file).is_ok()
            });
            if running { up.push(daemon.name) } else { not_up.push(daemon.name) }
        }
        rows.push((node, pid, up, not_up));
    }
    if json {
        let nodes: Vec<_> = rows
            .iter()
            .map(|(node, pid, up, not_up)| {
                serde_json::json!({"name": node.name, "hostname": node.hostname(), "address": node.address, "profile": node.profile,
                    "pid": pid.map(|pid| pid.as_raw_nonzero().get()), "daemons": up, "daemons_not_running": not_up,
                    "log": place.log(&node.name)})
            })
            .collect();
        return writeln!(out, "{}", serde_json::json!({"name": plan.name, "nodes": nodes})).doing("write");
    }
    writeln!(out, "{:9} {:11} {:19} {:9} {:8} DAEMONS", "NODE", "ADDRESS", "HOSTNAME", "PROFILE", "STATE").doing("write")?;
    for (node, pid, up, not_up) in rows {
        let state = if pid.is_some() { "running" } else { "stopped" };
        let missing = if not_up.is_empty() { String::new() } else { format!("  not running: {}", not_up.join(" ")) };
        writeln!(
            out,
            "{:9} {:11} {:19} {:9} {state:8} {}{missing}",
            node.name,
            node.address.to_string(),
            node.hostname(),
            if node.profile.is_empty() { "-" } else { &node.profile },
            up.join(" ")
        )
        .doing("write")?;
    }
    Ok(())
}
