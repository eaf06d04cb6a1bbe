//! Certificates of domains: `/var/cpanel/ssl/domain_tls/NAME/combined` (key, certificate, chain in one file), and
//! the stand-in for AutoSSL, which signs with the lab's own authority.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use super::{Machine, files};
use crate::call::Failure;

/// The lab's authority inside a node.
const CA: &str = "/var/cpanel/lab/ca";
const TLS: &str = "/var/cpanel/ssl/domain_tls";

/// A certificate as cPanel hands it out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// Private key, PEM.
    pub key: String,
    /// Certificate, PEM.
    pub crt: String,
    /// Chain, PEM; may be empty.
    pub cab: String,
}

fn bad(error: impl std::fmt::Display) -> Failure {
    Failure::new(error.to_string())
}

/// Splits PEM text into its blocks: label and text.
fn blocks(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find("-----BEGIN ") {
        rest = &rest[start..];
        let label = rest[11..].split("-----").next().unwrap_or_default().to_owned();
        let end = format!("-----END {label}-----");
        let Some(stop) = rest.find(&end) else { break };
        let stop = stop + end.len();
        found.push((label, format!("{}\n", &rest[..stop])));
        rest = &rest[stop..];
    }
    found
}

impl Certificate {
    /// Reads a combined file.
    pub fn from_combined(text: &str) -> Option<Self> {
        let blocks = blocks(text);
        let key = blocks.iter().find(|(label, _)| label.ends_with("PRIVATE KEY"))?.1.clone();
        let mut certificates = blocks.into_iter().filter(|(label, _)| label == "CERTIFICATE").map(|(_, text)| text);
        let crt = certificates.next()?;
        Some(Self { key, crt, cab: certificates.collect() })
    }

    /// The combined file's text.
    pub fn combined(&self) -> String {
        let parts = [&self.key, &self.crt, &self.cab].map(|part| part.trim());
        parts.iter().filter(|part| !part.is_empty()).map(|part| format!("{part}\n")).collect()
    }

    /// The certificate and key as rustls serves them. Fails when the key is not the certificate's.
    pub fn certified(&self) -> Result<Arc<CertifiedKey>, Failure> {
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).map_err(bad)?;
        let chain: Result<Vec<CertificateDer<'static>>, _> =
            CertificateDer::pem_slice_iter(format!("{}\n{}", self.crt, self.cab).as_bytes()).collect();
        let chain = chain.map_err(bad)?;
        let certified = CertifiedKey::from_der(chain, key, &rustls::crypto::ring::default_provider()).map_err(bad)?;
        certified.keys_match().map_err(|_| Failure::new("The private key does not match the certificate."))?;
        Ok(Arc::new(certified))
    }

    /// The names the certificate is for.
    pub fn domains(&self) -> Vec<String> {
        let Ok(der) = CertificateDer::from_pem_slice(self.crt.as_bytes()) else { return Vec::new() };
        alternative_names(&der)
    }

    /// Whether the certificate is for `host`, wildcards of one label included.
    pub fn covers(&self, host: &str) -> bool {
        let parent = host.split_once('.').map(|(_, rest)| format!("*.{rest}"));
        self.domains().iter().any(|name| name.eq_ignore_ascii_case(host) || Some(name) == parent.as_ref())
    }
}

/// The DNS names in a certificate's subjectAltName.
fn alternative_names(der: &CertificateDer<'_>) -> Vec<String> {
    use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};
    let Ok((_, certificate)) = X509Certificate::from_der(der) else { return Vec::new() };
    let Ok(Some(extension)) = certificate.subject_alternative_name() else { return Vec::new() };
    let names = extension.value.general_names.iter().filter_map(|name| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        _ => None,
    });
    names.collect()
}

impl Machine {
    /// A certificate from the lab's authority for these names, 90 days; `None` on a server without the authority.
    pub fn issue_certificate(&self, hosts: &[String]) -> Result<Option<Certificate>, Failure> {
        let ca = files::read(&self.path(&format!("{CA}/ca.pem")))?;
        let key = files::read(&self.path(&format!("{CA}/ca.key")))?;
        let (Some(ca), Some(key)) = (ca, key) else { return Ok(None) };
        let issuer = rcgen::KeyPair::from_pem(&key).and_then(|key| rcgen::Issuer::from_ca_cert_pem(&ca, key)).map_err(bad)?;
        let mut parameters = rcgen::CertificateParams::new(hosts.to_vec()).map_err(bad)?;
        let now = std::time::SystemTime::now();
        parameters.not_before = (now - std::time::Duration::from_secs(3600)).into();
        parameters.not_after = (now + std::time::Duration::from_secs(90 * 86_400)).into();
        parameters.distinguished_name = rcgen::DistinguishedName::new();
        if let Some(first) = hosts.first() {
            parameters.distinguished_name.push(rcgen::DnType::CommonName, first.as_str());
        }
        parameters.key_usages = vec![rcgen::KeyUsagePurpose::DigitalSignature, rcgen::KeyUsagePurpose::KeyEncipherment];
        parameters.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
        let own = rcgen::KeyPair::generate().map_err(bad)?;
        let signed = parameters.signed_by(&own, &issuer).map_err(bad)?;
        Ok(Some(Certificate { key: own.serialize_pem(), crt: signed.pem(), cab: ca }))
    }

    /// Does what AutoSSL does for a domain: one certificate for it and its service names, installed.
    pub fn autossl(&self, domain: &str) -> Result<(), Failure> {
        if let Some(certificate) = self.issue_certificate(&self.certified_names(domain))? {
            self.install_certificate(domain, &certificate)?;
        }
        Ok(())
    }

    /// The certificate installed for the virtual host `name`.
    pub fn certificate(&self, name: &str) -> Option<Certificate> {
        if name.contains('/') || name.starts_with('.') {
            return None;
        }
        let text = files::read(&self.path(&format!("{TLS}/{name}/combined"))).ok()??;
        Certificate::from_combined(&text)
    }

    /// Names of the virtual hosts that have a certificate.
    pub fn certified_hosts(&self) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.path(TLS)) else { return Vec::new() };
        let mut hosts: Vec<String> = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        hosts.sort();
        hosts
    }

    /// The installed certificate that serves `host`.
    pub fn certificate_for(&self, host: &str) -> Option<Certificate> {
        let host = host.to_ascii_lowercase();
        let parent = host.split_once('.').map(|(_, rest)| rest.to_owned());
        let near = [Some(host.clone()), parent].into_iter().flatten();
        let covering = |name: String| self.certificate(&name).filter(|found| found.covers(&host));
        near.filter_map(covering).next()
    }

    /// Installs a certificate for the virtual host `name`, after checking that the key is its own, and lets the mail
    /// daemons know.
    pub fn install_certificate(&self, name: &str, certificate: &Certificate) -> Result<(), Failure> {
        certificate.certified()?;
        let path = self.path(&format!("{TLS}/{name}/combined"));
        files::replace(&path, certificate.combined().as_bytes(), 0o640)?;
        // The mail server reads it at every handshake.
        if let Some(gid) = self.group_id("mail") {
            std::os::unix::fs::chown(&path, None, Some(gid))?;
        }
        self.tls_changed()
    }

    /// Removes the certificate of `name`.
    pub fn forget_certificate(&self, name: &str) -> Result<(), Failure> {
        match std::fs::remove_dir_all(self.path(&format!("{TLS}/{name}"))) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => self.tls_changed(),
        }
    }

    /// Lets Dovecot take up changed certificates.
    fn tls_changed(&self) -> Result<(), Failure> {
        Ok(crate::node::services::reload_dovecot_sni(self)?)
    }
}
