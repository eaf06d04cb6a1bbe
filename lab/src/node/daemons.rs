//! Which daemons a node runs, in the order they start.

use super::layout::Kind;

/// A daemon that process 1 starts and watches. All stay in the foreground and write to `/var/log/lab/NAME.log`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Daemon {
    /// Its name: of the log, of `/run/lab/NAME.pid`, and for `lab service`.
    pub name: &'static str,
    /// Its command line.
    pub command: &'static [&'static str],
}

const PDNS: Daemon =
    Daemon { name: "pdns", command: &["/usr/sbin/pdns_server", "--daemon=no", "--guardian=no", "--disable-syslog"] };
const DOVECOT: Daemon = Daemon { name: "dovecot", command: &["/usr/sbin/dovecot", "-F"] };
const EXIM: Daemon = Daemon { name: "exim", command: &["/usr/sbin/exim4", "-bdf", "-q1m"] };
const CPSRVD: Daemon = Daemon { name: "cpsrvd", command: &["/usr/local/cpanel/cpsrvd"] };
const RECURSOR: Daemon = Daemon { name: "recursor", command: &["/usr/sbin/pdns_recursor", "--daemon=no", "--disable-syslog"] };

/// The daemons of a kind of node.
pub fn of(kind: Kind) -> Vec<Daemon> {
    match kind {
        Kind::Parent => vec![PDNS, DOVECOT, EXIM, CPSRVD],
        Kind::Child => vec![DOVECOT, EXIM, CPSRVD],
        Kind::Resolver => vec![RECURSOR],
        Kind::Client => Vec::new(),
    }
}
