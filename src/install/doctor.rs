//! Checks of an installation: each has a name, an outcome and a next step.

mod node;

use super::host::Host;
use super::layout::{CPANEL, MANIFEST, PROGRAM};
use super::look::{self, State};
use super::manifest::Manifest;
use super::{hooked, plan, redirect};
use crate::error::Error;
use crate::wire::{AdminCall, Client, MoveView, NodeView, Role, Status};
use serde::Serialize;
use std::path::Path;
use std::time::Duration;

/// How long serve may take to answer a check.
const PATIENCE: Duration = Duration::from_secs(10);

/// The outcome of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// As it should be.
    Good,
    /// Works, but somebody should look.
    Warning,
    /// Does not work.
    Failed,
    /// Could not be checked, or does not apply here.
    Skipped,
}

impl Verdict {
    /// The word for a table.
    pub fn word(self) -> &'static str {
        match self {
            Self::Good => "ok",
            Self::Warning => "warning",
            Self::Failed => "FAILED",
            Self::Skipped => "skipped",
        }
    }
}

/// A check and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was checked.
    pub name: &'static str,
    /// The outcome.
    pub verdict: Verdict,
    /// What was found.
    pub found: String,
    /// What to do, when something is to be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

impl Check {
    fn good(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Good, found: found.into(), next: None }
    }

    fn bad(name: &'static str, verdict: Verdict, found: impl Into<String>, next: impl Into<String>) -> Self {
        Self { name, verdict, found: found.into(), next: Some(next.into()) }
    }

    fn failed(name: &'static str, found: impl Into<String>, next: impl Into<String>) -> Self {
        Self::bad(name, Verdict::Failed, found, next)
    }

    fn error(name: &'static str, error: &Error) -> Self {
        Self { name, verdict: Verdict::Failed, found: error.message.clone(), next: error.hint.clone() }
    }
}

/// Runs every check.
pub async fn examine(host: &Host<'_>, socket: &Path) -> Vec<Check> {
    let mut checks = vec![root(), cpanel(host)];
    checks.extend(programs(host));
    checks.push(installed(host));
    checks.push(hooks(host));
    checks.extend(serve(socket).await);
    checks.push(shim());
    checks.push(redirected(host));
    checks.extend(node::checks(host).await);
    checks
}

fn root() -> Check {
    if rustix::process::geteuid().is_root() {
        Check::good("root", "this command runs as root")
    } else {
        Check::failed("root", "this command does not run as root, so most checks cannot succeed", "Run it again as root.")
    }
}

fn cpanel(host: &Host) -> Check {
    if !host.has(CPANEL) {
        return Check::failed("cPanel & WHM", format!("{CPANEL} does not exist"), "Install cPanel & WHM first.");
    }
    match look::version(host).as_str() {
        "" => Check::failed("cPanel & WHM", format!("“{CPANEL} -V” says nothing"), "Look at /usr/local/cpanel/logs/error_log."),
        version => Check::good("cPanel & WHM", version),
    }
}

fn programs(host: &Host) -> Vec<Check> {
    [("nft", "nftables"), ("doveadm", "Dovecot"), ("exim", "Exim")]
        .into_iter()
        .map(|(name, package)| {
            if look::is_program(host, name) {
                Check::good(name, "present")
            } else {
                Check::failed(name, "not in the search path", format!("Install {package}."))
            }
        })
        .collect()
}

fn installed(host: &Host) -> Check {
    const NAME: &str = "installation";
    let differing = || -> crate::error::Result<Vec<String>> {
        if Manifest::load(host)?.is_empty() {
            return Ok(vec![format!("{MANIFEST} does not exist")]);
        }
        let facts = plan::Facts { program: host.path(PROGRAM), ..look::facts(host)? };
        let mut differing = Vec::new();
        for item in plan::plan(&facts)? {
            // Those have checks of their own.
            if matches!(item, plan::Item::Hooks) {
                continue;
            }
            match look::state(host, &item)? {
                State::Same => (),
                State::Absent => differing.push(format!("{} is missing", item.key())),
                State::Differs(how) => differing.push(format!("{}: {how}", item.key())),
            }
        }
        Ok(differing)
    };
    match differing() {
        Ok(differing) if differing.is_empty() => {
            Check::good(NAME, format!("version {}, everything in place", env!("CARGO_PKG_VERSION")))
        }
        Ok(differing) => Check::failed(NAME, differing.join("; "), "Run “linked-nodes install” again."),
        Err(error) => Check::error(NAME, &error),
    }
}

