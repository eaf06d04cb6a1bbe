//! One error type for the whole product.
//!
//! An error carries what a person needs (what, why, what next) apart from what only a log needs. Each edge (API envelope, hook line,
//! command line, page) maps it once.

use serde::{Deserialize, Serialize};
use std::fmt;

/// What kind of thing went wrong. Stable: programs may match on it; nothing ever matches on text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Code {
    /// The caller's words make no sense: bad grammar, missing argument.
    Invalid,
    /// The named thing does not exist.
    NotFound,
    /// The thing exists, but its present state forbids this.
    Conflict,
    /// The caller has no right to this.
    Denied,
    /// A rule of linked nodes forbids this.
    Refused,
    /// The call did not reach the other node: nothing happened there.
    NotSent,
    /// The call went out and no answer came back: it may have happened.
    MayHaveHappened,
    /// The other node or cPanel answered, and the answer was a failure.
    Answered,
    /// The product does not do this.
    Unsupported,
    /// The machine did not do what was asked of it: disk, process, database.
    Machine,
}

/// A failure: what happened to what, why, and the next step.
#[derive(Clone, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// The kind.
    pub code: Code,
    /// One sentence for people; names the thing and the reason.
    pub message: String,
    /// What to do next, often a command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// For the log alone; never crosses a socket.
    #[serde(skip)]
    pub detail: Option<String>,
}

/// The product's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of this kind with this message.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None, detail: None }
    }

    /// Adds the next step.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds what only the log may show.
    #[must_use]
    pub fn detail(mut self, detail: impl fmt::Display) -> Self {
        self.detail = Some(detail.to_string());
        self
    }

    /// A failure of the machine while doing `what`.
    pub fn machine(what: impl fmt::Display, cause: impl fmt::Display) -> Self {
        Self::new(Code::Machine, format!("{what}: {cause}"))
    }

    /// Message and hint in one line, for envelopes that hold a single text.
    pub fn one_line(&self) -> String {
        match &self.hint {
            Some(hint) => format!("{} {hint}", self.message),
            None => self.message.clone(),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.code, self.message)?;
        if let Some(hint) = &self.hint {
            write!(f, " [{hint}]")?;
        }
        if let Some(detail) = &self.detail {
            write!(f, " ({detail})")?;
        }
        Ok(())
    }
}

/// Names what was being done when an I/O or library call failed.
pub trait Context<T> {
    /// Turns the failure into a [`Code::Machine`] error that says what was being done.
    fn context(self, what: impl fmt::Display) -> Result<T>;
}

impl<T, E: fmt::Display> Context<T> for std::result::Result<T, E> {
    fn context(self, what: impl fmt::Display) -> Result<T> {
        self.map_err(|cause| Error::machine(what, cause))
    }
}
