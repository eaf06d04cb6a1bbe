//! `imap-compare`: two dumps of what should be one mailbox.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;

use serde::Serialize;

use super::dump::{Dump, Folder, Message};
use super::error::Result;
use super::{print, read};

/// Compares two dumps: B must equal A.
#[derive(Debug, Default, clap::Args)]
pub struct Compare {
    /// The mailbox as it was.
    a: PathBuf,
    /// The mailbox as it is.
    b: PathBuf,
    /// UIDVALIDITY may differ.
    #[arg(long)]
    ignore_uidvalidity: bool,
    /// UIDs and UIDNEXT may differ.
    #[arg(long)]
    ignore_uids: bool,
    /// Flags and keywords may differ.
    #[arg(long)]
    ignore_flags: bool,
    /// Internal dates may differ.
    #[arg(long)]
    ignore_dates: bool,
    /// B may have more messages whose Subject begins so (may be given again).
    #[arg(long, value_name = "SUBJECT")]
    allow_extra_prefix: Vec<String>,
    /// Messages whose Subject begins so count in neither (may be given again).
    #[arg(long, value_name = "SUBJECT")]
    ignore_prefix: Vec<String>,
    /// B may have more folders and subscriptions that begin so (may be given again).
    #[arg(long, value_name = "FOLDER")]
    allow_extra_folder: Vec<String>,
    /// Folders and subscriptions that begin so count in neither (may be given again).
    #[arg(long, value_name = "FOLDER")]
    ignore_folder: Vec<String>,
    /// How many differences to print.
    #[arg(long, value_name = "N", default_value_t = 200)]
    limit: usize,
}

/// What differs.
#[derive(Debug, Default, Serialize)]
struct Report {
    equal: bool,
    /// Folders of A that were compared.
    folders: u64,
    /// Messages of A that were compared.
    messages: u64,
    /// Messages only B has and may have.
    allowed_extra: u64,
    /// How many differences of each kind there are.
    counts: BTreeMap<&'static str, u64>,
    differences: Vec<Difference>,
}

#[derive(Debug, Serialize)]
struct Difference {
    folder: String,
    kind: &'static str,
    what: String,
}

impl Report {
    fn differ(&mut self, folder: &str, kind: &'static str, what: String) {
        *self.counts.entry(kind).or_default() += 1;
        self.differences.push(Difference { folder: folder.into(), kind, what });
    }
}

fn begins(text: &str, prefixes: &[String]) -> bool {
    prefixes.iter().any(|prefix| text.starts_with(prefix.as_str()))
}

impl Compare {
    /// Prints the differences; true when there are none.
    pub fn run(&self) -> Result<bool> {
        let mut report = self.compare(&read(&self.a)?, &read(&self.b)?);
        report.differences.truncate(self.limit);
        print(&report)?;
        Ok(report.equal)
    }

    fn compare(&self, a: &Dump, b: &Dump) -> Report {
        let mut report = Report::default();
        for name in a.subscriptions.symmetric_difference(&b.subscriptions) {
            let extra = b.subscriptions.contains(name);
            let allowed = begins(name, &self.ignore_folder) || (extra && begins(name, &self.allow_extra_folder));
            if !allowed {
                report.differ(name, "subscription", if extra { "only in B" } else { "missing in B" }.into());
            }
        }
        let names: BTreeSet<&String> = a.folders.keys().chain(b.folders.keys()).collect();
        for name in names.into_iter().filter(|name| !begins(name, &self.ignore_folder)) {
            match (a.folders.get(name), b.folders.get(name)) {
                (Some(a), Some(b)) => {
                    report.folders += 1;
                    self.folder(name, a, b, &mut report);
                }
                (Some(a), None) => report.differ(name, "missing folder", format!("with {} messages", a.exists)),
                (None, Some(_)) if begins(name, &self.allow_extra_folder) => {}
                (None, Some(b)) => report.differ(name, "extra folder", format!("with {} messages", b.exists)),
                (None, None) => {}
            }
        }
        report.equal = report.differences.is_empty();
        report
    }

