//! Links: how a server becomes a child, stays known, and leaves.

use super::Serve;
use crate::agent::AgentCall;
use crate::authority::now_ms;
use crate::child::Child;
use crate::error::{Code, Error, Result};
use crate::host::{HostCall, HostFacts};
use crate::panel::{Credentials, Panel, Trust, WHM_PORT, certificate_digest, number};
use crate::rules::names;
use crate::store::Node;
use crate::wire::{NodeView, TokenFate};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

/// What a child said of itself.
struct Found {
    version: String,
    profile: String,
    services: Vec<String>,
    facts: HostFacts,
}

/// What an update changes; `None` leaves it.
pub struct Update {
    pub hostname: Option<String>,
    pub username: Option<String>,
    pub token: Option<SecretString>,
    pub skip_tls_verification: Option<bool>,
}

/// Whether a version (`11.138.0.19`) is at least as new as another in its major part.
fn fits(child: &str, parent: &str) -> bool {
    let major = |version: &str| version.split('.').nth(1).and_then(|part| part.parse::<u32>().ok());
    matches!((major(child), major(parent)), (Some(child), Some(parent)) if child >= parent)
}

/// Services a server runs, as cPanel names them.
pub async fn services(panel: &Panel) -> Result<Vec<String>> {
    let data = panel.whm("servicestatus", &[]).await?;
    let rows = data["service"].as_array().cloned().unwrap_or_default();
    Ok(rows
        .iter()
        .filter(|row| number(&row["enabled"]) == Some(1))
        .filter_map(|row| row["name"].as_str().map(str::to_owned))
        .collect())
}

/// The checks of a server that is or would be a child, each with its own message.
async fn prove(serve: &Serve, child: &Child) -> Result<Found> {
    let panel = &child.panel;
    let text = |data: &Value, key: &str| data[key].as_str().unwrap_or_default().to_owned();
    let version = text(&panel.whm("version", &[]).await?, "version");
    let rights = panel.whm("myprivs", &[]).await?;
    if number(&rights["privileges"][0]["all"]) != Some(1) {
        return Err(Error::new(
            Code::Denied,
            format!("The token of “{}” on “{}” is not root-level.", panel.credentials().username, panel.hostname()),
        )
        .hint("Create it without a list of privileges, as root: “whmapi1 api_token_create token_name=NAME”."));
    }
    let profile = text(&panel.whm("get_current_profile", &[]).await?, "code");
    if !matches!(profile.as_str(), "MAILNODE" | "STANDARD") {
        return Err(Error::new(
            Code::Refused,
            format!("“{}” has the server profile {profile}; a mail child has Mail or Standard.", panel.hostname()),
        ));
    }
    let own = text(&serve.authority.own.whm("version", &[]).await?, "version");
    if !fits(&version, &own) {
        return Err(Error::new(
            Code::Refused,
            format!(
                "“{}” runs cPanel {version}, older than this server's {own}; a child has the same version or a later one.",
                panel.hostname()
            ),
        ));
    }
    let facts: HostFacts = child.host(HostCall::Facts).await?;
    if facts.children > 0 {
        return Err(Error::new(
            Code::Refused,
            format!("“{}” is a parent itself, of {} nodes.", panel.hostname(), facts.children),
        ));
    }
    Ok(Found { version, profile, services: services(panel).await?, facts })
}

/// Whether this server may have children.
async fn may_be_parent(serve: &Serve) -> Result<()> {
    if let Some(parent) = serve.authority.store.parent()? {
        return Err(Error::new(
            Code::Refused,
            format!("This server is a child of “{}”; a child cannot have children.", parent.hostname),
        ));
    }
    let profile = serve.authority.own.whm("get_current_profile", &[]).await?;
    match profile["code"].as_str() {
        Some("STANDARD") => Ok(()),
        code => Err(Error::new(
            Code::Refused,
            format!("Only a server of the Standard profile can be a parent; this one is {}.", code.unwrap_or("of no profile")),
        )),
    }
}

async fn trust_of(hostname: &str, skip: bool) -> Result<Trust> {
    if skip { Ok(Trust::Pin(certificate_digest(hostname, WHM_PORT).await?)) } else { Ok(Trust::System) }
}

