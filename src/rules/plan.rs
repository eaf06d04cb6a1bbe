//! Whether an account's mail may be moved: facts in, refusals out. Nothing here asks, waits or looks at a clock.

use crate::wire::Destination;

/// What is known of the server a parent would have to be.
#[derive(Debug, Clone, Default)]
pub struct ParentFacts {
    /// Server profile code.
    pub profile: String,
    /// The parent's hostname if this server is a child.
    pub child_of: Option<String>,
}

/// What is known of the account on the parent.
#[derive(Debug, Clone, Default)]
pub struct AccountFacts {
    /// Whether cPanel knows it.
    pub exists: bool,
    /// Alias of its mail child; `None` when local.
    pub child: Option<String>,
    /// All its domains, the main one first.
    pub domains: Vec<String>,
    /// The move under way.
    pub running_move: Option<i64>,
    /// What runs a program when a message comes, each with its place.
    pub pipes: Vec<String>,
    /// Its own IPv6 addresses.
    pub ipv6: Vec<String>,
}

/// What is known of the mail where it lies now.
#[derive(Debug, Clone, Default)]
pub struct MailFacts {
    /// Messages.
    pub messages: u64,
    /// Bytes.
    pub bytes: u64,
    /// What cannot be moved, each with its reason.
    pub unsupported: Vec<String>,
    /// Mailboxes by name.
    pub mailboxes: Vec<String>,
    /// What will be left out, each with its reason.
    pub left_out: Vec<String>,
}

/// What is known of the server the mail would go to.
#[derive(Debug, Clone, Default)]
pub struct TargetFacts {
    /// Its alias, or `.local`.
    pub name: String,
    /// Whether a link of this alias exists (always for `.local`).
    pub linked: bool,
    /// Why it does not answer; `None` when it does.
    pub trouble: Option<String>,
    /// Server profile code.
    pub profile: String,
    /// Free bytes on its file system of /home.
    pub disk_free: u64,
    /// Free inodes there.
    pub inodes_free: u64,
    /// Whether a user of this name exists there that was not made by an earlier move of this account.
    pub foreign_user: bool,
    /// The account's domains that belong to somebody else there.
    pub foreign_domains: Vec<String>,
    /// Mail already there that the move would mix with.
    pub leftovers: Vec<String>,
}

/// Everything a plan is made from.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// cPanel user.
    pub user: String,
    /// The parent.
    pub parent: ParentFacts,
    /// The account.
    pub account: AccountFacts,
    /// Its mail; `None` when it could not be looked at.
    pub mail: MailFacts,
    /// The destination.
    pub target: TargetFacts,
}

/// Room kept free on the target, in bytes, beside the mail itself.
pub const DISK_RESERVE: u64 = 64 << 20;

/// Why this move cannot be; empty when it can. Each names the thing and the reason.
pub fn refusals(facts: &Facts, to: &Destination) -> Vec<String> {
    let mut reasons = Vec::new();
    let user = &facts.user;
    if !facts.account.exists {
        return vec![format!("There is no account “{user}” on this server.")];
    }
    if let Some(parent) = &facts.parent.child_of {
        return vec![format!("This server is a child of “{parent}”; mail is distributed on the parent.")];
    }
    if let Some(id) = facts.account.running_move {
        return vec![format!("Move {id} of “{user}” is under way.")];
    }
    match (to, &facts.account.child) {
        (Destination::Local, None) => {
            return vec![format!("The mail of “{user}” is on this server already; there is nothing to dedistribute.")];
        }
        (Destination::Child(alias), Some(current)) if alias == current => {
            return vec![format!("The account “{user}” is already distributed to “{alias}”.")];
        }
        (Destination::Child(alias), _) if !facts.target.linked => {
            return vec![format!("No linked server node has the alias “{alias}”.")];
        }
        (Destination::Child(alias), Some(current)) => {
            return vec![format!(
                "The account “{user}” is distributed to “{current}”; moving it from child to child is not supported. Dedistribute it first, then distribute it to “{alias}”."
            )];
        }
        _ => {}
    }
    if facts.parent.profile != "STANDARD" {
        reasons.push(format!("Only a server of the Standard profile can be a parent; this one is {}.", facts.parent.profile));
    }
    if let Some(trouble) = &facts.target.trouble {
        // Which of the two nodes it is, the trouble says itself.
        reasons.push(format!("A node that takes part does not answer: {trouble}"));
        return reasons;
    }
    if let Destination::Child(alias) = to {
        if !matches!(facts.target.profile.as_str(), "MAILNODE" | "STANDARD") {
            reasons.push(format!("“{alias}” has the profile {}; a mail child has Mail or Standard.", facts.target.profile));
        }
        if facts.target.foreign_user {
            reasons.push(format!("“{alias}” has an account “{user}” of its own, which is not ours to touch."));
        }
        // Linked Nodes Guide: an account whose mail is on a child does not use IPv6.
        if !facts.account.ipv6.is_empty() {
            reasons.push(format!(
                "“{user}” uses IPv6 ({}), which a distributed account cannot: disable it first (ipv6_disable_account).",
                facts.account.ipv6.join(", ")
            ));
        }
        for domain in &facts.target.foreign_domains {
            reasons.push(format!("The domain “{domain}” belongs to another account on “{alias}”."));
        }
    }
    let needed = facts.mail.bytes.saturating_add(DISK_RESERVE);
    if facts.target.disk_free < needed {
        reasons.push(format!(
            "“{}” has {} MiB free where {} MiB are needed.",
            facts.target.name,
            facts.target.disk_free >> 20,
            needed >> 20
        ));
    }
    if facts.target.inodes_free < facts.mail.messages.saturating_add(10_000) {
        reasons.push(format!(
            "“{}” has {} free inodes; {} messages need one each.",
            facts.target.name, facts.target.inodes_free, facts.mail.messages
        ));
    }
    reasons.extend(facts.mail.unsupported.iter().cloned());
    reasons.extend(
        facts.target.leftovers.iter().map(|what| format!("“{}” already holds mail of this account: {what}", facts.target.name)),
    );
    reasons
}

