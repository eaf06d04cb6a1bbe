//! Accounts and the domains they own.

use std::io;

use super::{Machine, files, names};
use crate::call::Failure;

/// Where cPanel keeps one file per account.
pub const USERS: &str = "/var/cpanel/users";

/// A cPanel account: its `/var/cpanel/users/USER` file, `KEY=value` in the file's order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The system user.
    pub user: String,
    /// `DNS` (main domain), `DNS1`… (its other domains), `OWNER`, `PLAN`, `CONTACTEMAIL`, `MAXPOP`, `SUSPENDED` …
    pub values: Vec<(String, String)>,
}

impl Account {
    fn parse(user: &str, text: &str) -> Self {
        let values = text
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| line.split_once('='))
            .map(|(key, value)| (key.trim().to_owned(), value.to_owned()))
            .collect();
        Self { user: user.to_owned(), values }
    }

    fn text(&self) -> String {
        self.values.iter().map(|(key, value)| format!("{key}={value}\n")).collect()
    }

    /// The value of `key`.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.values.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// Sets `key`. Control characters, which would make other lines of the file, become spaces.
    pub fn set(&mut self, key: &str, value: &str) {
        let value: String = value.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        match self.values.iter_mut().find(|(name, _)| name == key) {
            Some(entry) => entry.1 = value,
            None => self.values.push((key.to_owned(), value)),
        }
    }

    /// Removes `key`.
    pub fn unset(&mut self, key: &str) {
        self.values.retain(|(name, _)| name != key);
    }

    /// The main domain.
    pub fn domain(&self) -> &str {
        self.get("DNS").unwrap_or_default()
    }

    /// Every domain, the main one first.
    pub fn domains(&self) -> Vec<String> {
        let others = self.values.iter().filter(|(key, _)| {
            key.strip_prefix("DNS").is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit()))
        });
        std::iter::once(self.domain().to_owned())
            .chain(others.map(|(_, value)| value.clone()))
            .filter(|domain| !domain.is_empty())
            .collect()
    }

    /// Adds a domain beside the main one, under the first free number.
    pub fn add_domain(&mut self, domain: &str) {
        if self.domains().iter().any(|own| own == domain) {
            return;
        }
        self.values.retain(|(key, value)| !(key.starts_with("XDNS") && value == domain));
        self.number("DNS", domain);
    }

    /// Domains the account had once (`XDNS1` …).
    pub fn dead_domains(&self) -> Vec<&str> {
        self.values.iter().filter(|(key, _)| key.starts_with("XDNS")).map(|(_, value)| value.as_str()).collect()
    }

    /// Sets the first free of `KEY1`, `KEY2` …
    fn number(&mut self, key: &str, value: &str) {
        let free = (1..).map(|number: u32| format!("{key}{number}")).find(|key| self.get(key).is_none());
        if let Some(key) = free {
            self.set(&key, value);
        }
    }

    /// Removes a domain that is not the main one, with its mail routing; it is among the dead ones then.
    pub fn remove_domain(&mut self, domain: &str) {
        let doomed: Vec<String> = self
            .values
            .iter()
            .filter(|(key, value)| key.starts_with("DNS") && key != "DNS" && value == domain)
            .map(|(key, _)| key.clone())
            .collect();
        for key in doomed {
            self.unset(&key);
        }
        self.unset(&format!("MXCHECK-{domain}"));
        if !self.dead_domains().contains(&domain) {
            self.number("XDNS", domain);
        }
    }

    /// The reseller (or `root`) the account belongs to.
    pub fn owner(&self) -> &str {
        self.get("OWNER").unwrap_or("root")
    }

    /// Whether the account is suspended.
    pub fn is_suspended(&self) -> bool {
        self.get("SUSPENDED") == Some("1")
    }
}

impl Machine {
    /// The account `user`, if there is one.
    pub fn find_account(&self, user: &str) -> io::Result<Option<Account>> {
        // Reserved names are no accounts even where a file exists (`system`), and no name leaves the folder.
        if user.is_empty() || user == "system" || user.contains('/') || user.starts_with('.') {
            return Ok(None);
        }
        let text = files::read(&self.path(&format!("{USERS}/{user}")))?;
        Ok(text.map(|text| Account::parse(user, &text)))
    }

