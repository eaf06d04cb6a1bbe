//! The lab: nodes that look like cPanel servers from outside and on disk, with real daemons inside.
//!
//! ```text
//! main ── dispatches on argv[0] (whmapi1, uapi, manage_hooks, …) and on subcommands (up, down, init, cpsrvd …)
//! node      namespaces, overlay, bridge, process 1 of a node, daemons and their configuration
//! fill      mail for mailboxes
//! cpsrvd    the stand-in cpsrvd: listeners, sign-in, ACLs, envelopes, WHM API 1 functions
//! uapi      UAPI functions
//! hooks     standard hooks and AppConfig: registry, firing, the commands
//! machine   the on-disk places of a cPanel server: accounts, domains, zones, tokens, profile
//! call      what a function call is: caller, arguments, outcome
//! ```

mod call;
mod hooks;
mod machine;
mod node;
mod uapi;

fn main() -> std::process::ExitCode {
    node::cli::main()
}
