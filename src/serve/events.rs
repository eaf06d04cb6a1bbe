//! What standard hooks tell, and what they are told.
//!
//! Before an event, what stands against it is said and what it may change is remembered; after it, what is to be followed is noted. Both
//! are on disk before cPanel is answered; the work itself is done by [`super::follow`]. Decisions about events while a move is under way:
//!
//! | event | while the account is being moved |
//! |---|---|
//! | removal, new name, new main domain, domains | refused, with the move's number: the move has its names and routes |
//! | suspension, password, package, contact address, certificates | goes on; followed when the move has ended |
//! | a new choice in the form of *Modify an Account* | refused, as a second move is everywhere |

mod accounts;
mod settings;

use super::{Serve, follow};
use crate::drill::crash_point;
use crate::error::{Error, Result};
use crate::store::{ServedState, What};
use crate::wire::{HookAnswer, Role};
use serde_json::Value;

fn go(message: impl Into<String>) -> HookAnswer {
    HookAnswer { proceed: true, message: message.into() }
}

fn stop(message: impl Into<String>) -> HookAnswer {
    HookAnswer { proceed: false, message: message.into() }
}

/// Answers one event. What cannot be judged goes on: hosting must not break.
pub async fn answer(serve: &Serve, category: &str, event: &str, stage: &str, data: &Value) -> HookAnswer {
    let result = match serve.authority.store.role() {
        Ok(Role::Child { parent, .. }) => on_child(serve, &parent, category, event, stage, data),
        Ok(Role::Parent) => on_parent(serve, category, event, stage, data).await,
        Ok(Role::Unlinked) => Ok(go("this server is linked to nobody")),
        Err(error) => Err(error),
    };
    let answer = result.unwrap_or_else(|error: Error| {
        tracing::warn!(?error, category, event, stage, "an event could not be judged");
        go(error.one_line())
    });
    crash_point(&serve.authority.dir, "hook", stage);
    answer
}

fn user_of(data: &Value) -> &str {
    data["user"].as_str().or(data["username"].as_str()).unwrap_or_default()
}

async fn on_parent(serve: &Serve, category: &str, event: &str, stage: &str, data: &Value) -> Result<HookAnswer> {
    let user = user_of(data);
    if category == "Cpanel" {
        return settings::on_parent(serve, event, stage, data);
    }
    match (event, stage) {
        ("Accounts::Create", "pre") => accounts::creating(serve, user),
        ("Accounts::Create", _) => accounts::created(serve, data),
        ("Accounts::Modify", "pre") => accounts::modifying(serve, user, data).await,
        ("Accounts::Modify", _) => accounts::modified(serve, user, data),
        ("Accounts::Remove", "pre") => accounts::removing(serve, user),
        ("Accounts::Remove", _) => accounts::removed(serve, user),
        (domain, "pre") if domain.starts_with("Domain::") => match under_way(serve, user, "change its domains")? {
            Some(answer) => Ok(answer),
            None => about_to_change(serve, user),
        },
        (_, "pre") => about_to_change(serve, user),
        (event, _) => changed(serve, user, what(event)),
    }
}

/// What an event that only has to be followed changes.
fn what(event: &str) -> What {
    match event {
        "Accounts::suspendacct" | "Accounts::unsuspendacct" => What::Suspension,
        "Accounts::change_package" => What::Package,
        "ChangePasswd" => What::Password,
        "SSL::installssl" | "AutoSSL::installssl" => What::Certificates,
        domain if domain.starts_with("Domain::") => What::Domains,
        _ => What::Account,
    }
}

/// Refuses what a move under way would not survive.
fn under_way(serve: &Serve, user: &str, what: &str) -> Result<Option<HookAnswer>> {
    let moving = serve.authority.store.running_moves()?.into_iter().find(|moving| moving.user == user);
    Ok(moving.map(|moving| {
        stop(format!(
            "Move {0} of {user} is under way. Wait for it (linked-nodes move watch {0}) or cancel it (linked-nodes move cancel {0}), then {what}.",
            moving.id
        ))
    }))
}

/// Whatever comes of the event, and whether or not it is heard when it is over: the account is looked at again.
fn about_to_change(serve: &Serve, user: &str) -> Result<HookAnswer> {
    if serve.authority.store.child_of(user)?.is_some() {
        serve.authority.store.set_mark(user, "")?;
    }
    Ok(go("nothing stands against it"))
}

fn changed(serve: &Serve, user: &str, what: What) -> Result<HookAnswer> {
    let halves = follow::note(serve, user, what, &[])?;
    Ok(go(if halves.is_empty() {
        "the account is on this server alone".into()
    } else {
        format!("{} follows", halves.join(", "))
    }))
}

/// On a child: what is the parent's to do is not done here past it.
fn on_child(serve: &Serve, parent: &str, category: &str, event: &str, stage: &str, data: &Value) -> Result<HookAnswer> {
    if stage != "pre" {
        return Ok(go("this server is a child; its parent decides"));
    }
    if category == "Cpanel" {
        return settings::on_child(serve, parent, event, data);
    }
    let user = user_of(data);
    let serves = serve.authority.store.served(user)?.is_some_and(|served| served.state == ServedState::Served);
    Ok(match event {
        "Accounts::Remove" if serves => stop(format!(
            "The mail of {user} lives here for {parent}. Remove the account on {parent}, or dedistribute it there first."
        )),
        _ => go("nothing stands against it"),
    })
}
