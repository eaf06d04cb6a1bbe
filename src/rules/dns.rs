//! Which records of a domain follow its mail, and how they change.
//!
//! `mail`, `webmail`, `autodiscover` and `autoconfig` of a distributed account's domain resolve to the child
//! (cPanel Linked Nodes Guide); the MX and SPF records follow where they name the parent.

use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// Names below a domain that lead to where its mail is served.
pub const MAIL_NAMES: [&str; 4] = ["mail", "webmail", "autodiscover", "autoconfig"];

/// The TTL of those records while a move is under way and after it, in seconds.
pub const MOVING_TTL: u32 = 300;

/// One record set of a zone, names without the trailing dot and in lower case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Full name.
    pub name: String,
    /// Time to live, seconds.
    pub ttl: u32,
    /// `A`, `CNAME`, `MX`, `TXT` …
    pub kind: String,
    /// Data fields as the zone has them.
    pub data: Vec<String>,
}

/// A replacement of the records of one name and kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// What is there and goes away.
    pub before: Vec<Record>,
    /// What comes instead.
    pub after: Vec<Record>,
}

impl Change {
    /// The change that takes this one back.
    pub fn reversed(&self) -> Self {
        Self { before: self.after.clone(), after: self.before.clone() }
    }

    /// One line for a person.
    pub fn describe(&self) -> String {
        let show = |records: &[Record]| {
            records.iter().map(|r| format!("{} {}", r.kind, r.data.join(" "))).collect::<Vec<_>>().join(", ")
        };
        let name = self.before.first().or(self.after.first()).map_or("", |record| record.name.as_str());
        let show_or = |records: &[Record]| if records.is_empty() { "nothing".to_owned() } else { show(records) };
        format!("{name}: {} → {}", show_or(&self.before), show_or(&self.after))
    }
}

/// Where a name leads by address.
fn address_record(name: &str, ttl: u32, address: IpAddr) -> Record {
    let kind = if address.is_ipv4() { "A" } else { "AAAA" };
    Record { name: name.to_owned(), ttl, kind: kind.into(), data: vec![address.to_string()] }
}

