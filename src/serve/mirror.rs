//! The mirror: this server keeps the mail settings of every distributed account as its child has them, so that the account can work here
//! at once should the child never come back. Settings alone, never messages: of those it is only known how many there were.
//!
//! A child is asked for the stamps of its accounts' settings; an account whose stamp is as it was needs nothing more. A call that was
//! proxied to the child and changed something is followed at once.

use super::Serve;
use crate::authority::now_ms;
use crate::error::{Code, Error, Result};
use crate::host::{self, HostCall, Occupancy};
use crate::moves::configuration::{self, Configuration};
use crate::moves::end::End;
use crate::settings::Settings;
use crate::store::{Mirror, ServedState};
use crate::wire::{Distributed, MailboxLoss};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// Accounts whose stamps are asked for in one call.
const STAMPS: usize = 500;
/// Accounts whose messages are counted in one call.
const COUNTS: usize = 10;
/// How long one waits for more changes of the same account before they are followed.
const SETTLE: Duration = Duration::from_millis(300);

/// Accounts whose child changed something just now.
#[derive(Clone, Default)]
pub struct Nudges {
    users: Arc<Mutex<BTreeSet<String>>>,
    some: Arc<Notify>,
}

impl Nudges {
    /// The child of this account changed something.
    pub fn add(&self, user: &str) {
        self.users.lock().unwrap_or_else(PoisonError::into_inner).insert(user.to_owned());
        self.some.notify_one();
    }

