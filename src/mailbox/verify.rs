//! Proof: compares the mail of two sides, each looked at where it lies.

use super::SETTLED_NS;
use super::join::{Met, both, list_both, meet_entries};
use super::names::{Control, Folder};
use super::pass::{PassState, Progress, Stamps, Watch, settled, stamps};
use super::side::{Entry, FolderStat, LeftOut, Listing, Side, Tree};
use super::uidlist::Header;
use crate::error::Result;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::ops::ControlFlow;

/// What is not equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The target lacks the folder.
    FolderMissing,
    /// Only the target has the folder.
    FolderExtra,
    /// The target lacks the message.
    Missing,
    /// Only the target has the message.
    Extra,
    /// `new` and `cur`.
    Place,
    /// Flags.
    Flags,
    /// Keywords, by name.
    Keywords,
    /// Size.
    Size,
    /// Internal date.
    InternalDate,
    /// Content, or it could not be read.
    Digest,
    /// UID.
    Uid,
    /// UIDVALIDITY.
    UidValidity,
    /// Next UID.
    UidNext,
    /// GUID of the folder.
    Guid,
    /// A control file: subscriptions, ACLs, keyword names, sieve scripts.
    Control,
}

/// One thing that is not equal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// Mailbox.
    pub mailbox: String,
    /// Folder, as IMAP names it.
    pub folder: String,
    /// File name of the message, or name of the control file.
    pub message: Option<String>,
    /// UID on the source.
    pub uid: Option<u32>,
    /// What is not equal.
    pub reason: Reason,
    /// As the source has it.
    pub source: String,
    /// As the target has it.
    pub target: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.mailbox, self.folder)?;
        if let Some(message) = &self.message {
            write!(f, " {message}")?;
        }
        if let Some(uid) = self.uid {
            write!(f, " (UID {uid})")?;
        }
        write!(f, ": {:?}: source “{}”, target “{}”", self.reason, self.source, self.target)
    }
}

/// All that is not equal: all counted, the first ones named.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Differences {
    /// How many.
    pub total: u64,
    /// At most [`Differences::NAMED`].
    pub named: Vec<Difference>,
}

impl Differences {
    /// How many are named.
    pub const NAMED: usize = 500;

    fn add(&mut self, difference: impl FnOnce() -> Difference) {
        self.total += 1;
        if self.named.len() < Self::NAMED {
            self.named.push(difference());
        }
    }
}

/// What was found equal.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Equal {
    /// Messages.
    pub messages: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// Folders.
    pub folders: u64,
    /// What lies in the source's mail directory that is no message and was not looked at: links, foreign files and the like.
    pub left_out: LeftOut,
}

/// The outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Every folder and every message is equal in everything.
    Perfect(Equal),
    /// Something is not.
    Differences(Differences),
}

/// A folder that was found equal, and how it looked then.
#[derive(Debug)]
pub(super) struct Verified {
    source: Seen,
    target: Seen,
    messages: u64,
    bytes: u64,
    left_out: LeftOut,
}

/// What must not have changed for a folder to be still equal.
type Seen = (Stamps, Vec<super::ControlStat>);

fn seen(stat: &FolderStat) -> Seen {
    (stamps(stat), stat.controls.clone())
}

/// Reads and digests everything that was not digested yet on both sides, and remembers the folders that are equal already. Done live,
/// before the hold, it leaves to [`verify`] only what changes after it. Differences are normal here and only counted.
///
/// # Errors
/// The failure of a side.
pub fn prehash(source: &mut dyn Side, target: &mut dyn Side, state: &mut PassState, watch: &mut Watch<'_>) -> Result<u64> {
    Ok(compare(source, target, state, watch)?.1.total)
}

/// Compares all mail: folder tree; per folder UIDVALIDITY, next UID and control files; per message place, flags, keywords, size,
/// internal date, UID and SHA-256.
///
/// A folder found equal earlier (by [`prehash`] or here) is not looked at again while the times of its directories and control files on both
/// sides are what they were, and were old enough to tell.
///
/// # Errors
/// The failure of a side. A comparison that `watch` stopped reports [`Verdict::Differences`] with none named.
pub fn verify(source: &mut dyn Side, target: &mut dyn Side, state: &mut PassState, watch: &mut Watch<'_>) -> Result<Verdict> {
    let (equal, differences) = compare(source, target, state, watch)?;
    Ok(if differences.total == 0 { Verdict::Perfect(equal) } else { Verdict::Differences(differences) })
}

