//! Which server profile a linked server may have: a parent is Standard, a child Mail or Standard (cPanel Linked Nodes Guide).

/// What depends on this server's profile.
#[derive(Debug, Clone, Default)]
pub struct Dependants {
    /// Aliases of its children.
    pub children: Vec<String>,
    /// How many accounts are distributed to them.
    pub distributed: usize,
    /// Its parent.
    pub parent: Option<String>,
    /// How many accounts it serves for the parent.
    pub served: usize,
}

/// Why this server cannot be given a profile: what depends on the one it has, and the next step; `None` when it can.
pub fn refusal(code: &str, dependants: &Dependants) -> Option<String> {
    let code = code.trim().to_ascii_uppercase();
    if !dependants.children.is_empty() && code != "STANDARD" {
        return Some(format!(
            "This server is the parent of {}, with {} distributed account(s); only a server of the Standard profile can be a parent. \
             Dedistribute the accounts and unlink the children first.",
            dependants.children.join(", "),
            dependants.distributed
        ));
    }
    if let Some(parent) = &dependants.parent
        && !matches!(code.as_str(), "MAILNODE" | "STANDARD")
    {
        return Some(format!(
            "This server is a child of “{parent}” and serves the mail of {} account(s) for it; a child has the profile Mail or Standard. \
             Dedistribute them and unlink this server on “{parent}” first.",
            dependants.served
        ));
    }
    None
}

/// What is wrong with the profile that this server has; `None` when nothing is.
pub fn trouble(code: &str, dependants: &Dependants) -> Option<String> {
    refusal(code, dependants)?;
    Some(match &dependants.parent {
        Some(parent) => format!(
            "This server has the profile {code}, but serves the mail of {} account(s) for “{parent}”: activate Mail or Standard again.",
            dependants.served
        ),
        None => format!(
            "This server has the profile {code}, but is the parent of {}: activate Standard again.",
            dependants.children.join(", ")
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_change_that_would_break_links_is_refused_with_what_depends_on_it() {
        let parent = Dependants { children: vec!["mail1".into(), "mail2".into()], distributed: 3, ..Dependants::default() };
        let child = Dependants { parent: Some("p.test".into()), served: 2, ..Dependants::default() };
        for code in ["MAILNODE", "DNSNODE", "DATABASENODE", "", "standardx"] {
            let why = refusal(code, &parent).unwrap();
            assert!(why.contains("mail1, mail2") && why.contains("3 distributed"), "{why}");
            assert_eq!(refusal(code, &Dependants::default()), None, "{code}: nothing depends on it");
        }
        for code in ["DNSNODE", "DATABASENODE", ""] {
            let why = refusal(code, &child).unwrap();
            assert!(why.contains("p.test") && why.contains("2 account"), "{why}");
        }
        for (code, of) in [("STANDARD", &parent), (" standard ", &parent), ("STANDARD", &child), ("mailnode", &child)] {
            assert_eq!(refusal(code, of), None, "{code}");
        }
        assert!(trouble("MAILNODE", &parent).unwrap().contains("activate Standard"));
        assert_eq!(trouble("MAILNODE", &child), None);
    }
}
