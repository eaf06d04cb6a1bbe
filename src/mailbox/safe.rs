//! Opening things in a tree that a customer owns, as root.
//!
//! A path is walked one name at a time from a directory held open. Each step is `openat2` with `RESOLVE_BENEATH`, `RESOLVE_NO_SYMLINKS`
//! and `RESOLVE_NO_MAGICLINKS`; on a kernel without it, `openat` with `O_NOFOLLOW`, which for a single name is as strict. What was opened is
//! then looked at through its descriptor: a directory of the account, or a regular file of the account. A hard link to another user's
//! file has that user's number and is refused by it.

use super::account::Account;
use super::names::Name;
use super::side::{DirStamp, Why};
use crate::error::{Code, Error, Result};
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, RenameFlags, ResolveFlags, Stat, Timespec, Timestamps, UTIME_OMIT, Uid};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;

/// Why something could not be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Miss {
    /// It is not there.
    Gone,
    /// It is not what may be touched.
    LeftOut(Why),
    /// The machine failed.
    Machine(Errno),
}

/// A look at the file system.
pub type Look<T> = std::result::Result<T, Miss>;

impl From<Errno> for Miss {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::NOENT => Self::Gone,
            Errno::LOOP | Errno::XDEV => Self::LeftOut(Why::Symlink),
            Errno::NOTDIR | Errno::NXIO | Errno::NODEV => Self::LeftOut(Why::Special),
            other => Self::Machine(other),
        }
    }
}

impl Miss {
    /// As an error about `path`, for those who cannot go on without it.
    pub fn about(self, path: impl std::fmt::Display) -> Error {
        match self {
            Self::Gone => Error::new(Code::NotFound, format!("{path} does not exist.")),
            Self::LeftOut(why) => Error::new(Code::Refused, format!("{path} {}.", why.text())),
            Self::Machine(errno) => Error::machine(path, errno),
        }
    }
}

/// Time of last change in nanoseconds since 1970; times out of range are clamped.
pub fn mtime_ns(stat: &Stat) -> i64 {
    stat.st_mtime.saturating_mul(1_000_000_000).saturating_add_unsigned(stat.st_mtime_nsec)
}

/// Bytes; none for a nonsensical negative.
pub fn size(stat: &Stat) -> u64 {
    u64::try_from(stat.st_size).unwrap_or(0)
}

/// What keeps a file from being read as the account's; `None` when it is a regular file of `uid`.
pub fn objection(stat: &Stat, uid: u32) -> Option<Why> {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile if stat.st_uid == uid => None,
        FileType::RegularFile => Some(Why::Foreign),
        FileType::Symlink => Some(Why::Symlink),
        FileType::Directory => Some(Why::Directory),
        _ => Some(Why::Special),
    }
}

/// A directory held open.
#[derive(Debug)]
pub struct Dir {
    fd: OwnedFd,
    /// The user it belonged to when it was opened.
    pub uid: u32,
    id: (u64, u64),
}