fn compare(
    source: &mut dyn Side,
    target: &mut dyn Side,
    state: &mut PassState,
    watch: &mut Watch<'_>,
) -> Result<(Equal, Differences)> {
    let (from, to) = both(|| source.tree(), || target.tree())?;
    let user = source.user().to_owned();
    let there: HashMap<&Folder, &FolderStat> = to.folders.iter().map(|item| (&item.folder, &item.stat)).collect();
    let here: HashMap<&Folder, &FolderStat> = from.folders.iter().map(|item| (&item.folder, &item.stat)).collect();
    let mut equal = Equal { left_out: from.left_out.clone(), ..Equal::default() };
    let mut differences = Differences::default();
    for (mailbox, format) in &from.unsupported {
        differences.add(|| {
            whole(&user, &Folder::default(), Reason::FolderMissing, format!("{mailbox} is {format}"), "not copied".into())
        });
    }

    let mut look = Vec::new();
    for item in &from.folders {
        equal.left_out.merge(&item.stat.left_out);
        let Some(other) = there.get(&item.folder) else {
            differences.add(|| whole(&user, &item.folder, Reason::FolderMissing, "is there".into(), "is not".into()));
            continue;
        };
        match state.verified.get(&item.folder) {
            Some(known) if known.source == seen(&item.stat) && known.target == seen(other) => {
                equal.folders += 1;
                equal.messages += known.messages;
                equal.bytes += known.bytes;
                equal.left_out.merge(&known.left_out);
            }
            _ => look.push(item.folder.clone()),
        }
    }
    // A mailbox that has no directory on the source may have an empty one on the target.
    let mut only_there = Vec::new();
    for item in to.folders.iter().filter(|item| !here.contains_key(&item.folder)) {
        if item.folder.is_inbox() {
            only_there.push(item.folder.clone());
        } else {
            differences.add(|| whole(&user, &item.folder, Reason::FolderExtra, "is not".into(), "is there".into()));
        }
    }
    for folder in &look {
        state.verified.remove(folder);
    }

    let mut progress = Progress { messages: equal.messages, bytes: equal.bytes, mailbox: String::new() };
    let mut stopped = false;
    for folders in [look, only_there] {
        for some in folders.chunks(32) {
            list_both(source, target, some, true, &mut |folder, one, two| {
                let before = differences.total;
                Comparison { user: &user, folder, differences: &mut differences }.folder(&one, &two)?;
                let (count, bytes) = (one.entries.len() as u64, one.entries.iter().map(|entry| entry.size).sum::<u64>());
                equal.folders += u64::from(one.exists);
                equal.messages += count;
                equal.bytes += bytes;
                equal.left_out.merge(&one.left_out);
                progress = Progress { messages: equal.messages, bytes: equal.bytes, mailbox: folder.mailbox(&user) };
                if differences.total == before
                    && let (Some(here), Some(there)) = (here.get(folder), there.get(folder))
                    && all_settled(here, &from)
                    && all_settled(there, &to)
                {
                    let left_out = one.left_out;
                    let known = Verified { source: seen(here), target: seen(there), messages: count, bytes, left_out };
                    state.verified.insert(folder.clone(), known);
                }
                Ok(())
            })?;
            if watch(&progress) == ControlFlow::Break(()) {
                stopped = true;
                break;
            }
        }
    }
    if stopped {
        // Nothing has been proved of the rest.
        differences.total += 1;
    }
    Ok((equal, differences))
}

/// Whether every later change of the folder or its control files leaves other times.
fn all_settled(stat: &FolderStat, tree: &Tree) -> bool {
    let limit = tree.now_ns.saturating_sub(SETTLED_NS);
    settled(&stamps(stat), tree.now_ns) && stat.controls.iter().all(|file| file.mtime_ns < limit)
}

fn whole(user: &str, folder: &Folder, reason: Reason, source: String, target: String) -> Difference {
    Difference { mailbox: folder.mailbox(user), folder: folder.imap(), message: None, uid: None, reason, source, target }
}

struct Comparison<'a> {
    user: &'a str,
    folder: &'a Folder,
    differences: &'a mut Differences,
}

