//! Link Server Nodes: every child at a glance.

use super::{Frame, Here, html};
use crate::error::Result;
use crate::ui::answer::Answer;
use crate::ui::form::address;
use crate::ui::format::{When, bytes, count};
use crate::wire::{AdminCall, NodeView};
use askama::Template;

#[derive(Template)]
#[template(path = "nodes.html")]
struct Nodes {
    frame: Frame,
    rows: Vec<Row>,
}

/// A child, ready to be shown.
pub struct Row {
    pub alias: String,
    pub hostname: String,
    pub username: String,
    pub profile: String,
    pub version: String,
    pub tls_verified: bool,
    pub accounts: String,
    pub used: bool,
    pub mail: Option<String>,
    pub free: Option<String>,
    pub trouble: Option<String>,
    pub since: Option<When>,
    pub seen: When,
    pub manage: String,
    pub accounts_on: String,
}

impl Row {
    pub fn of(node: &NodeView, now: i64) -> Self {
        Self {
            alias: node.alias.clone(),
            hostname: node.hostname.clone(),
            username: node.username.clone(),
            profile: profile(&node.profile),
            version: node.version.clone(),
            tls_verified: node.tls_verified,
            accounts: count(node.accounts as u64),
            used: node.accounts > 0,
            mail: node.mail_bytes.map(bytes),
            free: node.disk_free.map(bytes),
            trouble: node.trouble.clone(),
            since: node.trouble_since.map(|since| When::seconds(since, now)),
            seen: When::seconds(node.last_check, now),
            manage: address(&[("page", "node"), ("alias", &node.alias)]),
            accounts_on: address(&[("page", "accounts"), ("on", &node.alias)]),
        }
    }
}

fn profile(code: &str) -> String {
    match code {
        "MAILNODE" => "Mail".to_owned(),
        "STANDARD" => "Standard".to_owned(),
        other => other.to_owned(),
    }
}

pub async fn show(here: &Here<'_>) -> Result<Answer> {
    let nodes: Vec<NodeView> = here.means.ask(AdminCall::NodeList).await?;
    let rows = nodes.iter().map(|node| Row::of(node, here.now)).collect();
    html(200, &Nodes { frame: here.frame("Link Server Nodes", "nodes"), rows })
}
