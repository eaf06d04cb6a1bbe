//! `smtp-drip`: numbered messages, one a tick, each tried until the server has it or refuses it for good.

use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::error::Result;
use super::smtp::{Delivery, Session};
use super::stop::{Stop, Until};
use super::{millis, print, say};

/// How long a message that was refused for now waits.
const RETRY: Duration = Duration::from_secs(1);

/// Delivers numbered messages.
#[derive(Debug, clap::Args)]
pub struct Drip {
    /// The server, HOST or HOST:PORT (port 25).
    #[arg(long)]
    server: String,
    /// The envelope's sender.
    #[arg(long)]
    from: String,
    /// The recipient.
    #[arg(long)]
    to: String,
    /// The time from one message to the next.
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 100)]
    every_ms: u64,
    /// How many messages; without it, until it is told to stop.
    #[arg(long)]
    count: Option<u64>,
    /// The subject of message number N is “TEXT N”.
    #[arg(long, value_name = "TEXT")]
    prefix: String,
    /// The size of each message's text.
    #[arg(long, value_name = "BYTES", default_value_t = 200)]
    size_bytes: usize,
    /// How many messages in one session.
    #[arg(long, value_name = "N", default_value_t = 1)]
    per_session: u32,
    /// How long to go on with messages that were refused for now after all others are through.
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    patience: u64,
    #[command(flatten)]
    until: Until,
}

/// What became of the messages.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Report {
    /// The subjects' prefix.
    pub prefix: String,
    /// The recipient.
    pub to: String,
    /// The numbers the server accepted.
    pub sent: BTreeSet<u64>,
    /// Refusals for now; a number may have several, and be accepted later.
    pub temporary: Vec<Refusal>,
    /// Refusals for good.
    pub permanent: Vec<Refusal>,
    /// Numbers whose delivery broke off after the message's end: the server may have such a message, and once more from the retry.
    pub uncertain: BTreeSet<u64>,
    /// Numbers still refused for now, or unreachable, at the end.
    pub unsent: BTreeSet<u64>,
    /// How often the connection could not be made or broke.
    pub broken: u64,
    /// The slowest accepted delivery, connecting included.
    pub slowest_ms: u64,
    /// The longest time between two acceptances.
    pub longest_gap_ms: u64,
}

/// A reply that refused a message.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Refusal {
    /// The message.
    pub n: u64,
    /// The reply's code.
    pub code: u16,
    /// The reply's text.
    pub text: String,
}

impl Drip {
    /// Delivers; true when no message was refused for good or left over.
    pub fn run(&self) -> Result<bool> {
        let stop = Stop::new(&self.until)?;
        let (host, port) = match self.server.rsplit_once(':') {
            Some((host, port)) if port.parse::<u16>().is_ok() => (host, port.parse().unwrap_or(25)),
            _ => (self.server.as_str(), 25),
        };
        let run = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
        let mut post = Post { drip: self, host, port, run, session: None, report: Report::default() };
        post.report.prefix.clone_from(&self.prefix);
        post.report.to.clone_from(&self.to);
        post.work(&stop);
        if let Some((session, _)) = post.session {
            session.quit();
        }
        print(&post.report)?;
        Ok(post.report.permanent.is_empty() && post.report.unsent.is_empty())
    }

    /// Message `n`. All its tries carry the same Message-ID.
    fn message(&self, n: u64, run: u128) -> String {
        let word: String = self.prefix.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        let domain = self.from.rsplit_once('@').map_or("client.lab.test", |(_, domain)| domain);
        let date = jiff::Zoned::now().strftime("%a, %d %b %Y %H:%M:%S %z").to_string();
        let mut text = format!(
            "From: <{}>\r\nTo: <{}>\r\nSubject: {} {n}\r\nDate: {date}\r\nMessage-ID: <{word}-{n}.{run}@{domain}>\r\n\r\n",
            self.from, self.to, self.prefix
        );
        let wanted = text.len() + self.size_bytes;
        let mut line = 0_u64;
        while text.len() < wanted {
            line += 1;
            text.push_str(&format!("Message {n}, line {line}: drops of water hollow out a stone by falling often."));
            text.push_str("\r\n");
        }
        text
    }
}

