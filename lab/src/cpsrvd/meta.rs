//! What callers of WHM API 1 may ask of any list: `api.filter`, `api.sort`, `api.chunk`, `api.columns`.
//!
//! Source: api.docs.cpanel.net, "WHM API 1 – Sort, filter, and paginate output".

use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::call::Args;

/// Applies WHM API 1's meta arguments to the list in `data`, and notes in `metadata` what was done.
pub fn whm(args: &Args, data: &mut Value, metadata: &mut Map<String, Value>) {
    let enabled = |what: &str| args.flag(&format!("api.{what}.enable"));
    if !args.0.iter().any(|(name, _)| name.starts_with("api.")) {
        return;
    }
    let Some(list) = list_in(data) else { return };
    if enabled("filter") {
        let before = list.len();
        for filter in whm_groups(args, "filter") {
            let term = filter.get("arg0").map_or("", String::as_str);
            let kind = filter.get("type").map_or("contains", String::as_str);
            let field = filter.get("field").map_or("*", String::as_str);
            list.retain(|item| matches(item, field, kind, term));
        }
        metadata.insert("filter".into(), json!({"filtered": before - list.len()}));
    }
    if enabled("sort") {
        // The first key decides, so it is applied last.
        for sort in whm_groups(args, "sort").into_iter().rev() {
            let Some(field) = sort.get("field") else { continue };
            let reverse = sort.get("reverse").is_some_and(|flag| flag != "0" && !flag.is_empty());
            sort_by(list, field, sort.get("method").map_or("lexicographic", String::as_str), reverse);
        }
    }
    if enabled("chunk") {
        let number = |name: &str| args.get(&format!("api.chunk.{name}")).and_then(|text| text.parse::<i64>().ok());
        let (start, size) = (number("start").unwrap_or(1), number("size").unwrap_or(0));
        let records = list.len();
        let size = usize::try_from(size).unwrap_or(0);
        if start > 0 && size > 0 {
            let first = usize::try_from(start - 1).unwrap_or(0).min(records);
            let chunk: Vec<Value> = list.drain(first..(first + size).min(records)).collect();
            *list = chunk;
            let current = first / size + 1;
            let mut told = json!({"start": start, "size": size, "current": current});
            if args.flag("api.chunk.verbose") {
                told["chunks"] = json!(records.div_ceil(size));
                told["records"] = json!(records);
            }
            metadata.insert("chunk".into(), told);
        }
    }
    if enabled("columns") {
        let wanted: Vec<&str> = args
            .0
            .iter()
            .filter(|(name, _)| name.strip_prefix("api.columns.").is_some_and(|rest| rest != "enable"))
            .map(|(_, value)| value.as_str())
            .collect();
        for item in list.iter_mut().filter_map(Value::as_object_mut) {
            item.retain(|name, _| wanted.contains(&name.as_str()));
        }
    }
}

/// The list a WHM reply is about: the first member of `data` that is one.
fn list_in(data: &mut Value) -> Option<&mut Vec<Value>> {
    data.as_object_mut()?.values_mut().find_map(Value::as_array_mut)
}

/// `api.filter.a.field=…` and so on: the settings of each letter, in order.
fn whm_groups(args: &Args, what: &str) -> Vec<BTreeMap<String, String>> {
    let mut groups: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    let prefix = format!("api.{what}.");
    for (name, value) in &args.0 {
        if let Some((letter, setting)) = name.strip_prefix(&prefix).and_then(|rest| rest.split_once('.')) {
            groups.entry(letter.to_owned()).or_default().insert(setting.to_owned(), value.clone());
        }
    }
    groups.into_values().collect()
}

fn text_of(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

fn number_of(text: &str) -> Option<f64> {
    text.trim().parse().ok()
}

fn matches(item: &Value, field: &str, kind: &str, term: &str) -> bool {
    let one = |text: &str| {
        let compare = || Some(number_of(text)?.total_cmp(&number_of(term)?));
        let unlimited = |text: &str| text == "unlimited" || text == "0";
        match kind {
            "eq" => text == term,
            "ne" => text != term,
            "begins" => text.to_lowercase().starts_with(&term.to_lowercase()),
            "ends" => text.to_lowercase().ends_with(&term.to_lowercase()),
            "==" => compare() == Some(Ordering::Equal),
            "!=" => compare().is_some_and(|order| order != Ordering::Equal),
            "lt" => compare() == Some(Ordering::Less),
            "lt_equal" => compare().is_some_and(Ordering::is_le),
            "gt" => compare() == Some(Ordering::Greater),
            "gt_equal" => compare().is_some_and(Ordering::is_ge),
            "lt_handle_unlimited" => !unlimited(text) && (unlimited(term) || compare() == Some(Ordering::Less)),
            "gt_handle_unlimited" => !unlimited(term) && (unlimited(text) || compare() == Some(Ordering::Greater)),
            _ => text.to_lowercase().contains(&term.to_lowercase()),
        }
    };
    match item {
        Value::Object(members) if field == "*" => members.values().any(|value| one(&text_of(Some(value)))),
        Value::Object(members) => one(&text_of(members.get(field))),
        other => one(&text_of(Some(other))),
    }
}

fn sort_by(list: &mut [Value], field: &str, method: &str, reverse: bool) {
    let key = |item: &Value| text_of(if item.is_object() { item.get(field) } else { Some(item) });
    let numeric = |text: &str| number_of(text).unwrap_or(if text == "unlimited" { f64::INFINITY } else { 0.0 });
    let address = |text: &str| text.parse::<std::net::Ipv4Addr>().map(u32::from).unwrap_or(0);
    list.sort_by(|a, b| {
        let (a, b) = (key(a), key(b));
        let order = match method {
            "numeric" => numeric(&a).total_cmp(&numeric(&b)),
            "numeric_zero_as_max" => {
                let max = |text: &str| Some(numeric(text)).filter(|n| *n != 0.0).unwrap_or(f64::INFINITY);
                max(&a).total_cmp(&max(&b))
            }
            "ipv4" => address(&a).cmp(&address(&b)),
            _ => a.cmp(&b),
        };
        if reverse { order.reverse() } else { order }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(text: &str) -> Args {
        Args(crate::cpsrvd::body::form(text))
    }

    #[test]
    fn whm_lists_are_filtered_sorted_chunked_and_cut() {
        let mut data = json!({"acct": [{"user": "b", "n": "2"}, {"user": "a", "n": "10"}, {"user": "c", "n": "1"}]});
        let mut metadata = Map::new();
        let asked = "api.filter.enable=1&api.filter.a.field=user&api.filter.a.arg0=c&api.filter.a.type=ne\
                     &api.sort.enable=1&api.sort.a.field=n&api.sort.a.method=numeric&api.sort.a.reverse=1\
                     &api.chunk.enable=1&api.chunk.size=1&api.chunk.start=1&api.chunk.verbose=1\
                     &api.columns.enable=1&api.columns.a=user";
        let asked = args(asked);
        // A filter of a kind nobody knows reads as `contains`; `ne` is known.
        whm(&asked, &mut data, &mut metadata);
        assert_eq!(data, json!({"acct": [{"user": "a"}]}));
        assert_eq!(metadata["chunk"], json!({"start": 1, "size": 1, "current": 1, "chunks": 2, "records": 2}));
        assert_eq!(metadata["filter"], json!({"filtered": 1}));
    }
}
