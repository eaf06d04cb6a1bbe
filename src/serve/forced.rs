//! Dedistribution by force as `serve` offers it, and telling children that come back.

use super::Serve;
use super::api::need;
use crate::error::{Code, Error, Result};
use crate::moves::force;
use crate::wire::{AccountRecord, Forced, ForcedBefore, LogLine, Params};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// How often a child that was given up is looked for. Mail that reaches one which came back is not seen until it is told.
const LOOK_EVERY: Duration = Duration::from_secs(3);

/// Tells children that come back what was given up, for ever.
pub async fn watch(serve: Serve) {
    loop {
        if let Err(error) = tell(&serve).await {
            tracing::warn!(?error, "looking at what was given up");
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn tell(serve: &Serve) -> Result<()> {
    let mut nodes: BTreeMap<String, Vec<(String, Vec<String>)>> = BTreeMap::new();
    for (alias, user, domains) in serve.authority.store.given_up()? {
        nodes.entry(alias).or_default().push((user, domains));
    }
    let told = nodes.iter().map(|(alias, accounts)| force::tell_child(&serve.authority, alias, accounts));
    for (alias, result) in nodes.keys().zip(futures_util::future::join_all(told).await) {
        if let Err(error) = result {
            tracing::debug!(?error, alias, "a child that was given up does not answer");
        }
    }
    Ok(())
}

/// WHM API 1 `force_dedistribution_from_node`: `node_alias`, and `user` as often as wanted.
pub async fn api(serve: &Serve, params: &Params) -> Result<Value> {
    let alias = need(params, "node_alias")?;
    let is_user = |key: &str| {
        key.strip_prefix("user").is_some_and(|rest| rest.trim_start_matches('-').bytes().all(|byte| byte.is_ascii_digit()))
    };
    let users: Vec<String> =
        params.iter().filter(|(key, value)| is_user(key) && !value.is_empty()).map(|(_, value)| value.clone()).collect();
    if users.is_empty() {
        return Err(Error::new(Code::Invalid, "Provide the “user” argument."));
    }
    let forced = serve.engine.force(alias, &users).await?;
    let converted: Vec<&Forced> = forced.iter().filter(|one| serve_is_authority(serve, one)).collect();
    if converted.is_empty() {
        let reasons: Vec<String> = forced.iter().filter_map(|one| one.error.as_ref()).map(Error::one_line).collect();
        return Err(Error::new(Code::Conflict, reasons.join(" ")));
    }
    let log: Vec<&LogLine> = forced.iter().flat_map(|one| &one.log).collect();
    let info: Vec<Value> = converted.iter().map(|one| json!({"username": one.user})).collect();
    Ok(json!({"log": log, "user_info": info}))
}

/// Whether the account was converted: what is left to do then goes on by itself.
fn serve_is_authority(serve: &Serve, one: &Forced) -> bool {
    one.error.is_none() || (!one.loss.kept.is_empty() && serve.authority.store.child_of(&one.user).is_ok_and(|at| at.is_none()))
}

/// Everything of one account that the store knows.
pub fn account_state(serve: &Serve, user: &str) -> Result<AccountRecord> {
    let store = &serve.authority.store;
    crate::rules::names::user(user)?;
    let (domain, _) = crate::host::main_domains()?
        .into_iter()
        .find(|(_, owner)| owner == user)
        .ok_or_else(|| Error::new(Code::NotFound, format!("There is no account “{user}” on this server.")))?;
    let mirror = store.mirror(user)?;
    let forced = store.forced(user)?.into_iter().map(|one| ForcedBefore {
        alias: one.alias,
        at: one.at_ms / 1000,
        done: one.done,
        loss: one.loss,
        log: one.log,
    });
    Ok(AccountRecord {
        user: user.to_owned(),
        domain,
        owner: crate::host::owner_of(user)?,
        domains: crate::host::domains_of(user)?,
        child: store.child_of(user)?,
        running_move: store.running_move_of(user)?,
        retained: store.retained(user)?,
        mirrored_at: mirror.as_ref().and_then(|mirror| mirror.equal_at),
        counted_at: mirror.as_ref().and_then(|mirror| mirror.seen_at),
        mailboxes: mirror.as_ref().map(|mirror| mirror.mailboxes.clone()).unwrap_or_default(),
        mirror_trouble: mirror.and_then(|mirror| mirror.trouble),
        forced: forced.collect(),
    })
}
