//! Accounts come, change and go.

use super::{about_to_change, go, stop, under_way};
use crate::authority::now_ms;
use crate::error::Result;
use crate::host;
use crate::rules::extension::FIELD;
use crate::rules::names::{self, LOCAL};
use crate::rules::placement::{self, Wishes};
use crate::serve::{Serve, follow};
use crate::store::{Intent, What};
use crate::wire::{Destination, HookAnswer};
use serde_json::Value;
use std::time::Duration;

/// How long a form may wait for a plan; cPanel waits for us only so long.
const PLAN: Duration = Duration::from_millis(1200);

fn text<'a>(data: &'a Value, key: &str) -> &'a str {
    data[key].as_str().unwrap_or_default().trim()
}

/// An account of this name is about to be made: one that had it is gone, whether or not that was heard.
pub fn creating(serve: &Serve, user: &str) -> Result<HookAnswer> {
    let store = &serve.authority.store;
    if names::user(user).is_ok() && !store.holders(user)?.is_empty() {
        follow::resolve(serve)?;
        if !store.holders(user)?.is_empty() && host::uid_of(user)?.is_none() {
            let domains = store.distributed()?.remove(user).map(|at| at.domains).unwrap_or_default();
            store.account_removed(user, &domains, now_ms() / 1000)?;
        }
    }
    Ok(go("nothing stands against it"))
}

/// A new account goes where it is wished to be; see [`placement::choose`].
pub fn created(serve: &Serve, data: &Value) -> Result<HookAnswer> {
    let user = super::user_of(data);
    if serve.authority.tickets.redeem(user, "Accounts::Create", "post") {
        return Ok(go("placed by the call that made it"));
    }
    names::user(user)?;
    let store = &serve.authority.store;
    let owner = text(data, "owner");
    // Where its reseller is: a reseller without an account of its own, and root, are nowhere.
    let owner_is = if owner.is_empty() || owner == "root" || owner == user || host::uid_of(owner)?.is_none() {
        None
    } else {
        Some(store.child_of(owner)?.unwrap_or_else(|| LOCAL.to_owned()))
    };
    let package = host::package_value(text(data, "plan"), FIELD)?;
    let wishes = Wishes {
        form: text(data, FIELD),
        package: &package,
        owner: owner_is.as_deref(),
        restored: matches!(&data["is_restore"], Value::Number(n) if n.as_u64() == Some(1)) || text(data, "is_restore") == "1",
    };
    let (to, because) = placement::choose(&wishes);
    let Destination::Child(alias) = to else {
        return Ok(go(format!("the mail of {user} is on this server: {because}")));
    };
    if let Err(error) = store.node(&alias) {
        tracing::error!(?error, user, alias, "a new account stays on this server");
        return Ok(go(format!("the mail of {user} stays on this server: {}", error.one_line())));
    }
    store.note(user, &alias, What::Placement, &[], now_ms() / 1000)?;
    Ok(go(format!("the mail of {user} goes to {alias}: {because}; if that fails, it stays on this server (linked-nodes doctor)")))
}

/// What a change asks for beside cPanel's own.
struct Change {
    /// The new name, when there is one.
    name: Option<String>,
    /// The new main domain, when there is one.
    domain: Option<String>,
    /// Where the form wants the mail.
    to: Option<Destination>,
}

impl Change {
    fn asked(user: &str, data: &Value) -> Result<Self> {
        let domains = host::domains_of(user).unwrap_or_default();
        let domain = [text(data, "DNS"), text(data, "domain")].into_iter().find(|domain| !domain.is_empty());
        let name = Some(text(data, "newuser")).filter(|name| !name.is_empty() && *name != user);
        let wish = text(data, FIELD);
        // The form shows what was chosen last; only another choice is one.
        let to = if wish.is_empty() || wish == host::account_value(user, FIELD)? {
            None
        } else if wish == LOCAL {
            Some(Destination::Local)
        } else {
            names::alias(wish)?;
            Some(Destination::Child(wish.to_owned()))
        };
        Ok(Self {
            name: name.map(str::to_owned),
            domain: domain.map(str::to_ascii_lowercase).filter(|domain| domains.first() != Some(domain)),
            to,
        })
    }
}

