//! The Debian packages a lab needs: the only list of them.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use super::error::{Context as _, Error, Result, run};

/// Package and what for.
pub const NEEDED: &[(&str, &str)] = &[
    ("dovecot-core", "mail access"),
    ("dovecot-imapd", "IMAP"),
    ("dovecot-pop3d", "POP3"),
    ("dovecot-lmtpd", "delivery into mailboxes"),
    ("dovecot-auth-lua", "accounts from cPanel's files"),
    ("exim4-daemon-heavy", "mail transfer"),
    ("pdns-server", "the parent's zones"),
    ("pdns-backend-bind", "the parent's zones"),
    ("pdns-recursor", "the resolver of all nodes"),
    ("bind9-dnsutils", "dig"),
    ("nftables", "port redirection inside nodes"),
    ("iproute2", "network namespaces"),
    ("util-linux", "unshare, nsenter, setsid"),
    ("openssl", "certificates"),
    ("ca-certificates", "the trust store of nodes"),
    ("passwd", "system users of accounts"),
    ("procps", "looking at processes"),
    ("curl", "trying out the APIs"),
    ("perl", "runs the Template Toolkit"),
    ("libtemplate-perl", "package extensions in WHM's forms"),
];

/// Package and what for: what the checks need beside the lab.
pub const CHECKS: &[(&str, &str)] = &[
    ("shellcheck", "the check of scripts"),
    ("chromium", "WHM's pages in a browser"),
    ("chromium-driver", "WebDriver"),
    ("libnss3-tools", "the lab's authority in the browser's trust store"),
    (NPM, "gets the accessibility checker"),
];

/// The package that other packages of Node.js replace.
const NPM: &str = "npm";

/// What is listed: for the lab, and for the checks too.
pub fn listed(checks: bool) -> impl Iterator<Item = &'static (&'static str, &'static str)> {
    NEEDED.iter().chain(CHECKS.iter().filter(move |_| checks))
}

/// The needed packages that are not installed.
pub fn missing(checks: bool) -> Result<Vec<&'static str>> {
    let text = fs::read_to_string("/var/lib/dpkg/status").doing("read the list of installed packages")?;
    let mut missing = missing_in(&text, checks);
    // Node.js from elsewhere brings its own, which Debian's package would fight with.
    missing.retain(|name| *name != NPM || !Path::new("/usr/bin/npm").exists());
    Ok(missing)
}

fn missing_in(status: &str, checks: bool) -> Vec<&'static str> {
    let installed: std::collections::HashSet<&str> = status
        .split("\n\n")
        .filter(|block| block.lines().any(|line| line.starts_with("Status:") && line.ends_with(" installed")))
        .filter_map(|block| block.lines().find_map(|line| line.strip_prefix("Package: ")))
        .collect();
    listed(checks).map(|(name, _)| *name).filter(|name| !installed.contains(name)).collect()
}

/// Installs what is missing, without letting a package start its service on this machine.
pub fn install(checks: bool, out: &mut dyn Write) -> Result<()> {
    let missing = missing(checks)?;
    if missing.is_empty() {
        return writeln!(out, "all {} packages are installed", listed(checks).count()).doing("write");
    }
    if !rustix::process::geteuid().is_root() {
        return Err(Error::Lacking(vec!["root: packages are installed as root".into()]));
    }
    writeln!(out, "installing: {}", missing.join(" ")).doing("write")?;
    let policy = NoStarts::set()?;
    let update = run(&["apt-get", "-q", "update"], "");
    let status = Command::new("apt-get")
        .args(["-q", "-y", "--no-install-recommends", "install"])
        .args(&missing)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdout(std::io::stderr())
        .status()
        .doing("run apt-get install")?;
    drop(policy);
    if !status.success() {
        // An out-of-date list of packages is the likely reason, so its trouble is told first.
        update?;
        return Err(Error::Command { command: format!("apt-get install {}", missing.join(" ")), problem: status.to_string() });
    }
    writeln!(out, "installed: {}", missing.join(" ")).doing("write")
}

/// While it lives, packages do not start services (`policy-rc.d`, Debian Policy 9.3.3.1). A policy of the machine's own is
/// respected and stays.
struct NoStarts {
    ours: bool,
}

const POLICY: &str = "/usr/sbin/policy-rc.d";

impl NoStarts {
    fn set() -> Result<Self> {
        if Path::new(POLICY).exists() {
            return Ok(Self { ours: false });
        }
        fs::write(POLICY, "#!/bin/sh\nexit 101\n").doing(format!("write {POLICY}"))?;
        fs::set_permissions(POLICY, fs::Permissions::from_mode(0o755)).doing(format!("set the mode of {POLICY}"))?;
        Ok(Self { ours: true })
    }
}

impl Drop for NoStarts {
    fn drop(&mut self) {
        if self.ours {
            let _ = fs::remove_file(POLICY);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removed_packages_are_missing() {
        let status = "Package: curl\nStatus: deinstall ok config-files\n\nPackage: openssl\nStatus: install ok installed\n";
        let missing = missing_in(status, false);
        assert!(missing.contains(&"curl") && !missing.contains(&"openssl") && !missing.contains(&"chromium"));
        assert!(missing_in(status, true).contains(&"chromium"));
    }
}
