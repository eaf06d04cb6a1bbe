//! Moves: where each is, what its steps brought out, and its log.

use super::{Store, json, to_json};
use crate::error::{Code, Error, Result};
use crate::rules::dns::{Change, Record};
use crate::rules::names::LOCAL;
use crate::wire::MoveView;
use rusqlite::{OptionalExtension as _, Row, params};
use serde_json::Value;
use std::collections::BTreeSet;

/// The states of a move, in the words of the design.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum MoveState {
    /// Recorded; nothing done yet.
    Planned,
    /// The target is being made ready.
    Preparing,
    /// Messages are copied while the mailbox is in use.
    Seeding,
    /// New mail and sign-ins wait.
    Holding,
    /// The target is the authority; routing, names and the former copy follow.
    Switched,
    /// The former copy is being removed.
    Cleaning,
    /// Being taken back.
    Undoing,
    /// Ended: the mail is on the target.
    Done,
    /// Ended: all is as it was.
    Undone,
}

impl MoveState {
    /// The word people see.
    pub fn word(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Preparing => "preparing",
            Self::Seeding => "seeding",
            Self::Holding => "holding",
            Self::Switched => "switched",
            Self::Cleaning => "cleaning",
            Self::Undoing => "undoing",
            Self::Done => "done",
            Self::Undone => "undone",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        [
            Self::Planned,
            Self::Preparing,
            Self::Seeding,
            Self::Holding,
            Self::Switched,
            Self::Cleaning,
            Self::Undoing,
            Self::Done,
            Self::Undone,
        ]
        .into_iter()
        .find(|state| state.word() == word)
    }

    /// Whether nothing more will happen.
    pub fn ended(self) -> bool {
        matches!(self, Self::Done | Self::Undone)
    }
}

/// In the column `cancel`: the move is given up, not taken back.
const GIVEN_UP: i64 = 2;

/// A move as the engine knows it.
#[derive(Debug, Clone)]
pub struct Move {
    /// Number.
    pub id: i64,
    /// cPanel user.
    pub user: String,
    /// Alias or `.local`.
    pub origin: String,
    /// Alias or `.local`.
    pub target: String,
    /// State.
    pub state: MoveState,
    /// The step under way or last begun.
    pub step: String,
    /// Why it failed or waits.
    pub reason: Option<String>,
    /// Whether an administrator asked to take it back.
    pub cancel: bool,
    /// Whether it is to end where it is, without a word to the child, because the account is dedistributed by force.
    pub given_up: bool,
    /// What the steps recorded for each other.
    pub outputs: Value,
    /// Whether there was nothing to copy when it was planned.
    pub light: bool,
    /// When it was planned, Unix milliseconds.
    pub started_ms: i64,
}

/// What a distribution changed in a zone: its name, the changes, and the records as they were before any of it.
pub type Published = (String, Vec<Change>, Vec<Record>);

/// What a move begins with.
#[derive(Debug, Clone)]
pub struct NewMove {
    /// cPanel user.
    pub user: String,
    /// Alias or `.local`.
    pub origin: String,
    /// Alias or `.local`.
    pub target: String,
    /// Recorded facts.
    pub outputs: Value,
    /// As planned.
    pub messages: u64,
    /// As planned.
    pub bytes: u64,
}

fn read_move(row: &Row<'_>) -> rusqlite::Result<Move> {
    let state: String = row.get("state")?;
    Ok(Move {
        id: row.get("id")?,
        user: row.get("user")?,
        origin: row.get("origin")?,
        target: row.get("target")?,
        state: MoveState::parse(&state).ok_or(rusqlite::Error::InvalidQuery)?,
        step: row.get("step")?,
        reason: row.get("reason")?,
        cancel: row.get::<_, i64>("cancel")? != 0,
        given_up: row.get::<_, i64>("cancel")? == GIVEN_UP,
        outputs: json(row, "outputs")?,
        light: row.get::<_, i64>("messages_planned")? == 0 && row.get::<_, i64>("bytes_planned")? == 0,
        started_ms: row.get("started_ms")?,
    })
}

