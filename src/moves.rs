//! Moves: an account's mail goes from one node to another while it is in use.
//!
//! A move is a row in the store and a log of its steps. The engine takes it from wherever it was left, by a crash or otherwise,
//! to one of two ends: *done* (the mail is on the target) or *undone* (all is as it was). What each step does, and what takes it back:
//!
//! | step | does | taken back by |
//! |---|---|---|
//! | `claim` | the child notes that this account of its parent is coming; the parent, on the way back, that it holds no mail | forgetting it |
//! | `account` | the account exists on the child, with the same password hash | removing it, if this move made it |
//! | `detour` | the *target* routes the account's mail and sign-ins to the source | (stays until the account is gone) |
//! | `configure` | mailboxes, hashes, forwarders, filters …, DKIM keys, certificates | (goes with the account) |
//! | `announce` | the DNS records that will change get a short TTL | the former TTL |
//! | `seed` | messages are copied while the mailbox is in use, until a pass is short; digests are taken | (goes with the account) |
//! | `hold` | the target's gate closes for the source, and the *source* routes to the target: new mail and sign-ins wait | routes removed, then the gate opened |
//! | `quiet` | sessions are ended; the fence goes up around the source's mail | the fence taken down |
//! | `final` | the last pass | – |
//! | `verify` | every message on both sides | – |
//! | `switch` | one transaction: the target is the authority | never |
//! | `open` | the target stops routing to the source; the gate opens | |
//! | `publish` | DNS | |
//! | `clean` | the parent's former messages are removed | |
//! | `release` | the fence around the former copy comes down | |
//!
//! Why nothing is lost or doubled: at any moment at most one node delivers into the account's mailboxes. Until `switch` the target
//! routes everything it gets to the source; from `hold` on the source routes everything it gets to the target, where the gate keeps
//! it waiting, unopened, in the source's own queue. In `open` the target's route goes away *before* the gate opens; when a hold is
//! given up, the source's route goes away *before* the gate opens, so that what was waiting arrives at the target and is routed back.
//! The fence stops what was already inside: a delivery that had begun gets a temporary error and stays queued. `switch` comes
//! after `verify`, `clean` after `switch`, each durable before the next begins. Steps are idempotent: a restart before `switch`
//! gives up the hold and begins again; after it, it goes on.

pub mod configuration;
mod copy;
pub(crate) mod cutover;
pub mod end;
pub mod force;
mod gather;
mod pace;
mod pipes;
mod prepare;
mod queue;
pub(crate) mod zones;

use crate::authority::{Authority, now_ms};
use crate::drill;
use crate::error::{Code, Error, Result};
use crate::rules::names::LOCAL;
use crate::rules::{dns, plan};
use crate::settings::Settings;
use crate::store::{Move, MoveState};
use crate::wire::{Destination, MoveView, PlanView};
use copy::Session;
use end::End;
use pace::Live;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// How often a hold may be given up and tried again before the move is undone.
const HOLDS: usize = 4;
/// The longest wait between two tries.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// What a move's steps know and tell each other; in the store with the move.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Outputs {
    /// The account's domains, the main one first.
    domains: Vec<String>,
    /// Whether this move made the account on the child.
    #[serde(default)]
    made_account: bool,
    /// Back: whether the parent held no mail of the account when the move began.
    #[serde(default)]
    target_was_empty: bool,
    /// Records whose TTL was lowered, as they were, by zone.
    #[serde(default)]
    announced: BTreeMap<String, Vec<dns::Record>>,
    /// Whether the hold may have begun and must be given up before anything else.
    #[serde(default)]
    holding: bool,
    /// Whether the target's gate may be closed by this move.
    #[serde(default)]
    gated: bool,
    /// When the hold began, Unix milliseconds.
    #[serde(default)]
    held_at: Option<i64>,
}

/// One move under way, with its two ends.
struct Job {
    authority: Authority,
    moving: Move,
    outputs: Outputs,
    source: End,
    target: End,
    /// Told after every recorded event.
    news: watch::Sender<u64>,
    /// Told how far the copy is.
    live: Live,
}

impl Job {
    /// The child's end, whichever way the move goes.
    fn child(&self) -> &End {
        if self.forward() { &self.target } else { &self.source }
    }

    /// Whether the mail goes to a child.
    fn forward(&self) -> bool {
        self.moving.target != LOCAL
    }

    /// Takes up what was changed about the link since: a token, a hostname.
    fn refresh(&mut self) {
        if let (Ok(source), Ok(target)) =
            (End::of(&self.authority, &self.moving.origin), End::of(&self.authority, &self.moving.target))
        {
            (self.source, self.target) = (source, target);
        }
    }

    fn user(&self) -> &str {
        &self.moving.user
    }

