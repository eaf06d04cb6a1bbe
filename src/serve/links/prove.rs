//! The checks of a server that is or would be a child.

use super::report::{Check, Report};
use crate::child::Child;
use crate::error::{Code, Error, Result};
use crate::host::{HostCall, HostFacts};
use crate::panel::{self, Certificate, Panel, Trust, WHM_PORT, number};
use crate::serve::Serve;
use crate::wire::Tls;
use serde_json::Value;

/// What a child said of itself.
pub struct Found {
    /// cPanel version.
    pub version: String,
    /// Server profile code.
    pub profile: String,
    /// Services it runs.
    pub services: Vec<String>,
    /// What its machine is.
    pub facts: HostFacts,
}

/// The major part of a version: 138 of `11.138.0.19`.
pub fn major(version: &str) -> Option<u32> {
    version.split('.').nth(1)?.parse().ok()
}

/// Whether a version is at least as new as another in its major part.
fn fits(child: &str, parent: &str) -> bool {
    matches!((major(child), major(parent)), (Some(child), Some(parent)) if child >= parent)
}

/// Services a server runs, as cPanel names them.
///
/// # Errors
/// What the server answers.
pub async fn services(panel: &Panel) -> Result<Vec<String>> {
    let data = panel.whm("servicestatus", &[]).await?;
    let rows = data["service"].as_array().cloned().unwrap_or_default();
    Ok(rows
        .iter()
        .filter(|row| number(&row["enabled"]) == Some(1))
        .filter_map(|row| row["name"].as_str().map(str::to_owned))
        .collect())
}

/// Whether this server may have children.
///
/// # Errors
/// [`Code::Refused`] when it may not; what cPanel answers.
pub async fn may_be_parent(serve: &Serve) -> Result<()> {
    if let Some(parent) = serve.authority.store.parent()? {
        return Err(Error::new(
            Code::Refused,
            format!("This server is a child of “{}”; a child cannot have children.", parent.hostname),
        ));
    }
    let profile = serve.authority.own.whm("get_current_profile", &[]).await?;
    match profile["code"].as_str() {
        Some("STANDARD") => Ok(()),
        code => Err(Error::new(
            Code::Refused,
            format!("Only a server of the Standard profile can be a parent; this one is {}.", code.unwrap_or("of no profile")),
        )),
    }
}

/// Whom to believe to be this server. A certificate that the system verifies is verified from now on, also when the check was waived:
/// it will be renewed, and a pin would not.
///
/// # Errors
/// [`Code::NotSent`] when it cannot be reached; [`Code::Refused`] when its certificate is not to be believed.
pub async fn trust(hostname: &str, tls: &Tls, report: &mut Report) -> Result<Trust> {
    report.check(Check::Resolves, crate::child::resolve(hostname).await, |all| {
        all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    })?;
    let stream = report.check(Check::Reachable, panel::connect(hostname, WHM_PORT).await, |_| "It answers.".to_owned())?;
    let shown = match panel::show_on(stream, hostname).await {
        Ok(certificate) => believed(hostname, &certificate, tls),
        Err(error) => Err(error),
    };
    report.check(Check::Certificate, shown, |trust| match trust {
        Trust::Pin(digest) => format!("Not verified; accepted as shown, SHA-256 {digest}, and no other."),
        _ => "Verified by this system.".to_owned(),
    })
}

fn believed(hostname: &str, certificate: &Certificate, tls: &Tls) -> Result<Trust> {
    let fingerprint = certificate.fingerprint();
    if let Tls::Pinned(confirmed) = tls
        && !confirmed.eq_ignore_ascii_case(&fingerprint)
    {
        return Err(Error::new(
            Code::Refused,
            format!("“{hostname}” shows another certificate now (SHA-256 {fingerprint}) than the one that was confirmed."),
        )
        .hint(format!("Look at it again: “linked-nodes node probe {hostname}”.")));
    }
    match (certificate.distrust(), tls) {
        (None, _) => Ok(Trust::System),
        (Some(_), Tls::Pinned(_) | Tls::AsShown) => Ok(Trust::Pin(fingerprint)),
        (Some(why), Tls::Verified) => Err(Error::new(
            Code::NotSent,
            format!("The certificate of “{hostname}” is not trusted: {why}."),
        )
        .hint(format!(
            "Give it a certificate for its hostname that this system trusts; or look at it (“linked-nodes node probe {hostname}”) \
             and link with --certificate FINGERPRINT, or in the API with skip_tls_verification=1, which accept that one and no other."
        ))),
    }
}

