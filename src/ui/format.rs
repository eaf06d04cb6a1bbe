//! Numbers, sizes and times as people read them.

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

/// A number with its thousands apart.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number of things.
pub fn things(number: u64, thing: &str) -> String {
    format!("{} {thing}{}", count(number), if number == 1 { "" } else { "s" })
}

/// A size in decimal units.
pub fn bytes(size: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if size < 1000 {
        return format!("{size} B");
    }
    let (mut value, mut unit) = (size as f64 / 1000.0, 0);
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    if value < 10.0 { format!("{value:.1} {}", UNITS[unit]) } else { format!("{value:.0} {}", UNITS[unit]) }
}

/// A stretch of time, in one or two units.
pub fn duration(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

/// Milliseconds as seconds.
pub fn milliseconds(ms: u64) -> String {
    if ms < 60_000 { format!("{:.1} s", ms as f64 / 1000.0) } else { duration(ms / 1000) }
}

/// A time as text: for machines, in full, and as its age.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct When {
    /// RFC 3339.
    pub machine: String,
    /// Date and time of day on this server.
    pub full: String,
    /// Its age.
    pub age: String,
}

impl When {
    /// From Unix seconds.
    pub fn seconds(at: i64, now: i64) -> Self {
        Self::at(Timestamp::from_second(at).unwrap_or_default(), Timestamp::from_second(now).unwrap_or_default())
    }

    /// From Unix milliseconds.
    pub fn milliseconds(at: i64, now: i64) -> Self {
        Self::at(Timestamp::from_millisecond(at).unwrap_or_default(), Timestamp::from_second(now).unwrap_or_default())
    }

    fn at(at: Timestamp, now: Timestamp) -> Self {
        let zoned: Zoned = at.to_zoned(TimeZone::system());
        let seconds = now.as_second() - at.as_second();
        let age = match seconds {
            i64::MIN..-59 => format!("in {}", rough(seconds.unsigned_abs())),
            -59..5 => "just now".to_owned(),
            _ => format!("{} ago", rough(seconds.unsigned_abs())),
        };
        Self { machine: at.to_string(), full: zoned.strftime("%Y-%m-%d %H:%M:%S %Z").to_string(), age }
    }
}

fn rough(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// A fingerprint in pairs, as other tools show it.
pub fn fingerprint(hex: &str) -> String {
    let upper = hex.to_uppercase();
    let pairs: Vec<String> = upper.as_bytes().chunks(2).map(|pair| String::from_utf8_lossy(pair).into_owned()).collect();
    pairs.join(":")
}

/// Where mail lives, in words.
pub fn place(name: &str) -> &str {
    if name == crate::rules::names::LOCAL { "this server" } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_read_them() {
        assert_eq!(["0", "999", "1,000", "1,234,567"], [0, 999, 1000, 1_234_567].map(count).each_ref().map(String::as_str));
        assert_eq!(things(1, "account") + ", " + &things(0, "move"), "1 account, 0 moves");
        let sizes = [0, 999, 1000, 1_400_000, 999_999_999, 52_000_000_000, u64::MAX].map(bytes);
        assert_eq!(sizes.each_ref().map(String::as_str), ["0 B", "999 B", "1.0 kB", "1.4 MB", "1.0 GB", "52 GB", "18447 PB"]);
        assert_eq!(
            [7, 61, 7261, 90_000].map(duration).each_ref().map(String::as_str),
            ["7 s", "1 min 1 s", "2 h 1 min", "1 d 1 h"]
        );
        let now = 1_800_000_000;
        let ages = [0, 30, 90, 7200, 400_000, -3600].map(|before| When::seconds(now - before, now).age);
        assert_eq!(ages.each_ref().map(String::as_str), ["just now", "30 s ago", "1 min ago", "2 h ago", "4 days ago", "in 1 h"]);
        assert_eq!(fingerprint("00ffab"), "00:FF:AB");
        assert_eq!(When::seconds(i64::MAX, now).machine, When::seconds(0, now).machine, "a time beyond all times is no panic");
    }
}