fn pin_of(trust: &Trust) -> Option<String> {
    if let Trust::Pin(digest) = trust { Some(digest.clone()) } else { None }
}

async fn accept(serve: &Serve, child: &Child) -> Result<()> {
    let call = AgentCall::AcceptLink { parent: serve.authority.hostname.clone(), parent_id: serve.authority.store.node_id()? };
    child.call(call).await.map(drop)
}

/// Links a child.
///
/// # Errors
/// Names the check that failed; nothing is changed then, here or there.
pub async fn link(serve: &Serve, alias: &str, hostname: &str, username: &str, token: SecretString, skip: bool) -> Result<()> {
    names::alias(alias)?;
    let hostname = names::hostname(hostname)?;
    let store = &serve.authority.store;
    if hostname == serve.authority.hostname {
        return Err(Error::new(Code::Invalid, format!("“{hostname}” is this server; a server cannot be its own child.")));
    }
    for node in store.nodes()? {
        if node.alias == alias {
            return Err(Error::new(Code::Conflict, format!("The alias “{alias}” is taken by “{}”.", node.hostname)));
        }
        if node.hostname == hostname {
            return Err(Error::new(Code::Conflict, format!("“{hostname}” is linked already, as “{}”.", node.alias)));
        }
    }
    may_be_parent(serve).await?;
    let trust = trust_of(&hostname, skip).await?;
    let pin = pin_of(&trust);
    let child = Child::new(Credentials {
        hostname: hostname.clone(),
        username: username.to_owned(),
        token: token.clone(),
        address: None,
        trust,
    })?;
    let found = prove(serve, &child).await?;
    accept(serve, &child).await?;
    let node = Node {
        alias: alias.to_owned(),
        hostname,
        username: username.to_owned(),
        pin,
        version: found.version,
        profile: found.profile,
        services: found.services,
        last_check: now_ms() / 1000,
        trouble: None,
        disk_free: Some(found.facts.disk_free),
    };
    let recorded = serve.authority.secrets.set(alias, Some(&token)).and_then(|()| store.add_node(&node));
    if recorded.is_err() {
        let _ = child.call(AgentCall::EndLink { parent_id: store.node_id()? }).await;
        let _ = serve.authority.secrets.set(alias, None);
    }
    recorded
}

/// Changes a link; the child is proved again with what is new before anything is recorded.
///
/// # Errors
/// Names the check that failed; nothing is changed then.
pub async fn update(serve: &Serve, alias: &str, change: Update) -> Result<()> {
    let store = &serve.authority.store;
    let mut node = store.node(alias)?;
    if let Some(hostname) = change.hostname {
        node.hostname = names::hostname(&hostname)?;
    }
    if let Some(username) = change.username {
        node.username = username;
    }
    let token = match change.token {
        Some(token) => token,
        None => serve.authority.secrets.get(alias)?,
    };
    let trust = match change.skip_tls_verification {
        Some(skip) => trust_of(&node.hostname, skip).await?,
        None => crate::authority::trust(&node),
    };
    node.pin = pin_of(&trust);
    let child = Child::new(Credentials {
        hostname: node.hostname.clone(),
        username: node.username.clone(),
        token: token.clone(),
        address: None,
        trust,
    })?;
    let found = prove(serve, &child).await?;
    // Kept before the child knows it: a crash in between leaves a token that works for everything but the channel, and this call again.
    let former = serve.authority.secrets.get(alias).ok();
    serve.authority.secrets.set(alias, Some(&token))?;
    if let Err(error) = accept(serve, &child).await {
        serve.authority.secrets.set(alias, former.as_ref())?;
        return Err(error);
    }
    node.version = found.version;
    node.profile = found.profile;
    node.services = found.services;
    node.last_check = now_ms() / 1000;
    node.trouble = None;
    node.disk_free = Some(found.facts.disk_free);
    store.update_node(&node)
}

