//! API calls with the product's verdicts applied: for `linked-nodes whmapi1` and `uapi`, and for what the shim hands over.
//!
//! Every answer is an envelope, failures too: the caller asked in cPanel's language.

use super::{Serve, nodes_api};
use crate::error::{Code, Error, Result};
use crate::rules::verdict::{self, NODE_PARAMS, Verdict};
use crate::rules::{names, nodes, pipes};
use crate::wire::{Params, Role};
use serde_json::{Value, json};

/// The version 1 envelope of a success.
pub fn whm_success(function: &str, data: Value) -> Value {
    json!({"data": data, "metadata": {"command": function, "reason": "OK", "result": 1, "version": 1}})
}

/// The version 1 envelope of a failure.
pub fn whm_failure(function: &str, error: &Error) -> Value {
    json!({"data": {}, "metadata": {"command": function, "reason": error.one_line(), "result": 0, "version": 1}})
}

/// The flat UAPI result of a failure.
pub fn uapi_failure(error: &Error) -> Value {
    json!({"status": 0, "data": null, "errors": [error.one_line()], "messages": null, "warnings": null, "metadata": {}})
}

/// The first value of an argument.
pub fn param<'a>(params: &'a Params, name: &str) -> Option<&'a str> {
    params.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

/// An argument that must be there.
pub fn need<'a>(params: &'a Params, name: &str) -> Result<&'a str> {
    param(params, name)
        .filter(|value| !value.is_empty())
        .ok_or_else(|| Error::new(Code::Invalid, format!("Provide the “{name}” argument.")))
}

/// A WHM API 1 call of root.
pub async fn whm(serve: &Serve, function: &str, params: Params) -> Value {
    match whm_verdict(serve, function, &params).await {
        Ok(envelope) => envelope,
        Err(error) => whm_failure(function, &error),
    }
}

async fn whm_verdict(serve: &Serve, function: &str, params: &Params) -> Result<Value> {
    if let Role::Child { parent, .. } = serve.authority.store.role()? {
        let refused = matches!(function, "cpanel" | "uapi_cpanel" | "batch") || verdict::makes_links(function);
        if refused || names_served(serve, function, params)? {
            return Err(on_child(&parent));
        }
    }
    let has_node_params = params.iter().any(|(key, _)| NODE_PARAMS.contains(&key.as_str()));
    match verdict::whm(function, has_node_params) {
        Verdict::Ours => nodes_api::answer(serve, function, params).await,
        Verdict::Child => match child_named(serve, function, params)? {
            Some(alias) => serve.authority.child(&alias)?.panel.whm_envelope(function, params).await,
            None => serve.authority.own.whm_envelope(function, params).await,
        },
        Verdict::Decorated => {
            let mut envelope = serve.authority.own.whm_envelope(function, params).await?;
            nodes::add_child_nodes(&mut envelope, &serve.authority.store.routing(&serve.authority.hostname)?);
            Ok(envelope)
        }
        Verdict::Local => serve.authority.own.whm_envelope(function, params).await,
    }
}

/// The child of the distributed account that a call names, by user, domain or mailbox.
fn child_named(serve: &Serve, function: &str, params: &Params) -> Result<Option<String>> {
    let distributed = serve.authority.store.distributed()?;
    let naming = verdict::naming(function);
    let named = params.iter().filter(|(key, _)| naming.contains(key)).find_map(|(_, value)| {
        let value = value.trim().to_ascii_lowercase();
        let domain = value.rsplit_once('@').map_or(value.as_str(), |(_, domain)| domain);
        let of_domain = || distributed.values().find(|at| at.domains.iter().any(|own| own == domain));
        distributed.get(&value).or_else(of_domain).map(|at| at.alias.clone())
    });
    Ok(named)
}

