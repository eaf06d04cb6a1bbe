//! Changing an account: its name, its main domain.

use super::zonefile::absolute;
use super::{Machine, accounts, files, names, tokens};
use crate::call::Failure;

impl Machine {
    /// Gives an account another user name: system user, home, and every place that holds the name.
    pub fn rename_account(&self, old: &str, new: &str) -> Result<(), Failure> {
        let account = self.account(old)?;
        names::check_username(new)?;
        if self.find_account(new)?.is_some() || self.system_user(new).is_some() || self.group_id(new).is_some() {
            return Err(Failure::new(format!("Sorry, the username “{new}” is already in use on this system.")));
        }
        let user = self.system_user(old).ok_or_else(|| Failure::new(format!("The system user “{old}” does not exist.")))?;
        self.end_mail_sessions(old)?;
        let old_home = user.home.to_string_lossy().into_owned();
        let new_home = match old_home.strip_suffix(&format!("/{old}")) {
            Some(parent) => format!("{parent}/{new}"),
            None => old_home.clone(),
        };
        if new_home != old_home && self.path(&new_home).exists() {
            return Err(Failure::new(format!("The directory “{new_home}” already exists.")));
        }
        self.rename_system_user(old, new, &new_home)?;
        if new_home != old_home {
            std::fs::rename(self.path(&old_home), self.path(&new_home))?;
        }
        for (from, to) in [
            (format!("{}/{old}", accounts::USERS), format!("{}/{new}", accounts::USERS)),
            (format!("/var/cpanel/suspended/{old}"), format!("/var/cpanel/suspended/{new}")),
            (format!("/var/cpanel/suspended/{old}.lock"), format!("/var/cpanel/suspended/{new}.lock")),
            (format!("/var/cpanel/service_proxy_backends/{old}"), format!("/var/cpanel/service_proxy_backends/{new}")),
        ] {
            if self.path(&from).exists() {
                std::fs::rename(self.path(&from), self.path(&to))?;
            }
        }
        self.edit_account(new, |account| {
            account.set("USER", new);
            account.set("HOMEDIRPATHS", &new_home);
        })?;
        for table in ["/etc/userdomains", "/etc/trueuserdomains", "/etc/trueuserowners"] {
            self.edit::<Failure>(table, 0o644, |text| {
                let lines = files::pairs(text).map(|(key, value)| {
                    let key = if table.ends_with("owners") && key == old { new } else { key };
                    format!("{key}: {}\n", if value == old { new } else { value })
                });
                Ok(lines.collect())
            })?;
        }
        self.edit::<Failure>("/etc/domainusers", 0o644, |text| {
            let domain = files::lookup(text, old);
            Ok(files::with_pair(&files::with_pair(text, old, None), new, domain.as_deref()))
        })?;
        // Accounts the renamed one owns follow it, also those it made while it was a reseller.
        let acls = self.reseller_acls(old);
        if let Some(acls) = acls {
            self.set_reseller(old, None)?;
            self.set_reseller(new, Some(&acls.iter().map(String::as_str).collect::<Vec<_>>()))?;
        }
        for owned in self.accounts()?.iter().filter(|owned| owned.owner() == old) {
            self.edit_account(&owned.user, |account| account.set("OWNER", new))?;
        }
        for domain in account.domains() {
            for folder in ["/etc/valiases", "/etc/vfilters"] {
                let file = format!("{folder}/{domain}");
                if self.path(&file).exists() {
                    self.edit::<Failure>(&file, 0o640, |text| Ok(with_renamed_user(text, old, new, &old_home, &new_home)))?;
                }
            }
        }
        self.rename_userdata(old, new, &old_home, &new_home)?;
        self.rename_mail_tables(&new_home, &old_home)?;
        self.rename_tokens(old, new)?;
        tokens::forget_sessions(self, old)
    }

    /// Rewrites the home directory named in the mailboxes' `passwd` files, when the home moved.
    fn rename_mail_tables(&self, new_home: &str, old_home: &str) -> Result<(), Failure> {
        let Ok(domains) = std::fs::read_dir(self.path(&format!("{new_home}/etc"))) else { return Ok(()) };
        for domain in domains.flatten() {
            let path = domain.path().join("passwd");
            // The customer owns the folder: only a plain file is rewritten, under its own owner.
            let plain = std::fs::symlink_metadata(&path).is_ok_and(|found| found.is_file());
            if !plain || !domain.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            let text = files::text(&path)?;
            let renamed = text.replace(&format!(":{old_home}/"), &format!(":{new_home}/"));
            let renamed = renamed.replace(&format!(":{old_home}\n"), &format!(":{new_home}\n"));
            files::replace(&path, renamed.replace(&format!(":{old_home}:"), &format!(":{new_home}:")).as_bytes(), 0o644)?;
        }
        Ok(())
    }

