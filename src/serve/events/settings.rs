//! Mail functions that cPanel runs in its own processes, where no shim sees them.

use super::{go, stop};
use crate::error::Result;
use crate::rules::pipes;
use crate::serve::Serve;
use crate::serve::follow::{self, Touched};
use crate::store::What;
use crate::wire::{HookAnswer, Params};
use serde_json::Value;

/// Functions of `Email` whose effect on the parent can be sent to the child afterwards, because it can be read there.
const SENT: [&str; 15] = [
    "add_auto_responder",
    "add_forwarder",
    "add_pop",
    "delete_auto_responder",
    "delete_filter",
    "delete_forwarder",
    "delete_pop",
    "disable_filter",
    "edit_pop_quota",
    "enable_filter",
    "passwd_pop",
    "set_default_address",
    "store_filter",
    "suspend_incoming",
    "unsuspend_incoming",
];

/// `UAPI::Module::function` as `Module::function`.
fn call(event: &str) -> &str {
    event.strip_prefix("UAPI::").unwrap_or(event)
}

/// The account of an event's user: a mailbox's is not known to cPanel by itself.
fn account(data: &Value) -> &str {
    super::user_of(data)
}

/// The arguments of an event as those of a call.
fn arguments(args: &Value) -> Params {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let pairs = args.as_object().into_iter().flatten();
    pairs
        .flat_map(|(name, value)| match value {
            Value::Array(all) => all.iter().map(|one| (name.clone(), text(one))).collect(),
            one => vec![(name.clone(), text(one))],
        })
        .collect()
}

/// On the parent: what is written here for an account whose mail is elsewhere is sent there, or refused when it cannot be.
pub fn on_parent(serve: &Serve, event: &str, stage: &str, data: &Value) -> Result<HookAnswer> {
    let (user, call) = (account(data), call(event));
    let store = &serve.authority.store;
    if serve.authority.tickets.redeem(user, call, stage) {
        return Ok(go("our own call"));
    }
    let Some(alias) = store.child_of(user)? else { return Ok(go("the account is on this server")) };
    let function = call.rsplit("::").next().unwrap_or_default();
    if stage == "pre" {
        let module = call.split("::").next().unwrap_or_default();
        if let Some(program) = pipes::of_call(module, function, &arguments(&data["args"])) {
            return Ok(stop(crate::serve::api::piped(user, &program).one_line()));
        }
        return Ok(if SENT.contains(&function) {
            go("nothing stands against it")
        } else {
            stop(format!(
                "The mail of {user} is on {alias}, where this would not be seen. Call it through the API of this server (port 2083 or 2087), or with “linked-nodes uapi --user={user} {}”.",
                call.replace("::", " ")
            ))
        });
    }
    let touched = serde_json::to_value(Touched::by(function, &data["args"])).unwrap_or_default();
    follow::note(serve, user, What::Settings, &[touched])?;
    Ok(go(format!("{alias} follows")))
}

/// On a child: mail settings of the parent's accounts are written through the parent, or by webmail.
pub fn on_child(serve: &Serve, parent: &str, event: &str, data: &Value) -> Result<HookAnswer> {
    let (user, call) = (account(data), call(event));
    let owner = user.rsplit_once('@').map_or(Some(user.to_owned()), |(_, domain)| {
        serve
            .authority
            .store
            .served_accounts()
            .ok()?
            .into_iter()
            .find(|one| one.domains.iter().any(|own| own == domain))
            .map(|one| one.user)
    });
    let Some(owner) = owner.filter(|owner| serve.authority.store.served(owner).is_ok_and(|served| served.is_some())) else {
        return Ok(go("an account of this server's own"));
    };
    if user.contains('@') {
        // A mailbox's own filters and forwarders, set in webmail: they may not run a program either.
        let (module, function) = call.split_once("::").unwrap_or_default();
        return Ok(match pipes::of_call(module, function, &arguments(&data["args"])) {
            Some(program) => stop(crate::serve::api::piped(user, &program).one_line()),
            None => go("webmail"),
        });
    }
    if serve.authority.tickets.redeem(&owner, call, "pre") {
        return Ok(go("the parent's own call"));
    }
    Ok(stop(format!("{owner} is managed on {parent}. Call {call} on {parent}.")))
}
