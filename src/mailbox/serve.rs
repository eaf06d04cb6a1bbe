//! The end that does not drive: does on this machine what the other node asks, within one account's mail.

use super::frame::{Framed, Kind, nonsense};
use super::local::Local;
use super::names::Folder;
use super::side::{Change, Side as _, Tree, Wanted};
use crate::error::Result;
use serde::{Deserialize, Serialize};
use std::io::{Read, Write};

/// What can be asked.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub(super) enum Request {
    /// Items: [`TreeFolder`](super::TreeFolder). Reply: the tree without its folders.
    Tree,
    /// Items: `Option<FolderStat>`.
    Stat {
        folders: Vec<Folder>,
    },
    /// Listings.
    List {
        folders: Vec<Folder>,
        full: bool,
    },
    /// A list of [`Wanted`] follows. Pieces.
    Read,
    /// Pieces follow, and Done.
    Write,
    /// A list of [`Change`] follows.
    Apply,
    /// As the [`Side`](super::Side)'s call of this name; so are the rest.
    SyncDisk,
    Usage,
    Fence {
        on: bool,
    },
    RemoveMessages,
    PrepareTarget,
}

/// The most files or changes in one request.
pub(super) const MAX_ITEMS: usize = 100_000;

/// Serves an account's mail to the node at the other end of `stream` until it closes the stream.
///
/// The caller has made sure who the other node is and that it may have this account. Whatever it asks stays within the account's mail
/// directory: names are checked as they are parsed.
///
/// # Errors
/// [`Code::MayHaveHappened`](crate::error::Code::MayHaveHappened) when the stream breaks, [`Code::Refused`](crate::error::Code::Refused)
/// when the other node makes no sense. Failures of single requests go to the other node and end nothing.
pub fn serve<S: Read + Write>(stream: S, mut local: Local) -> Result<()> {
    let mut framed = Framed::new(stream);
    while let Some((kind, payload)) = framed.next()? {
        if kind != Kind::Request {
            return refused(&mut framed, format!("{kind:?} where a request should be"));
        }
        let request = match framed.parse::<Request>(&payload) {
            Ok(request) => request,
            Err(error) => return refused(&mut framed, error.detail.unwrap_or(error.message)),
        };
        match answer(&mut framed, &mut local, request) {
            Ok(reply) => framed.json(Kind::Reply, &reply)?,
            Err(error) if framed.usable().is_err() => {
                framed.farewell(&error);
                return Err(error);
            }
            Err(error) => framed.json(Kind::Error, &error)?,
        }
        framed.flush()?;
    }
    Ok(())
}

/// Tells the other node that what it says makes no sense, and ends.
fn refused<S: Read + Write>(framed: &mut Framed<S>, what: String) -> Result<()> {
    let error = nonsense(what);
    framed.farewell(&error);
    Err(error)
}

fn answer<S: Read + Write>(framed: &mut Framed<S>, local: &mut Local, request: Request) -> Result<serde_json::Value> {
    match request {
        Request::Tree => {
            let Tree { folders, now_ns, left_out, unsupported } = local.tree()?;
            folders.iter().try_for_each(|folder| framed.json(Kind::Item, folder))?;
            return json(&Tree { folders: Vec::new(), now_ns, left_out, unsupported });
        }
        Request::Stat { folders } => local.stat(&folders)?.iter().try_for_each(|stat| framed.json(Kind::Item, stat))?,
        Request::List { folders, full } => local.list(&folders, full, &mut |listing| framed.listing(listing))?,
        Request::Read => {
            let wanted = framed.receive_items::<Wanted>(MAX_ITEMS)?;
            local.read(&wanted, &mut |piece| framed.piece(&piece))?;
        }
        Request::Write => {
            let mut done = false;
            let written = local.write(&mut || {
                let (kind, payload) = framed.frame()?;
                if kind == Kind::Done {
                    done = true;
                    return Ok(None);
                }
                match framed.as_piece(kind, payload)? {
                    Some(piece) => Ok(Some(piece)),
                    None => framed.refuse(format!("{kind:?} in a stream of files")),
                }
            });
            while !done && framed.usable().is_ok() {
                // It failed here; the other node hears of it when it has sent the batch.
                done = framed.frame()?.0 == Kind::Done;
            }
            written?;
        }
        Request::Apply => {
            let changes = framed.receive_items::<Change>(MAX_ITEMS)?;
            local.apply(&changes)?;
        }
        Request::SyncDisk => local.sync_disk()?,
        Request::Usage => return json(&local.usage()?),
        Request::Fence { on } => local.fence(on)?,
        Request::RemoveMessages => local.remove_messages()?,
        Request::PrepareTarget => local.prepare_target()?,
    }
    Ok(serde_json::Value::Null)
}

fn json(value: &impl Serialize) -> Result<serde_json::Value> {
    serde_json::to_value(value).map_err(|cause| crate::error::Error::machine("writing a message", cause))
}
