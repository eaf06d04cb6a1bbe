//! An SMTP session (RFC 5321) that delivers messages and knows exactly what the server took over.

use std::time::Duration;

use super::error::{Error, Result};
use super::net::Wire;

/// How a delivery ended.
#[derive(Debug)]
pub enum Delivery {
    /// The server took the message over: 250 after its end.
    Accepted,
    /// The server refused for now, with this reply.
    Temporary(u16, String),
    /// The server refused for good, with this reply.
    Permanent(u16, String),
    /// The connection broke before the message's end was sent: the server has not got it.
    NotSent(Error),
    /// The connection broke after the message's end was sent: the server may have it.
    Unknown(Error),
}

/// A connection to an SMTP server.
pub struct Session {
    wire: Wire,
    name: String,
}

/// A reply: its code and its text.
type Reply = (u16, String);

impl Session {
    /// Connects, greets, and goes over to TLS when the server offers it.
    pub fn connect(host: &str, port: u16, patience: Duration) -> std::result::Result<Self, Delivery> {
        let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let mut session = Self { wire: Wire::connect(host, port, patience).map_err(Delivery::NotSent)?, name };
        session.reply_of(220)?;
        let offers = session.greet()?;
        if offers.iter().any(|offer| offer.eq_ignore_ascii_case("STARTTLS")) {
            session.command("STARTTLS", 220)?;
            session.wire = session.wire.secure().map_err(Delivery::NotSent)?;
            session.greet()?;
        }
        Ok(session)
    }

    /// EHLO; what the server offers.
    fn greet(&mut self) -> std::result::Result<Vec<String>, Delivery> {
        let (_, text) = self.command(&format!("EHLO {}", self.name), 250)?;
        Ok(text.lines().skip(1).map(str::to_owned).collect())
    }

    /// Delivers one message, given with its headers and in lines ending with CRLF.
    pub fn deliver(&mut self, from: &str, to: &str, message: &[u8]) -> Delivery {
        match self.envelope(from, to).and_then(|()| self.data(message)) {
            Ok(()) => Delivery::Accepted,
            Err(other) => other,
        }
    }

    fn envelope(&mut self, from: &str, to: &str) -> std::result::Result<(), Delivery> {
        self.command(&format!("MAIL FROM:<{from}>"), 250)?;
        self.command(&format!("RCPT TO:<{to}>"), 250)?;
        self.command("DATA", 354)?;
        Ok(())
    }

    fn data(&mut self, message: &[u8]) -> std::result::Result<(), Delivery> {
        // Without the end the message is not delivered, so it is sent apart: a failure before it is certain.
        self.wire.send(&stuffed(message)).map_err(Delivery::NotSent)?;
        self.wire.send(b".\r\n").map_err(Delivery::Unknown)?;
        match self.reply() {
            Ok((250, _)) => Ok(()),
            Ok((code @ 400..500, text)) => Err(Delivery::Temporary(code, text)),
            Ok((code, text)) => Err(Delivery::Permanent(code, text)),
            Err(error) => Err(Delivery::Unknown(error)),
        }
    }

    /// Signs off.
    pub fn quit(mut self) {
        let _ = self.wire.send(b"QUIT\r\n");
        let _ = self.reply();
    }

    /// Forgets a delivery that was refused half way, so that the session can be used again.
    pub fn reset(&mut self) -> bool {
        self.command("RSET", 250).is_ok()
    }

    fn command(&mut self, line: &str, wanted: u16) -> std::result::Result<Reply, Delivery> {
        self.wire.send(format!("{line}\r\n").as_bytes()).map_err(Delivery::NotSent)?;
        self.reply_of(wanted)
    }

    fn reply_of(&mut self, wanted: u16) -> std::result::Result<Reply, Delivery> {
        match self.reply() {
            Ok(reply) if reply.0 == wanted => Ok(reply),
            Ok((code @ 400..500, text)) => Err(Delivery::Temporary(code, text)),
            Ok((code, text)) => Err(Delivery::Permanent(code, text)),
            Err(error) => Err(Delivery::NotSent(error)),
        }
    }

    /// A whole reply, of one or more lines.
    fn reply(&mut self) -> Result<Reply> {
        let mut text = String::new();
        loop {
            let line = self.wire.line()?;
            let code = line.get(..3).and_then(|code| code.parse().ok());
            let code: u16 = code.ok_or_else(|| Error::Protocol(format!("“{line}” is no SMTP reply")))?;
            text.push_str(line.get(4..).unwrap_or_default());
            if line.as_bytes().get(3) != Some(&b'-') {
                return Ok((code, text));
            }
            text.push('\n');
        }
    }
}

/// A message with a dot before every line that begins with one (RFC 5321 section 4.5.2), ending with a line's end.
fn stuffed(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len() + 64);
    for line in message.split_inclusive(|byte| *byte == b'\n') {
        if line.starts_with(b".") {
            out.push(b'.');
        }
        out.extend_from_slice(line);
    }
    if !out.ends_with(b"\r\n") {
        out.extend_from_slice(b"\r\n");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_are_doubled_only_where_a_line_begins() {
        assert_eq!(stuffed(b"a.\r\n.\r\n..b\r\nc"), b"a.\r\n..\r\n...b\r\nc\r\n");
        assert_eq!(stuffed(b".x\r\n"), b"..x\r\n");
    }
}
