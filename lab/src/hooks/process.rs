//! One run of a hook's program.

use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use super::registry::Hook;
use crate::machine::{Machine, files};

/// How long a hook may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long its output is waited for once it has ended; what it left running may hold it open.
const GRACE: Duration = Duration::from_secs(2);

/// Bytes of output that are looked at.
const OUTPUT_LIMIT: u64 = 256 << 10;

/// cPanel's error log.
const ERROR_LOG: &str = "/usr/local/cpanel/logs/error_log";

/// What a hook said on its standard output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Whether its line begins with `1`.
    pub success: bool,
    /// The line without that digit.
    pub message: String,
    /// With `BAILOUT` in its output: the rest of the message.
    pub bailout: Option<String>,
    /// All of its output.
    pub text: String,
}

impl Answer {
    fn parse(text: &str) -> Self {
        let line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default().trim();
        let (digit, rest) = line.split_at_checked(1).unwrap_or(("", ""));
        let marked = matches!(digit, "0" | "1") && (rest.is_empty() || rest.starts_with(char::is_whitespace));
        let message = if marked { rest.trim() } else { line };
        let bailout = text.contains("BAILOUT").then(|| {
            let said = message.replacen("BAILOUT", "", 1);
            let said = said.trim().trim_start_matches(':').trim();
            if said.is_empty() { "A hook prevented this action.".to_owned() } else { said.to_owned() }
        });
        Self { success: bailout.is_none() && marked && digit == "1", message: message.to_owned(), bailout, text: text.to_owned() }
    }
}

/// Runs `command` (a path and arguments, separated by spaces; no shell) with `input` on its standard input, as the account `user` or as
/// root, in an environment of its own. What it writes to standard error goes to cPanel's error log.
///
/// # Errors
/// When it cannot be started, says nothing, or is not done after 60 seconds: then it is killed, with all in its process group.
pub fn run(machine: &Machine, command: &str, input: &str, user: Option<&str>) -> io::Result<Answer> {
    run_within(machine, command, input, user, PATIENCE)
}

fn run_within(machine: &Machine, command: &str, input: &str, user: Option<&str>, patience: Duration) -> io::Result<Answer> {
    let mut words = command.split_whitespace();
    let program = words.next().ok_or_else(|| io::Error::other("the command is empty"))?;
    let mut process = Command::new(program);
    process
        .args(words)
        .env_clear()
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .current_dir("/")
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    match user {
        None => {
            process.env("HOME", "/root").env("USER", "root");
        }
        Some(name) => {
            let user = machine.system_user(name).ok_or_else(|| io::Error::other(format!("no user “{name}”")))?;
            // The standard library drops the supplementary groups with the uid.
            process.uid(user.uid).gid(user.gid).env("HOME", &user.home).env("USER", name);
        }
    }
    let mut child = process.spawn()?;
    let group = rustix::process::Pid::from_child(&child);
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let input = input.to_owned();
    std::thread::spawn(move || {
        if let Some(mut pipe) = stdin {
            // A hook may end without reading its input.
            let _ = pipe.write_all(input.as_bytes());
        }
    });
    let output = collect(stdout);
    let errors = collect(stderr);
    let (ended, end) = mpsc::channel();
    std::thread::spawn(move || {
        let _ = ended.send(child.wait());
    });
    let status = match end.recv_timeout(patience) {
        Ok(status) => status?,
        Err(_) => {
            // Not waited for yet, so the number is still this process group's.
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
            let _ = end.recv_timeout(GRACE);
            return Err(io::Error::other(format!("killed: it had not ended after {} seconds", patience.as_secs())));
        }
    };
    let text = output.recv_timeout(GRACE).unwrap_or_default();
    let complaint = errors.recv_timeout(GRACE).unwrap_or_default();
    for line in complaint.lines().filter(|line| !line.trim().is_empty()).take(50) {
        log(machine, &format!("hook “{command}”: {line}"));
    }
    if text.trim().is_empty() {
        return Err(io::Error::other(format!("ended ({status}) without an answer")));
    }
    Ok(Answer::parse(&text))
}

/// Reads a pipe to its end in a thread of its own, so that it never fills up.
fn collect(pipe: Option<impl Read + Send + 'static>) -> mpsc::Receiver<String> {
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            let _ = pipe.by_ref().take(OUTPUT_LIMIT).read_to_end(&mut bytes);
            let _ = io::copy(&mut pipe, &mut io::sink());
        }
        let _ = send.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    receive
}

/// Writes a line to cPanel's error log.
pub fn log(machine: &Machine, message: &str) {
    let path = machine.path(ERROR_LOG);
    let now = jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M:%S %z");
    let line = format!("[{now}] warn [hooks] {}\n", message.replace(['\n', '\r'], " "));
    let written = path
        .parent()
        .map_or(Ok(()), std::fs::create_dir_all)
        .and_then(|()| std::fs::OpenOptions::new().append(true).create(true).mode(0o600).open(&path)?.write_all(line.as_bytes()));
    if let Err(error) = written {
        tracing::warn!(%error, message, "cPanel's error log cannot be written");
    }
}

/// With `/var/cpanel/debughooks` holding `log`, every run is logged; with `logdata` or `logall`, its input too.
pub fn debug(machine: &Machine, hook: &Hook, answer: &Answer, input: &str) {
    let wish = files::text(&machine.path("/var/cpanel/debughooks")).unwrap_or_default();
    match wish.trim() {
        "log" => log(machine, &format!("ran “{}”: {}", hook.hook, answer.text.trim())),
        "logdata" | "logall" => {
            log(machine, &format!("ran “{}” with {input}: {}", hook.hook, answer.text.trim()));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn answers_are_read_as_documented() {
        let read = |text: &str| {
            let answer = Answer::parse(text);
            (answer.success, answer.message, answer.bailout)
        };
        assert_eq!(read("1 done\n"), (true, "done".into(), None));
        assert_eq!(read("0 BAILOUT no room\n"), (false, "BAILOUT no room".into(), Some("no room".into())));
        assert_eq!(read("0 later"), (false, "later".into(), None));
        assert_eq!(read("1"), (true, String::new(), None));
        assert_eq!(read("oops"), (false, "oops".into(), None));
        assert_eq!(read("100 reasons"), (false, "100 reasons".into(), None));
        assert_eq!(read("0 BAILOUT").2.as_deref(), Some("A hook prevented this action."));
    }

    #[test]
    fn a_hook_that_hangs_is_killed() {
        let folder = tempfile::tempdir().unwrap();
        let machine = Machine { root: folder.path().to_owned() };
        let begun = Instant::now();
        let error = run_within(&machine, "/bin/sleep 300", "{}", None, Duration::from_millis(200)).unwrap_err();
        assert!(error.to_string().contains("killed"), "{error}");
        assert!(begun.elapsed() < Duration::from_secs(20));
        assert!(run(&machine, "/bin/true", "{}", None).is_err());
        assert!(run(&machine, "/does/not/exist", "{}", None).is_err());
    }
}
