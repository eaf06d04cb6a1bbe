//! Ending sessions, pushing the queue, and seeing what still waits.

use crate::error::{Code, Context as _, Error, Result};
use crate::host::run;
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// How often sessions are ended again while new ones appear.
const KICKS: usize = 100;

/// Whether a session's user name, as `doveadm who` prints it, is one of the account's mailboxes.
fn is_of(name: &str, user: &str, domains: &[String]) -> bool {
    name == user || name.rsplit_once(['@', '+']).is_some_and(|(_, domain)| domains.iter().any(|own| own == domain))
}

/// Users with sessions now, from `doveadm who -1`.
async fn sessions(user: &str, domains: &[String]) -> Result<Vec<String>> {
    let listing = run("doveadm", &["who", "-1"], None).await?;
    let mut names: Vec<String> = listing
        .lines()
        .skip(1)
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| is_of(name, user, domains))
        .map(str::to_owned)
        .collect();
    names.sort();
    Ok(names)
}

/// Ends the sessions that this machine hands through to another for the account. A Dovecot that hands none through has no such list.
async fn end_proxied(user: &str, domains: &[String]) {
    let listing = run("doveadm", &["proxy", "list"], None).await.unwrap_or_default();
    let names: BTreeSet<&str> = listing.lines().skip(1).filter_map(|line| line.split_whitespace().next()).collect();
    for name in names.into_iter().filter(|name| is_of(name, user, domains)) {
        let _ = run("doveadm", &["proxy", "kick", name], None).await;
    }
}

/// Ends every IMAP and POP3 session of the account, those that are handed through to another machine too; returns how many of its own
/// there were at first.
///
/// # Errors
/// [`Code::Machine`] when some session does not end.
pub async fn end_sessions(user: &str) -> Result<usize> {
    let domains = super::domains_of(user)?;
    end_proxied(user, &domains).await;
    let mut first = None;
    for _ in 0..KICKS {
        let mut names = sessions(user, &domains).await?;
        let count = names.len();
        let first = *first.get_or_insert(count);
        if names.is_empty() {
            return Ok(first);
        }
        names.dedup();
        for name in names {
            // A session that ends by itself between the two calls makes doveadm complain; the next look decides.
            let _ = run("doveadm", &["kick", &name], None).await;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Err(Error::new(Code::Machine, format!("Sessions of “{user}” do not end.")).hint("See “doveadm who”."))
}

/// Lets Exim try what is queued for the domains, frozen or not, in the background.
///
/// # Errors
/// When Exim cannot be started.
pub async fn flush_queue(domains: &[String]) -> Result<()> {
    for domain in domains {
        let mut child = tokio::process::Command::new("/usr/sbin/exim")
            .args(["-Rff", &format!("@{domain}")])
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .context("starting exim")?;
        tokio::spawn(async move { child.wait().await });
    }
    Ok(())
}

/// TCP connections of this machine to port 25 of the peers that are open or still waiting to be.
///
/// # Errors
/// When the kernel's table cannot be read.
pub fn parked(peers: &[IpAddr]) -> Result<usize> {
    let mut count = 0;
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        let Ok(text) = std::fs::read_to_string(table) else { continue };
        count += text.lines().skip(1).filter(|line| to_smtp_of(line, peers)).count();
    }
    Ok(count)
}

/// One line of `/proc/net/tcp{,6}`: remote `ADDRESS:PORT` in hex, state 01 (established) or 02 (SYN sent).
fn to_smtp_of(line: &str, peers: &[IpAddr]) -> bool {
    let mut fields = line.split_whitespace().skip(2);
    let (Some(remote), Some(state)) = (fields.next(), fields.next()) else { return false };
    let Some((address, port)) = remote.split_once(':') else { return false };
    matches!(state, "01" | "02") && port == "0019" && kernel_address(address).is_some_and(|address| peers.contains(&address))
}

fn kernel_address(hex: &str) -> Option<IpAddr> {
    let word = |at: usize| u32::from_str_radix(hex.get(at..at + 8)?, 16).ok().map(u32::swap_bytes);
    match hex.len() {
        8 => Some(Ipv4Addr::from_bits(word(0)?).into()),
        32 => {
            let mut bits = 0u128;
            for part in 0..4 {
                bits = bits << 32 | u128::from(word(part * 8)?);
            }
            let address = Ipv6Addr::from_bits(bits);
            Some(address.to_ipv4_mapped().map_or(address.into(), Into::into))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_of_the_account_alone() {
        let domains = vec!["a.test".to_owned()];
        for name in ["alice", "info@a.test", "info+a.test"] {
            assert!(is_of(name, "alice", &domains), "{name}");
        }
        for name in ["bob", "alice2", "info@b.test", "a.test", "info@xa.test"] {
            assert!(!is_of(name, "alice", &domains), "{name}");
        }
    }

    #[test]
    fn kernel_table() {
        let peers = ["10.77.0.11".parse().unwrap()];
        let line = |remote: &str, state: &str| format!("   0: 0A004D0A:D431 {remote} {state} 00000000:00000000 01:00000064");
        assert!(to_smtp_of(&line("0B004D0A:0019", "02"), &peers));
        assert!(to_smtp_of(&line("0000000000000000FFFF00000B004D0A:0019", "01"), &peers));
        assert!(!to_smtp_of(&line("0B004D0A:0019", "06"), &peers), "TIME_WAIT is over");
        assert!(!to_smtp_of(&line("0B004D0A:03E1", "02"), &peers), "another port");
        assert!(!to_smtp_of(&line("0C004D0A:0019", "02"), &peers), "another peer");
    }
}
