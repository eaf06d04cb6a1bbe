//! Connections: names resolved anew for each, TLS verified against the authorities the machine trusts.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::error::{Doing as _, Error, Result};

/// How long one address may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(10);
/// The longest line a server may send.
const LONGEST_LINE: u64 = 64 * 1024;

enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Stream {
    fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(tcp) => tcp,
            Self::Tls(tls) => &tls.sock,
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(tcp) => tcp.read(buffer),
            Self::Tls(tls) => tls.read(buffer),
        }
    }
}

/// A connection to a server.
pub struct Wire {
    stream: BufReader<Stream>,
    host: String,
    /// The address that answered.
    pub peer: SocketAddr,
}

impl Wire {
    /// Resolves `host` and connects to the first of its addresses that accepts. `patience` is how long any answer may take later.
    pub fn connect(host: &str, port: u16, patience: Duration) -> Result<Self> {
        let addresses: Vec<SocketAddr> = (host, port).to_socket_addrs().doing(format!("resolve {host}"))?.collect();
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for peer in addresses {
            match TcpStream::connect_timeout(&peer, CONNECT.min(patience)) {
                Ok(tcp) => {
                    let set = tcp.set_nodelay(true).and_then(|()| tcp.set_read_timeout(Some(patience)));
                    set.and_then(|()| tcp.set_write_timeout(Some(patience))).doing("prepare the connection")?;
                    let stream = BufReader::with_capacity(64 * 1024, Stream::Plain(tcp));
                    return Ok(Self { stream, host: host.into(), peer });
                }
                Err(error) => last = error,
            }
        }
        Err(last).doing(format!("connect to {host} port {port}"))
    }

    /// Continues the connection in TLS; the certificate must be valid for the host's name.
    pub fn secure(self) -> Result<Self> {
        if !self.stream.buffer().is_empty() {
            return Err(Error::Protocol("the server spoke between its consent to TLS and the handshake".into()));
        }
        let Stream::Plain(mut tcp) = self.stream.into_inner() else {
            return Err(Error::Usage("the connection is in TLS already".into()));
        };
        let what = format!("TLS with {}", self.host);
        let name = ServerName::try_from(self.host.clone()).map_err(io::Error::other).doing(&*what)?;
        let mut tls = ClientConnection::new(trust()?, name).map_err(io::Error::other).doing(&*what)?;
        while tls.is_handshaking() {
            tls.complete_io(&mut tcp).doing(&*what)?;
        }
        let stream = Stream::Tls(Box::new(StreamOwned::new(tls, tcp)));
        Ok(Self { stream: BufReader::with_capacity(64 * 1024, stream), host: self.host, peer: self.peer })
    }

    /// The server's certificate (DER).
    pub fn certificate(&self) -> Option<&[u8]> {
        match self.stream.get_ref() {
            Stream::Plain(_) => None,
            Stream::Tls(tls) => tls.conn.peer_certificates().and_then(|chain| chain.first()).map(AsRef::as_ref),
        }
    }

    /// What the server sends.
    pub fn reader(&mut self) -> &mut impl BufRead {
        &mut self.stream
    }

    /// Sends all of `bytes`.
    pub fn send(&mut self, bytes: &[u8]) -> Result<()> {
        let stream: &mut dyn Write = match self.stream.get_mut() {
            Stream::Plain(tcp) => tcp,
            Stream::Tls(tls) => tls.as_mut(),
        };
        stream.write_all(bytes).and_then(|()| stream.flush()).doing("send")
    }

    /// One line from the server, without its end.
    pub fn line(&mut self) -> Result<String> {
        let mut line = Vec::new();
        Read::take(&mut self.stream, LONGEST_LINE).read_until(b'\n', &mut line).doing("read")?;
        if line.pop() != Some(b'\n') {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof)).doing("read");
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Ok(String::from_utf8_lossy(&line).into_owned())
    }

    /// Whether the server has something to say (or has gone) without having been asked.
    pub fn has_news(&mut self) -> Result<bool> {
        if !self.stream.buffer().is_empty() {
            return Ok(true);
        }
        self.stream.get_ref().tcp().set_nonblocking(true).doing("look for news")?;
        let seen = self.stream.fill_buf().map(|_| true);
        self.stream.get_ref().tcp().set_nonblocking(false).doing("look for news")?;
        match seen {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            other => other.doing("read"),
        }
    }
}

/// The TLS settings of all connections, made once: ring, and the machine's trusted authorities.
fn trust() -> Result<Arc<ClientConfig>> {
    static TRUST: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    if let Some(config) = TRUST.get() {
        return Ok(config.clone());
    }
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err(Error::Usage("this machine trusts no certificate authority (ca-certificates)".into()));
    }
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)
        .doing("prepare TLS")?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TRUST.get_or_init(|| Arc::new(config)).clone())
}
