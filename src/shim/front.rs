//! One request: which role has an opinion on it, and the pipe to cpsrvd for all others.

use super::caller::{Credential, Prover};
use super::envelope::{Envelope, Reply};
use super::guard::Ground;
use super::normalise::{Kind, Place, Raw, Service, Shape, Target, Unclear, normalise, place};

use super::routing::{Routes, View, follow};
use super::tls::{self, Certificates};
use super::upstream::{Body, Upstream, empty, full, wanted_upgrade};
use super::{Entrance, Limits, Settings};
use crate::error::Result;
use crate::rules::verdict::{self, Verdict};
use crate::wire::{Role, Routing, ShimCall, token_digest};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Either, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::header::{self, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

/// The part that answers requests.
pub struct Front {
    pub(super) upstream: Upstream,
    pub(super) prover: Prover,
    routes: Routes,
    socket: PathBuf,
    limits: Limits,
}

/// Who asks, and where.
pub(super) struct Asker {
    pub(super) entrance: Entrance,
    pub(super) peer: IpAddr,
    pub(super) credential: Credential,
    /// Whether it reads pages.
    pub(super) html: bool,
}

impl Front {
    /// Sets up what is behind, and begins to follow the routing.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(settings: &Settings, certificates: Arc<Certificates>) -> Result<Self> {
        let name = tls::server_name(&settings.hostname)?;
        Ok(Self {
            upstream: Upstream::new(tls::client(certificates)?, name, &settings.hostname, &settings.limits),
            prover: Prover::new(settings.limits),
            routes: follow(settings.socket.clone(), settings.role_file.clone()),
            socket: settings.socket.clone(),
            limits: settings.limits,
        })
    }

    /// What it takes.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// What it knows of the linked nodes.
    pub fn routes(&self) -> &Routes {
        &self.routes
    }

    /// Answers one request.
    pub async fn answer(&self, entrance: Entrance, peer: IpAddr, request: Request<Incoming>) -> Response<Body> {
        if let Some(reply) = malformed(&request) {
            return written(reply);
        }
        let place = place(request.uri().path());
        let session = place.as_ref().ok().and_then(|place| place.session.as_deref());
        let asker = Asker {
            entrance,
            peer,
            credential: Credential::of(entrance.service, request.headers(), session),
            html: reads_pages(&request),
        };
        let channel = matches!(&place, Ok(place) if place.shape == Shape::AgentChannel);
        if channel && entrance.service == Service::Whm && entrance.tls && request.method() == Method::POST {
            return self.agent(&asker, request).await;
        }
        match self.routes.view() {
            View::Known(routing) => match &routing.role {
                Role::Child { parent, token_digest, former_digest } => {
                    let ground = Ground { parent, served: &routing.served };
                    let digests: Vec<&str> = former_digest.iter().chain([token_digest]).map(String::as_str).collect();
                    self.guarded(&asker, ground, &digests, request).await
                }
                _ => self.parent(&asker, Some(&routing), place, request).await,
            },
            View::ChildOf(parent) => {
                self.guarded(&asker, Ground { parent: &parent, served: &BTreeMap::new() }, &[], request).await
            }
            View::Unknown => self.parent(&asker, None, place, request).await,
        }
    }

    /// The child's guard. `digests`: of the tokens that the parent calls with, when they are known.
    async fn guarded(&self, asker: &Asker, ground: Ground<'_>, digests: &[&str], request: Request<Incoming>) -> Response<Body> {
        let parents_own = asker.credential.token().is_some_and(|token| {
            let own = token_digest(token);
            digests.iter().any(|digest| same(&own, digest))
        });
        let place = place(request.uri().path());
        // Functions that the product adds are here as well; `serve` says what a child has to say to them.
        let ours = matches!(&place, Ok(place) if matches!(&place.shape, Shape::Api { function, .. } if verdict::whm(function, false) == Verdict::Ours));
        let free = match asker.entrance.service {
            Service::Webmail => !calls_for_an_account(asker, &place),
            Service::Whm => parents_own && !ours,
            Service::Cpanel => false,
        };
        if free {
            return self.announced(asker, &ground, &place, request).await;
        }
        let (parts, body) = request.into_parts();
        if asker.entrance.service != Service::Whm {
            // Whatever it is: only the form of the refusal depends on it.
            let body = self.read(body).await.unwrap_or_default();
            let envelope = understood(asker, &parts, &body)
                .map_or_else(|_| guess(asker, &parts), |target| Envelope::of(&target, asker.html));
            return refused(asker, &parts, &ground.cpanel(), &envelope);
        }
        if let Some(reason) = ground.refuses_caller(asker.credential.claims()) {
            return refused(asker, &parts, &reason, &guess(asker, &parts));
        }
        if matches!(&place, Ok(place) if matches!(&place.shape, Shape::Page(path) if !super::guard::judges_page(path))) {
            return self.pass(asker, Request::from_parts(parts, body)).await;
        }
        let body = match self.read(body).await {
            Ok(body) => body,
            Err(reply) => return written(reply),
        };
        match understood(asker, &parts, &body) {
            Err(unclear) => {
                let reason = format!("This call cannot be judged ({}). Call it on “{}”.", unclear.0, ground.parent);
                refused(asker, &parts, &reason, &guess(asker, &parts))
            }
            Ok(target) if parents_own => self.proxy(asker, None, target, parts, body).await,
            Ok(target) => match ground.refuses(&target, asker.credential.claims()) {
                Some(reason) => refused(asker, &parts, &reason, &Envelope::of(&target, asker.html)),
                None if ours => self.proxy(asker, None, target, parts, body).await,
                None => self.forward(asker, rebuilt(parts, body)).await,
            },
        }
    }

    /// Passes a call on that a child lets through. A UAPI call that writes is announced to `serve` before, which would else refuse it
    /// when cPanel's hook tells of it: in there a call of the parent looks like one made past it.
    async fn announced(
        &self,
        asker: &Asker,
        ground: &Ground<'_>,
        place: &Result<Place, Unclear>,
        request: Request<Incoming>,
    ) -> Response<Body> {
        let shape = place.as_ref().ok().map(|place| &place.shape);
        let (user, module, function, request) = match (asker.entrance.service, shape) {
            (Service::Whm, Some(Shape::Api { function, .. })) if function == "uapi_cpanel" => {
                let (parts, body) = request.into_parts();
                let body = match self.read(body).await {
                    Ok(body) => body,
                    Err(reply) => return written(reply),
                };
                let call = understood(asker, &parts, &body).ok().map(|target| target.kind);
                let request = rebuilt(parts, body);
                let Some(Kind::UapiCpanel { user, module, function, .. }) = call else {
                    return self.forward(asker, request).await;
                };
                if verdict::uapi_writes(&function) {
                    self.announce(user, module, function).await;
                }
                return self.forward(asker, request).await;
            }
            (Service::Webmail, Some(Shape::Execute { module, function })) if verdict::uapi_writes(function) => {
                let claims = asker.credential.claims().iter().filter_map(|claim| claim.rsplit_once('@'));
                let domains: Vec<&str> = claims.map(|(_, domain)| domain).collect();
                let owner = ground.served.iter().find(|(_, all)| all.iter().any(|own| domains.contains(&own.as_str())));
                match owner {
                    Some((user, _)) => (user.clone(), module.clone(), function.clone(), request),
                    None => return self.pass(asker, request).await,
                }
            }
            _ => return self.pass(asker, request).await,
        };
        self.announce(user, module, function).await;
        self.pass(asker, request).await
    }

    async fn announce(&self, user: String, module: String, function: String) {
        let call = ShimCall::Ticket { user, module, function };
        // Without `serve` the hook lets the call through as well.
        if let Err(error) = self.serve(&call).await {
            tracing::warn!(?error, "a call could not be announced");
        }
    }

    /// The parent's proxy; also everything on a server that is no child.
    async fn parent(
        &self,
        asker: &Asker,
        routing: Option<&Arc<Routing>>,
        place: Result<Place, Unclear>,
        request: Request<Incoming>,
    ) -> Response<Body> {
        let interesting = place.is_ok_and(|place| super::proxy::interesting(asker, routing.map(AsRef::as_ref), &place.shape));
        if !interesting {
            return self.pass(asker, request).await;
        }
        let (parts, body) = request.into_parts();
        let body = match self.read(body).await {
            Ok(body) => body,
            Err(reply) => return written(reply),
        };
        match understood(asker, &parts, &body) {
            Ok(target) => self.proxy(asker, routing.map(AsRef::as_ref), target, parts, body).await,
            Err(unclear) => written(guess(asker, &parts).failure(&format!("This call cannot be understood: {}.", unclear.0))),
        }
    }

    /// Passes a request on untouched, bodies streaming, upgrades spliced.
    pub(super) async fn pass(&self, asker: &Asker, mut request: Request<Incoming>) -> Response<Body> {
        if wanted_upgrade(request.headers()).is_none() {
            return self.forward(asker, request.map(Either::Left)).await;
        }
        let outer = hyper::upgrade::on(&mut request);
        let mut answer = match self.upstream.send(&asker.entrance, asker.peer, request.map(Either::Left)).await {
            Ok(answer) => answer,
            Err(error) => return unreachable(asker, &error),
        };
        if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
            let inner = hyper::upgrade::on(&mut answer);
            tokio::spawn(async move {
                if let (Ok(outer), Ok(inner)) = tokio::join!(outer, inner) {
                    let (mut outer, mut inner) = (TokioIo::new(outer), TokioIo::new(inner));
                    let _ = tokio::io::copy_bidirectional(&mut outer, &mut inner).await;
                }
            });
            let (parts, _) = answer.into_parts();
            return Response::from_parts(parts, empty());
        }
        answer.map(Either::Left)
    }

    /// Passes a request on and its answer back.
    pub(super) async fn forward(&self, asker: &Asker, request: Request<Body>) -> Response<Body> {
        match self.upstream.send(&asker.entrance, asker.peer, request).await {
            Ok(answer) => answer.map(Either::Left),
            Err(error) => unreachable(asker, &error),
        }
    }

    /// Reads a body that has to be judged.
    async fn read(&self, body: Incoming) -> Result<Bytes, Reply> {
        let collected = Limited::new(body, self.limits.inspected_body).collect();
        match tokio::time::timeout(self.limits.body, collected).await {
            Ok(Ok(collected)) => Ok(collected.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Reply::text(413, "The body of this call is too large.")),
            Ok(Err(_)) => Err(Reply::text(400, "The body of this call is cut short.")),
            Err(_) => Err(Reply::text(408, "The body of this call did not come in time.")),
        }
    }

    /// Asks `serve`.
    pub(super) async fn serve(&self, call: &ShimCall) -> Result<Value> {
        crate::wire::Client::connect(&self.socket).await?.call(call).await
    }

    /// A connection to `serve`.
    pub(super) async fn serve_connection(&self) -> Result<crate::wire::Client> {
        crate::wire::Client::connect(&self.socket).await
    }
}

