//! `imap-check`: a dump against what the server promised to `imap-churn` and `smtp-drip`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::Serialize;

use super::churn::Report as Churned;
use super::churn::model::{Expected, Place};
use super::drip::Report as Dripped;
use super::dump::{Dump, Message};
use super::error::Result;
use super::{print, read};

/// Checks a dump against promises.
#[derive(Debug, clap::Args)]
pub struct Check {
    /// The mailbox (imap-dump).
    #[arg(long, value_name = "FILE")]
    dump: PathBuf,
    /// What imap-churn printed (may be given again).
    #[arg(long, value_name = "FILE")]
    model: Vec<PathBuf>,
    /// What smtp-drip printed (may be given again).
    #[arg(long, value_name = "FILE")]
    smtp: Vec<PathBuf>,
    /// The subjects' prefix, where it is not the one smtp-drip was given.
    #[arg(long, value_name = "TEXT")]
    smtp_prefix: Option<String>,
    /// How many problems to print.
    #[arg(long, value_name = "N", default_value_t = 200)]
    limit: usize,
}

/// What was found.
#[derive(Debug, Default, Serialize)]
struct Report {
    kept: bool,
    /// Copies imap-churn expects, found as promised.
    copies: u64,
    /// Of these, copies about which an answer was missing.
    uncertain: u64,
    /// Messages imap-churn knows to be gone, and that are.
    gone: u64,
    /// Messages smtp-drip was promised, found exactly once.
    delivered: u64,
    /// How many problems there are.
    count: usize,
    problems: Vec<String>,
}

impl Check {
    /// Prints the problems; true when there are none.
    pub fn run(&self) -> Result<bool> {
        let dump: Dump = read(&self.dump)?;
        let mut report = Report::default();
        for path in &self.model {
            churned(&read(path)?, &dump, &mut report);
        }
        for path in &self.smtp {
            let mut dripped: Dripped = read(path)?;
            if let Some(prefix) = &self.smtp_prefix {
                dripped.prefix.clone_from(prefix);
            }
            self::dripped(&dripped, &dump, &mut report);
        }
        report.count = report.problems.len();
        report.kept = report.problems.is_empty();
        report.problems.truncate(self.limit);
        print(&report)?;
        Ok(report.kept)
    }
}

/// All messages with their folders.
fn all(dump: &Dump) -> impl Iterator<Item = (&str, &Message)> {
    dump.folders.iter().flat_map(|(name, folder)| folder.messages.iter().map(move |message| (name.as_str(), message)))
}

fn churned(churned: &Churned, dump: &Dump, report: &mut Report) {
    report.problems.extend(churned.anomalies.iter().map(|text| format!("imap-churn: {text}")));
    for folder in churned.folders.iter().filter(|name| !dump.folders.contains_key(*name)) {
        report.problems.push(format!("folder {folder} was made and is not there"));
    }
    for folder in churned.subscribed.difference(&dump.subscriptions) {
        report.problems.push(format!("folder {folder} was subscribed to and is not subscribed"));
    }
    let own = format!("@seed-{}.client.lab.test>", churned.seed);
    let mut found: BTreeMap<&str, Vec<(&str, &Message)>> = BTreeMap::new();
    for (folder, message) in all(dump).filter(|(_, message)| message.message_id.ends_with(&own)) {
        found.entry(&message.message_id).or_default().push((folder, message));
    }
    for id in &churned.gone {
        match found.remove(id.as_str()) {
            None => report.gone += 1,
            Some(copies) => report.problems.push(format!("{id} is gone by the server's word, yet {}", describe(&copies))),
        }
    }
    let mut wanted: BTreeMap<&str, Vec<&Expected>> = BTreeMap::new();
    for expected in &churned.expected {
        wanted.entry(&expected.message_id).or_default().push(expected);
    }
    for (id, wanted) in wanted {
        let copies = found.remove(id).unwrap_or_default();
        if let Some(problem) = problem(&wanted, &copies) {
            report.problems.push(format!("{id}: {problem}"));
        } else {
            report.copies += copies.len() as u64;
            report.uncertain += wanted.iter().filter(|expected| expected.uncertain).count() as u64;
        }
    }
    for (id, copies) in found {
        report.problems.push(format!("{id} was never appended, yet {}", describe(&copies)));
    }
}

