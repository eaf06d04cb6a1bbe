//! Taking the product off the machine: the manifest backwards, each entry undone and then forgotten, on disk, before the next.

use super::files::{self, Before};
use super::host::Host;
use super::layout::{LOG, MANIFEST, SAVED_DIR, STATE_DIR, UNIT_DIR};
use super::manifest::{Change, Entry, Manifest};
use super::plan::Supervision;
use super::{hooked, redirect, services, user};
use crate::error::{Context as _, Result};
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

/// Undoes everything that is recorded and says each thing it does. Returns what was left in place, with the reason.
///
/// # Errors
/// The first thing that cannot be undone; another run goes on from there.
pub fn walk_back(host: &Host, keep_state: bool, say: &mut dyn FnMut(String)) -> Result<Vec<String>> {
    let mut manifest = Manifest::load(host)?;
    let mut left = Vec::new();
    let units = manifest.entries.iter().any(|entry| entry.key.starts_with(UNIT_DIR));
    while let Some(entry) = manifest.entries.last().cloned() {
        if entry.key == STATE_DIR {
            break;
        }
        left.extend(undo(host, &entry, say)?);
        manifest.entries.pop();
        manifest.save(host)?;
    }
    if units {
        host.must("systemctl", &["daemon-reload"])?;
    }
    // The record itself goes last; what is below it was made by hand of the steps above.
    if keep_state {
        files::remove(&host.path(MANIFEST))?;
        remove_tree(&host.path(SAVED_DIR))?;
        left.push(format!("{STATE_DIR}/: kept, as asked"));
    } else if !manifest.is_empty() {
        say(format!("removed    {STATE_DIR}/"));
        remove_tree(&host.path(STATE_DIR))?;
    }
    for entry in manifest.entries.iter().rev().filter(|entry| entry.key != STATE_DIR) {
        left.extend(undo(host, entry, say)?);
    }
    Ok(left)
}

/// Undoes one entry. Returns a line when something had to be left.
///
/// # Errors
/// When the machine refuses.
pub fn undo(host: &Host, entry: &Entry, say: &mut dyn FnMut(String)) -> Result<Option<String>> {
    match &entry.change {
        Change::Path { path, before, marks, whole } => undo_path(host, path, before, marks, *whole, say),
        Change::User { created_user, created_group } => {
            if *created_user || *created_group {
                say(format!("removed    {}", entry.key));
            }
            user::delete(host, *created_user, *created_group).map(|()| None)
        }
        Change::Hooks => {
            say("removed    standard hooks from cPanel's registry".to_owned());
            hooked::unregister(host).map(|()| None)
        }
        Change::Services { systemd } => {
            say("stopped    serve, shim and the redirect of cpsrvd's ports".to_owned());
            services::stop(host, if *systemd { Supervision::Systemd } else { Supervision::Own })?;
            // serve removes its own table when it ends; if it was killed, nobody has.
            host.tools.run("nft", &["delete", "table", "inet", redirect::GATE_TABLE])?;
            files::remove(&host.path(LOG)).map(|()| None)
        }
    }
}

fn undo_path(
    host: &Host,
    path: &str,
    before: &Before,
    marks: &[String],
    whole: bool,
    say: &mut dyn FnMut(String),
) -> Result<Option<String>> {
    let here = host.path(path);
    if whole {
        if files::metadata(&here)?.is_some() {
            say(format!("removed    {path}/"));
        }
        return remove_tree(&here).map(|()| None);
    }
    let there = files::mark(&here)?;
    if is_before(before, &there) {
        return match before {
            // The permissions may be ours.
            Before::Directory { .. } | Before::File { .. } => files::restore(host, path, before).map(|()| None),
            Before::Absent | Before::Link { .. } => Ok(None),
        };
    }
    if !marks.contains(&there) {
        return Ok(Some(if there == "absent" {
            format!("{path}: somebody removed it since; what was there before is not brought back")
        } else {
            format!("{path}: changed since it was put there, so it stays")
        }));
    }
    if there == "directory" {
        return match fs::remove_dir(&here) {
            Ok(()) => {
                say(format!("removed    {path}/"));
                Ok(None)
            }
            Err(cause) if cause.kind() == ErrorKind::DirectoryNotEmpty => {
                Ok(Some(format!("{path}/: holds other files now, so it stays")))
            }
            Err(cause) => Err(cause).context(format!("removing {path}")),
        };
    }
    files::restore(host, path, before)?;
    say(format!("{}    {path}", if *before == Before::Absent { "removed " } else { "restored" }));
    Ok(None)
}

/// Whether what is there is what was there before.
pub fn is_before(before: &Before, there: &str) -> bool {
    match before {
        Before::Absent => there == "absent",
        Before::File { sha256, .. } => there == format!("sha256 {sha256}"),
        Before::Link { target } => there == format!("link {}", target.display()),
        Before::Directory { .. } => there == "directory",
    }
}

fn remove_tree(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(()),
        other => other.context(format!("removing {}", path.display())),
    }
}