    fn take(&self) -> BTreeSet<String> {
        std::mem::take(&mut *self.users.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Follows proxied changes as they come, for ever.
pub async fn follow(serve: Serve) {
    loop {
        serve.nudges.some.notified().await;
        tokio::time::sleep(SETTLE).await;
        for user in serve.nudges.take() {
            if let Err(error) = one(&serve, &user, None).await {
                tracing::warn!(?error, user, "the mirror of an account is not up to date");
            }
        }
    }
}

/// Looks at every child, side by side, for ever.
pub async fn watch(serve: Serve) {
    loop {
        let begun = tokio::time::Instant::now();
        if let Err(error) = round(&serve).await {
            tracing::warn!(?error, "looking at the mirrors");
        }
        // Looked at every second, so that a changed setting counts at once.
        while begun.elapsed() < Settings::read(&serve.authority.dir).health_every {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
}

async fn round(serve: &Serve) -> Result<()> {
    let mut nodes: BTreeMap<String, BTreeMap<String, Distributed>> = BTreeMap::new();
    for (user, at) in serve.authority.store.distributed()? {
        nodes.entry(at.alias.clone()).or_default().insert(user, at);
    }
    let rounds = nodes.into_iter().map(|(alias, accounts)| {
        let serve = serve.clone();
        async move {
            if let Err(error) = node(&serve, &alias, accounts).await {
                tracing::debug!(?error, alias, "a child's settings cannot be looked at");
            }
        }
    });
    futures_util::future::join_all(rounds).await;
    Ok(())
}

async fn node(serve: &Serve, alias: &str, accounts: BTreeMap<String, Distributed>) -> Result<()> {
    let store = &serve.authority.store;
    let child = End::of(&serve.authority, alias)?;
    let count_every = i64::try_from(Settings::read(&serve.authority.dir).count_every.as_secs()).unwrap_or(i64::MAX);
    let mut uncounted = Vec::new();
    let accounts: Vec<(String, Vec<String>)> = accounts.into_iter().map(|(user, at)| (user, at.domains)).collect();
    for some in accounts.chunks(STAMPS) {
        let asked: BTreeMap<String, Vec<String>> = some.iter().cloned().collect();
        let stamps: BTreeMap<String, String> = child.host(HostCall::Stamps { accounts: asked.clone() }).await?;
        let own = host::perform(store, HostCall::Stamps { accounts: asked }).await?;
        let mirrors = store.mirrors_of(alias)?;
        let mut equal = Vec::new();
        for (user, _) in some {
            let mirror = mirrors.get(user);
            if mirror.and_then(|mirror| mirror.seen_at).is_none_or(|at| now_ms() / 1000 - at >= count_every) {
                uncounted.push(user.clone());
            }
            let same = mirror.is_some_and(|mirror| {
                mirror.equal_at.is_some()
                    && stamps.get(user) == Some(&mirror.child_stamp)
                    && own[user].as_str() == Some(&mirror.own_stamp)
            });
            if same {
                equal.push(user.clone());
            } else if let Err(error) = one(serve, user, Some(&child)).await {
                tracing::warn!(?error, user, "the mirror of an account is not up to date");
            }
        }
        store.mirrors_equal(&equal, now_ms() / 1000)?;
    }
    for some in uncounted.chunks(COUNTS) {
        let counts: BTreeMap<String, Vec<(String, u64, u64)>> = child.host(HostCall::MailUsage { users: some.to_vec() }).await?;
        for (user, mailboxes) in counts {
            let Some(mut mirror) = store.mirror(&user)? else { continue };
            mirror.seen_at = Some(now_ms() / 1000);
            let loss = |(mailbox, messages, bytes)| MailboxLoss { mailbox, messages: Some(messages), bytes: Some(bytes) };
            mirror.mailboxes = mailboxes.into_iter().map(loss).collect();
            store.set_mirror(&user, &mirror)?;
        }
    }
    Ok(())
}

/// Makes this server's settings of one account what its child's are.
async fn one(serve: &Serve, user: &str, child: Option<&End>) -> Result<()> {
    let store = &serve.authority.store;
    let _held = serve.authority.busy.hold(user).await;
    let Some(at) = store.distributed()?.remove(user) else { return Ok(()) };
    if store.running_move_of(user)?.is_some() || !store.followups_of(user)?.is_empty() {
        // A move does it in its own direction; and what was written here goes to the child first.
        return Ok(());
    }
    let opened;
    let child = match child {
        Some(child) => child,
        None => {
            opened = End::of(&serve.authority, &at.alias)?;
            &opened
        }
    };
    let mut mirror = store.mirror(user)?.unwrap_or_else(|| Mirror { alias: at.alias.clone(), ..Mirror::default() });
    let stamp = HostCall::Stamp { user: user.to_owned(), domains: at.domains.clone() };
    let own_stamp: String = End::Here(serve.authority.clone()).host(stamp).await?;
    if own_stamp != mirror.own_stamp {
        // Something was written here. If it was a page of cPanel's own, its hook notes it in these seconds and it goes to the child; so
        // nothing here is undone before it has been at rest from one round to the next.
        mirror = Mirror { own_stamp, child_stamp: String::new(), ..mirror };
        return store.set_mirror(user, &mirror);
    }
    match equalise(serve, child, user, &at.domains).await {
        Ok((child_stamp, own_stamp, kept)) => {
            mirror = Mirror { child_stamp, own_stamp, kept, equal_at: Some(now_ms() / 1000), trouble: None, ..mirror };
            store.set_mirror(user, &mirror)
        }
        Err(error) => {
            mirror.trouble = Some(error.one_line());
            store.set_mirror(user, &mirror)?;
            Err(error)
        }
    }
}

/// The stamps of child and parent, taken so that a later change of either shows, and what is mirrored.
type Equal = (String, String, Vec<String>);

/// Makes this server's settings what the child's are.
async fn equalise(serve: &Serve, child: &End, user: &str, domains: &[String]) -> Result<Equal> {
    let (own, here) = (&serve.authority.own, End::Here(serve.authority.clone()));
    let stamp = |domains: &[String]| HostCall::Stamp { user: user.to_owned(), domains: domains.to_vec() };
    let there: Occupancy = child.host(HostCall::Occupancy { user: user.to_owned(), domains: domains.to_vec() }).await?;
    if !there.user_exists || there.served != Some(ServedState::Served) {
        // A child that lost the account must not take its settings away here as well.
        return Err(Error::new(
            Code::Conflict,
            format!("“{}” does not say that it serves “{user}”; its settings are not taken over.", child.panel().hostname()),
        ));
    }
    let child_stamp: String = child.host(stamp(domains)).await?;
    let hashes: BTreeMap<String, String> =
        child.host(HostCall::MailHashes { user: user.to_owned(), domains: domains.to_vec() }).await?;
    let wanted = configuration::read(child.panel(), user, domains).await?;
    let present = configuration::read(own, user, domains).await?;
    for change in configuration::diff(&wanted, &present) {
        // The child may have been given up or the account moved while this was under way.
        if serve.authority.store.child_of(user)?.is_none() || serve.authority.store.running_move_of(user)?.is_some() {
            return Err(Error::new(Code::Conflict, format!("“{user}” is being moved.")));
        }
        configuration::apply(own, user, &change, &hashes).await?;
    }
    here.host::<Value>(HostCall::SetMailHashes { user: user.to_owned(), hashes }).await?;
    Ok((child_stamp, here.host(stamp(domains)).await?, kept(&wanted)))
}

/// What of a configuration survives the child, a line each.
fn kept(of: &Configuration) -> Vec<String> {
    let filters: usize = of.filters.values().map(Vec::len).sum();
    [
        (of.mailboxes.len(), "mailboxes with their passwords and quotas"),
        (of.forwarders.len(), "forwarders"),
        (of.autoresponders.len(), "autoresponders"),
        (filters, "filters"),
        (of.defaults.len(), "default addresses"),
    ]
    .into_iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, what)| format!("{count} {what}"))
    .collect()
}
