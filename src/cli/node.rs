//! `node …`: the children of this parent.

mod token;

use super::exit::{Failure, Outcome};
use super::table::{Card, Table};
use super::{ask, output};
use crate::error::{Code, Error};
use crate::wire::{AdminCall, CertificateView, Credential, LinkReport, NodeView, Tls, TokenFate};
use clap::{Args, Subcommand};
use token::{PasswordSource, TokenSource};

/// What can be done with nodes.
#[derive(Debug, Subcommand)]
pub enum Node {
    /// Show a server's certificate before anybody trusts it
    Probe {
        /// The server's hostname.
        hostname: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
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
    /// Give a link a new API token and revoke the present one
    RotateToken {
        /// The child's alias.
        alias: String,
    },
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
    #[command(flatten)]
    password: PasswordSource,
    /// Accept the certificate of this SHA-256 and no other, as “node probe” showed it, when this system does not verify it.
    #[arg(long, value_name = "SHA256")]
    certificate: Option<String>,
    /// Accept the certificate that the child shows now and no other, without having looked at it. Whoever stands between the two servers at
    /// this moment can then read and change everything; prefer --certificate.
    #[arg(long, conflicts_with = "certificate")]
    skip_tls_verification: bool,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
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
        Node::Probe { hostname, json } => probe(hostname, json),
        Node::Link(link) => self::link(link),
        Node::RotateToken { alias } => {
            let () = ask::serve(&AdminCall::NodeRotate { alias: alias.clone() })?;
            output::data(&format!("{alias} has a new token; the former one is revoked."))
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

fn link(link: Link) -> Outcome {
    let credential = match link.password.read(&link.alias)? {
        Some(password) => Credential::Password(password),
        None => Credential::Token(link.token.read(&link.alias)?),
    };
    let tls = match (link.certificate, link.skip_tls_verification) {
        (Some(fingerprint), _) => Tls::Pinned(bare(&fingerprint)?),
        (None, true) => Tls::AsShown,
        (None, false) => Tls::Verified,
    };
    let (alias, hostname) = (link.alias.clone(), link.hostname.clone());
    let call = AdminCall::NodeLink { alias: link.alias, hostname: link.hostname, username: link.username, credential, tls };
    let report: LinkReport = ask::serve(&call)?;
    if link.json {
        output::json(&report)?;
    } else {
        let mut table = Table::new(&["", "check", "found"]);
        for check in &report.checks {
            let mark = match check.passed {
                Some(true) => "ok",
                Some(false) => "FAILED",
                None => "-",
            };
            table.row(vec![mark.to_owned(), check.name.clone(), check.found.clone()]);
        }
        output::data(&table.render(output::width()))?;
    }
    if let Some(error) = report.error {
        return Err(error.into());
    }
    output::note(&format!("{alias} is linked: {hostname} can now serve the mail of accounts of this server."));
    output::note(&format!("Next: “linked-nodes account distribute USER {alias} --dry-run”."));
    Ok(())
}

/// A fingerprint as people copy it: with colons or blanks, in any case.
fn bare(fingerprint: &str) -> Result<String, Failure> {
    let hex: String = fingerprint.chars().filter(|c| !matches!(c, ':' | ' ')).collect::<String>().to_ascii_lowercase();
    if hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(hex);
    }
    let error = Error::new(Code::Invalid, "What was given as --certificate is not a SHA-256: that has 64 hexadecimal digits.");
    Err(Failure::usage(error.hint("“linked-nodes node probe HOSTNAME” shows it.")))
}

fn probe(hostname: String, json: bool) -> Outcome {
    let view: CertificateView = ask::serve(&AdminCall::NodeProbe { hostname })?;
    if json {
        return output::json(&view);
    }
    let mut card = Card::new(&view.hostname);
    card.field("subject", &view.subject);
    card.field("issuer", &view.issuer);
    card.field("names", &view.names.join(" "));
    card.field("valid from", &output::moment(view.not_before));
    card.field("valid until", &output::moment(view.not_after));
    card.field("SHA-256", &view.fingerprint);
    card.field("trusted", view.distrust.as_deref().map_or("yes, this system verifies it", |_| "NO"));
    if let Some(why) = &view.distrust {
        card.field("why not", why);
    }
    output::data(&card.render(output::width()))?;
    if view.distrust.is_some() {
        output::note(
            "Compare the SHA-256 with what the server itself shows (“openssl x509 -in /var/cpanel/ssl/cpanel/cpanel.pem -noout -fingerprint -sha256”), then link with --certificate SHA256.",
        );
    }
    Ok(())
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
    card.field("mail served", &node.mail_bytes.map_or_else(|| "not measured yet".to_owned(), output::bytes));
    if let Some(end) = node.certificate_expires {
        card.field("certificate ends", &output::moment(end));
    }
    if !node.password_strengths.is_empty() {
        let strengths: Vec<String> = node.password_strengths.iter().map(|(app, least)| format!("{app} {least}")).collect();
        card.field("password strengths", &strengths.join(", "));
        card.field("", "They count for mailboxes and lists it serves. Password ages are each server's own and do not agree.");
    }
    for warning in &node.warnings {
        card.field("warning", warning);
    }
    card.field("state", node.trouble.as_deref().unwrap_or("ok"));
    if let Some(since) = node.trouble_since {
        card.field("since", &output::moment(since));
    }
    output::data(&card.render(output::width()))
}
