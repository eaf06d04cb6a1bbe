//! Registration of the standard hooks with cPanel's own tool. cPanel's registry files are never touched.

use super::host::Host;
use super::layout::MANAGE_HOOKS;
use crate::error::{Code, Context as _, Error, Result};
use crate::hooks::{self, LAUNCHER};
use serde_json::Value;
use std::collections::BTreeSet;

/// One registered hook: category, event, stage, action.
pub type Registered = (String, String, String, String);

/// What should be registered.
///
/// # Errors
/// As [`hooks::table`].
pub fn wanted() -> Result<BTreeSet<Registered>> {
    Ok(hooks::table()?
        .iter()
        .map(|hook| (hook.category.clone(), hook.event.clone(), hook.stage.clone(), hooks::action(hook)))
        .collect())
}

/// What is registered of ours.
///
/// # Errors
/// When `manage_hooks` fails or its list is not JSON.
pub fn registered(host: &Host) -> Result<BTreeSet<Registered>> {
    let program = host.path(MANAGE_HOOKS);
    let list = host.must(&program.to_string_lossy(), &["list", "--output", "JSON"])?;
    if list.trim().is_empty() {
        return Ok(BTreeSet::new());
    }
    ours(&serde_json::from_str(&list).context("reading the list of “manage_hooks list --output JSON”")?)
}

/// The entries of the list `{Category: {Event: [{hook, stage, …}]}}` that start our launcher.
fn ours(list: &Value) -> Result<BTreeSet<Registered>> {
    let strange = || Error::new(Code::Answered, "“manage_hooks list” answered in a form that is not known.");
    let mut found = BTreeSet::new();
    for (category, events) in list.as_object().into_iter().flatten() {
        for (event, hooks) in events.as_object().ok_or_else(strange)? {
            for hook in hooks.as_array().ok_or_else(strange)? {
                let action = hook["hook"].as_str().unwrap_or_default();
                if action.split(' ').next() == Some(LAUNCHER) {
                    let stage = hook["stage"].as_str().unwrap_or_default();
                    found.insert((category.clone(), event.clone(), stage.to_owned(), action.to_owned()));
                }
            }
        }
    }
    Ok(found)
}

/// Registers what should be, after whatever else of ours was registered is gone.
///
/// # Errors
/// When `manage_hooks` fails, or says it did and the list disagrees.
pub fn register(host: &Host) -> Result<()> {
    unregister(host)?;
    let program = host.path(MANAGE_HOOKS);
    let said = host.must(&program.to_string_lossy(), &["add", "script", LAUNCHER])?;
    if registered(host)? == wanted()? {
        return Ok(());
    }
    Err(Error::new(Code::Answered, format!("manage_hooks did not register the hooks: {}", said.trim()))
        .hint(format!("Look at “{LAUNCHER} --describe” and /usr/local/cpanel/logs/error_log.")))
}

/// Removes everything of ours from cPanel's registry.
///
/// # Errors
/// When `manage_hooks` fails, or something of ours is still registered afterwards.
pub fn unregister(host: &Host) -> Result<()> {
    if registered(host)?.is_empty() {
        return Ok(());
    }
    let program = host.path(MANAGE_HOOKS);
    let program = program.to_string_lossy();
    if host.has(LAUNCHER) {
        // Deletes what the launcher describes.
        host.tools.run(&program, &["delete", "script", LAUNCHER])?;
    }
    for (category, event, stage, action) in registered(host)? {
        // An older version's, which the launcher of today does not describe.
        let switches = action.strip_prefix(LAUNCHER).unwrap_or_default().trim_start();
        let mut arguments =
            vec!["delete", "script", LAUNCHER, "--manual", "--category", &category, "--event", &event, "--stage", &stage];
        if !switches.is_empty() {
            arguments.extend(["--action", switches]);
        }
        host.tools.run(&program, &arguments)?;
    }
    let left = registered(host)?;
    match left.iter().next() {
        None => Ok(()),
        Some((category, event, stage, _)) => Err(Error::new(
            Code::Answered,
            format!("manage_hooks still lists {category}::{event} ({stage}) of {LAUNCHER} after deleting it."),
        )
        .hint("Delete it in WHM » Manage Hooks.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_our_own_entries_are_ours() {
        let list = json!({
            "Whostmgr": {"Accounts::Create": [
                {"hook": "/opt/other --x", "stage": "post"},
                {"hook": format!("{LAUNCHER} --event=Accounts::Create"), "stage": "post", "weight": 100},
                {"hook": format!("{LAUNCHER}2"), "stage": "pre"},
            ]},
            "System": {"upcp": []},
        });
        let found = ours(&list).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found.first().unwrap().1, "Accounts::Create");
        assert!(ours(&json!({"Whostmgr": []})).is_err());
    }
}
