//! DKIM keys: `/var/cpanel/domain_keys/{private,public}/DOMAIN`, selector `default`.

use rsa::pkcs1::DecodeRsaPrivateKey;
use rsa::pkcs8::{DecodePrivateKey, EncodePrivateKey, EncodePublicKey, LineEnding};
use rsa::{RsaPrivateKey, RsaPublicKey};

use super::{Machine, files};
use crate::call::Failure;

fn private_file(domain: &str) -> String {
    format!("/var/cpanel/domain_keys/private/{domain}")
}

fn public_file(domain: &str) -> String {
    format!("/var/cpanel/domain_keys/public/{domain}")
}

impl Machine {
    /// The private key of `domain`, PEM.
    pub fn dkim_private_key(&self, domain: &str) -> Result<Option<String>, Failure> {
        Ok(files::read(&self.path(&private_file(domain)))?)
    }

    /// Makes a 2,048-bit key for `domain` where there is none. Gives whether it made one.
    pub fn ensure_dkim_key(&self, domain: &str) -> Result<bool, Failure> {
        if self.dkim_private_key(domain)?.is_some() {
            return Ok(false);
        }
        let key = RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 2048)
            .map_err(|error| Failure::new(format!("cannot make a DKIM key: {error}")))?;
        let pem = key.to_pkcs8_pem(LineEnding::LF).map_err(|error| Failure::new(error.to_string()))?;
        self.install_dkim_key(domain, &pem)?;
        Ok(true)
    }

    /// Installs the private key of `domain`, and its public half beside it. DNS is not touched.
    pub fn install_dkim_key(&self, domain: &str, pem: &str) -> Result<(), Failure> {
        let key = RsaPrivateKey::from_pkcs8_pem(pem.trim())
            .or_else(|_| RsaPrivateKey::from_pkcs1_pem(pem.trim()))
            .map_err(|_| Failure::new(format!("The key for “{domain}” is not a valid RSA private key.")))?;
        let public =
            RsaPublicKey::from(&key).to_public_key_pem(LineEnding::LF).map_err(|error| Failure::new(error.to_string()))?;
        let private = format!("{}\n", pem.trim());
        files::replace(&self.path(&private_file(domain)), private.as_bytes(), 0o640)?;
        // The mail server signs, so its group reads the key.
        if let Some(gid) = self.group_id("mail") {
            std::os::unix::fs::chown(self.path(&private_file(domain)), None, Some(gid))?;
        }
        files::replace(&self.path(&public_file(domain)), public.as_bytes(), 0o644)?;
        Ok(())
    }

    /// The text of the domain's `default._domainkey` record.
    pub fn dkim_record(&self, domain: &str) -> Result<Option<String>, Failure> {
        let Some(pem) = files::read(&self.path(&public_file(domain)))? else { return Ok(None) };
        let key: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
        Ok(Some(format!("v=DKIM1; k=rsa; p={key};")))
    }

    /// Removes the keys of `domain`.
    pub fn forget_dkim_key(&self, domain: &str) -> Result<(), Failure> {
        files::remove(&self.path(&private_file(domain)))?;
        Ok(files::remove(&self.path(&public_file(domain)))?)
    }

    /// Gives the keys of `old` to `new`.
    pub fn rename_dkim_key(&self, old: &str, new: &str) -> Result<(), Failure> {
        for file in [private_file, public_file] {
            if self.path(&file(old)).exists() {
                std::fs::rename(self.path(&file(old)), self.path(&file(new)))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::machine::scratch;

    #[test]
    fn a_key_is_made_once_and_published() {
        let (_folder, machine) = scratch::machine();
        assert!(machine.ensure_dkim_key("a.example").unwrap());
        let record = machine.dkim_record("a.example").unwrap().unwrap();
        assert!(record.starts_with("v=DKIM1; k=rsa; p=MII"));
        assert!(!machine.ensure_dkim_key("a.example").unwrap());
        let pem = machine.dkim_private_key("a.example").unwrap().unwrap();
        machine.install_dkim_key("b.example", &pem).unwrap();
        assert_eq!(machine.dkim_record("b.example").unwrap().unwrap(), record);
        assert!(machine.install_dkim_key("b.example", "nonsense").is_err());
    }
}
