//! Files: what is there, putting something else in its place in one step, and bringing back what was there.

use super::host::Host;
use super::layout::SAVED_DIR;
use super::plan::Content;
use crate::error::{Context as _, Result};
use rustix::process::{Gid, Uid};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// What was at a path before the product came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "was", rename_all = "snake_case")]
pub enum Before {
    /// Nothing.
    Absent,
    /// A file; its content is kept under its SHA-256.
    File {
        /// Lower-case hex.
        sha256: String,
        /// Permission bits.
        mode: u32,
        /// Owner.
        uid: u32,
        /// Group.
        gid: u32,
    },
    /// A symbolic link.
    Link {
        /// What it pointed to.
        target: PathBuf,
    },
    /// A directory.
    Directory {
        /// Permission bits.
        mode: u32,
        /// Owner.
        uid: u32,
        /// Group.
        gid: u32,
    },
}

/// What is at a path, in one word that can be compared: `absent`, `directory`, `link TARGET`, `sha256 HEX`, `other`.
///
/// # Errors
/// When it cannot be read.
pub fn mark(path: &Path) -> Result<String> {
    let Some(found) = metadata(path)? else { return Ok("absent".to_owned()) };
    Ok(if found.is_dir() {
        "directory".to_owned()
    } else if found.is_symlink() {
        format!("link {}", fs::read_link(path).context(path.display())?.display())
    } else if found.is_file() {
        format!("sha256 {}", sha256(path)?)
    } else {
        "other".to_owned()
    })
}

/// The mark of what `content` becomes.
///
/// # Errors
/// When the file to copy cannot be read.
pub fn mark_of(content: &Content) -> Result<String> {
    Ok(match content {
        Content::Text(text) => format!("sha256 {}", hex(&Sha256::digest(text.as_bytes()))),
        Content::Bytes(bytes) => format!("sha256 {}", hex(&Sha256::digest(bytes))),
        Content::CopyOf(file) => format!("sha256 {}", sha256(file)?),
    })
}

/// What is at a path, without following a link; `None` when nothing is.
///
/// # Errors
/// When that cannot be known.
pub fn metadata(path: &Path) -> Result<Option<Metadata>> {
    match path.symlink_metadata() {
        Ok(found) => Ok(Some(found)),
        Err(cause) if matches!(cause.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(cause) => Err(cause).context(format!("looking at {}", path.display())),
    }
}

/// Records what is at a path, keeping a file's content.
///
/// # Errors
/// When it cannot be read or kept, or is neither file, link nor directory.
pub fn record(host: &Host, absolute: &str) -> Result<Before> {
    let path = host.path(absolute);
    let Some(found) = metadata(&path)? else { return Ok(Before::Absent) };
    let (mode, uid, gid) = (found.mode() & 0o7777, found.uid(), found.gid());
    if found.is_dir() {
        Ok(Before::Directory { mode, uid, gid })
    } else if found.is_symlink() {
        Ok(Before::Link { target: fs::read_link(&path).context(path.display())? })
    } else if found.is_file() {
        let sha256 = sha256(&path)?;
        let kept = host.path(SAVED_DIR).join(&sha256);
        if metadata(&kept)?.is_none() {
            make_directory(&host.path(SAVED_DIR), 0o700)?;
            write(&kept, &Content::CopyOf(path), 0o600, None)?;
        }
        Ok(Before::File { sha256, mode, uid, gid })
    } else {
        Err(crate::error::Error::new(
            crate::error::Code::Refused,
            format!("{absolute} is neither a file, a link nor a directory."),
        )
        .hint("Move it away and run it again."))
    }
}

/// Brings back what was recorded, in place of whatever file or link is there.
///
/// # Errors
/// When the disk refuses.
pub fn restore(host: &Host, absolute: &str, before: &Before) -> Result<()> {
    let path = host.path(absolute);
    match before {
        Before::Absent => remove(&path),
        Before::File { sha256, mode, uid, gid } => {
            let kept = Content::CopyOf(host.path(SAVED_DIR).join(sha256));
            write(&path, &kept, *mode, Some((*uid, *gid)))
        }
        Before::Link { target } => link(&path, target),
        Before::Directory { mode, uid, gid } => {
            set_owner_and_mode(&path, Some((*uid, *gid)), *mode).context(format!("restoring {absolute}"))
        }
    }
}

/// Writes a file in one step: whoever opens the path sees the old content or the new, whole, with its final owner and mode.
///
/// # Errors
/// When the disk refuses; the old content is then still there.
pub fn write(path: &Path, content: &Content, mode: u32, owner: Option<(u32, u32)>) -> Result<()> {
    let fresh = beside(path);
    let written = (|| -> io::Result<()> {
        remove_file(&fresh)?;
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
        match content {
            Content::Text(text) => file.write_all(text.as_bytes())?,
            Content::Bytes(bytes) => file.write_all(bytes)?,
            Content::CopyOf(source) => drop(io::copy(&mut File::open(source)?, &mut file)?),
        }
        set_owner_and_mode(&fresh, owner, mode)?;
        file.sync_all()?;
        fs::rename(&fresh, path)?;
        sync_parent(path)
    })();
    if written.is_err() {
        let _ = fs::remove_file(&fresh);
    }
    written.context(format!("writing {}", path.display()))
}

/// Makes a symbolic link in one step, in place of a file or link that is there.
///
/// # Errors
/// When the disk refuses.
pub fn link(path: &Path, target: &Path) -> Result<()> {
    let fresh = beside(path);
    let made = (|| -> io::Result<()> {
        remove_file(&fresh)?;
        std::os::unix::fs::symlink(target, &fresh)?;
        fs::rename(&fresh, path)?;
        sync_parent(path)
    })();
    made.context(format!("linking {}", path.display()))
}

/// Makes a directory with exactly this mode; its parent exists. One that is there only gets the mode.
///
/// # Errors
/// When the disk refuses.
pub fn make_directory(path: &Path, mode: u32) -> Result<()> {
    let made = match fs::create_dir(path) {
        Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        other => other,
    };
    made.and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(mode)))
        .and_then(|()| sync_parent(path))
        .context(format!("making the directory {}", path.display()))
}

/// Removes a file or link; nothing there is fine.
///
/// # Errors
/// When the disk refuses.
pub fn remove(path: &Path) -> Result<()> {
    remove_file(path).context(format!("removing {}", path.display()))
}

fn remove_file(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn set_owner_and_mode(path: &Path, owner: Option<(u32, u32)>, mode: u32) -> io::Result<()> {
    if let Some((uid, gid)) = owner
        && rustix::process::geteuid().is_root()
    {
        rustix::fs::chown(path, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
    }
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.linked-nodes-new"))
}

fn sync_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
}

fn sha256(path: &Path) -> Result<String> {
    let mut file = File::open(path).context(format!("reading {}", path.display()))?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer).context(format!("reading {}", path.display()))? {
            0 => return Ok(hex(&hasher.finalize())),
            count => hasher.update(&buffer[..count]),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
