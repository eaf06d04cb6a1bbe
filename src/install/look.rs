//! Looking at the machine: what it is, and how far it is from the plan.

use super::files;
use super::hooked;
use super::host::{Host, PATH};
use super::layout::CPANEL;
use super::page;
use super::plan::{Facts, Item, Missing, NEEDED};
use super::services::{self, Running};
use super::user;
use crate::error::{Context as _, Result};
use std::os::unix::fs::MetadataExt as _;

/// How an item is on the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// As planned.
    Same,
    /// Not there.
    Absent,
    /// There, but different; in what way.
    Differs(&'static str),
}

/// What matters of the machine for a plan.
///
/// # Errors
/// When this process cannot find its own program.
pub fn facts(host: &Host) -> Result<Facts> {
    Ok(Facts {
        root: rustix::process::geteuid().is_root(),
        cpanel: host.has(CPANEL).then(|| version(host)),
        missing: NEEDED
            .iter()
            .filter(|(program, _)| !is_program(host, program))
            .map(|(program, purpose)| Missing { program: (*program).to_owned(), purpose })
            .collect(),
        systemd: host.has("/run/systemd/system"),
        program: std::env::current_exe().context("finding this program's own file")?,
    })
}

/// cPanel's version as it says itself; empty when it does not say.
pub fn version(host: &Host) -> String {
    let program = host.path(CPANEL);
    host.tools.run(&program.to_string_lossy(), &["-V"]).map(|said| said.out.trim().to_owned()).unwrap_or_default()
}

/// Whether a program is there: at its absolute path, or in the search path.
pub fn is_program(host: &Host, program: &str) -> bool {
    if program.starts_with('/') {
        host.path(program).exists()
    } else {
        PATH.split(':').any(|place| host.path(place).join(program).exists())
    }
}

/// How an item is on the machine.
///
/// # Errors
/// When that cannot be known.
pub fn state(host: &Host, item: &Item) -> Result<State> {
    Ok(match item {
        Item::User => match user::exists(host)? {
            (true, true) => State::Same,
            (false, false) => State::Absent,
            _ => State::Differs("user or group is missing"),
        },
        Item::Directory { path, mode, .. } => match files::metadata(&host.path(path))? {
            None => State::Absent,
            Some(found) if !found.is_dir() => State::Differs("not a directory"),
            Some(found) if found.mode() & 0o7777 != *mode => State::Differs("other permissions"),
            Some(found) => owned(&found),
        },
        Item::File { path, content, mode } => {
            let path = host.path(path);
            match files::metadata(&path)? {
                None => State::Absent,
                Some(found) if !found.is_file() => State::Differs("not a plain file"),
                Some(_) if files::mark(&path)? != files::mark_of(content)? => State::Differs("other content"),
                Some(found) if found.mode() & 0o7777 != *mode => State::Differs("other permissions"),
                Some(found) => owned(&found),
            }
        }
        Item::Link { path, target } => match files::mark(&host.path(path))?.as_str() {
            "absent" => State::Absent,
            mark if mark == format!("link {target}") => State::Same,
            _ => State::Differs("points elsewhere"),
        },
        Item::Fragment => page::fragment(host)?,
        Item::Page => page::state(host)?,
        Item::Hooks => {
            let registered = hooked::registered(host)?;
            if registered == hooked::wanted()? {
                State::Same
            } else if registered.is_empty() {
                State::Absent
            } else {
                State::Differs("other hooks are registered")
            }
        }
        Item::Services(supervision) => match services::running(host, *supervision)? {
            Running::Current => State::Same,
            Running::Stale => State::Differs("an older program runs"),
            Running::No => State::Absent,
        },
    })
}

fn owned(found: &std::fs::Metadata) -> State {
    let us = rustix::process::geteuid().as_raw();
    if found.uid() == us { State::Same } else { State::Differs("belongs to another user") }
}
