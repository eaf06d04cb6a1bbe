//! Moves: those under way, live; those that have ended, with their verdict; and each with its log.

use super::link::required;
use super::{Frame, Here, error_note, html, said};
use crate::error::{Code, Error, Result};
use crate::ui::answer::Answer;
use crate::ui::form::{address, number};
use crate::ui::format::{When, bytes, duration, milliseconds, place, things};
use crate::ui::progress::{PHASES, Progress};
use crate::wire::{AdminCall, MovePage, MoveQuery, MoveView, PageCall};
use askama::Template;

/// Moves on a page of the history.
const ROWS: usize = 50;
/// The most that are shown as under way.
const RUNNING: usize = 100;
/// After how many seconds a page with moves under way comes again, without scripts.
const AGAIN: u32 = 3;

#[derive(Template)]
#[template(path = "moves.html")]
struct Moves {
    frame: Frame,
    running: Vec<Progress>,
    more_running: usize,
    rows: Vec<Row>,
    matched: usize,
    user: String,
    previous: Option<String>,
    next: Option<String>,
    pages: String,
    events: String,
    progress: String,
}

/// A move that has ended, in a table.
pub struct Row {
    pub id: i64,
    pub page: String,
    pub user: String,
    pub from: String,
    pub to: String,
    pub state: &'static str,
    pub good: bool,
    pub ended: bool,
    pub amount: String,
    pub pause: Option<String>,
    pub took: Option<String>,
    pub when: When,
}

impl Row {
    pub fn of(view: &MoveView, now: i64) -> Self {
        Self {
            id: view.id,
            page: address(&[("page", "move"), ("id", &view.id.to_string())]),
            user: view.user.clone(),
            from: place(&view.from).to_owned(),
            to: place(&view.to).to_owned(),
            state: match view.state.as_str() {
                "done" => "Done",
                "undone" => "Taken back",
                "stuck" => "Stuck",
                _ => "Under way",
            },
            good: view.state == "done",
            ended: view.ended,
            amount: format!("{}, {}", things(view.messages, "message"), bytes(view.bytes)),
            pause: view.pause_ms.map(milliseconds),
            took: view.ended_ms.map(|ended| duration(u64::try_from((ended - view.started_ms) / 1000).unwrap_or_default())),
            when: When::milliseconds(view.ended_ms.unwrap_or(view.started_ms), now),
        }
    }
}

pub async fn list(here: &Here<'_>) -> Result<Answer> {
    let user = here.request.query("user").map(str::trim).filter(|user| !user.is_empty()).map(str::to_owned);
    let running = MoveQuery { ended: Some(false), user: user.clone(), limit: RUNNING, ..MoveQuery::default() };
    let running: MovePage = here.means.page(PageCall::Moves(running)).await?;
    let offset = number(here.request, "from");
    let ended = MoveQuery { ended: Some(true), user: user.clone(), offset, limit: ROWS, ..MoveQuery::default() };
    let ended: MovePage = here.means.page(PageCall::Moves(ended)).await?;
    let at = |offset: usize| {
        let from = if offset == 0 { String::new() } else { offset.to_string() };
        address(&[("page", "moves"), ("user", user.as_deref().unwrap_or_default()), ("from", &from)])
    };
    let mut frame = here.frame("Moves", "moves");
    frame.refresh = (!running.rows.is_empty()).then_some(AGAIN);
    frame.streams = true;
    let page = Moves {
        more_running: running.matched.saturating_sub(running.rows.len()),
        running: running.rows.iter().map(Progress::of).collect(),
        previous: (offset > 0).then(|| at(offset.saturating_sub(ROWS))),
        next: (offset + ended.rows.len() < ended.matched).then(|| at(offset + ROWS)),
        pages: format!("Page {} of {}", offset / ROWS + 1, ended.matched.div_ceil(ROWS).max(1)),
        matched: ended.matched,
        rows: ended.rows.iter().map(|view| Row::of(view, here.now)).collect(),
        events: address(&[("page", "events"), ("user", user.as_deref().unwrap_or_default())]),
        progress: address(&[("page", "progress"), ("user", user.as_deref().unwrap_or_default())]),
        user: user.unwrap_or_default(),
        frame,
    };
    html(200, &page)
}

#[derive(Template)]
#[template(path = "move.html")]
struct Move {
    frame: Frame,
    at: Progress,
    phases: [(&'static str, &'static str); 6],
    row: Row,
    /// The verdict of the verification.
    verified: Option<String>,
    reason: Option<String>,
    log: Vec<(When, String)>,
    can_cancel: bool,
    started: When,
    account: String,
    here: String,
    events: String,
    progress: String,
}

pub async fn show(here: &Here<'_>) -> Result<Answer> {
    let id = id(here)?;
    let view: MoveView = here.means.ask(AdminCall::MoveShow { id }).await?;
    let number = id.to_string();
    let mut frame = here.frame(format!("Move {id} of {}", view.user), "moves");
    frame.refresh = (!view.ended).then_some(AGAIN);
    frame.streams = true;
    let page = Move {
        at: Progress::of(&view),
        phases: PHASES,
        row: Row::of(&view, here.now),
        verified: view.verified.map(|messages| format!("{} the same on both sides", things(messages, "message"))),
        reason: view.reason.clone(),
        log: view.log.iter().map(|(at, event)| (When::milliseconds(*at, here.now), event.clone())).collect(),
        can_cancel: !view.ended && matches!(view.state.as_str(), "planned" | "preparing" | "seeding" | "holding"),
        started: When::milliseconds(view.started_ms, here.now),
        account: address(&[("page", "account"), ("user", &view.user)]),
        here: address(&[("page", "move"), ("id", &number)]),
        events: address(&[("page", "events"), ("id", &number)]),
        progress: address(&[("page", "progress"), ("id", &number)]),
        frame,
    };
    html(200, &page)
}

pub async fn change(here: &Here<'_>) -> Result<Answer> {
    let id = id(here)?;
    if here.request.form("do") != Some("cancel") {
        return Err(Error::new(Code::Invalid, "There is no such action."));
    }
    let done: Result<MoveView> = here.means.act(AdminCall::MoveCancel { id }).await;
    let note = match done {
        Ok(_) => said(true, format!("Move {id} is being taken back.")),
        Err(error) => error_note(format!("Move {id} was not cancelled."), &error),
    };
    here.see(&[("page", "move"), ("id", &id.to_string())], note).await
}

fn id(here: &Here<'_>) -> Result<i64> {
    required(here, "id")?.parse().map_err(|_| Error::new(Code::Invalid, "A move has a number."))
}

/// What the stream tells, once, for scripts that get no stream.
pub async fn progress(here: &Here<'_>) -> Result<Answer> {
    let views = match here.request.query("id") {
        Some(_) => vec![here.means.ask::<MoveView>(AdminCall::MoveShow { id: id(here)? }).await?],
        None => {
            let user = here.request.query("user").map(str::to_owned);
            let running = MoveQuery { ended: Some(false), user, limit: RUNNING, ..MoveQuery::default() };
            here.means.page::<MovePage>(PageCall::Moves(running)).await?.rows
        }
    };
    Ok(Answer::json(&views.iter().map(Progress::of).collect::<Vec<_>>()))
}