impl Store {
    /// Records a new move of an account that has none.
    ///
    /// # Errors
    /// [`Code::Conflict`] when the account is being moved.
    pub fn add_move(&self, new: &NewMove, now_ms: i64) -> Result<i64> {
        if let Some(running) = self.running_move_of(&new.user)? {
            return Err(Error::new(Code::Conflict, format!("Move {running} of “{}” is under way.", new.user))
                .hint(format!("Watch it: “linked-nodes move watch {running}”.")));
        }
        let stale = || {
            Error::new(
                Code::Conflict,
                format!("The mail of “{}” was moved or its node unlinked while this was being planned.", new.user),
            )
            .hint("Plan it again: “linked-nodes account distribute USER ALIAS --dry-run”.")
        };
        let child = if new.target == LOCAL { &new.origin } else { &new.target };
        let added = self.write("recording the move", false, |c| {
            // The plan was made a while ago; where the mail is now is decided here.
            let now: Option<String> =
                c.query_row("SELECT alias FROM accounts WHERE user = ?1", [&new.user], |row| row.get(0)).optional()?;
            let linked: bool = c.query_row("SELECT count(*) > 0 FROM nodes WHERE alias = ?1", [child], |row| row.get(0))?;
            if now.as_deref().unwrap_or(LOCAL) != new.origin || !linked {
                return Ok(None);
            }
            c.execute(
                "INSERT INTO moves (user, origin, target, state, step, outputs, messages_planned, bytes_planned, started_ms)
                 VALUES (?1, ?2, ?3, 'planned', '', ?4, ?5, ?6, ?7)",
                params![
                    new.user,
                    new.origin,
                    new.target,
                    to_json(&new.outputs)?,
                    new.messages.cast_signed(),
                    new.bytes.cast_signed(),
                    now_ms
                ],
            )?;
            let id = c.last_insert_rowid();
            c.execute(
                "INSERT INTO move_log VALUES (?1, ?2, ?3)",
                params![id, now_ms, format!("planned: {} → {}", new.origin, new.target)],
            )?;
            Ok(Some(id))
        })?;
        added.ok_or_else(stale)
    }

    /// One move.
    ///
    /// # Errors
    /// [`Code::NotFound`].
    pub fn get_move(&self, id: i64) -> Result<Move> {
        self.read("reading a move", |c| c.query_row("SELECT * FROM moves WHERE id = ?1", [id], read_move).optional())?
            .ok_or_else(|| Error::new(Code::NotFound, format!("There is no move {id}.")).hint("See “linked-nodes move list”."))
    }

