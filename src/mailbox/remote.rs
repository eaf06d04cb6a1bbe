//! The other node's end, over a stream.

use super::MAX_ENTRIES;
use super::frame::{Framed, Kind};
use super::names::Folder;
use super::serve::Request;
use super::side::{Change, FolderStat, Listing, Piece, Side, Tree, TreeFolder, Usage, Wanted};
use crate::error::{Error, Result};
use serde::de::DeserializeOwned;
use std::io::{Read, Write};

/// How many folders are asked for in one request.
const FOLDERS: usize = 1000;

/// The mail of an account on the node at the other end of a stream, which runs [`serve`](fn@super::serve) on it.
pub struct Remote<S> {
    user: String,
    framed: Framed<S>,
}

impl<S: Read + Write + Send> Remote<S> {
    /// The account named `user` at the other end. Nothing is sent yet.
    pub fn new(user: impl Into<String>, stream: S) -> Self {
        Self { user: user.into(), framed: Framed::new(stream) }
    }

    fn request(&mut self, request: &Request) -> Result<()> {
        self.framed.json(Kind::Request, request)
    }

    /// The end of an answer.
    fn ending<T: DeserializeOwned>(&mut self, kind: Kind, payload: &[u8]) -> Result<T> {
        match kind {
            Kind::Reply => self.framed.parse(payload),
            Kind::Error => {
                let error = self.framed.parse::<Error>(payload)?;
                Err(error)
            }
            other => self.framed.refuse(format!("{other:?} where an answer should end")),
        }
    }

    fn answer<T: DeserializeOwned>(&mut self) -> Result<T> {
        self.framed.flush()?;
        let (kind, payload) = self.framed.frame()?;
        self.ending(kind, &payload)
    }

    fn ask<T: DeserializeOwned>(&mut self, request: &Request) -> Result<T> {
        self.request(request)?;
        self.answer()
    }
}

impl<S: Read + Write + Send> Side for Remote<S> {
    fn user(&self) -> &str {
        &self.user
    }

    fn tree(&mut self) -> Result<Tree> {
        self.request(&Request::Tree)?;
        self.framed.flush()?;
        let mut folders: Vec<TreeFolder> = Vec::new();
        loop {
            match self.framed.frame()? {
                (Kind::Item, payload) if folders.len() < MAX_ENTRIES => folders.push(self.framed.parse(&payload)?),
                (kind, payload) => {
                    let tree: Tree = self.ending(kind, &payload)?;
                    if folders.windows(2).any(|pair| pair[0].folder >= pair[1].folder) {
                        return self.framed.refuse("folders are not in order");
                    }
                    return Ok(Tree { folders, ..tree });
                }
            }
        }
    }

    fn stat(&mut self, folders: &[Folder]) -> Result<Vec<Option<FolderStat>>> {
        let mut stats = Vec::with_capacity(folders.len());
        for some in folders.chunks(FOLDERS) {
            self.request(&Request::Stat { folders: some.to_vec() })?;
            self.framed.flush()?;
            loop {
                match self.framed.frame()? {
                    (Kind::Item, payload) => stats.push(self.framed.parse(&payload)?),
                    (kind, payload) => break self.ending::<()>(kind, &payload)?,
                }
                if stats.len() > folders.len() {
                    return self.framed.refuse("more folders than were asked for");
                }
            }
        }
        if stats.len() == folders.len() { Ok(stats) } else { self.framed.refuse("fewer folders than were asked for") }
    }

    fn list(&mut self, folders: &[Folder], full: bool, each: &mut dyn FnMut(Listing) -> Result<()>) -> Result<()> {
        for some in folders.chunks(FOLDERS) {
            self.request(&Request::List { folders: some.to_vec(), full })?;
            self.framed.flush()?;
            let mut count = 0;
            let mut outcome = Ok(());
            loop {
                match self.framed.frame()? {
                    (Kind::Listing, head) => {
                        let listing = self.framed.receive_listing(&head)?;
                        count += 1;
                        if outcome.is_ok() {
                            outcome = each(listing);
                        }
                    }
                    (kind, payload) => break self.ending::<()>(kind, &payload)?,
                }
            }
            outcome?;
            if count != some.len() {
                return self.framed.refuse("not the folders that were asked for");
            }
        }
        Ok(())
    }

    fn read(&mut self, wanted: &[Wanted], sink: &mut dyn FnMut(Piece) -> Result<()>) -> Result<()> {
        self.request(&Request::Read)?;
        self.framed.items(wanted)?;
        self.framed.flush()?;
        let mut outcome = Ok(());
        loop {
            let (kind, payload) = self.framed.frame()?;
            if matches!(kind, Kind::Reply | Kind::Error) {
                self.ending::<()>(kind, &payload)?;
                return outcome;
            }
            match self.framed.as_piece(kind, payload)? {
                // What comes after the sink gave up is read and dropped, so that the stream stays usable; a batch is bounded.
                Some(piece) if outcome.is_ok() => outcome = sink(piece),
                Some(_) => {}
                None => return self.framed.refuse(format!("{kind:?} in a stream of files")),
            }
        }
    }

    fn write(&mut self, next: &mut dyn FnMut() -> Result<Option<Piece>>) -> Result<()> {
        self.request(&Request::Write)?;
        let outcome = loop {
            match next() {
                Ok(Some(piece)) => self.framed.piece(&piece)?,
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        self.framed.send(Kind::Done, &[])?;
        self.answer::<()>().and(outcome)
    }

    fn apply(&mut self, changes: &[Change]) -> Result<()> {
        self.request(&Request::Apply)?;
        self.framed.items(changes)?;
        self.answer()
    }

    fn sync_disk(&mut self) -> Result<()> {
        self.ask(&Request::SyncDisk)
    }

    fn usage(&mut self) -> Result<Usage> {
        self.ask(&Request::Usage)
    }

    fn fence(&mut self, on: bool) -> Result<()> {
        self.ask(&Request::Fence { on })
    }

    fn remove_messages(&mut self) -> Result<()> {
        self.ask(&Request::RemoveMessages)
    }

    fn prepare_target(&mut self) -> Result<()> {
        self.ask(&Request::PrepareTarget)
    }
}
