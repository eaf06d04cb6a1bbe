//! What belongs to the mail names of an account: DKIM keys and certificates, taken from one server to another.

use crate::error::Result;
use crate::panel::Panel;
use serde_json::Value;

/// `to` signs with the DKIM keys of `from`, which the zones already publish. How many keys were new there.
///
/// # Errors
/// As [`Panel::whm`].
pub async fn keys(from: &Panel, to: &Panel, domains: &[String]) -> Result<usize> {
    let mut moved = 0;
    for domain in domains {
        let pem = dkim(from, domain).await?;
        if !pem.is_empty() && dkim(to, domain).await? != pem {
            to.whm("install_dkim_private_keys", &[("domain", domain), ("key", &pem)]).await?;
            moved += 1;
        }
    }
    Ok(moved)
}

async fn dkim(panel: &Panel, domain: &str) -> Result<String> {
    let found = panel.whm("fetch_dkim_private_keys", &[("domain", domain)]).await?;
    let pem = found["payload"].as_array().into_iter().flatten().find_map(|row| row["pem"].as_str());
    Ok(pem.unwrap_or_default().trim().to_owned())
}

/// A certificate with its key, as cPanel gives it out.
#[derive(PartialEq, Eq)]
struct Certificate {
    certificate: String,
    key: String,
    chain: String,
}

/// `to` has the certificates of the mail names before anyone is sent there. How many were new there.
///
/// # Errors
/// As [`Panel::whm`].
pub async fn certificates(from: &Panel, to: &Panel, domains: &[String]) -> Result<usize> {
    let mut moved = 0;
    for domain in domains {
        let Some(found) = certificate(from, domain).await? else { continue };
        if certificate(to, domain).await?.is_some_and(|there| there == found) {
            continue;
        }
        let params = [
            ("domain", domain.as_str()),
            ("crt", found.certificate.as_str()),
            ("key", found.key.as_str()),
            ("cab", found.chain.as_str()),
        ];
        to.whm("installssl", &params).await?;
        moved += 1;
    }
    Ok(moved)
}

async fn certificate(panel: &Panel, domain: &str) -> Result<Option<Certificate>> {
    let names: Vec<String> = ["mail", "webmail"].iter().map(|label| format!("{label}.{domain}")).collect();
    let found = panel.whm("fetch_ssl_certificates_for_fqdns", &[("domains", &names.join(","))]).await?;
    let text = |row: &Value, key: &str| row[key].as_str().unwrap_or_default().trim().to_owned();
    let row = found["payload"].as_array().into_iter().flatten().find(|row| !text(row, "key").is_empty());
    Ok(row.map(|row| Certificate {
        certificate: [text(row, "crt"), text(row, "certificate")].into_iter().find(|pem| !pem.is_empty()).unwrap_or_default(),
        key: text(row, "key"),
        chain: text(row, "cab"),
    }))
}
