//! Where a domain's mail goes, and which services of an account are proxied.

use super::{Machine, files, names};
use crate::call::Failure;

/// Where this server delivers a domain's mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailRouting {
    /// Delivered here: `/etc/localdomains`.
    Local,
    /// Delivered elsewhere, by MX: `/etc/remotedomains`.
    Remote,
    /// Backup exchanger: `/etc/secondarymx`, not local.
    Secondary,
}

/// Backends of an account's services; `Mail=HOST` and `general=HOST` lines in `/var/cpanel/service_proxy_backends/USER`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Backends {
    /// For services of no group of their own.
    pub general: Option<String>,
    /// For the `Mail` group.
    pub mail: Option<String>,
}

/// A host or address a service may be sent to.
pub fn check_backend(host: &str) -> Result<(), Failure> {
    if host.parse::<std::net::IpAddr>().is_ok() || names::is_hostname(host) {
        Ok(())
    } else {
        Err(Failure::new(format!("“{host}” is not a valid hostname or IP address.")))
    }
}

impl Machine {
    /// Sets where mail for `domain` is delivered; `None` forgets the domain.
    pub fn set_mail_routing(&self, domain: &str, routing: Option<MailRouting>) -> Result<(), Failure> {
        for (file, kind) in [
            ("/etc/localdomains", MailRouting::Local),
            ("/etc/remotedomains", MailRouting::Remote),
            ("/etc/secondarymx", MailRouting::Secondary),
        ] {
            let present = routing == Some(kind);
            if present || self.path(file).exists() {
                self.edit::<Failure>(file, 0o644, |old| Ok(files::with_line(old, domain, present)))?;
            }
        }
        Ok(())
    }

    /// Sets (or removes) the manual mail route of `domain` in `/etc/manualmx`, and gives the former.
    pub fn set_manual_mx(&self, domain: &str, host: Option<&str>) -> Result<Option<String>, Failure> {
        let mut former = None;
        self.edit::<Failure>("/etc/manualmx", 0o644, |old| {
            former = files::lookup(old, domain);
            Ok(files::with_pair(old, domain, host))
        })?;
        Ok(former)
    }

    /// The service proxies of `user`.
    pub fn backends(&self, user: &str) -> Result<Backends, Failure> {
        let text = files::text(&self.path(&backend_file(user)?))?;
        let find = |key: &str| {
            let mut lines = text.lines().filter_map(|line| line.split_once('='));
            lines.find(|(name, _)| *name == key).map(|(_, host)| host.trim().to_owned())
        };
        Ok(Backends { general: find("general"), mail: find("Mail") })
    }

    /// Sets the service proxies of `user`.
    pub fn set_backends(&self, user: &str, backends: &Backends) -> Result<(), Failure> {
        let lines = [("general", &backends.general), ("Mail", &backends.mail)];
        let text: String = lines.iter().filter_map(|(key, host)| Some(format!("{key}={}\n", host.as_ref()?))).collect();
        if text.is_empty() {
            return Ok(files::remove(&self.path(&backend_file(user)?))?);
        }
        self.edit(&backend_file(user)?, 0o644, |_| Ok(text))
    }
}

fn backend_file(user: &str) -> Result<String, Failure> {
    if user.is_empty() || user.contains('/') || user.starts_with('.') {
        return Err(Failure::new(format!("The user “{user}” does not exist.")));
    }
    Ok(format!("/var/cpanel/service_proxy_backends/{user}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::scratch;

    #[test]
    fn a_domain_is_in_one_list_at_most() {
        let (_folder, machine) = scratch::machine();
        machine.set_mail_routing("a.example", Some(MailRouting::Local)).unwrap();
        machine.set_mail_routing("a.example", Some(MailRouting::Remote)).unwrap();
        assert_eq!(files::text(&machine.path("/etc/localdomains")).unwrap(), "");
        assert_eq!(files::text(&machine.path("/etc/remotedomains")).unwrap(), "a.example\n");
    }

    #[test]
    fn manual_routes_give_the_former() {
        let (_folder, machine) = scratch::machine();
        assert_eq!(machine.set_manual_mx("a.example", Some("m1.lab.test")).unwrap(), None);
        assert_eq!(machine.set_manual_mx("a.example", None).unwrap().as_deref(), Some("m1.lab.test"));
    }
}
