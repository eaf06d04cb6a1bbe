//! `/etc/valiases/DOMAIN`: what happens to mail for addresses, as Exim reads it at every message.
//!
//! A line is `address: destination, destination`; `*` stands for every address without a line or mailbox. A destination is an address,
//! a system user, `:fail: text` (the rest of the line), `:blackhole:`, or `"|command"`.

use std::io;

use crate::machine::{Machine, files};
use crate::uapi::account::Account;

/// A domain's aliases, in the file's order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Aliases {
    lines: Vec<(String, Vec<String>)>,
}

fn file(domain: &str) -> String {
    format!("/etc/valiases/{domain}")
}

impl Aliases {
    /// Reads the aliases of `domain`; none when there is no file.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn load(machine: &Machine, domain: &str) -> io::Result<Self> {
        Ok(Self::parse(&files::text(&machine.path(&file(domain)))?))
    }

    /// Reads a file's text. An address that has several lines has all their destinations.
    pub fn parse(text: &str) -> Self {
        let mut aliases = Self::default();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            if let Some((address, rest)) = line.split_once(':') {
                for destination in destinations(rest) {
                    aliases.add(address.trim(), &destination);
                }
            }
        }
        aliases
    }

    /// The file's text.
    pub fn text(&self) -> String {
        self.lines
            .iter()
            .map(|(address, to)| {
                let to: Vec<String> = to.iter().map(|to| quoted(to)).collect();
                format!("{address}: {}\n", to.join(", "))
            })
            .collect()
    }

    /// Replaces the domain's file, readable by the mail daemons, owned by the account.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save(&self, machine: &Machine, account: &Account, domain: &str) -> io::Result<()> {
        let path = machine.path(&file(domain));
        files::replace(&path, self.text().as_bytes(), 0o640)?;
        std::os::unix::fs::lchown(&path, Some(account.uid), Some(account.mail_gid))
    }

    /// Every pair of address and destination.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.lines.iter().flat_map(|(address, to)| to.iter().map(|to| (address.as_str(), to.as_str())))
    }

    /// Adds a destination of `address`; whether it was new. `:fail:` and `:blackhole:` leave nothing beside them.
    pub fn add(&mut self, address: &str, destination: &str) -> bool {
        let at = self.lines.iter().position(|(name, _)| name.eq_ignore_ascii_case(address));
        match at {
            None => {
                self.lines.push((address.to_owned(), vec![destination.to_owned()]));
                true
            }
            Some(at) => {
                let to = &mut self.lines[at].1;
                if to.iter().any(|old| old == destination) {
                    return false;
                }
                if is_final(destination) || to.iter().any(|old| is_final(old)) {
                    to.clear();
                }
                to.push(destination.to_owned());
                true
            }
        }
    }

    /// Removes a destination of `address`; whether it was there.
    pub fn remove(&mut self, address: &str, destination: &str) -> bool {
        let mut removed = false;
        for (name, to) in &mut self.lines {
            if name.eq_ignore_ascii_case(address) {
                let before = to.len();
                to.retain(|old| old != destination);
                removed |= to.len() < before;
            }
        }
        self.lines.retain(|(_, to)| !to.is_empty());
        removed
    }

    /// Sets the one destination of `address`.
    pub fn set(&mut self, address: &str, destination: &str) {
        self.lines.retain(|(name, _)| !name.eq_ignore_ascii_case(address));
        self.lines.push((address.to_owned(), vec![destination.to_owned()]));
    }

    /// The first destination of `address`.
    pub fn first(&self, address: &str) -> Option<&str> {
        self.pairs().find(|(name, _)| name.eq_ignore_ascii_case(address)).map(|(_, to)| to)
    }
}

fn is_final(destination: &str) -> bool {
    destination.starts_with(":fail:") || destination.starts_with(":blackhole:")
}

/// The destinations of a line, without their quotes. Commas inside quotes and in the text of `:fail:` separate nothing.
fn destinations(rest: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = rest.trim();
    while !rest.is_empty() {
        if rest.starts_with(":fail:") {
            found.push(rest.to_owned());
            break;
        }
        let (item, after) = match rest.strip_prefix('"') {
            Some(inside) => {
                let (item, after) = until_quote(inside);
                (item, after.split_once(',').map_or("", |(_, after)| after))
            }
            None => {
                let (item, after) = rest.split_once(',').unwrap_or((rest, ""));
                (item.trim().to_owned(), after)
            }
        };
        if !item.is_empty() {
            found.push(item);
        }
        rest = after.trim_start();
    }
    found
}

/// The text up to the closing quote, unescaped, and what follows it.
fn until_quote(text: &str) -> (String, &str) {
    let mut item = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (item, &text[at + 1..]),
            '\\' => item.extend(chars.next().map(|(_, c)| c)),
            c => item.push(c),
        }
    }
    (item, "")
}

/// A destination as the file holds it: commands in quotes.
fn quoted(destination: &str) -> String {
    if destination.starts_with('|') {
        let inside = destination.replace('\\', "\\\\").replace('"', "\\\"");
        format!("\"{inside}\"")
    } else {
        destination.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_reads_and_writes_the_same() {
        let text = concat!(
            "info@a.test: x@b.test, \"|/home/u/p \\\"q, r\\\"\", user\n",
            "no@a.test: :fail: Gone, for good\n",
            "*: user\n"
        );
        let aliases = Aliases::parse(text);
        assert_eq!(aliases.text(), text);
        let to: Vec<_> = aliases.pairs().map(|(_, to)| to).collect();
        assert_eq!(to, ["x@b.test", "|/home/u/p \"q, r\"", "user", ":fail: Gone, for good", "user"]);
    }

    #[test]
    fn a_refusal_stands_alone_and_removal_leaves_the_rest() {
        let mut aliases = Aliases::default();
        assert!(aliases.add("a@x", "b@y"));
        assert!(!aliases.add("A@x", "b@y"));
        aliases.add("a@x", ":fail: no");
        assert_eq!(aliases.text(), "a@x: :fail: no\n");
        aliases.add("a@x", "c@y");
        aliases.add("a@x", "d@y");
        assert!(aliases.remove("a@x", "c@y"));
        assert!(!aliases.remove("a@x", "c@y"));
        assert_eq!(aliases.text(), "a@x: d@y\n");
    }

    #[test]
    fn a_quoted_refusal_is_one_too() {
        let aliases = Aliases::parse("*: \":fail: No Such User Here\"\n");
        assert_eq!(aliases.first("*"), Some(":fail: No Such User Here"));
    }
}
