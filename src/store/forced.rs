//! What the parent keeps for the day a child does not come back: the mirror of each distributed account's mail settings, what was
//! forced, and what a child must be told when it does come back.

use super::{Store, json, to_json};
use crate::error::{Code, Error, Result};
use crate::wire::{LogLine, LossView, MailboxLoss};
use rusqlite::{OptionalExtension as _, Row, params};
use std::collections::BTreeMap;

/// How the mirror of an account is. The settings themselves are on the parent, as cPanel keeps them; messages are never mirrored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mirror {
    /// The child it mirrors.
    pub alias: String,
    /// Stamp of the child's settings when both were equal.
    pub child_stamp: String,
    /// Stamp of the parent's settings then.
    pub own_stamp: String,
    /// Unix time, seconds, at which both were last known to be equal; `None` before the first time.
    pub equal_at: Option<i64>,
    /// Unix time, seconds, at which the messages on the child were last counted.
    pub seen_at: Option<i64>,
    /// What the mailboxes held then.
    pub mailboxes: Vec<MailboxLoss>,
    /// What is mirrored, a line each.
    pub kept: Vec<String>,
    /// Why the last try failed.
    pub trouble: Option<String>,
}

/// An account that was, or is being, dedistributed by force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forcing {
    /// cPanel user.
    pub user: String,
    /// The child that was given up.
    pub alias: String,
    /// The account's domains.
    pub domains: Vec<String>,
    /// Unix time, milliseconds.
    pub at_ms: i64,
    /// What was lost, as known then.
    pub loss: LossView,
    /// What was done.
    pub log: Vec<LogLine>,
    /// Whether everything is done.
    pub done: bool,
}

fn mirror(row: &Row<'_>) -> rusqlite::Result<Mirror> {
    Ok(Mirror {
        alias: row.get("alias")?,
        child_stamp: row.get("child_stamp")?,
        own_stamp: row.get("own_stamp")?,
        equal_at: row.get("equal_at")?,
        seen_at: row.get("seen_at")?,
        mailboxes: json(row, "mailboxes")?,
        kept: json(row, "kept")?,
        trouble: row.get("trouble")?,
    })
}

fn forcing(row: &Row<'_>) -> rusqlite::Result<Forcing> {
    Ok(Forcing {
        user: row.get("user")?,
        alias: row.get("alias")?,
        domains: json(row, "domains")?,
        at_ms: row.get("at_ms")?,
        loss: json(row, "loss")?,
        log: json(row, "log")?,
        done: row.get("done")?,
    })
}

