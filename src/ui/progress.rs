//! A move under way in words and numbers, for pages and for scripts alike.

use super::format::{bytes, count, duration, place};
use crate::wire::MoveView;
use serde::Serialize;

/// The phases people see, in order: the state's word, and what it is called.
pub const PHASES: [(&str, &str); 6] = [
    ("planned", "Waiting"),
    ("preparing", "Preparing"),
    ("seeding", "Copying"),
    ("holding", "Cutover"),
    ("switched", "Switched"),
    ("cleaning", "Cleaning up"),
];

/// A move, ready to be shown.
#[derive(Debug, Clone, Serialize)]
pub struct Progress {
    /// Number of the move.
    pub id: i64,
    /// cPanel user.
    pub user: String,
    /// Where the mail was, in words.
    pub from: String,
    /// Where it goes, in words.
    pub to: String,
    /// The phase's word; see [`PHASES`].
    pub phase: String,
    /// Phases that are behind it.
    pub past: Vec<&'static str>,
    /// The state, in words.
    pub state: String,
    /// The step under way.
    pub step: String,
    /// How much is copied, of 1000.
    pub done: u64,
    /// The same in words.
    pub percent: String,
    /// Messages and bytes.
    pub amount: String,
    /// The mailbox being copied.
    pub mailbox: String,
    /// How fast.
    pub rate: String,
    /// How long it may take still.
    pub left: String,
    /// Why it waits.
    pub reason: String,
    /// Whether it has ended.
    pub ended: bool,
}

impl Progress {
    /// Of a move.
    pub fn of(view: &MoveView) -> Self {
        let at = PHASES.iter().position(|(word, _)| *word == view.state);
        let past = match at {
            Some(at) => PHASES[..at].iter().map(|(word, _)| *word).collect(),
            None if view.state == "done" => PHASES.iter().map(|(word, _)| *word).collect(),
            None => Vec::new(),
        };
        let state = at.map_or(view.state.as_str(), |at| PHASES[at].1);
        let done = permille(view);
        Self {
            id: view.id,
            user: view.user.clone(),
            from: place(&view.from).to_owned(),
            to: place(&view.to).to_owned(),
            phase: view.state.clone(),
            past,
            state: match state {
                "undoing" => "Taking back".to_owned(),
                "done" => "Done".to_owned(),
                "undone" => "Taken back".to_owned(),
                other => other.to_owned(),
            },
            step: step(&view.step).to_owned(),
            percent: format!("{} %", done / 10),
            done,
            amount: format!(
                "{} of {} messages, {} of {}",
                count(view.messages),
                count(view.messages_planned.max(view.messages)),
                bytes(view.bytes),
                bytes(view.bytes_planned.max(view.bytes))
            ),
            mailbox: view.mailbox.clone().unwrap_or_default(),
            rate: view.rate.map(|rate| format!("{}/s", bytes(rate))).unwrap_or_default(),
            left: view.seconds_left.map(|left| format!("about {} left", duration(left))).unwrap_or_default(),
            reason: view.reason.clone().unwrap_or_default(),
            ended: view.ended,
        }
    }
}

/// How much is copied: never all of it before the copy is verified, because mail goes on arriving.
fn permille(view: &MoveView) -> u64 {
    let share = |part: u64, whole: u64| (u128::from(part.min(whole)) * 1000).checked_div(u128::from(whole)).unwrap_or(0);
    let copied =
        if view.bytes_planned > 0 { share(view.bytes, view.bytes_planned) } else { share(view.messages, view.messages_planned) };
    let copied = u64::try_from(copied).unwrap_or(1000);
    match view.state.as_str() {
        "switched" | "cleaning" | "done" => 1000,
        "planned" => 0,
        _ => copied.min(990),
    }
}

/// A step in words.
fn step(step: &str) -> &str {
    match step {
        "claim" => "noting the account on the child",
        "account" => "making the account there",
        "detour" => "sending what arrives there back here",
        "configure" => "mailboxes, passwords, forwarders, filters, keys",
        "announce" => "shortening the life of DNS records",
        "seed" => "copying messages while the mailboxes are in use",
        "hold" => "letting new mail and sign-ins wait",
        "quiet" => "ending sessions",
        "final" => "the last pass",
        "verify" => "comparing every message on both sides",
        "switch" => "changing over",
        "open" => "letting waiting mail in",
        "publish" => "publishing DNS",
        "clean" => "removing the former messages",
        "release" => "opening the former place again",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub fn view(state: &str) -> MoveView {
        serde_json::from_value(serde_json::json!({
            "id": 1, "user": "alice", "from": ".local", "to": "mail1", "state": state, "step": "seed", "ended": false, "reason": null,
            "messages": 5, "bytes": 500, "messages_planned": 10, "bytes_planned": 1000, "verified": null, "pause_ms": null,
            "started_ms": 0, "ended_ms": null, "log": [],
        }))
        .unwrap()
    }

    #[test]
    fn the_bar_is_full_when_the_mail_is_there() {
        let done = |state: &str| Progress::of(&view(state)).done;
        assert_eq!([done("planned"), done("seeding"), done("switched"), done("done")], [0, 500, 1000, 1000]);
        let mut grown = view("seeding");
        (grown.bytes, grown.messages) = (9000, 90);
        let grown = Progress::of(&grown);
        assert_eq!(grown.done, 990, "more arrived than was planned");
        assert_eq!(grown.amount, "90 of 90 messages, 9.0 kB of 9.0 kB");
        let mut empty = view("preparing");
        (empty.bytes_planned, empty.messages_planned, empty.bytes, empty.messages) = (0, 0, 0, 0);
        assert_eq!(Progress::of(&empty).done, 0);
        assert_eq!(Progress::of(&view("holding")).past, ["planned", "preparing", "seeding"]);
    }
}
