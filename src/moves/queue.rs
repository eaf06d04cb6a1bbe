//! The queue: moves are recorded at once and begin when there is room, in the order in which they came.
//!
//! A move that waits is a row in the state `planned` with the reason why. What has begun is known from the row's state, and for the
//! moments before its first step from memory; so after a restart every move goes on or waits as before.

use super::{Engine, Job, Outputs, Patience, end, gather, name_of};
use crate::authority::now_ms;
use crate::error::{Code, Error, Result};
use crate::rules::names::LOCAL;
use crate::rules::plan;
use crate::rules::queue::{Entry, Limits, Turn, turns};
use crate::settings::Settings;
use crate::store::{MoveState, NewMove};
use crate::wire::{Destination, MoveView, PlanView, Started};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio_util::sync::CancellationToken;

/// How many plans are made at the same time when many accounts are to be moved.
const PLANS_AT_ONCE: usize = 4;
/// A plan older than this is made again before its move begins, in milliseconds.
const FRESH_MS: i64 = 10_000;

/// The moves that are being driven, each with what ends the drive. Held while it is decided who is next.
#[derive(Clone, Default)]
pub struct Begun(Arc<Mutex<BTreeMap<i64, CancellationToken>>>);

impl Begun {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<i64, CancellationToken>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What ends the drive of a move that has begun.
    pub(super) fn stop_of(&self, id: i64) -> CancellationToken {
        self.lock().entry(id).or_default().clone()
    }

    /// Ends the drive of a move, if there is one.
    pub(super) fn stop(&self, id: i64) -> bool {
        self.lock().get(&id).map(CancellationToken::cancel).is_some()
    }
}

impl Engine {
    /// Records a move that the rules allow; it goes on by itself, at once or when it is its turn.
    ///
    /// # Errors
    /// [`Code::Refused`] with every reason.
    pub async fn start(&self, user: &str, to: &Destination) -> Result<MoveView> {
        let plan = self.plan(user, to).await?;
        let id = {
            // What is being followed of the account comes to its end first.
            let _held = self.authority.busy.hold(user).await;
            self.enqueue(plan)?
        };
        self.admit();
        self.view(id)
    }

    /// Records a move of each of several accounts, in this order. One that is refused does not stop the others.
    pub async fn start_many(&self, users: &[String], to: &Destination) -> Vec<Started> {
        let mut seen = BTreeSet::new();
        let users: Vec<String> = users.iter().filter(|user| seen.insert(*user)).cloned().collect();
        let mut started = Vec::with_capacity(users.len());
        for some in users.chunks(PLANS_AT_ONCE) {
            let plans = some.iter().cloned().map(|user| {
                let (engine, to) = (self.clone(), to.clone());
                async move { (engine.plan(&user, &to).await, user) }
            });
            for (plan, user) in futures_util::future::join_all(plans).await {
                let _held = self.authority.busy.hold(&user).await;
                let (id, error) = match plan.and_then(|plan| self.enqueue(plan)) {
                    Ok(id) => (Some(id), None),
                    Err(error) => (None, Some(error)),
                };
                started.push(Started { user, id, error });
            }
            // The first begin while the last are still being planned.
            self.admit();
        }
        started
    }

    fn enqueue(&self, plan: PlanView) -> Result<i64> {
        if !plan.refusals.is_empty() {
            return Err(Error::new(Code::Refused, plan.refusals.join(" ")));
        }
        let outputs = Outputs {
            domains: crate::host::domains_of(&plan.user)?,
            made_account: false,
            target_was_empty: false,
            announced: BTreeMap::new(),
            holding: false,
            gated: false,
            held_at: None,
        };
        let new = NewMove {
            user: plan.user,
            origin: plan.from,
            target: plan.to,
            outputs: serde_json::to_value(outputs).map_err(|cause| Error::machine("recording the move", cause))?,
            messages: plan.messages,
            bytes: plan.bytes,
        };
        self.authority.store.add_move(&new, now_ms())
    }

