//! A pass: makes the target's mail what the source's is. What it relies on is told at the head of [`super`].

mod courier;

use super::SETTLED_NS;
use super::join::{Met, both, list_both, meet_entries};
use super::names::{Control, Folder};
use super::side::{Change, DirStamp, Entry, FolderStat, LeftOut, Side, Slot, Tree, Wanted};
use super::verify::Verified;
use crate::error::{Code, Error, Result};
use courier::Courier;
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

/// What happens to messages that only the target has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Extra {
    /// They go: the target's copy is known to be ours. A message of the same base name and another size is replaced.
    Remove,
    /// They stay; a message of the same base name and another size is a [`Code::Conflict`]. Folders that are empty and that only the
    /// target has go even so. `dovecot-uidlist` becomes the source's, so Dovecot will give kept messages new UIDs after the source's:
    /// ask [`target_leftovers`] first.
    Keep,
}

/// How a pass is to be done.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// What happens to messages that only the target has.
    pub extra: Extra,
}

/// How far a pass is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// Messages done in this call: copied, or compared.
    pub messages: u64,
    /// Bytes done in this call.
    pub bytes: u64,
    /// The mailbox being worked on.
    pub mailbox: String,
}

/// Tells how far the work is; may answer that it is to stop. It may also take its time, which slows the copy down.
pub type Watch<'a> = dyn FnMut(&Progress) -> ControlFlow<()> + 'a;

/// What passes and verifications learn for those after them. Losing it costs time, nothing else.
#[derive(Debug, Default)]
pub struct PassState {
    folders: HashMap<Folder, Known>,
    pub(super) verified: HashMap<Folder, Verified>,
}

/// A folder as the last pass left it.
#[derive(Debug)]
struct Known {
    source: Stamps,
    target: Stamps,
    left_out: LeftOut,
}

/// When the directories that hold messages last changed.
pub(super) type Stamps = (DirStamp, Option<DirStamp>);

pub(super) fn stamps(stat: &FolderStat) -> Stamps {
    (stat.cur, stat.new)
}

/// Whether a change after `now` cannot leave the same times.
pub(super) fn settled((cur, new): &Stamps, now_ns: i64) -> bool {
    let limit = now_ns.saturating_sub(SETTLED_NS);
    cur.mtime_ns < limit && new.is_none_or(|new| new.mtime_ns < limit)
}

/// What a pass did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PassReport {
    /// Messages copied.
    pub messages: u64,
    /// Bytes of messages copied.
    pub bytes: u64,
    /// Messages renamed on the target: other flags, or from `new` to `cur`.
    pub renamed: u64,
    /// Messages removed from the target.
    pub removed: u64,
    /// Messages whose copy on the target had another size and was replaced.
    pub replaced: u64,
    /// Messages that vanished from the source meanwhile: expunged.
    pub vanished: u64,
    /// Control files copied or removed.
    pub controls: u64,
    /// Folders made.
    pub folders_created: u64,
    /// Folders removed.
    pub folders_removed: u64,
    /// Folders on the source.
    pub folders: u64,
    /// Folders whose messages were listed, because they changed or were not known.
    pub folders_changed: u64,
    /// Everything on the source that is not copied, also what earlier passes found.
    pub left_out: LeftOut,
    /// How long it took.
    pub duration: Duration,
    /// Stopped by the caller before it was complete.
    pub stopped: bool,
}

/// Folders of one group take at most this much directory, which bounds what a group's plan takes in memory.
const GROUP_BYTES: u64 = 8 << 20;
/// Folders of one group.
const GROUP_FOLDERS: usize = 64;
/// The most changes in one call.
const BATCH: usize = 20_000;

