//! The only place that writes to standard output. Data goes there; everything said to a person goes to standard error.

use super::exit::{Exit, Failure, Outcome};
use crate::error::Error;
use serde::Serialize;
use std::io::{IsTerminal as _, Write as _};

/// Writes `text` to standard output, with a line end if it has none.
///
/// # Errors
/// A reader that went away (`| head`) ends the program quietly; any other failure is told.
pub fn data(text: &str) -> Outcome {
    let mut out = std::io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| if text.ends_with('\n') { Ok(()) } else { out.write_all(b"\n") });
    match written.and_then(|()| out.flush()) {
        Ok(()) => Ok(()),
        Err(cause) if cause.kind() == std::io::ErrorKind::BrokenPipe => Err(Failure::silent(Exit::Done)),
        Err(cause) => Err(Error::machine("writing to standard output", cause).into()),
    }
}

/// Writes `value` as indented JSON to standard output.
///
/// # Errors
/// As [`data`].
pub fn json(value: &impl Serialize) -> Outcome {
    data(&serde_json::to_string_pretty(value).map_err(|cause| Error::machine("writing JSON", cause))?)
}

/// Says a line to the person, on standard error. Nobody listening is no failure.
pub fn note(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{}", printable(line));
}

/// The columns of the terminal on standard output; `None` when it is no terminal, where nothing needs to fit.
pub fn width() -> Option<usize> {
    let out = std::io::stdout();
    if !out.is_terminal() {
        return None;
    }
    Some(terminal_size::terminal_size_of(out).map_or(80, |(columns, _)| usize::from(columns.0)))
}

/// Whether progress may be drawn.
pub fn draws() -> bool {
    std::io::stderr().is_terminal()
}

/// Text from elsewhere, made safe for a terminal: control and direction-changing characters become `�`.
pub fn printable(text: &str) -> String {
    text.chars()
        .map(|char| match char {
            '\n' => '\n',
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
            other if other.is_control() => '\u{fffd}',
            other => other,
        })
        .collect()
}

/// Bytes as people read them.
pub fn bytes(count: u64) -> String {
    indicatif::DecimalBytes(count).to_string()
}

/// A span of seconds as people read it.
pub fn span(seconds: u64) -> String {
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7199 => format!("{} min", seconds / 60),
        7200..=172_799 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// `count` of `noun`, with an `s` unless there is one.
pub fn count(count: u64, noun: &str) -> String {
    let number = indicatif::HumanCount(count);
    if count == 1 { format!("{number} {noun}") } else { format!("{number} {noun}s") }
}

/// A moment given in Unix seconds, in the machine's own time zone.
pub fn moment(seconds: i64) -> String {
    match jiff::Timestamp::from_second(seconds) {
        Ok(time) => time.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string(),
        Err(_) => "unknown".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_elsewhere_cannot_drive_the_terminal() {
        assert_eq!(printable("a\u{1b}[2Jb\u{202e}c"), "a\u{fffd}[2Jb\u{fffd}c");
    }

    #[test]
    fn spans_and_counts_read_well() {
        assert_eq!(span(119), "119 s");
        assert_eq!(span(3600), "60 min");
        assert_eq!(count(1, "message"), "1 message");
        assert_eq!(count(10_240, "message"), "10,240 messages");
    }
}
