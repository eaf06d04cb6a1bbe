//! Waiting for deliveries that had begun before the account's mail was routed elsewhere.
//!
//! A delivery that is cut in two by the fence may have left its message in the mailbox without having said so; Exim would deliver
//! it again, on the other node, and the message would be there twice. So those that had begun get the time to end. What begins
//! later is routed to the other node already.

use crate::host::run;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long is waited at the most; a delivery to a slow remote host must not hold up a move.
const LONGEST: Duration = Duration::from_secs(4);
const GLANCE: Duration = Duration::from_millis(10);

/// Waits until the deliveries that are under way now have ended, or [`LONGEST`]. Returns how many had not.
pub async fn deliveries() -> usize {
    let deadline = Instant::now() + LONGEST;
    let begun = exim_deliveries();
    while begun.iter().any(is_running) && Instant::now() < deadline {
        tokio::time::sleep(GLANCE).await;
    }
    let busy = busy_lmtp().await;
    let mut left = busy.clone();
    while !left.is_empty() && Instant::now() < deadline {
        tokio::time::sleep(GLANCE).await;
        let now = busy_lmtp().await;
        // One that serves another connection since has ended the one it had.
        left.retain(|pid, connections| now.get(pid) == Some(connections));
    }
    left.len() + begun.iter().filter(|process| is_running(process)).count()
}

/// A process: its number, and when it started, in the kernel's ticks, so that a number used again is not mistaken for it.
type Process = (u32, u64);

fn started(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // Behind the name in parentheses, which may hold anything, comes field 3; the start is field 22.
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}

fn is_running(process: &Process) -> bool {
    started(process.0) == Some(process.1)
}

/// Whether a command line is that of an Exim process that delivers: one message (`-Mc ID`), or the queue (`-q…`, `-R…`) other than
/// the daemon's own periodic `-bd -q1m`.
fn delivers(cmdline: &[u8]) -> bool {
    let mut words = cmdline.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned());
    let program = words.next().unwrap_or_default();
    let rest: Vec<String> = words.collect();
    program.rsplit('/').next().is_some_and(|name| name.starts_with("exim"))
        && !rest.iter().any(|word| word.starts_with("-bd"))
        && rest.iter().any(|word| word.starts_with("-M") || word.starts_with("-q") || word.starts_with("-R"))
}

fn exim_deliveries() -> Vec<Process> {
    let pids =
        std::fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid: &u32| std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| delivers(&line)))
        .filter_map(|pid| Some((pid, started(pid)?)))
        .collect()
}

/// Dovecot's LMTP processes that serve a connection now, with the number of connections each has had.
async fn busy_lmtp() -> BTreeMap<u32, u64> {
    // A Dovecot without this command, or without LMTP, has nothing to wait for that could be seen.
    run("doveadm", &["process", "status", "lmtp"], None).await.map(|table| busy_in(&table)).unwrap_or_default()
}

/// From the table `name pid available_count total_count …`.
fn busy_in(table: &str) -> BTreeMap<u32, u64> {
    let rows = table.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    rows.filter(|row| row.get(2) == Some(&"0"))
        .filter_map(|row| Some((row.get(1)?.parse().ok()?, row.get(3)?.parse().ok()?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_delivers() {
        for line in ["/usr/sbin/exim4\0-Mc\0xvN2-0001\0", "exim\0-Rff\0@a.test\0", "/usr/sbin/exim\0-q\0"] {
            assert!(delivers(line.as_bytes()), "{line:?}");
        }
        for line in ["/usr/sbin/exim4\0-bd\0-q1m\0", "exim\0-bdf\0-q1m\0", "/usr/sbin/exim4\0-bp\0", "sh\0-q\0", ""] {
            assert!(!delivers(line.as_bytes()), "{line:?}");
        }
    }

    #[test]
    fn busy_processes() {
        let table = "name pid available_count total_count idle_start last_status_update last_kill_sent\nlmtp 12 0 7 0 1 0\nlmtp 13 1 9 5 5 0\n";
        assert_eq!(busy_in(table), BTreeMap::from([(12, 7)]));
    }

    #[test]
    fn this_process_runs() {
        let own = std::process::id();
        assert!(is_running(&(own, started(own).unwrap())));
        assert!(!is_running(&(own, 1)));
    }
}
