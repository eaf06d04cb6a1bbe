//! Arguments of a call from wherever they may stand: query, form, JSON, multipart.

use super::normalise::Unclear;
use crate::wire::Params;
use serde_json::Value;

/// Percent-decoding of one component; `plus`: whether `+` is a space. The flag says that the bytes were not UTF-8.
pub(crate) fn decode(component: &[u8], plus: bool) -> (String, bool) {
    let mut bytes = Vec::with_capacity(component.len());
    let mut at = 0;
    while let Some(&byte) = component.get(at) {
        let hex = |offset: usize| component.get(at + offset).and_then(|digit| (*digit as char).to_digit(16));
        match (byte, hex(1), hex(2)) {
            (b'%', Some(high), Some(low)) => {
                bytes.push((high * 16 + low) as u8);
                at += 2;
            }
            (b'+', ..) if plus => bytes.push(b' '),
            _ => bytes.push(byte),
        }
        at += 1;
    }
    match String::from_utf8(bytes) {
        Ok(text) => (text, false),
        Err(odd) => (String::from_utf8_lossy(odd.as_bytes()).into_owned(), true),
    }
}

/// Arguments as found, and what another reader might have found beside them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// The arguments in the order given, decoded, duplicates kept.
    pub params: Params,
    /// What a more forgiving reader might see as well (`;` as a separator). The guard judges these too.
    pub also: Params,
    /// Whether a name or a value was not UTF-8.
    pub odd: bool,
}

impl Found {
    /// Adds what a query string or a form says.
    pub fn form(&mut self, text: &[u8]) {
        for pair in text.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
            let parsed = self.pair(pair);
            self.params.push(parsed);
            if pair.contains(&b';') {
                for part in pair.split(|byte| *byte == b';').filter(|part| !part.is_empty()) {
                    let parsed = self.pair(part);
                    self.also.push(parsed);
                }
            }
        }
    }

    fn pair(&mut self, pair: &[u8]) -> (String, String) {
        let (name, value) = match pair.iter().position(|byte| *byte == b'=') {
            Some(at) => (&pair[..at], &pair[at + 1..]),
            None => (pair, &b""[..]),
        };
        let ((name, odd_name), (value, odd_value)) = (decode(name, true), decode(value, true));
        self.odd |= odd_name || odd_value;
        (name, value)
    }

    /// Adds what a body of this content type says.
    ///
    /// # Errors
    /// [`Unclear`] when the body is not what its type claims, or holds a file.
    pub fn body(&mut self, content_type: Option<&str>, body: &[u8]) -> Result<(), Unclear> {
        if body.is_empty() {
            return Ok(());
        }
        let kind = content_type.unwrap_or("").split(';').next().unwrap_or("").trim().to_ascii_lowercase();
        if kind != "application/x-www-form-urlencoded" {
            // A reader that does not look at the type takes any body for a form, or for JSON when it looks like it.
            let mut forgiving = Self::default();
            forgiving.form(body);
            let _ = forgiving.json(body);
            self.also.extend(forgiving.params);
        }
        match kind.as_str() {
            "application/json" | "text/json" => self.json(body),
            "multipart/form-data" => self.multipart(content_type.unwrap_or(""), body),
            // A body without a type, or with an odd one, may still be read as a form.
            _ => {
                self.form(body);
                Ok(())
            }
        }
    }

    fn json(&mut self, body: &[u8]) -> Result<(), Unclear> {
        let Ok(Value::Object(members)) = serde_json::from_slice(body) else {
            return Err(Unclear("the JSON body is not an object"));
        };
        for (name, value) in members {
            match value {
                Value::Array(items) => self.params.extend(items.into_iter().map(|item| (name.clone(), scalar(item)))),
                value => self.params.push((name, scalar(value))),
            }
        }
        Ok(())
    }

    fn multipart(&mut self, content_type: &str, body: &[u8]) -> Result<(), Unclear> {
        let mut boundaries = content_type
            .split(';')
            .filter_map(|part| part.trim().split_once('='))
            .filter(|(name, _)| name.trim().eq_ignore_ascii_case("boundary"))
            .map(|(_, value)| value.trim().trim_matches('"'));
        let boundary = match (boundaries.next(), boundaries.next()) {
            (Some(boundary), None) if !boundary.is_empty() && boundary.len() <= 200 => boundary,
            _ => return Err(Unclear("the multipart body has no single boundary")),
        };
        let delimiter = format!("--{boundary}");
        let mut rest =
            body.strip_prefix(delimiter.as_bytes()).ok_or(Unclear("the multipart body does not begin with its boundary"))?;
        while !rest.starts_with(b"--") {
            let cut = split_at(rest, format!("\r\n{delimiter}").as_bytes());
            let (part, next) = cut.ok_or(Unclear("the multipart body is cut short"))?;
            // A reader content with bare line feeds would divide the parts elsewhere.
            if split_at(part, format!("\n{delimiter}").as_bytes()).is_some() {
                return Err(Unclear("the multipart body has an unusual boundary"));
            }
            let part = part.strip_prefix(b"\r\n").ok_or(Unclear("a part of the multipart body is malformed"))?;
            let (head, value) =
                split_at(part, b"\r\n\r\n").ok_or(Unclear("a part of the multipart body has no end of headers"))?;
            if split_at(head, b"\n\n").is_some() {
                return Err(Unclear("a part of the multipart body has odd headers"));
            }
            let name = disposition_name(head)?;
            let value = match String::from_utf8(value.to_vec()) {
                Ok(value) => value,
                Err(odd) => {
                    self.odd = true;
                    String::from_utf8_lossy(odd.as_bytes()).into_owned()
                }
            };
            self.params.push((name, value));
            rest = next;
        }
        Ok(())
    }
}

