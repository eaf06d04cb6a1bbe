//! Plans for the pages. A plan asks both servers, so it is made in the background and kept for a short while.

use super::{Serve, lock};
use crate::error::{Error, Result};
use crate::rules::names;
use crate::wire::{Destination, PlanState, PlanView};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, Semaphore};

/// How long a page waits for plans before it shows those that are there.
const WAIT: Duration = Duration::from_millis(700);
/// How long a plan is shown before it is made again. A move plans for itself once more before it starts.
const FRESH: Duration = Duration::from_secs(20);
/// Plans made at once.
const AT_ONCE: usize = 4;
/// The most plans that are kept.
const KEPT: usize = 2000;

/// Plans, made and on the way, by account and destination.
pub struct Plans {
    made: Mutex<HashMap<(String, String), Plan>>,
    at_once: Arc<Semaphore>,
    news: Notify,
}

enum Plan {
    OnTheWay,
    Made(Instant, Result<PlanView>),
}

impl Default for Plans {
    fn default() -> Self {
        Self { made: Mutex::default(), at_once: Arc::new(Semaphore::new(AT_ONCE)), news: Notify::new() }
    }
}

fn key(user: &str, to: &Destination) -> (String, String) {
    let to = match to {
        Destination::Local => names::LOCAL.to_owned(),
        Destination::Child(alias) => alias.clone(),
    };
    (user.to_owned(), to)
}

/// How far the plans of these accounts are; those that are missing are begun.
pub async fn plans(serve: &Serve, users: &[String], to: &Destination) -> Vec<PlanState> {
    for user in users {
        begin(serve, user, to);
    }
    let deadline = tokio::time::Instant::now() + WAIT;
    loop {
        // Asked for before looking, so that news in between is not missed.
        let news = serve.pages.plans.news.notified();
        let states: Vec<PlanState> = users.iter().map(|user| state(serve, user, to)).collect();
        if !states.iter().any(PlanState::pending) || tokio::time::timeout_at(deadline, news).await.is_err() {
            return states;
        }
    }
}

fn state(serve: &Serve, user: &str, to: &Destination) -> PlanState {
    let (plan, error) = match lock(&serve.pages.plans.made).get(&key(user, to)) {
        Some(Plan::Made(_, Ok(plan))) => (Some(plan.clone()), None),
        Some(Plan::Made(_, Err(error))) => (None, Some(error.clone())),
        Some(Plan::OnTheWay) | None => (None, None),
    };
    PlanState { user: user.to_owned(), plan, error }
}

fn begin(serve: &Serve, user: &str, to: &Destination) {
    let key = key(user, to);
    {
        let mut made = lock(&serve.pages.plans.made);
        match made.get(&key) {
            Some(Plan::OnTheWay) => return,
            Some(Plan::Made(at, _)) if at.elapsed() < FRESH => return,
            _ => {}
        }
        if made.len() >= KEPT {
            made.retain(|_, plan| matches!(plan, Plan::OnTheWay));
        }
        made.insert(key.clone(), Plan::OnTheWay);
    }
    let (serve, to, at_once) = (serve.clone(), to.clone(), serve.pages.plans.at_once.clone());
    tokio::spawn(async move {
        let _permit = at_once.acquire_owned().await;
        let plan = serve.engine.plan(&key.0, &to).await.map_err(without_detail);
        lock(&serve.pages.plans.made).insert(key, Plan::Made(Instant::now(), plan));
        serve.pages.plans.news.notify_waiters();
    });
}

fn without_detail(error: Error) -> Error {
    tracing::debug!(?error, "a plan for a page");
    Error { detail: None, ..error }
}
