//! Finding what runs a program on the server where an account's mail is now: forwarders, default addresses, filters, and what list
//! files (`:include:`) lead to. What a program is, is decided in [`crate::rules::pipes`].

use super::configuration;
use crate::error::{Code, Error, Result};
use crate::mailbox::Account;
use crate::mailbox::safe::{Dir, Miss};
use crate::panel::Panel;
use crate::rules::pipes::{self, Found};
use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::{Component, Path};

/// A list file larger than this is not read, in bytes.
const MAX_LIST: u64 = 1 << 20;
/// List files that are read for one account.
const MAX_LISTS: usize = 100;

/// Everything of an account on this server that runs a program, a line each.
pub async fn find(panel: &Panel, user: &str, domains: &[String]) -> Result<Vec<String>> {
    let found = configuration::read(panel, user, domains).await?;
    let user = user.to_owned();
    // List files are the customer's: opened one name at a time, off the runtime.
    tokio::task::spawn_blocking(move || {
        let mut lists = Lists::of(&user)?;
        let mut lines = Vec::new();
        for (address, destination) in &found.forwarders {
            lines.extend(lists.programs(destination).into_iter().map(|what| format!("the forwarder {address} → {what}")));
        }
        for (domain, destination) in &found.defaults {
            lines.extend(lists.programs(destination).into_iter().map(|what| format!("the default address of {domain} → {what}")));
        }
        for (mailbox, filters) in &found.filters {
            let owner = if mailbox.is_empty() { "the account" } else { mailbox.as_str() };
            for filter in filters {
                let name = filter["filtername"].as_str().unwrap_or_default();
                lines.extend(
                    pipes::of_filter(filter).into_iter().map(|what| format!("the filter “{name}” of {owner} → | {what}")),
                );
            }
        }
        Ok(lines)
    })
    .await
    .map_err(|cause| Error::machine("looking for programs", cause))?
}

/// The list files of one account, each read once.
struct Lists {
    account: Account,
    home: Dir,
    seen: BTreeSet<String>,
}

impl Lists {
    fn of(user: &str) -> Result<Self> {
        let account = Account::find(user)?;
        Ok(Self { home: Dir::home(&account)?, account, seen: BTreeSet::new() })
    }

    /// What a destination runs, the list files it leads to included.
    fn programs(&mut self, destination: &str) -> Vec<String> {
        let mut lines = Vec::new();
        let mut open: Vec<(Found, String)> = pipes::find(destination).into_iter().map(|found| (found, String::new())).collect();
        while let Some((found, through)) = open.pop() {
            match found {
                Found::Program(command) => lines.push(format!("| {command}{through}")),
                Found::Include(path) => {
                    if self.seen.len() >= MAX_LISTS {
                        lines.push(format!("the list file {path}, which was not looked at: there are more than {MAX_LISTS}"));
                        continue;
                    }
                    if !self.seen.insert(path.clone()) {
                        continue;
                    }
                    match self.read(&path) {
                        Ok(text) => {
                            let inner = pipes::find(&text);
                            if inner.is_empty() {
                                lines.push(format!("the list file {path}{through}"));
                            }
                            open.extend(inner.into_iter().map(|found| (found, format!(" (through {path})"))));
                        }
                        Err(why) => lines.push(format!("the list file {path}{through}, which is not read: {why}")),
                    }
                }
            }
        }
        lines.sort();
        lines
    }

    /// The text of a list file below the account's home, never through a link.
    fn read(&self, path: &str) -> std::result::Result<String, String> {
        let home = &self.account.home;
        let below = Path::new(path).strip_prefix(home).map_err(|_| "it is not below the account's home".to_owned())?;
        let names: Vec<_> = below
            .components()
            .map(|part| match part {
                Component::Normal(name) => Ok(name),
                _ => Err("its path is not a plain one".to_owned()),
            })
            .collect::<std::result::Result<_, _>>()?;
        let (file, dirs) = names.split_last().ok_or("it is the home directory")?;
        let say = |miss: Miss| match miss {
            Miss::Gone => "it is not there".to_owned(),
            other => other.about(path).message,
        };
        let mut dir = self.home.again().map_err(say)?;
        for name in dirs {
            dir = dir.sub(name, self.account.uid).map_err(say)?;
        }
        let (file, stat) = dir.file(file, self.account.uid).map_err(say)?;
        if u64::try_from(stat.st_size).unwrap_or(u64::MAX) > MAX_LIST {
            return Err(format!("it is larger than {MAX_LIST} bytes"));
        }
        let mut bytes = Vec::new();
        file.take(MAX_LIST).read_to_end(&mut bytes).map_err(|cause| Error::new(Code::Machine, cause.to_string()).message)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt as _, symlink};

    #[test]
    fn lists_lead_to_programs_and_never_out_of_the_home() {
        let temp = tempfile::tempdir().unwrap();
        let (home, uid) = (temp.path(), std::fs::metadata(temp.path()).unwrap().uid());
        std::fs::create_dir(home.join("lists")).unwrap();
        let place = |name: &str| format!(":include:{}/lists/{name}", home.display());
        std::fs::write(home.join("lists/plain"), "# people\nx@a.test\n").unwrap();
        std::fs::write(home.join("lists/deep"), format!("y@a.test, {}\n", place("piped"))).unwrap();
        std::fs::write(home.join("lists/piped"), format!("\"|/bin/run it\"\n{}\n", place("deep"))).unwrap();
        symlink("/etc/passwd", home.join("lists/link")).unwrap();
        symlink("/etc", home.join("etc")).unwrap();
        let account = Account { user: "ada".into(), home: home.into(), uid, gid: 0 };
        let mut lists = Lists { home: Dir::home(&account).unwrap(), account, seen: BTreeSet::new() };
        let found = lists.programs(&format!("z@a.test, {}", place("deep")));
        assert!(found.len() == 1 && found[0].starts_with("| /bin/run it (through "), "{found:?}");
        for (destination, wanted) in [
            (place("plain"), "the list file"),
            (place("link"), "not read"),
            (place("none"), "not there"),
            (":include:/etc/passwd".to_owned(), "not below the account's home"),
            (format!(":include:{}/etc/passwd", home.display()), "not read"),
            (format!(":include:{}/lists/../../../etc/passwd", home.display()), "not"),
        ] {
            let found = lists.programs(&destination);
            assert!(found.len() == 1 && found[0].contains(wanted), "{destination}: {found:?}");
        }
    }
}
