//! `/usr/local/cpanel/bin/manage_hooks add|delete|describe|list|fullhelp [script|module] PATH [OPTIONS]`

use std::fmt::Write as _;
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use serde_json::{Map, Value};

use super::process;
use super::registry::{self, Hook};
use crate::call::Failure;
use crate::machine::Machine;

const HELP: &str = "\
manage_hooks add|delete|describe script PATH [OPTIONS]
manage_hooks list [--output JSON|HUMAN]
manage_hooks fullhelp

add        registers what `PATH --describe` prints, or with --manual what the options say
delete     removes the hooks of PATH, only those the options name if there are any
describe   shows what `PATH --describe` prints
list       shows every registered hook

  --manual 1            take the options instead of --describe
  --category NAME       Whostmgr, Cpanel, Passwd, PkgAcct, System …
  --event NAME          Accounts::Create, UAPI::Email::add_pop …
  --stage pre|post
  --action SWITCH       argument that PATH is called with
  --blocking 1          the hook may veto the event (stage pre)
  --escalateprivs 1     run as root where hooks run as the cPanel user
  --weight NUMBER       lower runs first
  --rollback SWITCH     called when a later hook vetoes the event
  --check SWITCH        called first; the hook is skipped when it fails
  --notes TEXT
  --output JSON|HUMAN
";

/// Options after the action, as given.
#[derive(Debug, Default)]
struct Options {
    words: Vec<String>,
    values: Vec<(String, String)>,
}

/// Options that may stand without a value.
const SWITCHES: &[&str] = &["manual", "blocking", "escalateprivs"];
/// Options with a value.
const VALUES: &[&str] = &["category", "event", "stage", "action", "weight", "rollback", "check", "notes", "output"];

impl Options {
    fn parse(arguments: &[String]) -> Result<Self, Failure> {
        let mut options = Self::default();
        let mut rest = arguments.iter().peekable();
        while let Some(argument) = rest.next() {
            let Some(option) = argument.strip_prefix("--") else {
                options.words.push(argument.clone());
                continue;
            };
            let (name, value) = match option.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (option, None),
            };
            if !SWITCHES.contains(&name) && !VALUES.contains(&name) {
                return Err(Failure::new(format!("Unknown option: {name}")));
            }
            let value = match value {
                Some(value) => value,
                None if SWITCHES.contains(&name) => {
                    let number = rest.next_if(|next| matches!(next.as_str(), "0" | "1"));
                    number.map_or("1".to_owned(), Clone::clone)
                }
                None => rest.next().cloned().ok_or_else(|| Failure::new(format!("--{name} needs a value")))?,
            };
            options.values.push((name.to_owned(), value));
        }
        Ok(options)
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.values.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    fn flag(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| !matches!(value, "" | "0"))
    }

    /// The path, with the word `script` before it or without. Modules are Perl code, which nothing here can run.
    fn path(&self) -> Result<&str, Failure> {
        let path = match self.words.as_slice() {
            [kind, ..] if kind == "module" => {
                return Err(Failure::new("Hook modules are Perl code, which this server does not run: register a script."));
            }
            [kind, path] if kind == "script" => path,
            [path] if path.starts_with('/') => path,
            _ => return Err(Failure::new(HELP)),
        };
        if !path.starts_with('/') {
            return Err(Failure::new(format!("“{path}” is not an absolute path.")));
        }
        Ok(path)
    }
}

/// Runs with the command line's arguments (without the program's name); the exit code.
pub fn main(arguments: &[String]) -> i32 {
    if !rustix::process::geteuid().is_root() {
        let _ = writeln!(io::stderr(), "manage_hooks: only root may manage hooks");
        return 1;
    }
    match run(&Machine::here(), arguments) {
        Ok(text) => i32::from(io::stdout().lock().write_all(text.as_bytes()).is_err()),
        Err(failure) => {
            let _ = writeln!(io::stderr(), "{}", failure.reason.trim_end());
            1
        }
    }
}

fn run(machine: &Machine, arguments: &[String]) -> Result<String, Failure> {
    let Some((action, rest)) = arguments.split_first() else {
        return Err(Failure::new(HELP));
    };
    if matches!(action.as_str(), "fullhelp" | "help" | "--help") {
        return Ok(HELP.to_owned());
    }
    let options = Options::parse(rest)?;
    match action.as_str() {
        "add" => add(machine, &options),
        "delete" => delete(machine, &options),
        "describe" => {
            let found = described(machine, options.path()?)?;
            Ok(serde_json::to_string_pretty(&Value::Array(found)).unwrap_or_default() + "\n")
        }
        "list" => list(machine, options.get("output").unwrap_or("HUMAN")),
        other => Err(Failure::new(format!("Unknown action: {other}\n{HELP}"))),
    }
}

