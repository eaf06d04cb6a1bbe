//! What the pages read: pages of moves, and where every account's mail is, in one word each.

use super::{Store, moves};
use crate::error::Result;
use crate::wire::{MAX_ROWS, MovePage, MoveQuery};
use rusqlite::params;
use std::collections::BTreeMap;

impl Store {
    /// The number that grows with every change of the routing: what was derived from the accounts holds while it is the same.
    pub fn routing_now(&self) -> u64 {
        *self.watch_routing().borrow()
    }

    /// User to the alias of the child that serves its mail.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn placed(&self) -> Result<BTreeMap<String, String>> {
        self.read("reading where accounts are", |c| {
            c.prepare_cached("SELECT user, alias FROM accounts")?.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
        })
    }

    /// How many accounts are distributed.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn distributed_count(&self) -> Result<usize> {
        self.read("counting distributed accounts", |c| {
            c.query_row("SELECT count(*) FROM accounts", [], |row| row.get::<_, i64>(0))
                .map(|count| usize::try_from(count).unwrap_or_default())
        })
    }

    /// User to number of each move that has not ended.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn moving(&self) -> Result<BTreeMap<String, i64>> {
        self.read("reading the moves under way", |c| {
            c.prepare_cached("SELECT user, id FROM moves WHERE ended_ms IS NULL")?
                .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect()
        })
    }

    /// A page of moves, newest first, without logs.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn move_page(&self, query: &MoveQuery) -> Result<MovePage> {
        const FIT: &str = "(?1 IS NULL OR user = ?1) AND (?2 IS NULL OR origin = ?2 OR target = ?2)
            AND (?3 IS NULL OR (ended_ms IS NOT NULL) = ?3)";
        let limit = i64::try_from(query.limit.clamp(1, MAX_ROWS)).unwrap_or(1);
        let offset = i64::try_from(query.offset).unwrap_or(i64::MAX);
        self.read("reading the moves", |c| {
            let matched: i64 = c
                .prepare_cached(&format!("SELECT count(*) FROM moves WHERE {FIT}"))?
                .query_row(params![query.user, query.child, query.ended], |row| row.get(0))?;
            let rows = c
                .prepare_cached(&format!("SELECT * FROM moves WHERE {FIT} ORDER BY id DESC LIMIT ?4 OFFSET ?5"))?
                .query_map(params![query.user, query.child, query.ended, limit, offset], moves::view)?
                .collect::<rusqlite::Result<Vec<_>>>()?;
            Ok(MovePage { matched: usize::try_from(matched).unwrap_or_default(), rows })
        })
    }
}
