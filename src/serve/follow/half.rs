//! One account's half on one child: what is done there and here so that both are what the parent says.

use super::{names, settings};
use crate::child::Child;
use crate::drill::crash_point;
use crate::error::{Code, Error, Result};
use crate::halves::{self, When};
use crate::host::{self, HostCall, Occupancy};
use crate::moves::cutover;
use crate::moves::end::End;
use crate::serve::Serve;
use crate::store::{Followup, ServedState, What};
use serde_json::Value;
use std::collections::BTreeSet;

/// Brings the half on `alias` to what the parent's is. What was done, a line each.
pub async fn follow(serve: &Serve, user: &str, alias: &str, rows: &[Followup], full: bool) -> Result<Vec<String>> {
    let (authority, store) = (&serve.authority, &serve.authority.store);
    // Taken before anything is looked at: what changes from here on differs from it.
    let mark = host::marks(&BTreeSet::from([user.to_owned()]))?.remove(user);
    let domains = host::domains_of(user)?;
    let serving = store.child_of(user)?.as_deref() == Some(alias);
    let child = authority.child(alias)?;
    let (here, there) = (End::Here(authority.clone()), End::There(alias.to_owned(), child.clone()));
    let known = store.distributed()?.remove(user).map(|at| at.domains).unwrap_or_default();
    let has = |what: What| rows.iter().any(|row| row.what == what);
    crash_point(&authority.dir, "follow", "before");
    if serving {
        // What this server alone decides does not wait for the child: cPanel drops an account's service proxies when it is unsuspended.
        let params = [("username", user), ("service_group", "Mail"), ("service_group_backend", child.panel.hostname())];
        authority.own.whm("set_service_proxy_backends", &params).await?;
        let gone: Vec<String> = known.iter().filter(|domain| !domains.contains(domain)).cloned().collect();
        forget_routes(serve, &gone).await?;
    }
    let mut lines = Vec::new();
    let formers = rows.iter().filter(|row| row.what == What::Name).flat_map(|row| &row.details).filter_map(Value::as_str);
    for former in formers.filter(|former| *former != user) {
        lines.extend(rename(&child, former, user).await?);
    }
    let done = halves::bring(authority, &child, user, When::Served).await?;
    crash_point(&authority.dir, "follow", "middle");
    let state = Some(if serving { ServedState::Served } else { ServedState::Retained });
    let call = HostCall::Serve { user: user.to_owned(), domains: domains.clone(), state };
    child.host::<Value>(call).await?;
    if serving {
        let moved = known != domains;
        if moved {
            store.set_domains(user, &domains)?;
        }
        if full || moved || !done.is_empty() || has(What::Domains) || has(What::Name) || has(What::Certificates) {
            let keys = halves::keys(&authority.own, &child.panel, &domains).await?;
            let certificates = halves::certificates(&authority.own, &child.panel, &domains).await?;
            lines.extend((keys > 0).then(|| format!("{keys} DKIM keys")));
            lines.extend((certificates > 0).then(|| format!("{certificates} certificates")));
        }
        cutover::route(&here, &there, user, &domains).await?;
        lines.extend(names::publish(serve, user, &known, &domains, &child).await?);
        for row in rows.iter().filter(|row| row.what == What::Settings) {
            lines.extend(settings::send(serve, user, &child, &domains, &row.details).await?);
        }
    }
    lines.splice(0..0, done);
    crash_point(&authority.dir, "follow", "after");
    if let Some(mark) = mark {
        store.set_mark(user, &mark)?;
    }
    Ok(lines)
}

/// Takes back the routes of domains that no account of this server has.
async fn forget_routes(serve: &Serve, domains: &[String]) -> Result<()> {
    let owners = host::user_domains()?;
    let gone: Vec<String> = domains.iter().filter(|domain| !owners.contains_key(*domain)).cloned().collect();
    match cutover::unroute(&End::Here(serve.authority.clone()), None, &gone).await {
        // cPanel may not know the domain any more; its route went with it then.
        Err(error) if error.code == Code::Answered => {
            tracing::info!(?error, "routes of domains that are gone");
            Ok(())
        }
        other => other,
    }
}

