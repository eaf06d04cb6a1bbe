//! UAPI functions, each acting for real in cPanel's places on disk.
//!
//! ```text
//! functions       the table: every function there is, whether it changes something, who may call it
//! account, home   the account acted for; its home directory, opened safely
//! mailboxes       mailboxes on disk        pops, suspension   the functions over them
//! aliases         /etc/valiases            forwarders, autoresponders, default addresses
//! filters         /etc/vfilters and the filters of mailboxes
//! web_domains      domains beside the main one
//! lists            mailing lists
//! domains, quota, ssl, tokens, session, zones   the other modules
//! envelope        what callers see         command    `uapi` on the command line
//! autorespond     the program behind an autoresponder's pipe
//! ```

pub mod account;
pub mod aliases;
pub mod autorespond;
pub mod autoresponders;
pub mod command;
#[cfg(test)]
mod conformance;
pub mod domains;
pub mod envelope;
pub mod filters;
pub mod forwarders;
pub mod functions;
pub mod home;
pub mod lists;
pub mod mailboxes;
pub mod output;
pub mod pops;
pub mod quota;
pub mod session;
pub mod ssl;
pub mod suspension;
pub mod tokens;
pub mod web_domains;
pub mod zones;

use std::io;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

use crate::call::{Args, Caller, Failure, Reply};
use crate::hooks::{self, Stage};
use crate::machine::Machine;
use account::Account;
use functions::{Function, Reach};

/// What a function works with.
#[derive(Debug)]
pub struct Context<'a> {
    /// The server.
    pub machine: &'a Machine,
    /// Who calls.
    pub caller: &'a Caller,
    /// The account acted for.
    pub account: &'a Account,
    /// The arguments.
    pub args: &'a Args,
}

/// Calls `module::function` as `caller`. The `Cpanel` hooks `UAPI::module::function` fire around it: before it, a blocking hook may
/// veto; after it, only when it succeeded.
///
/// A webmail caller (`caller.mailbox` set) reaches the functions of its own mailbox only.
///
/// # Errors
/// The function's own failure, a veto, or that there is no such function.
pub fn call(machine: &Machine, caller: &Caller, module: &str, function: &str, args: &Args) -> Reply {
    call_as(machine, caller, module, function, args, Fired::Uapi)
}

/// As [`call`], for callers with events of their own: API 2, and WHM functions that read through UAPI.
///
/// # Errors
/// As [`call`], without vetoes.
pub fn call_without_hooks(machine: &Machine, caller: &Caller, module: &str, function: &str, args: &Args) -> Reply {
    call_as(machine, caller, module, function, args, Fired::Nothing)
}

/// Which events a call fires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fired {
    Uapi,
    Nothing,
}

fn call_as(machine: &Machine, caller: &Caller, module: &str, function: &str, args: &Args, fired: Fired) -> Reply {
    let found = functions::find(module, function)?;
    let account = Account::load(machine, &caller.user)?;
    let own;
    let args = match (&caller.mailbox, found.reach) {
        (None, _) => args,
        (Some(mailbox), reach) => {
            own = for_mailbox(&account, mailbox, reach, args)?;
            &own
        }
    };
    if let Some(role) = found.role
        && machine.role_enabled(role) != Some(true)
    {
        return Err(Failure::new(format!("This feature requires the “{role}” role, which is not enabled on this server.")));
    }
    if module == "Tokens" && !machine.has_feature(&account.user, "apitokens")? {
        return Err(Failure::new("You do not have the feature “apitokens”."));
    }
    let event = format!("UAPI::{module}::{function}");
    if fired == Fired::Nothing || !hooks::registered(machine, "Cpanel", &event) {
        return run(found, machine, caller, &account, args);
    }
    hooks::fire(machine, "Cpanel", &event, Stage::Pre, event_data(caller, args, None))
        .map_err(|veto| Failure::new(veto.message))?;
    let outcome = run(found, machine, caller, &account, args)?;
    // A hook after the event cannot undo it; what it says is in the error log.
    let _ = hooks::fire(machine, "Cpanel", &event, Stage::Post, event_data(caller, args, Some(&outcome.data)));
    Ok(outcome)
}

/// The `data` of an event of the `Cpanel` category: the arguments, who calls, and the function's output once there is one.
pub fn event_data(caller: &Caller, args: &Args, output: Option<&Value>) -> Value {
    let mut data = Map::new();
    data.insert("args".into(), Value::Object(as_object(args)));
    if let Some(output) = output {
        data.insert("output".into(), output.clone());
    }
    data.insert("user".into(), json!(caller.user));
    Value::Object(data)
}

/// Functions that change shared files hold the server's lock, so that `uapi`, `whmapi1` and `cpsrvd` do not undo each other's changes.
fn run(function: &Function, machine: &Machine, caller: &Caller, account: &Account, args: &Args) -> Reply {
    let _lock = function.locks.then(|| machine.lock()).transpose()?;
    (function.handler)(&Context { machine, caller, account, args })
}

/// The arguments of a webmail caller, narrowed to its own mailbox.
fn for_mailbox(account: &Account, mailbox: &str, reach: Reach, args: &Args) -> Result<Args, Failure> {
    let denied = || Failure::new("You do not have permission to call this function.");
    // The main account's own webmail is the account itself.
    if mailbox == account.user {
        return Ok(args.clone());
    }
    let own = mailboxes::Address::parse(account, mailbox)?;
    let mut args = args.clone();
    let named = |args: &Args, key: &str| args.get(key).is_some_and(|value| !value.is_empty());
    match reach {
        Reach::Account => return Err(denied()),
        Reach::Anyone => {}
        Reach::Email => {
            if !named(&args, "email") {
                args.0.push(("email".into(), own.to_string()));
            } else if mailboxes::Address::from_args(account, &args)? != own {
                return Err(denied());
            }
        }
        Reach::Whole(key) => {
            if !named(&args, key) {
                args.0.push((key.into(), own.to_string()));
            } else if !args.all(key).iter().all(|value| value.eq_ignore_ascii_case(mailbox)) {
                return Err(denied());
            }
        }
    }
    Ok(args)
}

/// The arguments as an object: what came once as a string, what came more often as an array.
pub fn as_object(args: &Args) -> Map<String, Value> {
    let mut object = Map::new();
    for (key, value) in &args.0 {
        match object.get_mut(key) {
            None => {
                object.insert(key.clone(), json!(value));
            }
            Some(Value::Array(values)) => values.push(json!(value)),
            Some(first) => *first = json!([first.take(), value]),
        }
    }
    object
}

/// Now, in Unix time.
pub fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}

/// `length` random letters and digits, from the kernel.
///
/// # Errors
/// When the kernel gives no random bytes.
pub fn random_text(length: usize) -> io::Result<String> {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyzACDEFGH2";
    let mut bytes = vec![0_u8; length];
    io::Read::read_exact(&mut std::fs::File::open("/dev/urandom")?, &mut bytes)?;
    Ok(bytes.into_iter().map(|byte| char::from(LETTERS[usize::from(byte) % LETTERS.len()])).collect())
}
