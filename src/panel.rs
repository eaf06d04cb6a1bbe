//! A cPanel server as its API shows it: this one by loopback, a child by its hostname. The same calls, the same errors.
//!
//! A call ends as *not sent* ([`Code::NotSent`]), *may have happened* ([`Code::MayHaveHappened`]) or *answered*; only what was
//! not sent may be repeated blindly.

pub mod certificate;
pub mod dns;
mod tickets;
mod tls;

use crate::error::{Code, Context as _, Error, Result};
use crate::wire::Params;
use base64::Engine as _;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use std::net::SocketAddr;
use std::time::Duration;

pub use certificate::Certificate;
pub use tickets::Tickets;
use tls::client_config;
pub use tls::{Trust, connect, show, show_on};

/// The port of WHM over TLS.
pub const WHM_PORT: u16 = 2087;
/// How long an ordinary call may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long calls that make or change accounts may take.
const LONG_PATIENCE: Duration = Duration::from_secs(300);
/// How long a connection may take to come up.
const CONNECT_PATIENCE: Duration = Duration::from_secs(8);

/// How a server is reached and who we are there.
#[derive(Clone)]
pub struct Credentials {
    /// Hostname, as its certificate says.
    pub hostname: String,
    /// User of the token.
    pub username: String,
    /// WHM API token.
    pub token: SecretString,
    /// Where to connect instead of what DNS says; loopback for this server.
    pub address: Option<SocketAddr>,
    /// Whom we believe to be it.
    pub trust: Trust,
}

/// A cPanel server.
#[derive(Clone)]
pub struct Panel {
    http: reqwest::Client,
    credentials: Credentials,
    /// This machine's own: standard hooks of our calls come back to us, and are known by these.
    tickets: Option<Tickets>,
    /// Whether `credentials.token` is the user's password.
    by_password: bool,
}

impl Panel {
    /// Prepares to call a server; nothing is sent yet.
    ///
    /// # Errors
    /// When the system's trust store cannot be read.
    pub fn new(credentials: Credentials) -> Result<Self> {
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(client_config(&credentials.trust)?)
            .connect_timeout(CONNECT_PATIENCE)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .pool_idle_timeout(Duration::from_secs(20))
            .http1_only();
        if let Some(address) = credentials.address {
            builder = builder.resolve(&credentials.hostname, address);
        }
        Ok(Self { http: builder.build().context("preparing the HTTP client")?, credentials, tickets: None, by_password: false })
    }

    /// The same server, whose standard hooks are told by these tickets which calls are ours.
    #[must_use]
    pub fn with_tickets(mut self, tickets: Tickets) -> Self {
        self.tickets = Some(tickets);
        self
    }

    /// As [`Panel::new`], with the user's password in the place of the token. For the few calls that make a token.
    ///
    /// # Errors
    /// As [`Panel::new`].
    pub fn by_password(credentials: Credentials) -> Result<Self> {
        Ok(Self { by_password: true, ..Self::new(credentials)? })
    }

    /// The server's hostname.
    pub fn hostname(&self) -> &str {
        &self.credentials.hostname
    }

    /// What it is reached with.
    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// A request to a path of WHM, signed with what we have.
    pub fn request(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        let port = self.credentials.address.map_or(WHM_PORT, |address| address.port());
        let url = format!("https://{}:{port}{path}", self.credentials.hostname);
        let (user, secret) = (&self.credentials.username, self.credentials.token.expose_secret());
        let token = if self.by_password {
            format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{user}:{secret}")))
        } else {
            format!("whm {user}:{secret}")
        };
        let mut value = reqwest::header::HeaderValue::from_str(&token).unwrap_or(reqwest::header::HeaderValue::from_static(""));
        value.set_sensitive(true);
        self.http.request(method, url).header(reqwest::header::AUTHORIZATION, value)
    }

    /// Calls a WHM API 1 function and returns the whole envelope, successful or not.
    ///
    /// # Errors
    /// [`Code::NotSent`], [`Code::MayHaveHappened`], [`Code::Denied`] for a token that is not accepted.
    pub async fn whm_envelope(&self, function: &str, params: &[(String, String)]) -> Result<Value> {
        let patience = match function {
            "createacct" | "removeacct" | "modifyacct" | "suspendacct" | "unsuspendacct" | "installssl" => LONG_PATIENCE,
            _ => PATIENCE,
        };
        let mut form: Params = vec![("api.version".into(), "1".into())];
        form.extend(params.iter().filter(|(key, _)| key != "api.version").cloned());
        let response = self
            .request(reqwest::Method::POST, &format!("/json-api/{function}"))
            .form(&form)
            .timeout(patience)
            .send()
            .await
            .map_err(|cause| self.transport(&cause))?;
        let status = response.status();
        if status == reqwest::StatusCode::FORBIDDEN || status == reqwest::StatusCode::UNAUTHORIZED {
            if self.by_password {
                return Err(Error::new(
                    Code::Denied,
                    format!("“{}” does not accept this password of “{}”.", self.hostname(), self.credentials.username),
                )
                .hint("Give the password that signs in to WHM there, or make an API token there and link with that."));
            }
            return Err(Error::new(
                Code::Denied,
                format!("“{}” does not accept our token for {function} (HTTP {}).", self.hostname(), status.as_u16()),
            )
            .hint("Give the link a new root-level API token: “linked-nodes node update ALIAS --token-file FILE”."));
        }
        let body = response.bytes().await.map_err(|cause| self.transport(&cause))?;
        if !status.is_success() {
            return Err(Error::new(
                Code::MayHaveHappened,
                format!("“{}” answered {function} with HTTP {status}.", self.hostname()),
            ));
        }
        let envelope: Value = serde_json::from_slice(&body).map_err(|cause| {
            Error::new(Code::MayHaveHappened, format!("“{}” answered {function} with what is not JSON.", self.hostname()))
                .detail(cause)
        })?;
        if envelope.pointer("/metadata/result").is_none() {
            return Err(Error::new(
                Code::MayHaveHappened,
                format!("“{}” answered {function} outside of WHM API 1.", self.hostname()),
            ));
        }
        Ok(envelope)
    }

