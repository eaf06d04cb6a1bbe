//! Digests of messages, computed from disk, and remembered for as long as the side lives.

use super::super::names::base;
use super::super::safe::size;
use super::super::side::{Digest, Entry};
use super::Open;
use crate::error::Result;
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::fs::File;
use std::hash::{BuildHasher as _, RandomState};
use std::io::Read as _;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Digests by what identifies a file's content: inode, size, time and base name. The key is a keyed hash of these, so that a large mailbox
/// costs 40 bytes a message.
#[derive(Debug, Default)]
pub(super) struct Cache {
    keys: RandomState,
    known: HashMap<u64, Digest>,
}

/// Folders with fewer unknown messages than this are digested by one thread.
const FEW: usize = 16;

impl Cache {
    fn key(&self, name: &[u8], inode: u64, size: u64, mtime_ns: i64) -> u64 {
        self.keys.hash_one((base(name), inode, size, mtime_ns))
    }

    /// Remembers the digest of a file that was read from disk for another reason.
    pub fn learn(&mut self, name: &[u8], inode: u64, size: u64, mtime_ns: i64, digest: Digest) {
        self.known.insert(self.key(name, inode, size, mtime_ns), digest);
    }

    /// Fills in the digests of a folder's messages; reads those that are not known. A message that vanishes meanwhile stays without.
    pub fn fill(&mut self, open: &Open, uid: u32, rows: &mut [(Entry, u64)]) -> Result<()> {
        let mut unknown = Vec::new();
        for (at, (entry, inode)) in rows.iter_mut().enumerate() {
            match self.known.get(&self.key(entry.name.bytes(), *inode, entry.size, entry.mtime_ns)) {
                Some(digest) => entry.digest = Some(*digest),
                None => unknown.push(at),
            }
        }
        let threads = match unknown.len() {
            0..FEW => 1,
            _ => std::thread::available_parallelism().map_or(1, |count| count.get().min(4)),
        };
        let next = AtomicUsize::new(0);
        let (rows_seen, unknown_seen) = (&*rows, &unknown);
        let work = || {
            let mut done = Vec::new();
            while let Some(at) = unknown_seen.get(next.fetch_add(1, Ordering::Relaxed)) {
                let (entry, inode) = &rows_seen[*at];
                let Ok(dir) = open.place(entry.place) else { continue };
                let Ok((mut file, stat)) = dir.file(entry.name.os(), uid) else { continue };
                if stat.st_ino == *inode
                    && size(&stat) == entry.size
                    && let Some(digest) = digest(&mut file, entry.size)
                {
                    done.push((*at, digest));
                }
            }
            done
        };
        let mut done = Vec::new();
        std::thread::scope(|scope| {
            let helpers: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
            done = work();
            for helper in helpers {
                done.extend(helper.join().unwrap_or_default());
            }
        });
        for (at, digest) in done {
            let (entry, inode) = &mut rows[at];
            entry.digest = Some(digest);
            let key = self.key(entry.name.bytes(), *inode, entry.size, entry.mtime_ns);
            self.known.insert(key, digest);
        }
        Ok(())
    }
}

/// The digest of exactly `size` bytes; `None` when the file is shorter or cannot be read.
pub(super) fn digest(file: &mut File, size: u64) -> Option<Digest> {
    let mut hash = Sha256::new();
    let mut left = size;
    let mut buffer = vec![0; usize::try_from(size).unwrap_or(usize::MAX).clamp(1, 128 << 10)];
    while left > 0 {
        let want = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        match file.read(&mut buffer[..want]) {
            Ok(0) => return None,
            Ok(got) => {
                hash.update(&buffer[..got]);
                left -= got as u64;
            }
            Err(cause) if cause.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    }
    Some(hash.finalize().into())
}
