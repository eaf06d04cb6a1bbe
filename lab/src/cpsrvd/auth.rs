//! Who is calling: API tokens, passwords, sessions.
//!
//! Sources: api.docs.cpanel.net, "Guide to API Authentication", "WHM API tokens", "cPanel API tokens".

use std::net::IpAddr;

use base64::Engine;
use hyper::HeaderMap;
use hyper::header::{AUTHORIZATION, COOKIE};

use super::path::percent_decode;
use super::session::{self, Service};
use crate::call::Caller;
use crate::machine::tokens::{self, Service as TokenService};
use crate::machine::{Machine, names, passwords};

/// A proved caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedIn {
    /// Who.
    pub caller: Caller,
    /// The session the call came with.
    pub session: Option<String>,
    /// A cPanel token that may only read.
    pub readonly: bool,
}

/// Why a caller is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denied {
    /// No credentials.
    Nobody,
    /// Wrong ones.
    Wrong,
}

/// The address a call comes from: what a proxy on this machine says (`X-Forwarded-For`), else the peer's.
pub fn client_address(headers: &HeaderMap, peer: IpAddr) -> IpAddr {
    let forwarded = headers.get("x-forwarded-for").and_then(|value| value.to_str().ok());
    let first = forwarded.and_then(|list| list.split(',').next()?.trim().parse().ok());
    first.filter(|_| peer.to_canonical().is_loopback()).unwrap_or(peer)
}

/// Proves the caller of a request to `service`. `security_token` is the prefix the path began with.
pub fn sign_in(
    machine: &Machine,
    service: Service,
    headers: &HeaderMap,
    address: IpAddr,
    security_token: Option<&str>,
) -> Result<SignedIn, Denied> {
    let header = headers.get(AUTHORIZATION).map(|value| value.to_str().map_err(|_| Denied::Wrong)).transpose()?;
    let Some(header) = header else {
        return by_session(machine, service, headers, security_token);
    };
    let (scheme, rest) = header.trim().split_once(' ').ok_or(Denied::Wrong)?;
    let rest = rest.trim();
    match scheme.to_ascii_lowercase().as_str() {
        "basic" => {
            let decoded = base64::engine::general_purpose::STANDARD.decode(rest).map_err(|_| Denied::Wrong)?;
            let text = String::from_utf8(decoded).map_err(|_| Denied::Wrong)?;
            let (user, password) = text.split_once(':').ok_or(Denied::Wrong)?;
            by_password(machine, service, user, password)
        }
        "whm" => {
            let (user, secret) = rest.split_once(':').ok_or(Denied::Wrong)?;
            by_whm_token(machine, service, user, secret, address)
        }
        "cpanel" => {
            let (user, secret) = rest.split_once(':').ok_or(Denied::Wrong)?;
            by_cpanel_token(machine, service, user, secret, address)
        }
        _ => Err(Denied::Wrong),
    }
}

/// The rights of `user` on `service`, once proved; none for somebody the service is not for.
fn caller(machine: &Machine, service: Service, user: &str, mailbox: Option<&str>) -> Result<Caller, Denied> {
    let account = || machine.find_account(user).ok().flatten().filter(|account| !account.is_suspended());
    match service {
        Service::Whostmgrd => {
            let acls = machine.reseller_acls(user).ok_or(Denied::Wrong)?;
            if user != "root" && account().is_none() {
                return Err(Denied::Wrong);
            }
            Ok(Caller { user: user.to_owned(), mailbox: None, acls })
        }
        Service::Cpaneld | Service::Webmaild => {
            account().ok_or(Denied::Wrong)?;
            Ok(Caller { user: user.to_owned(), mailbox: mailbox.map(str::to_owned), acls: Vec::new() })
        }
    }
}

/// Proves a user, or on the webmail port a mailbox, by password.
pub fn by_password(machine: &Machine, service: Service, user: &str, password: &str) -> Result<SignedIn, Denied> {
    let mailbox = (service == Service::Webmaild).then(|| user.split_once(['@', '+'])).flatten();
    let (owner, mailbox, hash) = match mailbox {
        Some((local, domain)) => {
            let local = names::local_part(local).map_err(|_| Denied::Wrong)?;
            let domain = names::domain(domain).map_err(|_| Denied::Wrong)?;
            let owner = machine.domain_owner(&domain).ok_or(Denied::Wrong)?;
            let hash = machine.mailbox_hash(&owner, &domain, &local);
            (owner, Some(format!("{local}@{domain}")), hash)
        }
        None => (user.to_owned(), None, machine.shadow_hash(user)),
    };
    if !hash.is_some_and(|hash| passwords::verify(password, &hash)) {
        return Err(Denied::Wrong);
    }
    let caller = caller(machine, service, &owner, mailbox.as_deref())?;
    Ok(SignedIn { caller, session: None, readonly: false })
}

