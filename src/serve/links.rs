//! Links: how a server becomes a child, stays known, and leaves.

mod prove;
mod report;
mod token;

use super::Serve;
use crate::agent::AgentCall;
use crate::authority::now_ms;
use crate::child::Child;
use crate::error::{Code, Error, Result};
use crate::host::HostCall;
use crate::panel::{self, Credentials, Panel, Trust, WHM_PORT, number};
use crate::rules::names;
use crate::rules::profile::{self, Dependants};
use crate::store::{Node, Seen, ServedState};
use crate::wire::{CertificateView, Credential, LinkReport, NodeView, Tls, TokenFate};
use prove::{Found, prove};
use report::{Check, Report};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

pub use prove::services;

/// How long before its end a certificate is warned of, in days.
const CERTIFICATE_DAYS: i64 = 21;

/// A link that is wanted.
pub struct Wish {
    /// Friendly name.
    pub alias: String,
    /// Hostname.
    pub hostname: String,
    /// User of the token.
    pub username: String,
    /// What proves us.
    pub credential: Credential,
    /// Which certificate is believed.
    pub tls: Tls,
}

/// What an update changes; `None` leaves it.
pub struct Update {
    pub hostname: Option<String>,
    pub username: Option<String>,
    pub token: Option<SecretString>,
    pub skip_tls_verification: Option<bool>,
}

fn pin_of(trust: &Trust) -> Option<String> {
    if let Trust::Pin(digest) = trust { Some(digest.clone()) } else { None }
}

/// The child knows us by the token that `child` calls with, and for a moment by the one of digest `former` as well.
async fn accept(serve: &Serve, child: &Child, former: Option<String>) -> Result<()> {
    let (parent, parent_id) = (serve.authority.hostname.clone(), serve.authority.store.node_id()?);
    child.call(AgentCall::AcceptLink { parent, parent_id, former }).await.map(drop)
}

/// What a server shows before anybody trusts it.
///
/// # Errors
/// [`Code::Invalid`] for what is no hostname; [`Code::NotSent`] when it shows nothing.
pub async fn probe(hostname: &str) -> Result<CertificateView> {
    panel::show(&names::hostname(hostname)?, WHM_PORT).await?.view()
}

/// Whom to believe when the check is waived: the certificate shown now, unless the system verifies it. An IP address will do.
///
/// # Errors
/// [`Code::NotSent`] when it shows none.
pub async fn as_shown(hostname: &str) -> Result<Trust> {
    let certificate = panel::show(hostname, WHM_PORT).await?;
    Ok(if certificate.distrust().is_none() { Trust::System } else { Trust::Pin(certificate.fingerprint()) })
}

/// What depends on this server's profile.
///
/// # Errors
/// When the store cannot be read.
pub fn dependants(serve: &Serve) -> Result<Dependants> {
    let store = &serve.authority.store;
    let served = store.served_accounts()?;
    Ok(Dependants {
        children: store.nodes()?.into_iter().map(|node| node.alias).collect(),
        distributed: store.distributed()?.len(),
        parent: store.parent()?.map(|parent| parent.hostname),
        served: served.iter().filter(|one| one.state == ServedState::Served).count(),
    })
}

/// What is wrong with this server itself as a node: nothing stops WHM's own page from activating a profile that breaks the links.
///
/// # Errors
/// When the store cannot be read or cPanel does not answer.
pub async fn own_troubles(serve: &Serve) -> Result<Vec<String>> {
    let dependants = dependants(serve)?;
    if dependants.children.is_empty() && dependants.parent.is_none() {
        return Ok(Vec::new());
    }
    let present = serve.authority.own.whm("get_current_profile", &[]).await?;
    Ok(profile::trouble(present["code"].as_str().unwrap_or_default(), &dependants).into_iter().collect())
}

/// Links a child. The report names every check, and the one that failed; nothing is changed then, here or there.
pub async fn link(serve: &Serve, wish: Wish) -> LinkReport {
    let _one_at_a_time = serve.links.lock().await;
    let mut report = Report::new();
    let result = try_link(serve, wish, &mut report).await;
    report.ended(result)
}

