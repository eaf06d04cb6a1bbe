//! The node channel: what a parent's `serve` says to a child's.
//!
//! The parent asks the child's shim for `POST /linked-nodes/agent` with `Upgrade: linked-nodes/1`, signed with the link's token.
//! The child's shim has cpsrvd prove the token root-level and joins the connection to the child's `serve`. Then the parent sends
//! one [`AgentCall`] a line and gets one [`crate::wire::Answer`] a line back, until [`AgentCall::Mailbox`] turns the connection over
//! to the mailbox engine.

use crate::error::{Code, Error, Result};
use crate::host::{self, HostCall};
use crate::mailbox;
use crate::store::{Parent, Store};
use crate::wire::{Answer, Role, read_line, write_line};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::net::IpAddr;
use tokio::io::{AsyncRead, AsyncWrite, BufReader};

/// The path of the channel on WHM's port.
pub const PATH: &str = "/linked-nodes/agent";
/// The protocol named in `Upgrade`.
pub const PROTOCOL: &str = "linked-nodes/1";

/// One request of the parent.
#[derive(Clone, Serialize, Deserialize)]
#[serde(tag = "agent", rename_all = "snake_case")]
pub enum AgentCall {
    /// Become the caller's child; its calls are known from now on by the token this channel was opened with. → `null`.
    AcceptLink {
        /// The parent's hostname.
        parent: String,
        /// The parent's identity.
        parent_id: String,
        /// Digest of the token that the caller used until now and goes on to use for a moment.
        #[serde(default)]
        former: Option<String>,
    },
    /// No longer be its child. → `null`.
    EndLink {
        /// The parent's identity.
        parent_id: String,
    },
    /// An operation on this machine.
    Host(HostCall),
    /// The connection becomes a mailbox session of this account.
    Mailbox {
        /// cPanel user.
        user: String,
    },
}

/// Who opened a channel, as the shim proved it.
#[derive(Debug, Clone)]
pub struct Opener {
    /// Digest of the token.
    pub token_digest: String,
    /// Where the connection came from.
    pub peer: IpAddr,
}

/// Serves one channel on a child until the parent closes it.
///
/// # Errors
/// When the connection breaks.
pub async fn serve<S>(store: Store, opener: Opener, stream: S) -> Result<()>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let mut stream = BufReader::new(stream);
    while let Some(call) = read_line::<AgentCall, _>(&mut stream).await? {
        if let AgentCall::Mailbox { user } = call {
            let opened = allowed(&store, &opener).and_then(|()| served(&store, &user)).and_then(|()| open_mailbox(&user));
            return match opened {
                Ok(local) => {
                    write_line(&mut stream, &Answer::Ok(Value::Null)).await?;
                    let bridge = tokio_util::io::SyncIoBridge::new(stream);
                    tokio::task::spawn_blocking(move || mailbox::serve(bridge, local))
                        .await
                        .map_err(|cause| Error::machine("serving a mailbox", cause))?
                }
                Err(error) => write_line(&mut stream, &Answer::Error(error)).await,
            };
        }
        let answer = match answer(&store, &opener, call).await {
            Ok(value) => Answer::Ok(value),
            Err(error) => Answer::Error(error),
        };
        write_line(&mut stream, &answer).await?;
    }
    Ok(())
}

/// Only the parent's own token opens anything but a link.
fn allowed(store: &Store, opener: &Opener) -> Result<()> {
    match store.parent()? {
        Some(parent) if parent.token_digest == opener.token_digest => Ok(()),
        Some(parent) if parent.former_digest.as_ref() == Some(&opener.token_digest) => Ok(()),
        Some(parent) => Err(Error::new(
            Code::Denied,
            format!("This server is linked to the parent “{}”; this is not the token of that link.", parent.hostname),
        )),
        None => Err(Error::new(Code::Denied, "This server is not linked to a parent.")),
    }
}

fn served(store: &Store, user: &str) -> Result<()> {
    match store.served(user)? {
        Some(_) => Ok(()),
        None => {
            Err(Error::new(Code::Denied, format!("“{}” is not an account of the parent.", crate::rules::names::printable(user))))
        }
    }
}

fn open_mailbox(user: &str) -> Result<mailbox::Local> {
    mailbox::Local::open(mailbox::Account::find(user)?)
}

async fn answer(store: &Store, opener: &Opener, call: AgentCall) -> Result<Value> {
    match call {
        AgentCall::AcceptLink { parent, parent_id, former } => {
            crate::rules::names::hostname(&parent)?;
            if parent_id == store.node_id()? {
                return Err(Error::new(Code::Conflict, "A server cannot be its own child."));
            }
            let token_digest = opener.token_digest.clone();
            store.set_parent(&Parent { hostname: parent, id: parent_id, token_digest, former_digest: former })?;
            Ok(Value::Null)
        }
        AgentCall::EndLink { parent_id } => {
            match store.parent()? {
                Some(parent) if parent.id != parent_id => {
                    return Err(Error::new(Code::Denied, format!("This server's parent is “{}”.", parent.hostname)));
                }
                Some(_) => {
                    store.clear_parent()?;
                    host::restore_gates(store).await?;
                }
                None => {}
            }
            Ok(Value::Null)
        }
        // Anyone root-level may ask what this machine is: a parent does before it links.
        AgentCall::Host(HostCall::Facts) => host::perform(store, HostCall::Facts).await,
        AgentCall::Host(call) => {
            allowed(store, opener)?;
            host::perform(store, with_peer(call, opener.peer)).await
        }
        AgentCall::Mailbox { .. } => Err(Error::new(Code::Invalid, "A mailbox session ends the channel.")),
    }
}

/// The gate keeps out the parent as it is seen from here too, whatever addresses it knows of itself.
fn with_peer(call: HostCall, peer: IpAddr) -> HostCall {
    match call {
        HostCall::Gate { holder, mut peers } if !peers.is_empty() => {
            peers.push(peer.to_canonical());
            HostCall::Gate { holder, peers }
        }
        other => other,
    }
}

/// Whether this server is a child; for messages.
///
/// # Errors
/// When the store cannot be read.
pub fn parent_name(store: &Store) -> Result<Option<String>> {
    Ok(match store.role()? {
        Role::Child { parent, .. } => Some(parent),
        _ => None,
    })
}
