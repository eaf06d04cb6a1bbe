//! Creating an account.

use std::path::Path;

use super::domains::Domains;
use super::routing::MailRouting;
use super::system::{self, NewUser, SystemUser};
use super::{Account, Machine, files, names, passwords, tokens};
use crate::call::Failure;

/// What cPanel calls the shell of accounts without one.
pub const NO_SHELL: &str = "/usr/local/cpanel/bin/noshell";
/// The shell of accounts that have one.
pub const SHELL: &str = "/bin/bash";

/// A new account, checked by [`Machine::create_account`].
#[derive(Debug, Clone, Default)]
pub struct NewAccount {
    /// System user.
    pub user: String,
    /// Main domain.
    pub domain: String,
    /// Password, in the clear.
    pub password: String,
    /// The account's keys: `PLAN`, `OWNER`, `CONTACTEMAIL`, `MAXPOP` …
    pub values: Vec<(String, String)>,
    /// Home directory; `/home/USER` when empty.
    pub home: String,
    /// User number wished for.
    pub uid: Option<u32>,
    /// Group number wished for.
    pub gid: Option<u32>,
    /// Whether it gets a shell.
    pub shell: bool,
    /// Whether its domain's mail is signed with a new key.
    pub dkim: bool,
    /// Whether its zone names who may send for it.
    pub spf: bool,
    /// `local`, `remote`, `secondary`, `auto`.
    pub mxcheck: String,
    /// Whether an existing zone of the name is replaced.
    pub force_dns: bool,
}

/// How mail for a new domain is routed, from `mxcheck`.
pub fn routing(mxcheck: &str) -> Result<MailRouting, Failure> {
    match mxcheck {
        // A new domain's MX is the domain itself, so `auto` finds it local.
        "" | "auto" | "local" => Ok(MailRouting::Local),
        "remote" => Ok(MailRouting::Remote),
        "secondary" => Ok(MailRouting::Secondary),
        other => Err(Failure::new(format!("“{other}” is not a valid value of “mxcheck”."))),
    }
}

impl Machine {
    /// Checks that a new account could be created, without changing anything.
    pub fn check_new_account(&self, new: &NewAccount) -> Result<(), Failure> {
        names::check_username(&new.user)?;
        let domain = names::domain(&new.domain)?;
        if self.find_account(&new.user)?.is_some() || self.system_user(&new.user).is_some() || self.group_id(&new.user).is_some()
        {
            return Err(Failure::new(format!("Sorry, the username “{}” is already in use on this system.", new.user)));
        }
        if domain == self.hostname() {
            return Err(Failure::new(format!("Sorry, “{domain}” is this server’s hostname.")));
        }
        if let Some(owner) = self.domain_owner(&domain) {
            return Err(Failure::new(format!("Sorry, the domain “{domain}” already belongs to the user “{owner}”.")));
        }
        if self.serves_dns() && self.has_zone(&domain) && !new.force_dns {
            return Err(Failure::new(format!("Sorry, a DNS entry for “{domain}” already exists. Delete it, or set “forcedns”.")));
        }
        if !new.home.is_empty() && (!new.home.starts_with('/') || new.home.contains("/..") || new.home == "/") {
            return Err(Failure::new(format!("“{}” is not a valid home directory.", new.home)));
        }
        routing(&new.mxcheck)?;
        self.check_strength("createacct", &new.password)
    }

    /// Creates an account: system user, home, cPanel's tables, mail routing, zone where this server keeps DNS,
    /// certificate. What was made is taken back when a later step fails.
    pub fn create_account(&self, new: &NewAccount) -> Result<Account, Failure> {
        self.check_new_account(new)?;
        let domain = names::domain(&new.domain)?;
        let home = if new.home.is_empty() { format!("/home/{}", new.user) } else { new.home.clone() };
        let hash = passwords::hash(&new.password)?;
        let user = self.add_system_user(&NewUser {
            name: &new.user,
            home: &home,
            shell: if new.shell { SHELL } else { NO_SHELL },
            uid: new.uid,
            gid: new.gid,
        })?;
        // From here on the name is ours, so that taking back cannot hit somebody else's account.
        let made = self.fill_account(new, &domain, &user, &hash);
        if made.is_err() {
            let owned = self.domain_owner(&domain).is_some_and(|owner| owner == new.user);
            let _ = self.forget_account(&new.user, &user.home, if owned { &domain } else { "" });
        }
        made
    }

