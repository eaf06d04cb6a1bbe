//! Messages: real ones from the corpus, and generated ones of every size.

use std::fmt::Write as _;

use base64::Engine as _;
use rand::{Rng as _, RngCore as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

include!(concat!(env!("OUT_DIR"), "/real.rs"));

/// The median size of a generated message, in bytes; with `SPREAD` the mean is about 70 KB.
const MEDIAN: f64 = 12_288.0;
/// The standard deviation of the logarithm of the sizes: mean = median × exp(spread² ÷ 2).
const SPREAD: f64 = 1.88;
/// The smallest and largest ordinary message.
const ORDINARY: (f64, f64) = (600.0, 4e6);
/// The smallest and largest big message.
const BIG: std::ops::Range<u64> = 5_000_000..20_000_000;
/// One message in so many is a real one.
const REAL_EVERY: u32 = 4;
/// From this size on a message carries an attachment.
const ATTACHMENT_FROM: u64 = 24_000;

const WORDS: &[&str] = &[
    "about", "account", "after", "agenda", "again", "answer", "attached", "before", "budget", "build", "call", "change", "check",
    "contract", "copy", "date", "deadline", "delivery", "document", "draft", "early", "error", "estimate", "first", "follow",
    "for", "from", "great", "have", "hello", "hope", "invoice", "is", "issue", "just", "kind", "last", "later", "list", "look",
    "mail", "meeting", "message", "minutes", "monday", "month", "move", "much", "need", "new", "next", "note", "number", "of",
    "office", "on", "order", "our", "paper", "part", "payment", "plan", "please", "price", "question", "quote", "ready",
    "regards", "release", "reminder", "reply", "report", "review", "send", "server", "should", "soon", "status", "still", "sure",
    "talk", "thanks", "that", "the", "then", "this", "time", "to", "today", "travel", "tuesday", "update", "version", "wait",
    "week", "when", "will", "with", "work", "would", "year", "you", "Grüße", "naïve", "coût", "señor", "Zürich",
];

/// Text to cut bodies from, with the places of its line ends, so that a slice's lines are counted without looking at it.
struct Pool {
    text: Vec<u8>,
    line_ends: Vec<usize>,
}

impl Pool {
    fn new(text: Vec<u8>) -> Self {
        let line_ends = text.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at).collect();
        Self { text, line_ends }
    }

    /// Appends `length` bytes of the pool from `start` on, round and round, and returns how many lines end in them.
    fn copy(&self, mut start: usize, mut length: usize, to: &mut Vec<u8>) -> usize {
        let mut lines = 0;
        while length > 0 {
            let end = (start + length).min(self.text.len());
            to.extend_from_slice(self.text.get(start..end).unwrap_or_default());
            lines += self.line_ends.partition_point(|&at| at < end) - self.line_ends.partition_point(|&at| at < start);
            length -= end - start;
            start = 0;
        }
        lines
    }
}

/// A message, ready to be stored.
#[derive(Debug, Default)]
pub struct Message {
    /// Its bytes, lines ending as stored.
    pub bytes: Vec<u8>,
    /// Its size with every line ending in CR LF, as IMAP counts it (the `W=` of a Maildir name).
    pub wire_size: u64,
    /// Whether it is from the corpus.
    pub real: bool,
}

/// Makes messages, one after the other.
pub struct Generator {
    random: ChaCha8Rng,
    words: Pool,
    attachment: Pool,
    count: u32,
}

impl Generator {
    /// Everything it makes follows from `seed`.
    pub fn new(seed: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut text = String::new();
        while text.len() < 1 << 20 {
            let line = (0..11).map(|_| word(&mut random)).collect::<Vec<_>>().join(" ");
            text.push_str(&line);
            text.push('\n');
        }
        let mut noise = vec![0; 57 * 20_000];
        random.fill_bytes(&mut noise);
        let mut attachment = Vec::new();
        for line in noise.chunks(57) {
            attachment.extend_from_slice(base64::engine::general_purpose::STANDARD.encode(line).as_bytes());
            attachment.push(b'\n');
        }
        Self { random, words: Pool::new(text.into_bytes()), attachment: Pool::new(attachment), count: 0 }
    }

    /// The source of chance, for what belongs to a message but is not in it.
    pub fn random(&mut self) -> &mut ChaCha8Rng {
        &mut self.random
    }

    /// The next message into `message`, which is emptied first: delivered to `address` at `date` (seconds since 1970).
    pub fn next(&mut self, address: &str, date: i64, big: bool, message: &mut Message) {
        message.bytes.clear();
        message.real = !big && self.count.is_multiple_of(REAL_EVERY);
        let trace = self.trace(address, date);
        let body_lines = if message.real {
            let at = usize::try_from(self.count / REAL_EVERY).unwrap_or(0) % MESSAGES.len();
            message.bytes.extend_from_slice(trace.as_bytes());
            let real = MESSAGES.get(at).copied().unwrap_or_default();
            // Dovecot gives NUL bytes out as something else: no message keeps its digest with them.
            message.bytes.extend(real.iter().filter(|byte| **byte != 0));
            bare_line_ends(&message.bytes) - trace.lines().count()
        } else {
            let size = if big { self.random.random_range(BIG) } else { self.size() };
            message.bytes.extend_from_slice(trace.as_bytes());
            self.compose(address, date, size, &mut message.bytes)
        };
        self.count += 1;
        message.wire_size = (message.bytes.len() + trace.lines().count() + body_lines) as u64;
    }

