//! What the stand-in asks of the running daemons after it changed their files.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use super::error::{Context as _, Error, Result, at, run};
use super::layout::write_with_mode;
use super::{sni, users};
use crate::machine::Machine;

/// cPanel's place for certificates of domains: `DOMAIN/combined` holds key, certificate and chain.
pub const DOMAIN_TLS: &str = "/var/cpanel/ssl/domain_tls";

/// Certificates below `/var/cpanel/ssl/domain_tls` changed: Dovecot and Exim serve them by SNI from now on.
///
/// Rewrites Dovecot's include and Exim's map, makes the files readable for Exim, and reloads Dovecot. Exim reads its map at
/// every connection. Outside a node (`machine.root` is not `/`) only the files are written.
pub fn reload_dovecot_sni(machine: &Machine) -> Result<()> {
    if write_sni(machine)? && machine.root.as_os_str() == "/" && machine.path("/run/dovecot/master.pid").exists() {
        run(&["doveadm", "reload"], "")?;
    }
    Ok(())
}

/// A zone file or `/etc/named.conf` changed: the name server answers with it from now on.
///
/// Does nothing where no authoritative server runs: on children, and outside a node.
pub fn zone_changed(machine: &Machine, zone: &str) -> Result<()> {
    if machine.root.as_os_str() != "/" || !machine.path("/run/pdns/pdns.controlsocket").exists() {
        return Ok(());
    }
    run(&["pdns_control", "rediscover"], "")?;
    // A zone that was removed is unknown by now; `rediscover` said all there is to say about it.
    let file = machine.path("/var/named").join(format!("{zone}.db"));
    if file.exists() {
        run(&["pdns_control", "bind-reload-now", zone], "")?;
    }
    Ok(())
}

/// The server's roles changed: the name server stops or starts with `DNS`, IMAP and POP3 with `MailReceive`. Exim, and Dovecot's delivery
/// of mail for it, have a role in every profile; the other services of roles do not run in a lab.
pub fn follow_roles(machine: &Machine) -> Result<()> {
    write_protocols(machine)?;
    if machine.root.as_os_str() != "/" {
        return Ok(());
    }
    if machine.path("/run/dovecot/master.pid").exists() {
        run(&["doveadm", "reload"], "")?;
    }
    if !has_name_server(machine) {
        return Ok(());
    }
    let (pid, stop) = (machine.path("/run/lab/pdns.pid"), machine.path("/run/lab/pdns.stop"));
    let on = machine.role_enabled("DNS") == Some(true);
    if on && stop.exists() {
        fs::remove_file(&stop).doing(at("remove", &stop))?;
        until("the name server starts", || pid.exists())?;
    } else if let (false, Ok(number)) = (on, fs::read_to_string(&pid)) {
        hold_back(machine)?;
        run(&["kill", number.trim()], "")?;
        until("the name server stops", || !pid.exists())?;
    }
    Ok(())
}

/// Keeps daemons from starting whose role is off: process 1 asks for it before it starts any.
pub fn hold_back(machine: &Machine) -> Result<()> {
    if has_name_server(machine) && machine.role_enabled("DNS") == Some(false) {
        write_with_mode(&machine.path("/run/lab/pdns.stop"), "", 0o644)?;
    }
    Ok(())
}

/// Whether the node runs a name server at all: children leave their zones to the parent.
fn has_name_server(machine: &Machine) -> bool {
    machine.path("/etc/named.conf").exists()
}

fn write_protocols(machine: &Machine) -> Result<()> {
    let path = machine.path("/etc/dovecot/protocols.conf");
    let reading = machine.role_enabled("MailReceive") == Some(true);
    write_with_mode(&path, if reading { "protocols = imap pop3 lmtp\n" } else { "protocols = lmtp\n" }, 0o644)
}

fn until(what: &str, done: impl Fn() -> bool) -> Result<()> {
    let end = Instant::now() + Duration::from_secs(15);
    while !done() {
        if Instant::now() > end {
            return Err(Error::NotReady(format!("not within 15 s: {what}")));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// Writes `/etc/dovecot/sni.conf` and `/etc/mail_sni_map` from the certificates on disk. Returns whether anything is new: a
/// certificate renewed in place counts, since Dovecot keeps what it read.
pub fn write_sni(machine: &Machine) -> Result<bool> {
    let folder = machine.path(DOMAIN_TLS);
    let mut certificates = Vec::new();
    for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
        let path = entry.path().join("combined");
        let Ok(text) = fs::read(&path) else { continue };
        readable_for_mail(machine, &entry.path(), &path)?;
        certificates.push(sni::Certificate {
            domain: entry.file_name().to_string_lossy().into_owned(),
            names: sni::names(&text),
            digest: sni::digest(&text),
        });
    }
    let served = sni::served(certificates);
    let dovecot = sni::dovecot(&served);
    let path = machine.path("/etc/dovecot/sni.conf");
    let new = fs::read_to_string(&path).ok().as_deref() != Some(dovecot.as_str());
    write_with_mode(&machine.path("/etc/mail_sni_map"), sni::exim(&served), 0o644)?;
    write_with_mode(&path, dovecot, 0o644)?;
    Ok(new)
}

/// Exim reads keys after it has given up root: as a member of `mail`.
fn readable_for_mail(machine: &Machine, folder: &std::path::Path, file: &std::path::Path) -> Result<()> {
    let groups = machine.path("/etc/group");
    let group = fs::read_to_string(&groups).ok().and_then(|text| users::id_of(&text, "mail"));
    for (path, mode) in [(folder, 0o750), (file, 0o640)] {
        if group.is_some() {
            std::os::unix::fs::chown(path, None, group).doing(at("set the group of", path))?;
        }
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).doing(at("set the mode of", path))?;
    }
    Ok(())
}
