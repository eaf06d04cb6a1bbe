//! Taking the product off the machine: the manifest backwards, each entry undone and then forgotten, on disk, before the next.

use super::files::{self, Before};
use super::host::Host;
use super::layout::{LOG, MANIFEST, SAVED_DIR, STATE_DIR, UNIT_DIR};
use super::manifest::{Change, Entry, Manifest};
use super::plan::Supervision;
use super::{hooked, page, redirect, services, user};
use crate::authority::{OWN_TOKEN, WHMAPI1};
use crate::error::{Context as _, Result};
use crate::rules::extension::FRAGMENT;
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
        Change::Fragment { before } => {
            let here = host.path(FRAGMENT);
            if !page::is_ours(&here) {
                let there = files::metadata(&here)?.is_some();
                return Ok(there.then(|| format!("{FRAGMENT}: not ours any more, so it stays")));
            }
            say(format!("{}   {FRAGMENT}", if *before == Before::Absent { "removed " } else { "restored" }));
            files::restore(host, FRAGMENT, before).map(|()| None)
        }
        Change::Page => {
            say("removed    page in WHM".to_owned());
            page::unregister(host).map(|()| None)
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
            files::remove(&host.path(LOG))?;
            revoke_own_token(host)
        }
    }
}

/// Ends the token with which serve called its own cPanel: it has root's rights and nobody needs it any more.
fn revoke_own_token(host: &Host) -> Result<Option<String>> {
    let program = host.path(WHMAPI1);
    let program = program.to_string_lossy();
    let token = format!("token_name={OWN_TOKEN}");
    // Fails when serve never made one; what counts is what is listed afterwards.
    host.tools.run(&program, &["--output=json", "api_token_revoke", &token])?;
    let listed = host.tools.run(&program, &["--output=json", "api_token_list"])?;
    let gone = serde_json::from_str::<serde_json::Value>(&listed.out)
        .is_ok_and(|envelope| envelope["data"]["tokens"].as_object().is_some_and(|tokens| !tokens.contains_key(OWN_TOKEN)));
    Ok((!gone).then(|| format!("API token “{OWN_TOKEN}” of root: could not be revoked; do it in WHM » Manage API Tokens")))
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
    say(format!("{}   {path}", if *before == Before::Absent { "removed " } else { "restored" }));
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

#[cfg(test)]
mod tests {
    use super::super::apply::apply;
    use super::super::host::{Said, Tools};
    use super::super::layout::{COMMAND, PROGRAM, REDIRECT};
    use super::super::plan::{Content, Item};
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::PathBuf;

    /// A machine whose tools do nothing; users and hooks are tried in real nodes.
    struct NoTools;

    impl Tools for NoTools {
        fn run(&self, _: &str, _: &[&str]) -> Result<Said> {
            Ok(Said { good: true, ..Said::default() })
        }
    }

    fn machine(root: &Path) -> Host<'static> {
        Host { root: root.to_owned(), tools: &NoTools }
    }

    fn items(text: &str) -> Vec<Item> {
        vec![
            Item::Directory { path: STATE_DIR, mode: 0o700, ours: true },
            Item::File { path: PROGRAM.into(), content: Content::Text(text.into()), mode: 0o755 },
            Item::Link { path: COMMAND, target: PROGRAM },
            Item::File { path: REDIRECT.into(), content: Content::Text("table\n".into()), mode: 0o600 },
        ]
    }

    /// Everything below a directory: path, mode, and what is there.
    fn tree(root: &Path) -> Vec<(PathBuf, u32, String)> {
        let mut found = Vec::new();
        let mut rooms = vec![root.to_owned()];
        while let Some(room) = rooms.pop() {
            for entry in fs::read_dir(&room).unwrap() {
                let path = entry.unwrap().path();
                let mode = path.symlink_metadata().unwrap().permissions().mode();
                if path.is_dir() && !path.is_symlink() {
                    rooms.push(path.clone());
                }
                found.push((path.clone(), mode, files::mark(&path).unwrap()));
            }
        }
        found.sort();
        found
    }

    fn install(host: &Host, text: &str) -> usize {
        // What a node would register or start is not part of this plan, so nothing asks the tools.
        apply(host, &items(text), &mut |_| ()).unwrap()
    }

    #[test]
    fn there_and_back_to_the_byte() {
        let room = tempfile::tempdir().unwrap();
        let host = machine(room.path());
        // A command of that name, with permissions of its own, was here before.
        fs::create_dir_all(room.path().join("usr/local/bin")).unwrap();
        fs::create_dir_all(room.path().join("var/cpanel")).unwrap();
        let command = room.path().join("usr/local/bin/linked-nodes");
        fs::write(&command, "a person's script").unwrap();
        fs::set_permissions(&command, fs::Permissions::from_mode(0o741)).unwrap();
        let before = tree(room.path());

        assert_eq!(install(&host, "one"), 4);
        assert_eq!(install(&host, "one"), 0, "a second install changes nothing");
        assert_eq!(install(&host, "two"), 1, "an upgrade replaces what differs");
        assert!(command.is_symlink());

        assert_eq!(walk_back(&host, false, &mut |_| ()).unwrap(), Vec::<String>::new());
        assert_eq!(tree(room.path()), before);
    }

    #[test]
    fn what_a_person_changed_since_stays() {
        let room = tempfile::tempdir().unwrap();
        let host = machine(room.path());
        install(&host, "one");
        let program = host.path(PROGRAM);
        fs::write(&program, "patched").unwrap();
        let left = walk_back(&host, true, &mut |_| ()).unwrap();
        assert!(left.iter().any(|line| line.starts_with(PROGRAM)), "{left:?}");
        assert_eq!(fs::read_to_string(&program).unwrap(), "patched");
        assert!(!host.has(COMMAND) && !host.has(MANIFEST) && host.has(STATE_DIR));
    }

    #[test]
    fn an_interrupted_installation_is_continued_and_can_be_taken_back() {
        let room = tempfile::tempdir().unwrap();
        let host = machine(room.path());
        fs::create_dir_all(room.path().join("usr/local/bin")).unwrap();
        fs::create_dir_all(room.path().join("var/cpanel")).unwrap();
        let before = tree(room.path());
        // Recorded, then the power went: the file is not there yet.
        let mut manifest = Manifest::load(&host).unwrap();
        manifest.note_path(&host, STATE_DIR, "directory".into(), true).unwrap();
        manifest.note_path(&host, COMMAND, format!("link {PROGRAM}"), false).unwrap();
        let half = tree(room.path());
        assert_ne!(half, before);
        assert!(install(&host, "one") >= 3);
        walk_back(&host, false, &mut |_| ()).unwrap();
        assert_eq!(tree(room.path()), before);
    }
}
