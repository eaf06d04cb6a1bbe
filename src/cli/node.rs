//! `node …`: the children of this parent.

mod token;

use super::exit::Outcome;
use super::table::{Card, Table};
use super::{ask, output};
use crate::wire::{AdminCall, Credential, LinkReport, NodeView, Tls, TokenFate};
use clap::{Args, Subcommand};
use token::TokenSource;

/// What can be done with nodes.
#[derive(Debug, Subcommand)]
pub enum Node {
    /// Link a child to this server
    Link(Link),
    /// List the linked children
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show what is known of a child
    Show(Which),
    /// Ask a child now how it is
    Status(Which),
    /// Change how a child is reached
    Update(Update),
    /// End the link to a child
    Unlink(Unlink),
}

/// Names a child.
#[derive(Debug, Args)]
pub struct Which {
    /// The child's alias.
    alias: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// A new link.
#[derive(Debug, Args)]
pub struct Link {
    /// The name for the child: up to 50 letters, digits, `-` and `_`.
    alias: String,
    /// The child's hostname; an IP address will not do.
    hostname: String,
    /// The user of the token on the child.
    #[arg(long, default_value = "root")]
    username: String,
    #[command(flatten)]
    token: TokenSource,
    /// Do not verify the child's certificate. Anyone between the two servers can then read and change everything.
    #[arg(long)]
    skip_tls_verification: bool,
}

/// Changes to a link.
#[derive(Debug, Args)]
pub struct Update {
    /// The child's alias.
    alias: String,
    /// The child's new hostname.
    #[arg(long)]
    hostname: Option<String>,
    /// The new user of the token.
    #[arg(long)]
    username: Option<String>,
    /// Read a new token (from the environment, a file, or standard input) as `node link` does.
    #[arg(long)]
    new_token: bool,
    #[command(flatten)]
    token: TokenSource,
    /// Whether to skip the verification of the child's certificate.
    #[arg(long, value_name = "BOOL")]
    skip_tls_verification: Option<bool>,
}

/// The end of a link.
#[derive(Debug, Args)]
pub struct Unlink {
    /// The child's alias.
    alias: String,
    /// Let the child's token expire in 24 hours instead of leaving it as it is.
    #[arg(long)]
    expire_token: bool,
}

/// Runs a node command.
///
/// # Errors
/// As [`ask::serve`], and for a token that cannot be read.
pub fn run(command: Node) -> Outcome {
    match command {
        Node::Link(link) => {
            let token = link.token.read(&link.alias)?;
            let (alias, hostname) = (link.alias.clone(), link.hostname.clone());
            let report: LinkReport = ask::serve(&AdminCall::NodeLink {
                alias: link.alias,
                hostname: link.hostname,
                username: link.username,
                credential: Credential::Token(token),
                tls: if link.skip_tls_verification { Tls::AsShown } else { Tls::Verified },
            })?;
            if let Some(error) = report.error {
                return Err(error.into());
            }
            output::data(&format!("{alias} is linked: {hostname} can now serve the mail of accounts of this server."))?;
            output::note(&format!("Next: “linked-nodes account distribute USER {alias} --dry-run”."));
            Ok(())
        }
        Node::List { json } => {
            let nodes: Vec<NodeView> = ask::serve(&AdminCall::NodeList)?;
            if json { output::json(&nodes) } else { list(&nodes) }
        }
        Node::Show(which) => show(AdminCall::NodeShow { alias: which.alias }, which.json),
        Node::Status(which) => show(AdminCall::NodeStatus { alias: which.alias }, which.json),
        Node::Update(update) => {
            let token = if update.new_token || update.token.is_named() { Some(update.token.read(&update.alias)?) } else { None };
            let alias = update.alias.clone();
            let () = ask::serve(&AdminCall::NodeUpdate {
                alias: update.alias,
                hostname: update.hostname,
                username: update.username,
                token,
                skip_tls_verification: update.skip_tls_verification,
            })?;
            output::data(&format!("The link to {alias} is updated."))
        }
        Node::Unlink(unlink) => {
            let token_fate = if unlink.expire_token { TokenFate::Expire24h } else { TokenFate::Leave };
            let node: NodeView = ask::serve(&AdminCall::NodeUnlink { alias: unlink.alias, token_fate })?;
            output::data(&format!("{} ({}) is unlinked.", node.alias, node.hostname))?;
            output::note(match token_fate {
                TokenFate::Leave => "Its API token is still valid on the child; revoke it there if nothing else uses it.",
                TokenFate::Expire24h => "Its API token expires in 24 hours.",
            });
            Ok(())
        }
    }
}

fn list(nodes: &[NodeView]) -> Outcome {
    if nodes.is_empty() {
        output::note("No child is linked. Link one with “linked-nodes node link ALIAS HOSTNAME”.");
        return Ok(());
    }
    let mut table = Table::new(&["alias", "hostname", "profile", "version", "accounts", "free", "state"]);
    for node in nodes {
        table.row(vec![
            node.alias.clone(),
            node.hostname.clone(),
            node.profile.clone(),
            node.version.clone(),
            node.accounts.to_string(),
            node.disk_free.map_or_else(|| "-".to_owned(), output::bytes),
            node.trouble.clone().unwrap_or_else(|| "ok".to_owned()),
        ]);
    }
    output::data(&table.render(output::width()))
}

fn show(call: AdminCall, json: bool) -> Outcome {
    let node: NodeView = ask::serve(&call)?;
    if json {
        return output::json(&node);
    }
    let mut card = Card::new(&node.alias);
    card.field("hostname", &node.hostname);
    card.field("username", &node.username);
    card.field("certificate", if node.tls_verified { "verified" } else { "NOT verified" });
    card.field("version", &node.version);
    card.field("profile", &node.profile);
    card.field("services", &node.enabled_services.join(" "));
    card.field("accounts", &node.accounts.to_string());
    card.field("free on /home", &node.disk_free.map_or_else(|| "unknown".to_owned(), output::bytes));
    card.field("last answer", &if node.last_check == 0 { "never".to_owned() } else { output::moment(node.last_check) });
    card.field("state", node.trouble.as_deref().unwrap_or("ok"));
    output::data(&card.render(output::width()))
}
