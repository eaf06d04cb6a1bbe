//! What can go wrong between a client and a server.

use std::io;

/// A failure of a client. Whether a command may have been carried out is told by what the caller knows: whether it was sent.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The connection could not be made, or broke.
    #[error("{what}: {source}")]
    Lost {
        /// What was being done.
        what: String,
        /// Why it failed.
        source: io::Error,
    },
    /// The server said good-bye.
    #[error("the server ended the session: {0}")]
    Bye(String),
    /// The server understood and refused (IMAP `NO`, POP3 `-ERR`).
    #[error("refused: {0}")]
    No(String),
    /// The server did not understand (IMAP `BAD`).
    #[error("not accepted as a command: {0}")]
    Bad(String),
    /// The server's words make no sense to this client.
    #[error("the server's answer is not understood: {0}")]
    Protocol(String),
    /// What the person asked for cannot be done as asked.
    #[error("{0}")]
    Usage(String),
}

/// A result of a client.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// Whether the connection is gone.
    pub fn is_lost(&self) -> bool {
        matches!(self, Self::Lost { .. } | Self::Bye(_))
    }
}

/// Says what was being done when a system call failed.
pub trait Doing<T> {
    /// Adds `what` to the failure.
    fn doing(self, what: impl Into<String>) -> Result<T>;
}

impl<T, E: Into<io::Error>> Doing<T> for std::result::Result<T, E> {
    fn doing(self, what: impl Into<String>) -> Result<T> {
        self.map_err(|source| Error::Lost { what: what.into(), source: source.into() })
    }
}
