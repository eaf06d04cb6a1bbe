//! Frames on the stream between two nodes: kind (one byte), length (four, big-endian), payload.
//!
//! The side that drives sends a [`Kind::Request`], and after some requests more frames up to [`Kind::Done`]. The other side answers with
//! any frames the request asks for and ends with [`Kind::Reply`] or [`Kind::Error`]. One request at a time; what matters for speed is that
//! one request covers many files. Every length is bounded before anything is allocated for it.

use super::MAX_ENTRIES;
use super::names::{Name, Place};
use super::side::{Digest, Entry, Listing, Piece};
use super::{Control, LeftOut, uidlist::Header};
use crate::error::{Code, Error, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io::{BufReader, Read, Write};

/// The longest payload, in bytes.
pub(super) const MAX_FRAME: usize = 16 << 20;
/// Frames are gathered up to this many bytes before they are written.
const GATHER: usize = 256 << 10;
/// Entries of a listing in one frame.
const ROWS: usize = 2048;

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $number:literal,)*) => {
        /// What a frame is.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Kind { $($(#[$doc])* $kind = $number),* }

        impl Kind {
            fn from_byte(byte: u8) -> Option<Self> {
                match byte { $($number => Some(Self::$kind),)* _ => None }
            }
        }
    };
}

kinds! {
    /// JSON: a request.
    Request = 1,
    /// JSON: an array of things a request is about.
    Items = 2,
    /// The end of what belongs to a request.
    Done = 3,
    /// JSON: the result; the answer is complete.
    Reply = 4,
    /// JSON: the failure; the answer is complete.
    Error = 5,
    /// JSON: one of several results.
    Item = 6,
    /// JSON: the head of a listing.
    Listing = 7,
    /// Entries of the listing.
    Entries = 8,
    /// JSON: a file begins.
    Head = 9,
    /// Bytes of it.
    Data = 10,
    /// It is complete.
    End = 11,
    /// It cannot be completed.
    Torn = 12,
    /// JSON: a wanted file is not there.
    Gone = 13,
}

/// A stream that carries frames.
pub(super) struct Framed<S> {
    stream: BufReader<S>,
    out: Vec<u8>,
    broken: bool,
}

fn broke(cause: impl std::fmt::Display) -> Error {
    Error::new(Code::MayHaveHappened, "The connection that carries mail between the nodes broke.").detail(cause)
}

/// The other node said something that makes no sense.
pub(super) fn nonsense(what: impl std::fmt::Display) -> Error {
    Error::new(Code::Refused, "The other node does not speak this version's language for mail.").detail(what)
}

