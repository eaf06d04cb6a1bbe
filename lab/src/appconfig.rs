//! AppConfig: which programs below the services' document roots may be called, and who sees them in the menu. One file an
//! application, `/var/cpanel/apps/NAME.conf`.
//!
//! Source: "Guide to the AppConfig", api.docs.cpanel.net.

pub mod command;

use std::io;

use serde_json::{Map, Value, json};

use crate::call::{Failure, Reply};
use crate::machine::{Machine, files};

const FOLDER: &str = "/var/cpanel/apps";

/// Services an application belongs to.
const SERVICES: &[&str] = &["cpanel", "webmail", "whostmgr"];

/// A registered application: its keys in the file's order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Application {
    values: Vec<(String, String)>,
}

impl Application {
    /// Reads and checks a configuration file.
    ///
    /// # Errors
    /// What cPanel would refuse it for: a key missing or not valid.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        let mut values: Vec<(String, String)> = Vec::new();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (key, value) = line.split_once('=').ok_or_else(|| Failure::new(format!("“{line}” is not a key=value line.")))?;
            values.push((key.trim().to_owned(), value.trim().to_owned()));
        }
        let application = Self { values };
        application.check()?;
        Ok(application)
    }

    fn check(&self) -> Result<(), Failure> {
        let need = |key: &str| {
            let missing = || Failure::new(format!("The “{key}” key is required."));
            self.get(key).filter(|value| !value.is_empty()).ok_or_else(missing)
        };
        let name = need("name")?;
        if name.len() > 100 || name.starts_with('.') || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b)) {
            return Err(Failure::new(format!("“{name}” is not a valid application name.")));
        }
        let service = need("service")?;
        if !SERVICES.contains(&service) {
            return Err(Failure::new(format!("“{service}” is not a valid service: use {}.", SERVICES.join(", "))));
        }
        need("url")?;
        for url in self.urls() {
            if !url.starts_with('/') || url.split('/').any(|part| part == "..") {
                return Err(Failure::new(format!("“{url}” is not a valid url: it begins with “/”.")));
            }
        }
        match service {
            "whostmgr" => drop(need("acls")?),
            _ => drop(need("features")?),
        }
        if let Some(user) = self.get("user").filter(|user| !matches!(*user, "root" | "$authuser")) {
            let good = user.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
            if !good || service != "whostmgr" {
                return Err(Failure::new(format!("“{user}” is not a valid user.")));
            }
        }
        if let Some(target) = self.get("target").filter(|target| !matches!(*target, "_self" | "_blank")) {
            return Err(Failure::new(format!("“{target}” is not a valid target: use _self or _blank.")));
        }
        Ok(())
    }

    /// The value of `key`; of a key given more than once, the last.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.values.iter().rev().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.get("name").unwrap_or_default()
    }

    /// `whostmgr`, `cpanel`, `webmail`.
    pub fn service(&self) -> &str {
        self.get("service").unwrap_or_default()
    }

    /// The paths it may be called by: `url`, `url2` …
    pub fn urls(&self) -> impl Iterator<Item = &str> {
        let is_url = |key: &str| key.strip_prefix("url").is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_digit()));
        self.values.iter().filter(move |(key, _)| is_url(key)).map(|(_, value)| value.as_str())
    }

    /// Who may call it: ACL names, `any`, or `all` (root-level).
    pub fn acls(&self) -> Vec<&str> {
        list(self.get("acls"))
    }

    /// Whom its program runs as: `root`, or `$authuser` for the caller.
    pub fn user(&self) -> &str {
        self.get("user").unwrap_or(if self.service() == "whostmgr" { "root" } else { "$authuser" })
    }

    fn text(&self) -> String {
        self.values.iter().map(|(key, value)| format!("{key}={value}\n")).collect()
    }

    /// As `get_appconfig_application_list` shows it.
    pub fn as_json(&self) -> Value {
        let text = |key: &str| self.get(key);
        json!({
            "acls": self.acls(),
            "displayname": text("displayname"),
            "entryurl": text("entryurl"),
            "features": list(text("features")),
            "group": text("group"),
            "icon": text("icon"),
            "name": self.name(),
            "origin": "custom",
            "phpConfig": text("phpConfig"),
            "target": text("target").unwrap_or("_blank"),
            "upgradecall": text("upgradecall"),
            "url": text("url"),
            "user": self.user(),
        })
    }
}

