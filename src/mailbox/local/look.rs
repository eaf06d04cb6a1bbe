//! Looking: the tree, a glance at a folder, its messages.

use super::super::names::{Control, Folder, Name, Place, is_cache};
use super::super::safe::{Dir, Look, Miss, mtime_ns, objection, size};
use super::super::side::{ControlStat, Digest, Entry, FolderStat, LeftOut, Listing, Tree, TreeFolder, Why};
use super::super::uidlist;
use super::super::{MAX_CONTROL, MAX_ENTRIES, MAX_MESSAGE};
use super::{Local, Open};
use crate::error::{Code, Error, Result};
use rustix::fs::FileType;
use std::io::Read as _;

/// The clock by which files get their times, in nanoseconds since 1970.
pub(super) fn now_ns() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_nanos()).unwrap_or(i64::MAX)
}

/// The most control files of a folder; only sieve scripts can be that many.
const MAX_CONTROLS: usize = 1000;

/// What lies in a folder's directory beside `cur`, `new` and `tmp`.
#[derive(Default)]
struct Beside {
    controls: Vec<ControlStat>,
    caches: bool,
    left_out: LeftOut,
    /// Directories that may be folders or domains.
    dirs: Vec<Name>,
}

impl Local {
    pub(super) fn look_tree(&mut self) -> Result<Tree> {
        let mut tree = Tree { now_ns: now_ns(), ..Tree::default() };
        let Some(mail) = self.mail()? else { return Ok(tree) };
        let path = |name: &Name| name.to_string();
        let domains = self.walk_mailbox(&Folder::default(), &mail, &mut tree)?;
        for domain in domains {
            if !Folder::may_be_domain(&domain) {
                continue;
            }
            let dir = match mail.sub(domain.os(), self.account.uid) {
                Ok(dir) => dir,
                Err(miss) => {
                    skip(miss, &mut tree.left_out, || path(&domain))?;
                    continue;
                }
            };
            let mut locals = Vec::new();
            let left_out = &mut tree.left_out;
            dir.each(|name, kind| {
                match kind {
                    FileType::Directory | FileType::Unknown if !name.bytes().starts_with(b".") => locals.push(name),
                    other => left_out.add(|| format!("{domain}/{name}"), not_mail(other)),
                }
                Ok(())
            })
            .or_else(|miss| skip(miss, &mut tree.left_out, || path(&domain)))?;
            for local in locals {
                let inbox = Folder::new(vec![domain.clone(), local])?;
                match dir.sub(inbox.components()[1].os(), self.account.uid) {
                    Ok(mailbox) => drop(self.walk_mailbox(&inbox, &mailbox, &mut tree)?),
                    Err(miss) => skip(miss, &mut tree.left_out, || inbox.to_string())?,
                }
            }
        }
        tree.folders.sort_by(|one, two| one.folder.cmp(&two.folder));
        if tree.folders.len() > MAX_ENTRIES {
            return Err(Error::new(
                Code::Unsupported,
                format!("“{}” has more than {MAX_ENTRIES} mail folders.", self.account.user),
            ));
        }
        Ok(tree)
    }

    /// Adds a mailbox and its folders to the tree; returns the names of the directories that are neither.
    fn walk_mailbox(&self, inbox: &Folder, dir: &Dir, tree: &mut Tree) -> Result<Vec<Name>> {
        let beside = match self.beside(inbox, dir) {
            Ok(beside) => beside,
            Err(miss) => {
                skip(miss, &mut tree.left_out, || inbox.to_string())?;
                return Ok(Vec::new());
            }
        };
        let has = |name: &[u8]| beside.dirs.iter().any(|dir| dir.bytes() == name);
        if has(b"mailboxes") {
            let format = if has(b"storage") { "mdbox" } else { "sdbox" };
            tree.unsupported.push((inbox.mailbox(&self.account.user), format.to_owned()));
        }
        let (folders, others): (Vec<_>, Vec<_>) = beside.dirs.iter().cloned().partition(|name| name.bytes().starts_with(b"."));
        match self.opened(inbox, dir.again().map_err(|miss| miss.about(inbox))?) {
            Ok(open) => tree.folders.push(TreeFolder { folder: inbox.clone(), stat: self.glance(&open, beside)? }),
            // The directory above the domains is no mailbox when it has no `cur`; neither is an empty directory.
            Err(Miss::Gone) => tree.left_out.merge(&beside.left_out),
            Err(miss) => skip(miss, &mut tree.left_out, || format!("{inbox}/cur"))?,
        }
        for name in folders {
            let folder = inbox.sub(name)?;
            let last = folder.components().last().map(Name::os).unwrap_or_default();
            let looked = dir.sub(last, self.account.uid).and_then(|dir| {
                let open = self.opened(&folder, dir)?;
                let beside = self.beside(&folder, &open.dir)?;
                Ok((open, beside))
            });
            match looked {
                Ok((open, beside)) => {
                    let stat = self.glance(&open, beside)?;
                    tree.folders.push(TreeFolder { folder, stat });
                }
                Err(miss) => skip(miss, &mut tree.left_out, || folder.to_string())?,
            }
        }
        Ok(others)
    }

