//! Arguments of a request: the query, then the body (form, JSON or multipart).

use serde_json::Value;

use super::path::percent_decode;
use crate::call::{Args, Failure};

/// Arguments of a query or form: `a=1&b=2`, `;` between pairs too.
pub fn form(text: &str) -> Vec<(String, String)> {
    let decode = |part: &str| String::from_utf8_lossy(&percent_decode(&part.replace('+', " "))).into_owned();
    text.split(['&', ';'])
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(value))
        })
        .collect()
}

/// Arguments of a JSON object: lists become `name`, `name-1` …, objects their JSON text.
pub fn json(bytes: &[u8]) -> Result<Vec<(String, String)>, Failure> {
    let value: Value =
        serde_json::from_slice(bytes).map_err(|error| Failure::new(format!("The JSON body is not valid: {error}")))?;
    let Value::Object(members) = value else {
        return Err(Failure::new("The JSON body must be an object."));
    };
    let scalar = |value: &Value| match value {
        Value::Null => String::new(),
        Value::Bool(flag) => u8::from(*flag).to_string(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let mut out = Vec::new();
    for (name, value) in &members {
        if let Value::Array(values) = value {
            for (index, value) in values.iter().enumerate() {
                let name = if index == 0 { name.clone() } else { format!("{name}-{index}") };
                out.push((name, scalar(value)));
            }
        } else {
            out.push((name.clone(), scalar(value)));
        }
    }
    Ok(out)
}

/// Arguments of a `multipart/form-data` body.
pub fn multipart(content_type: &str, body: &[u8]) -> Result<Vec<(String, String)>, Failure> {
    let bad = || Failure::new("The multipart body is not valid.");
    let boundary = parameter(content_type, "boundary").filter(|b| !b.is_empty()).ok_or_else(bad)?;
    let delimiter = format!("--{boundary}").into_bytes();
    let mut rest = after(body, &delimiter).ok_or_else(bad)?;
    let mut out = Vec::new();
    while !rest.starts_with(b"--") {
        let part_end = find(rest, &[b"\r\n", delimiter.as_slice()].concat()).ok_or_else(bad)?;
        let part = rest.get(..part_end).ok_or_else(bad)?;
        let split = find(part, b"\r\n\r\n").ok_or_else(bad)?;
        let headers = String::from_utf8_lossy(&part[..split]).into_owned();
        let disposition =
            headers.lines().find(|line| line.to_ascii_lowercase().starts_with("content-disposition:")).unwrap_or_default();
        let name = parameter(disposition, "name").ok_or_else(bad)?;
        out.push((name, String::from_utf8_lossy(&part[split + 4..]).into_owned()));
        rest = &rest[part_end + 2 + delimiter.len()..];
    }
    Ok(out)
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

fn after<'a>(bytes: &'a [u8], wanted: &[u8]) -> Option<&'a [u8]> {
    find(bytes, wanted).and_then(|at| bytes.get(at + wanted.len()..))
}

/// A header's parameter, `name="value"` or `name=value`.
fn parameter(header: &str, name: &str) -> Option<String> {
    header.split(';').skip(1).find_map(|part| {
        let (key, value) = part.trim().split_once('=')?;
        key.trim().eq_ignore_ascii_case(name).then(|| value.trim().trim_matches('"').to_owned())
    })
}

/// Every argument of a request.
pub fn arguments(query: Option<&str>, content_type: &str, body: &[u8]) -> Result<Args, Failure> {
    let mut all = form(query.unwrap_or_default());
    if !body.is_empty() {
        let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        all.extend(match kind.as_str() {
            "application/json" | "text/json" => json(body)?,
            "multipart/form-data" => multipart(content_type, body)?,
            _ => form(&String::from_utf8_lossy(body)),
        });
    }
    Ok(Args(all))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(wanted: &[(&str, &str)]) -> Vec<(String, String)> {
        wanted.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
    }

    #[test]
    fn every_kind_of_body_gives_the_same_arguments() {
        let wanted = pairs(&[("user", "a b"), ("x", "1"), ("x-1", "é&")]);
        assert_eq!(form("user=a+b&x=1&x-1=%C3%A9%26"), wanted);
        assert_eq!(json("{\"user\":\"a b\",\"x\":[1,\"é&\"]}".as_bytes()).unwrap(), wanted);
        let body = "--B\r\nContent-Disposition: form-data; name=\"user\"\r\n\r\na b\r\n--B\r\nContent-Disposition: form-data; name=x\r\n\r\n1\r\n--B\r\nContent-Disposition: form-data; name=\"x-1\"\r\n\r\né&\r\n--B--\r\n";
        assert_eq!(multipart("multipart/form-data; boundary=B", body.as_bytes()).unwrap(), wanted);
        assert!(multipart("multipart/form-data; boundary=B", b"--B\r\nx").is_err());
        assert!(json(b"[1]").is_err());
    }
}
