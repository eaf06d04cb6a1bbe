//! The checks of a link, each with its name, in the order in which they are made.

use crate::error::{Error, Result};
use crate::wire::{CheckView, LinkReport};

/// One check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// The alias and the hostname are names, and free.
    Names,
    /// This server may have children.
    Parent,
    /// DNS knows the hostname.
    Resolves,
    /// Something listens on WHM's port.
    Reachable,
    /// The certificate is believed.
    Certificate,
    /// Token or password are accepted.
    Credential,
    /// With root-level privileges.
    RootLevel,
    /// The server profile is one of a child.
    Profile,
    /// The version fits.
    Version,
    /// Linked Nodes is installed there.
    Installed,
    /// It has no children itself.
    NotParent,
    /// It is no other parent's child.
    NoOtherParent,
    /// It takes this server as its parent.
    Accepts,
}

/// Every check, in order, with its name.
const ALL: [(Check, &str); 13] = [
    (Check::Names, "Its hostname is a name, not an IP address, and alias and hostname are free"),
    (Check::Parent, "This server has the Standard profile and no parent"),
    (Check::Resolves, "Its hostname resolves"),
    (Check::Reachable, "It can be reached on port 2087"),
    (Check::Certificate, "Its certificate is trusted"),
    (Check::Credential, "It accepts what proves us"),
    (Check::RootLevel, "The token is root-level"),
    (Check::Profile, "Its server profile is Mail or Standard"),
    (Check::Version, "Its version is this server's or later"),
    (Check::Installed, "Linked Nodes is installed there"),
    (Check::NotParent, "It has no children itself"),
    (Check::NoOtherParent, "It has no other parent"),
    (Check::Accepts, "It takes this server as its parent"),
];

/// What the checks found so far.
#[derive(Debug)]
pub struct Report(Vec<CheckView>);

impl Report {
    /// None made yet.
    pub fn new() -> Self {
        Self(ALL.iter().map(|(_, name)| CheckView { name: (*name).to_owned(), passed: None, found: String::new() }).collect())
    }

    /// Records how a check ended.
    ///
    /// # Errors
    /// The error that it was given.
    pub fn check<T>(&mut self, check: Check, result: Result<T>, found: impl FnOnce(&T) -> String) -> Result<T> {
        match &result {
            Ok(value) => self.record(check, true, found(value)),
            Err(error) => self.record(check, false, error.message.clone()),
        }
        result
    }

    fn record(&mut self, check: Check, passed: bool, found: String) {
        let at = ALL.iter().position(|(listed, _)| *listed == check).unwrap_or_default();
        if let Some(row) = self.0.get_mut(at) {
            (row.passed, row.found) = (Some(passed), found);
        }
    }

    /// What people are shown.
    pub fn ended(self, result: Result<()>) -> LinkReport {
        LinkReport { checks: self.0, error: result.err() }
    }
}

impl LinkReport {
    /// The failure alone.
    ///
    /// # Errors
    /// Why it was not linked.
    pub fn outcome(self) -> Result<(), Error> {
        self.error.map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;

    #[test]
    fn what_was_not_reached_is_not_said_to_have_failed() {
        let mut report = Report::new();
        report.check(Check::Names, Ok(()), |()| "mail1.test".to_owned()).unwrap();
        let failed: Result<()> =
            report.check(Check::Resolves, Err(Error::new(Code::NotSent, "It does not.")), |()| String::new());
        let view = report.ended(failed);
        let passed: Vec<_> = view.checks.iter().map(|check| check.passed).collect();
        assert_eq!(passed[..4], [Some(true), None, Some(false), None]);
        assert_eq!((view.checks[2].found.as_str(), view.checks.len()), ("It does not.", ALL.len()));
        assert!(view.outcome().is_err());
    }
}
