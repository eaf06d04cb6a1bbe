//! A move's progress on standard error: a bar with rate and time left on a terminal, a line for each change of state elsewhere.

use crate::cli::output;
use crate::wire::MoveView;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::time::Duration;

const TEMPLATE: &str =
    "{spinner} {prefix:10} {wide_bar} {decimal_bytes}/{decimal_total_bytes}  {decimal_bytes_per_sec}  {eta} left {msg}";

/// Shows a move as it goes on.
pub struct Progress {
    bar: Option<ProgressBar>,
    last: Option<(String, u64)>,
}

impl Progress {
    /// Draws when `draws`, writes plain lines otherwise.
    pub fn new(draws: bool) -> Self {
        let bar = draws.then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            if let Ok(style) = ProgressStyle::with_template(TEMPLATE) {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        Self { bar, last: None }
    }

    /// Shows where the move is now.
    pub fn show(&mut self, view: &MoveView) {
        let Some(bar) = &self.bar else { return self.line(view) };
        bar.set_length(view.bytes_planned.max(view.bytes));
        bar.set_position(view.bytes);
        bar.set_prefix(output::printable(&view.state));
        bar.set_message(if view.step == view.state { String::new() } else { output::printable(&view.step) });
    }

    /// A line when the state changes or another tenth is done.
    fn line(&mut self, view: &MoveView) {
        let tenth = (view.bytes * 10).checked_div(view.bytes_planned).unwrap_or(0).min(10);
        let now = (view.state.clone(), tenth);
        if self.last.as_ref() == Some(&now) {
            return;
        }
        self.last = Some(now);
        output::note(&format!(
            "move {} of {}: {} ({} of {} messages, {} of {})",
            view.id,
            view.user,
            view.state,
            view.messages,
            view.messages_planned,
            output::bytes(view.bytes),
            output::bytes(view.bytes_planned)
        ));
    }

    /// Takes the bar off the terminal.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
