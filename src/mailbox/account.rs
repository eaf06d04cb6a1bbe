//! Whose mail it is.

use crate::error::{Code, Context as _, Error, Result};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// A cPanel account as this machine knows it. Numbers differ from node to node; the name does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The user name.
    pub user: String,
    /// The home directory.
    pub home: PathBuf,
    /// The user's number on this machine.
    pub uid: u32,
    /// The number of the user's group on this machine.
    pub gid: u32,
}

impl Account {
    /// Looks `user` up in this machine's `/etc/passwd`.
    ///
    /// # Errors
    /// [`Code::NotFound`] when there is no such user; [`Code::Refused`] for a system user (number below 1000) and for a home
    /// that is not a real directory of the user.
    pub fn find(user: &str) -> Result<Self> {
        let passwd = std::fs::read_to_string("/etc/passwd").context("reading /etc/passwd")?;
        let account = Self::parse(user, &passwd)?;
        account.check()?;
        Ok(account)
    }

    fn parse(user: &str, passwd: &str) -> Result<Self> {
        let missing = || Error::new(Code::NotFound, format!("This server has no account “{user}”."));
        if user.is_empty() || user.contains([':', '\n']) {
            return Err(missing());
        }
        let line = passwd.lines().find(|line| line.split(':').next() == Some(user)).ok_or_else(missing)?;
        let field = |at| line.split(':').nth(at).unwrap_or_default();
        let (uid, gid) = match (field(2).parse(), field(3).parse()) {
            (Ok(uid), Ok(gid)) => (uid, gid),
            _ => return Err(Error::machine("reading /etc/passwd", format!("the line of “{user}” is broken"))),
        };
        if uid < 1000 || gid == 0 {
            return Err(Error::new(Code::Refused, format!("“{user}” is a system user, not a cPanel account.")));
        }
        Ok(Self { user: user.to_owned(), home: PathBuf::from(field(5)), uid, gid })
    }

    fn check(&self) -> Result<()> {
        let refuse = |why: &str| {
            Err(Error::new(Code::Refused, format!("The home directory {} of “{}” {why}.", self.home.display(), self.user)))
        };
        if !self.home.is_absolute() || self.home == Path::new("/") {
            return refuse("is not a usable path");
        }
        match std::fs::symlink_metadata(&self.home) {
            Err(cause) => Err(Error::machine(format!("looking at {}", self.home.display()), cause)),
            Ok(seen) if !seen.is_dir() => refuse("is not a directory"),
            Ok(seen) if seen.uid() != self.uid => refuse("does not belong to the account"),
            Ok(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn system_users_and_broken_lines_are_refused() {
        let passwd = "root:x:0:0::/root:/bin/sh\nmail:x:8:8::/var/mail:\nada:x:1001:1002::/home/ada:/bin/sh\nbad:x:y:1::/h:\n";
        let ada = Account::parse("ada", passwd).unwrap();
        assert_eq!((ada.uid, ada.gid, ada.home.as_path()), (1001, 1002, Path::new("/home/ada")));
        assert_eq!(Account::parse("mail", passwd).unwrap_err().code, Code::Refused);
        assert_eq!(Account::parse("bad", passwd).unwrap_err().code, Code::Machine);
        assert_eq!(Account::parse("ad", passwd).unwrap_err().code, Code::NotFound);
        assert_eq!(Account::parse("", passwd).unwrap_err().code, Code::NotFound);
    }

    #[test]
    fn the_home_must_be_the_users_own() {
        let dir = tempfile::tempdir().unwrap();
        let own = std::fs::metadata(dir.path()).unwrap().uid();
        let account = |home: PathBuf, uid| Account { user: "ada".into(), home, uid, gid: 1000 };
        assert!(account(dir.path().to_owned(), own).check().is_ok());
        assert_eq!(account(dir.path().to_owned(), own + 1).check().unwrap_err().code, Code::Refused);
        std::os::unix::fs::symlink(dir.path(), dir.path().join("link")).unwrap();
        assert_eq!(account(dir.path().join("link"), own).check().unwrap_err().code, Code::Refused);
    }
}
