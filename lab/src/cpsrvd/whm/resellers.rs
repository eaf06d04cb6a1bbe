//! Resellers and their rights.

use serde_json::{Map, Value, json};

use super::server::{ACLS, RESELLER_ACLS};
use crate::call::{Args, Caller, Failure, Reply};
use crate::machine::{Account, Machine};

/// `setupreseller`: the default rights; with `makeowner` the account owns itself from then on.
pub(super) fn setupreseller(machine: &Machine, _caller: &Caller, args: &Args) -> Reply {
    let user = args.need("user")?;
    machine.account(user)?;
    if machine.reseller_acls(user).is_some() {
        return Err(Failure::new(format!("The user “{user}” is already a reseller.")));
    }
    machine.set_reseller(user, Some(RESELLER_ACLS))?;
    if args.flag("makeowner") {
        machine.set_owner(user, user)?;
    }
    Ok(Value::Null.into())
}

/// `unsetupreseller`: no rights and no WHM from then on. An account that owned itself is root's again.
pub(super) fn unsetupreseller(machine: &Machine, _caller: &Caller, args: &Args) -> Reply {
    let user = args.need("user")?;
    if user == "root" || machine.reseller_acls(user).is_none() {
        return Err(Failure::new(format!("The user “{user}” is not a reseller.")));
    }
    machine.set_reseller(user, None)?;
    if machine.find_account(user)?.is_some_and(|account| account.owner() == user) {
        machine.set_owner(user, "root")?;
    }
    crate::machine::tokens::forget_sessions(machine, user)?;
    Ok(Value::Null.into())
}

/// Rights named by `acl-NAME` arguments; what WHM does not know is refused.
fn named(args: &Args) -> Result<Vec<String>, Failure> {
    let given = args.0.iter().filter_map(|(key, value)| Some((key.strip_prefix("acl-")?, value)));
    let mut acls = Vec::new();
    for (name, value) in given.filter(|(_, value)| !value.is_empty() && *value != "0") {
        if !ACLS.contains(&name) && !matches!(name, "disallow-shell" | "nameserver-config") {
            return Err(Failure::new(format!("“acl-{name}={value}” names no privilege of WHM.")));
        }
        acls.push(name.to_owned());
    }
    Ok(acls)
}

/// `setacls`: exactly the rights given, or those of a saved list.
pub(super) fn setacls(machine: &Machine, _caller: &Caller, args: &Args) -> Reply {
    let user = args.need("reseller")?;
    if user == "root" || machine.reseller_acls(user).is_none() {
        return Err(Failure::new(format!("The user “{user}” is not a reseller.")));
    }
    let acls = match args.get("acllist").filter(|name| !name.is_empty()) {
        Some(name) => {
            let list = machine.acl_list(name)?;
            list.ok_or_else(|| Failure::new(format!("The ACL list “{name}” does not exist.")))?
        }
        None => named(args)?,
    };
    machine.set_reseller(user, Some(&acls.iter().map(String::as_str).collect::<Vec<_>>()))?;
    Ok(json!({"acl": acls}).into())
}

/// `saveacllist`.
pub(super) fn saveacllist(machine: &Machine, _caller: &Caller, args: &Args) -> Reply {
    machine.save_acl_list(args.need("acllist")?, &named(args)?)?;
    Ok(Value::Null.into())
}

/// `listacls`: the saved lists.
pub(super) fn listacls(machine: &Machine, _caller: &Caller, _args: &Args) -> Reply {
    let mut lists = Vec::new();
    for name in machine.acl_lists()? {
        let held = machine.acl_list(&name)?.unwrap_or_default();
        let on = |acl: &str| json!(u8::from(held.iter().any(|own| own == acl)));
        let privileges: Map<String, Value> = ACLS.iter().map(|acl| ((*acl).to_owned(), on(acl))).collect();
        lists.push(json!({"name": name, "privileges": privileges}));
    }
    Ok(json!({"acl": lists}).into())
}

/// `listresellers`.
pub(super) fn listresellers(machine: &Machine, _caller: &Caller, _args: &Args) -> Reply {
    Ok(json!({"reseller": machine.resellers()?}).into())
}

/// The accounts a reseller owns.
fn owned(machine: &Machine, user: &str) -> Result<Vec<Account>, Failure> {
    Ok(machine.accounts()?.into_iter().filter(|account| account.owner() == user).collect())
}

/// The reseller a call names, the caller when it names none; others' only for root-level callers.
fn asked<'a>(machine: &Machine, caller: &'a Caller, args: &'a Args) -> Result<&'a str, Failure> {
    let user = args.get("user").filter(|user| !user.is_empty()).unwrap_or(&caller.user);
    if machine.reseller_acls(user).is_none() || (user != caller.user && !caller.may("all")) {
        return Err(Failure::new(format!("“{user}” is not a reseller whose accounts you manage.")));
    }
    Ok(user)
}