    pub(super) fn look_stat(&mut self, folder: &Folder) -> Result<Option<FolderStat>> {
        let open = match self.folder(folder)? {
            Ok(open) => open,
            Err(Miss::Machine(errno)) => return Err(Miss::Machine(errno).about(folder)),
            Err(_) => return Ok(None),
        };
        let beside = self.beside(folder, &open.dir).map_err(|miss| miss.about(folder))?;
        self.glance(&open, beside).map(Some)
    }

    fn glance(&self, open: &Open, beside: Beside) -> Result<FolderStat> {
        let about = |miss: Miss| miss.about(&open.folder);
        Ok(FolderStat {
            cur: open.cur.stamp().map_err(about)?,
            new: open.new.as_ref().map(Dir::stamp).transpose().map_err(about)?,
            controls: beside.controls,
            caches: beside.caches,
            left_out: beside.left_out,
        })
    }

    fn beside(&self, folder: &Folder, dir: &Dir) -> Look<Beside> {
        let mut found = Beside::default();
        let inbox = folder.is_inbox();
        let mut files = Vec::new();
        let mut sieve = false;
        dir.each(|name, kind| {
            let kind = match kind {
                FileType::Unknown => dir.stat(name.os()).map_or(FileType::Unknown, |stat| FileType::from_raw_mode(stat.st_mode)),
                known => known,
            };
            match (kind, name.bytes()) {
                (FileType::Directory, b"cur" | b"new" | b"tmp") => {}
                (FileType::Directory, b"sieve") if inbox => sieve = true,
                (FileType::Directory, _) if inbox => found.dirs.push(name),
                (_, bytes) if is_cache(bytes) => found.caches = true,
                (FileType::RegularFile, b"mailbox_format.cpanel") => {}
                (_, bytes) => match Control::in_folder(bytes, inbox) {
                    Some(control) => files.push(control),
                    None => found.left_out.add(|| format!("{folder}/{name}"), not_mail(kind)),
                },
            }
            Ok(())
        })?;
        for control in files {
            let stat = dir.stat(control.name().os());
            self.control(folder, control, stat, &mut found)?;
        }
        if sieve {
            match dir.sub("sieve", self.account.uid) {
                Ok(scripts) => {
                    let mut files = Vec::new();
                    scripts.each(|name, _| {
                        files.extend(Control::in_sieve(&name));
                        Ok(())
                    })?;
                    for control in files {
                        let stat = scripts.stat(control.name().os());
                        self.control(folder, control, stat, &mut found)?;
                    }
                }
                Err(Miss::Gone) => {}
                Err(Miss::LeftOut(why)) => found.left_out.add(|| format!("{folder}/sieve"), why),
                Err(miss) => return Err(miss),
            }
        }
        found.controls.sort_by(|one, two| one.control.cmp(&two.control));
        Ok(found)
    }

    fn control(&self, folder: &Folder, control: Control, stat: Look<rustix::fs::Stat>, found: &mut Beside) -> Look<()> {
        let stat = match stat {
            Ok(stat) => stat,
            Err(Miss::Gone) => return Ok(()),
            Err(miss) => return Err(miss),
        };
        let why = objection(&stat, self.account.uid).or((size(&stat) > MAX_CONTROL).then_some(Why::TooLarge)).or((found
            .controls
            .len()
            >= MAX_CONTROLS)
            .then_some(Why::NotMail));
        match why {
            None => found.controls.push(ControlStat { control, size: size(&stat), mtime_ns: mtime_ns(&stat) }),
            Some(why) => found.left_out.add(|| format!("{folder}/{control}"), why),
        }
        Ok(())
    }

    pub(super) fn look_messages(&mut self, folder: &Folder, full: bool) -> Result<Listing> {
        let about = |miss: Miss| miss.about(folder);
        let open = match self.folder(folder)? {
            Ok(open) => open,
            Err(Miss::Machine(errno)) => return Err(about(Miss::Machine(errno))),
            Err(_) => return Ok(Listing::default()),
        };
        let mut found = self.entries(&open).map_err(about)?;
        if found.rows.len() > MAX_ENTRIES {
            return Err(Error::new(Code::Unsupported, format!("The folder {folder} has more than {MAX_ENTRIES} messages.")));
        }
        let mut listing = Listing { exists: true, left_out: found.left_out, ..Listing::default() };
        if full {
            self.digests.fill(&open, self.account.uid, &mut found.rows)?;
            let uids = self.content(&open, Control::UIDLIST).map_err(about)?;
            if let Some(list) = uids.as_deref().and_then(uidlist::parse) {
                for (entry, _) in &mut found.rows {
                    entry.uid = list.uids.get(entry.name.base()).copied().unwrap_or(0);
                }
                listing.uids = Some(list.header);
            }
            let keywords = self.content(&open, Control::KEYWORDS).map_err(about)?;
            listing.keywords = keywords.as_deref().map(uidlist::keywords).unwrap_or_default();
            let beside = self.beside(folder, &open.dir).map_err(about)?;
            for file in beside.controls {
                if let Some(digest) = self.control_digest(&open, &file.control).map_err(about)? {
                    listing.controls.insert(file.control, digest);
                }
            }
        }
        listing.entries = found.rows.into_iter().map(|(entry, _)| entry).collect();
        Ok(listing)
    }