/// Ends a link that nothing uses. A child that cannot be reached keeps its record of this parent.
///
/// # Errors
/// [`Code::Conflict`] while it is in use; what the child answers.
pub async fn unlink(serve: &Serve, alias: &str, fate: TokenFate) -> Result<NodeView> {
    let store = &serve.authority.store;
    let node = store.node(alias)?;
    let before = view(serve, &node)?;
    store.in_use(alias)?;
    let child = serve.authority.child(alias)?;
    let farewell = async {
        if fate == TokenFate::Expire24h {
            let token = serve.authority.secrets.get(alias)?;
            let details = child.panel.whm("api_token_get_details", &[("token", token.expose_secret())]).await?;
            let name = details["name"].as_str().unwrap_or_default().to_owned();
            let expires = (now_ms() / 1000 + 24 * 3600).to_string();
            child.panel.whm("api_token_update", &[("token_name", &name), ("expires_at", &expires)]).await?;
        }
        child.call(AgentCall::EndLink { parent_id: store.node_id()? }).await
    };
    match farewell.await {
        Ok(_) => {}
        Err(error) if error.code == Code::NotSent => {
            tracing::warn!(?error, alias, "unlinking a child that cannot be reached; it keeps its record of this parent");
        }
        Err(error) => return Err(error),
    }
    store.remove_node(alias)?;
    serve.authority.secrets.set(alias, None)?;
    Ok(before)
}

/// A link as people see it.
pub fn view(serve: &Serve, node: &Node) -> Result<NodeView> {
    Ok(NodeView {
        alias: node.alias.clone(),
        hostname: node.hostname.clone(),
        username: node.username.clone(),
        tls_verified: node.pin.is_none(),
        version: node.version.clone(),
        profile: node.profile.clone(),
        enabled_services: node.services.clone(),
        last_check: node.last_check,
        trouble: node.trouble.clone(),
        accounts: serve.authority.store.accounts_on(&node.alias)?.len(),
        mail_bytes: None,
        trouble_since: None,
        disk_free: node.disk_free,
    })
}

/// Every link as people see it.
pub fn views(serve: &Serve) -> Result<Vec<NodeView>> {
    serve.authority.store.nodes()?.iter().map(|node| view(serve, node)).collect()
}

/// Asks a child how it is and records what it says, or why it does not.
pub async fn check(serve: &Serve, alias: &str) -> Result<()> {
    let store = &serve.authority.store;
    let mut node = store.node(alias)?;
    let child = serve.authority.child(alias)?;
    match prove(serve, &child).await {
        Ok(found) => {
            node.version = found.version;
            node.profile = found.profile;
            node.services = found.services;
            node.last_check = now_ms() / 1000;
            node.disk_free = Some(found.facts.disk_free);
            node.trouble = match found.facts.parent {
                Some(parent) if parent != serve.authority.hostname => Some(format!("It says that its parent is “{parent}”.")),
                None => Some("It does not know that it is linked. Update the link.".into()),
                _ => None,
            };
        }
        Err(error) => node.trouble = Some(error.message),
    }
    if node.trouble.is_none() {
        // Gates that a move could not open when it ended.
        let own = store.node_id()?;
        let holders = store.running_moves()?.iter().map(|moving| format!("{own}/{}", moving.id)).collect();
        let _: Value = child.host(HostCall::KeepGates { of: own, holders }).await?;
    }
    store.update_node(&node)
}

/// Asks every child how it is, side by side.
pub async fn health(serve: &Serve) -> Result<()> {
    let store = &serve.authority.store;
    let own = store.node_id()?;
    let holders = store.running_moves()?.iter().map(|moving| format!("{own}/{}", moving.id)).collect();
    crate::host::perform(store, HostCall::KeepGates { of: own, holders }).await?;
    let nodes = store.nodes()?;
    let checks = nodes.iter().map(|node| check(serve, &node.alias));
    for (node, result) in nodes.iter().zip(futures_util::future::join_all(checks).await) {
        if let Err(error) = result {
            tracing::warn!(?error, alias = node.alias, "a health check could not be recorded");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn a_child_is_never_older() {
        assert!(fits("11.138.0.19", "11.138.0.4"));
        assert!(fits("11.140.0.1", "11.138.0.19"));
        assert!(!fits("11.136.0.40", "11.138.0.1"));
        assert!(!fits("", "11.138.0.1"));
    }
}
