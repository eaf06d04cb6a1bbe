//! An account with both halves: where its mail is, where its names lead, what is behind.

use super::link::required;
use super::moves::Row as MoveRow;
use super::nodes::Row as NodeRow;
use super::{Frame, Here, error_note, html, said};
use crate::error::{Code, Error, Result};
use crate::ui::answer::Answer;
use crate::ui::form::address;
use crate::ui::format::{When, things};
use crate::wire::{AccountDetail, AdminCall, NodeView, NoteLine, PageCall, PageNote, SyncView};
use askama::Template;

/// After how many seconds a page whose names are being looked at comes again.
const AGAIN: u32 = 2;

#[derive(Template)]
#[template(path = "account.html")]
struct Account {
    frame: Frame,
    user: String,
    domain: String,
    others: Vec<String>,
    owner: String,
    suspended: bool,
    child: Option<NodeRow>,
    /// Where it could go: aliases, but for the one it is on.
    elsewhere: Vec<String>,
    retained: Vec<String>,
    names: Vec<Name>,
    certificates: Vec<Certificate>,
    looked: Option<When>,
    remainders: Vec<Remainder>,
    moves: Vec<MoveRow>,
    moving: Option<String>,
    here: String,
    force: String,
    all_moves: String,
}

struct Name {
    name: String,
    published: Option<String>,
    seen: Option<String>,
    wanted: String,
    right: bool,
}

struct Certificate {
    name: String,
    node: String,
    names: String,
    issuer: String,
    until: Option<When>,
    trouble: Option<String>,
}

struct Remainder {
    what: String,
    since: When,
    trouble: Option<String>,
    command: String,
}

pub async fn show(here: &Here<'_>) -> Result<Answer> {
    let user = required(here, "user")?.to_owned();
    let detail: AccountDetail = here.means.page(PageCall::Account { user }).await?;
    let nodes: Vec<NodeView> = here.means.ask(AdminCall::NodeList).await?;
    html(200, &view(here, detail, &nodes))
}

fn joined(values: &[String]) -> String {
    if values.is_empty() { "nothing".to_owned() } else { values.join(", ") }
}

fn view(here: &Here<'_>, detail: AccountDetail, nodes: &[NodeView]) -> Account {
    let now = here.now;
    let user = detail.account.user.clone();
    let mut frame = here.frame(user.clone(), "accounts");
    frame.refresh = detail.looked_ms.is_none().then_some(AGAIN);
    let names = detail.names.iter().map(|name| Name {
        published: name.published.as_deref().map(joined),
        seen: name.seen.as_deref().map(joined),
        wanted: joined(&name.wanted),
        right: name.right(),
        name: name.name.clone(),
    });
    let certificates = detail.certificates.into_iter().map(|one| Certificate {
        names: one.names.join(", "),
        node: crate::ui::format::place(&one.node).to_owned(),
        until: one.not_after.map(|at| When::seconds(at, now)),
        name: one.name,
        issuer: one.issuer,
        trouble: one.trouble,
    });
    let remainders = detail.remainders.into_iter().map(|one| Remainder {
        since: When::seconds(one.since, now),
        what: one.what,
        trouble: one.trouble,
        command: one.command,
    });
    let on = detail.account.child.clone().unwrap_or_default();
    Account {
        frame,
        others: detail.domains.into_iter().filter(|domain| *domain != detail.account.domain).collect(),
        domain: detail.account.domain,
        owner: detail.account.owner,
        suspended: detail.suspended,
        child: detail.child.as_ref().map(|node| NodeRow::of(node, now)),
        elsewhere: nodes.iter().map(|node| node.alias.clone()).filter(|alias| *alias != on).collect(),
        retained: detail.retained,
        names: names.collect(),
        certificates: certificates.collect(),
        looked: detail.looked_ms.map(|at| When::milliseconds(at, now)),
        remainders: remainders.collect(),
        moves: detail.moves.iter().map(|moving| MoveRow::of(moving, now)).collect(),
        moving: detail.account.running_move.map(|id| address(&[("page", "move"), ("id", &id.to_string())])),
        here: address(&[("page", "account"), ("user", &user)]),
        force: address(&[("page", "force"), ("alias", &on), ("user", &user)]),
        all_moves: address(&[("page", "moves"), ("user", &user)]),
        user,
    }
}

pub async fn change(here: &Here<'_>) -> Result<Answer> {
    let user = required(here, "user")?.to_owned();
    if here.request.form("do") != Some("sync") {
        return Err(Error::new(Code::Invalid, "There is no such action."));
    }
    let done: Result<SyncView> = here.means.act(AdminCall::AccountSync { user: user.clone() }).await;
    let note = match done {
        Ok(sync) => synced(sync),
        Err(error) => error_note("The halves were not made equal.", &error),
    };
    here.see(&[("page", "account"), ("user", &user)], note).await
}

fn synced(sync: SyncView) -> PageNote {
    let line = |passed: bool| move |text: &String| NoteLine { passed: Some(passed), name: String::new(), text: text.clone() };
    let lines = sync.changed.iter().map(line(true)).chain(sync.left.iter().map(line(false))).collect();
    let title = match (sync.changed.len() as u64, sync.left.len() as u64) {
        (0, 0) => "Both halves are equal; there was nothing to do.".to_owned(),
        (changed, 0) => format!("Both halves are equal now: {} changed.", things(changed, "thing")),
        (_, left) => format!(
            "{} still different.",
            if left == 1 { "1 thing is".to_owned() } else { format!("{} are", things(left, "thing")) }
        ),
    };
    PageNote { lines, ..said(sync.left.is_empty(), title) }
}
