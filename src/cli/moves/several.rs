//! Moving several accounts: all are recorded at once, begin in order, and are watched side by side.

use super::{Progress, summary};
use crate::cli::exit::{Exit, Failure, Outcome};
use crate::cli::{ask, output};
use crate::error::Error;
use crate::wire::{AdminCall, Client, Destination, MoveView, Started};
use indicatif::MultiProgress;

/// Starts a move of each account and follows them to their ends.
///
/// # Errors
/// [`Exit::Failed`] when one of them is refused or does not end well.
pub fn several(users: Vec<String>, to: Destination, detach: bool, json: bool) -> Outcome {
    let started: Vec<Started> = ask::serve(&AdminCall::AccountsMove { users, to })?;
    let ids: Vec<i64> = started.iter().filter_map(|one| one.id).collect();
    for one in &started {
        if let Some(error) = &one.error {
            output::note(&format!("{}: {}", one.user, error.one_line()));
        }
    }
    let refused = started.len() - ids.len();
    if detach {
        if json {
            output::json(&started)?;
        } else {
            for one in started.iter().filter(|one| one.id.is_some()) {
                output::data(&format!("Move {} of {} is recorded.", one.id.unwrap_or_default(), one.user))?;
            }
            output::note("Follow them with “linked-nodes move list”.");
        }
        return if refused == 0 { Ok(()) } else { Err(Failure::silent(Exit::Failed)) };
    }
    let ended = watch(&ids)?;
    if json {
        output::json(&ended)?;
    } else {
        for view in ended.iter().filter(|view| view.state == "done") {
            output::data(&summary(view))?;
        }
    }
    let mut bad = refused;
    for view in ended.iter().filter(|view| view.state != "done") {
        bad += 1;
        let why = view.reason.as_deref().unwrap_or("no reason was recorded");
        output::note(&format!("Move {} of {} ended {}: {why}", view.id, view.user, view.state));
    }
    if bad == 0 { Ok(()) } else { Err(Failure::silent(Exit::Failed)) }
}

/// Follows the moves, each over a connection of its own, until all have ended or Ctrl-C.
fn watch(ids: &[i64]) -> Result<Vec<MoveView>, Failure> {
    let bars = output::draws().then(MultiProgress::new);
    let result = ask::block_on(async {
        let follow = ids.iter().map(|id| {
            let (id, mut progress) = (*id, Progress::among(bars.as_ref()));
            async move {
                let mut client = Client::connect(&ask::admin_socket()).await?;
                let view: Result<MoveView, Error> = client
                    .watch(&AdminCall::MoveWatch { id }, |event| {
                        if let Ok(view) = serde_json::from_value::<MoveView>(event) {
                            progress.show(&view);
                        }
                    })
                    .await;
                progress.finish();
                view
            }
        });
        tokio::select! {
            biased;
            _ = tokio::signal::ctrl_c() => {
                output::note("Stopped watching; the moves go on. Follow them with “linked-nodes move list”.");
                Err(Failure::silent(Exit::Interrupted))
            }
            views = futures_util::future::try_join_all(follow) => views.map_err(Failure::from),
        }
    })?;
    if let Some(bars) = bars {
        let _ = bars.clear();
    }
    result
}
