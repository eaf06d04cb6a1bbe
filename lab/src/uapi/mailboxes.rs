//! Mailboxes on disk: `~/etc/DOMAIN/{passwd,shadow,quota}` and the Maildir `~/mail/DOMAIN/LOCAL`.

use std::io;

use crate::call::{Args, Failure};
use crate::machine::{Machine, files, names};
use crate::uapi::account::Account;
use crate::uapi::home::Home;

/// Bytes of a megabyte, as cPanel's quotas count them.
pub const MIB: u64 = 1 << 20;

/// A mailbox's address, in lower case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address {
    /// The part before the `@`.
    pub local: String,
    /// The domain.
    pub domain: String,
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}@{}", self.local, self.domain)
    }
}

impl Address {
    /// `local@domain` with a valid local part, in a domain of the account.
    ///
    /// # Errors
    /// When it is not an address, or the domain is not the account's.
    pub fn parse(account: &Account, address: &str) -> Result<Self, Failure> {
        let (local, domain) =
            address.rsplit_once('@').ok_or_else(|| Failure::new(format!("“{address}” is not a valid email address.")))?;
        Ok(Self { local: names::local_part(local)?, domain: account.own_domain(domain)? })
    }

    /// The mailbox that `email` and `domain` name: `email` alone may be a whole address; the domain defaults to the main domain.
    ///
    /// # Errors
    /// When an argument is missing or names nothing of the account's.
    pub fn from_args(account: &Account, args: &Args) -> Result<Self, Failure> {
        let email = args.need("email")?;
        let domain = args.get("domain").filter(|domain| !domain.is_empty());
        match (email.rsplit_once('@'), domain) {
            (Some((_, inner)), Some(domain)) if !inner.eq_ignore_ascii_case(domain) => {
                Err(Failure::new(format!("“{email}” is not an address of “{domain}”.")))
            }
            (Some(_), _) => Self::parse(account, email),
            (None, domain) => Ok(Self {
                local: names::local_part(email)?,
                domain: account.own_domain(domain.unwrap_or(account.main_domain()))?,
            }),
        }
    }

    /// Where its messages are, below the home directory.
    pub fn maildir(&self) -> String {
        format!("mail/{}/{}", self.domain, self.local)
    }

    /// Where its own configuration (filters) is, below the home directory.
    pub fn config_dir(&self) -> String {
        format!("etc/{}/{}", self.domain, self.local)
    }
}

/// The account's mailboxes.
#[derive(Debug)]
pub struct Mailboxes<'a> {
    /// The server.
    pub machine: &'a Machine,
    /// The owner.
    pub account: &'a Account,
    /// The owner's home directory.
    pub home: Home,
}

impl<'a> Mailboxes<'a> {
    /// The mailboxes of `account`.
    ///
    /// # Errors
    /// When the home directory cannot be opened.
    pub fn open(machine: &'a Machine, account: &'a Account) -> io::Result<Self> {
        Ok(Self { machine, account, home: account.open_home(machine)? })
    }

    fn file(&self, domain: &str, name: &str) -> io::Result<String> {
        self.home.text(&format!("etc/{domain}/{name}"))
    }

    fn write(&self, domain: &str, name: &str, text: &str, mode: u32) -> io::Result<()> {
        let group = Some(self.account.mail_gid);
        self.home.make_dir(&format!("etc/{domain}"), 0o750, group)?;
        self.home.write(&format!("etc/{domain}/{name}"), text.as_bytes(), mode, group)
    }

    /// Addresses of `domain`'s mailboxes, sorted.
    ///
    /// # Errors
    /// When the file cannot be read safely.
    pub fn in_domain(&self, domain: &str) -> io::Result<Vec<Address>> {
        let mut addresses: Vec<Address> = self
            .file(domain, "passwd")?
            .lines()
            .filter_map(|line| line.split_once(':'))
            .filter(|(local, _)| names::local_part(local).is_ok())
            .map(|(local, _)| Address { local: local.to_owned(), domain: domain.to_owned() })
            .collect();
        addresses.sort_unstable();
        addresses.dedup();
        Ok(addresses)
    }

    /// Every mailbox, by domain (main domain first).
    ///
    /// # Errors
    /// As [`Mailboxes::in_domain`].
    pub fn all(&self) -> io::Result<Vec<Address>> {
        let mut all = Vec::new();
        for domain in &self.account.domains {
            all.extend(self.in_domain(domain)?);
        }
        Ok(all)
    }

    /// Whether there is such a mailbox.
    ///
    /// # Errors
    /// As [`Mailboxes::in_domain`].
    pub fn has(&self, address: &Address) -> io::Result<bool> {
        Ok(self.in_domain(&address.domain)?.contains(address))
    }

    /// Refuses an address without a mailbox.
    ///
    /// # Errors
    /// When there is none.
    pub fn need(&self, address: &Address) -> Result<(), Failure> {
        if self.has(address)? {
            return Ok(());
        }
        Err(Failure::new(format!("You do not have an email account named “{address}”.")))
    }

    /// The password hash; a `!` in front says that logins are suspended.
    ///
    /// # Errors
    /// When the file cannot be read safely.
    pub fn hash(&self, address: &Address) -> io::Result<Option<String>> {
        let text = self.file(&address.domain, "shadow")?;
        Ok(value(&text, &address.local).map(|rest| rest.split(':').next().unwrap_or_default().to_owned()))
    }

