//! `Email`: filters of a mailbox (`~/etc/DOMAIN/LOCAL/filter`, run by Exim as the account's user) and of the account (`/etc/vfilters/DOMAIN`
//! for each of its domains). Beside Exim's text stands YAML, `filter.yaml`, from which they are read back.

mod text;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::call::{Failure, Outcome, Reply};
use crate::machine::files;
use crate::uapi::Context;
use crate::uapi::home::Home;
use crate::uapi::mailboxes::{Address, Mailboxes};

/// Rules and actions a filter may have, as documented.
const MOST_RULES: usize = 4096;

/// The account's own filters, below its home directory.
const ACCOUNT_YAML: &str = ".cpanel/filter.yaml";

/// One condition.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// What is looked at: `$header_subject:`, `$message_body` …
    pub part: String,
    /// How: `contains`, `is above` … Empty for parts that are conditions themselves.
    #[serde(rename = "match", default)]
    pub matching: String,
    /// What for.
    #[serde(default)]
    pub val: String,
    /// `and` or `or`: what joins it to the next one; none after the last.
    #[serde(default)]
    pub opt: Option<String>,
}

/// One thing to do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action {
    /// `deliver`, `fail`, `finish`, `save`, `pipe`.
    pub action: String,
    /// Where to.
    #[serde(default)]
    pub dest: Option<String>,
}

/// One filter.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter {
    /// Its name, unique in its place.
    pub filtername: String,
    /// 1 or 0.
    pub enabled: u8,
    /// The conditions.
    pub rules: Vec<Rule>,
    /// What is done when they hold.
    pub actions: Vec<Action>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Stored {
    version: String,
    filter: Vec<Filter>,
}

/// Whose filters.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Account,
    Mailbox(Address),
}

impl Place {
    /// From `account` (or `key`): a mailbox's address; the user's own name or nothing is the account.
    fn from_args(cx: &Context<'_>, key: &str) -> Result<Self, Failure> {
        match cx.args.get(key).filter(|value| !value.is_empty()) {
            None => Ok(Self::Account),
            Some(user) if user == cx.account.user => Ok(Self::Account),
            Some(address) => {
                let address = Address::parse(cx.account, address)?;
                Mailboxes::open(cx.machine, cx.account)?.need(&address)?;
                Ok(Self::Mailbox(address))
            }
        }
    }

    fn yaml(&self) -> String {
        match self {
            Self::Account => ACCOUNT_YAML.to_owned(),
            Self::Mailbox(address) => format!("{}/filter.yaml", address.config_dir()),
        }
    }

    /// The Maildir that folder names are relative to.
    fn maildir(&self, home: &str) -> String {
        match self {
            Self::Account => format!("{home}/mail"),
            Self::Mailbox(address) => format!("{home}/{}", address.maildir()),
        }
    }
}

fn load(home: &Home, place: &Place) -> Result<Vec<Filter>, Failure> {
    let text = home.text(&place.yaml())?;
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    let stored: Stored =
        serde_yaml_ng::from_str(&text).map_err(|error| Failure::new(format!("“{}” is damaged: {error}", place.yaml())))?;
    Ok(stored.filter)
}

/// Writes Exim's text first: what is read back is never ahead of what runs.
fn save(cx: &Context<'_>, home: &Home, place: &Place, filters: Vec<Filter>) -> Result<(), Failure> {
    let scope = text::Scope {
        home: &cx.account.home,
        maildir: place.maildir(&cx.account.home),
        pipes: cx.machine.role_enabled("FileStorage") == Some(true),
    };
    let exim = text::exim(&filters, &scope)?;
    let group = Some(cx.account.mail_gid);
    match place {
        Place::Account => {
            for domain in &cx.account.domains {
                let path = cx.machine.path(&format!("/etc/vfilters/{domain}"));
                files::replace(&path, exim.as_bytes(), 0o640)?;
                std::os::unix::fs::lchown(&path, Some(cx.account.uid), group)?;
            }
            home.make_dir(".cpanel", 0o700, None)?;
        }
        Place::Mailbox(address) => {
            home.make_dir(&address.config_dir(), 0o750, group)?;
            let path = format!("{}/filter", address.config_dir());
            home.write(&path, exim.as_bytes(), 0o640, group)?;
        }
    }
    let stored = Stored { version: "2.2".to_owned(), filter: filters };
    let yaml = serde_yaml_ng::to_string(&stored).map_err(|error| Failure::new(error.to_string()))?;
    home.write(&place.yaml(), yaml.as_bytes(), 0o640, group)?;
    Ok(())
}

