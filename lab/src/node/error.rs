//! What can go wrong while a lab is built, used or taken down.

use std::io;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// A failure, in words for the person at the terminal.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A tool of the machine failed.
    #[error("{command}: {problem}")]
    Command {
        /// The command line.
        command: String,
        /// Its exit status and what it wrote to standard error.
        problem: String,
    },
    /// A file, folder or system call.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: String,
        /// Why it failed.
        source: io::Error,
    },
    /// The machine lacks something: one line each, every one with what to do.
    #[error("this machine is not ready for a lab:\n  {}", .0.join("\n  "))]
    Lacking(Vec<String>),
    /// A condition did not come true in time.
    #[error("{0}")]
    NotReady(String),
    /// The request makes no sense as it stands.
    #[error("{0}")]
    Refused(String),
}

/// A result of this part of the lab.
pub type Result<T> = std::result::Result<T, Error>;

impl From<Error> for crate::call::Failure {
    fn from(error: Error) -> Self {
        Self::new(error.to_string())
    }
}

/// Says what was being done when a system call failed.
pub trait Context<T> {
    /// Adds `what` to the failure.
    fn doing(self, what: impl Into<String>) -> Result<T>;
}

impl<T, E: Into<io::Error>> Context<T> for std::result::Result<T, E> {
    fn doing(self, what: impl Into<String>) -> Result<T> {
        self.map_err(|source| Error::Io { what: what.into(), source: source.into() })
    }
}

/// Names a path in a failure's text.
pub fn at(verb: &str, path: &Path) -> String {
    format!("{verb} {}", path.display())
}

/// Runs a tool, with `input` on its standard input, and returns its output; a failure carries what it said.
pub fn run(words: &[&str], input: &str) -> Result<Output> {
    use std::io::Write as _;
    let command = words.join(" ");
    let (program, arguments) = words.split_first().ok_or_else(|| Error::Refused("an empty command".into()))?;
    let mut child = Command::new(program)
        .args(arguments)
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .doing(format!("run {command}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A tool that ends without reading its input closes the pipe; its exit status tells the story.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output().doing(format!("run {command}"))?;
    if output.status.success() {
        return Ok(output);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Error::Command { command, problem: format!("{}: {}", output.status, said.trim()) })
}
