//! When a client that keeps working ends: a file appears, a signal comes, the time is over.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};

use super::error::{Doing as _, Result};

/// When to end; SIGTERM and SIGINT always do.
#[derive(Debug, clap::Args)]
pub struct Until {
    /// End when this file exists.
    #[arg(long, value_name = "FILE")]
    stop_file: Option<PathBuf>,
    /// End after this many seconds.
    #[arg(long, value_name = "N")]
    seconds: Option<u64>,
}

/// Tells whether it is time to end.
#[derive(Debug)]
pub struct Stop {
    file: Option<PathBuf>,
    end: Option<Instant>,
    signalled: Arc<AtomicBool>,
}

impl Stop {
    /// Begins to listen for signals; the time runs from now.
    pub fn new(until: &Until) -> Result<Self> {
        let signalled = Arc::new(AtomicBool::new(false));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().doing("listen for signals")?;
        let (mut term, mut int) = {
            let _inside = runtime.enter();
            (signal(SignalKind::terminate()).doing("listen for SIGTERM")?, signal(SignalKind::interrupt()).doing("listen")?)
        };
        let flag = signalled.clone();
        std::thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = term.recv() => {}
                    _ = int.recv() => {}
                }
            });
            flag.store(true, Ordering::Relaxed);
        });
        let end = until.seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
        Ok(Self { file: until.stop_file.clone(), end, signalled })
    }

    /// Whether it is time to end.
    pub fn asked(&self) -> bool {
        self.signalled.load(Ordering::Relaxed)
            || self.end.is_some_and(|end| Instant::now() >= end)
            || self.file.as_ref().is_some_and(|file| file.exists())
    }

    /// Waits until `due`, or until it is time to end.
    pub fn wait_until(&self, due: Instant) {
        while !self.asked() {
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            std::thread::sleep(left.min(Duration::from_millis(20)));
        }
    }
}
