//! The two halves of a distributed account, as servers have them, and bringing the child's to what the parent's is.
//!
//! What a half is and which steps follow is decided in [`crate::rules::halves`]; here the facts are gathered and the steps done, each
//! through cPanel's own API on the child. Every step may be done again: what is there is looked at before and after. An account on the
//! child is touched only when the child's own record says that it came from this parent.

mod extras;

use crate::authority::Authority;
use crate::child::Child;
use crate::error::{Code, Error, Result};
use crate::host::{self, HostCall, Occupancy};
use crate::panel::{Panel, number};
use crate::rules::halves::{self, Half, Hash, LIMITS, Step, UNLIMITED};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

pub use extras::{certificates, keys};

/// How often the child is looked at again before what still differs counts as a failure.
const PASSES: usize = 4;

/// When the child's half is made equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Mail is being brought there: limits wait until it is.
    Arriving,
    /// The child serves it.
    Served,
}

/// The half of an account as the API of `panel` shows it, with this password hash of shadow(5).
async fn read(panel: &Panel, user: &str, shadow: &str) -> Result<Half> {
    let summary = panel.whm("accountsummary", &[("user", user)]).await?;
    let domains = panel.uapi(user, "DomainInfo", "domains_data", &[]).await?;
    half(&summary["acct"][0], &domains, shadow)
        .ok_or_else(|| Error::new(Code::Answered, format!("“{}” does not say what domains “{user}” has.", panel.hostname())))
}

/// A half from a row of `accountsummary` and the data of `DomainInfo::domains_data`; `None` when there is no main domain in it.
fn half(row: &Value, domains: &Value, shadow: &str) -> Option<Half> {
    let text = |key: &str| row[key].as_str().map(str::to_owned).unwrap_or_else(|| number(&row[key]).unwrap_or(0).to_string());
    let name = |value: &Value, key: &str| {
        value.as_str().or(value[key].as_str()).map(|name| name.trim_end_matches('.').to_ascii_lowercase())
    };
    let list = |key: &str| domains[key].as_array().into_iter().flatten();
    let addons: BTreeMap<String, String> = list("addon_domains")
        .filter_map(|entry| Some((name(entry, "domain")?, name(&entry["servername"], "servername")?)))
        .collect();
    let mut subdomains: BTreeSet<String> = list("sub_domains").filter_map(|entry| name(entry, "domain")).collect();
    subdomains.extend(addons.values().cloned());
    let shell = text("shell");
    let mut limits = BTreeMap::new();
    for (key, field) in LIMITS.iter().chain(&UNLIMITED) {
        limits.insert((*key).to_owned(), limit(&text(field)));
    }
    Some(Half {
        domain: name(&domains["main_domain"], "domain")?,
        subdomains,
        addons,
        parked: list("parked_domains").filter_map(|entry| name(entry, "domain")).collect(),
        suspended: (number(&row["suspended"]) == Some(1)).then(|| text("suspendreason").trim().to_owned()),
        shell: !shell.is_empty() && !shell.contains("noshell") && !shell.contains("nologin"),
        contact: row["email"].as_str().filter(|email| email.contains('@')).unwrap_or_default().to_owned(),
        limits,
        hash: Hash::new(shadow),
    })
}

/// A limit as `modifyacct` takes it: `accountsummary` shows the disk quota as `1024M`.
fn limit(shown: &str) -> String {
    let bare = shown.strip_suffix('M').filter(|rest| rest.bytes().all(|b| b.is_ascii_digit())).unwrap_or(shown);
    if bare.is_empty() { "unlimited".into() } else { bare.to_owned() }
}

/// The parent's half.
///
/// # Errors
/// [`Code::NotFound`] when there is no such account; as [`Panel::uapi`].
pub async fn on_parent(authority: &Authority, user: &str) -> Result<Half> {
    host::domains_of(user)?;
    let shadow = host::perform(&authority.store, HostCall::PasswordHash { user: user.to_owned() }).await?;
    read(&authority.own, user, shadow.as_str().unwrap_or_default()).await
}

