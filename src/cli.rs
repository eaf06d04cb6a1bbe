//! The command line: what a person or cPanel types, mapped to the roles of the program. Nothing is decided here.

mod account;
mod api;
mod ask;
mod exit;
mod hook;
mod moves;
mod node;
mod output;
mod roles;
mod setup;
mod status;
mod table;

use clap::{Parser, Subcommand};
use exit::{Exit, Outcome};
use std::ffi::OsString;
use std::process::ExitCode;

/// Joins several cPanel & WHM servers: a parent that stays the authority, children that serve its accounts' mail.
#[derive(Debug, Parser)]
#[command(name = "linked-nodes", version, max_term_width = 100, after_help = EXIT_CODES)]
struct Cli {
    /// Also show the technical detail of an error.
    #[arg(long, short, global = true)]
    verbose: bool,
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str =
    "Exit codes: 0 done, 1 failed or refused, 2 usage, 3 “linked-nodes serve” does not answer, 130 stopped watching.";

#[derive(Debug, Subcommand)]
enum Command {
    /// What this server is among linked nodes
    Status {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// The children of this server
    #[command(subcommand)]
    Node(node::Node),
    /// Which account's mail lives where, and moving it
    #[command(subcommand)]
    Account(account::Account),
    /// The moves: list, follow, cancel
    #[command(subcommand)]
    Move(moves::Move),
    /// Call a WHM API 1 function
    Whmapi1(api::Whm),
    /// Call a UAPI function for an account
    Uapi(api::Uapi),
    /// Put the product in place on this server
    Install(setup::Install),
    /// Take the product off this server
    Uninstall(setup::Uninstall),
    /// Check the installation and say what to do
    Doctor(setup::Doctor),
    /// Run the authority: state, links, moves (started by the system)
    Serve,
    /// Run the front of cpsrvd's ports (started by the system)
    Shim,
    /// Run serve and shim where there is no systemd (started by install)
    Supervise,
    /// Load or remove the redirect of cpsrvd's ports (started by the system)
    #[command(hide = true, subcommand)]
    Redirect(roles::Redirect),
    /// Answer a page of WHM (called by cpsrvd)
    #[command(hide = true)]
    Cgi,
    /// Answer a standard hook (called by cPanel)
    #[command(hide = true)]
    Hook(hook::Hook),
}

/// Runs the program with these arguments, the first being its own name.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are data; clap knows which stream each belongs to.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage } else { Exit::Done }.into();
        }
    };
    match dispatch(cli.command) {
        Ok(()) => Exit::Done.into(),
        Err(failure) => {
            failure.tell(cli.verbose);
            failure.exit.into()
        }
    }
}

fn dispatch(command: Command) -> Outcome {
    match command {
        Command::Status { json } => status::run(json),
        Command::Node(command) => node::run(command),
        Command::Account(command) => account::run(command),
        Command::Move(command) => moves::run(command),
        Command::Whmapi1(call) => api::whm(call),
        Command::Uapi(call) => api::uapi(call),
        Command::Install(args) => setup::install(args),
        Command::Uninstall(args) => setup::uninstall(args),
        Command::Doctor(args) => setup::doctor(args),
        Command::Serve => roles::serve(),
        Command::Shim => roles::shim(),
        Command::Supervise => roles::supervise(),
        Command::Redirect(command) => roles::redirect(command),
        Command::Cgi => roles::cgi(),
        Command::Hook(args) => hook::run(args),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
