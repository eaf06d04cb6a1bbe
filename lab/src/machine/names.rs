//! What cPanel accepts as a name, and how good a password has to be.

use super::{Machine, files};
use crate::call::Failure;

/// Names no account may have: the system's own users and cPanel's.
const RESERVED: &[&str] = &[
    "root",
    "bin",
    "daemon",
    "adm",
    "lp",
    "sync",
    "shutdown",
    "halt",
    "mail",
    "news",
    "uucp",
    "operator",
    "games",
    "gopher",
    "ftp",
    "nobody",
    "nogroup",
    "sys",
    "man",
    "proxy",
    "backup",
    "list",
    "irc",
    "gnats",
    "sshd",
    "named",
    "bind",
    "mailman",
    "mysql",
    "postgres",
    "cpanel",
    "whm",
    "webmail",
    "dovecot",
    "dovenull",
    "exim",
    "apache",
    "www",
    "system",
    "all",
    "test",
    "default",
    "virtfs",
    "cpses",
    "cpanelconnecttrack",
    "cpanelhorde",
    "cpanelphpmyadmin",
    "cpanelphppgadmin",
    "cpanelrrdtool",
    "cpanelroundcube",
    "postmaster",
    "hostmaster",
    "abuse",
    "pdns",
    "toor",
    "spamassassin",
    "nscd",
    "ntp",
    "dbus",
    "tomcat",
    "cpbackup",
    "dirs",
];

/// Host labels cPanel puts in front of an account's domain, and certifies with it.
pub const SERVICE_SUBDOMAINS: &[&str] = &["www", "mail", "webmail", "cpanel", "autodiscover", "autoconfig"];

/// Checks a new account's name: 1 to 16 of `a`–`z` and `0`–`9`, a letter first, not reserved.
/// Source: WHM documentation "Create a New Account", "Username".
pub fn check_username(name: &str) -> Result<(), Failure> {
    let bad = |why: &str| Err(Failure::new(format!("“{name}” is not a valid username on this system: {why}")));
    if name.is_empty() || name.len() > 16 {
        return bad("a username has 1 to 16 characters.");
    }
    if !name.starts_with(|c: char| c.is_ascii_lowercase()) {
        return bad("a username begins with a letter.");
    }
    if !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()) {
        return bad("a username holds only the letters a-z and digits.");
    }
    if name.starts_with("test") || name.ends_with("assword") {
        return bad("it may not begin with “test” nor end with “assword”.");
    }
    if RESERVED.contains(&name) {
        return Err(Failure::new(format!("“{name}” is a reserved username on this system.")));
    }
    Ok(())
}

/// A domain in cPanel's form (lower case, no trailing dot), or why it is none.
pub fn domain(name: &str) -> Result<String, Failure> {
    let lower = name.trim_end_matches('.').to_ascii_lowercase();
    let labels: Vec<&str> = lower.split('.').collect();
    let label_ok = |label: &&str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    let numeric_end = labels.last().is_some_and(|label| label.bytes().all(|b| b.is_ascii_digit()));
    if labels.len() < 2 || lower.len() > 254 || numeric_end || !labels.iter().all(label_ok) {
        return Err(Failure::new(format!("“{name}” is not a valid domain.")));
    }
    Ok(lower)
}

/// Whether `name` may name a host: a domain, or one label.
pub fn is_hostname(name: &str) -> bool {
    domain(name).is_ok()
        || (!name.is_empty()
            && name.len() <= 63
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !name.bytes().all(|b| b.is_ascii_digit()))
}

/// A mailbox's local part as cPanel accepts it: letters, digits, `.`, `_`, `-`, in lower case.
pub fn local_part(name: &str) -> Result<String, Failure> {
    let lower = name.to_ascii_lowercase();
    let ok = !lower.is_empty()
        && lower.len() <= 64
        && !lower.starts_with('.')
        && !lower.ends_with('.')
        && !lower.contains("..")
        && lower != "cpanel"
        && lower.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    if ok { Ok(lower) } else { Err(Failure::new(format!("“{name}” is not a valid email account name."))) }
}

/// A token's name: up to 50 of letters, digits, `_` and `-`.
pub fn check_token_name(name: &str) -> Result<(), Failure> {
    let ok = !name.is_empty() && name.len() <= 50 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if ok {
        Ok(())
    } else {
        Err(Failure::new(format!(
            "The API token name “{name}” is not valid: it may contain up to 50 letters, digits, dashes, and underscores."
        )))
    }
}

