//! Addon, parked and sub domains as every interface makes and removes them: with the hooks of the `Whostmgr` category around each.
//!
//! Events and keys: "Guide to Standardized Hooks – Whostmgr functions", api.docs.cpanel.net. Hooks run without the server's lock, since they
//! may call the server.

use serde_json::{Value, json};

use crate::call::Failure;
use crate::hooks::{self, Stage};
use crate::machine::Machine;
use crate::machine::domains::Kind;

/// Runs `work` between the event's pre and post hooks. A veto fails it; after a failure nothing runs.
fn around<T>(machine: &Machine, event: &str, data: Value, work: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    let event = format!("Domain::{event}");
    hooks::fire(machine, "Whostmgr", &event, Stage::Pre, data.clone()).map_err(|veto| Failure::new(veto.message))?;
    let done = work()?;
    let _ = hooks::fire(machine, "Whostmgr", &event, Stage::Post, data);
    Ok(done)
}

fn sub_data(machine: &Machine, user: &str, sub: &str) -> Result<Value, Failure> {
    let root = machine.domains_of(user)?.root_of(sub).unwrap_or_default();
    let label = sub.strip_suffix(&format!(".{root}")).unwrap_or(sub);
    Ok(json!({"user": user, "subdomain": label, "rootdomain": root}))
}

/// Makes the sub domain `sub` (its full name), its pages in `document_root`; `public_html/LABEL` when that is empty.
pub fn add_sub(machine: &Machine, user: &str, sub: &str, document_root: &str, canonical: bool) -> Result<(), Failure> {
    let sub = machine.check_new_domain(user, sub, Kind::Sub)?;
    make_sub(machine, user, &sub, document_root, canonical, true)
}

fn make_sub(machine: &Machine, user: &str, sub: &str, document_root: &str, canonical: bool, counts: bool) -> Result<(), Failure> {
    let data = sub_data(machine, user, sub)?;
    let label = data["subdomain"].as_str().unwrap_or_default();
    let document_root = if document_root.is_empty() { format!("public_html/{label}") } else { document_root.to_owned() };
    around(machine, "addsubdomain", data, || {
        if counts {
            machine.add_subdomain(user, sub, &document_root, canonical)
        } else {
            machine.add_subdomain_unlimited(user, sub, &document_root, canonical)
        }
    })
}

/// Parks `domain` on the account's main domain, or on a sub domain, which makes it an addon domain.
pub fn park(machine: &Machine, user: &str, domain: &str, target: &str) -> Result<Kind, Failure> {
    let target = if target.is_empty() { machine.account(user)?.domain().to_owned() } else { target.to_ascii_lowercase() };
    let domain = machine.check_new_domain(user, domain, machine.kind_of_parking(user, &target)?)?;
    let data = json!({"user": user, "new_domain": domain, "target_domain": target});
    around(machine, "park", data, || machine.park_domain(user, &domain, &target))
}

/// Makes an addon domain: a sub domain `label` of the main domain, unless there is one, and `domain` parked on it. When parking fails the
/// sub domain goes again.
pub fn add_addon(machine: &Machine, user: &str, domain: &str, label: &str, document_root: &str) -> Result<(), Failure> {
    let main = machine.account(user)?.domain().to_owned();
    let label = label.strip_suffix(&format!(".{main}")).unwrap_or(label);
    let sub = crate::machine::names::domain(&format!("{label}.{main}"))?;
    machine.check_new_domain(user, domain, Kind::Addon)?;
    let fresh = machine.domains_of(user)?.kind(&sub).is_none();
    if fresh {
        if let Some(owner) = machine.domain_owner(&sub) {
            return Err(Failure::new(format!("Sorry, the domain “{sub}” already belongs to the user “{owner}”.")));
        }
        make_sub(machine, user, &sub, document_root, false, false)?;
    }
    let parked = park(machine, user, domain, &sub);
    if parked.is_err() && fresh {
        remove(machine, user, &sub)?;
    }
    parked.map(drop)
}

