//! Zones through `parse_dns_zone` and `mass_edit_dns_zone` (WHM API 1, since 96).

use super::{Panel, number};
use crate::error::{Code, Error, Result};
use crate::rules::dns::{Change, Record};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

/// How often an edit is tried again when somebody else changed the zone in between.
const EDIT_TRIES: usize = 5;

struct Zone {
    serial: u64,
    records: Vec<(u64, Record)>,
}

fn text(value: &Value) -> Option<String> {
    // Zones may hold any octets; records we touch are ASCII, others are passed over.
    String::from_utf8(BASE64_STANDARD.decode(value.as_str()?).ok()?).ok()
}

fn full_name(dname: &str, zone: &str) -> String {
    let name = match dname.strip_suffix('.') {
        Some(absolute) => absolute.to_owned(),
        None if dname.is_empty() || dname == "@" => zone.to_owned(),
        None => format!("{dname}.{zone}"),
    };
    name.to_ascii_lowercase()
}

async fn read(panel: &Panel, zone: &str) -> Result<Zone> {
    let data = panel.whm("parse_dns_zone", &[("zone", zone)]).await?;
    let lines = data["payload"].as_array().cloned().unwrap_or_default();
    let mut serial = None;
    let mut records = Vec::new();
    for line in lines.iter().filter(|line| line["type"] == "record") {
        let (Some(index), Some(name)) = (number(&line["line_index"]), text(&line["dname_b64"])) else { continue };
        let Some(data) = line["data_b64"].as_array().map(|all| all.iter().map(text).collect::<Option<Vec<_>>>()) else {
            continue;
        };
        let Some(data) = data else { continue };
        let kind = line["record_type"].as_str().unwrap_or_default().to_ascii_uppercase();
        if kind == "SOA" {
            serial = data.get(2).and_then(|serial| serial.parse().ok());
        }
        let ttl = number(&line["ttl"]).and_then(|ttl| u32::try_from(ttl).ok()).unwrap_or(14_400);
        records.push((index, Record { name: full_name(&name, zone), ttl, kind, data }));
    }
    let serial = serial
        .ok_or_else(|| Error::new(Code::Answered, format!("The zone “{zone}” on “{}” has no SOA record.", panel.hostname())))?;
    Ok(Zone { serial, records })
}

/// The records of a zone.
///
/// # Errors
/// As [`Panel::whm`].
pub async fn records(panel: &Panel, zone: &str) -> Result<Vec<Record>> {
    Ok(read(panel, zone).await?.records.into_iter().map(|(_, record)| record).collect())
}

/// Applies changes to a zone. Idempotent: what is already so stays; an edit by somebody else in between is not lost.
///
/// # Errors
/// As [`Panel::whm`]; [`Code::Conflict`] when the zone keeps changing under us.
pub async fn apply(panel: &Panel, zone: &str, changes: &[Change]) -> Result<()> {
    let mut last = None;
    for _ in 0..EDIT_TRIES {
        let now = read(panel, zone).await?;
        let (mut add, mut remove) = (Vec::new(), Vec::new());
        for change in changes {
            for gone in &change.before {
                let same = |record: &Record| record.name == gone.name && record.kind == gone.kind && record.data == gone.data;
                if change.after.iter().any(same) {
                    continue;
                }
                remove.extend(now.records.iter().filter(|(_, record)| same(record)).map(|(index, _)| *index));
            }
            for new in &change.after {
                let same = |record: &Record| record.name == new.name && record.kind == new.kind && record.data == new.data;
                match now.records.iter().find(|(_, record)| same(record)) {
                    Some((_, present)) if present.ttl == new.ttl => {}
                    Some((index, _)) => {
                        remove.push(*index);
                        add.push(new);
                    }
                    None => add.push(new),
                }
            }
        }
        if add.is_empty() && remove.is_empty() {
            return Ok(());
        }
        remove.sort_unstable();
        remove.dedup();
        let mut params = vec![("zone".to_owned(), zone.to_owned()), ("serial".to_owned(), now.serial.to_string())];
        for (n, record) in add.iter().enumerate() {
            let key = if n == 0 { "add".to_owned() } else { format!("add-{n}") };
            let item =
                json!({"dname": format!("{}.", record.name), "ttl": record.ttl, "record_type": record.kind, "data": record.data});
            params.push((key, item.to_string()));
        }
        for (n, index) in remove.iter().enumerate() {
            params.push((if n == 0 { "remove".to_owned() } else { format!("remove-{n}") }, index.to_string()));
        }
        let borrowed: Vec<(&str, &str)> = params.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        match panel.whm("mass_edit_dns_zone", &borrowed).await {
            Ok(_) => return Ok(()),
            // The serial guard: read again, decide again.
            Err(error) if error.code == Code::Answered => last = Some(error),
            Err(error) => return Err(error),
        }
    }
    Err(last.unwrap_or_else(|| Error::new(Code::Conflict, format!("The zone “{zone}” keeps changing."))))
}
