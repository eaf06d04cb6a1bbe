//! `SubDomain`, `AddonDomain` and `Park`: making, removing and listing domains. All but the lists need the WebServer role.

use serde_json::{Value, json};

use crate::call::{Failure, Reply};
use crate::domains;
use crate::machine::domains::{Domains, Kind};
use crate::uapi::Context;
use crate::uapi::pops::pattern;

/// A label without dots where the caller wants none.
fn label(cx: &Context<'_>, text: &str) -> String {
    if cx.args.flag("disallowdot") { text.replace('.', "") } else { text.to_owned() }
}

/// `SubDomain::addsubdomain`: `domain` is the label, `rootdomain` one of the account's domains.
pub fn addsubdomain(cx: &Context<'_>) -> Reply {
    let name = cx.args.need("domain")?;
    let root = cx.account.own_domain(cx.args.need("rootdomain")?)?;
    let name = name.strip_suffix(&format!(".{root}")).unwrap_or(name);
    let sub = format!("{}.{root}", label(cx, name));
    let canonical = cx.args.get("canoff").is_some_and(|flag| flag == "0");
    domains::add_sub(cx.machine, &cx.account.user, &sub, cx.args.get("dir").unwrap_or_default(), canonical)?;
    Ok(Value::Null.into())
}

/// `SubDomain::delsubdomain`: `domain` is the full name, or with `_` for the first dot as API 2's lists give it.
pub fn delsubdomain(cx: &Context<'_>) -> Reply {
    let asked = cx.args.need("domain")?.to_ascii_lowercase();
    let of_account = cx.machine.domains_of(&cx.account.user)?;
    let sub = of_account.sub_domains.iter().find(|sub| **sub == asked || sub.replacen('.', "_", 1) == asked);
    let sub = sub.ok_or_else(|| Failure::new(format!("The subdomain “{asked}” does not exist.")))?;
    domains::remove(cx.machine, &cx.account.user, sub)?;
    Ok(Value::Null.into())
}

/// `AddonDomain::addaddondomain`.
pub fn addaddondomain(cx: &Context<'_>) -> Reply {
    let (domain, sub) = (cx.args.need("newdomain")?, cx.args.need("subdomain")?);
    let dir = cx.args.get("dir").unwrap_or_default();
    domains::add_addon(cx.machine, &cx.account.user, domain, &label(cx, sub), dir)?;
    Ok(json!({"domain": domain.to_ascii_lowercase()}).into())
}

/// `AddonDomain::deladdondomain`.
pub fn deladdondomain(cx: &Context<'_>) -> Reply {
    domains::remove_addon(cx.machine, &cx.account.user, cx.args.need("domain")?, cx.args.need("subdomain")?)?;
    Ok(Value::Null.into())
}

/// `Park::park`: on `topdomain`, the main domain when not given.
pub fn park(cx: &Context<'_>) -> Reply {
    domains::park(cx.machine, &cx.account.user, cx.args.need("domain")?, cx.args.get("topdomain").unwrap_or_default())?;
    Ok(Value::Null.into())
}

/// `Park::unpark`: a parked or an addon domain.
pub fn unpark(cx: &Context<'_>) -> Reply {
    let domain = cx.account.own_domain(cx.args.need("domain")?)?;
    match cx.machine.domains_of(&cx.account.user)?.kind(&domain) {
        Some(Kind::Parked | Kind::Addon) => {}
        _ => return Err(Failure::new(format!("The domain “{domain}” is not a parked domain of “{}”.", cx.account.user))),
    }
    domains::remove(cx.machine, &cx.account.user, &domain)?;
    Ok(Value::Null.into())
}

/// Members all three lists have.
fn entry(cx: &Context<'_>, domain: &str, documentroot: &str) -> Value {
    let home = &cx.account.home;
    let relative = documentroot.strip_prefix(&format!("{home}/")).unwrap_or(documentroot);
    let mut entry = json!({
        "basedir": relative,
        "dir": documentroot,
        "domain": domain,
        "reldir": format!("home:{relative}"),
        "status": "not redirected",
        "web_subdomain_aliases": ["www"],
    });
    if cx.args.flag("return_https_redirect_status") {
        let certified = cx.machine.certificate(domain).is_some();
        entry["can_https_redirect"] = json!(u8::from(certified));
        entry["is_https_redirecting"] = json!(0);
    }
    entry
}

fn list(cx: &Context<'_>, entries: impl FnOnce(&Domains) -> Result<Vec<Value>, Failure>) -> Reply {
    let filter = pattern(cx.args)?;
    let mut list = entries(&cx.machine.domains_of(&cx.account.user)?)?;
    list.retain(|entry| filter.is_none_or_matches(entry["domain"].as_str().unwrap_or_default()));
    Ok(Value::Array(list).into())
}

/// `SubDomain::listsubdomains`.
pub fn listsubdomains(cx: &Context<'_>) -> Reply {
    list(cx, |domains| {
        let own = domains.sub_domains.iter().map(|sub| {
            let site = cx.machine.site(&cx.account.user, sub)?;
            let root = domains.root_of(sub).unwrap_or_default();
            let label = sub.strip_suffix(&format!(".{root}")).unwrap_or(sub);
            let mut entry = entry(cx, sub, &site.documentroot);
            entry["domainkey"] = json!(format!("{label}_{root}"));
            entry["rootdomain"] = json!(root);
            entry["subdomain"] = json!(label);
            Ok(entry)
        });
        own.collect()
    })
}

/// `AddonDomain::listaddondomains`.
pub fn listaddondomains(cx: &Context<'_>) -> Reply {
    list(cx, |domains| {
        let own = domains.addon_domains.iter().map(|(addon, sub)| {
            let site = cx.machine.site(&cx.account.user, sub)?;
            let root = domains.root_of(sub).unwrap_or_default();
            let label = sub.strip_suffix(&format!(".{root}")).unwrap_or(sub);
            let mut entry = entry(cx, addon, &site.documentroot);
            entry["domainkey"] = json!(format!("{label}_{root}"));
            entry["fullsubdomain"] = json!(sub);
            entry["rootdomain"] = json!(root);
            entry["subdomain"] = json!(label);
            entry["web_subdomain_aliases"] = json!(["mail", "www"]);
            Ok(entry)
        });
        own.collect()
    })
}

/// `Park::listparkeddomains`.
pub fn listparkeddomains(cx: &Context<'_>) -> Reply {
    list(cx, |domains| {
        let root = format!("{}/public_html", cx.account.home);
        let own = domains.parked_domains.iter().map(|parked| {
            let mut entry = entry(cx, parked, &root);
            entry["web_subdomain_aliases"] = json!(["mail", "www"]);
            Ok(entry)
        });
        own.collect()
    })
}
