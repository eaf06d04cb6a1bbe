//! The cutover: hold, last pass, verification, switch, and what follows it. See the head of [`super`] for why the order is safe.

use super::copy::{self, Session};
use super::end::End;
use super::{Job, LONGEST_WAIT, prepare, zones};
use crate::authority::now_ms;
use crate::drill;
use crate::error::{Code, Error, Result};
use crate::halves::{self, When};
use crate::host::HostCall;
use crate::panel;
use crate::rules::dns::{Change, MAIL_NAMES, Record};
use crate::store::{MoveState, ServedState, What};
use serde_json::Value;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// A hold that has not come to the switch by then is given up.
const HOLD_DEADLINE: Duration = Duration::from_secs(30);
/// How often a gate that cannot be reached is tried before the sweeper gets it.
const GATE_TRIES: u32 = 3;

/// `from` sends the account's new mail and sign-ins to `to`.
pub async fn route(from: &End, to: &End, user: &str, domains: &[String]) -> Result<()> {
    let host = to.panel().hostname();
    let keys: Vec<(String, String, &String)> = domains
        .iter()
        .enumerate()
        .map(|(n, domain)| {
            if n == 0 {
                ("domain".into(), "mx_host".into(), domain)
            } else {
                (format!("domain-{n}"), format!("mx_host-{n}"), domain)
            }
        })
        .collect();
    let params: Vec<(&str, &str)> = keys
        .iter()
        .flat_map(|(domain_key, host_key, domain)| [(domain_key.as_str(), domain.as_str()), (host_key.as_str(), host)])
        .collect();
    from.panel().whm("set_manual_mx_redirects", &params).await?;
    let params = [("username", user), ("service_group", "Mail"), ("service_group_backend", host)];
    from.panel().whm("set_service_proxy_backends", &params).await.map(drop)
}

/// `end` keeps the account's mail and, when a user is given, its sign-ins to itself.
pub async fn unroute(end: &End, user: Option<&str>, domains: &[String]) -> Result<()> {
    if let Some(user) = user {
        end.panel().whm("unset_all_service_proxy_backends", &[("username", user)]).await?;
    }
    if domains.is_empty() {
        return Ok(());
    }
    let keys: Vec<(String, &String)> = domains
        .iter()
        .enumerate()
        .map(|(n, domain)| (if n == 0 { "domain".into() } else { format!("domain-{n}") }, domain))
        .collect();
    let params: Vec<(&str, &str)> = keys.iter().map(|(key, domain)| (key.as_str(), domain.as_str())).collect();
    end.panel().whm("unset_manual_mx_redirects", &params).await.map(drop)
}

/// The name under which a move keeps a gate closed.
pub(super) fn holder(job: &Job) -> Result<String> {
    Ok(format!("{}/{}", job.authority.store.node_id()?, job.moving.id))
}

async fn gate(job: &Job, closed: bool) -> Result<()> {
    let mut peers: Vec<IpAddr> = Vec::new();
    if closed {
        // Exim may send from any address of its machine, not only from the one its name leads to.
        peers = job.source.addresses().await?;
        peers.extend(job.source.host::<Vec<IpAddr>>(HostCall::Addresses).await?);
        peers.sort_unstable();
        peers.dedup();
    }
    job.target.host::<Value>(HostCall::Gate { holder: holder(job)?, peers }).await.map(drop)
}

/// Opens the gate if this move may have closed it.
pub(super) async fn open_gate(job: &mut Job) -> Result<()> {
    if job.outputs.gated {
        gate(job, false).await?;
        job.outputs.gated = false;
    }
    Ok(())
}

