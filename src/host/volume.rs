//! How much mail this child serves: measured little by little, so that nobody waits for it.

use crate::error::{Error, Result};
use crate::mailbox::{Account, Local, Side as _};
use crate::store::Store;
use std::time::{Duration, Instant};

/// How old a figure may become, in seconds.
const STALE: i64 = 600;
/// For how long accounts are measured in one go. One account may take longer.
const BUDGET: Duration = Duration::from_secs(20);

/// Measures the served accounts whose figures are stale at `now` (Unix time, seconds), those seen longest ago first.
///
/// # Errors
/// When the store cannot be read or written. An account that cannot be looked at keeps its figure and is tried again later.
pub async fn measure(store: &Store, now: i64) -> Result<()> {
    let store = store.clone();
    let work = move || -> Result<()> {
        let begun = Instant::now();
        for (user, bytes, at) in store.volumes()? {
            if now - at < STALE || begun.elapsed() > BUDGET {
                break;
            }
            let found = Account::find(&user).and_then(Local::open).and_then(|mut side| side.usage());
            let bytes = found.map(|usage| usage.bytes).unwrap_or_else(|error| {
                tracing::warn!(?error, user, "the mail of an account cannot be measured");
                bytes
            });
            store.set_volume(&user, bytes, now)?;
        }
        Ok(())
    };
    tokio::task::spawn_blocking(work).await.map_err(|cause| Error::machine("measuring mail", cause))?
}
