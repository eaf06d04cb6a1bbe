//! Ports and connections.

use super::front::Front;
use super::tls::{self, Certificates};
use super::{Entrance, Settings};
use crate::error::{Context as _, Result};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;

/// A shim that has its ports.
pub struct Shim {
    front: Arc<Front>,
    acceptor: TlsAcceptor,
    listeners: Vec<(Entrance, TcpListener)>,
    settings: Settings,
}

impl Shim {
    /// Takes the ports and begins to follow the routing.
    ///
    /// # Errors
    /// When a port cannot be had or TLS cannot be set up.
    pub async fn bind(settings: Settings) -> Result<Self> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let certificates = Arc::new(Certificates::new(settings.tls_dir.clone(), provider));
        let acceptor = TlsAcceptor::from(Arc::new(tls::server(certificates.clone())?));
        let mut listeners = Vec::new();
        for entrance in &settings.entrances {
            let listener = listen(entrance.listen).await?;
            let listen = listener.local_addr().context("asking for the port")?;
            listeners.push((Entrance { listen, ..*entrance }, listener));
        }
        let front = Arc::new(Front::new(&settings, certificates)?);
        Ok(Self { front, acceptor, listeners, settings })
    }

    /// The ports as they are.
    pub fn entrances(&self) -> Vec<Entrance> {
        self.listeners.iter().map(|(entrance, _)| *entrance).collect()
    }

    /// The part that answers.
    pub fn front(&self) -> &Arc<Front> {
        &self.front
    }

    /// Serves until `stop`, then lets requests in flight end.
    pub async fn serve(self, stop: impl Future<Output = ()>) {
        let (order, ordered) = watch::channel(());
        let most = self.settings.limits.connections;
        let room = Arc::new(Semaphore::new(most));
        let mut accepting = tokio::task::JoinSet::new();
        for (entrance, listener) in self.listeners {
            tracing::info!(listen = %entrance.listen, upstream = %entrance.upstream, "listening");
            let door = Door {
                entrance,
                front: self.front.clone(),
                acceptor: self.acceptor.clone(),
                room: room.clone(),
                ordered: ordered.clone(),
            };
            accepting.spawn(door.accept(listener));
        }
        stop.await;
        accepting.shutdown().await;
        drop(order);
        let all = u32::try_from(most).unwrap_or(u32::MAX);
        if tokio::time::timeout(self.settings.limits.grace, room.acquire_many(all)).await.is_err() {
            tracing::warn!(left = most - room.available_permits(), "connections cut");
        }
    }
}

/// `[::]` takes IPv4 as well; a machine without IPv6 has only `0.0.0.0`.
async fn listen(address: SocketAddr) -> Result<TcpListener> {
    match TcpListener::bind(address).await {
        Err(_) if address.ip().is_unspecified() && address.is_ipv6() => {
            let address = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), address.port());
            TcpListener::bind(address).await.context(format_args!("listening on {address}"))
        }
        bound => bound.context(format_args!("listening on {address}")),
    }
}

struct Door {
    entrance: Entrance,
    front: Arc<Front>,
    acceptor: TlsAcceptor,
    room: Arc<Semaphore>,
    /// Ends (the sender is gone) with the order to stop.
    ordered: watch::Receiver<()>,
}

impl Door {
    async fn accept(self, listener: TcpListener) {
        let door = Arc::new(self);
        loop {
            let Ok(permit) = door.room.clone().acquire_owned().await else { return };
            let (stream, peer) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of descriptors, mostly: give the others time to end.
                    tracing::warn!(%error, "cannot accept");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            let door = door.clone();
            tokio::spawn(async move {
                door.connection(stream, peer.ip().to_canonical()).await;
                drop(permit);
            });
        }
    }

    async fn connection(&self, stream: TcpStream, peer: IpAddr) {
        let _ = stream.set_nodelay(true);
        if !self.entrance.tls {
            return self.requests(stream, peer).await;
        }
        match tokio::time::timeout(self.front.limits().handshake, self.acceptor.accept(stream)).await {
            Ok(Ok(stream)) => self.requests(stream, peer).await,
            Ok(Err(error)) => tracing::debug!(%peer, %error, "no TLS"),
            Err(_) => tracing::debug!(%peer, "no TLS in time"),
        }
    }

    async fn requests<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(&self, stream: S, peer: IpAddr) {
        let entrance = self.entrance;
        let service = service_fn(|request| {
            let front = self.front.clone();
            async move { Ok::<_, Infallible>(front.answer(entrance, peer, request).await) }
        });
        let limits = self.front.limits();
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.head)
            .max_buf_size(limits.header.max(8192))
            .preserve_header_case(true)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        tokio::pin!(connection);
        let mut ordered = self.ordered.clone();
        let mut stopping = false;
        let ended = loop {
            tokio::select! {
                ended = connection.as_mut() => break ended,
                _ = ordered.changed(), if !stopping => {
                    stopping = true;
                    connection.as_mut().graceful_shutdown();
                }
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%peer, %error, "connection ended");
        }
    }
}
