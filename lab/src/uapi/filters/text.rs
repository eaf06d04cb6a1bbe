//! A list of filters as Exim's filter language says it.
//!
//! Source of the language: "Exim's interfaces to mail filtering", the Exim documentation.

use super::{Action, Filter, Rule};
use crate::call::Failure;
use crate::machine::names;

/// Where the filters run.
#[derive(Debug)]
pub struct Scope<'a> {
    /// The account's home directory; files outside are refused.
    pub home: &'a str,
    /// The Maildir that folder names belong to.
    pub maildir: String,
    /// Whether programs may be run (the FileStorage role).
    pub pipes: bool,
}

/// Exim's text of these filters; those not enabled are left out.
///
/// # Errors
/// When a rule or an action is none that cPanel knows.
pub fn exim(filters: &[Filter], scope: &Scope<'_>) -> Result<String, Failure> {
    let mut text = String::from(
        "# Exim filter\n\
         # Generated from the filter.yaml of the same place. Changes here are lost.\n\
         headers charset \"UTF-8\"\n\
         if not first_delivery and error_message then finish endif\n",
    );
    for filter in filters {
        let block = one(filter, scope)?;
        if filter.enabled == 1 {
            text.push_str(&block);
        }
    }
    Ok(text)
}

fn one(filter: &Filter, scope: &Scope<'_>) -> Result<String, Failure> {
    let mut text = format!("\n#{}\nif\n", filter.filtername);
    for (at, rule) in filter.rules.iter().enumerate() {
        text.push(' ');
        text.push_str(&condition(rule)?);
        if at + 1 < filter.rules.len() {
            text.push_str(match rule.opt.as_deref() {
                None | Some("and") => "\n and",
                Some("or") => "\n or",
                Some(other) => {
                    return Err(Failure::new(format!("“{other}” is not a valid connection: use “and” or “or”.")));
                }
            });
        }
    }
    text.push_str("\nthen\n");
    for action in &filter.actions {
        text.push_str(&format!(" {}\n", command(action, scope)?));
    }
    text.push_str("endif\n");
    Ok(text)
}

/// Exim's word for a part, and whether it is a condition by itself.
fn part(name: &str) -> Option<(String, bool)> {
    match name {
        "not delivered" => return Some(("not delivered".into(), true)),
        "error_message" => return Some(("error_message".into(), true)),
        "$reply_address" | "$reply_address:" => return Some(("$reply_address".into(), false)),
        "$message_body" | "$message_headers" => return Some((name.into(), false)),
        "foranyaddress $h_to:,$h_cc:,$h_bcc:" => return Some((name.into(), false)),
        _ => {}
    }
    let header = name.strip_prefix("$header_").or_else(|| name.strip_prefix("$h_"))?;
    let header = header.strip_suffix(':')?;
    let good = !header.is_empty() && header.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    good.then(|| (name.to_owned(), false))
}

fn condition(rule: &Rule) -> Result<String, Failure> {
    let unknown = |what: &str, value: &str| Failure::new(format!("“{value}” is not a valid filter {what}."));
    let (word, alone) = part(&rule.part).ok_or_else(|| unknown("part", &rule.part))?;
    if alone {
        return Ok(word);
    }
    let operator = &*rule.matching;
    let test = match operator {
        "is" | "is not" | "contains" | "does not contain" | "begins" | "does not begin" | "ends" | "does not end" | "matches"
        | "does not match" => {
            format!("{operator} {}", quoted(&rule.val))
        }
        "is above" | "is not above" | "is below" | "is not below" => {
            let number: i64 = rule.val.trim().parse().map_err(|_| unknown("number", &rule.val))?;
            // Exim compares whole numbers only, and a header may hold anything.
            let digits = r"\\N^\\s*(-?\\d+)\\N";
            return Ok(format!("\"${{if match{{{word}}}{{{digits}}}{{$1}}{{0}}}}\" {operator} {number}"));
        }
        _ => return Err(unknown("match type", operator)),
    };
    match word.strip_prefix("foranyaddress ") {
        Some(addresses) => Ok(format!("foranyaddress {addresses} ( $thisaddress {test} )")),
        None => Ok(format!("{word} {test}")),
    }
}

fn command(action: &Action, scope: &Scope<'_>) -> Result<String, Failure> {
    let dest = || {
        action
            .dest
            .as_deref()
            .filter(|dest| !dest.is_empty() && !dest.chars().any(char::is_control))
            .ok_or_else(|| Failure::new(format!("The action “{}” needs a destination.", action.action)))
    };
    Ok(match &*action.action {
        "finish" => "finish".to_owned(),
        "fail" => match action.dest.as_deref() {
            Some(text) if !text.is_empty() => format!("fail text {}", quoted(text)),
            _ => "fail".to_owned(),
        },
        "deliver" => {
            let address = dest()?;
            let valid =
                address.rsplit_once('@').is_some_and(|(local, domain)| !local.is_empty() && names::domain(domain).is_ok())
                    || address.bytes().all(|b| b.is_ascii_alphanumeric());
            if !valid || address.contains([' ', ',', '"', '|']) {
                return Err(Failure::new(format!("“{address}” is not a valid email address.")));
            }
            format!("deliver {}", quoted(address))
        }
        "save" => format!("save {}", quoted(&file(dest()?, scope)?)),
        "pipe" if !scope.pipes => {
            return Err(Failure::new("The “pipe” action requires the “FileStorage” role, which is not enabled on this server."));
        }
        "pipe" => {
            let command = dest()?.trim_start_matches(['|', ' ']);
            let slash = if command.starts_with('/') { String::new() } else { format!("{}/", scope.home) };
            format!("pipe {}", quoted(&format!("{slash}{command}")))
        }
        other => return Err(Failure::new(format!("“{other}” is not a valid filter action."))),
    })
}