/// The child's half of an account that is there.
///
/// # Errors
/// As [`Child::host`] and [`Panel::uapi`].
pub async fn on_child(child: &Child, user: &str) -> Result<Half> {
    let shadow: String = child.host(HostCall::PasswordHash { user: user.to_owned() }).await?;
    read(&child.panel, user, &shadow).await
}

/// What the child says of an account of this name; an error when it is one that did not come from this parent.
///
/// # Errors
/// [`Code::Conflict`] when the account there is not ours; as [`Child::host`].
pub async fn ours(child: &Child, user: &str, domains: &[String]) -> Result<Occupancy> {
    let found: Occupancy = child.host(HostCall::Occupancy { user: user.to_owned(), domains: domains.to_vec() }).await?;
    if found.user_exists && found.served.is_none() {
        return Err(Error::new(
            Code::Conflict,
            format!("“{}” has an account “{user}” of its own, which is not ours to touch.", child.panel.hostname()),
        )
        .hint("Rename or remove one of the two."));
    }
    Ok(found)
}

/// Makes the account on the child as far as `createacct` does; [`bring`] does the rest. Nobody knows the password it is made with.
///
/// # Errors
/// As [`Panel::whm`].
pub async fn create(child: &Child, user: &str, half: &Half) -> Result<()> {
    let password = random_password()?;
    let mut params = vec![
        ("username", user),
        ("domain", half.domain.as_str()),
        ("password", password.as_str()),
        ("mxcheck", "local"),
        ("quota", "0"),
        ("maxpop", "unlimited"),
        ("maxlst", "unlimited"),
        ("maxaddon", "unlimited"),
        ("maxpark", "unlimited"),
        ("maxsub", "unlimited"),
        ("max_emailacct_quota", "unlimited"),
        ("hasshell", if half.shell { "1" } else { "0" }),
    ];
    if !half.contact.is_empty() {
        params.push(("contactemail", half.contact.as_str()));
    }
    child.panel.whm("createacct", &params).await.map(drop)
}

