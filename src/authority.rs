//! What everything that decides or moves needs: the store, the tokens, this server's own API, the way to each child.

use crate::child::Child;
use crate::error::{Code, Context as _, Error, Result};
use crate::panel::{Credentials, Panel, Tickets, Trust, WHM_PORT};
use crate::secrets::{self, Secrets};
use crate::store::{Node, Store};
use secrecy::SecretString;
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// cPanel's command for WHM API 1 as root.
pub const WHMAPI1: &str = "/usr/local/cpanel/bin/whmapi1";
/// The token by which `serve` calls its own cPanel.
pub const OWN_TOKEN: &str = "linked-nodes-local";

/// The means of the authority. Cheap to clone.
#[derive(Clone)]
pub struct Authority {
    /// What is remembered.
    pub store: Store,
    /// Tokens of the children.
    pub secrets: Arc<Secrets>,
    /// This server's API.
    pub own: Panel,
    /// This server's hostname.
    pub hostname: String,
    /// Where state lives.
    pub dir: PathBuf,
    /// Which calls of this server's API are ours.
    pub tickets: Tickets,
    /// Who works at which account.
    pub busy: Busy,
}

/// One at a time works at an account: a move that begins, or what brings its halves together.
#[derive(Clone, Default)]
pub struct Busy(Arc<Mutex<BTreeMap<String, Arc<tokio::sync::Mutex<()>>>>>);

impl Busy {
    /// Waits until nobody else works at the account; it is ours until what is returned is dropped.
    pub async fn hold(&self, user: &str) -> tokio::sync::OwnedMutexGuard<()> {
        let lock = {
            let mut locks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            locks.retain(|_, lock| Arc::strong_count(lock) > 1);
            locks.entry(user.to_owned()).or_default().clone()
        };
        lock.lock_owned().await
    }
}

impl Authority {
    /// Opens the store in `dir` and gets hold of this server's API.
    ///
    /// # Errors
    /// When the state cannot be opened, or cPanel does not give a token.
    pub async fn open(dir: &Path) -> Result<Self> {
        let store = Store::open(dir)?;
        let secrets = Arc::new(Secrets::new(dir));
        let hostname =
            crate::rules::names::hostname(whmapi1("gethostname", &[]).await?["hostname"].as_str().unwrap_or_default())?;
        let own = own_panel(&secrets, &hostname).await?;
        let tickets = Tickets::default();
        let own = own.with_tickets(tickets.clone());
        Ok(Self { store, secrets, own, hostname, dir: dir.to_owned(), tickets, busy: Busy::default() })
    }

    /// The way to a linked child.
    ///
    /// # Errors
    /// [`Code::NotFound`] when the alias is not linked.
    pub fn child(&self, alias: &str) -> Result<Child> {
        let node = self.store.node(alias)?;
        Child::new(Credentials {
            hostname: node.hostname.clone(),
            username: node.username.clone(),
            token: self.secrets.get(alias)?,
            address: None,
            trust: trust(&node),
        })
    }
}

/// Whom to believe to be this child.
pub fn trust(node: &Node) -> Trust {
    node.pin.clone().map_or(Trust::System, Trust::Pin)
}

/// Now, in Unix milliseconds. The only clock of the authority.
pub fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// Calls a WHM API 1 function by cPanel's own command, as root. Arguments show in the process list: no secrets.
async fn whmapi1(function: &str, arguments: &[&str]) -> Result<Value> {
    let mut words = vec!["--output=json", function];
    words.extend(arguments);
    let output = crate::host::run(WHMAPI1, &words, None).await?;
    let mut envelope: Value = serde_json::from_str(&output).context(format!("understanding whmapi1 {function}"))?;
    if envelope["metadata"]["result"] == 1 {
        return Ok(envelope["data"].take());
    }
    let reason = envelope["metadata"]["reason"].as_str().unwrap_or("no reason given");
    Err(Error::new(Code::Answered, format!("{function}: {reason}")))
}

/// This server's own API over loopback, with a token of our own that is made when there is none that works.
async fn own_panel(secrets: &Secrets, hostname: &str) -> Result<Panel> {
    let with = |token: SecretString| {
        Panel::new(Credentials {
            hostname: hostname.to_owned(),
            username: "root".into(),
            token,
            address: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, WHM_PORT))),
            trust: Trust::Loopback,
        })
    };
    if let Ok(token) = secrets.get(secrets::OWN) {
        let panel = with(token)?;
        match panel.whm("version", &[]).await {
            Err(error) if error.code == Code::Denied => {}
            _ => return Ok(panel),
        }
    }
    // A token of that name whose text we lost is of no use to anyone.
    let _ = whmapi1("api_token_revoke", &[&format!("token_name={OWN_TOKEN}")]).await;
    let made = whmapi1("api_token_create", &[&format!("token_name={OWN_TOKEN}")]).await?;
    let token = made["token"].as_str().ok_or_else(|| Error::new(Code::Answered, "cPanel made a token and did not tell it."))?;
    let token = SecretString::from(token.to_owned());
    secrets.set(secrets::OWN, Some(&token))?;
    with(token)
}
