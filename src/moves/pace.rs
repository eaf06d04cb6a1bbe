//! How far a copy is and how fast it goes, as of now. Kept in memory: what is lost with `serve` is seen again a second later.

use crate::mailbox::Progress;
use crate::wire::MoveView;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The rate is that of this much time.
const WINDOW: Duration = Duration::from_secs(10);
/// Samples closer together than this say nothing new.
const SAMPLE_EVERY: Duration = Duration::from_millis(250);

/// One copy.
#[derive(Debug, Default)]
struct Pace {
    mailbox: String,
    messages: u64,
    bytes: u64,
    samples: VecDeque<(Instant, u64)>,
}

impl Pace {
    fn sample(&mut self, now: Instant) {
        if self.samples.back().is_none_or(|(at, _)| now.duration_since(*at) >= SAMPLE_EVERY) {
            self.samples.push_back((now, self.bytes));
        }
        // One sample from before the window stays: the rate is measured from it.
        while self.samples.get(1).is_some_and(|(at, _)| now.duration_since(*at) > WINDOW) {
            self.samples.pop_front();
        }
    }

    /// Bytes a second over the window; `None` until there is a quarter of a second to go by.
    fn rate(&self, now: Instant) -> Option<u64> {
        let (since, bytes) = self.samples.iter().find(|(at, _)| now.duration_since(*at) <= WINDOW).or(self.samples.back())?;
        let span = now.duration_since(*since).min(WINDOW);
        let millis = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        (millis >= 250).then(|| self.bytes.saturating_sub(*bytes).saturating_mul(1000) / millis)
    }
}

/// The copies under way, by move.
#[derive(Clone, Default)]
pub struct Live(Arc<Mutex<BTreeMap<i64, Pace>>>);

impl Live {
    fn with<T>(&self, work: impl FnOnce(&mut BTreeMap<i64, Pace>) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Notes how far a copy is: what earlier passes copied, and what this one has.
    pub fn copying(&self, id: i64, earlier: (u64, u64), now: &Progress) {
        self.with(|all| {
            let pace = all.entry(id).or_default();
            pace.mailbox.clone_from(&now.mailbox);
            (pace.messages, pace.bytes) = (earlier.0 + now.messages, earlier.1 + now.bytes);
            pace.sample(Instant::now());
        });
    }

    /// Notes which mailbox is being compared.
    pub fn comparing(&self, id: i64, now: &Progress) {
        self.with(|all| {
            let pace = all.entry(id).or_default();
            pace.mailbox.clone_from(&now.mailbox);
            pace.samples.clear();
        });
    }

    /// No copy of this move is under way any more.
    pub fn forget(&self, id: i64) {
        self.with(|all| all.remove(&id));
    }

    /// Adds what is known to a move as people see it.
    pub fn complete(&self, view: &mut MoveView) {
        if view.ended || !matches!(view.state.as_str(), "seeding" | "holding") {
            return;
        }
        let now = Instant::now();
        self.with(|all| {
            let Some(pace) = all.get(&view.id) else { return };
            if !pace.mailbox.is_empty() {
                view.mailbox = Some(pace.mailbox.clone());
            }
            view.messages = view.messages.max(pace.messages);
            view.bytes = view.bytes.max(pace.bytes);
            view.rate = pace.rate(now);
            let left = view.bytes_planned.saturating_sub(view.bytes);
            view.seconds_left = view.rate.filter(|rate| *rate > 0 && view.state == "seeding").map(|rate| left.div_ceil(rate));
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_the_last_ten_seconds() {
        let start = Instant::now();
        let mut pace = Pace::default();
        assert_eq!(pace.rate(start), None);
        for second in 0..=30u64 {
            // Slow for twenty seconds, then ten times as fast.
            pace.bytes = if second <= 20 { second * 1000 } else { 20_000 + (second - 20) * 10_000 };
            pace.sample(start + Duration::from_secs(second));
        }
        assert_eq!(pace.rate(start + Duration::from_secs(30)), Some(10_000));
        // Nothing comes any more.
        assert_eq!(pace.rate(start + Duration::from_secs(60)), Some(0));
        assert!(pace.samples.len() <= 42);
    }
}
