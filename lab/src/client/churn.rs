//! `imap-churn`: a client that keeps working on a mailbox, through every interruption, and knows what the server promised.

pub mod model;
mod plan;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::error::{Doing as _, Error, Result};
use super::imap::{Account, Answer, Session, astring};
use super::stop::{Stop, Until};
use super::{millis, print, say};
use crate::imap;
use model::{Expected, Model, Operation};
use plan::Planner;

/// How long after a refusal, or after a failure to connect or to sign in, it tries again.
const RETRY: Duration = Duration::from_millis(100);
/// How long it goes on trying what the server refuses.
const PATIENCE: Duration = Duration::from_secs(60);

/// Works on a mailbox.
#[derive(Debug, clap::Args)]
pub struct Churn {
    #[command(flatten)]
    account: Account,
    /// Decides all that it does; a mailbox must not see the same seed twice.
    #[arg(long)]
    seed: u64,
    /// The time from one operation to the next.
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 20)]
    every_ms: u64,
    /// The folder it makes its folders in; it uses the inbox as well.
    #[arg(long, default_value = "INBOX.churn")]
    folder: String,
    /// Write a line for each operation to this file.
    #[arg(long, value_name = "FILE")]
    journal: Option<PathBuf>,
    #[command(flatten)]
    until: Until,
}

/// What must be in the mailbox, and how the server served.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// Operations the server acknowledged.
    pub operations: u64,
    /// Operations whose answer never came.
    pub uncertain: u64,
    /// How often the connection was lost and made again.
    pub reconnects: u64,
    /// The longest time without service: from the first unanswered moment to the next acknowledgement.
    pub longest_gap_ms: u64,
    /// The slowest operation that was acknowledged.
    pub slowest_ms: u64,
    /// How often connecting failed.
    pub connect_failures: u64,
    /// How often signing in was refused or broke off.
    pub login_failures: u64,
    /// Operations that were refused for a time.
    pub refusals: u64,
    /// What the server said when it refused or failed, each once.
    pub texts: BTreeSet<String>,
    /// The addresses that served, and how many sessions each.
    pub peers: BTreeMap<String, u64>,
    /// What must never happen: a refusal that did not end, a change of UIDVALIDITY, an answer without what it must tell.
    pub anomalies: Vec<String>,
    /// Folders it made.
    pub folders: BTreeSet<String>,
    /// Folders it subscribed to.
    pub subscribed: BTreeSet<String>,
    /// Copies that must be there.
    pub expected: Vec<Expected>,
    /// Messages that must not be there: expunged, or never accepted.
    pub gone: Vec<String>,
}

impl Churn {
    /// Works until it is told to stop; true when nothing happened that must not.
    pub fn run(&self) -> Result<bool> {
        let stop = Stop::new(&self.until)?;
        let journal = match &self.journal {
            Some(path) => Some(File::create(path).doing(format!("create {}", path.display()))?),
            None => None,
        };
        let mut work = Work {
            account: &self.account,
            password: self.account.password()?,
            planner: Planner::new(self.seed, &self.folder),
            model: Model::default(),
            report: Report { seed: self.seed, ..Report::default() },
            session: None,
            validity: BTreeMap::new(),
            silent_since: None,
            journal,
            began: Instant::now(),
            stop,
        };
        let mut todo = work.planner.first();
        let mut due = Instant::now();
        loop {
            for operation in &todo {
                if !work.carry_out(operation)? {
                    break;
                }
            }
            due = (due + Duration::from_millis(self.every_ms)).max(Instant::now());
            work.stop.wait_until(due);
            if work.stop.asked() {
                break;
            }
            todo = work.planner.next(&work.model);
        }
        if let Some((session, _)) = work.session.take() {
            session.logout();
        }
        let mut report = work.report;
        (report.expected, report.gone) = work.model.outcome(|n| work.planner.message_id(n));
        report.folders = work.model.folders;
        report.subscribed = work.model.subscribed;
        print(&report)?;
        Ok(report.anomalies.is_empty())
    }
}

