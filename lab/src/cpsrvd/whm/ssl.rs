//! Certificates.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::public_key::PublicKey;

use crate::call::{Args, Caller, Failure, Outcome, Reply};
use crate::certificates::{self, By, Installed};
use crate::machine::tls::Certificate;
use crate::machine::{Machine, names};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A certificate as `fetch_ssl_certificates_for_fqdns` shows it.
fn described(certificate: &Certificate, user: &str, created: i64) -> Result<Value, Failure> {
    let bad = |error: String| Failure::new(format!("a certificate on this server is damaged: {error}"));
    let der = CertificateDer::from_pem_slice(certificate.crt.as_bytes()).map_err(|error| bad(error.to_string()))?;
    let (_, parsed) = X509Certificate::from_der(&der).map_err(|error| bad(error.to_string()))?;
    let name = |name: &x509_parser::x509::X509Name<'_>, organization: bool| {
        let mut found = if organization { name.iter_organization().next() } else { name.iter_common_name().next() };
        found.take().and_then(|attribute| attribute.as_str().ok()).map(str::to_owned)
    };
    let common = name(parsed.subject(), false);
    let key = parsed.public_key();
    let (algorithm, modulus, length, point) = match key.parsed() {
        Ok(PublicKey::RSA(rsa)) => ("rsaEncryption", Some(hex(rsa.modulus)), Some(rsa.key_size()), None),
        Ok(PublicKey::EC(point)) => ("id-ecPublicKey", None, None, Some(hex(point.data()))),
        _ => ("", None, None, None),
    };
    let stem = common.clone().unwrap_or_default().replace(['.', '*'], "_");
    let id = format!(
        "{stem}_{}_{}",
        hex(&Sha256::digest(&der)).get(..10).unwrap_or_default(),
        parsed.validity().not_after.timestamp()
    );
    Ok(json!({
        "cab": certificate.cab,
        "created": created,
        "crt": certificate.crt,
        "domains": certificate.domains(),
        "ecdsa_curve_name": if point.is_some() { Some("prime256v1") } else { None },
        "ecdsa_public": point,
        "friendly_name": common,
        "id": id,
        "is_self_signed": u8::from(parsed.issuer() == parsed.subject()),
        "issuer.commonName": name(parsed.issuer(), false),
        "issuer.organizationName": name(parsed.issuer(), true),
        "key": certificate.key,
        "key_algorithm": algorithm,
        "modulus": modulus,
        "modulus_length": length,
        "not_after": parsed.validity().not_after.timestamp(),
        "not_before": parsed.validity().not_before.timestamp(),
        "signature_algorithm": parsed.signature_algorithm.algorithm.to_id_string(),
        "subject.commonName": common,
        "users": [user],
        "validation_type": "dv",
        "verify_error": null,
    }))
}

/// `fetch_ssl_certificates_for_fqdns`: the installed certificates that serve any of the names.
pub(super) fn fetch_for_fqdns(machine: &Machine, caller: &Caller, args: &Args) -> Reply {
    let asked: Vec<String> = args.need("domains")?.split(',').map(|name| names::domain(name.trim())).collect::<Result<_, _>>()?;
    let mut payload: Vec<Value> = Vec::new();
    for host in machine.certified_hosts() {
        let Some(certificate) = machine.certificate(&host) else { continue };
        let user = machine.owner_of_host(&host).map_or_else(|| "nobody".to_owned(), |(user, _)| user);
        let mine = caller.may("all") || machine.account(&user).is_ok_and(|account| super::manages(caller, &account));
        if mine && asked.iter().any(|name| certificate.covers(name)) {
            let file = machine.path(&format!("/var/cpanel/ssl/domain_tls/{host}/combined"));
            let changed = std::fs::metadata(file).and_then(|found| found.modified()).ok();
            let created =
                changed.and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok()).map_or(0, |since| since.as_secs());
            payload.push(described(&certificate, &user, i64::try_from(created).unwrap_or(0))?);
        }
    }
    Ok(json!({"payload": payload}).into())
}

/// Installs a certificate for a virtual host and gives what `installssl` tells.
fn install(machine: &Machine, host: &str, certificate: &Certificate) -> Result<Value, Failure> {
    let done = certificates::install(machine, host, certificate, By::Hand)?;
    let Installed { host, user, action, working, extra } = done;
    let message =
        format!("The SSL certificate is now installed onto the domain “{host}” using the IP address “{}”.", machine.address());
    Ok(json!({
        "action": action,
        "aliases": working.iter().filter(|name| **name != host).collect::<Vec<_>>(),
        "domain": host,
        "extra_certificate_domains": extra,
        "html": message,
        "ip": machine.address().to_string(),
        "message": message,
        "servername": host,
        "status": 1,
        "statusmsg": message,
        "user": user,
        "warning_domains": [],
        "working_domains": working,
    }))
}

/// `start_autossl_check_for_one_user`: done when the call returns; cPanel's runs on, as the process it names. A new certificate is issued for
/// every domain, also where the installed one is not near its end.
pub(super) fn start_autossl(machine: &Machine, _caller: &Caller, args: &Args) -> Reply {
    let warnings = certificates::autossl(machine, args.need("username")?)?;
    Ok(Outcome { warnings, ..Outcome::from(json!({"pid": std::process::id()})) })
}

/// `installssl`.
pub(super) fn installssl(machine: &Machine, _caller: &Caller, args: &Args) -> Reply {
    let certificate = Certificate {
        key: args.need("key")?.to_owned(),
        crt: args.need("crt")?.to_owned(),
        cab: args.get("cab").unwrap_or_default().to_owned(),
    };
    let told = install(machine, args.need("domain")?, &certificate)?;
    let reason = told["statusmsg"].as_str().map(str::to_owned);
    Ok(Outcome { reason, ..Outcome::from(told) })
}

/// `enqueue_deferred_ssl_installations`: cPanel installs within a minute or so; here it is done when the call returns.
/// A certificate that cannot be installed fails the call, naming it.
pub(super) fn enqueue_deferred(machine: &Machine, _caller: &Caller, args: &Args) -> Reply {
    for name in ["username", "vhost_name", "crt", "key"] {
        args.need(name)?;
    }
    let [users, hosts, crts, keys, cabs] = ["username", "vhost_name", "crt", "key", "cab"].map(|name| args.all(name));
    if [hosts.len(), crts.len(), keys.len(), cabs.len()].iter().any(|count| *count != users.len()) {
        return Err(Failure::new("Give as many values of “username”, “vhost_name”, “crt”, “key”, and “cab”."));
    }
    for (index, (user, host)) in users.iter().zip(&hosts).enumerate() {
        machine.account(user)?;
        let text = |list: &[&str]| list.get(index).copied().unwrap_or_default().to_owned();
        let owned = machine.owner_of_host(host).is_some_and(|(owner, _)| owner == *user);
        if !owned {
            return Err(Failure::new(format!("The user “{user}” does not own “{host}”.")));
        }
        install(machine, host, &Certificate { key: text(&keys), crt: text(&crts), cab: text(&cabs) })?;
    }
    Ok(Value::Null.into())
}