    /// The messages of a folder with their inodes, in order.
    pub(super) fn entries(&self, open: &Open) -> Look<Rows> {
        let mut rows = Vec::new();
        let mut left_out = LeftOut::default();
        for place in [Place::New, Place::Cur] {
            let Ok(dir) = open.place(place) else { continue };
            dir.each(|name, _| {
                if name.bytes().starts_with(b".") {
                    return Ok(());
                }
                let stat = match dir.stat(name.os()) {
                    Ok(stat) => stat,
                    Err(Miss::Gone) => return Ok(()),
                    Err(miss) => return Err(miss),
                };
                let why = objection(&stat, self.account.uid).or((size(&stat) > MAX_MESSAGE).then_some(Why::TooLarge));
                match why {
                    Some(why) => left_out.add(|| format!("{}/{}/{name}", open.folder, place.dir()), why),
                    None => {
                        let entry = Entry { place, name, size: size(&stat), mtime_ns: mtime_ns(&stat), uid: 0, digest: None };
                        rows.push((entry, stat.st_ino));
                    }
                }
                Ok(())
            })?;
        }
        rows.sort_unstable_by(|(one, _), (two, _)| one.order().cmp(&two.order()));
        // A message renamed while the directory was being read may have been seen under both names: one file, one message.
        rows.dedup_by(|(later, inode), (earlier, same)| {
            let twice = inode == same && later.name.base() == earlier.name.base();
            if twice {
                std::mem::swap(later, earlier);
            }
            twice
        });
        Ok(Rows { rows, left_out })
    }

    /// How many keywords a folder has names for.
    pub(super) fn keyword_count(&mut self, folder: &Folder) -> Result<usize> {
        let Ok(open) = self.folder(folder)? else { return Ok(0) };
        let text = self.content(&open, Control::KEYWORDS).map_err(|miss| miss.about(folder))?;
        Ok(text.as_deref().map(uidlist::keywords).unwrap_or_default().len())
    }

    /// A control file's content, if it may be read.
    fn content(&self, open: &Open, name: &[u8]) -> Look<Option<Vec<u8>>> {
        use std::os::unix::ffi::OsStrExt as _;
        let (file, stat) = match open.dir.file(std::ffi::OsStr::from_bytes(name), self.account.uid) {
            Ok(opened) => opened,
            Err(Miss::Gone | Miss::LeftOut(_)) => return Ok(None),
            Err(miss) => return Err(miss),
        };
        if size(&stat) > MAX_CONTROL {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        file.take(MAX_CONTROL).read_to_end(&mut bytes).map_err(|_| Miss::Machine(rustix::io::Errno::IO))?;
        Ok(Some(bytes))
    }

    fn control_digest(&self, open: &Open, control: &Control) -> Look<Option<Digest>> {
        let sieve;
        let dir = if control.is_sieve() {
            sieve = open.dir.sub("sieve", self.account.uid)?;
            &sieve
        } else {
            &open.dir
        };
        match dir.file(control.name().os(), self.account.uid) {
            Ok((mut file, stat)) => Ok(super::digests::digest(&mut file, size(&stat))),
            Err(Miss::Gone | Miss::LeftOut(_)) => Ok(None),
            Err(miss) => Err(miss),
        }
    }
}

/// The messages of a folder.
pub(super) struct Rows {
    /// With their inodes, in order.
    pub rows: Vec<(Entry, u64)>,
    /// Left out.
    pub left_out: LeftOut,
}

/// Goes on without something that could not be opened, unless the machine failed.
fn skip(miss: Miss, left_out: &mut LeftOut, path: impl Fn() -> String) -> Result<()> {
    match miss {
        Miss::Gone => Ok(()),
        Miss::LeftOut(why) => {
            left_out.add(path, why);
            Ok(())
        }
        machine @ Miss::Machine(_) => Err(machine.about(path())),
    }
}

fn not_mail(kind: FileType) -> Why {
    match kind {
        FileType::Symlink => Why::Symlink,
        FileType::RegularFile | FileType::Directory => Why::NotMail,
        _ => Why::Special,
    }
}