/// The work in hand.
struct Post<'a> {
    drip: &'a Drip,
    host: &'a str,
    port: u16,
    run: u128,
    session: Option<(Session, u32)>,
    report: Report,
}

impl Post<'_> {
    fn work(&mut self, stop: &Stop) {
        let every = Duration::from_millis(self.drip.every_ms);
        let patience = Duration::from_secs(self.drip.patience);
        let mut again: VecDeque<(Instant, u64)> = VecDeque::new();
        let (mut next, mut due, mut last) = (1, Instant::now(), Instant::now());
        let mut over: Option<Instant> = None;
        loop {
            if over.is_none() && (stop.asked() || self.drip.count.is_some_and(|count| next > count)) {
                over = Some(Instant::now() + patience);
            }
            let waiting = again.front().is_some_and(|(when, _)| *when <= Instant::now());
            let n = match over {
                _ if waiting => again.pop_front().map_or(next, |(_, n)| n),
                Some(end) if again.is_empty() || Instant::now() >= end => break,
                Some(_) => {
                    std::thread::sleep(Duration::from_millis(20));
                    continue;
                }
                None => {
                    next += 1;
                    next - 1
                }
            };
            if self.deliver(n) {
                self.report.longest_gap_ms = self.report.longest_gap_ms.max(millis(last.elapsed()));
                last = Instant::now();
            } else if self.report.permanent.last().is_none_or(|refusal| refusal.n != n) {
                again.push_back((Instant::now() + RETRY, n));
            }
            due = (due + every).max(Instant::now());
            if over.is_none() {
                stop.wait_until(due);
            }
        }
        self.report.unsent = again.into_iter().map(|(_, n)| n).collect();
    }

    /// Tries message `n` once; true when the server has accepted it.
    fn deliver(&mut self, n: u64) -> bool {
        let began = Instant::now();
        let message = self.drip.message(n, self.run);
        match self.attempt(message.as_bytes()) {
            Delivery::Accepted => {
                self.report.sent.insert(n);
                self.report.slowest_ms = self.report.slowest_ms.max(millis(began.elapsed()));
                return true;
            }
            Delivery::Temporary(code, text) => {
                say(format_args!("message {n}: {code} {text}; to be tried again"));
                self.report.temporary.push(Refusal { n, code, text });
            }
            Delivery::Permanent(code, text) => {
                say(format_args!("message {n}: {code} {text}; refused for good"));
                self.report.permanent.push(Refusal { n, code, text });
            }
            Delivery::NotSent(error) => {
                say(format_args!("message {n}: {error}; not sent, to be tried again"));
                self.report.broken += 1;
            }
            Delivery::Unknown(error) => {
                say(format_args!("message {n}: {error}; sent but not acknowledged, to be tried again"));
                self.report.broken += 1;
                self.report.uncertain.insert(n);
            }
        }
        false
    }

    fn attempt(&mut self, message: &[u8]) -> Delivery {
        let (mut session, used) = match self.session.take() {
            Some(open) => open,
            None => match Session::connect(self.host, self.port, Duration::from_secs(60)) {
                Ok(session) => (session, 0),
                Err(failed) => return failed,
            },
        };
        let delivery = session.deliver(&self.drip.from, &self.drip.to, message);
        let usable = match &delivery {
            Delivery::Accepted => true,
            Delivery::Temporary(code, _) if *code != 421 => session.reset(),
            Delivery::Permanent(..) => session.reset(),
            _ => false,
        };
        if usable && used + 1 < self.drip.per_session {
            self.session = Some((session, used + 1));
        } else if usable {
            session.quit();
        }
        delivery
    }
}
