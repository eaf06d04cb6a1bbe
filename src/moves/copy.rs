//! Copying and verifying: the mailbox engine, driven from a move.

use super::Job;
use crate::authority::now_ms;
use crate::error::{Code, Error, Result};
use crate::mailbox::{self, Extra, Options, PassReport, PassState, Progress, Side, Verdict};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

/// A pass shorter than this is short enough to be repeated under the hold.
const SHORT_PASS: Duration = Duration::from_millis(1500);
/// Passes over a mailbox that never comes to rest.
const PASSES: usize = 12;
/// How often those who watch are told of progress, and the wish to cancel is looked for.
const REPORT_EVERY: Duration = Duration::from_millis(500);
/// How often progress is written to disk. It is for people alone: a restart finds out by itself what is copied.
const RECORD_EVERY: Duration = Duration::from_secs(10);
/// Left-out files that are named in the log.
const NAMED: usize = 20;

/// The two open sides of a move and what is known of them. May be lost: costs time only.
#[derive(Default)]
pub struct Session {
    sides: Option<(Box<dyn Side>, Box<dyn Side>)>,
    state: PassState,
    /// Messages and bytes copied in earlier passes.
    copied: (u64, u64),
}

/// What a piece of work does with the messages it tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Copies,
    Compares,
}

/// What a piece of work gets: the sides, what is known of them, and a way to tell of progress that may say stop.
struct Desk<'a> {
    source: &'a mut dyn Side,
    target: &'a mut dyn Side,
    state: &'a mut PassState,
    progress: &'a mut dyn FnMut(&Progress) -> ControlFlow<()>,
}

impl Session {
    /// A session of a move that may have copied before.
    pub fn of(job: &Job) -> Result<Self> {
        let view = job.authority.store.move_view(job.moving.id)?;
        Ok(Self { copied: (view.messages, view.bytes), ..Self::default() })
    }

    /// Lets go of both sides and of what is known of them; what was copied counts on.
    pub fn reset(&mut self) {
        *self = Self { copied: self.copied, ..Self::default() };
    }

