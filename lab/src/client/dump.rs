//! `imap-dump`: all that a mailbox holds, read without changing it and without holding it in memory.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::error::{Error, Result};
use super::imap::parse::{Response, Text, Value};
use super::imap::{Account, Session, astring, items};
use super::print;
use crate::imap;

/// Writes down a mailbox.
#[derive(Debug, clap::Args)]
pub struct DumpMailbox {
    #[command(flatten)]
    account: Account,
    /// Folders and their numbers only, no messages.
    #[arg(long)]
    folders: bool,
}

/// A mailbox as a client sees it.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Dump {
    /// The server's name.
    pub host: String,
    /// The address that answered.
    pub peer: String,
    /// The login.
    pub user: String,
    /// Subscribed folders.
    pub subscriptions: BTreeSet<String>,
    /// Folders by name, as on the wire (modified UTF-7).
    pub folders: BTreeMap<String, Folder>,
}

/// A folder.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Folder {
    /// Whether it can hold messages.
    pub selectable: bool,
    /// Its UIDVALIDITY.
    pub uidvalidity: u64,
    /// The next UID.
    pub uidnext: u64,
    /// How many messages it holds.
    pub exists: u64,
    /// Its messages by UID.
    pub messages: Vec<Message>,
}

/// A message.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Its UID.
    pub uid: u64,
    /// Flags and keywords, without `\Recent`.
    pub flags: BTreeSet<String>,
    /// INTERNALDATE in UTC (RFC 3339).
    pub date: String,
    /// RFC822.SIZE.
    pub size: u64,
    /// SHA-256 of all of it.
    pub sha256: String,
    /// The Message-ID field; empty without one.
    pub message_id: String,
    /// The Subject field; empty without one.
    pub subject: String,
}

impl DumpMailbox {
    /// Prints the mailbox.
    pub fn run(&self) -> Result<bool> {
        let mut session = Session::open(&self.account)?;
        let mut dump = Dump {
            host: self.account.host.clone(),
            peer: session.wire().peer.ip().to_string(),
            user: self.account.user.clone(),
            ..Dump::default()
        };
        for data in session.run(r#"LSUB "" "*""#)?.named("LSUB") {
            if let Some(name) = data.values.get(2).and_then(Value::text) {
                dump.subscriptions.insert(name);
            }
        }
        for data in session.run(r#"LIST "" "*""#)?.named("LIST") {
            let Some(name) = data.values.get(2).and_then(Value::text) else { continue };
            let closed = |flag: &Value| {
                flag.text()
                    .is_some_and(|flag| flag.eq_ignore_ascii_case("\\Noselect") || flag.eq_ignore_ascii_case("\\NonExistent"))
            };
            let selectable = !data.values[0].list().iter().any(closed);
            dump.folders.insert(name, Folder { selectable, ..Folder::default() });
        }
        for (name, folder) in &mut dump.folders {
            if folder.selectable {
                fill(&mut session, name, folder, self.folders)?;
            }
        }
        session.logout();
        print(&dump)?;
        Ok(true)
    }
}

fn fill(session: &mut Session, name: &str, folder: &mut Folder, numbers_only: bool) -> Result<()> {
    let answer = session.run(imap!("EXAMINE ", astring(name.as_bytes())))?;
    let number = |code: &str| {
        let value = answer.code(code).and_then(|text| text.parse().ok());
        value.ok_or_else(|| Error::Protocol(format!("EXAMINE {name} gives no {code}")))
    };
    folder.uidvalidity = number("UIDVALIDITY")?;
    folder.uidnext = number("UIDNEXT")?;
    folder.exists = answer.named("EXISTS").last().map_or(0, |data| data.number);
    if numbers_only || folder.exists == 0 {
        return Ok(());
    }
    let mut fault = None;
    session.stream("UID FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])", &mut |response| {
        if let Response::Data(data) = response
            && data.name == "FETCH"
        {
            // An unasked FETCH that tells new flags only has no body.
            if items(&data).any(|(item, _)| item == "BODY[]") {
                match message(items(&data)) {
                    Ok(message) => folder.messages.push(message),
                    Err(error) => fault = Some(error),
                }
            }
        }
        Ok(())
    })?;
    if let Some(error) = fault {
        return Err(error);
    }
    folder.messages.sort_by_key(|message| message.uid);
    Ok(())
}