fn by_whm_token(machine: &Machine, service: Service, user: &str, secret: &str, address: IpAddr) -> Result<SignedIn, Denied> {
    if service != Service::Whostmgrd {
        return Err(Denied::Wrong);
    }
    let token = machine.token_by_secret(TokenService::Whostmgr, user, secret).ok_or(Denied::Wrong)?;
    if token.is_expired(tokens::now()) || !token.allows(address) {
        return Err(Denied::Wrong);
    }
    let mut caller = caller(machine, service, user, None)?;
    if let Some(acls) = token.acls {
        // A token gives no more than its user has, and no more than it was given.
        caller.acls = acls.into_iter().filter(|acl| caller.may(acl)).collect();
    }
    Ok(SignedIn { caller, session: None, readonly: false })
}

fn by_cpanel_token(machine: &Machine, service: Service, user: &str, secret: &str, address: IpAddr) -> Result<SignedIn, Denied> {
    if service != Service::Cpaneld {
        return Err(Denied::Wrong);
    }
    let token = machine.token_by_secret(TokenService::Cpanel, user, secret).ok_or(Denied::Wrong)?;
    if token.is_expired(tokens::now()) || !token.allows(address) {
        return Err(Denied::Wrong);
    }
    Ok(SignedIn { caller: caller(machine, service, user, None)?, session: None, readonly: token.readonly })
}

/// The value of a cookie, decoded.
pub fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let all = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = all.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let (_, value) = pairs.find(|(found, _)| *found == name)?;
    Some(String::from_utf8_lossy(&percent_decode(value)).into_owned())
}

fn by_session(
    machine: &Machine,
    service: Service,
    headers: &HeaderMap,
    security_token: Option<&str>,
) -> Result<SignedIn, Denied> {
    let name = cookie(headers, service.cookie()).ok_or(Denied::Nobody)?;
    let session = session::find(machine, &name).ok_or(Denied::Wrong)?;
    let right = session.service == service && !session.pending && Some(session.security_token.as_str()) == security_token;
    if !right {
        return Err(Denied::Wrong);
    }
    let caller = caller(machine, service, &session.user, session.mailbox.as_deref())?;
    session::touch(machine, &name, &session).map_err(|_| Denied::Wrong)?;
    Ok(SignedIn { caller, session: Some(name), readonly: false })
}

impl Machine {
    /// The password hash of a mailbox, from its owner's `etc/DOMAIN/shadow`. The owner may have put anything there, so no
    /// link is followed and nothing but a plain file is read.
    pub fn mailbox_hash(&self, owner: &str, domain: &str, local: &str) -> Option<String> {
        let home = self.system_user(owner)?.home;
        let text = read_beneath(&self.path(&home.to_string_lossy()), &format!("etc/{domain}/shadow"))?;
        let line = text.lines().find(|line| line.split(':').next() == Some(local))?;
        line.split(':').nth(1).map(str::to_owned)
    }
}

