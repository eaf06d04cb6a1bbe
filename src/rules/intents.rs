//! What became of what cPanel said it was about to do to an account.

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Not known yet, or it did not happen.
    Open,
    /// The account is called this now.
    Renamed(String),
    /// The account is gone.
    Removed,
}

/// Decides what became of an account with this number that was to get the name `to`, or with none to be removed.
///
/// From what exists: the number of the system user (0 when cPanel knows the account and the system does not, in the middle of
/// something) that has the account's name now, and of the one that has the name it was to get.
pub fn outcome(uid: u32, to: Option<&str>, here: Option<u32>, there: Option<u32>) -> Outcome {
    match (to, here) {
        // A rename keeps the number; another account may have got the former name since.
        (Some(new), here) if there == Some(uid) && here != Some(uid) => Outcome::Renamed(new.to_owned()),
        (Some(_), _) => Outcome::Open,
        (None, None) => Outcome::Removed,
        // Another account of that name.
        (None, Some(other)) if other != uid && other != 0 => Outcome::Removed,
        (None, Some(_)) => Outcome::Open,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_exists_decides() {
        let (rename, removal) = (Some("bob"), None);
        let renamed = Outcome::Renamed("bob".into());
        let table = [
            (rename, Some(1001), None, Outcome::Open),
            (rename, None, Some(1001), renamed.clone()),
            (rename, Some(1002), Some(1001), renamed),
            (rename, None, Some(1007), Outcome::Open),
            (rename, None, None, Outcome::Open),
            (removal, Some(1001), None, Outcome::Open),
            (removal, Some(0), None, Outcome::Open),
            (removal, None, None, Outcome::Removed),
            (removal, Some(1002), None, Outcome::Removed),
        ];
        for (to, here, there, wanted) in table {
            assert_eq!(outcome(1001, to, here, there), wanted, "{to:?} {here:?} {there:?}");
        }
    }
}
