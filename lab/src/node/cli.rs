//! The lab's command line.

use std::convert::Infallible;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use super::error::{Context as _, Result};
use super::layout::{Place, Plan};
use super::{boot, check, down, enter, init, packages, up};
use crate::fill;

/// Nodes that look like cPanel servers, with real mail daemons inside.
#[derive(Debug, Parser)]
#[command(name = "lab", version, disable_help_subcommand = true)]
pub struct Cli {
    /// Which lab: several may be up at once.
    #[arg(long, env = "LAB_NAME", default_value = "lab", global = true)]
    name: String,
    #[command(subcommand)]
    command: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Bring the lab up: a parent, its children, a resolver and a place for clients. Safe to run again.
    Up {
        /// How many children (mail1, mail2 …).
        #[arg(long, default_value_t = 2)]
        children: u8,
        /// A node's server profile, NODE=CODE. The parent has STANDARD, mail1 MAILNODE, the others STANDARD.
        #[arg(long, value_name = "NODE=CODE", value_parser = pair)]
        profile: Vec<(String, String)>,
        /// Give a node a /home of its own of this size, NODE=SIZE (K, M, G), kept in memory: for trying out full disks.
        #[arg(long, value_name = "NODE=SIZE", value_parser = sized)]
        home_size: Vec<(String, u64)>,
    },
    /// Take the lab down and remove every trace of it.
    Down,
    /// Show the nodes and their daemons.
    Status {
        /// For programs.
        #[arg(long)]
        json: bool,
    },
    /// Run a command in a node.
    Exec {
        /// parent, mail1 …, resolver or client.
        node: String,
        /// The command, after `--`.
        #[arg(last = true, required = true)]
        words: Vec<String>,
    },
    /// Open a shell in a node.
    Shell {
        /// parent, mail1 …, resolver or client.
        node: String,
    },
    /// Put a file of this machine into a node.
    Push {
        /// parent, mail1 …, resolver or client.
        node: String,
        /// The file here.
        source: PathBuf,
        /// Its path in the node.
        target: String,
    },
    /// Stop a node; its disk stays.
    Stop {
        /// The node.
        node: String,
        /// As a power failure would: no daemon gets to end by itself.
        #[arg(long)]
        kill: bool,
    },
    /// Start a node that was stopped.
    Start {
        /// The node.
        node: String,
    },
    /// Stop, start or restart one daemon of a node.
    Service {
        /// The node.
        node: String,
        /// What to do.
        verb: enter::Verb,
        /// dovecot, exim, pdns, recursor or cpsrvd.
        daemon: String,
    },
    /// Ask the lab's resolver for a name.
    Resolve {
        /// The name.
        question: String,
        /// The type of record.
        #[arg(default_value = "A")]
        kind: String,
    },
    /// Show the ends of a node's logs.
    Logs {
        /// The node.
        node: String,
        /// Only logs whose file name contains this.
        which: Option<String>,
        /// How many lines of each.
        #[arg(short = 'n', long, default_value_t = 40)]
        lines: usize,
    },
    /// Put mail into a mailbox: real messages and generated ones, in nested folders with flags, keywords and odd names.
    Fill(fill::Fill),
    /// List the Debian packages the lab needs.
    Packages {
        /// Install what is missing, without starting services.
        #[arg(long)]
        install: bool,
        /// Those that the checks need, too.
        #[arg(long)]
        checks: bool,
    },
    /// Say what this machine lacks for a lab.
    Doctor,
    /// Be process 1 of a node (started by `up`).
    #[command(hide = true)]
    Init {
        /// The node.
        node: String,
    },
}

fn pair(text: &str) -> std::result::Result<(String, String), String> {
    match text.split_once('=') {
        Some((node, value)) if !node.is_empty() && !value.is_empty() => Ok((node.into(), value.into())),
        _ => Err(format!("“{text}” is not NODE=VALUE")),
    }
}

fn sized(text: &str) -> std::result::Result<(String, u64), String> {
    let (node, size) = pair(text)?;
    let (digits, unit) = match size.char_indices().next_back() {
        Some((at, 'K' | 'k')) => (&size[..at], 1 << 10),
        Some((at, 'M' | 'm')) => (&size[..at], 1 << 20),
        Some((at, 'G' | 'g')) => (&size[..at], 1 << 30),
        _ => (size.as_str(), 1),
    };
    let number: u64 = digits.parse().map_err(|_| format!("“{size}” is not a size such as 50M"))?;
    Ok((node, number * unit))
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr().lock(), "lab: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<()> {
    let place = Place::new(&cli.name)?;
    let mut out = std::io::stdout();
    match cli.command {
        Verb::Up { children, profile, home_size } => {
            up::up(&place, &Plan::new(&cli.name, children, &profile, &home_size)?, &mut out)
        }
        Verb::Down => down::down(&place, &mut out),
        Verb::Status { json } => enter::status(&place, &mut out, json),
        Verb::Exec { node, words } => enter::exec(&place, &node, &words).map(never),
        Verb::Shell { node } => enter::shell(&place, &node).map(never),
        Verb::Push { node, source, target } => enter::push(&place, &node, &source, &target),
        Verb::Stop { node, kill } => {
            let name = place.plan()?.node(&node)?.name.clone();
            let ran = boot::stop(&place, &name, kill)?;
            let state = if ran { "is stopped" } else { "was not running" };
            writeln!(out, "{name} {state}").doing("write")
        }
        Verb::Start { node } => up::start(&place, &node, &mut out),
        Verb::Service { node, verb, daemon } => enter::service(&place, &node, verb, &daemon),
        Verb::Resolve { question, kind } => enter::resolve(&place, &question, &kind).map(never),
        Verb::Logs { node, which, lines } => enter::logs(&place, &node, which.as_deref(), lines, &mut out),
        Verb::Fill(order) => fill::run(&place, &order, &mut out),
        Verb::Packages { install: true, checks } => packages::install(checks, &mut out),
        Verb::Packages { install: false, checks } => {
            let missing = packages::missing(checks)?;
            for (name, purpose) in packages::listed(checks) {
                let state = if missing.contains(name) { "missing" } else { "installed" };
                writeln!(out, "{name:20} {state:10} {purpose}").doing("write")?;
            }
            Ok(())
        }
        Verb::Doctor => {
            check::ready(&place)?;
            writeln!(out, "this machine can carry a lab").doing("write")
        }
        Verb::Init { node } => init::run(&place, &node),
    }
}

fn never(nothing: Infallible) {
    match nothing {}
}
