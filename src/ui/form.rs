//! What addresses and forms say, and addresses that say it again.

use super::request::Request;
use crate::rules::names::LOCAL;
use crate::wire::{AccountQuery, AccountSort, AccountState, Destination, Place};

/// Stands for “on any child” where an alias may stand. Aliases cannot hold a dot.
pub const CHILDREN: &str = ".children";
/// Rows on a page of accounts, when nobody says.
pub const ROWS: usize = 50;
/// What a page of accounts may hold.
pub const ROWS_OFFERED: [usize; 3] = [25, 50, 100];

/// The address of a page, relative to the one that is shown.
pub fn address(fields: &[(&str, &str)]) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in fields.iter().filter(|(_, value)| !value.is_empty()) {
        query.append_pair(name, value);
    }
    format!("index.cgi?{}", query.finish())
}

/// Where the mail is to go, from a form's word.
pub fn destination(word: &str) -> Option<Destination> {
    match word {
        LOCAL => Some(Destination::Local),
        alias if crate::rules::names::alias(alias).is_ok() => Some(Destination::Child(alias.to_owned())),
        _ => None,
    }
}

/// The form's word for it.
pub fn word(to: &Destination) -> &str {
    match to {
        Destination::Local => LOCAL,
        Destination::Child(alias) => alias,
    }
}

/// A whole number of the address; what is none is 0.
pub fn number(request: &Request, name: &str) -> usize {
    request.query(name).and_then(|text| text.parse().ok()).unwrap_or_default()
}

/// Which accounts an address asks for. What makes no sense is as if it was not said.
pub fn accounts(request: &Request) -> AccountQuery {
    let rows = number(request, "rows");
    AccountQuery {
        search: request.query("q").unwrap_or_default().chars().take(200).collect(),
        place: match request.query("on").unwrap_or_default() {
            "" => Place::Any,
            LOCAL => Place::Local,
            CHILDREN => Place::Distributed,
            alias => Place::Child(alias.to_owned()),
        },
        state: STATES
            .iter()
            .find(|(_, word, _)| Some(*word) == request.query("state"))
            .map(|(state, ..)| *state)
            .unwrap_or_default(),
        sort: SORTS.iter().find(|(_, word, _)| Some(*word) == request.query("sort")).map(|(sort, ..)| *sort).unwrap_or_default(),
        descending: request.query("dir") == Some("desc"),
        offset: number(request, "from"),
        limit: if ROWS_OFFERED.contains(&rows) { rows } else { ROWS },
    }
}

/// States, their words in an address, and for people.
pub const STATES: [(AccountState, &str, &str); 4] = [
    (AccountState::Any, "", "Any state"),
    (AccountState::Moving, "moving", "Being moved"),
    (AccountState::Suspended, "suspended", "Suspended"),
    (AccountState::Remaining, "remaining", "Child has to follow"),
];

/// Orders, their words in an address, and for people.
pub const SORTS: [(AccountSort, &str, &str); 4] = [
    (AccountSort::User, "user", "User"),
    (AccountSort::Domain, "domain", "Domain"),
    (AccountSort::Owner, "owner", "Owner"),
    (AccountSort::Place, "place", "Mail on"),
];

/// The address of a page of accounts.
pub fn accounts_address(query: &AccountQuery) -> String {
    let on = match &query.place {
        Place::Any => "",
        Place::Local => LOCAL,
        Place::Distributed => CHILDREN,
        Place::Child(alias) => alias,
    };
    let state = STATES.iter().find(|(state, ..)| *state == query.state).map_or("", |(_, word, _)| word);
    let sort = SORTS.iter().find(|(sort, ..)| *sort == query.sort).map_or("", |(_, word, _)| word);
    let offset = if query.offset == 0 { String::new() } else { query.offset.to_string() };
    let rows = if query.limit == ROWS { String::new() } else { query.limit.to_string() };
    address(&[
        ("page", "accounts"),
        ("q", &query.search),
        ("on", on),
        ("state", state),
        ("sort", if sort == "user" { "" } else { sort }),
        ("dir", if query.descending { "desc" } else { "" }),
        ("from", &offset),
        ("rows", &rows),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsString;

    #[test]
    fn an_address_says_what_was_asked() {
        for query in [
            "page=accounts",
            "page=accounts&q=a%26b+%3C%2F&on=.children&state=moving&sort=place&dir=desc&from=100&rows=25",
            "page=accounts&on=any&sort=owner",
        ] {
            let environment = |name: &str| match name {
                "REQUEST_METHOD" => Some(OsString::from("GET")),
                "QUERY_STRING" => Some(OsString::from(query)),
                _ => None,
            };
            let request = Request::read(environment, b"").map_err(|answer| answer.status).unwrap();
            assert_eq!(accounts_address(&accounts(&request)), format!("index.cgi?{query}"));
        }
        assert_eq!(destination(".local"), Some(Destination::Local));
        assert_eq!(destination("mail1"), Some(Destination::Child("mail1".into())));
        assert_eq!(destination("../x"), None);
    }
}
