//! A node's own file tree: an overlay of this machine's root with fresh places on top.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind, mount_change, mount_remount, unmount};

use super::error::{Context as _, Result, at};
use super::layout::{Node, Place};

/// Makes the node's tree and enters it: afterwards `/` is the node's. Runs as process 1 of the node's namespaces.
pub fn enter(place: &Place, node: &Node) -> Result<()> {
    let dir = place.node(&node.name);
    let root = dir.join("root");
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).doing("make mounts private")?;
    let options = format!("lowerdir=/,upperdir={},workdir={}", dir.join("upper").display(), dir.join("work").display());
    let options = std::ffi::CString::new(options).map_err(std::io::Error::from).doing("name the overlay's folders")?;
    mount("overlay", &root, "overlay", MountFlags::empty(), Some(options.as_c_str())).doing("mount the overlay of /")?;

    mount_fresh(&root, "proc", "proc", NOTHING_SPECIAL, "")?;
    mount_fresh(&root, "sys", "sysfs", NOTHING_SPECIAL | MountFlags::RDONLY, "")?;
    mount_fresh(&root, "run", "tmpfs", MountFlags::NOSUID | MountFlags::NODEV, "mode=755")?;
    devices(&root)?;
    // Other labs' (and this lab's) folders are below the same root: nothing in a node may see them.
    if let Ok(base) = place.base.strip_prefix("/")
        && root.join(base).is_dir()
    {
        mount_fresh(&root, base, "tmpfs", NOTHING_SPECIAL, "mode=700,size=64k")?;
    }
    match node.home_size {
        Some(size) => {
            mount_fresh(&root, "home", "tmpfs", MountFlags::NOSUID | MountFlags::NODEV, &format!("mode=755,size={size}"))?
        }
        None => own(&dir.join("home"), &root, "home", 0o755)?,
    }
    own(&dir.join("log"), &root, "var/log", 0o755)?;
    own(&dir.join("spool"), &root, "var/spool/exim4", 0o750)?;
    own(&dir.join("tmp"), &root, "tmp", 0o1777)?;

    std::env::set_current_dir(&root).doing(at("enter", &root))?;
    // The old root is stacked on the new one at the same place, and then taken off.
    rustix::process::pivot_root(".", ".").doing("change the root")?;
    unmount(".", UnmountFlags::DETACH).doing("leave the machine's root")?;
    std::env::set_current_dir("/").doing("enter /")
}

const NOTHING_SPECIAL: MountFlags = MountFlags::NOSUID.union(MountFlags::NODEV).union(MountFlags::NOEXEC);

fn mount_fresh(root: &Path, place: impl AsRef<Path>, kind: &str, flags: MountFlags, options: &str) -> Result<()> {
    let target = root.join(place);
    fs::create_dir_all(&target).doing(at("create", &target))?;
    let options = std::ffi::CString::new(options).map_err(std::io::Error::from).doing("name mount options")?;
    mount(kind, &target, kind, flags, Some(options.as_c_str())).doing(at("mount", &target))
}

/// Puts a folder of the node's own over a place of the machine's.
fn own(source: &Path, root: &Path, place: &str, mode: u32) -> Result<()> {
    let target = root.join(place);
    fs::create_dir_all(&target).doing(at("create", &target))?;
    fs::set_permissions(source, fs::Permissions::from_mode(mode)).doing(at("set the mode of", source))?;
    mount_bind(source, &target).doing(at("mount", &target))
}

/// A `/dev` with what daemons need and nothing of the machine's hardware.
fn devices(root: &Path) -> Result<()> {
    mount_fresh(root, "dev", "tmpfs", MountFlags::NOSUID, "mode=755,size=1m")?;
    for name in ["null", "zero", "full", "random", "urandom", "tty"] {
        let target = root.join("dev").join(name);
        fs::write(&target, "").doing(at("create", &target))?;
        mount_bind(Path::new("/dev").join(name), &target).doing(at("mount", &target))?;
    }
    mount_fresh(root, "dev/pts", "devpts", MountFlags::NOSUID | MountFlags::NOEXEC, "newinstance,ptmxmode=0666,mode=620,gid=5")?;
    mount_fresh(root, "dev/shm", "tmpfs", MountFlags::NOSUID | MountFlags::NODEV, "mode=1777")?;
    for (link, target) in [
        ("ptmx", "pts/ptmx"),
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
    ] {
        let link = root.join("dev").join(link);
        symlink(target, &link).doing(at("link", &link))?;
    }
    // Nobody in a node needs to make devices later.
    mount_remount(root.join("dev"), MountFlags::NOSUID | MountFlags::NOEXEC, c"").doing("seal /dev")
}