/// A reply as a response.
pub(super) fn written(reply: Reply) -> Response<Body> {
    let mut response = Response::new(full(reply.body));
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(reply.content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A request whose body was read, whole again.
pub(super) fn rebuilt(parts: Parts, body: Bytes) -> Request<Body> {
    let mut request = Request::from_parts(parts, full(body.clone()));
    // The framing of what came does not bind what goes.
    if request.headers_mut().remove(header::TRANSFER_ENCODING).is_some() || request.headers().contains_key(header::CONTENT_LENGTH)
    {
        request.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    }
    request
}

fn refused(asker: &Asker, parts: &Parts, reason: &str, envelope: &Envelope) -> Response<Body> {
    tracing::info!(peer = %asker.peer, method = %parts.method, path = parts.uri.path(), reason, "refused");
    written(envelope.failure(reason))
}

fn unreachable(asker: &Asker, error: &dyn std::error::Error) -> Response<Body> {
    let cause = error.source().map(ToString::to_string).unwrap_or_default();
    tracing::warn!(upstream = %asker.entrance.upstream, %error, cause, "cpsrvd does not answer");
    written(Reply::text(502, "cpsrvd on this server does not answer."))
}

fn understood(asker: &Asker, parts: &Parts, body: &[u8]) -> Result<Target, Unclear> {
    let mut types = parts.headers.get_all(header::CONTENT_TYPE).iter();
    let content_type = types.next().and_then(|value| value.to_str().ok());
    if types.next().is_some() {
        return Err(Unclear("the body has two types"));
    }
    if parts.headers.get(header::CONTENT_ENCODING).is_some_and(|value| value != "identity") {
        return Err(Unclear("the body is encoded"));
    }
    normalise(Raw { service: asker.entrance.service, path: parts.uri.path(), query: parts.uri.query(), content_type, body })
}

fn guess(asker: &Asker, parts: &Parts) -> Envelope {
    Envelope::guess(asker.entrance.service, parts.uri.path(), parts.uri.query().unwrap_or(""), asker.html)
}

/// Requests that two HTTP readers could take apart. Of Content-Length beside Transfer-Encoding, hyper keeps the latter alone and ends the
/// connection, and what goes on is framed anew.
fn malformed(request: &Request<Incoming>) -> Option<Reply> {
    let headers = request.headers();
    for single in [header::AUTHORIZATION, header::HOST] {
        if headers.get_all(&single).iter().count() > 1 {
            return Some(Reply::text(400, "A request has one Host and one Authorization."));
        }
    }
    if request.method() == Method::CONNECT || request.method() == Method::TRACE {
        return Some(Reply::text(405, "This method is not served here."));
    }
    if !request.uri().path().starts_with('/') {
        return Some(Reply::text(400, "A request names a path."));
    }
    None
}

/// Whether a request to a webmail port of a child calls an API for a whole account: what webmail itself asks is for the mailbox signed in.
fn calls_for_an_account(asker: &Asker, place: &Result<Place, Unclear>) -> bool {
    let call = match place {
        Ok(place) => matches!(place.shape, Shape::Api { .. } | Shape::Execute { .. }),
        Err(_) => true,
    };
    let claims = asker.credential.claims();
    call && (claims.is_empty() || claims.iter().any(|claim| !claim.contains(['@', '+', '%'])))
}

fn reads_pages(request: &Request<Incoming>) -> bool {
    request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok()).is_some_and(|value| value.contains("text/html"))
}

/// Compares digests in a time that does not tell how much of them is equal.
fn same(one: &str, other: &str) -> bool {
    one.len() == other.len() && one.bytes().zip(other.bytes()).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
}
