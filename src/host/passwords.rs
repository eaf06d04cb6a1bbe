//! Password hashes, of the account (`/etc/shadow`) and of its mailboxes (`~/etc/DOMAIN/shadow`, cPanel's place for them).
//!
//! The account's home is its owner's: files below it are opened without following any link.

use crate::error::{Code, Context as _, Error, Result};
use crate::host::run;
use crate::rules::names;
use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;

/// No shadow file of a domain is larger, in bytes.
const MAX_SHADOW: u64 = 16 << 20;

/// The hash of the account's own password, which is also that of its main mailbox.
///
/// # Errors
/// [`Code::NotFound`] when there is no such user.
pub fn account_hash(user: &str) -> Result<String> {
    let shadow = std::fs::read_to_string("/etc/shadow").context("reading /etc/shadow")?;
    shadow
        .lines()
        .map(|line| line.split(':'))
        .find_map(|mut fields| (fields.next() == Some(user)).then(|| fields.next().unwrap_or_default().to_owned()))
        .ok_or_else(|| Error::new(Code::NotFound, format!("There is no user “{user}” on this machine.")))
}

/// Whether a hash may stand in a shadow file: one line, one field.
fn plausible(hash: &str) -> bool {
    hash.len() <= 512 && hash.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':')
}

fn check(hash: &str) -> Result<()> {
    if plausible(hash) { Ok(()) } else { Err(Error::new(Code::Invalid, "That is not a password hash.")) }
}

/// Sets the account's password by its hash.
///
/// # Errors
/// [`Code::Invalid`] for what is no hash; [`Code::Machine`] when the system refuses.
pub async fn set_account_hash(user: &str, hash: &str) -> Result<()> {
    check(hash)?;
    if user == "root" {
        return Err(Error::new(Code::Refused, "The password of root is never set by a move."));
    }
    if account_hash(user)? == hash {
        return Ok(());
    }
    run("chpasswd", &["-e"], Some(format!("{user}:{hash}\n").as_bytes())).await.map(drop)
}

/// The `~/etc/DOMAIN` directory, reached without following links, and the uid it must belong to.
fn etc_dir(user: &str, domain: &str) -> Result<Option<OwnedFd>> {
    names::domain(domain)?;
    let passwd = std::fs::read_to_string("/etc/passwd").context("reading /etc/passwd")?;
    let home = passwd
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .find(|fields| fields.first() == Some(&user))
        .and_then(|fields| fields.get(5).map(|home| (*home).to_owned()))
        .ok_or_else(|| Error::new(Code::NotFound, format!("There is no user “{user}” on this machine.")))?;
    let dir = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let root = rustix::fs::open(&home, dir, Mode::empty()).context(format!("opening {home}"))?;
    let strict = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    match rustix::fs::openat2(&root, format!("etc/{domain}"), dir, Mode::empty(), strict) {
        Ok(fd) => Ok(Some(fd)),
        Err(rustix::io::Errno::NOENT) => Ok(None),
        Err(cause) => Err(Error::machine(format!("opening {home}/etc/{domain}"), cause)),
    }
}

fn read_shadow(dir: &OwnedFd) -> Result<Option<(String, std::fs::Metadata)>> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let fd = match rustix::fs::openat(dir, "shadow", flags, Mode::empty()) {
        Ok(fd) => fd,
        Err(rustix::io::Errno::NOENT) => return Ok(None),
        Err(cause) => return Err(Error::machine("opening a mailbox password file", cause)),
    };
    let file = File::from(fd);
    let metadata = file.metadata().context("looking at a mailbox password file")?;
    let holder = rustix::fs::fstat(dir).context("looking at a folder of mailbox passwords")?.st_uid;
    if !metadata.is_file() || metadata.nlink() != 1 || metadata.len() > MAX_SHADOW || metadata.uid() != holder {
        return Err(Error::new(Code::Refused, "A mailbox password file is not an ordinary file of its own; it is not read."));
    }
    let mut text = String::new();
    file.take(MAX_SHADOW).read_to_string(&mut text).context("reading a mailbox password file")?;
    Ok(Some((text, metadata)))
}

