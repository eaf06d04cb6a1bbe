//! Managing a link.

use super::link::required;
use super::nodes::Row;
use super::{Frame, Here, error_note, html, said};
use crate::error::{Code, Error, Result};
use crate::ui::answer::Answer;
use crate::ui::form::address;
use crate::wire::{AdminCall, NodeView, PageNote, TokenFate};
use askama::Template;
use serde_json::Value;

#[derive(Template)]
#[template(path = "node.html")]
struct Node {
    frame: Frame,
    row: Row,
    services: Vec<String>,
    here: String,
}

pub async fn show(here: &Here<'_>) -> Result<Answer> {
    let alias = required(here, "alias")?.to_owned();
    let node: NodeView = here.means.ask(AdminCall::NodeShow { alias }).await?;
    let page = Node {
        frame: here.frame(format!("Server node {}", node.alias), "nodes"),
        row: Row::of(&node, here.now),
        here: address(&[("page", "node"), ("alias", &node.alias)]),
        services: node.enabled_services,
    };
    html(200, &page)
}

pub async fn change(here: &Here<'_>) -> Result<Answer> {
    let alias = required(here, "alias")?.to_owned();
    let there = [("page", "node"), ("alias", alias.as_str())];
    match here.request.form("do").unwrap_or_default() {
        "check" => {
            let asked: Result<NodeView> = here.means.act(AdminCall::NodeStatus { alias: alias.clone() }).await;
            let note = match asked {
                Ok(node) => match node.trouble {
                    None => said(true, format!("“{alias}” answers.")),
                    Some(trouble) => PageNote { title: format!("“{alias}” is in trouble: {trouble}"), ..said(false, "") },
                },
                Err(error) => error_note(format!("“{alias}” could not be asked."), &error),
            };
            here.see(&there, note).await
        }
        "update" => update(here, &alias, &there).await,
        "rotate" => {
            let done: Result<Value> = here.means.act(AdminCall::NodeRotate { alias: alias.clone() }).await;
            let note =
                outcome(done, format!("“{alias}” has a new token; the former one is revoked."), "The token was not rotated.");
            here.see(&there, note).await
        }
        "unlink" => unlink(here, &alias, &there).await,
        _ => Err(Error::new(Code::Invalid, "There is no such action.")),
    }
}

fn outcome(done: Result<Value>, good: String, bad: &str) -> PageNote {
    match done {
        Ok(_) => said(true, good),
        Err(error) => error_note(bad, &error),
    }
}

async fn update(here: &Here<'_>, alias: &str, there: &[(&str, &str)]) -> Result<Answer> {
    let present: NodeView = here.means.ask(AdminCall::NodeShow { alias: alias.to_owned() }).await?;
    let changed = |name: &str, present: &str| {
        here.request.form(name).map(str::trim).filter(|given| !given.is_empty() && *given != present).map(str::to_owned)
    };
    let call = AdminCall::NodeUpdate {
        alias: alias.to_owned(),
        hostname: changed("hostname", &present.hostname),
        username: changed("username", &present.username),
        token: changed("secret", ""),
        skip_tls_verification: match here.request.form("tls") {
            Some("verified") => Some(false),
            Some("shown") => Some(true),
            _ => None,
        },
    };
    let done: Result<Value> = here.means.act(call).await;
    here.see(there, outcome(done, format!("The link of “{alias}” is updated."), "The link was not changed.")).await
}

async fn unlink(here: &Here<'_>, alias: &str, there: &[(&str, &str)]) -> Result<Answer> {
    let token_fate = match here.request.form("token_fate") {
        Some("leave") => TokenFate::Leave,
        Some("expire_24h") => TokenFate::Expire24h,
        _ => return Err(Error::new(Code::Invalid, "What becomes of the token is missing.").hint("Go back and choose.")),
    };
    let done: Result<NodeView> = here.means.act(AdminCall::NodeUnlink { alias: alias.to_owned(), token_fate }).await;
    match done {
        Ok(node) => {
            let token = match token_fate {
                TokenFate::Leave => "Its token works on; revoke it there when nobody needs it.",
                TokenFate::Expire24h => "Its token expires in 24 hours.",
            };
            here.see(&[("page", "nodes")], said(true, format!("“{alias}” ({}) is unlinked. {token}", node.hostname))).await
        }
        Err(error) => here.see(there, error_note(format!("“{alias}” is still linked."), &error)).await,
    }
}