/// The account that the child knows as `former` is called `user` there too. Nothing when the child has none of that name that is ours.
async fn rename(child: &Child, former: &str, user: &str) -> Result<Option<String>> {
    let occupancy = |name: &str| HostCall::Occupancy { user: name.to_owned(), domains: Vec::new() };
    let serve = |name: &str, domains: &[String], state: Option<ServedState>| HostCall::Serve {
        user: name.to_owned(),
        domains: domains.to_vec(),
        state,
    };
    let before: Occupancy = child.host(occupancy(former)).await?;
    if before.served.is_none() {
        return Ok(None);
    }
    if !before.user_exists {
        child.host::<Value>(serve(former, &[], None)).await?;
        return Ok(None);
    }
    let after = halves::ours(child, user, &[]).await?;
    if after.user_exists {
        return Err(Error::new(
            Code::Conflict,
            format!("“{}” has both “{former}” and “{user}” of this account.", child.panel.hostname()),
        )
        .hint("Remove the one that holds no mail there."));
    }
    // The new name is ours before it exists, so that no moment finds the account without its mark.
    child.host::<Value>(serve(user, &before.served_domains, before.served)).await?;
    if let Err(error) = child.panel.whm("modifyacct", &[("user", former), ("newuser", user)]).await {
        let now: Occupancy = child.host(occupancy(user)).await?;
        if !now.user_exists {
            child.host::<Value>(serve(user, &[], None)).await?;
        }
        return Err(error);
    }
    child.host::<Value>(serve(former, &[], None)).await?;
    Ok(Some(format!("renamed from {former}")))
}

/// Removes what a child has of an account that the parent removed.
pub async fn remove(serve: &Serve, row: &Followup) -> Result<Option<String>> {
    let authority = &serve.authority;
    let domains: Vec<String> = row.details.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    forget_routes(serve, &domains).await?;
    if authority.store.child_of(&row.user)?.as_deref() == Some(row.alias.as_str()) {
        // The name belongs to an account that lives there; the one that was removed is long gone.
        return Ok(None);
    }
    let child = authority.child(&row.alias)?;
    crash_point(&authority.dir, "remove", "before");
    let formers = row.details.iter().filter_map(|detail| detail["former"].as_str());
    let mut removed = None;
    for name in std::iter::once(row.user.as_str()).chain(formers) {
        let there: Occupancy = child.host(HostCall::Occupancy { user: name.to_owned(), domains: Vec::new() }).await?;
        if there.served.is_none() {
            continue;
        }
        if !domains.is_empty() && there.user_exists && !there.served_domains.iter().any(|domain| domains.contains(domain)) {
            return Err(Error::new(
                Code::Conflict,
                format!(
                    "“{}” on “{}” is another account ({}) than the one that was removed ({}); it is left alone.",
                    name,
                    row.alias,
                    there.served_domains.join(", "),
                    domains.join(", ")
                ),
            ));
        }
        if there.user_exists {
            // The child removes nothing that it still serves, whoever asks.
            let state = Some(ServedState::Retained);
            let call = HostCall::Serve { user: name.to_owned(), domains: there.served_domains.clone(), state };
            child.host::<Value>(call).await?;
            child.panel.whm("removeacct", &[("username", name), ("user", name)]).await?;
            removed = Some("the account is removed there".to_owned());
        }
        crash_point(&authority.dir, "remove", "middle");
        cutover::unroute(&End::There(row.alias.clone(), child.clone()), None, &there.served_domains).await.or_else(|error| {
            // Routes of domains that the child no longer has went with them.
            if error.code == Code::Answered { Ok(()) } else { Err(error) }
        })?;
        child.host::<Value>(HostCall::Serve { user: name.to_owned(), domains: Vec::new(), state: None }).await?;
    }
    crash_point(&authority.dir, "remove", "after");
    Ok(removed)
}