/// An account is about to be changed, perhaps renamed, perhaps moved by its form.
pub async fn modifying(serve: &Serve, user: &str, data: &Value) -> Result<HookAnswer> {
    let store = &serve.authority.store;
    let change = Change::asked(user, data)?;
    let renames = change.name.is_some() || change.domain.is_some();
    if renames && let Some(answer) = under_way(serve, user, "rename it")? {
        return Ok(answer);
    }
    if let Some(to) = change.to {
        let at = store.child_of(user)?;
        let there = match &to {
            Destination::Local => at.is_none(),
            Destination::Child(alias) => at.as_ref() == Some(alias),
        };
        if !there {
            if renames {
                return Ok(stop("An account is not renamed and moved in one step. Rename it first, then move it."));
            }
            if let Ok(plan) = tokio::time::timeout(PLAN, serve.engine.plan(user, &to)).await {
                let refusals = plan?.refusals;
                if !refusals.is_empty() {
                    return Ok(stop(refusals.join(" ")));
                }
            }
            let name = match &to {
                Destination::Local => LOCAL,
                Destination::Child(alias) => alias,
            };
            store.note(user, name, What::Placement, &[], now_ms() / 1000)?;
            store.set_follow_trouble(user, name, "It waits for cPanel to keep the account's new settings.")?;
        }
    }
    if let (Some(name), Some(uid)) = (change.name, host::uid_of(user)?)
        && !store.holders(user)?.is_empty()
    {
        store.set_intent(&Intent { user: user.to_owned(), uid, becomes: Some(name) })?;
    }
    about_to_change(serve, user)
}

/// An account was changed.
pub fn modified(serve: &Serve, user: &str, data: &Value) -> Result<HookAnswer> {
    let store = &serve.authority.store;
    follow::resolve(serve)?;
    // What was about to happen has happened, or will not.
    store.forget_intent(user)?;
    let new = Some(text(data, "newuser")).filter(|name| !name.is_empty()).unwrap_or(user);
    let now = if store.holders(new)?.is_empty() { user } else { new };
    for row in store.followups_of(user)?.into_iter().filter(|row| row.what == What::Placement) {
        store.note(user, &row.alias, What::Placement, &[], now_ms() / 1000)?;
    }
    // The form sends the main domain with every change; whether it is a new one is seen when the halves are compared.
    let renamed = now != user || !text(data, "domain").is_empty() || !text(data, "DNS").is_empty();
    let mut halves = follow::note(serve, now, What::Account, &[])?;
    if renamed {
        halves = follow::note(serve, now, What::Domains, &[])?;
    }
    Ok(go(if halves.is_empty() {
        "the account is on this server alone".into()
    } else {
        format!("{} follows", halves.join(", "))
    }))
}

/// An account is about to be removed.
pub fn removing(serve: &Serve, user: &str) -> Result<HookAnswer> {
    if let Some(answer) = under_way(serve, user, "remove the account")? {
        return Ok(answer);
    }
    if let Some(uid) = host::uid_of(user)?
        && !serve.authority.store.holders(user)?.is_empty()
    {
        serve.authority.store.set_intent(&Intent { user: user.to_owned(), uid, becomes: None })?;
    }
    Ok(go("nothing stands against it"))
}

/// An account was removed: its halves go too.
pub fn removed(serve: &Serve, user: &str) -> Result<HookAnswer> {
    let store = &serve.authority.store;
    let before = store.holders(user)?;
    follow::resolve(serve)?;
    if !store.holders(user)?.is_empty() && host::uid_of(user)?.is_none() {
        // Nobody asked before it went.
        let domains = store.distributed()?.remove(user).map(|at| at.domains).unwrap_or_default();
        store.account_removed(user, &domains, now_ms() / 1000)?;
    }
    Ok(go(if before.is_empty() {
        "the account was on this server alone".into()
    } else {
        format!("the half of {user} on {} goes too", before.join(", "))
    }))
}