    fn fill_account(&self, new: &NewAccount, domain: &str, user: &SystemUser, hash: &str) -> Result<Account, Failure> {
        self.claim_domain(domain, &new.user, true)?;
        self.set_shadow_hash(&new.user, hash)?;
        self.make_home(user)?;
        let mut account = Account { user: new.user.clone(), values: Vec::new() };
        account.set("DNS", domain);
        account.set("USER", &new.user);
        account.set("IP", &self.address().to_string());
        account.set("STARTDATE", &tokens::now().to_string());
        account.set("HOMEDIRPATHS", &user.home.to_string_lossy());
        for (key, value) in &new.values {
            account.set(key, value);
        }
        account.set("HASDKIM", if new.dkim { "1" } else { "0" });
        account.set("HASSPF", if new.spf { "1" } else { "0" });
        account.set(&format!("MXCHECK-{domain}"), if new.mxcheck.is_empty() { "local" } else { &new.mxcheck });
        self.save_account(&account)?;
        let domains = Domains { main_domain: domain.to_owned(), ..Domains::default() };
        self.save_domains(&new.user, &domains)?;
        std::os::unix::fs::chown(self.path(&format!("{}/{}", super::accounts::USERS, new.user)), Some(0), Some(user.gid))?;
        let owner = account.owner().to_owned();
        self.edit::<Failure>("/etc/trueuserowners", 0o644, |old| Ok(files::with_pair(old, &new.user, Some(&owner))))?;
        self.make_mail_domain(domain, &new.user, routing(&new.mxcheck)?)?;
        if new.dkim {
            self.ensure_dkim_key(domain)?;
        }
        if self.serves_dns() {
            let text = self.default_zone(domain, new.spf, new.dkim)?;
            self.add_zone(domain, &text)?;
        }
        self.autossl(domain)?;
        Ok(account)
    }

    /// The mail tables of a new domain: default address, empty filters, routing.
    pub fn make_mail_domain(&self, domain: &str, user: &str, routing: MailRouting) -> Result<(), Failure> {
        let owner = self.system_user(user);
        let mail = self.group_id("mail");
        for (folder, text) in
            [("/etc/valiases", format!("*: {user}\n")), ("/etc/vdomainaliases", String::new()), ("/etc/vfilters", String::new())]
        {
            let path = self.path(&format!("{folder}/{domain}"));
            files::replace(&path, text.as_bytes(), 0o640)?;
            if let Some(owner) = &owner {
                std::os::unix::fs::lchown(&path, Some(owner.uid), mail.or(Some(owner.gid)))?;
            }
        }
        self.set_mail_routing(domain, Some(routing))
    }

    /// The home directory, with cPanel's modes, and what root's skeleton (`/root/cpanel3-skel`) holds.
    fn make_home(&self, user: &SystemUser) -> Result<(), Failure> {
        let home = self.path(&user.home.to_string_lossy());
        if let Some(parent) = home.parent() {
            std::fs::create_dir_all(parent)?;
        }
        let SystemUser { uid, gid, .. } = *user;
        let mail = self.group_id("mail").unwrap_or(gid);
        let web = self.group_id("nobody").or_else(|| self.group_id("nogroup")).unwrap_or(gid);
        system::directory(&home, uid, gid, 0o711)?;
        for (name, group, mode) in [
            ("etc", mail, 0o750),
            ("mail", gid, 0o751),
            ("mail/cur", gid, 0o700),
            ("mail/new", gid, 0o700),
            ("mail/tmp", gid, 0o700),
            ("public_html", web, 0o750),
            ("public_ftp", gid, 0o750),
            ("logs", gid, 0o700),
            ("ssl", gid, 0o700),
            ("tmp", gid, 0o700),
            (".cpanel", gid, 0o700),
            (".autorespond", mail, 0o750),
        ] {
            system::directory(&home.join(name), uid, group, mode)?;
        }
        copy_skeleton(&self.path("/root/cpanel3-skel"), &home, uid, gid)
    }
}

