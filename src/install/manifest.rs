//! The record of what was changed on this machine, and of what was there before. It is on disk before the change is made, so that
//! whatever happens in between, an uninstallation knows both.

use super::files::{self, Before};
use super::host::Host;
use super::layout::{MANIFEST, STATE_DIR};
use super::plan::{Content, Item};
use crate::error::{Code, Context as _, Error, Result};
use serde::{Deserialize, Serialize};
use std::io::ErrorKind;

/// The form of the record; grows when an older program could not read it any more.
const FORMAT: u32 = 1;

/// The record, in the order of the changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The form.
    format: u32,
    /// The product's version that wrote it.
    pub version: String,
    /// Something that runs was replaced and has not been started again yet.
    #[serde(default)]
    pub restart_due: bool,
    /// The changes.
    pub entries: Vec<Entry>,
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// [`Item::key`], or the path of a directory made on the way.
    pub key: String,
    /// What was changed.
    pub change: Change,
}

/// What was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Change {
    /// A file, link or directory.
    Path {
        /// Absolute path.
        path: String,
        /// What was there.
        before: Before,
        /// [`files::mark`]s of what the product put there, newest last. Anything else there is a person's.
        marks: Vec<String>,
        /// A directory in which everything is the product's.
        #[serde(default)]
        whole: bool,
    },
    /// The shim's user and group.
    User {
        /// Whether the user was not there.
        created_user: bool,
        /// Whether the group was not there.
        created_group: bool,
    },
    /// Our fields in WHM's forms, which `serve` writes.
    Fragment {
        /// What was there.
        before: Before,
    },
    /// Registration of the page with AppConfig.
    Page,
    /// Registration of the standard hooks.
    Hooks,
    /// Running services.
    Services {
        /// Whether systemd has them.
        systemd: bool,
    },
}

impl Manifest {
    /// The record of this machine; an empty one when nothing is installed.
    ///
    /// # Errors
    /// When it cannot be read or is of a newer form.
    pub fn load(host: &Host) -> Result<Self> {
        let text = match std::fs::read_to_string(host.path(MANIFEST)) {
            Ok(text) => text,
            Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(Self::empty()),
            Err(cause) => return Err(cause).context(format!("reading {MANIFEST}")),
        };
        let manifest: Self = serde_json::from_str(&text).context(format!("reading {MANIFEST}"))?;
        if manifest.format > FORMAT {
            return Err(Error::new(
                Code::Unsupported,
                format!("{MANIFEST} was written by version {}, newer than this program.", manifest.version),
            )
            .hint("Use that version or a newer one."));
        }
        Ok(manifest)
    }

    fn empty() -> Self {
        Self { format: FORMAT, version: env!("CARGO_PKG_VERSION").to_owned(), restart_due: false, entries: Vec::new() }
    }

    /// Whether nothing is recorded.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The entry of this key.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    /// Puts the record on disk, whole or not at all.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn save(&self, host: &Host) -> Result<()> {
        let directory = host.path(STATE_DIR);
        if files::metadata(&directory)?.is_none() {
            if let Some(parent) = directory.parent() {
                std::fs::create_dir_all(parent).context(format!("making {}", parent.display()))?;
            }
            files::make_directory(&directory, 0o700)?;
        }
        let text = serde_json::to_string_pretty(self).context("writing the manifest")? + "\n";
        files::write(&host.path(MANIFEST), &Content::Text(text), 0o600, None)
    }

    /// Records, on disk, that `path` is about to become what `mark` says. What was there before is recorded once, the first time.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn note_path(&mut self, host: &Host, path: &str, mark: String, whole: bool) -> Result<()> {
        match self.entries.iter_mut().find(|entry| entry.key == path) {
            Some(Entry { change: Change::Path { marks, .. }, .. }) => {
                if !marks.contains(&mark) {
                    marks.push(mark);
                }
            }
            _ => {
                let before = files::record(host, path)?;
                let change = Change::Path { path: path.to_owned(), before, marks: vec![mark], whole };
                self.entries.push(Entry { key: path.to_owned(), change });
            }
        }
        self.save(host)
    }

    /// Records, on disk, a change that is not a path. Recorded once.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn note(&mut self, host: &Host, item: &Item, change: Change) -> Result<()> {
        let key = item.key();
        match self.entries.iter_mut().find(|entry| entry.key == key) {
            Some(entry) => {
                // A user that was made here stays made here; services are where they were put last.
                if matches!(change, Change::Services { .. }) {
                    entry.change = change;
                }
            }
            None => self.entries.push(Entry { key, change }),
        }
        self.save(host)
    }

    /// Forgets older marks: after a whole run, what the product put there last is all that can be there.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn settle(&mut self, host: &Host) -> Result<()> {
        let before = self.clone();
        for entry in &mut self.entries {
            if let Change::Path { marks, .. } = &mut entry.change {
                marks.drain(..marks.len().saturating_sub(1));
            }
        }
        self.version = env!("CARGO_PKG_VERSION").to_owned();
        if *self == before { Ok(()) } else { self.save(host) }
    }
}
