//! `hook …`: the edge towards cPanel's standard hooks. Reads, asks, prints one line, and ends with 0 whatever happens.

use super::exit::Outcome;
use super::{ask, output};
use crate::error::{Code, Error};
use crate::hooks::{self, Hook as Heard, Line, ROLE_FILE};
use crate::settings::Settings;
use crate::store::STATE_DIR;
use clap::Args;
use std::path::Path;
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// What cPanel calls.
#[derive(Debug, Args)]
pub struct Hook {
    /// Print the hooks as manage_hooks reads them.
    #[arg(long)]
    describe: bool,
    /// The event's category.
    #[arg(long, default_value = "Whostmgr")]
    category: String,
    /// The event.
    #[arg(long, required_unless_present = "describe")]
    event: Option<String>,
    /// `pre` or `post`.
    #[arg(long, required_unless_present = "describe")]
    stage: Option<String>,
}

/// Describes the hooks, or answers one event.
///
/// # Errors
/// Only when standard output is gone.
pub fn run(args: Hook) -> Outcome {
    if args.describe {
        return output::json(&hooks::describe()?);
    }
    let (event, stage) = (args.event.unwrap_or_default(), args.stage.unwrap_or_default());
    let category = args.category;
    // A panic must not leave cPanel without a line: it would take silence for consent.
    let answered = std::panic::catch_unwind(|| answer(&category, &event, &stage));
    let line = answered.unwrap_or_else(|_| Line::refuse(stage == "pre", "Linked Nodes failed while it looked at this event"));
    output::data(&line.to_string())
}

fn answer(category: &str, event: &str, stage: &str) -> Line {
    let begun = Instant::now();
    let deadline = Settings::read(Path::new(STATE_DIR)).hook_deadline;
    let known = |hook: &Heard| hook.category == category && hook.event == event && hook.stage == stage;
    let Some(hook) = hooks::table().ok().and_then(|table| table.into_iter().find(known)) else {
        return Line::trouble(&format!("Linked Nodes does not hear {category}::{event} at {stage}"));
    };
    let document = read_within(deadline);
    let left = deadline.saturating_sub(begun.elapsed());
    ask::block_on(hooks::hear(&hook, document, &ask::admin_socket(), Path::new(ROLE_FILE), left))
        .unwrap_or_else(|_| Line::refuse(hook.blocking, "Linked Nodes could not start to look at this event"))
}

/// Reads standard input on a thread of its own, because a pipe that nobody closes would hold us for ever.
fn read_within(deadline: Duration) -> crate::error::Result<serde_json::Value> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let _ = sender.send(hooks::read_document(std::io::stdin()));
    });
    receiver.recv_timeout(deadline).unwrap_or_else(|_| Err(Error::new(Code::Invalid, "The event's data did not come in time.")))
}
