//! The account a call acts for: what cPanel's files and the system's user database say of it.

use std::io;

use crate::call::Failure;
use crate::machine::Machine;
use crate::uapi::home::Home;

/// One cPanel account.
#[derive(Debug, Clone)]
pub struct Account {
    /// The system user.
    pub user: String,
    /// Its user id.
    pub uid: u32,
    /// Its group id.
    pub gid: u32,
    /// Its home directory, absolute on the server.
    pub home: String,
    /// Its login shell.
    pub shell: String,
    /// The id of group `mail`, which the mail daemons read the password files with.
    pub mail_gid: u32,
    /// Its domains, the main domain first.
    pub domains: Vec<String>,
    /// `/var/cpanel/users/USER`.
    pub record: crate::machine::Account,
}

impl Account {
    /// Reads the account `user`.
    ///
    /// # Errors
    /// When there is no such account on the server.
    pub fn load(machine: &Machine, user: &str) -> Result<Self, Failure> {
        let record = machine.account(user)?;
        let system = machine.system_user(user).ok_or_else(|| Failure::new(format!("The user “{user}” does not exist.")))?;
        Ok(Self {
            user: user.to_owned(),
            uid: system.uid,
            gid: system.gid,
            home: system.home.to_string_lossy().into_owned(),
            shell: system.shell,
            mail_gid: machine.group_id("mail").unwrap_or(system.gid),
            domains: record.domains(),
            record,
        })
    }

    /// The main domain; empty for an account without one.
    pub fn main_domain(&self) -> &str {
        self.domains.first().map_or("", String::as_str)
    }

    /// `domain` in lower case, if it is the account's.
    ///
    /// # Errors
    /// When it is another's, or nobody's.
    pub fn own_domain(&self, domain: &str) -> Result<String, Failure> {
        let domain = domain.to_ascii_lowercase();
        if self.domains.contains(&domain) {
            return Ok(domain);
        }
        Err(Failure::new(format!("You do not have access to a domain named “{domain}”.")))
    }

    /// The home directory, opened for safe work.
    ///
    /// # Errors
    /// When it is not the account's directory.
    pub fn open_home(&self, machine: &Machine) -> io::Result<Home> {
        Home::open(&machine.path(&self.home), self.uid, self.gid)
    }

    /// A numeric setting; `None` when it is absent or `unlimited`.
    pub fn limit(&self, key: &str) -> Option<u64> {
        self.record.get(key)?.trim().parse().ok()
    }
}
