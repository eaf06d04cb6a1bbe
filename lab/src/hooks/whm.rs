//! WHM API 1 over the registry: `list_hooks`, `edit_hook`, `delete_hook`, `reorder_hooks`. There is none to add a hook.

use serde_json::{Value, json};

use super::registry::{self, Event};
use crate::call::{Args, Failure, Reply};
use crate::machine::Machine;

/// `list_hooks`: category, event, stage, actions.
pub fn list_hooks(machine: &Machine) -> Reply {
    let mut categories: Vec<(String, Vec<Value>)> = Vec::new();
    for event in registry::all(machine)? {
        let described = json!({"event": event.event, "stages": stages(&event)});
        match categories.last_mut().filter(|(category, _)| *category == event.category) {
            Some((_, events)) => events.push(described),
            None => categories.push((event.category, vec![described])),
        }
    }
    let categories: Vec<Value> =
        categories.into_iter().map(|(category, events)| json!({"category": category, "events": events})).collect();
    Ok(json!({"categories": categories}).into())
}

fn stages(event: &Event) -> Value {
    let mut stages: Vec<(&str, Vec<Value>)> = Vec::new();
    for hook in &event.hooks {
        match stages.iter_mut().find(|(stage, _)| *stage == hook.stage) {
            Some((_, actions)) => actions.push(hook.as_json()),
            None => stages.push((&hook.stage, vec![hook.as_json()])),
        }
    }
    stages.into_iter().map(|(stage, actions)| json!({"actions": actions, "stage": stage})).collect()
}

/// `edit_hook`: what is given is changed, the rest stays.
pub fn edit_hook(machine: &Machine, args: &Args) -> Reply {
    let id = args.need("id")?;
    let text = |name: &str| args.get(name).map(str::to_owned);
    let optional = |name: &str| text(name).map(|value| Some(value).filter(|value| !value.is_empty()));
    let weight = text("weight")
        .map(|weight| weight.parse::<u32>().map_err(|_| Failure::new(format!("“{weight}” is not a valid weight."))))
        .transpose()?;
    if let Some(kind) = text("exectype").filter(|kind| kind != "script") {
        return Err(Failure::new(format!("Hooks of type “{kind}” are not supported: only scripts are.")));
    }
    registry::change(machine, id, |hook| {
        if let Some(command) = text("hook") {
            if !command.starts_with('/') {
                return Err(Failure::new(format!("“{command}” is not an absolute path.")));
            }
            hook.hook = command;
        }
        if let Some(stage) = text("stage") {
            if !["pre", "post"].contains(&stage.as_str()) {
                return Err(Failure::new(format!("“{stage}” is not a valid stage.")));
            }
            hook.stage = stage;
        }
        if let Some(check) = optional("check") {
            hook.check = check;
        }
        if let Some(rollback) = optional("rollback") {
            hook.rollback = rollback;
        }
        if let Some(notes) = text("notes") {
            hook.notes = notes;
        }
        hook.weight = weight.or(hook.weight);
        hook.enabled = args.get("enabled").map_or(hook.enabled, |_| args.flag("enabled"));
        hook.escalateprivs = args.get("escalateprivs").map_or(hook.escalateprivs, |_| args.flag("escalateprivs"));
        Ok(())
    })?;
    Ok(json!({}).into())
}

/// `delete_hook`.
pub fn delete_hook(machine: &Machine, args: &Args) -> Reply {
    let id = args.need("id")?;
    if registry::remove(machine, |_, hook| hook.id == id)?.is_empty() {
        return Err(Failure::new(format!("There is no hook with the id “{id}”.")));
    }
    Ok(json!({}).into())
}

/// `reorder_hooks`: the hooks of `ids` (comma-separated) get weights in that order.
pub fn reorder_hooks(machine: &Machine, args: &Args) -> Reply {
    let mut order = Vec::new();
    for (at, id) in args.need("ids")?.split(',').map(str::trim).enumerate() {
        let weight = u32::try_from((at + 1) * 100).unwrap_or(u32::MAX);
        registry::change(machine, id, |hook| {
            hook.weight = Some(weight);
            Ok(())
        })?;
        order.push(json!({"id": id, "weight": weight}));
    }
    Ok(json!({"hook_order": order}).into())
}