/// The checks from the credential on.
///
/// # Errors
/// Names the check that failed.
pub async fn prove(serve: &Serve, child: &Child, report: &mut Report) -> Result<Found> {
    let panel = &child.panel;
    let hostname = panel.hostname();
    let text = |data: &Value, key: &str| data[key].as_str().unwrap_or_default().to_owned();
    let version = report.check(Check::Credential, panel.whm("version", &[]).await, |_| {
        format!("It accepts the token of “{}”.", panel.credentials().username)
    })?;
    let version = text(&version, "version");
    report.check(Check::RootLevel, root_level(panel).await, |()| "It has every privilege.".to_owned())?;
    let profile = panel.whm("get_current_profile", &[]).await.and_then(|data| match text(&data, "code") {
        code if matches!(code.as_str(), "MAILNODE" | "STANDARD") => Ok(code),
        code => Err(Error::new(
            Code::Refused,
            format!("“{hostname}” has the server profile {code}; a mail child has Mail or Standard."),
        )),
    });
    let profile = report.check(Check::Profile, profile, Clone::clone)?;
    let own = serve.authority.own.whm("version", &[]).await.map(|data| text(&data, "version"));
    let fitting = own.and_then(|own| {
        if fits(&version, &own) {
            return Ok(own);
        }
        Err(Error::new(
            Code::Refused,
            format!(
                "“{hostname}” runs cPanel {version}, older than this server's {own}; a child has the same version or a later one."
            ),
        ))
    });
    report.check(Check::Version, fitting, |own| match major(&version) == major(own) {
        true => format!("{version} there, {own} here."),
        false => format!("{version} there, {own} here: works, but update this server to the same major version."),
    })?;
    let facts: HostFacts = report
        .check(Check::Installed, child.host(HostCall::Facts).await, |facts: &HostFacts| format!("Version {}.", facts.version))?;
    let childless = if facts.children == 0 {
        Ok(())
    } else {
        Err(Error::new(Code::Refused, format!("“{hostname}” is a parent itself, of {} nodes.", facts.children)))
    };
    report.check(Check::NotParent, childless, |()| "It has none.".to_owned())?;
    Ok(Found { version, profile, services: services(panel).await?, facts })
}

async fn root_level(panel: &Panel) -> Result<()> {
    let rights = panel.whm("myprivs", &[]).await?;
    if number(&rights["privileges"][0]["all"]) == Some(1) {
        return Ok(());
    }
    Err(Error::new(
        Code::Denied,
        format!("The token of “{}” on “{}” is not root-level.", panel.credentials().username, panel.hostname()),
    )
    .hint("Create it without a list of privileges, as root: “whmapi1 api_token_create token_name=NAME”."))
}

/// Whether a server is free to become our child.
///
/// # Errors
/// [`Code::Conflict`] naming its parent.
pub fn no_other_parent(serve: &Serve, found: &Found, hostname: &str) -> Result<()> {
    match &found.facts.parent {
        Some(parent) if *parent != serve.authority.hostname => {
            Err(Error::new(Code::Conflict, format!("“{hostname}” is linked to the parent “{parent}” already."))
                .hint("A child has one parent; unlink it there first."))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_is_never_older() {
        assert!(fits("11.138.0.19", "11.138.0.4"));
        assert!(fits("11.140.0.1", "11.138.0.19"));
        assert!(!fits("11.136.0.40", "11.138.0.1"));
        assert!(!fits("", "11.138.0.1"));
    }
}
