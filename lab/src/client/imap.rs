//! An IMAP session: connect, sign in, send a command, take its answers.

pub mod parse;

use std::path::PathBuf;
use std::time::Duration;

use super::error::{Doing as _, Error, Result};
use super::net::Wire;
use parse::{Data, Response, Status, Value};

/// Where to sign in and as whom.
#[derive(Debug, Clone, clap::Args)]
pub struct Account {
    /// The server's name; its certificate must be valid for it.
    #[arg(long)]
    pub host: String,
    /// The port: 143 begins in the clear and asks for TLS, every other is TLS from the start.
    #[arg(long, default_value_t = 993)]
    pub port: u16,
    /// The login.
    #[arg(long)]
    pub user: String,
    /// The password.
    #[arg(long, required_unless_present = "password_file")]
    password: Option<String>,
    /// A file whose first line is the password.
    #[arg(long, conflicts_with = "password")]
    password_file: Option<PathBuf>,
    /// How long the server may take for any answer, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    patience: u64,
}

impl Account {
    /// The password, from where it was given.
    pub fn password(&self) -> Result<String> {
        match (&self.password, &self.password_file) {
            (Some(password), _) => Ok(password.clone()),
            (None, Some(path)) => {
                let text = std::fs::read_to_string(path).doing(format!("read {}", path.display()))?;
                Ok(text.lines().next().unwrap_or_default().to_owned())
            }
            (None, None) => Err(Error::Usage("no password given".into())),
        }
    }

    /// How long the server may take for any answer.
    pub fn patience(&self) -> Duration {
        Duration::from_secs(self.patience)
    }
}

/// A connection to an IMAP server.
pub struct Session {
    wire: Wire,
    tags: u32,
    /// What the server said first.
    pub greeting: String,
}

/// The answer to a command that the server carried out.
#[derive(Debug)]
pub struct Answer {
    /// The text of its `OK`.
    pub text: String,
    /// The texts of untagged statuses on the way.
    pub notes: Vec<String>,
    /// Untagged data on the way.
    pub data: Vec<Data>,
}

impl Answer {
    /// The arguments of a response code, such as `APPENDUID`, wherever in the answer it came.
    pub fn code(&self, name: &str) -> Option<&str> {
        self.notes.iter().chain([&self.text]).find_map(|text| code(text, name))
    }

    /// The data of this name.
    pub fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Data> {
        self.data.iter().filter(move |data| data.name == name)
    }
}

/// The arguments of the response code `name` at the head of a status text.
pub fn code<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let inside = text.strip_prefix('[')?.split_once(']')?.0;
    let (word, rest) = inside.split_once(' ').unwrap_or((inside, ""));
    word.eq_ignore_ascii_case(name).then_some(rest)
}

/// A string as an argument: quoted, or as a literal the server need not ask for (RFC 7888) when it cannot be quoted.
pub fn astring(text: &[u8]) -> Vec<u8> {
    if text.iter().any(|byte| !matches!(byte, b' '..=b'~')) {
        return [format!("{{{}+}}\r\n", text.len()).as_bytes(), text].concat();
    }
    let mut quoted = vec![b'"'];
    for byte in text {
        if matches!(byte, b'"' | b'\\') {
            quoted.push(b'\\');
        }
        quoted.push(*byte);
    }
    quoted.push(b'"');
    quoted
}

/// A command from its words and strings.
#[macro_export]
macro_rules! imap {
    ($($part:expr),+ $(,)?) => { [$(AsRef::<[u8]>::as_ref(&$part)),+].concat() };
}

impl Session {
    /// Connects, in TLS, and takes the greeting.
    pub fn connect(account: &Account) -> Result<Self> {
        let mut wire = Wire::connect(&account.host, account.port, account.patience())?;
        if account.port != 143 {
            wire = wire.secure()?;
        }
        let mut session = Self { wire, tags: 0, greeting: String::new() };
        session.greeting = match session.response()? {
            Response::Status(Status::Ok | Status::Preauth, text) => text,
            other => return Err(Error::Protocol(format!("{other:?} instead of a greeting"))),
        };
        if account.port == 143 {
            session.run("STARTTLS")?;
            session.wire = session.wire.secure()?;
        }
        Ok(session)
    }

