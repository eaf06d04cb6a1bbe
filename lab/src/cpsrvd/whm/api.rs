//! cPanel's own APIs, called through WHM.

use serde_json::json;

use crate::call::{Args, Caller, Failure, Reply};
use crate::cpsrvd::cpapi;
use crate::machine::Machine;

/// The account's own caller.
fn acting_for(machine: &Machine, user: &str) -> Result<Caller, Failure> {
    let account = machine.account(user)?;
    Ok(Caller { user: account.user, mailbox: None, acls: Vec::new() })
}

/// `uapi_cpanel`: succeeds whatever the inner function answers.
pub(super) fn uapi_cpanel(machine: &Machine, _caller: &Caller, args: &Args) -> Reply {
    let acting = acting_for(machine, args.need("cpanel.user")?)?;
    let (module, function) = (args.need("cpanel.module")?, args.need("cpanel.function")?);
    let own = |name: &str| matches!(name, "cpanel.user" | "cpanel.module" | "cpanel.function" | "api.version");
    let inner = Args(args.0.iter().filter(|(name, _)| !own(name)).cloned().collect());
    let reply = crate::uapi::call(machine, &acting, module, function, &inner);
    Ok(json!({"uapi": crate::uapi::envelope::flat(&reply, &inner)}).into())
}

/// `cpanel`: API 1, 2 or UAPI for an account. The server answers with the bare envelope; here it is the data.
pub(super) fn cpanel(machine: &Machine, _caller: &Caller, args: &Args) -> Reply {
    let user = cpapi::named(args, "user").filter(|user| !user.is_empty());
    let user = user.ok_or_else(|| Failure::new("Provide the “cpanel_jsonapi_user” argument."))?;
    let acting = acting_for(machine, user)?;
    Ok(cpapi::call(machine, &acting, args)?.into())
}
