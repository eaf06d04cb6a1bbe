//! Whatever is done to an account on the parent, the child's half follows.
//!
//! An event is a durable note in the store ([`crate::store::What`]) before cPanel is answered. One task looks at the notes, and for each
//! account that has some brings its halves together: it looks at what is on both sides and does what is missing ([`half`]), so that it
//! does not matter which events came, in which order, or where an earlier try ended. A try that fails leaves the note with the reason,
//! visible as a [`Remainder`], and is made again after a while, when the child answers again, or when an administrator asks for it.
//! Events that were never heard are found by [`compare`].

mod compare;
mod half;
mod names;
mod settings;

use super::{Serve, nodes_api};
use crate::authority::now_ms;
use crate::error::{Code, Error, Result};
use crate::host;
use crate::rules::names::{self as names_of, LOCAL};
use crate::settings::Settings;
use crate::store::{Followup, What};
use crate::wire::{Destination, Remainder, SyncView};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

pub use compare::{resolve, round};
pub use settings::Touched;

/// How long nothing is looked at when nothing is noted.
const IDLE: Duration = Duration::from_secs(60);

/// What one account's tries are at.
struct Attempt {
    running: bool,
    next: Instant,
    wait: Duration,
    serial: i64,
}

/// Who is being followed, and when others are tried again.
#[derive(Clone, Default)]
pub struct Follow {
    attempts: Arc<Mutex<BTreeMap<String, Attempt>>>,
    wake: Arc<Notify>,
}

impl Follow {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Attempt>> {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// These accounts are tried at once, however long they were to wait.
    pub fn hurry(&self, users: &BTreeSet<String>) {
        for (_, attempt) in self.lock().iter_mut().filter(|(user, _)| users.contains(*user)) {
            attempt.next = Instant::now();
        }
        self.wake.notify_one();
    }

