//! Reading files out, writing files in, and changes that move no bytes.

use super::super::names::{Control, Folder, Name, Place, base};
use super::super::safe::{self, Dir, Look, Miss, mtime_ns, size};
use super::super::side::{Change, Head, Piece, Slot, Wanted, Why};
use super::super::{MAX_CONTROL, MAX_MESSAGE, SETTLED_NS, UNSETTLED_NS};
use super::look::now_ns;
use super::{Local, Open};
use crate::error::{Code, Error, Result};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};

/// Files in `tmp` whose names start like this are ours; what an interrupted copy left is known by it.
pub(super) const PARTIAL: &str = "linked-nodes.";

/// How deep below a folder's directory anything is removed.
const DEPTH: u32 = 16;

/// Where messages of a folder went that are not where they were listed.
type Moved = HashMap<Box<[u8]>, (Place, Name)>;

impl Local {
    pub(super) fn copy_out(&mut self, wanted: &[Wanted], sink: &mut dyn FnMut(Piece) -> Result<()>) -> Result<()> {
        let mut held: Option<Open> = None;
        let mut moved: Option<Moved> = None;
        for (index, file) in wanted.iter().enumerate() {
            let index = u32::try_from(index).map_err(|_| Error::new(Code::Invalid, "Too many files are wanted at once."))?;
            let folder = file.slot.folder();
            if held.as_ref().is_none_or(|open| open.folder != *folder) {
                moved = None;
                held = match self.folder(folder)? {
                    Ok(open) => Some(open),
                    Err(Miss::Machine(errno)) => return Err(Miss::Machine(errno).about(folder)),
                    Err(_) => None,
                };
            }
            let found = match &held {
                None => Err(Miss::Gone),
                Some(open) => match &file.slot {
                    Slot::Message { place, name, .. } => self.find_message(open, *place, name, file.size, &mut moved),
                    Slot::Control { control, .. } => self.find_control(open, control),
                },
            };
            match found {
                Ok(found) => self.send(index, folder, found, sink)?,
                Err(Miss::Gone) => sink(Piece::Gone { index, why: None })?,
                Err(Miss::LeftOut(why)) => sink(Piece::Gone { index, why: Some(why) })?,
                Err(machine) => return Err(machine.about(file.slot.path())),
            }
        }
        Ok(())
    }

    fn find_message(&self, open: &Open, place: Place, name: &Name, listed: u64, moved: &mut Option<Moved>) -> Look<Found> {
        let uid = self.account.uid;
        let at = |place: Place, name: &Name| -> Look<Found> {
            let (file, stat) = open.place(place)?.file(name.os(), uid)?;
            if size(&stat) != listed || listed > MAX_MESSAGE {
                return Err(Miss::LeftOut(Why::Unsteady));
            }
            let slot = Slot::Message { folder: open.folder.clone(), place, name: name.clone() };
            Ok(Found { file, head: Head { slot, size: listed, mtime_ns: mtime_ns(&stat) }, inode: stat.st_ino })
        };
        match at(place, name) {
            Err(Miss::Gone) => {}
            other => return other,
        }
        // It was renamed since it was listed, or removed. One look at the directories serves many; a second one is for those that were
        // renamed again.
        for fresh in [moved.is_none(), true] {
            if fresh {
                let rows = self.entries(open)?.rows;
                *moved = Some(rows.into_iter().map(|(entry, _)| (entry.name.base().into(), (entry.place, entry.name))).collect());
            }
            match moved.as_ref().and_then(|map| map.get(base(name.bytes()))) {
                None => return Err(Miss::Gone),
                Some((place, name)) => match at(*place, name) {
                    Err(Miss::Gone) if !fresh => {}
                    other => return other,
                },
            }
        }
        Err(Miss::Gone)
    }

