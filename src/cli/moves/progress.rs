//! A move's progress on standard error: a bar with rate and time left on a terminal, a line for each change of state elsewhere.

use crate::cli::output;
use crate::wire::MoveView;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::time::Duration;

const TEMPLATE: &str = "{spinner} {prefix:18} {wide_bar} {decimal_bytes}/{decimal_total_bytes} {msg}";

/// Shows a move as it goes on.
pub struct Progress {
    bar: Option<ProgressBar>,
    last: Option<(String, u64, Option<String>)>,
}

impl Progress {
    /// Draws when `draws`, writes plain lines otherwise.
    pub fn new(draws: bool) -> Self {
        Self::of(draws.then(|| ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr())))
    }

    /// One of several on the same terminal.
    pub fn among(all: Option<&MultiProgress>) -> Self {
        Self::of(all.map(|all| all.add(ProgressBar::no_length())))
    }

    fn of(bar: Option<ProgressBar>) -> Self {
        let bar = bar.inspect(|bar| {
            if let Ok(style) = ProgressStyle::with_template(TEMPLATE) {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(200));
        });
        Self { bar, last: None }
    }

    /// Shows where the move is now.
    pub fn show(&mut self, view: &MoveView) {
        let Some(bar) = &self.bar else { return self.line(view) };
        bar.set_length(view.bytes_planned.max(view.bytes));
        bar.set_position(view.bytes);
        bar.set_prefix(output::printable(&format!("{} {}", view.user, view.state)));
        bar.set_message(output::printable(&now(view)));
    }

    /// A line when the state changes, another tenth is done, or the move waits for something else.
    fn line(&mut self, view: &MoveView) {
        let tenth = (view.bytes * 10).checked_div(view.bytes_planned).unwrap_or(0).min(10);
        let state = (view.state.clone(), tenth, view.reason.clone());
        if self.last.as_ref() == Some(&state) {
            return;
        }
        self.last = Some(state);
        let now = now(view);
        output::note(&format!(
            "move {} of {}: {} ({} of {} messages, {} of {}){}{now}",
            view.id,
            view.user,
            view.state,
            view.messages,
            view.messages_planned,
            output::bytes(view.bytes),
            output::bytes(view.bytes_planned),
            if now.is_empty() { "" } else { " " },
        ));
    }

    /// Takes the bar off the terminal.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// What the move is at: why it waits, or how fast it goes and with which mailbox.
fn now(view: &MoveView) -> String {
    if let Some(reason) = &view.reason {
        return reason.clone();
    }
    let mut parts = Vec::new();
    parts.extend(view.rate.filter(|rate| *rate > 0).map(|rate| format!("{}/s", output::bytes(rate))));
    parts.extend(view.seconds_left.map(|left| format!("{} left", output::span(left))));
    parts.extend(view.mailbox.clone());
    if parts.is_empty() && view.step != view.state {
        parts.push(view.step.clone());
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_waits_for_comes_before_how_fast_it_went() {
        let mut view = MoveView { step: "seed".into(), state: "seeding".into(), ..crate::cli::moves::tests::view() };
        assert_eq!(now(&view), "seed");
        view.rate = Some(2_000_000);
        view.seconds_left = Some(300);
        view.mailbox = Some("info@bob.test".into());
        assert_eq!(now(&view), "2.00 MB/s, 5 min left, info@bob.test");
        view.reason = Some("waits for move 3 on mail1".into());
        assert_eq!(now(&view), "waits for move 3 on mail1");
    }
}
