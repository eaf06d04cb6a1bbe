//! The registry of hooks: `/var/cpanel/hooks/data/CATEGORY/EVENT.yaml`, a list in weight order.

use std::io;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::call::Failure;
use crate::machine::{Machine, files};

const FOLDER: &str = "/var/cpanel/hooks/data";

/// One registered hook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Hook {
    /// Unique on the server.
    pub id: String,
    /// `pre`, `post`, or a stage of the event's own (`preFinalize` …).
    pub stage: String,
    /// The program's absolute path and its arguments, separated by spaces.
    pub hook: String,
    /// `script`.
    pub exectype: String,
    /// Lower runs first.
    pub weight: Option<u32>,
    /// Whether `BAILOUT` before the event vetoes it.
    pub blocking: bool,
    /// Whether it runs as root where others run as the account.
    pub escalateprivs: bool,
    /// Run when a later hook vetoes: a command, or arguments for the hook's program.
    pub rollback: Option<String>,
    /// Run before; the hook is skipped when it fails. As `rollback`.
    pub check: Option<String>,
    /// The administrator's notes.
    pub notes: String,
    /// Whether it runs at all.
    pub enabled: bool,
}

impl Default for Hook {
    fn default() -> Self {
        Self {
            id: String::new(),
            stage: String::new(),
            hook: String::new(),
            exectype: "script".into(),
            weight: None,
            blocking: false,
            escalateprivs: false,
            rollback: None,
            check: None,
            notes: String::new(),
            enabled: true,
        }
    }
}

impl Hook {
    /// The program's path.
    pub fn program(&self) -> &str {
        self.hook.split_whitespace().next().unwrap_or_default()
    }

    /// The command of a `rollback` or `check`: itself when it is a path, else arguments for the hook's program.
    pub fn beside(&self, command: &str) -> String {
        if command.starts_with('/') { command.to_owned() } else { format!("{} {command}", self.program()) }
    }

    /// As hooks read it on their input, and as lists show it.
    pub fn as_json(&self) -> Value {
        json!({
            "blocking": u8::from(self.blocking),
            "check": self.check,
            "enabled": u8::from(self.enabled),
            "escalateprivs": u8::from(self.escalateprivs),
            "exectype": self.exectype,
            "hook": self.hook,
            "id": self.id,
            "notes": self.notes,
            "rollback": self.rollback,
            "stage": self.stage,
            "weight": self.weight,
        })
    }
}

/// The hooks of one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// `Whostmgr`, `Cpanel` …
    pub category: String,
    /// `Accounts::Create` …
    pub event: String,
    /// In weight order.
    pub hooks: Vec<Hook>,
}

/// Names become file names: nothing in them may leave the folder.
fn check_name(kind: &str, name: &str) -> Result<(), Failure> {
    let good = !name.is_empty()
        && name.len() <= 200
        && !name.starts_with('.')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b":_-.".contains(&b));
    if good { Ok(()) } else { Err(Failure::new(format!("“{name}” is not a valid {kind}."))) }
}

fn file(category: &str, event: &str) -> String {
    format!("{FOLDER}/{category}/{event}.yaml")
}

fn parse(text: &str) -> Result<Vec<Hook>, Failure> {
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    let mut hooks: Vec<Hook> =
        serde_yaml_ng::from_str(text).map_err(|error| Failure::new(format!("the hooks registry is damaged: {error}")))?;
    hooks.sort_by_key(|hook| hook.weight);
    Ok(hooks)
}

/// The hooks of an event, in weight order.
///
/// # Errors
/// When the registry cannot be read.
pub fn of_event(machine: &Machine, category: &str, event: &str) -> Result<Vec<Hook>, Failure> {
    if check_name("category", category).is_err() || check_name("event", event).is_err() {
        return Ok(Vec::new());
    }
    parse(&files::text(&machine.path(&file(category, event)))?)
}

/// Every event that has hooks, by name.
///
/// # Errors
/// When the registry cannot be read.
pub fn all(machine: &Machine) -> Result<Vec<Event>, Failure> {
    let mut events = Vec::new();
    for category in names(machine, FOLDER)? {
        for name in names(machine, &format!("{FOLDER}/{category}"))? {
            let Some(event) = name.strip_suffix(".yaml") else { continue };
            let hooks = of_event(machine, &category, event)?;
            if !hooks.is_empty() {
                events.push(Event { category: category.clone(), event: event.to_owned(), hooks });
            }
        }
    }
    Ok(events)
}

