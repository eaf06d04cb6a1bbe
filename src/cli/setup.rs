//! `install`, `uninstall`, `doctor`.

use super::exit::{Exit, Failure, Outcome};
use super::table::Table;
use super::{ask, output, status};
use crate::error::{Code, Error};
use crate::install::doctor::{self, Verdict};
use crate::install::host::Host;
use crate::install::layout::{LOG, MANIFEST, STATE_DIR};
use crate::install::look::{self, State};
use crate::install::manifest::Manifest;
use crate::install::plan::{self, Item, Supervision};
use crate::install::{apply, walk_back};
use crate::wire::{AdminCall, Role, Status};
use clap::Args;

/// `install`
#[derive(Debug, Args)]
pub struct Install {
    /// Only show what would be done.
    #[arg(long)]
    dry_run: bool,
}

/// `uninstall`
#[derive(Debug, Args)]
pub struct Uninstall {
    /// Only show what would be done.
    #[arg(long)]
    dry_run: bool,
    /// Keep links, tokens and the history of moves in /var/cpanel/linked-nodes.
    #[arg(long)]
    keep_state: bool,
    /// Uninstall even though nodes are linked, or serve cannot say whether any are. Mail that lives on children stays there, and this
    /// server forgets where it is.
    #[arg(long)]
    force: bool,
}

/// `doctor`
#[derive(Debug, Args)]
pub struct Doctor {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Puts the product in place, or shows what that would do.
///
/// # Errors
/// When the machine is not fit, or something cannot be done.
pub fn install(args: Install) -> Outcome {
    let host = Host::here();
    let items = plan::plan(&look::facts(&host)?)?;
    if args.dry_run {
        let mut to_do = 0;
        for item in &items {
            let state = look::state(&host, item).unwrap_or(State::Absent);
            to_do += usize::from(state != State::Same);
            output::data(&format!(
                "{}  {item}",
                match state {
                    State::Same => "as it is",
                    State::Absent => "new     ",
                    State::Differs(_) => "change  ",
                }
            ))?;
        }
        output::note(&format!("{to_do} of {} would change. Nothing was changed.", items.len()));
        return Ok(());
    }
    let changed = apply::apply(&host, &items, &mut |line| output::note(&line))?;
    if changed == 0 {
        return output::data("Linked Nodes is installed as planned; nothing to change.");
    }
    output::data(&format!(
        "Linked Nodes {} is installed. What was there before is recorded in {MANIFEST}.",
        env!("CARGO_PKG_VERSION")
    ))?;
    output::note(match items.last() {
        Some(Item::Services(Supervision::Own)) => {
            "This machine is not run by systemd, so “linked-nodes supervise” keeps serve and shim running. Nothing starts it at boot: have your \
             init system run “linked-nodes supervise”."
        }
        _ => "systemd keeps serve and shim running and starts them at boot.",
    });
    output::note("Next: “linked-nodes doctor”, then on the parent “linked-nodes node link ALIAS HOSTNAME”.");
    Ok(())
}

/// Takes the product off the machine, or shows what that would do.
///
/// # Errors
/// When it is in use, or something cannot be undone.
pub fn uninstall(args: Uninstall) -> Outcome {
    let host = Host::here();
    if !rustix::process::geteuid().is_root() {
        return Err(Error::new(Code::Denied, "Uninstalling needs root.")
            .hint("Run it again as root, for example with sudo.")
            .into());
    }
    let manifest = Manifest::load(&host)?;
    if manifest.is_empty() {
        return output::data("Linked Nodes is not installed here; nothing to do.");
    }
    if !args.force {
        refuse_while_in_use(&host)?;
    }
    if args.dry_run {
        for entry in manifest.entries.iter().rev() {
            output::data(&format!("take back  {}", entry.key))?;
        }
        output::note("Nothing was changed.");
        return Ok(());
    }
    let left = walk_back::walk_back(&host, args.keep_state, &mut |line| output::note(&line))?;
    output::data("Linked Nodes is uninstalled; everything else is as it was before.")?;
    for line in left {
        output::data(&format!("left: {line}"))?;
    }
    Ok(())
}

/// Refuses while nodes are linked or accounts are distributed, and when nobody can say.
fn refuse_while_in_use(host: &Host) -> Outcome {
    let forced = "or add --force if you accept that";
    let status: Status = match ask::serve(&AdminCall::Status) {
        Ok(status) => status,
        Err(failure) if failure.exit == Exit::NoServe => {
            if std::fs::read_to_string(host.path(crate::hooks::ROLE_FILE))
                .map_or(!has_state(host), |role| role.trim() == "unlinked")
            {
                return Ok(());
            }
            return Err(Failure::from(
                Error::new(
                    Code::Refused,
                    "linked-nodes serve does not answer, so nobody can say whether nodes are linked or accounts are distributed.",
                )
                .hint(format!("Start it (see “linked-nodes doctor” and {LOG}), {forced}.")),
            ));
        }
        Err(failure) => return Err(failure),
    };
    let refusal = |message: String, hint: String| Err(Failure::from(Error::new(Code::Refused, message).hint(hint)));
    if status.moves_running > 0 {
        return refusal(
            format!("{} running.", output::count(status.moves_running as u64, "move")),
            "Wait for the end, or cancel: “linked-nodes move list”.".to_owned(),
        );
    }
    if status.distributed > 0 {
        return refusal(
            format!("The mail of {} of this server lives on children.", output::count(status.distributed as u64, "account")),
            format!(
                "Bring it back with “linked-nodes account dedistribute USER” (“linked-nodes account list” names them), {forced}."
            ),
        );
    }
    match &status.role {
        Role::Child { parent, .. } => refusal(
            format!("This server is a {}.", status::role(&status.role)),
            format!("Unlink it there first (“linked-nodes node unlink ALIAS” on {parent}), {forced}."),
        ),
        _ if status.nodes > 0 => refusal(
            format!(
                "{} linked to this server.",
                if status.nodes == 1 { "1 child is".to_owned() } else { format!("{} children are", status.nodes) }
            ),
            format!("Unlink with “linked-nodes node unlink ALIAS” (“linked-nodes node list” names them), {forced}."),
        ),
        _ => Ok(()),
    }
}

/// Whether serve has ever written its state here.
fn has_state(host: &Host) -> bool {
    std::fs::read_dir(host.path(STATE_DIR))
        .is_ok_and(|mut entries| entries.any(|entry| entry.is_ok_and(|entry| entry.file_name().to_string_lossy() == "state.db")))
}

/// Checks the installation.
///
/// # Errors
/// [`Exit::Failed`] when a check fails.
pub fn doctor(args: Doctor) -> Outcome {
    let checks = ask::block_on(doctor::examine(&Host::here(), &ask::admin_socket()))?;
    let failed = checks.iter().filter(|check| check.verdict == Verdict::Failed).count();
    if args.json {
        output::json(&checks)?;
    } else {
        let mut table = Table::new(&["check", "result", "what was found", "next step"]);
        for check in &checks {
            table.row(vec![
                check.name.to_owned(),
                check.verdict.word().to_owned(),
                check.found.clone(),
                check.next.clone().unwrap_or_default(),
            ]);
        }
        output::data(&table.render(output::width()))?;
    }
    match failed {
        0 => Ok(()),
        _ => {
            output::note(&format!("{} failed.", output::count(failed as u64, "check")));
            Err(Failure::silent(Exit::Failed))
        }
    }
}
