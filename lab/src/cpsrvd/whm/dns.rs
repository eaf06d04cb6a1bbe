//! Zones.

use serde_json::{Value, json};

use crate::call::{Args, Caller, Failure, Reply};
use crate::machine::zonefile::{self, Changes, Item, NewRecord};
use crate::machine::{Machine, names};

/// `parse_dns_zone`.
pub(super) fn parse_dns_zone(machine: &Machine, _caller: &Caller, args: &Args) -> Reply {
    let zone = names::domain(args.need("zone")?)?;
    let text = machine.zone_text(&zone)?;
    Ok(json!({"payload": zonefile::to_json(&zonefile::parse(&text, &zone)?)}).into())
}

/// `mass_edit_dns_zone`: every change or none, and only when the serial is the zone's.
pub(super) fn mass_edit_dns_zone(machine: &Machine, _caller: &Caller, args: &Args) -> Reply {
    let zone = args.need("zone")?;
    let serial = args.need("serial")?;
    let serial = serial.parse().map_err(|_| Failure::new(format!("“{serial}” is not a valid serial number.")))?;
    let records = |name: &str| -> Result<Vec<NewRecord>, Failure> {
        let parse = |text: &str| serde_json::from_str(text).map_err(|error| Failure::new(format!("Invalid “{name}”: {error}")));
        args.all(name).into_iter().map(parse).collect()
    };
    let line = |text: &str| text.parse::<usize>().map_err(|_| Failure::new(format!("“{text}” is not a valid line index.")));
    let changes = Changes {
        add: records("add")?,
        edit: records("edit")?,
        remove: args.all("remove").into_iter().map(line).collect::<Result<_, _>>()?,
    };
    Ok(json!({"new_serial": machine.mass_edit_zone(zone, serial, &changes)?}).into())
}

/// `dumpzone`: the older view of a zone, one object per line or record.
pub(super) fn dumpzone(machine: &Machine, _caller: &Caller, args: &Args) -> Reply {
    let asked = args.get("domain").filter(|domain| !domain.is_empty()).or_else(|| args.get("zone"));
    let zone = names::domain(asked.map_or_else(|| args.need("domain"), Ok)?)?;
    let text = machine.zone_text(&zone)?;
    let items = zonefile::parse(&text, &zone)?;
    let shown: Vec<Value> = items.iter().map(|item| shown(item, &zone)).collect();
    Ok(json!({"zone": [{"record": shown}]}).into())
}

fn shown(item: &Item, zone: &str) -> Value {
    match item {
        Item::Comment { line, text } => json!({"Line": line + 1, "type": ":RAW", "raw": text}),
        Item::Control { line, text } => match text.split_whitespace().collect::<Vec<_>>().as_slice() {
            ["$TTL", ttl, ..] => json!({"Line": line + 1, "type": "$TTL", "ttl": ttl}),
            _ => json!({"Line": line + 1, "type": ":RAW", "raw": text}),
        },
        Item::Record(record) => {
            let data: Vec<String> = record.data.iter().map(|part| String::from_utf8_lossy(part).into_owned()).collect();
            let part = |index: usize| data.get(index).cloned().unwrap_or_default();
            let bare = |index: usize| part(index).trim_end_matches('.').to_owned();
            let mut shown = json!({
                "Line": record.line + 1,
                "Lines": record.lines,
                "name": format!("{}.", record.full_name(zone)),
                "type": record.kind,
                "class": "IN",
                "ttl": record.ttl.to_string(),
            });
            let more = match record.kind.as_str() {
                "A" | "AAAA" => json!({"address": part(0)}),
                "CNAME" => json!({"cname": bare(0)}),
                "NS" => json!({"nsdname": bare(0)}),
                "MX" => json!({"preference": part(0), "exchange": bare(1)}),
                "TXT" => json!({"txtdata": data.concat()}),
                "SRV" => json!({"priority": part(0), "weight": part(1), "port": part(2), "target": bare(3)}),
                "SOA" => json!({
                    "mname": bare(0), "rname": bare(1), "serial": part(2), "refresh": part(3),
                    "retry": part(4), "expire": part(5), "minimum": part(6),
                }),
                _ => json!({"rdata": data.join(" ")}),
            };
            if let (Some(shown), Value::Object(more)) = (shown.as_object_mut(), more) {
                shown.extend(more);
            }
            shown
        }
    }
}
