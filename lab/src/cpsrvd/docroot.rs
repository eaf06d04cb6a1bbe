//! WHM's document root: programs that registered applications permit, and plain files.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use hyper::StatusCode;
use hyper::header::{CACHE_CONTROL, HeaderValue};

use super::cgi::{self, Program, Visit};
use super::reply::{Answer, reply};
use super::route::Asked;
use crate::appconfig::{self, Application};
use crate::call::Caller;
use crate::machine::Machine;

/// Where WHM's files and programs are (AppConfig's `url` is relative to it).
pub const ROOT: &str = "/usr/local/cpanel/whostmgr/docroot";
/// cPanel's error log, which gets what programs write to standard error.
const ERROR_LOG: &str = "/usr/local/cpanel/logs/error_log";
/// The largest plain file served, bytes.
const LARGEST: u64 = 16 << 20;

/// Endings of plain files, and their types. Nothing else is served.
const TYPES: &[(&str, &str)] = &[
    ("css", "text/css; charset=utf-8"),
    ("gif", "image/gif"),
    ("ico", "image/x-icon"),
    ("jpg", "image/jpeg"),
    ("js", "text/javascript; charset=utf-8"),
    ("png", "image/png"),
    ("svg", "image/svg+xml"),
    ("webp", "image/webp"),
    ("woff2", "font/woff2"),
];

/// What is at a path below `/cgi/`.
#[derive(Debug)]
pub enum Found {
    /// Nothing, or nothing for this caller to know of.
    Nothing,
    /// Something no registered application of this caller's permits.
    Forbidden,
    /// A plain file.
    File(Answer),
    /// A program to run.
    Program(Box<Program>),
}

/// Whether `caller` holds one of the rights that an application asks for.
pub fn allows(application: &Application, caller: &Caller) -> bool {
    application.acls().into_iter().any(|acl| acl == "any" || caller.may(acl))
}

/// Whether a path is one that an application may be called by.
fn covers(application: &Application, path: &str) -> bool {
    application
        .urls()
        .any(|url| path.strip_prefix(url).is_some_and(|rest| rest.is_empty() || url.ends_with('/') || rest.starts_with('/')))
}

/// What WHM serves at `path`, which begins with `/cgi/`, to a signed-in caller.
///
/// # Errors
/// When the applications or the file cannot be read.
pub fn find(machine: &Machine, asked: &Asked, caller: &Caller, security_token: &str, path: &str) -> io::Result<Found> {
    let applications = appconfig::all(machine)?;
    let mut covering = applications.iter().filter(|one| one.service() == "whostmgr" && covers(one, path)).peekable();
    // Unregistered programs are not run (Tweak Settings, `permit_unregistered_apps_as_root`, off as it is by default).
    if covering.peek().is_none() {
        return Ok(Found::Forbidden);
    }
    let Some(application) = covering.find(|one| allows(one, caller)) else { return Ok(Found::Forbidden) };
    let file = machine.path(&format!("{ROOT}{path}"));
    let Some(found) = std::fs::metadata(&file).ok().filter(std::fs::Metadata::is_file) else { return Ok(Found::Nothing) };
    if found.permissions().mode() & 0o111 == 0 {
        return Ok(plain(machine, path).map_or(Found::Nothing, Found::File));
    }
    let user = match application.user() {
        "root" => None,
        "$authuser" if caller.user == "root" => None,
        name => {
            let name = if name == "$authuser" { caller.user.as_str() } else { name };
            Some(machine.system_user(name).ok_or_else(|| io::Error::other(format!("{}: no user “{name}”", application.name())))?)
        }
    };
    let environment = cgi::environment(&Visit {
        parts: &asked.parts,
        length: asked.body.len(),
        peer: super::auth::client_address(&asked.parts.headers, asked.peer),
        server: (machine.address(), &machine.hostname(), asked.service.port()),
        script: path,
        root: ROOT,
        user: &caller.user,
        security_token,
    });
    Ok(Found::Program(Box::new(Program {
        file,
        user,
        environment,
        body: asked.body.clone(),
        error_log: machine.path(ERROR_LOG),
    })))
}

/// A plain file of the document root, by its path; `None` when there is none that is served.
pub fn plain(machine: &Machine, path: &str) -> Option<Answer> {
    let ending = path.rsplit_once('.').map(|(_, ending)| ending)?;
    let (_, kind) = TYPES.iter().find(|(known, _)| known.eq_ignore_ascii_case(ending))?;
    let file: PathBuf = machine.path(&format!("{ROOT}{path}"));
    let found = std::fs::metadata(&file).ok()?;
    if !found.is_file() || found.len() > LARGEST {
        return None;
    }
    let mut answer = reply(StatusCode::OK, kind, std::fs::read(&file).ok()?);
    // A plugin's files change with the plugin: browsers ask again.
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    Some(answer)
}

#[cfg(test)]
mod tests;
