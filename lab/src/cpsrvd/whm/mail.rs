//! Mail: manual routes, sessions, DKIM keys, mailboxes.

use serde_json::{Map, Value, json};

use crate::call::{Args, Caller, Failure, Reply};
use crate::machine::routing::check_backend;
use crate::machine::{Machine, names};

/// A domain with an account on this server.
fn hosted(machine: &Machine, domain: &str) -> Result<String, Failure> {
    let domain = names::domain(domain)?;
    match machine.domain_owner(&domain) {
        Some(_) => Ok(domain),
        None => Err(Failure::new(format!("The domain “{domain}” does not belong to an account on this server."))),
    }
}

/// `set_manual_mx_redirects`: gives the former route of each domain.
pub(super) fn set_manual_mx_redirects(machine: &Machine, _caller: &Caller, args: &Args) -> Reply {
    args.need("domain")?;
    args.need("mx_host")?;
    let (domains, hosts) = (args.all("domain"), args.all("mx_host"));
    if domains.len() != hosts.len() {
        return Err(Failure::new("Give as many “mx_host” values as “domain” values."));
    }
    let mut routes = Vec::new();
    for (domain, host) in domains.iter().zip(&hosts) {
        check_backend(host)?;
        routes.push((hosted(machine, domain)?, *host));
    }
    let mut former = Map::new();
    for (domain, host) in routes {
        let old = machine.set_manual_mx(&domain, Some(host))?;
        former.insert(domain, json!(old));
    }
    Ok(json!({"payload": former}).into())
}

/// `unset_manual_mx_redirects`: gives the former route of each domain.
pub(super) fn unset_manual_mx_redirects(machine: &Machine, _caller: &Caller, args: &Args) -> Reply {
    args.need("domain")?;
    let mut former = Map::new();
    for domain in args.all("domain") {
        let domain = names::domain(domain)?;
        let old = machine.set_manual_mx(&domain, None)?;
        former.insert(domain, json!(old));
    }
    Ok(json!({"payload": former}).into())
}

/// `terminate_cpuser_mailbox_sessions`.
pub(super) fn terminate_sessions(machine: &Machine, _caller: &Caller, args: &Args) -> Reply {
    machine.end_mail_sessions(args.need("username")?)?;
    Ok(Value::Null.into())
}

/// `fetch_dkim_private_keys`.
pub(super) fn fetch_dkim_private_keys(machine: &Machine, _caller: &Caller, args: &Args) -> Reply {
    args.need("domain")?;
    let mut payload = Vec::new();
    for domain in args.all("domain") {
        let domain = hosted(machine, domain)?;
        payload.push(json!({"domain": domain, "pem": machine.dkim_private_key(&domain)?}));
    }
    Ok(json!({"payload": payload}).into())
}

/// What happened to one domain, in a list of several.
fn outcome(domain: &str, result: Result<&str, Failure>) -> Value {
    match result {
        Ok(message) => json!({"domain": domain, "msg": message, "status": 1}),
        Err(failure) => json!({"domain": domain, "msg": failure.reason, "status": 0}),
    }
}

/// `install_dkim_private_keys`. DNS is not touched.
pub(super) fn install_dkim_private_keys(machine: &Machine, _caller: &Caller, args: &Args) -> Reply {
    args.need("domain")?;
    args.need("key")?;
    let (domains, keys) = (args.all("domain"), args.all("key"));
    if domains.len() != keys.len() {
        return Err(Failure::new("Give as many “key” values as “domain” values."));
    }
    let payload: Vec<Value> = domains
        .iter()
        .zip(&keys)
        .map(|(domain, key)| {
            let done = hosted(machine, domain).and_then(|domain| machine.install_dkim_key(&domain, key));
            outcome(domain, done.map(|()| "The system installed the DKIM private key."))
        })
        .collect();
    Ok(json!({"payload": payload}).into())
}

/// `ensure_dkim_keys_exist`.
pub(super) fn ensure_dkim_keys_exist(machine: &Machine, _caller: &Caller, args: &Args) -> Reply {
    args.need("domain")?;
    let payload: Vec<Value> = args
        .all("domain")
        .iter()
        .map(|domain| {
            let done = hosted(machine, domain).and_then(|domain| machine.ensure_dkim_key(&domain));
            outcome(domain, done.map(|made| if made { "The system created a DKIM key." } else { "A DKIM key already exists." }))
        })
        .collect();
    Ok(json!({"payload": payload}).into())
}

/// `list_pops_for`: the addresses of an account's mailboxes.
pub(super) fn list_pops_for(machine: &Machine, _caller: &Caller, args: &Args) -> Reply {
    let user = args.need("user")?;
    machine.account(user)?;
    let caller = Caller { user: user.to_owned(), mailbox: None, acls: Vec::new() };
    let skip_main = Args(vec![("skip_main".to_owned(), "1".to_owned())]);
    let listed = crate::uapi::call_without_hooks(machine, &caller, "Email", "list_pops", &skip_main)?.data;
    let pops: Vec<&Value> = listed.as_array().into_iter().flatten().map(|pop| &pop["email"]).collect();
    Ok(json!({"pops": pops}).into())
}
