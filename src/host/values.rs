//! What cPanel's files of accounts and packages say under a key.

use super::read_optional;
use crate::error::Result;
use crate::rules::names;

fn value(text: &str, key: &str) -> String {
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('=')).unwrap_or_default().trim().to_owned()
}

/// A value of an account's file (`/var/cpanel/users/USER`); empty when it has none.
///
/// # Errors
/// When the file cannot be read.
pub fn account_value(user: &str, key: &str) -> Result<String> {
    names::user(user)?;
    Ok(value(&read_optional(&format!("/var/cpanel/users/{user}"))?, key))
}

/// A value of a package's file (`/var/cpanel/packages/NAME`); empty when it has none, or there is no such package.
///
/// # Errors
/// When the file cannot be read.
pub fn package_value(package: &str, key: &str) -> Result<String> {
    if package.is_empty() || package.starts_with('.') || package.contains(['/', '\0']) {
        return Ok(String::new());
    }
    Ok(value(&read_optional(&format!("/var/cpanel/packages/{package}"))?, key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_the_line_of_its_key() {
        assert_eq!(value("A=1\nlinkednodes_mail_node=mail1\n", "linkednodes_mail_node"), "mail1");
        assert_eq!(value("linkednodes_mail_nodes=x\n", "linkednodes_mail_node"), "");
        assert_eq!(package_value("../users/root", "A").unwrap(), "");
    }
}
