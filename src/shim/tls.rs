//! Certificates: cpsrvd's own shown to the world by server name, and cpsrvd recognised on loopback.

use crate::error::{Context as _, Error, Result};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme};
use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// How long a file is taken to be what it was.
const LOOK_AGAIN: Duration = Duration::from_secs(3);

struct Loaded {
    looked: Instant,
    modified: Option<SystemTime>,
    key: Option<Arc<CertifiedKey>>,
}

/// The certificates in a directory, read when they are first asked for and again when they change.
pub struct Certificates {
    dir: PathBuf,
    provider: Arc<CryptoProvider>,
    loaded: Mutex<HashMap<PathBuf, Loaded>>,
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificates").field("dir", &self.dir).finish_non_exhaustive()
    }
}

impl Certificates {
    /// The certificates in `dir`.
    pub fn new(dir: PathBuf, provider: Arc<CryptoProvider>) -> Self {
        Self { dir, provider, loaded: Mutex::default() }
    }

    /// The certificate for connections that name no server, or one without a certificate of its own.
    pub fn default(&self) -> Option<Arc<CertifiedKey>> {
        self.load(self.dir.join("default.pem"))
    }

    /// The certificate of `name`: its own, or one of the name above it that covers it (`mail.DOMAIN` by `DOMAIN`'s).
    pub fn named(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        let plain =
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'));
        if !plain || name.starts_with('.') {
            return None;
        }
        let name = name.to_ascii_lowercase();
        let own = self.load(self.dir.join("by-name").join(format!("{name}.pem")));
        own.or_else(|| {
            let (_, above) = name.split_once('.').filter(|(_, above)| above.contains('.'))?;
            self.load(self.dir.join("by-name").join(format!("{above}.pem"))).filter(|key| covers(key, &name))
        })
    }

    fn load(&self, path: PathBuf) -> Option<Arc<CertifiedKey>> {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if let Some(known) = loaded.get_mut(&path) {
            if now.duration_since(known.looked) < LOOK_AGAIN && known.key.is_some() {
                return known.key.clone();
            }
            known.looked = now;
        }
        let modified = std::fs::metadata(&path).and_then(|data| data.modified()).ok();
        if modified.is_none() {
            // Nothing is remembered of names that have no certificate: anybody can ask for any number of them.
            loaded.remove(&path);
            return None;
        }
        if let Some(known) = loaded.get(&path).filter(|known| known.modified == modified && known.key.is_some()) {
            return known.key.clone();
        }
        let key = match read(&path, &self.provider) {
            Ok(key) => Some(Arc::new(key)),
            Err(error) => {
                tracing::warn!(path = %path.display(), error = ?error, "a certificate cannot be used");
                loaded.get(&path).and_then(|known| known.key.clone())
            }
        };
        loaded.insert(path, Loaded { looked: now, modified, key: key.clone() });
        key
    }
}

fn read(path: &Path, provider: &CryptoProvider) -> Result<CertifiedKey> {
    let pem = std::fs::read(path).context(format_args!("reading {}", path.display()))?;
    let chain: Vec<CertificateDer<'static>> =
        CertificateDer::pem_slice_iter(&pem).collect::<Result<_, _>>().context("reading the certificates")?;
    let key = PrivateKeyDer::from_pem_slice(&pem).context("reading the key")?;
    let key = CertifiedKey::from_der(chain, key, provider).context("matching key and certificate")?;
    Ok(key)
}

fn covers(key: &CertifiedKey, name: &str) -> bool {
    let Ok(name) = ServerName::try_from(name) else { return false };
    let parsed = key.end_entity_cert().ok().and_then(|cert| ParsedCertificate::try_from(cert).ok());
    parsed.is_some_and(|cert| verify_server_name(&cert, &name).is_ok())
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        hello.server_name().and_then(|name| self.named(name)).or_else(|| self.default())
    }
}

/// TLS towards the world.
///
/// # Errors
/// When TLS cannot be set up.
pub fn server(certificates: Arc<Certificates>) -> Result<ServerConfig> {
    let provider = certificates.provider.clone();
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .context("setting up TLS")?
        .with_no_client_auth()
        .with_cert_resolver(certificates);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.ticketer = rustls::crypto::ring::Ticketer::new().context("setting up TLS tickets")?;
    Ok(config)
}

/// TLS towards cpsrvd on loopback.
///
/// # Errors
/// When TLS cannot be set up.
pub fn client(certificates: Arc<Certificates>) -> Result<ClientConfig> {
    let provider = certificates.provider.clone();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    // A machine without any roots still knows its own certificate.
    let public = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build().ok();
    ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions().context("setting up TLS").map(
        |builder| {
            builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(OwnServer { certificates, provider, public }))
                .with_no_client_auth()
        },
    )
}

/// Recognises this machine's own cpsrvd: by the certificate that it has on disk, or by the system's roots and this host's name.
#[derive(Debug)]
struct OwnServer {
    certificates: Arc<Certificates>,
    provider: Arc<CryptoProvider>,
    public: Option<Arc<WebPkiServerVerifier>>,
}

impl ServerCertVerifier for OwnServer {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let name = server_name.to_str();
        let pinned = [self.certificates.named(&name), self.certificates.default()];
        if pinned.iter().flatten().any(|key| key.cert.first().is_some_and(|own| own == end_entity)) {
            return Ok(ServerCertVerified::assertion());
        }
        match &self.public {
            Some(public) => public.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now),
            None => Err(rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer)),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// A hostname as TLS wants it.
///
/// # Errors
/// When it is not a name.
pub fn server_name(hostname: &str) -> Result<ServerName<'static>> {
    ServerName::try_from(hostname.to_owned()).map_err(|cause| {
        Error::machine(format_args!("this server's hostname “{hostname}” is not a name that a certificate can have"), cause)
    })
}
