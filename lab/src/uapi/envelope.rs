//! What callers of UAPI see: the flat reply of `/execute`, the wrapped one of the command line and of `/json-api/cpanel`, and what
//! `api.filter`, `api.sort`, and `api.paginate` make of a list.

use std::cmp::Ordering;

use serde_json::{Map, Value, json};

use crate::call::{Args, Reply};

/// The flat reply: `status`, `data`, `errors`, `messages`, `warnings`, `metadata`. Absent lists are null, as cPanel's.
pub fn flat(reply: &Reply, args: &Args) -> Value {
    let list = |texts: &[String]| {
        if texts.is_empty() { Value::Null } else { json!(texts) }
    };
    match reply {
        Ok(outcome) => {
            let mut metadata = Map::new();
            let data = arranged(outcome.data.clone(), args, &mut metadata);
            if !data.is_null() {
                metadata.insert("transformed".into(), json!(1));
            }
            json!({
                "data": data,
                "errors": Value::Null,
                "messages": list(&outcome.messages),
                "metadata": metadata,
                "status": 1,
                "warnings": list(&outcome.warnings),
            })
        }
        Err(failure) => json!({
            "data": Value::Null,
            "errors": [failure.reason],
            "messages": Value::Null,
            "metadata": {},
            "status": 0,
            "warnings": Value::Null,
        }),
    }
}

/// The wrapped reply: the flat one under `result`.
pub fn wrapped(module: &str, function: &str, reply: &Reply, args: &Args) -> Value {
    json!({
        "apiversion": 3,
        "func": function,
        "module": module,
        "result": flat(reply, args),
    })
}

/// A list filtered, sorted, and cut to a page, as the meta-arguments ask; anything else as it is.
fn arranged(data: Value, args: &Args, metadata: &mut Map<String, Value>) -> Value {
    let Value::Array(mut list) = data else {
        return data;
    };
    if args.flag("api.filter") || args.get("api.filter_column").is_some() {
        let before = list.len();
        for suffix in suffixes(args, "api.filter_column") {
            let value = |name: &str| args.get(&format!("api.filter_{name}{suffix}"));
            let column = value("column").unwrap_or_default().to_owned();
            let term = value("term").unwrap_or_default().to_owned();
            let kind = value("type").unwrap_or("contains").to_owned();
            list.retain(|row| matches(row, &column, &kind, &term));
        }
        metadata.insert("filter".into(), json!({"records_before_filter": before}));
    }
    if args.flag("api.sort") || args.get("api.sort_column").is_some() {
        let mut keys = suffixes(args, "api.sort_column");
        // The first key decides, so it sorts last.
        keys.reverse();
        for suffix in keys {
            let value = |name: &str| args.get(&format!("api.sort_{name}{suffix}"));
            let column = value("column").unwrap_or_default();
            let numeric = value("method").is_some_and(|method| method.starts_with("numeric"));
            let reverse = args.flag(&format!("api.sort_reverse{suffix}"));
            list.sort_by(|a, b| {
                let order = compare(a, b, column, numeric);
                if reverse { order.reverse() } else { order }
            });
        }
    }
    if args.flag("api.paginate") {
        list = page(list, args, metadata);
    }
    Value::Array(list)
}

/// The suffixes (`""`, `_1`, `_2` …) with which an argument is given, in order.
fn suffixes(args: &Args, name: &str) -> Vec<String> {
    let mut found: Vec<(u32, String)> = args
        .0
        .iter()
        .filter_map(|(key, _)| {
            let rest = key.strip_prefix(name)?;
            let number = match rest.strip_prefix('_') {
                Some(digits) => digits.parse::<u32>().ok()? + 1,
                None if rest.is_empty() => 0,
                None => return None,
            };
            Some((number, rest.to_owned()))
        })
        .collect();
    found.sort_unstable();
    found.dedup();
    found.into_iter().map(|(_, suffix)| suffix).collect()
}

