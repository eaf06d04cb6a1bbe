//! The two halves of an account: what the child's half has to be, and the steps that make it so.
//!
//! The parent's half is the authority. The child's half is a function of it: the same name, domains, password, suspension, shell and
//! contact address, and the limits that cPanel's mail functions obey. It is always root's and never a reseller (Linked Nodes Guide:
//! a distributed reseller has no reseller privileges on the child).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Limits that the child obeys: the key of WHM API 1 `modifyacct`, and the field of `accountsummary` that shows it.
pub const LIMITS: [(&str, &str); 7] = [
    ("MAXLST", "maxlst"),
    ("MAXPOP", "maxpop"),
    ("MAX_DEFER_FAIL_PERCENTAGE", "max_defer_fail_percentage"),
    ("MAX_EMAILACCT_QUOTA", "max_emailacct_quota"),
    ("MAX_EMAIL_PER_HOUR", "max_email_per_hour"),
    ("OUTGOING_EMAIL_SUSPENDED", "outgoing_mail_suspended"),
    ("QUOTA", "disklimit"),
];

/// Limits that count what the parent alone gives out; the child never says no to a domain that the parent has.
pub const UNLIMITED: [(&str, &str); 3] = [("MAXADDON", "maxaddons"), ("MAXPARK", "maxparked"), ("MAXSUB", "maxsub")];

/// A password hash as in shadow(5), without the mark of a suspension; never shown.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Hash(String);

impl Hash {
    /// The hash, whether or not the account is suspended (a `!` in front).
    pub fn new(shadow: &str) -> Self {
        Self(shadow.trim_start_matches('!').to_owned())
    }

    /// As the shadow file of a server has it, by whether the account is suspended there.
    pub fn shadow(&self, suspended: bool) -> String {
        if suspended { format!("!{}", self.0) } else { self.0.clone() }
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hash(…)")
    }
}

/// An account on one server, as far as its mail depends on it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Half {
    /// The main domain.
    pub domain: String,
    /// Subdomains by their full names, those under addon domains included.
    pub subdomains: BTreeSet<String>,
    /// Addon domains, each with the subdomain that it stands on.
    pub addons: BTreeMap<String, String>,
    /// Parked domains (aliases of the main one).
    pub parked: BTreeSet<String>,
    /// Why it is suspended; `None` when it is not.
    pub suspended: Option<String>,
    /// Whether it has a shell to sign in to.
    pub shell: bool,
    /// The contact address; empty for none.
    pub contact: String,
    /// [`LIMITS`] and [`UNLIMITED`] by the key of `modifyacct`.
    pub limits: BTreeMap<String, String>,
    /// The password.
    pub hash: Hash,
}

impl Half {
    /// Every domain, the main one first.
    pub fn domains(&self) -> Vec<String> {
        let others: BTreeSet<&String> = self.subdomains.iter().chain(self.addons.keys()).chain(&self.parked).collect();
        std::iter::once(self.domain.clone()).chain(others.into_iter().filter(|name| **name != self.domain).cloned()).collect()
    }

    /// This half as the child has to be: what only the parent counts is without limit there.
    #[must_use]
    pub fn on_child(mut self) -> Self {
        self.limits.extend(UNLIMITED.iter().map(|(key, _)| ((*key).to_owned(), "unlimited".to_owned())));
        self
    }

    /// This half while mail arrives: nothing that the account may have grown beyond stops a mailbox from being made.
    #[must_use]
    pub fn arriving(self) -> Self {
        let mut half = self.on_child();
        for (key, _) in LIMITS.iter().filter(|(key, _)| *key != "OUTGOING_EMAIL_SUSPENDED") {
            half.limits.insert((*key).to_owned(), "unlimited".to_owned());
        }
        half
    }
}

/// One step that brings the child's half nearer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// It is suspended, for this reason.
    Suspend(String),
    /// It is no longer suspended.
    Unsuspend,
    /// It gets another main domain: from, to.
    MainDomain(String, String),
    /// A domain that the parent's half does not have goes.
    RemoveDomain(String),
    /// A subdomain comes.
    AddSubdomain(String),
    /// An addon domain comes, on this subdomain.
    AddAddon(String, String),
    /// A parked domain comes.
    AddParked(String),
    /// Shell, contact address, limits: keys and values of `modifyacct`.
    Settings(BTreeMap<String, String>),
    /// The password becomes the parent's.
    Password,
}

