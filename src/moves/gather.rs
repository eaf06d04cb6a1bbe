//! The facts a plan is made from.

use super::end::End;
use super::{pipes, zones};
use crate::authority::Authority;
use crate::error::{Code, Error, Result};
use crate::host::{self, HostCall, HostFacts, Occupancy};
use crate::mailbox::{self, Leftovers, Oddity, Usage, Why};
use crate::panel;
use crate::rules::names::{self, LOCAL};
use crate::rules::plan::{AccountFacts, Facts, MailFacts, TargetFacts};
use crate::store::ServedState;
use crate::wire::Destination;
use serde_json::Value;
use std::net::IpAddr;

/// Looks at everything a move of `user` to `to` depends on, and at the DNS records it would change. `own` is the move that asks, when
/// it is one that has been recorded already.
pub async fn facts(authority: &Authority, user: &str, to: &Destination, own: Option<i64>) -> Result<(Facts, Vec<String>)> {
    names::user(user)?;
    let store = &authority.store;
    let mut facts = Facts { user: user.to_owned(), ..Facts::default() };
    facts.parent.child_of = store.parent()?.map(|parent| parent.hostname);
    facts.parent.profile = profile(&authority.own).await?;
    let domains = match host::domains_of(user) {
        Ok(domains) => domains,
        Err(error) if error.code == Code::NotFound => return Ok((facts, Vec::new())),
        Err(error) => return Err(error),
    };
    facts.account = AccountFacts {
        exists: true,
        child: store.child_of(user)?,
        domains: domains.clone(),
        running_move: store.running_move_of(user)?.filter(|id| Some(*id) != own),
        pipes: Vec::new(),
        ipv6: Vec::new(),
    };
    let target_name = match to {
        Destination::Local => LOCAL.to_owned(),
        Destination::Child(alias) => alias.clone(),
    };
    facts.target.name = target_name.clone();
    facts.target.linked = target_name == LOCAL || store.nodes()?.iter().any(|node| node.alias == target_name);
    let source_name = facts.account.child.clone().unwrap_or_else(|| LOCAL.to_owned());
    if !facts.target.linked || source_name == target_name || facts.account.running_move.is_some() {
        return Ok((facts, Vec::new()));
    }
    let source = End::of(authority, &source_name)?;
    let target = End::of(authority, &target_name)?;
    match look(&source, &target, user, &domains, &mut facts).await {
        Ok(dns) => Ok((facts, dns)),
        Err(error) if matches!(error.code, Code::NotSent | Code::MayHaveHappened | Code::Denied) => {
            facts.target.trouble = Some(error.message);
            Ok((facts, Vec::new()))
        }
        Err(error) => Err(error),
    }
}

async fn look(source: &End, target: &End, user: &str, domains: &[String], facts: &mut Facts) -> Result<Vec<String>> {
    let child = if target.name() == LOCAL { source } else { target };
    let machine: HostFacts = target.host(HostCall::Facts).await?;
    let forward = target.name() != LOCAL;
    if forward {
        facts.target.profile = profile(target.panel()).await?;
        let found: Occupancy = child.host(HostCall::Occupancy { user: user.into(), domains: domains.to_vec() }).await?;
        facts.target.foreign_user = found.user_exists && found.served.is_none();
        facts.target.foreign_domains = found.foreign_domains;
        if found.user_exists && found.served.is_some() && !found.served_domains.contains(&domains[0]) {
            facts.target.leftovers.push("an account of that name from an earlier move, with another domain".into());
        }
        if found.served == Some(ServedState::Served) {
            facts.target.leftovers.push("the child believes that it serves this account".into());
        }
    }
    facts.target = TargetFacts { disk_free: machine.disk_free, inodes_free: machine.inodes_free, ..facts.target.clone() };
    if !forward {
        let mut side = target.side(user).await?;
        let found = tokio::task::spawn_blocking(move || mailbox::target_leftovers(side.as_mut())).await;
        let found = found.map_err(|cause| Error::machine("looking at the parent's mail", cause))??;
        facts.target.leftovers.extend(describe_leftovers(&found));
    }
    let mut side = source.side(user).await?;
    let usage =
        tokio::task::spawn_blocking(move || side.usage()).await.map_err(|cause| Error::machine("measuring mail", cause))??;
    facts.mail = mail(&usage);
    if forward {
        facts.account.pipes = pipes::find(source.panel(), user, domains).await?;
        let summary = source.panel().whm("accountsummary", &[("user", user)]).await?;
        let addresses = summary["acct"][0]["ipv6"].as_array().into_iter().flatten();
        facts.account.ipv6 = addresses.filter_map(Value::as_str).map(str::to_owned).collect();
    }
    let mut lines = Vec::new();
    let address = |all: Vec<IpAddr>| all.into_iter().min_by_key(IpAddr::is_ipv6);
    let own = if forward { source } else { target };
    if let (Some(former), Some(new)) = (address(source.addresses().await?), address(target.addresses().await?)) {
        let (zones, missing) = zones::of(own.panel(), domains).await?;
        lines.extend(zones.iter().flat_map(|zone| zone.follow(former, new)).map(|change| change.describe()));
        lines.extend(missing.iter().map(|name| format!("{name}: its zone is not on this server; point its mail names by hand")));
    }
    Ok(lines)
}

fn mail(usage: &Usage) -> MailFacts {
    // Dovecot may show such a message to the account's owner, who would miss it.
    let is_message = |path: &str| path.split('/').rev().nth(1).is_some_and(|place| matches!(place, "cur" | "new"));
    let foreign =
        usage.left_out.named.iter().filter(|(path, why)| is_message(path) && matches!(why, Why::Foreign | Why::TooLarge)).map(
            |(path, why)| {
                format!("The message ~/mail/{path} cannot be moved ({why:?}): give it to the account, or take it away.")
            },
        );
    MailFacts {
        messages: usage.messages,
        bytes: usage.bytes,
        mailboxes: usage.mailboxes.iter().map(|(name, _, _)| name.clone()).collect(),
        unsupported: usage.oddities.iter().map(describe_oddity).chain(foreign).collect(),
        left_out: usage.left_out.named.iter().map(|(path, why)| format!("{path} ({why:?})")).collect(),
    }
}

fn describe_oddity(oddity: &Oddity) -> String {
    match oddity {
        Oddity::Unsupported { mailbox, format } => {
            format!("The mailbox “{mailbox}” has the format {format}, which is not supported; only Maildir is.")
        }
        Oddity::ManyKeywords { mailbox, folder, keywords } => format!(
            "The folder “{folder}” of “{mailbox}” has {keywords} keywords; Maildir keeps 26, and the others would be lost."
        ),
    }
}

/// Mail on the target that a copy would meet; `None` when there is none.
pub fn describe_leftovers(found: &Leftovers) -> Option<String> {
    let named: Vec<String> = found.mailboxes.iter().take(5).map(|(name, count)| format!("{count} in “{name}”")).collect();
    (!found.is_empty()).then(|| format!("{} messages ({})", found.messages, named.join(", ")))
}

async fn profile(panel: &panel::Panel) -> Result<String> {
    let found = panel.whm("get_current_profile", &[]).await?;
    Ok(found["code"].as_str().unwrap_or_default().to_owned())
}