/// A hook's program runs as root: it must be there, and nobody else may change it.
fn check_program(path: &str) -> Result<(), Failure> {
    let status = std::fs::metadata(path).map_err(|error| Failure::new(format!("{path}: {error}")))?;
    if !status.is_file() || status.permissions().mode() & 0o111 == 0 {
        return Err(Failure::new(format!("{path} is not an executable file.")));
    }
    if status.uid() != 0 || status.permissions().mode() & 0o022 != 0 {
        return Err(Failure::new(format!("{path} must belong to root and be writable by nobody else.")));
    }
    Ok(())
}

/// What `PATH --describe` prints: an array of objects.
fn described(machine: &Machine, path: &str) -> Result<Vec<Value>, Failure> {
    let nothing = || Failure::new("WARNING: No \"describe\" pattern found in module.");
    check_program(path)?;
    let answer = process::run(machine, &format!("{path} --describe"), "", None).map_err(|_| nothing())?;
    match serde_json::from_str(&answer.text) {
        Ok(Value::Array(found)) if !found.is_empty() => Ok(found),
        _ => Err(nothing()),
    }
}

fn add(machine: &Machine, options: &Options) -> Result<String, Failure> {
    let path = options.path()?;
    check_program(path)?;
    let mut said = String::new();
    for (category, event, hook) in wanted(machine, options, path)? {
        registry::add(machine, &category, &event, hook)?;
        let _ = writeln!(said, "Added hook for {category}::{event} to hooks registry");
    }
    Ok(said)
}

/// The hooks to add: the options', or those the program describes.
fn wanted(machine: &Machine, options: &Options, path: &str) -> Result<Vec<(String, String, Hook)>, Failure> {
    if !options.flag("manual") {
        return described(machine, path)?.iter().map(from_description).collect();
    }
    let need = |name: &str| {
        let missing = || Failure::new(format!("The “{name}” option is required with --manual."));
        options.get(name).map(str::to_owned).ok_or_else(missing)
    };
    let action = options.get("action").map_or(String::new(), |action| format!(" {action}"));
    let weight = match options.get("weight") {
        None => None,
        Some(text) => Some(text.parse().map_err(|_| Failure::new(format!("“{text}” is not a valid weight.")))?),
    };
    let hook = Hook {
        stage: need("stage")?,
        hook: format!("{path}{action}"),
        weight,
        blocking: options.flag("blocking"),
        escalateprivs: options.flag("escalateprivs"),
        rollback: options.get("rollback").map(str::to_owned),
        check: options.get("check").map(str::to_owned),
        notes: options.get("notes").unwrap_or_default().to_owned(),
        ..Hook::default()
    };
    Ok(vec![(need("category")?, need("event")?, hook)])
}

/// One object of a description. Its `hook` must be a program that exists too.
fn from_description(value: &Value) -> Result<(String, String, Hook), Failure> {
    let text = |key: &str| match value.get(key) {
        Some(Value::String(text)) if !text.is_empty() => Some(text.clone()),
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    };
    let need = |key: &str| text(key).ok_or_else(|| Failure::new(format!("The description lacks “{key}”: {value}")));
    let flag = |key: &str| match value.get(key) {
        Some(Value::Bool(on)) => *on,
        _ => text(key).is_some_and(|text| text != "0"),
    };
    let hook = Hook {
        stage: need("stage")?,
        hook: need("hook")?,
        exectype: need("exectype")?,
        weight: text("weight").and_then(|weight| weight.parse().ok()),
        blocking: flag("blocking"),
        escalateprivs: flag("escalateprivs"),
        rollback: text("rollback"),
        check: text("check"),
        notes: text("notes").unwrap_or_default(),
        ..Hook::default()
    };
    check_program(hook.program())?;
    Ok((need("category")?, need("event")?, hook))
}

fn delete(machine: &Machine, options: &Options) -> Result<String, Failure> {
    let path = options.path()?;
    let same = |name: &str, value: &str| options.get(name).is_none_or(|wanted| wanted == value);
    let removed = registry::remove(machine, |event, hook| {
        let arguments = hook.hook.strip_prefix(hook.program()).unwrap_or_default().trim();
        hook.program() == path
            && same("category", &event.category)
            && same("event", &event.event)
            && same("stage", &hook.stage)
            && same("action", arguments)
    })?;
    if removed.is_empty() {
        return Ok(format!("No hook of {path} is in the hooks registry\n"));
    }
    let line = |(event, _): &(registry::Event, Hook)| {
        format!("Deleted hook for {}::{} from hooks registry\n", event.category, event.event)
    };
    Ok(removed.iter().map(line).collect())
}