    /// Takes up every move that had not ended when `serve` did.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn resume_all(&self) -> Result<()> {
        for moving in self.authority.store.running_moves()? {
            let fresh = || self.begun.lock().insert(moving.id, CancellationToken::new()).is_none();
            if (moving.state != MoveState::Planned || moving.given_up) && fresh() {
                tracing::info!(move_id = moving.id, user = moving.user, state = moving.state.word(), "taking up a move again");
                self.spawn(moving.id);
            }
        }
        self.admit();
        Ok(())
    }

    /// Asks a move to be taken back; one that waits for its turn ends here.
    ///
    /// # Errors
    /// [`Code::NotFound`]; [`Code::Conflict`] once it has switched or ended.
    pub fn cancel(&self, id: i64) -> Result<MoveView> {
        let store = &self.authority.store;
        let begun = self.begun.lock();
        store.ask_cancel(id)?;
        let mut moving = store.get_move(id)?;
        if moving.state == MoveState::Planned && !begun.contains_key(&id) {
            moving.state = MoveState::Undone;
            moving.reason = Some("Cancelled by an administrator before it began.".into());
            store.record(&moving, "cancelled before it began", now_ms())?;
        }
        drop(begun);
        self.sender(id).send_modify(|n| *n += 1);
        self.admit();
        self.view(id)
    }

    /// A move is not driven any more; the next may begin.
    pub(super) fn ended(&self, id: i64) {
        self.begun.lock().remove(&id);
        self.admit();
    }

    /// Begins every move whose turn it is, and says of the others what they wait for.
    pub(super) fn admit(&self) {
        if let Err(error) = self.try_admit() {
            tracing::error!(?error, "moves wait in the queue");
        }
    }

    fn try_admit(&self) -> Result<()> {
        let store = &self.authority.store;
        let settings = Settings::read(&self.authority.dir);
        let limits = Limits {
            per_source: settings.moves_per_source,
            per_target: settings.moves_per_target,
            at_once: settings.moves_at_once,
        };
        let mut begun = self.begun.lock();
        let mut next = Vec::new();
        let moves = store.running_moves()?;
        let entries: Vec<Entry> = moves
            .iter()
            .map(|moving| Entry {
                id: moving.id,
                source: moving.origin.clone(),
                target: moving.target.clone(),
                begun: moving.state != MoveState::Planned || begun.contains_key(&moving.id),
                light: moving.light,
            })
            .collect();
        let former: BTreeMap<i64, Option<&str>> = moves.iter().map(|moving| (moving.id, moving.reason.as_deref())).collect();
        let mut reasons = Vec::new();
        for (id, turn) in turns(&entries, limits) {
            match turn {
                Turn::Now => {
                    begun.insert(id, CancellationToken::new());
                    next.push(id);
                }
                Turn::After(blocker, node) => {
                    let place = match node.as_deref() {
                        Some(LOCAL) => " on this server".to_owned(),
                        Some(alias) => format!(" on {alias}"),
                        None => String::new(),
                    };
                    let reason = format!("waits for move {blocker}{place}");
                    if former.get(&id).copied().flatten() != Some(reason.as_str()) {
                        reasons.push((id, reason));
                    }
                }
            }
        }
        let told = store.set_reasons(&reasons);
        drop(begun);
        next.into_iter().for_each(|id| self.spawn(id));
        told?;
        for (id, _) in reasons {
            self.sender(id).send_modify(|n| *n += 1);
        }
        Ok(())
    }
}

/// A move that had to wait is looked at again before it begins: the world went on.
pub(super) async fn still_stands(job: &mut Job) -> Result<()> {
    if now_ms() - job.moving.started_ms < FRESH_MS {
        job.moving.reason = None;
        return Ok(());
    }
    let to = if job.forward() { Destination::Child(job.moving.target.clone()) } else { Destination::Local };
    let mut patience = Patience::new(job);
    loop {
        let (facts, _) = gather::facts(&job.authority, &job.moving.user, &to, Some(job.moving.id)).await?;
        let from = facts.account.child.clone().unwrap_or_else(|| LOCAL.to_owned());
        if let Some(trouble) = facts.target.trouble.clone() {
            let error = Error::new(Code::NotSent, format!("“{}” does not answer: {trouble}", name_of(&to)));
            patience.again(job, error).await?;
            continue;
        }
        let mut refusals = plan::refusals(&facts, &to);
        if from != job.moving.origin {
            refusals.push(format!("The mail of “{}” is on “{from}” now.", job.moving.user));
        }
        if !refusals.is_empty() {
            return Err(Error::new(Code::Refused, refusals.join(" ")));
        }
        job.outputs.domains = facts.account.domains;
        job.moving.reason = None;
        (job.source, job.target) =
            (end::End::of(&job.authority, &job.moving.origin)?, end::End::of(&job.authority, &job.moving.target)?);
        return job.record("planned again: nothing stands in the way");
    }
}
