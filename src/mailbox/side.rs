//! One end of a copy: what can be asked of the node where mail lies, and the words for it.

use super::names::{Control, Folder, Name, Place, base};
use super::uidlist::Header;
use crate::error::Result;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A SHA-256.
pub type Digest = [u8; 32];

/// Why something in a mail directory was left where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// A symbolic link.
    Symlink,
    /// A directory where a file should be.
    Directory,
    /// A FIFO, a socket or a device.
    Special,
    /// It belongs to another user: perhaps a hard link to a file that is not the account's.
    Foreign,
    /// Bigger than a message can be.
    TooLarge,
    /// A file that does not belong to a Maildir.
    NotMail,
    /// Vanished, or was replaced, while it was being looked at.
    Unsteady,
}

impl Why {
    /// For people.
    pub fn text(self) -> &'static str {
        match self {
            Self::Symlink => "is a symbolic link",
            Self::Directory => "is a directory",
            Self::Special => "is not a regular file",
            Self::Foreign => "does not belong to the account",
            Self::TooLarge => "is larger than a message can be",
            Self::NotMail => "is not part of a Maildir",
            Self::Unsteady => "was replaced while it was being read",
        }
    }
}

/// What was left out: all counted, the first ones named.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// How many.
    pub total: u64,
    /// Path below `~/mail` and reason, at most [`LeftOut::NAMED`].
    pub named: Vec<(String, Why)>,
}

impl LeftOut {
    /// How many are named.
    pub const NAMED: usize = 100;

    /// Counts one.
    pub fn add(&mut self, path: impl FnOnce() -> String, why: Why) {
        self.total += 1;
        if self.named.len() < Self::NAMED {
            self.named.push((path(), why));
        }
    }

    /// Counts those of another.
    pub fn merge(&mut self, other: &Self) {
        self.total += other.total;
        let room = Self::NAMED.saturating_sub(self.named.len());
        self.named.extend(other.named.iter().take(room).cloned());
    }
}

/// Which directory it is and when it last changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirStamp {
    /// Device and inode.
    pub id: (u64, u64),
    /// Last change, in nanoseconds since 1970.
    pub mtime_ns: i64,
    /// Bytes the directory itself takes: a hint at how many names it holds.
    pub size: u64,
}

/// A control file as the directory shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControlStat {
    /// Which.
    pub control: Control,
    /// Bytes.
    pub size: u64,
    /// Last change, in nanoseconds since 1970.
    pub mtime_ns: i64,
}

/// What a glance at a folder tells, without listing its messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FolderStat {
    /// The directory `cur`.
    pub cur: DirStamp,
    /// The directory `new`; none when it is missing.
    pub new: Option<DirStamp>,
    /// Control files, in order of name.
    pub controls: Vec<ControlStat>,
    /// Whether there are caches of Dovecot's.
    pub caches: bool,
    /// What else lies there that will not be copied.
    pub left_out: LeftOut,
}

/// A folder in a [`Tree`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TreeFolder {
    /// Which.
    pub folder: Folder,
    /// What a glance tells.
    pub stat: FolderStat,
}

/// Every folder of the account.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Tree {
    /// The node's clock before the first look, in nanoseconds since 1970.
    pub now_ns: i64,
    /// In order.
    pub folders: Vec<TreeFolder>,
    /// What will not be copied, outside the folders.
    pub left_out: LeftOut,
    /// Mailboxes in a format that is not Maildir: name and format.
    pub unsupported: Vec<(String, String)>,
}

/// A message as its directory shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where it lies.
    pub place: Place,
    /// File name.
    pub name: Name,
    /// Bytes.
    pub size: u64,
    /// Internal date, in nanoseconds since 1970.
    pub mtime_ns: i64,
    /// UID in `dovecot-uidlist`; 0 when it has none yet. Only in a full listing.
    pub uid: u32,
    /// Only in a full listing.
    pub digest: Option<Digest>,
}