impl<S: Read + Write> Framed<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream: BufReader::with_capacity(GATHER, stream), out: Vec::with_capacity(GATHER), broken: false }
    }

    /// Refuses to go on over a stream whose position is not known any more.
    pub(super) fn usable(&self) -> Result<()> {
        if self.broken { Err(broke("it broke earlier")) } else { Ok(()) }
    }

    /// Runs something on the stream; remembers when the stream itself failed.
    fn guard<T>(&mut self, outcome: Result<T>) -> Result<T> {
        self.broken |= outcome.is_err();
        outcome
    }

    pub(super) fn send(&mut self, kind: Kind, payload: &[u8]) -> Result<()> {
        self.usable()?;
        let length = u32::try_from(payload.len()).ok().filter(|length| *length as usize <= MAX_FRAME);
        let Some(length) = length else {
            return Err(Error::new(Code::Unsupported, "A list is too long to be sent to the other node."));
        };
        self.out.push(kind as u8);
        self.out.extend_from_slice(&length.to_be_bytes());
        if self.out.len() + payload.len() <= GATHER {
            self.out.extend_from_slice(payload);
            return Ok(());
        }
        let stream = self.stream.get_mut();
        let written = stream.write_all(&self.out).and_then(|()| stream.write_all(payload)).map_err(broke);
        self.out.clear();
        self.guard(written)
    }

    pub(super) fn json(&mut self, kind: Kind, value: &impl Serialize) -> Result<()> {
        let payload = serde_json::to_vec(value).map_err(|cause| Error::machine("writing a message", cause))?;
        self.send(kind, &payload)
    }

    pub(super) fn flush(&mut self) -> Result<()> {
        self.usable()?;
        let stream = self.stream.get_mut();
        let written = stream.write_all(&self.out).and_then(|()| stream.flush()).map_err(broke);
        self.out.clear();
        self.guard(written)
    }

    /// The next frame; `None` where the stream ends between frames.
    pub(super) fn next(&mut self) -> Result<Option<(Kind, Vec<u8>)>> {
        self.usable()?;
        let frame = self.read_frame();
        self.guard(frame)
    }

    fn read_frame(&mut self) -> Result<Option<(Kind, Vec<u8>)>> {
        let mut header = [0; 5];
        let first = loop {
            match self.stream.read(&mut header[..1]) {
                Err(cause) if cause.kind() == std::io::ErrorKind::Interrupted => {}
                other => break other.map_err(broke)?,
            }
        };
        if first == 0 {
            return Ok(None);
        }
        self.stream.read_exact(&mut header[1..]).map_err(broke)?;
        let [kind, length @ ..] = header;
        let kind = Kind::from_byte(kind).ok_or_else(|| nonsense(format!("frame of kind {kind}")))?;
        let length = u32::from_be_bytes(length) as usize;
        let limit = if kind == Kind::Data { Piece::CHUNK } else { MAX_FRAME };
        if length > limit {
            return Err(nonsense(format!("frame of {length} bytes")));
        }
        let mut payload = vec![0; length];
        self.stream.read_exact(&mut payload).map_err(broke)?;
        Ok(Some((kind, payload)))
    }

    /// The next frame, where there must be one.
    pub(super) fn frame(&mut self) -> Result<(Kind, Vec<u8>)> {
        match self.next()? {
            Some(frame) => Ok(frame),
            None => self.guard(Err(broke("it ended in the middle of an answer"))),
        }
    }

    /// Reports a frame that makes no sense here; the stream is of no use after it.
    pub(super) fn refuse<T>(&mut self, what: impl std::fmt::Display) -> Result<T> {
        self.guard(Err(nonsense(what)))
    }

    /// A last word to a node that makes no sense, if it still listens.
    pub(super) fn farewell(&mut self, error: &Error) {
        self.broken = false;
        let _ = self.json(Kind::Error, error).and_then(|()| self.flush());
        self.broken = true;
    }

    /// Parses what came; the stream is of no use after something that cannot be parsed.
    pub(super) fn parse<T: DeserializeOwned>(&mut self, payload: &[u8]) -> Result<T> {
        let parsed = serde_json::from_slice(payload).map_err(nonsense);
        self.guard(parsed)
    }

    /// Sends a list in as many frames as it needs, and its end.
    pub(super) fn items<T: Serialize>(&mut self, items: &[T]) -> Result<()> {
        items.chunks(500).try_for_each(|some| self.json(Kind::Items, &some))?;
        self.send(Kind::Done, &[])
    }

    /// Receives such a list.
    pub(super) fn receive_items<T: DeserializeOwned>(&mut self, limit: usize) -> Result<Vec<T>> {
        let mut items = Vec::new();
        loop {
            match self.frame()? {
                (Kind::Items, payload) => items.extend(self.parse::<Vec<T>>(&payload)?),
                (Kind::Done, _) => return Ok(items),
                (other, _) => return self.refuse(format!("{other:?} in a list")),
            }
            if items.len() > limit {
                return self.refuse("a list is too long");
            }
        }
    }

    /// Sends a step of a stream of files.
    pub(super) fn piece(&mut self, piece: &Piece) -> Result<()> {
        match piece {
            Piece::Head { index, head } => self.json(Kind::Head, &(index, head)),
            Piece::Data(bytes) => self.send(Kind::Data, bytes),
            Piece::End => self.send(Kind::End, &[]),
            Piece::Torn => self.send(Kind::Torn, &[]),
            Piece::Gone { index, why } => self.json(Kind::Gone, &(index, why)),
        }
    }

    /// The step of a stream of files that a frame is; `None` for a frame that is none.
    pub(super) fn as_piece(&mut self, kind: Kind, payload: Vec<u8>) -> Result<Option<Piece>> {
        Ok(Some(match kind {
            Kind::Head => {
                let (index, head) = self.parse(&payload)?;
                Piece::Head { index, head }
            }
            Kind::Data => Piece::Data(payload),
            Kind::End => Piece::End,
            Kind::Torn => Piece::Torn,
            Kind::Gone => {
                let (index, why) = self.parse(&payload)?;
                Piece::Gone { index, why }
            }
            _ => return Ok(None),
        }))
    }

    /// Sends a listing.
    pub(super) fn listing(&mut self, listing: Listing) -> Result<()> {
        let Listing { exists, entries, left_out, uids, keywords, controls } = listing;
        let head =
            ListingHead { exists, entries: entries.len(), left_out, uids, keywords, controls: controls.into_iter().collect() };
        self.json(Kind::Listing, &head)?;
        for some in entries.chunks(ROWS) {
            let mut payload = Vec::with_capacity(some.len() * 128);
            some.iter().for_each(|entry| write_entry(entry, &mut payload));
            self.send(Kind::Entries, &payload)?;
        }
        Ok(())
    }

    /// Receives the listing whose head this is.
    pub(super) fn receive_listing(&mut self, head: &[u8]) -> Result<Listing> {
        let ListingHead { exists, entries: count, left_out, uids, keywords, controls } = self.parse(head)?;
        if count > MAX_ENTRIES {
            return self.refuse("a folder has too many messages");
        }
        let mut entries = Vec::new();
        while entries.len() < count {
            let (Kind::Entries, payload) = self.frame()? else { return self.refuse("a listing is cut off") };
            let before = entries.len();
            let read = read_entries(&payload, &mut entries);
            self.guard(read)?;
            if entries.len() > count || entries.len() == before {
                return self.refuse("a listing is not as long as it says");
            }
        }
        let in_order = |entries: &[Entry]| entries.is_sorted_by(|one, two| one.order() <= two.order());
        if !in_order(&entries) {
            return self.refuse("a listing is not in order");
        }
        Ok(Listing { exists, entries, left_out, uids, keywords, controls: controls.into_iter().collect() })
    }
}

