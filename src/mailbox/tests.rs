//! Whole passes over real directories, through a real socket pair.

mod hostile;
mod mirror;
mod proof;

use super::*;
use std::ops::ControlFlow;
use std::os::unix::fs::{MetadataExt as _, chown, lchown};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tempfile::TempDir;

/// A home directory of a made-up account.
pub(super) struct Home {
    pub dir: TempDir,
    pub uid: u32,
}

impl Home {
    /// An account of its own number, where the tests run as root.
    pub fn new(number: u32) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let own = std::fs::metadata(dir.path()).unwrap().uid();
        let home = Self { dir, uid: if own == 0 { number } else { own } };
        chown(home.dir.path(), Some(home.uid), None).unwrap();
        home.mkdir("mail");
        home
    }

    pub fn account(&self) -> Account {
        Account { user: "ada".into(), home: self.dir.path().into(), uid: self.uid, gid: self.uid }
    }

    pub fn local(&self) -> Local {
        Local::open(self.account()).unwrap()
    }

    /// A path below `~/mail`.
    pub fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join("mail").join(path)
    }

    /// Gives a path and what is above it to the account.
    pub fn own(&self, path: &std::path::Path) {
        let mut path = path;
        while path.starts_with(self.dir.path()) && path != self.dir.path() {
            lchown(path, Some(self.uid), Some(self.uid)).unwrap();
            path = path.parent().unwrap();
        }
    }

    fn mkdir(&self, path: &str) {
        let path = self.dir.path().join(path);
        std::fs::create_dir_all(&path).unwrap();
        self.own(&path);
    }

    pub fn folder(&self, folder: &str) {
        for dir in ["cur", "new", "tmp"] {
            self.mkdir(&format!("mail/{folder}/{dir}"));
        }
    }

    /// A file of the account, written 1,000,000 seconds ago and some.
    pub fn file(&self, path: &str, content: &str) {
        let full = self.path(path);
        std::fs::write(&full, content).unwrap();
        self.own(&full);
        self.date(path, 1_000_000 + content.len() as u64);
    }

    pub fn date(&self, path: &str, seconds_ago: u64) {
        let when = SystemTime::now() - Duration::from_secs(seconds_ago) + Duration::from_nanos(123_456_789);
        std::fs::File::open(self.path(path)).unwrap().set_modified(when).unwrap();
    }

    /// As if nothing had changed for a while.
    pub fn rest(&self) {
        fn age(dir: &std::path::Path, when: SystemTime) {
            for entry in std::fs::read_dir(dir).unwrap().flatten() {
                if entry.file_type().unwrap().is_dir() {
                    age(&entry.path(), when);
                }
            }
            std::fs::File::open(dir).unwrap().set_modified(when).unwrap();
        }
        age(&self.path(""), SystemTime::now() - Duration::from_secs(60));
    }

    /// Every file below `~/mail` but caches and `tmp`: path, owner, nanoseconds, content; control files without their time.
    pub fn files(&self) -> Vec<(String, u32, i64, String)> {
        fn walk(dir: &std::path::Path, root: &std::path::Path, out: &mut Vec<(String, u32, i64, String)>) {
            for entry in std::fs::read_dir(dir).unwrap().flatten() {
                let (path, meta) = (entry.path(), entry.metadata().unwrap());
                if meta.is_dir() {
                    walk(&path, root, out);
                } else if meta.is_file() {
                    let name = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
                    let time = if name.contains("/cur/") || name.contains("/new/") || name.starts_with("cur/") {
                        i64::try_from(meta.modified().unwrap().duration_since(UNIX_EPOCH).unwrap().as_nanos()).unwrap()
                    } else {
                        0
                    };
                    out.push((name, meta.uid(), time, std::fs::read_to_string(&path).unwrap()));
                }
            }
        }
        let mut out = Vec::new();
        walk(&self.path(""), &self.path(""), &mut out);
        out.sort();
        out
    }

    /// Two mailboxes with folders, flags, keywords and control files.
    pub fn filled(number: u32) -> Self {
        let home = Self::new(number);
        for folder in [".", ".Sent", "example.com/bob", "example.com/bob/.A&AOk-.b c.", "example.com/bob/.Leer"] {
            home.folder(folder);
        }
        home.file("cur/1.M1.h,S=5:2,S", "hello");
        home.file("new/2.M1.h", "second");
        home.file("example.com/bob/cur/3.M1.h:2,FSa", "third one");
        home.file("example.com/bob/cur/4.M1.h:2,", "");
        home.file("example.com/bob/cur/odd\nname:2,S", "odd");
        home.file("example.com/bob/.A&AOk-.b c./cur/5.M1.h:2,Rb", &"long ".repeat(200_000));
        home.file("example.com/bob/dovecot-uidlist", "3 V100 N9 Gabc\n3 :3.M1.h:2,\n4 W0 :4.M1.h\n");
        home.file("example.com/bob/dovecot-keywords", "0 Work\n");
        home.file("example.com/bob/subscriptions", "V\t2\n\nSent\n");
        home.file("example.com/bob/.A&AOk-.b c./dovecot-keywords", "1 Home\n");
        home.file("example.com/bob/.A&AOk-.b c./maildirfolder", "");
        home.file("example.com/bob/dovecot.index", "cache");
        home.file("example.com/bob/maildirsize", "cache");
        home.file("example.com/bob/tmp/half", "half a message");
        home.mkdir("mail/example.com/bob/sieve");
        home.file("example.com/bob/sieve/roundcube.sieve", "keep;");
        home.rest();
        home
    }

    /// What a copy of this home is to have.
    pub fn expected(&self, uid: u32) -> Vec<(String, u32, i64, String)> {
        let copied = |name: &str| !(name.contains("dovecot.index") || name.contains("maildirsize") || name.contains("tmp/"));
        self.files().into_iter().filter(|file| copied(&file.0)).map(|(name, _, time, text)| (name, uid, time, text)).collect()
    }
}

/// A home served to the other end of a socket pair.
pub(super) struct Served {
    pub remote: Option<Remote<UnixStream>>,
    thread: Option<JoinHandle<crate::error::Result<()>>>,
}

impl Served {
    pub fn new(home: &Home) -> Self {
        let (near, far) = UnixStream::pair().unwrap();
        let local = home.local();
        Self { remote: Some(Remote::new("ada", near)), thread: Some(std::thread::spawn(move || serve(far, local))) }
    }

    pub fn side(&mut self) -> &mut Remote<UnixStream> {
        self.remote.as_mut().unwrap()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        drop(self.remote.take());
        let ended = self.thread.take().unwrap().join().unwrap();
        if !std::thread::panicking() {
            ended.unwrap();
        }
    }
}

pub(super) fn watch() -> impl FnMut(&Progress) -> ControlFlow<()> {
    |_| ControlFlow::Continue(())
}

pub(super) const REMOVE: Options = Options { extra: Extra::Remove };
pub(super) const KEEP: Options = Options { extra: Extra::Keep };
