//! Mail clients and a checker that know nothing of the product: they speak SMTP, IMAP and POP3, as a person's program does.
//!
//! ```text
//! smtp-drip     delivers numbered messages, one a tick       ┐
//! imap-churn    works on a mailbox without ever going away   ├─ each ends with one JSON document
//! login-probe   signs in again and again                     │
//! imap-dump     all that a mailbox holds                     ┘
//! imap-compare  two dumps against each other
//! imap-check    a dump against what smtp-drip and imap-churn were promised
//! imap-where    who answers
//!
//! net     connections: names resolved each time, TLS verified          imap    sessions (parse: a server's words)
//! smtp    sessions                                                     stop    when a client ends
//! ```
//!
//! They run in the lab's client node: `lab exec client -- lab client imap-dump …`. Documents go to standard output, what a person
//! may want to know meanwhile to standard error. Exit status: 0 all is well, 1 what was looked for is not so, 2 it could not be done.

mod check;
mod churn;
mod compare;
mod drip;
mod dump;
mod error;
mod imap;
mod net;
mod probe;
mod smtp;
mod stop;

use std::io::Write as _;

use clap::Parser;
use serde::Serialize;
use serde::de::DeserializeOwned;

use error::{Doing as _, Error, Result};

#[derive(Debug, Parser)]
#[command(name = "lab client", about = "Mail clients and a checker, for the lab's client node")]
enum Client {
    /// Deliver numbered messages by SMTP, one a tick, and say which the server accepted.
    SmtpDrip(drip::Drip),
    /// Write down all that a mailbox holds, without changing it.
    ImapDump(dump::DumpMailbox),
    /// Compare two dumps: the second must equal the first.
    ImapCompare(compare::Compare),
    /// Work on a mailbox without ever going away, and say what must be in it at the end.
    ImapChurn(churn::Churn),
    /// Check a dump against what the server promised to smtp-drip and imap-churn.
    ImapCheck(check::Check),
    /// Sign in and say who answered.
    ImapWhere(probe::Where),
    /// Sign in again and again, and say how often that failed and how long it took.
    LoginProbe(probe::Probe),
}

/// Runs the client that `words` name.
pub fn main(words: &[String]) -> i32 {
    let line = std::iter::once("lab client").chain(words.iter().map(String::as_str));
    let client = match Client::try_parse_from(line) {
        Ok(client) => client,
        Err(error) => {
            let _ = error.print();
            return error.exit_code();
        }
    };
    let done = match client {
        Client::SmtpDrip(drip) => drip.run(),
        Client::ImapDump(dump) => dump.run(),
        Client::ImapCompare(compare) => compare.run(),
        Client::ImapChurn(churn) => churn.run(),
        Client::ImapCheck(check) => check.run(),
        Client::ImapWhere(one) => one.run(),
        Client::LoginProbe(probe) => probe.run(),
    };
    match done {
        Ok(true) => 0,
        Ok(false) => 1,
        Err(error) => {
            say(format_args!("{error}"));
            2
        }
    }
}

/// Tells the person at the terminal.
fn say(what: std::fmt::Arguments<'_>) {
    let _ = writeln!(std::io::stderr().lock(), "lab client: {what}");
}

/// Prints a document.
fn print(document: &impl Serialize) -> Result<()> {
    let mut out = std::io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, document).doing("write the document")?;
    writeln!(out).doing("write the document")
}

/// Reads a document that another client printed.
fn read<T: DeserializeOwned>(path: &std::path::Path) -> Result<T> {
    let text = std::fs::read(path).map_err(|e| Error::Usage(format!("{}: {e}", path.display())))?;
    serde_json::from_slice(&text).map_err(|e| Error::Usage(format!("{}: {e}", path.display())))
}

/// Whole milliseconds.
fn millis(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