/// What is wrong with the copies of one message.
fn problem(wanted: &[&Expected], found: &[(&str, &Message)]) -> Option<String> {
    for (folder, message) in found {
        let text = format!("in {folder} UID {}", message.uid);
        if wanted.iter().any(|expected| expected.sha256 != message.sha256) {
            return Some(format!("{text} is another text than was appended"));
        }
        if let Some(expected) = wanted.iter().find(|expected| expected.date != message.date) {
            return Some(format!("{text} has internal date {}, not {}", message.date, expected.date));
        }
    }
    let mut are: Vec<Place> =
        found.iter().map(|(folder, message)| Place { folder: (*folder).into(), flags: message.flags.clone() }).collect();
    are.sort();
    if outcomes(wanted).into_iter().any(|mut places| {
        places.sort();
        places == are
    }) {
        return None;
    }
    let must: Vec<String> = wanted
        .iter()
        .map(|expected| {
            let or: Vec<String> = expected.alternatives.iter().map(|other| format!(" or {other:?}")).collect();
            format!("{} {:?}{}", expected.folder, expected.flags, or.concat())
        })
        .collect();
    let most = wanted.len();
    let kind = if found.len() > most {
        "doubled"
    } else if found.is_empty() {
        "lost"
    } else {
        "not as acknowledged"
    };
    Some(format!("{kind}: must be in {}, {}", must.join("; "), describe(found)))
}

/// All ways things may stand, each copy being as expected or as one of its alternatives.
fn outcomes(wanted: &[&Expected]) -> Vec<Vec<Place>> {
    wanted.iter().fold(vec![Vec::new()], |ways, expected| {
        let as_expected = Some(Place { folder: expected.folder.clone(), flags: expected.flags.clone() });
        let options: Vec<Option<Place>> = std::iter::once(as_expected).chain(expected.alternatives.iter().cloned()).collect();
        let with = |way: &Vec<Place>, option: &Option<Place>| way.iter().cloned().chain(option.clone()).collect();
        ways.iter().flat_map(|way| options.iter().map(move |option| with(way, option))).collect()
    })
}

fn describe(copies: &[(&str, &Message)]) -> String {
    if copies.is_empty() {
        return "it is nowhere".into();
    }
    let places: Vec<String> =
        copies.iter().map(|(folder, message)| format!("{folder} UID {} {:?}", message.uid, message.flags)).collect();
    format!("it is in {}", places.join("; "))
}

