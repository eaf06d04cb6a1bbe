//! The routing snapshot: asked of `serve` again and again, kept while `serve` is down.

use crate::wire::{Client, Role, Routing, ShimCall};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How long `serve` may think about a question that it answers after 30 s at most.
const PATIENCE: Duration = Duration::from_secs(45);
/// The longest pause between attempts to reach `serve`.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// A version that `serve` never has: it answers at once.
const NOTHING: u64 = u64::MAX;

/// What the shim knows of the linked nodes.
#[derive(Debug, Clone)]
pub enum View {
    /// The last snapshot.
    Known(Arc<Routing>),
    /// No snapshot yet, and this server was a child of this parent when `serve` last ran: cPanel stays shut.
    ChildOf(String),
    /// No snapshot yet, and this server was no child.
    Unknown,
}

/// The source of [`View`]s.
#[derive(Clone)]
pub struct Routes {
    snapshot: watch::Receiver<Option<Arc<Routing>>>,
    role_file: PathBuf,
}

impl Routes {
    /// What is known now.
    pub fn view(&self) -> View {
        if let Some(routing) = self.snapshot.borrow().as_ref() {
            return View::Known(routing.clone());
        }
        match child_of(&self.role_file) {
            Some(parent) => View::ChildOf(parent),
            None => View::Unknown,
        }
    }

    /// Waits for the first snapshot of at least this version.
    #[cfg(test)]
    pub async fn wait_for(&mut self, version: u64) {
        let wanted = |now: &Option<Arc<Routing>>| now.as_ref().is_some_and(|routing| routing.version >= version);
        let _ = self.snapshot.wait_for(wanted).await;
    }
}

fn child_of(role_file: &Path) -> Option<String> {
    let text = std::fs::read_to_string(role_file).ok()?;
    let mut words = text.split_whitespace();
    if words.next()? == "child" { Some(words.next().unwrap_or("its parent").to_owned()) } else { None }
}

/// Follows the routing that `serve` has behind `socket`, from within a tokio runtime, as long as somebody listens.
pub fn follow(socket: PathBuf, role_file: PathBuf) -> Routes {
    let (send, snapshot) = watch::channel(None::<Arc<Routing>>);
    tokio::spawn(async move {
        let mut pause = Duration::from_millis(50);
        let mut have = NOTHING;
        while !send.is_closed() {
            let asked = tokio::time::timeout(PATIENCE, ask(&socket, have)).await;
            match asked {
                Ok(Ok(routing)) => {
                    pause = Duration::from_millis(50);
                    have = routing.version;
                    let same = send.borrow().as_ref().is_some_and(|known| **known == routing);
                    if !same {
                        log(&routing);
                        send.send_replace(Some(Arc::new(routing)));
                    } else {
                        // An answer that changes nothing came at the end of its time, or from a `serve` that does not wait.
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                }
                failed => {
                    // A `serve` that comes back may count from the beginning again.
                    have = NOTHING;
                    if let Ok(Err(error)) = failed {
                        tracing::debug!(error = ?error, "no routing from serve");
                    }
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    });
    Routes { snapshot, role_file }
}

async fn ask(socket: &Path, have: u64) -> crate::error::Result<Routing> {
    Client::connect(socket).await?.call(&ShimCall::Routing { have }).await
}

fn log(routing: &Routing) {
    let role = match &routing.role {
        Role::Unlinked => "unlinked",
        Role::Parent => "parent",
        Role::Child { .. } => "child",
    };
    tracing::info!(
        version = routing.version,
        role,
        distributed = routing.distributed.len(),
        served = routing.served.len(),
        "routing"
    );
}
