//! The page in WHM and our fields in its forms: registered with AppConfig by cPanel's own tools, whose file is never touched.

use super::files;
use super::host::Host;
use super::layout::{APP, APP_CONF, APP_CONF_TEXT, REGISTER_APPCONFIG, REGISTERED_APP, UNREGISTER_APPCONFIG};
use super::look::State;
use super::plan::Content;
use crate::error::{Code, Context as _, Error, Result};
use crate::rules::extension::{FRAGMENT, MARKER, fragment as fields};
use std::path::Path;

/// Whether AppConfig has the page as we register it.
///
/// # Errors
/// When its file is there and cannot be read.
pub fn state(host: &Host) -> Result<State> {
    let path = host.path(REGISTERED_APP);
    if files::metadata(&path)?.is_none() {
        return Ok(State::Absent);
    }
    let there = std::fs::read_to_string(&path).context(format!("reading {}", path.display()))?;
    // cPanel may write it in an order and with comments of its own.
    let all = values(APP_CONF_TEXT).all(|ours| values(&there).any(|value| value == ours));
    Ok(if all { State::Same } else { State::Differs("registered otherwise") })
}

fn values(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| (key.trim(), value.trim()))
}

/// Registers the page.
///
/// # Errors
/// When `register_appconfig` fails, or says it did not and it is not registered afterwards.
pub fn register(host: &Host) -> Result<()> {
    let (program, file) = (host.path(REGISTER_APPCONFIG), host.path(APP_CONF));
    let said = host.must(&program.to_string_lossy(), &[&file.to_string_lossy()])?;
    match state(host)? {
        State::Same => Ok(()),
        _ => Err(Error::new(Code::Answered, format!("register_appconfig did not register the page: {}", said.trim()))
            .hint(format!("Run “{REGISTER_APPCONFIG} {APP_CONF}” and look at what it says."))),
    }
}

/// Takes the registration back; one that is gone already is fine.
///
/// # Errors
/// When it is still there afterwards.
pub fn unregister(host: &Host) -> Result<()> {
    if state(host)? == State::Absent {
        return Ok(());
    }
    let said = host.tools.run(&host.path(UNREGISTER_APPCONFIG).to_string_lossy(), &[APP])?;
    match state(host)? {
        State::Absent => Ok(()),
        _ => Err(Error::new(Code::Answered, format!("unregister_appconfig did not remove the page: {}", said.err.trim()))
            .hint(format!("Run “{UNREGISTER_APPCONFIG} {APP}” and look at what it says."))),
    }
}

/// Whether our fields are there, in whatever state `serve` wrote them last.
///
/// # Errors
/// When that cannot be known.
pub fn fragment(host: &Host) -> Result<State> {
    let path = host.path(FRAGMENT);
    Ok(match files::metadata(&path)? {
        None => State::Absent,
        Some(_) if is_ours(&path) => State::Same,
        Some(_) => State::Differs("not ours"),
    })
}

/// Whether a fragment is one of ours.
pub fn is_ours(path: &Path) -> bool {
    std::fs::read_to_string(path).is_ok_and(|text| text.starts_with(MARKER))
}

/// Writes the fragment of a server without children; `serve` puts in what is linked.
///
/// # Errors
/// When the disk refuses.
pub fn write_fragment(host: &Host) -> Result<()> {
    files::write(&host.path(FRAGMENT), &Content::Text(fields([])), 0o644, Some((0, 0)))
}
