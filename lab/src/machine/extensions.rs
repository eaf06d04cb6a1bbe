//! Package extensions: what plugins add to packages and accounts. `/var/cpanel/packages/extensions/NAME` holds a title and variables
//! with their defaults, `NAME.tt2` beside it the part of the form that asks for them.
//!
//! Source: docs.cpanel.net, "Guide to Package Extensions".

use std::io;

use super::{Machine, files};
use crate::call::Args;

/// Where they are.
pub const FOLDER: &str = "/var/cpanel/packages/extensions";
/// The key that lists the extensions of a package or an account, separated by spaces.
pub const LIST: &str = "_PACKAGE_EXTENSIONS";

/// An installed extension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extension {
    /// Its file's name.
    pub id: String,
    /// Its title, for people.
    pub title: String,
    /// Its variables and their defaults.
    pub defaults: Vec<(String, String)>,
}

impl Extension {
    fn parse(id: &str, text: &str) -> Self {
        let mut title = id.to_owned();
        let mut defaults = Vec::new();
        for (key, value) in text.lines().map(str::trim).filter(|line| !line.starts_with('#')).filter_map(|l| l.split_once('=')) {
            match key.trim() {
                "_NAME" => value.trim().clone_into(&mut title),
                key => defaults.push((key.to_owned(), value.trim().to_owned())),
            }
        }
        Self { id: id.to_owned(), title, defaults }
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

impl Machine {
    /// The installed extensions, by name.
    ///
    /// # Errors
    /// When their folder cannot be read.
    pub fn package_extensions(&self) -> io::Result<Vec<Extension>> {
        let entries = match std::fs::read_dir(self.path(FOLDER)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other?,
        };
        let mut found = Vec::new();
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if is_name(&name) && entry.file_type()?.is_file() {
                found.push(Extension::parse(&name, &files::text(&entry.path())?));
            }
        }
        found.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(found)
    }

    /// Puts into `values` the variables of the extensions that `values` or the call name: as the call says, else as they are, else
    /// their defaults.
    ///
    /// # Errors
    /// When the extensions cannot be read.
    pub fn apply_extensions(&self, values: &mut Vec<(String, String)>, args: &Args) -> io::Result<()> {
        let of = |values: &[(String, String)], key: &str| values.iter().find(|(k, _)| k == key).map(|(_, v)| v.clone());
        let listed = format!("{} {}", of(values, LIST).unwrap_or_default(), args.get(LIST).unwrap_or_default());
        let mut names: Vec<&str> = Vec::new();
        for extension in &self.package_extensions()? {
            let Some(name) = listed.split_whitespace().find(|name| *name == extension.id) else { continue };
            names.push(name);
            for (key, default) in &extension.defaults {
                let value = args.get(key).map(str::to_owned).or_else(|| of(values, key)).unwrap_or_else(|| default.clone());
                set(values, key, value);
            }
        }
        if !names.is_empty() {
            set(values, LIST, names.join(" "));
        }
        Ok(())
    }

    /// Takes the extensions `doomed` names from `values`, with their variables.
    ///
    /// # Errors
    /// When the extensions cannot be read.
    pub fn drop_extensions(&self, values: &mut Vec<(String, String)>, doomed: impl Fn(&str) -> bool) -> io::Result<()> {
        let Some(listed) = values.iter().find(|(key, _)| key == LIST).map(|(_, list)| list.clone()) else { return Ok(()) };
        let (gone, kept): (Vec<&str>, Vec<&str>) = listed.split_whitespace().partition(|name| doomed(name));
        for extension in self.package_extensions()?.iter().filter(|extension| gone.contains(&extension.id.as_str())) {
            values.retain(|(key, _)| !extension.defaults.iter().any(|(own, _)| own == key));
        }
        set(values, LIST, kept.join(" "));
        Ok(())
    }
}

fn set(values: &mut Vec<(String, String)>, key: &str, value: String) {
    match values.iter_mut().find(|(name, _)| name == key) {
        Some(entry) => entry.1 = value,
        None => values.push((key.to_owned(), value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::scratch;

    #[test]
    fn variables_come_from_the_call_then_the_package_then_the_defaults() {
        let (_folder, machine) = scratch::machine();
        let folder = machine.path(FOLDER);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("nodes"), "# nodes\n_NAME=Mail nodes\nnode=auto\nnote=none\nrate=1\n").unwrap();
        std::fs::write(folder.join("nodes.tt2"), "x").unwrap();
        let known = machine.package_extensions().unwrap();
        assert_eq!((known.len(), known[0].title.as_str(), known[0].defaults.len()), (1, "Mail nodes", 3));
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let mut values = vec![pair("MAXPOP", "1"), pair("note", "packaged")];
        machine.apply_extensions(&mut values, &Args(vec![pair("node", "mail1")])).unwrap();
        assert_eq!(values.len(), 2, "nobody named the extension");
        machine.apply_extensions(&mut values, &Args(vec![pair("node", "mail1"), pair(LIST, "nodes other")])).unwrap();
        assert_eq!(values[1..], [pair("note", "packaged"), pair("node", "mail1"), pair("rate", "1"), pair(LIST, "nodes")]);
    }
}
