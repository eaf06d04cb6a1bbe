//! The document that cPanel hands to a hook.

use crate::error::{Code, Error, Result};
use serde_json::Value;
use std::io::Read;

/// The longest document that is read, in bytes.
pub const MAX_DOCUMENT: u64 = 4 << 20;

/// Members that hold a password in the clear (`pass` of `Accounts::Create`, `new_password` of `Passwd::ChangePasswd` …), in lower case.
const SECRETS: [&str; 10] = [
    "pass",
    "passwd",
    "password",
    "new_password",
    "newpass",
    "old_password",
    "password_hash",
    "cpanel_jsonapi_password",
    "key_pem",
    "rawout",
];

/// Reads the document that cPanel writes to a hook's standard input.
///
/// # Errors
/// When it is too long, cut off, or no JSON object.
pub fn read_document(input: impl Read) -> Result<Value> {
    let mut bytes = Vec::new();
    input
        .take(MAX_DOCUMENT + 1)
        .read_to_end(&mut bytes)
        .map_err(|cause| Error::machine("The event's data could not be read", cause))?;
    if bytes.len() as u64 > MAX_DOCUMENT {
        return Err(Error::new(Code::Invalid, format!("The event's data is too long (more than {MAX_DOCUMENT} bytes).")));
    }
    match serde_json::from_slice::<Value>(&bytes) {
        Ok(document @ Value::Object(_)) => Ok(document),
        Ok(_) => Err(Error::new(Code::Invalid, "The event's data is no JSON object.")),
        // Not the parser's words: they may quote what was read.
        Err(cause) => Err(Error::new(Code::Invalid, format!("The event's data is not JSON (column {}).", cause.column()))),
    }
}

/// The `data` member, without passwords.
pub fn for_serve(mut document: Value) -> Value {
    let mut data = document.get_mut("data").map(Value::take).unwrap_or(Value::Null);
    drop_secrets(&mut data);
    data
}

fn drop_secrets(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|key, _| !SECRETS.contains(&key.to_lowercase().as_str()));
            members.values_mut().for_each(drop_secrets);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_secrets),
        _ => {}
    }
}

/// Whether the data of a change names another user or main domain than the account has.
pub fn renames(data: &Value) -> bool {
    let text = |key: &str| data[key].as_str().unwrap_or_default().trim().to_ascii_lowercase();
    let (user, new) = (text("user"), text("newuser"));
    let asked: Vec<String> = ["DNS", "domain"].into_iter().map(text).filter(|domain| !domain.is_empty()).collect();
    let known = || crate::host::domains_of(&user).unwrap_or_default();
    (!new.is_empty() && new != user)
        || (!asked.is_empty() && known().first().is_none_or(|main| asked.iter().any(|domain| domain != main)))
}
