//! Force dedistribute: what will be lost, as of when, and a confirmation that has to be typed.

use super::{Frame, Here, html, said};
use crate::error::{Code, Error, Result};
use crate::ui::answer::Answer;
use crate::ui::format::{When, bytes, count, things};
use crate::wire::{AdminCall, Forced, LossView, MAX_ROWS, NodeView, NoteLine, PageNote};
use askama::Template;

#[derive(Template)]
#[template(path = "force.html")]
struct Force {
    frame: Frame,
    node: super::nodes::Row,
    rows: Vec<Row>,
    total: String,
    can: usize,
    wrong: Option<PageNote>,
}

struct Row {
    user: String,
    as_of: Option<When>,
    mailboxes: Vec<(String, String)>,
    kept: Vec<String>,
    refusals: Vec<String>,
}

impl Row {
    fn of(loss: LossView, now: i64) -> Self {
        Self {
            mailboxes: super::account::mailboxes(loss.mailboxes),
            user: loss.user,
            as_of: loss.as_of.map(|at| When::seconds(at, now)),
            kept: loss.kept,
            refusals: loss.refusals,
        }
    }
}

fn asked(alias: Option<&str>, users: Vec<String>) -> Result<(String, Vec<String>)> {
    let alias = alias.unwrap_or_default().trim().to_owned();
    crate::rules::names::alias(&alias)?;
    if users.is_empty() || users.len() > MAX_ROWS {
        return Err(Error::new(Code::Invalid, format!("Select between 1 and {MAX_ROWS} accounts of “{alias}”."))
            .hint("Go back and select."));
    }
    Ok((alias, users))
}

pub async fn show(here: &Here<'_>) -> Result<Answer> {
    let (alias, users) = asked(here.request.query("alias"), here.request.queries("user"))?;
    page(here, 200, alias, users, None).await
}

async fn page(here: &Here<'_>, status: u16, alias: String, users: Vec<String>, wrong: Option<PageNote>) -> Result<Answer> {
    let node: NodeView = here.means.ask(AdminCall::NodeShow { alias: alias.clone() }).await?;
    let losses: Vec<LossView> = here.means.ask(AdminCall::AccountForcePlan { alias, users }).await?;
    let total = total(&losses);
    let rows: Vec<Row> = losses.into_iter().map(|loss| Row::of(loss, here.now)).collect();
    let can = rows.iter().filter(|row| row.refusals.is_empty()).count();
    let node = super::nodes::Row::of(&node, here.now);
    html(status, &Force { frame: here.frame("Force dedistribute", "accounts"), node, rows, total, can, wrong })
}

/// What is lost in all, as far as it is known.
fn total(losses: &[LossView]) -> String {
    let lost = || losses.iter().filter(|loss| loss.refusals.is_empty());
    let counted: Vec<_> = lost().flat_map(|loss| &loss.mailboxes).collect();
    let uncounted = lost().any(|loss| loss.mailboxes.is_empty()) || counted.iter().any(|one| one.messages.is_none());
    if counted.is_empty() {
        return "not known; it was never counted".to_owned();
    }
    let messages = counted.iter().filter_map(|one| one.messages).fold(0, u64::saturating_add);
    let size = counted.iter().filter_map(|one| one.bytes).fold(0, u64::saturating_add);
    format!("{}, {}{}", things(messages, "message"), bytes(size), if uncounted { ", and what was never counted" } else { "" })
}

pub async fn change(here: &Here<'_>) -> Result<Answer> {
    let (alias, users) = asked(here.request.form("alias"), here.request.forms("user"))?;
    if here.request.form("confirm").map(str::trim) != Some(alias.as_str()) {
        let wrong = said(false, format!("Nothing was changed: type the friendly name, {alias}, to confirm."));
        return page(here, 422, alias, users, Some(wrong)).await;
    }
    let forced: Vec<Forced> = here.means.act(AdminCall::AccountForce { alias: alias.clone(), users }).await?;
    let failed = forced.iter().filter(|one| one.error.is_some()).count();
    let lines = forced.iter().map(|one| match &one.error {
        Some(error) => NoteLine { passed: Some(false), name: one.user.clone(), text: error.one_line() },
        None => {
            let messages = one.loss.mailboxes.iter().filter_map(|mailbox| mailbox.messages).sum();
            let text = format!("works on this server; {} lost, as last known", things(messages, "message"));
            NoteLine { passed: Some(true), name: one.user.clone(), text }
        }
    });
    let done = forced.len() - failed;
    let title = match failed {
        0 => format!("{} no longer on “{alias}”.", are(done)),
        _ => format!("{} no longer on “{alias}”, {} still there.", are(done), count(failed as u64)),
    };
    let note = PageNote { good: failed == 0, title, lines: lines.collect() };
    here.see(&[("page", "accounts"), ("on", &alias)], note).await
}

fn are(number: usize) -> String {
    format!("{} {}", things(number as u64, "account"), if number == 1 { "is" } else { "are" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::MailboxLoss;

    #[test]
    fn what_was_never_counted_is_not_nothing() {
        let counted = |messages| MailboxLoss { mailbox: "a@b.test".into(), messages, bytes: messages };
        let loss = |mailboxes| LossView { user: "a".into(), mailboxes, ..LossView::default() };
        assert_eq!(total(&[loss(vec![])]), "not known; it was never counted");
        assert_eq!(total(&[loss(vec![counted(Some(2))])]), "2 messages, 2 B");
        assert_eq!(total(&[loss(vec![counted(Some(2))]), loss(vec![])]), "2 messages, 2 B, and what was never counted");
        assert_eq!(total(&[loss(vec![counted(Some(1)), counted(None)])]), "1 message, 1 B, and what was never counted");
        let refused = LossView { refusals: vec!["x".into()], ..loss(vec![counted(Some(9))]) };
        assert_eq!(total(&[refused, loss(vec![counted(Some(1))])]), "1 message, 1 B");
    }
}