    /// Calls a WHM API 1 function and returns its `data`.
    ///
    /// # Errors
    /// As [`Panel::whm_envelope`], and [`Code::Answered`] with the function's own reason.
    pub async fn whm(&self, function: &str, params: &[(&str, &str)]) -> Result<Value> {
        let owned: Params = params.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let mut envelope = self.whm_envelope(function, &owned).await?;
        let result = &envelope["metadata"]["result"];
        if number(result) == Some(1) {
            return Ok(envelope["data"].take());
        }
        let reason = envelope["metadata"]["reason"].as_str().unwrap_or("no reason given").to_owned();
        Err(Error::new(Code::Answered, format!("{function} on “{}”: {reason}", self.hostname())))
    }

    /// Calls a UAPI function for an account and returns the flat result, successful or not.
    ///
    /// # Errors
    /// As [`Panel::whm`], for the call that carries it.
    pub async fn uapi_result(&self, user: &str, module: &str, function: &str, params: &[(String, String)]) -> Result<Value> {
        let mut form: Params = vec![
            ("cpanel.user".into(), user.into()),
            ("cpanel.module".into(), module.into()),
            ("cpanel.function".into(), function.into()),
        ];
        form.extend(params.iter().cloned());
        let _underway = self.tickets.as_ref().map(|tickets| tickets.begin(user, module, function));
        let mut envelope = self.whm_envelope("uapi_cpanel", &form).await?;
        match envelope["data"]["uapi"].take() {
            Value::Null => {
                let reason = envelope["metadata"]["reason"].as_str().unwrap_or("no reason given");
                Err(Error::new(Code::Answered, format!("{module}::{function} on “{}”: {reason}", self.hostname())))
            }
            flat => Ok(flat),
        }
    }

    /// Calls a UAPI function for an account and returns its `data`.
    ///
    /// # Errors
    /// As [`Panel::uapi_result`], and [`Code::Answered`] with the function's own errors.
    pub async fn uapi(&self, user: &str, module: &str, function: &str, params: &[(&str, &str)]) -> Result<Value> {
        let owned: Params = params.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let mut flat = self.uapi_result(user, module, function, &owned).await?;
        if number(&flat["status"]) == Some(1) {
            return Ok(flat["data"].take());
        }
        let reasons: Vec<&str> = flat["errors"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        Err(Error::new(
            Code::Answered,
            format!("{module}::{function} for “{user}” on “{}”: {}", self.hostname(), reasons.join(" ")),
        ))
    }

    /// What a failed transport means for the call.
    pub fn transport(&self, cause: &reqwest::Error) -> Error {
        let mut why = String::new();
        let mut source: Option<&dyn std::error::Error> = std::error::Error::source(cause);
        while let Some(inner) = source {
            why = inner.to_string();
            source = inner.source();
        }
        if let Some(trouble) = untrusted(cause) {
            return Error::new(Code::NotSent, format!("The certificate of “{}” is not trusted: {trouble}.", self.hostname()))
                .hint("Give it a certificate for its hostname that this system trusts, or link it with skip_tls_verification=1, which accepts the certificate it shows now and no other.")
                .detail(cause);
        }
        if why.is_empty() {
            why = if cause.is_timeout() { "no answer in time".into() } else { "the connection failed".into() };
        }
        if cause.is_connect() {
            Error::new(Code::NotSent, format!("“{}” cannot be reached: {why}.", self.hostname())).detail(cause)
        } else {
            Error::new(Code::MayHaveHappened, format!("“{}” did not answer to the end: {why}.", self.hostname())).detail(cause)
        }
    }
}

/// Why a certificate was not accepted, when that is what went wrong.
fn untrusted(cause: &(dyn std::error::Error + 'static)) -> Option<String> {
    match cause.downcast_ref::<rustls::Error>() {
        Some(rustls::Error::InvalidCertificate(why)) => return Some(format!("{why:?}")),
        Some(rustls::Error::General(why)) => return Some(why.clone()),
        _ => {}
    }
    // An I/O error passes over what it wraps when it is asked for its source.
    let wrapped = cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    if let Some(found) = wrapped.and_then(|inner| untrusted(inner)) {
        return Some(found);
    }
    cause.source().and_then(untrusted)
}

/// A whole number that cPanel may give as a number or as text.
pub fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.trim().parse().ok()).or_else(|| {
        let float: f64 = value.as_f64().or_else(|| value.as_str()?.trim().parse().ok())?;
        (float >= 0.0).then_some(float as u64)
    })
}
