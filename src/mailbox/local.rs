//! This machine's end: an account's mail on disk.

mod care;
mod copy;
mod digests;
mod look;

use super::account::Account;
use super::names::{Folder, Place};
use super::safe::{Dir, Look, Miss};
use super::side::{Change, FolderStat, Listing, Piece, Side, Tree, Usage, Wanted, Why};
use crate::error::{Code, Error, Result};

/// The mail of an account on this machine.
#[derive(Debug)]
pub struct Local {
    account: Account,
    home: Dir,
    /// `~/mail` as it was first seen; another directory in its place is refused.
    mail: Option<(u64, u64)>,
    digests: digests::Cache,
}

/// A folder's directories, held open.
#[derive(Debug)]
struct Open {
    folder: Folder,
    dir: Dir,
    cur: Dir,
    new: Option<Dir>,
}

impl Open {
    fn place(&self, place: Place) -> Look<&Dir> {
        match place {
            Place::Cur => Ok(&self.cur),
            Place::New => self.new.as_ref().ok_or(Miss::Gone),
        }
    }
}

impl Local {
    /// The mail of `account`, which need not have any yet.
    ///
    /// # Errors
    /// [`Code::Refused`] when the home directory is not the account's.
    pub fn open(account: Account) -> Result<Self> {
        let home = Dir::home(&account)?;
        Ok(Self { account, home, mail: None, digests: digests::Cache::default() })
    }

    /// Whose mail it is.
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// `~/mail`, if there is one.
    fn mail(&mut self) -> Result<Option<Dir>> {
        let path = self.account.home.join("mail");
        let dir = match self.home.any("mail") {
            Err(Miss::Gone) if self.mail.is_none() => return Ok(None),
            other => other.map_err(|miss| miss.about(path.display()))?,
        };
        if dir.uid != self.account.uid && !care::is_fenced(&dir) {
            return Err(Miss::LeftOut(Why::Foreign).about(path.display()));
        }
        match self.mail {
            Some(id) if id != dir.id() => {
                Err(Error::new(Code::Conflict, format!("{} was replaced by another directory during the work.", path.display())))
            }
            _ => {
                self.mail = Some(dir.id());
                Ok(Some(dir))
            }
        }
    }

    /// The directory of a folder, below `mail`.
    fn folder_dir(&self, mail: Dir, folder: &Folder) -> Look<Dir> {
        let mut dir = mail;
        for name in folder.components() {
            dir = dir.sub(name.os(), self.account.uid)?;
        }
        Ok(dir)
    }

    /// A folder's directories.
    fn folder(&mut self, folder: &Folder) -> Result<Look<Open>> {
        let Some(mail) = self.mail()? else { return Ok(Err(Miss::Gone)) };
        Ok(self.folder_dir(mail, folder).and_then(|dir| self.opened(folder, dir)))
    }

    fn opened(&self, folder: &Folder, dir: Dir) -> Look<Open> {
        let cur = dir.sub("cur", self.account.uid)?;
        let new = match dir.sub("new", self.account.uid) {
            Ok(new) => Some(new),
            Err(Miss::Gone) => None,
            Err(miss) => return Err(miss),
        };
        Ok(Open { folder: folder.clone(), dir, cur, new })
    }
}

impl Side for Local {
    fn user(&self) -> &str {
        &self.account.user
    }

    fn tree(&mut self) -> Result<Tree> {
        self.look_tree()
    }

    fn stat(&mut self, folders: &[Folder]) -> Result<Vec<Option<FolderStat>>> {
        folders.iter().map(|folder| self.look_stat(folder)).collect()
    }

    fn list(&mut self, folders: &[Folder], full: bool, each: &mut dyn FnMut(Listing) -> Result<()>) -> Result<()> {
        folders.iter().try_for_each(|folder| each(self.look_messages(folder, full)?))
    }

    fn read(&mut self, wanted: &[Wanted], sink: &mut dyn FnMut(Piece) -> Result<()>) -> Result<()> {
        self.copy_out(wanted, sink)
    }

    fn write(&mut self, next: &mut dyn FnMut() -> Result<Option<Piece>>) -> Result<()> {
        self.copy_in(next)
    }

    fn apply(&mut self, changes: &[Change]) -> Result<()> {
        self.change(changes)
    }

    fn sync_disk(&mut self) -> Result<()> {
        rustix::fs::syncfs(self.home.fd())
            .map_err(|errno| Error::machine(format!("writing the file system of {} to disk", self.account.home.display()), errno))
    }

    fn usage(&mut self) -> Result<Usage> {
        self.count()
    }

    fn fence(&mut self, on: bool) -> Result<()> {
        if on { self.fence_on() } else { self.fence_off() }
    }

    fn remove_messages(&mut self) -> Result<()> {
        self.clear()
    }

    fn prepare_target(&mut self) -> Result<()> {
        self.prepare()
    }
}
