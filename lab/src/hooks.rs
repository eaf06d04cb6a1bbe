//! Standard hooks: programs that run around events of the server, with a say before some of them.
//!
//! ```text
//! registry   what is registered, in /var/cpanel/hooks/data
//! process    one hook run: its input, its answer, its end
//! command    manage_hooks
//! whm        the WHM API functions over the registry
//! events     what the events of accounts and passwords tell
//! ```
//!
//! Source of the contract: "Guide to Standardized Hooks", api.docs.cpanel.net.

pub mod command;
pub mod events;
pub mod process;
pub mod registry;
pub mod whm;

use serde_json::{Value, json};

use crate::machine::Machine;
use process::Answer;
use registry::Hook;

/// When a hook runs, relative to the event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Before the event; a blocking hook may veto it.
    Pre,
    /// After the event.
    Post,
}

impl Stage {
    /// The registry's word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pre => "pre",
            Self::Post => "post",
        }
    }
}

/// A blocking hook's refusal of an event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Veto {
    /// What the hook said beside `BAILOUT`.
    pub message: String,
}

/// Whether an event has hooks at all: one look at the disk, which spares calls that have none the rest. A registry that cannot be read counts
/// as one with hooks, so that [`fire`] says what is wrong.
pub fn registered(machine: &Machine, category: &str, event: &str) -> bool {
    registry::of_event(machine, category, event).map_or(true, |hooks| !hooks.is_empty())
}

/// Fires every hook of `category::event` at `stage`, in weight order. `data` becomes the `data` member of the hook's standard input.
///
/// Hooks of the category `Cpanel` run as the account `data.user`, unless they were registered with escalated privileges; all others run
/// as root. Not to be called with the server's lock held: a hook may call the server.
///
/// # Errors
/// The [`Veto`] of a blocking hook that answered `BAILOUT` before the event; the hooks that ran before it have been rolled back. Other
/// failures of hooks go to cPanel's error log.
pub fn fire(machine: &Machine, category: &str, event: &str, stage: Stage, data: Value) -> Result<(), Veto> {
    let hooks = match registry::of_event(machine, category, event) {
        Ok(hooks) => hooks,
        Err(error) => {
            process::log(machine, &format!("hooks of {category}::{event}: {error}"));
            return Ok(());
        }
    };
    let mut done: Vec<&Hook> = Vec::new();
    let due: Vec<&Hook> = hooks.iter().filter(|hook| hook.enabled && hook.stage == stage.name()).collect();
    for hook in due {
        let input = document(category, event, stage, &data, hook);
        let run = |command: &str| process::run(machine, command, &input, account_of(category, hook, &data));
        if let Some(check) = &hook.check
            && !matches!(run(&hook.beside(check)), Ok(Answer { success: true, .. }))
        {
            continue;
        }
        let answer = match run(&hook.hook) {
            Ok(answer) => answer,
            Err(error) => {
                process::log(machine, &format!("hook “{}” of {category}::{event} ({}): {error}", hook.hook, stage.name()));
                continue;
            }
        };
        process::debug(machine, hook, &answer, &input);
        if answer.success {
            done.push(hook);
            continue;
        }
        process::log(
            machine,
            &format!("hook “{}” of {category}::{event} ({}) failed: {}", hook.hook, stage.name(), answer.message),
        );
        if let Some(message) = answer.bailout.filter(|_| stage == Stage::Pre && hook.blocking) {
            for earlier in done.iter().rev() {
                if let Some(rollback) = &earlier.rollback {
                    let input = document(category, event, stage, &data, earlier);
                    let user = account_of(category, earlier, &data);
                    if let Err(error) = process::run(machine, &earlier.beside(rollback), &input, user) {
                        process::log(machine, &format!("rollback of hook “{}”: {error}", earlier.hook));
                    }
                }
            }
            return Err(Veto { message });
        }
    }
    Ok(())
}

/// The account a hook runs as; `None` is root.
fn account_of<'a>(category: &str, hook: &Hook, data: &'a Value) -> Option<&'a str> {
    (category == "Cpanel" && !hook.escalateprivs).then(|| data.get("user").and_then(Value::as_str)).flatten()
}

