//! Before the copy: the target is made ready. And what takes a move back to where it began.

use super::configuration::{self, Change};
use super::end::End;
use super::{Job, cutover, gather, zones};
use crate::drill;
use crate::error::{Code, Error, Result};
use crate::halves::{self, When};
use crate::host::{HostCall, Occupancy};
use crate::mailbox;
use crate::panel;
use crate::rules::dns::{self, Change as DnsChange, MAIL_NAMES, MOVING_TTL};
use crate::store::{MoveState, ServedState};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// How long mail that was already on its way may take to come back before the account on the child is removed.
const DRAIN: Duration = Duration::from_secs(60);
/// How often the child's half of an undo is tried before it is left to the administrator.
const UNDO_TRIES: u32 = 8;

/// The preparing steps, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Claim,
    Account,
    Detour,
    Configure,
    Announce,
}

impl Step {
    /// All of them, in order.
    pub const ALL: &'static [Self] = &[Self::Claim, Self::Account, Self::Detour, Self::Configure, Self::Announce];

    /// As the log and the drills name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Claim => "claim",
            Self::Account => "account",
            Self::Detour => "detour",
            Self::Configure => "configure",
            Self::Announce => "announce",
        }
    }

    /// Does it; what it returns goes into the log.
    pub async fn run(self, job: &mut Job) -> Result<String> {
        match self {
            Self::Claim => claim(job).await,
            Self::Account => account(job).await,
            Self::Detour => {
                cutover::route(&job.target, &job.source, job.user(), &job.outputs.domains).await.map(|()| String::new())
            }
            Self::Configure => configure(job).await,
            Self::Announce => announce(job).await,
        }
    }
}

async fn occupancy(job: &Job) -> Result<Occupancy> {
    job.child().host(HostCall::Occupancy { user: job.user().into(), domains: job.outputs.domains.clone() }).await
}

/// Forward: the child knows that the account is its parent's before it exists there, so that nothing else can take the name.
async fn claim(job: &mut Job) -> Result<String> {
    if !job.forward() {
        return claim_parent(job).await;
    }
    let found = occupancy(job).await?;
    if found.user_exists && found.served.is_none() {
        return Err(Error::new(
            Code::Conflict,
            format!("“{}” has an account “{}” of its own, which is not ours to touch.", job.target.name(), job.user()),
        ));
    }
    if found.served == Some(ServedState::Served) {
        return Err(Error::new(
            Code::Conflict,
            format!(
                "“{}” says that it serves the mail of “{}” already; nothing is copied over it.",
                job.target.name(),
                job.user()
            ),
        ));
    }
    let domains = job.outputs.domains.clone();
    let state = Some(ServedState::Arriving);
    job.target.host::<Value>(HostCall::Serve { user: job.user().into(), domains, state }).await?;
    Ok(String::new())
}

/// Back: the parent's mail directory is empty, so that all that will be in it is this move's to mirror or to remove.
async fn claim_parent(job: &mut Job) -> Result<String> {
    if job.outputs.target_was_empty {
        return Ok("the parent's mail directory was empty".into());
    }
    let mut side = job.target.side(job.user()).await?;
    let leftovers = tokio::task::spawn_blocking(move || mailbox::target_leftovers(side.as_mut()))
        .await
        .map_err(|cause| Error::machine("looking at the parent's mail", cause))??;
    if let Some(what) = gather::describe_leftovers(&leftovers) {
        return Err(Error::new(Code::Conflict, format!("This server already holds mail of “{}”: {what}.", job.user()))
            .hint("Move it out of ~/mail; dedistributing never mixes or overwrites mail."));
    }
    job.outputs.target_was_empty = true;
    Ok("the parent's mail directory is empty".into())
}

/// Forward: the account exists on the child.
async fn account(job: &mut Job) -> Result<String> {
    if !job.forward() {
        return Ok("both accounts exist".into());
    }
    let End::There(_, child) = job.target.clone() else { return Ok("the mail stays on this server".into()) };
    let user = job.user().to_owned();
    let note = if occupancy(job).await?.user_exists {
        "it exists there, from an earlier move"
    } else {
        // Recorded before it is made: if we end here, undo knows whom it may remove.
        job.outputs.made_account = true;
        job.record("account: being made on the child")?;
        halves::create(&child, &user, &halves::on_parent(&job.authority, &user).await?).await?;
        "made"
    };
    let mut notes = vec![note.to_owned()];
    notes.extend(halves::bring(&job.authority, &child, &user, When::Arriving).await?);
    Ok(notes.join("; "))
}

/// Everything but messages: mailboxes with their hashes, what is set up for them, DKIM keys, certificates.
pub async fn configure(job: &mut Job) -> Result<String> {
    let (user, domains) = (job.user().to_owned(), job.outputs.domains.clone());
    let hashes: BTreeMap<String, String> =
        job.source.host(HostCall::MailHashes { user: user.clone(), domains: domains.clone() }).await?;
    let wanted = configuration::read(job.source.panel(), &user, &domains).await?;
    let present = configuration::read(job.target.panel(), &user, &domains).await?;
    let changes = configuration::diff(&wanted, &present);
    for change in &changes {
        configuration::apply(job.target.panel(), &user, change, &hashes).await?;
    }
    job.target.host::<Value>(HostCall::SetMailHashes { user: user.clone(), hashes }).await?;
    let mut notes = vec![match changes.iter().filter(|change| matches!(change, Change::AddMailbox(..))).count() {
        0 => format!("{} changes", changes.len()),
        made => format!("{made} mailboxes made, {} other changes", changes.len() - made),
    }];
    if job.forward() {
        let (from, to) = (job.source.panel(), job.target.panel());
        notes.push(format!("{} DKIM keys", halves::keys(from, to, &domains).await?));
        notes.push(format!("{} certificates", halves::certificates(from, to, &domains).await?));
    }
    Ok(notes.join("; "))
}