    fn folder(&self, name: &str, a: &Folder, b: &Folder, report: &mut Report) {
        if a.selectable != b.selectable {
            report.differ(name, "selectable", format!("{} in A, {} in B", a.selectable, b.selectable));
        }
        if a.uidvalidity != b.uidvalidity && !self.ignore_uidvalidity {
            report.differ(name, "uidvalidity", format!("{} in A, {} in B", a.uidvalidity, b.uidvalidity));
        }
        // Messages that may be more in B, or came and went, have taken UIDs.
        let may_grow = !self.allow_extra_prefix.is_empty() || !self.ignore_prefix.is_empty();
        let fits = if may_grow { a.uidnext <= b.uidnext } else { a.uidnext == b.uidnext };
        if !fits && !self.ignore_uids {
            report.differ(name, "uidnext", format!("{} in A, {} in B", a.uidnext, b.uidnext));
        }
        let counted = |folder: &'_ Folder| -> Vec<Message> {
            folder.messages.iter().filter(|message| !begins(&message.subject, &self.ignore_prefix)).cloned().collect()
        };
        let (mine, theirs) = (counted(a), counted(b));
        report.messages += mine.len() as u64;
        let (pairs, left, extra) = pair(&mine, &theirs);
        for (a, b) in pairs {
            self.message(name, a, b, report);
        }
        for message in left {
            report.differ(name, "missing", describe(message));
        }
        let known: BTreeSet<&str> = mine.iter().map(|message| message.message_id.as_str()).collect();
        let mut once: BTreeSet<&str> = BTreeSet::new();
        for message in extra {
            let named = !message.message_id.is_empty();
            if named && (known.contains(message.message_id.as_str()) || !once.insert(&message.message_id)) {
                report.differ(name, "doubled", describe(message));
            } else if begins(&message.subject, &self.allow_extra_prefix) {
                report.allowed_extra += 1;
            } else {
                report.differ(name, "extra", describe(message));
            }
        }
    }

    fn message(&self, folder: &str, a: &Message, b: &Message, report: &mut Report) {
        let mut differ = |kind, what: String| report.differ(folder, kind, format!("{}: {what}", describe(a)));
        if a.uid != b.uid && !self.ignore_uids {
            differ("uid", format!("{} in B", b.uid));
        }
        if a.sha256 != b.sha256 {
            differ("digest", format!("{} in A, {} in B", a.sha256, b.sha256));
        }
        if a.size != b.size {
            differ("size", format!("{} in A, {} in B", a.size, b.size));
        }
        if a.flags != b.flags && !self.ignore_flags {
            differ("flags", format!("{:?} in A, {:?} in B", a.flags, b.flags));
        }
        if a.date != b.date && !self.ignore_dates {
            differ("date", format!("{} in A, {} in B", a.date, b.date));
        }
    }
}

fn describe(message: &Message) -> String {
    format!("UID {} {} “{}”", message.uid, message.message_id, message.subject)
}

/// Pairs of A and B, what is left of A, what is left of B.
type Paired<'a> = (Vec<(&'a Message, &'a Message)>, Vec<&'a Message>, Vec<&'a Message>);

