//! What goes back to the browser, with the headers that protect it.

use std::io::{self, Write};

/// What pages may load and do: things from here, nothing inline, in no other site's frame.
pub const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
    form-action 'self'; frame-ancestors 'self'; base-uri 'none'";

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The headers that are this answer's own.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// A page.
    pub fn html(status: u16, html: String) -> Self {
        Self::with(status, "text/html; charset=utf-8", html.into_bytes())
    }

    /// One sentence, for when no page can be made.
    pub fn plain(status: u16, text: &str) -> Self {
        Self::with(status, "text/plain; charset=utf-8", format!("{text}\n").into_bytes())
    }

    /// A document for a script.
    pub fn json(document: &impl serde::Serialize) -> Self {
        match serde_json::to_vec(document) {
            Ok(body) => Self::with(200, "application/json", body),
            Err(_) => Self::plain(500, "The answer cannot be written."),
        }
    }

    /// Any body.
    pub fn with(status: u16, kind: &str, body: Vec<u8>) -> Self {
        Self { status, headers: vec![("Content-Type", kind.to_owned()), ("Cache-Control", "no-store".to_owned())], body }
    }

    /// Sends the browser on, after a change: what it shows then can be reloaded.
    pub fn see(location: String) -> Self {
        let mut answer = Self::plain(303, "See the next page.");
        answer.headers.push(("Location", location));
        answer
    }

    /// The same with another header in place of one of that name.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: String) -> Self {
        self.headers.retain(|(present, _)| *present != name);
        self.headers.push((name, value));
        self
    }

    /// Writes it as a CGI does.
    ///
    /// # Errors
    /// When the server is gone.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let mut text = head(self.status, &self.headers);
        text.push_str(&format!("Content-Length: {}\r\n\r\n", self.body.len()));
        out.write_all(text.as_bytes())?;
        out.write_all(&self.body)?;
        out.flush()
    }
}

/// The head of an answer, up to its last own header.
pub fn head(status: u16, headers: &[(&'static str, String)]) -> String {
    let mut text = format!("Status: {status} {}\r\n", reason(status));
    for (name, value) in headers {
        // A line break in a value would begin a header of somebody else's making.
        let value: String = value.chars().filter(|char| !char.is_control()).collect();
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    for (name, value) in [
        ("Content-Security-Policy", POLICY),
        ("X-Content-Type-Options", "nosniff"),
        ("X-Frame-Options", "SAMEORIGIN"),
        ("Referrer-Policy", "no-referrer"),
        ("Cross-Origin-Opener-Policy", "same-origin"),
    ] {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        303 => "See Other",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        413 => "Content Too Large",
        414 => "URI Too Long",
        422 => "Unprocessable Content",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Internal Server Error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_never_becomes_a_header_of_its_own() {
        let mut out = Vec::new();
        Answer::see("/x\r\nSet-Cookie: a=b".into()).write(&mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.starts_with("Status: 303 See Other\r\n"));
        assert!(!text.contains("\nSet-Cookie"), "{text}");
        assert!(text.contains("Content-Security-Policy: default-src 'none'"));
    }
}