/// How hard a password is to guess, 0 to 100: the bits of its alphabet and length, less for repeats and well-known words.
pub fn strength(password: &str) -> u32 {
    const KNOWN: &[&str] = &["password", "passw0rd", "qwerty", "letmein", "welcome", "admin", "123456", "abc123", "secret"];
    let has = |test: fn(&char) -> bool| password.chars().any(|c| test(&c));
    let mut alphabet = 0_u32;
    for (found, size) in [
        (has(char::is_ascii_lowercase), 26),
        (has(char::is_ascii_uppercase), 26),
        (has(char::is_ascii_digit), 10),
        (has(|c| c.is_ascii_punctuation() || *c == ' '), 33),
        (has(|c| !c.is_ascii()), 100),
    ] {
        if found {
            alphabet += size;
        }
    }
    if alphabet == 0 {
        return 0;
    }
    let mut seen: Vec<char> = Vec::new();
    let mut weight = 0.0_f64;
    for c in password.chars() {
        weight += if seen.contains(&c) { 0.5 } else { 1.0 };
        seen.push(c);
    }
    let lower = password.to_lowercase();
    for word in KNOWN {
        if lower.contains(word) {
            weight -= 0.8 * f64::from(u32::try_from(word.len()).unwrap_or(8));
        }
    }
    let bits = weight.max(0.0) * f64::from(alphabet).log2();
    let score = (bits * 100.0 / 64.0).min(100.0);
    // Between 0 and 100 by construction.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0..=100")]
    let whole = score as u32;
    whole
}

/// The applications that have a minimum strength of their own.
pub const STRENGTH_APPS: &[&str] = &["createacct", "ftp", "list", "mysql", "passwd", "postgres", "sshkey", "virtual"];

/// cPanel's default minimum strength.
const DEFAULT_STRENGTH: u32 = 65;

impl Machine {
    /// The minimum strength `app` asks for; `default` gives the default. Kept in `/var/cpanel/cpanel.config`
    /// as `minpwstrength` and `minpwstrength_APP`. Mail and Web Disk accounts (`pop`, `webdisk`) have what `virtual` asks for, which WHM
    /// describes as "mail, FTP, Web Disk, and WebDAV accounts"; FTP accounts only where they have no setting of their own.
    pub fn required_strength(&self, app: &str) -> u32 {
        let text = files::text(&self.path("/var/cpanel/cpanel.config")).unwrap_or_default();
        let find = |key: &str| -> Option<u32> {
            text.lines()
                .filter_map(|line| line.split_once('='))
                .find(|(name, _)| name.trim() == key)
                .and_then(|(_, value)| value.trim().parse().ok())
        };
        let virtual_too = matches!(app, "pop" | "webdisk" | "ftp");
        find(&format!("minpwstrength_{app}"))
            .or_else(|| find("minpwstrength_virtual").filter(|_| virtual_too))
            .or_else(|| find("minpwstrength"))
            .unwrap_or(DEFAULT_STRENGTH)
    }

    /// Refuses a password weaker than `app` asks for.
    pub fn check_strength(&self, app: &str, password: &str) -> Result<(), Failure> {
        let (has, needs) = (strength(password), self.required_strength(app));
        if has < needs {
            return Err(Failure::new(format!(
                "The password you supplied is too weak. Its strength rating is {has}, which is less than the required rating of {needs}."
            )));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usernames_follow_cpanels_rules() {
        for good in ["alice", "a1", "abcdefghijklmnop"] {
            assert!(check_username(good).is_ok(), "{good}");
        }
        for bad in ["", "1a", "Alice", "a.b", "root", "abcdefghijklmnopq", "test1", "../x"] {
            assert!(check_username(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn domains_are_lowered_and_checked() {
        assert_eq!(domain("Example.COM.").unwrap(), "example.com");
        for bad in ["example", "-a.com", "a..com", "10.0.0.1", "a/b.com", "exa mple.com", ".."] {
            assert!(domain(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn weak_passwords_score_below_the_default() {
        assert!(strength("password") < DEFAULT_STRENGTH);
        assert!(strength("aaaaaaaaaa") < DEFAULT_STRENGTH);
        assert!(strength("Tr0ub4dor&3x") >= DEFAULT_STRENGTH);
    }
}
