//! What a mailbox must hold after all that the server acknowledged.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// Flags and keywords.
pub type Flags = BTreeSet<String>;

/// One thing to do with a mailbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "operation")]
pub enum Operation {
    /// Put message `n` into a folder.
    Append { n: u64, folder: String, flags: Flags },
    /// Give a copy these flags instead of its own.
    Store { copy: usize, flags: Flags },
    /// Copy a copy into another folder.
    Copy { copy: usize, folder: String },
    /// Move a copy into another folder.
    Move { copy: usize, folder: String },
    /// Remove a copy that has `\Deleted`.
    Expunge { copy: usize },
    /// Make a folder. Made twice it is made.
    Create { folder: String },
    /// Subscribe to a folder. Done twice it is done.
    Subscribe { folder: String },
}

/// A message that was made.
#[derive(Debug, Clone, Default)]
pub struct Made {
    /// INTERNALDATE in UTC (RFC 3339).
    pub date: String,
    /// SHA-256 of the message.
    pub sha256: String,
}

/// Where a copy is and with which flags.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    /// The folder's name.
    pub folder: String,
    /// Its flags.
    pub flags: Flags,
}

/// A copy of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copy {
    /// The message's number.
    pub n: u64,
    /// Its UID in its folder.
    pub uid: u64,
    /// Where it is.
    pub place: Place,
    /// What may be so instead, `None` being that there is no such copy. A copy with alternatives is left alone from then on.
    pub alternatives: Vec<Option<Place>>,
    /// Whether it is gone for certain.
    pub gone: bool,
}

impl Copy {
    /// Whether all about it is certain and it is there.
    pub fn usable(&self) -> bool {
        !self.gone && self.alternatives.is_empty()
    }

    /// Whether it may be in this folder.
    fn may_be_in(&self, folder: &str) -> bool {
        let instead = self.alternatives.iter().flatten().any(|place| place.folder == folder);
        !self.gone && (self.place.folder == folder || instead)
    }
}

/// The mailbox by the server's own word.
#[derive(Debug, Default)]
pub struct Model {
    /// Messages by number.
    pub made: BTreeMap<u64, Made>,
    /// Copies, also those that are gone. Positions never change.
    pub copies: Vec<Copy>,
    /// Folders that were made.
    pub folders: BTreeSet<String>,
    /// Folders that were subscribed to.
    pub subscribed: BTreeSet<String>,
}

impl Model {
    /// The server acknowledged the operation; `uid` is the new copy's, where there is a new copy.
    pub fn acknowledged(&mut self, operation: &Operation, uid: u64) {
        match operation {
            Operation::Append { n, folder, flags } => self.add(*n, uid, folder, flags.clone(), Vec::new()),
            Operation::Store { copy, flags } => self.copies[*copy].place.flags.clone_from(flags),
            Operation::Copy { copy, folder } => {
                let (n, flags) = self.of(*copy);
                self.add(n, uid, folder, flags, Vec::new());
            }
            Operation::Move { copy, folder } => {
                let copy = &mut self.copies[*copy];
                copy.place.folder.clone_from(folder);
                copy.uid = uid;
            }
            Operation::Expunge { copy } => self.copies[*copy].gone = true,
            Operation::Create { folder } => drop(self.folders.insert(folder.clone())),
            Operation::Subscribe { folder } => drop(self.subscribed.insert(folder.clone())),
        }
    }

    /// The operation was sent, but its answer never came: it may have been carried out or not.
    pub fn uncertain(&mut self, operation: &Operation) {
        match operation {
            Operation::Append { n, folder, flags } => self.add(*n, 0, folder, flags.clone(), vec![None]),
            Operation::Store { copy, flags } => {
                let copy = &mut self.copies[*copy];
                copy.alternatives.push(Some(Place { flags: flags.clone(), ..copy.place.clone() }));
            }
            Operation::Copy { copy, folder } => {
                let (n, flags) = self.of(*copy);
                self.add(n, 0, folder, flags, vec![None]);
            }
            Operation::Move { copy, folder } => {
                let copy = &mut self.copies[*copy];
                copy.alternatives.push(Some(Place { folder: folder.clone(), ..copy.place.clone() }));
            }
            Operation::Expunge { copy } => self.copies[*copy].alternatives.push(None),
            // These are done again until they are acknowledged.
            Operation::Create { .. } | Operation::Subscribe { .. } => {}
        }
    }