/// A hook's standard input.
fn document(category: &str, event: &str, stage: Stage, data: &Value, hook: &Hook) -> String {
    json!({
        "context": {"category": category, "event": event, "point": "main", "stage": stage.name()},
        "data": data,
        "hook": hook.as_json(),
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    fn script(folder: &Path, name: &str, text: &str) -> String {
        let path = folder.join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn hook(command: &str) -> Hook {
        Hook { stage: "pre".into(), hook: command.into(), blocking: true, ..Hook::default() }
    }

    fn machine(folder: &Path) -> Machine {
        Machine { root: folder.to_owned() }
    }

    #[test]
    fn hooks_run_by_weight_and_a_veto_rolls_back() {
        let folder = tempfile::tempdir().unwrap();
        let machine = machine(folder.path());
        let log = folder.path().join("log");
        let log_to = |what: &str| format!("echo {what} $1 >> {}; echo '1 ok'", log.display());
        let first = script(folder.path(), "first", &log_to("first"));
        let second = script(folder.path(), "second", &log_to("second"));
        let last = script(folder.path(), "last", "cat > /dev/null; echo '0 BAILOUT not today'");
        for (command, weight, rollback) in [(&last, 300, None), (&second, 200, Some("--back")), (&first, 100, Some("--back"))] {
            let new = Hook { weight: Some(weight), rollback: rollback.map(str::to_owned), ..hook(command) };
            registry::add(&machine, "Whostmgr", "Accounts::Create", new).unwrap();
        }
        let veto = fire(&machine, "Whostmgr", "Accounts::Create", Stage::Pre, json!({"user": "x"})).unwrap_err();
        assert_eq!(veto.message, "not today");
        let said = std::fs::read_to_string(log).unwrap();
        assert_eq!(said, "first\nsecond\nsecond --back\nfirst --back\n");
        assert!(fire(&machine, "Whostmgr", "Accounts::Create", Stage::Post, json!({})).is_ok());
        assert!(fire(&machine, "Whostmgr", "Accounts::create", Stage::Pre, json!({})).is_ok());
    }

    #[test]
    fn the_input_is_the_documented_one_and_the_environment_is_clean() {
        let folder = tempfile::tempdir().unwrap();
        let machine = machine(folder.path());
        let (input, environment) = (folder.path().join("input"), folder.path().join("environment"));
        let text = format!("cat > {}; env > {}; echo '1 ok'", input.display(), environment.display());
        registry::add(&machine, "Whostmgr", "Accounts::Modify", hook(&script(folder.path(), "h", &text))).unwrap();
        fire(&machine, "Whostmgr", "Accounts::Modify", Stage::Pre, json!({"user": "x"})).unwrap();
        let input: Value = serde_json::from_str(&std::fs::read_to_string(input).unwrap()).unwrap();
        assert_eq!(
            input["context"],
            json!({"category": "Whostmgr", "event": "Accounts::Modify", "point": "main", "stage": "pre"})
        );
        assert_eq!(input["data"], json!({"user": "x"}));
        assert_eq!(input["hook"]["weight"], 100);
        let environment = std::fs::read_to_string(environment).unwrap();
        assert!(!environment.contains("CARGO"), "{environment}");
    }

    #[test]
    fn a_hook_that_is_not_blocking_cannot_veto_and_a_check_can_skip() {
        let folder = tempfile::tempdir().unwrap();
        let machine = machine(folder.path());
        let no = script(folder.path(), "no", "echo '0 BAILOUT no'");
        registry::add(&machine, "Passwd", "ChangePasswd", Hook { blocking: false, ..hook(&no) }).unwrap();
        let skip = Hook { check: Some("--check".into()), ..hook(&script(folder.path(), "skip", "echo '0 BAILOUT x'")) };
        registry::add(&machine, "Passwd", "ChangePasswd", skip).unwrap();
        assert!(fire(&machine, "Passwd", "ChangePasswd", Stage::Pre, json!({})).is_ok());
        let log = std::fs::read_to_string(machine.path("/usr/local/cpanel/logs/error_log")).unwrap();
        assert!(log.contains("BAILOUT no"), "{log}");
    }
}
