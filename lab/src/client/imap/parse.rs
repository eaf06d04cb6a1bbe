//! The words of an IMAP server (RFC 3501 section 9), read straight off the connection.
//!
//! A string of any length costs the same memory: its beginning is kept, the whole of it is digested on its way through.

use std::io::{self, BufRead, Read as _};

use sha2::{Digest as _, Sha256};

use crate::client::error::{Doing as _, Error, Result};

/// How much of a string is kept: more than any header block worth reading.
const KEPT: usize = 256 * 1024;
/// The longest atom or line of text.
const LONGEST: usize = 64 * 1024;
/// How deep lists may nest.
const DEEPEST: usize = 64;

/// The kind of a status response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Done.
    Ok,
    /// Refused.
    No,
    /// Not understood.
    Bad,
    /// The session ends.
    Bye,
    /// Signed in from the start.
    Preauth,
}

/// One response of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Response {
    /// `+`: go on sending.
    Continue(String),
    /// The end of a command: tag, outcome, text with its response code.
    Tagged(String, Status, String),
    /// `* OK …` and its like.
    Status(Status, String),
    /// Any other untagged response.
    Data(Data),
}

/// Untagged data, such as `* 12 FETCH (…)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Data {
    /// The number before the name; 0 when there is none.
    pub number: u64,
    /// The name in capitals: `FETCH`, `LIST` …
    pub name: String,
    /// What follows.
    pub values: Vec<Value>,
}

/// A value of the protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// `NIL`.
    Nil,
    /// A bare word, with a section in brackets if it has one: `\Seen`, `42`, `BODY[HEADER.FIELDS (SUBJECT)]`.
    Atom(String),
    /// A quoted string or a literal.
    Text(Text),
    /// A list in parentheses.
    List(Vec<Value>),
}

/// A string that may be larger than memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// Its beginning, up to 256 KiB.
    pub head: Vec<u8>,
    /// Its length in bytes.
    pub length: u64,
    /// SHA-256 of all of it, in hexadecimal.
    pub sha256: String,
}

impl Value {
    /// The value as a string: an atom's or a string's words.
    pub fn text(&self) -> Option<String> {
        match self {
            Self::Atom(word) => Some(word.clone()),
            Self::Text(text) => Some(String::from_utf8_lossy(&text.head).into_owned()),
            Self::Nil | Self::List(_) => None,
        }
    }

    /// The values of a list; none when it is not one.
    pub fn list(&self) -> &[Self] {
        match self {
            Self::List(values) => values,
            _ => &[],
        }
    }
}

/// Reads one response.
pub fn response(reader: &mut impl BufRead) -> Result<Response> {
    let mut parser = Parser { reader };
    let first = parser.word()?;
    if first == "+" {
        return Ok(Response::Continue(parser.rest()?));
    }
    parser.space()?;
    let second = parser.word()?;
    if let Some(status) = status(&second) {
        let text = parser.rest()?;
        return Ok(if first == "*" { Response::Status(status, text) } else { Response::Tagged(first, status, text) });
    }
    if first != "*" {
        return Err(nonsense(format!("“{first} {second}”")));
    }
    let (number, name) = match second.parse() {
        Ok(number) => {
            parser.space()?;
            (number, parser.word()?)
        }
        Err(_) => (0, second),
    };
    let values = parser.values(0)?;
    parser.end()?;
    Ok(Response::Data(Data { number, name: name.to_ascii_uppercase(), values }))
}

fn status(word: &str) -> Option<Status> {
    Some(match word.to_ascii_uppercase().as_str() {
        "OK" => Status::Ok,
        "NO" => Status::No,
        "BAD" => Status::Bad,
        "BYE" => Status::Bye,
        "PREAUTH" => Status::Preauth,
        _ => return None,
    })
}

fn nonsense(what: impl Into<String>) -> Error {
    Error::Protocol(what.into())
}

struct Parser<'a, R> {
    reader: &'a mut R,
}