/// Pairs messages: by UID and digest; then by digest, in order; then by UID.
fn pair<'a>(a: &'a [Message], b: &'a [Message]) -> Paired<'a> {
    let mut pairs = Vec::new();
    let mut rest: BTreeMap<u64, &Message> = b.iter().map(|message| (message.uid, message)).collect();
    let mut open: Vec<&Message> = Vec::new();
    for mine in a {
        match rest.get(&mine.uid) {
            Some(theirs) if theirs.sha256 == mine.sha256 => pairs.extend(rest.remove(&mine.uid).map(|theirs| (mine, theirs))),
            _ => open.push(mine),
        }
    }
    let mut by_digest: BTreeMap<&str, VecDeque<u64>> = BTreeMap::new();
    for message in rest.values() {
        by_digest.entry(&message.sha256).or_default().push_back(message.uid);
    }
    open.retain(|&mine| {
        let uid = by_digest.get_mut(mine.sha256.as_str()).and_then(VecDeque::pop_front);
        let theirs = uid.and_then(|uid| rest.remove(&uid));
        pairs.extend(theirs.map(|theirs| (mine, theirs)));
        theirs.is_none()
    });
    open.retain(|&mine| {
        let theirs = rest.remove(&mine.uid);
        pairs.extend(theirs.map(|theirs| (mine, theirs)));
        theirs.is_none()
    });
    (pairs, open, rest.into_values().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(uid: u64, id: &str) -> Message {
        let (sha256, message_id) = (format!("sha of {id}"), format!("<{id}>"));
        Message { uid, sha256, message_id, subject: id.into(), size: 1, date: "d".into(), ..Message::default() }
    }

    fn dump(messages: Vec<Message>) -> Dump {
        let uidnext = messages.iter().map(|message| message.uid + 1).max().unwrap_or(1);
        let folder = Folder { selectable: true, uidvalidity: 1, uidnext, exists: messages.len() as u64, messages };
        Dump { folders: [("INBOX".to_owned(), folder)].into(), ..Dump::default() }
    }

    fn kinds(options: &Compare, a: Vec<Message>, b: Vec<Message>) -> Vec<&'static str> {
        options.compare(&dump(a), &dump(b)).differences.iter().map(|difference| difference.kind).collect()
    }

    #[test]
    fn each_difference_is_called_by_its_name() {
        let strict = Compare::default();
        let one = || vec![message(1, "a"), message(2, "b")];
        assert_eq!(kinds(&strict, one(), one()), [""; 0]);
        assert_eq!(kinds(&strict, one(), vec![message(2, "b")]), ["missing"]);
        assert_eq!(kinds(&strict, one(), vec![message(1, "a"), message(2, "b"), message(3, "b")]), ["uidnext", "doubled"]);
        assert_eq!(kinds(&strict, one(), vec![message(1, "b"), message(2, "a")]), ["uid", "uid"]);
        assert_eq!(kinds(&strict, one(), vec![message(1, "x"), message(2, "b")]), ["digest"]);
        let flagged = Message { flags: ["x".to_owned()].into(), date: "e".into(), size: 2, ..message(1, "a") };
        assert_eq!(kinds(&strict, one(), vec![flagged, message(2, "b")]), ["size", "flags", "date"]);
    }

    #[test]
    fn what_is_allowed_is_allowed_once() {
        let lenient = Compare { allow_extra_prefix: vec!["drip".into()], ..Compare::default() };
        let grown = |more: Vec<Message>| [vec![message(1, "a")], more].concat();
        assert_eq!(kinds(&lenient, grown(vec![]), grown(vec![message(4, "drip 1")])), [""; 0]);
        assert_eq!(kinds(&lenient, grown(vec![]), grown(vec![message(4, "drip 1"), message(5, "drip 1")])), ["doubled"]);
        assert_eq!(kinds(&lenient, grown(vec![]), grown(vec![message(4, "other")])), ["extra"]);
    }

    #[test]
    fn folders_and_subscriptions_count() {
        let mut a = dump(vec![]);
        let mut b = dump(vec![]);
        a.subscriptions.insert("INBOX.a".into());
        b.subscriptions.insert("INBOX.b".into());
        a.folders.insert("INBOX.a".into(), Folder::default());
        b.folders.insert("INBOX.b".into(), Folder::default());
        let strict = Compare::default().compare(&a, &b);
        let seen: Vec<_> = strict.differences.iter().map(|d| (d.folder.as_str(), d.kind)).collect();
        let wanted = [
            ("INBOX.a", "subscription"),
            ("INBOX.b", "subscription"),
            ("INBOX.a", "missing folder"),
            ("INBOX.b", "extra folder"),
        ];
        assert_eq!(seen, wanted);
        let lenient =
            Compare { allow_extra_folder: vec!["INBOX.b".into()], ignore_folder: vec!["INBOX.a".into()], ..Compare::default() };
        assert!(lenient.compare(&a, &b).equal);
    }
}
