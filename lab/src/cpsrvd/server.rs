//! Listeners, TLS by the name the client asks for, HTTP/1.1.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::header::{HOST, HeaderValue, LOCATION};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::reply::{Answer, full};
use super::session::Service;
use super::shell::Answered;
use super::{cgi, route};
use crate::call::Failure;
use crate::machine::tls::Certificate;
use crate::machine::{Machine, files};

/// The node's own certificate.
const OWN_CERTIFICATE: &str = "/var/cpanel/ssl/cpanel/cpanel.pem";
/// The largest body taken, bytes.
const MOST: usize = 64 << 20;
/// How long a client may take for a handshake or for a request's head.
const PATIENCE: Duration = Duration::from_secs(30);

/// Serves until the process ends.
///
/// # Errors
/// When a port cannot be listened on.
pub async fn run(machine: Machine) -> Result<(), Failure> {
    let certificates = Arc::new(Certificates { machine: machine.clone() });
    let tls = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| Failure::new(error.to_string()))?
        .with_no_client_auth()
        .with_cert_resolver(certificates);
    let acceptor = TlsAcceptor::from(Arc::new(tls));
    let mut tasks = tokio::task::JoinSet::new();
    for service in [Service::Cpaneld, Service::Whostmgrd, Service::Webmaild] {
        let secure = listen(service.port()).await?;
        // cPanel's plain ports are one below.
        let plain = listen(service.port() - 1).await?;
        tasks.spawn(accept(secure, service, machine.clone(), Some(acceptor.clone())));
        tasks.spawn(accept(plain, service, machine.clone(), None));
    }
    tracing::info!(hostname = machine.hostname(), "cpsrvd serves");
    while tasks.join_next().await.is_some() {}
    Ok(())
}

async fn listen(port: u16) -> Result<TcpListener, Failure> {
    TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))
        .await
        .map_err(|error| Failure::new(format!("cannot listen on port {port}: {error}")))
}

async fn accept(listener: TcpListener, service: Service, machine: Machine, tls: Option<TlsAcceptor>) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let (machine, tls) = (machine.clone(), tls.clone());
                tokio::spawn(async move { connection(stream, peer.ip(), service, machine, tls).await });
            }
            Err(error) => {
                // Out of descriptors, mostly: they come back when connections end.
                tracing::warn!(%error, "cannot accept");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, peer: IpAddr, service: Service, machine: Machine, tls: Option<TlsAcceptor>) {
    let Some(acceptor) = tls else {
        let redirecting =
            service_fn(move |request: Request<Incoming>| async move { Ok::<_, Infallible>(redirect(&request, service)) });
        serve(stream, redirecting).await;
        return;
    };
    let handshake = tokio::time::timeout(PATIENCE, acceptor.accept(stream)).await;
    match handshake {
        Ok(Ok(stream)) => {
            let answering = service_fn(move |request| answer(machine.clone(), service, peer, request));
            serve(stream, answering).await;
        }
        Ok(Err(error)) => tracing::debug!(%peer, %error, "no TLS"),
        Err(_) => tracing::debug!(%peer, "no TLS in time"),
    }
}

async fn serve<S, F>(stream: S, function: F)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    F: hyper::service::Service<Request<Incoming>, Response = Answer, Error = Infallible>,
{
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .serve_connection(TokioIo::new(stream), function)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "connection ended");
    }
}

/// What the plain ports say: come back with TLS.
fn redirect(request: &Request<Incoming>, service: Service) -> Answer {
    let host = request.headers().get(HOST).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let name = host.split(':').next().unwrap_or_default();
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let mut response = Response::new(full("This service is reached over TLS.\n"));
    *response.status_mut() = StatusCode::MOVED_PERMANENTLY;
    match HeaderValue::from_str(&format!("https://{name}:{}{path}", service.port())) {
        Ok(location) if !name.is_empty() => {
            response.headers_mut().insert(LOCATION, location);
        }
        _ => *response.status_mut() = StatusCode::BAD_REQUEST,
    }
    response
}

async fn answer(machine: Machine, service: Service, peer: IpAddr, request: Request<Incoming>) -> Result<Answer, Infallible> {
    let (parts, body) = request.into_parts();
    let Ok(collected) = Limited::new(body, MOST).collect().await else {
        let mut response = Response::new(full("The request is too large or was cut off.\n"));
        *response.status_mut() = StatusCode::PAYLOAD_TOO_LARGE;
        return Ok(response);
    };
    let asked = route::Asked { service, peer, parts, body: collected.to_bytes() };
    // Functions act on disk and run commands: not on the threads that serve connections.
    let done = tokio::task::spawn_blocking(move || route::answer(&machine, &asked)).await;
    Ok(match done {
        Ok(Answered::Page(answer)) => answer,
        Ok(Answered::Program(program)) => cgi::run(*program).await,
        Err(error) => {
            tracing::error!(%error, "a function ended badly");
            let mut response = Response::new(full("Internal Server Error\n"));
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            response
        }
    })
}

/// Finds the certificate for the name a client asks for; the node's own where there is none. Files are read at every
/// handshake, so a new certificate serves at once.
#[derive(Debug)]
struct Certificates {
    machine: Machine,
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let named = hello.server_name().and_then(|name| self.machine.certificate_for(name));
        let served = named.and_then(|found| found.certified().ok());
        served.or_else(|| {
            let text = files::read(&self.machine.path(OWN_CERTIFICATE)).ok()??;
            Certificate::from_combined(&text)?.certified().ok()
        })
    }
}
