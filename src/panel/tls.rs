//! Whom we believe: the system's trust store, or one certificate an administrator accepted.

use crate::error::{Code, Context as _, Error, Result};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use sha2::Digest as _;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

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
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err(Error::new(Code::Machine, "This system trusts no certificate authority at all.")
            .hint("Install the package “ca-certificates”."));
    }
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// The digest of the certificate a server shows, verified or not. Nothing is sent to it but the handshake.
///
/// # Errors
/// [`Code::NotSent`] when it cannot be reached or does not speak TLS.
pub async fn certificate_digest(hostname: &str, port: u16) -> Result<String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let seen = Arc::new(std::sync::Mutex::new(None));
    let verifier = Pinned { digest: None, seen: seen.clone(), provider: provider.clone() };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .context("setting up TLS")?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    let unreachable =
        |cause: &dyn std::fmt::Display| Error::new(Code::NotSent, format!("“{hostname}” cannot be reached: {cause}."));
    let name = ServerName::try_from(hostname.to_owned()).map_err(|cause| unreachable(&cause))?;
    let handshake = async {
        let tcp = tokio::net::TcpStream::connect((hostname, port)).await?;
        tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, tcp).await
    };
    tokio::time::timeout(Duration::from_secs(8), handshake)
        .await
        .map_err(|_| unreachable(&"no answer in time"))?
        .map_err(|cause| unreachable(&cause))?;
    let digest = seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
    digest.ok_or_else(|| unreachable(&"it showed no certificate"))
}

/// Accepts one certificate by its digest; with none given, any, and remembers it.
#[derive(Debug)]
struct Pinned {
    digest: Option<String>,
    seen: Arc<std::sync::Mutex<Option<String>>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let mut digest = String::with_capacity(64);
        for byte in sha2::Sha256::digest(end_entity.as_ref()) {
            let _ = write!(digest, "{byte:02x}");
        }
        let accepted = self.digest.as_ref().is_none_or(|pin| *pin == digest);
        *self.seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(digest);
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
