//! Zones this server is the authority of: `/etc/named.conf` and `/var/named/ZONE.db`.

use super::zonefile::{self, Changes, NewRecord};
use super::{Machine, files, names};
use crate::call::Failure;

const CONFIGURATION: &str = "/etc/named.conf";

fn zone_file(zone: &str) -> String {
    format!("/var/named/{zone}.db")
}

/// Today as `YYYYMMDD`, for serial numbers.
fn today() -> u32 {
    let date = jiff::Zoned::now().date();
    let number = i32::from(date.year()) * 10_000 + i32::from(date.month()) * 100 + i32::from(date.day());
    u32::try_from(number).unwrap_or(0)
}

/// The names of the zones in a `named.conf`.
fn configured(text: &str) -> Vec<String> {
    text.lines()
        .filter_map(|line| line.trim().strip_prefix("zone "))
        .filter_map(|rest| rest.trim().strip_prefix('"')?.split('"').next())
        .map(str::to_owned)
        .collect()
}

/// A `named.conf` with this zone's statement, or without it.
fn with_zone(text: &str, zone: &str, present: bool) -> String {
    let mut out = String::new();
    let mut skipping = false;
    let start = format!("zone \"{zone}\"");
    for line in text.lines() {
        skipping |= line.trim().starts_with(&start);
        if skipping {
            skipping = !line.trim().ends_with("};") || line.matches('{').count() > line.matches('}').count();
            continue;
        }
        out.push_str(line);
        out.push('\n');
    }
    if present {
        out.push_str(&format!("zone \"{zone}\" {{\n\ttype master;\n\tfile \"{}\";\n}};\n", zone_file(zone)));
    }
    out
}

impl Machine {
    /// The zones this server is the authority of.
    pub fn zones(&self) -> Result<Vec<String>, Failure> {
        Ok(configured(&files::text(&self.path(CONFIGURATION))?))
    }

    /// A zone's text, or the complaint that there is none.
    pub fn zone_text(&self, zone: &str) -> Result<String, Failure> {
        let missing = || Failure::new(format!("The system has no DNS zone named “{zone}”."));
        let zone = names::domain(zone).map_err(|_| missing())?;
        files::read(&self.path(&zone_file(&zone)))?.ok_or_else(missing)
    }

    /// Whether the server knows such a zone, by its configuration or by its file.
    pub fn has_zone(&self, zone: &str) -> bool {
        self.zone_text(zone).is_ok() || self.zones().is_ok_and(|known| known.iter().any(|name| name.eq_ignore_ascii_case(zone)))
    }

    /// Changes a zone's records when its serial is still `expected`, and gives the new serial. The name server has it
    /// at once.
    pub fn mass_edit_zone(&self, zone: &str, expected: u32, changes: &Changes) -> Result<u32, Failure> {
        let zone = names::domain(zone)?;
        self.zone_text(&zone)?;
        let mut serial = expected;
        self.edit::<Failure>(&zone_file(&zone), 0o644, |old| {
            let (text, next) = zonefile::mass_edit(old, &zone, expected, changes, today())?;
            serial = next;
            Ok(text)
        })?;
        self.publish(&zone)?;
        Ok(serial)
    }

    /// The zone cPanel gives a new account's domain.
    pub fn default_zone(&self, domain: &str, with_spf: bool, with_dkim: bool) -> Result<String, Failure> {
        let hostname = self.hostname();
        let address = self.address();
        let kind = if address.is_ipv4() { "A" } else { "AAAA" };
        let serial = today().saturating_mul(100);
        let mut text = format!(
            "; cPanel first:{version} (update_time):{time} Cpanel::ZoneFile::VERSION:1.3 hostname:{hostname} latest:{version}\n; Zone file for {domain}\n$TTL 14400\n{domain}.\t86400\tIN\tSOA\tns1.{ns}.\troot.{hostname}.\t(\n\t\t\t\t\t\t{serial} ;Serial Number\n\t\t\t\t\t\t3600 ;refresh\n\t\t\t\t\t\t1800 ;retry\n\t\t\t\t\t\t1209600 ;expire\n\t\t\t\t\t\t86400 ;minimum\n\t)\n",
            version = self.version(),
            time = super::tokens::now(),
            ns = self.nameserver_base(),
        );
        let absolute = format!("{domain}.");
        let address = address.to_string();
        let mut records: Vec<NewRecord> = Vec::new();
        for server in self.nameservers() {
            let mut record = NewRecord::new(&absolute, "NS", &[&format!("{server}.")]);
            record.ttl = 86_400;
            records.push(record);
        }
        records.push(NewRecord::new(&absolute, kind, &[&address]));
        records.push(NewRecord::new(&absolute, "MX", &["0", &absolute]));
        records.push(NewRecord::new("mail", "CNAME", &[&absolute]));
        records.push(NewRecord::new("www", "CNAME", &[&absolute]));
        for label in ["webmail", "cpanel", "whm", "autodiscover", "autoconfig"] {
            records.push(NewRecord::new(label, kind, &[&address]));
        }
        if with_spf {
            let mechanism = if kind == "A" { "ip4" } else { "ip6" };
            let spf = format!("v=spf1 {mechanism}:{address} +a +mx ~all");
            records.push(NewRecord::new(&absolute, "TXT", &[&spf]));
        }
        if let Some(dkim) = self.dkim_record(domain)?.filter(|_| with_dkim) {
            records.push(NewRecord::new("default._domainkey", "TXT", &[&dkim]));
        }
        for record in records {
            text.push_str(&record.line()?);
            text.push('\n');
        }
        Ok(text)
    }

