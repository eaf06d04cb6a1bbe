//! `Email`: forwarders and default addresses.

use serde_json::{Value, json};

use crate::call::{Failure, Outcome, Reply};
use crate::machine::names;
use crate::uapi::Context;
use crate::uapi::aliases::Aliases;
use crate::uapi::autoresponders;
use crate::uapi::mailboxes::Address;
use crate::uapi::pops::{html, pattern};

/// What the sender reads when the caller words nothing else.
const NO_SUCH_PERSON: &str = "No such person at this address";

/// `add_forwarder`.
pub fn add_forwarder(cx: &Context<'_>) -> Reply {
    let domain = cx.account.own_domain(cx.args.need("domain")?)?;
    let email = cx.args.need("email")?;
    let local = match email.rsplit_once('@') {
        Some((local, inner)) if inner.eq_ignore_ascii_case(&domain) => local,
        Some(_) => {
            return Err(Failure::new(format!("“{email}” is not an address of “{domain}”.")));
        }
        None => email,
    };
    let address = Address { local: names::local_part(local)?, domain };
    let destinations = destinations(cx, cx.args.need("fwdopt")?)?;
    let mut aliases = Aliases::load(cx.machine, &address.domain)?;
    let mut outcome = Outcome::default();
    let mut made = Vec::new();
    for destination in destinations {
        if !aliases.add(&address.to_string(), &destination) {
            outcome.warnings.push(format!("“{address}” is already forwarded to “{destination}”."));
        }
        made.push(json!({
            "domain": address.domain,
            "email": address.to_string(),
            "forward": destination,
        }));
    }
    aliases.save(cx.machine, cx.account, &address.domain)?;
    outcome.data = Value::Array(made);
    Ok(outcome)
}

/// What `fwdopt` and the arguments belonging to it say, as destinations of an alias.
fn destinations(cx: &Context<'_>, option: &str) -> Result<Vec<String>, Failure> {
    let one = |destination: String| Ok(vec![destination]);
    match option {
        "fwd" => {
            let mut all = Vec::new();
            for email in cx.args.need("fwdemail")?.split(',').map(str::trim) {
                all.push(forward_address(cx, email)?);
            }
            Ok(all)
        }
        "fail" => {
            let text = cx.args.get("failmsgs").filter(|text| !text.is_empty());
            let text = text.unwrap_or(NO_SUCH_PERSON);
            if text.chars().any(char::is_control) {
                return Err(Failure::new("A failure message is one line of text."));
            }
            one(format!(":fail: {text}"))
        }
        "blackhole" => one(":blackhole:".to_owned()),
        "pipe" => one(pipe(cx, cx.args.need("pipefwd")?)?),
        "system" => {
            let user = cx.args.need("fwdsystem")?;
            if user != cx.account.user {
                return Err(Failure::new(format!("You cannot forward mail to the system user “{user}”.")));
            }
            one(user.to_owned())
        }
        other => Err(Failure::new(format!("“{other}” is not a valid “fwdopt”: use fwd, fail, blackhole, pipe, or system."))),
    }
}

/// A destination address: any valid address, or the account's own user.
fn forward_address(cx: &Context<'_>, email: &str) -> Result<String, Failure> {
    if email == cx.account.user {
        return Ok(email.to_owned());
    }
    let bad = || Failure::new(format!("“{email}” is not a valid email address."));
    let (local, domain) = email.rsplit_once('@').ok_or_else(bad)?;
    let domain = names::domain(domain).map_err(|_| bad())?;
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"!#%&*+-/=?^_{}~.".contains(&b);
    if local.is_empty() || local.len() > 64 || !local.bytes().all(plain) {
        return Err(bad());
    }
    Ok(format!("{local}@{domain}"))
}

/// A program as a pipe: paths are the account's, relative ones begin at its home directory. Needs the FileStorage role, as documented.
fn pipe(cx: &Context<'_>, command: &str) -> Result<String, Failure> {
    if cx.machine.role_enabled("FileStorage") != Some(true) {
        return Err(Failure::new(
            "The “pipefwd” parameter requires the “FileStorage” role, which is not enabled on this server.",
        ));
    }
    let command = command.trim_start_matches(['|', ' ']);
    if command.is_empty() || command.chars().any(char::is_control) {
        return Err(Failure::new(format!("“{command}” is not a valid program.")));
    }
    let home = &cx.account.home;
    if command.starts_with('/') { Ok(format!("|{command}")) } else { Ok(format!("|{home}/{command}")) }
}

