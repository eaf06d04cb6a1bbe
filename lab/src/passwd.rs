//! Changing an account's password, with the hooks of `Passwd::ChangePasswd` around it: WHM's way and the account's own.

use crate::call::Failure;
use crate::hooks::{self, Stage, events};
use crate::machine::{Machine, passwords, tokens};

/// Gives `user` (an account or root) another password: strong enough, unless a hook says no. The text for people is returned.
pub fn change(machine: &Machine, user: &str, password: &str) -> Result<String, Failure> {
    if user != "root" && machine.account(user)?.is_suspended() {
        return Err(Failure::new(format!("The account “{user}” is suspended.")));
    }
    machine.check_strength("passwd", password)?;
    let event = events::change_password(user, password, None);
    hooks::fire(machine, "Passwd", "ChangePasswd", Stage::Pre, event).map_err(|veto| Failure::new(veto.message))?;
    machine.set_shadow_hash(user, &passwords::hash(password)?)?;
    tokens::forget_sessions(machine, user)?;
    let raw = format!("Changing password for {user}\nPassword for “{user}” has been changed.\n");
    let event = events::change_password(user, password, Some(&raw));
    let _ = hooks::fire(machine, "Passwd", "ChangePasswd", Stage::Post, event);
    Ok(raw)
}