async fn try_link(serve: &Serve, wish: Wish, report: &mut Report) -> Result<()> {
    let hostname = report.check(Check::Names, free_names(serve, &wish), Clone::clone)?;
    report.check(Check::Parent, prove::may_be_parent(serve).await, |()| "It has.".to_owned())?;
    let trust = prove::trust(&hostname, &wish.tls, report).await?;
    let credentials = |token: SecretString| Credentials {
        hostname: hostname.clone(),
        username: wish.username.clone(),
        token,
        address: None,
        trust: trust.clone(),
    };
    match wish.credential {
        Credential::Token(token) => linked(serve, &wish.alias, credentials(token.into()), report).await,
        Credential::Password(password) => {
            if matches!((&trust, &wish.tls), (Trust::Pin(_), Tls::AsShown)) {
                let error = Error::new(
                    Code::Refused,
                    format!("The certificate of “{hostname}” is not verified and nobody confirmed it: it gets no password."),
                )
                .hint(format!("Look at it (“linked-nodes node probe {hostname}”) and link with --certificate FINGERPRINT."));
                return report.check(Check::Certificate, Err(error), |()| String::new());
            }
            let by_password = Panel::by_password(credentials(password.into()))?;
            let made = report.check(Check::Credential, token::make(&serve.authority, &by_password, None).await, |made| {
                format!("It accepts the password; the token “{}” was made.", made.name)
            })?;
            let result = linked(serve, &wish.alias, credentials(made.token), report).await;
            if result.is_err() {
                token::take_back(&by_password, &made.name).await;
            }
            result
        }
    }
}

fn free_names(serve: &Serve, wish: &Wish) -> Result<String> {
    names::alias(&wish.alias)?;
    let hostname = names::hostname(&wish.hostname)?;
    if hostname == serve.authority.hostname {
        return Err(Error::new(Code::Invalid, format!("“{hostname}” is this server; a server cannot be its own child.")));
    }
    for node in serve.authority.store.nodes()? {
        if node.alias == wish.alias {
            return Err(Error::new(Code::Conflict, format!("The alias “{}” is taken by “{}”.", node.alias, node.hostname)));
        }
        if node.hostname == hostname {
            return Err(Error::new(Code::Conflict, format!("“{hostname}” is linked already, as “{}”.", node.alias)));
        }
    }
    Ok(hostname)
}

/// Proves the child by its token and records the link.
async fn linked(serve: &Serve, alias: &str, credentials: Credentials, report: &mut Report) -> Result<()> {
    let store = &serve.authority.store;
    let child = Child::new(credentials.clone())?;
    let found = prove(serve, &child, report).await?;
    let free = prove::no_other_parent(serve, &found, &credentials.hostname).and_then(|()| {
        let twin =
            store.nodes()?.into_iter().find(|node| store.seen(&node.alias).is_ok_and(|seen| seen.node_id == found.facts.node_id));
        match twin.filter(|_| !found.facts.node_id.is_empty()) {
            None => Ok(()),
            Some(node) => Err(Error::new(
                Code::Conflict,
                format!("“{}” is the server that is linked already, as “{}”.", credentials.hostname, node.alias),
            )),
        }
    });
    report.check(Check::NoOtherParent, free, |()| "It has none.".to_owned())?;
    report.check(Check::Accepts, accept(serve, &child, None).await, |()| "It does.".to_owned())?;
    let mut node = Node {
        alias: alias.to_owned(),
        hostname: credentials.hostname.clone(),
        username: credentials.username.clone(),
        pin: pin_of(&credentials.trust),
        version: String::new(),
        profile: String::new(),
        services: Vec::new(),
        last_check: 0,
        trouble: None,
        disk_free: None,
    };
    let seen = learned(&mut node, found);
    let recorded = serve.authority.secrets.set(alias, Some(&credentials.token)).and_then(|()| store.add_node(&node));
    if recorded.is_err() {
        let _ = child.call(AgentCall::EndLink { parent_id: store.node_id()? }).await;
        let _ = serve.authority.secrets.set(alias, None);
    }
    recorded?;
    store.learn_of_node(&node, &seen)
}