fn message<'a>(items: impl Iterator<Item = (&'a str, &'a Value)>) -> Result<Message> {
    let mut message = Message::default();
    for (item, value) in items {
        let number = || value.text().and_then(|text| text.parse().ok()).unwrap_or_default();
        match item {
            "UID" => message.uid = number(),
            "RFC822.SIZE" => message.size = number(),
            "FLAGS" => {
                let flags = value.list().iter().filter_map(Value::text);
                message.flags = flags.filter(|flag| !flag.eq_ignore_ascii_case("\\Recent")).collect();
            }
            "INTERNALDATE" => message.date = date(&value.text().unwrap_or_default())?,
            "BODY[]" => match value {
                Value::Text(text) => take(&mut message, text)?,
                other => return Err(Error::Protocol(format!("{other:?} as the body of UID {}", message.uid))),
            },
            _ => {}
        }
    }
    if message.uid == 0 || message.sha256.is_empty() || message.date.is_empty() {
        return Err(Error::Protocol(format!("a FETCH without all that was asked for: {message:?}")));
    }
    Ok(message)
}

fn take(message: &mut Message, text: &Text) -> Result<()> {
    message.sha256.clone_from(&text.sha256);
    message.message_id = header(&text.head, "message-id").unwrap_or_default();
    message.subject = header(&text.head, "subject").unwrap_or_default();
    if message.size != 0 && message.size != text.length {
        return Err(Error::Protocol(format!(
            "UID {} has RFC822.SIZE {} but a body of {} bytes",
            message.uid, message.size, text.length
        )));
    }
    Ok(())
}

/// An INTERNALDATE in UTC.
fn date(text: &str) -> Result<String> {
    let parsed = jiff::fmt::strtime::parse("%d-%b-%Y %H:%M:%S %z", text.trim()).and_then(|broken| broken.to_timestamp());
    parsed.map(|time| time.to_string()).map_err(|_| Error::Protocol(format!("“{text}” is no INTERNALDATE")))
}

/// The first field of this name (in small letters), unfolded.
fn header(head: &[u8], wanted: &str) -> Option<String> {
    let mut found: Option<String> = None;
    for line in head.split(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            break;
        }
        let text = String::from_utf8_lossy(line);
        match &mut found {
            Some(value) if text.starts_with([' ', '\t']) => {
                value.push(' ');
                value.push_str(text.trim());
            }
            Some(_) => break,
            None => {
                if let Some((name, value)) = text.split_once(':')
                    && name.trim_end().eq_ignore_ascii_case(wanted)
                {
                    found = Some(value.trim().to_owned());
                }
            }
        }
    }
    found.map(|value| value.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_end_before_the_text_and_unfold() {
        let head = b"Received: a\r\n subject: no\r\nSUBJECT :  one\r\n\ttwo\r\nMessage-ID:\r\n <x@y>\r\n\r\nX-Body: 1\r\n";
        assert_eq!(header(head, "subject").as_deref(), Some("one two"));
        assert_eq!(header(head, "message-id").as_deref(), Some("<x@y>"));
        assert_eq!(header(head, "x-body"), None);
    }

    #[test]
    fn dates_are_told_in_utc() {
        assert_eq!(date(" 7-Jul-1996 02:44:25 -0700").unwrap(), "1996-07-07T09:44:25Z");
        assert_eq!(date("17-Jul-2026 02:44:25 +0000").unwrap(), "2026-07-17T02:44:25Z");
        assert!(date("yesterday").is_err());
    }
}
