//! Whether this machine can carry a lab; what it lacks is said plainly, with what to do.

use std::fs;
use std::path::Path;

use super::error::{Context as _, Error, Result, run};
use super::layout::Place;
use super::packages;

/// Free disk a lab wants, in bytes.
const DISK: u64 = 2 << 30;

/// Everything this machine lacks; empty when a lab can be brought up.
pub fn lacking(place: &Place) -> Result<Vec<String>> {
    let mut lacking = Vec::new();
    if !rustix::process::geteuid().is_root() {
        // Without root nothing else can be found out.
        return Ok(vec!["root: run this as root (namespaces, mounts and users need it)".into()]);
    }
    match packages::missing(false) {
        Ok(missing) if missing.is_empty() => {}
        Ok(missing) => {
            lacking.push(format!("Debian packages: {} — install them with: lab packages --install", missing.join(" ")))
        }
        Err(error) => lacking.push(format!("Debian 12: {error}")),
    }
    for (kind, file) in [("mount", "mnt"), ("network", "net"), ("process", "pid"), ("host name", "uts"), ("IPC", "ipc")] {
        if !Path::new("/proc/self/ns").join(file).exists() {
            lacking.push(format!("{kind} namespaces: this kernel is built without them"));
        }
    }
    fs::create_dir_all(&place.base).doing(super::error::at("create", &place.base))?;
    if lacking.is_empty()
        && let Err(error) = try_overlay(place)
    {
        lacking.push(format!(
            "overlayfs of / with its upper layer in {}: {error} — put the lab on another file system with LAB_DIR=/path (ext4 or xfs), \
             and in a container allow mounts (CAP_SYS_ADMIN)",
            place.base.display()
        ));
    }
    if let Ok(disk) = rustix::fs::statvfs(&place.base) {
        let free = disk.f_bavail * disk.f_frsize;
        if free < DISK {
            lacking.push(format!(
                "disk: {} MB free in {}, at least {} MB are wanted — make room or set LAB_DIR to another disk",
                free >> 20,
                place.base.display(),
                DISK >> 20
            ));
        }
    }
    Ok(lacking)
}

/// Fails with all that this machine lacks.
pub fn ready(place: &Place) -> Result<()> {
    let lacking = lacking(place)?;
    if lacking.is_empty() {
        return Ok(());
    }
    Err(Error::Lacking(lacking))
}

/// Makes namespaces and mounts an overlay as a node does, in a namespace that ends with the attempt.
fn try_overlay(place: &Place) -> Result<()> {
    let dir = place.base.join(format!(".{}.try", place.name));
    for part in ["upper", "work", "root"] {
        fs::create_dir_all(dir.join(part)).doing(super::error::at("create", &dir))?;
    }
    let shown = dir.display();
    let script = format!(
        "mount -t overlay overlay -o lowerdir=/,upperdir={shown}/upper,workdir={shown}/work {shown}/root && mount -t proc proc {shown}/root/proc"
    );
    let tried = run(
        &["unshare", "--mount", "--net", "--uts", "--ipc", "--pid", "--fork", "--propagation", "private", "sh", "-ec", &script],
        "",
    );
    let _ = fs::remove_dir_all(&dir);
    tried.map(drop)
}
