//! Mailing lists: the records of them. `/usr/local/cpanel/3rdparty/mailman/lists/NAME_DOMAIN/config.json`, where cPanel's Mailman keeps its
//! own `config.pck`. There is no Mailman here: mail to a list is refused by Exim, saying so.

use serde_json::{Value, json};

use crate::call::{Failure, Reply};
use crate::machine::lists::List;
use crate::machine::{names, passwords};
use crate::uapi::Context;
use crate::uapi::mailboxes::{Address, Mailboxes};
use crate::uapi::pops::pattern;

/// What `set_list_privacy_options` reads as a flag.
fn flag(cx: &Context<'_>, name: &str) -> Result<bool, Failure> {
    match cx.args.need(name)? {
        "0" => Ok(false),
        "1" => Ok(true),
        other => Err(Failure::new(format!("“{other}” is not a valid value of “{name}”: give 0 or 1."))),
    }
}

fn checked_password(cx: &Context<'_>) -> Result<String, Failure> {
    let password = cx.args.need("password")?;
    cx.machine.check_strength("list", password)?;
    passwords::hash(password)
}

/// The list that `list` names, `name@domain` or `name_domain`.
fn named(cx: &Context<'_>) -> Result<List, Failure> {
    let asked = cx.args.need("list")?.to_ascii_lowercase();
    let own = cx.machine.lists_of(&cx.account.domains)?;
    let found = own.into_iter().find(|list| list.address() == asked || list.id() == asked);
    found.ok_or_else(|| Failure::new(format!("The mailing list “{asked}” does not exist.")))
}

/// `add_list`.
pub fn add_list(cx: &Context<'_>) -> Reply {
    if cx.args.flag("rebuildonly") {
        return Err(Failure::new("This server has no Mailman: “rebuildonly” has nothing to rebuild."));
    }
    let domain = cx.account.own_domain(cx.args.need("domain")?)?;
    let address = Address { local: names::local_part(cx.args.need("list")?)?, domain };
    let own = cx.machine.lists_of(&cx.account.domains)?;
    if own.iter().any(|list| list.address() == address.to_string()) {
        return Err(Failure::new(format!("The mailing list “{address}” already exists.")));
    }
    let boxes = Mailboxes::open(cx.machine, cx.account)?;
    if boxes.all()?.contains(&address) {
        return Err(Failure::new(format!("An email account “{address}” already exists.")));
    }
    if let Some(most) = cx.account.limit("MAXLST").filter(|most| u64::try_from(own.len()).unwrap_or(u64::MAX) >= *most) {
        return Err(Failure::new(format!("You have reached your maximum number of mailing lists ({most}).")));
    }
    let password = checked_password(cx)?;
    let private = cx.args.flag("private");
    cx.machine.save_list(&List {
        name: address.local,
        domain: address.domain,
        password,
        admin: cx
            .account
            .record
            .get("CONTACTEMAIL")
            .filter(|contact| !contact.is_empty())
            .map_or_else(|| format!("{}@{}", cx.account.user, cx.machine.hostname()), str::to_owned),
        advertised: !private,
        archive_private: private,
        subscribe_policy: if private { 3 } else { 1 },
    })?;
    Ok(Value::Null.into())
}

/// `delete_list`.
pub fn delete_list(cx: &Context<'_>) -> Reply {
    let list = named(cx)?;
    cx.machine.remove_list(&list)?;
    Ok(Value::Null.into())
}

/// `passwd_list`.
pub fn passwd_list(cx: &Context<'_>) -> Reply {
    let mut list = named(cx)?;
    list.password = checked_password(cx)?;
    cx.machine.save_list(&list)?;
    Ok(Value::Null.into())
}

/// `set_list_privacy_options`.
pub fn set_list_privacy_options(cx: &Context<'_>) -> Reply {
    let mut list = named(cx)?;
    list.advertised = flag(cx, "advertised")?;
    list.archive_private = flag(cx, "archive_private")?;
    list.subscribe_policy = match cx.args.need("subscribe_policy")?.parse() {
        Ok(policy @ 1..=3) => policy,
        _ => return Err(Failure::new("“subscribe_policy” is 1, 2, or 3.")),
    };
    cx.machine.save_list(&list)?;
    Ok(Value::Null.into())
}

/// `list_lists`, of one domain or of all.
pub fn list_lists(cx: &Context<'_>) -> Reply {
    let domains = match cx.args.get("domain").filter(|domain| !domain.is_empty()) {
        Some(domain) => vec![cx.account.own_domain(domain)?],
        None => cx.account.domains.clone(),
    };
    let filter = pattern(cx.args)?;
    let shown = cx.machine.lists_of(&domains)?.into_iter().filter(|list| filter.is_none_or_matches(&list.address()));
    let shown = shown.map(|list| {
        let private = !list.advertised && list.archive_private && list.subscribe_policy != 1;
        json!({
            "accesstype": if private { "private" } else { "public" },
            "advertised": u8::from(list.advertised),
            "archive_private": u8::from(list.archive_private),
            "desthost": cx.machine.hostname(),
            "diskused": 0,
            "humandiskused": "0 bytes",
            "list": list.address(),
            "listadmin": list.admin,
            "listid": list.id(),
            "subscribe_policy": list.subscribe_policy,
        })
    });
    Ok(Value::Array(shown.collect()).into())
}

/// `count_lists`.
pub fn count_lists(cx: &Context<'_>) -> Reply {
    Ok(json!(cx.machine.lists_of(&cx.account.domains)?.len()).into())
}