/// The hashes of the mailboxes of these domains, by address.
///
/// # Errors
/// When a file cannot be read or is not what it should be.
pub fn mail_hashes(user: &str, domains: &[String]) -> Result<BTreeMap<String, String>> {
    let mut hashes = BTreeMap::new();
    for domain in domains {
        let Some(dir) = etc_dir(user, domain)? else { continue };
        let Some((text, _)) = read_shadow(&dir)? else { continue };
        for line in text.lines() {
            let mut fields = line.split(':');
            if let (Some(local), Some(hash)) = (fields.next(), fields.next())
                && !local.is_empty()
            {
                hashes.insert(format!("{local}@{domain}"), hash.to_owned());
            }
        }
    }
    Ok(hashes)
}

/// `shadow` with these hashes; `None` when nothing changes. Lines of mailboxes that do not exist are not made.
fn with_hashes(shadow: &str, domain: &str, hashes: &BTreeMap<String, String>) -> Option<String> {
    let mut changed = false;
    let mut text = String::with_capacity(shadow.len());
    for line in shadow.lines() {
        let mut fields: Vec<&str> = line.split(':').collect();
        let new = fields.first().and_then(|local| hashes.get(&format!("{local}@{domain}")));
        if let (Some(new), true) = (new, fields.len() > 1)
            && fields[1] != new
        {
            fields[1] = new;
            changed = true;
        }
        text.push_str(&fields.join(":"));
        text.push('\n');
    }
    changed.then_some(text)
}

/// Sets hashes of mailboxes that exist, domain by domain, each file replaced whole.
///
/// # Errors
/// When a file cannot be read or replaced; domains before it are done.
pub fn set_mail_hashes(user: &str, hashes: &BTreeMap<String, String>) -> Result<()> {
    for hash in hashes.values() {
        check(hash)?;
    }
    let mut domains: Vec<&str> = hashes.keys().filter_map(|address| address.rsplit_once('@')).map(|(_, domain)| domain).collect();
    domains.sort_unstable();
    domains.dedup();
    for domain in domains {
        let Some(dir) = etc_dir(user, domain)? else { continue };
        let Some((text, metadata)) = read_shadow(&dir)? else { continue };
        let Some(new) = with_hashes(&text, domain, hashes) else { continue };
        let what = format!("replacing the mailbox passwords of {domain}");
        let name = format!("shadow.linked-nodes.{}", std::process::id());
        let _ = rustix::fs::unlinkat(&dir, &name, AtFlags::empty());
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let fd = rustix::fs::openat(&dir, &name, flags, Mode::RUSR | Mode::WUSR).context(&what)?;
        let mut file = File::from(fd);
        let finish = |file: &mut File| -> std::io::Result<()> {
            file.write_all(new.as_bytes())?;
            std::os::unix::fs::fchown(&*file, Some(metadata.uid()), Some(metadata.gid()))?;
            file.set_permissions(metadata.permissions())?;
            file.sync_all()?;
            rustix::fs::renameat(&dir, &name, &dir, "shadow")?;
            Ok(rustix::fs::fsync(&dir)?)
        };
        if let Err(cause) = finish(&mut file) {
            let _ = rustix::fs::unlinkat(&dir, &name, AtFlags::empty());
            return Err(Error::machine(what, cause));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_existing_lines_change() {
        let shadow = "info:$6$old:19000::::::\nsales:$6$s:::::::\n";
        let hashes = BTreeMap::from([
            ("info@a.test".to_owned(), "!$6$new".to_owned()),
            ("ghost@a.test".to_owned(), "$6$g".to_owned()),
            ("sales@b.test".to_owned(), "$6$other".to_owned()),
        ]);
        let new = with_hashes(shadow, "a.test", &hashes).unwrap();
        assert_eq!(new, "info:!$6$new:19000::::::\nsales:$6$s:::::::\n");
        assert_eq!(with_hashes(&new, "a.test", &hashes), None);
    }

    #[test]
    fn hashes_are_one_field() {
        assert!(plausible("!$6$salt$abc./"));
        for bad in ["a:b", "a\nroot::0:0", "a b", "é"] {
            assert!(!plausible(bad), "{bad:?}");
        }
    }
}
