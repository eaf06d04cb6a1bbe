//! What the authority remembers: one SQLite file, `/var/cpanel/linked-nodes/state.db`, readable by root alone.
//!
//! Every change is one transaction and is on disk when the call returns (`synchronous=FULL`). The database never holds a token.
//! Children have the same file and use other tables of it.

mod follow;
mod forced;
mod moves;
mod nodes;
mod pages;

use crate::error::{Context as _, Result};
use crate::wire::{Role, Routing};
use rusqlite::Connection;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

pub use follow::{Followup, Intent, What};
pub use forced::{Forcing, Mirror};
pub use moves::{Move, MoveState, NewMove, Published};
pub use nodes::{Node, Parent, Seen, Served, ServedState};

/// Where state lives.
pub const STATE_DIR: &str = "/var/cpanel/linked-nodes";

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS nodes (
    alias TEXT PRIMARY KEY, hostname TEXT NOT NULL UNIQUE, username TEXT NOT NULL, pin TEXT,
    version TEXT NOT NULL, profile TEXT NOT NULL, services TEXT NOT NULL, last_check INTEGER NOT NULL,
    trouble TEXT, disk_free INTEGER) STRICT;
CREATE TABLE IF NOT EXISTS accounts (
    user TEXT PRIMARY KEY, alias TEXT NOT NULL REFERENCES nodes(alias), domains TEXT NOT NULL, since INTEGER NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS accounts_by_alias ON accounts (alias);
CREATE TABLE IF NOT EXISTS parent (
    one INTEGER PRIMARY KEY CHECK (one = 1), hostname TEXT NOT NULL, id TEXT NOT NULL, token_digest TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS parent_former (
    one INTEGER PRIMARY KEY REFERENCES parent(one) ON DELETE CASCADE, token_digest TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS seen (alias TEXT PRIMARY KEY REFERENCES nodes(alias) ON DELETE CASCADE, document TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS volumes (
    user TEXT PRIMARY KEY REFERENCES served(user) ON DELETE CASCADE, bytes INTEGER NOT NULL, at INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS served (user TEXT PRIMARY KEY, domains TEXT NOT NULL, state TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS retained (user TEXT NOT NULL, alias TEXT NOT NULL, PRIMARY KEY (user, alias)) STRICT;
CREATE TABLE IF NOT EXISTS published (
    user TEXT NOT NULL, zone TEXT NOT NULL, changes TEXT NOT NULL, former TEXT NOT NULL, PRIMARY KEY (user, zone)) STRICT;
CREATE TABLE IF NOT EXISTS mirrors (
    user TEXT PRIMARY KEY, alias TEXT NOT NULL, child_stamp TEXT NOT NULL, own_stamp TEXT NOT NULL, equal_at INTEGER,
    seen_at INTEGER, mailboxes TEXT NOT NULL, kept TEXT NOT NULL, trouble TEXT) STRICT;
CREATE TABLE IF NOT EXISTS forced (
    user TEXT NOT NULL, alias TEXT NOT NULL, domains TEXT NOT NULL, at_ms INTEGER NOT NULL, loss TEXT NOT NULL, log TEXT NOT NULL,
    done INTEGER NOT NULL, PRIMARY KEY (user, alias, at_ms)) STRICT;
CREATE TABLE IF NOT EXISTS given_up (
    user TEXT NOT NULL, alias TEXT NOT NULL, domains TEXT NOT NULL, PRIMARY KEY (user, alias)) STRICT;
CREATE TABLE IF NOT EXISTS followups (
    user TEXT NOT NULL, alias TEXT NOT NULL, what TEXT NOT NULL, since INTEGER NOT NULL, serial INTEGER NOT NULL,
    details TEXT NOT NULL, trouble TEXT, PRIMARY KEY (user, alias, what)) STRICT;
CREATE TABLE IF NOT EXISTS intents (user TEXT PRIMARY KEY, uid INTEGER NOT NULL, becomes TEXT) STRICT;
CREATE TABLE IF NOT EXISTS marks (user TEXT PRIMARY KEY, mark TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS gates (holder TEXT NOT NULL, peer TEXT NOT NULL, PRIMARY KEY (holder, peer)) STRICT;
CREATE TABLE IF NOT EXISTS moves (
    id INTEGER PRIMARY KEY AUTOINCREMENT, user TEXT NOT NULL, origin TEXT NOT NULL, target TEXT NOT NULL,
    state TEXT NOT NULL, step TEXT NOT NULL, reason TEXT, cancel INTEGER NOT NULL DEFAULT 0, outputs TEXT NOT NULL,
    messages INTEGER NOT NULL DEFAULT 0, bytes INTEGER NOT NULL DEFAULT 0,
    messages_planned INTEGER NOT NULL, bytes_planned INTEGER NOT NULL,
    verified INTEGER, pause_ms INTEGER, started_ms INTEGER NOT NULL, ended_ms INTEGER) STRICT;
CREATE UNIQUE INDEX IF NOT EXISTS one_move_per_account ON moves (user) WHERE ended_ms IS NULL;
CREATE TABLE IF NOT EXISTS move_log (
    move_id INTEGER NOT NULL REFERENCES moves(id), at_ms INTEGER NOT NULL, event TEXT NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS move_log_by_move ON move_log (move_id);
";

/// The store. Cheap to clone; calls are short and serialised.
#[derive(Clone)]
pub struct Store {
    connection: Arc<Mutex<Connection>>,
    changed: watch::Sender<u64>,
    noted: watch::Sender<u64>,
    /// Held while the gates are read and put in force, so that an older reading never comes last.
    pub(crate) gates: Arc<tokio::sync::Mutex<()>>,
}

impl Store {
    /// Opens or creates the store in `dir`.
    ///
    /// # Errors
    /// When the file cannot be opened, is not ours, or is damaged.
    pub fn open(dir: &Path) -> Result<Self> {
        std::fs::create_dir_all(dir).context(format!("creating {}", dir.display()))?;
        let file = dir.join("state.db");
        let connection = Connection::open(&file).context(format!("opening {}", file.display()))?;
        let set_up = || -> rusqlite::Result<()> {
            connection.pragma_update(None, "journal_mode", "WAL")?;
            connection.pragma_update(None, "synchronous", "FULL")?;
            connection.pragma_update(None, "foreign_keys", "ON")?;
            connection.busy_timeout(std::time::Duration::from_secs(10))?;
            connection.execute_batch(SCHEMA)?;
            connection.execute(
                "INSERT OR IGNORE INTO meta VALUES ('node_id', lower(hex(randomblob(16)))), ('routing_version', '1')",
                [],
            )?;
            Ok(())
        };
        set_up().context(format!("preparing {}", file.display()))?;
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).context("closing the state file to others")?;
        let store = Self {
            connection: Arc::new(Mutex::new(connection)),
            changed: watch::Sender::new(1),
            noted: watch::Sender::new(0),
            gates: Arc::default(),
        };
        store.changed.send_replace(store.routing_version()?);
        Ok(store)
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        // A panic while the lock was held left no half transaction: rusqlite rolls back on drop.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `work` in one transaction; when `routing` says so, tells those who watch the routing.
    fn write<T>(&self, what: &str, routing: bool, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T> {
        let mut connection = self.lock();
        let mut version = None;
        let run = || -> rusqlite::Result<T> {
            let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
            let result = work(&transaction)?;
            if routing {
                transaction.execute("UPDATE meta SET value = CAST(value AS INTEGER) + 1 WHERE key = 'routing_version'", [])?;
                version = Some(read_version(&transaction)?);
            }
            transaction.commit()?;
            Ok(result)
        };
        let result = run().context(what)?;
        drop(connection);
        if let Some(version) = version {
            self.changed.send_replace(version);
        }
        Ok(result)
    }

    fn read<T>(&self, what: &str, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T> {
        work(&self.lock()).context(what)
    }

    fn routing_version(&self) -> Result<u64> {
        self.read("reading the routing version", read_version)
    }

    /// This installation's identity, made at its first start.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn node_id(&self) -> Result<String> {
        self.read("reading this node's identity", |c| {
            c.query_row("SELECT value FROM meta WHERE key = 'node_id'", [], |row| row.get(0))
        })
    }

    /// Tells of every change of the routing.
    pub fn watch_routing(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// The role this server has now.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn role(&self) -> Result<Role> {
        if let Some(parent) = self.parent()? {
            return Ok(Role::Child {
                parent: parent.hostname,
                token_digest: parent.token_digest,
                former_digest: parent.former_digest,
            });
        }
        Ok(if self.nodes()?.is_empty() { Role::Unlinked } else { Role::Parent })
    }

    /// The snapshot the shim decides by.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn routing(&self, hostname: &str) -> Result<Routing> {
        let version = self.routing_version()?;
        let role = self.role()?;
        Ok(Routing {
            version,
            role,
            hostname: hostname.to_owned(),
            distributed: self.distributed()?,
            served: self
                .served_accounts()?
                .into_iter()
                .filter(|served| served.state != ServedState::Retained)
                .map(|served| (served.user, served.domains))
                .collect(),
            held: self.held()?,
        })
    }
}

fn read_version(connection: &Connection) -> rusqlite::Result<u64> {
    connection
        .query_row("SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'routing_version'", [], |row| row.get::<_, i64>(0))
        .map(i64::unsigned_abs)
}

/// A JSON column.
fn json<T: serde::de::DeserializeOwned>(row: &rusqlite::Row<'_>, column: &str) -> rusqlite::Result<T> {
    let text: String = row.get(column)?;
    serde_json::from_str(&text)
        .map_err(|cause| rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, Box::new(cause)))
}

/// A value for a JSON column.
fn to_json(value: &impl serde::Serialize) -> rusqlite::Result<String> {
    serde_json::to_string(value).map_err(|cause| rusqlite::Error::ToSqlConversionFailure(Box::new(cause)))
}