    /// Connects and signs in.
    pub fn open(account: &Account) -> Result<Self> {
        let mut session = Self::connect(account)?;
        session.login(&account.user, &account.password()?)?;
        Ok(session)
    }

    /// Signs in.
    pub fn login(&mut self, user: &str, password: &str) -> Result<Answer> {
        self.run(imap!("LOGIN ", astring(user.as_bytes()), " ", astring(password.as_bytes())))
    }

    /// The connection below.
    pub fn wire(&self) -> &Wire {
        &self.wire
    }

    /// Sends a command and collects its answer.
    pub fn run(&mut self, command: impl AsRef<[u8]>) -> Result<Answer> {
        let mut answer = Answer { text: String::new(), notes: Vec::new(), data: Vec::new() };
        let (notes, data) = (&mut answer.notes, &mut answer.data);
        let text = self.stream(command, &mut |response| {
            match response {
                Response::Status(_, text) => notes.push(text),
                Response::Data(one) => data.push(one),
                Response::Continue(_) | Response::Tagged(..) => {}
            }
            Ok(())
        })?;
        answer.text = text;
        Ok(answer)
    }

    /// Sends a command, hands on every response as it arrives, and returns the text of the final `OK`.
    pub fn stream(&mut self, command: impl AsRef<[u8]>, each: &mut dyn FnMut(Response) -> Result<()>) -> Result<String> {
        self.tags += 1;
        let tag = format!("c{}", self.tags);
        self.wire.send(&imap!(tag, " ", command, "\r\n"))?;
        loop {
            match self.response()? {
                Response::Tagged(answered, status, text) if answered == tag => {
                    return match status {
                        Status::Ok => Ok(text),
                        Status::No => Err(Error::No(text)),
                        _ => Err(Error::Bad(text)),
                    };
                }
                Response::Tagged(answered, ..) => return Err(Error::Protocol(format!("an answer to {answered}, not {tag}"))),
                other => each(other)?,
            }
        }
    }

    /// Takes what the server says unasked; an error when it has ended the session.
    pub fn hear(&mut self) -> Result<()> {
        while self.wire.has_news()? {
            self.response()?;
        }
        Ok(())
    }

    /// Signs out. The session is over, whatever the server says.
    pub fn logout(mut self) {
        let _ = self.wire.send(b"bye LOGOUT\r\n");
        while self.response().is_ok() {}
    }

    /// One response; `BYE` is an error.
    fn response(&mut self) -> Result<Response> {
        match parse::response(self.wire.reader())? {
            Response::Status(Status::Bye, text) => Err(Error::Bye(text)),
            other => Ok(other),
        }
    }
}

/// The items of a `FETCH` response by name.
pub fn items(data: &Data) -> impl Iterator<Item = (&str, &Value)> {
    let list = data.values.first().map_or(&[][..], Value::list);
    list.chunks_exact(2).filter_map(|pair| match &pair[0] {
        Value::Atom(name) => Some((name.as_str(), &pair[1])),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_quoted_or_counted() {
        assert_eq!(astring(b"INBOX.a b"), b"\"INBOX.a b\"");
        assert_eq!(astring(b"a\"b\\c"), b"\"a\\\"b\\\\c\"");
        assert_eq!(astring(b""), b"\"\"");
        assert_eq!(astring("é\n".as_bytes()), "{3+}\r\né\n".as_bytes());
    }

    #[test]
    fn codes_are_found_by_name() {
        assert_eq!(code("[APPENDUID 12 34] done", "appenduid"), Some("12 34"));
        assert_eq!(code("[ALREADYEXISTS] x", "ALREADYEXISTS"), Some(""));
        assert_eq!(code("see [APPENDUID 1 2]", "APPENDUID"), None);
        assert_eq!(code("[NONE] x", "APPENDUID"), None);
    }
}
