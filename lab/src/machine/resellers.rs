//! Resellers: `/var/cpanel/resellers`, lines of `user:acl,acl`.

use super::{Machine, files};
use crate::call::Failure;

const FILE: &str = "/var/cpanel/resellers";
const LISTS: &str = "/var/cpanel/acllists";

impl Machine {
    /// The ACLs of `user`: `all` for root, what the file says for a reseller, `None` for everybody else.
    pub fn reseller_acls(&self, user: &str) -> Option<Vec<String>> {
        if user == "root" {
            return Some(vec!["all".to_owned()]);
        }
        let text = files::text(&self.path(FILE)).ok()?;
        let acls = files::lookup(&text, user)?;
        Some(acls.split(',').map(str::trim).filter(|a| !a.is_empty()).map(str::to_owned).collect())
    }

    /// Makes `user` a reseller with these ACLs, or ends it.
    pub fn set_reseller(&self, user: &str, acls: Option<&[&str]>) -> Result<(), Failure> {
        self.edit(FILE, 0o644, |old| {
            let value = acls.map(|acls| acls.join(","));
            Ok(files::with_pair(old, user, value.as_deref()).replace(": ", ":"))
        })
    }

    /// Every reseller, by name.
    pub fn resellers(&self) -> Result<Vec<String>, Failure> {
        let text = files::text(&self.path(FILE))?;
        let mut users: Vec<String> = files::pairs(&text).map(|(user, _)| user.to_owned()).collect();
        users.sort();
        Ok(users)
    }

    /// Gives an account another owner.
    pub fn set_owner(&self, user: &str, owner: &str) -> Result<(), Failure> {
        self.edit_account(user, |account| account.set("OWNER", owner))?;
        self.edit("/etc/trueuserowners", 0o644, |old| Ok(files::with_pair(old, user, Some(owner))))
    }

    /// Names of the saved lists of rights: files in `/var/cpanel/acllists`.
    pub fn acl_lists(&self) -> Result<Vec<String>, Failure> {
        let entries = match std::fs::read_dir(self.path(LISTS)) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other?,
        };
        let mut names = Vec::new();
        for entry in entries {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        Ok(names)
    }

    /// The rights in a saved list.
    pub fn acl_list(&self, name: &str) -> Result<Option<Vec<String>>, Failure> {
        let text = files::read(&self.path(&list_file(name)?))?;
        let on = |line: &str| line.strip_suffix("=1").map(str::to_owned);
        Ok(text.map(|text| text.lines().filter_map(on).collect()))
    }

    /// Saves a list of rights.
    pub fn save_acl_list(&self, name: &str, acls: &[String]) -> Result<(), Failure> {
        let text: String = acls.iter().map(|acl| format!("{acl}=1\n")).collect();
        Ok(files::replace(&self.path(&list_file(name)?), text.as_bytes(), 0o644)?)
    }
}

fn list_file(name: &str) -> Result<String, Failure> {
    let plain = !name.is_empty() && name.len() <= 64 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if plain {
        Ok(format!("{LISTS}/{name}"))
    } else {
        Err(Failure::new(format!("“{name}” is not a valid name of an ACL list.")))
    }
}
