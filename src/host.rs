//! What the product does on the machine it runs on beside cPanel's API: the gate, ending sessions, the queue, password hashes.
//!
//! The same operations are asked of the parent's own machine and, over the node channel, of a child's.

mod drain;
mod gate;
mod marks;
mod passwords;
mod quiet;
mod stamp;
mod values;
mod volume;

pub use marks::{accounts, marks, uid_of};
pub use values::{account_value, package_value};

use crate::error::{Code, Context as _, Error, Result};
use crate::rules::names;
use crate::store::{Served, ServedState, Store};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::IpAddr;

pub use volume::measure;

/// One operation on a machine.
#[derive(Clone, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum HostCall {
    /// What this machine is. → [`HostFacts`].
    Facts,
    /// Whether an account could come here. → [`Occupancy`].
    Occupancy {
        /// cPanel user.
        user: String,
        /// Its domains.
        domains: Vec<String>,
    },
    /// Keeps new mail connections from `peers` waiting; no peers opens. Remembered over restarts.
    Gate {
        /// Who keeps it closed, so that two moves do not open each other's.
        holder: String,
        /// Addresses kept waiting.
        peers: Vec<IpAddr>,
    },
    /// The addresses of this machine's interfaces. → list.
    Addresses,
    /// Opens every gate of one parent but these: what ended moves left closed.
    KeepGates {
        /// The parent's identity.
        of: String,
        /// Holders that keep theirs.
        holders: Vec<String>,
    },
    /// Waits for deliveries that had begun, ends the account's IMAP and POP3 sessions and waits until none is left. → the number that was left at first.
    Quiet {
        /// cPanel user.
        user: String,
    },
    /// Tries at once to deliver what is queued for the domains.
    Flush {
        /// Domains.
        domains: Vec<String>,
    },
    /// How many of this machine's connections to a peer's SMTP port are open or waiting. → number.
    Parked {
        /// The peer.
        peers: Vec<IpAddr>,
    },
    /// The account's password hash. → text.
    PasswordHash {
        /// cPanel user.
        user: String,
    },
    /// Sets the account's password by its hash.
    SetPasswordHash {
        /// cPanel user.
        user: String,
        /// As in shadow(5).
        hash: String,
    },
    /// Password hashes of mailboxes. → map from address to hash.
    MailHashes {
        /// cPanel user.
        user: String,
        /// Domains.
        domains: Vec<String>,
    },
    /// Sets password hashes of mailboxes that exist.
    SetMailHashes {
        /// cPanel user.
        user: String,
        /// Address to hash.
        hashes: BTreeMap<String, String>,
    },
    /// A stamp of the account's mail configuration. → text that is equal while nothing is touched.
    Stamp {
        /// cPanel user.
        user: String,
        /// Domains.
        domains: Vec<String>,
    },
    /// Stamps of many accounts, as [`HostCall::Stamp`]. → map from user to stamp; an account that cannot be looked at has none.
    Stamps {
        /// User to domains.
        accounts: BTreeMap<String, Vec<String>>,
    },
    /// How much mail accounts hold. → map from user to mailboxes: name, messages, bytes; an account that cannot be looked at has none.
    MailUsage {
        /// cPanel users.
        users: Vec<String>,
    },
    /// Child: an account of the parent is coming, is here, or went back; `None` forgets it.
    Serve {
        /// cPanel user.
        user: String,
        /// Its domains.
        domains: Vec<String>,
        /// How far it is.
        state: Option<ServedState>,
    },
}

/// What a machine is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HostFacts {
    /// The product's version.
    pub version: String,
    /// Free bytes where /home is.
    pub disk_free: u64,
    /// Free inodes there.
    pub inodes_free: u64,
    /// Hostname of the parent this machine is linked to.
    pub parent: Option<String>,
    /// How many children it has.
    pub children: usize,
    /// This installation's identity.
    #[serde(default)]
    pub node_id: String,
    /// Whether a token is still taken that its parent used before.
    #[serde(default)]
    pub former_token: bool,
    /// Bytes of mail it serves for its parent, as last measured; `None` before.
    #[serde(default)]
    pub mail_bytes: Option<u64>,
}

/// Who holds a user name and domains on a machine.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Occupancy {
    /// Whether the user exists.
    pub user_exists: bool,
    /// How far the account is, if it came from the parent.
    pub served: Option<ServedState>,
    /// The domains it came with.
    pub served_domains: Vec<String>,
    /// Domains that belong to another user here.
    pub foreign_domains: Vec<String>,
}

