//! The HTTP front on the WHM, cPanel and webmail ports: the proxy on a parent, the guard on a child, and otherwise nothing but a pipe.
//!
//! nftables redirects what comes from outside to the shim's own ports; the shim speaks to cpsrvd on loopback, which is not redirected. It
//! runs without privileges: certificates come from a directory that `serve` keeps, decisions from a [routing snapshot](routing), and all
//! that needs a node token is asked of `serve` over its socket.
//!
//! The way of a request: [`listen`] (connections, TLS) → [`front`] (which of the roles has an opinion) → [`guard`] on a child, [`proxy`] on a
//! parent → [`upstream`] (cpsrvd). [`normalise`] says what a request asks, [`caller`] who asks, [`envelope`] writes answers in the caller's form.

pub mod agent;
pub mod caller;
pub mod envelope;
pub mod front;
pub mod guard;
pub mod listen;
pub mod normalise;
pub mod params;
pub mod proxy;
pub mod routing;
pub mod tls;
pub mod upstream;
pub mod xml;

use crate::error::{Context as _, Result};
use normalise::Service;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// The directory of certificates that `serve` keeps for the shim: `default.pem`, and `by-name/DOMAIN.pem` by server name.
pub const TLS_DIR: &str = "/run/linked-nodes/tls";
/// What this server was when `serve` last ran: `child PARENT`, `parent` or `unlinked`. World-readable.
pub const ROLE_FILE: &str = "/var/lib/linked-nodes/role";
/// What is added to a port of cpsrvd to make the shim's own (2087 → 12087).
pub const PORT_OFFSET: u16 = 10_000;

/// One port of the shim and what stands behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entrance {
    /// The service.
    pub service: Service,
    /// Whether it speaks TLS, on both sides.
    pub tls: bool,
    /// Where the shim listens.
    pub listen: SocketAddr,
    /// Where cpsrvd listens.
    pub upstream: SocketAddr,
}

/// What the shim takes before it refuses.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of a request's head.
    pub header: usize,
    /// Bytes of a request body that has to be read before it is passed on. Others stream, without a limit.
    pub inspected_body: usize,
    /// Bytes of an answer that has to be read before it is passed on.
    pub inspected_answer: usize,
    /// Connections at a time.
    pub connections: usize,
    /// Time for a TLS handshake.
    pub handshake: Duration,
    /// Time for the head of a request, and between requests.
    pub head: Duration,
    /// Time for a request body that has to be read.
    pub body: Duration,
    /// Time for a connection to cpsrvd, and for its answer to a question of the shim's own.
    pub question: Duration,
    /// How long requests in flight may go on after the order to stop.
    pub grace: Duration,
    /// How long a proved caller stays proved.
    pub proof: Duration,
    /// Proved callers remembered at a time.
    pub proofs: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header: 64 << 10,
            inspected_body: 4 << 20,
            inspected_answer: 64 << 20,
            connections: 8192,
            handshake: Duration::from_secs(10),
            head: Duration::from_secs(60),
            body: Duration::from_secs(60),
            question: Duration::from_secs(15),
            grace: Duration::from_secs(20),
            proof: Duration::from_secs(5),
            proofs: 4096,
        }
    }
}

/// How the shim is set up.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The ports.
    pub entrances: Vec<Entrance>,
    /// `serve`'s socket.
    pub socket: PathBuf,
    /// The directory of certificates.
    pub tls_dir: PathBuf,
    /// The file that says what this server was when `serve` last ran.
    pub role_file: PathBuf,
    /// This server's hostname, by which cpsrvd's certificate is verified.
    pub hostname: String,
    /// What the shim takes.
    pub limits: Limits,
}

impl Default for Settings {
    fn default() -> Self {
        let ports = [
            (Service::Cpanel, false, 2082),
            (Service::Cpanel, true, 2083),
            (Service::Whm, false, 2086),
            (Service::Whm, true, 2087),
            (Service::Webmail, false, 2095),
            (Service::Webmail, true, 2096),
        ];
        let entrance = |(service, tls, port): (Service, bool, u16)| Entrance {
            service,
            tls,
            listen: SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), port + PORT_OFFSET),
            upstream: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port),
        };
        Self {
            entrances: ports.map(entrance).to_vec(),
            socket: crate::wire::SHIM_SOCKET.into(),
            tls_dir: TLS_DIR.into(),
            role_file: ROLE_FILE.into(),
            hostname: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            limits: Limits::default(),
        }
    }
}

/// Runs the shim until SIGTERM or SIGINT, then lets requests in flight end.
///
/// # Errors
/// When a port cannot be had or TLS cannot be set up.
pub async fn run(settings: Settings) -> Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
    let shim = listen::Shim::bind(settings).await?;
    shim.serve(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
    .await;
    Ok(())
}

#[cfg(test)]
mod tests;