    /// The account `user`, or cPanel's complaint that there is none.
    pub fn account(&self, user: &str) -> Result<Account, Failure> {
        self.find_account(user)?.ok_or_else(|| Failure::new(format!("The user “{user}” does not exist.")))
    }

    /// Every account, by name.
    pub fn accounts(&self) -> io::Result<Vec<Account>> {
        let entries = match std::fs::read_dir(self.path(USERS)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other?,
        };
        let mut users: Vec<String> = Vec::new();
        for entry in entries {
            users.push(entry?.file_name().to_string_lossy().into_owned());
        }
        users.sort();
        let mut accounts = Vec::new();
        for user in users {
            accounts.extend(self.find_account(&user)?);
        }
        Ok(accounts)
    }

    /// Writes an account's file.
    pub fn save_account(&self, account: &Account) -> Result<(), Failure> {
        self.edit(&format!("{USERS}/{}", account.user), 0o640, |_| Ok(account.text()))
    }

    /// Changes an account's file under the lock and gives what it is then.
    pub fn edit_account(&self, user: &str, change: impl FnOnce(&mut Account)) -> Result<Account, Failure> {
        self.account(user)?;
        let mut after = None;
        self.edit::<Failure>(&format!("{USERS}/{user}"), 0o640, |old| {
            let mut account = Account::parse(user, old);
            change(&mut account);
            let text = account.text();
            after = Some(account);
            Ok(text)
        })?;
        after.ok_or_else(|| Failure::new(format!("The user “{user}” does not exist.")))
    }

    /// The account that owns `domain`, from `/etc/userdomains`.
    pub fn domain_owner(&self, domain: &str) -> Option<String> {
        let domain = names::domain(domain).ok()?;
        let text = files::text(&self.path("/etc/userdomains")).ok()?;
        files::lookup(&text, &domain).filter(|user| user != "nobody")
    }

    /// The account a domain, or one of cPanel's service names below it (`mail.`, `www.` …), belongs to, with the
    /// owned domain itself.
    pub fn owner_of_host(&self, host: &str) -> Option<(String, String)> {
        if let Some(user) = self.domain_owner(host) {
            return Some((user, host.to_ascii_lowercase()));
        }
        let (label, rest) = host.split_once('.')?;
        let service = names::SERVICE_SUBDOMAINS
            .iter()
            .chain(&["whm", "webdisk", "cpcontacts", "cpcalendars", "ftp"])
            .any(|known| known.eq_ignore_ascii_case(label));
        let user = self.domain_owner(rest).filter(|_| service)?;
        Some((user, rest.to_ascii_lowercase()))
    }

    /// Records `domain` as `user`'s in cPanel's domain tables.
    pub fn claim_domain(&self, domain: &str, user: &str, main: bool) -> Result<(), Failure> {
        self.edit::<Failure>("/etc/userdomains", 0o644, |old| match files::lookup(old, domain) {
            Some(other) if other != user => {
                Err(Failure::new(format!("Sorry, the domain “{domain}” is already owned by another user.")))
            }
            _ => Ok(files::with_pair(old, domain, Some(user))),
        })?;
        self.edit::<Failure>("/etc/domainusers", 0o644, |old| {
            Ok(if main { files::with_pair(old, user, Some(domain)) } else { old.to_owned() })
        })?;
        if main {
            self.edit::<Failure>("/etc/trueuserdomains", 0o644, |old| Ok(files::with_pair(old, domain, Some(user))))?;
        }
        Ok(())
    }

    /// Removes `domain` from cPanel's domain tables.
    pub fn release_domain(&self, domain: &str) -> Result<(), Failure> {
        for table in ["/etc/userdomains", "/etc/trueuserdomains"] {
            self.edit::<Failure>(table, 0o644, |old| Ok(files::with_pair(old, domain, None)))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_come_main_first_and_controls_are_defused() {
        let mut account = Account::parse("alice", "DNS1=b.example\nDNS=a.example\nDNSX=no\n");
        assert_eq!(account.domains(), ["a.example", "b.example"]);
        account.set("CONTACTEMAIL", "x@y\nOWNER=root");
        assert!(!account.text().contains("\nOWNER"));
    }
}
