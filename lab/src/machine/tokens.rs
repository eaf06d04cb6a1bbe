//! API tokens: `/var/cpanel/authn/api_tokens_v2/{whostmgr,cpanel}/USER.json`. Only a hash of a token is kept.

use std::net::IpAddr;

use base64::Engine;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Machine, files, names};
use crate::call::Failure;

/// Whose API a token opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// WHM.
    Whostmgr,
    /// The cPanel interface.
    Cpanel,
}

impl Service {
    fn folder(self) -> &'static str {
        match self {
            Self::Whostmgr => "whostmgr",
            Self::Cpanel => "cpanel",
        }
    }
}

/// A token as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// Its name, unique per user.
    pub name: String,
    /// When it was made, seconds since 1970.
    pub create_time: i64,
    /// When it ends, seconds since 1970; none for never.
    pub expires_at: Option<i64>,
    /// WHM: the ACLs it is limited to; none for everything its user may.
    pub acls: Option<Vec<String>>,
    /// Addresses or networks it may be used from; empty for anywhere.
    #[serde(default)]
    pub whitelist_ips: Vec<String>,
    /// cPanel: may only read.
    #[serde(default)]
    pub readonly: bool,
    /// SHA-256 of the secret, hexadecimal.
    digest: String,
}

impl Token {
    /// Whether the token has ended at `now`.
    pub fn is_expired(&self, now: i64) -> bool {
        self.expires_at.is_some_and(|end| end != 0 && end <= now)
    }

    /// Whether a call from `address` may use it.
    pub fn allows(&self, address: IpAddr) -> bool {
        self.whitelist_ips.is_empty() || self.whitelist_ips.iter().any(|net| contains(net, address))
    }
}

/// What a new token shall be.
#[derive(Debug, Clone, Default)]
pub struct Wish {
    /// Name.
    pub name: String,
    /// End, seconds since 1970.
    pub expires_at: Option<i64>,
    /// ACLs to limit it to.
    pub acls: Option<Vec<String>>,
    /// Addresses it may be used from.
    pub whitelist_ips: Vec<String>,
    /// cPanel: may only read.
    pub readonly: bool,
}

/// Seconds since 1970.
pub fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

/// Random text: `length` of `A`–`Z`, `0`–`9`, as cPanel's tokens and session names look.
pub fn random_text(length: usize) -> String {
    use rand::Rng;
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    let mut random = rand::rng();
    (0..length).map(|_| char::from(ALPHABET[random.random_range(0..ALPHABET.len())])).collect()
}