/// A JSON value as an argument.
fn scalar(value: Value) -> String {
    match value {
        Value::String(text) => text,
        Value::Null => String::new(),
        Value::Bool(flag) => u8::from(flag).to_string(),
        other => other.to_string(),
    }
}

fn split_at<'a>(bytes: &'a [u8], separator: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = bytes.windows(separator.len()).position(|window| window == separator)?;
    Some((&bytes[..at], &bytes[at + separator.len()..]))
}

fn disposition_name(head: &[u8]) -> Result<String, Unclear> {
    let head = std::str::from_utf8(head).map_err(|_| Unclear("a part of the multipart body has odd headers"))?;
    let mut dispositions = head
        .lines()
        .filter(|line| line.trim_start().to_ascii_lowercase().starts_with("content-disposition"))
        .filter_map(|line| line.split_once(':'));
    let disposition = match (dispositions.next(), dispositions.next()) {
        (Some((_, value)), None) => value,
        _ => return Err(Unclear("a part of the multipart body has no single disposition")),
    };
    if disposition.to_ascii_lowercase().contains("filename") {
        return Err(Unclear("the call uploads a file"));
    }
    let mut names =
        disposition.split(';').filter_map(|part| part.trim().split_once('=')).filter(|(name, _)| name.trim() == "name");
    match (names.next(), names.next()) {
        (Some((_, name)), None) => Ok(name.trim().trim_matches('"').to_owned()),
        _ => Err(Unclear("a part of the multipart body has no single name")),
    }
}

/// The first value of `name`.
pub fn first<'a>(params: &'a Params, name: &str) -> Option<&'a str> {
    params.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

/// `user-1`, `user[]`, `user[2]`, `user2` → `user`: the name under which an argument of a list is known.
pub fn base_name(name: &str) -> &str {
    let name = name.split('[').next().unwrap_or(name);
    name.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end_matches('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(content_type: &str, body: &str) -> Params {
        let mut found = Found::default();
        found.body(Some(content_type), body.as_bytes()).unwrap();
        found.params
    }

    fn pairs(of: &[(&str, &str)]) -> Params {
        of.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn one_call_in_every_clothing() {
        let expected = pairs(&[("user", "an na"), ("user", "b&t"), ("n", "1")]);
        assert_eq!(found("application/x-www-form-urlencoded", "user=an+na&user=b%26t&n=1"), expected);
        assert_eq!(found("application/json; charset=utf-8", r#"{"user":["an na","b&t"],"n":1}"#), expected);
        let multipart = "--x\r\nContent-Disposition: form-data; name=\"user\"\r\n\r\nan na\r\n--x\r\nContent-Disposition: form-data; name=\"user\"\r\n\r\nb&t\r\n--x\r\nContent-Disposition: form-data; name=n\r\n\r\n1\r\n--x--\r\n";
        assert_eq!(found("multipart/form-data; boundary=x", multipart), expected);
    }

    #[test]
    fn what_a_forgiving_reader_sees_is_kept_apart() {
        let mut found = Found::default();
        found.form(b"a=1;user=anna");
        assert_eq!(found.params, pairs(&[("a", "1;user=anna")]));
        assert_eq!(found.also, pairs(&[("a", "1"), ("user", "anna")]));
    }

    #[test]
    fn what_is_not_what_it_claims_is_unclear() {
        let mut found = Found::default();
        assert!(found.body(Some("application/json"), b"[1]").is_err());
        assert!(found.body(Some("multipart/form-data"), b"--x--").is_err());
        assert!(
            found
                .body(
                    Some("multipart/form-data; boundary=x"),
                    b"--x\r\nContent-Disposition: form-data; name=a; filename=b\r\n\r\n1\r\n--x--"
                )
                .is_err()
        );
        let split = "--x\r\nContent-Disposition: form-data; name=username\n\nx\n--x\r\nContent-Disposition: form-data; name=foo\r\n\r\nanna\r\n--x--\r\n";
        assert!(
            found.body(Some("multipart/form-data; boundary=x"), split.as_bytes()).is_err(),
            "readers differ on where it is divided"
        );
        found.form(b"user=%ff");
        assert!(found.odd);
    }

    #[test]
    fn indexed_names_have_a_base() {
        for name in ["user", "user-1", "user[]", "user[3]", "user2"] {
            assert_eq!(base_name(name), "user");
        }
        assert_eq!(base_name("mail_node_alias"), "mail_node_alias");
    }
}
