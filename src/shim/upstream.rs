//! cpsrvd: connections to it, kept alive, and requests made fit to be passed on.

use super::{Entrance, Limits};
use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::rt::ReadBufCursor;
use hyper::{Request, Response, Uri, Version};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::pki_types::ServerName;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A body passed through as it comes, or one held in memory.
pub type Body = Either<Incoming, Full<Bytes>>;

/// A body in memory.
pub fn full(bytes: impl Into<Bytes>) -> Body {
    Either::Right(Full::new(bytes.into()))
}

/// An empty body.
pub fn empty() -> Body {
    full(Bytes::new())
}

/// cpsrvd.
pub struct Upstream {
    client: Client<Connector, Body>,
    hostname: HeaderValue,
}

/// Headers that speak of one connection only (RFC 9110, section 7.6.1), and those that the shim sets itself.
const OF_THE_CONNECTION: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The protocol that a request or an answer wants to change to.
pub fn wanted_upgrade(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut options =
        headers.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    let asked = options.any(|option| option.trim().eq_ignore_ascii_case("upgrade"));
    headers.get(header::UPGRADE).filter(|_| asked).cloned()
}

/// Takes out what speaks of one connection only.
pub fn strip_connection(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|option| HeaderName::try_from(option.trim()).ok())
        // A client cannot have what the framing or the judgement rests on taken out on the way.
        .filter(|name| {
            !matches!(
                *name,
                header::HOST | header::CONTENT_LENGTH | header::CONTENT_TYPE | header::AUTHORIZATION | header::COOKIE
            )
        })
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in OF_THE_CONNECTION {
        headers.remove(name);
    }
}

impl Upstream {
    /// A client of cpsrvd.
    pub fn new(tls: rustls::ClientConfig, server_name: ServerName<'static>, hostname: &str, limits: &Limits) -> Self {
        let connector = Connector { tls: TlsConnector::from(Arc::new(tls)), server_name, patience: limits.question };
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(10))
            .set_host(false)
            .http1_preserve_header_case(true)
            .build(connector);
        let hostname = HeaderValue::from_str(hostname).unwrap_or_else(|_| HeaderValue::from_static("localhost"));
        Self { client, hostname }
    }

    /// Passes a request on, for the client at `peer`. The answer comes with what speaks of the inner connection taken out, but for an upgrade.
    ///
    /// # Errors
    /// When cpsrvd cannot be reached or does not speak HTTP.
    pub async fn send(
        &self,
        entrance: &Entrance,
        peer: IpAddr,
        mut request: Request<Body>,
    ) -> Result<Response<Incoming>, hyper_util::client::legacy::Error> {
        let upgrade = wanted_upgrade(request.headers());
        let uri = target(entrance, request.uri());
        let authority = request.uri().authority().and_then(|authority| HeaderValue::from_str(authority.as_str()).ok());
        let headers = request.headers_mut();
        strip_connection(headers);
        headers.remove(header::EXPECT);
        for name in ["forwarded", "x-real-ip", "x-forwarded-host", "x-forwarded-proto", "x-forwarded-port"] {
            headers.remove(name);
        }
        if let Ok(peer) = HeaderValue::from_str(&peer.to_string()) {
            headers.insert(FORWARDED_FOR, peer);
        }
        if let Some(authority) = authority {
            headers.insert(header::HOST, authority);
        } else if !headers.contains_key(header::HOST) {
            headers.insert(header::HOST, self.hostname.clone());
        }
        if let Some(protocol) = upgrade {
            headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
            headers.insert(header::UPGRADE, protocol);
        }
        *request.uri_mut() = uri;
        *request.version_mut() = Version::HTTP_11;
        let mut answer = self.client.request(request).await?;
        if answer.status() != hyper::StatusCode::SWITCHING_PROTOCOLS {
            strip_connection(answer.headers_mut());
        }
        Ok(answer)
    }
}

fn target(entrance: &Entrance, asked: &Uri) -> Uri {
    let scheme = if entrance.tls { "https" } else { "http" };
    let path = asked.path_and_query().map_or("/", hyper::http::uri::PathAndQuery::as_str);
    let built = Uri::builder().scheme(scheme).authority(entrance.upstream.to_string()).path_and_query(path).build();
    // Both parts were a URI before.
    built.unwrap_or_else(|_| asked.clone())
}

#[derive(Clone)]
struct Connector {
    tls: TlsConnector,
    server_name: ServerName<'static>,
    patience: Duration,
}

impl tower_service::Service<Uri> for Connector {
    type Response = Wire;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Wire>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let this = self.clone();
        Box::pin(async move {
            let address: SocketAddr =
                uri.authority().and_then(|authority| authority.as_str().parse().ok()).ok_or(io::ErrorKind::InvalidInput)?;
            let connect = async {
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                if uri.scheme_str() != Some("https") {
                    return Ok(Wire::Plain(TokioIo::new(stream)));
                }
                let stream = this.tls.connect(this.server_name, stream).await?;
                Ok(Wire::Tls(Box::new(TokioIo::new(stream))))
            };
            tokio::time::timeout(this.patience, connect).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
        })
    }
}

/// A connection to cpsrvd.
enum Wire {
    Plain(TokioIo<TcpStream>),
    Tls(Box<TokioIo<TlsStream<TcpStream>>>),
}

impl Connection for Wire {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl hyper::rt::Read for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl hyper::rt::Write for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }
}