impl<R: BufRead> Parser<'_, R> {
    fn peek(&mut self) -> Result<u8> {
        let buffer = self.reader.fill_buf().doing("read")?;
        buffer.first().copied().ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof)).doing("read")
    }

    fn next(&mut self) -> Result<u8> {
        let byte = self.peek()?;
        self.reader.consume(1);
        Ok(byte)
    }

    fn expect(&mut self, wanted: u8) -> Result<()> {
        match self.next()? {
            byte if byte == wanted => Ok(()),
            byte => Err(nonsense(format!("“{}” where “{}” belongs", byte.escape_ascii(), wanted.escape_ascii()))),
        }
    }

    fn space(&mut self) -> Result<()> {
        self.expect(b' ')
    }

    /// The end of a line; some servers send a space before it.
    fn end(&mut self) -> Result<()> {
        while self.peek()? == b' ' {
            self.next()?;
        }
        self.expect(b'\r')?;
        self.expect(b'\n')
    }

    /// The rest of a line as text.
    fn rest(&mut self) -> Result<String> {
        let mut text = Vec::new();
        loop {
            match self.next()? {
                b'\n' => break,
                b'\r' if self.peek()? == b'\n' => {}
                _ if text.len() == LONGEST => return Err(nonsense("a line without end")),
                byte => text.push(byte),
            }
        }
        Ok(String::from_utf8_lossy(&text).trim_start_matches(' ').to_owned())
    }

    /// A bare word. `BODY[…]` is one word, whatever its brackets hold.
    fn word(&mut self) -> Result<String> {
        let mut word = Vec::new();
        let mut section = false;
        loop {
            let byte = self.peek()?;
            match byte {
                b'\r' | b'\n' => break,
                b' ' | b'(' | b')' | b'"' if !section => break,
                b'[' if word.eq_ignore_ascii_case(b"BODY") || word.eq_ignore_ascii_case(b"BINARY") => section = true,
                b']' => section = false,
                _ if word.len() == LONGEST => return Err(nonsense("a word without end")),
                _ => {}
            }
            word.push(byte);
            self.next()?;
        }
        if word.is_empty() {
            return Err(nonsense(format!("“{}” where a word belongs", self.peek()?.escape_ascii())));
        }
        Ok(String::from_utf8_lossy(&word).into_owned())
    }

    /// Values up to the end of the line or of the list.
    fn values(&mut self, depth: usize) -> Result<Vec<Value>> {
        let mut values = Vec::new();
        loop {
            match self.peek()? {
                b' ' => drop(self.next()?),
                b')' | b'\r' | b'\n' => return Ok(values),
                _ => values.push(self.value(depth)?),
            }
        }
    }

    fn value(&mut self, depth: usize) -> Result<Value> {
        match self.peek()? {
            b'(' if depth == DEEPEST => Err(nonsense("lists nested without end")),
            b'(' => {
                self.next()?;
                let values = self.values(depth + 1)?;
                self.expect(b')')?;
                Ok(Value::List(values))
            }
            b'"' => self.quoted().map(Value::Text),
            b'{' => self.literal().map(Value::Text),
            _ => {
                let word = self.word()?;
                Ok(if word.eq_ignore_ascii_case("NIL") { Value::Nil } else { Value::Atom(word) })
            }
        }
    }

    fn quoted(&mut self) -> Result<Text> {
        self.expect(b'"')?;
        let mut head = Vec::new();
        loop {
            match self.next()? {
                b'"' => break,
                b'\\' => head.push(self.next()?),
                b'\r' | b'\n' => return Err(nonsense("a quoted string over the end of a line")),
                _ if head.len() == LONGEST => return Err(nonsense("a quoted string without end")),
                byte => head.push(byte),
            }
        }
        Ok(Text { length: head.len() as u64, sha256: hex(&Sha256::digest(&head)), head })
    }

    fn literal(&mut self) -> Result<Text> {
        self.expect(b'{')?;
        let mut digits = String::new();
        loop {
            match self.next()? {
                b'}' => break,
                byte @ b'0'..=b'9' if digits.len() < 19 => digits.push(char::from(byte)),
                _ => return Err(nonsense("a literal without length")),
            }
        }
        let length: u64 = digits.parse().map_err(|_| nonsense("a literal without length"))?;
        self.end()?;
        let mut text = Text { head: Vec::new(), length, sha256: String::new() };
        let mut digest = Sha256::new();
        let mut rest = self.reader.take(length);
        while rest.limit() > 0 {
            let piece = rest.fill_buf().doing("read")?;
            if piece.is_empty() {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof)).doing("read");
            }
            digest.update(piece);
            let kept = piece.len().min(KEPT.saturating_sub(text.head.len()));
            text.head.extend_from_slice(&piece[..kept]);
            let size = piece.len();
            rest.consume(size);
        }
        text.sha256 = hex(&digest.finalize());
        Ok(text)
    }
}