/// JSON is `{category: {event: [hooks]}}`.
fn list(machine: &Machine, output: &str) -> Result<String, Failure> {
    let events = registry::all(machine)?;
    if output.eq_ignore_ascii_case("JSON") {
        let mut categories = Map::new();
        for event in events {
            let hooks: Vec<Value> = event.hooks.iter().map(Hook::as_json).collect();
            let category = categories.entry(event.category).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(map) = category {
                map.insert(event.event, Value::Array(hooks));
            }
        }
        return Ok(format!("{}\n", Value::Object(categories)));
    }
    if !output.eq_ignore_ascii_case("HUMAN") {
        return Err(Failure::new(format!("“{output}” is not an output format: use JSON or HUMAN.")));
    }
    let mut text = String::new();
    for event in events {
        let _ = writeln!(text, "{}::{}", event.category, event.event);
        for hook in event.hooks {
            let mut marks = Vec::new();
            marks.extend(hook.blocking.then_some("blocking"));
            marks.extend(hook.escalateprivs.then_some("as root"));
            marks.extend((!hook.enabled).then_some("disabled"));
            let (weight, marks) = (hook.weight.unwrap_or(0), marks.join(", "));
            let _ = writeln!(text, "  {:<5} {weight:>5}  {}  {} {marks}", hook.stage, hook.id, hook.hook);
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(machine: &Machine, words: &[&str]) -> Result<String, Failure> {
        run(machine, &words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
    }

    fn program(folder: &std::path::Path, text: &str) -> String {
        let path = folder.join("hook");
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path.to_str().unwrap().to_owned()
    }

    #[test]
    fn a_description_is_registered_listed_and_deleted() {
        let folder = tempfile::tempdir().unwrap();
        let machine = Machine { root: folder.path().to_owned() };
        let path = folder.path().join("hook").to_str().unwrap().to_owned();
        let entry = |event: &str| {
            serde_json::json!({
                "category": "Whostmgr", "event": event, "stage": "pre", "hook": format!("{path} --x"),
                "exectype": "script", "blocking": 1,
            })
        };
        let text = serde_json::json!([entry("Accounts::Create"), entry("Accounts::Remove")]);
        program(folder.path(), &format!("echo '{text}'"));
        let said = call(&machine, &["add", "script", &path]).unwrap();
        assert!(said.starts_with("Added hook for Whostmgr::Accounts::Create to hooks registry\n"));
        assert!(call(&machine, &["add", "script", &path]).is_err());
        let list: Value = serde_json::from_str(&call(&machine, &["list", "--output", "JSON"]).unwrap()).unwrap();
        assert_eq!(list["Whostmgr"]["Accounts::Remove"][0]["blocking"], 1);
        assert_eq!(list["Whostmgr"]["Accounts::Remove"][0]["weight"], 100);
        let said = call(&machine, &["delete", "script", &path, "--event", "Accounts::Remove"]).unwrap();
        assert_eq!(said, "Deleted hook for Whostmgr::Accounts::Remove from hooks registry\n");
        call(&machine, &["delete", "script", &path]).unwrap();
        assert_eq!(call(&machine, &["list", "--output=JSON"]).unwrap(), "{}\n");
    }

    #[test]
    fn the_options_can_say_it_all() {
        let folder = tempfile::tempdir().unwrap();
        let machine = Machine { root: folder.path().to_owned() };
        let path = program(folder.path(), "echo nothing");
        let said = call(&machine, &["add", "script", &path]).unwrap_err();
        assert_eq!(said.reason, "WARNING: No \"describe\" pattern found in module.");
        let words = ["--manual", "--category", "Cpanel", "--event", "UAPI::Email::add_pop", "--stage", "pre", "--action=--go"];
        let mut all = vec!["add", "script", &path];
        all.extend(words);
        all.extend(["--blocking", "1", "--escalateprivs", "--weight", "50"]);
        call(&machine, &all).unwrap();
        let hooks = registry::of_event(&machine, "Cpanel", "UAPI::Email::add_pop").unwrap();
        assert_eq!(hooks[0].hook, format!("{path} --go"));
        assert!(hooks[0].blocking && hooks[0].escalateprivs && hooks[0].weight == Some(50));
        assert!(call(&machine, &["add", "module", "My::Hook"]).is_err());
        assert!(call(&machine, &["add", "script", "/does/not/exist", "--manual"]).is_err());
    }
}
