//! `account force-dedistribute`: giving a child up, with what that costs shown first.

use crate::cli::exit::{Exit, Failure, Outcome};
use crate::cli::table::Card;
use crate::cli::{ask, output};
use crate::error::{Code, Error};
use crate::wire::{AdminCall, Forced, LossView};
use std::io::{BufRead as _, IsTerminal as _};

/// Shows what will be lost, has it confirmed, and gives the child up for these accounts.
///
/// # Errors
/// [`Exit::Usage`] without a confirmation; [`Exit::Failed`] when an account stays distributed.
pub fn run(alias: String, users: Vec<String>, accepted: bool, json: bool) -> Outcome {
    let plans: Vec<LossView> = ask::serve(&AdminCall::AccountForcePlan { alias: alias.clone(), users: users.clone() })?;
    if !json {
        for plan in &plans {
            output::note(&card(plan, &alias).render(None));
        }
    }
    if plans.iter().all(|plan| !plan.refusals.is_empty()) {
        return Err(
            Error::new(Code::Refused, "None of these accounts can be dedistributed by force. Nothing was changed.").into()
        );
    }
    if !accepted {
        confirm(&alias, &users)?;
    }
    let forced: Vec<Forced> = ask::serve(&AdminCall::AccountForce { alias, users })?;
    if json {
        output::json(&forced)?;
    } else {
        for line in forced.iter().flat_map(|one| &one.log) {
            let indent = "  ".repeat(usize::try_from(line.indent).unwrap_or(0));
            let mark = if matches!(line.kind.as_str(), "warn" | "error") { format!("{}: ", line.kind) } else { String::new() };
            output::data(&output::printable(&format!("{indent}{mark}{}", line.contents)))?;
        }
    }
    if forced.iter().any(|one| one.error.is_some()) { Err(Failure::silent(Exit::Failed)) } else { Ok(()) }
}

/// Has the alias typed, or the names of the accounts.
fn confirm(alias: &str, users: &[String]) -> Outcome {
    if !std::io::stdin().is_terminal() {
        return Err(Error::new(
            Code::Refused,
            "Messages would be lost, and nobody is at a terminal to confirm it. Nothing was changed.",
        )
        .hint("A script says so with --i-accept-data-loss.")
        .into());
    }
    output::note(&format!("What is on “{alias}” alone will be lost. Type “{alias}” or “{}” to go on:", users.join(" ")));
    let mut typed = String::new();
    let read = std::io::stdin().lock().read_line(&mut typed);
    let names: Vec<&str> = typed.split_whitespace().collect();
    if read.is_ok() && (names == [alias] || names == users.iter().map(String::as_str).collect::<Vec<_>>()) {
        return Ok(());
    }
    Err(Error::new(Code::Refused, "That is not what was asked for. Nothing was changed.").into())
}

/// What would be, or was, lost of one account.
pub fn card(loss: &LossView, alias: &str) -> Card {
    let mut card = Card::new(&format!("{}: what is on {alias} alone", loss.user));
    let number = |number: Option<u64>, text: fn(u64) -> String| number.map_or_else(|| "unknown".to_owned(), text);
    let lost: Vec<String> = loss
        .mailboxes
        .iter()
        .map(|one| {
            let messages = number(one.messages, |count| output::count(count, "message"));
            format!("{}: {messages}, {}", one.mailbox, number(one.bytes, output::bytes))
        })
        .collect();
    card.field("lost", &lost.join("\n"));
    card.field("as of", &loss.as_of.map_or_else(|| "never counted".to_owned(), output::moment));
    card.field("kept", &loss.kept.join("\n"));
    card.field("refused", &loss.refusals.join("\n"));
    card
}