    /// Records where the move is. Durable when it returns.
    fn record(&mut self, event: impl AsRef<str>) -> Result<()> {
        self.moving.outputs = serde_json::to_value(&self.outputs).map_err(|cause| Error::machine("recording a step", cause))?;
        self.authority.store.record(&self.moving, event.as_ref(), now_ms())?;
        tracing::info!(
            move_id = self.moving.id,
            user = self.user(),
            state = self.moving.state.word(),
            event = event.as_ref(),
            "move"
        );
        self.news.send_modify(|n| *n += 1);
        Ok(())
    }

    fn enter(&mut self, state: MoveState, step: &str) -> Result<()> {
        self.moving.state = state;
        self.moving.step = step.to_owned();
        self.record(format!("{step}: begun"))?;
        drill::crash_point(&self.authority.dir, step, "before");
        Ok(())
    }

    fn leave(&mut self, note: &str) -> Result<()> {
        drill::crash_point(&self.authority.dir, &self.moving.step, "after");
        let step = self.moving.step.clone();
        self.record(if note.is_empty() { format!("{step}: done") } else { format!("{step}: {note}") })
    }

    fn cancelled(&self) -> Result<()> {
        if self.authority.store.get_move(self.moving.id)?.cancel {
            return Err(Error::new(Code::Refused, "Cancelled by an administrator."));
        }
        Ok(())
    }
}

/// Plans, starts and drives moves.
#[derive(Clone)]
pub struct Engine {
    authority: Authority,
    news: Arc<Mutex<BTreeMap<i64, watch::Sender<u64>>>>,
    live: Live,
    begun: queue::Begun,
}

impl Engine {
    /// An engine over this authority.
    pub fn new(authority: Authority) -> Self {
        Self { authority, news: Arc::default(), live: Live::default(), begun: queue::Begun::default() }
    }

    /// What a move would do, or why it cannot be.
    ///
    /// # Errors
    /// When the facts cannot be had for a reason that is no refusal.
    pub async fn plan(&self, user: &str, to: &Destination) -> Result<PlanView> {
        let (facts, dns) = gather::facts(&self.authority, user, to, None).await?;
        let refusals = plan::refusals(&facts, to);
        Ok(PlanView {
            user: user.to_owned(),
            from: facts.account.child.clone().unwrap_or_else(|| LOCAL.to_owned()),
            to: name_of(to),
            messages: facts.mail.messages,
            bytes: facts.mail.bytes,
            mailboxes: facts.mail.mailboxes.clone(),
            dns,
            warnings: plan::warnings(&facts),
            refusals,
        })
    }

    /// Tells of every event of a move.
    pub fn watch(&self, id: i64) -> watch::Receiver<u64> {
        self.sender(id).subscribe()
    }

    /// A move as people see it, with its log and how far it is at this moment.
    ///
    /// # Errors
    /// [`Code::NotFound`].
    pub fn view(&self, id: i64) -> Result<MoveView> {
        let mut view = self.authority.store.move_view(id)?;
        self.live.complete(&mut view);
        Ok(view)
    }

