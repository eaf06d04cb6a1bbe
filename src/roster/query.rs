//! A page of accounts: pure, from the roster and what is around it.

use super::Known;
use crate::wire::{AccountPage, AccountQuery, AccountRow, AccountSort, AccountState, AccountView, MAX_ROWS, Place};
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// What is known of accounts beside cPanel's lists.
#[derive(Debug)]
pub struct Around<'a> {
    /// User to the alias of the child that serves its mail.
    pub placed: &'a BTreeMap<String, String>,
    /// User to the number of the move under way.
    pub moving: BTreeMap<String, i64>,
    /// User to the number of things its child has not followed.
    pub remaining: BTreeMap<String, usize>,
}

impl Around<'_> {
    fn place(&self, account: &Known) -> Option<&str> {
        self.placed.get(&account.user).map(String::as_str)
    }
}

/// The page of `accounts` (sorted by user) that `query` asks for.
pub fn page(accounts: &[Known], around: &Around<'_>, query: &AccountQuery) -> AccountPage {
    let search = query.search.trim().to_lowercase();
    let mut found: Vec<&Known> = accounts
        .iter()
        .filter(|account| search.is_empty() || account.haystack.contains(&search))
        .filter(|account| match &query.place {
            Place::Any => true,
            Place::Local => around.place(account).is_none(),
            Place::Distributed => around.place(account).is_some(),
            Place::Child(alias) => around.place(account) == Some(alias),
        })
        .filter(|account| match query.state {
            AccountState::Any => true,
            AccountState::Moving => around.moving.contains_key(&account.user),
            AccountState::Suspended => account.suspended,
            AccountState::Remaining => around.remaining.contains_key(&account.user),
        })
        .collect();
    // Stable, and the accounts come by user: equals stay in the order of their names.
    match query.sort {
        AccountSort::User if query.descending => found.reverse(),
        AccountSort::User => {}
        AccountSort::Domain => found.sort_by(|a, b| turned(query, a.domain.cmp(&b.domain))),
        AccountSort::Owner => found.sort_by(|a, b| turned(query, a.owner.cmp(&b.owner))),
        AccountSort::Place => {
            // Looked up once for each account, not for each comparison.
            let mut placed: Vec<(Option<&str>, &Known)> = found.iter().map(|account| (around.place(account), *account)).collect();
            placed.sort_by(|(a, _), (b, _)| turned(query, a.cmp(b)));
            found = placed.into_iter().map(|(_, account)| account).collect();
        }
    }
    let limit = query.limit.clamp(1, MAX_ROWS);
    // A list that became shorter shows its last page, not an empty one.
    let offset = if query.offset < found.len() { query.offset } else { found.len().saturating_sub(1) / limit * limit };
    let rows = found.iter().skip(offset).take(limit).map(|account| AccountRow {
        account: AccountView {
            user: account.user.clone(),
            domain: account.domain.clone(),
            owner: account.owner.clone(),
            child: around.place(account).map(str::to_owned),
            running_move: around.moving.get(&account.user).copied(),
        },
        suspended: account.suspended,
        remainders: around.remaining.get(&account.user).copied().unwrap_or_default(),
    });
    AccountPage { total: accounts.len(), matched: found.len(), offset, rows: rows.collect() }
}

fn turned(query: &AccountQuery, order: Ordering) -> Ordering {
    if query.descending { order.reverse() } else { order }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(user: &str, owner: &str) -> Known {
        let domain = format!("{user}.example");
        Known {
            haystack: format!("{user}\n{domain}\n{owner}\nshop-of-{user}.example"),
            user: user.into(),
            owner: owner.into(),
            suspended: user == "carol",
            domain,
        }
    }

    fn users(page: &AccountPage) -> Vec<&str> {
        page.rows.iter().map(|row| row.account.user.as_str()).collect()
    }

    #[test]
    fn search_place_state_order_and_paging() {
        let accounts = [known("alice", "root"), known("bob", "zoe"), known("carol", "root"), known("dave", "zoe")];
        let placed = BTreeMap::from([("bob".to_owned(), "mail2".to_owned()), ("carol".to_owned(), "mail1".to_owned())]);
        let around = Around {
            placed: &placed,
            moving: BTreeMap::from([("dave".into(), 7)]),
            remaining: BTreeMap::from([("bob".into(), 2)]),
        };
        let all = AccountQuery { limit: 50, ..AccountQuery::default() };
        let ask = |query: AccountQuery| page(&accounts, &around, &query);
        let cases: [(AccountQuery, &[&str]); 12] = [
            (all.clone(), &["alice", "bob", "carol", "dave"]),
            (AccountQuery { descending: true, ..all.clone() }, &["dave", "carol", "bob", "alice"]),
            (AccountQuery { search: " ZOE ".into(), ..all.clone() }, &["bob", "dave"]),
            (AccountQuery { search: "shop-of-c".into(), ..all.clone() }, &["carol"]),
            (AccountQuery { place: Place::Local, ..all.clone() }, &["alice", "dave"]),
            (AccountQuery { place: Place::Distributed, ..all.clone() }, &["bob", "carol"]),
            (AccountQuery { place: Place::Child("mail1".into()), ..all.clone() }, &["carol"]),
            (AccountQuery { state: AccountState::Moving, ..all.clone() }, &["dave"]),
            (AccountQuery { state: AccountState::Suspended, ..all.clone() }, &["carol"]),
            (AccountQuery { state: AccountState::Remaining, ..all.clone() }, &["bob"]),
            (AccountQuery { sort: AccountSort::Place, ..all.clone() }, &["alice", "dave", "carol", "bob"]),
            (AccountQuery { sort: AccountSort::Owner, descending: true, ..all.clone() }, &["bob", "dave", "alice", "carol"]),
        ];
        for (query, expected) in cases {
            assert_eq!(users(&ask(query.clone())), expected, "{query:?}");
        }
        let second = ask(AccountQuery { offset: 3, limit: 3, ..all.clone() });
        assert_eq!((users(&second), second.matched, second.total, second.offset), (vec!["dave"], 4, 4, 3));
        let beyond = ask(AccountQuery { offset: 90, limit: 3, ..all.clone() });
        assert_eq!((users(&beyond), beyond.offset), (vec!["dave"], 3), "the last page there is");
        let nothing = ask(AccountQuery { search: "x".repeat(10_000), offset: 10, ..all });
        assert_eq!((nothing.rows.len(), nothing.matched, nothing.offset), (0, 0, 0));
    }
}
