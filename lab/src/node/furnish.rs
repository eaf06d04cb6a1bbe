//! What a node's disk holds before its daemons start: names, certificates, cPanel's places, the daemons' configuration.
//!
//! Everything that belongs to accounts is written once, at the first start; configuration at every start.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::PathBuf;

use super::authority::Authority;
use super::error::{Context as _, Result, at, run};
use super::layout::{DOMAIN, Kind, Node, PARENT, Plan, RESOLVER, write_with_mode};
use super::{services, users};
use crate::machine::Machine;

/// The cPanel & WHM version the stand-in says it is.
pub const VERSION: &str = "11.138.0.19";
/// Where a trusted authority's certificate lies on a Debian machine.
const TRUSTED: &str = "/usr/local/share/ca-certificates/linked-nodes-lab.crt";
/// The authority for the stand-in, which plays AutoSSL.
const AUTHORITY: &str = "/var/cpanel/lab/ca";
/// Written when the first start has furnished the node.
const FURNISHED: &str = "/var/cpanel/lab/furnished";
/// The user Exim runs as on Debian, in the group `mail` as cPanel's `mailnull` is.
pub const EXIM_USER: &str = "Debian-exim";
/// Commands at cPanel's paths that are the lab's binary under another name.
const COMMANDS: &[&str] = &[
    "cpanel",
    "cpsrvd",
    "bin/whmapi1",
    "bin/uapi",
    "bin/manage_hooks",
    "bin/register_appconfig",
    "bin/unregister_appconfig",
    "bin/is_registered_with_appconfig",
    "bin/show_appconfig",
    "bin/autorespond",
];

/// Furnishes the node whose tree is `machine`.
pub fn furnish(machine: &Machine, plan: &Plan, node: &Node, authority: &Authority) -> Result<()> {
    let disk = Disk { machine, node, plan };
    let first = !machine.path(FURNISHED).exists();
    disk.names()?;
    if first {
        disk.trust(authority)?;
        disk.without_people()?;
        disk.remove("/etc/rc.local")?;
    }
    match node.kind {
        Kind::Client => {}
        Kind::Resolver => disk.resolver()?,
        Kind::Parent | Kind::Child => {
            if first {
                disk.cpanel(authority)?;
            }
            disk.mail()?;
            if node.kind == Kind::Parent {
                disk.zones(first)?;
            }
        }
    }
    disk.write(FURNISHED, "", 0o600)
}

/// Replaces `@NAME@` marks in a template.
pub fn render(template: &str, values: &[(&str, &str)]) -> String {
    values.iter().fold(template.to_owned(), |text, (name, value)| text.replace(&format!("@{name}@"), value))
}

/// The zone that holds the nodes' own names.
fn lab_zone(plan: &Plan) -> String {
    let mut zone =
        format!("$TTL 60\n@ IN SOA parent.{DOMAIN}. root.parent.{DOMAIN}. 1 3600 600 86400 5\n@ IN NS parent.{DOMAIN}.\n");
    for node in &plan.nodes {
        // Writing to a String cannot fail.
        let _ = writeln!(zone, "{} IN A {}", node.name, node.address);
    }
    zone
}

struct Disk<'a> {
    machine: &'a Machine,
    node: &'a Node,
    plan: &'a Plan,
}

