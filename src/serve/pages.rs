//! What the pages in WHM ask: answered from memory and the store. What takes longer (plans, names, certificates) is looked at in
//! the background; a page shows what is there and comes again.

mod look;
mod plans;

use super::{Serve, links};
use crate::authority::now_ms;
use crate::error::{Code, Context as _, Error, Result};
use crate::roster::{self, Around, Roster};
use crate::secrets::Secrets;
use crate::wire::{AccountDetail, AccountPage, AccountQuery, AccountView, MoveQuery, PageCall, PageNote, PageSession, Remainder};
use hmac::{Hmac, Mac as _};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use serde_json::Value;
use sha2::Sha256;
use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The key of the secret that form tokens are made with. No alias can hold a dot.
const FORM_SECRET: &str = ".pages";
/// How long a note is kept, in milliseconds.
const NOTE_FOR: i64 = 10 * 60 * 1000;
/// The most notes that are kept.
const NOTES: usize = 500;
/// How many of an account's moves its page shows.
const MOVES_SHOWN: usize = 10;

/// Where the mail of each distributed account is, and the version of the routing at which that was so.
type Placed = Option<(u64, Arc<BTreeMap<String, String>>)>;

/// What the pages need between requests.
pub struct Pages {
    roster: Roster,
    placed: Mutex<Placed>,
    notes: Mutex<VecDeque<Kept>>,
    plans: plans::Plans,
    looks: look::Looks,
}

struct Kept {
    name: String,
    /// [`form_token`] of the session that may see it.
    owner: String,
    until: i64,
    note: PageNote,
}

