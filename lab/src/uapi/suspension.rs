//! `Email`: suspended logins, suspended delivery, and ending sessions.

use serde_json::{Value, json};

use crate::call::{Failure, Outcome, Reply};
use crate::machine::{Machine, system};
use crate::uapi::Context;
use crate::uapi::mailboxes::{Address, Mailboxes};

/// `suspend_login`: a `!` before the hash, and nobody signed in any more.
pub fn suspend_login(cx: &Context<'_>) -> Reply {
    let boxes = Mailboxes::open(cx.machine, cx.account)?;
    let address = Address::from_args(cx.account, cx.args)?;
    boxes.need(&address)?;
    let hash = boxes.hash(&address)?.unwrap_or_default();
    if !hash.starts_with('!') {
        boxes.set_hash(&address, &format!("!{hash}"))?;
    }
    let mut outcome = Outcome::from(Value::Null);
    if let Err(failure) = kick(cx.machine, &[address.to_string()]) {
        outcome.warnings.push(failure.reason);
    }
    Ok(outcome)
}

/// `unsuspend_login`.
pub fn unsuspend_login(cx: &Context<'_>) -> Reply {
    let boxes = Mailboxes::open(cx.machine, cx.account)?;
    let address = Address::from_args(cx.account, cx.args)?;
    boxes.need(&address)?;
    let hash = boxes.hash(&address)?.unwrap_or_default();
    if let Some(plain) = hash.strip_prefix('!') {
        boxes.set_hash(&address, plain.trim_start_matches('!'))?;
    }
    Ok(Value::Null.into())
}

/// `suspend_incoming`: Exim refuses mail to the mailbox.
pub fn suspend_incoming(cx: &Context<'_>) -> Reply {
    set_incoming(cx, true)?;
    Ok(Value::Null.into())
}

/// `unsuspend_incoming`: 1.
pub fn unsuspend_incoming(cx: &Context<'_>) -> Reply {
    set_incoming(cx, false)?;
    Ok(json!(1).into())
}

fn set_incoming(cx: &Context<'_>, suspended: bool) -> Result<(), Failure> {
    let boxes = Mailboxes::open(cx.machine, cx.account)?;
    let address = Address::from_args(cx.account, cx.args)?;
    boxes.need(&address)?;
    Ok(boxes.set_incoming_suspended(&address, suspended)?)
}

/// `terminate_mailbox_sessions`: of a webmail caller's mailbox, or of the account and all its mailboxes.
pub fn terminate_mailbox_sessions(cx: &Context<'_>) -> Reply {
    let asked = cx.args.get("email").filter(|email| !email.is_empty());
    let users = match asked {
        Some(email) if email == cx.account.user => vec![email.to_owned()],
        Some(_) => {
            let address = Address::from_args(cx.account, cx.args)?;
            Mailboxes::open(cx.machine, cx.account)?.need(&address)?;
            vec![address.to_string()]
        }
        None => {
            let boxes = Mailboxes::open(cx.machine, cx.account)?;
            let mut users = vec![cx.account.user.clone()];
            users.extend(boxes.all()?.iter().map(Address::to_string));
            users
        }
    };
    kick(cx.machine, &users)?;
    Ok(Value::Null.into())
}

/// Ends the mail sessions of `users`. On a machine that is not running there are none.
///
/// # Errors
/// When Dovecot does not answer.
pub fn kick(machine: &Machine, users: &[String]) -> Result<(), Failure> {
    if !machine.is_live() {
        return Ok(());
    }
    for user in users {
        // doveadm says by its exit code 68 that nobody of that name is signed in.
        match system::run("doveadm", &["kick", user], b"") {
            Err(failure) if !failure.reason.contains("exit status: 68") => return Err(failure),
            _ => {}
        }
    }
    Ok(())
}