/// Makes the target's mail what the source's is: copies, renames, removes, control files, folders. Everything is on the target's disk
/// when it returns.
///
/// # Errors
/// [`Code::Unsupported`] for a mailbox that is not Maildir; [`Code::Conflict`] where a message would have to be overwritten; otherwise
/// the failure of a side. Nothing the source has is ever changed; after a failure the pass may simply be done again.
pub fn pass(
    source: &mut dyn Side,
    target: &mut dyn Side,
    state: &mut PassState,
    options: Options,
    watch: &mut Watch<'_>,
) -> Result<PassReport> {
    let started = Instant::now();
    let (from, to) = both(|| source.tree(), || target.tree())?;
    maildir_only(&from)?;
    maildir_only(&to)?;
    let mut report = PassReport { folders: from.folders.len() as u64, ..PassReport::default() };
    let there: HashMap<&Folder, &FolderStat> = to.folders.iter().map(|item| (&item.folder, &item.stat)).collect();

    let mut changes = Vec::new();
    for item in &from.folders {
        match there.get(&item.folder) {
            None => {
                report.folders_created += 1;
                changes.push(Change::Create(item.folder.clone()));
            }
            Some(stat) if stat.new.is_none() => changes.push(Change::Create(item.folder.clone())),
            Some(_) => {}
        }
        if there.get(&item.folder).is_some_and(|stat| stat.caches) {
            changes.push(Change::DropCaches(item.folder.clone()));
        }
    }
    let mut touched = apply(target, &changes)?;

    let unchanged = |folder: &Folder, stat: &FolderStat, state: &PassState| {
        let (Some(known), Some(there)) = (state.folders.get(folder), there.get(folder)) else { return false };
        known.source == stamps(stat) && known.target == stamps(there)
    };
    let changed: Vec<_> = from.folders.iter().filter(|item| !unchanged(&item.folder, &item.stat, state)).collect();
    report.folders_changed = changed.len() as u64;
    for item in &changed {
        state.folders.remove(&item.folder);
    }

    let mut courier = Courier::new(source.user(), watch);
    let mut listed: HashMap<Folder, LeftOut> = HashMap::new();
    let mut rest = changed.as_slice();
    while !rest.is_empty() && !courier.stopped {
        let mut bytes = 0;
        let count = rest
            .iter()
            .take(GROUP_FOLDERS)
            .take_while(|item| {
                let fits = bytes < GROUP_BYTES;
                bytes += item.stat.cur.size + item.stat.new.map_or(0, |new| new.size);
                fits
            })
            .count();
        let (group, others) = rest.split_at(count);
        rest = others;
        let folders: Vec<Folder> = group.iter().map(|item| item.folder.clone()).collect();
        let mut plan = Plan::default();
        list_both(source, target, &folders, false, &mut |folder, one, two| {
            plan.folder(folder, &one.entries, &two.entries, options.extra)?;
            listed.insert(folder.clone(), one.left_out);
            Ok(())
        })?;
        report.renamed += plan.renames.len() as u64;
        report.removed += plan.removes.len() as u64 - plan.replaced;
        report.replaced += plan.replaced;
        for changes in [&plan.removes, &plan.renames, &plan.dates] {
            touched |= apply(target, changes)?;
        }
        courier.carry(source, target, &plan.wanted)?;
    }

    if !courier.stopped {
        let (wanted, unwanted) = controls(&from, &there);
        report.controls = (wanted.len() + unwanted.len()) as u64;
        touched |= apply(target, &unwanted)?;
        courier.carry(source, target, &wanted)?;
    }
    if !courier.stopped {
        let ours: HashSet<&Folder> = from.folders.iter().map(|item| &item.folder).collect();
        let gone: Vec<_> = to.folders.iter().filter(|item| !ours.contains(&item.folder)).collect();
        let mut changes = Vec::new();
        for item in gone {
            match options.extra {
                Extra::Remove => changes.push(Change::RemoveFolder(item.folder.clone())),
                Extra::Keep if !item.folder.is_inbox() => changes.push(Change::RemoveFolderIfEmpty(item.folder.clone())),
                Extra::Keep => {}
            }
        }
        report.folders_removed = changes.len() as u64;
        touched |= apply(target, &changes)?;
    }

    report.messages = courier.done.messages;
    report.bytes = courier.done.bytes;
    report.vanished = courier.vanished;
    report.stopped = courier.stopped;
    let (unsteady, courier_left_out) = (courier.unsteady, courier.left_out);
    if touched || courier.carried > 0 {
        target.sync_disk()?;
    }
    if !report.stopped {
        let folders: Vec<Folder> = changed.iter().map(|item| item.folder.clone()).collect();
        for (item, stat) in changed.iter().zip(target.stat(&folders)?) {
            let left_out = listed.remove(&item.folder).unwrap_or_default();
            report.left_out.merge(&left_out);
            let source = stamps(&item.stat);
            if let Some(stat) = stat
                && settled(&source, from.now_ns)
                && !unsteady.contains(&item.folder)
            {
                state.folders.insert(item.folder.clone(), Known { source, target: stamps(&stat), left_out });
            }
        }
        let relisted: HashSet<&Folder> = changed.iter().map(|item| &item.folder).collect();
        for item in &from.folders {
            report.left_out.merge(&item.stat.left_out);
            if let Some(known) = state.folders.get(&item.folder).filter(|_| !relisted.contains(&item.folder)) {
                report.left_out.merge(&known.left_out);
            }
        }
        report.left_out.merge(&from.left_out);
        report.left_out.merge(&courier_left_out);
    }
    report.duration = started.elapsed();
    Ok(report)
}

fn maildir_only(tree: &Tree) -> Result<()> {
    match tree.unsupported.first() {
        None => Ok(()),
        Some((mailbox, format)) => Err(Error::new(
            Code::Unsupported,
            format!("The mailbox “{mailbox}” is stored as {format}; only Maildir can be moved."),
        )
        .hint("Convert it to Maildir in cPanel's “Mailbox Conversion” first.")),
    }
}

