//! Crash drills: proof that a move survives the end of `serve` between any two lines.
//!
//! Root writes `STEP:before`, `STEP:after` or `STEP:undo`, or `any` in place of the step, into `crash-at` in the state directory; when a move comes to that point,
//! the file is taken away and the process ends itself as `kill -9` would. Without the file this costs one look at a directory.

use std::path::Path;

/// Ends the process here if a drill asks for it.
pub fn crash_point(dir: &Path, step: &str, point: &str) {
    let file = dir.join("crash-at");
    let Ok(wanted) = std::fs::read_to_string(&file) else { return };
    let wanted = wanted.trim();
    if (wanted == format!("{step}:{point}") || wanted == format!("any:{point}")) && std::fs::remove_file(&file).is_ok() {
        tracing::warn!(step, point, "crash drill");
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    }
}
