//! An account's domains beside its main one, and what each is: `/var/cpanel/userdata/USER/main`.
//!
//! A sub domain has a web site of its own (`/var/cpanel/userdata/USER/SUBDOMAIN`) and its records stand in its root domain's zone. A parked
//! domain shows the main domain's site; an addon domain is a domain parked on a sub domain. Both have a zone of their own. Every one of them
//! has mail: tables in `/etc/valiases` and its companions, a line in `/etc/localdomains`, mailboxes below the account's home.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::create::routing;
use super::zonefile::{self, Changes, NewRecord};
use super::{Machine, files, names};
use crate::call::Failure;

const USERDATA: &str = "/var/cpanel/userdata";

/// What a domain is to its account. The words are those of `delete_domain`'s `type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The account's main domain.
    Main,
    /// Parked on a sub domain.
    Addon,
    /// Parked on the main domain.
    Parked,
    /// Below another domain of the account.
    Sub,
}

/// `/var/cpanel/userdata/USER/main`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Domains {
    /// Addon domains, with the sub domain each is parked on.
    pub addon_domains: BTreeMap<String, String>,
    /// The main domain.
    pub main_domain: String,
    /// Domains parked on the main domain.
    pub parked_domains: Vec<String>,
    /// Sub domains, those of addon domains among them.
    pub sub_domains: Vec<String>,
}

impl Domains {
    /// What `domain` is; `None` when it is not the account's.
    pub fn kind(&self, domain: &str) -> Option<Kind> {
        if domain == self.main_domain {
            Some(Kind::Main)
        } else if self.addon_domains.contains_key(domain) {
            Some(Kind::Addon)
        } else if self.parked_domains.iter().any(|own| own == domain) {
            Some(Kind::Parked)
        } else {
            self.sub_domains.iter().any(|own| own == domain).then_some(Kind::Sub)
        }
    }

    /// Whether an addon domain stands on this sub domain.
    pub fn carries_addon(&self, sub: &str) -> bool {
        self.addon_domains.values().any(|carrier| carrier == sub)
    }

    /// The domain of the account that `sub` is below: the longest that fits.
    pub fn root_of(&self, sub: &str) -> Option<String> {
        let roots = std::iter::once(&self.main_domain).chain(self.addon_domains.keys()).chain(&self.parked_domains);
        roots.filter(|root| sub.ends_with(&format!(".{root}"))).max_by_key(|root| root.len()).cloned()
    }
}

/// A sub domain's site: `/var/cpanel/userdata/USER/SUBDOMAIN`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Site {
    /// Where its pages are, absolute.
    pub documentroot: String,
    /// Home of the account.
    pub homedir: String,
    /// Address it is served at.
    pub ip: String,
    /// Owner of the account.
    pub owner: String,
    /// Other names it is served under.
    pub serveralias: String,
    /// Its name.
    pub servername: String,
    /// The account.
    pub user: String,
    /// `On` or `Off`.
    pub usecanonicalname: String,
}

/// The labels below a domain that cPanel certifies and names by itself.
fn service_labels(kind: Kind) -> &'static [&'static str] {
    // A sub domain has its web name alone.
    if kind == Kind::Sub { &["www"] } else { names::SERVICE_SUBDOMAINS }
}

fn main_file(user: &str) -> String {
    format!("{USERDATA}/{user}/main")
}

fn site_file(user: &str, domain: &str) -> String {
    format!("{USERDATA}/{user}/{domain}")
}

fn yaml<T: Serialize>(value: &T) -> Result<String, Failure> {
    serde_yaml_ng::to_string(value).map(|text| format!("---\n{text}")).map_err(|error| Failure::new(error.to_string()))
}

fn damaged(path: &str, error: &serde_yaml_ng::Error) -> Failure {
    Failure::new(format!("{path} is damaged: {error}"))
}

impl Machine {
    /// What each of the account's domains is. A domain no list names (an account from before the file) is parked.
    pub fn domains_of(&self, user: &str) -> Result<Domains, Failure> {
        let account = self.account(user)?;
        let path = main_file(user);
        let text = files::text(&self.path(&path))?;
        let mut domains: Domains =
            if text.is_empty() { Domains::default() } else { serde_yaml_ng::from_str(&text).map_err(|e| damaged(&path, &e))? };
        account.domain().clone_into(&mut domains.main_domain);
        for domain in account.domains() {
            if domains.kind(&domain).is_none() {
                domains.parked_domains.push(domain);
            }
        }
        Ok(domains)
    }

