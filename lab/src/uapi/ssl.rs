//! `SSL`: certificates the account installs itself.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::call::{Failure, Outcome, Reply};
use crate::certificates::{self, By};
use crate::machine::tls::Certificate;
use crate::uapi::Context;

fn digest(text: &str) -> String {
    Sha256::digest(text.trim().as_bytes()).iter().take(10).map(|byte| format!("{byte:02x}")).collect()
}

/// `install_ssl`. Without a key, that of the certificate installed now is used, which a renewal may keep.
pub fn install_ssl(cx: &Context<'_>) -> Reply {
    let host = cx.account.own_domain(cx.args.need("domain")?)?;
    let key = match cx.args.get("key").filter(|key| !key.trim().is_empty()) {
        Some(key) => key.to_owned(),
        None => {
            let installed = cx.machine.certificate(&host).map(|installed| installed.key);
            installed.ok_or_else(|| Failure::new("Provide the “key” argument: no key is installed yet."))?
        }
    };
    let certificate =
        Certificate { key, crt: cx.args.need("cert")?.to_owned(), cab: cx.args.get("cabundle").unwrap_or_default().to_owned() };
    let done = certificates::install(cx.machine, &host, &certificate, By::Hand)?;
    let message =
        format!("The SSL certificate is now installed onto the domain “{host}” using the IP address “{}”.", cx.machine.address());
    let shown: Value = json!({
        "action": done.action,
        "cert_id": format!("{}_{}", host.replace('.', "_"), digest(&certificate.crt)),
        "domain": done.host,
        "extra_certificate_domains": done.extra,
        "html": message,
        "ip": cx.machine.address().to_string(),
        "key_id": digest(&certificate.key),
        "message": message,
        "statusmsg": message,
        "user": done.user,
        "warning_domains": [],
        "working_domains": done.working,
    });
    Ok(Outcome { messages: vec![message], ..Outcome::from(shown) })
}
