//! Bringing the machine to the plan. Every step looks first, records, then acts; so it can be interrupted anywhere and run again.

use super::files::{self, Before};
use super::hooked;
use super::host::Host;
use super::layout::{LIB_DIR, PROGRAM, REDIRECT, RUN_DIR, STATE_DIR, UNIT_DIR};
use super::look::{self, State};
use super::manifest::{Change, Manifest};
use super::plan::{Item, Supervision};
use super::{page, services, user, walk_back};
use crate::error::{Code, Error, Result};
use crate::hooks::LAUNCHER;
use crate::rules::extension::FRAGMENT;
use std::path::Path;

/// Brings the machine to the plan and says each thing it does. Returns how many items were not as planned.
///
/// # Errors
/// The first thing that cannot be done; what was done stays and is recorded, and another run goes on from there.
pub fn apply(host: &Host, items: &[Item], say: &mut dyn FnMut(String)) -> Result<usize> {
    let mut manifest = Manifest::load(host)?;
    let mut changed = drop_what_is_not_planned(host, items, &mut manifest, say)?;
    if !matches!(look::state(host, &Item::Hooks), Ok(State::Same | State::Absent)) && host.has(LAUNCHER) {
        // cPanel deletes what the launcher describes, so that has to be asked while the old one is in place.
        hooked::unregister(host)?;
    }
    for item in items {
        let state = look::state(host, item)?;
        let restart = matches!(item, Item::Services(_)) && manifest.restart_due;
        if state == State::Same && !restart {
            // What was there as planned before we came still has to be known as not ours to remove.
            if manifest.entry(&item.key()).is_none() {
                note_present(host, item, &mut manifest)?;
            }
            continue;
        }
        changed += 1;
        say(match &state {
            State::Absent => format!("new        {item}"),
            State::Differs(how) => format!("changed    {item}: {how}"),
            State::Same => format!("restart    {item}"),
        });
        put(host, item, &mut manifest, say)?;
    }
    manifest.settle(host)?;
    Ok(changed)
}

fn put(host: &Host, item: &Item, manifest: &mut Manifest, say: &mut dyn FnMut(String)) -> Result<()> {
    match item {
        Item::User => {
            let (user, group) = user::exists(host)?;
            manifest.note(host, item, Change::User { created_user: !user, created_group: !group })?;
            user::create(host)
        }
        Item::Directory { path, mode, ours } => {
            make_parents(host, path, manifest)?;
            manifest.note_path(host, path, "directory".to_owned(), *ours)?;
            files::make_directory(&host.path(path), *mode)?;
            chown(host, path)
        }
        Item::File { path, content, mode } => {
            make_parents(host, path, manifest)?;
            keep_a_persons_version(host, path, manifest, say)?;
            if path == PROGRAM || path == REDIRECT || path.starts_with(UNIT_DIR) {
                manifest.restart_due = true;
            }
            manifest.note_path(host, path, files::mark_of(content)?, false)?;
            files::write(&host.path(path), content, *mode, Some((0, 0)))
        }
        Item::Link { path, target } => {
            make_parents(host, path, manifest)?;
            keep_a_persons_version(host, path, manifest, say)?;
            manifest.note_path(host, path, format!("link {target}"), false)?;
            files::link(&host.path(path), Path::new(target))
        }
        Item::Fragment => {
            make_parents(host, FRAGMENT, manifest)?;
            manifest.note(host, item, Change::Fragment { before: files::record(host, FRAGMENT)? })?;
            page::write_fragment(host)
        }
        Item::Page => {
            manifest.note(host, item, Change::Page)?;
            page::register(host)
        }
        Item::Hooks => {
            manifest.note(host, item, Change::Hooks)?;
            hooked::register(host)
        }
        Item::Services(supervision) => {
            let systemd = *supervision == Supervision::Systemd;
            if let Some(Change::Services { systemd: was }) = manifest.entry(&item.key()).map(|entry| &entry.change)
                && *was != systemd
            {
                services::stop(host, if *was { Supervision::Systemd } else { Supervision::Own })?;
            }
            manifest.note(host, item, Change::Services { systemd })?;
            services::start(host, *supervision)?;
            manifest.restart_due = false;
            manifest.save(host)
        }
    }
}