impl Comparison<'_> {
    fn folder(&mut self, source: &Listing, target: &Listing) -> Result<()> {
        self.header(source.uids.as_ref(), target.uids.as_ref());
        self.controls(&source.controls, &target.controls);
        meet_entries(&source.entries, &target.entries, |met| {
            match met {
                Met::Source(entry) => self.message(entry, Reason::Missing, "is there".into(), "is not".into()),
                Met::Target(entry) => self.message(entry, Reason::Extra, "is not".into(), "is there".into()),
                Met::Both(one, two) => self.pair(source, target, one, two),
            }
            Ok(())
        })
    }

    fn header(&mut self, source: Option<&Header>, target: Option<&Header>) {
        type Pick = fn(&Header) -> String;
        let of = |header: Option<&Header>, pick: Pick| header.map_or_else(|| "no list of UIDs".to_owned(), pick);
        let picks: [(Reason, Pick); 3] = [
            (Reason::UidValidity, |header| header.validity.to_string()),
            (Reason::UidNext, |header| header.next.to_string()),
            (Reason::Guid, |header| header.guid.clone().unwrap_or_default()),
        ];
        for (reason, pick) in picks {
            let (one, two) = (of(source, pick), of(target, pick));
            if one != two {
                self.differences.add(|| whole(self.user, self.folder, reason, one, two));
            }
        }
    }

    fn controls(&mut self, source: &BTreeMap<Control, super::Digest>, target: &BTreeMap<Control, super::Digest>) {
        for control in source.keys().chain(target.keys()).collect::<BTreeSet<_>>() {
            let text = |digest: Option<&super::Digest>| digest.map_or_else(|| "is not there".to_owned(), short);
            let (one, two) = (source.get(control), target.get(control));
            if one != two {
                self.differences.add(|| Difference {
                    message: Some(control.to_string()),
                    ..whole(self.user, self.folder, Reason::Control, text(one), text(two))
                });
            }
        }
    }

    fn message(&mut self, entry: &Entry, reason: Reason, source: String, target: String) {
        self.differences.add(|| Difference {
            message: Some(entry.name.to_string()),
            uid: (entry.uid != 0).then_some(entry.uid),
            ..whole(self.user, self.folder, reason, source, target)
        });
    }

    fn pair(&mut self, source: &Listing, target: &Listing, one: &Entry, two: &Entry) {
        if one.place != two.place {
            self.message(one, Reason::Place, one.place.dir().into(), two.place.dir().into());
        }
        let (flags_one, words_one) = letters(one, &source.keywords);
        let (flags_two, words_two) = letters(two, &target.keywords);
        if flags_one != flags_two {
            self.message(one, Reason::Flags, flags_one.into_iter().collect(), flags_two.into_iter().collect());
        }
        if words_one != words_two {
            let text = |words: BTreeSet<String>| words.into_iter().collect::<Vec<_>>().join(" ");
            self.message(one, Reason::Keywords, text(words_one), text(words_two));
        }
        if one.size != two.size {
            self.message(one, Reason::Size, one.size.to_string(), two.size.to_string());
        }
        if one.mtime_ns != two.mtime_ns {
            self.message(one, Reason::InternalDate, one.mtime_ns.to_string(), two.mtime_ns.to_string());
        }
        if one.uid != two.uid {
            self.message(one, Reason::Uid, one.uid.to_string(), two.uid.to_string());
        }
        if one.digest.is_none() || one.digest != two.digest {
            let text = |entry: &Entry| entry.digest.as_ref().map_or_else(|| "could not be read".to_owned(), short);
            self.message(one, Reason::Digest, text(one), text(two));
        }
    }
}

/// Flags and keyword names of a message. A letter without a name stands for itself.
fn letters(entry: &Entry, names: &[String]) -> (BTreeSet<char>, BTreeSet<String>) {
    let mut flags = BTreeSet::new();
    let mut words = BTreeSet::new();
    for letter in entry.name.letters() {
        if letter.is_ascii_lowercase() {
            let name = names.get(usize::from(letter - b'a')).filter(|name| !name.is_empty());
            words.insert(name.cloned().unwrap_or_else(|| char::from(*letter).to_string()));
        } else {
            flags.insert(char::from(*letter));
        }
    }
    (flags, words)
}

fn short(digest: &super::Digest) -> String {
    use fmt::Write as _;
    digest.iter().take(8).fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