/// The records that will change get a short TTL, so that caches let go of them early.
async fn announce(job: &mut Job) -> Result<String> {
    if !job.outputs.announced.is_empty() {
        return Ok("announced before".into());
    }
    let own = job.authority.own.clone();
    let (zones, missing) = zones::of(&own, &job.outputs.domains).await?;
    for domain in missing {
        job.record(format!("announce: the zone of {domain} is not here"))?;
    }
    let mut changes: BTreeMap<String, DnsChange> = BTreeMap::new();
    for zone in zones {
        let named = |record: &dns::Record| {
            let leads = |domain: &String| MAIL_NAMES.iter().any(|label| record.name == format!("{label}.{domain}"));
            zone.domains.iter().any(leads)
        };
        let slow: Vec<dns::Record> = zone.records.iter().filter(|r| named(r) && r.ttl > MOVING_TTL).cloned().collect();
        if slow.is_empty() {
            continue;
        }
        let quick = |record: &dns::Record| dns::Record { ttl: MOVING_TTL, ..record.clone() };
        changes.insert(zone.name.clone(), DnsChange { before: slow.clone(), after: slow.iter().map(quick).collect() });
        job.outputs.announced.insert(zone.name, slow);
    }
    job.record("announce: former TTLs recorded")?;
    let count = changes.len();
    for (zone, change) in changes {
        panel::dns::apply(&own, &zone, &[change]).await?;
    }
    Ok(format!("TTL {MOVING_TTL} s in {count} zones"))
}

async fn withdraw_announcement(job: &Job) -> Result<()> {
    for (zone, records) in &job.outputs.announced {
        let quick = records.iter().map(|record| dns::Record { ttl: MOVING_TTL, ..record.clone() }).collect();
        panel::dns::apply(&job.authority.own, zone, &[DnsChange { before: quick, after: records.clone() }]).await?;
    }
    Ok(())
}

/// Takes a move back that has not switched. The hold is given up already.
pub async fn undo(job: &mut Job) -> Result<()> {
    job.moving.step = "undo".into();
    drill::crash_point(&job.authority.dir, "undo", "before");
    if job.outputs.holding {
        let reason = job.moving.reason.clone().unwrap_or_default();
        cutover::release(job, &reason).await?;
        job.moving.state = MoveState::Undoing;
        job.record("undo: the hold is given up")?;
    }
    let mut wait = Duration::from_secs(1);
    let mut last = None;
    for _ in 0..UNDO_TRIES {
        match undo_preparation(job).await {
            Ok(()) => {
                last = None;
                break;
            }
            Err(error) => {
                job.record(format!("undo: trying again: {}", error.one_line()))?;
                last = Some(error);
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(super::LONGEST_WAIT);
            }
        }
    }
    if let Some(error) = last {
        let reason = job.moving.reason.take().unwrap_or_default();
        job.moving.reason = Some(format!(
            "{reason} Left over on “{}”: the account “{}” that this move began to make ({}). A later move to it takes it up again.",
            job.child().name(),
            job.user(),
            error.message
        ));
    }
    drill::crash_point(&job.authority.dir, "undo", "after");
    job.moving.state = MoveState::Undone;
    job.record("undone")
}

async fn undo_preparation(job: &mut Job) -> Result<()> {
    job.refresh();
    cutover::open_gate(job).await?;
    withdraw_announcement(job).await?;
    if !job.forward() {
        if job.outputs.target_was_empty {
            let mut side = job.target.side(job.user()).await?;
            let removed = tokio::task::spawn_blocking(move || side.remove_messages()).await;
            removed.map_err(|cause| Error::machine("removing what was copied", cause))??;
        }
        return Ok(());
    }
    let user = job.user().to_owned();
    let found = occupancy(job).await?;
    let domains = job.outputs.domains.clone();
    if !job.outputs.made_account {
        // From an earlier move: it stays as that move left it.
        if found.user_exists && found.served.is_some() {
            let state = Some(ServedState::Retained);
            job.target.host::<Value>(HostCall::Serve { user, domains, state }).await?;
        } else if found.served.is_some() {
            job.target.host::<Value>(HostCall::Serve { user, domains, state: None }).await?;
        }
        return Ok(());
    }
    drain(job).await?;
    if found.user_exists && found.served.is_some() {
        job.target.panel().whm("removeacct", &[("username", &user), ("user", &user)]).await?;
    }
    // A route of a domain that is no longer there would wait for the next account of that name.
    cutover::unroute(&job.target, None, &domains).await?;
    job.target.host::<Value>(HostCall::Serve { user, domains, state: None }).await.map(drop)
}

/// Waits until nothing of ours is on its way to the target any more: what is, comes back by the target's detour.
async fn drain(job: &Job) -> Result<()> {
    let peers = job.target.addresses().await?;
    let deadline = tokio::time::Instant::now() + DRAIN;
    loop {
        let parked: u64 = job.source.host(HostCall::Parked { peers: peers.clone() }).await?;
        if parked == 0 {
            return Ok(());
        }
        if tokio::time::Instant::now() > deadline {
            return Err(Error::new(Code::Machine, format!("{parked} deliveries to “{}” are still under way", job.target.name())));
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