/// The work in hand.
struct Work<'a> {
    account: &'a Account,
    password: String,
    planner: Planner,
    model: Model,
    report: Report,
    /// The session and the folder selected in it.
    session: Option<(Session, String)>,
    /// UIDVALIDITY by folder.
    validity: BTreeMap<String, String>,
    /// Since when the server has not answered.
    silent_since: Option<Instant>,
    journal: Option<File>,
    began: Instant,
    stop: Stop,
}

impl Work<'_> {
    /// Does one operation, as often as it takes. True when the server acknowledged it.
    fn carry_out(&mut self, operation: &Operation) -> Result<bool> {
        if let Operation::Append { n, .. } = operation {
            let (_, made) = self.planner.draft(*n);
            self.model.made.insert(*n, made);
        }
        let patience = Instant::now() + PATIENCE;
        loop {
            let Some((mut session, mut selected)) = self.session() else { return Ok(false) };
            let began = Instant::now();
            // Nothing of the operation is sent yet: what goes wrong here leaves no doubt.
            let prepared = session.hear().and_then(|()| self.select(&mut session, &mut selected, operation));
            let (sent, outcome) = match prepared {
                Ok(()) => (true, self.send(&mut session, operation)),
                Err(error) => (false, Err(error)),
            };
            let error = match outcome {
                Ok(answer) => {
                    self.session = Some((session, selected));
                    let uid = self.uid(operation, &answer);
                    self.model.acknowledged(operation, uid);
                    self.report.operations += 1;
                    if let Some(since) = self.silent_since.take() {
                        self.report.longest_gap_ms = self.report.longest_gap_ms.max(millis(since.elapsed()));
                    }
                    self.report.slowest_ms = self.report.slowest_ms.max(millis(began.elapsed()));
                    self.note(operation, "acknowledged", "")?;
                    return Ok(true);
                }
                Err(error) => error,
            };
            let text = error.to_string();
            self.report.texts.insert(text.clone());
            if error.is_lost() {
                say(format_args!("{text}; connecting again"));
                self.silent_since.get_or_insert(began);
                self.report.reconnects += 1;
                let again = matches!(operation, Operation::Create { .. } | Operation::Subscribe { .. });
                if sent && !again {
                    self.model.uncertain(operation);
                    self.report.uncertain += 1;
                    self.note(operation, "uncertain", &text)?;
                    return Ok(false);
                }
                continue;
            }
            if matches!(error, Error::No(_)) && Instant::now() < patience && !self.stop.asked() {
                self.session = Some((session, selected));
                self.report.refusals += 1;
                self.note(operation, "refused", &text)?;
                std::thread::sleep(RETRY);
                continue;
            }
            self.report.anomalies.push(format!("{operation:?}: {text}"));
            if matches!(error, Error::Protocol(_)) {
                // Nobody knows where in the server's words this session is.
                self.model.uncertain(operation);
            } else {
                self.session = Some((session, selected));
            }
            self.note(operation, "given up", &text)?;
            return Ok(false);
        }
    }

    /// The session, signed in again if need be; none when it is time to stop.
    fn session(&mut self) -> Option<(Session, String)> {
        if let Some(open) = self.session.take() {
            return Some(open);
        }
        loop {
            let text = match Session::connect(self.account) {
                Err(error) => {
                    self.report.connect_failures += 1;
                    error.to_string()
                }
                Ok(mut session) => match session.login(&self.account.user, &self.password) {
                    Ok(_) => {
                        *self.report.peers.entry(session.wire().peer.ip().to_string()).or_default() += 1;
                        return Some((session, String::new()));
                    }
                    Err(error) => {
                        self.report.login_failures += 1;
                        error.to_string()
                    }
                },
            };
            say(format_args!("{text}; to be tried again"));
            self.report.texts.insert(text);
            if self.stop.asked() {
                return None;
            }
            std::thread::sleep(RETRY);
        }
    }

    /// Selects the folder the operation works in.
    fn select(&mut self, session: &mut Session, selected: &mut String, operation: &Operation) -> Result<()> {
        let folder = match operation {
            Operation::Store { copy, .. }
            | Operation::Copy { copy, .. }
            | Operation::Move { copy, .. }
            | Operation::Expunge { copy } => &self.model.copies[*copy].place.folder,
            Operation::Append { .. } | Operation::Create { .. } | Operation::Subscribe { .. } => return Ok(()),
        };
        if folder == selected {
            return Ok(());
        }
        selected.clear();
        let folder = folder.clone();
        let answer = session.run(imap!("SELECT ", astring(folder.as_bytes())))?;
        if let Some(validity) = answer.code("UIDVALIDITY") {
            self.validity(&folder, validity);
        }
        *selected = folder;
        Ok(())
    }

    fn send(&self, session: &mut Session, operation: &Operation) -> Result<Answer> {
        let uid = |copy: &usize| self.model.copies[*copy].uid.to_string();
        let words = |flags: &model::Flags| flags.iter().map(String::as_str).collect::<Vec<_>>().join(" ");
        match operation {
            Operation::Append { n, folder, flags } => {
                let (draft, _) = self.planner.draft(*n);
                let head = format!(" ({}) \"{}\" {{{}+}}\r\n", words(flags), draft.date, draft.text.len());
                session.run(imap!("APPEND ", astring(folder.as_bytes()), head, draft.text))
            }
            Operation::Store { copy, flags } => session.run(format!("UID STORE {} FLAGS ({})", uid(copy), words(flags))),
            Operation::Copy { copy, folder } => session.run(imap!("UID COPY ", uid(copy), " ", astring(folder.as_bytes()))),
            Operation::Move { copy, folder } => session.run(imap!("UID MOVE ", uid(copy), " ", astring(folder.as_bytes()))),
            Operation::Expunge { copy } => session.run(format!("UID EXPUNGE {}", uid(copy))),
            Operation::Create { folder } => match session.run(imap!("CREATE ", astring(folder.as_bytes()))) {
                Err(Error::No(text)) if super::imap::code(&text, "ALREADYEXISTS").is_some() => {
                    Ok(Answer { text, notes: Vec::new(), data: Vec::new() })
                }
                other => other,
            },
            Operation::Subscribe { folder } => session.run(imap!("SUBSCRIBE ", astring(folder.as_bytes()))),
        }
    }

    /// The new copy's UID out of APPENDUID or COPYUID (RFC 4315).
    fn uid(&mut self, operation: &Operation, answer: &Answer) -> u64 {
        let (folder, code) = match operation {
            Operation::Append { folder, .. } => (folder, "APPENDUID"),
            Operation::Copy { folder, .. } | Operation::Move { folder, .. } => (folder, "COPYUID"),
            _ => return 0,
        };
        let told = answer.code(code).and_then(|text| {
            let (validity, uids) = text.split_once(' ')?;
            Some((validity.to_owned(), uids.rsplit(' ').next()?.parse().ok()?))
        });
        let Some((validity, uid)) = told else {
            self.report.anomalies.push(format!("{operation:?} answered “{}” without {code}", answer.text));
            return 0;
        };
        self.validity(folder, &validity);
        uid
    }

    /// A folder's UIDVALIDITY must stay: without it all that a client has kept of the folder is void.
    fn validity(&mut self, folder: &str, told: &str) {
        let known = self.validity.entry(folder.into()).or_insert_with(|| told.into());
        if known != told {
            self.report.anomalies.push(format!("UIDVALIDITY of {folder} changed from {known} to {told}"));
            *known = told.into();
        }
    }

    fn note(&mut self, operation: &Operation, outcome: &str, text: &str) -> Result<()> {
        let Some(journal) = &mut self.journal else { return Ok(()) };
        let at = millis(self.began.elapsed());
        let line = serde_json::json!({ "at_ms": at, "outcome": outcome, "text": text, "operation": operation });
        writeln!(journal, "{line}").doing("write the journal")
    }
}