    /// Whether a copy of message `n` may be in this folder.
    pub fn occupied(&self, n: u64, folder: &str) -> bool {
        self.copies.iter().any(|copy| copy.n == n && copy.may_be_in(folder))
    }

    fn of(&self, copy: usize) -> (u64, Flags) {
        (self.copies[copy].n, self.copies[copy].place.flags.clone())
    }

    fn add(&mut self, n: u64, uid: u64, folder: &str, flags: Flags, alternatives: Vec<Option<Place>>) {
        self.copies.push(Copy { n, uid, place: Place { folder: folder.into(), flags }, alternatives, gone: false });
    }

    /// What must be there, by Message-ID, and the Message-IDs that must not.
    pub fn outcome(&self, message_id: impl Fn(u64) -> String) -> (Vec<Expected>, Vec<String>) {
        let mut expected = Vec::new();
        let mut left: BTreeSet<u64> = self.made.keys().copied().collect();
        for copy in self.copies.iter().filter(|copy| !copy.gone) {
            left.remove(&copy.n);
            let made = self.made.get(&copy.n).cloned().unwrap_or_default();
            expected.push(Expected {
                message_id: message_id(copy.n),
                folder: copy.place.folder.clone(),
                flags: copy.place.flags.clone(),
                uncertain: !copy.alternatives.is_empty(),
                alternatives: copy.alternatives.clone(),
                date: made.date,
                sha256: made.sha256,
            });
        }
        (expected, left.into_iter().map(message_id).collect())
    }
}

/// A copy that must be there.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Expected {
    /// The Message-ID field.
    pub message_id: String,
    /// Its folder.
    pub folder: String,
    /// Its flags and keywords.
    pub flags: Flags,
    /// Whether an answer is missing: then `alternatives` are as good, `null` being that there is no such copy.
    pub uncertain: bool,
    /// What may be so instead.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alternatives: Vec<Option<Place>>,
    /// INTERNALDATE in UTC (RFC 3339).
    pub date: String,
    /// SHA-256 of the message.
    pub sha256: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(words: &[&str]) -> Flags {
        words.iter().map(|&word| word.to_owned()).collect()
    }

    fn model(operations: &[Operation]) -> Model {
        let mut model = Model::default();
        for (uid, operation) in operations.iter().enumerate() {
            if let Operation::Append { n, .. } = operation {
                model.made.insert(*n, Made::default());
            }
            model.acknowledged(operation, uid as u64 + 1);
        }
        model
    }

    #[test]
    fn acknowledged_operations_leave_no_doubt() {
        let model = model(&[
            Operation::Append { n: 1, folder: "A".into(), flags: flags(&["\\Seen"]) },
            Operation::Copy { copy: 0, folder: "B".into() },
            Operation::Move { copy: 0, folder: "C".into() },
            Operation::Store { copy: 1, flags: flags(&["x"]) },
            Operation::Append { n: 2, folder: "A".into(), flags: flags(&[]) },
            Operation::Expunge { copy: 2 },
        ]);
        let (expected, gone) = model.outcome(|n| n.to_string());
        let seen: Vec<_> = expected.iter().map(|e| (e.folder.as_str(), e.flags.clone(), e.uncertain)).collect();
        assert_eq!(seen, [("C", flags(&["\\Seen"]), false), ("B", flags(&["x"]), false)]);
        assert_eq!(gone, ["2"]);
        assert_eq!(model.copies[0].uid, 3);
        assert!(model.occupied(1, "B") && !model.occupied(1, "A"));
    }

    #[test]
    fn a_missing_answer_allows_both_outcomes_and_retires_the_copy() {
        let mut model = model(&[Operation::Append { n: 1, folder: "A".into(), flags: flags(&[]) }]);
        model.uncertain(&Operation::Move { copy: 0, folder: "B".into() });
        assert!(!model.copies[0].usable() && model.occupied(1, "A") && model.occupied(1, "B"));
        model.made.insert(2, Made::default());
        model.uncertain(&Operation::Append { n: 2, folder: "A".into(), flags: flags(&[]) });
        let (expected, gone) = model.outcome(|n| n.to_string());
        assert_eq!(expected[0].alternatives, [Some(Place { folder: "B".into(), flags: flags(&[]) })]);
        assert_eq!(expected[1].alternatives, [None]);
        assert!(gone.is_empty());
    }
}
