//! Where a child's API token comes from: a file, the environment, or standard input; the argument list only if insisted on,
//! because everyone on the machine can read that.

use super::output;
use crate::cli::exit::Failure;
use crate::error::{Code, Error};
use clap::Args;
use std::io::{BufRead as _, IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};

/// The environment variable that may hold the token.
pub const VARIABLE: &str = "LINKED_NODES_TOKEN";

/// The longest token file that makes sense, in bytes.
const LONGEST: u64 = 4096;

/// How the token is handed over.
#[derive(Debug, Args)]
pub struct TokenSource {
    /// File that holds the API token; `-` for standard input. Without it: the environment variable `LINKED_NODES_TOKEN`, else standard
    /// input.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// The API token itself. Other users of this machine can see it while the command runs: prefer `--token-file`.
    #[arg(long, value_name = "TOKEN", conflicts_with = "token_file")]
    token: Option<String>,
}

impl TokenSource {
    /// Whether a source is named on the command line.
    pub fn is_named(&self) -> bool {
        self.token.is_some() || self.token_file.is_some()
    }

    /// The token; asks for it without echo when a person sits at the terminal.
    ///
    /// # Errors
    /// When there is none, or what is there cannot be a token.
    pub fn read(&self, alias: &str) -> Result<String, Failure> {
        let text = match (&self.token, &self.token_file) {
            (Some(token), _) => token.clone(),
            (None, Some(file)) if file.as_os_str() != "-" => file_text(file, "token")?,
            (None, Some(_)) => standard_input(alias)?,
            (None, None) => match std::env::var(VARIABLE) {
                Ok(token) if !token.is_empty() => token,
                _ => standard_input(alias)?,
            },
        };
        checked(&text)
    }
}

/// How a password is handed over, instead of a token. It is used once, to make a token, and kept nowhere.
#[derive(Debug, Args)]
pub struct PasswordSource {
    /// File whose first line is the user's password on the child (`-` for standard input): used once to make a token there, and not kept.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["token", "token_file"])]
    password_file: Option<PathBuf>,
    /// Ask for the user's password on the child, instead of taking a token.
    #[arg(long, conflicts_with_all = ["token", "token_file", "password_file"])]
    password_prompt: bool,
}

impl PasswordSource {
    /// The password, when one is to be used.
    ///
    /// # Errors
    /// When there is none where it was said to be.
    pub fn read(&self, alias: &str) -> Result<Option<String>, Failure> {
        let text = match &self.password_file {
            None if self.password_prompt => secret_line(&format!("Type the password of {alias} (it will not be shown)"))?,
            None => return Ok(None),
            Some(file) if file.as_os_str() == "-" => {
                secret_line(&format!("Type the password of {alias} (it will not be shown)"))?
            }
            Some(file) => file_text(file, "password")?,
        };
        let password = text.lines().next().unwrap_or_default();
        if password.is_empty() {
            return Err(Failure::usage(Error::new(Code::Invalid, "No password was given.")));
        }
        Ok(Some(password.to_owned()))
    }
}

fn file_text(file: &Path, what: &str) -> Result<String, Failure> {
    let unreadable = |cause| Error::machine(format!("reading the {what} from {}", file.display()), cause);
    let mut text = String::new();
    let opened = std::fs::File::open(file).map_err(unreadable)?;
    opened.take(LONGEST).read_to_string(&mut text).map_err(unreadable)?;
    Ok(text)
}

fn standard_input(alias: &str) -> Result<String, Failure> {
    secret_line(&format!("Paste the API token of {alias} (it will not be shown)"))
}

/// A line of standard input; a person at a terminal is asked for it, without echo.
fn secret_line(question: &str) -> Result<String, Failure> {
    let input = std::io::stdin();
    let asked = input.is_terminal();
    let quiet = asked.then(|| Quiet::new(&input)).flatten();
    if asked {
        output::note(&format!("{question} and press Enter:"));
    }
    let mut line = String::new();
    let read = input.lock().take(LONGEST).read_line(&mut line);
    drop(quiet);
    read.map_err(|cause| Error::machine("reading standard input", cause))?;
    Ok(line)
}

fn checked(text: &str) -> Result<String, Failure> {
    let token = text.trim();
    let none = |message: &str| {
        Failure::usage(Error::new(Code::Invalid, message).hint(
            "Create a token for root on the child (WHM » Manage API Tokens, or “whmapi1 api_token_create token_name=linked-nodes”) \
             and hand it over with --token-file FILE, in LINKED_NODES_TOKEN, or on standard input.",
        ))
    };
    if token.is_empty() {
        return Err(none("No API token was given."));
    }
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(none("What was given as API token is not one: a token is a single word of letters and digits."));
    }
    Ok(token.to_owned())
}

/// Keeps the terminal from showing what is typed, until dropped.
struct Quiet<'a> {
    terminal: &'a std::io::Stdin,
    before: rustix::termios::Termios,
}

impl<'a> Quiet<'a> {
    fn new(terminal: &'a std::io::Stdin) -> Option<Self> {
        let before = rustix::termios::tcgetattr(terminal).ok()?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(rustix::termios::LocalModes::ECHO);
        rustix::termios::tcsetattr(terminal, rustix::termios::OptionalActions::Flush, &quiet).ok()?;
        Some(Self { terminal, before })
    }
}

impl Drop for Quiet<'_> {
    fn drop(&mut self) {
        let _ = rustix::termios::tcsetattr(self.terminal, rustix::termios::OptionalActions::Now, &self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::exit::Exit;

    #[test]
    fn a_token_is_one_word() {
        assert_eq!(checked(" ABC123\n").unwrap(), "ABC123");
        assert_eq!(checked("").unwrap_err().exit, Exit::Usage);
        assert_eq!(checked("two words").unwrap_err().exit, Exit::Usage);
        assert_eq!(checked("a\u{7f}b").unwrap_err().exit, Exit::Usage);
    }
}