/// Performs an operation on this machine.
///
/// # Errors
/// Names what failed; operations are idempotent and may be asked again.
pub async fn perform(store: &Store, call: HostCall) -> Result<Value> {
    match call {
        HostCall::Facts => facts(store),
        HostCall::Occupancy { user, domains } => occupancy(store, &user, &domains),
        HostCall::Gate { holder, peers } => {
            store.set_gate(&holder, &peers)?;
            restore_gates(store).await.map(|()| Value::Null)
        }
        HostCall::Addresses => addresses().await.map(|all| serde_json::json!(all)),
        HostCall::KeepGates { of, holders } => {
            store.keep_gates(&of, &holders)?;
            restore_gates(store).await.map(|()| Value::Null)
        }
        HostCall::Quiet { user } => {
            names::user(&user)?;
            let late = drain::deliveries().await;
            if late > 0 {
                tracing::warn!(user, late, "deliveries are still under way; one of them may come twice");
            }
            quiet::end_sessions(&user).await.map(Value::from)
        }
        HostCall::Flush { domains } => {
            for domain in &domains {
                names::domain(domain)?;
            }
            quiet::flush_queue(&domains).await.map(|()| Value::Null)
        }
        HostCall::Parked { peers } => quiet::parked(&peers).map(Value::from),
        HostCall::PasswordHash { user } => {
            names::user(&user)?;
            passwords::account_hash(&user).map(Value::from)
        }
        HostCall::SetPasswordHash { user, hash } => {
            names::user(&user)?;
            passwords::set_account_hash(&user, &hash).await.map(|()| Value::Null)
        }
        HostCall::MailHashes { user, domains } => {
            names::user(&user)?;
            passwords::mail_hashes(&user, &domains).map(|hashes| serde_json::json!(hashes))
        }
        HostCall::SetMailHashes { user, hashes } => {
            names::user(&user)?;
            passwords::set_mail_hashes(&user, &hashes).map(|()| Value::Null)
        }
        HostCall::Stamp { user, domains } => {
            names::user(&user)?;
            stamp::stamp(&user, &domains).map(Value::from)
        }
        HostCall::Stamps { accounts } => {
            blocking("looking at mail settings", move || {
                let stamps: BTreeMap<String, String> = accounts
                    .into_iter()
                    .filter_map(|(user, domains)| {
                        names::user(&user).and_then(|()| stamp::stamp(&user, &domains)).ok().map(|s| (user, s))
                    })
                    .collect();
                Ok(serde_json::json!(stamps))
            })
            .await
        }
        HostCall::MailUsage { users } => {
            blocking("counting mail", move || {
                use crate::mailbox::{Account, Local, Side as _};
                let count = |user: &String| names::user(user).and_then(|()| Local::open(Account::find(user)?)?.usage()).ok();
                let found: BTreeMap<&String, Vec<(String, u64, u64)>> =
                    users.iter().filter_map(|user| Some((user, count(user)?.mailboxes))).collect();
                Ok(serde_json::json!(found))
            })
            .await
        }
        HostCall::Serve { user, domains, state } => {
            names::user(&user)?;
            crate::drill::crash_point(std::path::Path::new(crate::store::STATE_DIR), "served", "before");
            match state {
                Some(state) => store.set_served(&Served { user, domains, state })?,
                None => store.forget_served(&user)?,
            }
            Ok(Value::Null)
        }
    }
}

/// Runs what blocks off the runtime.
async fn blocking(what: &str, work: impl FnOnce() -> Result<Value> + Send + 'static) -> Result<Value> {
    tokio::task::spawn_blocking(work).await.map_err(|cause| Error::machine(what, cause))?
}

/// Puts in force what the store says of the gates.
///
/// # Errors
/// When the store cannot be read or nftables refuses.
pub async fn restore_gates(store: &Store) -> Result<()> {
    let _one_at_a_time = store.gates.lock().await;
    gate::apply(&store.closed_gates()?).await
}

fn facts(store: &Store) -> Result<Value> {
    let disk = rustix::fs::statvfs("/home").context("looking at the file system of /home")?;
    let (parent, volumes) = (store.parent()?, store.volumes()?);
    let facts = HostFacts {
        version: env!("CARGO_PKG_VERSION").into(),
        disk_free: disk.f_bavail.saturating_mul(disk.f_frsize),
        inodes_free: disk.f_favail,
        former_token: parent.as_ref().is_some_and(|parent| parent.former_digest.is_some()),
        parent: parent.map(|parent| parent.hostname),
        children: store.nodes()?.len(),
        node_id: store.node_id()?,
        mail_bytes: volumes.iter().any(|(_, _, at)| *at > 0).then(|| volumes.iter().map(|(_, bytes, _)| bytes).sum()),
    };
    serde_json::to_value(facts).context("describing this machine")
}