/// The text of a plain file below `folder`, reached through no link, up to 4 MiB.
fn read_beneath(folder: &std::path::Path, file: &str) -> Option<String> {
    use std::io::Read;

    use rustix::fs::{Mode, OFlags, ResolveFlags};
    let base = rustix::fs::open(folder, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let opened = std::fs::File::from(rustix::fs::openat2(base, file, flags, Mode::empty(), resolve).ok()?);
    if !opened.metadata().ok()?.is_file() {
        return None;
    }
    let mut bytes = Vec::new();
    opened.take(4 << 20).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::create::NewAccount;
    use crate::machine::scratch;
    use crate::machine::tokens::Wish;

    fn account(machine: &Machine, user: &str) {
        let new = NewAccount {
            user: user.into(),
            domain: format!("{user}.example"),
            password: "Wonderland-7-rabbits".into(),
            ..NewAccount::default()
        };
        machine.create_account(&new).unwrap();
    }

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().unwrap());
        headers
    }

    #[test]
    fn tokens_open_their_own_service_only_and_no_more_than_they_hold() {
        let (_folder, machine) = scratch::machine();
        account(&machine, "alice");
        let address = "10.77.0.200".parse().unwrap();
        let wish = Wish { name: "t".into(), acls: Some(vec!["list-accts".into()]), ..Wish::default() };
        let (secret, _) = machine.create_token(TokenService::Whostmgr, "root", &wish).unwrap();
        let asked = headers("authorization", &format!("WHM root:{secret}"));
        let found = sign_in(&machine, Service::Whostmgrd, &asked, address, None).unwrap();
        assert!(found.caller.may("list-accts") && !found.caller.may("all"));
        assert_eq!(sign_in(&machine, Service::Cpaneld, &asked, address, None), Err(Denied::Wrong));
        let (secret, _) =
            machine.create_token(TokenService::Cpanel, "alice", &Wish { name: "c".into(), ..Wish::default() }).unwrap();
        let asked = headers("authorization", &format!("cpanel alice:{secret}"));
        assert!(sign_in(&machine, Service::Cpaneld, &asked, address, None).is_ok());
        assert_eq!(sign_in(&machine, Service::Whostmgrd, &asked, address, None), Err(Denied::Wrong));
        let asked = headers("authorization", &format!("whm alice:{secret}"));
        assert_eq!(sign_in(&machine, Service::Whostmgrd, &asked, address, None), Err(Denied::Wrong));
    }

    #[test]
    fn expired_and_foreign_tokens_are_refused() {
        let (_folder, machine) = scratch::machine();
        let local = "127.0.0.1".parse().unwrap();
        let wish = Wish { name: "old".into(), expires_at: Some(1), ..Wish::default() };
        let (secret, _) = machine.create_token(TokenService::Whostmgr, "root", &wish).unwrap();
        let asked = headers("authorization", &format!("whm root:{secret}"));
        assert_eq!(sign_in(&machine, Service::Whostmgrd, &asked, local, None), Err(Denied::Wrong));
        let wish = Wish { name: "near".into(), whitelist_ips: vec!["10.0.0.0/8".into()], ..Wish::default() };
        let (secret, _) = machine.create_token(TokenService::Whostmgr, "root", &wish).unwrap();
        let mut asked = headers("authorization", &format!("whm root:{secret}"));
        assert_eq!(sign_in(&machine, Service::Whostmgrd, &asked, local, None), Err(Denied::Wrong));
        asked.insert("x-forwarded-for", "10.1.2.3".parse().unwrap());
        let proxied = client_address(&asked, local);
        assert!(sign_in(&machine, Service::Whostmgrd, &asked, proxied, None).is_ok());
        let far = "203.0.113.1".parse().unwrap();
        assert_eq!(client_address(&asked, far), far);
    }

    #[test]
    fn sessions_need_cookie_prefix_and_service() {
        let (_folder, machine) = scratch::machine();
        account(&machine, "alice");
        let address = "10.77.0.200".parse().unwrap();
        let (name, session) = session::create(&machine, "alice", None, Service::Cpaneld, false, "").unwrap();
        let asked = headers("cookie", &format!("a=b; cpsession={}", crate::cpsrvd::path::percent_encode(&name)));
        let prefix = Some(session.security_token.as_str());
        assert_eq!(sign_in(&machine, Service::Cpaneld, &asked, address, prefix).unwrap().caller.user, "alice");
        assert_eq!(sign_in(&machine, Service::Cpaneld, &asked, address, None), Err(Denied::Wrong));
        assert_eq!(sign_in(&machine, Service::Whostmgrd, &asked, address, prefix), Err(Denied::Nobody));
    }

    #[test]
    fn passwords_open_and_suspension_closes() {
        let (_folder, machine) = scratch::machine();
        account(&machine, "alice");
        let good = |service| by_password(&machine, service, "alice", "Wonderland-7-rabbits").is_ok();
        assert!(good(Service::Cpaneld) && !good(Service::Whostmgrd));
        machine.suspend_account("alice", "", false).unwrap();
        assert!(!good(Service::Cpaneld));
    }
}
