//! The shapes replies come in, but for UAPI's, which are in [`crate::uapi::envelope`].
//!
//! Sources: api.docs.cpanel.net, "WHM API 1 – Return data", "cPanel API 2 – Return data".

use serde_json::{Map, Value, json};

use super::meta;
use crate::call::{Args, Outcome, Reply};

/// WHM API 1's envelope.
pub fn whm(function: &str, args: &Args, reply: Reply) -> Value {
    let mut metadata = Map::new();
    metadata.insert("version".into(), json!(1));
    metadata.insert("command".into(), json!(function));
    match reply {
        Ok(Outcome { mut data, reason, messages, warnings, raw }) => {
            metadata.insert("result".into(), json!(1));
            metadata.insert("reason".into(), json!(reason.unwrap_or_else(|| "OK".to_owned())));
            let mut output = Map::new();
            for (name, lines) in [("messages", messages), ("warnings", warnings)] {
                if !lines.is_empty() {
                    output.insert(name.into(), json!(lines));
                }
            }
            if let Some(raw) = raw {
                output.insert("raw".into(), json!(raw));
            }
            if !output.is_empty() {
                metadata.insert("output".into(), Value::Object(output));
            }
            meta::whm(args, &mut data, &mut metadata);
            if data.is_null() { json!({"metadata": metadata}) } else { json!({"data": data, "metadata": metadata}) }
        }
        Err(failure) => {
            metadata.insert("result".into(), json!(0));
            metadata.insert("reason".into(), json!(failure.reason));
            json!({"metadata": metadata})
        }
    }
}

/// cPanel API 2's envelope.
pub fn api2(module: &str, function: &str, reply: Reply) -> Value {
    let mut result = json!({"apiversion": 2, "module": module, "func": function});
    match reply {
        Ok(outcome) => {
            result["data"] = outcome.data;
            result["event"] = json!({"result": 1});
            result["preevent"] = json!({"result": 1});
            result["postevent"] = json!({"result": 1});
        }
        Err(failure) => {
            result["data"] = json!([]);
            result["error"] = json!(failure.reason);
            result["event"] = json!({"result": 0, "reason": failure.reason});
        }
    }
    json!({"cpanelresult": result})
}

/// cPanel API 1's envelope, which only ever refuses here.
pub fn api1(module: &str, function: &str, reason: &str) -> Value {
    json!({
        "apiversion": "1",
        "type": "event",
        "module": module,
        "func": function,
        "source": "internal",
        "data": {"result": ""},
        "error": reason,
        "event": {"result": 0, "reason": reason},
    })
}

/// What somebody without the right gets, whatever was called (with HTTP 403, as text).
pub fn denied() -> Value {
    json!({"cpanelresult": {
        "apiversion": "2",
        "error": "Access denied",
        "data": {"reason": "Access denied", "result": "0"},
        "type": "text",
    }})
}
