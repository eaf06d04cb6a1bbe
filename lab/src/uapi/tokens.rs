//! `Tokens`: the account's own API tokens.

use serde_json::{Value, json};

use crate::call::{Failure, Reply};
use crate::machine::names;
use crate::machine::tokens::{Service, Wish};
use crate::uapi::Context;

/// `create_full_access`: the only time the token itself is shown.
pub fn create_full_access(cx: &Context<'_>) -> Reply {
    let name = cx.args.need("name")?;
    let expires_at = match cx.args.get("expires_at") {
        None | Some("" | "0") => None,
        Some(text) => {
            Some(text.parse::<i64>().map_err(|_| Failure::new(format!("“{text}” is not a valid time for “expires_at”.")))?)
        }
    };
    let wish = Wish { name: name.to_owned(), expires_at, ..Wish::default() };
    let (secret, token) = cx.machine.create_token(Service::Cpanel, &cx.account.user, &wish)?;
    Ok(json!({"create_time": token.create_time, "token": secret}).into())
}

/// `list`, expired ones too.
pub fn list(cx: &Context<'_>) -> Reply {
    let list = cx
        .machine
        .tokens(Service::Cpanel, &cx.account.user)?
        .iter()
        .map(|token| {
            json!({
                "create_time": token.create_time,
                "expires_at": token.expires_at,
                "features": [],
                "has_full_access": 1,
                "name": token.name,
            })
        })
        .collect();
    Ok(Value::Array(list).into())
}

/// `revoke`: 1, also when there was none.
pub fn revoke(cx: &Context<'_>) -> Reply {
    let name = cx.args.need("name")?;
    cx.machine.edit_tokens(Service::Cpanel, &cx.account.user, |tokens| {
        tokens.retain(|token| token.name != name);
        Ok(())
    })?;
    Ok(json!(1).into())
}

/// `rename`.
pub fn rename(cx: &Context<'_>) -> Reply {
    let name = cx.args.need("name")?;
    let new_name = cx.args.need("new_name")?;
    names::check_token_name(new_name)?;
    cx.machine.edit_tokens(Service::Cpanel, &cx.account.user, |tokens| {
        if name != new_name && tokens.iter().any(|token| token.name == new_name) {
            return Err(Failure::new(format!("A conflicting API token with the name “{new_name}” already exists.")));
        }
        let token = tokens
            .iter_mut()
            .find(|token| token.name == name)
            .ok_or_else(|| Failure::new(format!("You do not have an API token named “{name}”.")))?;
        new_name.clone_into(&mut token.name);
        Ok(())
    })?;
    Ok(Value::Null.into())
}
