//! Checks of the machine as other nodes see it: name, certificate, clock, disk, firewall.

use super::{Check, Verdict};
use crate::install::host::Host;
use crate::install::redirect::PORTS;
use rustls::pki_types::ServerName;
use std::net::{IpAddr, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;

/// Below this many free bytes a file system is trouble.
const LITTLE: u64 = 512 << 20;
/// Below this many free bytes somebody should look.
const SOME: u64 = 5 << 30;
const PATIENCE: Duration = Duration::from_secs(10);

/// Runs the checks.
pub async fn checks(host: &Host<'_>) -> Vec<Check> {
    let hostname = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let mut checks = vec![name(&hostname), certificate(&hostname).await, clock(host)];
    checks.extend(["/home", "/var/cpanel"].map(|place| disk(host, place)));
    checks.extend(firewall(host));
    checks
}

fn name(hostname: &str) -> Check {
    const NAME: &str = "hostname";
    if !hostname.contains('.') {
        return Check::failed(
            NAME,
            format!("“{hostname}” is not a full name"),
            "Set one in WHM » Change Hostname; nodes are linked by name.",
        );
    }
    let addresses: Vec<IpAddr> = match (hostname, 0).to_socket_addrs() {
        Ok(addresses) => addresses.map(|address| address.ip()).collect(),
        Err(cause) => {
            return Check::failed(
                NAME,
                format!("{hostname} does not resolve: {cause}"),
                "Give it an address record; nodes are linked by name.",
            );
        }
    };
    if addresses.iter().all(IpAddr::is_loopback) {
        return Check::bad(
            NAME,
            Verdict::Warning,
            format!("{hostname} resolves to this machine's loopback only"),
            "Make sure that other nodes resolve it to a real address.",
        );
    }
    let list: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    Check::good(NAME, format!("{hostname} is {}", list.join(", ")))
}

/// Connects to WHM as another node would: by name, verified against the system's roots.
async fn certificate(hostname: &str) -> Check {
    const NAME: &str = "certificate";
    let connected = tokio::time::timeout(PATIENCE, handshake(hostname)).await;
    match connected {
        Ok(Ok(())) => Check::good(NAME, format!("WHM's is valid for {hostname}")),
        Ok(Err(trouble)) => Check::failed(
            NAME,
            format!("WHM on port 2087: {trouble}"),
            "See WHM » Manage Service SSL Certificates; other nodes verify it.",
        ),
        Err(_) => Check::failed(
            NAME,
            "WHM on port 2087 does not answer",
            "Restart cpsrvd: /usr/local/cpanel/scripts/restartsrv_cpsrvd.",
        ),
    }
}

async fn handshake(hostname: &str) -> Result<(), String> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|cause| cause.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let server = ServerName::try_from(hostname.to_owned()).map_err(|cause| cause.to_string())?;
    let stream = TcpStream::connect(("127.0.0.1", 2087)).await.map_err(|cause| cause.to_string())?;
    tokio_rustls::TlsConnector::from(Arc::new(config)).connect(server, stream).await.map(drop).map_err(|cause| cause.to_string())
}

fn clock(host: &Host) -> Check {
    const NAME: &str = "clock";
    match host.tools.run("timedatectl", &["show", "--property=NTPSynchronized", "--value"]) {
        Ok(said) if said.good && said.out.trim() == "yes" => Check::good(NAME, "synchronised"),
        Ok(said) if said.good => Check::bad(
            NAME,
            Verdict::Warning,
            "not synchronised",
            "Run chronyd or another time service; logs and tokens of nodes compare times.",
        ),
        _ => Check {
            name: NAME,
            verdict: Verdict::Skipped,
            found: "nothing here says whether it is synchronised".to_owned(),
            next: None,
        },
    }
}

fn disk(host: &Host, place: &'static str) -> Check {
    match rustix::fs::statvfs(host.path(place)) {
        Err(cause) => Check::failed("disk", format!("{place}: {cause}"), format!("Look at {place}.")),
        Ok(system) => {
            let free = system.f_bavail.saturating_mul(system.f_frsize);
            let found = format!("{place} has {} free", indicatif::DecimalBytes(free));
            if free < LITTLE {
                Check::failed("disk", found, "Make room; moves need it, and so does the record of them.")
            } else if free < SOME {
                Check::bad("disk", Verdict::Warning, found, "Make room before moving large accounts.")
            } else {
                Check::good("disk", found)
            }
        }
    }
}

/// ConfigServer Firewall judges a connection after the redirect, by the shim's port.
fn firewall(host: &Host) -> Option<Check> {
    const NAME: &str = "firewall";
    let text = std::fs::read_to_string(host.path("/etc/csf/csf.conf")).ok()?;
    let closed = closed_in_csf(&text);
    Some(if closed.is_empty() {
        Check::good(NAME, "csf lets the redirected ports in")
    } else {
        let list: Vec<String> = closed.iter().map(ToString::to_string).collect();
        Check::failed(
            NAME,
            format!("csf does not let in port {}, where redirected connections arrive", list.join(", ")),
            "Add them to TCP_IN in /etc/csf/csf.conf and run “csf -r”. From outside they stay closed but for redirected connections.",
        )
    })
}

fn closed_in_csf(text: &str) -> Vec<u16> {
    let open = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("TCP_IN"))
        .and_then(|rest| rest.split('"').nth(1))
        .unwrap_or_default();
    let lets_in = |port: u16| {
        open.split(',').any(|part| match part.trim().split_once(':') {
            Some((from, to)) => {
                from.parse::<u16>().is_ok_and(|from| from <= port) && to.parse::<u16>().is_ok_and(|to| port <= to)
            }
            None => part.trim().parse() == Ok(port),
        })
    };
    // Only those whose public port is open: what is closed is meant to be.
    PORTS.iter().filter(|(public, shim)| lets_in(*public) && !lets_in(*shim)).map(|(_, shim)| *shim).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csf_has_to_let_the_redirected_ports_in() {
        assert_eq!(closed_in_csf("# x\nTCP_IN = \"25,2083,2087,12083\"\n"), vec![12087]);
        assert_eq!(closed_in_csf("TCP_IN = \"2082:2096,12082:12096\""), Vec::<u16>::new());
    }
}
