//! What the pages in WHM ask. Everything is answered from what `serve` has at hand; nothing here waits for a child.

use super::{AccountView, Destination, MoveView, NodeView, PlanView, Remainder, Role};
use crate::error::Error;
use serde::{Deserialize, Serialize};

/// The most rows a page may ask for.
pub const MAX_ROWS: usize = 200;

/// A question of a page.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum PageCall {
    /// What every page shows, and the token that its forms carry. → [`PageSession`].
    Session {
        /// The WHM user, as cpsrvd proved it.
        user: String,
        /// The session's `/cpsess##########`; empty when there is none.
        session: String,
        /// A note kept for this session, to be shown now.
        note: Option<String>,
    },
    /// Keeps a note for the next page of a session, for ten minutes. → its name, a `String`.
    Keep {
        /// The WHM user.
        user: String,
        /// The session's `/cpsess##########`.
        session: String,
        /// What to say.
        note: PageNote,
    },
    /// → [`AccountPage`].
    Accounts(AccountQuery),
    /// → [`AccountDetail`].
    Account {
        /// cPanel user.
        user: String,
    },
    /// → [`MovePage`].
    Moves(MoveQuery),
    /// Plans, made in the background; those that are not ready yet are on the way. → `Vec<`[`PlanState`]`>`.
    Plans {
        /// cPanel users.
        users: Vec<String>,
        /// Where the mail goes.
        to: Destination,
    },
}

/// What every page shows.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PageSession {
    /// The product's version.
    pub version: String,
    /// This server's hostname.
    pub hostname: String,
    /// This server's role.
    pub role: Role,
    /// Linked children.
    pub nodes: usize,
    /// Those of them that did not answer when last asked.
    pub troubled: usize,
    /// Distributed accounts.
    pub distributed: usize,
    /// Moves that have not ended.
    pub running: usize,
    /// Things that a child has not followed yet.
    pub remainders: usize,
    /// What every form of this session carries.
    pub form_token: String,
    /// The note that was asked for, when it is kept still.
    pub note: Option<PageNote>,
}

/// Something to say after a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageNote {
    /// Whether it went well.
    pub good: bool,
    /// What happened, in one sentence.
    pub title: String,
    /// More, a line each.
    pub lines: Vec<NoteLine>,
}

/// A line of a note.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoteLine {
    /// Whether it holds; `None` when it was not looked at, or is neither.
    pub passed: Option<bool>,
    /// What it is about.
    pub name: String,
    /// What was found or said.
    pub text: String,
}

/// Where an account's mail lives, as a condition.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// Anywhere.
    #[default]
    Any,
    /// On this server.
    Local,
    /// On any child.
    Distributed,
    /// On this child.
    Child(String),
}

/// What an account is in the middle of, as a condition.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccountState {
    /// Anything.
    #[default]
    Any,
    /// Being moved.
    Moving,
    /// Suspended.
    Suspended,
    /// Its child has not followed something yet.
    Remaining,
}

/// What accounts are sorted by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccountSort {
    /// cPanel user.
    #[default]
    User,
    /// Main domain.
    Domain,
    /// Owner.
    Owner,
    /// Where the mail lives; this server first.
    Place,
}

/// Which accounts a page shows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountQuery {
    /// Text that user, owner or one of the domains contains; case does not matter.
    pub search: String,
    /// Where the mail lives.
    pub place: Place,
    /// What it is in the middle of.
    pub state: AccountState,
    /// The order.
    pub sort: AccountSort,
    /// The other way round.
    pub descending: bool,
    /// Rows to pass over.
    pub offset: usize,
    /// Rows to show, at most [`MAX_ROWS`].
    pub limit: usize,
}

/// A page of accounts.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct AccountPage {
    /// Accounts of this server.
    pub total: usize,
    /// Accounts that fit the query.
    pub matched: usize,
    /// The first row's place among them.
    pub offset: usize,
    /// The rows.
    pub rows: Vec<AccountRow>,
}

/// A row of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AccountRow {
    /// The account.
    pub account: AccountView,
    /// Whether it is suspended.
    pub suspended: bool,
    /// How many things its child has not followed yet.
    pub remainders: usize,
}

/// Which moves a page shows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MoveQuery {
    /// Of this account alone.
    pub user: Option<String>,
    /// To or from this child alone.
    pub child: Option<String>,
    /// Those that have ended, or those that have not; `None` for both.
    pub ended: Option<bool>,
    /// Rows to pass over.
    pub offset: usize,
    /// Rows to show, at most [`MAX_ROWS`].
    pub limit: usize,
}

/// A page of moves.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct MovePage {
    /// Moves that fit the query.
    pub matched: usize,
    /// The rows, newest first, without logs.
    pub rows: Vec<MoveView>,
}

/// How far the plan of one account is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PlanState {
    /// cPanel user.
    pub user: String,
    /// The plan, when it is made.
    pub plan: Option<PlanView>,
    /// Why there is none.
    pub error: Option<Error>,
}

impl PlanState {
    /// Whether it is still being made.
    pub fn pending(&self) -> bool {
        self.plan.is_none() && self.error.is_none()
    }
}

/// An account with both halves, as last known.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AccountDetail {
    /// The account.
    pub account: AccountView,
    /// Its domains, the main one first.
    pub domains: Vec<String>,
    /// Whether it is suspended.
    pub suspended: bool,
    /// The child that serves its mail, as last seen.
    pub child: Option<NodeView>,
    /// Children that keep the account and its data after the mail came back from them.
    pub retained: Vec<String>,
    /// The names that mail programs and browsers use, and where they lead.
    pub names: Vec<NameView>,
    /// The certificates that mail programs are shown.
    pub certificates: Vec<ShownCertificate>,
    /// What its child has not followed yet.
    pub remainders: Vec<Remainder>,
    /// Its moves, newest first, without logs; the last ten.
    pub moves: Vec<MoveView>,
    /// Unix time, milliseconds, at which names and certificates were looked at; `None` while that is under way.
    pub looked_ms: Option<i64>,
}

/// A name of an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameView {
    /// The name.
    pub name: String,
    /// Addresses or targets that this server's zone holds, as the zone says them; `None` when the zone is not ours or was not read.
    pub published: Option<Vec<String>>,
    /// Addresses that this server's resolver finds; `None` when it found none in time.
    pub seen: Option<Vec<String>>,
    /// Addresses that it should lead to.
    pub wanted: Vec<String>,
}

impl NameView {
    /// Whether the resolver finds what it should.
    pub fn right(&self) -> bool {
        self.seen.as_ref().is_some_and(|seen| !seen.is_empty() && seen.iter().all(|address| self.wanted.contains(address)))
    }
}

/// The certificate that a mail service shows for a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownCertificate {
    /// The name that was asked for.
    pub name: String,
    /// Who answered: an alias, or `.local`.
    pub node: String,
    /// Names the certificate is for.
    pub names: Vec<String>,
    /// Who signed it.
    pub issuer: String,
    /// Unix time, seconds; `None` when no certificate was seen.
    pub not_after: Option<i64>,
    /// Why it is not good, or why none was seen.
    pub trouble: Option<String>,
}
