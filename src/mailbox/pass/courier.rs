//! Carries files from the source to the target: the source reads ahead in a thread of its own while the target writes.

use super::super::join::joined;
use super::super::names::Folder;
use super::super::side::{LeftOut, Piece, Side, Slot, Wanted, Why};
use super::super::{MAX_CONTROL, frame::nonsense};
use super::{Progress, Watch};
use crate::error::{Error, Result};
use std::collections::HashSet;
use std::sync::mpsc::sync_channel;

/// Pieces that may be on the way between the reading and the writing thread.
const AHEAD: usize = 32;
/// Files of one batch.
const FILES: usize = 20_000;
/// Bytes of one batch: what a stopped copy may still have to read from the stream before it can be used again.
const BYTES: u64 = 128 << 20;

pub(super) struct Courier<'a, 'w> {
    user: String,
    watch: &'a mut Watch<'w>,
    /// Messages carried.
    pub done: Progress,
    /// Files carried.
    pub carried: u64,
    /// Messages that were not there any more.
    pub vanished: u64,
    /// Files that could not be had although they are there.
    pub left_out: LeftOut,
    /// Their folders.
    pub unsteady: HashSet<Folder>,
    /// Told to stop.
    pub stopped: bool,
}

impl<'a, 'w> Courier<'a, 'w> {
    pub fn new(user: &str, watch: &'a mut Watch<'w>) -> Self {
        Self {
            user: user.to_owned(),
            watch,
            done: Progress::default(),
            carried: 0,
            vanished: 0,
            left_out: LeftOut::default(),
            unsteady: HashSet::new(),
            stopped: false,
        }
    }

    /// Carries these files.
    pub fn carry(&mut self, source: &mut dyn Side, target: &mut dyn Side, wanted: &[Wanted]) -> Result<()> {
        let mut rest = wanted;
        while !rest.is_empty() && !self.stopped {
            let mut bytes = 0_u64;
            let fits = |file: &&Wanted| {
                let fits = bytes < BYTES;
                bytes = bytes.saturating_add(file.size);
                fits
            };
            let (batch, others) = rest.split_at(rest.iter().take(FILES).take_while(fits).count());
            rest = others;
            self.batch(source, target, batch)?;
        }
        Ok(())
    }

    fn batch(&mut self, source: &mut dyn Side, target: &mut dyn Side, wanted: &[Wanted]) -> Result<()> {
        let (out, pieces) = sync_channel(AHEAD);
        std::thread::scope(|scope| {
            let full = |_| Error::machine("reading mail", "the target takes no more");
            let reader = scope.spawn(move || source.read(wanted, &mut |piece| out.send(piece).map_err(full)));
            let mut check = Check { wanted, next: 0, open: None };
            let written = target.write(&mut || {
                loop {
                    // The reader is done, or failed: then it says why below, and what is incomplete is dropped.
                    let Ok(piece) = pieces.recv() else { return Ok(None) };
                    let of = check.piece(&piece)?;
                    if self.account(&piece, of).is_break() {
                        self.stopped = true;
                        return Ok(None);
                    }
                    if !matches!(piece, Piece::Gone { .. }) {
                        return Ok(Some(piece));
                    }
                }
            });
            drop(pieces);
            let read = joined(reader);
            written?;
            if self.stopped { Ok(()) } else { read }
        })
    }

    /// Counts a piece of a wanted file.
    fn account(&mut self, piece: &Piece, of: &Wanted) -> std::ops::ControlFlow<()> {
        let message = matches!(of.slot, Slot::Message { .. });
        match piece {
            Piece::Head { .. } => {
                let mailbox = of.slot.folder().mailbox(&self.user);
                if self.done.mailbox != mailbox {
                    self.done.mailbox = mailbox;
                }
                return std::ops::ControlFlow::Continue(());
            }
            Piece::Data(bytes) if message => self.done.bytes += bytes.len() as u64,
            Piece::Data(_) => {}
            Piece::End => {
                self.carried += 1;
                self.done.messages += u64::from(message);
            }
            Piece::Gone { why: None, .. } => {
                self.vanished += u64::from(message);
            }
            Piece::Gone { why: Some(why), .. } => self.leave_out(of, *why),
            Piece::Torn => self.leave_out(of, Why::Unsteady),
        }
        (self.watch)(&self.done)
    }

    fn leave_out(&mut self, of: &Wanted, why: Why) {
        self.left_out.add(|| of.slot.path(), why);
        self.unsteady.insert(of.slot.folder().clone());
    }
}

/// Makes sure that what a source sends is what was wanted from it, in order, and no more than it said.
struct Check<'a> {
    wanted: &'a [Wanted],
    next: usize,
    /// Index of the file under way, and the bytes that are still to come.
    open: Option<(usize, u64)>,
}

impl<'a> Check<'a> {
    fn piece(&mut self, piece: &Piece) -> Result<&'a Wanted> {
        let at = match (piece, self.open) {
            (Piece::Head { index, .. } | Piece::Gone { index, .. }, None) if *index as usize == self.next => {
                self.next += 1;
                self.next - 1
            }
            (Piece::Data(_) | Piece::End | Piece::Torn, Some((at, _))) => at,
            _ => return Err(nonsense("a file out of order")),
        };
        let wanted = self.wanted.get(at).ok_or_else(|| nonsense("a file that nobody asked for"))?;
        match (piece, &mut self.open) {
            (Piece::Head { head, .. }, open) => {
                let size_fits = match wanted.slot {
                    Slot::Message { .. } => head.size == wanted.size,
                    Slot::Control { .. } => head.size <= MAX_CONTROL,
                };
                if !size_fits || !head.slot.matches(&wanted.slot) {
                    return Err(nonsense(format!("{} instead of {}", head.slot.path(), wanted.slot.path())));
                }
                *open = Some((at, head.size));
            }
            (Piece::Data(bytes), Some((_, left))) if !bytes.is_empty() && bytes.len() as u64 <= *left => {
                *left -= bytes.len() as u64
            }
            (Piece::End, Some((_, 0))) | (Piece::Torn, Some(_)) => self.open = None,
            (Piece::Gone { .. }, None) => {}
            _ => return Err(nonsense("a file longer or shorter than it said")),
        }
        Ok(wanted)
    }
}