/// Addresses that connections of this machine may come from, as iproute2 lists them.
async fn addresses() -> Result<Vec<IpAddr>> {
    let listing = run("ip", &["-o", "addr", "show", "scope", "global"], None).await?;
    Ok(listing
        .lines()
        .filter_map(|line| line.split_whitespace().skip_while(|word| !word.starts_with("inet")).nth(1))
        .filter_map(|address| address.split('/').next()?.parse().ok())
        .collect())
}

fn occupancy(store: &Store, user: &str, domains: &[String]) -> Result<Value> {
    names::user(user)?;
    let owners = user_domains()?;
    let foreign = domains.iter().filter(|domain| owners.get(*domain).is_some_and(|owner| owner != user));
    let served = store.served(user)?;
    let found = Occupancy {
        user_exists: read_optional("/etc/passwd")?.lines().any(|line| line.split(':').next() == Some(user)),
        served_domains: served.as_ref().map(|served| served.domains.clone()).unwrap_or_default(),
        served: served.map(|served| served.state),
        foreign_domains: foreign.cloned().collect(),
    };
    serde_json::to_value(found).context("describing an account")
}

/// `/etc/userdomains`: domain to user.
///
/// # Errors
/// When the file cannot be read.
pub fn user_domains() -> Result<BTreeMap<String, String>> {
    Ok(pairs(&read_optional("/etc/userdomains")?))
}

/// `/etc/trueuserdomains`: main domain to user.
///
/// # Errors
/// When the file cannot be read.
pub fn main_domains() -> Result<BTreeMap<String, String>> {
    Ok(pairs(&read_optional("/etc/trueuserdomains")?))
}

/// The owner of an account (`root` or a reseller), from `/etc/trueuserowners`, else from the account's own file.
///
/// # Errors
/// When the file cannot be read.
pub fn owner_of(user: &str) -> Result<String> {
    names::user(user)?;
    let file = read_optional(&format!("/var/cpanel/users/{user}"))?;
    Ok(file.lines().find_map(|line| line.strip_prefix("OWNER=")).unwrap_or("root").trim().to_owned())
}

/// The domains of an account, the main one first.
///
/// # Errors
/// [`Code::NotFound`] when cPanel knows no such account.
pub fn domains_of(user: &str) -> Result<Vec<String>> {
    let main = main_domains()?.into_iter().find(|(_, owner)| owner == user).map(|(domain, _)| domain);
    let main = main
        .ok_or_else(|| Error::new(Code::NotFound, format!("There is no account “{}” on this server.", names::printable(user))))?;
    let others = user_domains()?.into_iter().filter(|(domain, owner)| owner == user && *domain != main).map(|(domain, _)| domain);
    Ok(std::iter::once(main.clone()).chain(others).collect())
}

fn pairs(text: &str) -> BTreeMap<String, String> {
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned()))
        .filter(|(key, _)| key != "*")
        .collect()
}

fn read_optional(path: &str) -> Result<String> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(text),
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        Err(cause) => Err(Error::machine(format!("reading {path}"), cause)),
    }
}

/// Runs a program to its end and returns what it printed.
///
/// # Errors
/// [`Code::Machine`] with what it said on standard error.
pub(crate) async fn run(program: &str, arguments: &[&str], input: Option<&[u8]>) -> Result<String> {
    use tokio::io::AsyncWriteExt as _;
    let mut child = tokio::process::Command::new(program)
        .args(arguments)
        .env_clear()
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .stdin(if input.is_some() { std::process::Stdio::piped() } else { std::process::Stdio::null() })
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context(format!("starting {program}"))?;
    if let (Some(input), Some(mut stdin)) = (input, child.stdin.take()) {
        stdin.write_all(input).await.context(format!("writing to {program}"))?;
    }
    let output = tokio::time::timeout(std::time::Duration::from_secs(60), child.wait_with_output())
        .await
        .map_err(|_| Error::new(Code::Machine, format!("{program} did not end within a minute.")))?
        .context(format!("running {program}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Error::new(Code::Machine, format!("{program} {} failed: {}", arguments.join(" "), said.trim())))
}
