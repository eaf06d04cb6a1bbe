//! The plan, before anything moves.

use super::{Frame, Here, html};
use crate::error::{Code, Error, Result};
use crate::ui::answer::Answer;
use crate::ui::form::{destination, word};
use crate::ui::format::{bytes, count, place, things};
use crate::wire::{AdminCall, Destination, MAX_ROWS, NoteLine, PageCall, PageNote, PlanState, PlanView, Started};
use askama::Template;

/// After how many seconds a page of plans that are on the way comes again.
const AGAIN: u32 = 2;

#[derive(Template)]
#[template(path = "plan.html")]
struct Plans {
    frame: Frame,
    to: String,
    /// The destination in words.
    target: String,
    local: bool,
    rows: Vec<Row>,
    total: String,
    ready: usize,
    pending: usize,
}

struct Row {
    user: String,
    from: String,
    mail: Option<String>,
    mailboxes: Vec<String>,
    dns: Vec<String>,
    warnings: Vec<String>,
    refusals: Vec<String>,
    error: Option<String>,
    pending: bool,
    good: bool,
}

impl Row {
    fn of(state: PlanState) -> Self {
        let pending = state.pending();
        let plan = state.plan.unwrap_or_else(|| nothing(&state.user));
        Self {
            from: if plan.from.is_empty() { String::new() } else { place(&plan.from).to_owned() },
            mail: (!plan.from.is_empty()).then(|| format!("{}, {}", things(plan.messages, "message"), bytes(plan.bytes))),
            good: !pending && state.error.is_none() && plan.refusals.is_empty(),
            error: state.error.map(|error| error.one_line()),
            user: plan.user,
            mailboxes: plan.mailboxes,
            dns: plan.dns,
            warnings: plan.warnings,
            refusals: plan.refusals,
            pending,
        }
    }
}

fn nothing(user: &str) -> PlanView {
    PlanView {
        user: user.to_owned(),
        from: String::new(),
        to: String::new(),
        messages: 0,
        bytes: 0,
        mailboxes: Vec::new(),
        dns: Vec::new(),
        warnings: Vec::new(),
        refusals: Vec::new(),
    }
}

/// Whose mail goes where, as the address or the form says.
fn asked(users: Vec<String>, to: Option<&str>) -> Result<(Vec<String>, Destination)> {
    let to = to.and_then(destination).ok_or_else(|| Error::new(Code::Invalid, "Where the mail is to go is missing."))?;
    if users.is_empty() {
        return Err(Error::new(Code::Invalid, "No account is selected.").hint("Go back and select at least one."));
    }
    if users.len() > MAX_ROWS {
        return Err(
            Error::new(Code::Invalid, format!("More than {MAX_ROWS} accounts are selected.")).hint("Select fewer at once.")
        );
    }
    Ok((users, to))
}

pub async fn show(here: &Here<'_>) -> Result<Answer> {
    let (users, to) = asked(here.request.queries("user"), here.request.query("to"))?;
    let states: Vec<PlanState> = here.means.page(PageCall::Plans { users, to: to.clone() }).await?;
    let pending = states.iter().filter(|state| state.pending()).count();
    let (messages, size) = states
        .iter()
        .filter_map(|state| state.plan.as_ref())
        .filter(|plan| plan.refusals.is_empty())
        .fold((0, 0), |sum: (u64, u64), plan| (sum.0.saturating_add(plan.messages), sum.1.saturating_add(plan.bytes)));
    let mut frame = here.frame("Plan", "accounts");
    frame.refresh = (pending > 0).then_some(AGAIN);
    let rows: Vec<Row> = states.into_iter().map(Row::of).collect();
    let page = Plans {
        frame,
        to: word(&to).to_owned(),
        target: place(word(&to)).to_owned(),
        local: to == Destination::Local,
        ready: rows.iter().filter(|row| row.good).count(),
        total: format!("{}, {}", things(messages, "message"), bytes(size)),
        rows,
        pending,
    };
    html(200, &page)
}

pub async fn change(here: &Here<'_>) -> Result<Answer> {
    let (users, to) = asked(here.request.forms("user"), here.request.form("to"))?;
    let started: Vec<Started> = here.means.act(AdminCall::AccountsMove { users, to: to.clone() }).await?;
    let begun: Vec<i64> = started.iter().filter_map(|one| one.id).collect();
    let refused = started.len() - begun.len();
    let lines = started.iter().filter_map(|one| {
        let error = one.error.as_ref()?;
        Some(NoteLine { passed: Some(false), name: one.user.clone(), text: error.one_line() })
    });
    let title = match (begun.len(), refused) {
        (begun, 0) => format!("{} begun.", things(begun as u64, "move")),
        (0, _) => "No move was begun.".to_owned(),
        (begun, refused) => format!("{} begun, {} refused.", things(begun as u64, "move"), count(refused as u64)),
    };
    let note = PageNote { good: refused == 0, title, lines: lines.collect() };
    match begun.as_slice() {
        [id] if refused == 0 => here.see(&[("page", "move"), ("id", &id.to_string())], note).await,
        _ => here.see(&[("page", "moves")], note).await,
    }
}
