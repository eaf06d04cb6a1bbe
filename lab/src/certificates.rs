//! Installing certificates as every interface does: with the hooks of `SSL::installssl` or `AutoSSL::installssl` around it.
//!
//! Source of the events' keys: "Guide to Standardized Hooks – Whostmgr functions", api.docs.cpanel.net.

use serde_json::json;

use crate::call::Failure;
use crate::hooks::{self, Stage};
use crate::machine::tls::Certificate;
use crate::machine::{Machine, names};

/// Who installs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// Somebody, by hand or by a program.
    Hand,
    /// AutoSSL.
    AutoSsl,
}

/// What was installed.
#[derive(Debug, Clone)]
pub struct Installed {
    /// The virtual host.
    pub host: String,
    /// The account it belongs to.
    pub user: String,
    /// `install` or `update`.
    pub action: &'static str,
    /// Names in the certificate that are the account's.
    pub working: Vec<String>,
    /// Names in the certificate that are not.
    pub extra: Vec<String>,
}

/// Installs a certificate for a virtual host of an account. It must be for that host, and the key its own.
pub fn install(machine: &Machine, host: &str, certificate: &Certificate, by: By) -> Result<Installed, Failure> {
    let host = names::domain(host)?;
    let (user, _) = machine
        .owner_of_host(&host)
        .ok_or_else(|| Failure::new(format!("The domain “{host}” does not belong to an account on this server.")))?;
    certificate.certified()?;
    let domains = certificate.domains();
    if !certificate.covers(&host) {
        return Err(Failure::new(format!("The certificate does not secure “{host}”; it secures: {}.", domains.join(", "))));
    }
    let event = match by {
        By::Hand => "SSL::installssl",
        By::AutoSsl => "AutoSSL::installssl",
    };
    let data = json!({
        "username": user,
        "domain_set_name": host,
        "certificate_pem": certificate.crt,
        "key_pem": certificate.key,
        "cab_pem": certificate.cab,
    });
    hooks::fire(machine, "Whostmgr", event, Stage::Pre, data.clone()).map_err(|veto| Failure::new(veto.message))?;
    let action = if machine.certificate(&host).is_some() { "update" } else { "install" };
    machine.install_certificate(&host, certificate)?;
    let _ = hooks::fire(machine, "Whostmgr", event, Stage::Post, data);
    let ours = |name: &String| machine.owner_of_host(name).is_some_and(|(owner, _)| owner == user);
    let (working, extra) = domains.into_iter().partition(ours);
    Ok(Installed { host, user, action, working, extra })
}

/// What AutoSSL does for an account: a new certificate for each of its domains. Those refused by a hook keep the one they have; the
/// complaints are returned.
pub fn autossl(machine: &Machine, user: &str) -> Result<Vec<String>, Failure> {
    let mut complaints = Vec::new();
    for domain in machine.account(user)?.domains() {
        let Some(certificate) = machine.issue_certificate(&machine.certified_names(&domain))? else {
            return Err(Failure::new("This server has no AutoSSL provider."));
        };
        if let Err(failure) = install(machine, &domain, &certificate, By::AutoSsl) {
            complaints.push(format!("{domain}: {failure}"));
        }
    }
    Ok(complaints)
}