    fn ended(&self, user: &str, good: bool, settings: &Settings) {
        if let Some(attempt) = self.lock().get_mut(user) {
            attempt.running = false;
            attempt.next = Instant::now() + attempt.wait;
            attempt.wait = if good { settings.follow_first_wait } else { (attempt.wait * 2).min(settings.follow_longest_wait) };
        }
        self.wake.notify_one();
    }
}

/// Notes something for every child that has a half of the account. Durable when it returns; which children these are.
///
/// # Errors
/// When the store cannot be written.
pub fn note(serve: &Serve, user: &str, what: What, details: &[Value]) -> Result<Vec<String>> {
    let store = &serve.authority.store;
    // A half that is kept but serves nothing follows its name and its domains alone, so that it is known again.
    let halves = match what {
        What::Name | What::Domains => store.holders(user)?,
        _ => store.child_of(user)?.into_iter().collect(),
    };
    for alias in &halves {
        store.note(user, alias, what, details, now_ms() / 1000)?;
    }
    Ok(halves)
}

/// Follows what is noted, for ever.
pub async fn run(serve: Serve) {
    let mut noted = serve.authority.store.watch_followups();
    loop {
        noted.mark_unchanged();
        let next = begin(&serve).unwrap_or_else(|error| {
            tracing::warn!(?error, "what is to be followed cannot be read");
            Instant::now() + IDLE
        });
        tokio::select! {
            _ = noted.changed() => {}
            () = serve.follow.wake.notified() => {}
            () = tokio::time::sleep_until(next) => {}
        }
    }
}

/// Begins what is due, as far as there is room; when to look again.
fn begin(serve: &Serve) -> Result<Instant> {
    let settings = Settings::read(&serve.authority.dir);
    let store = &serve.authority.store;
    let moving: BTreeSet<String> = store.running_moves()?.into_iter().map(|moving| moving.user).collect();
    let mut due: BTreeMap<String, i64> = BTreeMap::new();
    // A placement that failed is not tried again by itself: the account has lived on this server since.
    let waits = |row: &Followup| row.what == What::Gone || row.what == What::Placement && row.trouble.is_some();
    for row in store.followups()?.into_iter().filter(|row| !waits(row) && !moving.contains(&row.user)) {
        let newest = due.entry(row.user).or_default();
        *newest = row.serial.max(*newest);
    }
    let now = Instant::now();
    let mut next = now + IDLE;
    let mut attempts = serve.follow.lock();
    attempts.retain(|user, attempt| attempt.running || due.contains_key(user));
    let mut room = settings.follow_at_once.saturating_sub(attempts.values().filter(|attempt| attempt.running).count());
    for (user, serial) in due {
        let attempt = attempts.entry(user.clone()).or_insert(Attempt {
            running: false,
            next: now,
            wait: settings.follow_first_wait,
            serial,
        });
        if serial > attempt.serial {
            (attempt.serial, attempt.next, attempt.wait) = (serial, now, settings.follow_first_wait);
        }
        if attempt.running {
            continue;
        }
        if attempt.next > now {
            next = next.min(attempt.next);
        } else if room > 0 {
            room -= 1;
            attempt.running = true;
            let (serve, settings) = (serve.clone(), settings.clone());
            tokio::spawn(async move {
                let result = sync(&serve, &user, false, settings.follow_patience).await;
                if let Err(error) = &result {
                    tracing::warn!(?error, user, "an account is not followed yet");
                }
                let good = result.is_ok_and(|view| view.left.is_empty());
                serve.follow.ended(&user, good, &settings);
            });
        }
    }
    Ok(next)
}

/// Brings the halves of one account together: what is noted, or with `full` everything. What could not be done is in the answer, and
/// with its reason on the notes.
///
/// # Errors
/// [`Code::Conflict`] while a move is under way; [`Code::NotFound`] when nothing is known of such an account; when the store fails.
pub async fn sync(serve: &Serve, user: &str, full: bool, patience: Duration) -> Result<SyncView> {
    let store = &serve.authority.store;
    let mut view = SyncView::default();
    // Before the account is held: a move that begins holds it itself.
    place(serve, user, full, &mut view).await?;
    let _held = serve.authority.busy.hold(user).await;
    resolve(serve)?;
    let rows = store.followups_of(user)?;
    if let Some(moving) = store.running_moves()?.into_iter().find(|moving| moving.user == user) {
        return Err(Error::new(
            Code::Conflict,
            format!("Move {} of “{user}” is under way; what is left follows after it.", moving.id),
        )
        .hint(format!("Watch it: “linked-nodes move watch {}”.", moving.id)));
    }
    if full && rows.iter().any(|row| row.what == What::Gone) && host::uid_of(user)?.is_none() {
        // An administrator's word that it is gone for good.
        store.account_removed(user, &[], now_ms() / 1000)?;
    }
    let mut rows = store.followups_of(user)?;
    rows.retain(|row| row.what != What::Placement);
    let mut aliases: BTreeSet<String> = rows.iter().map(|row| row.alias.clone()).collect();
    if full {
        aliases.extend(store.child_of(user)?);
    }
    if aliases.is_empty() && full {
        host::domains_of(user)?;
    }
    for alias in aliases {
        let rows: Vec<Followup> = rows.iter().filter(|row| row.alias == alias).cloned().collect();
        let result = tokio::time::timeout(patience, one(serve, user, &alias, &rows, full)).await;
        let result = result.unwrap_or_else(|_| {
            Err(Error::new(Code::MayHaveHappened, format!("“{alias}” took longer than {} s.", patience.as_secs())))
        });
        match result {
            Ok(lines) => view.changed.extend(lines.into_iter().map(|line| format!("{alias}: {line}"))),
            Err(error) => {
                store.set_follow_trouble(user, &alias, &error.one_line())?;
                view.left.push(format!("{alias}: {}", error.one_line()));
            }
        }
    }
    Ok(view)
}

/// Moves an account to where it was wished to be when it was made or changed, and waits for the end of that.
async fn place(serve: &Serve, user: &str, full: bool, view: &mut SyncView) -> Result<()> {
    let store = &serve.authority.store;
    let wished = |row: &Followup| row.what == What::Placement && (full || row.trouble.is_none());
    for row in store.followups_of(user)?.into_iter().filter(wished) {
        let at = store.child_of(user)?.unwrap_or_else(|| LOCAL.to_owned());
        let to = if row.alias == LOCAL { Destination::Local } else { Destination::Child(row.alias.clone()) };
        if at == row.alias || host::uid_of(user)?.is_none() {
            store.followed(&[row])?;
            continue;
        }
        match nodes_api::distribute(serve, user, &to).await {
            Ok(done) => {
                view.changed.push(format!("{}: the mail is there (move {})", row.alias, done.id));
                store.followed(&[row])?;
            }
            Err(error) => {
                tracing::error!(?error, user, to = row.alias, "the mail of an account stays where it is");
                store.set_follow_trouble(user, &row.alias, &error.one_line())?;
                view.left.push(format!("{}: {}", row.alias, error.one_line()));
            }
        }
    }
    Ok(())
}

/// Brings one account's half on one child to what it has to be, and forgets the notes.
async fn one(serve: &Serve, user: &str, alias: &str, rows: &[Followup], full: bool) -> Result<Vec<String>> {
    let store = &serve.authority.store;
    let mut lines = Vec::new();
    let removals: Vec<Followup> = rows.iter().filter(|row| row.what == What::Removal).cloned().collect();
    for removal in &removals {
        lines.extend(half::remove(serve, removal).await?);
    }
    store.followed(&removals)?;
    let rest: Vec<Followup> = rows.iter().filter(|row| row.what != What::Removal).cloned().collect();
    if store.holders(user)?.iter().any(|holder| holder == alias) && (full || !rest.is_empty()) {
        lines.extend(half::follow(serve, user, alias, &rest, full).await?);
    }
    store.followed(&rest)?;
    Ok(lines)
}

/// Both halves of an account are made equal now, as an administrator asks.
///
/// # Errors
/// As [`sync`].
pub async fn asked(serve: &Serve, user: &str) -> Result<SyncView> {
    names_of::user(user)?;
    sync(serve, user, true, Settings::read(&serve.authority.dir).follow_patience).await
}

/// What is not followed yet, as people see it.
///
/// # Errors
/// When the store cannot be read.
pub fn remainders(serve: &Serve) -> Result<Vec<Remainder>> {
    let store = &serve.authority.store;
    let moving: BTreeMap<String, i64> = store.running_moves()?.into_iter().map(|moving| (moving.user, moving.id)).collect();
    let shown = store.followups()?.into_iter().map(|row| {
        let waits = moving.get(&row.user).map(|id| format!("Move {id} is under way; this follows after it."));
        let command = match row.what {
            What::Placement if row.alias == LOCAL => format!("linked-nodes account dedistribute {}", row.user),
            What::Placement => format!("linked-nodes account distribute {} {}", row.user, row.alias),
            _ => format!("linked-nodes account sync {}", row.user),
        };
        Remainder {
            what: row.what.word().to_owned(),
            trouble: waits.or(row.trouble),
            since: row.since,
            alias: row.alias,
            user: row.user,
            command,
        }
    });
    Ok(shown.collect())
}
