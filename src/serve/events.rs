//! What standard hooks tell, and what they are told.

use super::Serve;
use crate::error::{Code, Result};
use crate::host::HostCall;
use crate::moves::end::End;
use crate::wire::{Destination, Distributed, HookAnswer};
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
    let Some(at) = serve.authority.store.distributed()?.remove(&user) else {
        return Ok(go("the account was on this server alone"));
    };
    let child = End::of(&serve.authority, &at.alias)?;
    serve.authority.store.forget_account(&user)?;
    let (serve, message) = (serve.clone(), format!("the half of {user} on {} goes too", at.alias));
    tokio::spawn(async move {
        let mut wait = Duration::from_secs(1);
        for _ in 0..REMOVAL_TRIES {
            match remove_half(&serve, &child, &user, &at).await {
                Ok(()) => return tracing::info!(user, alias = at.alias, "the child's half of a removed account is gone"),
                Err(error) => {
                    tracing::warn!(?error, user, alias = at.alias, "the child's half of a removed account is still there")
                }
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(Duration::from_secs(300));
        }
        tracing::error!(user, alias = at.alias, "remove the account on the child by hand: removeacct username={user}");
    });
    Ok(go(message))
}

async fn remove_half(serve: &Serve, child: &End, user: &str, at: &Distributed) -> Result<()> {
    let own = End::Here(serve.authority.clone());
    crate::moves::cutover::unroute(&own, None, &at.domains).await?;
    let call = HostCall::Occupancy { user: user.to_owned(), domains: at.domains.clone() };
    let there: crate::host::Occupancy = child.host(call).await?;
    if there.user_exists && there.served.is_some() {
        match child.panel().whm("removeacct", &[("username", user), ("user", user)]).await {
            Err(error) if error.code != Code::Answered => return Err(error),
            result => drop(result?),
        }
    }
    let gone = HostCall::Serve { user: user.to_owned(), domains: at.domains.clone(), state: None };
    child.host::<Value>(gone).await.map(drop)
}