    /// Stores a password hash.
    ///
    /// # Errors
    /// When the file cannot be replaced safely.
    pub fn set_hash(&self, address: &Address, hash: &str) -> io::Result<()> {
        let text = self.file(&address.domain, "shadow")?;
        let days = crate::uapi::now() / 86_400;
        let line = format!("{}:{hash}:{days}::::::", address.local);
        self.write(&address.domain, "shadow", &with(&text, &address.local, Some(&line)), 0o640)
    }

    /// The quota in bytes; 0 is unlimited.
    ///
    /// # Errors
    /// When the file cannot be read safely.
    pub fn quota(&self, address: &Address) -> io::Result<u64> {
        let text = self.file(&address.domain, "quota")?;
        Ok(value(&text, &address.local).and_then(|bytes| bytes.trim().parse().ok()).unwrap_or(0))
    }

    /// Sets the quota in bytes; 0 is unlimited.
    ///
    /// # Errors
    /// When the file cannot be replaced safely.
    pub fn set_quota(&self, address: &Address, bytes: u64) -> io::Result<()> {
        let text = self.file(&address.domain, "quota")?;
        let line = (bytes > 0).then(|| format!("{}:{bytes}", address.local));
        self.write(&address.domain, "quota", &with(&text, &address.local, line.as_deref()), 0o640)
    }

    /// Makes the mailbox: its Maildir, hash, quota, and last the line that makes it exist.
    ///
    /// # Errors
    /// When something cannot be written safely.
    pub fn create(&self, address: &Address, hash: &str, quota: u64) -> io::Result<()> {
        let Account { uid, gid, home, .. } = self.account;
        let maildir = address.maildir();
        for part in ["cur", "new", "tmp"] {
            self.home.make_dir(&format!("{maildir}/{part}"), 0o751, None)?;
        }
        self.set_hash(address, hash)?;
        self.set_quota(address, quota)?;
        let text = self.file(&address.domain, "passwd")?;
        let line = format!("{}:x:{uid}:{gid}::{home}/{maildir}:{home}", address.local);
        self.write(&address.domain, "passwd", &with(&text, &address.local, Some(&line)), 0o640)
    }

    /// Removes the mailbox, unless told otherwise with its messages and its quota.
    ///
    /// # Errors
    /// When something cannot be removed safely.
    pub fn delete(&self, address: &Address, keep_mail: bool, keep_quota: bool) -> io::Result<()> {
        for (name, keep) in [("passwd", false), ("shadow", false), ("quota", keep_quota)] {
            if !keep {
                let text = self.file(&address.domain, name)?;
                if value(&text, &address.local).is_some() {
                    self.write(&address.domain, name, &with(&text, &address.local, None), 0o640)?;
                }
            }
        }
        self.set_incoming_suspended(address, false)?;
        if !keep_mail {
            self.home.remove_tree(&address.maildir())?;
            self.home.remove_tree(&address.config_dir())?;
        }
        Ok(())
    }

    /// Whether mail to the mailbox is refused.
    ///
    /// # Errors
    /// When the list cannot be read.
    pub fn incoming_suspended(&self, address: &Address) -> io::Result<bool> {
        let list = files::text(&self.machine.path(&suspended_list(&address.domain)))?;
        Ok(list.lines().any(|line| line.trim() == address.local))
    }

    /// Refuses mail to the mailbox from now on, or takes it again.
    ///
    /// # Errors
    /// When the list cannot be replaced.
    pub fn set_incoming_suspended(&self, address: &Address, suspended: bool) -> io::Result<()> {
        let path = self.machine.path(&suspended_list(&address.domain));
        let old = files::text(&path)?;
        let new = files::with_line(&old, &address.local, suspended);
        match (new.is_empty(), new == old) {
            (_, true) => Ok(()),
            (true, _) => files::remove(&path),
            (false, _) => files::replace(&path, new.as_bytes(), 0o644),
        }
    }

    /// Bytes of mail in the account's own mailbox, those of the mailboxes of its domains not counted.
    ///
    /// # Errors
    /// When a directory cannot be read.
    pub fn main_bytes(&self) -> io::Result<u64> {
        self.home.mail_bytes("mail")
    }
}

/// The local parts of a domain whose incoming mail is refused; Exim reads it.
fn suspended_list(domain: &str) -> String {
    format!("/var/cpanel/suspended_incoming/{domain}")
}

/// What follows `key:`.
fn value<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))
}

/// The text with the line of `key` set (at the end when new) or removed.
fn with(text: &str, key: &str, line: Option<&str>) -> String {
    let is_key = |old: &&str| old.strip_prefix(key).is_some_and(|rest| rest.starts_with(':'));
    let mut out = String::with_capacity(text.len() + 80);
    let mut line = line;
    for old in text.lines() {
        if !is_key(&old) {
            out.push_str(old);
            out.push('\n');
        } else if let Some(new) = line.take() {
            out.push_str(new);
            out.push('\n');
        }
    }
    if let Some(new) = line {
        out.push_str(new);
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_named_line_changes() {
        let text = "info:1\ninfo.x:2\n";
        assert_eq!(with(text, "info", Some("info:9")), "info:9\ninfo.x:2\n");
        assert_eq!(with(text, "info", None), "info.x:2\n");
        assert_eq!(with(text, "new", Some("new:3")), "info:1\ninfo.x:2\nnew:3\n");
        assert_eq!(value(text, "info.x"), Some("2"));
        assert_eq!(value(text, "inf"), None);
    }
}