/// A value as text; of an object, the value under `column`.
fn cell(row: &Value, column: &str) -> String {
    match row.get(column).unwrap_or(row) {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn matches(row: &Value, column: &str, kind: &str, term: &str) -> bool {
    if column == "*" {
        return match row {
            Value::Object(map) => map.keys().any(|key| matches(row, key, kind, term)),
            _ => matches(row, "", kind, term),
        };
    }
    let text = cell(row, column);
    let lower = text.to_lowercase();
    let wanted = term.to_lowercase();
    let numbers = || Some((number(&text)?, number(term)?));
    let unlimited = text == "unlimited";
    match kind {
        "eq" => text == term,
        "begins" => lower.starts_with(&wanted),
        "ends" => lower.ends_with(&wanted),
        "==" => numbers().is_some_and(|(a, b)| a == b),
        "ne" | "!=" => text != term,
        "gt" | ">" => numbers().is_some_and(|(a, b)| a > b),
        "lt" | "<" => numbers().is_some_and(|(a, b)| a < b),
        "gt_handle_unlimited" => unlimited || numbers().is_some_and(|(a, b)| a > b),
        "lt_handle_unlimited" => !unlimited && numbers().is_some_and(|(a, b)| a < b),
        "gt_equal" | ">=" => numbers().is_some_and(|(a, b)| a >= b),
        "lt_equal" | "<=" => numbers().is_some_and(|(a, b)| a <= b),
        _ => lower.contains(&wanted),
    }
}

fn number(text: &str) -> Option<f64> {
    text.trim().parse().ok()
}

fn compare(a: &Value, b: &Value, column: &str, numeric: bool) -> Ordering {
    let (a, b) = (cell(a, column), cell(b, column));
    if numeric {
        let value = |text: &str| number(text).unwrap_or(0.0);
        return value(&a).total_cmp(&value(&b));
    }
    a.to_lowercase().cmp(&b.to_lowercase())
}

/// One page: `api.paginate_size` rows (all without it) from row `api.paginate_start` (1 is the first), or page `api.paginate_page`.
fn page(list: Vec<Value>, args: &Args, metadata: &mut Map<String, Value>) -> Vec<Value> {
    let total = list.len();
    let value = |name: &str| args.get(name).and_then(|text| text.parse::<usize>().ok());
    let size = value("api.paginate_size").filter(|size| *size > 0).unwrap_or(total.max(1));
    let start = match (value("api.paginate_page"), value("api.paginate_start")) {
        (Some(page), _) if page > 0 => (page - 1).saturating_mul(size),
        (_, Some(start)) => start.saturating_sub(1),
        _ => 0,
    };
    metadata.insert(
        "paginate".into(),
        json!({
            "current_page": start / size + 1,
            "results_per_page": size,
            "start_result": start + 1,
            "total_pages": total.div_ceil(size),
            "total_results": total,
        }),
    );
    list.into_iter().skip(start).take(size).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::{Failure, Outcome};

    fn args(list: &[(&str, &str)]) -> Args {
        Args(list.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect())
    }

    fn people() -> Reply {
        Ok(Outcome::from(json!([
            {"name": "bob", "n": 10}, {"name": "Ann", "n": 9}, {"name": "bert", "n": 100}
        ])))
    }

    #[test]
    fn lists_are_filtered_sorted_and_cut() {
        let reply = flat(
            &people(),
            &args(&[
                ("api.filter", "1"),
                ("api.filter_column", "name"),
                ("api.filter_term", "B"),
                ("api.sort", "1"),
                ("api.sort_column", "n"),
                ("api.sort_method", "numeric"),
                ("api.sort_reverse", "1"),
                ("api.paginate", "1"),
                ("api.paginate_size", "1"),
                ("api.paginate_start", "2"),
            ]),
        );
        assert_eq!(reply["data"], json!([{"name": "bob", "n": 10}]));
        assert_eq!(reply["metadata"]["filter"]["records_before_filter"], 3);
        assert_eq!(reply["metadata"]["paginate"]["total_pages"], 2);
        assert_eq!(reply["metadata"]["paginate"]["current_page"], 2);
    }

    #[test]
    fn a_failure_has_errors_and_null_beside() {
        let reply = flat(&Err(Failure::new("no")), &Args::default());
        assert_eq!(reply["status"], 0);
        assert_eq!(reply["errors"], json!(["no"]));
        assert!(reply["warnings"].is_null() && reply["data"].is_null());
        let reply = wrapped("M", "f", &people(), &Args::default());
        assert_eq!(reply["result"]["status"], 1);
        assert!(reply["result"]["errors"].is_null());
    }
}
