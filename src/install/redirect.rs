//! The redirect: connections from outside to cpsrvd's ports go to the shim, in an nftables table of our own.
//!
//! Loopback is left alone: that is how the shim itself reaches cpsrvd. The shim's own ports cannot be reached from outside
//! but through the redirect.

use super::host::Host;
use super::layout::REDIRECT;
use crate::error::{Code, Error, Result};
use crate::hooks::ROLE_FILE;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// cpsrvd's port and the shim's, for each service: cPanel, WHM, webmail, each plain and TLS.
pub const PORTS: [(u16, u16); 6] = [(2082, 12082), (2083, 12083), (2086, 12086), (2087, 12087), (2095, 12095), (2096, 12096)];

/// Family and name of the table.
pub const TABLE: &str = "linked_nodes";
/// A table that serve keeps while mail is held; removed with the product.
pub const GATE_TABLE: &str = "linked_nodes_gate";

/// The text for `nft -f`: replaces the whole table in one transaction, whatever was there.
pub fn table() -> String {
    let list = |port: fn(&(u16, u16)) -> u16| PORTS.iter().map(|pair| port(pair).to_string()).collect::<Vec<_>>().join(", ");
    let map = PORTS.map(|(from, to)| format!("{from} : {to}")).join(", ");
    format!(
        "# Linked Nodes: cpsrvd's ports, as seen from outside, are served by the shim. Written by “linked-nodes install”.\n\
         add table inet {TABLE}\n\
         delete table inet {TABLE}\n\
         table inet {TABLE} {{\n\
         \tchain to_shim {{\n\
         \t\ttype nat hook prerouting priority dstnat; policy accept;\n\
         \t\tiif != \"lo\" tcp dport {{ {} }} redirect to :tcp dport map {{ {map} }}\n\
         \t}}\n\
         \tchain only_redirected {{\n\
         \t\ttype filter hook input priority filter - 5; policy accept;\n\
         \t\tiif != \"lo\" tcp dport {{ {} }} ct status & dnat == 0 drop\n\
         \t}}\n\
         }}\n",
        list(|pair| pair.0),
        list(|pair| pair.1),
    )
}

/// Whether our table is loaded.
///
/// # Errors
/// When `nft` cannot be started.
pub fn is_up(host: &Host) -> Result<bool> {
    Ok(host.tools.run("nft", &["list", "table", "inet", TABLE])?.good)
}

/// Loads the redirect. On a child at once, because nobody may get past the shim there; elsewhere only when the shim answers,
/// because a redirect to nowhere would lock everyone out of WHM.
///
/// # Errors
/// When the shim does not answer within `patience`, or `nft` fails.
pub fn up(host: &Host, patience: Duration) -> Result<()> {
    if !is_child(host) {
        let deadline = Instant::now() + patience;
        while !shim_answers() {
            if Instant::now() >= deadline {
                return Err(Error::new(
                    Code::Machine,
                    format!("The shim does not answer within {} s, so cpsrvd's ports were left as they are.", patience.as_secs()),
                )
                .hint(
                    "See what the shim says: “journalctl -u linked-nodes-shim”, or /var/log/linked-nodes.log without systemd.",
                ));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
    load(host)
}

/// Loads the table from its file.
///
/// # Errors
/// When `nft` fails.
pub fn load(host: &Host) -> Result<()> {
    let file = host.path(REDIRECT);
    host.must("nft", &["-f", &file.to_string_lossy()]).map(drop)
}

/// Removes the table; from then on cpsrvd answers for itself. A table that is not there is no failure.
///
/// # Errors
/// When `nft` fails.
pub fn down(host: &Host) -> Result<()> {
    if is_up(host)? { host.must("nft", &["delete", "table", "inet", TABLE]).map(drop) } else { Ok(()) }
}

/// Whether this server is a child, as `serve` last knew.
pub fn is_child(host: &Host) -> bool {
    std::fs::read_to_string(host.path(ROLE_FILE)).is_ok_and(|role| role.starts_with("child"))
}

/// Whether the shim takes connections on every port.
pub fn shim_answers() -> bool {
    PORTS.iter().all(|(_, port)| port_answers(*port))
}

/// Whether a local port takes connections.
pub fn port_answers(port: u16) -> bool {
    TcpStream::connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)), Duration::from_secs(2)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_replaced_as_a_whole_and_names_every_port() {
        let text = table();
        let at = |needle: &str| text.find(needle).unwrap_or_else(|| panic!("{needle} is missing in {text}"));
        assert!(at("add table inet linked_nodes\n") < at("delete table inet linked_nodes\n"));
        assert!(at("delete table") < at("table inet linked_nodes {"));
        for (from, to) in PORTS {
            at(&format!("{from} : {to}"));
        }
        at("iif != \"lo\" tcp dport { 12082, 12083, 12086, 12087, 12095, 12096 } ct status & dnat == 0 drop");
    }
}