/// Puts what a child said into its record.
fn learned(node: &mut Node, found: Found) -> Seen {
    node.version = found.version;
    node.profile = found.profile;
    node.services = found.services;
    node.last_check = now_ms() / 1000;
    node.trouble = None;
    node.disk_free = Some(found.facts.disk_free);
    Seen { node_id: found.facts.node_id, mail_bytes: found.facts.mail_bytes, ..Seen::default() }
}

/// Changes a link; the child is proved again with what is new before anything is recorded.
///
/// A child whose certificate this system verifies is verified, whatever is asked (“if the remote is TLS-verified you cannot skip”); a
/// pin stays until a waiver is asked for in words.
///
/// # Errors
/// Names the check that failed; nothing is changed then.
pub async fn update(serve: &Serve, alias: &str, change: Update) -> Result<()> {
    let _one_at_a_time = serve.links.lock().await;
    let store = &serve.authority.store;
    token::finish(serve, alias).await.or_else(|error| if error.code == Code::NotFound { Err(error) } else { Ok(()) })?;
    let mut node = store.node(alias)?;
    let before = node.clone();
    if let Some(hostname) = change.hostname {
        node.hostname = names::hostname(&hostname)?;
        if node.hostname == serve.authority.hostname {
            return Err(Error::new(
                Code::Invalid,
                format!("“{}” is this server; a server cannot be its own child.", node.hostname),
            ));
        }
    }
    if let Some(username) = change.username {
        node.username = username;
    }
    let former = serve.authority.secrets.get(alias).ok();
    let token = match change.token.or_else(|| former.clone()) {
        Some(token) => token,
        None => serve.authority.secrets.get(alias)?,
    };
    let trust = match change.skip_tls_verification {
        Some(skip) => {
            let tls = if skip { Tls::AsShown } else { Tls::Verified };
            prove::trust(&node.hostname, &tls, &mut Report::new()).await?
        }
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
    let found = prove(serve, &child, &mut Report::new()).await?;
    prove::no_other_parent(serve, &found, &node.hostname)?;
    let known = store.seen(alias)?;
    if !known.node_id.is_empty() && known.node_id != found.facts.node_id {
        return Err(Error::new(
            Code::Refused,
            format!("“{}” is another server than the one that is linked as “{alias}” (“{}”).", node.hostname, before.hostname),
        )
        .hint("An update follows a server to its new name. Unlink the one, then link the other."));
    }
    // The child takes both tokens until the new one is on disk here: a crash in between leaves a link that works.
    let changes = former.as_ref().is_none_or(|former| former.expose_secret() != token.expose_secret());
    let former_digest = former.filter(|_| changes).map(|former| crate::wire::token_digest(former.expose_secret()));
    accept(serve, &child, former_digest.clone()).await?;
    if changes {
        serve.authority.secrets.set(alias, Some(&token))?;
    }
    let seen = Seen {
        trouble_since: None,
        warnings: known.warnings,
        password_strengths: known.password_strengths,
        certificate_expires: known.certificate_expires,
        ..learned(&mut node, found)
    };
    store.update_node(&node)?;
    store.learn_of_node(&node, &seen)?;
    if former_digest.is_some() {
        accept(serve, &child, None).await?;
    }
    Ok(())
}

/// Replaces the token of a link by a new one.
///
/// # Errors
/// As [`token::rotate`].
pub async fn rotate(serve: &Serve, alias: &str) -> Result<()> {
    let _one_at_a_time = serve.links.lock().await;
    token::rotate(serve, alias).await
}

/// Ends a link that nothing uses. A child that cannot be reached keeps its record of this parent.
///
/// # Errors
/// [`Code::Conflict`] while it is in use; what the child answers.
pub async fn unlink(serve: &Serve, alias: &str, fate: TokenFate) -> Result<NodeView> {
    let _one_at_a_time = serve.links.lock().await;
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
    serve.authority.secrets.set_all(&[(alias, None), (&crate::secrets::former(alias), None)])?;
    Ok(before)
}

/// A link as people see it.
pub fn view(serve: &Serve, node: &Node) -> Result<NodeView> {
    let seen = serve.authority.store.seen(&node.alias)?;
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
        mail_bytes: seen.mail_bytes,
        trouble_since: seen.trouble_since,
        disk_free: node.disk_free,
        certificate_expires: seen.certificate_expires,
        password_strengths: seen.password_strengths,
        warnings: seen.warnings,
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
    let known = store.seen(alias)?;
    let child = serve.authority.child(alias)?;
    let mut seen = match prove(serve, &child, &mut Report::new()).await {
        Ok(found) => {
            let (parent, former_token) = (found.facts.parent.clone(), found.facts.former_token);
            let mut seen = learned(&mut node, found);
            node.trouble = match parent {
                Some(parent) if parent != serve.authority.hostname => Some(format!("It says that its parent is “{parent}”.")),
                None => Some("It does not know that it is linked. Update the link.".into()),
                _ => None,
            };
            if node.trouble.is_none() {
                node.trouble = tend(serve, &child, alias, former_token).await.err().map(|error| error.message);
            }
            seen.certificate_expires = expiry(&node.hostname).await.or(known.certificate_expires);
            seen.password_strengths = strengths(&child.panel).await.unwrap_or(known.password_strengths);
            seen.warnings = warnings(serve, &node, &seen).await;
            seen
        }
        Err(error) => {
            node.trouble = Some(error.message);
            known.clone()
        }
    };
    seen.trouble_since = node.trouble.as_ref().map(|_| known.trouble_since.unwrap_or(now_ms() / 1000));
    store.learn_of_node(&node, &seen)
}

/// What was left undone on a child that answers: gates that a move could not open when it ended, a change of tokens.
async fn tend(serve: &Serve, child: &Child, alias: &str, former_token: bool) -> Result<()> {
    let store = &serve.authority.store;
    let own = store.node_id()?;
    let holders = store.running_moves()?.iter().map(|moving| format!("{own}/{}", moving.id)).collect();
    let _: Value = child.host(HostCall::KeepGates { of: own, holders }).await?;
    demote(serve, child, alias).await?;
    // Whoever changes the link right now ends that himself.
    let Ok(_one_at_a_time) = serve.links.try_lock() else { return Ok(()) };
    token::finish(serve, alias).await?;
    if former_token { accept(serve, &serve.authority.child(alias)?, None).await } else { Ok(()) }
}

/// A distributed reseller has no privileges on the child, whatever was given to it there past the guard.
async fn demote(serve: &Serve, child: &Child, alias: &str) -> Result<()> {
    let listed = child.panel.whm("listresellers", &[]).await?;
    let ours = serve.authority.store.accounts_on(alias)?;
    for user in listed["reseller"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if ours.iter().any(|own| own == user) {
            tracing::warn!(user, alias, "a distributed account was a reseller on the child; it is none any more");
            child.panel.whm("unsetupreseller", &[("user", user)]).await?;
        }
    }
    Ok(())
}

/// When the certificate that a server shows ends.
async fn expiry(hostname: &str) -> Option<i64> {
    panel::show(hostname, WHM_PORT).await.and_then(|certificate| certificate.not_after()).ok()
}

/// The minimum password strengths of a server.
async fn strengths(panel: &Panel) -> Result<std::collections::BTreeMap<String, u64>> {
    let data = panel.whm("getminimumpasswordstrengths", &[]).await?;
    let all = data.as_object().into_iter().flatten();
    Ok(all.filter_map(|(application, strength)| Some((application.clone(), number(strength)?))).collect())
}

/// What works and should be looked at.
async fn warnings(serve: &Serve, node: &Node, seen: &Seen) -> Vec<String> {
    let mut warnings = Vec::new();
    if let Some(left) = seen.certificate_expires.map(|end| (end - now_ms() / 1000).div_euclid(86_400))
        && left < CERTIFICATE_DAYS
    {
        warnings.push(match left {
            ..0 => format!("The certificate of “{}” has expired.", node.hostname),
            _ => format!("The certificate of “{}” expires within {} days.", node.hostname, left + 1),
        });
    }
    let own = serve.authority.own.whm("version", &[]).await.ok().and_then(|data| data["version"].as_str().map(str::to_owned));
    if let Some(own) = own.filter(|own| prove::major(own) != prove::major(&node.version)) {
        warnings.push(format!("It runs cPanel {}, this server {own}: bring both to the same major version.", node.version));
    }
    warnings
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
