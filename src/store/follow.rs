//! What was done to an account on the parent and is still to be followed elsewhere, and what was about to be done to it.

use super::{Store, json, to_json};
use crate::error::Result;
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde_json::Value;
use std::collections::BTreeMap;
use tokio::sync::watch;

/// What is to be followed. The words are what people read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// The account was removed; the child's half goes too. Details: the domains it had, as text, and names that the child may still
    /// know it by, as `{"former": NAME}`.
    Removal,
    /// The account was renamed. Details: names the child may know it by.
    Name,
    /// A domain came or went, or the main one changed.
    Domains,
    /// It was suspended, or no longer is.
    Suspension,
    /// Its password changed.
    Password,
    /// Its package changed: limits, quota.
    Package,
    /// Something else of it changed: contact address, shell.
    Account,
    /// A certificate was installed.
    Certificates,
    /// A mail setting was written on the parent itself. Details: which.
    Settings,
    /// It was made to live on this child and does not yet.
    Placement,
    /// It is gone from the parent, and nobody said that it was being removed.
    Gone,
}

impl What {
    const ALL: [Self; 11] = [
        Self::Removal,
        Self::Name,
        Self::Domains,
        Self::Suspension,
        Self::Password,
        Self::Package,
        Self::Account,
        Self::Certificates,
        Self::Settings,
        Self::Placement,
        Self::Gone,
    ];

    /// As people read it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Removal => "removal",
            Self::Name => "name",
            Self::Domains => "domains",
            Self::Suspension => "suspension",
            Self::Password => "password",
            Self::Package => "package",
            Self::Account => "account settings",
            Self::Certificates => "certificates",
            Self::Settings => "mail settings",
            Self::Placement => "placement",
            Self::Gone => "disappearance",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|what| what.word() == word)
    }
}

/// One thing that is to be followed on one child.
#[derive(Debug, Clone, PartialEq)]
pub struct Followup {
    /// cPanel user, as it is called now.
    pub user: String,
    /// The child's alias.
    pub alias: String,
    /// What.
    pub what: What,
    /// Unix time of the first event, seconds.
    pub since: i64,
    /// Grows with every event, so that what came while the last was followed is not forgotten with it.
    pub serial: i64,
    /// See [`What`].
    pub details: Vec<Value>,
    /// Why the last try failed.
    pub trouble: Option<String>,
}

fn followup(row: &Row<'_>) -> rusqlite::Result<Followup> {
    let what: String = row.get("what")?;
    Ok(Followup {
        user: row.get("user")?,
        alias: row.get("alias")?,
        what: What::parse(&what).ok_or(rusqlite::Error::InvalidQuery)?,
        since: row.get("since")?,
        serial: row.get("serial")?,
        details: json(row, "details")?,
        trouble: row.get("trouble")?,
    })
}

/// What cPanel said it was about to do to an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    /// cPanel user before it.
    pub user: String,
    /// Its number, which a rename keeps.
    pub uid: u32,
    /// Its name after it; `None` when it is to be removed.
    pub becomes: Option<String>,
}

fn note(c: &Connection, user: &str, alias: &str, what: What, details: &[Value], now: i64) -> rusqlite::Result<()> {
    let key = params![user, alias, what.word()];
    let known: Option<Vec<Value>> = c
        .query_row("SELECT details FROM followups WHERE user = ?1 AND alias = ?2 AND what = ?3", key, |row| json(row, "details"))
        .optional()?;
    let mut all = known.unwrap_or_default();
    for detail in details {
        if !all.contains(detail) {
            all.push(detail.clone());
        }
    }
    let serial: i64 = c.query_row("SELECT coalesce(max(serial), 0) + 1 FROM followups", [], |row| row.get(0))?;
    c.execute(
        "INSERT INTO followups VALUES (?1, ?2, ?3, ?4, ?5, ?6, NULL)
         ON CONFLICT (user, alias, what) DO UPDATE SET serial = excluded.serial, details = excluded.details, trouble = NULL",
        params![user, alias, what.word(), now, serial, to_json(&all)?],
    )
    .map(drop)
}

/// The children that have a half of an account: the one that serves its mail, and those that keep it.
fn holders(c: &Connection, user: &str) -> rusqlite::Result<Vec<String>> {
    c.prepare_cached("SELECT alias FROM accounts WHERE user = ?1 UNION SELECT alias FROM retained WHERE user = ?1")?
        .query_map([user], |row| row.get(0))?
        .collect()
}

impl Store {
    /// Tells of every new thing to follow.
    pub fn watch_followups(&self) -> watch::Receiver<u64> {
        self.noted.subscribe()
    }