    fn find_control(&self, open: &Open, control: &Control) -> Look<Found> {
        let sieve;
        let dir = if control.is_sieve() {
            sieve = open.dir.sub("sieve", self.account.uid)?;
            &sieve
        } else {
            &open.dir
        };
        let now = now_ns();
        let (file, stat) = dir.file(control.name().os(), self.account.uid)?;
        if size(&stat) > MAX_CONTROL {
            return Err(Miss::LeftOut(Why::TooLarge));
        }
        let settled = mtime_ns(&stat) < now.saturating_sub(SETTLED_NS);
        let slot = Slot::Control { folder: open.folder.clone(), control: control.clone() };
        let head = Head { slot, size: size(&stat), mtime_ns: if settled { mtime_ns(&stat) } else { UNSETTLED_NS } };
        Ok(Found { file, head, inode: stat.st_ino })
    }

    fn send(&mut self, index: u32, folder: &Folder, mut found: Found, sink: &mut dyn FnMut(Piece) -> Result<()>) -> Result<()> {
        let head = found.head.clone();
        let mut left = head.size;
        let mut hash = Sha256::new();
        sink(Piece::Head { index, head: found.head })?;
        while left > 0 {
            let want = usize::try_from(left).unwrap_or(usize::MAX).min(Piece::CHUNK);
            let mut chunk = vec![0; want];
            let got = read_some(&mut found.file, &mut chunk)
                .map_err(|cause| Error::machine(format!("reading {}", head.slot.path()), cause))?;
            if got == 0 {
                tracing::warn!(user = self.account.user, %folder, "a file became shorter while it was being read");
                return sink(Piece::Torn);
            }
            chunk.truncate(got);
            hash.update(&chunk);
            left -= got as u64;
            sink(Piece::Data(chunk))?;
        }
        if let Slot::Message { name, .. } = &head.slot {
            self.digests.learn(name.bytes(), found.inode, head.size, head.mtime_ns, hash.finalize().into());
        }
        sink(Piece::End)
    }

    pub(super) fn copy_in(&mut self, next: &mut dyn FnMut() -> Result<Option<Piece>>) -> Result<()> {
        let mut held: Option<(Open, Dir)> = None;
        let mut partial: Option<Partial> = None;
        let outcome = loop {
            match next() {
                Err(error) => break Err(error),
                Ok(None) => break Ok(()),
                Ok(Some(piece)) => {
                    if let Err(error) = self.take(piece, &mut held, &mut partial) {
                        break Err(error);
                    }
                }
            }
        };
        if let (Some(partial), Some((_, tmp))) = (partial, &held) {
            let _ = tmp.unlink(&partial.name);
        }
        outcome
    }

