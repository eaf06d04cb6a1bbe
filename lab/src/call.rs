//! What every API function of the stand-in takes and gives.

use serde_json::Value;

/// Who calls, once proved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The system user: `root`, a reseller, or a cPanel user. For a webmail session the mailbox's owner.
    pub user: String,
    /// The mailbox (`local@domain`) for webmail callers.
    pub mailbox: Option<String>,
    /// ACL names the call may use; `all` gives every one. Empty for plain cPanel users.
    pub acls: Vec<String>,
}

impl Caller {
    /// Root on its own machine, as the command-line tools run.
    pub fn root() -> Self {
        Self { user: "root".into(), mailbox: None, acls: vec!["all".into()] }
    }

    /// Whether the caller holds `acl` (or `all`).
    pub fn may(&self, acl: &str) -> bool {
        self.acls.iter().any(|held| held == "all" || held == acl)
    }
}

/// Arguments in the order given, decoded, duplicates kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Args(pub Vec<(String, String)>);

impl Args {
    /// The first value of `name`.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The first value of `name`, or cPanel's complaint about its absence.
    pub fn need(&self, name: &str) -> Result<&str, Failure> {
        match self.get(name) {
            Some(value) if !value.is_empty() => Ok(value),
            _ => Err(Failure::new(format!("Provide the “{name}” argument."))),
        }
    }

    /// `name` as cPanel reads a boolean: absent, empty and `0` are false.
    pub fn flag(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| !value.is_empty() && value != "0")
    }

    /// Every value of a list argument: `name=a&name=b`, `name=a&name-1=b`, and `name1=…` as some functions spell it.
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.0
            .iter()
            .filter(|(key, _)| {
                key == name
                    || key.strip_prefix(name).is_some_and(|rest| {
                        let digits = rest.strip_prefix('-').unwrap_or(rest);
                        !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
                    })
            })
            .map(|(_, value)| value.as_str())
            .collect()
    }
}

/// What a function returns: the `data` of its envelope, and what goes beside it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outcome {
    /// `data` of the reply.
    pub data: Value,
    /// `metadata.reason` where a function words its own ("Account Creation Ok"); `OK` otherwise.
    pub reason: Option<String>,
    /// Messages for the caller.
    pub messages: Vec<String>,
    /// Warnings for the caller.
    pub warnings: Vec<String>,
    /// `metadata.output.raw`, the text some WHM functions print.
    pub raw: Option<String>,
}

impl From<Value> for Outcome {
    fn from(data: Value) -> Self {
        Self { data, ..Self::default() }
    }
}

/// A function's failure, in the caller's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Failure {
    /// What goes into `metadata.reason` or `errors`.
    pub reason: String,
}

impl Failure {
    /// A failure with this reason.
    pub fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into() }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::new(error.to_string())
    }
}

/// What a function returns.
pub type Reply = Result<Outcome, Failure>;
