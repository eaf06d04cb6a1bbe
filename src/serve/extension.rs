//! Keeps our fields in WHM's forms as the links are.

use crate::authority::Authority;
use crate::error::{Context as _, Result};
use crate::rules::extension::{FRAGMENT, MARKER, fragment};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// Writes the fragment when it is not as the links are. One that is missing or not ours is left alone: the installer puts it there.
///
/// # Errors
/// When the store cannot be read or the disk refuses.
pub fn write(authority: &Authority) -> Result<()> {
    let nodes = authority.store.nodes()?;
    put(Path::new(FRAGMENT), &fragment(nodes.iter().map(|node| node.alias.as_str())))
}

fn put(path: &Path, text: &str) -> Result<()> {
    let Ok(present) = std::fs::read_to_string(path) else { return Ok(()) };
    if present == text || !present.starts_with(MARKER) {
        return Ok(());
    }
    let what = format!("writing {}", path.display());
    // cPanel takes every file of this folder that has no dot in front for an extension.
    let fresh = path.with_file_name(".linkednodes.tt2.new");
    let _ = std::fs::remove_file(&fresh);
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o644).open(&fresh).context(&what)?;
    file.write_all(text.as_bytes()).context(&what)?;
    file.sync_all().context(&what)?;
    std::fs::rename(&fresh, path).context(&what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_fragment_is_written() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("linkednodes.tt2");
        put(&path, &fragment(["mail1"])).unwrap();
        assert!(!path.exists(), "not installed");
        std::fs::write(&path, "a person's").unwrap();
        put(&path, &fragment(["mail1"])).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "a person's");
        std::fs::write(&path, fragment([])).unwrap();
        put(&path, &fragment(["mail1"])).unwrap();
        assert!(std::fs::read_to_string(&path).unwrap().contains("mail1"));
        assert_eq!(std::fs::read_dir(room.path()).unwrap().count(), 1, "nothing is left beside it");
    }
}
