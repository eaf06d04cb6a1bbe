//! Whom we believe: the system's trust store, or one certificate an administrator accepted.

use super::certificate::Certificate;
use crate::error::{Code, Context as _, Error, Result};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use sha2::Digest as _;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;

/// How long a server may take to connect, and as long to shake hands.
const PATIENCE: Duration = Duration::from_secs(8);

/// Whom a TLS client believes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// Certificates that the system's trust store vouches for.
    System,
    /// The certificate with this SHA-256 digest (lower-case hex) and no other: the one an administrator accepted.
    Pin(String),
    /// Whatever answers on this machine's own loopback; only root can listen on cpsrvd's ports there.
    Loopback,
}

/// A TLS client that believes in this way.
///
/// # Errors
/// When the trust store is empty.
pub fn client_config(trust: &Trust) -> Result<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions().context("setting up TLS")?;
    if *trust != Trust::System {
        let digest = if let Trust::Pin(digest) = trust { Some(digest.clone()) } else { None };
        let verifier = Pinned { digest, seen: Arc::default(), provider };
        return Ok(builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth());
    }
    Ok(builder.with_root_certificates(system_roots()?).with_no_client_auth())
}

fn system_roots() -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err(Error::new(Code::Machine, "This system trusts no certificate authority at all.")
            .hint("Install the package “ca-certificates”."));
    }
    Ok(roots)
}

/// Connects to a server and looks at the certificate it shows, verified or not. Nothing is sent to it but the handshake.
///
/// # Errors
/// [`Code::NotSent`] when it cannot be reached or does not speak TLS.
pub async fn show(hostname: &str, port: u16) -> Result<Certificate> {
    show_on(connect(hostname, port).await?, hostname).await
}

/// Connects to a server, and no more.
///
/// # Errors
/// [`Code::NotSent`] when it cannot be reached.
pub async fn connect(hostname: &str, port: u16) -> Result<TcpStream> {
    let unreachable =
        |cause: &dyn std::fmt::Display| Error::new(Code::NotSent, format!("“{hostname}” cannot be reached: {cause}."));
    tokio::time::timeout(PATIENCE, TcpStream::connect((hostname, port)))
        .await
        .map_err(|_| unreachable(&"no answer in time"))?
        .map_err(|cause| unreachable(&cause))
}

/// As [`show`], on a connection that is there.
///
/// # Errors
/// [`Code::NotSent`] when it does not speak TLS or shows no certificate.
pub async fn show_on(stream: TcpStream, hostname: &str) -> Result<Certificate> {
    let silent = |cause: &dyn std::fmt::Display| Error::new(Code::NotSent, format!("“{hostname}” does not speak TLS: {cause}."));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
    let verifier = Pinned { digest: None, seen: seen.clone(), provider: provider.clone() };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .context("setting up TLS")?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    let name = ServerName::try_from(hostname.to_owned()).map_err(|cause| silent(&cause))?;
    tokio::time::timeout(PATIENCE, tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream))
        .await
        .map_err(|_| silent(&"no answer in time"))?
        .map_err(|cause| silent(&cause))?;
    let chain = std::mem::take(&mut *seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
    if chain.is_empty() {
        return Err(silent(&"it showed no certificate"));
    }
    Ok(Certificate::new(hostname, chain))
}

/// Why the system's trust store does not vouch for a chain, end entity first; `None` when it does.
pub(super) fn distrust(hostname: &str, chain: &[CertificateDer<'_>]) -> Option<String> {
    let judge = || -> Result<()> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(system_roots()?), provider).build().context("setting up TLS")?;
        let name = ServerName::try_from(hostname.to_owned()).context("this name")?;
        let [end_entity, intermediates @ ..] = chain else {
            return Err(Error::new(Code::NotSent, "There is no certificate."));
        };
        match verifier.verify_server_cert(end_entity, intermediates, &name, &[], UnixTime::now()) {
            Ok(_) => Ok(()),
            Err(rustls::Error::InvalidCertificate(why)) => Err(Error::new(Code::Refused, why.to_string())),
            Err(other) => Err(Error::new(Code::Refused, other.to_string())),
        }
    };
    judge().err().map(|error| error.message)
}

/// SHA-256 of a certificate, lower-case hex.
pub(super) fn fingerprint(certificate: &CertificateDer<'_>) -> String {
    let mut digest = String::with_capacity(64);
    for byte in sha2::Sha256::digest(certificate.as_ref()) {
        let _ = write!(digest, "{byte:02x}");
    }
    digest
}

/// Accepts one certificate by its digest; with none given, any, and remembers it.
#[derive(Debug)]
struct Pinned {
    digest: Option<String>,
    seen: Arc<std::sync::Mutex<Vec<CertificateDer<'static>>>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let accepted = self.digest.as_ref().is_none_or(|pin| *pin == fingerprint(end_entity));
        let chain = std::iter::once(end_entity).chain(intermediates).map(|one| one.clone().into_owned()).collect();
        *self.seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = chain;
        if accepted {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(rustls::Error::General("it shows another certificate than the one that was accepted when it was linked".into()))
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