#[derive(Serialize, Deserialize)]
struct ListingHead {
    exists: bool,
    entries: usize,
    left_out: LeftOut,
    uids: Option<Header>,
    keywords: Vec<String>,
    controls: Vec<(Control, Digest)>,
}

fn write_entry(entry: &Entry, out: &mut Vec<u8>) {
    let place = match entry.place {
        Place::New => 0,
        Place::Cur => 1,
    };
    out.push(place | if entry.digest.is_some() { 2 } else { 0 });
    out.extend_from_slice(&entry.size.to_be_bytes());
    out.extend_from_slice(&entry.mtime_ns.to_be_bytes());
    out.extend_from_slice(&entry.uid.to_be_bytes());
    if let Some(digest) = &entry.digest {
        out.extend_from_slice(digest);
    }
    // A name has at most 255 bytes.
    out.push(u8::try_from(entry.name.bytes().len()).unwrap_or(u8::MAX));
    out.extend_from_slice(entry.name.bytes());
}

fn read_entries(mut rest: &[u8], entries: &mut Vec<Entry>) -> Result<()> {
    fn take<'a>(rest: &mut &'a [u8], count: usize) -> Result<&'a [u8]> {
        let (taken, left) = rest.split_at_checked(count).ok_or_else(|| nonsense("an entry is cut off"))?;
        *rest = left;
        Ok(taken)
    }
    fn array<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N]> {
        take(rest, N)?.try_into().map_err(nonsense)
    }
    while !rest.is_empty() {
        let [flags] = array::<1>(&mut rest)?;
        let size = u64::from_be_bytes(array(&mut rest)?);
        let mtime_ns = i64::from_be_bytes(array(&mut rest)?);
        let uid = u32::from_be_bytes(array(&mut rest)?);
        let digest = if flags & 2 == 0 { None } else { Some(array(&mut rest)?) };
        let [length] = array::<1>(&mut rest)?;
        let name = Name::new(take(&mut rest, usize::from(length))?)?;
        if name.bytes().starts_with(b".") {
            return Err(nonsense("a message with the name of a hidden file"));
        }
        let place = if flags & 1 == 0 { Place::New } else { Place::Cur };
        entries.push(Entry { place, name, size, mtime_ns, uid, digest });
    }
    Ok(())
}