fn names(machine: &Machine, folder: &str) -> io::Result<Vec<String>> {
    let entries = match std::fs::read_dir(machine.path(folder)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let mut names = Vec::new();
    for entry in entries {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.retain(|name| !name.starts_with('.'));
    names.sort_unstable();
    Ok(names)
}

/// Changes the hooks of an event. An event without hooks has no file.
fn edit<T>(
    machine: &Machine,
    category: &str,
    event: &str,
    change: impl FnOnce(&mut Vec<Hook>) -> Result<T, Failure>,
) -> Result<T, Failure> {
    check_name("category", category)?;
    check_name("event", event)?;
    let path = machine.path(&file(category, event));
    let _lock = machine.lock()?;
    let mut hooks = parse(&files::text(&path)?)?;
    let result = change(&mut hooks)?;
    hooks.sort_by_key(|hook| hook.weight);
    if hooks.is_empty() {
        files::remove(&path)?;
    } else {
        let text = serde_yaml_ng::to_string(&hooks).map_err(|error| Failure::new(error.to_string()))?;
        files::replace(&path, text.as_bytes(), 0o600)?;
    }
    Ok(result)
}

/// Registers a hook, last in its stage unless it has a weight.
///
/// # Errors
/// When the same command is registered for the same stage already, or something in it is not valid.
pub fn add(machine: &Machine, category: &str, event: &str, hook: Hook) -> Result<Hook, Failure> {
    if hook.exectype != "script" {
        return Err(Failure::new(format!("Hooks of type “{}” are not supported: only scripts are.", hook.exectype)));
    }
    check_name("stage", &hook.stage)?;
    if !hook.program().starts_with('/') {
        return Err(Failure::new(format!("“{}” is not an absolute path.", hook.program())));
    }
    edit(machine, category, event, |hooks| {
        if hooks.iter().any(|old| old.hook == hook.hook && old.stage == hook.stage) {
            return Err(Failure::new(format!(
                "The hook “{}” already exists for {category}::{event} ({}): delete it first.",
                hook.hook, hook.stage
            )));
        }
        let last = hooks.iter().filter(|old| old.stage == hook.stage).filter_map(|old| old.weight).max();
        let weight = hook.weight.unwrap_or(last.unwrap_or(0).saturating_add(100));
        let new = Hook { id: new_id()?, weight: Some(weight), ..hook };
        hooks.push(new.clone());
        Ok(new)
    })
}

/// Removes the hooks of every event that `doomed` picks; what was removed.
///
/// # Errors
/// When the registry cannot be read or written.
pub fn remove(machine: &Machine, doomed: impl Fn(&Event, &Hook) -> bool) -> Result<Vec<(Event, Hook)>, Failure> {
    let mut removed = Vec::new();
    for event in all(machine)? {
        let gone: Vec<Hook> = event.hooks.iter().filter(|hook| doomed(&event, hook)).cloned().collect();
        if gone.is_empty() {
            continue;
        }
        edit(machine, &event.category, &event.event, |hooks| {
            hooks.retain(|hook| !gone.iter().any(|gone| gone.id == hook.id));
            Ok(())
        })?;
        removed.extend(gone.into_iter().map(|hook| (event.clone(), hook)));
    }
    Ok(removed)
}

/// Changes the hook `id`.
///
/// # Errors
/// When there is none, or `change` refuses.
pub fn change(machine: &Machine, id: &str, change: impl FnOnce(&mut Hook) -> Result<(), Failure>) -> Result<Hook, Failure> {
    let absent = || Failure::new(format!("There is no hook with the id “{id}”."));
    let found = all(machine)?.into_iter().find(|event| event.hooks.iter().any(|hook| hook.id == id));
    let event = found.ok_or_else(absent)?;
    edit(machine, &event.category, &event.event, |hooks| {
        let hook = hooks.iter_mut().find(|hook| hook.id == id).ok_or_else(absent)?;
        change(hook)?;
        Ok(hook.clone())
    })
}

/// A random UUID.
fn new_id() -> Result<String, Failure> {
    let mut bytes = [0_u8; 16];
    io::Read::read_exact(&mut std::fs::File::open("/dev/urandom")?, &mut bytes)?;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine() -> (tempfile::TempDir, Machine) {
        let folder = tempfile::tempdir().unwrap();
        let machine = Machine { root: folder.path().to_owned() };
        (folder, machine)
    }

    fn hook(command: &str) -> Hook {
        Hook { stage: "post".into(), hook: command.into(), ..Hook::default() }
    }

    #[test]
    fn weights_grow_by_hundreds_and_doubles_are_refused() {
        let (_folder, machine) = machine();
        let add = |command: &str| super::add(&machine, "Whostmgr", "Accounts::Create", hook(command));
        assert_eq!(add("/a").unwrap().weight, Some(100));
        assert_eq!(add("/a --x").unwrap().weight, Some(200));
        assert!(add("/a").is_err());
        assert!(add("relative").is_err());
        assert!(super::add(&machine, "..", "x", hook("/a")).is_err());
        assert!(super::add(&machine, "Cpanel", "../x", hook("/a")).is_err());
    }

    #[test]
    fn removal_and_change_find_by_id() {
        let (_folder, machine) = machine();
        let id = add(&machine, "Cpanel", "UAPI::Email::add_pop", hook("/a")).unwrap().id;
        add(&machine, "Cpanel", "UAPI::Email::add_pop", hook("/b")).unwrap();
        let changed = change(&machine, &id, |hook| {
            hook.weight = Some(900);
            Ok(())
        });
        assert_eq!(changed.unwrap().weight, Some(900));
        let order = of_event(&machine, "Cpanel", "UAPI::Email::add_pop").unwrap();
        assert_eq!(order.iter().map(|hook| hook.hook.as_str()).collect::<Vec<_>>(), ["/b", "/a"]);
        assert_eq!(remove(&machine, |_, hook| hook.program() == "/b").unwrap().len(), 1);
        assert_eq!(remove(&machine, |_, hook| hook.id == id).unwrap().len(), 1);
        assert!(all(&machine).unwrap().is_empty());
    }
}
