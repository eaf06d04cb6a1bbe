//! The DNS names of a distributed account's domains lead to its child: of new ones too.

use crate::child::{Child, resolve};
use crate::error::{Code, Error, Result};
use crate::moves::zones;
use crate::serve::Serve;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Makes the mail names of domains that came since lead to the child, and of all in zones of which nothing was published yet. What an
/// administrator changed in the others stays.
pub async fn publish(serve: &Serve, user: &str, known: &[String], domains: &[String], child: &Child) -> Result<Vec<String>> {
    let authority = &serve.authority;
    let (mut all, _) = zones::of(&authority.own, domains).await?;
    for zone in &mut all {
        if authority.store.published(user, &zone.name)?.is_some() {
            zone.domains.retain(|domain| !known.contains(domain));
        }
    }
    all.retain(|zone| !zone.domains.is_empty());
    if all.is_empty() {
        return Ok(Vec::new());
    }
    let address = |all: Vec<IpAddr>| all.into_iter().min_by_key(IpAddr::is_ipv6);
    let pair = address(resolve(authority.own.hostname()).await?).zip(address(child.addresses().await?));
    let (former, new) = pair.ok_or_else(|| Error::new(Code::NotSent, "The nodes' names resolve to no address."))?;
    zones::publish(authority, user, &all, &BTreeMap::new(), former, new).await
}
