//! The accounts of this server, by cPanel's own lists, kept in memory so that a page of 20,000 is quick.
//!
//! Sources, all public: `/etc/trueuserdomains` (main domain to user), `/etc/userdomains` (every domain to user),
//! `/etc/trueuserowners` (user to owner), `/var/cpanel/suspended/` (a file for each suspended user). They are read again when
//! one of them has changed, never for each request.

mod query;

use crate::error::{Context as _, Error, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

pub use query::{Around, page};

const LISTS: [&str; 4] = ["etc/trueuserdomains", "etc/userdomains", "etc/trueuserowners", "var/cpanel/suspended"];

/// An account as cPanel's lists know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// cPanel user.
    pub user: String,
    /// Main domain.
    pub domain: String,
    /// Owner (`root` or a reseller).
    pub owner: String,
    /// Whether it is suspended.
    pub suspended: bool,
    /// Everything a search may find, in lower case, a line each.
    haystack: String,
}

/// What a list looked like when it was read: inode, size, time of change in nanoseconds. A list that is replaced gets a new inode.
type Stamp = Option<(u64, u64, i128)>;

#[derive(Default)]
struct Read {
    stamps: Option<[Stamp; 4]>,
    accounts: Arc<Vec<Known>>,
}

/// The accounts, read when they change.
#[derive(Default)]
pub struct Roster {
    root: PathBuf,
    read: Mutex<Read>,
}

impl Roster {
    /// The roster of the machine whose root directory is `root`.
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), read: Mutex::default() }
    }

    /// Every account, by user.
    ///
    /// # Errors
    /// When one of the lists is there and cannot be read.
    pub fn accounts(&self) -> Result<Arc<Vec<Known>>> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        // Looked at before reading: a change in between is seen the next time.
        let stamps = LISTS.map(|list| stamp(&self.root.join(list)));
        if read.stamps != Some(stamps) {
            read.accounts = Arc::new(self.load()?);
            read.stamps = Some(stamps);
        }
        Ok(read.accounts.clone())
    }

    fn load(&self) -> Result<Vec<Known>> {
        let [main, all, owners, suspended] = LISTS.map(|list| self.root.join(list));
        let owners: BTreeMap<String, String> = pairs(&text(&owners)?).collect();
        let suspended = names(&suspended)?;
        let mut domains: BTreeMap<String, String> = BTreeMap::new();
        for (domain, user) in pairs(&text(&all)?) {
            let line = domains.entry(user).or_default();
            line.push('\n');
            line.push_str(&domain);
        }
        let mut accounts: Vec<Known> = pairs(&text(&main)?)
            .map(|(domain, user)| {
                let owner = owners.get(&user).cloned().unwrap_or_else(|| "root".to_owned());
                let others = domains.get(&user).map(String::as_str).unwrap_or_default();
                let haystack = format!("{user}\n{domain}\n{owner}{others}").to_lowercase();
                Known { suspended: suspended.contains(&user), domain, owner, haystack, user }
            })
            .collect();
        accounts.sort_by(|a, b| a.user.cmp(&b.user));
        Ok(accounts)
    }
}

fn stamp(path: &Path) -> Stamp {
    let found = std::fs::metadata(path).ok()?;
    Some((found.ino(), found.size(), i128::from(found.mtime()) * 1_000_000_000 + i128::from(found.mtime_nsec())))
}

fn text(path: &Path) -> Result<String> {
    match std::fs::read(path) {
        // The lists are ASCII; a damaged line must not hide all the others.
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        Err(cause) => Err(Error::machine(format!("reading {}", path.display()), cause)),
    }
}

fn pairs(text: &str) -> impl Iterator<Item = (String, String)> {
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned()))
        .filter(|(key, value)| key != "*" && !value.is_empty() && value != "nobody")
}

/// The files of a directory whose names can be users.
fn names(directory: &Path) -> Result<BTreeSet<String>> {
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        Err(cause) => return Err(Error::machine(format!("reading {}", directory.display()), cause)),
    };
    let mut found = BTreeSet::new();
    for entry in entries {
        let entry = entry.context(format!("reading {}", directory.display()))?;
        found.extend(entry.file_name().into_string());
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_again_when_they_change() {
        let room = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &str| {
            let path = room.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        let roster = Roster::new(room.path());
        assert!(roster.accounts().unwrap().is_empty(), "no lists are no accounts");
        put("etc/trueuserdomains", "bob.example: bob\nalice.example: alice\n");
        put("etc/userdomains", "*: nobody\nalice.example: alice\nShop.example: alice\nbob.example: bob\n");
        put("etc/trueuserowners", "bob: reseller\n");
        put("var/cpanel/suspended/bob", "");
        let accounts = roster.accounts().unwrap();
        let seen: Vec<_> = accounts.iter().map(|a| (a.user.as_str(), a.owner.as_str(), a.suspended)).collect();
        assert_eq!(seen, [("alice", "root", false), ("bob", "reseller", true)]);
        assert!(accounts[0].haystack.contains("shop.example"));
        assert!(Arc::ptr_eq(&accounts, &roster.accounts().unwrap()), "nothing changed, nothing is read");
        std::fs::remove_file(room.path().join("var/cpanel/suspended/bob")).unwrap();
        put("etc/trueuserdomains", "bob.example: bob\n");
        let accounts = roster.accounts().unwrap();
        assert_eq!(accounts.len(), 1);
        assert!(!accounts[0].suspended);
    }
}
