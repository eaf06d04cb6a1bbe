//! An account with both halves: where its mail is, where its names lead, what is behind.

use super::link::required;
use super::moves::Row as MoveRow;
use super::nodes::Row as NodeRow;
use super::{Frame, Here, error_note, html, said};
use crate::error::{Code, Error, Result};
use crate::ui::answer::Answer;
use crate::ui::form::address;
use crate::ui::format::{When, bytes, things};
use crate::wire::{AccountDetail, AccountRecord, AdminCall, MailboxLoss, NodeView, NoteLine, PageCall, PageNote, SyncView};
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
    /// When this server's copy of the mail settings was last equal to the child's.
    mirrored: Option<When>,
    mirror_trouble: Option<String>,
    counted: Option<When>,
    mailboxes: Vec<(String, String)>,
    forced: Vec<Forced>,
}

/// A dedistribution by force in the past.
struct Forced {
    alias: String,
    at: When,
    done: bool,
    as_of: Option<When>,
    lost: Vec<(String, String)>,
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
    let record: AccountRecord = here.means.ask(AdminCall::AccountShow { user: detail.account.user.clone() }).await?;
    html(200, &view(here, detail, record, &nodes))
}

fn joined(values: &[String]) -> String {
    if values.is_empty() { "nothing".to_owned() } else { values.join(", ") }
}

fn view(here: &Here<'_>, detail: AccountDetail, record: AccountRecord, nodes: &[NodeView]) -> Account {
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
        mirrored: record.mirrored_at.map(|at| When::seconds(at, now)),
        mirror_trouble: record.mirror_trouble,
        counted: record.counted_at.map(|at| When::seconds(at, now)),
        mailboxes: mailboxes(record.mailboxes),
        forced: record
            .forced
            .into_iter()
            .map(|one| Forced {
                at: When::seconds(one.at, now),
                as_of: one.loss.as_of.map(|at| When::seconds(at, now)),
                lost: mailboxes(one.loss.mailboxes),
                alias: one.alias,
                done: one.done,
            })
            .collect(),
    }
}

/// Mailboxes, and what they held when they were last counted.
pub fn mailboxes(counted: Vec<MailboxLoss>) -> Vec<(String, String)> {
    let text = |one: MailboxLoss| {
        let messages = one.messages.map_or("messages not known".to_owned(), |messages| things(messages, "message"));
        let size = one.bytes.map(|size| format!(", {}", bytes(size))).unwrap_or_default();
        (one.mailbox, format!("{messages}{size}"))
    };
    counted.into_iter().map(text).collect()
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
