//! The shim's system user and group.

use super::host::Host;
use super::layout::{LIB_DIR, USER};
use crate::error::{Code, Context as _, Error, Result};

/// Ids of the shim's user and group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ids {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// Whether user and group exist.
///
/// # Errors
/// When the machine's user database cannot be read.
pub fn exists(host: &Host) -> Result<(bool, bool)> {
    Ok((line(host, "/etc/passwd")?.is_some(), line(host, "/etc/group")?.is_some()))
}

/// The ids of user and group.
///
/// # Errors
/// When they do not exist, or the user is root.
pub fn ids(host: &Host) -> Result<Ids> {
    let passwd = line(host, "/etc/passwd")?.ok_or_else(|| {
        Error::new(Code::NotFound, format!("The user {USER} does not exist.")).hint("Run “linked-nodes install”.")
    })?;
    let field = |index: usize| passwd.split(':').nth(index).and_then(|id| id.parse::<u32>().ok());
    match (field(2), field(3)) {
        (Some(uid), Some(gid)) if uid != 0 => Ok(Ids { uid, gid }),
        _ => Err(Error::new(Code::Refused, format!("The user {USER} in /etc/passwd is not an ordinary system user.")).hint(
            "The shim reads what the internet sends and must not be root: remove that user and run “linked-nodes install”.",
        )),
    }
}

/// Creates what is missing of user and group.
///
/// # Errors
/// When the machine's tools refuse.
pub fn create(host: &Host) -> Result<()> {
    let (user, group) = exists(host)?;
    if !group {
        host.must("groupadd", &["--system", USER])?;
    }
    if !user {
        let shell = if host.has("/usr/sbin/nologin") { "/usr/sbin/nologin" } else { "/sbin/nologin" };
        host.must(
            "useradd",
            &[
                "--system",
                "--gid",
                USER,
                "--no-create-home",
                "--home-dir",
                LIB_DIR,
                "--shell",
                shell,
                "--comment",
                "Linked Nodes shim",
                USER,
            ],
        )?;
    }
    ids(host).map(drop)
}

/// Deletes user and group where they were created here and still exist.
///
/// # Errors
/// When the machine's tools refuse.
pub fn delete(host: &Host, created_user: bool, created_group: bool) -> Result<()> {
    if created_user && exists(host)?.0 {
        host.must("userdel", &[USER])?;
    }
    // userdel may have taken the group with it.
    if created_group && exists(host)?.1 {
        host.must("groupdel", &[USER])?;
    }
    Ok(())
}

fn line(host: &Host, file: &str) -> Result<Option<String>> {
    let text = std::fs::read_to_string(host.path(file)).context(format!("reading {file}"))?;
    Ok(text.lines().find(|line| line.split(':').next() == Some(USER)).map(str::to_owned))
}
