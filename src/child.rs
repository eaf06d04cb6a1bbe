//! A linked child as its parent reaches it: its API, and the node channel.

use crate::agent::{self, AgentCall};
use crate::error::{Code, Context as _, Error, Result};
use crate::host::HostCall;
use crate::panel::{Credentials, Panel};
use crate::wire::{Answer, read_line, write_line};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::net::IpAddr;
use std::pin::Pin;
use std::time::Duration;
use tokio::io::BufReader;
use tokio_io_timeout::TimeoutStream;

/// How long a child may take over one request on the channel.
const PATIENCE: Duration = Duration::from_secs(60);

/// A child.
#[derive(Clone)]
pub struct Child {
    /// Its API.
    pub panel: Panel,
}

/// How long a child may be silent in the middle of a mailbox session: it may be writing gigabytes to a slow disk.
const SILENCE: Duration = Duration::from_secs(180);

/// An open channel.
type Channel = BufReader<Pin<Box<TimeoutStream<reqwest::Upgraded>>>>;

impl Child {
    /// Prepares to call a child; nothing is sent yet.
    ///
    /// # Errors
    /// As [`Panel::new`].
    pub fn new(credentials: Credentials) -> Result<Self> {
        Ok(Self { panel: Panel::new(credentials)? })
    }

    async fn channel(&self) -> Result<Channel> {
        let hostname = self.panel.hostname();
        let response = self
            .panel
            .request(reqwest::Method::POST, agent::PATH)
            .header(reqwest::header::CONNECTION, "upgrade")
            .header(reqwest::header::UPGRADE, agent::PROTOCOL)
            .send()
            .await
            .map_err(|cause| {
                let mut error = self.panel.transport(&cause);
                // Opening a channel changes nothing on the child.
                error.code = Code::NotSent;
                error
            })?;
        match response.status().as_u16() {
            101 => {}
            401 | 403 => {
                return Err(Error::new(
                    Code::Denied,
                    format!("“{hostname}” does not accept the token: it must be a root-level WHM API token."),
                )
                .hint("Create one there: “whmapi1 api_token_create token_name=NAME”."));
            }
            status => {
                return Err(Error::new(Code::NotSent, format!("“{hostname}” does not speak the node channel (HTTP {status})."))
                    .hint("Install Linked Nodes there: “linked-nodes install”, then see “linked-nodes doctor”."));
            }
        }
        let upgraded = response
            .upgrade()
            .await
            .map_err(|cause| Error::new(Code::NotSent, format!("“{hostname}” broke off the node channel.")).detail(cause))?;
        // A child that went away without a word must not keep a move waiting for ever.
        let mut timed = TimeoutStream::new(upgraded);
        timed.set_read_timeout(Some(SILENCE));
        timed.set_write_timeout(Some(SILENCE));
        Ok(BufReader::new(Box::pin(timed)))
    }

    async fn exchange(&self, channel: &mut Channel, call: &AgentCall) -> Result<Value> {
        let talk = async {
            write_line(channel, call).await?;
            read_line::<Answer, _>(channel).await
        };
        let answer = tokio::time::timeout(PATIENCE, talk).await.map_err(|_| self.lost("did not answer in time"))?;
        match answer.map_err(|cause| self.lost("broke the connection").detail(cause.message))? {
            Some(Answer::Ok(value)) => Ok(value),
            Some(Answer::Error(error)) => {
                Err(Error { message: format!("“{}”: {}", self.panel.hostname(), error.message), ..error })
            }
            Some(Answer::Event(_)) | None => Err(self.lost("ended the connection without an answer")),
        }
    }

    fn lost(&self, what: &str) -> Error {
        Error::new(Code::MayHaveHappened, format!("“{}” {what}.", self.panel.hostname()))
    }

    /// Sends one request over a channel of its own.
    ///
    /// # Errors
    /// [`Code::NotSent`], [`Code::MayHaveHappened`], [`Code::Denied`], or the child's own error.
    pub async fn call(&self, call: AgentCall) -> Result<Value> {
        let mut channel = self.channel().await?;
        self.exchange(&mut channel, &call).await
    }

    /// Performs an operation on the child's machine.
    ///
    /// # Errors
    /// As [`Child::call`].
    pub async fn host<T: DeserializeOwned>(&self, call: HostCall) -> Result<T> {
        let value = self.call(AgentCall::Host(call)).await?;
        serde_json::from_value(value).context(format!("understanding the answer of “{}”", self.panel.hostname()))
    }

    /// Opens a mailbox session of an account on the child.
    ///
    /// # Errors
    /// As [`Child::call`].
    pub async fn mailbox(&self, user: &str) -> Result<Channel> {
        let mut channel = self.channel().await?;
        self.exchange(&mut channel, &AgentCall::Mailbox { user: user.to_owned() }).await?;
        Ok(channel)
    }

    /// The child's addresses, as this machine resolves its name.
    ///
    /// # Errors
    /// [`Code::NotSent`] when the name does not resolve.
    pub async fn addresses(&self) -> Result<Vec<IpAddr>> {
        resolve(self.panel.hostname()).await
    }
}

/// The addresses of a hostname.
///
/// # Errors
/// [`Code::NotSent`] when the name does not resolve.
pub async fn resolve(hostname: &str) -> Result<Vec<IpAddr>> {
    let found = tokio::net::lookup_host((hostname, 0)).await;
    let mut addresses: Vec<IpAddr> = found
        .map_err(|cause| Error::new(Code::NotSent, format!("“{hostname}” does not resolve: {cause}.")))?
        .map(|address| address.ip().to_canonical())
        .collect();
    addresses.dedup();
    addresses.retain(|address| !address.is_loopback());
    if addresses.is_empty() {
        return Err(Error::new(Code::NotSent, format!("“{hostname}” resolves to no address but loopback."))
            .hint("Give the server's hostname its own address in DNS."));
    }
    Ok(addresses)
}
