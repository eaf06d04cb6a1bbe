//! Who is calling. Nothing that a request says of itself is believed: cpsrvd is asked with the caller's own credential.

use super::envelope::number;
use super::normalise::Service;
use super::params::decode;
use super::upstream::{Upstream, empty};
use super::{Entrance, Limits};
use base64::Engine as _;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Request, StatusCode};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// The longest answer to a question of the shim's own.
const LONGEST_ANSWER: usize = 4 << 20;

/// What a request proves itself with: one header, or a session's cookie and path prefix. Never both, so that the account it claims is
/// the account that it proves.
#[derive(Clone, Default)]
pub struct Credential {
    headers: HeaderMap,
    session: String,
    claimed: Option<String>,
    claims: Vec<String>,
    token: Option<String>,
}

impl Credential {
    /// The credential of a request with these headers, whose path has this session prefix.
    pub fn of(service: Service, headers: &HeaderMap, session: Option<&str>) -> Self {
        let mut own = HeaderMap::new();
        let (mut claimed, mut token) = (None, None);
        if let Some(code) = headers.get("x-cpanel-otp") {
            own.insert("x-cpanel-otp", code.clone());
        }
        let authorization = headers.get(header::AUTHORIZATION);
        let (by_header, header_token) = authorization.and_then(|value| value.to_str().ok()).map(claim).unwrap_or_default();
        let by_cookie = session_cookie(service, headers);
        let claims = by_header.iter().chain(by_cookie.iter().map(|(_, user)| user)).cloned().collect();
        match (session, authorization) {
            (None, Some(value)) => {
                own.insert(header::AUTHORIZATION, value.clone());
                (claimed, token) = (by_header, header_token);
            }
            _ => {
                if let Some((cookie, user)) = by_cookie {
                    own.insert(header::COOKIE, cookie);
                    claimed = Some(user);
                } else if let Some(cookie) = headers.get(header::COOKIE) {
                    own.insert(header::COOKIE, cookie.clone());
                }
            }
        }
        Self { headers: own, session: session.unwrap_or("").to_owned(), claimed, claims, token }
    }

    /// The account it claims to be of. Proved only once cpsrvd has taken it.
    pub fn claimed(&self) -> Option<&str> {
        self.claimed.as_deref()
    }

    /// Every account that the request claims to be of, whichever of its credentials cpsrvd takes.
    pub fn claims(&self) -> &[String] {
        &self.claims
    }

    /// The WHM token, when it is one.
    pub fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// The path prefix of its session; empty without one.
    pub fn session(&self) -> &str {
        &self.session
    }

    /// The headers that carry it.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    fn digest(&self, purpose: &str, service: Service, peer: IpAddr) -> [u8; 32] {
        let mut hash = Sha256::new();
        let mut part = |bytes: &[u8]| {
            hash.update(bytes.len().to_le_bytes());
            hash.update(bytes);
        };
        part(purpose.as_bytes());
        part(&[service as u8]);
        part(peer.to_string().as_bytes());
        part(self.session.as_bytes());
        for (name, value) in &self.headers {
            part(name.as_str().as_bytes());
            part(value.as_bytes());
        }
        hash.finalize().into()
    }
}

/// The account, and the WHM token, of an `Authorization` header.
fn claim(value: &str) -> (Option<String>, Option<String>) {
    let Some((scheme, rest)) = value.trim().split_once(char::is_whitespace) else { return (None, None) };
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("basic") {
        let text = base64::engine::general_purpose::STANDARD.decode(rest).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        return (text.and_then(|text| text.split_once(':').map(|(user, _)| user.to_owned())), None);
    }
    match rest.split_once(':') {
        Some((user, token)) if scheme.eq_ignore_ascii_case("whm") => (Some(user.to_owned()), Some(token.to_owned())),
        Some((user, _)) if scheme.eq_ignore_ascii_case("cpanel") => (Some(user.to_owned()), None),
        _ => (None, None),
    }
}

/// The one cookie of the service's session (F5.1), and its user.
fn session_cookie(service: Service, headers: &HeaderMap) -> Option<(HeaderValue, String)> {
    let wanted = match service {
        Service::Whm => "whostmgrsession",
        Service::Cpanel => "cpsession",
        Service::Webmail => "webmailsession",
    };
    let cookies =
        headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(';'));
    let mut mine = cookies.filter_map(|cookie| cookie.trim().split_once('=')).filter(|(name, _)| *name == wanted);
    let ((name, value), None) = (mine.next()?, mine.next()) else { return None };
    let (text, _) = decode(value.as_bytes(), false);
    let (user, _) = text.split_once(':')?;
    Some((HeaderValue::from_str(&format!("{name}={value}")).ok()?, user.to_owned()))
}

/// What cpsrvd said of a caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proved {
    /// The account; for a webmail caller, the mailbox's owner when cpsrvd says it.
    pub user: Option<String>,
    /// Whether it has root-level privileges on WHM.
    pub root: bool,
}