/// Holds, copies the rest, verifies, and switches. On failure before the switch the caller gives up the hold.
pub(super) async fn hold_and_switch(job: &mut Job, session: &mut Session) -> Result<()> {
    let domains = job.outputs.domains.clone();
    let stamp_call = || HostCall::Stamp { user: job.user().into(), domains: domains.clone() };
    let stamp: String = job.source.host(stamp_call()).await?;
    // What was set up while messages were copied.
    prepare::configure(job).await?;

    job.outputs.holding = true;
    job.outputs.gated = true;
    job.outputs.held_at = Some(now_ms());
    let deadline = Instant::now() + HOLD_DEADLINE;
    job.enter(MoveState::Holding, "hold")?;
    gate(job, true).await?;
    route(&job.source, &job.target, job.user(), &domains).await?;
    job.leave("")?;

    job.enter(MoveState::Holding, "quiet")?;
    let ended: u64 = job.source.host(HostCall::Quiet { user: job.user().into() }).await?;
    copy::fence(job, session, true).await?;
    job.leave(&format!("{ended} sessions ended"))?;

    job.enter(MoveState::Holding, "final")?;
    let note = copy::last_pass(job, session, deadline).await?;
    job.leave(&note)?;

    job.enter(MoveState::Holding, "verify")?;
    let verdict = copy::verify(job, session, deadline).await?;
    let stamp_call = HostCall::Stamp { user: job.user().into(), domains: domains.clone() };
    if job.source.host::<String>(stamp_call).await? != stamp {
        return Err(Error::new(Code::Conflict, "The account's mail settings were changed while it was on hold."));
    }
    job.leave(&verdict)?;
    if Instant::now() > deadline {
        return Err(Error::new(Code::Machine, format!("The hold lasted longer than {} s.", HOLD_DEADLINE.as_secs())));
    }
    job.cancelled()?;

    job.enter(MoveState::Holding, "switch")?;
    job.authority.store.switch(&job.moving, &domains, now_ms())?;
    job.moving.state = MoveState::Switched;
    job.moving.reason = None;
    job.leave("")?;
    finish_with(job, session).await
}