    fn take(&mut self, piece: Piece, held: &mut Option<(Open, Dir)>, partial: &mut Option<Partial>) -> Result<()> {
        let order = || Error::new(Code::Invalid, "The stream of files is out of order.");
        match piece {
            Piece::Head { head, .. } => {
                let limit = if matches!(head.slot, Slot::Message { .. }) { MAX_MESSAGE } else { MAX_CONTROL };
                if partial.is_some() || head.size > limit {
                    return Err(order());
                }
                let folder = head.slot.folder();
                let about = |miss: Miss| miss.about(head.slot.path());
                if held.as_ref().is_none_or(|(open, _)| open.folder != *folder) {
                    let open = self.folder(folder)?.map_err(about)?;
                    let tmp = open.dir.ensure("tmp", self.account.uid, self.account.gid, 0o700).map_err(about)?;
                    *held = Some((open, tmp));
                }
                let Some((_, tmp)) = held else { return Err(order()) };
                static COUNT: AtomicU64 = AtomicU64::new(0);
                let name = format!("{PARTIAL}{}.{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
                let file = tmp.create(&name).map_err(about)?;
                *partial = Some(Partial { file, name, left: head.size, head });
            }
            Piece::Data(chunk) => {
                let partial = partial.as_mut().ok_or_else(order)?;
                partial.left = partial.left.checked_sub(chunk.len() as u64).ok_or_else(order)?;
                partial.file.write_all(&chunk).map_err(|cause| {
                    Error::machine(format!("writing {} of “{}”", partial.head.slot.path(), self.account.user), cause)
                })?;
            }
            Piece::End => {
                let (Some((open, tmp)), Some(done)) = (held, partial.as_ref()) else { return Err(order()) };
                if done.left != 0 {
                    return Err(order());
                }
                self.finish(open, tmp, done)?;
                *partial = None;
            }
            Piece::Torn => {
                let (Some((_, tmp)), Some(torn)) = (held, partial.take()) else { return Err(order()) };
                tmp.unlink(&torn.name).map_err(|miss| miss.about(torn.head.slot.path()))?;
            }
            Piece::Gone { .. } => {}
        }
        Ok(())
    }

    fn finish(&self, open: &Open, tmp: &Dir, done: &Partial) -> Result<()> {
        let path = || done.head.slot.path();
        let (uid, gid) = (self.account.uid, self.account.gid);
        safe::give(&done.file, uid, gid)
            .and_then(|()| safe::date(&done.file, done.head.mtime_ns))
            .map_err(|miss| miss.about(path()))?;
        match &done.head.slot {
            Slot::Message { place, name, .. } => {
                let into = open.place(*place).map_err(|miss| miss.about(path()))?;
                tmp.rename(&done.name, into, name.os(), false).map_err(|miss| taken(miss, path()))
            }
            Slot::Control { control, .. } if control.is_sieve() => open
                .dir
                .ensure("sieve", uid, gid, 0o700)
                .and_then(|into| tmp.rename(&done.name, &into, control.name().os(), true))
                .map_err(|miss| miss.about(path())),
            Slot::Control { control, .. } => {
                tmp.rename(&done.name, &open.dir, control.name().os(), true).map_err(|miss| miss.about(path()))
            }
        }
    }

    pub(super) fn change(&mut self, changes: &[Change]) -> Result<()> {
        let mut held: Option<Open> = None;
        for change in changes {
            match change {
                Change::Create(folder) => {
                    held = None;
                    self.create(folder)?;
                }
                Change::RemoveFolder(folder) => {
                    held = None;
                    self.remove_folder(folder, false)?;
                }
                Change::RemoveFolderIfEmpty(folder) => {
                    held = None;
                    self.remove_folder(folder, true)?;
                }
                Change::Rename { folder, from, to } => {
                    let open = self.hold(&mut held, folder)?;
                    let path = || format!("{folder}/{}/{}", to.0.dir(), to.1);
                    open.place(from.0)
                        .and_then(|dir| dir.rename(from.1.os(), open.place(to.0)?, to.1.os(), false))
                        .map_err(|miss| taken(miss, path()))?;
                }
                Change::Remove { folder, place, name } => {
                    let open = self.hold(&mut held, folder)?;
                    gone_is_fine(open.place(*place).and_then(|dir| dir.unlink(name.os())))
                        .map_err(|miss| miss.about(format!("{folder}/{}/{name}", place.dir())))?;
                }
                Change::Date { folder, place, name, mtime_ns } => {
                    let uid = self.account.uid;
                    let open = self.hold(&mut held, folder)?;
                    open.place(*place)
                        .and_then(|dir| dir.file(name.os(), uid))
                        .and_then(|(file, _)| safe::date(&file, *mtime_ns))
                        .map_err(|miss| miss.about(format!("{folder}/{}/{name}", place.dir())))?;
                }
                Change::RemoveControl(folder, control) => {
                    let uid = self.account.uid;
                    let open = self.hold(&mut held, folder)?;
                    let removed = if control.is_sieve() {
                        open.dir.sub("sieve", uid).and_then(|dir| dir.unlink(control.name().os()))
                    } else {
                        open.dir.unlink(control.name().os())
                    };
                    gone_is_fine(removed).map_err(|miss| miss.about(format!("{folder}/{control}")))?;
                }
                Change::DropCaches(folder) => {
                    let open = self.hold(&mut held, folder)?;
                    drop_caches(&open.dir).map_err(|miss| miss.about(folder))?;
                }
            }
        }
        Ok(())
    }

    fn hold<'a>(&mut self, held: &'a mut Option<Open>, folder: &Folder) -> Result<&'a Open> {
        if held.as_ref().is_none_or(|open| open.folder != *folder) {
            *held = Some(self.folder(folder)?.map_err(|miss| miss.about(folder))?);
        }
        held.as_ref().ok_or_else(|| Miss::Gone.about(folder))
    }

    /// Directories of a domain and of a mailbox are made with cPanel's mode 0751, those inside a mailbox are the owner's alone.
    fn create(&mut self, folder: &Folder) -> Result<()> {
        let (uid, gid) = (self.account.uid, self.account.gid);
        let mut dir = self.ensure_mail()?;
        let depth = folder.inbox().components().len();
        for (at, name) in folder.components().iter().enumerate() {
            let mode = if at < depth { 0o751 } else { 0o700 };
            dir = dir.ensure(name.os(), uid, gid, mode).map_err(|miss| miss.about(folder))?;
        }
        for name in ["tmp", "new", "cur"] {
            dir.ensure(name, uid, gid, 0o700).map_err(|miss| miss.about(format!("{folder}/{name}")))?;
        }
        Ok(())
    }

    pub(super) fn ensure_mail(&mut self) -> Result<Dir> {
        if let Some(mail) = self.mail()? {
            return Ok(mail);
        }
        let made = self.home.ensure("mail", self.account.uid, self.account.gid, 0o751);
        made.map_err(|miss| miss.about(self.account.home.join("mail").display()))?;
        self.mail()?.ok_or_else(|| Miss::Gone.about(self.account.home.join("mail").display()))
    }

    fn remove_folder(&mut self, folder: &Folder, only_empty: bool) -> Result<()> {
        let Ok(open) = self.folder(folder)? else { return Ok(()) };
        let about = |miss: Miss| miss.about(folder);
        if only_empty && !self.entries(&open).map_err(about)?.rows.is_empty() {
            return Ok(());
        }
        for dir in [Some(&open.cur), open.new.as_ref()].into_iter().flatten() {
            dir.empty(DEPTH).map_err(about)?;
        }
        if folder.is_inbox() {
            // The mailbox itself is the account's configuration, made and removed with it.
            drop_caches(&open.dir).map_err(about)?;
            return gone_is_fine(open.dir.unlink("dovecot-uidlist")).map_err(about);
        }
        let inbox = folder.inbox();
        let Some(mail) = self.mail()? else { return Ok(()) };
        let parent = self.folder_dir(mail, &inbox).map_err(about)?;
        match folder.components().last() {
            Some(name) => gone_is_fine(parent.remove_tree(name.os(), DEPTH)).map_err(about),
            None => Ok(()),
        }
    }
}

/// A file that is about to be sent.
struct Found {
    file: File,
    head: Head,
    inode: u64,
}

/// A file that is arriving.
struct Partial {
    file: File,
    name: String,
    left: u64,
    head: Head,
}

/// Removes Dovecot's caches from a folder's directory.
pub(super) fn drop_caches(dir: &Dir) -> Look<()> {
    let mut caches = Vec::new();
    dir.each(|name, _| {
        if super::super::names::is_cache(name.bytes()) {
            caches.push(name);
        }
        Ok(())
    })?;
    caches.into_iter().try_for_each(|name| gone_is_fine(dir.unlink(name.os())))
}

pub(super) fn gone_is_fine(looked: Look<()>) -> Look<()> {
    match looked {
        Err(Miss::Gone) => Ok(()),
        other => other,
    }
}

fn taken(miss: Miss, path: String) -> Error {
    match miss {
        Miss::Machine(Errno::EXIST) => {
            Error::new(Code::Conflict, format!("The target already has {path}; it is not overwritten."))
        }
        other => other.about(path),
    }
}

fn read_some(file: &mut File, buffer: &mut [u8]) -> std::io::Result<usize> {
    loop {
        match file.read(buffer) {
            Err(cause) if cause.kind() == std::io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}
