//! How a page asks `serve`.

use super::request::Request;
use crate::error::{Code, Error, Result};
use crate::wire::{AdminCall, Client, PageCall, PageNote, PageSession};
use serde::de::DeserializeOwned;
use std::path::Path;
use std::time::Duration;

/// How long `serve` may take over what it has at hand.
const AT_HAND: Duration = Duration::from_secs(10);
/// How long it may take over something that speaks to a child.
const SPEAKING: Duration = Duration::from_secs(120);

/// The way to `serve`, for one request.
pub struct Means<'a> {
    socket: &'a Path,
    request: &'a Request,
}

impl<'a> Means<'a> {
    /// The way to the socket, in the name of this request's user and session.
    pub fn new(socket: &'a Path, request: &'a Request) -> Self {
        Self { socket, request }
    }

    /// Asks what `serve` has at hand.
    ///
    /// # Errors
    /// [`Code::NotSent`] when `serve` is not there, else its own error.
    pub async fn ask<T: DeserializeOwned>(&self, call: AdminCall) -> Result<T> {
        self.within(AT_HAND, call).await
    }

    /// Asks for something that speaks to a child.
    ///
    /// # Errors
    /// As [`Means::ask`].
    pub async fn act<T: DeserializeOwned>(&self, call: AdminCall) -> Result<T> {
        self.within(SPEAKING, call).await
    }

    /// Asks a page's question.
    ///
    /// # Errors
    /// As [`Means::ask`].
    pub async fn page<T: DeserializeOwned>(&self, ask: PageCall) -> Result<T> {
        self.ask(AdminCall::Page { ask }).await
    }

    async fn within<T: DeserializeOwned>(&self, patience: Duration, call: AdminCall) -> Result<T> {
        let answer = async { Client::connect(self.socket).await?.call(&call).await };
        tokio::time::timeout(patience, answer).await.unwrap_or_else(|_| {
            Err(Error::new(Code::MayHaveHappened, format!("linked-nodes serve did not answer within {} s.", patience.as_secs()))
                .hint("It may have been done; look before you try again. “linked-nodes doctor” tells more."))
        })
    }

    /// What every page shows.
    ///
    /// # Errors
    /// As [`Means::ask`].
    pub async fn session(&self) -> Result<PageSession> {
        let (user, session) = (self.request.user.clone(), self.request.session.clone());
        let note = self.request.query("note").map(str::to_owned);
        self.page(PageCall::Session { user, session, note }).await
    }

    /// Keeps a note for the next page; its name.
    ///
    /// # Errors
    /// As [`Means::ask`].
    pub async fn keep(&self, note: PageNote) -> Result<String> {
        let (user, session) = (self.request.user.clone(), self.request.session.clone());
        self.page(PageCall::Keep { user, session, note }).await
    }
}
