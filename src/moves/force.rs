//! Dedistributing by force: the parent becomes the authority without a word from the child, which may be dead, gone or hostile.
//!
//! 1. A move of the account that is under way is given up where it is; nothing of it asks the child any more.
//! 2. One transaction makes the parent the authority, and records what is still to be done: [`crate::store::Store::give_up_child`].
//! 3. The parent's mailboxes begin a new numbering, its routes and proxies to the child go, its names lead home again, and what waited
//!    for the child is delivered. Each of these may be done again; a restart goes on with them.
//! 4. When the child answers again it is told that it only retains the account, and routes what still reaches it to the parent.
//!
//! The account's settings are on the parent already: it mirrors them all the time. Its messages are lost, but for those the parent has.

use super::end::End;
use super::{Engine, cutover, zones};
use crate::authority::{Authority, now_ms};
use crate::error::{Code, Context as _, Error, Result};
use crate::host::{self, HostCall};
use crate::mailbox::{Account, Local, Side as _};
use crate::rules::names::{self, LOCAL};
use crate::store::{Forcing, MoveState, ServedState};
use crate::wire::{Forced, LogLine, LossView};
use serde_json::Value;
use std::time::Duration;

/// How long a move that is given up may take to end.
const GIVE_UP: Duration = Duration::from_secs(30);
/// The longest wait between two tries of what is left to do.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// A moment as a person reads it.
fn moment(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).map_or_else(|_| "an unknown time".to_owned(), |time| time.to_string())
}

fn line(kind: &str, indent: u32, contents: impl Into<String>) -> LogLine {
    LogLine { contents: contents.into(), indent, kind: kind.to_owned() }
}

/// What would be lost by giving the child of this account up, as last known. Asks nobody.
///
/// # Errors
/// When the store cannot be read.
pub fn loss(authority: &Authority, alias: &str, user: &str) -> Result<LossView> {
    let store = &authority.store;
    let mut view = LossView { user: user.to_owned(), ..LossView::default() };
    if names::user(user).is_err() || store.child_of(user)?.as_deref() != Some(alias) {
        let user = names::printable(user);
        view.refusals.push(format!("The account “{user}” is not distributed to “{}”.", names::printable(alias)));
        return Ok(view);
    }
    match store.mirror(user)? {
        Some(mirror) => {
            view.as_of = mirror.seen_at;
            view.mailboxes = mirror.mailboxes;
            view.kept = mirror.kept;
            if let Some(at) = mirror.equal_at {
                view.kept.push(format!("All of this as it was on “{alias}” at {}.", moment(at)));
            }
        }
        None => {
            view.kept.push("The settings as they were when the mail was moved to the child: it has not been seen since.".into())
        }
    }
    Ok(view)
}

impl Engine {
    /// What would be lost, an account each.
    ///
    /// # Errors
    /// [`Code::NotFound`] for an alias that is not linked.
    pub fn force_plan(&self, alias: &str, users: &[String]) -> Result<Vec<LossView>> {
        self.authority.store.node(alias)?;
        users.iter().map(|user| loss(&self.authority, alias, user)).collect()
    }

    /// Dedistributes accounts from a child without it. One that cannot be does not stop the others.
    ///
    /// # Errors
    /// [`Code::NotFound`] for an alias that is not linked.
    pub async fn force(&self, alias: &str, users: &[String]) -> Result<Vec<Forced>> {
        self.authority.store.node(alias)?;
        let mut all = Vec::new();
        for user in users {
            let forced = match self.force_one(alias, user).await {
                Ok(forced) => forced,
                Err(error) => Forced {
                    user: user.clone(),
                    loss: LossView { user: user.clone(), ..LossView::default() },
                    log: vec![line("error", 0, error.one_line())],
                    error: Some(error),
                },
            };
            all.push(forced);
        }
        Ok(all)
    }

