//! Distributed Accounts: of a child, and of all; searched, sorted, selected.

use super::{Frame, Here, html};
use crate::error::Result;
use crate::rules::names::LOCAL;
use crate::ui::answer::Answer;
use crate::ui::form::{self, CHILDREN, ROWS_OFFERED, SORTS, STATES, accounts_address, address};
use crate::ui::format::{count, things};
use crate::wire::{AccountPage, AccountQuery, AccountRow, AdminCall, NodeView, PageCall, Place};
use askama::Template;

#[derive(Template)]
#[template(path = "accounts.html")]
struct Accounts {
    frame: Frame,
    query: AccountQuery,
    places: Vec<Choice>,
    states: Vec<Choice>,
    sizes: Vec<Choice>,
    headings: Vec<Heading>,
    rows: Vec<Row>,
    summary: String,
    total: usize,
    filtered: bool,
    aliases: Vec<String>,
    /// The child of which all rows are.
    child: Option<String>,
    previous: Option<String>,
    next: Option<String>,
    pages: String,
}

/// One of several that can be chosen.
pub struct Choice {
    pub value: String,
    pub label: String,
    pub chosen: bool,
}

struct Heading {
    label: &'static str,
    /// `ascending`, `descending`, or nothing.
    order: Option<&'static str>,
    address: String,
}

struct Row {
    user: String,
    domain: String,
    owner: String,
    child: Option<String>,
    moving: Option<i64>,
    suspended: bool,
    remainders: Option<String>,
    page: String,
    move_page: String,
}

impl Row {
    fn of(row: AccountRow) -> Self {
        let id = row.account.running_move.map(|id| id.to_string()).unwrap_or_default();
        Self {
            page: address(&[("page", "account"), ("user", &row.account.user)]),
            move_page: address(&[("page", "move"), ("id", &id)]),
            user: row.account.user,
            domain: row.account.domain,
            owner: row.account.owner,
            child: row.account.child,
            moving: row.account.running_move,
            suspended: row.suspended,
            remainders: (row.remainders > 0).then(|| things(row.remainders as u64, "thing")),
        }
    }
}

pub async fn show(here: &Here<'_>) -> Result<Answer> {
    let mut query = form::accounts(here.request);
    let page: AccountPage = here.means.page(PageCall::Accounts(query.clone())).await?;
    let nodes: Vec<NodeView> = here.means.ask(AdminCall::NodeList).await?;
    query.offset = page.offset;
    html(200, &view(here.frame("Distributed Accounts", "accounts"), &query, page, &nodes))
}

fn view(frame: Frame, query: &AccountQuery, page: AccountPage, nodes: &[NodeView]) -> Accounts {
    let aliases: Vec<String> = nodes.iter().map(|node| node.alias.clone()).collect();
    let at = |offset: usize| accounts_address(&AccountQuery { offset, ..query.clone() });
    let last = page.offset + page.rows.len();
    let summary = match (page.matched, page.total) {
        (0, 0) => "This server has no accounts.".to_owned(),
        (0, _) => "No account fits.".to_owned(),
        (matched, total) if matched == total => {
            format!("{}–{} of {}", count(page.offset as u64 + 1), count(last as u64), things(total as u64, "account"))
        }
        (matched, total) => {
            format!(
                "{}–{} of {} that fit, of {}",
                count(page.offset as u64 + 1),
                count(last as u64),
                count(matched as u64),
                things(total as u64, "account")
            )
        }
    };
    Accounts {
        places: places(query, &aliases),
        states: STATES
            .iter()
            .map(|(state, word, label)| Choice { value: (*word).into(), label: (*label).into(), chosen: *state == query.state })
            .collect(),
        sizes: ROWS_OFFERED
            .iter()
            .map(|rows| Choice { value: rows.to_string(), label: format!("{rows} rows"), chosen: *rows == query.limit })
            .collect(),
        headings: SORTS
            .iter()
            .map(|(sort, _, label)| {
                let ours = *sort == query.sort;
                let address = accounts_address(&AccountQuery {
                    sort: *sort,
                    descending: ours && !query.descending,
                    offset: 0,
                    ..query.clone()
                });
                let order = ours.then_some(if query.descending { "descending" } else { "ascending" });
                Heading { label, order, address }
            })
            .collect(),
        filtered: *query
            != AccountQuery {
                sort: query.sort,
                descending: query.descending,
                offset: query.offset,
                limit: query.limit,
                ..AccountQuery::default()
            },
        child: if let Place::Child(alias) = &query.place { Some(alias.clone()) } else { None },
        previous: (page.offset > 0).then(|| at(page.offset.saturating_sub(query.limit))),
        next: (last < page.matched).then(|| at(last)),
        pages: format!("Page {} of {}", page.offset / query.limit + 1, page.matched.div_ceil(query.limit).max(1)),
        total: page.total,
        rows: page.rows.into_iter().map(Row::of).collect(),
        query: query.clone(),
        frame,
        summary,
        aliases,
    }
}

fn places(query: &AccountQuery, aliases: &[String]) -> Vec<Choice> {
    let mut places = vec![
        Choice { value: String::new(), label: "Mail anywhere".into(), chosen: query.place == Place::Any },
        Choice { value: LOCAL.into(), label: "Mail on this server".into(), chosen: query.place == Place::Local },
        Choice { value: CHILDREN.into(), label: "Mail on any child".into(), chosen: query.place == Place::Distributed },
    ];
    places.extend(aliases.iter().map(|alias| Choice {
        value: alias.clone(),
        label: format!("Mail on {alias}"),
        chosen: query.place == Place::Child(alias.clone()),
    }));
    places
}
