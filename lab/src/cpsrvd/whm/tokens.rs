//! WHM API tokens.
//!
//! Source: api.docs.cpanel.net, WHM API 1, "API Tokens".

use serde_json::{Map, Value, json};

use crate::call::{Args, Caller, Failure, Reply};
use crate::machine::tokens::{self, Service, Token, Wish};
use crate::machine::{Machine, names};

/// A time argument: seconds since 1970; 0 or absent for never.
fn time(args: &Args, name: &str) -> Result<Option<i64>, Failure> {
    let Some(text) = args.get(name).filter(|text| !text.is_empty()) else { return Ok(None) };
    let number = text.parse::<i64>().ok().filter(|number| *number >= 0);
    let number = number.ok_or_else(|| Failure::new(format!("“{text}” is not a valid value of “{name}”.")))?;
    Ok(Some(number).filter(|number| *number != 0))
}

/// The ACLs asked for, each one the caller holds itself.
fn acls(caller: &Caller, args: &Args) -> Result<Option<Vec<String>>, Failure> {
    let mut asked: Vec<String> = Vec::new();
    for acl in args.all("acl").into_iter().filter(|acl| !acl.is_empty()) {
        if !caller.may(acl) {
            return Err(Failure::new(format!("You do not have the privilege “{acl}” and cannot give it to an API token.")));
        }
        if acl != "all" && !super::server::ACLS.contains(&acl) && !acl.starts_with("software-") {
            return Err(Failure::new(format!("“{acl}” is not a valid ACL.")));
        }
        asked.push(acl.to_owned());
    }
    // A token made with a limited token is limited to the same.
    if asked.is_empty() && !caller.may("all") {
        asked.clone_from(&caller.acls);
    }
    Ok(Some(asked).filter(|asked| !asked.is_empty()))
}

/// The ACLs a token gives: its own, or all its user has.
fn effective(machine: &Machine, user: &str, token: &Token) -> Vec<String> {
    token.acls.clone().or_else(|| machine.reseller_acls(user)).unwrap_or_default()
}

fn described(machine: &Machine, user: &str, token: &Token) -> Value {
    let acls = effective(machine, user, token);
    let has = |acl: &str| acls.iter().any(|held| held == acl || held == "all");
    let mut shown: Map<String, Value> =
        super::server::ACLS.iter().map(|acl| ((*acl).to_owned(), json!(u8::from(has(acl))))).collect();
    shown.extend(acls.iter().map(|acl| (acl.clone(), json!(1))));
    json!({
        "acls": shown,
        "create_time": token.create_time,
        "expires_at": token.expires_at,
        "name": token.name,
        "whitelist_ips": if token.whitelist_ips.is_empty() { Value::Null } else { json!(token.whitelist_ips) },
    })
}

/// `api_token_create`: the only time the token itself is shown.
pub(super) fn create(machine: &Machine, caller: &Caller, args: &Args) -> Reply {
    let wish = Wish {
        name: args.need("token_name")?.to_owned(),
        expires_at: time(args, "expires_at")?,
        acls: acls(caller, args)?,
        whitelist_ips: args.all("whitelist_ip").into_iter().filter(|ip| !ip.is_empty()).map(str::to_owned).collect(),
        readonly: false,
    };
    let (secret, token) = machine.create_token(Service::Whostmgr, &caller.user, &wish)?;
    Ok(json!({
        "acls": effective(machine, &caller.user, &token),
        "create_time": token.create_time,
        "expires_at": token.expires_at,
        "name": token.name,
        "token": secret,
        "whitelist_ips": if token.whitelist_ips.is_empty() { Value::Null } else { json!(token.whitelist_ips) },
    })
    .into())
}

/// `api_token_list`: the caller's tokens, expired ones too.
pub(super) fn list(machine: &Machine, caller: &Caller, _args: &Args) -> Reply {
    let tokens = machine.tokens(Service::Whostmgr, &caller.user)?;
    let shown: Map<String, Value> =
        tokens.iter().map(|token| (token.name.clone(), described(machine, &caller.user, token))).collect();
    Ok(json!({"tokens": shown}).into())
}

/// `api_token_get_details`: which token a secret is.
pub(super) fn get_details(machine: &Machine, caller: &Caller, args: &Args) -> Reply {
    let token = machine
        .token_by_secret(Service::Whostmgr, &caller.user, args.need("token")?)
        .ok_or_else(|| Failure::new("The API token does not exist."))?;
    Ok(described(machine, &caller.user, &token).into())
}

/// `api_token_update`: what is not given stays.
pub(super) fn update(machine: &Machine, caller: &Caller, args: &Args) -> Reply {
    let name = args.need("token_name")?;
    let new_name = args.get("new_name").filter(|new| !new.is_empty() && *new != name);
    new_name.map_or(Ok(()), names::check_token_name)?;
    let expires_at = time(args, "expires_at")?;
    let acls = if args.all("acl").is_empty() { None } else { Some(acls(caller, args)?) };
    let whitelist = args.all("whitelist_ip");
    whitelist.iter().filter(|ip| !ip.is_empty()).try_for_each(|ip| tokens::check_network(ip))?;
    let mut updated = None;
    machine.edit_tokens(Service::Whostmgr, &caller.user, |tokens| {
        if let Some(new) = new_name
            && tokens.iter().any(|token| token.name == new)
        {
            return Err(Failure::new(format!("A conflicting API token with the name “{new}” already exists.")));
        }
        let token = tokens.iter_mut().find(|token| token.name == name).ok_or_else(|| missing(name))?;
        if let Some(new) = new_name {
            new.clone_into(&mut token.name);
        }
        if args.get("expires_at").is_some() {
            token.expires_at = expires_at;
        }
        if let Some(acls) = acls {
            token.acls = acls;
        }
        if !whitelist.is_empty() {
            token.whitelist_ips = whitelist.iter().filter(|ip| !ip.is_empty()).map(|ip| (*ip).to_owned()).collect();
        }
        updated = Some(token.clone());
        Ok(())
    })?;
    let token = updated.ok_or_else(|| missing(name))?;
    Ok(json!({
        "acls": effective(machine, &caller.user, &token),
        "create_time": token.create_time,
        "expires_at": token.expires_at,
        "name": token.name,
        "whitelist_ips": if token.whitelist_ips.is_empty() { Value::Null } else { json!(token.whitelist_ips) },
    })
    .into())
}

fn missing(name: &str) -> Failure {
    Failure::new(format!("The API token “{name}” does not exist."))
}

/// `api_token_revoke`: one or many, by name.
pub(super) fn revoke(machine: &Machine, caller: &Caller, args: &Args) -> Reply {
    args.need("token_name")?;
    let names = args.all("token_name");
    machine.edit_tokens(Service::Whostmgr, &caller.user, |tokens| {
        if let Some(name) = names.iter().find(|name| !tokens.iter().any(|token| token.name == **name)) {
            return Err(missing(name));
        }
        tokens.retain(|token| !names.contains(&token.name.as_str()));
        Ok(())
    })?;
    Ok(Value::Null.into())
}
