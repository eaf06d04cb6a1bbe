//! The long-lived roles: what is wired for each, top to bottom.

use super::exit::{Failure, Outcome};
use super::{ask, output};
use crate::error::Error;
use crate::install::host::Host;
use crate::install::{redirect, services, supervise};
use clap::Subcommand;
use std::io::IsTerminal as _;
use tracing_subscriber::EnvFilter;

/// What can be done with the redirect.
#[derive(Debug, Subcommand)]
pub enum Redirect {
    /// Load it once the shim answers
    Up,
    /// Remove it: cpsrvd answers for itself
    Down,
    /// Print the table
    Show,
}

/// `serve`: the authority.
///
/// # Errors
/// When it cannot begin; it ends well on SIGTERM.
pub fn serve() -> Outcome {
    supervise::end_with_supervisor();
    log();
    Ok(runtime()?.block_on(crate::serve::run(crate::serve::Settings::default()))?)
}

/// `shim`: the front of cpsrvd's ports.
///
/// # Errors
/// When it cannot begin; it ends well on SIGTERM.
pub fn shim() -> Outcome {
    supervise::end_with_supervisor();
    log();
    Ok(runtime()?.block_on(crate::shim::run(crate::shim::Settings::default()))?)
}

/// `supervise`: serve, shim and the redirect where there is no systemd.
///
/// # Errors
/// When it cannot begin.
pub fn supervise() -> Outcome {
    log();
    Ok(ask::block_on(supervise::run())??)
}

/// `redirect …`: for the units.
///
/// # Errors
/// When the shim does not answer, or `nft` fails.
pub fn redirect(command: Redirect) -> Outcome {
    let host = Host::here();
    match command {
        Redirect::Up => Ok(redirect::up(&host, services::PATIENCE)?),
        Redirect::Down => Ok(redirect::down(&host)?),
        Redirect::Show => output::data(&redirect::table()),
    }
}

/// `cgi`: one page in WHM.
///
/// # Errors
/// When cpsrvd does not read any more.
pub fn cgi() -> Outcome {
    let settings = crate::ui::Settings::here(ask::admin_socket());
    crate::ui::run(&settings).map_err(|cause| Error::machine("answering", cause).into())
}

/// A runtime with a thread for each processor, for the roles that serve many at once.
fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|cause| Error::machine("starting the runtime", cause).into())
}

/// Logs to standard error; `LINKED_NODES_LOG` filters (`debug`, `linked_nodes::shim=debug` …).
fn log() {
    let filter = EnvFilter::try_from_env("LINKED_NODES_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let colours = std::io::stderr().is_terminal();
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours).try_init();
}
