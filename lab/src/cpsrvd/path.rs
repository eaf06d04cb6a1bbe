//! The path of a request as a forgiving server reads it: percent-decoded, with `//`, `/./` and `/../` resolved, and the
//! `/cpsess##########` prefix taken off.

/// A request's path, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// `/cpsess##########`, where the path began with it.
    pub security_token: Option<String>,
    /// The rest, beginning with `/`.
    pub path: String,
}

/// Decodes `%XX`; anything else stays as it is.
pub fn percent_decode(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let hex = (byte == b'%')
            .then(|| bytes.get(at + 1..at + 3))
            .flatten()
            .filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match hex {
            Some(decoded) => {
                out.push(decoded);
                at += 3;
            }
            None => {
                out.push(byte);
                at += 1;
            }
        }
    }
    out
}

/// Encodes everything but unreserved characters.
pub fn percent_encode(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// Understands the path of a request line (without the query). `None` for one with a NUL.
pub fn understand(raw: &str) -> Option<Target> {
    let decoded = String::from_utf8_lossy(&percent_decode(raw)).into_owned();
    if decoded.contains('\0') {
        return None;
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in decoded.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            other => parts.push(other),
        }
    }
    let is_token = |part: &&str| {
        part.strip_prefix("cpsess").is_some_and(|digits| digits.len() == 10 && digits.bytes().all(|b| b.is_ascii_digit()))
    };
    let security_token = parts.first().filter(|part| is_token(part)).map(|part| format!("/{part}"));
    let rest = parts.get(usize::from(security_token.is_some())..).unwrap_or_default();
    let slash = if decoded.ends_with('/') && !rest.is_empty() { "/" } else { "" };
    Some(Target { security_token, path: format!("/{}{slash}", rest.join("/")) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disguised_paths_come_out_plain() {
        for raw in [
            "/json-api/version",
            "//json-api/version",
            "/%6a%73on-api/./version",
            "/x/..//json-api/%76ersion",
            "/../json-api//version",
        ] {
            assert_eq!(understand(raw).unwrap().path, "/json-api/version", "{raw}");
        }
        assert_eq!(understand("/a%00b"), None);
        assert_eq!(understand("/100%").unwrap().path, "/100%");
    }

    #[test]
    fn the_security_token_is_taken_off() {
        let target = understand("/cpsess0123456789//execute/Email/list_pops").unwrap();
        assert_eq!(target.security_token.as_deref(), Some("/cpsess0123456789"));
        assert_eq!(target.path, "/execute/Email/list_pops");
        assert_eq!(understand("/cpsess1/x").unwrap().security_token, None);
        assert_eq!(understand("/cpsess0123456789/").unwrap().path, "/");
    }
}
