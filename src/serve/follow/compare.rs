//! Accounts as they are remembered against accounts as they are: what became of intents, and events that were never heard.

use super::note;
use crate::authority::now_ms;
use crate::error::Result;
use crate::host;
use crate::rules::intents::{Outcome, outcome};
use crate::serve::Serve;
use crate::store::What;
use std::collections::BTreeSet;

/// Finds out what became of what cPanel was about to do, from what exists now.
///
/// # Errors
/// When the store or the system's files cannot be read.
pub fn resolve(serve: &Serve) -> Result<()> {
    let store = &serve.authority.store;
    let intents = store.intents()?;
    if intents.is_empty() {
        return Ok(());
    }
    let Some(accounts) = host::accounts()? else { return Ok(()) };
    for intent in intents {
        let found = |user: &str| -> Result<Option<u32>> {
            Ok(if accounts.contains(user) { Some(host::uid_of(user)?.unwrap_or(0)) } else { host::uid_of(user)? })
        };
        let becomes = intent.becomes.as_deref().map(found).transpose()?.flatten();
        match outcome(intent.uid, intent.becomes.as_deref(), found(&intent.user)?, becomes) {
            Outcome::Open => {}
            Outcome::Renamed(new) => {
                tracing::info!(user = intent.user, new, "an account was renamed");
                store.account_renamed(&intent.user, &new, now_ms() / 1000)?;
            }
            Outcome::Removed => {
                let domains = store.distributed()?.remove(&intent.user).map(|at| at.domains).unwrap_or_default();
                let halves = store.account_removed(&intent.user, &domains, now_ms() / 1000)?;
                tracing::info!(user = intent.user, ?halves, "an account was removed");
            }
        }
    }
    Ok(())
}

/// One look at every distributed account: what differs from when its halves were last equal is noted, whoever changed it.
///
/// # Errors
/// When the store or the system's files cannot be read.
pub fn round(serve: &Serve) -> Result<()> {
    resolve(serve)?;
    let store = &serve.authority.store;
    let distributed = store.distributed()?;
    let noted = store.followups()?;
    if distributed.is_empty() && noted.is_empty() {
        return Ok(());
    }
    let Some(accounts) = host::accounts()? else { return Ok(()) };
    let awaited: BTreeSet<String> = store.intents()?.into_iter().map(|intent| intent.user).collect();
    for (user, at) in distributed.iter().filter(|(user, _)| !accounts.contains(*user) && !awaited.contains(*user)) {
        let known = noted.iter().any(|row| row.user == *user && row.what == What::Gone);
        if !known && host::uid_of(user)?.is_none() {
            store.note(user, &at.alias, What::Gone, &[], now_ms() / 1000)?;
            let why = "The account is no longer on this server, and its removal was not announced. If it is gone for good, the command removes what the child has of it.";
            store.set_follow_trouble(user, &at.alias, why)?;
        }
    }
    let back: Vec<_> = noted.into_iter().filter(|row| row.what == What::Gone && accounts.contains(&row.user)).collect();
    store.followed(&back)?;
    let here: BTreeSet<String> = distributed.into_keys().filter(|user| accounts.contains(user)).collect();
    let marks = store.marks()?;
    for (user, mark) in host::marks(&here)? {
        if marks.get(&user) != Some(&mark) && store.followups_of(&user)?.is_empty() {
            note(serve, &user, What::Account, &[])?;
        }
    }
    Ok(())
}
