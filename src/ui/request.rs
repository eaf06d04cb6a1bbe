//! A request, from the environment that cpsrvd gives a CGI. Bounded, decoded once, and believed in nothing but the user's name.

use super::answer::Answer;
use crate::wire::Params;
use std::ffi::OsString;
use subtle::ConstantTimeEq as _;

/// The longest body that is read, in bytes.
pub const MAX_BODY: u64 = 256 << 10;
/// The longest query that is read, in bytes.
const MAX_QUERY: usize = 32 << 10;
/// The most fields of a query or a form.
const MAX_FIELDS: usize = 2000;

/// What a request wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// To see.
    Get,
    /// To change.
    Post,
}

/// A request.
#[derive(Clone)]
pub struct Request {
    /// To see or to change.
    pub method: Method,
    /// The user of WHM, as cpsrvd proved it; empty when it did not say.
    pub user: String,
    /// `/cpsess##########`; empty when the request did not come through one.
    pub session: String,
    query: Params,
    form: Params,
}

impl Request {
    /// Reads a request.
    ///
    /// # Errors
    /// The answer to what is no request.
    pub fn read(environment: impl Fn(&str) -> Option<OsString>, body: &[u8]) -> Result<Self, Box<Answer>> {
        let text = |name: &str| environment(name).and_then(|value| value.into_string().ok()).unwrap_or_default();
        let method = match text("REQUEST_METHOD").as_str() {
            "GET" | "HEAD" => Method::Get,
            "POST" => Method::Post,
            _ => {
                return Err(Box::new(
                    Answer::plain(405, "Only GET and POST are answered here.").header("Allow", "GET, POST".into()),
                ));
            }
        };
        let query = text("QUERY_STRING");
        if query.len() > MAX_QUERY {
            return Err(Box::new(Answer::plain(414, "The address is too long. Select fewer accounts at once.")));
        }
        let form = match method {
            Method::Get => Params::new(),
            Method::Post => {
                let kind = text("CONTENT_TYPE");
                if !kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/x-www-form-urlencoded") {
                    return Err(Box::new(Answer::plain(400, "A form is expected.")));
                }
                fields(body)?
            }
        };
        Ok(Self {
            method,
            user: text("REMOTE_USER"),
            session: session(&text("cp_security_token")),
            query: fields(query.as_bytes())?,
            form,
        })
    }

    /// The first value of a field of the address.
    pub fn query(&self, name: &str) -> Option<&str> {
        first(&self.query, name)
    }

    /// Every value of a field of the address.
    pub fn queries(&self, name: &str) -> Vec<String> {
        all(&self.query, name)
    }

    /// The first value of a field of the form.
    pub fn form(&self, name: &str) -> Option<&str> {
        first(&self.form, name)
    }

    /// Every value of a field of the form.
    pub fn forms(&self, name: &str) -> Vec<String> {
        all(&self.form, name)
    }

    /// Whether the request may change something: posted, through a `cpsess` path, with the form token of this user's session.
    pub fn changes(&self, form_token: &str) -> bool {
        let given = self.form("token").unwrap_or_default();
        self.method == Method::Post
            && !self.session.is_empty()
            && !form_token.is_empty()
            && bool::from(given.as_bytes().ct_eq(form_token.as_bytes()))
    }
}

/// The session's path when it has cPanel's form, else nothing.
fn session(text: &str) -> String {
    let digits = text.strip_prefix("/cpsess").unwrap_or_default();
    let good = !digits.is_empty() && digits.len() <= 32 && digits.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if good { text.to_owned() } else { String::new() }
}

fn fields(text: &[u8]) -> Result<Params, Box<Answer>> {
    let fields: Params = url::form_urlencoded::parse(text)
        .take(MAX_FIELDS + 1)
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect();
    if fields.len() > MAX_FIELDS {
        return Err(Box::new(Answer::plain(413, "The form has too many fields.")));
    }
    Ok(fields)
}

fn first<'a>(fields: &'a Params, name: &str) -> Option<&'a str> {
    fields.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

fn all(fields: &Params, name: &str) -> Vec<String> {
    let mut values: Vec<String> = Vec::new();
    for (_, value) in fields.iter().filter(|(key, value)| key == name && !value.is_empty()) {
        if !values.contains(value) {
            values.push(value.clone());
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(environment: &[(&str, &str)], body: &str) -> Result<Request, u16> {
        let find = |name: &str| environment.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value));
        Request::read(find, body.as_bytes()).map_err(|answer| answer.status)
    }

    const POST: [(&str, &str); 4] = [
        ("REQUEST_METHOD", "POST"),
        ("CONTENT_TYPE", "application/x-www-form-urlencoded; charset=UTF-8"),
        ("REMOTE_USER", "root"),
        ("cp_security_token", "/cpsess1234567890"),
    ];

    #[test]
    fn a_change_needs_post_session_and_token() {
        let good = request(&POST, "do=unlink&token=secret&user=a&user=b&user=a&user=").unwrap();
        assert!(good.changes("secret"));
        assert!(!good.changes("other") && !good.changes(""));
        assert_eq!(good.forms("user"), ["a", "b"]);
        let mut without = POST;
        without[3].1 = "";
        assert!(!request(&without, "token=secret").unwrap().changes("secret"), "no cpsess path");
        without[3].1 = "/cpsess12/../x";
        assert!(!request(&without, "token=secret").unwrap().changes("secret"));
        let get = [("REQUEST_METHOD", "GET"), ("QUERY_STRING", "token=secret"), ("cp_security_token", "/cpsess1")];
        assert!(!request(&get, "token=secret").unwrap().changes("secret"), "a link changes nothing");
        assert!(!request(&POST, "").unwrap().changes("secret"));
    }

    #[test]
    fn what_is_no_request_is_answered_and_nothing_more() {
        assert_eq!(request(&[("REQUEST_METHOD", "DELETE")], "").err(), Some(405));
        assert_eq!(request(&[], "").err(), Some(405));
        let long = "x".repeat(MAX_QUERY + 1);
        assert_eq!(request(&[("REQUEST_METHOD", "GET"), ("QUERY_STRING", &long)], "").err(), Some(414));
        assert_eq!(request(&POST, &"a=1&".repeat(MAX_FIELDS + 1)).err(), Some(413));
        let mut file = POST;
        file[1].1 = "multipart/form-data; boundary=x";
        assert_eq!(request(&file, "").err(), Some(400));
        let odd = request(&[("REQUEST_METHOD", "GET"), ("QUERY_STRING", "a=%ff%00&=&&%zz=1&b")], "").unwrap();
        assert_eq!(odd.query("a"), Some("\u{fffd}\0"));
    }
}
