//! IPv6 of accounts: ranges, and the address an account has from one. The address stands in the account's file (`IPV6`) and in its zones;
//! the lab's network has no IPv6, so nothing answers there.

use std::net::Ipv6Addr;

use serde_json::{Map, Value, json};

use crate::call::{Args, Caller, Failure, Reply};
use crate::machine::zonefile::{self, Changes, NewRecord};
use crate::machine::{Machine, files};

/// `NAME=FIRST/BITS` lines.
const RANGES: &str = "/var/cpanel/ipv6_ranges";

fn ranges(machine: &Machine) -> Result<Vec<(String, Ipv6Addr, u32)>, Failure> {
    let text = files::text(&machine.path(RANGES))?;
    let read = |line: &str| {
        let (name, range) = line.split_once('=')?;
        let (first, bits) = cidr(range)?;
        Some((name.to_owned(), first, bits))
    };
    Ok(text.lines().filter_map(read).collect())
}

fn cidr(text: &str) -> Option<(Ipv6Addr, u32)> {
    let (first, bits) = text.split_once('/')?;
    Some((first.parse().ok()?, bits.parse().ok().filter(|bits| *bits <= 127)?))
}

/// `ipv6_range_add`.
pub(super) fn range_add(machine: &Machine, _caller: &Caller, args: &Args) -> Reply {
    let (name, range) = (args.need("name")?, args.need("range")?);
    if !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-') {
        return Err(Failure::new(format!("“{name}” is not a valid name of a range.")));
    }
    cidr(range).ok_or_else(|| Failure::new(format!("“{range}” is not a valid IPv6 range.")))?;
    if ranges(machine)?.iter().any(|(old, ..)| old == name) {
        return Err(Failure::new(format!("The range “{name}” already exists.")));
    }
    machine.edit::<Failure>(RANGES, 0o644, |old| Ok(format!("{old}{name}={range}\n")))?;
    Ok(Value::Null.into())
}

/// Sets or removes the AAAA record of every zone of an account.
fn name_in_zones(machine: &Machine, user: &str, address: Option<Ipv6Addr>) -> Result<(), Failure> {
    let _lock = machine.lock()?;
    for domain in machine.account(user)?.domains().into_iter().filter(|domain| machine.has_zone(domain)) {
        let text = machine.zone_text(&domain)?;
        let records = zonefile::records(&text, &domain)?;
        let old = records.iter().filter(|record| record.kind == "AAAA" && record.full_name(&domain) == domain);
        let remove: Vec<usize> = old.map(|record| record.line).collect();
        let add: Vec<NewRecord> =
            address.iter().map(|address| NewRecord::new(&format!("{domain}."), "AAAA", &[&address.to_string()])).collect();
        if !(add.is_empty() && remove.is_empty()) {
            let changes = Changes { add, edit: Vec::new(), remove };
            machine.mass_edit_zone(&domain, zonefile::serial(&text, &domain)?, &changes)?;
        }
    }
    Ok(())
}

/// `ipv6_enable_account`: the first free address of the range for each account.
pub(super) fn enable(machine: &Machine, _caller: &Caller, args: &Args) -> Reply {
    let name = args.need("range")?;
    args.need("user")?;
    let known = ranges(machine)?;
    let found = known.iter().find(|(known, ..)| known == name);
    let (_, first, bits) = found.ok_or_else(|| Failure::new(format!("The IPv6 range “{name}” does not exist.")))?;
    let size = 1_u128 << (128 - bits);
    let start = u128::from(*first) & !(size - 1);
    let (mut given, mut failures) = (Map::new(), Map::new());
    for user in args.all("user") {
        let taken: Vec<u128> = machine
            .accounts()?
            .iter()
            .filter_map(|account| account.get("IPV6")?.parse::<Ipv6Addr>().ok().map(u128::from))
            .collect();
        let done = machine.account(user).and_then(|account| {
            if account.get("IPV6").is_some() {
                return Err(Failure::new(format!("The account “{user}” has an IPv6 address already.")));
            }
            let free = (1..size).map(|step| start + step).find(|address| !taken.contains(address));
            let address = Ipv6Addr::from(free.ok_or_else(|| Failure::new(format!("The range “{name}” is used up.")))?);
            machine.edit_account(user, |account| account.set("IPV6", &address.to_string()))?;
            name_in_zones(machine, user, Some(address))?;
            Ok(address)
        });
        match done {
            Ok(address) => drop(given.insert(user.to_owned(), json!(address.to_string()))),
            Err(failure) => drop(failures.insert(user.to_owned(), json!(failure.reason))),
        }
    }
    Ok(json!({"fail_cnt": failures.len(), "failures": failures, "ipv6": given}).into())
}

/// `ipv6_disable_account`.
pub(super) fn disable(machine: &Machine, _caller: &Caller, args: &Args) -> Reply {
    args.need("user")?;
    let mut failures = Vec::new();
    for user in args.all("user") {
        let done = machine.account(user).and_then(|account| {
            account.get("IPV6").ok_or_else(|| Failure::new(format!("The account “{user}” has no IPv6 address.")))?;
            machine.edit_account(user, |account| account.unset("IPV6"))?;
            name_in_zones(machine, user, None)
        });
        if let Err(failure) = done {
            failures.push(json!({"name": user, "reason": failure.reason}));
        }
    }
    Ok(json!({"fail_cnt": failures.len(), "failures": failures}).into())
}
