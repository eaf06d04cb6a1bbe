//! Tokens of the links' own: made with a password, and changed for new ones.
//!
//! They are named `linked-nodes-HOSTNAME-ID-NUMBER`, so that an administrator of the child sees whose they are, and so that one whose
//! text was lost on the way can be told from one that is in use.

use super::{accept, prove};
use crate::authority::Authority;
use crate::child::Child;
use crate::drill::crash_point;
use crate::error::{Code, Error, Result};
use crate::panel::{Credentials, Panel};
use crate::secrets;
use crate::serve::Serve;
use crate::wire::token_digest;
use secrecy::{ExposeSecret as _, SecretString};

/// A token that was made just now.
pub struct Made {
    /// Its name on the child.
    pub name: String,
    /// The token.
    pub token: SecretString,
}

/// What the names of this parent's tokens begin with. At most 50 characters are allowed in all.
fn prefix(authority: &Authority) -> Result<String> {
    let host: String = authority.hostname.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(22).collect();
    let id: String = authority.store.node_id()?.chars().take(6).collect();
    Ok(format!("linked-nodes-{host}-{id}-"))
}

/// Makes a token of every privilege that the caller of `panel` has. Tokens of our names that `keep` does not name go: nobody has their text.
///
/// # Errors
/// What the server answers. A token whose text did not arrive goes with the next one that is made.
pub async fn make(authority: &Authority, panel: &Panel, keep: Option<&str>) -> Result<Made> {
    let prefix = prefix(authority)?;
    let listed = panel.whm("api_token_list", &[]).await?;
    let names: Vec<&String> = listed["tokens"].as_object().into_iter().flat_map(|tokens| tokens.keys()).collect();
    for lost in names.iter().filter(|name| name.starts_with(&prefix) && keep != Some(name.as_str())) {
        panel.whm("api_token_revoke", &[("token_name", lost)]).await?;
    }
    // Not a name that was there a moment ago: logs tell one token from the other.
    let number = (1..10_000).find(|number| !names.iter().any(|name| **name == format!("{prefix}{number}")));
    let name = format!("{prefix}{}", number.unwrap_or_default());
    let made = panel.whm("api_token_create", &[("token_name", &name)]).await?;
    match made["token"].as_str().filter(|token| !token.is_empty()) {
        Some(token) => Ok(Made { name, token: SecretString::from(token.to_owned()) }),
        None => Err(Error::new(Code::Answered, format!("“{}” made the token “{name}” and did not tell it.", panel.hostname()))),
    }
}

/// Takes a token back that is not to be used after all.
pub async fn take_back(panel: &Panel, name: &str) {
    if let Err(error) = panel.whm("api_token_revoke", &[("token_name", name)]).await {
        tracing::warn!(?error, name, hostname = panel.hostname(), "a token could not be revoked; revoke it there by its name");
    }
}

/// Replaces the token of a link.
///
/// | step | if we end right after it |
/// |---|---|
/// | the new token is made with the present one | the present one works; the next rotation revokes the new one |
/// | the child takes both | the present one works, as the former one |
/// | both are stored here, the new one as the link's | the new one works; [`finish`] goes on |
/// | the former one is revoked | the new one works; [`finish`] goes on |
/// | the child takes the new one alone, and the former one is forgotten | done |
///
/// # Errors
/// [`Code::Conflict`] while a move uses the link; what the child answers. Until the new token is stored the link is as it was.
pub async fn rotate(serve: &Serve, alias: &str) -> Result<()> {
    let authority = &serve.authority;
    let node = authority.store.node(alias)?;
    authority.store.moved_through(alias)?;
    finish(serve, alias).await?;
    let present = authority.child(alias)?;
    let former = authority.secrets.get(alias)?;
    let details = present.panel.whm("api_token_get_details", &[("token", former.expose_secret())]).await?;
    let made = make(authority, &present.panel, details["name"].as_str()).await?;
    let drill = |point: &str| crash_point(&authority.dir, "rotate", point);
    drill("made");
    let fresh = Child::new(Credentials { token: made.token.clone(), ..present.panel.credentials().clone() })?;
    let taken = async {
        prove::prove(serve, &fresh, &mut super::Report::new()).await?;
        accept(serve, &fresh, Some(token_digest(former.expose_secret()))).await?;
        drill("taken");
        authority.secrets.set_all(&[(alias, Some(&made.token)), (&secrets::former(alias), Some(&former))])
    };
    if let Err(error) = taken.await {
        take_back(&present.panel, &made.name).await;
        return Err(error);
    }
    drill("stored");
    tracing::info!(alias, hostname = node.hostname, token = made.name, "the link has a new token");
    finish(serve, alias).await
}

/// Ends a change of tokens that was begun: the former token is revoked, and the child told to take it no more.
///
/// # Errors
/// What the child answers; to be tried again.
pub async fn finish(serve: &Serve, alias: &str) -> Result<()> {
    let authority = &serve.authority;
    let key = secrets::former(alias);
    let former = match authority.secrets.get(&key) {
        Ok(former) => former,
        Err(error) if error.code == Code::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let child = authority.child(alias)?;
    match child.panel.whm("api_token_get_details", &[("token", former.expose_secret())]).await {
        Ok(details) => {
            let name = details["name"].as_str().unwrap_or_default();
            child.panel.whm("api_token_revoke", &[("token_name", name)]).await?;
        }
        // It does not know the token any more, which the token itself shows.
        Err(error) if error.code == Code::Answered => {
            let with = Panel::new(Credentials { token: former, ..child.panel.credentials().clone() })?;
            match with.whm("version", &[]).await {
                Err(refused) if refused.code == Code::Denied => {}
                _ => return Err(error),
            }
        }
        Err(error) => return Err(error),
    }
    crash_point(&authority.dir, "rotate", "revoked");
    accept(serve, &child, None).await?;
    crash_point(&authority.dir, "rotate", "alone");
    authority.secrets.set(&key, None)
}