fn hooks(host: &Host) -> Check {
    const NAME: &str = "standard hooks";
    match hooked::registered(host).and_then(|registered| Ok((registered, hooked::wanted()?))) {
        Ok((registered, wanted)) if registered == wanted => Check::good(NAME, format!("{} registered", wanted.len())),
        Ok((registered, wanted)) => {
            let lacking: Vec<String> =
                wanted.difference(&registered).map(|(_, event, stage, _)| format!("{event} ({stage})")).collect();
            let found = if lacking.is_empty() {
                "hooks of another version are registered".to_owned()
            } else {
                format!("not registered: {}", lacking.join(", "))
            };
            Check::failed(NAME, found, "Run “linked-nodes install” again.")
        }
        Err(error) => Check::error(NAME, &error),
    }
}

async fn serve(socket: &Path) -> Vec<Check> {
    let asked = tokio::time::timeout(PATIENCE, async {
        let mut client = Client::connect(socket).await?;
        let status: Status = client.call(&AdminCall::Status).await?;
        let mut client = Client::connect(socket).await?;
        let nodes: Vec<NodeView> = client.call(&AdminCall::NodeList).await?;
        let mut client = Client::connect(socket).await?;
        let moves: Vec<MoveView> = client.call(&AdminCall::MoveList).await?;
        Ok::<_, Error>((status, nodes, moves))
    });
    match asked.await {
        Err(_) => vec![Check::failed(
            "serve",
            format!("does not answer within {} s", PATIENCE.as_secs()),
            "Restart it, and look at its log.",
        )],
        Ok(Err(error)) => {
            vec![Check {
                next: Some("Run “linked-nodes install” again, or look at its log.".to_owned()),
                ..Check::error("serve", &error)
            }]
        }
        Ok(Ok((status, nodes, moves))) => {
            let mut checks = vec![version(&status), role(&status)];
            let next = "Activate a profile that fits: “whmapi1 start_profile_activation code=CODE”.";
            checks.extend(status.troubles.iter().map(|trouble| Check::failed("server profile", trouble, next)));
            checks.extend(nodes.iter().map(child));
            let next = || Some("See “linked-nodes node show ALIAS”.".to_owned());
            checks.extend(nodes.iter().flat_map(|node| &node.warnings).map(|warning| Check {
                name: "child",
                verdict: Verdict::Warning,
                found: warning.clone(),
                next: next(),
            }));
            checks.extend(moves.iter().filter(|view| view.state == "stuck").map(stuck));
            checks
        }
    }
}

fn version(status: &Status) -> Check {
    let ours = env!("CARGO_PKG_VERSION");
    if status.version == ours {
        Check::good("serve", format!("answers, version {ours}"))
    } else {
        Check::failed("serve", format!("runs version {}, this is {ours}", status.version), "Run “linked-nodes install” again.")
    }
}

fn role(status: &Status) -> Check {
    Check::good(
        "role",
        match &status.role {
            Role::Unlinked => "not linked to any node".to_owned(),
            Role::Parent => format!("parent, {} linked, {} accounts distributed", status.nodes, status.distributed),
            Role::Child { parent, .. } => format!("child of {parent}"),
        },
    )
}

fn child(node: &NodeView) -> Check {
    match &node.trouble {
        None if node.tls_verified => Check::good("child", format!("{} ({}) answers", node.alias, node.hostname)),
        None => Check::bad(
            "child",
            Verdict::Warning,
            format!("{} ({}) answers, but its certificate is not verified", node.alias, node.hostname),
            format!("Give it a valid certificate, then “linked-nodes node update {} --skip-tls-verification false”.", node.alias),
        ),
        Some(trouble) => Check::failed(
            "child",
            format!("{} ({}): {trouble}", node.alias, node.hostname),
            format!("See “linked-nodes node status {}”.", node.alias),
        ),
    }
}

fn stuck(view: &MoveView) -> Check {
    let why = view.reason.as_deref().unwrap_or("no reason recorded");
    Check::failed(
        "move",
        format!("move {} of {} is stuck: {why}", view.id, view.user),
        format!("See “linked-nodes move show {}”.", view.id),
    )
}

fn shim() -> Check {
    let silent: Vec<String> =
        redirect::PORTS.iter().filter(|(_, port)| !redirect::port_answers(*port)).map(|(_, port)| port.to_string()).collect();
    if silent.is_empty() {
        Check::good("shim", "takes connections on every port")
    } else {
        Check::failed(
            "shim",
            format!("no answer on port {}", silent.join(", ")),
            "Run “linked-nodes install” again, or look at its log.",
        )
    }
}

fn redirected(host: &Host) -> Check {
    match redirect::is_up(host) {
        Ok(true) => Check::good("redirect", "cpsrvd's ports are redirected to the shim"),
        Ok(false) => Check::failed(
            "redirect",
            format!("the nftables table inet {} is not loaded: calls reach cpsrvd directly", redirect::TABLE),
            "Run “linked-nodes redirect up”. If it keeps going away, something reloads the whole ruleset (“nft flush ruleset”).",
        ),
        Err(error) => Check::error("redirect", &error),
    }
}
