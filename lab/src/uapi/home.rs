//! Files below an account's home directory, which its owner may fill with symbolic links, hard links, FIFOs and devices.
//!
//! Root works here on the owner's behalf. Every open is resolved beneath the home directory with no symbolic link followed, whatever
//! is opened must be a plain file or a directory of the account (or root), and what is made belongs to the account.

use std::collections::BTreeSet;
use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{
    AtFlags, Dir, FileType, Gid, Mode, OFlags, ResolveFlags, Stat, Uid, fchmod, fchown, fstat, mkdirat, openat2, renameat,
    statat, unlinkat,
};
use rustix::io::Errno;

/// The largest configuration file read from a home directory, in bytes.
const FILE_LIMIT: u64 = 16 << 20;

/// How deep a tree below a home directory is followed.
const DEPTH_LIMIT: usize = 64;

/// An account's home directory, opened.
#[derive(Debug)]
pub struct Home {
    dir: OwnedFd,
    uid: Uid,
    gid: Gid,
}

/// What a tree takes on disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes of the blocks taken.
    pub bytes: u64,
    /// Files and directories, the top included.
    pub inodes: u64,
}

impl Home {
    /// Opens the home directory at `path`, whose files belong to `uid`:`gid`.
    ///
    /// # Errors
    /// When it is not a directory of that user.
    pub fn open(path: &Path, uid: u32, gid: u32) -> io::Result<Self> {
        let dir = rustix::fs::open(path, OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY, Mode::empty())?;
        if fstat(&dir)?.st_uid != uid {
            return Err(io::Error::other(format!("{} does not belong to the account", path.display())));
        }
        Ok(Self { dir, uid: Uid::from_raw(uid), gid: Gid::from_raw(gid) })
    }