    async fn force_one(&self, alias: &str, user: &str) -> Result<Forced> {
        let store = &self.authority.store;
        let view = loss(&self.authority, alias, user)?;
        if !view.refusals.is_empty() {
            return Err(Error::new(Code::Conflict, view.refusals.join(" ")).hint("See “linked-nodes account list”."));
        }
        if let Some(id) = store.running_move_of(user)? {
            self.give_up(id).await?;
        }
        let mut forcing = store.give_up_child(user, alias, &view, now_ms())?;
        tracing::warn!(user, alias, "dedistributed by force; the child's messages are given up");
        let result = finish(&self.authority, &mut forcing).await;
        if let Err(error) = &result {
            forcing.log.push(line("warn", 1, format!("This goes on by itself: {}", error.one_line())));
            store.record_forcing(&forcing)?;
            self.keep_finishing(forcing.clone());
        }
        // The parent is the authority, whatever is left to do: that is no failure of the account's.
        Ok(Forced { user: user.to_owned(), loss: forcing.loss, log: forcing.log, error: result.err() })
    }

    /// Ends a move where it is and waits until it has ended.
    async fn give_up(&self, id: i64) -> Result<()> {
        self.authority.store.give_up_move(id)?;
        if !self.begun.stop(id) {
            self.abandon(id).await?;
            self.ended(id);
        }
        let deadline = tokio::time::Instant::now() + GIVE_UP;
        let mut news = self.watch(id);
        while !self.authority.store.get_move(id)?.state.ended() {
            if tokio::time::Instant::now() > deadline {
                return Err(Error::new(Code::Conflict, format!("Move {id} does not end."))
                    .hint(format!("Nothing was forced. See “linked-nodes move show {id}”.")));
            }
            let _ = tokio::time::timeout(Duration::from_millis(500), news.changed()).await;
        }
        Ok(())
    }

    /// Ends a move where it is: this machine's gate opens and its fence comes down, and nothing is asked of the child.
    pub(super) async fn abandon(&self, id: i64) -> Result<()> {
        let store = &self.authority.store;
        let mut moving = store.get_move(id)?;
        let holder = format!("{}/{id}", store.node_id()?);
        host::perform(store, HostCall::Gate { holder, peers: Vec::new() }).await?;
        let user = moving.user.clone();
        let lowered = tokio::task::spawn_blocking(move || Local::open(Account::find(&user)?)?.fence(false)).await;
        match lowered.context("lowering the fence")? {
            Err(error) if error.code == Code::NotFound => {}
            other => other?,
        }
        moving.state = MoveState::Undone;
        moving.reason = Some("Given up: the account is dedistributed by force.".into());
        store.record(&moving, "given up: the account is dedistributed by force", now_ms())?;
        self.sender(id).send_modify(|n| *n += 1);
        Ok(())
    }

    /// Takes up what was begun to be forced when `serve` ended.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn resume_forcings(&self) -> Result<()> {
        for forcing in self.authority.store.open_forcings()? {
            tracing::info!(user = forcing.user, alias = forcing.alias, "going on with a dedistribution by force");
            self.keep_finishing(forcing);
        }
        Ok(())
    }

    fn keep_finishing(&self, mut forcing: Forcing) {
        let authority = self.authority.clone();
        tokio::spawn(async move {
            let mut wait = Duration::from_secs(1);
            while let Err(error) = finish(&authority, &mut forcing).await {
                tracing::warn!(?error, user = forcing.user, "a dedistribution by force is not complete");
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(LONGEST_WAIT);
            }
        });
    }
}

