//! Suspending an account, and ending that.

use super::routing::Backends;
use super::{Machine, files, tokens};
use crate::call::Failure;

impl Machine {
    /// Suspends an account: no sign-in, its reason kept in `/var/cpanel/suspended/USER`.
    pub fn suspend_account(&self, user: &str, reason: &str, lock: bool) -> Result<(), Failure> {
        let account = self.account(user)?;
        if account.is_suspended() {
            return Err(Failure::new(format!("The user “{user}” is already suspended.")));
        }
        let reason = if reason.is_empty() { "Unknown" } else { reason };
        let file = format!("/var/cpanel/suspended/{user}");
        files::replace(&self.path(&file), format!("{reason}\n").as_bytes(), 0o644)?;
        if lock {
            // What only root may undo has a mark of its own in cPanel.
            files::replace(&self.path(&format!("{file}.lock")), b"", 0o644)?;
        }
        if let Some(hash) = self.shadow_hash(user).filter(|hash| !hash.starts_with('!')) {
            self.set_shadow_hash(user, &format!("!{hash}"))?;
        }
        self.edit_account(user, |account| {
            account.set("SUSPENDED", "1");
            account.set("SUSPENDTIME", &tokens::now().to_string());
        })?;
        tokens::forget_sessions(self, user)?;
        self.end_mail_sessions(user)
    }

    /// Ends a suspension. cPanel drops the account's service proxies then, unless told to retain them.
    pub fn unsuspend_account(&self, user: &str, by_root: bool, retain_proxies: bool) -> Result<(), Failure> {
        let account = self.account(user)?;
        let file = format!("/var/cpanel/suspended/{user}");
        if !account.is_suspended() && !self.path(&file).exists() {
            return Err(Failure::new(format!("The user “{user}” is not suspended.")));
        }
        if self.path(&format!("{file}.lock")).exists() && !by_root {
            return Err(Failure::new(format!("Only the root user can unsuspend “{user}”.")));
        }
        if let Some(hash) = self.shadow_hash(user).and_then(|hash| hash.strip_prefix('!').map(str::to_owned)) {
            self.set_shadow_hash(user, &hash)?;
        }
        self.edit_account(user, |account| {
            account.unset("SUSPENDED");
            account.unset("SUSPENDTIME");
        })?;
        files::remove(&self.path(&file))?;
        files::remove(&self.path(&format!("{file}.lock")))?;
        if !retain_proxies {
            self.set_backends(user, &Backends::default())?;
        }
        Ok(())
    }

    /// Why and until when: the reason of a suspension.
    pub fn suspend_reason(&self, user: &str) -> Option<String> {
        let text = files::read(&self.path(&format!("/var/cpanel/suspended/{user}"))).ok()??;
        Some(text.trim().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use crate::machine::create::NewAccount;
    use crate::machine::routing::Backends;
    use crate::machine::scratch;

    #[test]
    fn suspension_locks_the_password_and_ends_with_the_proxies() {
        let (_folder, machine) = scratch::machine();
        let new = NewAccount {
            user: "alice".into(),
            domain: "alice.example".into(),
            password: "Wonderland-7-rabbits".into(),
            ..NewAccount::default()
        };
        machine.create_account(&new).unwrap();
        let before = machine.shadow_hash("alice").unwrap();
        let backends = Backends { mail: Some("mail1.lab.test".into()), general: None };
        machine.set_backends("alice", &backends).unwrap();
        machine.suspend_account("alice", "unpaid", true).unwrap();
        assert_eq!(machine.shadow_hash("alice").unwrap(), format!("!{before}"));
        assert_eq!(machine.suspend_reason("alice").as_deref(), Some("unpaid"));
        assert!(machine.unsuspend_account("alice", false, true).is_err());
        machine.unsuspend_account("alice", true, true).unwrap();
        assert_eq!(machine.backends("alice").unwrap(), backends);
        machine.suspend_account("alice", "", false).unwrap();
        machine.unsuspend_account("alice", false, false).unwrap();
        assert_eq!(machine.backends("alice").unwrap(), Backends::default());
        assert_eq!(machine.shadow_hash("alice").unwrap(), before);
    }
}