    /// Every move, newest first, without logs.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn views(&self) -> Result<Vec<MoveView>> {
        let mut views = self.authority.store.move_views()?;
        views.iter_mut().for_each(|view| self.live.complete(view));
        Ok(views)
    }

    /// A page of moves.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn page(&self, query: &crate::wire::MoveQuery) -> Result<crate::wire::MovePage> {
        let mut page = self.authority.store.move_page(query)?;
        page.rows.iter_mut().for_each(|view| self.live.complete(view));
        Ok(page)
    }

    fn sender(&self, id: i64) -> watch::Sender<u64> {
        self.news.lock().unwrap_or_else(PoisonError::into_inner).entry(id).or_insert_with(|| watch::Sender::new(0)).clone()
    }

    /// Drives a move from wherever it is, in the background, to its end.
    fn spawn(&self, id: i64) {
        let engine = self.clone();
        let stop = self.begun.stop_of(id);
        tokio::spawn(async move {
            let mut wait = Duration::from_secs(1);
            loop {
                // A drive may end between any two lines, as by a crash: so it may be left here too, when the move is given up.
                let driven = tokio::select! {
                    driven = engine.drive(id) => driven,
                    () = stop.cancelled() => engine.abandon(id).await,
                };
                // Only a store that cannot be written ends a drive early; the move stays where it is until it can be.
                let Err(error) = driven else { break };
                tracing::error!(move_id = id, ?error, "a move cannot go on");
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(LONGEST_WAIT);
            }
            engine.live.forget(id);
            engine.news.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
            engine.ended(id);
        });
    }

    /// Drives a move to its end.
    async fn drive(&self, id: i64) -> Result<()> {
        let moving = self.authority.store.get_move(id)?;
        if moving.given_up {
            return self.abandon(id).await;
        }
        let outputs: Outputs =
            serde_json::from_value(moving.outputs.clone()).map_err(|cause| Error::machine("reading a move's record", cause))?;
        let source = End::of(&self.authority, &moving.origin)?;
        let target = End::of(&self.authority, &moving.target)?;
        let mut job = Job {
            authority: self.authority.clone(),
            moving,
            outputs,
            source,
            target,
            news: self.sender(id),
            live: self.live.clone(),
        };
        if job.moving.state < MoveState::Switched {
            match self.towards_switch(&mut job).await {
                Ok(()) => {}
                Err(error) if job.moving.state == MoveState::Planned => {
                    // Nothing was done yet, so nothing has to be taken back.
                    job.moving.state = MoveState::Undone;
                    job.moving.reason = Some(error.one_line());
                    return job.record(format!("undone before it began: {}", error.one_line()));
                }
                Err(error) if job.moving.state < MoveState::Switched => {
                    job.moving.state = MoveState::Undoing;
                    job.moving.reason = Some(error.one_line());
                    job.record(format!("undoing: {}", error.one_line()))?;
                }
                Err(error) => return Err(error),
            }
        }
        match job.moving.state {
            MoveState::Undoing => prepare::undo(&mut job).await,
            MoveState::Switched | MoveState::Cleaning => cutover::finish(&mut job).await,
            _ => Ok(()),
        }
    }

    /// All steps up to and including the switch.
    async fn towards_switch(&self, job: &mut Job) -> Result<()> {
        if job.outputs.holding {
            // Left by a crash in the middle of a hold: give it up first, so that mail flows again.
            cutover::release(job, "a restart").await?;
        }
        job.cancelled()?;
        if job.moving.state == MoveState::Planned {
            queue::still_stands(job).await?;
        }
        patiently(job, prepare::Step::ALL).await?;
        let mut session = Session::of(job)?;
        for hold in 1..=HOLDS {
            // A gate that did not open when the last hold was given up keeps out the mail of others too.
            cutover::open_gate(job).await?;
            job.enter(MoveState::Seeding, "seed")?;
            let seeded = seed(job, &mut session).await?;
            job.leave(&seeded)?;
            job.cancelled()?;
            match cutover::hold_and_switch(job, &mut session).await {
                Ok(()) => return Ok(()),
                Err(error) if job.moving.state >= MoveState::Switched => return Err(error),
                Err(error) => {
                    cutover::release(job, &error.one_line()).await?;
                    if hold == HOLDS || error.code == Code::Refused {
                        return Err(error);
                    }
                    job.moving.reason = Some(error.one_line());
                    session.reset();
                }
            }
        }
        Err(Error::new(Code::Machine, "The hold was given up too often."))
    }
}

/// Does the preparing steps, each again for a while when a node cannot be reached.
async fn patiently(job: &mut Job, steps: &[prepare::Step]) -> Result<()> {
    for step in steps {
        let mut patience = Patience::new(job);
        loop {
            job.enter(MoveState::Preparing, step.name())?;
            match step.run(job).await {
                Ok(note) => {
                    job.moving.reason = None;
                    job.leave(&note)?;
                    break;
                }
                Err(error) => patience.again(job, error).await?,
            }
            job.cancelled()?;
        }
    }
    Ok(())
}

/// Copies, again for a while when a node cannot be reached: what is copied is not lost.
async fn seed(job: &mut Job, session: &mut Session) -> Result<String> {
    let mut patience = Patience::new(job);
    loop {
        let began = Instant::now();
        match copy::seed(job, session).await {
            Ok(note) => {
                job.moving.reason = None;
                return Ok(note);
            }
            Err(error) => {
                session.reset();
                if began.elapsed() > LONGEST_WAIT {
                    // It went on for a while: this is another trouble than the last one.
                    patience = Patience::new(job);
                }
                patience.again(job, error).await?;
            }
        }
    }
}

/// Waiting for a node that does not answer, for as long as the settings say.
struct Patience {
    until: Instant,
    wait: Duration,
}

impl Patience {
    fn new(job: &Job) -> Self {
        let patience = Settings::read(&job.authority.dir).node_patience;
        Self { until: Instant::now() + patience, wait: Duration::from_millis(500) }
    }

    /// Waits before the next try, and says why. Gives the error back when it is not one that waiting helps against, or has lasted too
    /// long; a wish to cancel ends the wait.
    async fn again(&mut self, job: &mut Job, error: Error) -> Result<()> {
        if !matches!(error.code, Code::NotSent | Code::MayHaveHappened) || Instant::now() + self.wait > self.until {
            return Err(error);
        }
        job.moving.reason = Some(format!("waits for a node that does not answer: {}", error.one_line()));
        let step = job.moving.step.clone();
        job.record(format!("{step}: trying again: {}", error.one_line()))?;
        let due = Instant::now() + self.wait;
        while let Some(left) = due.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            tokio::time::sleep(left.min(Duration::from_secs(1))).await;
            job.cancelled()?;
        }
        self.wait = (self.wait * 2).min(LONGEST_WAIT);
        job.refresh();
        Ok(())
    }
}

fn name_of(to: &Destination) -> String {
    match to {
        Destination::Local => LOCAL.to_owned(),
        Destination::Child(alias) => alias.clone(),
    }
}
