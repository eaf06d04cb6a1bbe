//! The gate: new mail connections from named peers wait while a move is at its last moments.
//!
//! Their SYN packets are dropped, so the peer's kernel tries again until the gate opens: a delivery stays in Exim's hands and a
//! sign-in in Dovecot's, and neither sees an error. Nothing has to run for the gate to stay closed, so the end of `serve` does
//! not open it; it is closed again from the store after a reboot.

use crate::error::Result;
use std::fmt::Write as _;
use std::net::IpAddr;

/// The nftables table of the gate; the installer's redirect lives in another.
const TABLE: &str = "linked_nodes_gate";
/// SMTP, submission, IMAP and POP3.
const PORTS: &str = "25, 110, 143, 465, 587, 993, 995";

/// The rules that keep `closed` waiting.
fn rules(closed: &[IpAddr]) -> String {
    let mut text = format!("table inet {TABLE}\ndelete table inet {TABLE}\n");
    if closed.is_empty() {
        return text;
    }
    let _ = write!(text, "table inet {TABLE} {{\n  chain input {{\n    type filter hook input priority -160; policy accept;\n");
    for peer in closed {
        let family = if peer.is_ipv4() { "ip" } else { "ip6" };
        let _ = writeln!(text, "    {family} saddr {peer} tcp dport {{ {PORTS} }} tcp flags & (syn | ack) == syn counter drop");
    }
    text.push_str("  }\n}\n");
    text
}

/// Makes the gate keep out exactly `closed`.
///
/// # Errors
/// When nftables refuses; then the gate is as it was.
pub async fn apply(closed: &[IpAddr]) -> Result<()> {
    super::run("nft", &["-f", "-"], Some(rules(closed).as_bytes())).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_rule_a_peer_and_none_when_open() {
        let text = rules(&["10.77.0.10".parse().unwrap(), "fd00::1".parse().unwrap()]);
        assert!(text.contains("ip saddr 10.77.0.10 tcp dport"));
        assert!(text.contains("ip6 saddr fd00::1 tcp dport"));
        assert_eq!(text.matches("drop").count(), 2);
        assert!(!rules(&[]).contains("chain"));
    }
}
