//! Reading, replacing and editing the server's own files.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::marker::PhantomData;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::Machine;

/// The file whose lock orders every read-modify-write of shared files, by `cpsrvd` and by the commands.
const LOCK: &str = "/var/cpanel/lab/lock";

/// Numbers temporary files apart within one process.
static NEXT: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// How often this thread holds the lock of each machine.
    static HELD: RefCell<BTreeMap<PathBuf, usize>> = const { RefCell::new(BTreeMap::new()) };
}

/// The lock, until dropped. It belongs to its thread, which may take it again while it holds it.
#[derive(Debug)]
pub struct Lock {
    root: PathBuf,
    /// Only the first lock of a thread has the file.
    file: Option<File>,
    _of_this_thread: PhantomData<*const ()>,
}

impl Drop for Lock {
    fn drop(&mut self) {
        HELD.with_borrow_mut(|held| {
            if let Some(depth) = held.get_mut(&self.root) {
                *depth -= 1;
            }
        });
        // Closing the file ends the lock.
        drop(self.file.take());
    }
}

/// A file's text; `None` when there is no such file. Bytes that are no UTF-8 are replaced.
pub fn read(path: &Path) -> io::Result<Option<String>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// A file's text, empty when there is no such file.
pub fn text(path: &Path) -> io::Result<String> {
    Ok(read(path)?.unwrap_or_default())
}

/// Writes `bytes` in place of the file at `path`: readers see the old content or the new, never half. Keeps the
/// owner of the file that was there. Creates missing folders.
pub fn replace(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt;
    let folder = path.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(folder)?;
    let name = path.file_name().ok_or_else(|| io::Error::other(format!("{} is no file name", path.display())))?;
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let temporary = folder.join(format!(".{}.{}.{number}", name.to_string_lossy(), std::process::id()));
    let written = (|| {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary)?;
        file.write_all(bytes)?;
        file.set_permissions(Permissions::from_mode(mode))?;
        if let Ok(old) = fs::symlink_metadata(path) {
            std::os::unix::fs::fchown(&file, Some(old.uid()), Some(old.gid()))?;
        }
        fs::rename(&temporary, path)
    })();
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// Removes a file if it is there.
pub fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

impl Machine {
    /// Waits for the lock. Not to be held while hooks run or commands of cPanel are called: they take it too.
    pub fn lock(&self) -> io::Result<Lock> {
        let depth = HELD.with_borrow_mut(|held| {
            let depth = held.entry(self.root.clone()).or_default();
            *depth += 1;
            *depth
        });
        // From here on, dropping it counts down, whatever fails.
        let mut lock = Lock { root: self.root.clone(), file: None, _of_this_thread: PhantomData };
        if depth == 1 {
            lock.file = Some(self.lock_file()?);
        }
        Ok(lock)
    }

    fn lock_file(&self) -> io::Result<File> {
        let path = self.path(LOCK);
        fs::create_dir_all(path.parent().unwrap_or(Path::new("/")))?;
        let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)?;
        loop {
            match rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive) {
                Ok(()) => return Ok(file),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Replaces the text of the file at `absolute` by what `change` makes of it, under the lock. Nothing is written
    /// when `change` fails or changes nothing. An absent file reads as empty.
    pub fn edit<E: From<io::Error>>(
        &self,
        absolute: &str,
        mode: u32,
        change: impl FnOnce(&str) -> Result<String, E>,
    ) -> Result<(), E> {
        let path = self.path(absolute);
        let _lock = self.lock()?;
        let old = read(&path)?;
        let new = change(old.as_deref().unwrap_or_default())?;
        if old.as_deref() != Some(new.as_str()) {
            replace(&path, new.as_bytes(), mode)?;
        }
        Ok(())
    }
}

/// The value of `key` in `key: value` lines.
pub fn lookup(text: &str, key: &str) -> Option<String> {
    pairs(text).find(|(name, _)| *name == key).map(|(_, value)| value.to_owned())
}

/// The `key: value` lines of a text.
pub fn pairs(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .filter_map(|line| line.split_once(':'))
        .map(|(key, value)| (key.trim(), value.trim()))
}

/// The text with `key: value` set, or the key's lines removed. New keys go to the end.
pub fn with_pair(text: &str, key: &str, value: Option<&str>) -> String {
    let mut out = String::with_capacity(text.len() + key.len() + 16);
    let mut done = false;
    for line in text.lines() {
        let is_key = !line.trim_start().starts_with('#') && line.split_once(':').is_some_and(|(name, _)| name.trim() == key);
        match (is_key, value) {
            (false, _) => {
                out.push_str(line);
                out.push('\n');
            }
            (true, Some(value)) if !done => {
                done = true;
                out.push_str(&format!("{key}: {value}\n"));
            }
            (true, _) => {}
        }
    }
    if let (false, Some(value)) = (done, value) {
        out.push_str(&format!("{key}: {value}\n"));
    }
    out
}

/// The text with `line` present once, or absent.
pub fn with_line(text: &str, line: &str, present: bool) -> String {
    let mut out: String = text.lines().filter(|old| old.trim() != line).map(|old| format!("{old}\n")).collect();
    if present {
        out.push_str(line);
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::scratch;

    #[test]
    fn pairs_are_set_replaced_and_removed() {
        let text = "a: 1\n# b: x\nb: 2\n";
        assert_eq!(with_pair(text, "b", Some("3")), "a: 1\n# b: x\nb: 3\n");
        assert_eq!(with_pair(text, "c", Some("4")), "a: 1\n# b: x\nb: 2\nc: 4\n");
        assert_eq!(with_pair(text, "a", None), "# b: x\nb: 2\n");
        assert_eq!(lookup(text, "b").as_deref(), Some("2"));
    }

    #[test]
    fn edits_from_many_threads_are_all_kept() {
        let (_folder, machine) = scratch::machine();
        std::thread::scope(|scope| {
            for number in 0..8 {
                let machine = &machine;
                scope.spawn(move || {
                    let _held = machine.lock().unwrap();
                    machine
                        .edit::<io::Error>("/etc/list", 0o644, |old| Ok(with_line(old, &format!("line{number}"), true)))
                        .unwrap();
                });
            }
        });
        let text = text(&machine.path("/etc/list")).unwrap();
        assert_eq!(text.lines().count(), 8);
    }
}
