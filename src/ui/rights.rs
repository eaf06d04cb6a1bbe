//! Who may see and do something here: root, and root-level resellers. Nobody else.

use std::path::Path;

/// cPanel's resellers and their privileges: `user:acl,acl,…` a line. `all` is root-level.
pub const RESELLERS: &str = "/var/cpanel/resellers";

/// Whether this user of WHM is root-level by cPanel's own data. What cannot be read grants nothing.
pub fn root_level(user: &str, resellers: &Path) -> bool {
    user == "root" || std::fs::read_to_string(resellers).is_ok_and(|text| grants_all(&text, user))
}

fn grants_all(resellers: &str, user: &str) -> bool {
    !user.is_empty()
        && resellers
            .lines()
            .filter(|line| !line.trim_start().starts_with('#'))
            .filter_map(|line| line.split_once(':'))
            .any(|(name, acls)| name.trim() == user && acls.split(',').any(|acl| acl.trim() == "all"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_root_and_those_who_have_all() {
        let text =
            "# all:all\nsecond:all\nthird:list-accts,all\nfourth:list-accts,allow-shell\n fifth : create-acct , all \n:all\n";
        for good in ["second", "third", "fifth"] {
            assert!(grants_all(text, good), "{good}");
        }
        for bad in ["fourth", "", "sixth", "# all", "all", "secon", "second:all"] {
            assert!(!grants_all(text, bad), "{bad:?}");
        }
        let nowhere = Path::new("/nonexistent/resellers");
        assert!(root_level("root", nowhere));
        assert!(!root_level("second", nowhere), "what cannot be read grants nothing");
    }
}
