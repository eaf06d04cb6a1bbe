//! What the roles show each other: things as people see them.

use super::Role;
use crate::error::Error;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What `serve` says of itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Status {
    /// The product's version.
    pub version: String,
    /// This server's role.
    pub role: Role,
    /// Linked children.
    pub nodes: usize,
    /// Distributed accounts.
    pub distributed: usize,
    /// Moves that have not ended.
    pub moves_running: usize,
    /// What is wrong with this server itself as a linked node, a sentence each.
    #[serde(default)]
    pub troubles: Vec<String>,
}

/// A linked child as people see it. Never holds a token.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NodeView {
    /// Friendly name.
    pub alias: String,
    /// Hostname.
    pub hostname: String,
    /// The user of the token.
    pub username: String,
    /// Whether the child's certificate is verified.
    pub tls_verified: bool,
    /// cPanel version of the child.
    pub version: String,
    /// Server profile code (`MAILNODE`, `STANDARD`).
    pub profile: String,
    /// Services the child runs, as cPanel names them.
    pub enabled_services: Vec<String>,
    /// Unix time of the last answer from the child.
    pub last_check: i64,
    /// Why the last check failed; `None` when it answered.
    pub trouble: Option<String>,
    /// Accounts whose mail it serves.
    pub accounts: usize,
    /// Bytes of mail it serves, when last seen.
    #[serde(default)]
    pub mail_bytes: Option<u64>,
    /// Unix time, seconds, at which `trouble` began; `None` without trouble.
    #[serde(default)]
    pub trouble_since: Option<i64>,
    /// Free bytes on the child's file system of /home, when last seen.
    pub disk_free: Option<u64>,
    /// Unix time, seconds, at which the child's certificate stops being valid, when last seen.
    #[serde(default)]
    pub certificate_expires: Option<i64>,
    /// The child's own minimum password strengths, by cPanel's names of applications, when last seen. They count for the passwords of
    /// mailboxes and mailing lists of the accounts it serves; password ages of two servers never agree.
    #[serde(default)]
    pub password_strengths: BTreeMap<String, u64>,
    /// What works and should be looked at, a sentence each.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// An account as people see it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AccountView {
    /// cPanel user.
    pub user: String,
    /// Main domain.
    pub domain: String,
    /// Owner (`root` or a reseller).
    pub owner: String,
    /// Alias of the mail child; `None` when the mail is on this server.
    pub child: Option<String>,
    /// The move under way, if any.
    pub running_move: Option<i64>,
}

/// A plan: what a move would do, or why it cannot be.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PlanView {
    /// The account.
    pub user: String,
    /// Where the mail is (alias or `.local`).
    pub from: String,
    /// Where it goes (alias or `.local`).
    pub to: String,
    /// Messages to copy.
    pub messages: u64,
    /// Bytes to copy.
    pub bytes: u64,
    /// Mailboxes.
    pub mailboxes: Vec<String>,
    /// What changes in DNS, a line each.
    pub dns: Vec<String>,
    /// What is worth knowing, but stops nothing.
    pub warnings: Vec<String>,
    /// Why it cannot be done; empty when it can.
    pub refusals: Vec<String>,
}

/// A move as people see it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MoveView {
    /// Number of the move.
    pub id: i64,
    /// The account.
    pub user: String,
    /// Where the mail was (alias or `.local`).
    pub from: String,
    /// Where it goes (alias or `.local`).
    pub to: String,
    /// The state, in the words of the design: `preparing`, `seeding`, … `done`, `undone`, `stuck`.
    pub state: String,
    /// The step under way.
    pub step: String,
    /// Whether the move has ended (`done`, `undone`, `stuck`).
    pub ended: bool,
    /// Why it failed or waits.
    pub reason: Option<String>,
    /// The mailbox being copied.
    #[serde(default)]
    pub mailbox: Option<String>,
    /// Bytes a second of the last ten seconds of copying.
    #[serde(default)]
    pub rate: Option<u64>,
    /// Seconds until the copy is expected to be complete; `None` when there is nothing to go by.
    #[serde(default)]
    pub seconds_left: Option<u64>,
    /// Messages copied so far.
    pub messages: u64,
    /// Bytes copied so far.
    pub bytes: u64,
    /// Messages there are to copy, as planned.
    pub messages_planned: u64,
    /// Bytes there are to copy, as planned.
    pub bytes_planned: u64,
    /// Messages verified equal on both sides; `None` before verification.
    pub verified: Option<u64>,
    /// Milliseconds for which mail waited around the cutover.
    pub pause_ms: Option<u64>,
    /// Unix time, milliseconds.
    pub started_ms: i64,
    /// Unix time, milliseconds.
    pub ended_ms: Option<i64>,
    /// The log, a line each: time in Unix milliseconds, and the event.
    pub log: Vec<(i64, String)>,
}

