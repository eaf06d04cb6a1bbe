//! WHM API 0: what callers get who do not say `api.version=1`, as billing systems expect it.

use serde_json::{Value, json};

use crate::call::Reply;

/// The functions that have a version 0 here.
pub const FUNCTIONS: &[&str] = &[
    "createacct",
    "listaccts",
    "accountsummary",
    "suspendacct",
    "unsuspendacct",
    "removeacct",
    "passwd",
    "modifyacct",
    "version",
    "gethostname",
    "listpkgs",
    "changepackage",
    "applist",
    "myprivs",
];

/// A reply in version 0's shape.
pub fn shape(function: &str, reply: Reply) -> Value {
    let (status, message, data, raw) = match reply {
        Ok(outcome) => {
            let message = outcome.reason.unwrap_or_else(|| "Ok".to_owned());
            (1, message, outcome.data, outcome.raw.unwrap_or_default())
        }
        Err(failure) => (0, failure.reason, Value::Null, String::new()),
    };
    let result = |more: Value| {
        let mut entry = json!({"status": status, "statusmsg": message, "rawout": raw});
        if let (Value::Object(more), Some(entry)) = (more, entry.as_object_mut()) {
            entry.extend(more);
        }
        entry
    };
    match function {
        "listaccts" | "accountsummary" => {
            json!({"status": status, "statusmsg": message, "acct": data.get("acct").cloned().unwrap_or_else(|| json!([]))})
        }
        "passwd" => {
            let services: Vec<Value> = data["app"].as_array().into_iter().flatten().map(|app| json!({"app": app})).collect();
            json!({"passwd": [result(json!({"services": services}))]})
        }
        "createacct" => json!({"result": [result(json!({"options": data}))]}),
        "modifyacct" => json!({"result": [result(json!({"newcfg": data}))]}),
        "version" | "gethostname" if status == 1 => data,
        "listpkgs" if status == 1 => json!({"package": data["pkg"]}),
        "applist" if status == 1 => data,
        "myprivs" if status == 1 => json!({"privs": data["privileges"]}),
        _ => json!({"result": [result(Value::Null)]}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::{Failure, Outcome};

    #[test]
    fn billing_systems_find_status_and_accounts() {
        let listed = shape("listaccts", Ok(Outcome::from(json!({"acct": [{"user": "a"}]}))));
        assert_eq!((&listed["status"], &listed["acct"][0]["user"]), (&json!(1), &json!("a")));
        let failed = shape("suspendacct", Err(Failure::new("no")));
        assert_eq!(failed["result"][0]["status"], 0);
        assert_eq!(failed["result"][0]["statusmsg"], "no");
        assert_eq!(shape("passwd", Err(Failure::new("weak")))["passwd"][0]["status"], 0);
    }
}