/// `list_forwarders`: autoresponders and the default address are no forwarders.
pub fn list_forwarders(cx: &Context<'_>) -> Reply {
    let domain = cx.account.own_domain(cx.args.need("domain")?)?;
    let filter = pattern(cx.args)?;
    let aliases = Aliases::load(cx.machine, &domain)?;
    let own = cx.caller.mailbox.as_deref();
    let list = forwarders(&aliases)
        .filter(|(dest, _)| own.is_none_or(|own| own.eq_ignore_ascii_case(dest)))
        .filter(|(dest, forward)| filter.is_none_or_matches(dest) || filter.is_none_or_matches(forward))
        .map(|(dest, forward)| {
            json!({
                "dest": dest,
                "forward": forward,
                "html_dest": html(dest),
                "html_forward": html(forward),
                "uri_dest": uri(dest),
                "uri_forward": uri(forward),
            })
        })
        .collect();
    Ok(Value::Array(list).into())
}

fn forwarders(aliases: &Aliases) -> impl Iterator<Item = (&str, &str)> {
    aliases.pairs().filter(|(address, to)| address.contains('@') && !autoresponders::is_pipe(to))
}

/// `count_forwarders`.
pub fn count_forwarders(cx: &Context<'_>) -> Reply {
    let mut count = 0;
    for domain in &cx.account.domains {
        count += forwarders(&Aliases::load(cx.machine, domain)?).count();
    }
    Ok(json!(count).into())
}

/// `delete_forwarder`: `address` forwarded to `forwarder` no more.
pub fn delete_forwarder(cx: &Context<'_>) -> Reply {
    let address = Address::parse(cx.account, cx.args.need("address")?)?;
    let forwarder = cx.args.need("forwarder")?;
    let mut aliases = Aliases::load(cx.machine, &address.domain)?;
    // As list_forwarders gives it, or with the quotes the file has around commands.
    let plain = forwarder.trim_matches('"');
    if autoresponders::is_pipe(plain)
        || !(aliases.remove(&address.to_string(), forwarder) || aliases.remove(&address.to_string(), plain))
    {
        return Err(Failure::new(format!("“{address}” is not forwarded to “{forwarder}”.")));
    }
    aliases.save(cx.machine, cx.account, &address.domain)?;
    Ok(Value::Null.into())
}

/// `set_default_address`.
pub fn set_default_address(cx: &Context<'_>) -> Reply {
    let option = cx.args.need("fwdopt")?;
    let asked = cx.args.get("domain").filter(|domain| !domain.is_empty());
    let domain = cx.account.own_domain(asked.unwrap_or(cx.account.main_domain()))?;
    let destinations = destinations(cx, option)?;
    let [destination] = destinations.as_slice() else {
        return Err(Failure::new("A default address is one address."));
    };
    let mut aliases = Aliases::load(cx.machine, &domain)?;
    aliases.set("*", destination);
    aliases.save(cx.machine, cx.account, &domain)?;
    Ok(json!([{"dest": destination, "domain": domain}]).into())
}

/// `list_default_address`, of one domain or of all.
pub fn list_default_address(cx: &Context<'_>) -> Reply {
    if let Some(user) = cx.args.get("user").filter(|user| !user.is_empty())
        && user != cx.account.user
        && cx.account.own_domain(user.rsplit('@').next().unwrap_or(user)).is_err()
    {
        return Err(Failure::new(format!("You do not have access to the user “{user}”.")));
    }
    let domains = match cx.args.get("domain").filter(|domain| !domain.is_empty()) {
        Some(domain) => vec![cx.account.own_domain(domain)?],
        None => cx.account.domains.clone(),
    };
    let mut list = Vec::new();
    for domain in domains {
        let aliases = Aliases::load(cx.machine, &domain)?;
        list.push(json!({
            "defaultaddress": aliases.first("*").unwrap_or(&cx.account.user),
            "domain": domain,
        }));
    }
    Ok(Value::Array(list).into())
}

/// Percent-encoding of all but letters, digits, and `-_.~`.
pub fn uri(text: &str) -> String {
    text.bytes()
        .map(|byte| {
            if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}