impl Store {
    /// The mirror of an account on the child that serves it now; `None` before there is one.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn mirror(&self, user: &str) -> Result<Option<Mirror>> {
        self.read("reading a mirror", |c| {
            c.query_row("SELECT mirrors.* FROM mirrors JOIN accounts USING (user, alias) WHERE user = ?1", [user], mirror)
                .optional()
        })
    }

    /// The mirrors of the accounts that a child serves now, by user.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn mirrors_of(&self, alias: &str) -> Result<BTreeMap<String, Mirror>> {
        self.read("reading the mirrors", |c| {
            c.prepare_cached("SELECT mirrors.* FROM mirrors JOIN accounts USING (user, alias) WHERE alias = ?1")?
                .query_map([alias], |row| Ok((row.get("user")?, mirror(row)?)))?
                .collect()
        })
    }

    /// Records how the mirror of an account is, if its child still serves it.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn set_mirror(&self, user: &str, mirror: &Mirror) -> Result<()> {
        self.write("recording a mirror", false, |c| {
            c.execute(
                "INSERT OR REPLACE INTO mirrors (user, alias, child_stamp, own_stamp, equal_at, seen_at, mailboxes, kept, trouble)
                 SELECT user, alias, ?3, ?4, ?5, ?6, ?7, ?8, ?9 FROM accounts WHERE user = ?1 AND alias = ?2",
                params![
                    user,
                    mirror.alias,
                    mirror.child_stamp,
                    mirror.own_stamp,
                    mirror.equal_at,
                    mirror.seen_at,
                    to_json(&mirror.mailboxes)?,
                    to_json(&mirror.kept)?,
                    mirror.trouble
                ],
            )
            .map(drop)
        })
    }

    /// Records that these accounts' mirrors are equal still. Mirrors of accounts that are no longer distributed go.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn mirrors_equal(&self, users: &[String], now: i64) -> Result<()> {
        self.write("recording that mirrors are equal", false, |c| {
            let mut update = c.prepare_cached("UPDATE mirrors SET equal_at = ?2, trouble = NULL WHERE user = ?1")?;
            for user in users {
                update.execute(params![user, now])?;
            }
            c.execute("DELETE FROM mirrors WHERE (user, alias) NOT IN (SELECT user, alias FROM accounts)", []).map(drop)
        })
    }

    /// Gives an account's child up: from here on the parent is the authority. What there is to be done about it is recorded with it.
    ///
    /// # Errors
    /// [`Code::Conflict`] when the child does not serve the account; then nothing has changed.
    pub fn give_up_child(&self, user: &str, alias: &str, loss: &LossView, now_ms: i64) -> Result<Forcing> {
        let given_up = self.write("giving a child up", true, |c| {
            let domains: Option<String> = c
                .query_row("SELECT domains FROM accounts WHERE user = ?1 AND alias = ?2", [user, alias], |row| row.get(0))
                .optional()?;
            let Some(domains) = domains else { return Ok(false) };
            c.execute("DELETE FROM accounts WHERE user = ?1", [user])?;
            c.execute("DELETE FROM mirrors WHERE user = ?1", [user])?;
            // What was to be followed there is of no use any more, but for its name, by which it is known again.
            c.execute("DELETE FROM followups WHERE user = ?1 AND alias = ?2 AND what NOT IN ('name', 'removal')", [user, alias])?;
            c.execute("INSERT OR IGNORE INTO retained VALUES (?1, ?2)", [user, alias])?;
            c.execute("INSERT OR REPLACE INTO given_up VALUES (?1, ?2, ?3)", params![user, alias, domains])?;
            c.execute(
                "INSERT INTO forced (user, alias, domains, at_ms, loss, log, done) VALUES (?1, ?2, ?3, ?4, ?5, '[]', 0)",
                params![user, alias, domains, now_ms, to_json(loss)?],
            )?;
            Ok(true)
        })?;
        let forcing = if given_up { self.forced(user)?.into_iter().next() } else { None };
        forcing.ok_or_else(|| {
            Error::new(Code::Conflict, format!("The account “{user}” is not distributed to “{alias}”."))
                .hint("See “linked-nodes account list”.")
        })
    }

    /// What was forced of an account, the last first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn forced(&self, user: &str) -> Result<Vec<Forcing>> {
        self.read("reading what was forced", |c| {
            c.prepare_cached("SELECT * FROM forced WHERE user = ?1 ORDER BY at_ms DESC, rowid DESC")?
                .query_map([user], forcing)?
                .collect()
        })
    }

    /// What was begun to be forced and is not done.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn open_forcings(&self) -> Result<Vec<Forcing>> {
        self.read("reading what is being forced", |c| {
            c.prepare_cached("SELECT * FROM forced WHERE done = 0 ORDER BY at_ms")?.query_map([], forcing)?.collect()
        })
    }

    /// Records what was done of a forcing, and whether that was all.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn record_forcing(&self, forcing: &Forcing) -> Result<()> {
        self.write("recording what was forced", false, |c| {
            c.execute(
                "UPDATE forced SET log = ?4, done = ?5 WHERE user = ?1 AND alias = ?2 AND at_ms = ?3",
                params![forcing.user, forcing.alias, forcing.at_ms, to_json(&forcing.log)?, forcing.done],
            )
            .map(drop)
        })
    }

    /// Accounts that were given up and whose child has not been told: alias, user, domains.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn given_up(&self) -> Result<Vec<(String, String, Vec<String>)>> {
        self.read("reading what was given up", |c| {
            c.prepare_cached("SELECT alias, user, domains FROM given_up ORDER BY alias, user")?
                .query_map([], |row| Ok((row.get("alias")?, row.get("user")?, json(row, "domains")?)))?
                .collect()
        })
    }

    /// The child knows that the account was given up.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn child_was_told(&self, user: &str, alias: &str) -> Result<()> {
        self.write("recording that a child was told", false, |c| {
            c.execute("DELETE FROM given_up WHERE user = ?1 AND alias = ?2", [user, alias]).map(drop)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{MoveState, NewMove, Node};

    fn store_with_account(dir: &std::path::Path) -> Store {
        let store = Store::open(dir).unwrap();
        store
            .add_node(&Node {
                alias: "m".into(),
                hostname: "m.test".into(),
                username: "root".into(),
                version: "11.138.0.1".into(),
                profile: "MAILNODE".into(),
                ..Node::default()
            })
            .unwrap();
        let new = NewMove {
            user: "ada".into(),
            origin: ".local".into(),
            target: "m".into(),
            outputs: serde_json::Value::Null,
            messages: 0,
            bytes: 0,
        };
        let id = store.add_move(&new, 1).unwrap();
        let mut moving = store.get_move(id).unwrap();
        store.switch(&moving, &["ada.test".to_owned()], 2).unwrap();
        moving.state = MoveState::Done;
        store.record(&moving, "done", 3).unwrap();
        store
    }

    #[test]
    fn giving_up_is_one_transaction_and_happens_once() {
        let temp = tempfile::tempdir().unwrap();
        let store = store_with_account(temp.path());
        let mirror = Mirror { alias: "m".into(), equal_at: Some(5), ..Mirror::default() };
        store.set_mirror("ada", &mirror).unwrap();
        store.set_mirror("bob", &mirror).unwrap();
        assert_eq!(store.mirror("ada").unwrap(), Some(mirror));
        assert_eq!(store.mirror("bob").unwrap(), None, "no mirror of what is not distributed");
        let loss = LossView { user: "ada".into(), as_of: Some(5), ..LossView::default() };
        let before = *store.watch_routing().borrow();
        let mut forcing = store.give_up_child("ada", "m", &loss, 7).unwrap();
        assert!(*store.watch_routing().borrow() > before, "the shim is told");
        assert_eq!((forcing.domains.clone(), forcing.loss.clone()), (vec!["ada.test".to_owned()], loss.clone()));
        assert_eq!(store.child_of("ada").unwrap(), None);
        assert_eq!(store.retained("ada").unwrap(), ["m"]);
        assert_eq!(store.given_up().unwrap(), [("m".to_owned(), "ada".to_owned(), vec!["ada.test".to_owned()])]);
        assert_eq!(store.give_up_child("ada", "m", &loss, 8).unwrap_err().code, Code::Conflict);
        assert_eq!(store.open_forcings().unwrap().len(), 1);
        forcing.done = true;
        store.record_forcing(&forcing).unwrap();
        assert!(store.open_forcings().unwrap().is_empty() && store.forced("ada").unwrap()[0].done);
        store.child_was_told("ada", "m").unwrap();
        assert!(store.given_up().unwrap().is_empty());
    }
}