    /// Runs blocking work over both sides; opens them first when they are not. With a deadline, the work is told to stop after it.
    async fn work<T, F>(&mut self, job: &Job, kind: Kind, deadline: Option<Instant>, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(Desk<'_>) -> Result<T> + Send + 'static,
    {
        let (mut source, mut target) = match self.sides.take() {
            Some(sides) => sides,
            None => (job.source.side(job.user()).await?, job.target.side(job.user()).await?),
        };
        let mut state = std::mem::take(&mut self.state);
        let (store, id, copied) = (job.authority.store.clone(), job.moving.id, self.copied);
        let (news, live) = (job.news.clone(), job.live.clone());
        let joined = tokio::task::spawn_blocking(move || {
            let (mut told, mut recorded) = (Instant::now(), Instant::now());
            let mut progress = |now: &Progress| {
                if deadline.is_some_and(|deadline| Instant::now() > deadline) {
                    return ControlFlow::Break(());
                }
                match kind {
                    Kind::Copies => live.copying(id, copied, now),
                    Kind::Compares => live.comparing(id, now),
                }
                if told.elapsed() >= REPORT_EVERY {
                    told = Instant::now();
                    news.send_modify(|n| *n += 1);
                    if store.get_move(id).is_ok_and(|moving| moving.cancel) {
                        return ControlFlow::Break(());
                    }
                }
                if kind == Kind::Copies && recorded.elapsed() >= RECORD_EVERY {
                    recorded = Instant::now();
                    if store.set_progress(id, copied.0 + now.messages, copied.1 + now.bytes).is_err() {
                        return ControlFlow::Break(());
                    }
                }
                ControlFlow::Continue(())
            };
            let desk = Desk { source: source.as_mut(), target: target.as_mut(), state: &mut state, progress: &mut progress };
            let result = work(desk);
            (result, source, target, state)
        })
        .await;
        let (result, source, target, state) = joined.map_err(|cause| Error::machine("copying", cause))?;
        if result.is_ok() {
            self.sides = Some((source, target));
            self.state = state;
        }
        result
    }
}

/// The mirror rule: what the target has beyond the source is a leftover of this or an earlier move of ours, which the plan has
/// looked at; see [`crate::rules::plan`].
const MIRROR: Options = Options { extra: Extra::Remove };

fn count(session: &mut Session, job: &Job, report: &PassReport) -> Result<()> {
    if report.stopped {
        job.cancelled()?;
        return Err(Error::new(Code::Machine, "The copy was stopped: it took too long."));
    }
    session.copied.0 += report.messages;
    session.copied.1 += report.bytes;
    job.authority.store.set_progress(job.moving.id, session.copied.0, session.copied.1)
}

/// Copies while the mailbox is in use, until little changes from pass to pass, and takes the digests of both sides.
pub async fn seed(job: &mut Job, session: &mut Session) -> Result<String> {
    session.work(job, Kind::Copies, None, |desk| desk.target.prepare_target()).await?;
    let begun = Instant::now();
    let mut passes = 0;
    loop {
        passes += 1;
        let started = Instant::now();
        let report = session
            .work(job, Kind::Copies, None, |desk| mailbox::pass(desk.source, desk.target, desk.state, MIRROR, desk.progress))
            .await?;
        count(session, job, &report)?;
        tell_left_out(job, &report)?;
        if started.elapsed() < SHORT_PASS || passes == PASSES {
            break;
        }
        job.cancelled()?;
    }
    session.work(job, Kind::Copies, None, |desk| desk.target.sync_disk()).await?;
    session.work(job, Kind::Compares, None, |desk| mailbox::prehash(desk.source, desk.target, desk.state, desk.progress)).await?;
    // What came while digests were taken; then the pass under the hold has next to nothing to do.
    let report = session
        .work(job, Kind::Copies, None, |desk| mailbox::pass(desk.source, desk.target, desk.state, MIRROR, desk.progress))
        .await?;
    count(session, job, &report)?;
    session.work(job, Kind::Copies, None, |desk| desk.target.sync_disk()).await?;
    Ok(format!(
        "{} messages, {} bytes in {} passes, {} ms",
        session.copied.0,
        session.copied.1,
        passes + 1,
        begun.elapsed().as_millis()
    ))
}

fn tell_left_out(job: &mut Job, report: &PassReport) -> Result<()> {
    if report.left_out.total == 0 {
        return Ok(());
    }
    let named: Vec<String> = report.left_out.named.iter().take(NAMED).map(|(path, why)| format!("{path} ({why:?})")).collect();
    let line = format!("seed: {} files are left out: {}", report.left_out.total, named.join(", "));
    let known = job.authority.store.move_view(job.moving.id)?.log.iter().any(|(_, event)| *event == line);
    if known { Ok(()) } else { job.record(line) }
}

/// Raises or lowers the fence around the source's mail.
pub async fn fence(job: &Job, session: &mut Session, on: bool) -> Result<()> {
    session.work(job, Kind::Copies, None, move |desk| desk.source.fence(on)).await
}

/// The last pass, under the fence.
pub async fn last_pass(job: &Job, session: &mut Session, deadline: Instant) -> Result<String> {
    let report = session
        .work(job, Kind::Copies, Some(deadline), |desk| {
            // Proves that the fenced directory is still the one that is being copied.
            desk.source.fence(true)?;
            let report = mailbox::pass(desk.source, desk.target, desk.state, MIRROR, desk.progress)?;
            desk.target.sync_disk()?;
            Ok(report)
        })
        .await?;
    count(session, job, &report)?;
    Ok(format!("{} messages, {} bytes", report.messages, report.bytes))
}

/// Compares every message of both sides.
pub async fn verify(job: &Job, session: &mut Session, deadline: Instant) -> Result<String> {
    let verdict = session
        .work(job, Kind::Compares, Some(deadline), |desk| {
            let verdict = mailbox::verify(desk.source, desk.target, desk.state, desk.progress)?;
            // What was compared is still what the fence protects.
            desk.source.fence(true)?;
            Ok(verdict)
        })
        .await?;
    match verdict {
        Verdict::Perfect(equal) => {
            job.authority.store.set_verified(job.moving.id, equal.messages, equal.bytes)?;
            Ok(format!("perfect: {} messages, {} bytes, {} folders are equal", equal.messages, equal.bytes, equal.folders))
        }
        Verdict::Differences(found) => {
            let named: Vec<String> = found.named.iter().take(NAMED).map(ToString::to_string).collect();
            Err(Error::new(Code::Conflict, format!("{} differences after the last pass: {}.", found.total, named.join("; "))))
        }
    }
}

/// Removes the former copy. Only after the switch.
pub async fn clean(job: &Job, session: &mut Session) -> Result<()> {
    session.work(job, Kind::Copies, None, |desk| desk.source.remove_messages()).await
}

/// How long the hold has lasted, for the record.
pub fn since(held_at: Option<i64>) -> u64 {
    held_at.map_or(0, |at| now_ms().saturating_sub(at).max(0).unsigned_abs())
}