/// cpsrvd's answer to a question.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The HTTP status.
    pub status: StatusCode,
    /// The headers that a caller needs who is not let in.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Answer {
    /// The body as JSON; `Null` when it is not.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// Why a caller is not proved.
#[derive(Debug)]
pub enum Unproved {
    /// cpsrvd did not take the credential, or not for this. Its answer.
    Denied(Answer),
    /// There is no credential, or none that cpsrvd could say an account of.
    Nobody,
    /// cpsrvd could not be asked.
    Unreachable(String),
}

/// Asks cpsrvd about callers, and remembers the answers for seconds.
pub struct Prover {
    remembered: Mutex<HashMap<[u8; 32], (Instant, Proved)>>,
    limits: Limits,
}

impl Prover {
    /// Remembers as much as `limits` allow.
    pub fn new(limits: Limits) -> Self {
        Self { remembered: Mutex::default(), limits }
    }

    /// Asks cpsrvd with the caller's credential.
    ///
    /// # Errors
    /// [`Unproved::Unreachable`].
    pub async fn ask(
        &self,
        upstream: &Upstream,
        entrance: &Entrance,
        peer: IpAddr,
        credential: &Credential,
        path: &str,
        form: Option<String>,
    ) -> Result<Answer, Unproved> {
        let mut request = Request::new(form.map_or_else(empty, super::upstream::full));
        *request.headers_mut() = credential.headers.clone();
        if !hyper::body::Body::is_end_stream(request.body()) {
            *request.method_mut() = hyper::Method::POST;
            request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        }
        let unreachable = |cause: &dyn std::fmt::Display| {
            Unproved::Unreachable(format!("cpsrvd does not answer on {}: {cause}", entrance.upstream))
        };
        *request.uri_mut() = format!("{}{path}", credential.session).parse().map_err(|cause| unreachable(&cause))?;
        let answer = upstream.send(entrance, peer, request).await.map_err(|cause| unreachable(&cause))?;
        let (parts, body) = answer.into_parts();
        let body = Limited::new(body, LONGEST_ANSWER.max(self.limits.inspected_answer)).collect().await;
        let body = body.map_err(|cause| unreachable(&cause))?.to_bytes();
        let mut headers = parts.headers;
        let kept = [header::CONTENT_TYPE, header::WWW_AUTHENTICATE, header::RETRY_AFTER];
        let others: Vec<_> = headers.keys().filter(|name| !kept.contains(name)).cloned().collect();
        for name in others {
            headers.remove(name);
        }
        Ok(Answer { status: parts.status, headers, body })
    }

    /// As [`Prover::ask`], for a question that cpsrvd answers at once.
    async fn question(
        &self,
        upstream: &Upstream,
        entrance: &Entrance,
        peer: IpAddr,
        credential: &Credential,
        path: &str,
    ) -> Result<Answer, Unproved> {
        let asked = self.ask(upstream, entrance, peer, credential, path, None);
        tokio::time::timeout(self.limits.question, asked)
            .await
            .map_err(|_| Unproved::Unreachable(format!("cpsrvd does not answer on {} in time", entrance.upstream)))?
    }

    /// Proves a WHM caller and its privileges (`myprivs`).
    ///
    /// # Errors
    /// [`Unproved`].
    pub async fn whm(
        &self,
        upstream: &Upstream,
        entrance: &Entrance,
        peer: IpAddr,
        credential: &Credential,
    ) -> Result<Proved, Unproved> {
        let digest = credential.digest("whm", entrance.service, peer);
        if let Some(proved) = self.recall(&digest) {
            return Ok(proved);
        }
        let answer = self.question(upstream, entrance, peer, credential, "/json-api/myprivs?api.version=1").await?;
        let document = answer.json();
        if answer.status != StatusCode::OK || number(&document["metadata"]["result"]) != 1 {
            return Err(Unproved::Denied(answer));
        }
        let privileges = document.pointer("/data/privileges").unwrap_or(&Value::Null);
        let root = match privileges {
            Value::Array(entries) => entries.iter().any(|entry| number(&entry["all"]) == 1),
            entry => number(&entry["all"]) == 1,
        };
        let proved = Proved { user: credential.claimed.clone(), root };
        self.remember(digest, &proved);
        Ok(proved)
    }

    /// Proves a caller of the cPanel or webmail ports and says its account (`Variables::get_user_information`).
    ///
    /// # Errors
    /// [`Unproved`].
    pub async fn account(
        &self,
        upstream: &Upstream,
        entrance: &Entrance,
        peer: IpAddr,
        credential: &Credential,
    ) -> Result<Proved, Unproved> {
        let digest = credential.digest("account", entrance.service, peer);
        if let Some(proved) = self.recall(&digest) {
            return Ok(proved);
        }
        let answer = self.question(upstream, entrance, peer, credential, "/execute/Variables/get_user_information").await?;
        let document = answer.json();
        // A webmail caller may not have this function; that cpsrvd answers it as UAPI does still proves the mailbox.
        if answer.status != StatusCode::OK || document.get("status").is_none() {
            return Err(Unproved::Denied(answer));
        }
        let user = document.pointer("/data/user").and_then(Value::as_str).filter(|user| !user.is_empty());
        if user.is_none() && entrance.service != Service::Webmail {
            return Err(Unproved::Denied(answer));
        }
        let proved = Proved { user: user.map(ToOwned::to_owned), root: false };
        self.remember(digest, &proved);
        Ok(proved)
    }