/// Gives up a hold: the source serves again by itself. Insists until the source does; mail that waited comes back by the detour.
pub(super) async fn release(job: &mut Job, why: &str) -> Result<()> {
    job.moving.state = MoveState::Seeding;
    job.moving.step = "hold".into();
    job.record(format!("hold: given up: {why}"))?;
    drill::crash_point(&job.authority.dir, "hold", "undo");
    let (user, domains) = (job.user().to_owned(), job.outputs.domains.clone());
    let mut wait = Duration::from_millis(500);
    loop {
        job.refresh();
        let attempt = async {
            unroute(&job.source, Some(&user), &domains).await?;
            let mut side = job.source.side(&user).await?;
            tokio::task::spawn_blocking(move || side.fence(false))
                .await
                .map_err(|cause| Error::machine("lowering the fence", cause))?
        };
        match attempt.await {
            Ok(()) => break,
            Err(error) => {
                job.moving.reason = Some(error.one_line());
                job.record(format!("hold: giving it up again: {}", error.one_line()))?;
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(LONGEST_WAIT);
            }
        }
    }
    for _ in 0..GATE_TRIES {
        match open_gate(job).await {
            Ok(()) => break,
            Err(error) => {
                job.record(format!("hold: the gate does not open: {}", error.one_line()))?;
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        }
    }
    job.source.host::<Value>(HostCall::Flush { domains }).await?;
    job.outputs.holding = false;
    job.record("hold: mail flows as before")
}

/// After the switch: everything follows the truth. Goes on until it does.
pub(super) async fn finish(job: &mut Job) -> Result<()> {
    finish_with(job, &mut Session::default()).await
}

async fn finish_with(job: &mut Job, session: &mut Session) -> Result<()> {
    for step in ["open", "publish", "clean", "release"] {
        let state = if matches!(step, "open" | "publish") { MoveState::Switched } else { MoveState::Cleaning };
        let mut wait = Duration::from_millis(250);
        loop {
            job.refresh();
            job.enter(state, step)?;
            let result = match step {
                "open" => open(job).await,
                "publish" => publish(job).await,
                "clean" => clean(job, session).await,
                _ => copy::fence(job, session, false).await.map(|()| String::new()),
            };
            match result {
                Ok(note) => {
                    job.moving.reason = None;
                    job.leave(&note)?;
                    break;
                }
                Err(error) => {
                    job.moving.reason = Some(error.one_line());
                    job.record(format!("{step}: trying again: {}", error.one_line()))?;
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(LONGEST_WAIT);
                }
            }
        }
    }
    job.moving.state = MoveState::Done;
    job.record("done")
}

async fn open(job: &mut Job) -> Result<String> {
    let (user, domains) = (job.user().to_owned(), job.outputs.domains.clone());
    // A restart may come here with the source's route in doubt; setting it again changes nothing.
    route(&job.source, &job.target, &user, &domains).await?;
    unroute(&job.target, Some(&user), &domains).await?;
    open_gate(job).await?;
    let pause = copy::since(job.outputs.held_at);
    if job.outputs.holding {
        job.authority.store.set_pause(job.moving.id, pause)?;
        job.outputs.holding = false;
    }
    // Known before the child says so: an account that is removed later must go from there too.
    job.authority.store.set_retained(&user, job.child().name(), !job.forward())?;
    if job.forward() {
        // Limits waited until everything was there; what happened to the account meanwhile did too.
        job.authority.store.note(&user, job.child().name(), What::Package, &[], now_ms() / 1000)?;
    }
    let state = Some(if job.forward() { ServedState::Served } else { ServedState::Retained });
    job.child().host::<Value>(HostCall::Serve { user: user.clone(), domains: domains.clone(), state }).await?;
    job.source.host::<Value>(HostCall::Flush { domains }).await?;
    if let End::There(alias, child) = job.target.clone() {
        // Mail is served already; a limit that the child does not take must not stop the rest.
        match halves::bring(&job.authority, &child, &user, When::Served).await {
            Ok(done) if done.is_empty() => {}
            Ok(done) => job.record(format!("open: the half on {alias}: {}", done.join("; ")))?,
            Err(error) => job.record(format!("open: the half on {alias} differs still: {}", error.one_line()))?,
        }
    }
    Ok(format!("mail waited {pause} ms"))
}

async fn publish(job: &mut Job) -> Result<String> {
    let authority = job.authority.clone();
    let domains = job.outputs.domains.clone();
    let mut lines = Vec::new();
    if !job.forward() {
        lines.extend(zones::take_back(&authority, job.user()).await?);
    }
    let (zones, missing) = zones::of(&authority.own, &domains).await?;
    for domain in missing {
        job.record(format!("publish: the zone of {domain} is not here; its names must be pointed by hand"))?;
    }
    if zones.is_empty() {
        return Ok("nothing to change".into());
    }
    let address = |end: Vec<IpAddr>| end.into_iter().min_by_key(IpAddr::is_ipv6);
    let (Some(former), Some(new)) = (address(job.source.addresses().await?), address(job.target.addresses().await?)) else {
        return Err(Error::new(Code::NotSent, "The nodes' names resolve to no address."));
    };
    if job.forward() {
        lines.extend(zones::publish(&authority, job.user(), &zones, &job.outputs.announced, former, new).await?);
    } else {
        // A zone of which nothing was remembered may still lead to the child: a domain added there by hand, say.
        for zone in &zones {
            let leads = |r: &Record| r.kind == "A" && r.data.first().is_some_and(|data| *data == former.to_string());
            let named =
                |r: &Record| zone.domains.iter().any(|name| MAIL_NAMES.iter().any(|label| r.name == format!("{label}.{name}")));
            if zone.records.iter().any(|record| named(record) && leads(record)) {
                let changes = zone.follow(former, new);
                panel::dns::apply(&authority.own, &zone.name, &changes).await?;
                lines.extend(changes.iter().map(Change::describe));
            }
        }
    }
    Ok(if lines.is_empty() { "nothing to change".into() } else { lines.join("; ") })
}

/// Forward: the parent's messages go. Back: the child keeps account and data, as cPanel's rule says.
async fn clean(job: &mut Job, session: &mut Session) -> Result<String> {
    if !job.forward() {
        return Ok("the child keeps the account and its data".into());
    }
    copy::clean(job, session).await?;
    Ok("the parent's messages are removed".into())
}
