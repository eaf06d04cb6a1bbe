//! What the roles say to each other over the unix sockets: one JSON document a line, a request, then its answers.
//!
//! * `/run/linked-nodes/admin.sock` (0600 root): [`AdminCall`], from the command line, the hooks and the pages.
//! * `/run/linked-nodes/shim.sock` (0660, group `linkednodes`): [`ShimCall`], from the shim.
//!
//! An answer is [`Answer::Ok`] or [`Answer::Error`]; a watching call gets any number of [`Answer::Event`] before it.

use crate::error::{Code, Error, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;

mod pages;
mod views;

pub use pages::*;
pub use views::*;

/// Where `serve` listens for administrators.
pub const ADMIN_SOCKET: &str = "/run/linked-nodes/admin.sock";
/// Where `serve` listens for the shim.
pub const SHIM_SOCKET: &str = "/run/linked-nodes/shim.sock";
/// The longest line either side accepts, in bytes.
pub const MAX_LINE: usize = 64 << 20;

/// Arguments of an API call in the order given, decoded, duplicates kept.
pub type Params = Vec<(String, String)>;

/// Where an account's mail is to live.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Destination {
    /// On the parent (`.local` in the API).
    Local,
    /// On the child of this alias.
    Child(String),
}

/// What proves the parent to a server that is to be its child.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Credential {
    /// A root-level WHM API token.
    Token(String),
    /// The user's password: used once, to make a token of the link's own; never stored or logged.
    Password(String),
}

/// Which certificate of a child is believed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tls {
    /// One that this system's roots verify.
    Verified,
    /// The one of this SHA-256 (lower-case hex of the DER form), as an administrator saw and confirmed it.
    Pinned(String),
    /// The one it shows now, and no other from then on (`skip_tls_verification=1` of the API).
    AsShown,
}

/// What happens to a child's token when the link ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenFate {
    /// Left as it is (the API's default).
    Leave,
    /// Set to expire in 24 hours (the page's default).
    #[serde(rename = "expire_24h")]
    Expire24h,
}

/// A request on the admin socket. Root is at the other end: the socket's mode proves it.
#[derive(Clone, Serialize, Deserialize)]
#[serde(tag = "call", rename_all = "snake_case")]
pub enum AdminCall {
    /// → [`Status`].
    Status,
    /// Links a child. → [`LinkReport`]: every check with its outcome, also when it fails.
    NodeLink {
        /// Friendly name of the child.
        alias: String,
        /// Hostname of the child.
        hostname: String,
        /// User of the token.
        username: String,
        /// What proves us to it.
        credential: Credential,
        /// Which certificate is believed.
        tls: Tls,
    },
    /// What a server shows before anybody trusts it; signs in nowhere. → [`CertificateView`].
    NodeProbe {
        /// Hostname of the server.
        hostname: String,
    },
    /// Replaces a link's token by a new one made with the present one, and revokes that. → `null`.
    NodeRotate {
        /// Friendly name of the child.
        alias: String,
    },
    /// → `Vec<`[`NodeView`]`>`.
    NodeList,
    /// → [`NodeView`].
    NodeShow {
        /// Friendly name of the child.
        alias: String,
    },
    /// Asks the child now. → [`NodeView`].
    NodeStatus {
        /// Friendly name of the child.
        alias: String,
    },
    /// Changes a link. → `null`.
    NodeUpdate {
        /// Friendly name of the child.
        alias: String,
        /// Hostname of the child.
        hostname: Option<String>,
        /// User of the token.
        username: Option<String>,
        /// Root-level WHM API token of the child.
        token: Option<String>,
        /// Accept the certificate it shows now, and no other, instead of one the system trusts.
        skip_tls_verification: Option<bool>,
    },
    /// Ends a link. → [`NodeView`] as it was.
    NodeUnlink {
        /// Friendly name of the child.
        alias: String,
        /// What becomes of the token.
        token_fate: TokenFate,
    },
    /// → `Vec<`[`AccountView`]`>`: every account of this server.
    AccountList,
    /// Everything the store knows of one account. → [`AccountRecord`].
    AccountShow {
        /// cPanel user.
        user: String,
    },
    /// What a move would do. → [`PlanView`].
    AccountPlan {
        /// cPanel user.
        user: String,
        /// Where the mail goes.
        to: Destination,
    },
    /// Starts a move. → [`MoveView`].
    AccountMove {
        /// cPanel user.
        user: String,
        /// Where the mail goes.
        to: Destination,
    },
    /// Starts a move of each of several accounts; one that is refused does not stop the others. → `Vec<`[`Started`]`>`.
    AccountsMove {
        /// cPanel users.
        users: Vec<String>,
        /// Where the mail goes.
        to: Destination,
    },
    /// What would be lost by forcing. → `Vec<`[`LossView`]`>`, an account each.
    AccountForcePlan {
        /// The child given up.
        alias: String,
        /// cPanel users.
        users: Vec<String>,
    },
    /// Makes the parent the authority without the child's data. → `Vec<`[`Forced`]`>`, an account each.
    AccountForce {
        /// The child given up.
        alias: String,
        /// cPanel users.
        users: Vec<String>,
    },
    /// Makes both halves of an account equal again: what is left of events and what drifted. → [`SyncView`].
    AccountSync {
        /// cPanel user.
        user: String,
    },
    /// What was not followed yet. → `Vec<`[`Remainder`]`>`.
    Remainders,
    /// A question of the pages. → as [`PageCall`] says.
    Page {
        /// The question.
        ask: PageCall,
    },
    /// → `Vec<`[`MoveView`]`>`, newest first.
    MoveList,
    /// → [`MoveView`].
    MoveShow {
        /// Number of the move.
        id: i64,
    },
    /// Events are [`MoveView`]s as the move goes on. → the last [`MoveView`].
    MoveWatch {
        /// Number of the move.
        id: i64,
    },
    /// Undoes a move that has not switched yet. → [`MoveView`].
    MoveCancel {
        /// Number of the move.
        id: i64,
    },
    /// A WHM API 1 call as root, with the product's verdicts applied. → the version 1 envelope.
    Whm {
        /// Name of the function.
        function: String,
        /// Its arguments.
        params: Params,
    },
    /// A UAPI call for an account, with the product's verdicts applied. → the flat UAPI result.
    Uapi {
        /// cPanel user.
        user: String,
        /// Name of the module.
        module: String,
        /// Name of the function.
        function: String,
        /// Its arguments.
        params: Params,
    },
    /// A standard hook's event. → [`HookAnswer`].
    Hook {
        /// As `manage_hooks` names it.
        category: String,
        /// As `manage_hooks` names it.
        event: String,
        /// `pre` or `post`.
        stage: String,
        /// The event's data, without passwords.
        data: Value,
    },
}