impl Entry {
    /// The order of listings: by base name, then place and name.
    pub fn order(&self) -> (&[u8], Place, &[u8]) {
        (self.name.base(), self.place, self.name.bytes())
    }
}

/// The messages of one folder.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Listing {
    /// False when the folder is not there (any more).
    pub exists: bool,
    /// In the order of [`Entry::order`].
    pub entries: Vec<Entry>,
    /// Left out of `entries`.
    pub left_out: LeftOut,
    /// From `dovecot-uidlist`; only in a full listing.
    pub uids: Option<Header>,
    /// Keyword names by letter, from `dovecot-keywords`; only in a full listing.
    pub keywords: Vec<String>,
    /// Digests of the control files; only in a full listing.
    pub controls: BTreeMap<Control, Digest>,
}

/// A file, by what it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Slot {
    /// A message.
    Message {
        /// Its folder.
        folder: Folder,
        /// Its directory.
        place: Place,
        /// Its file name.
        name: Name,
    },
    /// A control file.
    Control {
        /// Its folder; the INBOX for a file of the whole mailbox.
        folder: Folder,
        /// Which.
        control: Control,
    },
}

impl Slot {
    /// The folder.
    pub fn folder(&self) -> &Folder {
        match self {
            Self::Message { folder, .. } | Self::Control { folder, .. } => folder,
        }
    }

    /// Whether the other names the same file, whatever flags a message has.
    pub fn matches(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Message { folder, name, .. }, Self::Message { folder: its, name: named, .. }) => {
                folder == its && base(name.bytes()) == base(named.bytes())
            }
            (one, two) => one == two,
        }
    }

    /// Path below `~/mail`.
    pub fn path(&self) -> String {
        match self {
            Self::Message { folder, place, name } => format!("{folder}/{}/{name}", place.dir()),
            Self::Control { folder, control } => format!("{folder}/{control}"),
        }
    }
}

/// A file that is to be read, and its size as listed (messages only; a message of another size has been replaced).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// Which; a message is looked for by its base name when it is not there under this name.
    pub slot: Slot,
    /// Bytes.
    pub size: u64,
}

/// The start of a file on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// What it is, under its present name.
    pub slot: Slot,
    /// Bytes that follow.
    pub size: u64,
    /// Last change, in nanoseconds since 1970; [`UNSETTLED_NS`](super::UNSETTLED_NS) for a control file that changed so lately that it must be copied again.
    pub mtime_ns: i64,
}

/// A step of a stream of files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// A file begins. `index`: which of the wanted files; meaningless when writing.
    Head {
        /// Position in the list of wanted files.
        index: u32,
        /// The file.
        head: Head,
    },
    /// Some of its bytes, at most [`Piece::CHUNK`].
    Data(Vec<u8>),
    /// It is complete.
    End,
    /// It cannot be completed: what came of it is to be thrown away.
    Torn,
    /// The wanted file is not there any more, or is left out. Never in the middle of a file, never written.
    Gone {
        /// Position in the list of wanted files.
        index: u32,
        /// Why, when it is not simply gone.
        why: Option<Why>,
    },
}

impl Piece {
    /// The most bytes in one piece.
    pub const CHUNK: usize = 256 << 10;
}

/// A change to a target that moves no bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// The folder and those above it exist, with `cur`, `new` and `tmp`.
    Create(Folder),
    /// A message gets other flags or another place.
    Rename {
        /// Folder.
        folder: Folder,
        /// From.
        from: (Place, Name),
        /// To.
        to: (Place, Name),
    },
    /// A message goes.
    Remove {
        /// Folder.
        folder: Folder,
        /// Directory.
        place: Place,
        /// File name.
        name: Name,
    },
    /// A message gets another internal date.
    Date {
        /// Folder.
        folder: Folder,
        /// Directory.
        place: Place,
        /// File name.
        name: Name,
        /// Nanoseconds since 1970.
        mtime_ns: i64,
    },
    /// A control file goes.
    RemoveControl(Folder, Control),
    /// Dovecot's caches in the folder go.
    DropCaches(Folder),
    /// The folder goes with all that is in it; an INBOX is emptied and stays.
    RemoveFolder(Folder),
    /// As [`Change::RemoveFolder`], unless there is a message in it.
    RemoveFolderIfEmpty(Folder),
}

