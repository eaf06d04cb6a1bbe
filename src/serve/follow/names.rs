//! The DNS names of a distributed account's domains lead to its child: of new ones too, and of gone ones nothing is remembered.

use crate::child::{Child, resolve};
use crate::error::{Code, Error, Result};
use crate::panel::{self, Panel};
use crate::rules::dns::{self, Change, Record};
use crate::serve::Serve;
use std::net::IpAddr;

/// The zone that holds the names of a domain, and its records: the domain's own, or that of a domain above it. `None` when none is here.
async fn zone_of(own: &Panel, domain: &str, domains: &[String]) -> Result<Option<(String, Vec<Record>)>> {
    let above = domains.iter().filter(|other| domain.strip_suffix(other.as_str()).is_some_and(|left| left.ends_with('.')));
    for zone in std::iter::once(domain).chain(above.map(String::as_str)) {
        match panel::dns::records(own, zone).await {
            Ok(records) => return Ok(Some((zone.to_owned(), records))),
            Err(error) if error.code == Code::Answered => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// Makes the mail names of every domain that is not published yet lead to the child.
pub async fn publish(serve: &Serve, user: &str, known: &[String], domains: &[String], child: &Child) -> Result<Vec<String>> {
    let (own, store) = (&serve.authority.own, &serve.authority.store);
    for gone in known.iter().filter(|domain| !domains.contains(domain)) {
        store.set_published(user, gone, None)?;
    }
    let mut lines = Vec::new();
    let address = |all: Vec<IpAddr>| all.into_iter().min_by_key(IpAddr::is_ipv6);
    let mut addresses = None;
    for domain in domains {
        if store.published(user, domain)?.is_some() {
            continue;
        }
        let Some((zone, records)) = zone_of(own, domain, domains).await? else {
            continue;
        };
        let (former, new) = match addresses {
            Some(pair) => pair,
            None => {
                let pair = address(resolve(own.hostname()).await?).zip(address(child.addresses().await?));
                let pair = pair.ok_or_else(|| Error::new(Code::NotSent, "The nodes' names resolve to no address."))?;
                *addresses.insert(pair)
            }
        };
        let changes = dns::follow(&records, domain, former, new);
        if changes.is_empty() {
            continue;
        }
        // Recorded before it is done, so that the way back is known whatever happens in between.
        store.set_published(user, domain, Some((&changes, &[])))?;
        panel::dns::apply(own, &zone, &changes).await?;
        lines.extend(changes.iter().map(Change::describe));
    }
    Ok(lines)
}