/// Makes changes, a bounded number at a time; says whether there were any.
fn apply(target: &mut dyn Side, changes: &[Change]) -> Result<bool> {
    changes.chunks(BATCH).try_for_each(|some| target.apply(some))?;
    Ok(!changes.is_empty())
}

/// What has to be done in a group of folders.
#[derive(Default)]
struct Plan {
    removes: Vec<Change>,
    renames: Vec<Change>,
    dates: Vec<Change>,
    wanted: Vec<Wanted>,
    replaced: u64,
}

impl Plan {
    fn folder(&mut self, folder: &Folder, source: &[Entry], target: &[Entry], extra: Extra) -> Result<()> {
        meet_entries(source, target, |met| match met {
            Met::Source(entry) => {
                self.want(folder, entry);
                Ok(())
            }
            Met::Target(entry) => {
                if extra == Extra::Remove {
                    self.remove(folder, entry);
                }
                Ok(())
            }
            Met::Both(one, two) if one.size != two.size => match extra {
                Extra::Remove => {
                    self.replaced += 1;
                    self.remove(folder, two);
                    self.want(folder, one);
                    Ok(())
                }
                Extra::Keep => Err(Error::new(
                    Code::Conflict,
                    format!(
                        "The message {} in {folder} has {} bytes here and {} bytes on the target; it is not overwritten.",
                        one.name, one.size, two.size
                    ),
                )),
            },
            Met::Both(one, two) => {
                if (one.place, &one.name) != (two.place, &two.name) {
                    self.renames.push(Change::Rename {
                        folder: folder.clone(),
                        from: (two.place, two.name.clone()),
                        to: (one.place, one.name.clone()),
                    });
                }
                if one.mtime_ns != two.mtime_ns {
                    let (place, name) = (one.place, one.name.clone());
                    self.dates.push(Change::Date { folder: folder.clone(), place, name, mtime_ns: one.mtime_ns });
                }
                Ok(())
            }
        })
    }

    fn want(&mut self, folder: &Folder, entry: &Entry) {
        let slot = Slot::Message { folder: folder.clone(), place: entry.place, name: entry.name.clone() };
        self.wanted.push(Wanted { slot, size: entry.size });
    }

    fn remove(&mut self, folder: &Folder, entry: &Entry) {
        self.removes.push(Change::Remove { folder: folder.clone(), place: entry.place, name: entry.name.clone() });
    }
}

/// The control files to copy, lists of UIDs last, and those to remove.
fn controls(from: &Tree, there: &HashMap<&Folder, &FolderStat>) -> (Vec<Wanted>, Vec<Change>) {
    let (mut first, mut last, mut unwanted) = (Vec::new(), Vec::new(), Vec::new());
    for item in &from.folders {
        let has: HashMap<&Control, _> = there.get(&item.folder).map_or_else(HashMap::new, |stat| {
            stat.controls.iter().map(|file| (&file.control, (file.size, file.mtime_ns))).collect()
        });
        for file in &item.stat.controls {
            if has.get(&file.control) != Some(&(file.size, file.mtime_ns)) {
                let slot = Slot::Control { folder: item.folder.clone(), control: file.control.clone() };
                let list = if file.control.is_uidlist() { &mut last } else { &mut first };
                list.push(Wanted { slot, size: file.size });
            }
        }
        for control in has.into_keys().filter(|control| item.stat.controls.iter().all(|file| file.control != **control)) {
            unwanted.push(Change::RemoveControl(item.folder.clone(), control.clone()));
        }
    }
    first.append(&mut last);
    (first, unwanted)
}

/// What lies on a target before anything is copied to it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leftovers {
    /// Messages.
    pub messages: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// Mailboxes that have messages: name and number.
    pub mailboxes: Vec<(String, u64)>,
    /// Folders with a `dovecot-uidlist` of their own. One in an empty folder is what Dovecot makes when a client looks, and does no harm.
    pub uidlists: u64,
}

impl Leftovers {
    /// Whether a copy could meet messages that it did not bring.
    pub fn is_empty(&self) -> bool {
        self.messages == 0
    }
}

/// Looks whether the target already has mail. A planner refuses or asks unless that mail is known to be ours.
///
/// # Errors
/// The failure of the side.
pub fn target_leftovers(target: &mut dyn Side) -> Result<Leftovers> {
    let usage = target.usage()?;
    let tree = target.tree()?;
    let has_list = |stat: &FolderStat| stat.controls.iter().any(|file| file.control.is_uidlist());
    Ok(Leftovers {
        messages: usage.messages,
        bytes: usage.bytes,
        mailboxes: usage.mailboxes.into_iter().filter(|(_, count, _)| *count > 0).map(|(name, count, _)| (name, count)).collect(),
        uidlists: tree.folders.iter().filter(|item| has_list(&item.stat)).count() as u64,
    })
}
