//! `DNS`: the account's zones.

use serde_json::json;

use crate::call::{Failure, Reply};
use crate::machine::zonefile::{self, Changes, NewRecord};
use crate::uapi::Context;

/// The zone named, which must be one of the account's domains.
fn own_zone(cx: &Context<'_>) -> Result<String, Failure> {
    cx.account.own_domain(cx.args.need("zone")?.trim_end_matches('.'))
}

/// `parse_zone`.
pub fn parse_zone(cx: &Context<'_>) -> Reply {
    let zone = own_zone(cx)?;
    let text = cx.machine.zone_text(&zone)?;
    Ok(zonefile::to_json(&zonefile::parse(&text, &zone)?).into())
}

/// `mass_edit_zone`: refused unless `serial` is the zone's.
pub fn mass_edit_zone(cx: &Context<'_>) -> Reply {
    let zone = own_zone(cx)?;
    let serial = cx.args.need("serial")?;
    let serial = serial.parse().map_err(|_| Failure::new(format!("“{serial}” is not a valid serial number.")))?;
    let records = |name: &str| -> Result<Vec<NewRecord>, Failure> {
        let parse = |text: &str| serde_json::from_str(text).map_err(|error| Failure::new(format!("Invalid “{name}”: {error}")));
        cx.args.all(name).into_iter().map(parse).collect()
    };
    let line = |text: &str| text.parse::<usize>().map_err(|_| Failure::new(format!("“{text}” is not a line index.")));
    let changes = Changes {
        add: records("add")?,
        edit: records("edit")?,
        remove: cx.args.all("remove").into_iter().map(line).collect::<Result<_, _>>()?,
    };
    let new_serial = cx.machine.mass_edit_zone(&zone, serial, &changes)?;
    Ok(json!({"new_serial": new_serial}).into())
}