/// `acctcounts`.
pub(super) fn acctcounts(machine: &Machine, caller: &Caller, args: &Args) -> Reply {
    let user = asked(machine, caller, args)?;
    let accounts = owned(machine, user)?;
    let suspended = accounts.iter().filter(|account| account.is_suspended()).count();
    let active = accounts.len() - suspended;
    Ok(json!({"reseller": {"active": active, "limit": "", "suspended": suspended, "user": user}}).into())
}

/// `resellerstats`. Nothing counts bandwidth on this server, so none is used; resellers have no limits of their own here.
pub(super) fn resellerstats(machine: &Machine, caller: &Caller, args: &Args) -> Reply {
    args.need("user")?;
    let user = asked(machine, caller, args)?;
    let now = jiff::Zoned::now().date();
    let number = |key: &str, now: i64| args.get(key).and_then(|text| text.parse::<i64>().ok()).unwrap_or(now);
    let megabytes = |account: &Account, key: &str| account.get(key).and_then(|text| text.parse::<u64>().ok());
    let (mut disk, mut bandwidth, mut used, mut shown) = (0, 0, 0, Vec::new());
    for account in owned(machine, user)?.iter().filter(|account| !(args.flag("filter_suspended") && account.is_suspended())) {
        let own = super::summary::disk_used(machine, account);
        let (quota, limit) = (megabytes(account, "QUOTA"), megabytes(account, "BWLIMIT"));
        disk += quota.unwrap_or(0);
        bandwidth += limit.unwrap_or(0);
        used += own;
        shown.push(json!({
            "bandwidthlimit": limit.map_or(json!("unlimited"), |limit| json!(limit)),
            "bandwidthused": 0,
            "deleted": 0,
            "diskquota": quota.map_or(json!("unlimited"), |quota| json!(quota)),
            "diskused": own,
            "domain": account.domain(),
            "package": account.get("PLAN"),
            "startdate": account.get("STARTDATE"),
            "suspended": u8::from(account.is_suspended()),
            "user": account.user,
        }));
    }
    Ok(json!({"reseller": {
        "acct": shown,
        "bandwidthlimit": "",
        "bwoverselling": 0,
        "diskoverselling": 0,
        "diskquota": "",
        "diskused": used,
        "month": number("month", i64::from(now.month())),
        "totalbwalloc": bandwidth,
        "totalbwused": 0,
        "totaldiskalloc": disk,
        "user": user,
        "year": number("year", i64::from(now.year())),
    }})
    .into())
}

#[cfg(test)]
mod tests {
    use super::super::{Refusal, call};
    use super::*;
    use crate::machine::scratch;

    fn args(text: &str) -> Args {
        Args(crate::cpsrvd::body::form(text))
    }

    #[test]
    fn rights_come_and_go_and_accounts_follow_their_owner() {
        let (_folder, machine) = scratch::machine();
        let root = |function: &str, asked: &str| call(&machine, &Caller::root(), function, &args(asked));
        let password = "password=Wonderland-7-rabbits";
        root("createacct", &format!("username=rita&domain=rita.example&{password}")).unwrap();
        assert!(machine.reseller_acls("rita").is_none());
        root("setupreseller", "user=rita&makeowner=1").unwrap();
        assert_eq!(machine.account("rita").unwrap().owner(), "rita");
        let rita = || Caller { user: "rita".into(), mailbox: None, acls: machine.reseller_acls("rita").unwrap() };
        call(&machine, &rita(), "createacct", &args(&format!("username=cust&domain=cust.example&{password}&owner=root")))
            .unwrap();
        assert_eq!(machine.account("cust").unwrap().owner(), "rita");
        let counted = root("acctcounts", "user=rita").unwrap().data;
        assert_eq!((&counted["reseller"]["active"], &counted["reseller"]["suspended"]), (&json!(2), &json!(0)));
        root("setacls", "reseller=rita&acl-list-accts=1").unwrap();
        assert_eq!(rita().acls, ["list-accts"]);
        let refused = call(&machine, &rita(), "createacct", &args(&format!("username=b&domain=b.example&{password}")));
        assert_eq!(refused, Err(Refusal::Denied));
        assert!(root("setacls", "reseller=rita&acl-nonsense=1").is_err());
        root("saveacllist", "acllist=all_of_it&acl-all=1").unwrap();
        root("setacls", "reseller=rita&acllist=all_of_it").unwrap();
        assert!(rita().may("kill-acct"));
        assert_eq!(root("listresellers", "").unwrap().data, json!({"reseller": ["rita"]}));
        root("unsetupreseller", "user=rita").unwrap();
        assert!(machine.reseller_acls("rita").is_none());
        assert_eq!(machine.account("rita").unwrap().owner(), "root");
        assert!(root("unsetupreseller", "user=rita").is_err() && root("setacls", "reseller=rita&acl-all=1").is_err());
    }
}