    fn nameserver_base(&self) -> String {
        let hostname = self.hostname();
        hostname.split_once('.').map_or(hostname.clone(), |(_, rest)| rest.to_owned())
    }

    /// The name servers new zones get, as `/etc/wwwacct.conf` says (`NS`, `NS2` …); the hostname where it says none.
    pub fn nameservers(&self) -> Vec<String> {
        let text = files::text(&self.path("/etc/wwwacct.conf")).unwrap_or_default();
        let found: Vec<String> = ["NS", "NS2", "NS3", "NS4"]
            .iter()
            .filter_map(|key| {
                let line = text.lines().find(|line| line.split_whitespace().next() == Some(*key))?;
                line.split_whitespace().nth(1).map(str::to_owned)
            })
            .collect();
        if found.is_empty() { vec![self.hostname()] } else { found }
    }

    /// Makes this server the authority of `zone`, with this text.
    pub fn add_zone(&self, zone: &str, text: &str) -> Result<(), Failure> {
        files::replace(&self.path(&zone_file(zone)), text.as_bytes(), 0o644)?;
        self.edit::<Failure>(CONFIGURATION, 0o644, |old| Ok(with_zone(old, zone, true)))?;
        self.publish(zone)
    }

    /// Ends this server's authority of `zone`.
    pub fn remove_zone(&self, zone: &str) -> Result<(), Failure> {
        if !self.path(CONFIGURATION).exists() {
            return Ok(());
        }
        self.edit::<Failure>(CONFIGURATION, 0o644, |old| Ok(with_zone(old, zone, false)))?;
        files::remove(&self.path(&zone_file(zone)))?;
        self.publish(zone)
    }

    /// Lets the name server take up a changed, new or removed zone.
    fn publish(&self, zone: &str) -> Result<(), Failure> {
        Ok(crate::node::services::zone_changed(self, zone)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::scratch;

    #[test]
    fn zones_come_and_go_with_their_statement() {
        let (_folder, machine) = scratch::machine();
        let text = machine.default_zone("a.example", true, false).unwrap();
        machine.add_zone("a.example", &text).unwrap();
        let other = machine.default_zone("b.example", true, false).unwrap();
        machine.add_zone("b.example", &other).unwrap();
        assert_eq!(machine.zones().unwrap(), ["a.example", "b.example"]);
        machine.remove_zone("a.example").unwrap();
        assert_eq!(machine.zones().unwrap(), ["b.example"]);
        assert!(!machine.has_zone("a.example"));
    }

    #[test]
    fn the_default_zone_names_mail_and_spf() {
        let (_folder, machine) = scratch::machine();
        let text = machine.default_zone("a.example", true, false).unwrap();
        let records = zonefile::records(&text, "a.example").unwrap();
        let find = |name: &str, kind: &str| records.iter().find(|r| r.name == name && r.kind == kind).unwrap();
        assert_eq!(find("mail", "CNAME").data, [b"a.example.".to_vec()]);
        assert_eq!(find("a.example.", "TXT").data, [b"v=spf1 ip4:10.77.0.10 +a +mx ~all".to_vec()]);
        assert_eq!(find("webmail", "A").ttl, 14_400);
    }
}
