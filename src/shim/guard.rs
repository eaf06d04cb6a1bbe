//! What a child refuses. Pure: a request understood, a routing snapshot, and whether the call is the parent's own.

use super::normalise::{Command, Kind, Target};
use super::params::base_name;
use crate::rules::profile::{self, Dependants};
use crate::rules::verdict;
use crate::wire::Params;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// What the guard knows of this child.
#[derive(Debug, Clone, Copy)]
pub struct Ground<'a> {
    /// The parent's hostname.
    pub parent: &'a str,
    /// The accounts served for the parent, with their domains.
    pub served: &'a BTreeMap<String, Vec<String>>,
}

impl Ground<'_> {
    /// Why a cPanel API call, sign-in or page is refused on any child.
    pub fn cpanel(&self) -> String {
        format!("This server serves mail for “{0}”. Sign in to cPanel and call cPanel APIs on “{0}”.", self.parent)
    }

    /// Why this call is refused; `None` lets it through to cpsrvd. `signed_by`: the accounts that its
    /// credentials claim to be of.
    ///
    /// The caller has made sure that the call is not the parent's own, and that it came to a WHM port.
    pub fn refuses(&self, target: &Target, signed_by: &[String]) -> Option<String> {
        if let Some(reason) = self.refuses_caller(signed_by) {
            return Some(reason);
        }
        match &target.kind {
            Kind::Login => {
                let named =
                    self.named(&target.params, &target.also, |name| matches!(name, "user" | "username" | "login" | "session"))?;
                Some(format!("“{named}” is managed on “{0}”. Sign in on “{0}”.", self.parent))
            }
            Kind::AgentChannel => None,
            Kind::Page(path) => self.page(path, target),
            kind => {
                if target.odd && self.judged(kind) {
                    return Some(format!(
                        "This call holds text that is not UTF-8 and cannot be judged. Call it on “{}”.",
                        self.parent
                    ));
                }
                self.call(kind, &target.params, &target.also)
            }
        }
    }

    /// Why a caller who claims to be one of these accounts is refused on a WHM port (F2.6): a distributed reseller has no rights here.
    pub fn refuses_caller(&self, signed_by: &[String]) -> Option<String> {
        let user = signed_by.iter().find(|user| self.names_served(user))?;
        Some(format!("“{user}” is managed on “{0}”. Sign in on “{0}”.", self.parent))
    }

    /// Pages of WHM that act on accounts, and the way from WHM into an account's cPanel.
    fn page(&self, path: &str, target: &Target) -> Option<String> {
        if !judges_page(path) {
            return None;
        }
        if first_segment(path).starts_with("xfercpanel") {
            return Some(self.cpanel());
        }
        let in_path = path.split('/').find(|segment| self.names_served(segment)).map(ToOwned::to_owned);
        let defaults = verdict::naming("");
        let named = in_path.or_else(|| self.named(&target.params, &target.also, |name| listed(defaults, name)))?;
        Some(format!("“{named}” is managed on “{0}”. Do this on “{0}”.", self.parent))
    }

    /// Whether a call of this kind is decided by its arguments.
    fn judged(&self, kind: &Kind) -> bool {
        match kind {
            Kind::Whm { function, .. } => !self.served.is_empty() || function == "create_user_session",
            _ => true,
        }
    }

    fn call(&self, kind: &Kind, params: &Params, also: &Params) -> Option<String> {
        match kind {
            Kind::Cpanel { .. } | Kind::UapiCpanel { .. } | Kind::Uapi { .. } => Some(self.cpanel()),
            Kind::Batch { commands, hidden, .. } => commands.iter().chain(hidden).find_map(|command| self.command(command)),
            Kind::Whm { function, .. } => self.whm(function, params, also),
            Kind::Login | Kind::AgentChannel | Kind::Page(_) => None,
        }
    }

    fn command(&self, command: &Command) -> Option<String> {
        self.call(&command.kind, &command.params, &command.also)
    }

    fn whm(&self, function: &str, params: &Params, also: &Params) -> Option<String> {
        if verdict::makes_links(function) {
            return Some(format!("This server is a child of “{}”. A child cannot link children.", self.parent));
        }
        if function == "start_profile_activation" {
            let dependants =
                Dependants { parent: Some(self.parent.to_owned()), served: self.served.len(), ..Dependants::default() };
            let codes = params.iter().chain(also).filter(|(name, _)| name.eq_ignore_ascii_case("code"));
            return codes.filter_map(|(_, code)| profile::refusal(code, &dependants)).next();
        }
        if function == "create_user_session" {
            let all = params.iter().chain(also).filter(|(name, _)| name.eq_ignore_ascii_case("service"));
            let services: BTreeSet<&str> = all.map(|(_, service)| service.as_str()).collect();
            match services.into_iter().collect::<Vec<_>>().as_slice() {
                ["webmaild"] => return None,
                ["whostmgrd"] => {}
                // Also when it is not said, or said twice: cPanel's own service is what may come of it.
                _ => return Some(self.cpanel()),
            }
        }
        let names = verdict::naming(function);
        let named = self.named(params, also, |name| listed(names, name))?;
        Some(format!("“{named}” is managed on “{0}”. Call “{function}” on “{0}”.", self.parent))
    }

    /// The first served account, domain or mailbox among the arguments that `names` picks.
    fn named(&self, params: &Params, also: &Params, names: impl Fn(&str) -> bool) -> Option<String> {
        let chosen = params.iter().chain(also).filter(|(name, _)| names(base_name(name)) || names(name));
        chosen.flat_map(|(_, value)| words(value)).find(|word| self.names_served(word))
    }

    /// Whether a word is a served account, one of its domains (or below), or an address of either.
    fn names_served(&self, word: &str) -> bool {
        let word = word.trim().trim_end_matches('.').to_ascii_lowercase();
        if word.is_empty() {
            return false;
        }
        if self.served.keys().any(|user| user.eq_ignore_ascii_case(&word)) {
            return true;
        }
        // A session's value begins with its user; an address ends with its domain; `user+domain` is an old spelling of an address.
        let head = word.split([':', '/']).next().unwrap_or(&word);
        if head != word && self.names_served(head) {
            return true;
        }
        let host = word.rsplit(['@', '+']).next().unwrap_or(&word);
        let domains = self.served.values().flatten();
        domains
            .map(|domain| domain.to_ascii_lowercase())
            .any(|domain| host == domain || host.strip_suffix(domain.as_str()).is_some_and(|rest| rest.ends_with('.')))
            || (host != word && self.served.keys().any(|user| user.eq_ignore_ascii_case(host)))
    }
}