/// The numbers N for which an argument `prefixN` is given, in order.
fn numbers(cx: &Context<'_>, prefix: &str) -> Vec<u32> {
    let mut found: Vec<u32> = cx.args.0.iter().filter_map(|(key, _)| key.strip_prefix(prefix)?.parse().ok()).collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// `store_filter`: makes a filter, or replaces (and perhaps renames) one.
pub fn store(cx: &Context<'_>) -> Reply {
    let place = Place::from_args(cx, "account")?;
    let name = cx.args.need("filtername")?;
    if name.len() > 250 || name.chars().any(char::is_control) {
        return Err(Failure::new(format!("“{name}” is not a valid filter name.")));
    }
    let numbered =
        |name: &str, number: u32| cx.args.get(&format!("{name}{number}")).map(str::to_owned).filter(|value| !value.is_empty());
    let mut rules: Vec<Rule> = numbers(cx, "part")
        .into_iter()
        .map(|n| Rule {
            part: numbered("part", n).unwrap_or_default(),
            matching: numbered("match", n).unwrap_or_default(),
            val: numbered("val", n).unwrap_or_default(),
            opt: Some(numbered("opt", n).filter(|opt| opt != "null").unwrap_or_else(|| "and".into())),
        })
        .collect();
    if let Some(last) = rules.last_mut() {
        last.opt = None;
    }
    let actions: Vec<Action> = numbers(cx, "action")
        .into_iter()
        .map(|n| Action { action: numbered("action", n).unwrap_or_default(), dest: numbered("dest", n) })
        .collect();
    if rules.is_empty() || actions.is_empty() {
        return Err(Failure::new("A filter needs at least one rule and one action."));
    }
    if rules.len() > MOST_RULES || actions.len() > MOST_RULES {
        return Err(Failure::new(format!("A filter has at most {MOST_RULES} rules.")));
    }
    let home = cx.account.open_home(cx.machine)?;
    let mut filters = load(&home, &place)?;
    let old = cx.args.get("oldfiltername").filter(|old| !old.is_empty());
    let at = filters.iter().position(|filter| filter.filtername == old.unwrap_or(name));
    if old.is_some_and(|old| old != name) && filters.iter().any(|filter| filter.filtername == name) {
        return Err(Failure::new(format!("A filter named “{name}” already exists.")));
    }
    let filter = Filter { filtername: name.to_owned(), enabled: at.map_or(1, |at| filters[at].enabled), rules, actions };
    match (at, old) {
        (Some(at), _) => filters[at] = filter,
        (None, Some(old)) => return Err(absent(old)),
        (None, None) => filters.push(filter),
    }
    save(cx, &home, &place, filters)?;
    Ok(match place {
        Place::Account => json!({}).into(),
        Place::Mailbox(address) => json!({"account": address.to_string()}).into(),
    })
}

fn absent(name: &str) -> Failure {
    Failure::new(format!("You do not have a filter named “{name}”."))
}

/// The filter's conditions and actions; numbered from 1 where the function's reply has numbers.
fn described(filter: &Filter, numbered: bool) -> (Value, Value) {
    let number = |object: Value, at: usize| {
        let mut object = object;
        if let (true, Value::Object(map)) = (numbered, &mut object) {
            map.insert("number".into(), json!(at + 1));
        }
        object
    };
    let rules = filter.rules.iter().enumerate().map(|(at, rule)| {
        let rule = json!({"match": rule.matching, "opt": rule.opt, "part": rule.part, "val": rule.val});
        number(rule, at)
    });
    let actions =
        filter.actions.iter().enumerate().map(|(at, action)| number(json!({"action": action.action, "dest": action.dest}), at));
    (rules.collect(), actions.collect())
}

/// `get_filter`.
pub fn get(cx: &Context<'_>) -> Reply {
    cx.args.need("account")?;
    let place = Place::from_args(cx, "account")?;
    let name = cx.args.need("filtername")?;
    let home = cx.account.open_home(cx.machine)?;
    let filters = load(&home, &place)?;
    let filter = filters.iter().find(|filter| filter.filtername == name).ok_or_else(|| absent(name))?;
    let (rules, actions) = described(filter, true);
    Ok(json!({
        "actions": actions,
        "filtername": filter.filtername,
        "metadata": {"transformed": 1},
        "rules": rules,
    })
    .into())
}

/// `list_filters`.
pub fn list(cx: &Context<'_>) -> Reply {
    let place = Place::from_args(cx, "account")?;
    let home = cx.account.open_home(cx.machine)?;
    let list = load(&home, &place)?
        .iter()
        .map(|filter| {
            let (rules, actions) = described(filter, false);
            json!({
                "actions": actions,
                "enabled": filter.enabled,
                "filtername": filter.filtername,
                "rules": rules,
                "unescaped": true,
            })
        })
        .collect();
    Ok(Value::Array(list).into())
}

/// `count_filters`: the account's own and those of every mailbox.
pub fn count(cx: &Context<'_>) -> Reply {
    let boxes = Mailboxes::open(cx.machine, cx.account)?;
    let mut count = load(&boxes.home, &Place::Account)?.len();
    for address in boxes.all()? {
        count += load(&boxes.home, &Place::Mailbox(address))?.len();
    }
    Ok(json!(count).into())
}

/// `delete_filter`.
pub fn delete(cx: &Context<'_>) -> Reply {
    cx.args.need("account")?;
    let place = Place::from_args(cx, "account")?;
    let name = cx.args.need("filtername")?;
    let home = cx.account.open_home(cx.machine)?;
    let mut filters = load(&home, &place)?;
    let before = filters.len();
    filters.retain(|filter| filter.filtername != name);
    if filters.len() == before {
        return Err(absent(name));
    }
    save(cx, &home, &place, filters)?;
    Ok(Value::Null.into())
}

/// `enable_filter`.
pub fn enable(cx: &Context<'_>) -> Reply {
    switch(cx, 1)
}

/// `disable_filter`.
pub fn disable(cx: &Context<'_>) -> Reply {
    switch(cx, 0)
}

fn switch(cx: &Context<'_>, enabled: u8) -> Reply {
    cx.args.need("account")?;
    let place = Place::from_args(cx, "account")?;
    let name = cx.args.need("filtername")?;
    let home = cx.account.open_home(cx.machine)?;
    let mut filters = load(&home, &place)?;
    let filter = filters.iter_mut().find(|filter| filter.filtername == name).ok_or_else(|| absent(name))?;
    let updated = filter.enabled != enabled;
    filter.enabled = enabled;
    if updated {
        save(cx, &home, &place, filters)?;
    }
    Ok(json!({"filtername": name, "updated": u8::from(updated)}).into())
}

/// `reorder_filters`: those named `filter1`, `filter2` … come first, in that order.
pub fn reorder(cx: &Context<'_>) -> Reply {
    cx.args.need("mailbox")?;
    let place = Place::from_args(cx, "mailbox")?;
    let home = cx.account.open_home(cx.machine)?;
    let mut left = load(&home, &place)?;
    let mut ordered = Vec::new();
    for number in numbers(cx, "filter") {
        let name = cx.args.get(&format!("filter{number}")).unwrap_or_default();
        let at = left.iter().position(|filter| filter.filtername == name).ok_or_else(|| absent(name))?;
        ordered.push(left.remove(at));
    }
    ordered.append(&mut left);
    save(cx, &home, &place, ordered)?;
    Ok(Outcome::from(Value::Object(Map::new())))
}