/// Notes an item that was as planned before the product came.
fn note_present(host: &Host, item: &Item, manifest: &mut Manifest) -> Result<()> {
    match item {
        Item::User => manifest.note(host, item, Change::User { created_user: false, created_group: false }),
        Item::Directory { path, ours, .. } => manifest.note_path(host, path, "directory".to_owned(), *ours),
        Item::File { path, .. } => manifest.note_path(host, path, files::mark(&host.path(path))?, false),
        Item::Link { path, target } => manifest.note_path(host, path, format!("link {target}"), false),
        Item::Fragment => manifest.note(host, item, Change::Fragment { before: Before::Absent }),
        Item::Page => manifest.note(host, item, Change::Page),
        Item::Hooks => manifest.note(host, item, Change::Hooks),
        Item::Services(supervision) => {
            manifest.note(host, item, Change::Services { systemd: *supervision == Supervision::Systemd })
        }
    }
}

/// Makes the directories above `path` that are missing, each recorded.
fn make_parents(host: &Host, path: &str, manifest: &mut Manifest) -> Result<()> {
    let mut missing = Vec::new();
    let mut above = Path::new(path).parent();
    while let Some(directory) = above.and_then(Path::to_str) {
        if directory == "/" || host.path(directory).is_dir() {
            break;
        }
        missing.push(directory);
        above = above.and_then(Path::parent);
    }
    for directory in missing.into_iter().rev() {
        manifest.note_path(host, directory, "directory".to_owned(), false)?;
        files::make_directory(&host.path(directory), 0o755)?;
    }
    Ok(())
}

/// A person's own version of something the product put there is kept beside it before it is replaced.
fn keep_a_persons_version(host: &Host, path: &str, manifest: &Manifest, say: &mut dyn FnMut(String)) -> Result<()> {
    let Some(Change::Path { marks, before, .. }) = manifest.entry(path).map(|entry| &entry.change) else { return Ok(()) };
    let there = files::mark(&host.path(path))?;
    if there == "absent" || marks.contains(&there) || walk_back::is_before(before, &there) {
        return Ok(());
    }
    let kept = (1..1000).map(|number| format!("{path}.saved-{number}")).find(|kept| !host.has(kept)).ok_or_else(|| {
        Error::new(Code::Conflict, format!("{path} was changed and there are too many saved versions beside it."))
            .hint("Remove old ones.")
    })?;
    std::fs::rename(host.path(path), host.path(&kept))
        .map_err(|cause| Error::machine(format!("keeping {path} as {kept}"), cause))?;
    say(format!("kept       {kept}: your version of {path}"));
    Ok(())
}

/// Takes back what an earlier version put in place and this one does not have.
fn drop_what_is_not_planned(host: &Host, items: &[Item], manifest: &mut Manifest, say: &mut dyn FnMut(String)) -> Result<usize> {
    let planned: Vec<String> = items.iter().map(Item::key).collect();
    let is_above = |key: &str| planned.iter().any(|path| path.starts_with(&format!("{key}/")));
    let mut dropped = 0;
    while let Some(at) = manifest.entries.iter().rposition(|entry| !planned.contains(&entry.key) && !is_above(&entry.key)) {
        let entry = manifest.entries[at].clone();
        if let Some(left) = walk_back::undo(host, &entry, say)? {
            say(left);
        }
        manifest.entries.remove(at);
        manifest.save(host)?;
        dropped += 1;
    }
    Ok(dropped)
}

fn chown(host: &Host, path: &str) -> Result<()> {
    debug_assert!([STATE_DIR, LIB_DIR, RUN_DIR].contains(&path) || path.starts_with("/usr/local/cpanel/3rdparty"));
    if rustix::process::geteuid().is_root() {
        let root = (rustix::process::Uid::ROOT, rustix::process::Gid::ROOT);
        rustix::fs::chown(host.path(path), Some(root.0), Some(root.1))
            .map_err(|cause| Error::machine(format!("giving {path} to root"), cause))?;
    }
    Ok(())
}