/// Something worth a person's attention before a move.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Oddity {
    /// A mailbox that is not Maildir cannot be moved by files.
    Unsupported {
        /// Name.
        mailbox: String,
        /// Its format: `mdbox`, `sdbox`.
        format: String,
    },
    /// Keywords past the 26th live in Dovecot's index only and will be lost.
    ManyKeywords {
        /// Mailbox.
        mailbox: String,
        /// Folder.
        folder: String,
        /// How many.
        keywords: usize,
    },
}

/// How much mail there is, and how much room.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Messages.
    pub messages: u64,
    /// Bytes in messages.
    pub bytes: u64,
    /// Folders, INBOXes included.
    pub folders: u64,
    /// Mailboxes: name, messages, bytes.
    pub mailboxes: Vec<(String, u64, u64)>,
    /// Bytes a normal user can still write on the file system of the home directory.
    pub free_bytes: u64,
    /// Files that can still be created there; `u64::MAX` where the file system sets no limit.
    pub free_inodes: u64,
    /// What will not be copied.
    pub left_out: LeftOut,
    /// What needs a decision.
    pub oddities: Vec<Oddity>,
}

/// One end of a copy. All calls block.
///
/// A call that fails on the other node leaves the connection usable; a connection that broke answers
/// [`Code::MayHaveHappened`](crate::error::Code::MayHaveHappened) to everything.
pub trait Side: Send {
    /// Which account, for messages.
    fn user(&self) -> &str;

    /// Every folder of the account, at a glance each.
    fn tree(&mut self) -> Result<Tree>;

    /// The same glance at these folders; none for a folder that is not there.
    fn stat(&mut self, folders: &[Folder]) -> Result<Vec<Option<FolderStat>>>;

    /// The messages of these folders, one listing each, in order. `full` adds UIDs, keywords and digests.
    fn list(&mut self, folders: &[Folder], full: bool, each: &mut dyn FnMut(Listing) -> Result<()>) -> Result<()>;

    /// Reads these files into `sink`, in order. An error of `sink` ends it.
    fn read(&mut self, wanted: &[Wanted], sink: &mut dyn FnMut(Piece) -> Result<()>) -> Result<()>;

    /// Writes the files that `next` brings. A file appears under its name when it is complete; an incomplete one is dropped. A message
    /// never replaces another file ([`Code::Conflict`](crate::error::Code::Conflict)); a control file does. Nothing is forced to disk:
    /// see [`Side::sync_disk`].
    fn write(&mut self, next: &mut dyn FnMut() -> Result<Option<Piece>>) -> Result<()>;

    /// Makes these changes, in order.
    fn apply(&mut self, changes: &[Change]) -> Result<()>;

    /// Everything that was written is on disk when this returns.
    fn sync_disk(&mut self) -> Result<()>;

    /// How much there is.
    fn usage(&mut self) -> Result<Usage>;

    /// On: no process of the account reaches its mail any more (`~/mail` belongs to root, mode 0700). Off: as it was before. Both may be
    /// repeated, also after a restart. On again also proves that `~/mail` is still the directory that was fenced.
    fn fence(&mut self, on: bool) -> Result<()>;

    /// Removes every message, `dovecot-uidlist` and the caches; leaves folders, subscriptions and the like. Works under the fence;
    /// may be repeated. On disk when it returns. Only for a side whose mail has been verified on the other.
    fn remove_messages(&mut self) -> Result<()>;

    /// `~/mail` exists and belongs to the account; what an interrupted copy left in `tmp`, and Dovecot's caches, are gone.
    fn prepare_target(&mut self) -> Result<()>;
}
