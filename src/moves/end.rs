//! The two ends of a move, alike to its steps: this machine, or a child's.

use crate::authority::Authority;
use crate::child::{self, Child};
use crate::error::{Context as _, Result};
use crate::host::{self, HostCall};
use crate::mailbox::{Account, Local, Remote, Side};
use crate::panel::Panel;
use crate::rules::names::LOCAL;
use serde::de::DeserializeOwned;
use std::net::IpAddr;

/// One end.
#[derive(Clone)]
pub enum End {
    /// The parent: this machine.
    Here(Authority),
    /// A child, by its alias.
    There(String, Child),
}

impl End {
    /// The end that a name (alias or `.local`) means.
    ///
    /// # Errors
    /// [`Code::NotFound`](crate::error::Code::NotFound) when the alias is not linked.
    pub fn of(authority: &Authority, name: &str) -> Result<Self> {
        if name == LOCAL {
            return Ok(Self::Here(authority.clone()));
        }
        Ok(Self::There(name.to_owned(), authority.child(name)?))
    }

    /// Its API.
    pub fn panel(&self) -> &Panel {
        match self {
            Self::Here(authority) => &authority.own,
            Self::There(_, child) => &child.panel,
        }
    }

    /// Alias or `.local`.
    pub fn name(&self) -> &str {
        match self {
            Self::Here(_) => LOCAL,
            Self::There(alias, _) => alias,
        }
    }

    /// Performs an operation on its machine.
    ///
    /// # Errors
    /// As [`host::perform`], or as [`Child::call`].
    pub async fn host<T: DeserializeOwned>(&self, call: HostCall) -> Result<T> {
        match self {
            Self::Here(authority) => {
                let value = host::perform(&authority.store, call).await?;
                serde_json::from_value(value).context("understanding this machine")
            }
            Self::There(_, child) => child.host(call).await,
        }
    }

    /// Opens the account's mail there.
    ///
    /// # Errors
    /// When the account is not there or its mail cannot be opened safely.
    pub async fn side(&self, user: &str) -> Result<Box<dyn Side>> {
        match self {
            Self::Here(_) => Ok(Box::new(Local::open(Account::find(user)?)?)),
            Self::There(_, child) => {
                let channel = child.mailbox(user).await?;
                Ok(Box::new(Remote::new(user, tokio_util::io::SyncIoBridge::new(channel))))
            }
        }
    }

    /// Its addresses, as its name resolves here.
    ///
    /// # Errors
    /// When it does not resolve.
    pub async fn addresses(&self) -> Result<Vec<IpAddr>> {
        child::resolve(self.panel().hostname()).await
    }
}