impl Step {
    /// What it changes, for a person.
    pub fn describe(&self) -> String {
        match self {
            Self::Suspend(_) => "suspended".into(),
            Self::Unsuspend => "no longer suspended".into(),
            Self::MainDomain(from, to) => format!("main domain {from} → {to}"),
            Self::RemoveDomain(domain) => format!("domain {domain} removed"),
            Self::AddSubdomain(domain) => format!("subdomain {domain} added"),
            Self::AddAddon(domain, _) => format!("addon domain {domain} added"),
            Self::AddParked(domain) => format!("parked domain {domain} added"),
            Self::Settings(values) => {
                let shown: Vec<String> = values.iter().map(|(key, value)| format!("{key}={value}")).collect();
                format!("settings: {}", shown.join(", "))
            }
            Self::Password => "password".into(),
        }
    }
}

/// The steps that make `there` what `wanted` is, in an order that cPanel accepts: the suspension first, what goes before what comes, a
/// subdomain before the addon domain that stands on it. Equal halves need none.
pub fn steps(wanted: &Half, there: &Half) -> Vec<Step> {
    let mut steps = Vec::new();
    match (&wanted.suspended, &there.suspended) {
        (Some(reason), None) => steps.push(Step::Suspend(reason.clone())),
        (None, Some(_)) => steps.push(Step::Unsuspend),
        _ => {}
    }
    let moves = wanted.domain != there.domain;
    // cPanel renames what stands below the main domain; it is looked at when that is done.
    let renamed = |name: &String| moves && name.strip_suffix(&there.domain).is_some_and(|left| left.ends_with('.'));
    let gone =
        |domain: &&String, on: &String| wanted.addons.get(*domain) != Some(on) && !renamed(on) || **domain == wanted.domain;
    steps.extend(
        there.addons.iter().filter(|(domain, on)| gone(domain, on)).map(|(domain, _)| Step::RemoveDomain(domain.clone())),
    );
    steps.extend(there.parked.difference(&wanted.parked).map(|domain| Step::RemoveDomain(domain.clone())));
    let gone = there.subdomains.difference(&wanted.subdomains).filter(|name| !renamed(name));
    steps.extend(gone.map(|domain| Step::RemoveDomain(domain.clone())));
    if moves {
        steps.push(Step::MainDomain(there.domain.clone(), wanted.domain.clone()));
        return steps;
    }
    steps.extend(wanted.subdomains.difference(&there.subdomains).map(|domain| Step::AddSubdomain(domain.clone())));
    let come = |domain: &&String| there.addons.get(*domain) != wanted.addons.get(*domain);
    steps.extend(wanted.addons.keys().filter(come).map(|domain| Step::AddAddon(domain.clone(), wanted.addons[domain].clone())));
    steps.extend(wanted.parked.difference(&there.parked).map(|domain| Step::AddParked(domain.clone())));
    let mut settings: BTreeMap<String, String> = BTreeMap::new();
    for (key, value) in &wanted.limits {
        if there.limits.get(key) != Some(value) {
            settings.insert(key.clone(), value.clone());
        }
    }
    if wanted.shell != there.shell {
        settings.insert("HASSHELL".into(), u8::from(wanted.shell).to_string());
    }
    if wanted.contact != there.contact {
        settings.insert("contactemail".into(), wanted.contact.clone());
    }
    if !settings.is_empty() {
        steps.push(Step::Settings(settings));
    }
    if wanted.hash != there.hash {
        steps.push(Step::Password);
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn half() -> Half {
        Half {
            domain: "a.test".into(),
            subdomains: ["blog.a.test".to_owned(), "shop.a.test".to_owned()].into(),
            addons: [("shop.test".to_owned(), "shop.a.test".to_owned())].into(),
            parked: ["alias.test".to_owned()].into(),
            suspended: None,
            shell: false,
            contact: "me@else.test".into(),
            limits: [("MAXPOP".to_owned(), "5".to_owned())].into(),
            hash: Hash::new("$6$x"),
        }
    }

    #[test]
    fn equal_halves_need_nothing() {
        assert_eq!(steps(&half(), &half()), vec![]);
        assert_eq!(half().domains(), ["a.test", "alias.test", "blog.a.test", "shop.a.test", "shop.test"]);
    }

    #[test]
    fn each_difference_is_one_step() {
        type Change = fn(&mut Half);
        let table: [(Change, Step); 10] = [
            (|h| h.suspended = Some("unpaid".into()), Step::Suspend("unpaid".into())),
            (|h| h.domain = "b.test".into(), Step::MainDomain("a.test".into(), "b.test".into())),
            (|h| h.parked.clear(), Step::RemoveDomain("alias.test".into())),
            (|h| h.addons.clear(), Step::RemoveDomain("shop.test".into())),
            (
                |h| {
                    h.subdomains.remove("blog.a.test");
                },
                Step::RemoveDomain("blog.a.test".into()),
            ),
            (
                |h| {
                    h.parked.insert("new.test".into());
                },
                Step::AddParked("new.test".into()),
            ),
            (|h| h.shell = true, Step::Settings([("HASSHELL".to_owned(), "1".to_owned())].into())),
            (|h| h.contact.clear(), Step::Settings([("contactemail".to_owned(), String::new())].into())),
            (
                |h| {
                    h.limits.insert("MAXPOP".into(), "9".into());
                },
                Step::Settings([("MAXPOP".to_owned(), "9".to_owned())].into()),
            ),
            (|h| h.hash = Hash::new("$6$y"), Step::Password),
        ];
        for (change, step) in table {
            let mut wanted = half();
            change(&mut wanted);
            assert_eq!(steps(&wanted, &half()), vec![step]);
        }
        let mut there = half();
        there.suspended = Some("unpaid".into());
        assert_eq!(steps(&half(), &there), vec![Step::Unsuspend]);
    }

    #[test]
    fn a_subdomain_comes_before_the_addon_on_it_and_goes_after() {
        let mut bare = half();
        bare.addons.clear();
        bare.subdomains.remove("shop.a.test");
        assert_eq!(
            steps(&half(), &bare),
            vec![Step::AddSubdomain("shop.a.test".into()), Step::AddAddon("shop.test".into(), "shop.a.test".into())]
        );
        assert_eq!(steps(&bare, &half()), vec![Step::RemoveDomain("shop.test".into()), Step::RemoveDomain("shop.a.test".into())]);
    }

    #[test]
    fn an_addon_that_becomes_the_main_domain_goes_first() {
        let mut wanted = half();
        wanted.domain = "shop.test".into();
        wanted.addons.clear();
        wanted.subdomains.clear();
        assert_eq!(
            steps(&wanted, &half()),
            vec![Step::RemoveDomain("shop.test".into()), Step::MainDomain("a.test".into(), "shop.test".into())]
        );
    }

    #[test]
    fn a_suspended_half_keeps_the_password_under_the_mark() {
        assert_eq!(Hash::new("!$6$x"), Hash::new("$6$x"));
        assert_eq!(Hash::new("!$6$x").shadow(true), "!$6$x");
        assert_eq!(Hash::new("!$6$x").shadow(false), "$6$x");
        assert!(!format!("{:?}", half()).contains("$6$"));
    }

    #[test]
    fn nothing_limits_what_arrives_but_a_ban_on_sending_stays() {
        let mut parent = half();
        parent.limits.insert("OUTGOING_EMAIL_SUSPENDED".into(), "1".into());
        let arriving = parent.arriving();
        assert_eq!(arriving.limits["MAXPOP"], "unlimited");
        assert_eq!(arriving.limits["MAXADDON"], "unlimited");
        assert_eq!(arriving.limits["OUTGOING_EMAIL_SUSPENDED"], "1");
        assert_eq!(half().on_child().limits["MAXPOP"], "5");
    }
}
