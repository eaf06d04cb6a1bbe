//! The WHM API 1 functions that are the product's own: the group Server Nodes, and what carries `mail_node_alias`.
//!
//! Source: WHM API 1, “Server Nodes”, `createacct` and `modifyacct`.

use super::api::{need, param, whm_success};
use super::{Serve, links};
use crate::child::Child;
use crate::error::{Code, Error, Result};
use crate::host::{HostCall, Occupancy};
use crate::panel::{Credentials, Trust};
use crate::rules::names::{self, LOCAL};
use crate::rules::profile;
use crate::wire::{Credential, Destination, MoveView, NodeView, Params, Tls, TokenFate};
use serde_json::{Value, json};
use std::time::Duration;

/// The only workload there is.
const WORKLOAD: &str = "Mail";

fn flag(params: &Params, name: &str) -> Option<bool> {
    param(params, name).map(|value| !value.is_empty() && value != "0")
}

/// Answers a function of ours with its envelope.
pub async fn answer(serve: &Serve, function: &str, params: &Params) -> Result<Value> {
    let data = match function {
        "link_server_node_with_api_token" => {
            let skip = flag(params, "skip_tls_verification").unwrap_or(false);
            let wish = links::Wish {
                alias: need(params, "alias")?.to_owned(),
                hostname: need(params, "hostname")?.to_owned(),
                username: need(params, "username")?.to_owned(),
                credential: Credential::Token(need(params, "api_token")?.to_owned()),
                tls: if skip { Tls::AsShown } else { Tls::Verified },
            };
            links::link(serve, wish).await.outcome()?;
            json!({})
        }
        "update_linked_server_node" => {
            let owned = |name: &str| param(params, name).filter(|value| !value.is_empty()).map(str::to_owned);
            let change = links::Update {
                hostname: owned("hostname"),
                username: owned("username"),
                token: owned("api_token").map(Into::into),
                skip_tls_verification: flag(params, "skip_tls_verification"),
            };
            links::update(serve, need(params, "alias")?, change).await?;
            json!({})
        }
        "unlink_server_node" => {
            let fate = match param(params, "handle_api_token").unwrap_or("leave") {
                "leave" => TokenFate::Leave,
                "expire_24h" => TokenFate::Expire24h,
                other => {
                    return Err(Error::new(
                        Code::Invalid,
                        format!("“{}” is not a fate of an API token.", names::printable(other)),
                    )
                    .hint("handle_api_token is “leave” or “expire_24h”."));
                }
            };
            let mut record = record(&links::unlink(serve, need(params, "alias")?, fate).await?);
            record["system_settings"] = json!({WORKLOAD: {}});
            record
        }
        "get_linked_server_node" => {
            let node = serve.authority.store.node(need(params, "alias")?)?;
            let mut record = record(&links::view(serve, &node)?);
            record["system_settings"] = json!({WORKLOAD: {}});
            if let Some(record) = record.as_object_mut() {
                record.remove("alias");
            }
            record
        }
        "list_linked_server_nodes" => json!({"payload": links::views(serve)?.iter().map(record).collect::<Vec<_>>()}),
        "list_user_child_nodes" => {
            let rows = serve.authority.store.distributed()?;
            json!({"payload": rows.iter().map(|(user, at)| json!({"user": user, "alias": at.alias, "type": WORKLOAD})).collect::<Vec<_>>()})
        }
        "get_server_node_status" => status(params).await?,
        "force_dedistribution_from_node" => super::forced::api(serve, params).await?,
        "start_profile_activation" => return activate_profile(serve, params).await,
        "createacct" => return create(serve, params).await,
        "modifyacct" => return modify(serve, params).await,
        _ => return Err(Error::new(Code::Unsupported, format!("“{}” is not supported.", names::printable(function)))),
    };
    Ok(whm_success(function, data))
}

/// `start_profile_activation`: refused when links depend on the present profile, else cPanel's.
async fn activate_profile(serve: &Serve, params: &Params) -> Result<Value> {
    // cPanel takes one of several values; which one is its own affair, so each of them has to do.
    let codes = params.iter().filter(|(key, _)| key == "code").map(|(_, code)| code.as_str());
    let dependants = links::dependants(serve)?;
    if let Some(why) = codes.filter_map(|code| profile::refusal(code, &dependants)).next() {
        return Err(Error::new(Code::Refused, why));
    }
    serve.authority.own.whm_envelope("start_profile_activation", params).await
}

/// A link in the words of the API.
fn record(node: &NodeView) -> Value {
    json!({
        "alias": node.alias,
        "enabled_services": node.enabled_services,
        "hostname": node.hostname,
        "last_check": node.last_check,
        "tls_verified": u8::from(node.tls_verified),
        "username": node.username,
        "version": node.version,
        "worker_capabilities": {WORKLOAD: {}},
    })
}

