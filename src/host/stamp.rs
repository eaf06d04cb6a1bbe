//! Whether an account's mail configuration was touched: a digest over its files' names, sizes, inodes and times. Nothing is read.

use crate::error::{Context as _, Error, Result};
use crate::mailbox::Account;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags};
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;
use std::os::fd::{AsFd, OwnedFd};

/// Deeper folders of configuration do not exist.
const DEPTH: u32 = 3;
/// More entries in one folder than this are not looked at one by one.
const ENTRIES: usize = 100_000;

fn open_dir(below: impl AsFd, path: &str) -> Result<Option<OwnedFd>> {
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let strict = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    match rustix::fs::openat2(below, path, flags, Mode::empty(), strict) {
        Ok(fd) => Ok(Some(fd)),
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::LOOP | rustix::io::Errno::NOTDIR) => Ok(None),
        Err(cause) => Err(Error::machine(format!("opening {path}"), cause)),
    }
}

fn add(lines: &mut Vec<String>, dir: &OwnedFd, prefix: &str, depth: u32) -> Result<()> {
    let listing = Dir::read_from(dir).context(format!("listing {prefix}"))?;
    for entry in listing.take(ENTRIES) {
        let entry = entry.context(format!("listing {prefix}"))?;
        let name = String::from_utf8_lossy(entry.file_name().to_bytes()).into_owned();
        if name == "." || name == ".." {
            continue;
        }
        let Ok(stat) = rustix::fs::statat(dir, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW) else { continue };
        let path = format!("{prefix}/{name}");
        lines.push(format!("{path} {} {} {}.{}", stat.st_ino, stat.st_size, stat.st_mtime, stat.st_mtime_nsec));
        if depth > 0
            && FileType::from_raw_mode(stat.st_mode) == FileType::Directory
            && let Some(deeper) = open_dir(dir, &name)?
        {
            add(lines, &deeper, &path, depth - 1)?;
        }
    }
    Ok(())
}

/// The stamp; equal stamps mean that nothing was touched in between.
///
/// # Errors
/// When a folder cannot be listed.
pub fn stamp(user: &str, domains: &[String]) -> Result<String> {
    let account = Account::find(user)?;
    let mut lines = Vec::new();
    let home = rustix::fs::open(&account.home, OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .context("opening the home directory")?;
    for place in ["etc", ".autorespond"] {
        if let Some(dir) = open_dir(&home, place)? {
            add(&mut lines, &dir, place, DEPTH)?;
        }
    }
    for domain in domains {
        crate::rules::names::domain(domain)?;
        for place in ["/etc/valiases", "/etc/vdomainaliases", "/etc/vfilters"] {
            let path = format!("{place}/{domain}");
            if let Ok(stat) = rustix::fs::lstat(&path) {
                lines.push(format!("{path} {} {} {}.{}", stat.st_ino, stat.st_size, stat.st_mtime, stat.st_mtime_nsec));
            }
        }
    }
    lines.sort();
    let mut hex = String::with_capacity(64);
    for byte in Sha256::digest(lines.join("\n").as_bytes()) {
        let _ = write!(hex, "{byte:02x}");
    }
    Ok(hex)
}