    /// Notes something to be followed on a child. Durable when this returns.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn note(&self, user: &str, alias: &str, what: What, details: &[Value], now: i64) -> Result<()> {
        self.write("noting what is to be followed", false, |c| note(c, user, alias, what, details, now))?;
        self.noted.send_modify(|n| *n += 1);
        Ok(())
    }

    /// Everything that is still to be followed, the oldest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn followups(&self) -> Result<Vec<Followup>> {
        self.read("reading what is to be followed", |c| {
            c.prepare_cached("SELECT * FROM followups ORDER BY since, serial")?.query_map([], followup)?.collect()
        })
    }

    /// What is still to be followed of one account.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn followups_of(&self, user: &str) -> Result<Vec<Followup>> {
        self.read("reading what is to be followed", |c| {
            c.prepare_cached("SELECT * FROM followups WHERE user = ?1 ORDER BY since, serial")?
                .query_map([user], followup)?
                .collect()
        })
    }

    /// Forgets what has been followed, unless it was noted again since.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn followed(&self, done: &[Followup]) -> Result<()> {
        if done.is_empty() {
            return Ok(());
        }
        self.write("recording what was followed", false, |c| {
            for one in done {
                c.execute(
                    "DELETE FROM followups WHERE user = ?1 AND alias = ?2 AND what = ?3 AND serial = ?4",
                    params![one.user, one.alias, one.what.word(), one.serial],
                )?;
            }
            Ok(())
        })
    }

    /// Records why an account could not be followed on a child.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn set_follow_trouble(&self, user: &str, alias: &str, trouble: &str) -> Result<()> {
        self.write("recording why something was not followed", false, |c| {
            c.execute("UPDATE followups SET trouble = ?3 WHERE user = ?1 AND alias = ?2", [user, alias, trouble]).map(drop)
        })
    }

    /// The children that have a half of an account: the one that serves its mail, and those that keep it.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn holders(&self, user: &str) -> Result<Vec<String>> {
        self.read("reading where an account is", |c| holders(c, user))
    }

    /// Records what cPanel is about to do to an account. Durable when this returns.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn set_intent(&self, intent: &Intent) -> Result<()> {
        self.write("recording what cPanel is about to do", false, |c| {
            c.execute("INSERT OR REPLACE INTO intents VALUES (?1, ?2, ?3)", params![intent.user, intent.uid, intent.becomes])
                .map(drop)
        })
    }

    /// What cPanel said it was about to do, and whose outcome is not known yet.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn intents(&self) -> Result<Vec<Intent>> {
        self.read("reading what cPanel was about to do", |c| {
            c.prepare_cached("SELECT user, uid, becomes FROM intents ORDER BY user")?
                .query_map([], |row| Ok(Intent { user: row.get(0)?, uid: row.get(1)?, becomes: row.get(2)? }))?
                .collect()
        })
    }

    /// Forgets what cPanel was about to do to an account.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn forget_intent(&self, user: &str) -> Result<()> {
        self.write("forgetting what cPanel was about to do", false, |c| {
            c.execute("DELETE FROM intents WHERE user = ?1", [user]).map(drop)
        })
    }

    /// The account is called otherwise: every row of it follows, and its halves are to. One transaction.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn account_renamed(&self, old: &str, new: &str, now: i64) -> Result<()> {
        self.write("renaming an account", true, |c| {
            for alias in holders(c, old)? {
                note(c, old, &alias, What::Name, &[Value::from(old)], now)?;
            }
            // Rows that an account of that name left behind are not this one's.
            for table in ["accounts", "retained", "published", "marks", "mirrors", "given_up", "forced"] {
                c.execute(&format!("DELETE FROM {table} WHERE user = ?1"), [new])?;
            }
            c.execute("UPDATE OR REPLACE followups SET user = ?2 WHERE user = ?1 AND what <> 'removal'", [old, new])?;
            for table in ["accounts", "retained", "published", "marks", "mirrors", "given_up", "forced"] {
                c.execute(&format!("UPDATE {table} SET user = ?2 WHERE user = ?1"), [old, new])?;
            }
            c.execute("DELETE FROM intents WHERE user = ?1", [old]).map(drop)
        })?;
        self.noted.send_modify(|n| *n += 1);
        Ok(())
    }

    /// The account is gone from the parent: nothing is routed for it any more, and its halves are to go. Returns the children that have
    /// one. One transaction.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn account_removed(&self, user: &str, domains: &[String], now: i64) -> Result<Vec<String>> {
        let details: Vec<Value> = domains.iter().map(|domain| Value::from(domain.as_str())).collect();
        let holders = self.write("recording the removal of an account", true, |c| {
            let holders = holders(c, user)?;
            for alias in &holders {
                let mut details = details.clone();
                let formers: Option<Vec<Value>> = c
                    .query_row(
                        "SELECT details FROM followups WHERE user = ?1 AND alias = ?2 AND what = 'name'",
                        [user, alias],
                        |row| json(row, "details"),
                    )
                    .optional()?;
                details.extend(formers.into_iter().flatten().map(|name| serde_json::json!({"former": name})));
                note(c, user, alias, What::Removal, &details, now)?;
            }
            c.execute("DELETE FROM followups WHERE user = ?1 AND what <> 'removal'", [user])?;
            for table in ["accounts", "retained", "published", "marks", "intents", "mirrors", "given_up", "forced"] {
                c.execute(&format!("DELETE FROM {table} WHERE user = ?1"), [user])?;
            }
            Ok(holders)
        })?;
        self.noted.send_modify(|n| *n += 1);
        Ok(holders)
    }

    /// The domains of a distributed account are these now.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn set_domains(&self, user: &str, domains: &[String]) -> Result<()> {
        self.write("recording the domains of an account", true, |c| {
            c.execute("UPDATE accounts SET domains = ?2 WHERE user = ?1", params![user, to_json(&domains)?]).map(drop)
        })
    }

    /// How each distributed account looked on the parent when its halves were last made equal.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn marks(&self) -> Result<BTreeMap<String, String>> {
        self.read("reading how accounts looked", |c| {
            c.prepare_cached("SELECT user, mark FROM marks")?.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
        })
    }

    /// Remembers how an account looked on the parent before its halves were made equal.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn set_mark(&self, user: &str, mark: &str) -> Result<()> {
        self.write("recording how an account looked", false, |c| {
            c.execute("INSERT OR REPLACE INTO marks VALUES (?1, ?2)", [user, mark]).map(drop)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Node;

    fn store(dir: &std::path::Path) -> Store {
        let store = Store::open(dir).unwrap();
        let node = Node { alias: "mail1".into(), hostname: "mail1.test".into(), ..Node::default() };
        store.add_node(&node).unwrap();
        store
            .write("a test's account", true, |c| {
                c.execute("INSERT INTO accounts VALUES ('alice', 'mail1', '[\"a.test\"]', 0)", []).map(drop)
            })
            .unwrap();
        store
    }

    #[test]
    fn what_is_noted_while_it_is_followed_stays() {
        let room = tempfile::tempdir().unwrap();
        let store = store(room.path());
        store.note("alice", "mail1", What::Password, &[], 7).unwrap();
        let first = store.followups().unwrap();
        store.note("alice", "mail1", What::Password, &[], 9).unwrap();
        store.followed(&first).unwrap();
        let left = store.followups().unwrap();
        assert_eq!((left.len(), left[0].since), (1, 7), "the second event is still to be followed, and its age is the first's");
        store.followed(&left).unwrap();
        assert!(store.followups().unwrap().is_empty());
    }

    #[test]
    fn a_rename_takes_everything_along_and_remembers_every_former_name() {
        let room = tempfile::tempdir().unwrap();
        let store = store(room.path());
        store.set_retained("alice", "mail2", true).unwrap();
        store.account_renamed("alice", "bob", 1).unwrap();
        store.account_renamed("bob", "carol", 2).unwrap();
        assert_eq!(store.child_of("carol").unwrap().as_deref(), Some("mail1"));
        assert_eq!(store.retained("carol").unwrap(), ["mail2"]);
        let notes = store.followups_of("carol").unwrap();
        assert_eq!(notes.len(), 2);
        assert!(notes.iter().all(|note| note.details == ["alice", "bob"]), "{notes:?}");
        assert!(store.followups_of("alice").unwrap().is_empty() && store.followups_of("bob").unwrap().is_empty());
    }

    #[test]
    fn a_removal_leaves_only_what_is_to_be_removed() {
        let room = tempfile::tempdir().unwrap();
        let store = store(room.path());
        store.note("alice", "mail1", What::Password, &[], 1).unwrap();
        store.set_intent(&Intent { user: "alice".into(), uid: 1001, becomes: None }).unwrap();
        assert_eq!(store.account_removed("alice", &["a.test".into()], 5).unwrap(), ["mail1"]);
        let notes = store.followups().unwrap();
        assert_eq!(notes.iter().map(|note| note.what).collect::<Vec<_>>(), [What::Removal]);
        assert_eq!(notes[0].details, ["a.test"]);
        assert_eq!((store.child_of("alice").unwrap(), store.intents().unwrap().len()), (None, 0));
        // Another account takes the name, and its name goes on: the removal stays the removal of the first.
        store.account_renamed("alice", "bob", 6).unwrap();
        assert_eq!(store.followups_of("alice").unwrap().len(), 1);
    }
}
