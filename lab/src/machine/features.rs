//! Features of accounts: lists in `/var/cpanel/features/NAME` (`feature=0` turns one off), overridden by `FEATURE-name` in the account's file.
//! The list `disabled` turns features off for everybody.

use super::{Machine, files};
use crate::call::Failure;

const FOLDER: &str = "/var/cpanel/features";

/// The list that turns features off on the whole server.
const DISABLED: &str = "disabled";

fn check(kind: &str, name: &str) -> Result<(), Failure> {
    let plain = !name.is_empty() && name.len() <= 64 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_- ".contains(&b));
    if plain { Ok(()) } else { Err(Failure::new(format!("“{name}” is not a valid {kind}."))) }
}

impl Machine {
    /// Names of the feature lists; `default` and `disabled` always exist.
    pub fn feature_lists(&self) -> Result<Vec<String>, Failure> {
        let mut names = vec!["default".to_owned(), DISABLED.to_owned()];
        if let Ok(entries) = std::fs::read_dir(self.path(FOLDER)) {
            names.extend(entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()));
        }
        names.sort();
        names.dedup();
        Ok(names)
    }

    /// What a list says of features; `None` when there is no such list.
    pub fn feature_list(&self, name: &str) -> Result<Option<Vec<(String, bool)>>, Failure> {
        check("feature list", name)?;
        let text = files::read(&self.path(&format!("{FOLDER}/{name}")))?;
        let text = match text {
            None if name == "default" || name == DISABLED => String::new(),
            None => return Ok(None),
            Some(text) => text,
        };
        let said = text.lines().filter_map(|line| line.split_once('='));
        Ok(Some(said.map(|(feature, value)| (feature.trim().to_owned(), value.trim() != "0")).collect()))
    }

    /// Turns features of a list on or off; a new list begins with all on.
    pub fn set_features(&self, list: &str, changes: &[(String, bool)]) -> Result<(), Failure> {
        check("feature list", list)?;
        changes.iter().try_for_each(|(feature, _)| check("feature", feature))?;
        let mut said = self.feature_list(list)?.unwrap_or_default();
        for (feature, on) in changes {
            said.retain(|(old, _)| old != feature);
            said.push((feature.clone(), *on));
        }
        let text: String = said.iter().map(|(feature, on)| format!("{feature}={}\n", u8::from(*on))).collect();
        self.edit(&format!("{FOLDER}/{list}"), 0o644, |_| Ok(text))
    }

    /// Overrides features for one account; `None` takes an override back.
    pub fn override_features(&self, user: &str, changes: &[(String, Option<bool>)]) -> Result<(), Failure> {
        changes.iter().try_for_each(|(feature, _)| check("feature", feature))?;
        let key = |feature: &str| format!("FEATURE-{}", feature.to_ascii_uppercase());
        self.edit_account(user, |account| {
            for (feature, on) in changes {
                match on {
                    Some(on) => account.set(&key(feature), if *on { "1" } else { "0" }),
                    None => account.unset(&key(feature)),
                }
            }
        })
        .map(drop)
    }

    /// Whether an account has a feature. One that nothing is said of is on.
    pub fn has_feature(&self, user: &str, feature: &str) -> Result<bool, Failure> {
        let account = self.account(user)?;
        let says = |list: &str| -> Result<Option<bool>, Failure> {
            let said = self.feature_list(list)?.unwrap_or_default();
            Ok(said.into_iter().find(|(name, _)| name == feature).map(|(_, on)| on))
        };
        if says(DISABLED)? == Some(false) {
            return Ok(false);
        }
        if let Some(own) = account.get(&format!("FEATURE-{}", feature.to_ascii_uppercase())) {
            return Ok(own == "1");
        }
        Ok(says(account.get("FEATURELIST").filter(|list| !list.is_empty()).unwrap_or("default"))?.unwrap_or(true))
    }
}
