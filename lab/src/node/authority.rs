//! The lab's private certificate authority: one a lab, trusted in every node, so that verification is on everywhere.

use std::fs;
use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose};

use super::error::{Context as _, Error, Result, at};
use super::layout::write_with_mode;

/// Days a certificate of the lab is valid.
const DAYS: i64 = 825;

/// The authority's certificate and key, in PEM.
#[derive(Clone)]
pub struct Authority {
    /// The certificate every node trusts.
    pub certificate: String,
    /// Its key.
    pub key: String,
}

impl Authority {
    /// The authority kept in `dir`, made at the first call.
    pub fn in_dir(dir: &Path) -> Result<Self> {
        let (certificate, key) = (dir.join("ca.pem"), dir.join("ca.key"));
        if !certificate.exists() {
            let made = Self::generate().map_err(certificate_error)?;
            write_with_mode(&key, &made.key, 0o600)?;
            write_with_mode(&certificate, &made.certificate, 0o644)?;
        }
        Ok(Self {
            certificate: fs::read_to_string(&certificate).doing(at("read", &certificate))?,
            key: fs::read_to_string(&key).doing(at("read", &key))?,
        })
    }

    fn generate() -> std::result::Result<Self, rcgen::Error> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(Vec::<String>::new())?;
        params.distinguished_name.push(DnType::CommonName, "Linked Nodes lab authority");
        params.distinguished_name.push(DnType::OrganizationName, "Linked Nodes lab");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let (from, to) = (day(-1), day(10 * 365));
        params.not_before = rcgen::date_time_ymd(from.0, from.1, from.2);
        params.not_after = rcgen::date_time_ymd(to.0, to.1, to.2);
        Ok(Self { certificate: params.self_signed(&key)?.pem(), key: key.serialize_pem() })
    }

    /// A new key and a certificate for these names (the first is the subject): key, certificate and chain in one PEM text,
    /// in that order, as cPanel keeps them in `combined` files.
    pub fn issue(&self, names: &[String]) -> Result<String> {
        self.try_issue(names).map_err(certificate_error)
    }

    fn try_issue(&self, names: &[String]) -> std::result::Result<String, rcgen::Error> {
        let issuer = Issuer::from_ca_cert_pem(&self.certificate, KeyPair::from_pem(&self.key)?)?;
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(names.to_vec())?;
        if let Some(first) = names.first() {
            params.distinguished_name.push(DnType::CommonName, first.as_str());
        }
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let (from, to) = (day(-1), day(DAYS));
        params.not_before = rcgen::date_time_ymd(from.0, from.1, from.2);
        params.not_after = rcgen::date_time_ymd(to.0, to.1, to.2);
        let certificate = params.signed_by(&key, &issuer)?;
        Ok(format!("{}{}{}", key.serialize_pem(), certificate.pem(), self.certificate))
    }
}

fn certificate_error(error: rcgen::Error) -> Error {
    Error::Refused(format!("making a certificate: {error}"))
}

/// The date so many days from today: year, month, day.
fn day(from_today: i64) -> (i32, u8, u8) {
    let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    let date = today.saturating_add(jiff::Span::new().days(from_today));
    (date.year().into(), date.month().unsigned_abs(), date.day().unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn issued_certificates_verify_for_their_names_only() {
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::in_dir(dir.path()).unwrap();
        assert_eq!(Authority::in_dir(dir.path()).unwrap().key, authority.key);
        let combined = dir.path().join("combined");
        fs::write(&combined, authority.issue(&["a.test".into(), "mail.a.test".into()]).unwrap()).unwrap();
        let verify = |host: &str| {
            std::process::Command::new("openssl")
                .args(["verify", "-verify_hostname", host, "-CAfile"])
                .arg(dir.path().join("ca.pem"))
                .arg(&combined)
                .output()
                .unwrap()
                .status
                .success()
        };
        assert!(verify("mail.a.test"));
        assert!(!verify("b.test"));
    }
}
