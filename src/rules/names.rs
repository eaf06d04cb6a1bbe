//! What names may look like.
//!
//! Sources: WHM API 1 `link_server_node_with_api_token` (alias: letters, digits, `_`, `-`, at most 50; hostname: never an IP address).

use crate::error::{Code, Error, Result};
use std::net::IpAddr;

/// The literal that names the parent where an alias may stand. Aliases cannot hold a dot, so there is no clash.
pub const LOCAL: &str = ".local";

/// Checks a child's friendly name.
///
/// # Errors
/// [`Code::Invalid`] with the grammar.
pub fn alias(alias: &str) -> Result<()> {
    let good = !alias.is_empty()
        && alias.len() <= 50
        && alias.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    if good {
        return Ok(());
    }
    Err(Error::new(Code::Invalid, format!("“{}” cannot be the alias of a server node.", printable(alias)))
        .hint("An alias has 1 to 50 letters (a-z), digits, “_” and “-”."))
}

/// Checks the hostname of a node and returns it in lower case.
///
/// # Errors
/// [`Code::Invalid`] for an IP address or what is no fully qualified name.
pub fn hostname(hostname: &str) -> Result<String> {
    let bare = hostname.trim_start_matches('[').trim_end_matches(']');
    if bare.parse::<IpAddr>().is_ok() {
        return Err(Error::new(
            Code::Invalid,
            format!("“{}” is an IP address; a server node is linked by its hostname.", printable(hostname)),
        )
        .hint("Use the name that the child's certificate carries."));
    }
    let name = hostname.trim_end_matches('.').to_ascii_lowercase();
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let numeric_end = name.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
    if name.len() <= 253 && name.contains('.') && !numeric_end && name.split('.').all(label) {
        return Ok(name);
    }
    Err(Error::new(Code::Invalid, format!("“{}” is not a fully qualified hostname.", printable(hostname))))
}

/// Checks a cPanel user name before it becomes part of a command or a path.
///
/// # Errors
/// [`Code::Invalid`] for anything that no cPanel user can be called.
pub fn user(user: &str) -> Result<()> {
    let good = (1..=32).contains(&user.len())
        && user.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        && user.bytes().next().is_some_and(|first| !first.is_ascii_digit());
    if good { Ok(()) } else { Err(Error::new(Code::Invalid, format!("“{}” is not a cPanel user name.", printable(user)))) }
}

/// A domain of an account, checked before it is used as a file name or in a zone.
///
/// # Errors
/// [`Code::Invalid`] for what is no domain.
pub fn domain(domain: &str) -> Result<()> {
    hostname(domain).map(|_| ()).map_err(|_| Error::new(Code::Invalid, format!("“{}” is not a domain.", printable(domain))))
}

/// Text from outside, safe to put into a message: no control characters, bounded.
pub fn printable(text: &str) -> String {
    let mut shown: String = text.chars().take(100).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if text.chars().count() > 100 {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aliases() {
        for good in ["mail1", "a", "Mail_Node-2", &"x".repeat(50)] {
            assert!(alias(good).is_ok(), "{good}");
        }
        for bad in ["", ".local", "mail 1", "é", "a.b", "a/b", "a\n", &"x".repeat(51)] {
            assert!(alias(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn hostnames() {
        assert_eq!(hostname("Mail1.Lab.TEST.").unwrap(), "mail1.lab.test");
        for bad in ["10.77.0.11", "::1", "[::1]", "mail1", "", "a..b", "-a.b", "a_b.c", "1.2.3", "a.b/c", "a.b:2087"] {
            assert!(hostname(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn users() {
        assert!(user("exampleu").is_ok());
        for bad in ["", "../x", "Root", "a b", "1a", "a;b", "a\n"] {
            assert!(user(bad).is_err(), "{bad:?}");
        }
    }
}