fn dripped(dripped: &Dripped, dump: &Dump, report: &mut Report) {
    let prefix = format!("{} ", dripped.prefix);
    let mut found: BTreeMap<u64, Vec<(&str, &Message)>> = BTreeMap::new();
    for (folder, message) in all(dump) {
        if let Some(n) = message.subject.strip_prefix(&prefix).and_then(|rest| rest.parse().ok()) {
            found.entry(n).or_default().push((folder, message));
        }
    }
    for refusal in &dripped.permanent {
        report.problems.push(format!("{prefix}{}: refused for good: {} {}", refusal.n, refusal.code, refusal.text));
    }
    for n in dripped.sent.iter().filter(|n| !found.contains_key(n)) {
        report.problems.push(format!("{prefix}{n}: lost: accepted, yet nowhere"));
    }
    for (n, copies) in &found {
        // After a break at the message's end the sender must send it again (RFC 1047): two of those are nobody's fault.
        let most = if dripped.uncertain.contains(n) { 2 } else { 1 };
        if copies.len() > most {
            report.problems.push(format!("{prefix}{n}: doubled: {}", describe(copies)));
        } else if dripped.sent.contains(n) {
            report.delivered += 1;
        } else if !dripped.uncertain.contains(n) {
            report.problems.push(format!("{prefix}{n}: never accepted, yet {}", describe(copies)));
        }
        let ids: BTreeSet<&str> = copies.iter().map(|(_, message)| message.message_id.as_str()).collect();
        if ids.len() > 1 {
            report.problems.push(format!("{prefix}{n}: several messages with this subject: {ids:?}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::drip::Refusal;
    use super::super::dump::Folder;
    use super::*;

    fn dump(messages: &[(&str, &str, &str)]) -> Dump {
        let mut dump = Dump::default();
        for (uid, (folder, id, flag)) in messages.iter().enumerate() {
            let flags = if flag.is_empty() { BTreeSet::new() } else { [(*flag).to_owned()].into() };
            let message = Message {
                uid: uid as u64,
                flags,
                message_id: format!("<{id}@seed-1.client.lab.test>"),
                subject: (*id).into(),
                ..Message::default()
            };
            let entry = dump.folders.entry((*folder).to_owned()).or_insert_with(Folder::default);
            entry.messages.push(message);
        }
        dump
    }

    fn expected(id: &str, folder: &str, alternatives: Vec<Option<Place>>) -> Expected {
        Expected {
            message_id: format!("<{id}@seed-1.client.lab.test>"),
            folder: folder.into(),
            flags: BTreeSet::new(),
            uncertain: !alternatives.is_empty(),
            alternatives,
            date: String::new(),
            sha256: String::new(),
        }
    }

    fn problems(expected: Vec<Expected>, gone: &[&str], messages: &[(&str, &str, &str)]) -> Vec<String> {
        let gone = gone.iter().map(|id| format!("<{id}@seed-1.client.lab.test>")).collect();
        let mut report = Report::default();
        churned(&Churned { seed: 1, expected, gone, ..Churned::default() }, &dump(messages), &mut report);
        report.problems
    }

    #[test]
    fn broken_promises_are_found() {
        let one = || vec![expected("churn-1", "A", vec![])];
        assert_eq!(problems(one(), &[], &[("A", "churn-1", "")]), [""; 0]);
        for (messages, word) in [
            (&[][..], "lost"),
            (&[("A", "churn-1", ""), ("A", "churn-1", "")], "doubled"),
            (&[("B", "churn-1", "")], "not as"),
            (&[("A", "churn-1", "x")], "not as"),
            (&[("A", "churn-1", ""), ("A", "churn-9", "")], "never appended"),
        ] {
            let found = problems(one(), &[], messages);
            assert!(found.len() == 1 && found[0].contains(word), "{found:?}");
        }
        assert!(problems(vec![], &["churn-1"], &[("A", "churn-1", "")])[0].contains("gone"));
    }

    #[test]
    fn either_outcome_of_a_missing_answer_is_right_but_not_both() {
        let moved = || vec![expected("churn-1", "A", vec![Some(Place { folder: "B".into(), flags: BTreeSet::new() })])];
        assert!(problems(moved(), &[], &[("A", "churn-1", "")]).is_empty());
        assert!(problems(moved(), &[], &[("B", "churn-1", "")]).is_empty());
        assert!(problems(moved(), &[], &[("A", "churn-1", ""), ("B", "churn-1", "")])[0].contains("doubled"));
        assert!(problems(moved(), &[], &[])[0].contains("lost"));
        let copied = || vec![expected("churn-1", "A", vec![]), expected("churn-1", "B", vec![None])];
        assert!(problems(copied(), &[], &[("A", "churn-1", "")]).is_empty());
        assert!(problems(copied(), &[], &[("A", "churn-1", ""), ("B", "churn-1", "")]).is_empty());
        assert_eq!(problems(copied(), &[], &[("B", "churn-1", "")]).len(), 1);
    }

    #[test]
    fn accepted_messages_are_there_once() {
        let report = |sent: &[u64], uncertain: &[u64], subjects: &[&str]| {
            let messages: Vec<_> = subjects.iter().map(|&subject| ("INBOX", subject, "")).collect();
            let mut report = Report::default();
            let sent = Dripped {
                prefix: "d".into(),
                sent: sent.iter().copied().collect(),
                uncertain: uncertain.iter().copied().collect(),
                ..Dripped::default()
            };
            dripped(&sent, &dump(&messages), &mut report);
            (report.delivered, report.problems)
        };
        assert_eq!(report(&[1, 2], &[], &["d 1", "d 2", "dd 3", "d x"]), (2, vec![]));
        assert!(report(&[1, 2], &[], &["d 1"]).1[0].contains("lost"));
        assert!(report(&[1], &[], &["d 1", "d 1"]).1[0].contains("doubled"));
        assert!(report(&[1], &[], &["d 1", "d 2"]).1[0].contains("never accepted"));
        assert_eq!(report(&[1], &[1, 2], &["d 1", "d 1", "d 2"]), (1, vec![]));
        let mut refused = Report::default();
        let permanent = vec![Refusal { n: 1, code: 550, text: "no".into() }];
        dripped(&Dripped { permanent, ..Dripped::default() }, &dump(&[]), &mut refused);
        assert_eq!(refused.problems.len(), 1);
    }
}
