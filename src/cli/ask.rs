//! Asking `serve` over the admin socket, from a program that does one thing and ends.

use super::exit::{Exit, Failure};
use crate::error::{Code, Error};
use crate::wire::{ADMIN_SOCKET, AdminCall, Client};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::future::Future;
use std::path::PathBuf;

/// The admin socket: cPanel's own machines have it in one place, `LINKED_NODES_ADMIN_SOCKET` names another.
pub fn admin_socket() -> PathBuf {
    std::env::var_os("LINKED_NODES_ADMIN_SOCKET").map_or_else(|| PathBuf::from(ADMIN_SOCKET), PathBuf::from)
}

/// Calls `serve` and waits for the result.
///
/// # Errors
/// [`Exit::NoServe`] when `serve` is not there, [`Exit::Failed`] when it answers with a failure.
pub fn serve<T: DeserializeOwned>(call: &AdminCall) -> Result<T, Failure> {
    watch(call, |_| ())
}

/// Calls `serve`, hands every event to `event`, and returns the result. Ctrl-C stops the watching, not what is watched.
///
/// # Errors
/// As [`serve`], and [`Exit::Interrupted`].
pub fn watch<T: DeserializeOwned>(call: &AdminCall, event: impl FnMut(Value)) -> Result<T, Failure> {
    block_on(async {
        let mut client = Client::connect(&admin_socket()).await.map_err(no_serve)?;
        tokio::select! {
            biased;
            _ = tokio::signal::ctrl_c() => Err(Failure::silent(Exit::Interrupted)),
            answer = client.watch(call, event) => answer.map_err(Failure::from),
        }
    })?
}

/// Runs one future to its end on this thread.
///
/// # Errors
/// [`Exit::Failed`] when the machine has no room for the runtime.
pub fn block_on<T>(future: impl Future<Output = T>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|cause| Failure::from(Error::machine("starting the runtime", cause)))?;
    let result = runtime.block_on(future);
    runtime.shutdown_background();
    Ok(result)
}

fn no_serve(error: Error) -> Failure {
    if !rustix::process::geteuid().is_root() {
        return Error::new(Code::Denied, "This command needs root: only root may speak to linked-nodes serve.")
            .hint("Run it as root.")
            .into();
    }
    Failure::no_serve(error)
}