fn first_segment(path: &str) -> String {
    path.split('/').nth(1).unwrap_or("").to_ascii_lowercase()
}

/// Whether a page of WHM can act on an account, or lead into one.
pub fn judges_page(path: &str) -> bool {
    let first = first_segment(path);
    first.starts_with("scripts") || first.starts_with("xfer")
}

fn listed(names: &[String], name: &str) -> bool {
    names.iter().any(|listed| listed.eq_ignore_ascii_case(name))
}

/// The words of an argument: lists in cPanel's arguments are divided by commas, spaces or lines, or are JSON.
fn words(value: &str) -> Vec<String> {
    let mut words: Vec<String> = value
        .split(|c: char| c.is_whitespace() || c.is_control() || matches!(c, ',' | ';' | '|' | '<' | '>' | '"' | '\''))
        .filter(|word| !word.is_empty())
        .map(ToOwned::to_owned)
        .collect();
    // The archive of an account is named after it.
    let archive = value.rsplit('/').next().and_then(|file| file.strip_prefix("cpmove-")).and_then(|rest| rest.split('.').next());
    words.extend(archive.map(ToOwned::to_owned));
    if value.trim_start().starts_with(['[', '{'])
        && let Ok(document) = serde_json::from_str::<Value>(value)
    {
        scalars(&document, &mut words);
    }
    words
}

fn scalars(value: &Value, words: &mut Vec<String>) {
    match value {
        Value::String(text) => words.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| scalars(item, words)),
        Value::Object(members) => members.iter().for_each(|(name, value)| {
            words.push(name.clone());
            scalars(value, words);
        }),
        _ => {}
    }
}

#[cfg(test)]
mod tests;