/// Bytes in hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;

    /// Parses with a buffer so small that everything arrives in pieces.
    fn all(text: &str) -> Vec<Response> {
        let mut reader = BufReader::with_capacity(3, text.as_bytes());
        let mut seen = Vec::new();
        while !reader.fill_buf().unwrap().is_empty() {
            seen.push(response(&mut reader).unwrap());
        }
        seen
    }

    fn data(text: &str) -> Data {
        match all(text).remove(0) {
            Response::Data(data) => data,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn literals_are_digested_and_end_where_they_say() {
        let data = data("* 7 FETCH (UID 9 BODY[] {8}\r\na\r\n)b \r\n FLAGS (\\Seen $x))\r\n");
        assert_eq!((data.number, data.name.as_str()), (7, "FETCH"));
        let [values] = data.values.as_slice() else { panic!("{data:?}") };
        let values = values.list();
        let Value::Text(text) = &values[3] else { panic!("{values:?}") };
        assert_eq!((text.head.as_slice(), text.length), (b"a\r\n)b \r\n".as_slice(), 8));
        assert_eq!(text.sha256, hex(&Sha256::digest(b"a\r\n)b \r\n")));
        assert_eq!(values[5].list(), [Value::Atom("\\Seen".into()), Value::Atom("$x".into())]);
    }

    #[test]
    fn quotes_nests_and_nothing() {
        let data = data("* LIST (\\HasChildren (a (NIL) \"\")) \".\" \"INBOX.a\\\\b \\\"c\\\" [d\"\r\n");
        assert_eq!(data.values[2].text().unwrap(), "INBOX.a\\b \"c\" [d");
        let inner = data.values[0].list()[1].list();
        assert_eq!(inner[1], Value::List(vec![Value::Nil]));
        assert_eq!(inner[2].text().unwrap(), "");
    }

    #[test]
    fn a_section_is_one_word() {
        let data =
            data("* 1 FETCH (BODY[HEADER.FIELDS (MESSAGE-ID SUBJECT)] {0}\r\n INTERNALDATE \" 1-Jan-2020 00:00:00 +0000\")\r\n");
        let values = data.values[0].list();
        assert_eq!(values[0], Value::Atom("BODY[HEADER.FIELDS (MESSAGE-ID SUBJECT)]".into()));
        assert_eq!(values[3].text().unwrap(), " 1-Jan-2020 00:00:00 +0000");
        assert_eq!(self::data("* LIST () \".\" INBOX.[x\r\n").values[2].text().unwrap(), "INBOX.[x");
    }

    #[test]
    fn statuses_keep_their_text() {
        assert_eq!(
            all("* OK [UIDVALIDITY 3] it {5}\r\nT1 NO [INUSE] (wait\r\n+ \r\n* BYE\r\n* SEARCH\r\n"),
            [
                Response::Status(Status::Ok, "[UIDVALIDITY 3] it {5}".into()),
                Response::Tagged("T1".into(), Status::No, "[INUSE] (wait".into()),
                Response::Continue(String::new()),
                Response::Status(Status::Bye, String::new()),
                Response::Data(Data { number: 0, name: "SEARCH".into(), values: Vec::new() }),
            ]
        );
    }

    #[test]
    fn what_is_cut_off_is_a_lost_connection_and_nonsense_is_nonsense() {
        let read = |text: &str| response(&mut text.as_bytes());
        assert!(read("* 1 FETCH (BODY[] {10}\r\nabc").is_err_and(|e| e.is_lost()));
        assert!(read("").is_err_and(|e| e.is_lost()));
        assert!(matches!(read("* 1 FETCH (UID 1\r\n"), Err(Error::Protocol(_))));
        assert!(matches!(read("* LIST () {x}\r\n"), Err(Error::Protocol(_))));
        assert!(matches!(read("hello world\r\n"), Err(Error::Protocol(_))));
        assert!(matches!(read(&format!("* X {}\r\n", "(".repeat(1000))), Err(Error::Protocol(_))));
    }
}
