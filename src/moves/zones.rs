//! The zones that hold the records of an account's domains, and what a distribution changes in them.
//!
//! Main, addon and parked domains have zones of their own; a subdomain's records stand in the zone of the domain above it, unless it was
//! given its own.

use crate::authority::Authority;
use crate::error::{Code, Result};
use crate::panel::{self, Panel};
use crate::rules::dns::{self, Change, Record};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// A zone on this server.
pub struct Zone {
    /// Its name.
    pub name: String,
    /// The account's domains whose records stand in it.
    pub domains: Vec<String>,
    /// What is in it now.
    pub records: Vec<Record>,
}

impl Zone {
    /// The changes that make the mail names of its domains lead to `address`.
    pub fn follow(&self, former: IpAddr, address: IpAddr) -> Vec<Change> {
        self.domains.iter().flat_map(|domain| dns::follow(&self.records, domain, &self.name, former, address)).collect()
    }
}

/// The zones of these domains on `panel`, and the domains whose zone is not there.
pub async fn of(panel: &Panel, domains: &[String]) -> Result<(Vec<Zone>, Vec<String>)> {
    let mut zones: Vec<Zone> = Vec::new();
    let mut missing = Vec::new();
    for domain in domains {
        // From the domain itself up to the shortest name that is the account's too.
        let above = domains.iter().filter(|other| domain.strip_suffix(other.as_str()).is_some_and(|left| left.ends_with('.')));
        let mut candidates: Vec<&String> = std::iter::once(domain).chain(above).collect();
        candidates.sort_by_key(|name| std::cmp::Reverse(name.len()));
        let mut found = false;
        for name in candidates {
            if let Some(zone) = zones.iter_mut().find(|zone| zone.name == *name) {
                zone.domains.push(domain.clone());
                found = true;
                break;
            }
            match panel::dns::records(panel, name).await {
                Ok(records) => {
                    zones.push(Zone { name: name.clone(), domains: vec![domain.clone()], records });
                    found = true;
                    break;
                }
                Err(error) if error.code == Code::Answered => {}
                Err(error) => return Err(error),
            }
        }
        if !found {
            missing.push(domain.clone());
        }
    }
    Ok((zones, missing))
}

/// The mail names of the zones' domains lead to `address`. What is changed is remembered before it is, so that the way back is known
/// whatever happens in between; `announced` are the records as they were before their TTL was lowered. A line for each change.
///
/// # Errors
/// As [`Panel::whm`], and when the store cannot be written.
pub async fn publish(
    authority: &Authority,
    user: &str,
    zones: &[Zone],
    announced: &BTreeMap<String, Vec<Record>>,
    former: IpAddr,
    address: IpAddr,
) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    for zone in zones {
        let changes = zone.follow(former, address);
        if changes.is_empty() {
            continue;
        }
        // A domain that came later adds to what was changed for the others.
        let (mut known, mut before) = authority.store.published(user, &zone.name)?.unwrap_or_default();
        known.extend(changes.iter().filter(|change| !known.contains(change)).cloned().collect::<Vec<_>>());
        let slow = announced.get(&zone.name).into_iter().flatten();
        before.extend(slow.filter(|record| !before.contains(record)).cloned().collect::<Vec<_>>());
        authority.store.set_published(user, &zone.name, Some((&known, &before)))?;
        panel::dns::apply(&authority.own, &zone.name, &changes).await?;
        lines.extend(changes.iter().map(Change::describe));
    }
    Ok(lines)
}

/// Takes back what was published for an account, and forgets it. A line for each change, and for each zone that is gone.
///
/// # Errors
/// As [`Panel::whm`], and when the store cannot be written.
pub async fn take_back(authority: &Authority, user: &str) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    for (zone, changes, former) in authority.store.all_published(user)? {
        let changes = back(&changes, &former);
        match panel::dns::apply(&authority.own, &zone, &changes).await {
            Ok(()) => lines.extend(changes.iter().map(Change::describe)),
            Err(error) if error.code == Code::Answered => lines.push(format!("{zone}: {}", error.message)),
            Err(error) => return Err(error),
        }
        authority.store.set_published(user, &zone, None)?;
    }
    Ok(lines)
}

/// The changes that take published ones back, with the TTLs from before the announcement.
fn back(changes: &[Change], former: &[Record]) -> Vec<Change> {
    let mut back: Vec<Change> = changes.iter().rev().map(Change::reversed).collect();
    for record in back.iter_mut().flat_map(|change| &mut change.after) {
        let same = |old: &&Record| old.name == record.name && old.kind == record.kind && old.data == record.data;
        if let Some(old) = former.iter().find(same) {
            record.ttl = old.ttl;
        }
    }
    back
}