impl Disk<'_> {
    fn write(&self, path: &str, text: impl AsRef<[u8]>, mode: u32) -> Result<()> {
        write_with_mode(&self.machine.path(path), text, mode)
    }

    /// Writes a file only if it is not there, so that a restarted node keeps what happened to it.
    fn write_once(&self, path: &str, text: impl AsRef<[u8]>, mode: u32) -> Result<()> {
        if self.machine.path(path).exists() {
            return Ok(());
        }
        self.write(path, text, mode)
    }

    fn read(&self, path: &str) -> Result<String> {
        let path = self.machine.path(path);
        match fs::read_to_string(&path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
            other => other.doing(at("read", &path)),
        }
    }

    fn folder(&self, path: &str, mode: u32) -> Result<PathBuf> {
        let path = self.machine.path(path);
        fs::create_dir_all(&path).doing(at("create", &path))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).doing(at("set the mode of", &path))?;
        Ok(path)
    }

    /// Removes a file, link or whole folder that the machine's own disk shows through.
    fn remove(&self, path: &str) -> Result<()> {
        let path = self.machine.path(path);
        let gone = match fs::symlink_metadata(&path) {
            Err(_) => return Ok(()),
            Ok(found) if found.is_dir() => fs::remove_dir_all(&path),
            Ok(_) => fs::remove_file(&path),
        };
        gone.doing(at("remove", &path))
    }

    /// An empty folder where the machine may have had one with content.
    fn fresh_folder(&self, path: &str, mode: u32) -> Result<PathBuf> {
        self.remove(path)?;
        self.folder(path, mode)
    }

    fn user(&self, name: &str) -> Result<u32> {
        Ok(users::id_of(&self.read("/etc/passwd")?, name).unwrap_or(0))
    }

    fn group(&self, name: &str) -> Result<u32> {
        Ok(users::id_of(&self.read("/etc/group")?, name).unwrap_or(0))
    }

    fn owned(&self, path: &str, user: &str, group: &str) -> Result<()> {
        let path = self.machine.path(path);
        chown(&path, Some(self.user(user)?), Some(self.group(group)?)).doing(at("set the owner of", &path))
    }

    fn names(&self) -> Result<()> {
        let hostname = self.node.hostname();
        self.write("/etc/hostname", format!("{hostname}\n"), 0o644)?;
        self.write("/etc/mailname", format!("{hostname}\n"), 0o644)?;
        let hosts = format!("127.0.0.1 localhost\n::1 localhost\n{} {hostname} {}\n", self.node.address, self.node.name);
        self.write("/etc/hosts", hosts, 0o644)?;
        self.write("/etc/resolv.conf", format!("nameserver {RESOLVER}\noptions timeout:2 attempts:3\n"), 0o644)
    }

    /// Puts the authority where `update-ca-certificates` would, for every library that verifies.
    fn trust(&self, authority: &Authority) -> Result<()> {
        self.write(TRUSTED, &authority.certificate, 0o644)?;
        let bundle = "/etc/ssl/certs/ca-certificates.crt";
        self.write(bundle, format!("{}{}", self.read(bundle)?, authority.certificate), 0o644)?;
        let trusted = self.machine.path(TRUSTED);
        let output = run(&["openssl", "x509", "-noout", "-hash", "-in", &trusted.display().to_string()], "")?;
        let hash = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        for link in ["linked-nodes-lab.pem".to_owned(), format!("{hash}.0")] {
            let link = self.machine.path("/etc/ssl/certs").join(link);
            let _ = fs::remove_file(&link);
            symlink(TRUSTED, &link).doing(at("link", &link))?;
        }
        Ok(())
    }

    fn without_people(&self) -> Result<()> {
        let mut names = Vec::new();
        for path in ["/etc/passwd", "/etc/group"] {
            let (kept, gone) = users::without_people(&self.read(path)?);
            self.write(path, kept, 0o644)?;
            names.extend(gone);
        }
        let shadow = self.group("shadow")?;
        for (path, mode) in [("/etc/shadow", 0o640), ("/etc/gshadow", 0o640), ("/etc/subuid", 0o644), ("/etc/subgid", 0o644)] {
            let kept = users::without_names(&self.read(path)?, &names);
            self.write(path, kept, mode)?;
            if mode == 0o640 {
                chown(self.machine.path(path), Some(0), Some(shadow)).doing(format!("set the owner of {path}"))?;
            }
        }
        let groups = users::with_member(&self.read("/etc/group")?, "mail", EXIM_USER);
        self.write("/etc/group", groups, 0o644)
    }

    /// cPanel's own places, as an installation without accounts has them.
    fn cpanel(&self, authority: &Authority) -> Result<()> {
        for (path, mode) in [
            ("/var/cpanel", 0o711),
            ("/var/cpanel/lab", 0o700),
            ("/var/cpanel/users", 0o711),
            ("/var/cpanel/packages", 0o755),
            ("/var/cpanel/packages/extensions", 0o755),
            ("/var/cpanel/suspended", 0o755),
            ("/var/cpanel/suspended_incoming", 0o755),
            ("/var/cpanel/service_proxy_backends", 0o755),
            ("/var/cpanel/domain_keys", 0o755),
            ("/var/cpanel/domain_keys/public", 0o755),
            ("/var/cpanel/hooks/data", 0o755),
            ("/var/cpanel/apps", 0o755),
            ("/var/cpanel/logs", 0o755),
            ("/var/cpanel/ssl", 0o711),
            ("/var/cpanel/ssl/cpanel", 0o700),
            ("/usr/local/cpanel/logs", 0o711),
            ("/usr/local/cpanel/whostmgr/docroot/cgi", 0o755),
            ("/usr/local/cpanel/whostmgr/docroot/addon_plugins", 0o755),
            ("/usr/local/cpanel/scripts", 0o755),
            ("/usr/local/cpanel/3rdparty/bin", 0o755),
            ("/etc/valiases", 0o751),
            ("/etc/vdomainaliases", 0o751),
            ("/etc/vfilters", 0o751),
        ] {
            self.folder(path, mode)?;
        }
        // Exim signs and serves certificates as a member of `mail`; new files below inherit the group.
        for path in ["/var/cpanel/domain_keys/private", "/var/cpanel/ssl/domain_tls"] {
            let folder = self.folder(path, 0o2750)?;
            self.owned(path, "root", "mail")?;
            fs::set_permissions(&folder, fs::Permissions::from_mode(0o2750)).doing(at("set the mode of", &folder))?;
        }
        self.write("/usr/local/cpanel/version", format!("{VERSION}\n"), 0o644)?;
        for name in COMMANDS {
            let link = self.machine.path("/usr/local/cpanel").join(name);
            let _ = fs::remove_file(&link);
            symlink("/usr/local/cpanel/bin/lab", &link).doing(at("link", &link))?;
        }
        // Later runs of the node keep the profile that was activated.
        self.write_once("/var/cpanel/server_profile.json", serde_json::json!({"code": self.node.profile}).to_string(), 0o644)?;
        self.write("/var/cpanel/packages/default", include_str!("../../templates/package-default"), 0o644)?;
        for path in [
            "/etc/remotedomains",
            "/etc/manualmx",
            "/etc/trueuserdomains",
            "/etc/domainusers",
            "/etc/secondarymx",
            "/etc/mail_sni_map",
        ] {
            self.write(path, "", 0o644)?;
        }
        self.write("/etc/userdomains", "*: nobody\n", 0o644)?;
        self.write("/etc/localdomains", format!("{}\n", self.node.hostname()), 0o644)?;
        self.write("/etc/aliases", "mailer-daemon: postmaster\npostmaster: root\nabuse: root\n", 0o644)?;

        self.folder(AUTHORITY, 0o700)?;
        self.write(&format!("{AUTHORITY}/ca.pem"), &authority.certificate, 0o644)?;
        self.write(&format!("{AUTHORITY}/ca.key"), &authority.key, 0o600)?;
        let combined = authority.issue(&[self.node.hostname(), "localhost".into(), self.node.address.to_string()])?;
        self.write("/var/cpanel/ssl/cpanel/cpanel.pem", &combined, 0o600)?;
        // Exim reads its certificate after it has given up root.
        self.write("/etc/exim.pem", &combined, 0o640)?;
        self.owned("/etc/exim.pem", "root", "mail")
    }

    /// Configuration of Dovecot and Exim.
    fn mail(&self) -> Result<()> {
        let servers: Vec<String> = self.plan.servers().map(|node| node.address.to_string()).collect();
        let hostname = self.node.hostname();
        let address = self.node.address.to_string();
        self.fresh_folder("/etc/dovecot", 0o755)?;
        self.write("/etc/dovecot/auth.lua", include_str!("../../templates/dovecot-auth.lua"), 0o644)?;
        let values = [("HOSTNAME", hostname.as_str()), ("ADDRESS", address.as_str()), ("CA", TRUSTED)];
        let dovecot = render(
            include_str!("../../templates/dovecot.conf"),
            &[&values[..], &[("SERVERS", servers.join(" ").as_str())]].concat(),
        );
        self.write("/etc/dovecot/dovecot.conf", dovecot, 0o644)?;
        services::write_sni(self.machine)?;

        let exim = render(
            include_str!("../../templates/exim.conf"),
            &[&values[..], &[("SERVERS", servers.join(" : ").as_str())]].concat(),
        );
        self.write("/etc/exim.conf", exim, 0o644)?;
        self.fresh_folder("/etc/exim4", 0o755)?;
        let default = self.machine.path("/etc/exim4/exim4.conf");
        symlink("/etc/exim.conf", &default).doing(at("link", &default))?;
        let exim = self.machine.path("/usr/sbin/exim");
        let _ = fs::remove_file(&exim);
        symlink("exim4", &exim).doing(at("link", &exim))?;
        for log in ["main", "reject", "panic"] {
            let path = format!("/var/log/exim_{log}log");
            self.write_once(&path, "", 0o640)?;
            self.owned(&path, EXIM_USER, "adm")?;
        }
        self.owned("/var/spool/exim4", EXIM_USER, "mail")?;
        // Sockets and pid files of a node that was stopped and started again are gone with its /run.
        self.folder("/run/exim4", 0o750)?;
        self.owned("/run/exim4", EXIM_USER, "mail")?;
        if !self.machine.path(FURNISHED).exists() {
            self.fresh_folder("/var/mail", 0o2775)?;
            self.owned("/var/mail", "root", "mail")?;
            self.fresh_folder("/var/lib/dovecot", 0o755)?;
        }
        Ok(())
    }

    /// The authoritative name server: accounts' zones in cPanel's places, the lab's own names apart from them.
    fn zones(&self, first: bool) -> Result<()> {
        self.fresh_folder("/etc/powerdns", 0o755)?;
        let address = PARENT.to_string();
        self.write(
            "/etc/powerdns/pdns.conf",
            render(include_str!("../../templates/pdns.conf"), &[("ADDRESS", address.as_str())]),
            0o644,
        )?;
        self.write("/etc/powerdns/named.conf", include_str!("../../templates/lab-named.conf"), 0o644)?;
        self.write("/etc/powerdns/lab/lab.test.db", lab_zone(self.plan), 0o644)?;
        self.write("/etc/powerdns/lab/root.db", include_str!("../../templates/root-zone.db"), 0o644)?;
        self.folder("/run/pdns", 0o755)?;
        self.owned("/run/pdns", "pdns", "pdns")?;
        if first {
            self.folder("/var/named", 0o755)?;
            self.write("/etc/named.conf", include_str!("../../templates/named.conf"), 0o644)?;
        }
        Ok(())
    }

    fn resolver(&self) -> Result<()> {
        self.fresh_folder("/etc/powerdns", 0o755)?;
        let (address, parent) = (RESOLVER.to_string(), PARENT.to_string());
        self.write(
            "/etc/powerdns/recursor.conf",
            render(include_str!("../../templates/recursor.conf"), &[("ADDRESS", address.as_str()), ("PARENT", parent.as_str())]),
            0o644,
        )?;
        self.folder("/run/pdns-recursor", 0o755)?;
        self.owned("/run/pdns-recursor", "pdns", "pdns")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_have_no_marks_left() {
        let values = [("HOSTNAME", "h"), ("ADDRESS", "a"), ("CA", "c"), ("SERVERS", "s"), ("PARENT", "p")];
        for template in [
            include_str!("../../templates/dovecot.conf"),
            include_str!("../../templates/exim.conf"),
            include_str!("../../templates/pdns.conf"),
            include_str!("../../templates/recursor.conf"),
        ] {
            let text = render(template, &values);
            let mut words: Vec<&str> = text.split('@').skip(1).collect();
            words.pop();
            let left = words.into_iter().find(|word| !word.is_empty() && word.bytes().all(|b| b.is_ascii_uppercase()));
            assert_eq!(left, None);
        }
    }

    #[test]
    fn the_zone_names_every_node() {
        let plan = Plan::new("lab", 1, &[], &[]).unwrap();
        let zone = lab_zone(&plan);
        for line in ["parent IN A 10.77.0.10", "mail1 IN A 10.77.0.11", "client IN A 10.77.0.200"] {
            assert!(zone.lines().any(|l| l == line), "{line} not in {zone}");
        }
    }
}
