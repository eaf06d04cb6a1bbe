//! How the program ends: one exit code for each kind of end, and the one place where an error becomes words on a terminal.

use super::output;
use crate::error::Error;
use std::process::ExitCode;

/// The program's exit codes. Scripts rely on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// It was done.
    Done = 0,
    /// It was tried and failed, or was refused; the message says why.
    Failed = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// `linked-nodes serve` does not answer; nothing was changed.
    NoServe = 3,
    /// The person stopped watching (Ctrl-C); what was started goes on.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// An end other than success: the code, and what to say.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// What to say; `None` when everything has been said already.
    pub error: Option<Error>,
}

impl Failure {
    /// The command line makes no sense.
    pub fn usage(error: Error) -> Self {
        Self { exit: Exit::Usage, error: Some(error) }
    }

    /// `serve` cannot be reached.
    pub fn no_serve(error: Error) -> Self {
        Self { exit: Exit::NoServe, error: Some(error) }
    }

    /// Ends with this code and says nothing more.
    pub fn silent(exit: Exit) -> Self {
        Self { exit, error: None }
    }

    /// Says it on standard error: the message, the hint, and with `verbose` the detail.
    pub fn tell(&self, verbose: bool) {
        let Some(error) = &self.error else { return };
        output::note(&format!("error: {}", error.message));
        if let Some(hint) = &error.hint {
            output::note(&format!("hint: {hint}"));
        }
        match &error.detail {
            Some(detail) if verbose => output::note(&format!("detail: {detail}")),
            _ => {}
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { exit: Exit::Failed, error: Some(error) }
    }
}

/// How a command ends.
pub type Outcome = std::result::Result<(), Failure>;
