//! The lab: nodes that look like cPanel servers from outside and on disk, with real daemons inside.
//!
//! ```text
//! main ── a command of cPanel by its name (commands), else the lab's own command line (node::cli: up, down, init …)
//! node      namespaces, overlay, bridge, process 1 of a node, daemons and their configuration
//! fill      mail for mailboxes
//! cpsrvd    the stand-in cpsrvd: listeners, sign-in, ACLs, envelopes, WHM API 1 functions
//! passwd    accounts' passwords with the hooks around a change
//! uapi      UAPI functions
//! certificates  installing certificates with the hooks around it
//! domains   addon, parked and sub domains with the hooks around them
//! hooks     standard hooks: registry, firing, manage_hooks
//! appconfig applications registered with cpsrvd, and the commands
//! commands  the commands at cPanel's paths, by name
//! machine   the on-disk places of a cPanel server: accounts, domains, zones, tokens, profile
//! client    mail clients and a checker for tests (`lab client …`), which share no code with the product
//! call      what a function call is: caller, arguments, outcome
//! ```

mod appconfig;
mod call;
mod certificates;
mod client;
mod commands;
mod cpsrvd;
mod domains;
mod fill;
mod hooks;
mod machine;
mod node;
mod passwd;
mod uapi;

fn main() -> std::process::ExitCode {
    let words: Vec<String> = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    commands::run(&words).unwrap_or_else(node::cli::main)
}
