//! Two sides at once: asking both, and laying two listings of one folder side by side.

use super::names::Folder;
use super::side::{Entry, Listing, Side};
use crate::error::{Error, Result};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Scope, ScopedJoinHandle};

/// What a thread came back with.
pub(super) fn joined<T>(handle: ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    handle.join().unwrap_or_else(|_| Err(Error::machine("copying mail", "a thread of the copy ended in disorder")))
}

/// Does both at the same time.
pub(super) fn both<T: Send, U>(one: impl FnOnce() -> Result<T> + Send, two: impl FnOnce() -> Result<U>) -> Result<(T, U)> {
    std::thread::scope(|scope| {
        let one = scope.spawn(one);
        let two = two();
        Ok((joined(one)?, two?))
    })
}

/// The end of a listing that nobody wants any more.
fn unwanted<T>(_: T) -> Error {
    Error::machine("listing mail", "the other side's listing failed")
}

fn lister<'scope, 'env: 'scope>(
    scope: &'scope Scope<'scope, 'env>,
    side: &'env mut dyn Side,
    folders: &'env [Folder],
    full: bool,
    out: SyncSender<Listing>,
) -> ScopedJoinHandle<'scope, Result<()>> {
    scope.spawn(move || side.list(folders, full, &mut |listing| out.send(listing).map_err(unwanted)))
}

/// Lists these folders on both sides at once, and hands over the two listings of each. Holds at most two folders of each side.
pub(super) fn list_both(
    source: &mut dyn Side,
    target: &mut dyn Side,
    folders: &[Folder],
    full: bool,
    each: &mut dyn FnMut(&Folder, Listing, Listing) -> Result<()>,
) -> Result<()> {
    std::thread::scope(|scope| {
        let (one_out, one_in) = sync_channel(0);
        let (two_out, two_in) = sync_channel(0);
        let one = lister(scope, source, folders, full, one_out);
        let two = lister(scope, target, folders, full, two_out);
        let outcome = meet(folders, one_in, two_in, each);
        let (one, two) = (joined(one), joined(two));
        match outcome {
            // A lister ended early, and knows why.
            Ok(false) => one.and(two).and_then(|()| Err(unwanted(()))),
            Ok(true) => one.and(two),
            Err(error) => Err(error),
        }
    })
}

fn meet(
    folders: &[Folder],
    one: Receiver<Listing>,
    two: Receiver<Listing>,
    each: &mut dyn FnMut(&Folder, Listing, Listing) -> Result<()>,
) -> Result<bool> {
    for folder in folders {
        let (Ok(one), Ok(two)) = (one.recv(), two.recv()) else { return Ok(false) };
        each(folder, one, two)?;
    }
    Ok(true)
}

/// One message on either side or both.
pub(super) enum Met<'a> {
    Both(&'a Entry, &'a Entry),
    Source(&'a Entry),
    Target(&'a Entry),
}

/// Pairs two listings by base name. Where a base name is there more than once (Dovecot renames such messages when it finds them), only
/// files of the very same name are pairs.
pub(super) fn meet_entries<'a>(
    source: &'a [Entry],
    target: &'a [Entry],
    mut each: impl FnMut(Met<'a>) -> Result<()>,
) -> Result<()> {
    let (mut source, mut target) = (source, target);
    loop {
        let base = match (source.first(), target.first()) {
            (None, None) => return Ok(()),
            (Some(one), None) | (None, Some(one)) => one.name.base(),
            (Some(one), Some(two)) => one.name.base().min(two.name.base()),
        };
        let run = |list: &[Entry]| list.iter().take_while(|entry| entry.name.base() == base).count();
        let (ones, rest) = source.split_at(run(source));
        source = rest;
        let (twos, rest) = target.split_at(run(target));
        target = rest;
        match (ones, twos) {
            ([one], [two]) => each(Met::Both(one, two))?,
            _ => {
                let same = |one: &Entry, two: &Entry| (one.place, &one.name) == (two.place, &two.name);
                for one in ones {
                    match twos.iter().find(|two| same(one, two)) {
                        Some(two) => each(Met::Both(one, two))?,
                        None => each(Met::Source(one))?,
                    }
                }
                for two in twos {
                    if !ones.iter().any(|one| same(one, two)) {
                        each(Met::Target(two))?;
                    }
                }
            }
        }
    }
}