    /// Makes `new` the account's main domain in place of the one it has: mailboxes, aliases, keys, zone and all.
    pub fn change_main_domain(&self, user: &str, new: &str) -> Result<(), Failure> {
        let account = self.account(user)?;
        let (old, new) = (account.domain().to_owned(), names::domain(new)?);
        if old == new {
            return Ok(());
        }
        if let Some(owner) = self.domain_owner(&new) {
            return Err(Failure::new(format!("Sorry, the domain “{new}” already belongs to the user “{owner}”.")));
        }
        if self.serves_dns() && self.has_zone(&new) {
            return Err(Failure::new(format!("Sorry, a DNS entry for “{new}” already exists.")));
        }
        self.end_mail_sessions(user)?;
        self.rename_mail_domain(user, &old, &new, true)?;
        self.rename_zone(&old, &new)?;
        self.forget_certificate(&old)?;
        self.autossl(&new)?;
        self.rename_subdomains(user, &old, &new)?;
        tokens::forget_sessions(self, user)
    }

    /// Gives what a domain of the account has of mail to another name: tables, mailboxes, routing, signing key, its line in the account's
    /// file.
    pub(super) fn rename_mail_domain(&self, user: &str, old: &str, new: &str, main: bool) -> Result<(), Failure> {
        let account = self.account(user)?;
        self.release_domain(old)?;
        self.claim_domain(new, user, main)?;
        for folder in ["/etc/valiases", "/etc/vdomainaliases", "/etc/vfilters", "/var/cpanel/suspended_incoming"] {
            let (from, to) = (self.path(&format!("{folder}/{old}")), self.path(&format!("{folder}/{new}")));
            if from.exists() {
                let text = files::text(&from)?;
                std::fs::rename(&from, &to)?;
                files::replace(&to, text.replace(&format!("@{old}"), &format!("@{new}")).as_bytes(), 0o640)?;
            }
        }
        if let Some(found) = self.system_user(user) {
            for folder in ["etc", "mail"] {
                let base = self.path(&found.home.to_string_lossy()).join(folder);
                if base.join(old).exists() {
                    std::fs::rename(base.join(old), base.join(new))?;
                }
            }
            let passwd = self.path(&found.home.to_string_lossy()).join(format!("etc/{new}/passwd"));
            if std::fs::symlink_metadata(&passwd).is_ok_and(|found| found.is_file()) {
                let text = files::text(&passwd)?.replace(&format!("/mail/{old}/"), &format!("/mail/{new}/"));
                files::replace(&passwd, text.as_bytes(), 0o644)?;
            }
        }
        let routing = super::create::routing(account.get(&format!("MXCHECK-{old}")).unwrap_or("local"))?;
        self.set_mail_routing(old, None)?;
        self.set_mail_routing(new, Some(routing))?;
        let former = self.set_manual_mx(old, None)?;
        if let Some(host) = former {
            self.set_manual_mx(new, Some(&host))?;
        }
        self.rename_lists(old, new)?;
        self.rename_dkim_key(old, new)?;
        self.edit_account(user, |account| {
            let key =
                account.values.iter().find(|(key, value)| key.starts_with("DNS") && value == old).map(|(key, _)| key.clone());
            if let Some(key) = key {
                account.set(&key, new);
            }
            let routing = account.get(&format!("MXCHECK-{old}")).unwrap_or("local").to_owned();
            account.unset(&format!("MXCHECK-{old}"));
            account.set(&format!("MXCHECK-{new}"), &routing);
        })?;
        Ok(())
    }

    /// The zone `old` under the name `new`, absolute names in it renamed.
    fn rename_zone(&self, old: &str, new: &str) -> Result<(), Failure> {
        if !self.serves_dns() || !self.has_zone(old) {
            return Ok(());
        }
        let text = self.zone_text(old)?;
        let renamed: String = text
            .lines()
            .map(|line| {
                let words = line.split_inclusive([' ', '\t']).map(|word| {
                    let bare = word.trim_end();
                    let inside = bare.ends_with('.') && {
                        let full = absolute(bare, old);
                        full == *old || full.ends_with(&format!(".{old}"))
                    };
                    if inside {
                        let stem = &bare[..bare.len() - old.len() - 1];
                        format!("{stem}{new}.{}", &word[bare.len()..])
                    } else {
                        word.to_owned()
                    }
                });
                words.collect::<String>() + "\n"
            })
            .collect();
        self.remove_zone(old)?;
        self.add_zone(new, &renamed)
    }
}

/// An alias or filter file whose account got another name and home.
fn with_renamed_user(text: &str, old: &str, new: &str, old_home: &str, new_home: &str) -> String {
    text.lines()
        .map(|line| {
            let line = line.replace(&format!("{old_home}/"), &format!("{new_home}/"));
            match line.split_once(": ") {
                Some((key, value)) if value.trim() == old => format!("{key}: {new}\n"),
                _ => format!("{line}\n"),
            }
        })
        .collect()
}
