//! The on-disk places of a cPanel server. Everything takes a [`Machine`], so that unit tests can work below a scratch folder.

use std::path::PathBuf;

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
}