/// The file or folder a message is saved to: a folder of the mailbox by its name, or a place in the home directory. Maildir folders end
/// with a slash, which is how Exim tells them from files.
fn file(dest: &str, scope: &Scope<'_>) -> Result<String, Failure> {
    if dest == "/dev/null" {
        return Ok(dest.to_owned());
    }
    let outside = || Failure::new(format!("“{dest}” is not a folder or file of the account."));
    let home = scope.home;
    let expanded = dest.strip_prefix("$home").map_or(dest.to_owned(), |rest| format!("{home}{rest}"));
    if expanded.split('/').any(|part| part == "..") {
        return Err(outside());
    }
    if let Some(inside) = expanded.strip_prefix(&format!("{home}/")) {
        let slash = if inside.starts_with("mail/") && !inside.ends_with('/') { "/" } else { "" };
        return Ok(format!("{expanded}{slash}"));
    }
    let folder = expanded.trim_start_matches('/').trim_end_matches('/');
    if folder.contains('/') || folder.is_empty() {
        return Err(outside());
    }
    let name = folder.strip_prefix("INBOX").unwrap_or(folder).trim_start_matches('.');
    if name.is_empty() {
        return Ok(format!("{}/", scope.maildir));
    }
    Ok(format!("{}/.{name}/", scope.maildir))
}

/// A string literal that expands to exactly `text`: backslash and dollar pass Exim's quotes and then its expansion.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\\\\\"),
            '$' => out.push_str("\\\\$"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            '\r' => {}
            '\t' => out.push_str("\\t"),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope() -> Scope<'static> {
        Scope { home: "/home/u", maildir: "/home/u/mail/a.test/ann".into(), pipes: true }
    }

    #[test]
    fn folders_stay_inside() {
        let good = |dest| file(dest, &scope()).unwrap();
        assert_eq!(good("INBOX.Junk"), "/home/u/mail/a.test/ann/.Junk/");
        assert_eq!(good("/.Junk"), "/home/u/mail/a.test/ann/.Junk/");
        assert_eq!(good("$home/mail/x"), "/home/u/mail/x/");
        assert_eq!(good("/home/u/log.txt"), "/home/u/log.txt");
        for bad in ["/etc/passwd", "/home/u/../v", "$home/../v", "/", "../../x"] {
            assert!(file(bad, &scope()).is_err(), "{bad}");
        }
    }

    #[test]
    fn unknown_words_are_refused() {
        let rule = |part: &str, matching: &str, val: &str| Rule {
            part: part.into(),
            matching: matching.into(),
            val: val.into(),
            opt: None,
        };
        assert!(condition(&rule("$header_subject:", "contains", "x")).is_ok());
        assert!(condition(&rule("$header_subject: is \"\" then", "contains", "x")).is_err());
        assert!(condition(&rule("$header_subject:", "contains x or", "x")).is_err());
        assert!(condition(&rule("$h_x-Spam-Score:", "is above", "5x")).is_err());
        assert!(condition(&rule("not delivered", "", "")).is_ok());
    }

    /// Exim itself, where it is installed, reads what is generated and decides as asked.
    #[test]
    fn exim_decides_as_asked() {
        let exim_program = std::path::Path::new("/usr/sbin/exim4");
        if !exim_program.exists() {
            return;
        }
        let decide = |part: &str, matching: &str, val: &str, message: &str| {
            let filter = Filter {
                filtername: "f".into(),
                enabled: 1,
                rules: vec![Rule { part: part.into(), matching: matching.into(), val: val.into(), opt: None }],
                actions: vec![Action { action: "save".into(), dest: Some("Hit".into()) }],
            };
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("filter");
            std::fs::write(&path, exim(&[filter], &scope()).unwrap()).unwrap();
            let said = crate::machine::system::run(
                "/usr/sbin/exim4",
                &["-bf", path.to_str().unwrap(), "-f", "bob@b.test"],
                message.as_bytes(),
            )
            .unwrap();
            assert!(!said.contains("Filter error"), "{said}");
            said.contains("Save message to: /home/u/mail/a.test/ann/.Hit/")
        };
        let message = "From: bob@b.test\nTo: x@c.test, ann@a.test\nSubject: Price \\ $5 \"now\"\nX-Spam-Score: 7\n\nbody\n";
        assert!(decide("$header_subject:", "is", "Price \\ $5 \"now\"", message));
        assert!(!decide("$header_subject:", "is", "Price", message));
        assert!(decide("$header_subject:", "matches", "^Price.*\\$\\d", message));
        assert!(decide("$h_X-Spam-Score:", "is above", "5", message));
        assert!(!decide("$h_X-Spam-Score:", "is above", "7", message));
        assert!(!decide("$h_X-Absent:", "is above", "0", message));
        assert!(decide("foranyaddress $h_to:,$h_cc:,$h_bcc:", "contains", "ann@", message));
        assert!(!decide("foranyaddress $h_to:,$h_cc:,$h_bcc:", "contains", "eve@", message));
    }
}
