//! A server's certificate as people look at it before they trust it.

use super::tls;
use crate::error::{Context as _, Result};
use crate::rules::names::printable;
use crate::wire::CertificateView;
use rustls::pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;

/// The most names of a certificate that are shown.
const NAMES_SHOWN: usize = 100;

/// The chain that a server showed.
#[derive(Debug, Clone)]
pub struct Certificate {
    hostname: String,
    chain: Vec<CertificateDer<'static>>,
}

impl Certificate {
    /// The chain that `hostname` showed, its own certificate first.
    pub(super) fn new(hostname: &str, chain: Vec<CertificateDer<'static>>) -> Self {
        Self { hostname: hostname.to_owned(), chain }
    }

    /// SHA-256 of the server's own certificate, lower-case hex.
    pub fn fingerprint(&self) -> String {
        self.chain.first().map(tls::fingerprint).unwrap_or_default()
    }

    /// Why this system does not trust it for the hostname; `None` when it does.
    pub fn distrust(&self) -> Option<String> {
        tls::distrust(&self.hostname, &self.chain)
    }

    /// What a person decides by. Its words are the server's own, so they are cleaned of what is not shown.
    ///
    /// # Errors
    /// When the certificate cannot be read.
    pub fn view(&self) -> Result<CertificateView> {
        let what = || format!("reading the certificate of “{}”", self.hostname);
        let der = self.chain.first().map(AsRef::as_ref).unwrap_or_default();
        let (_, parsed) = x509_parser::parse_x509_certificate(der).context(what())?;
        let alternative = parsed.subject_alternative_name().context(what())?;
        let names = alternative.iter().flat_map(|extension| &extension.value.general_names);
        Ok(CertificateView {
            hostname: self.hostname.clone(),
            fingerprint: self.fingerprint(),
            subject: printable(&parsed.subject().to_string()),
            issuer: printable(&parsed.issuer().to_string()),
            names: names
                .filter_map(|name| if let GeneralName::DNSName(name) = name { Some(printable(name)) } else { None })
                .take(NAMES_SHOWN)
                .collect(),
            not_before: parsed.validity().not_before.timestamp(),
            not_after: parsed.validity().not_after.timestamp(),
            distrust: self.distrust(),
        })
    }

    /// When it stops being valid: Unix time, seconds.
    ///
    /// # Errors
    /// When the certificate cannot be read.
    pub fn not_after(&self) -> Result<i64> {
        let der = self.chain.first().map(AsRef::as_ref).unwrap_or_default();
        let (_, parsed) =
            x509_parser::parse_x509_certificate(der).context(format!("reading the certificate of “{}”", self.hostname))?;
        Ok(parsed.validity().not_after.timestamp())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_that_nobody_vouches_for_is_told_as_it_is() {
        let mut params = rcgen::CertificateParams::new(vec!["mail1.test".to_owned(), "other.test".to_owned()]).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, "mail1.test\u{202e}\u{7}");
        params.not_after = rcgen::date_time_ymd(2030, 1, 2);
        let key = rcgen::KeyPair::generate().unwrap();
        let signed = params.self_signed(&key).unwrap();
        let view = Certificate::new("mail1.test", vec![signed.der().clone()]).view().unwrap();
        assert_eq!(view.names, ["mail1.test", "other.test"]);
        assert_eq!(view.not_after, 1_893_542_400);
        assert!(view.distrust.is_some());
        assert!(view.subject.contains("mail1.test") && !view.subject.contains(['\u{7}']), "{:?}", view.subject);
        assert_eq!(view.fingerprint.len(), 64);
    }
}
