//! The shim shows cpsrvd's own certificates. Their files are for root alone, so the shim gets copies in a directory of its group.

use super::{replace, sockets};
use crate::error::{Context as _, Result};
use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// cpsrvd's certificate: an administrator's own, or the one cPanel made.
const DEFAULTS: [&str; 2] = ["/var/cpanel/ssl/cpanel/mycpanel.pem", "/var/cpanel/ssl/cpanel/cpanel.pem"];
/// One folder a domain, with the file `combined` (key, certificate, chain).
const DOMAINS: &str = "/var/cpanel/ssl/domain_tls";

/// Copies what changed and removes what is gone.
pub fn copy(dir: &Path) -> Result<()> {
    let group = sockets::group_id(sockets::SHIM_GROUP)?;
    let by_name = dir.join("by-name");
    for dir in [dir, &by_name] {
        std::fs::create_dir_all(dir).context("making room for the certificates of the shim")?;
        std::os::unix::fs::chown(dir, Some(0), Some(group)).context("closing the certificates of the shim")?;
        std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o750)).context("closing the certificates of the shim")?;
    }
    if let Some(pem) = DEFAULTS.iter().find_map(|file| std::fs::read(file).ok()) {
        replace(&dir.join("default.pem"), &pem, 0o640, Some(group))?;
    }
    let mut wanted = BTreeSet::new();
    for entry in std::fs::read_dir(DOMAINS).into_iter().flatten().flatten() {
        let Ok(domain) = entry.file_name().into_string() else { continue };
        let bare = domain.strip_prefix("*.").unwrap_or(&domain);
        if crate::rules::names::domain(bare).is_err() {
            continue;
        }
        if let Ok(pem) = std::fs::read(entry.path().join("combined")) {
            let name = format!("{domain}.pem");
            replace(&by_name.join(&name), &pem, 0o640, Some(group))?;
            wanted.insert(name);
        }
    }
    for entry in std::fs::read_dir(&by_name).context("listing the certificates of the shim")?.flatten() {
        if entry.file_name().to_str().is_some_and(|name| !wanted.contains(name)) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
    Ok(())
}