    /// Moves that have not ended.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn running_moves(&self) -> Result<Vec<Move>> {
        self.read("reading the moves", |c| {
            c.prepare_cached("SELECT * FROM moves WHERE ended_ms IS NULL ORDER BY id")?.query_map([], read_move)?.collect()
        })
    }

    /// The move of an account that has not ended.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn running_move_of(&self, user: &str) -> Result<Option<i64>> {
        self.read("looking for a move of an account", |c| {
            c.prepare_cached("SELECT id FROM moves WHERE user = ?1 AND ended_ms IS NULL")?
                .query_row([user], |row| row.get(0))
                .optional()
        })
    }

    /// Records why moves wait, all in one transaction.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn set_reasons(&self, reasons: &[(i64, String)]) -> Result<()> {
        if reasons.is_empty() {
            return Ok(());
        }
        self.write("recording why moves wait", false, |c| {
            let mut update = c.prepare_cached("UPDATE moves SET reason = ?2 WHERE id = ?1 AND ended_ms IS NULL")?;
            for (id, reason) in reasons {
                update.execute(params![id, reason])?;
            }
            Ok(())
        })
    }

    /// Records where a move is, and an event in its log, in one transaction.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn record(&self, moving: &Move, event: &str, now_ms: i64) -> Result<()> {
        let held_changes = self.get_move(moving.id)?.state != moving.state;
        self.write("recording a step", held_changes, |c| {
            c.execute(
                "UPDATE moves SET state = ?2, step = ?3, reason = ?4, outputs = ?5,
                 ended_ms = CASE WHEN ?6 THEN ?7 ELSE ended_ms END WHERE id = ?1",
                params![
                    moving.id,
                    moving.state.word(),
                    moving.step,
                    moving.reason,
                    to_json(&moving.outputs)?,
                    moving.state.ended(),
                    now_ms
                ],
            )?;
            c.execute("INSERT INTO move_log VALUES (?1, ?2, ?3)", params![moving.id, now_ms, event]).map(drop)
        })?;
        if moving.state.ended() {
            // What waited for the end of the move is followed now.
            self.noted.send_modify(|n| *n += 1);
        }
        Ok(())
    }

    /// The cutover: the account's mail lives on the target from here on. One transaction is the truth.
    ///
    /// # Errors
    /// When the store cannot be written; then nothing has switched.
    pub fn switch(&self, moving: &Move, domains: &[String], now_ms: i64) -> Result<()> {
        self.write("switching the authority", true, |c| {
            if moving.target == LOCAL {
                c.execute("DELETE FROM accounts WHERE user = ?1", [&moving.user])?;
            } else {
                c.execute(
                    "INSERT OR REPLACE INTO accounts VALUES (?1, ?2, ?3, ?4)",
                    params![moving.user, moving.target, to_json(&domains)?, now_ms / 1000],
                )?;
            }
            c.execute("UPDATE moves SET state = 'switched', reason = NULL WHERE id = ?1", [moving.id])?;
            c.execute("INSERT INTO move_log VALUES (?1, ?2, 'switched')", params![moving.id, now_ms]).map(drop)
        })
    }

    /// Asks a running move to be taken back.
    ///
    /// # Errors
    /// [`Code::NotFound`]; [`Code::Conflict`] once it has switched or ended.
    pub fn ask_cancel(&self, id: i64) -> Result<()> {
        let moving = self.get_move(id)?;
        if moving.state >= MoveState::Switched {
            return Err(Error::new(
                Code::Conflict,
                format!("Move {id} of “{}” is {} and cannot be cancelled.", moving.user, moving.state.word()),
            ));
        }
        self.write("recording the wish to cancel", false, |c| {
            c.execute("UPDATE moves SET cancel = 1 WHERE id = ?1", [id]).map(drop)
        })
    }

    /// Records that a move is to end where it is.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn give_up_move(&self, id: i64) -> Result<()> {
        self.write("recording that a move is given up", false, |c| {
            c.execute("UPDATE moves SET cancel = ?2 WHERE id = ?1 AND ended_ms IS NULL", params![id, GIVEN_UP]).map(drop)
        })
    }

    /// Records how much has been copied.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn set_progress(&self, id: i64, messages: u64, bytes: u64) -> Result<()> {
        self.write("recording progress", false, |c| {
            c.execute(
                "UPDATE moves SET messages = ?2, bytes = ?3 WHERE id = ?1",
                params![id, messages.cast_signed(), bytes.cast_signed()],
            )
            .map(drop)
        })
    }

    /// Records the verdict of the last verification: so many messages and bytes are equal on both sides, and so are copied.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn set_verified(&self, id: i64, messages: u64, bytes: u64) -> Result<()> {
        self.write("recording the verdict", false, |c| {
            c.execute(
                "UPDATE moves SET verified = ?2, messages = ?2, bytes = ?3 WHERE id = ?1",
                params![id, messages.cast_signed(), bytes.cast_signed()],
            )
            .map(drop)
        })
    }

    /// Records for how long mail waited, in milliseconds.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn set_pause(&self, id: i64, milliseconds: u64) -> Result<()> {
        self.write("recording the pause", false, |c| {
            c.execute("UPDATE moves SET pause_ms = ?2 WHERE id = ?1", params![id, milliseconds.cast_signed()]).map(drop)
        })
    }

    /// What the last distribution changed in a zone, and the records as they were before any of it.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn published(&self, user: &str, zone: &str) -> Result<Option<(Vec<Change>, Vec<Record>)>> {
        self.read("reading what was published", |c| {
            c.query_row("SELECT changes, former FROM published WHERE user = ?1 AND zone = ?2", [user, zone], |row| {
                Ok((json(row, "changes")?, json(row, "former")?))
            })
            .optional()
        })
    }

    /// Every zone in which a distribution of the account changed something: its name, and as [`Store::published`].
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn all_published(&self, user: &str) -> Result<Vec<Published>> {
        self.read("reading what was published", |c| {
            c.prepare_cached("SELECT zone, changes, former FROM published WHERE user = ?1 ORDER BY zone")?
                .query_map([user], |row| Ok((row.get("zone")?, json(row, "changes")?, json(row, "former")?)))?
                .collect()
        })
    }

    /// Remembers what a distribution changes in a zone, or forgets it.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn set_published(&self, user: &str, zone: &str, what: Option<(&[Change], &[Record])>) -> Result<()> {
        self.write("recording what is published", false, |c| {
            match what {
                Some((changes, former)) => c.execute(
                    "INSERT OR REPLACE INTO published VALUES (?1, ?2, ?3, ?4)",
                    params![user, zone, to_json(&changes)?, to_json(&former)?],
                ),
                None => c.execute("DELETE FROM published WHERE user = ?1 AND zone = ?2", [user, zone]),
            }
            .map(drop)
        })
    }

    /// Users whose mail configuration must not be written now.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn held(&self) -> Result<BTreeSet<String>> {
        self.read("reading the held accounts", |c| {
            c.prepare_cached("SELECT user FROM moves WHERE ended_ms IS NULL AND state = 'holding'")?
                .query_map([], |row| row.get(0))?
                .collect()
        })
    }

    /// A move as people see it, with its log.
    ///
    /// # Errors
    /// [`Code::NotFound`].
    pub fn move_view(&self, id: i64) -> Result<MoveView> {
        self.get_move(id)?;
        let mut view = self.read("reading a move", |c| c.query_row("SELECT * FROM moves WHERE id = ?1", [id], view))?;
        view.log = self.read("reading a move's log", |c| {
            c.prepare_cached("SELECT at_ms, event FROM move_log WHERE move_id = ?1 ORDER BY rowid")?
                .query_map([id], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect()
        })?;
        Ok(view)
    }

    /// Every move, newest first, without logs.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn move_views(&self) -> Result<Vec<MoveView>> {
        self.read("reading the moves", |c| {
            c.prepare_cached("SELECT * FROM moves ORDER BY id DESC LIMIT 1000")?.query_map([], view)?.collect()
        })
    }
}

pub(super) fn view(row: &Row<'_>) -> rusqlite::Result<MoveView> {
    let count = |name: &str| row.get::<_, i64>(name).map(i64::unsigned_abs);
    let maybe = |name: &str| row.get::<_, Option<i64>>(name).map(|value| value.map(i64::unsigned_abs));
    Ok(MoveView {
        id: row.get("id")?,
        user: row.get("user")?,
        from: row.get("origin")?,
        to: row.get("target")?,
        state: row.get("state")?,
        step: row.get("step")?,
        ended: row.get::<_, Option<i64>>("ended_ms")?.is_some(),
        reason: row.get("reason")?,
        messages: count("messages")?,
        bytes: count("bytes")?,
        messages_planned: count("messages_planned")?,
        bytes_planned: count("bytes_planned")?,
        verified: maybe("verified")?,
        pause_ms: maybe("pause_ms")?,
        started_ms: row.get("started_ms")?,
        ended_ms: row.get("ended_ms")?,
        mailbox: None,
        rate: None,
        seconds_left: None,
        log: Vec::new(),
    })
}