/// The changes that make a domain's mail names lead to `address`, whose mail server used to be `former`. `apex` is the zone's name: a
/// subdomain whose records stand in it gets no names that it does not have, but those its mail needs.
///
/// Idempotent: a zone that is already right needs no change.
pub fn follow(zone: &[Record], domain: &str, apex: &str, former: IpAddr, address: IpAddr) -> Vec<Change> {
    let mut changes = Vec::new();
    let mail = format!("mail.{domain}");
    let exchangers: Vec<Record> = zone.iter().filter(|r| r.name == domain && r.kind == "MX").cloned().collect();
    let exchanger = |r: &Record| r.data.get(1).map(|host| host.trim_end_matches('.').to_ascii_lowercase());
    // Its own name, or that of the zone it stands in; what was put there by hand stays.
    let points_home = |r: &Record| exchanger(r).is_some_and(|host| host == domain || host == apex);
    let needs_mail = domain == apex || exchangers.iter().any(|r| points_home(r) || exchanger(r).as_ref() == Some(&mail));
    for label in MAIL_NAMES {
        let name = format!("{label}.{domain}");
        let before: Vec<Record> =
            zone.iter().filter(|r| r.name == name && matches!(r.kind.as_str(), "A" | "AAAA" | "CNAME")).cloned().collect();
        let needed = match label {
            "mail" => needs_mail,
            "webmail" => domain == apex,
            _ => false,
        };
        if before.is_empty() && !needed {
            continue;
        }
        let after = vec![address_record(&name, MOVING_TTL, address)];
        if before.iter().map(|r| (&r.kind, &r.data)).ne(after.iter().map(|r| (&r.kind, &r.data))) {
            changes.push(Change { before, after });
        }
    }
    if exchangers.iter().any(points_home) {
        let after = exchangers
            .iter()
            .map(|r| {
                if points_home(r) {
                    Record { data: vec![r.data[0].clone(), format!("{mail}.")], ttl: MOVING_TTL, ..r.clone() }
                } else {
                    r.clone()
                }
            })
            .collect();
        changes.push(Change { before: exchangers, after });
    }
    let policies: Vec<Record> = zone.iter().filter(|r| r.name == domain && r.kind == "TXT").cloned().collect();
    for policy in &policies {
        let text = policy.data.concat();
        if text != "v=spf1" && !text.starts_with("v=spf1 ") {
            continue;
        }
        let mechanism = |ip: IpAddr| format!("{}:{ip}", if ip.is_ipv4() { "ip4" } else { "ip6" });
        let (new, old) = (mechanism(address), mechanism(former));
        let has = |what: &str| text.split(' ').any(|term| term.trim_start_matches('+') == what);
        if has(&new) {
            continue;
        }
        let mut terms: Vec<String> = text.split(' ').map(str::to_owned).collect();
        let at = terms.iter().position(|term| term.trim_start_matches('+') == old).map_or(1, |at| at + 1);
        terms.insert(at, format!("+{new}"));
        let after = Record { data: vec![terms.join(" ")], ..policy.clone() };
        changes.push(Change { before: vec![policy.clone()], after: vec![after] });
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(name: &str, kind: &str, data: &[&str]) -> Record {
        Record { name: name.into(), ttl: 14_400, kind: kind.into(), data: data.iter().map(|d| (*d).to_owned()).collect() }
    }

    fn zone() -> Vec<Record> {
        vec![
            record("a.test", "A", &["10.0.0.1"]),
            record("mail.a.test", "CNAME", &["a.test."]),
            record("webmail.a.test", "A", &["10.0.0.1"]),
            record("autodiscover.a.test", "A", &["10.0.0.1"]),
            record("a.test", "MX", &["0", "a.test."]),
            record("a.test", "TXT", &["v=spf1 +a +mx +ip4:10.0.0.1 ~all"]),
            record("a.test", "TXT", &["other"]),
        ]
    }

    fn apply(zone: &mut Vec<Record>, changes: &[Change]) {
        for change in changes {
            for gone in &change.before {
                let at = zone.iter().position(|r| r == gone).unwrap();
                zone.remove(at);
            }
            zone.extend(change.after.iter().cloned());
        }
    }

    #[test]
    fn mail_names_follow_and_come_back() {
        let (old, new) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        let mut now = zone();
        let changes = follow(&now, "a.test", "a.test", old, new);
        apply(&mut now, &changes);
        for name in ["mail.a.test", "webmail.a.test", "autodiscover.a.test"] {
            let found: Vec<_> = now.iter().filter(|r| r.name == name).collect();
            assert!(found.len() == 1 && found[0].kind == "A" && found[0].data == ["10.0.0.2"], "{name}: {found:?}");
        }
        assert!(!now.iter().any(|r| r.name == "autoconfig.a.test"));
        assert!(now.iter().any(|r| r.kind == "MX" && r.data == ["0", "mail.a.test."]));
        assert!(now.iter().any(|r| r.data == ["v=spf1 +a +mx +ip4:10.0.0.1 +ip4:10.0.0.2 ~all"]));
        assert_eq!(follow(&now, "a.test", "a.test", old, new), vec![], "a second time changes nothing");

        let back: Vec<Change> = changes.iter().rev().map(Change::reversed).collect();
        apply(&mut now, &back);
        let sorted = |mut zone: Vec<Record>| {
            zone.sort_by_key(|r| format!("{r:?}"));
            zone
        };
        assert_eq!(sorted(now), sorted(zone()));
    }

    #[test]
    fn a_foreign_exchanger_stays() {
        let mut now = zone();
        now[4].data[1] = "mx.elsewhere.test.".into();
        let changes = follow(&now, "a.test", "a.test", "10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        assert!(changes.iter().all(|c| c.before.iter().all(|r| r.kind != "MX")));
    }

    #[test]
    fn a_subdomain_follows_where_it_has_names_of_its_own() {
        let (old, new) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        let mut now = zone();
        now.push(record("blog.a.test", "A", &["10.0.0.1"]));
        assert_eq!(follow(&now, "blog.a.test", "a.test", old, new), vec![], "it has none");
        now.push(record("blog.a.test", "MX", &["0", "blog.a.test."]));
        now.push(record("webmail.blog.a.test", "A", &["10.0.0.1"]));
        let changes = follow(&now, "blog.a.test", "a.test", old, new);
        apply(&mut now, &changes);
        assert!(now.iter().any(|r| r.kind == "MX" && r.name == "blog.a.test" && r.data == ["0", "mail.blog.a.test."]));
        for name in ["mail.blog.a.test", "webmail.blog.a.test"] {
            assert!(now.iter().any(|r| r.name == name && r.data == ["10.0.0.2"]), "{name}: {now:#?}");
        }
        assert!(!now.iter().any(|r| r.name == "autoconfig.blog.a.test"));
        assert!(now.iter().any(|r| r.name == "blog.a.test" && r.kind == "A" && r.data == ["10.0.0.1"]), "its web server stays");
        assert_eq!(follow(&now, "blog.a.test", "a.test", old, new), vec![], "a second time changes nothing");
    }
}
