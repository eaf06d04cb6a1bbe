//! What standard hooks tell, and what they are told.

use super::Serve;
use crate::error::{Code, Error, Result};
use crate::host::{HostCall, Occupancy};
use crate::moves::end::End;
use crate::wire::{Destination, HookAnswer};
use serde_json::Value;
use std::time::Duration;

/// How long the child's half of a removed account is tried to be removed.
const REMOVAL_TRIES: u32 = 12;

fn go(message: impl Into<String>) -> HookAnswer {
    HookAnswer { proceed: true, message: message.into() }
}

fn stop(message: impl Into<String>) -> HookAnswer {
    HookAnswer { proceed: false, message: message.into() }
}

/// Answers one event. What cannot be judged goes on: hosting must not break.
pub async fn answer(serve: &Serve, category: &str, event: &str, stage: &str, data: &Value) -> HookAnswer {
    let result = match (category, event, stage) {
        ("Whostmgr", "Accounts::Create", "post") => created(serve, data),
        ("Whostmgr", "Accounts::Remove", "pre") => removing(serve, data),
        ("Whostmgr", "Accounts::Remove", "post") => removed(serve, data),
        _ => Ok(go(format!("{category}::{event} ({stage}) is of no concern to linked nodes"))),
    };
    result.unwrap_or_else(|error| go(error.one_line()))
}

fn user_of(data: &Value) -> &str {
    data["user"].as_str().or(data["username"].as_str()).unwrap_or_default()
}

/// An account made where no shim stands (WHM's own form) may still name a child.
fn created(serve: &Serve, data: &Value) -> Result<HookAnswer> {
    let (user, alias) = (user_of(data).to_owned(), data["mail_node_alias"].as_str().unwrap_or_default().to_owned());
    if alias.is_empty() || alias == crate::rules::names::LOCAL || user.is_empty() {
        return Ok(go("the account is on this server"));
    }
    serve.authority.store.node(&alias)?;
    let engine = serve.engine.clone();
    let message = format!("the mail of {user} goes to {alias}");
    tokio::spawn(async move {
        if let Err(error) = engine.start(&user, &Destination::Child(alias)).await {
            tracing::warn!(?error, user, "a new account stays on this server");
        }
    });
    Ok(go(message))
}

fn removing(serve: &Serve, data: &Value) -> Result<HookAnswer> {
    let user = user_of(data);
    let moving = serve.authority.store.running_moves()?.into_iter().find(|moving| moving.user == user);
    Ok(match moving {
        Some(moving) => stop(format!(
            "Move {} of {user} is under way. Wait for it (linked-nodes move watch {}) or cancel it (linked-nodes move cancel {}), then remove the account.",
            moving.id, moving.id, moving.id
        )),
        None => go("nothing stands against it"),
    })
}

fn removed(serve: &Serve, data: &Value) -> Result<HookAnswer> {
    let user = user_of(data).to_owned();
    let store = &serve.authority.store;
    let at = store.distributed()?.remove(&user);
    let mut halves: Vec<String> = store.retained(&user)?;
    halves.extend(at.iter().map(|at| at.alias.clone()));
    if halves.is_empty() {
        return Ok(go("the account was on this server alone"));
    }
    let ends = halves.iter().map(|alias| End::of(&serve.authority, alias)).collect::<Result<Vec<_>>>()?;
    // Remembered as retained until the child's half is gone, so that it is never taken for another account of that name.
    for alias in &halves {
        store.set_retained(&user, alias, true)?;
    }
    store.forget_account(&user)?;
    let domains = at.map(|at| at.domains).unwrap_or_default();
    let (serve, message) = (serve.clone(), format!("the half of {user} on {} goes too", halves.join(", ")));
    tokio::spawn(async move {
        if let Err(error) = crate::moves::cutover::unroute(&End::Here(serve.authority.clone()), None, &domains).await {
            tracing::warn!(?error, user, "the routes of a removed account are still there");
        }
        for child in ends {
            remove_until_gone(&serve, &child, &user).await;
        }
    });
    Ok(go(message))
}

/// Takes up the removals that were not finished when `serve` ended.
pub fn resume_removals(serve: &Serve) -> Result<()> {
    for (user, alias) in serve.authority.store.all_retained()? {
        if removal_stands(serve, &user, &alias)? {
            let (serve, child) = (serve.clone(), End::of(&serve.authority, &alias)?);
            tokio::spawn(async move { remove_until_gone(&serve, &child, &user).await });
        }
    }
    Ok(())
}

/// Whether the child's half of a removed account is still to go: nobody has made an account of that name again.
fn removal_stands(serve: &Serve, user: &str, alias: &str) -> Result<bool> {
    let store = &serve.authority.store;
    let again = match crate::host::domains_of(user) {
        Ok(_) => true,
        Err(error) if error.code == Code::NotFound => false,
        Err(error) => return Err(error),
    };
    let moving = store.running_moves()?.iter().any(|moving| moving.user == user);
    Ok(!again && !moving && store.child_of(user)?.is_none() && store.retained(user)?.iter().any(|kept| kept == alias))
}

async fn remove_until_gone(serve: &Serve, child: &End, user: &str) {
    let mut wait = Duration::from_secs(1);
    for _ in 0..REMOVAL_TRIES {
        let removed = match removal_stands(serve, user, child.name()) {
            Ok(true) => remove_half(child, user).await,
            Ok(false) => Err(Error::new(Code::Conflict, "An account of that name is there again.")),
            Err(error) => Err(error),
        };
        match removed.and_then(|()| serve.authority.store.set_retained(user, child.name(), false)) {
            Ok(()) => return tracing::info!(user, alias = child.name(), "the child's half of a removed account is gone"),
            Err(error) => {
                tracing::warn!(?error, user, alias = child.name(), "the child's half of a removed account is still there")
            }
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(Duration::from_secs(300));
    }
    tracing::error!(user, alias = child.name(), "remove the account on the child by hand: whmapi1 removeacct username={user}");
}

/// Removes the account on the child, if it is one of ours there.
async fn remove_half(child: &End, user: &str) -> Result<()> {
    let call = HostCall::Occupancy { user: user.to_owned(), domains: Vec::new() };
    let there: Occupancy = child.host(call).await?;
    if there.served.is_none() {
        return Ok(());
    }
    if there.user_exists {
        child.panel().whm("removeacct", &[("username", user), ("user", user)]).await?;
    }
    crate::moves::cutover::unroute(child, None, &there.served_domains).await?;
    child.host::<Value>(HostCall::Serve { user: user.to_owned(), domains: Vec::new(), state: None }).await.map(drop)
}