    /// The lines a delivery puts on top; they also make every copy of a real message one of its own.
    fn trace(&mut self, address: &str, date: i64) -> String {
        let sender = format!("{}@{}.example", word(&mut self.random), self.random.random_range(1..9000));
        let id = self.random.next_u64();
        format!(
            "Return-Path: <{sender}>\nDelivered-To: {address}\nReceived: from mx{}.example ([192.0.2.{}])\n\tby mail.example with esmtps (TLS1.3) id {id:016x}\n\tfor {address}; {}\n",
            self.random.random_range(1..9),
            self.random.random_range(1..255),
            rfc2822(date),
        )
    }

    /// Lognormal (Box–Muller), within what is ordinary.
    fn size(&mut self) -> u64 {
        let (a, b): (f64, f64) = (1.0 - self.random.random::<f64>(), self.random.random());
        let normal = (-2.0 * a.ln()).sqrt() * (std::f64::consts::TAU * b).cos();
        (MEDIAN * (SPREAD * normal).exp()).clamp(ORDINARY.0, ORDINARY.1) as u64
    }

    /// Headers and body of about `size` bytes; returns how many lines it has.
    fn compose(&mut self, address: &str, date: i64, size: u64, to: &mut Vec<u8>) -> usize {
        let subject: Vec<&str> = (0..self.random.random_range(1..8)).map(|_| word(&mut self.random)).collect();
        let id = self.random.next_u64();
        let mut head = format!(
            "Date: {}\nFrom: \"{} {}\" <sender@example.org>\nTo: {address}\nSubject: {}\nMessage-ID: <{id:016x}@example.org>\nMIME-Version: 1.0\n",
            rfc2822(date - 30),
            word(&mut self.random),
            word(&mut self.random),
            subject.join(" ").replace(|c: char| !c.is_ascii(), "?"),
        );
        let attachment = size >= ATTACHMENT_FROM;
        if attachment {
            head.push_str("Content-Type: multipart/mixed; boundary=\"part\"\n\n--part\n");
        }
        head.push_str("Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n");
        let mut lines = head.lines().count();
        to.extend_from_slice(head.as_bytes());
        let text = if attachment { self.random.random_range(500..6000) } else { size.saturating_sub(to.len() as u64) };
        let text = usize::try_from(text).unwrap_or(0);
        // From a line's beginning on; where it ends may be in the middle of a letter, as cut messages are.
        let start = self.random.random_range(0..self.words.line_ends.len() / 2);
        let start = self.words.line_ends.get(start).map_or(0, |at| at + 1);
        lines += self.words.copy(start, text, to);
        let mut tail = String::from("\n");
        if attachment {
            // Writing to a String cannot fail.
            let _ = write!(
                tail,
                "--part\nContent-Type: application/octet-stream; name=\"file-{:04}.bin\"\nContent-Transfer-Encoding: base64\n\n",
                self.random.random_range(0..10_000)
            );
        }
        lines += tail.matches('\n').count();
        to.extend_from_slice(tail.as_bytes());
        if attachment {
            let whole = usize::try_from(size).unwrap_or(0).saturating_sub(to.len()) / 77 * 77;
            let first = self.random.random_range(0..self.attachment.line_ends.len());
            lines += self.attachment.copy(first * 77, whole, to);
            to.extend_from_slice(b"--part--\n");
            lines += 1;
        }
        lines
    }
}

/// Line ends without CR, each of which counts one byte more on the wire.
fn bare_line_ends(bytes: &[u8]) -> usize {
    let mut before = 0;
    let mut count = 0;
    for &byte in bytes {
        if byte == b'\n' && before != b'\r' {
            count += 1;
        }
        before = byte;
    }
    count
}

fn word(random: &mut ChaCha8Rng) -> &'static str {
    WORDS.get(random.random_range(0..WORDS.len())).copied().unwrap_or("word")
}

fn rfc2822(seconds: i64) -> String {
    let time = jiff::Timestamp::from_second(seconds).unwrap_or_default();
    time.strftime("%a, %d %b %Y %H:%M:%S +0000").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(seed: u64, count: u32) -> Vec<(Vec<u8>, u64)> {
        let mut generator = Generator::new(seed);
        let mut message = Message::default();
        (0..count)
            .map(|at| {
                generator.next("a@b.test", 1_700_000_000 + i64::from(at), at == 7, &mut message);
                (message.bytes.clone(), message.wire_size)
            })
            .collect()
    }

    #[test]
    fn one_seed_gives_one_corpus() {
        assert!(some(5, 20) == some(5, 20));
        assert!(some(5, 20) != some(6, 20));
    }

    #[test]
    fn wire_sizes_are_exact() {
        for (bytes, wire_size) in some(1, 4 * MESSAGES.len() as u32) {
            assert_eq!(wire_size, (bytes.len() + bare_line_ends(&bytes)) as u64);
        }
    }

    #[test]
    fn sizes_are_as_promised() {
        let mut generator = Generator::new(3);
        let mut sizes: Vec<u64> = (0..20_000).map(|_| generator.size()).collect();
        sizes.sort_unstable();
        let mean = sizes.iter().sum::<u64>() / 20_000;
        assert!((11_000..13_500).contains(&sizes[10_000]), "median {}", sizes[10_000]);
        assert!((55_000..85_000).contains(&mean), "mean {mean}");
        let big = some(1, 8).pop().unwrap();
        assert!(BIG.contains(&(big.0.len() as u64)) || (big.0.len() as u64) < BIG.end + 1000);
    }
}
