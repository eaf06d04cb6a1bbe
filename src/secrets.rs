//! Tokens. One file for root alone, replaced whole; never listed, never logged, never in the database.

use crate::error::{Code, Context as _, Error, Result};
use secrecy::{ExposeSecret as _, SecretString};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// The key of the token with which `serve` calls its own cPanel. No alias can hold a dot.
pub const OWN: &str = ".local";

/// The key of the token that the link `alias` had before its present one, until it is revoked.
pub fn former(alias: &str) -> String {
    format!(".former/{alias}")
}

/// The token file.
pub struct Secrets {
    file: PathBuf,
    /// One writer at a time.
    lock: Mutex<()>,
}

impl Secrets {
    /// The secrets kept in `dir`.
    pub fn new(dir: &Path) -> Self {
        Self { file: dir.join("tokens.json"), lock: Mutex::new(()) }
    }

    fn load(&self) -> Result<BTreeMap<String, String>> {
        match std::fs::read(&self.file) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map_err(|_| Error::new(Code::Machine, format!("{} is damaged.", self.file.display()))),
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => Ok(BTreeMap::new()),
            Err(cause) => Err(Error::machine(format!("reading {}", self.file.display()), cause)),
        }
    }

    /// The token kept under `key`.
    ///
    /// # Errors
    /// [`Code::NotFound`] when there is none.
    pub fn get(&self, key: &str) -> Result<SecretString> {
        let _guard = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        self.load()?
            .remove(key)
            .map(SecretString::from)
            .ok_or_else(|| Error::new(Code::NotFound, format!("No token is kept for “{key}”.")))
    }

    /// Keeps `token` under `key`, or forgets it; on disk when this returns.
    ///
    /// # Errors
    /// When the file cannot be replaced.
    pub fn set(&self, key: &str, token: Option<&SecretString>) -> Result<()> {
        self.set_all(&[(key, token)])
    }

    /// As [`Secrets::set`] for several keys: all of them on disk, or none.
    ///
    /// # Errors
    /// When the file cannot be replaced.
    pub fn set_all(&self, changes: &[(&str, Option<&SecretString>)]) -> Result<()> {
        let _guard = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = self.load()?;
        for (key, token) in changes {
            match token {
                Some(token) => all.insert((*key).to_owned(), token.expose_secret().to_owned()),
                None => all.remove(*key),
            };
        }
        let what = format!("writing {}", self.file.display());
        let fresh = self.file.with_extension("new");
        let _ = std::fs::remove_file(&fresh);
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh).context(&what)?;
        serde_json::to_writer(&mut file, &all).context(&what)?;
        file.flush().context(&what)?;
        file.sync_all().context(&what)?;
        std::fs::rename(&fresh, &self.file).context(&what)?;
        let dir = self.file.parent().unwrap_or(Path::new("/"));
        std::fs::File::open(dir).and_then(|dir| dir.sync_all()).context(&what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn kept_for_root_alone_and_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let secrets = Secrets::new(dir.path());
        secrets.set("mail1", Some(&SecretString::from("T1"))).unwrap();
        secrets.set("mail2", Some(&SecretString::from("T2"))).unwrap();
        assert_eq!(secrets.get("mail1").unwrap().expose_secret(), "T1");
        assert_eq!(std::fs::metadata(dir.path().join("tokens.json")).unwrap().permissions().mode() & 0o777, 0o600);
        secrets.set("mail1", None).unwrap();
        assert_eq!(secrets.get("mail1").unwrap_err().code, Code::NotFound);
        assert_eq!(secrets.get("mail2").unwrap().expose_secret(), "T2");
    }
}
