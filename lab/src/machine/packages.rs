//! Packages: `/var/cpanel/packages/NAME`, `KEY=value` lines.

use super::{Machine, files};
use crate::call::Failure;

const FOLDER: &str = "/var/cpanel/packages";

/// A package's keys and cPanel's defaults for them (WHM documentation of `addpkg`).
pub const DEFAULTS: &[(&str, &str)] = &[
    ("BWLIMIT", "1048576"),
    ("CGI", "y"),
    ("CPMOD", "jupiter"),
    ("DIGESTAUTH", "n"),
    ("FEATURELIST", "default"),
    ("HASSHELL", "n"),
    ("IP", "n"),
    ("LANG", "en"),
    ("MAXADDON", "0"),
    ("MAXFTP", "unlimited"),
    ("MAXLST", "unlimited"),
    ("MAXPARK", "0"),
    ("MAXPOP", "unlimited"),
    ("MAXSQL", "unlimited"),
    ("MAXSUB", "unlimited"),
    ("MAX_DEFER_FAIL_PERCENTAGE", "unlimited"),
    ("MAX_EMAILACCT_QUOTA", "unlimited"),
    ("MAX_EMAIL_PER_HOUR", "unlimited"),
    ("MAX_TEAM_USERS", "0"),
    ("QUOTA", "10240"),
    ("_PACKAGE_EXTENSIONS", ""),
];

/// A package: every key of [`DEFAULTS`], and what package extensions added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// Name; a reseller's begins with `RESELLER_`.
    pub name: String,
    /// Values.
    pub values: Vec<(String, String)>,
}

impl Package {
    /// cPanel's defaults under a name.
    pub fn new(name: &str) -> Self {
        let values = DEFAULTS.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Self { name: name.to_owned(), values }
    }

    /// The value of `key`.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.values.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// Sets `key`; control characters become spaces.
    pub fn set(&mut self, key: &str, value: &str) {
        let value: String = value.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        match self.values.iter_mut().find(|(name, _)| name == key) {
            Some(entry) => entry.1 = value,
            None => self.values.push((key.to_owned(), value)),
        }
    }
}

fn check_name(name: &str) -> Result<(), Failure> {
    let ok = !name.is_empty()
        && name.len() <= 64
        && !name.starts_with('.')
        && name.chars().all(|c| c.is_alphanumeric() || " _-.+".contains(c));
    let sorry = || Failure::new(format!("“{name}” is not a valid package name."));
    ok.then_some(()).ok_or_else(sorry)
}

impl Machine {
    /// The package `name`. `default` always exists, with cPanel's defaults where no file says otherwise.
    pub fn package(&self, name: &str) -> Result<Option<Package>, Failure> {
        if name != "default" && check_name(name).is_err() {
            return Ok(None);
        }
        let text = files::read(&self.path(&format!("{FOLDER}/{name}")))?;
        if text.is_none() && name != "default" {
            return Ok(None);
        }
        let mut package = Package::new(name);
        for (key, value) in text.unwrap_or_default().lines().filter_map(|l| l.split_once('=')) {
            package.set(key, value);
        }
        Ok(Some(package))
    }

    /// Every package, by name.
    pub fn packages(&self) -> Result<Vec<Package>, Failure> {
        let mut names = vec!["default".to_owned()];
        if let Ok(entries) = std::fs::read_dir(self.path(FOLDER)) {
            for entry in entries.flatten() {
                let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
                names.extend(is_file.then(|| entry.file_name().to_string_lossy().into_owned()));
            }
        }
        names.sort();
        names.dedup();
        let mut packages = Vec::new();
        for name in names {
            packages.extend(self.package(&name)?);
        }
        Ok(packages)
    }

    /// Writes a new package; an existing one of that name is refused.
    pub fn add_package(&self, package: &Package) -> Result<(), Failure> {
        check_name(&package.name)?;
        let text: String = package.values.iter().map(|(k, v)| format!("{k}={v}\n")).collect();
        self.edit(&format!("{FOLDER}/{}", package.name), 0o644, |old| {
            if !old.is_empty() {
                return Err(Failure::new(format!("A package with the name “{}” already exists.", package.name)));
            }
            Ok(text)
        })
    }

    /// Replaces a package that is there.
    pub fn save_package(&self, package: &Package) -> Result<(), Failure> {
        check_name(&package.name)?;
        let text: String = package.values.iter().map(|(k, v)| format!("{k}={v}\n")).collect();
        self.edit(&format!("{FOLDER}/{}", package.name), 0o644, |_| Ok(text))
    }

    /// Removes a package.
    pub fn remove_package(&self, name: &str) -> Result<(), Failure> {
        check_name(name)?;
        if !self.path(&format!("{FOLDER}/{name}")).exists() {
            return Err(Failure::new(format!("The package “{name}” does not exist.")));
        }
        Ok(files::remove(&self.path(&format!("{FOLDER}/{name}")))?)
    }
}