/// What a hook tells cPanel.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HookAnswer {
    /// Whether the event may go on.
    pub proceed: bool,
    /// The one line for cPanel.
    pub message: String,
}

/// A server's certificate before anybody trusts it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CertificateView {
    /// The server that showed it.
    pub hostname: String,
    /// SHA-256 of the DER form, lower-case hex.
    pub fingerprint: String,
    /// Whom it names, as one line.
    pub subject: String,
    /// Who signed it, as one line.
    pub issuer: String,
    /// The DNS names it is for.
    pub names: Vec<String>,
    /// Unix time, seconds.
    pub not_before: i64,
    /// Unix time, seconds.
    pub not_after: i64,
    /// Why this system does not verify it; `None` when it does.
    pub distrust: Option<String>,
}

/// One check of a link, named.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckView {
    /// What was looked at, for example `The token is root-level`.
    pub name: String,
    /// Whether it holds; `None` when an earlier failure kept it from being looked at.
    pub passed: Option<bool>,
    /// What was found.
    pub found: String,
}

/// How linking went.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LinkReport {
    /// Every check in order.
    pub checks: Vec<CheckView>,
    /// Why it was not linked; nothing was changed then, here or there.
    pub error: Option<Error>,
}

/// How one of several moves began.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Started {
    /// cPanel user.
    pub user: String,
    /// The move, when it was begun.
    pub id: Option<i64>,
    /// Why it was not.
    pub error: Option<Error>,
}

/// What an account would lose by force, or lost, as last known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LossView {
    /// cPanel user.
    pub user: String,
    /// Unix time, seconds, of what is known; `None` when nothing is.
    pub as_of: Option<i64>,
    /// A mailbox each.
    pub mailboxes: Vec<MailboxLoss>,
    /// What is kept: mailboxes, hashes, forwarders …, a line each.
    pub kept: Vec<String>,
    /// Why forcing this account cannot be; empty when it can.
    pub refusals: Vec<String>,
}

/// What one mailbox had on the child when it was last seen.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailboxLoss {
    /// Address, or the user for the account's own mailbox.
    pub mailbox: String,
    /// Messages; `None` when not known.
    pub messages: Option<u64>,
    /// Bytes; `None` when not known.
    pub bytes: Option<u64>,
}

/// What became of one account that was forced.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Forced {
    /// cPanel user.
    pub user: String,
    /// What is lost, as last known.
    pub loss: LossView,
    /// Steps as they were done, in the words of the API's log.
    pub log: Vec<LogLine>,
    /// Why it stays distributed.
    pub error: Option<Error>,
}

/// A line of a log as `force_dedistribution_from_node` returns it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// What happened.
    pub contents: String,
    /// Depth.
    pub indent: u32,
    /// `success`, `out`, `warn`, `error`.
    #[serde(rename = "type")]
    pub kind: String,
}

/// Something of an account that its child has not followed yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remainder {
    /// cPanel user.
    pub user: String,
    /// Alias of the child.
    pub alias: String,
    /// What is to be followed, for example `suspension`.
    pub what: String,
    /// Unix time, seconds, of the event.
    pub since: i64,
    /// Why the last try failed; `None` before the first has ended.
    pub trouble: Option<String>,
    /// The command that finishes it.
    pub command: String,
}

/// What making the halves equal found and did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncView {
    /// What differed and was changed, a line each; empty when the halves were equal.
    pub changed: Vec<String>,
    /// What differs still, with the reason, a line each.
    pub left: Vec<String>,
}

/// An account with everything that the store knows of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AccountRecord {
    /// cPanel user.
    pub user: String,
    /// Main domain.
    pub domain: String,
    /// Owner (`root` or a reseller).
    pub owner: String,
    /// Its domains, the main one first.
    pub domains: Vec<String>,
    /// Alias of the mail child; `None` when the mail is on this server.
    pub child: Option<String>,
    /// The move under way, if any.
    pub running_move: Option<i64>,
    /// Children that keep account and data after the mail came back or they were given up.
    pub retained: Vec<String>,
    /// Unix time, seconds, at which this server's copy of the settings was last equal to the child's.
    pub mirrored_at: Option<i64>,
    /// Unix time, seconds, at which the messages on the child were last counted.
    pub counted_at: Option<i64>,
    /// What its mailboxes held then.
    pub mailboxes: Vec<MailboxLoss>,
    /// Why the copy of the settings is not up to date.
    pub mirror_trouble: Option<String>,
    /// Dedistributions by force, the last first.
    pub forced: Vec<ForcedBefore>,
}

/// A dedistribution by force, as it is remembered.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ForcedBefore {
    /// The child that was given up.
    pub alias: String,
    /// Unix time, seconds.
    pub at: i64,
    /// Whether everything that follows from it is done.
    pub done: bool,
    /// What was lost, as known then.
    pub loss: LossView,
    /// What was done.
    pub log: Vec<LogLine>,
}