/// What is worth knowing before the move, but stops nothing.
pub fn warnings(facts: &Facts) -> Vec<String> {
    let mut warnings: Vec<String> = facts
        .account
        .pipes
        .iter()
        .map(|pipe| format!("What runs a program is off for distributed accounts and stays behind: {pipe}"))
        .collect();
    warnings.extend(facts.mail.left_out.iter().map(|what| format!("Left out: {what}")));
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Facts {
        Facts {
            user: "alice".into(),
            parent: ParentFacts { profile: "STANDARD".into(), child_of: None },
            account: AccountFacts { exists: true, domains: vec!["alice.test".into()], ..Default::default() },
            mail: MailFacts { messages: 10, bytes: 1 << 20, ..Default::default() },
            target: TargetFacts {
                name: "mail1".into(),
                linked: true,
                profile: "MAILNODE".into(),
                disk_free: 1 << 30,
                inodes_free: 1 << 20,
                ..Default::default()
            },
        }
    }

    fn to_child() -> Destination {
        Destination::Child("mail1".into())
    }

    #[test]
    fn a_good_move_has_no_refusal() {
        assert_eq!(refusals(&good(), &to_child()), Vec::<String>::new());
    }

    #[test]
    fn every_rule_refuses_by_itself() {
        type Break = fn(&mut Facts);
        let rules: [(&str, Break); 13] = [
            ("no account", |f| f.account.exists = false),
            ("child of", |f| f.parent.child_of = Some("p.test".into())),
            ("under way", |f| f.account.running_move = Some(3)),
            ("already distributed", |f| f.account.child = Some("mail1".into())),
            ("child to child", |f| f.account.child = Some("mail2".into())),
            ("No linked server node", |f| f.target.linked = false),
            ("Standard profile", |f| f.parent.profile = "MAILNODE".into()),
            ("does not answer", |f| f.target.trouble = Some("refused".into())),
            ("a mail child has", |f| f.target.profile = "DNSNODE".into()),
            ("of its own", |f| f.target.foreign_user = true),
            ("belongs to another", |f| f.target.foreign_domains = vec!["alice.test".into()]),
            ("uses IPv6", |f| f.account.ipv6 = vec!["2001:db8::5".into()]),
            ("MiB free", |f| f.target.disk_free = 1 << 20),
        ];
        for (text, break_it) in rules {
            let mut facts = good();
            break_it(&mut facts);
            let found = refusals(&facts, &to_child());
            assert!(found.len() == 1 && found[0].contains(text), "{text}: {found:?}");
        }
    }

    #[test]
    fn a_local_account_cannot_be_dedistributed() {
        let found = refusals(&good(), &Destination::Local);
        assert!(found[0].contains("nothing to dedistribute"), "{found:?}");
    }
}