/// A request on the shim socket. The shim has proved the caller before it asks.
#[derive(Clone, Serialize, Deserialize)]
#[serde(tag = "call", rename_all = "snake_case")]
pub enum ShimCall {
    /// Answers when the routing differs from version `have`, or after at most 30 s. → [`Routing`].
    Routing {
        /// The version the shim has; 0 for none.
        have: u64,
    },
    /// A WHM API 1 call of a root-level caller that is the product's to answer. → the version 1 envelope.
    Whm {
        /// The user, as proved.
        caller: String,
        /// Name of the function.
        function: String,
        /// Its arguments.
        params: Params,
    },
    /// A UAPI call for a distributed account. `mailbox` names the webmail caller. → the flat UAPI result.
    Uapi {
        /// cPanel user.
        user: String,
        /// The mailbox of a webmail caller.
        mailbox: Option<String>,
        /// Name of the module.
        module: String,
        /// Name of the function.
        function: String,
        /// Its arguments.
        params: Params,
    },
    /// On a child: this UAPI call is about to reach cpsrvd, by the parent or through webmail, and is not to be refused there. → `null`.
    Ticket {
        /// cPanel user.
        user: String,
        /// Name of the module.
        module: String,
        /// Name of the function.
        function: String,
    },
    /// The connection becomes a node channel: `serve` answers [`Answer::Ok`] and then speaks
    /// [`crate::agent`] on it. `token_digest` is [`token_digest`] of the token that the caller proved to be root-level with.
    Agent {
        /// User of the token.
        username: String,
        /// See [`token_digest`].
        token_digest: String,
        /// Where the connection came from.
        peer: std::net::IpAddr,
    },
}

/// One line of an answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// The result; nothing follows.
    Ok(Value),
    /// The failure; nothing follows.
    Error(Error),
    /// News on the way; more follows.
    Event(Value),
}

/// What this server is among linked nodes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Neither parent nor child.
    #[default]
    Unlinked,
    /// Has children.
    Parent,
    /// Serves mail for a parent.
    Child {
        /// The parent's hostname, for messages.
        parent: String,
        /// [`token_digest`] of the token the parent calls with. A call proved with it is the parent's own.
        token_digest: String,
        /// The same of the token before it, while the parent changes over.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        former_digest: Option<String>,
    },
}

/// One distributed account, as the parent's shim needs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Distributed {
    /// The child's alias.
    pub alias: String,
    /// The child's hostname.
    pub hostname: String,
    /// The account's domains.
    pub domains: Vec<String>,
}