/// Whether a call names an account of the parent on this child.
fn names_served(serve: &Serve, function: &str, params: &Params) -> Result<bool> {
    let routing = serve.authority.store.routing(&serve.authority.hostname)?;
    let naming = verdict::naming(function);
    let names_it = |key: &str| {
        naming.iter().any(|name| {
            key == name
                || key.strip_prefix(name.as_str()).is_some_and(|rest| {
                    let digits = rest.strip_prefix('-').unwrap_or(rest);
                    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
                })
        })
    };
    let is_served = |value: &str| {
        let value = value.trim().to_ascii_lowercase();
        let domain = value.rsplit_once('@').map_or(value.as_str(), |(_, domain)| domain);
        routing.served.iter().any(|(user, domains)| {
            *user == value
                || domains
                    .iter()
                    .any(|own| domain == own || domain.strip_suffix(own.as_str()).is_some_and(|left| left.ends_with('.')))
        })
    };
    Ok(params.iter().any(|(key, value)| names_it(key) && value.split(',').any(is_served)))
}

fn on_child(parent: &str) -> Error {
    Error::new(Code::Refused, format!("This server is a linked node of “{parent}”."))
        .hint(format!("Call the API on “{parent}”, which reaches the account wherever it is."))
}

/// A UAPI call of root for an account.
pub async fn uapi(serve: &Serve, user: &str, module: &str, function: &str, params: Params) -> Value {
    let answer = async {
        names::user(user)?;
        if let Role::Child { parent, .. } = serve.authority.store.role()? {
            return Err(on_child(&parent));
        }
        let distributed = serve.authority.store.child_of(user)?.is_some();
        let childs = verdict::uapi(module, function) == Verdict::Child && verdict::uapi_is_childs(module, function, &params);
        if distributed && childs {
            return Ok(child_uapi(serve, user, None, module, function, params).await);
        }
        held(serve, user, function, verdict::uapi(module, function) == Verdict::Child)?;
        serve.authority.own.uapi_result(user, module, function, &params).await
    };
    answer.await.unwrap_or_else(|error| uapi_failure(&error))
}

/// Why nothing of a distributed account's mail is piped to a program (F2.3).
pub fn piped(user: &str, program: &str) -> Error {
    Error::new(
        Code::Refused,
        format!(
            "The mail of “{user}” is on another server, where no program of the account runs: “{}” cannot be set up.",
            names::printable(program)
        ),
    )
    .hint("Forward to an address, or have the account dedistributed.")
}

/// Refuses to write mail settings in the last moments of a move.
fn held(serve: &Serve, user: &str, function: &str, mail: bool) -> Result<()> {
    if mail && verdict::uapi_writes(function) && serve.authority.store.held()?.contains(user) {
        return Err(Error::new(Code::Conflict, format!("The mail of “{user}” is being moved to another server this minute."))
            .hint("Try again in a minute; nothing was changed."));
    }
    Ok(())
}

/// A UAPI call for a distributed account, answered by its child.
pub async fn child_uapi(serve: &Serve, user: &str, mailbox: Option<&str>, module: &str, function: &str, params: Params) -> Value {
    let answer = async {
        names::user(user)?;
        held(serve, user, function, true)?;
        if let Some(program) = pipes::of_call(module, function, &params) {
            return Err(piped(user, &program));
        }
        if mailbox.is_none() && !verdict::uapi_is_childs(module, function, &params) {
            return serve.authority.own.uapi_result(user, module, function, &params).await;
        }
        if let Some(mailbox) = mailbox {
            let domain = mailbox.rsplit_once('@').map_or("", |(_, domain)| domain);
            return Err(Error::new(
                Code::Unsupported,
                format!("{module}::{function} is not supported here for a mailbox whose mail is on another server."),
            )
            .hint(format!("Sign in at https://webmail.{domain}.")));
        }
        let alias = serve
            .authority
            .store
            .child_of(user)?
            .ok_or_else(|| Error::new(Code::Conflict, format!("The account “{user}” is not distributed.")))?;
        let flat = serve.authority.child(&alias)?.panel.uapi_result(user, module, function, &params).await?;
        if verdict::uapi_writes(function) && crate::panel::number(&flat["status"]) == Some(1) {
            serve.nudges.add(user);
        }
        Ok(flat)
    };
    answer.await.unwrap_or_else(|error| uapi_failure(&error))
}