    /// The content of the plain file `path`; `None` when there is none.
    ///
    /// # Errors
    /// When it is anything else than one plain file of the account, or larger than 16 MiB.
    pub fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        // O_NONBLOCK so that a FIFO in the file's place cannot hold the caller.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = match self.open_beneath(path, flags) {
            Ok(file) => file,
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let stat = fstat(&file)?;
        self.check(path, &stat, FileType::RegularFile)?;
        let mut content = Vec::new();
        File::from(file).take(FILE_LIMIT + 1).read_to_end(&mut content)?;
        if content.len() as u64 > FILE_LIMIT {
            return Err(io::Error::other(format!("“{path}” is too large")));
        }
        Ok(Some(content))
    }

    /// [`Home::read`] as text; an absent file is empty.
    ///
    /// # Errors
    /// As [`Home::read`].
    pub fn text(&self, path: &str) -> io::Result<String> {
        let content = self.read(path)?.unwrap_or_default();
        Ok(String::from_utf8_lossy(&content).into_owned())
    }

    /// Replaces `path` by a new file of the account with this content, `mode`, and group (the account's own when `None`).
    ///
    /// # Errors
    /// When the directory is missing or not one of the account's.
    pub fn write(&self, path: &str, content: &[u8], mode: u32, group: Option<u32>) -> io::Result<()> {
        let (parent, name) = split(path);
        let parent = self.open_dir(parent)?;
        let scratch = format!(".{name}.{}", crate::uapi::random_text(12)?);
        let file = openat2(
            &parent,
            &*scratch,
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC,
            Mode::from_raw_mode(0o600),
            resolve(),
        )?;
        let written = (|| {
            let mut file = File::from(file);
            file.write_all(content)?;
            fchown(&file, Some(self.uid), Some(self.group(group)))?;
            fchmod(&file, Mode::from_raw_mode(mode))?;
            file.sync_data()?;
            renameat(&parent, &*scratch, &parent, name)?;
            Ok(())
        })();
        if written.is_err() {
            let _ = unlinkat(&parent, &*scratch, AtFlags::empty());
        }
        written
    }

    /// Makes the directory `path` and those above it that are missing; those that exist are left as they are.
    ///
    /// # Errors
    /// When something else than a directory stands in the way.
    pub fn make_dir(&self, path: &str, mode: u32, group: Option<u32>) -> io::Result<()> {
        let mut current = self.dir.try_clone()?;
        for name in path.split('/').filter(|name| !name.is_empty()) {
            let made = match mkdirat(&current, name, Mode::from_raw_mode(0o700)) {
                Ok(()) => true,
                Err(Errno::EXIST) => false,
                Err(error) => return Err(error.into()),
            };
            let next = openat2(&current, name, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty(), resolve())?;
            if made {
                fchown(&next, Some(self.uid), Some(self.group(group)))?;
                fchmod(&next, Mode::from_raw_mode(mode))?;
            } else {
                self.check(path, &fstat(&next)?, FileType::Directory)?;
            }
            current = next;
        }
        Ok(())
    }

    /// Names in the directory `path` that are text, sorted; none when there is no such directory.
    ///
    /// # Errors
    /// When it is not a directory of the account.
    pub fn names(&self, path: &str) -> io::Result<Vec<String>> {
        let dir = match self.open_dir(path) {
            Ok(dir) => dir,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        Ok(entries(dir.as_fd())?.into_iter().filter_map(|name| name.into_string().ok()).collect())
    }

    /// Removes the file (or symbolic link) `path`; whether there was one.
    ///
    /// # Errors
    /// When the directory cannot be reached safely.
    pub fn remove_file(&self, path: &str) -> io::Result<bool> {
        let (parent, name) = split(path);
        let parent = match self.open_dir(parent) {
            Ok(parent) => parent,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        match unlinkat(&parent, name, AtFlags::empty()) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes the directory `path` with all in it; symbolic links are removed, not followed.
    ///
    /// # Errors
    /// When something in it cannot be removed.
    pub fn remove_tree(&self, path: &str) -> io::Result<()> {
        let (parent, name) = split(path);
        let parent = match self.open_dir(parent) {
            Ok(parent) => parent,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        remove_entry(parent.as_fd(), &CString::new(name)?, 0)
    }

    /// What `path` takes on disk; nothing when it does not exist. Only the account's own files count, and hard links once.
    ///
    /// # Errors
    /// When a directory cannot be read.
    pub fn usage(&self, path: &str) -> io::Result<Usage> {
        let mut usage = Usage::default();
        let dir = match self.open_dir(path) {
            Ok(dir) => dir,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(usage),
            Err(error) => return Err(error),
        };
        let mut linked = BTreeSet::new();
        add(&mut usage, &fstat(&dir)?);
        self.walk(dir.as_fd(), &mut usage, &mut linked, 0)?;
        Ok(usage)
    }

    fn walk(&self, dir: BorrowedFd<'_>, usage: &mut Usage, linked: &mut BTreeSet<u64>, depth: usize) -> io::Result<()> {
        if depth > DEPTH_LIMIT {
            return Ok(());
        }
        for name in entries(dir)? {
            let Ok(stat) = statat(dir, &name, AtFlags::SYMLINK_NOFOLLOW) else {
                continue;
            };
            if stat.st_uid == self.uid.as_raw() && (stat.st_nlink < 2 || linked.insert(stat.st_ino)) {
                add(usage, &stat);
            }
            if FileType::from_raw_mode(stat.st_mode) == FileType::Directory
                && let Ok(sub) =
                    openat2(dir, &*name, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty(), resolve())
            {
                self.walk(sub.as_fd(), usage, linked, depth + 1)?;
            }
        }
        Ok(())
    }

    /// Bytes of mail in the Maildir `path` and its folders, by the `S=` size in each file's name where there is one.
    ///
    /// # Errors
    /// When a directory cannot be read.
    pub fn mail_bytes(&self, path: &str) -> io::Result<u64> {
        let mut folders = vec![path.to_owned()];
        folders.extend(self.names(path)?.into_iter().filter(|name| name.starts_with('.')).map(|name| format!("{path}/{name}")));
        let mut bytes = 0;
        for folder in folders {
            for part in ["cur", "new"] {
                // A dot-file that is no folder, or a folder removed meanwhile, holds no mail.
                let Ok(dir) = self.open_dir(&format!("{folder}/{part}")) else {
                    continue;
                };
                for name in entries(dir.as_fd())? {
                    bytes += match name.to_str().ok().and_then(size_in_name) {
                        Some(size) => size,
                        None => statat(&dir, &name, AtFlags::SYMLINK_NOFOLLOW)
                            .map_or(0, |stat| u64::try_from(stat.st_size).unwrap_or(0)),
                    };
                }
            }
        }
        Ok(bytes)
    }

    /// When `path` last changed, in Unix time; `None` when there is nothing.
    ///
    /// # Errors
    /// When it cannot be reached safely.
    pub fn changed(&self, path: &str) -> io::Result<Option<i64>> {
        match self.open_beneath(path, OFlags::PATH) {
            Ok(file) => Ok(Some(fstat(&file)?.st_mtime)),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn group(&self, group: Option<u32>) -> Gid {
        group.map_or(self.gid, Gid::from_raw)
    }

    fn open_dir(&self, path: &str) -> io::Result<OwnedFd> {
        let dir = self.open_beneath(path, OFlags::RDONLY | OFlags::DIRECTORY)?;
        self.check(path, &fstat(&dir)?, FileType::Directory)?;
        Ok(dir)
    }

    fn open_beneath(&self, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
        let path = if path.is_empty() { "." } else { path };
        openat2(&self.dir, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve())
    }

    /// Refuses what is of another kind, another owner's, or (for files) known by a second name.
    fn check(&self, path: &str, stat: &Stat, kind: FileType) -> io::Result<()> {
        let owned = stat.st_uid == self.uid.as_raw() || stat.st_uid == 0;
        let single = kind == FileType::Directory || stat.st_nlink == 1;
        if FileType::from_raw_mode(stat.st_mode) == kind && owned && single {
            return Ok(());
        }
        Err(io::Error::other(format!("“{path}” is not a plain file or directory of the account")))
    }
}

fn resolve() -> ResolveFlags {
    ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS
}

fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

fn add(usage: &mut Usage, stat: &Stat) {
    usage.bytes += u64::try_from(stat.st_blocks).unwrap_or(0) * 512;
    usage.inodes += 1;
}

/// The size a Maildir file name carries: `…,S=1234,W=1260:2,S` gives 1234.
fn size_in_name(name: &str) -> Option<u64> {
    let (_, rest) = name.split_once(",S=")?;
    let digits = rest.split([',', ':']).next()?;
    digits.parse().ok()
}

/// Names in a directory, sorted. The owner chose them: they are bytes, not always text.
fn entries(dir: BorrowedFd<'_>) -> io::Result<Vec<CString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(dir)? {
        let name = entry?.file_name().to_owned();
        if !matches!(name.to_bytes(), b"." | b"..") {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

fn remove_entry(parent: BorrowedFd<'_>, name: &CStr, depth: usize) -> io::Result<()> {
    if depth > DEPTH_LIMIT {
        return Err(io::Error::other("the directories are nested too deep"));
    }
    match unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(error) => return Err(error.into()),
    }
    let dir =
        openat2(parent, name, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty(), resolve())?;
    for inner in entries(dir.as_fd())? {
        remove_entry(dir.as_fd(), &inner, depth + 1)?;
    }
    unlinkat(parent, name, AtFlags::REMOVEDIR)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt, symlink};

    fn home() -> (tempfile::TempDir, Home) {
        let scratch = tempfile::tempdir().unwrap();
        std::os::unix::fs::chown(scratch.path(), Some(54321), Some(54321)).unwrap();
        let home = Home::open(scratch.path(), 54321, 54321).unwrap();
        (scratch, home)
    }

    #[test]
    fn what_is_made_belongs_to_the_account() {
        let (scratch, home) = home();
        home.make_dir("etc/example.com", 0o750, Some(8)).unwrap();
        home.write("etc/example.com/shadow", b"x", 0o640, Some(8)).unwrap();
        let file = scratch.path().join("etc/example.com/shadow").metadata().unwrap();
        assert_eq!((file.uid(), file.gid(), file.mode() & 0o7777), (54321, 8, 0o640));
        let dir = scratch.path().join("etc").metadata().unwrap();
        assert_eq!((dir.uid(), dir.gid(), dir.mode() & 0o7777), (54321, 8, 0o750));
    }

    #[test]
    fn symbolic_links_are_not_followed() {
        let (scratch, home) = home();
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("shadow"), "secret").unwrap();
        symlink(outside.path(), scratch.path().join("etc")).unwrap();
        assert!(home.read("etc/shadow").is_err());
        assert!(home.write("etc/shadow", b"x", 0o600, None).is_err());
        assert!(home.make_dir("etc/d", 0o700, None).is_err());
        home.remove_tree("etc").unwrap();
        assert_eq!(std::fs::read(outside.path().join("shadow")).unwrap(), b"secret");
        assert!(home.read("../etc/passwd").is_err());
    }

    #[test]
    fn a_file_with_a_second_name_is_refused() {
        let (scratch, home) = home();
        home.write("a", b"x", 0o600, None).unwrap();
        std::fs::hard_link(scratch.path().join("a"), scratch.path().join("b")).unwrap();
        assert!(home.read("b").is_err());
    }

    #[test]
    fn trees_with_names_that_are_no_text_go_whole() {
        use std::os::unix::ffi::OsStrExt;
        let (scratch, home) = home();
        home.make_dir("mail/x/cur", 0o700, None).unwrap();
        let odd = std::ffi::OsStr::from_bytes(b"caf\xe9");
        std::fs::create_dir(scratch.path().join("mail/x").join(odd)).unwrap();
        std::fs::write(scratch.path().join("mail/x").join(odd).join(odd), "x").unwrap();
        home.remove_tree("mail/x").unwrap();
        assert!(!scratch.path().join("mail/x").exists());
    }

    #[test]
    fn mail_is_counted_in_every_folder() {
        let (_scratch, home) = home();
        home.make_dir("mail/.Sent/cur", 0o700, None).unwrap();
        home.make_dir("mail/new", 0o700, None).unwrap();
        home.write("mail/.Sent/cur/1.M2.h,S=700,W=720:2,S", b"", 0o600, None).unwrap();
        home.write("mail/new/2.M3.h", b"12345", 0o600, None).unwrap();
        assert_eq!(home.mail_bytes("mail").unwrap(), 705);
    }
}
