//! `account …`: which account's mail lives where, and moving it.

mod follow;
mod force;

use super::exit::{Exit, Failure, Outcome};
use super::table::{Card, Table};
use super::{ask, moves, output};
use crate::wire::{AccountRecord, AccountView, AdminCall, Destination, MoveView, PlanView};
use clap::{Args, Subcommand};

/// What can be done with accounts.
#[derive(Debug, Subcommand)]
pub enum Account {
    /// List the accounts of this server and where their mail lives
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Move the mail of one or more accounts to a child
    #[command(override_usage = "linked-nodes account distribute [OPTIONS] <USER>... <ALIAS>")]
    Distribute {
        /// The cPanel users, then the child's alias.
        #[arg(num_args = 2.., required = true, value_name = "USER... ALIAS")]
        words: Vec<String>,
        #[command(flatten)]
        how: How,
    },
    /// Show an account: where its mail lives, the copy of its settings, what was lost by force
    Show {
        /// The cPanel user.
        user: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Take accounts back from a child that is gone, without the messages on it
    ForceDedistribute {
        /// The child's alias.
        alias: String,
        /// The cPanel users.
        #[arg(required = true, value_name = "USER")]
        users: Vec<String>,
        /// Go on without asking: what is on the child alone is lost.
        #[arg(long)]
        i_accept_data_loss: bool,
        /// Print what became of each account as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Make both halves of a distributed account equal now, and finish what is left of events
    Sync {
        /// The cPanel user.
        user: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// List what children have not followed yet
    Remainders {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Move the mail of one or more accounts back to this server
    Dedistribute {
        /// The cPanel users.
        #[arg(required = true, value_name = "USER")]
        users: Vec<String>,
        #[command(flatten)]
        how: How,
    },
}

/// How to move.
#[derive(Debug, Args)]
pub struct How {
    /// Only show what the move would do.
    #[arg(long)]
    dry_run: bool,
    /// Start the move and return at once.
    #[arg(long, conflicts_with = "dry_run")]
    detach: bool,
    /// Print the plan or the move as JSON at the end.
    #[arg(long)]
    json: bool,
}

/// Runs an account command.
///
/// # Errors
/// As [`ask::serve`]; a move that does not end well, and a plan that cannot be carried out, end with [`Exit::Failed`].
pub fn run(command: Account) -> Outcome {
    match command {
        Account::List { json } => {
            let accounts: Vec<AccountView> = ask::serve(&AdminCall::AccountList)?;
            if json {
                return output::json(&accounts);
            }
            list(&accounts)?;
            follow::note()
        }
        Account::Show { user, json } => {
            let record: AccountRecord = ask::serve(&AdminCall::AccountShow { user })?;
            if json { output::json(&record) } else { describe(&record) }
        }
        Account::ForceDedistribute { alias, users, i_accept_data_loss, json } => {
            force::run(alias, users, i_accept_data_loss, json)
        }
        Account::Distribute { mut words, how } => {
            let alias = words.pop().unwrap_or_default();
            go(words, Destination::Child(alias), &how)
        }
        Account::Sync { user, json } => follow::sync(user, json),
        Account::Remainders { json } => follow::remainders(json),
        Account::Dedistribute { users, how } => go(users, Destination::Local, &how),
    }
}

fn go(mut users: Vec<String>, to: Destination, how: &How) -> Outcome {
    match (users.len(), users.pop()) {
        (1, Some(user)) => one(user, to, how),
        (_, last) => {
            users.extend(last);
            if how.dry_run { plans(users, &to, how.json) } else { moves::several(users, to, how.detach, how.json) }
        }
    }
}

/// The plan of each of several accounts.
fn plans(users: Vec<String>, to: &Destination, json: bool) -> Outcome {
    let mut plans = Vec::new();
    for user in users {
        plans.push(ask::serve::<PlanView>(&AdminCall::AccountPlan { user, to: to.clone() })?);
    }
    if json {
        output::json(&plans)?;
    } else {
        for plan in &plans {
            output::data(&card(plan).render(output::width()))?;
        }
    }
    let refused = plans.iter().filter(|plan| !plan.refusals.is_empty()).count();
    if refused == 0 {
        output::note("Nothing stands in the way. Nothing was changed.");
        return Ok(());
    }
    output::note(&format!("{refused} of {} moves cannot be made as things are. Nothing was changed.", plans.len()));
    Err(Failure::silent(Exit::Failed))
}

fn one(user: String, to: Destination, how: &How) -> Outcome {
    if how.dry_run {
        let plan: PlanView = ask::serve(&AdminCall::AccountPlan { user, to })?;
        return if how.json { output::json(&plan).and(verdict(&plan)) } else { show(&plan) };
    }
    let started: MoveView = ask::serve(&AdminCall::AccountMove { user, to })?;
    if how.detach {
        if how.json {
            return output::json(&started);
        }
        output::data(&format!("Move {} of {} to {} has started.", started.id, started.user, started.to))?;
        output::note(&format!("Follow it with “linked-nodes move watch {}”.", started.id));
        return Ok(());
    }
    moves::watch(started.id, how.json)
}

fn describe(record: &AccountRecord) -> Outcome {
    let mut card = Card::new(&format!("{} ({})", record.user, record.domain));
    card.field("owner", &record.owner);
    card.field("domains", &record.domains.join("\n"));
    card.field("mail on", record.child.as_deref().unwrap_or("this server"));
    card.field("move", &record.running_move.map(|id| id.to_string()).unwrap_or_default());
    card.field("kept on", &record.retained.join(", "));
    if record.child.is_some() {
        let at = |moment: Option<i64>| moment.map_or_else(|| "not yet".to_owned(), output::moment);
        card.field("settings copied", &at(record.mirrored_at));
        card.field("copy trouble", record.mirror_trouble.as_deref().unwrap_or(""));
        card.field("mail counted", &at(record.counted_at));
    }
    output::data(&card.render(output::width()))?;
    for before in &record.forced {
        let done = if before.done { "" } else { ", not complete yet" };
        output::data(&format!("\nDedistributed by force from {} at {}{done}", before.alias, output::moment(before.at)))?;
        output::data(&force::card(&before.loss, &before.alias).render(output::width()))?;
    }
    Ok(())
}

fn list(accounts: &[AccountView]) -> Outcome {
    if accounts.is_empty() {
        output::note("This server has no accounts.");
        return Ok(());
    }
    let mut table = Table::new(&["user", "domain", "owner", "mail on", "move"]);
    for account in accounts {
        table.row(vec![
            account.user.clone(),
            account.domain.clone(),
            account.owner.clone(),
            account.child.clone().unwrap_or_else(|| "this server".to_owned()),
            account.running_move.map_or_else(|| "-".to_owned(), |id| id.to_string()),
        ]);
    }
    output::data(&table.render(output::width()))
}

fn show(plan: &PlanView) -> Outcome {
    output::data(&card(plan).render(output::width()))?;
    verdict(plan)
}

fn card(plan: &PlanView) -> Card {
    let mut card = Card::new(&format!("{}: mail from {} to {}", plan.user, moves::place(&plan.from), moves::place(&plan.to)));
    card.field("to copy", &format!("{}, {}", output::count(plan.messages, "message"), output::bytes(plan.bytes)));
    card.field("mailboxes", &plan.mailboxes.join("\n"));
    card.field("dns", &plan.dns.join("\n"));
    card.field("warnings", &plan.warnings.join("\n"));
    card.field("refused", &plan.refusals.join("\n"));
    card
}

fn verdict(plan: &PlanView) -> Outcome {
    if plan.refusals.is_empty() {
        output::note("Nothing stands in the way. Nothing was changed.");
        Ok(())
    } else {
        output::note("The move cannot be made as things are. Nothing was changed.");
        Err(Failure::silent(Exit::Failed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_reads_well_on_60_columns() {
        let plan = PlanView {
            user: "bob".into(),
            from: ".local".into(),
            to: "mail1".into(),
            messages: 10_240,
            bytes: 702_000_000,
            mailboxes: vec!["bob".into(), "info@bob.example".into()],
            dns: vec!["mail.bob.example. A 192.0.2.1 → 192.0.2.7".into()],
            warnings: vec![],
            refusals: vec!["The child has 100 MB free and the mail needs 702 MB; make room on mail1 first.".into()],
        };
        assert_eq!(
            card(&plan).render(Some(60)),
            "bob: mail from this server to mail1\n  to copy    10,240 messages, 702.00 MB\n  mailboxes  bob\n             info@bob.example\n  \
             dns        mail.bob.example. A 192.0.2.1 → 192.0.2.7\n  refused    The child has 100 MB free and the mail needs\n             \
             702 MB; make room on mail1 first.\n"
        );
    }
}
