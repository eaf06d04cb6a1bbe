//! UAPI functions, each acting for real in cPanel's places on disk.

use crate::call::{Args, Caller, Failure, Reply};
use crate::machine::Machine;

/// Calls `module::function` as `caller`. The `Cpanel` hooks `UAPI::module::function` fire around functions that change something.
///
/// A webmail caller (`caller.mailbox` set) reaches the functions of its own mailbox only.
pub fn call(machine: &Machine, caller: &Caller, module: &str, function: &str, args: &Args) -> Reply {
    let _ = (machine, caller, args);
    Err(Failure::new(format!("The system could not find the function “{function}” in the module “{module}”.")))
}