    /// Proves that a WHM caller may call cPanel functions of `user`, by calling one that only reads through the same WHM function.
    ///
    /// # Errors
    /// [`Unproved::Denied`] has what cpsrvd answered in the caller's stead.
    pub async fn through_whm(
        &self,
        upstream: &Upstream,
        entrance: &Entrance,
        peer: IpAddr,
        credential: &Credential,
        uapi_cpanel: bool,
        user: &str,
    ) -> Result<(), Unproved> {
        let purpose = format!("{uapi_cpanel}/{user}");
        let digest = credential.digest(&purpose, entrance.service, peer);
        if self.recall(&digest).is_some() {
            return Ok(());
        }
        let user: String = url::form_urlencoded::byte_serialize(user.as_bytes()).collect();
        let path = if uapi_cpanel {
            format!(
                "/json-api/uapi_cpanel?api.version=1&cpanel.user={user}&cpanel.module=Variables&cpanel.function=get_user_information"
            )
        } else {
            format!(
                "/json-api/cpanel?cpanel_jsonapi_user={user}&cpanel_jsonapi_apiversion=3&cpanel_jsonapi_module=Variables&cpanel_jsonapi_func=get_user_information"
            )
        };
        let answer = self.question(upstream, entrance, peer, credential, &path).await?;
        let document = answer.json();
        let status = document.pointer("/data/uapi/status").or_else(|| document.pointer("/result/status")).unwrap_or(&Value::Null);
        if answer.status != StatusCode::OK || number(status) != 1 {
            return Err(Unproved::Denied(answer));
        }
        self.remember(digest, &Proved { user: None, root: false });
        Ok(())
    }

    fn recall(&self, digest: &[u8; 32]) -> Option<Proved> {
        let remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        let (when, proved) = remembered.get(digest)?;
        (when.elapsed() < self.limits.proof).then(|| proved.clone())
    }

    fn remember(&self, digest: [u8; 32], proved: &Proved) {
        let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        if remembered.len() >= self.limits.proofs {
            remembered.retain(|_, (when, _)| when.elapsed() < self.limits.proof);
            if remembered.len() >= self.limits.proofs {
                remembered.clear();
            }
        }
        remembered.insert(digest, (Instant::now(), proved.clone()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn a_credential_is_one_thing() {
        let both = headers(&[("authorization", "Basic dmljdGltOng="), ("cookie", "whostmgrsession=root%3aabc; x=y")]);
        let session = Credential::of(Service::Whm, &both, Some("/cpsess1"));
        assert_eq!(session.claimed(), Some("root"));
        assert!(!session.headers().contains_key("authorization"));
        assert_eq!(session.headers()["cookie"], "whostmgrsession=root%3aabc");
        let header = Credential::of(Service::Whm, &both, None);
        assert_eq!(header.claimed(), Some("victim"));
        assert!(!header.headers().contains_key("cookie"));
    }

    #[test]
    fn two_sessions_claim_nothing() {
        let two = headers(&[("cookie", "cpsession=anna%3aabc; cpsession=bert%3aabc")]);
        assert_eq!(Credential::of(Service::Cpanel, &two, Some("/cpsess1")).claimed(), None);
    }

    #[test]
    fn tokens_are_told_from_other_schemes() {
        let of = |value| Credential::of(Service::Whm, &headers(&[("authorization", value)]), None);
        assert_eq!(of("WHM root:ABC").token(), Some("ABC"));
        assert_eq!(of("cpanel anna:ABC").token(), None);
        assert_eq!(of("cpanel anna:ABC").claimed(), Some("anna"));
    }

    #[test]
    fn what_is_remembered_is_bounded_and_ends() {
        let limits = Limits { proofs: 4, proof: std::time::Duration::from_secs(60), ..Limits::default() };
        let prover = Prover::new(limits);
        let proved = Proved { user: None, root: true };
        for byte in 0..20 {
            prover.remember([byte; 32], &proved);
        }
        assert!(prover.remembered.lock().unwrap().len() <= 4);
        assert_eq!(prover.recall(&[19; 32]), Some(proved.clone()));
        let forgetful = Prover::new(Limits { proof: std::time::Duration::ZERO, ..limits });
        forgetful.remember([1; 32], &proved);
        assert_eq!(forgetful.recall(&[1; 32]), None);
    }
}
