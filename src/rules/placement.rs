//! Where the mail of a new account is to live.

use super::names::{self, LOCAL};
use crate::wire::Destination;

/// What is known of the wishes for a new account. Text as it came: a name that is empty is no wish.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wishes<'a> {
    /// The field of WHM's form, or of what a caller of the API sent for it.
    pub form: &'a str,
    /// The same field of the account's package.
    pub package: &'a str,
    /// Where the mail of the owner lives, when the owner is a reseller with an account of its own.
    pub owner: Option<&'a str>,
    /// Whether the account comes from an archive or another server.
    pub restored: bool,
}

/// Where it goes, and by whose wish.
///
/// The field of the form counts first, when it says something else than the package: WHM fills it from the package. Then a new account
/// starts where its reseller is (Linked Nodes Guide), then where its package says, else on this server. What is restored stays on this
/// server: its mail is only just being put there.
pub fn choose(wishes: &Wishes<'_>) -> (Destination, &'static str) {
    let named = |name: &str| match name {
        LOCAL => Some(Destination::Local),
        alias => names::alias(alias).is_ok().then(|| Destination::Child(alias.to_owned())),
    };
    if wishes.restored {
        return (Destination::Local, "a restored account begins on this server");
    }
    if wishes.form != wishes.package
        && let Some(to) = named(wishes.form)
    {
        return (to, "the form says so");
    }
    if let Some(to) = wishes.owner.and_then(named) {
        return (to, "its owner's mail is there");
    }
    if let Some(to) = named(wishes.package) {
        return (to, "its package says so");
    }
    (Destination::Local, "nothing says otherwise")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_wish_counts() {
        let child = |alias: &str| Destination::Child(alias.into());
        let table = [
            ("", "", None, false, Destination::Local),
            ("mail1", "", None, false, child("mail1")),
            ("mail1", "mail2", Some("mail3"), false, child("mail1")),
            (".local", "mail2", Some("mail3"), false, Destination::Local),
            ("mail2", "mail2", Some("mail3"), false, child("mail3")),
            ("", "mail2", Some(".local"), false, Destination::Local),
            ("", "mail2", None, false, child("mail2")),
            ("", ".local", None, false, Destination::Local),
            ("not an alias", "", Some("mail3"), false, child("mail3")),
            ("mail1", "mail2", Some("mail3"), true, Destination::Local),
        ];
        for (form, package, owner, restored, wanted) in table {
            let wishes = Wishes { form, package, owner, restored };
            assert_eq!(choose(&wishes).0, wanted, "{wishes:?}");
        }
    }
}
