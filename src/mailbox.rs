//! The mailbox engine: makes the mail of one cPanel account the same on two nodes, and proves that it is.
//!
//! ```text
//! let account = Account::find("ada")?;                       // both nodes, each for itself
//! let mut source = Local::open(account)?;                    // this node
//! let mut target = Remote::new("ada", stream);                      // the other node, which runs `serve(stream, Local::open(account)?)`
//! let mut state = PassState::default();                      // lives as long as the move; may be lost, costs time only
//!
//! target.prepare_target()?;
//! let mut progress = |_: &Progress| ControlFlow::Continue(());
//! pass(&mut source, &mut target, &mut state, Options { extra: Extra::Remove }, &mut progress)?;     // live, as often as wanted
//! prehash(&mut source, &mut target, &mut state, &mut progress)?;                                    // live, once they are nearly equal
//! source.fence(true)?;                                                                     // under the hold, sessions ended
//! pass(&mut source, &mut target, &mut state, Options { extra: Extra::Remove }, &mut progress)?;     // the final pass
//! match verify(&mut source, &mut target, &mut state, &mut progress)? {
//!     Verdict::Perfect(equal) => …switch…, source.remove_messages()?, source.fence(false)?
//!     Verdict::Differences(list) => source.fence(false)?
//! }
//! ```
//!
//! All calls block; they belong in `spawn_blocking`. The two sides are alike: [`Local`] is this machine's disk, [`Remote`] is the other
//! node's over any byte stream, so forward and back moves are the same code.
//!
//! # Why a pass is right under a live source
//!
//! Dovecot and Exim never change a message file in place: they link, rename and unlink. So the times of `cur` and `new` tell whether
//! a folder changed. A pass takes them *before* it lists, and trusts them only when they are older than [`SETTLED_NS`], because two changes
//! within one tick of the clock leave one time. A message is known by its *base name* (what stands before the first `:`), so a flag
//! change or the step from `new` to `cur` is a rename on the target too. `dovecot-uidlist` goes last. While the source is live it may
//! name messages that the target lacks; nothing reads the target then, and the pass under the fence, where nothing can change any
//! more, makes everything exact. A control file that was copied within the same tick as it was written is given the time [`UNSETTLED_NS`], so that
//! any later pass copies it again.
//!
//! # Hostile homes
//!
//! The trees belong to customers, the code runs as root. Every step below the home directory is one name, opened by [`safe`] from a
//! directory that is held open, without following links; what is not a regular file of the account is left out and named, never read.
//! Names from the other node are checked when they are parsed ([`names`]), so no call below can be given a path that leads out.

mod account;
mod frame;
mod join;
mod local;
pub mod names;
mod pass;
mod remote;
pub mod safe;
mod serve;
mod side;
#[cfg(test)]
mod tests;
pub mod uidlist;
mod verify;

pub use account::Account;
pub use local::Local;
pub use names::{Control, Folder, Name, Place};
pub use pass::{Extra, Leftovers, Options, PassReport, PassState, Progress, Watch, pass, target_leftovers};
pub use remote::Remote;
pub use serve::serve;
pub use side::{
    Change, ControlStat, Digest, DirStamp, Entry, FolderStat, Head, LeftOut, Listing, Oddity, Piece, Side, Slot, Tree,
    TreeFolder, Usage, Wanted, Why,
};
pub use verify::{Difference, Differences, Equal, Reason, Verdict, prehash, verify};

/// A time stamp of the file system is trusted to tell of the next change once it is this much older than the clock, in nanoseconds.
pub const SETTLED_NS: i64 = 2_000_000_000;
/// The time of a control file whose copy may be older than its source, in nanoseconds. Not 0: Dovecot takes a `dovecot-keywords` of time 0
/// for one that it has read, and shows `unknown-0` where a keyword was.
pub const UNSETTLED_NS: i64 = 1_000_000_000;
/// Bigger message files are left out, in bytes.
pub const MAX_MESSAGE: u64 = 4 << 30;
/// Bigger control files are left out, in bytes.
pub const MAX_CONTROL: u64 = 256 << 20;
/// The most messages of one folder, and the most folders of one account, that are accepted from anyone.
pub const MAX_ENTRIES: usize = 2_000_000;