    /// Writes what each of the account's domains is.
    pub fn save_domains(&self, user: &str, domains: &Domains) -> Result<(), Failure> {
        Ok(files::replace(&self.path(&main_file(user)), yaml(domains)?.as_bytes(), 0o640)?)
    }

    /// A sub domain's site.
    pub fn site(&self, user: &str, sub: &str) -> Result<Site, Failure> {
        let path = site_file(user, sub);
        let text = files::text(&self.path(&path))?;
        if text.is_empty() { Ok(Site::default()) } else { serde_yaml_ng::from_str(&text).map_err(|e| damaged(&path, &e)) }
    }

    /// Removes what is kept of an account's sites.
    pub fn forget_userdata(&self, user: &str) -> Result<(), Failure> {
        match std::fs::remove_dir_all(self.path(&format!("{USERDATA}/{user}"))) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Gives the sites of `old` to `new`, whose home may be another.
    pub fn rename_userdata(&self, old: &str, new: &str, old_home: &str, new_home: &str) -> Result<(), Failure> {
        let (from, to) = (self.path(&format!("{USERDATA}/{old}")), self.path(&format!("{USERDATA}/{new}")));
        if !from.exists() {
            return Ok(());
        }
        std::fs::rename(from, to)?;
        for sub in self.domains_of(new)?.sub_domains {
            let mut site = self.site(new, &sub)?;
            new.clone_into(&mut site.user);
            new_home.clone_into(&mut site.homedir);
            if let Some(rest) = site.documentroot.strip_prefix(old_home).filter(|rest| rest.starts_with('/')) {
                site.documentroot = format!("{new_home}{rest}");
            }
            files::replace(&self.path(&site_file(new, &sub)), yaml(&site)?.as_bytes(), 0o640)?;
        }
        Ok(())
    }

    /// Whether a new domain may be made for the account; nothing is changed.
    pub fn check_new_domain(&self, user: &str, domain: &str, kind: Kind) -> Result<String, Failure> {
        let account = self.account(user)?;
        let domains = self.domains_of(user)?;
        let domain = names::domain(domain)?;
        if domain == self.hostname() {
            return Err(Failure::new(format!("Sorry, “{domain}” is this server’s hostname.")));
        }
        if let Some(owner) = self.domain_owner(&domain) {
            return Err(Failure::new(format!("Sorry, the domain “{domain}” already belongs to the user “{owner}”.")));
        }
        if kind == Kind::Sub {
            let root = domains.root_of(&domain);
            let root = root.ok_or_else(|| Failure::new(format!("“{domain}” is not a subdomain of a domain of “{user}”.")))?;
            let label = domain.strip_suffix(&format!(".{root}")).unwrap_or_default();
            let reserved = names::SERVICE_SUBDOMAINS.iter().chain(&["whm", "webdisk", "cpcontacts", "cpcalendars", "ftp"]);
            if reserved.clone().any(|name| *name == label) {
                return Err(Failure::new(format!("“{label}” is a reserved subdomain on this system.")));
            }
        } else {
            if self.serves_dns() && self.has_zone(&domain) {
                return Err(Failure::new(format!("Sorry, a DNS entry for “{domain}” already exists.")));
            }
            if domains.main_domain.ends_with(&format!(".{domain}")) {
                return Err(Failure::new(format!("The main domain “{}” is a subdomain of “{domain}”.", domains.main_domain)));
            }
        }
        let (key, what, used) = match kind {
            Kind::Sub => {
                let own = domains.sub_domains.iter().filter(|sub| !domains.carries_addon(sub)).count();
                ("MAXSUB", "subdomains", own)
            }
            Kind::Addon => ("MAXADDON", "addon domains", domains.addon_domains.len()),
            Kind::Parked => ("MAXPARK", "parked domains", domains.parked_domains.len()),
            Kind::Main => return Err(Failure::new("An account has one main domain.")),
        };
        let most = account.get(key).and_then(|most| most.trim().parse::<usize>().ok());
        if most.is_some_and(|most| used >= most) {
            return Err(Failure::new(format!(
                "You have reached your maximum number of {what} ({used}). Raise the account’s “{key}” to add more."
            )));
        }
        Ok(domain)
    }

    /// Makes a sub domain of one of the account's domains, with its pages in `document_root` below the home directory.
    pub fn add_subdomain(&self, user: &str, sub: &str, document_root: &str, canonical: bool) -> Result<(), Failure> {
        let _lock = self.lock()?;
        self.add_subdomain_unlimited(user, &self.check_new_domain(user, sub, Kind::Sub)?, document_root, canonical)
    }

    /// As [`Self::add_subdomain`], for the sub domain of an addon domain, which no limit of sub domains counts.
    pub fn add_subdomain_unlimited(&self, user: &str, sub: &str, document_root: &str, canonical: bool) -> Result<(), Failure> {
        let _lock = self.lock()?;
        let account = self.account(user)?;
        let system = self.system_user(user).ok_or_else(|| Failure::new(format!("The system user “{user}” does not exist.")))?;
        let home = system.home.to_string_lossy().into_owned();
        let relative = document_root.strip_prefix(&home).unwrap_or(document_root).trim_matches('/');
        let plain = |part: &str| !part.is_empty() && part != "." && part != ".." && !part.chars().any(char::is_control);
        if !relative.split('/').all(plain) {
            return Err(Failure::new(format!("“{document_root}” is not a valid document root.")));
        }
        let site = Site {
            documentroot: format!("{home}/{relative}"),
            homedir: home,
            ip: account.get("IP").unwrap_or_default().to_owned(),
            owner: account.owner().to_owned(),
            serveralias: format!("www.{sub}"),
            servername: sub.to_owned(),
            user: user.to_owned(),
            usecanonicalname: if canonical { "On" } else { "Off" }.to_owned(),
        };
        self.record_domain(user, sub, |domains| domains.sub_domains.push(sub.to_owned()))?;
        files::replace(&self.path(&site_file(user, sub)), yaml(&site)?.as_bytes(), 0o640)?;
        self.make_document_root(&system, relative)?;
        self.serve_domain(user, sub, Kind::Sub)
    }

    /// Parks `domain` on `target`, the main domain or a sub domain: the first makes a parked domain, the second an addon domain.
    pub fn park_domain(&self, user: &str, domain: &str, target: &str) -> Result<Kind, Failure> {
        let _lock = self.lock()?;
        let kind = self.kind_of_parking(user, target)?;
        let domain = self.check_new_domain(user, domain, kind)?;
        self.record_domain(user, &domain, |domains| match kind {
            Kind::Addon => drop(domains.addon_domains.insert(domain.clone(), target.to_owned())),
            _ => domains.parked_domains.push(domain.clone()),
        })?;
        self.set_site_aliases(user, target)?;
        self.serve_domain(user, &domain, kind)?;
        Ok(kind)
    }

    /// What parking on `target` makes.
    pub fn kind_of_parking(&self, user: &str, target: &str) -> Result<Kind, Failure> {
        match self.domains_of(user)?.kind(target) {
            Some(Kind::Main) => Ok(Kind::Parked),
            Some(Kind::Sub) => Ok(Kind::Addon),
            _ => Err(Failure::new(format!("“{target}” is not a web virtual host of “{user}”."))),
        }
    }

    /// Removes a domain that is not the main one. Mailboxes stay in the home directory, as on cPanel.
    pub fn remove_domain(&self, user: &str, domain: &str) -> Result<Kind, Failure> {
        let _lock = self.lock()?;
        let mut domains = self.domains_of(user)?;
        let kind = domains.kind(domain);
        let kind = kind.ok_or_else(|| Failure::new(format!("The user “{user}” does not own the domain “{domain}”.")))?;
        match kind {
            Kind::Main => return Err(Failure::new(format!("“{domain}” is the main domain of “{user}”."))),
            Kind::Sub if domains.carries_addon(domain) => {
                return Err(Failure::new(format!("An addon domain is parked on “{domain}”: remove it first.")));
            }
            _ => {}
        }
        if kind != Kind::Sub
            && let Some(below) = domains.sub_domains.iter().find(|sub| sub.ends_with(&format!(".{domain}")))
        {
            return Err(Failure::new(format!("The subdomain “{below}” depends on “{domain}”: remove it first.")));
        }
        self.end_mail_sessions(user)?;
        let target = domains.addon_domains.remove(domain);
        domains.parked_domains.retain(|own| own != domain);
        domains.sub_domains.retain(|own| own != domain);
        if kind == Kind::Sub {
            self.remove_names(domain)?;
            files::remove(&self.path(&site_file(user, domain)))?;
        }
        self.forget_domain(domain, false)?;
        self.save_domains(user, &domains)?;
        self.edit_account(user, |account| account.remove_domain(domain))?;
        if let Some(target) = target {
            self.set_site_aliases(user, &target)?;
        }
        Ok(kind)
    }

    /// The names one certificate of `domain` covers.
    pub fn certified_names(&self, domain: &str) -> Vec<String> {
        let owner = self.domain_owner(domain);
        let kind = owner.and_then(|user| self.domains_of(&user).ok()?.kind(domain)).unwrap_or(Kind::Main);
        let labels = service_labels(kind).iter().map(|label| format!("{label}.{domain}"));
        std::iter::once(domain.to_owned()).chain(labels).collect()
    }

    /// Puts a new domain into the account's records and cPanel's tables.
    fn record_domain(&self, user: &str, domain: &str, add: impl FnOnce(&mut Domains)) -> Result<(), Failure> {
        let mut domains = self.domains_of(user)?;
        add(&mut domains);
        self.claim_domain(domain, user, false)?;
        self.edit_account(user, |account| account.add_domain(domain))?;
        self.save_domains(user, &domains)
    }

    /// Mail tables, signing key, names and certificate of a new domain.
    fn serve_domain(&self, user: &str, domain: &str, kind: Kind) -> Result<(), Failure> {
        let account = self.account(user)?;
        let main = account.get(&format!("MXCHECK-{}", account.domain())).unwrap_or("local").to_owned();
        self.make_mail_domain(domain, user, routing(&main)?)?;
        self.edit_account(user, |account| account.set(&format!("MXCHECK-{domain}"), &main))?;
        let (dkim, spf) = (account.get("HASDKIM") == Some("1"), account.get("HASSPF") == Some("1"));
        if dkim {
            self.ensure_dkim_key(domain)?;
        }
        if self.serves_dns() {
            if kind == Kind::Sub {
                self.add_names(user, domain, dkim, spf)?;
            } else {
                let text = self.default_zone(domain, spf, dkim)?;
                self.add_zone(domain, &text)?;
            }
        }
        self.autossl(domain)
    }

    /// A sub domain's records, in its root domain's zone.
    fn add_names(&self, user: &str, sub: &str, dkim: bool, spf: bool) -> Result<(), Failure> {
        let Some(zone) = self.domains_of(user)?.root_of(sub).filter(|zone| self.has_zone(zone)) else { return Ok(()) };
        let address = self.address().to_string();
        let kind = if self.address().is_ipv4() { "A" } else { "AAAA" };
        let mut add = vec![
            NewRecord::new(&format!("{sub}."), kind, &[&address]),
            NewRecord::new(&format!("www.{sub}."), kind, &[&address]),
        ];
        if spf {
            let mechanism = if kind == "A" { "ip4" } else { "ip6" };
            let text = format!("v=spf1 {mechanism}:{address} +a +mx ~all");
            add.push(NewRecord::new(&format!("{sub}."), "TXT", &[&text]));
        }
        if let Some(key) = self.dkim_record(sub)?.filter(|_| dkim) {
            add.push(NewRecord::new(&format!("default._domainkey.{sub}."), "TXT", &[&key]));
        }
        self.change_zone(&zone, |_| Changes { add, edit: Vec::new(), remove: Vec::new() })
    }

    /// Removes a sub domain's records, and all below it, from the zone they stand in.
    fn remove_names(&self, sub: &str) -> Result<(), Failure> {
        let mut zone = sub;
        while let Some((_, rest)) = zone.split_once('.') {
            zone = rest;
            if self.has_zone(zone) {
                break;
            }
        }
        if !self.serves_dns() || !self.has_zone(zone) {
            return Ok(());
        }
        self.change_zone(zone, |records| {
            let doomed = records.iter().filter(|record| {
                let name = record.full_name(zone);
                name == sub || name.ends_with(&format!(".{sub}"))
            });
            Changes { add: Vec::new(), edit: Vec::new(), remove: doomed.map(|record| record.line).collect() }
        })
    }

    fn change_zone(&self, zone: &str, changes: impl FnOnce(&[zonefile::Record]) -> Changes) -> Result<(), Failure> {
        let _lock = self.lock()?;
        let text = self.zone_text(zone)?;
        let changes = changes(&zonefile::records(&text, zone)?);
        self.mass_edit_zone(zone, zonefile::serial(&text, zone)?, &changes).map(drop)
    }

    /// Names a sub domain's addon domains as aliases of its site.
    fn set_site_aliases(&self, user: &str, sub: &str) -> Result<(), Failure> {
        let domains = self.domains_of(user)?;
        if domains.kind(sub) != Some(Kind::Sub) {
            return Ok(());
        }
        let mut site = self.site(user, sub)?;
        let addons = domains.addon_domains.iter().filter(|(_, carrier)| *carrier == sub).map(|(addon, _)| addon);
        let names = addons.flat_map(|addon| [addon.clone(), format!("mail.{addon}"), format!("www.{addon}")]);
        site.serveralias = names.chain([format!("www.{sub}")]).collect::<Vec<_>>().join(" ");
        Ok(files::replace(&self.path(&site_file(user, sub)), yaml(&site)?.as_bytes(), 0o640)?)
    }

    /// Makes a document root, one folder after another, never through a link somebody put there.
    fn make_document_root(&self, user: &super::system::SystemUser, relative: &str) -> Result<(), Failure> {
        let mut path = self.path(&user.home.to_string_lossy());
        for part in relative.split('/') {
            path.push(part);
            match std::fs::symlink_metadata(&path) {
                Ok(found) if found.is_dir() => {}
                Ok(_) => return Err(Failure::new(format!("{} is no directory", path.display()))),
                Err(_) => super::system::directory(&path, user.uid, user.gid, 0o755)?,
            }
        }
        Ok(())
    }

    /// The domains of an account whose main domain changes from `old` to `new`: sub domains of the old one become sub domains of the new
    /// one, with all they have.
    pub fn rename_subdomains(&self, user: &str, old: &str, new: &str) -> Result<(), Failure> {
        let mut domains = self.domains_of(user)?;
        let suffix = format!(".{old}");
        let renamed = |name: &str| name.strip_suffix(&suffix).map(|label| format!("{label}.{new}"));
        for sub in domains.sub_domains.clone() {
            let Some(to) = renamed(&sub) else { continue };
            self.rename_mail_domain(user, &sub, &to, false)?;
            let mut site = self.site(user, &sub)?;
            site.serveralias = site.serveralias.replace(&sub, &to);
            to.clone_into(&mut site.servername);
            files::replace(&self.path(&site_file(user, &to)), yaml(&site)?.as_bytes(), 0o640)?;
            files::remove(&self.path(&site_file(user, &sub)))?;
            self.forget_certificate(&sub)?;
        }
        for name in &mut domains.sub_domains {
            if let Some(to) = renamed(name) {
                *name = to;
            }
        }
        for carrier in domains.addon_domains.values_mut() {
            if let Some(to) = renamed(carrier) {
                *carrier = to;
            }
        }
        new.clone_into(&mut domains.main_domain);
        self.save_domains(user, &domains)?;
        domains.sub_domains.iter().filter(|sub| sub.ends_with(&format!(".{new}"))).try_for_each(|sub| self.autossl(sub))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::create::NewAccount;
    use crate::machine::scratch;

    fn machine() -> (tempfile::TempDir, Machine) {
        let (folder, machine) = scratch::machine();
        let new = NewAccount {
            user: "alice".into(),
            domain: "alice.example".into(),
            password: "Wonderland-7-rabbits".into(),
            values: [("MAXADDON", "1"), ("MAXPARK", "1"), ("MAXSUB", "1")].map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
            spf: true,
            ..NewAccount::default()
        };
        machine.create_account(&new).unwrap();
        (folder, machine)
    }

    fn all(machine: &Machine) {
        machine.add_subdomain("alice", "shop.alice.example", "public_html/shop", false).unwrap();
        machine.park_domain("alice", "alias.example", "alice.example").unwrap();
        machine.add_subdomain_unlimited("alice", "more.alice.example", "more.example", false).unwrap();
        machine.park_domain("alice", "more.example", "more.alice.example").unwrap();
    }

    fn names_in(machine: &Machine, zone: &str) -> Vec<String> {
        let text = machine.zone_text(zone).unwrap();
        zonefile::records(&text, zone).unwrap().iter().map(|record| record.full_name(zone)).collect()
    }

    #[test]
    fn each_kind_is_in_its_places_and_removal_empties_them() {
        let (_folder, machine) = machine();
        all(&machine);
        let domains = machine.domains_of("alice").unwrap();
        assert_eq!(domains.kind("shop.alice.example"), Some(Kind::Sub));
        assert_eq!(domains.kind("alias.example"), Some(Kind::Parked));
        assert_eq!(domains.addon_domains["more.example"], "more.alice.example");
        assert_eq!(
            machine.account("alice").unwrap().domains(),
            ["alice.example", "shop.alice.example", "alias.example", "more.alice.example", "more.example"]
        );
        for domain in ["shop.alice.example", "alias.example", "more.example"] {
            assert_eq!(machine.domain_owner(domain).as_deref(), Some("alice"));
            assert!(machine.path(&format!("/etc/valiases/{domain}")).exists(), "{domain}");
            assert!(files::text(&machine.path("/etc/localdomains")).unwrap().lines().any(|line| line == domain));
        }
        assert!(machine.has_zone("alias.example") && machine.has_zone("more.example") && !machine.has_zone("shop.alice.example"));
        assert!(names_in(&machine, "alice.example").contains(&"www.shop.alice.example".to_owned()));
        assert_eq!(machine.site("alice", "more.alice.example").unwrap().documentroot, "/home/alice/more.example");
        assert!(machine.remove_domain("alice", "more.alice.example").unwrap_err().reason.contains("parked on"));
        assert!(machine.remove_domain("alice", "alice.example").is_err());
        for (domain, kind) in [
            ("more.example", Kind::Addon),
            ("more.alice.example", Kind::Sub),
            ("alias.example", Kind::Parked),
            ("shop.alice.example", Kind::Sub),
        ] {
            assert_eq!(machine.remove_domain("alice", domain).unwrap(), kind);
            assert!(machine.domain_owner(domain).is_none() && !machine.has_zone(domain));
        }
        assert!(!names_in(&machine, "alice.example").iter().any(|name| name.contains("shop")));
        assert_eq!(machine.account("alice").unwrap().domains(), ["alice.example"]);
        assert_eq!(machine.account("alice").unwrap().get("MXCHECK-shop.alice.example"), None);
        assert_eq!(machine.account("alice").unwrap().dead_domains().len(), 4);
        machine.add_subdomain("alice", "shop.alice.example", "public_html/shop", false).unwrap();
        assert!(!machine.account("alice").unwrap().dead_domains().contains(&"shop.alice.example"));
    }

    #[test]
    fn limits_and_other_accounts_are_respected() {
        let (_folder, machine) = machine();
        all(&machine);
        let refused = |result: Result<Kind, Failure>| result.unwrap_err().reason;
        assert!(refused(machine.park_domain("alice", "second.example", "alice.example")).contains("maximum number of parked"));
        assert!(refused(machine.park_domain("alice", "third.example", "shop.alice.example")).contains("MAXADDON"));
        assert!(refused(machine.park_domain("alice", "alias.example", "alice.example")).contains("already belongs"));
        let sub = |name: &str| machine.add_subdomain("alice", name, "public_html/x", false).unwrap_err().reason;
        assert!(sub("two.alice.example").contains("MAXSUB"));
        assert!(sub("mail.alice.example").contains("reserved"));
        assert!(sub("x.bob.example").contains("not a subdomain"));
        let hostile = machine.add_subdomain_unlimited("alice", "h.alice.example", "../bob", false);
        assert!(hostile.unwrap_err().reason.contains("document root"));
        assert!(machine.domain_owner("h.alice.example").is_none());
    }

    #[test]
    fn renaming_keeps_every_domain() {
        let (_folder, machine) = machine();
        all(&machine);
        machine.rename_account("alice", "carol").unwrap();
        machine.change_main_domain("carol", "carol.example").unwrap();
        let domains = machine.domains_of("carol").unwrap();
        assert_eq!(domains.main_domain, "carol.example");
        assert_eq!(domains.sub_domains, ["shop.carol.example", "more.carol.example"]);
        assert_eq!(domains.addon_domains["more.example"], "more.carol.example");
        assert_eq!(domains.parked_domains, ["alias.example"]);
        for domain in ["shop.carol.example", "more.example", "alias.example"] {
            assert_eq!(machine.domain_owner(domain).as_deref(), Some("carol"));
        }
        assert!(machine.domain_owner("shop.alice.example").is_none());
        assert!(names_in(&machine, "carol.example").contains(&"shop.carol.example".to_owned()));
        assert_eq!(machine.site("carol", "shop.carol.example").unwrap().documentroot, "/home/carol/public_html/shop");
        assert_eq!(files::text(&machine.path("/etc/valiases/shop.carol.example")).unwrap(), "*: carol\n");
        machine.remove_account("carol", false).unwrap();
        assert!(machine.domain_owner("more.example").is_none() && !machine.path("/var/cpanel/userdata/carol").exists());
        assert!(!machine.has_zone("more.example") && !machine.has_zone("alias.example"));
    }
}
