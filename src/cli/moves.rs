//! `move …`: the jobs that bring an account's mail from one node to another.

mod progress;
mod several;

use super::exit::{Exit, Failure, Outcome};
use super::table::{Card, Table};
use super::{ask, output};
use crate::error::{Code, Error};
use crate::wire::{AdminCall, MoveView};
use clap::Subcommand;
use progress::Progress;
pub use several::several;

/// What can be done with moves.
#[derive(Debug, Subcommand)]
pub enum Move {
    /// List the moves, newest first
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show a move with its log
    Show {
        /// The move's number.
        id: i64,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Follow a move to its end
    Watch {
        /// The move's number.
        id: i64,
        /// Print the move as JSON at the end.
        #[arg(long)]
        json: bool,
    },
    /// Undo a move that has not switched yet
    Cancel {
        /// The move's number.
        id: i64,
    },
}

/// Runs a move command.
///
/// # Errors
/// As [`ask::serve`], and [`Exit::Failed`] when a watched move does not end well.
pub fn run(command: Move) -> Outcome {
    match command {
        Move::List { json } => {
            let moves: Vec<MoveView> = ask::serve(&AdminCall::MoveList)?;
            if json { output::json(&moves) } else { list(&moves) }
        }
        Move::Show { id, json } => {
            let view: MoveView = ask::serve(&AdminCall::MoveShow { id })?;
            if json { output::json(&view) } else { output::data(&card(&view).render(output::width())) }
        }
        Move::Watch { id, json } => watch(id, json),
        Move::Cancel { id } => {
            let view: MoveView = ask::serve(&AdminCall::MoveCancel { id })?;
            output::data(&format!("Move {} of {} is {}.", view.id, view.user, view.state))
        }
    }
}

/// Follows a move to its end, then prints what became of it.
///
/// # Errors
/// As [`run`].
pub fn watch(id: i64, json: bool) -> Outcome {
    let mut progress = Progress::new(output::draws());
    let ended: Result<MoveView, Failure> = ask::watch(&AdminCall::MoveWatch { id }, |event| {
        if let Ok(view) = serde_json::from_value::<MoveView>(event) {
            progress.show(&view);
        }
    });
    progress.finish();
    let view = ended.inspect_err(|failure| {
        if failure.exit == Exit::Interrupted {
            output::note(&format!("Stopped watching; the move goes on. Follow it with “linked-nodes move watch {id}”."));
        }
    })?;
    if json {
        output::json(&view)?;
    }
    match view.state.as_str() {
        "done" if json => Ok(()),
        "done" => output::data(&summary(&view)),
        state => {
            let why = view.reason.as_deref().unwrap_or("no reason was recorded");
            Err(Error::new(Code::Answered, format!("Move {} of {} ended {state}: {why}", view.id, view.user))
                .hint(format!("See “linked-nodes move show {}”.", view.id))
                .into())
        }
    }
}

/// What became of a move that ended well.
fn summary(view: &MoveView) -> String {
    let mut text = format!(
        "The mail of {} is on {} now: {}, {}",
        view.user,
        place(&view.to),
        output::count(view.messages, "message"),
        output::bytes(view.bytes)
    );
    if let Some(ended) = view.ended_ms {
        text.push_str(&format!(" in {}", output::span(u64::try_from((ended - view.started_ms) / 1000).unwrap_or(0))));
    }
    text.push('.');
    if let Some(verified) = view.verified {
        text.push_str(&format!("\n{} verified equal on both sides.", output::count(verified, "message")));
    }
    if let Some(pause) = view.pause_ms {
        let tenths = pause.div_ceil(100);
        text.push_str(&format!("\nMail waited {}.{} s around the cutover.", tenths / 10, tenths % 10));
    }
    text
}

/// A place in the words of a person: the API's `.local` is this server.
pub fn place(name: &str) -> &str {
    if name == ".local" { "this server" } else { name }
}

fn list(moves: &[MoveView]) -> Outcome {
    if moves.is_empty() {
        output::note("No account has been moved yet.");
        return Ok(());
    }
    let mut table = Table::new(&["id", "user", "from", "to", "state", "messages", "size", "started", "reason"]);
    for view in moves {
        table.row(vec![
            view.id.to_string(),
            view.user.clone(),
            place(&view.from).to_owned(),
            place(&view.to).to_owned(),
            view.state.clone(),
            view.messages.to_string(),
            output::bytes(view.bytes),
            output::moment(view.started_ms.div_euclid(1000)),
            view.reason.clone().unwrap_or_else(|| "-".to_owned()),
        ]);
    }
    output::data(&table.render(output::width()))
}

fn card(view: &MoveView) -> Card {
    let mut card = Card::new(&format!("Move {} of {}: from {} to {}", view.id, view.user, place(&view.from), place(&view.to)));
    card.field("state", &view.state);
    if !view.ended {
        card.field("step", &view.step);
        card.field("mailbox", view.mailbox.as_deref().unwrap_or(""));
        card.field("rate", &view.rate.map(|rate| format!("{}/s", output::bytes(rate))).unwrap_or_default());
        card.field("time left", &view.seconds_left.map(output::span).unwrap_or_default());
    }
    card.field("reason", view.reason.as_deref().unwrap_or(""));
    card.field("messages", &format!("{} of {}", view.messages, view.messages_planned));
    card.field("size", &format!("{} of {}", output::bytes(view.bytes), output::bytes(view.bytes_planned)));
    card.field("verified", &view.verified.map_or_else(|| "not yet".to_owned(), |count| output::count(count, "message")));
    if let Some(pause) = view.pause_ms {
        card.field("pause", &format!("{pause} ms"));
    }
    card.field("started", &output::moment(view.started_ms.div_euclid(1000)));
    if let Some(ended) = view.ended_ms {
        card.field("ended", &output::moment(ended.div_euclid(1000)));
    }
    let log: Vec<String> =
        view.log.iter().map(|(at, event)| format!("{} {event}", output::moment(at.div_euclid(1000)))).collect();
    card.field("log", &log.join("\n"));
    card
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A move that ended well.
    pub fn view() -> MoveView {
        MoveView {
            id: 7,
            user: "bob".into(),
            from: ".local".into(),
            to: "mail1".into(),
            state: "done".into(),
            step: String::new(),
            ended: true,
            reason: None,
            mailbox: None,
            rate: None,
            seconds_left: None,
            messages: 10_240,
            bytes: 702_000_000,
            messages_planned: 10_000,
            bytes_planned: 700_000_000,
            verified: Some(10_240),
            pause_ms: Some(1_234),
            started_ms: 1_000,
            ended_ms: Some(65_000),
            log: vec![],
        }
    }

    #[test]
    fn the_summary_says_what_was_moved_and_verified() {
        assert_eq!(
            summary(&view()),
            "The mail of bob is on mail1 now: 10,240 messages, 702.00 MB in 64 s.\n10,240 messages verified equal on both sides.\n\
             Mail waited 1.3 s around the cutover."
        );
    }
}