/// A look at any server, linked or not. An IP address is allowed here, without verification.
async fn status(params: &Params) -> Result<Value> {
    let hostname = need(params, "hostname")?;
    let skip = flag(params, "skip_tls_verification").unwrap_or(false);
    let is_address = hostname.parse::<std::net::IpAddr>().is_ok();
    if is_address && !skip {
        return Err(Error::new(Code::Invalid, format!("The certificate of “{hostname}” cannot be verified by an IP address."))
            .hint("Give a hostname, or skip_tls_verification=1."));
    }
    if !is_address {
        names::hostname(hostname)?;
    }
    let trust = if skip { links::as_shown(hostname).await? } else { Trust::System };
    let tls_verified = u8::from(trust == Trust::System);
    let child = Child::new(Credentials {
        hostname: hostname.to_owned(),
        username: need(params, "username")?.to_owned(),
        token: need(params, "api_token")?.to_owned().into(),
        address: None,
        trust,
    })?;
    let version = child.panel.whm("version", &[]).await?;
    child.panel.whm("get_current_profile", &[]).await?;
    // Only a server with Linked Nodes has linkages to tell.
    let linkages = match child.panel.whm("list_linked_server_nodes", &[]).await {
        Ok(data) => data["payload"].clone(),
        Err(error) if error.code == Code::Answered => json!([]),
        Err(error) => return Err(error),
    };
    Ok(json!({
        "enabled_services": links::services(&child.panel).await?,
        "remote_node_linkages": linkages,
        "system_settings": {WORKLOAD: {}},
        "tls_verified": tls_verified,
        "version": version["version"],
    }))
}

fn without_alias(params: &Params) -> Params {
    params.iter().filter(|(key, _)| key != "mail_node_alias" && key != "api.version").cloned().collect()
}

fn succeeded(envelope: &Value) -> bool {
    envelope["metadata"]["result"] == 1
}

fn say(envelope: &mut Value, kind: &str, text: String) {
    let output = &mut envelope["metadata"]["output"];
    match output[kind].as_array_mut() {
        Some(lines) => lines.push(text.into()),
        None => output[kind] = json!([text]),
    }
}

/// `createacct mail_node_alias=…`: the account, and its mail on the child from the first message.
async fn create(serve: &Serve, params: &Params) -> Result<Value> {
    let alias = param(params, "mail_node_alias").unwrap_or_default().to_owned();
    let rest = without_alias(params);
    if alias.is_empty() || alias == LOCAL {
        return serve.authority.own.whm_envelope("createacct", &rest).await;
    }
    let user = need(params, "username")?.to_owned();
    names::user(&user)?;
    let child = serve.authority.child(&alias)?;
    let domains: Vec<String> = param(params, "domain").map(|domain| vec![domain.to_ascii_lowercase()]).unwrap_or_default();
    let there: Occupancy = child.host(HostCall::Occupancy { user: user.clone(), domains }).await?;
    if there.user_exists && there.served.is_none() {
        return Err(Error::new(Code::Conflict, format!("“{alias}” has an account “{user}” already; nothing was created.")));
    }
    if let Some(domain) = there.foreign_domains.first() {
        return Err(Error::new(
            Code::Conflict,
            format!("The domain “{domain}” belongs to another account on “{alias}”; nothing was created."),
        ));
    }
    // The hook of the creation does not place it a second time.
    let placed = serve.authority.tickets.begin(&user, "Accounts", "Create");
    let mut envelope = serve.authority.own.whm_envelope("createacct", &rest).await?;
    drop(placed);
    if !succeeded(&envelope) {
        return Ok(envelope);
    }
    match distribute(serve, &user, &Destination::Child(alias.clone())).await {
        Ok(_) => say(&mut envelope, "messages", format!("The mail of “{user}” is served by “{alias}”.")),
        Err(error) => say(
            &mut envelope,
            "warnings",
            format!(
                "The account “{user}” was created, but its mail stays on this server: {} Try again: “linked-nodes account distribute {user} {alias}”.",
                error.one_line()
            ),
        ),
    }
    Ok(envelope)
}

/// `modifyacct mail_node_alias=ALIAS|.local`: what else is asked first, then the move, to its end.
async fn modify(serve: &Serve, params: &Params) -> Result<Value> {
    let user = need(params, "user")?.to_owned();
    names::user(&user)?;
    let to = match param(params, "mail_node_alias").unwrap_or_default() {
        LOCAL => Destination::Local,
        alias => {
            names::alias(alias)?;
            Destination::Child(alias.to_owned())
        }
    };
    let rest = without_alias(params);
    if rest.iter().any(|(key, _)| matches!(key.as_str(), "newuser" | "domain" | "DNS")) {
        return Err(
            Error::new(Code::Refused, "An account is not renamed and moved in one call.").hint("Rename it first, then move it.")
        );
    }
    let plan = serve.engine.plan(&user, &to).await?;
    if !plan.refusals.is_empty() {
        return Err(Error::new(Code::Refused, plan.refusals.join(" ")));
    }
    let mut envelope = serve.authority.own.whm_envelope("modifyacct", &rest).await?;
    if !succeeded(&envelope) {
        return Ok(envelope);
    }
    let moved = distribute(serve, &user, &to).await?;
    let pause = moved.pause_ms.map(|ms| format!(", mail waited {ms} ms")).unwrap_or_default();
    say(
        &mut envelope,
        "messages",
        format!("{} messages of “{user}” moved to “{}” and verified{pause}.", moved.verified.unwrap_or(0), moved.to),
    );
    Ok(envelope)
}

/// Starts a move and waits for its end.
pub(super) async fn distribute(serve: &Serve, user: &str, to: &Destination) -> Result<MoveView> {
    let id = serve.engine.start(user, to).await?.id;
    let mut news = serve.engine.watch(id);
    loop {
        news.mark_unchanged();
        let view = serve.authority.store.move_view(id)?;
        match view.state.as_str() {
            "done" => return Ok(view),
            "undone" => {
                return Err(Error::new(Code::Machine, format!("Move {id} was undone: {}", view.reason.unwrap_or_default()))
                    .hint(format!("See “linked-nodes move show {id}”.")));
            }
            _ => {}
        }
        let _ = tokio::time::timeout(Duration::from_secs(1), news.changed()).await;
    }
}
