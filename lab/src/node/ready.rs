//! Waiting for a node: real conditions, asked from the clients' side of the network, with a deadline.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};

use super::error::{Error, Result};
use super::layout::{Kind, Node, PARENT, Place, Plan, RESOLVER};
use super::{boot, net};

/// Something a ready node does.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Condition {
    /// A server greets in plain text, beginning so.
    Greets(u16, &'static str),
    /// A server completes a TLS handshake with a certificate for the node's name, signed by the lab's authority.
    Verifies(u16),
    /// A name server knows the node's name.
    Names(Ipv4Addr),
}

fn conditions(kind: Kind) -> Vec<Condition> {
    use Condition::{Greets, Names, Verifies};
    let mut all = vec![Names(PARENT), Names(RESOLVER)];
    if matches!(kind, Kind::Parent | Kind::Child) {
        all.extend([
            Greets(25, "220 "),
            Greets(587, "220 "),
            Verifies(465),
            Greets(143, "* OK"),
            Verifies(993),
            Greets(110, "+OK"),
            Verifies(995),
        ]);
        all.extend([2083, 2087, 2096].map(Verifies));
    }
    all
}

/// Waits until the parent's name server knows `node`.
pub fn names(place: &Place, plan: &Plan, node: &Node, limit: Duration) -> Result<()> {
    satisfied(place, plan, node, &[Condition::Names(PARENT)], limit)
}

/// Waits until a node does all that it should, or says what it does not do and where to look.
pub fn wait(place: &Place, plan: &Plan, node: &Node, limit: Duration) -> Result<()> {
    satisfied(place, plan, node, &conditions(node.kind), limit)
}

fn satisfied(place: &Place, plan: &Plan, node: &Node, conditions: &[Condition], limit: Duration) -> Result<()> {
    let authority = place.dir().join("ca/ca.pem");
    let tls = trusting(&authority)?;
    let end = Instant::now() + limit;
    let logs = place.log(&node.name);
    for condition in conditions {
        loop {
            let tried = net::inside(&plan.name, "client", || Ok(holds(condition, node, &tls)))?;
            let Err(problem) = tried else { break };
            let what = format!("{}: {} {problem}", node.name, describe(condition, node));
            // Process 1 writes its number within moments of its start.
            let early = limit.saturating_sub(end.saturating_duration_since(Instant::now())) < Duration::from_secs(2);
            if !early && boot::process(place, &node.name).is_none() {
                return Err(Error::NotReady(format!(
                    "{}: its process 1 is not running; see {}/init.log",
                    node.name,
                    logs.display()
                )));
            }
            if Instant::now() > end {
                return Err(Error::NotReady(format!("{what}; logs are in {} ({}/lab)", logs.display(), logs.display())));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    Ok(())
}

fn describe(condition: &Condition, node: &Node) -> String {
    match condition {
        Condition::Greets(port, _) => format!("no greeting on port {port}:"),
        Condition::Verifies(port) => format!("no TLS that verifies for {} on port {port}:", node.hostname()),
        Condition::Names(server) => format!("the name server {server} does not answer for {}:", node.hostname()),
    }
}

/// How long one attempt may take.
const PATIENCE: Duration = Duration::from_secs(2);

fn holds(condition: &Condition, node: &Node, tls: &Arc<rustls::ClientConfig>) -> std::result::Result<(), String> {
    let connect = |port: u16| -> std::io::Result<TcpStream> {
        let stream = TcpStream::connect_timeout(&SocketAddr::from((node.address, port)), PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(stream)
    };
    match condition {
        Condition::Greets(port, wanted) => {
            let mut stream = connect(*port).map_err(|e| e.to_string())?;
            let mut greeting = [0; 4];
            stream.read_exact(&mut greeting).map_err(|e| e.to_string())?;
            // A polite goodbye keeps the daemons' logs free of lost connections.
            let _ = stream.write_all(if *port == 143 { b"a LOGOUT\r\n" } else { b"QUIT\r\n" });
            let greeting = String::from_utf8_lossy(&greeting).into_owned();
            if wanted.starts_with(&greeting) || greeting.starts_with(wanted) {
                return Ok(());
            }
            Err(format!("it says “{greeting}”"))
        }
        Condition::Verifies(port) => {
            let mut stream = connect(*port).map_err(|e| e.to_string())?;
            let name = ServerName::try_from(node.hostname()).map_err(|e| e.to_string())?;
            let mut session = rustls::ClientConnection::new(tls.clone(), name).map_err(|e| e.to_string())?;
            while session.is_handshaking() {
                session.complete_io(&mut stream).map_err(|e| e.to_string())?;
            }
            session.send_close_notify();
            let _ = session.complete_io(&mut stream);
            Ok(())
        }
        Condition::Names(server) => match look_up(*server, &node.hostname()) {
            Ok(Some(address)) if address == node.address => Ok(()),
            Ok(answer) => Err(format!("it says {answer:?}")),
            Err(e) => Err(e.to_string()),
        },
    }
}

fn trusting(authority: &std::path::Path) -> Result<Arc<rustls::ClientConfig>> {
    let wrong = |e: String| Error::Refused(format!("{}: {e}", authority.display()));
    let certificate = CertificateDer::from_pem_file(authority).map_err(|e| wrong(e.to_string()))?;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate).map_err(|e| wrong(e.to_string()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| wrong(e.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// Asks `server` for the address of `name` (RFC 1035, one question of type A).
fn look_up(server: Ipv4Addr, name: &str) -> std::io::Result<Option<Ipv4Addr>> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.set_read_timeout(Some(Duration::from_millis(300)))?;
    socket.connect((server, 53))?;
    socket.send(&question(name))?;
    let mut answer = [0; 512];
    let length = socket.recv(&mut answer)?;
    Ok(first_address(answer.get(..length).unwrap_or_default()))
}

/// A query for the address of `name`, recursion desired.
fn question(name: &str) -> Vec<u8> {
    let mut packet = vec![0x4c, 0x4e, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        packet.push(u8::try_from(label.len()).unwrap_or(63));
        packet.extend_from_slice(label.as_bytes());
    }
    packet.extend_from_slice(&[0, 0, 1, 0, 1]);
    packet
}

/// The address of the last record of an answer, if that is of type A: four bytes after their length.
fn first_address(packet: &[u8]) -> Option<Ipv4Addr> {
    let answers = u16::from_be_bytes([*packet.get(6)?, *packet.get(7)?]);
    let no_error = packet.get(3)? & 0x0f == 0;
    if answers == 0 || !no_error {
        return None;
    }
    // Record after the question's name (its labels, a zero) and type and class: pointer 2, type 2, class 2, TTL 4, length 2.
    let mut at = 12;
    while let Some(&length) = packet.get(at) {
        at += usize::from(length) + 1;
        if length == 0 {
            break;
        }
    }
    let record = packet.get(at + 4..at + 20)?;
    let (kind, data) = (record.get(2..4)?, record.get(10..16)?);
    match (kind, data) {
        ([0, 1], [0, 4, a, b, c, d]) => Some(Ipv4Addr::new(*a, *b, *c, *d)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read() {
        let mut packet = question("a.test");
        assert_eq!(first_address(&packet), None);
        packet[7] = 1;
        packet.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 10, 77, 0, 10]);
        assert_eq!(first_address(&packet), Some(PARENT));
        packet[3] = 3;
        assert_eq!(first_address(&packet), None);
    }
}
