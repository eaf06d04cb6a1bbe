//! `login-probe` and `imap-where`: can one sign in, how long does it take, and who answers?

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::error::{Error, Result};
use super::imap::parse::Value;
use super::imap::{Account, Session};
use super::net::Wire;
use super::stop::{Stop, Until};
use super::{millis, print};

/// Signs in again and again.
#[derive(Debug, clap::Args)]
pub struct Probe {
    #[command(flatten)]
    account: Account,
    /// The time from one attempt's end to the next attempt.
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 50)]
    every_ms: u64,
    /// POP3 instead of IMAP, on port 995 unless another than 993 is given.
    #[arg(long)]
    pop3: bool,
    /// How many attempts; without it, until it is told to stop.
    #[arg(long)]
    count: Option<u64>,
    #[command(flatten)]
    until: Until,
}

#[derive(Debug, Default, Serialize)]
struct Report {
    attempts: u64,
    failures: Vec<Failure>,
    slowest_ms: u64,
    p50_ms: u64,
    p95_ms: u64,
    /// The longest time from one success to the next.
    longest_gap_ms: u64,
    /// The addresses that let the client in, and how often each.
    peers: BTreeMap<String, u64>,
}

#[derive(Debug, Serialize)]
struct Failure {
    /// When the attempt began, from the start.
    at_ms: u64,
    /// How long it took to fail.
    after_ms: u64,
    text: String,
}

impl Probe {
    /// Tries until it is told to stop; true when every attempt succeeded.
    pub fn run(&self) -> Result<bool> {
        let stop = Stop::new(&self.until)?;
        let password = self.account.password()?;
        let (start, mut last) = (Instant::now(), Instant::now());
        let (mut report, mut times) = (Report::default(), Vec::new());
        while !stop.asked() && self.count.is_none_or(|count| report.attempts < count) {
            let began = Instant::now();
            report.attempts += 1;
            let peer = if self.pop3 { self.pop3(&password) } else { self.imap(&password) };
            let took = millis(began.elapsed());
            match peer {
                Ok(peer) => {
                    *report.peers.entry(peer).or_default() += 1;
                    times.push(took);
                    report.longest_gap_ms = report.longest_gap_ms.max(millis(last.elapsed()));
                    last = Instant::now();
                }
                Err(error) => {
                    let at_ms = millis(began.duration_since(start));
                    report.failures.push(Failure { at_ms, after_ms: took, text: error.to_string() });
                }
            }
            stop.wait_until(Instant::now() + Duration::from_millis(self.every_ms));
        }
        report.longest_gap_ms = report.longest_gap_ms.max(millis(last.elapsed()));
        times.sort_unstable();
        (report.p50_ms, report.p95_ms) = (percentile(&times, 50), percentile(&times, 95));
        report.slowest_ms = times.last().copied().unwrap_or(0);
        print(&report)?;
        Ok(report.failures.is_empty())
    }

    /// Signs in and out; the address that answered.
    fn imap(&self, password: &str) -> Result<String> {
        let mut session = Session::connect(&self.account)?;
        session.login(&self.account.user, password)?;
        let peer = session.wire().peer.ip().to_string();
        session.logout();
        Ok(peer)
    }

    fn pop3(&self, password: &str) -> Result<String> {
        let port = if self.account.port == 993 { 995 } else { self.account.port };
        let mut wire = Wire::connect(&self.account.host, port, self.account.patience())?.secure()?;
        accepted(&mut wire)?;
        for line in [format!("USER {}", self.account.user), format!("PASS {password}")] {
            wire.send(format!("{line}\r\n").as_bytes())?;
            accepted(&mut wire)?;
        }
        wire.send(b"QUIT\r\n")?;
        accepted(&mut wire)?;
        Ok(wire.peer.ip().to_string())
    }
}

fn accepted(wire: &mut Wire) -> Result<()> {
    let line = wire.line()?;
    if line.starts_with("+OK") { Ok(()) } else { Err(Error::No(line)) }
}

/// The smallest of the sorted `times` that at least `percent` of them do not exceed; 0 when there are none.
fn percentile(times: &[u64], percent: usize) -> u64 {
    let rank = (times.len() * percent).div_ceil(100);
    times.get(rank.saturating_sub(1)).copied().unwrap_or(0)
}

/// Signs in once and says who answered.
#[derive(Debug, clap::Args)]
pub struct Where {
    #[command(flatten)]
    account: Account,
}

#[derive(Debug, Serialize)]
struct Answering {
    host: String,
    peer: String,
    greeting: String,
    /// The names its certificate is valid for.
    certificate_names: Vec<String>,
    /// What it says of itself (RFC 2971).
    id: BTreeMap<String, String>,
    signed_in: bool,
    /// What it said to the sign-in.
    login_text: String,
}

impl Where {
    /// Prints who answered; true when signing in succeeded.
    pub fn run(&self) -> Result<bool> {
        let mut session = Session::connect(&self.account)?;
        let id = session.run("ID NIL")?;
        let words: Vec<String> = id
            .named("ID")
            .flat_map(|data| data.values.first().map_or(&[][..], Value::list))
            .map(|value| value.text().unwrap_or_default())
            .collect();
        let login = session.login(&self.account.user, &self.account.password()?);
        let answering = Answering {
            host: self.account.host.clone(),
            peer: session.wire().peer.ip().to_string(),
            greeting: session.greeting.clone(),
            certificate_names: session.wire().certificate().map(names).unwrap_or_default(),
            id: words.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect(),
            signed_in: login.is_ok(),
            login_text: login.map_or_else(|error| error.to_string(), |answer| answer.text),
        };
        session.logout();
        print(&answering)?;
        Ok(answering.signed_in)
    }
}

/// The host names in a certificate.
fn names(certificate: &[u8]) -> Vec<String> {
    let Ok((_, parsed)) = x509_parser::parse_x509_certificate(certificate) else { return Vec::new() };
    let Ok(Some(alternatives)) = parsed.subject_alternative_name() else { return Vec::new() };
    let named = alternatives.value.general_names.iter().filter_map(|name| match name {
        x509_parser::extensions::GeneralName::DNSName(name) => Some((*name).to_owned()),
        _ => None,
    });
    named.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_times_that_were_measured() {
        assert_eq!(percentile(&[], 50), 0);
        assert_eq!(percentile(&[7], 95), 7);
        assert_eq!(percentile(&[1, 2, 3, 4], 50), 2);
        assert_eq!(percentile(&(1..=100).collect::<Vec<_>>(), 95), 95);
    }
}