fn list(value: Option<&str>) -> Vec<&str> {
    value.into_iter().flat_map(|value| value.split(',')).map(str::trim).filter(|item| !item.is_empty()).collect()
}

fn file(name: &str) -> String {
    format!("{FOLDER}/{name}.conf")
}

/// Every registered application, by name. A file that is damaged is left out.
///
/// # Errors
/// When the folder cannot be read.
pub fn all(machine: &Machine) -> io::Result<Vec<Application>> {
    let entries = match std::fs::read_dir(machine.path(FOLDER)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == "conf") {
            found.extend(Application::parse(&files::text(&path)?));
        }
    }
    found.sort_by(|a, b| a.name().cmp(b.name()));
    Ok(found)
}

/// Registers an application, in place of one of the same name.
///
/// # Errors
/// When its file cannot be written.
pub fn register(machine: &Machine, application: &Application) -> Result<(), Failure> {
    let _lock = machine.lock()?;
    Ok(files::replace(&machine.path(&file(application.name())), application.text().as_bytes(), 0o600)?)
}

/// Removes an application; whether it was there.
///
/// # Errors
/// When its file cannot be removed.
pub fn unregister(machine: &Machine, name: &str) -> Result<bool, Failure> {
    let _lock = machine.lock()?;
    let known = all(machine)?.iter().any(|application| application.name() == name);
    if known {
        files::remove(&machine.path(&file(name)))?;
    }
    Ok(known)
}

/// WHM API 1 `get_appconfig_application_list`: the applications of each service.
///
/// # Errors
/// When the folder cannot be read.
pub fn application_list(machine: &Machine) -> Reply {
    let applications = all(machine)?;
    let mut services = Map::new();
    for service in SERVICES {
        let of_service = applications.iter().filter(|application| application.service() == *service);
        services.insert((*service).to_owned(), of_service.map(Application::as_json).collect());
    }
    Ok(Value::Object(services).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str =
        "# an application\nname=linkednodes\nservice=whostmgr\nurl=/cgi/linkednodes/\nurl2=/x\nacls=all, list-accts\n";

    #[test]
    fn what_cpanel_requires_is_required() {
        let application = Application::parse(GOOD).unwrap();
        assert_eq!(application.acls(), ["all", "list-accts"]);
        assert_eq!(application.urls().collect::<Vec<_>>(), ["/cgi/linkednodes/", "/x"]);
        assert_eq!(application.user(), "root");
        for (from, to) in [
            ("acls=all, list-accts\n", ""),
            ("url=/cgi/linkednodes/\n", ""),
            ("url=/cgi", "url=cgi"),
            ("url2=/x", "url2=/../x"),
            ("service=whostmgr", "service=ftp"),
            ("name=linkednodes", "name=../x"),
            ("url2=/x", "target=_top"),
        ] {
            assert!(Application::parse(&GOOD.replace(from, to)).is_err(), "{from} -> {to}");
        }
    }

    #[test]
    fn applications_come_and_go() {
        let folder = tempfile::tempdir().unwrap();
        let machine = Machine { root: folder.path().to_owned() };
        register(&machine, &Application::parse(GOOD).unwrap()).unwrap();
        let listed = application_list(&machine).unwrap().data;
        assert_eq!(listed["whostmgr"][0]["target"], "_blank");
        assert_eq!(listed["cpanel"], json!([]));
        assert!(unregister(&machine, "linkednodes").unwrap());
        assert!(!unregister(&machine, "linkednodes").unwrap());
        assert!(all(&machine).unwrap().is_empty());
    }
}
