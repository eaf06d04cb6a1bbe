//! The fence, counting, cleaning up, making ready.

use super::super::MAX_MESSAGE;
use super::super::names::Control;
use super::super::safe::{self, Dir, Look, Miss};
use super::super::side::{Oddity, Usage};
use super::Local;
use super::copy::{PARTIAL, drop_caches, gone_is_fine};
use crate::error::{Code, Context as _, Error, Result};
use rustix::fs::{FileType, XattrFlags};
use rustix::io::Errno;

/// Only root can set or see attributes of this class. The value is the directory's mode before the fence, octal. A directory of root's
/// without it is not one that a fence was put on, whatever its name.
const MARK: &str = "trusted.linked_nodes.fence";

/// cPanel's mode of `~/mail`.
const USUAL_MODE: u32 = 0o751;

/// The mode a fenced directory had, if it is marked.
fn mark(dir: &Dir) -> Option<u32> {
    let mut value = [0; 8];
    let length = rustix::fs::fgetxattr(dir.fd(), MARK, &mut value[..]).ok()?;
    let text = std::str::from_utf8(value.get(..length)?).ok()?;
    u32::from_str_radix(text, 8).ok().map(|mode| mode & 0o777)
}

/// Whether the directory is root's because of a fence.
pub(super) fn is_fenced(dir: &Dir) -> bool {
    dir.uid == 0 && mark(dir).is_some()
}

impl Local {
    pub(super) fn fence_on(&mut self) -> Result<()> {
        let what = format!("fencing the mail of “{}”", self.account.user);
        let Some(mail) = self.mail()? else {
            return Err(Error::new(Code::NotFound, format!("“{}” has no mail directory to fence.", self.account.user)));
        };
        let (owner, mode) = mail.owner_and_mode().map_err(|miss| miss.about(&what))?;
        if mark(&mail).is_none() {
            let value = format!("{:o}", if owner == self.account.uid { mode & 0o777 } else { USUAL_MODE });
            rustix::fs::fsetxattr(mail.fd(), MARK, value.as_bytes(), XattrFlags::empty()).context(&what)?;
        }
        // Owner first: after that nobody but root can change the mode.
        mail.give(0, 0).and_then(|()| mail.chmod(0o700)).map_err(|miss| miss.about(&what))?;
        // The directory's name belongs to the home, which the account can still write: prove that what it names is what was fenced.
        match self.mail()? {
            Some(named) if named.id() == mail.id() && named.uid == 0 => Ok(()),
            _ => Err(Error::new(
                Code::Conflict,
                format!("The mail directory of “{}” was moved while it was being fenced.", self.account.user),
            )),
        }
    }

    /// Wherever the fenced directory is now: the account may have renamed it in its home, and only the mark tells which it is.
    pub(super) fn fence_off(&mut self) -> Result<()> {
        let what = format!("lifting the fence from the mail of “{}”", self.account.user);
        let mut fenced = Vec::new();
        self.home
            .each(|name, kind| {
                if let FileType::Directory | FileType::Unknown = kind
                    && let Ok(dir) = self.home.any(name.os())
                    && mark(&dir).is_some()
                {
                    fenced.push(dir);
                }
                Ok(())
            })
            .map_err(|miss| miss.about(&what))?;
        for dir in fenced {
            let mode = mark(&dir).filter(|mode| mode & 0o700 == 0o700).unwrap_or(USUAL_MODE);
            dir.chmod(mode).and_then(|()| dir.give(self.account.uid, self.account.gid)).map_err(|miss| miss.about(&what))?;
            match rustix::fs::fremovexattr(dir.fd(), MARK) {
                Ok(()) | Err(Errno::NODATA) => {}
                Err(errno) => return Err(Error::machine(&what, errno)),
            }
        }
        Ok(())
    }

    pub(super) fn count(&mut self) -> Result<Usage> {
        let tree = self.look_tree()?;
        let space =
            rustix::fs::fstatvfs(self.home.fd()).context(format!("looking at the disk of {}", self.account.home.display()))?;
        let mut usage = Usage {
            folders: tree.folders.len() as u64,
            free_bytes: space.f_bavail.saturating_mul(space.f_frsize),
            free_inodes: if space.f_files == 0 { u64::MAX } else { space.f_favail },
            left_out: tree.left_out,
            ..Usage::default()
        };
        usage.oddities.extend(tree.unsupported.into_iter().map(|(mailbox, format)| Oddity::Unsupported { mailbox, format }));
        for item in tree.folders {
            let mailbox = item.folder.mailbox(&self.account.user);
            let listing = self.look_messages(&item.folder, false)?;
            let bytes: u64 = listing.entries.iter().map(|entry| entry.size).sum();
            usage.left_out.merge(&item.stat.left_out);
            usage.left_out.merge(&listing.left_out);
            usage.messages += listing.entries.len() as u64;
            usage.bytes += bytes;
            match usage.mailboxes.iter_mut().rev().find(|(name, ..)| *name == mailbox) {
                Some((_, messages, total)) => {
                    *messages += listing.entries.len() as u64;
                    *total += bytes;
                }
                None => usage.mailboxes.push((mailbox.clone(), listing.entries.len() as u64, bytes)),
            }
            if item.stat.controls.iter().any(|file| file.control.name().bytes() == Control::KEYWORDS) {
                let keywords = self.keyword_count(&item.folder)?;
                if keywords > 26 {
                    usage.oddities.push(Oddity::ManyKeywords { mailbox, folder: item.folder.imap(), keywords });
                }
            }
        }
        Ok(usage)
    }