/// Brings the child's half of an account that exists there to what the parent's is. What was done, a line each.
///
/// # Errors
/// [`Code::Conflict`] when the account there is not ours, [`Code::NotFound`] when there is none; else the step that failed. What was
/// done before stays done, and doing it again goes on from there.
pub async fn bring(authority: &Authority, child: &Child, user: &str, when: When) -> Result<Vec<String>> {
    let parents = on_parent(authority, user).await?;
    let found = ours(child, user, &parents.domains()).await?;
    if !found.user_exists {
        return Err(Error::new(Code::NotFound, format!("“{}” has no account “{user}”.", child.panel.hostname()))
            .hint("Restore it there from a backup, or give it up by force dedistributing the account."));
    }
    let wanted = match when {
        When::Arriving => parents.arriving(),
        When::Served => parents.on_child(),
    };
    let mut done = Vec::new();
    let mut failed = None;
    for _ in 0..PASSES {
        let there = on_child(child, user).await?;
        let steps = halves::steps(&wanted, &there);
        if steps.is_empty() {
            return Ok(done);
        }
        if let Some(error) = failed.take() {
            return Err(error);
        }
        for step in &steps {
            match carry_out(child, user, step, &wanted).await {
                Ok(()) => done.push(step.describe()),
                // It may have happened all the same, or an earlier try did it: what is there decides.
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
        }
    }
    let left = halves::steps(&wanted, &on_child(child, user).await?);
    // A limit that cPanel shows otherwise than it was set must not keep mail from moving.
    if left.iter().all(|step| when == When::Arriving && matches!(step, Step::Settings(_))) {
        return Ok(done);
    }
    let left: Vec<String> = left.iter().map(Step::describe).collect();
    Err(failed.unwrap_or_else(|| {
        Error::new(
            Code::Answered,
            format!("“{}” says that it did it, but these of “{user}” still differ: {}.", child.panel.hostname(), left.join("; ")),
        )
    }))
}

async fn carry_out(child: &Child, user: &str, step: &Step, wanted: &Half) -> Result<()> {
    let panel = &child.panel;
    match step {
        Step::Suspend(reason) => panel.whm("suspendacct", &[("user", user), ("reason", reason)]).await.map(drop),
        // Routes of a move that goes back must not go with the suspension.
        Step::Unsuspend => panel.whm("unsuspendacct", &[("user", user), ("retain-service-proxies", "1")]).await.map(drop),
        Step::MainDomain(_, to) => panel.whm("modifyacct", &[("user", user), ("DNS", to)]).await.map(drop),
        Step::RemoveDomain(domain) => panel.whm("delete_domain", &[("domain", domain)]).await.map(drop),
        Step::AddSubdomain(domain) => {
            let root = format!("public_html/{domain}");
            panel.whm("create_subdomain", &[("domain", domain), ("document_root", &root)]).await.map(drop)
        }
        Step::AddAddon(domain, on) => park(panel, user, domain, on).await,
        Step::AddParked(domain) => park(panel, user, domain, &wanted.domain).await,
        Step::Settings(values) => {
            let mut params = vec![("user", user)];
            params.extend(values.iter().map(|(key, value)| (key.as_str(), value.as_str())));
            panel.whm("modifyacct", &params).await.map(drop)
        }
        Step::Password => {
            let hash = wanted.hash.shadow(wanted.suspended.is_some());
            child.host::<Value>(HostCall::SetPasswordHash { user: user.to_owned(), hash }).await.map(drop)
        }
    }
}

async fn park(panel: &Panel, user: &str, domain: &str, on: &str) -> Result<()> {
    let params = [("domain", domain), ("username", user), ("web_vhost_domain", on)];
    panel.whm("create_parked_domain_for_user", &params).await.map(drop)
}

fn random_password() -> Result<String> {
    use std::fmt::Write as _;
    let mut bytes = [0u8; 24];
    let mut filled = 0;
    while filled < bytes.len() {
        filled += rustix::rand::getrandom(&mut bytes[filled..], rustix::rand::GetRandomFlags::empty())
            .map_err(|cause| Error::machine("getting random bytes", cause))?;
    }
    let mut password = String::from("Ln!");
    for byte in bytes {
        let _ = write!(password, "{byte:02x}");
    }
    Ok(password)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_half_is_read_from_what_cpanel_answers() {
        let row = json!({
            "email": "*unknown*", "shell": "/usr/local/cpanel/bin/noshell", "suspended": 1, "suspendreason": "unpaid",
            "disklimit": "1024M", "maxpop": "5", "maxaddons": "unlimited", "outgoing_mail_suspended": 0,
        });
        let domains = json!({
            "main_domain": {"domain": "a.test", "servername": "a.test"},
            "addon_domains": [{"domain": "shop.test", "servername": "shop.a.test"}],
            "parked_domains": ["alias.test"],
            "sub_domains": [{"domain": "blog.a.test", "servername": "blog.a.test"}],
        });
        let found = half(&row, &domains, "!$6$x").unwrap();
        assert_eq!(found.domains(), ["a.test", "alias.test", "blog.a.test", "shop.a.test", "shop.test"]);
        assert_eq!(found.addons["shop.test"], "shop.a.test");
        assert_eq!(found.suspended.as_deref(), Some("unpaid"));
        assert_eq!((found.contact.as_str(), found.shell), ("", false));
        assert_eq!((found.limits["QUOTA"].as_str(), found.limits["MAXPOP"].as_str()), ("1024", "5"));
        assert_eq!(found.limits["OUTGOING_EMAIL_SUSPENDED"], "0");
        assert!(half(&row, &json!({}), "").is_none());
    }
}
