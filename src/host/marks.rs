//! How accounts look on this machine: marks that differ when something of an account was changed, by whatever means.

use super::{read_optional, user_domains};
use crate::error::{Context as _, Result};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt as _;

/// The number of a system user; `None` when there is none of that name.
///
/// # Errors
/// When `/etc/passwd` cannot be read.
pub fn uid_of(user: &str) -> Result<Option<u32>> {
    let passwd = std::fs::read_to_string("/etc/passwd").context("reading /etc/passwd")?;
    let mut lines = passwd.lines().map(|line| line.split(':').collect::<Vec<_>>());
    Ok(lines.find(|fields| fields.first() == Some(&user)).and_then(|fields| fields.get(2)?.parse().ok()))
}

/// A mark of each of these accounts that is there: its line in `/etc/passwd`, its password hash, its domains, and the time and size of
/// cPanel's own file of it. The mark tells nothing of what it is made from.
///
/// # Errors
/// When the system's files cannot be read.
pub fn marks(users: &BTreeSet<String>) -> Result<BTreeMap<String, String>> {
    let mut digests: BTreeMap<&str, Sha256> = BTreeMap::new();
    for file in ["/etc/passwd", "/etc/shadow"] {
        let text = std::fs::read_to_string(file).context(format!("reading {file}"))?;
        for line in text.lines() {
            let name = line.split(':').next().unwrap_or_default();
            if let Some(user) = users.get(name) {
                let digest = digests.entry(user).or_default();
                digest.update(line.as_bytes());
                digest.update(b"\n");
            }
        }
    }
    for (domain, owner) in user_domains()? {
        if let Some(digest) = digests.get_mut(owner.as_str()) {
            digest.update(domain.as_bytes());
            digest.update(b"\n");
        }
    }
    let mut marks = BTreeMap::new();
    for (user, mut digest) in digests {
        if let Ok(found) = std::fs::symlink_metadata(format!("/var/cpanel/users/{user}")) {
            for number in [found.mtime(), found.mtime_nsec(), i64::try_from(found.size()).unwrap_or(i64::MAX)] {
                digest.update(number.to_le_bytes());
            }
        }
        let hex = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        marks.insert(user.to_owned(), hex);
    }
    Ok(marks)
}

/// Every account that cPanel knows; `None` when its table is empty, as while it is being made anew: then nothing is known to be gone.
///
/// # Errors
/// When the file cannot be read.
pub fn accounts() -> Result<Option<BTreeSet<String>>> {
    let text = read_optional("/etc/trueuserdomains")?;
    let users: BTreeSet<String> = super::pairs(&text).into_values().collect();
    Ok((!users.is_empty()).then_some(users))
}