/// Everything the shim decides by. A snapshot; it keeps working with the last one while `serve` is down.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Routing {
    /// Grows with every change.
    pub version: u64,
    /// This server's role.
    pub role: Role,
    /// This server's hostname.
    pub hostname: String,
    /// Parent: the accounts whose mail lives on a child, by user.
    pub distributed: BTreeMap<String, Distributed>,
    /// Child: the accounts served for the parent, by user, with their domains.
    pub served: BTreeMap<String, Vec<String>>,
    /// Accounts in the last moments of a move: their mail configuration cannot be written right now.
    pub held: BTreeSet<String>,
}

/// The digest by which a token is recognised without being kept: lower-case hex of SHA-256.
pub fn token_digest(token: &str) -> String {
    use sha2::Digest;
    use std::fmt::Write;
    let mut hex = String::with_capacity(64);
    for byte in sha2::Sha256::digest(token.as_bytes()) {
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

/// A client of one of the sockets; one call at a time.
pub struct Client {
    stream: BufReader<UnixStream>,
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// [`Code::NotSent`] when `serve` is not there.
    pub async fn connect(path: &Path) -> Result<Self> {
        let stream = UnixStream::connect(path).await.map_err(|cause| {
            Error::new(Code::NotSent, format!("linked-nodes serve does not answer on {}: {cause}.", path.display()))
                .hint("See “linked-nodes doctor”.")
        })?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// Sends `call`, hands every event to `event`, returns the result.
    ///
    /// # Errors
    /// The error that `serve` answers, or [`Code::MayHaveHappened`] when it goes away before it answers.
    pub async fn watch<T: DeserializeOwned>(&mut self, call: &impl Serialize, mut event: impl FnMut(Value)) -> Result<T> {
        write_line(&mut self.stream, call).await?;
        loop {
            match read_line::<Answer, _>(&mut self.stream).await? {
                Some(Answer::Ok(value)) => {
                    return serde_json::from_value(value).map_err(|cause| {
                        Error::new(Code::MayHaveHappened, "linked-nodes serve answered in a form this version does not know.")
                            .detail(cause)
                    });
                }
                Some(Answer::Error(error)) => return Err(error),
                Some(Answer::Event(value)) => event(value),
                None => {
                    return Err(Error::new(Code::MayHaveHappened, "linked-nodes serve went away before it answered.")
                        .hint("See “linked-nodes move list” for what became of it."));
                }
            }
        }
    }

    /// Sends `call` and returns the result.
    ///
    /// # Errors
    /// As [`Client::watch`].
    pub async fn call<T: DeserializeOwned>(&mut self, call: &impl Serialize) -> Result<T> {
        self.watch(call, |_| ()).await
    }

    /// The raw connection, after a [`ShimCall::Agent`] was answered.
    pub fn into_stream(self) -> BufReader<UnixStream> {
        self.stream
    }
}

/// Writes one document as a line and flushes.
///
/// # Errors
/// [`Code::MayHaveHappened`] when the other end is gone.
pub async fn write_line<W: tokio::io::AsyncWrite + Unpin>(stream: &mut W, document: &impl Serialize) -> Result<()> {
    let mut line = serde_json::to_vec(document).map_err(|cause| Error::machine("writing a message", cause))?;
    line.push(b'\n');
    let gone = |cause| Error::new(Code::MayHaveHappened, "The connection broke while a message was being sent.").detail(cause);
    stream.write_all(&line).await.map_err(gone)?;
    stream.flush().await.map_err(gone)
}

/// Reads one document; `None` at the end of the stream.
///
/// # Errors
/// [`Code::Invalid`] for a line that is too long or not the document expected.
pub async fn read_line<T: DeserializeOwned, R: tokio::io::AsyncBufRead + Unpin>(stream: &mut R) -> Result<Option<T>> {
    let mut line = Vec::new();
    loop {
        let chunk = stream
            .fill_buf()
            .await
            .map_err(|cause| Error::new(Code::MayHaveHappened, "The connection broke before an answer came.").detail(cause))?;
        if chunk.is_empty() {
            return if line.is_empty() {
                Ok(None)
            } else {
                Err(Error::new(Code::MayHaveHappened, "The connection broke in the middle of a message."))
            };
        }
        let end = chunk.iter().position(|byte| *byte == b'\n');
        let take = end.map_or(chunk.len(), |at| at + 1);
        if line.len() + take > MAX_LINE {
            return Err(Error::new(Code::Invalid, "A message on the socket is too long."));
        }
        line.extend_from_slice(&chunk[..take]);
        stream.consume(take);
        if end.is_some() {
            break;
        }
    }
    serde_json::from_slice(&line)
        .map(Some)
        .map_err(|cause| Error::new(Code::Invalid, "A message on the socket is not understood.").detail(cause))
}