impl Pages {
    /// Nothing asked yet.
    pub fn new() -> Self {
        Self {
            roster: Roster::new(Path::new("/")),
            placed: Mutex::default(),
            notes: Mutex::default(),
            plans: plans::Plans::default(),
            looks: look::Looks::default(),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn value(result: impl Serialize) -> Result<Value> {
    serde_json::to_value(result).context("writing an answer")
}

/// Answers a question of the pages.
///
/// # Errors
/// When the store or cPanel's lists cannot be read; [`Code::NotFound`] for an account that does not exist.
pub async fn answer(serve: &Serve, ask: PageCall) -> Result<Value> {
    match ask {
        PageCall::Session { user, session, note } => value(page_session(serve, &user, &session, note.as_deref())?),
        PageCall::Keep { user, session, note } => value(keep(serve, &user, &session, note)?),
        PageCall::Accounts(query) => value(accounts(serve, &query)?),
        PageCall::Account { user } => value(account(serve, &user).await?),
        PageCall::Moves(query) => value(serve.engine.page(&query)?),
        PageCall::Plans { users, to } => value(plans::plans(serve, &users, &to).await),
    }
}

fn page_session(serve: &Serve, user: &str, session: &str, note: Option<&str>) -> Result<PageSession> {
    let store = &serve.authority.store;
    let token = form_token(&serve.authority.secrets, user, session)?;
    let nodes = store.nodes()?;
    Ok(PageSession {
        version: env!("CARGO_PKG_VERSION").into(),
        hostname: serve.authority.hostname.clone(),
        role: store.role()?,
        nodes: nodes.len(),
        troubled: nodes.iter().filter(|node| node.trouble.is_some()).count(),
        distributed: store.distributed_count()?,
        running: store.moving()?.len(),
        remainders: remainders(serve)?.len(),
        note: note.and_then(|name| kept(serve, name, &token)),
        form_token: token,
    })
}

/// The token of a session's forms: a MAC over user and session, so that it is worth nothing in another session and needs no store.
fn form_token(secrets: &Secrets, user: &str, session: &str) -> Result<String> {
    let secret = form_secret(secrets)?;
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes()).context("preparing a form token")?;
    for part in ["form", user, session] {
        mac.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        mac.update(part.as_bytes());
    }
    Ok(hex(&mac.finalize().into_bytes()))
}

fn form_secret(secrets: &Secrets) -> Result<SecretString> {
    match secrets.get(FORM_SECRET) {
        Err(error) if error.code == Code::NotFound => {
            let fresh = SecretString::from(random()?);
            secrets.set(FORM_SECRET, Some(&fresh))?;
            Ok(fresh)
        }
        other => other,
    }
}

fn random() -> Result<String> {
    let mut bytes = [0_u8; 32];
    let mut filled = 0;
    while filled < bytes.len() {
        filled += rustix::rand::getrandom(&mut bytes[filled..], rustix::rand::GetRandomFlags::empty())
            .context("asking for randomness")?;
    }
    Ok(hex(&bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn keep(serve: &Serve, user: &str, session: &str, note: PageNote) -> Result<String> {
    let owner = form_token(&serve.authority.secrets, user, session)?;
    let name = random()?[..16].to_owned();
    let mut notes = lock(&serve.pages.notes);
    let now = now_ms();
    notes.retain(|kept| kept.until > now);
    if notes.len() >= NOTES {
        notes.pop_front();
    }
    notes.push_back(Kept { name: name.clone(), owner, until: now + NOTE_FOR, note });
    Ok(name)
}

fn kept(serve: &Serve, name: &str, owner: &str) -> Option<PageNote> {
    let now = now_ms();
    let notes = lock(&serve.pages.notes);
    notes.iter().find(|kept| kept.name == name && kept.owner == owner && kept.until > now).map(|kept| kept.note.clone())
}

/// What children have not followed yet.
fn remainders(serve: &Serve) -> Result<Vec<Remainder>> {
    super::follow::remainders(serve)
}

fn placed(serve: &Serve) -> Result<Arc<BTreeMap<String, String>>> {
    let store = &serve.authority.store;
    let mut placed = lock(&serve.pages.placed);
    // Taken before reading: a change in between is seen the next time.
    let version = store.routing_now();
    if let Some((of, there)) = &*placed
        && *of == version
    {
        return Ok(there.clone());
    }
    let fresh = Arc::new(store.placed()?);
    *placed = Some((version, fresh.clone()));
    Ok(fresh)
}

fn accounts(serve: &Serve, query: &AccountQuery) -> Result<AccountPage> {
    let placed = placed(serve)?;
    let mut remaining = BTreeMap::new();
    for remainder in remainders(serve)? {
        *remaining.entry(remainder.user).or_insert(0) += 1;
    }
    let around = Around { placed: &placed, moving: serve.authority.store.moving()?, remaining };
    Ok(roster::page(&serve.pages.roster.accounts()?, &around, query))
}

async fn account(serve: &Serve, user: &str) -> Result<AccountDetail> {
    let store = &serve.authority.store;
    let all = serve.pages.roster.accounts()?;
    let known = all.iter().find(|account| account.user == user).ok_or_else(|| {
        Error::new(Code::NotFound, format!("There is no account “{}” on this server.", crate::rules::names::printable(user)))
    })?;
    let alias = placed(serve)?.get(user).cloned();
    let child = match &alias {
        Some(alias) => Some(links::view(serve, &store.node(alias)?)?),
        None => None,
    };
    let mut remainders = remainders(serve)?;
    remainders.retain(|remainder| remainder.user == user);
    let moves = serve.engine.page(&MoveQuery { user: Some(user.to_owned()), limit: MOVES_SHOWN, ..MoveQuery::default() })?.rows;
    let looked = look::look(serve, user, &known.domain, child.as_ref().map(|child| child.hostname.as_str())).await;
    Ok(AccountDetail {
        account: AccountView {
            user: user.to_owned(),
            domain: known.domain.clone(),
            owner: known.owner.clone(),
            running_move: moves.iter().find(|moving| !moving.ended).map(|moving| moving.id),
            child: alias,
        },
        domains: crate::host::domains_of(user)?,
        suspended: known.suspended,
        child,
        retained: store.retained(user)?,
        remainders,
        moves,
        looked_ms: looked.as_ref().map(|looked| looked.at_ms),
        names: looked.as_ref().map(|looked| looked.names.clone()).unwrap_or_default(),
        certificates: looked.map(|looked| looked.certificates).unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_token_is_good_in_one_session_of_one_user() {
        let room = tempfile::tempdir().unwrap();
        let secrets = Secrets::new(room.path());
        let token = |user: &str, session: &str| form_token(&secrets, user, session).unwrap();
        let own = token("root", "/cpsess1234567890");
        assert_eq!(own.len(), 64);
        assert_eq!(own, token("root", "/cpsess1234567890"), "the same page twice");
        assert_ne!(own, token("root", "/cpsess1234567891"));
        assert_ne!(own, token("root2", "/cpsess1234567890"));
        assert_ne!(token("ab", "c"), token("a", "bc"), "parts cannot be shifted");
        let later = Secrets::new(room.path());
        assert_eq!(own, form_token(&later, "root", "/cpsess1234567890").unwrap(), "a restart of serve keeps open pages");
        let other = tempfile::tempdir().unwrap();
        assert_ne!(own, form_token(&Secrets::new(other.path()), "root", "/cpsess1234567890").unwrap());
    }
}