    pub(super) fn clear(&mut self) -> Result<()> {
        for item in self.look_tree()?.folders {
            let Ok(open) = self.folder(&item.folder)? else { continue };
            let about = |miss: Miss| miss.about(&item.folder);
            let tmp = match open.dir.sub("tmp", self.account.uid) {
                Ok(tmp) => Some(tmp),
                Err(Miss::Machine(errno)) => return Err(about(Miss::Machine(errno))),
                Err(_) => None,
            };
            for dir in [Some(&open.cur), open.new.as_ref(), tmp.as_ref()].into_iter().flatten() {
                unlink_files(dir, self.account.uid).and_then(|()| dir.fsync()).map_err(about)?;
            }
            drop_caches(&open.dir)
                .and_then(|()| gone_is_fine(open.dir.unlink("dovecot-uidlist")))
                .and_then(|()| open.dir.fsync())
                .map_err(about)?;
        }
        Ok(())
    }

    /// Every mailbox of the account begins a new numbering: a mail program that remembers messages of another server takes none of them
    /// for one that is here now. Messages stay. Nobody may have the mailboxes open.
    ///
    /// # Errors
    /// When the directory cannot be read or changed.
    pub fn renumber(&mut self) -> Result<()> {
        self.ensure_mail()?;
        for item in self.look_tree()?.folders {
            let Ok(open) = self.folder(&item.folder)? else { continue };
            let about = |miss: Miss| miss.about(&item.folder);
            drop_caches(&open.dir).and_then(|()| gone_is_fine(open.dir.unlink("dovecot-uidlist"))).map_err(about)?;
            let mut counters = Vec::new();
            open.dir
                .each(|name, kind| {
                    if kind != FileType::Directory && name.bytes().starts_with(b"dovecot-uidvalidity") {
                        counters.push(name);
                    }
                    Ok(())
                })
                .map_err(about)?;
            counters.iter().try_for_each(|name| gone_is_fine(open.dir.unlink(name.os()))).map_err(about)?;
            open.dir.fsync().map_err(about)?;
        }
        Ok(())
    }

    pub(super) fn prepare(&mut self) -> Result<()> {
        self.ensure_mail()?;
        for item in self.look_tree()?.folders {
            let Ok(open) = self.folder(&item.folder)? else { continue };
            let about = |miss: Miss| miss.about(&item.folder);
            drop_caches(&open.dir).map_err(about)?;
            let tmp = match open.dir.sub("tmp", self.account.uid) {
                Ok(tmp) => tmp,
                Err(Miss::Machine(errno)) => return Err(about(Miss::Machine(errno))),
                Err(_) => continue,
            };
            let mut partial = Vec::new();
            tmp.each(|name, _| {
                if name.bytes().starts_with(PARTIAL.as_bytes()) {
                    partial.push(name);
                }
                Ok(())
            })
            .map_err(about)?;
            partial.iter().try_for_each(|name| gone_is_fine(tmp.unlink(name.os()))).map_err(about)?;
        }
        Ok(())
    }
}

/// Removes the account's own regular files of a directory: what a pass copies and a verification compares. What was left out of those
/// stays, whatever it is.
fn unlink_files(dir: &Dir, uid: u32) -> Look<()> {
    let mut names = Vec::new();
    dir.each(|name, kind| {
        if kind != FileType::Directory {
            names.push(name);
        }
        Ok(())
    })?;
    for name in names {
        match dir.stat(name.os()) {
            Ok(stat) if safe::objection(&stat, uid).is_none() && safe::size(&stat) <= MAX_MESSAGE => {}
            Ok(_) | Err(Miss::Gone) => continue,
            Err(miss) => return Err(miss),
        }
        match dir.unlink(name.os()) {
            Ok(()) | Err(Miss::Gone | Miss::Machine(Errno::ISDIR | Errno::PERM)) => {}
            Err(miss) => return Err(miss),
        }
    }
    Ok(())
}
