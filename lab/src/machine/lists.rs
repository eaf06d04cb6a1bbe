//! Records of mailing lists, `NAME_DOMAIN` below cPanel's folder for Mailman.

use serde::{Deserialize, Serialize};

use super::{Machine, files};
use crate::call::Failure;

const FOLDER: &str = "/usr/local/cpanel/3rdparty/mailman/lists";

/// One mailing list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct List {
    /// The part before the `@`.
    pub name: String,
    /// The domain.
    pub domain: String,
    /// Hash of the administrators' password.
    pub password: String,
    /// Addresses of its administrators, separated by commas.
    pub admin: String,
    /// Whether the directory of lists shows it.
    pub advertised: bool,
    /// Whether only members read its archive.
    pub archive_private: bool,
    /// 1: confirmation; 2: approval; 3: both.
    pub subscribe_policy: u8,
}

impl List {
    /// `name@domain`.
    pub fn address(&self) -> String {
        format!("{}@{}", self.name, self.domain)
    }

    /// `name_domain`, which is its folder too.
    pub fn id(&self) -> String {
        format!("{}_{}", self.name, self.domain)
    }

    fn file(&self) -> String {
        format!("{FOLDER}/{}/config.json", self.id())
    }
}

impl Machine {
    /// The lists of these domains, by address.
    pub fn lists_of(&self, domains: &[String]) -> Result<Vec<List>, Failure> {
        let entries = match std::fs::read_dir(self.path(FOLDER)) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other?,
        };
        let mut lists = Vec::new();
        for entry in entries {
            let path = entry?.path().join("config.json");
            let Some(text) = files::read(&path)? else { continue };
            let list: List = serde_json::from_str(&text)
                .map_err(|error| Failure::new(format!("the mailing list in {} is damaged: {error}", path.display())))?;
            if domains.contains(&list.domain) {
                lists.push(list);
            }
        }
        lists.sort_by_key(List::address);
        Ok(lists)
    }

    /// Writes a list.
    pub fn save_list(&self, list: &List) -> Result<(), Failure> {
        let text = serde_json::to_string(list).map_err(|error| Failure::new(error.to_string()))?;
        Ok(files::replace(&self.path(&list.file()), text.as_bytes(), 0o640)?)
    }

    /// Removes a list.
    pub fn remove_list(&self, list: &List) -> Result<(), Failure> {
        Ok(std::fs::remove_dir_all(self.path(&format!("{FOLDER}/{}", list.id())))?)
    }

    /// Removes every list of a domain.
    pub fn forget_lists(&self, domain: &str) -> Result<(), Failure> {
        self.lists_of(&[domain.to_owned()])?.iter().try_for_each(|list| self.remove_list(list))
    }

    /// Gives the lists of `old` to `new`.
    pub fn rename_lists(&self, old: &str, new: &str) -> Result<(), Failure> {
        for list in self.lists_of(&[old.to_owned()])? {
            self.save_list(&List { domain: new.to_owned(), ..list.clone() })?;
            self.remove_list(&list)?;
        }
        Ok(())
    }
}