/// Everything follows the parent again. Every step may be done again.
async fn finish(authority: &Authority, forcing: &mut Forcing) -> Result<()> {
    let (user, domains) = (forcing.user.clone(), forcing.domains.clone());
    let mut log =
        vec![line("out", 0, format!("Converting “{user}” to a local account, without the data on “{}” …", forcing.alias))];
    match host::domains_of(&user) {
        Ok(_) => {}
        Err(error) if error.code == Code::NotFound => {
            // Removed meanwhile: there is nothing to serve.
            forcing.done = true;
            return authority.store.record_forcing(forcing);
        }
        Err(error) => return Err(error),
    }
    super::drill::crash_point(&authority.dir, "force", "before");
    // As long as the routes stand nobody has the mailboxes open here. On a second time they may be gone already; then the numbering
    // begins once more, which mail programs bear.
    let account = user.clone();
    let kept = tokio::task::spawn_blocking(move || {
        let mut local = Local::open(Account::find(&account)?)?;
        local.fence(false)?;
        local.renumber()?;
        local.usage()
    });
    let kept = kept.await.context("preparing the mailboxes")??;
    log.push(line("out", 1, format!("The mailboxes are ready; {} messages are on this server.", kept.messages)));

    let here = End::Here(authority.clone());
    cutover::unroute(&here, Some(&user), &domains).await?;
    log.push(line("out", 1, "New mail and sign-ins stay on this server."));
    for change in zones::take_back(authority, &user).await? {
        log.push(line("out", 1, change));
    }
    // Clients that still hold a connection through this server to the child.
    if let Err(error) = here.host::<u64>(HostCall::Quiet { user: user.clone() }).await {
        log.push(line("warn", 1, error.one_line()));
    }
    here.host::<Value>(HostCall::Flush { domains }).await?;
    log.push(line("out", 1, "What waited for the child is delivered here."));

    for mailbox in &forcing.loss.mailboxes {
        let count = |number: Option<u64>| number.map_or_else(|| "an unknown number of".to_owned(), |number| number.to_string());
        let contents =
            format!("{}: {} messages, {} bytes are lost", mailbox.mailbox, count(mailbox.messages), count(mailbox.bytes));
        log.push(line("warn", 1, contents));
    }
    match forcing.loss.as_of {
        Some(at) => log.push(line("out", 1, format!("These numbers are of {}.", moment(at)))),
        None => log.push(line("warn", 1, "What was on the child is not known: it was never counted.")),
    }
    log.push(line("success", 0, format!("“{user}” is a local account now.")));
    super::drill::crash_point(&authority.dir, "force", "after");
    forcing.log = log;
    forcing.done = true;
    authority.store.record_forcing(forcing)
}

/// Tells a child that answers again what was given up: it retains those accounts, and routes their mail and sign-ins to the parent.
///
/// # Errors
/// When it does not answer; the others are told all the same.
pub async fn tell_child(authority: &Authority, alias: &str, accounts: &[(String, Vec<String>)]) -> Result<()> {
    let child = End::of(authority, alias)?;
    let here = End::of(authority, LOCAL)?;
    let mut last = Ok(());
    for (user, domains) in accounts {
        let told = async {
            let call = HostCall::Occupancy { user: user.clone(), domains: domains.clone() };
            let there: host::Occupancy = child.host(call).await?;
            if there.served.is_none() && !authority.store.followups_of(user)?.is_empty() {
                return Err(Error::new(Code::Conflict, format!("“{alias}” knows “{user}” by its former name.")));
            }
            if there.served.is_some() {
                let state = Some(ServedState::Retained);
                child.host::<Value>(HostCall::Serve { user: user.clone(), domains: domains.clone(), state }).await?;
                if there.user_exists {
                    // New mail first: what comes between the two calls is routed at the latest by the second.
                    cutover::route(&child, &here, user, domains).await?;
                    child.host::<Value>(HostCall::Quiet { user: user.clone() }).await?;
                    child.host::<Value>(HostCall::Flush { domains: domains.clone() }).await?;
                }
            }
            authority.store.child_was_told(user, alias)
        };
        match told.await {
            Ok(()) => tracing::info!(user, alias, "a child that came back knows that the account was given up"),
            Err(error) => last = Err(error),
        }
    }
    last
}