/// Copies root's skeleton into a new home. Nobody else can write there yet.
fn copy_skeleton(from: &Path, to: &Path, uid: u32, gid: u32) -> Result<(), Failure> {
    let Ok(entries) = std::fs::read_dir(from) else { return Ok(()) };
    for entry in entries {
        let entry = entry?;
        let target = to.join(entry.file_name());
        let kind = entry.file_type()?;
        if kind.is_dir() {
            if !target.exists() {
                system::directory(&target, uid, gid, 0o755)?;
            }
            copy_skeleton(&entry.path(), &target, uid, gid)?;
        } else if kind.is_file() {
            std::fs::copy(entry.path(), &target)?;
            std::os::unix::fs::lchown(&target, Some(uid), Some(gid))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;
    use crate::machine::scratch;

    fn new() -> NewAccount {
        NewAccount {
            user: "alice".into(),
            domain: "Alice.Example".into(),
            password: "Wonderland-7-rabbits".into(),
            values: vec![("OWNER".into(), "root".into()), ("PLAN".into(), "default".into())],
            ..NewAccount::default()
        }
    }

    #[test]
    fn an_account_is_on_disk_in_cpanels_places() {
        let (_folder, machine) = scratch::machine();
        let account = machine.create_account(&new()).unwrap();
        assert_eq!(account.domain(), "alice.example");
        assert_eq!(machine.domain_owner("ALICE.example").as_deref(), Some("alice"));
        assert_eq!(machine.owner_of_host("mail.alice.example"), Some(("alice".into(), "alice.example".into())));
        assert_eq!(files::text(&machine.path("/etc/valiases/alice.example")).unwrap(), "*: alice\n");
        assert_eq!(files::text(&machine.path("/etc/localdomains")).unwrap(), "alice.example\n");
        assert!(machine.has_zone("alice.example"));
        let user = machine.system_user("alice").unwrap();
        let home = std::fs::metadata(machine.path("/home/alice")).unwrap();
        assert_eq!((home.uid(), home.mode() & 0o777), (user.uid, 0o711));
        assert_eq!(std::fs::metadata(machine.path("/home/alice/etc")).unwrap().gid(), 8);
        assert!(passwords::verify("Wonderland-7-rabbits", &machine.shadow_hash("alice").unwrap()));
    }

    #[test]
    fn names_and_domains_are_given_once_and_a_removed_account_leaves_nothing() {
        let (_folder, machine) = scratch::machine();
        machine.create_account(&new()).unwrap();
        assert!(machine.create_account(&new()).unwrap_err().reason.contains("already in use"));
        let other = NewAccount { user: "bob".into(), ..new() };
        assert!(machine.create_account(&other).unwrap_err().reason.contains("belongs to"));
        assert!(machine.system_user("bob").is_none());
        machine.remove_account("alice", false).unwrap();
        assert!(machine.system_user("alice").is_none() && !machine.path("/home/alice").exists());
        assert!(!machine.has_zone("alice.example") && machine.domain_owner("alice.example").is_none());
        machine.create_account(&other).unwrap();
    }

    #[test]
    fn renaming_moves_every_place() {
        let (_folder, machine) = scratch::machine();
        machine.create_account(&new()).unwrap();
        machine.rename_account("alice", "carol").unwrap();
        machine.change_main_domain("carol", "carol.example").unwrap();
        assert_eq!(machine.domain_owner("carol.example").as_deref(), Some("carol"));
        assert!(machine.domain_owner("alice.example").is_none() && !machine.has_zone("alice.example"));
        assert_eq!(files::text(&machine.path("/etc/valiases/carol.example")).unwrap(), "*: carol\n");
        assert!(machine.path("/home/carol/mail").is_dir() && machine.find_account("alice").unwrap().is_none());
        assert!(machine.has_zone("carol.example"));
        assert_eq!(machine.account("carol").unwrap().get("MXCHECK-carol.example"), Some("local"));
    }
}
