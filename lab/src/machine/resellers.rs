//! Resellers: `/var/cpanel/resellers`, lines of `user:acl,acl`.

use super::{Machine, files};
use crate::call::Failure;

const FILE: &str = "/var/cpanel/resellers";

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
}
