//! Domains beside the main one, through WHM.

use serde_json::{Value, json};

use super::managed;
use crate::call::{Args, Caller, Failure, Reply};
use crate::domains;
use crate::machine::domains::Kind;
use crate::machine::{Machine, names};

/// The account a new sub domain belongs to: the owner of the longest domain it is below.
fn owner_above(machine: &Machine, sub: &str) -> Option<String> {
    let mut rest = sub;
    while let Some((_, above)) = rest.split_once('.') {
        if let Some(user) = machine.domain_owner(above) {
            return Some(user);
        }
        rest = above;
    }
    None
}

/// `create_subdomain`: the account is the one that owns the domain above.
pub(super) fn create_subdomain(machine: &Machine, caller: &Caller, args: &Args) -> Reply {
    let sub = names::domain(args.need("domain")?)?;
    let root = args.need("document_root")?;
    let user = owner_above(machine, &sub)
        .ok_or_else(|| Failure::new(format!("“{sub}” is not a subdomain of a domain on this server.")))?;
    managed(machine, caller, &user)?;
    domains::add_sub(machine, &user, &sub, root, args.flag("use_canonical_name"))?;
    Ok(json!({"username": user}).into())
}

/// `create_parked_domain_for_user`: on a sub domain it makes an addon domain.
pub(super) fn create_parked(machine: &Machine, caller: &Caller, args: &Args) -> Reply {
    let (domain, user, host) = (args.need("domain")?, args.need("username")?, args.need("web_vhost_domain")?);
    managed(machine, caller, user)?;
    domains::park(machine, user, domain, host)?;
    Ok(Value::Null.into())
}

/// `delete_domain`: a domain nobody here owns is gone already.
pub(super) fn delete_domain(machine: &Machine, caller: &Caller, args: &Args) -> Reply {
    let domain = names::domain(args.need("domain")?)?;
    let Some(user) = machine.domain_owner(&domain) else {
        return Ok(json!({"type": null, "username": null}).into());
    };
    managed(machine, caller, &user)?;
    let kind = match domains::remove(machine, &user, &domain)? {
        Kind::Addon => "addon",
        Kind::Parked => "parked",
        Kind::Main | Kind::Sub => "sub",
    };
    Ok(json!({"type": kind, "username": user}).into())
}

/// `getdomainowner`.
pub(super) fn getdomainowner(machine: &Machine, caller: &Caller, args: &Args) -> Reply {
    let domain = args.need("domain")?;
    let user = machine.domain_owner(domain).filter(|user| managed(machine, caller, user).is_ok());
    Ok(json!({"user": user}).into())
}

/// `get_domain_info`: every domain of the accounts the caller manages.
pub(super) fn get_domain_info(machine: &Machine, caller: &Caller, _args: &Args) -> Reply {
    let mut shown = Vec::new();
    for account in machine.accounts()?.iter().filter(|account| super::manages(caller, account)) {
        let home = machine.system_user(&account.user).map(|user| user.home.to_string_lossy().into_owned()).unwrap_or_default();
        let domains = machine.domains_of(&account.user)?;
        for domain in account.domains() {
            let carrier = domains.addon_domains.get(&domain);
            let (kind, parent, docroot) = match domains.kind(&domain) {
                Some(Kind::Addon) => {
                    let carrier = carrier.unwrap_or(&domain);
                    ("addon", carrier.clone(), machine.site(&account.user, carrier)?.documentroot)
                }
                Some(Kind::Sub) => {
                    let root = domains.root_of(&domain).unwrap_or_default();
                    ("sub", root, machine.site(&account.user, &domain)?.documentroot)
                }
                Some(Kind::Parked) => ("parked", domains.main_domain.clone(), format!("{home}/public_html")),
                _ => ("main", domain.clone(), format!("{home}/public_html")),
            };
            let address = account.get("IP").unwrap_or_default();
            shown.push(json!({
                "docroot": docroot,
                "domain": domain,
                "domain_type": kind,
                "ipv4": address,
                "ipv4_ssl": address,
                "ipv6": null,
                "ipv6_is_dedicated": null,
                "modsecurity_enabled": 0,
                "parent_domain": parent,
                "php_version": null,
                "port": "80",
                "port_ssl": "443",
                "user": account.user,
                "user_owner": account.owner(),
            }));
        }
    }
    Ok(json!({"domains": shown}).into())
}