impl Dir {
    fn held(fd: OwnedFd) -> Look<Self> {
        let stat = rustix::fs::fstat(&fd)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            return Err(Miss::LeftOut(Why::Special));
        }
        Ok(Self { fd, uid: stat.st_uid, id: id(&stat) })
    }

    /// The account's home directory. What stands above it belongs to the system and is trusted.
    ///
    /// # Errors
    /// [`Code::Refused`] when it is a link or not the account's.
    pub fn home(account: &Account) -> Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let dir = rustix::fs::open(&account.home, flags, Mode::empty())
            .map_err(Miss::from)
            .and_then(Self::held)
            .map_err(|miss| miss.about(account.home.display()))?;
        if dir.uid == account.uid { Ok(dir) } else { Err(Miss::LeftOut(Why::Foreign).about(account.home.display())) }
    }

    fn open(&self, name: &OsStr, flags: OFlags, mode: Mode) -> Look<OwnedFd> {
        let bytes = name.as_bytes();
        if bytes.is_empty() || bytes == b"." || bytes == b".." || bytes.contains(&b'/') {
            return Err(Miss::Machine(Errno::INVAL));
        }
        let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        loop {
            return match rustix::fs::openat2(&self.fd, name, flags, mode, resolve) {
                Ok(fd) => Ok(fd),
                // A rename somewhere made the kernel unsure; it asks to be asked again.
                Err(Errno::AGAIN | Errno::INTR) => continue,
                Err(Errno::NOSYS) => Ok(rustix::fs::openat(&self.fd, name, flags, mode)?),
                Err(errno) => Err(errno.into()),
            };
        }
    }

    /// A directory in this one, whoever owns it.
    pub fn any(&self, name: impl AsRef<OsStr>) -> Look<Self> {
        let name = name.as_ref();
        match self.open(name, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()) {
            Ok(fd) => Self::held(fd),
            // Of a link the kernel, too, says only that it is no directory.
            Err(Miss::LeftOut(Why::Special)) => match FileType::from_raw_mode(self.stat(name)?.st_mode) {
                FileType::Symlink => Err(Miss::LeftOut(Why::Symlink)),
                FileType::RegularFile => Err(Miss::LeftOut(Why::NotMail)),
                _ => Err(Miss::LeftOut(Why::Special)),
            },
            Err(miss) => Err(miss),
        }
    }

    /// The same directory, held once more.
    pub fn again(&self) -> Look<Self> {
        let fd = rustix::io::fcntl_dupfd_cloexec(&self.fd, 0)?;
        Ok(Self { fd, ..*self })
    }

    /// A directory in this one that belongs to `uid`.
    pub fn sub(&self, name: impl AsRef<OsStr>, uid: u32) -> Look<Self> {
        let dir = self.any(name)?;
        if dir.uid == uid { Ok(dir) } else { Err(Miss::LeftOut(Why::Foreign)) }
    }

    /// A regular file in this directory that belongs to `uid`, for reading.
    pub fn file(&self, name: impl AsRef<OsStr>, uid: u32) -> Look<(File, Stat)> {
        let fd = self.open(name.as_ref(), OFlags::RDONLY, Mode::empty())?;
        let stat = rustix::fs::fstat(&fd)?;
        match objection(&stat, uid) {
            None => Ok((File::from(fd), stat)),
            Some(why) => Err(Miss::LeftOut(why)),
        }
    }

    /// A new file in this directory, root's alone until it is given away.
    pub fn create(&self, name: impl AsRef<OsStr>) -> Look<File> {
        let mode = Mode::RUSR | Mode::WUSR;
        Ok(File::from(self.open(name.as_ref(), OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL, mode)?))
    }

    /// A directory in this one that belongs to the account, made if it is not there.
    pub fn ensure(&self, name: impl AsRef<OsStr>, uid: u32, gid: u32, mode: u32) -> Look<Self> {
        let name = name.as_ref();
        match self.sub(name, uid) {
            Err(Miss::Gone) => {}
            other => return other,
        }
        rustix::fs::mkdirat(&self.fd, name, Mode::RWXU)?;
        let dir = self.any(name)?;
        // Between the two calls the account may have put another directory there. Its own is as good; one of root's is given away only
        // when there is nothing in it, and as long as it is root's nothing can get in.
        if dir.uid != uid {
            let mut empty = true;
            dir.each(|_, _| {
                empty = false;
                Ok(())
            })?;
            if dir.uid != 0 || !empty {
                return Err(Miss::LeftOut(Why::Foreign));
            }
        }
        dir.give(uid, gid)?;
        dir.chmod(mode)?;
        Ok(Self { uid, ..dir })
    }

    /// What a name stands for, without following or opening it.
    pub fn stat(&self, name: impl AsRef<OsStr>) -> Look<Stat> {
        Ok(rustix::fs::statat(&self.fd, name.as_ref(), AtFlags::SYMLINK_NOFOLLOW)?)
    }

    /// Every name in the directory, `.` and `..` excepted, with its type if the file system tells.
    pub fn each(&self, mut each: impl FnMut(Name, FileType) -> Look<()>) -> Look<()> {
        for entry in rustix::fs::Dir::read_from(&self.fd)? {
            let entry = entry?;
            if let Ok(name) = Name::new(entry.file_name().to_bytes()) {
                each(name, entry.file_type())?;
            }
        }
        Ok(())
    }

    /// Which directory it is, and when it last changed.
    pub fn stamp(&self) -> Look<DirStamp> {
        let stat = rustix::fs::fstat(&self.fd)?;
        Ok(DirStamp { id: id(&stat), mtime_ns: mtime_ns(&stat), size: size(&stat) })
    }

    /// Device and inode.
    pub fn id(&self) -> (u64, u64) {
        self.id
    }

    /// Owner and permission bits as they are now.
    pub fn owner_and_mode(&self) -> Look<(u32, u32)> {
        let stat = rustix::fs::fstat(&self.fd)?;
        Ok((stat.st_uid, stat.st_mode & 0o7777))
    }

    /// Removes a name that is not a directory.
    pub fn unlink(&self, name: impl AsRef<OsStr>) -> Look<()> {
        Ok(rustix::fs::unlinkat(&self.fd, name.as_ref(), AtFlags::empty())?)
    }

    /// Removes a directory and all that is in it, no deeper than `depth`, never through a link.
    pub fn remove_tree(&self, name: impl AsRef<OsStr>, depth: u32) -> Look<()> {
        let name = name.as_ref();
        let dir = self.any(name)?;
        dir.empty(depth)?;
        Ok(rustix::fs::unlinkat(&self.fd, name, AtFlags::REMOVEDIR)?)
    }

    /// Removes all that is in the directory, no deeper than `depth`.
    pub fn empty(&self, depth: u32) -> Look<()> {
        let mut names = Vec::new();
        self.each(|name, _| {
            names.push(name);
            Ok(())
        })?;
        for name in names {
            match self.unlink(name.os()) {
                Ok(()) | Err(Miss::Gone) => {}
                Err(Miss::Machine(Errno::ISDIR | Errno::PERM)) if depth > 0 => self.remove_tree(name.os(), depth - 1)?,
                Err(miss) => return Err(miss),
            }
        }
        Ok(())
    }

    /// Moves a name of this directory into another; `replace` says whether over what is there.
    pub fn rename(&self, from: impl AsRef<OsStr>, into: &Self, to: impl AsRef<OsStr>, replace: bool) -> Look<()> {
        let flags = if replace { RenameFlags::empty() } else { RenameFlags::NOREPLACE };
        Ok(rustix::fs::renameat_with(&self.fd, from.as_ref(), &into.fd, to.as_ref(), flags)?)
    }

    /// Gives the directory itself to a user.
    pub fn give(&self, uid: u32, gid: u32) -> Look<()> {
        give(&self.fd, uid, gid)
    }

    /// Sets the permission bits of the directory itself.
    pub fn chmod(&self, mode: u32) -> Look<()> {
        Ok(rustix::fs::fchmod(&self.fd, Mode::from_raw_mode(mode))?)
    }

    /// The directory's entries are on disk.
    pub fn fsync(&self) -> Look<()> {
        Ok(rustix::fs::fsync(&self.fd)?)
    }

    /// The descriptor, for calls about its file system.
    pub fn fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn id(stat: &Stat) -> (u64, u64) {
    (stat.st_dev, stat.st_ino)
}

