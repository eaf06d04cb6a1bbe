//! `account sync` and `account remainders`: what a child has not followed yet.

use crate::cli::exit::{Exit, Failure, Outcome};
use crate::cli::table::Table;
use crate::cli::{ask, output};
use crate::wire::{AdminCall, Remainder, SyncView};

/// Makes both halves equal now.
///
/// # Errors
/// As [`ask::serve`]; what is left ends with [`Exit::Failed`].
pub fn sync(user: String, json: bool) -> Outcome {
    let view: SyncView = ask::serve(&AdminCall::AccountSync { user })?;
    if json {
        output::json(&view)?;
    } else {
        for line in &view.changed {
            output::data(line)?;
        }
        for line in &view.left {
            output::note(&format!("Still to do: {line}"));
        }
        if view.changed.is_empty() && view.left.is_empty() {
            output::note("Both halves are equal. Nothing was changed.");
        }
    }
    if view.left.is_empty() { Ok(()) } else { Err(Failure::silent(Exit::Failed)) }
}

/// Lists what is not followed yet.
///
/// # Errors
/// As [`ask::serve`].
pub fn remainders(json: bool) -> Outcome {
    let rows: Vec<Remainder> = ask::serve(&AdminCall::Remainders)?;
    if json {
        return output::json(&rows);
    }
    if rows.is_empty() {
        output::note("Every child has followed everything.");
        return Ok(());
    }
    let mut table = Table::new(&["user", "child", "what", "why not yet", "finish it with"]);
    for row in rows {
        table.row(vec![row.user, row.alias, row.what, row.trouble.unwrap_or_else(|| "under way".to_owned()), row.command]);
    }
    output::data(&table.render(output::width()))
}

/// Says below a list of accounts that something is left.
///
/// # Errors
/// As [`ask::serve`].
pub fn note() -> Outcome {
    let rows: Vec<Remainder> = ask::serve(&AdminCall::Remainders)?;
    let left = rows.iter().filter(|row| row.trouble.is_some()).count();
    if left > 0 {
        output::note(&format!("{} left to follow: see “linked-nodes account remainders”.", output::count(left as u64, "change")));
    }
    Ok(())
}
