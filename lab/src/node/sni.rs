//! Which certificate is served for which name.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use super::services::DOMAIN_TLS;

/// A certificate of a domain, as found on disk.
#[derive(Debug, Clone)]
pub struct Certificate {
    /// The folder it is in.
    pub domain: String,
    /// The names it is for.
    pub names: Vec<String>,
    /// Tells it from its predecessors.
    pub digest: String,
}

/// Name → certificate.
pub type Served = BTreeMap<String, Certificate>;

/// The DNS names of the first certificate in a PEM text; none if there is none that can be read.
pub fn names(pem: &[u8]) -> Vec<String> {
    use x509_parser::prelude::GeneralName;
    let Some(block) = x509_parser::pem::Pem::iter_from_buffer(pem).flatten().find(|block| block.label == "CERTIFICATE") else {
        return Vec::new();
    };
    let Ok(certificate) = block.parse_x509() else {
        return Vec::new();
    };
    let Ok(Some(names)) = certificate.subject_alternative_name() else {
        return Vec::new();
    };
    names
        .value
        .general_names
        .iter()
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
            _ => None,
        })
        .collect()
}

/// A short digest of a PEM text.
pub fn digest(pem: &[u8]) -> String {
    Sha256::digest(pem).iter().take(8).fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// One certificate a name: that of the longest domain the name is or ends in, so that a parent domain never takes a name
/// from the domain's own certificate.
pub fn served(mut certificates: Vec<Certificate>) -> Served {
    certificates.sort_by(|a, b| (a.domain.len(), &a.domain).cmp(&(b.domain.len(), &b.domain)));
    let mut served = Served::new();
    for certificate in certificates {
        for name in certificate.names.iter().filter(|name| plain(name)) {
            let own = *name == certificate.domain || name.ends_with(&format!(".{}", certificate.domain));
            if own || !served.contains_key(name) {
                served.insert(name.clone(), certificate.clone());
            }
        }
    }
    served
}

/// Names go into configuration files: nothing but host name letters, a leading `*.` allowed.
fn plain(name: &str) -> bool {
    let rest = name.strip_prefix("*.").unwrap_or(name);
    !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-')
}

/// Dovecot's include.
pub fn dovecot(served: &Served) -> String {
    let mut text = String::from("# Written by the lab whenever a certificate changes.\n");
    for (name, Certificate { domain, digest, .. }) in served {
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "# {digest}\nlocal_name {name} {{\n  ssl_cert = <{DOMAIN_TLS}/{domain}/combined\n  ssl_key = <{DOMAIN_TLS}/{domain}/combined\n}}\n"
        );
    }
    text
}

/// Exim's map: `name: file`.
pub fn exim(served: &Served) -> String {
    served.iter().fold(String::new(), |mut text, (name, certificate)| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name}: {DOMAIN_TLS}/{}/combined", certificate.domain);
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::authority::Authority;

    fn certificate(domain: &str, names: &[&str]) -> Certificate {
        Certificate { domain: domain.into(), names: names.iter().map(|&n| n.into()).collect(), digest: "d".into() }
    }

    #[test]
    fn a_domain_keeps_its_own_names() {
        let served = served(vec![
            certificate("shop.a.test", &["shop.a.test", "mail.shop.a.test"]),
            certificate("a.test", &["a.test", "mail.a.test", "mail.shop.a.test", "b.test", "bad name"]),
        ]);
        assert_eq!(
            exim(&served),
            "a.test: /var/cpanel/ssl/domain_tls/a.test/combined\n\
             b.test: /var/cpanel/ssl/domain_tls/a.test/combined\n\
             mail.a.test: /var/cpanel/ssl/domain_tls/a.test/combined\n\
             mail.shop.a.test: /var/cpanel/ssl/domain_tls/shop.a.test/combined\n\
             shop.a.test: /var/cpanel/ssl/domain_tls/shop.a.test/combined\n"
        );
    }

    #[test]
    fn names_come_from_the_certificate() {
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::in_dir(dir.path()).unwrap();
        let combined = authority.issue(&["a.test".into(), "mail.A.test".into()]).unwrap();
        assert_eq!(names(combined.as_bytes()), ["a.test", "mail.a.test"]);
        assert!(names(b"no certificate").is_empty());
    }
}
