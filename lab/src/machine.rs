//! The on-disk places of a cPanel server. Everything takes a [`Machine`], so that unit tests can work below a scratch folder.
//!
//! ```text
//! files      reading, atomic replacing, the lock around read-modify-write
//! names      what cPanel accepts as user name, domain, mailbox name; password strength
//! accounts   /var/cpanel/users, /etc/userdomains and friends: who owns which domain
//! system     users of the operating system
//! create, modify, remove, suspend   what happens to an account
//! domains    addon, parked and sub domains
//! zones      zone files as cPanel shows and edits them
//! lists      mailing lists
//! packages, extensions, features, resellers, tokens, profile, routing, dkim, tls   the rest of cPanel's places
//! ```

use std::net::{IpAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};

pub mod accounts;
pub mod create;
pub mod dkim;
pub mod domains;
pub mod extensions;
pub mod features;
pub mod files;
pub mod lists;
pub mod modify;
pub mod names;
pub mod packages;
pub mod passwords;
pub mod profile;
pub mod remove;
pub mod resellers;
pub mod routing;
pub mod suspend;
pub mod system;
pub mod tls;
pub mod tokens;
pub mod zonefile;
pub mod zones;

pub use accounts::Account;

/// One cPanel server's disk.
#[derive(Debug, Clone)]
pub struct Machine {
    /// `/` in a node; a scratch folder in unit tests.
    pub root: PathBuf,
}

impl Machine {
    /// The machine this process runs on.
    pub fn here() -> Self {
        Self { root: PathBuf::from("/") }
    }

    /// An absolute path of the server (`/etc/userdomains`) on this machine's disk.
    pub fn path(&self, absolute: &str) -> PathBuf {
        self.root.join(absolute.trim_start_matches('/'))
    }

    /// Whether this is the running system, whose users and daemons may be commanded, and no scratch folder.
    pub fn is_live(&self) -> bool {
        self.root == Path::new("/")
    }

    /// The server's own name.
    pub fn hostname(&self) -> String {
        let fallback = || rustix::system::uname().nodename().to_string_lossy().into_owned();
        if self.is_live() {
            return fallback();
        }
        std::fs::read_to_string(self.path("/etc/hostname")).map_or_else(|_| fallback(), |text| text.trim().to_owned())
    }

    /// The server's main address: `/var/cpanel/mainip` where it exists, else the hostname's address.
    pub fn address(&self) -> IpAddr {
        let written = std::fs::read_to_string(self.path("/var/cpanel/mainip")).ok().and_then(|text| text.trim().parse().ok());
        written
            .or_else(|| {
                let mut found = (self.hostname().as_str(), 0).to_socket_addrs().ok()?;
                found.find(|address| address.is_ipv4()).map(|address| address.ip())
            })
            .unwrap_or(IpAddr::from([127, 0, 0, 1]))
    }

    /// cPanel's version as the API gives it, `11.138.0.19`.
    pub fn version(&self) -> String {
        std::fs::read_to_string(self.path("/usr/local/cpanel/version"))
            .map_or_else(|_| "11.138.0.19".to_owned(), |text| text.trim().to_owned())
    }
}

#[cfg(test)]
pub mod scratch {
    //! A scratch machine for unit tests.

    use super::Machine;

    /// A machine in a fresh folder, with the few system files a server always has.
    pub fn machine() -> (tempfile::TempDir, Machine) {
        let folder = tempfile::tempdir().unwrap();
        let machine = Machine { root: folder.path().to_owned() };
        for (path, text) in [
            ("/etc/hostname", "node.lab.test\n"),
            ("/etc/passwd", "root:x:0:0:root:/root:/bin/bash\n"),
            ("/etc/group", "root:x:0:\nmail:x:8:\nnogroup:x:65534:\n"),
            ("/etc/shadow", "root:!:19000:0:99999:7:::\n"),
            ("/etc/named.conf", ""),
            ("/var/cpanel/mainip", "10.77.0.10\n"),
        ] {
            let path = machine.path(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        (folder, machine)
    }
}