/// Gives an open file to a user.
pub fn give(fd: impl std::os::fd::AsFd, uid: u32, gid: u32) -> Look<()> {
    Ok(rustix::fs::fchown(fd, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?)
}

/// Sets an open file's time of last change.
pub fn date(fd: impl std::os::fd::AsFd, mtime_ns: i64) -> Look<()> {
    let times = Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: mtime_ns.div_euclid(1_000_000_000), tv_nsec: mtime_ns.rem_euclid(1_000_000_000) },
    };
    Ok(rustix::fs::futimens(fd, &times)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt as _, symlink};

    #[test]
    fn links_and_foreign_files_are_left_out() {
        let temp = tempfile::tempdir().unwrap();
        let uid = std::fs::metadata(temp.path()).unwrap().uid();
        let account = Account { user: "ada".into(), home: temp.path().into(), uid, gid: 0 };
        let home = Dir::home(&account).unwrap();
        std::fs::create_dir(temp.path().join("real")).unwrap();
        std::fs::write(temp.path().join("file"), "x").unwrap();
        symlink("/etc", temp.path().join("link")).unwrap();
        symlink("/etc/passwd", temp.path().join("passwd")).unwrap();
        assert!(home.sub("real", uid).is_ok());
        assert_eq!(home.sub("real", uid + 1).unwrap_err(), Miss::LeftOut(Why::Foreign));
        assert_eq!(home.sub("link", uid).unwrap_err(), Miss::LeftOut(Why::Symlink));
        assert_eq!(home.file("passwd", uid).unwrap_err(), Miss::LeftOut(Why::Symlink));
        assert_eq!(home.file("real", uid).unwrap_err(), Miss::LeftOut(Why::Directory));
        assert_eq!(home.file("none", uid).unwrap_err(), Miss::Gone);
        assert_eq!(home.file("file", uid + 1).unwrap_err(), Miss::LeftOut(Why::Foreign));
        for out in ["..", ".", "real/..", "/etc/passwd", ""] {
            assert_eq!(home.file(out, uid).unwrap_err(), Miss::Machine(Errno::INVAL), "{out}");
        }
        home.remove_tree("real", 3).unwrap();
        assert_eq!(home.remove_tree("link", 3).unwrap_err(), Miss::LeftOut(Why::Symlink));
        assert!(std::fs::exists("/etc/passwd").unwrap());
    }
}