/// Removes a domain that is not the main one; an addon domain's sub domain stays.
pub fn remove(machine: &Machine, user: &str, domain: &str) -> Result<Kind, Failure> {
    let domain = domain.to_ascii_lowercase();
    let domains = machine.domains_of(user)?;
    match domains.kind(&domain) {
        Some(Kind::Sub) if !domains.carries_addon(&domain) => {
            let data = sub_data(machine, user, &domain)?;
            around(machine, "delsubdomain", data, || machine.remove_domain(user, &domain))
        }
        Some(Kind::Addon | Kind::Parked) => {
            let parent = domains.addon_domains.get(&domain).unwrap_or(&domains.main_domain);
            let data = json!({"user": user, "domain": domain, "parent_domain": parent});
            around(machine, "unpark", data, || machine.remove_domain(user, &domain))
        }
        // Says why not.
        _ => machine.remove_domain(user, &domain),
    }
}

/// Removes an addon domain and the sub domain it is parked on, which stays while other domains are parked there.
pub fn remove_addon(machine: &Machine, user: &str, domain: &str, sub: &str) -> Result<(), Failure> {
    let domain = domain.to_ascii_lowercase();
    let domains = machine.domains_of(user)?;
    let carrier = domains.addon_domains.get(&domain);
    let carrier = carrier.ok_or_else(|| Failure::new(format!("The domain “{domain}” is not an addon domain of “{user}”.")))?;
    // As lists give it (`label_example.com`), the full name, or the label alone.
    let named = [carrier.clone(), carrier.replacen('.', "_", 1), carrier.split('.').next().unwrap_or_default().to_owned()];
    if !named.contains(&sub.to_ascii_lowercase()) {
        return Err(Failure::new(format!("The subdomain “{sub}” does not correspond to the addon domain “{domain}”.")));
    }
    remove(machine, user, &domain)?;
    if machine.domains_of(user)?.carries_addon(carrier) {
        return Ok(());
    }
    remove(machine, user, carrier).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::create::NewAccount;
    use crate::machine::scratch;

    #[test]
    fn every_change_is_told_before_and_after_and_a_veto_leaves_nothing() {
        use std::os::unix::fs::PermissionsExt;
        let (folder, machine) = scratch::machine();
        let new = NewAccount {
            user: "alice".into(),
            domain: "alice.example".into(),
            password: "Wonderland-7-rabbits".into(),
            ..NewAccount::default()
        };
        machine.create_account(&new).unwrap();
        let (log, script) = (folder.path().join("log"), folder.path().join("hook"));
        // One line an event; parking is vetoed for one domain.
        let text = format!(
            "#!/bin/sh\nd=$(cat)\necho \"$d\" >> {}\ncase $d in *no.example*) echo '0 BAILOUT not this one';; *) echo '1 ok';; esac\n",
            log.display()
        );
        std::fs::write(&script, text).unwrap();
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
        for event in ["addsubdomain", "delsubdomain", "park", "unpark"] {
            for stage in ["pre", "post"] {
                let hook = json!({"hook": format!("{} {stage}", script.display()), "stage": stage, "blocking": true});
                let hook = serde_json::from_value(hook).unwrap();
                crate::hooks::registry::add(&machine, "Whostmgr", &format!("Domain::{event}"), hook).unwrap();
            }
        }
        add_addon(&machine, "alice", "more.example", "more", "").unwrap();
        remove_addon(&machine, "alice", "more.example", "more_alice.example").unwrap();
        assert_eq!(add_addon(&machine, "alice", "no.example", "no", "").unwrap_err().reason, "not this one");
        assert_eq!(machine.account("alice").unwrap().domains(), ["alice.example"]);
        let told: Vec<(String, Value)> = std::fs::read_to_string(log)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap())
            .map(|event| {
                let word = |key: &str| event["context"][key].as_str().unwrap().to_owned();
                (format!("{} {}", word("event"), word("stage")), event["data"].clone())
            })
            .collect();
        let names: Vec<&str> = told.iter().map(|(name, _)| name.as_str()).collect();
        let expected = ["addsubdomain", "park", "unpark", "delsubdomain", "addsubdomain"]
            .iter()
            .flat_map(|event| [format!("Domain::{event} pre"), format!("Domain::{event} post")])
            .chain(["Domain::park pre", "Domain::delsubdomain pre", "Domain::delsubdomain post"].map(str::to_owned));
        assert_eq!(names, expected.collect::<Vec<_>>());
        assert_eq!(told[0].1, json!({"user": "alice", "subdomain": "more", "rootdomain": "alice.example"}));
        assert_eq!(told[2].1, json!({"user": "alice", "new_domain": "more.example", "target_domain": "more.alice.example"}));
        assert_eq!(told[4].1, json!({"user": "alice", "domain": "more.example", "parent_domain": "more.alice.example"}));
    }
}