/// SHA-256 of a secret, hexadecimal.
pub fn digest(secret: &str) -> String {
    Sha256::digest(secret.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Checks an entry of a whitelist: an address or a network.
pub fn check_network(entry: &str) -> Result<(), Failure> {
    let (address, bits) = entry.split_once('/').unwrap_or((entry, ""));
    let sorry = || Failure::new(format!("“{entry}” is not a valid IP address or CIDR range."));
    let address: IpAddr = address.parse().map_err(|_| sorry())?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let fits = bits.is_empty() && !entry.contains('/') || bits.parse::<u32>().is_ok_and(|bits| bits <= most);
    fits.then_some(()).ok_or_else(sorry)
}

/// Whether the address or network `entry` holds `address`.
fn contains(entry: &str, address: IpAddr) -> bool {
    let (base, bits) = entry.split_once('/').unwrap_or((entry, ""));
    let number = |address: IpAddr| match address.to_canonical() {
        IpAddr::V4(v4) => (u128::from(u32::from(v4)), 32),
        IpAddr::V6(v6) => (u128::from(v6), 128),
    };
    let Ok(base) = base.parse::<IpAddr>() else { return false };
    let ((base, width), (address, other)) = (number(base), number(address));
    let bits = bits.parse::<u32>().unwrap_or(width).min(width);
    width == other && base.checked_shr(width - bits) == address.checked_shr(width - bits)
}

impl Machine {
    fn token_file(service: Service, user: &str) -> String {
        format!("/var/cpanel/authn/api_tokens_v2/{}/{user}.json", service.folder())
    }

    /// The tokens of `user`, expired ones too.
    pub fn tokens(&self, service: Service, user: &str) -> Result<Vec<Token>, Failure> {
        if user.contains('/') {
            return Ok(Vec::new());
        }
        let text = files::text(&self.path(&Self::token_file(service, user)))?;
        parse(&text)
    }

    /// Makes a token and gives its secret, which is kept nowhere, with its record.
    pub fn create_token(&self, service: Service, user: &str, wish: &Wish) -> Result<(String, Token), Failure> {
        names::check_token_name(&wish.name)?;
        wish.whitelist_ips.iter().try_for_each(|entry| check_network(entry))?;
        let secret = random_text(32);
        let token = Token {
            name: wish.name.clone(),
            create_time: now(),
            expires_at: wish.expires_at.filter(|end| *end != 0),
            acls: wish.acls.clone(),
            whitelist_ips: wish.whitelist_ips.clone(),
            readonly: wish.readonly,
            digest: digest(&secret),
        };
        let new = token.clone();
        self.edit_tokens(service, user, |tokens| {
            if tokens.iter().any(|old| old.name == new.name) {
                return Err(Failure::new(format!("A conflicting API token with the name “{}” already exists.", new.name)));
            }
            tokens.push(new);
            Ok(())
        })?;
        Ok((secret, token))
    }

    /// Changes the list of tokens of `user` under the lock.
    pub fn edit_tokens(
        &self,
        service: Service,
        user: &str,
        change: impl FnOnce(&mut Vec<Token>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        if user.is_empty() || user.contains('/') {
            return Err(Failure::new(format!("The user “{user}” does not exist.")));
        }
        self.edit::<Failure>(&Self::token_file(service, user), 0o600, |old| {
            let mut tokens = parse(old)?;
            change(&mut tokens)?;
            serde_json::to_string_pretty(&tokens).map_err(|error| Failure::new(error.to_string()))
        })
    }

    /// The token of `user` whose secret this is, expired or not.
    pub fn token_by_secret(&self, service: Service, user: &str, secret: &str) -> Option<Token> {
        let wanted = digest(secret);
        self.tokens(service, user).ok()?.into_iter().find(|token| token.digest == wanted)
    }

    /// Removes every token of `user`.
    pub fn forget_tokens(&self, user: &str) -> Result<(), Failure> {
        for service in [Service::Whostmgr, Service::Cpanel] {
            files::remove(&self.path(&Self::token_file(service, user)))?;
        }
        Ok(())
    }

    /// Gives the tokens of `old` to `new`.
    pub fn rename_tokens(&self, old: &str, new: &str) -> Result<(), Failure> {
        for service in [Service::Whostmgr, Service::Cpanel] {
            let [from, to] = [old, new].map(|user| self.path(&Self::token_file(service, user)));
            if from.exists() {
                std::fs::rename(from, to)?;
            }
        }
        Ok(())
    }
}

fn parse(text: &str) -> Result<Vec<Token>, Failure> {
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    serde_json::from_str(text).map_err(|error| Failure::new(format!("the tokens' file is damaged: {error}")))
}

/// Where sessions are kept, one file each.
pub const SESSIONS: &str = "/var/cpanel/sessions/raw";

/// Ends every session of `user` and of its mailboxes.
pub fn forget_sessions(machine: &Machine, user: &str) -> Result<(), Failure> {
    let Ok(entries) = std::fs::read_dir(machine.path(SESSIONS)) else { return Ok(()) };
    for entry in entries.flatten() {
        let text = files::text(&entry.path())?;
        let session: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        if session["user"] == user {
            files::remove(&entry.path())?;
        }
    }
    Ok(())
}

/// Random bytes in URL-safe base64, for secrets that go into cookies.
pub fn random_secret() -> String {
    use rand::RngCore;
    let mut bytes = [0_u8; 24];
    rand::rng().fill_bytes(&mut bytes);
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::scratch;

    #[test]
    fn secrets_are_found_by_hash_and_names_are_unique() {
        let (_folder, machine) = scratch::machine();
        let wish = Wish { name: "link".into(), expires_at: Some(10), ..Wish::default() };
        let (secret, token) = machine.create_token(Service::Whostmgr, "root", &wish).unwrap();
        assert!(machine.create_token(Service::Whostmgr, "root", &wish).is_err());
        assert_eq!(machine.token_by_secret(Service::Whostmgr, "root", &secret), Some(token.clone()));
        assert!(machine.token_by_secret(Service::Cpanel, "root", &secret).is_none());
        assert!(machine.token_by_secret(Service::Whostmgr, "root", "").is_none());
        assert!(token.is_expired(11) && !token.is_expired(9));
        let text = std::fs::read_to_string(machine.path(&Machine::token_file(Service::Whostmgr, "root"))).unwrap();
        assert!(!text.contains(&secret));
    }

    #[test]
    fn whitelists_hold_addresses_and_networks() {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        assert!(contains("10.77.0.0/24", address("10.77.0.10")));
        assert!(contains("10.77.0.10", address("::ffff:10.77.0.10")));
        assert!(!contains("10.77.0.0/24", address("10.77.1.10")));
        assert!(contains("0.0.0.0/0", address("1.2.3.4")));
        assert!(!contains("0.0.0.0/0", address("::1")));
        assert!(check_network("10.0.0.0/33").is_err() && check_network("x").is_err() && check_network("10.0.0.1/").is_err());
    }
}
