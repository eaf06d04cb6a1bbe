//! Removing an account.

use std::path::Path;

use super::{Machine, accounts, files, tokens};
use crate::call::Failure;

impl Machine {
    /// Removes an account with everything it has. `keep_dns` leaves its zones.
    pub fn remove_account(&self, user: &str, keep_dns: bool) -> Result<(), Failure> {
        let account = self.account(user)?;
        let home = self.system_user(user).map(|found| found.home);
        self.end_mail_sessions(user)?;
        for domain in account.domains() {
            self.forget_domain(&domain, keep_dns)?;
        }
        self.forget_account(user, home.as_deref().unwrap_or(Path::new("")), "")
    }

    /// Removes a domain from every place that names it.
    pub fn forget_domain(&self, domain: &str, keep_dns: bool) -> Result<(), Failure> {
        self.set_mail_routing(domain, None)?;
        self.set_manual_mx(domain, None)?;
        self.release_domain(domain)?;
        for folder in ["/etc/valiases", "/etc/vdomainaliases", "/etc/vfilters", "/var/cpanel/suspended_incoming"] {
            files::remove(&self.path(&format!("{folder}/{domain}")))?;
        }
        self.forget_lists(domain)?;
        self.forget_dkim_key(domain)?;
        self.forget_certificate(domain)?;
        if !keep_dns && self.has_zone(domain) {
            self.remove_zone(domain)?;
        }
        Ok(())
    }

    /// Removes what is kept under the account's name. `domain`, when not empty, goes too.
    pub(super) fn forget_account(&self, user: &str, home: &Path, domain: &str) -> Result<(), Failure> {
        if !domain.is_empty() {
            self.forget_domain(domain, false)?;
        }
        files::remove(&self.path(&format!("{}/{user}", accounts::USERS)))?;
        for file in [format!("/var/cpanel/suspended/{user}"), format!("/var/cpanel/service_proxy_backends/{user}")] {
            files::remove(&self.path(&file))?;
        }
        for table in ["/etc/trueuserowners", "/etc/domainusers"] {
            self.edit::<Failure>(table, 0o644, |old| Ok(files::with_pair(old, user, None)))?;
        }
        self.forget_userdata(user)?;
        self.set_reseller(user, None)?;
        self.forget_tokens(user)?;
        tokens::forget_sessions(self, user)?;
        self.delete_system_user(user)?;
        // Not following links: a link in the home is removed, never what it names.
        if home.components().count() > 2 {
            match std::fs::remove_dir_all(self.path(&home.to_string_lossy())) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
                _ => {}
            }
        }
        Ok(())
    }

    /// Ends the mail sessions of the account and all its mailboxes on this server.
    pub fn end_mail_sessions(&self, user: &str) -> Result<(), Failure> {
        // Where Dovecot does not run, nobody is signed in.
        if !self.is_live() || !Path::new("/run/dovecot/master.pid").exists() {
            return Ok(());
        }
        let account = self.account(user)?;
        let mut masks = vec![user.to_owned()];
        masks.extend(account.domains().iter().map(|domain| format!("*@{domain}")));
        for mask in masks {
            // 68: nobody of that name is signed in.
            if let Err(failure) = super::system::run("doveadm", &["kick", &mask], b"")
                && !failure.reason.contains("exit status: 68")
            {
                return Err(failure);
            }
        }
        Ok(())
    }
}
