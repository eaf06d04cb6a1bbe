//! Service proxies, and which services run.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};

use crate::call::{Args, Caller, Failure, Reply};
use crate::machine::Machine;
use crate::machine::routing::{Backends, check_backend};

/// `set_service_proxy_backends`: what is not given stays.
pub(super) fn set_backends(machine: &Machine, _caller: &Caller, args: &Args) -> Reply {
    let user = args.need("username")?;
    machine.account(user)?;
    let mut backends = machine.backends(user)?;
    if let Some(general) = args.get("general").filter(|host| !host.is_empty()) {
        check_backend(general)?;
        backends.general = Some(general.to_owned());
    }
    let (groups, hosts) = (args.all("service_group"), args.all("service_group_backend"));
    if groups.len() != hosts.len() {
        return Err(Failure::new("Give as many “service_group_backend” values as “service_group” values."));
    }
    for (group, host) in groups.iter().zip(&hosts) {
        if *group != "Mail" {
            return Err(Failure::new(format!("“{group}” is not a valid service group.")));
        }
        check_backend(host)?;
        backends.mail = Some((*host).to_owned());
    }
    if backends == Backends::default() {
        return Err(Failure::new("Provide the “general” argument, or “service_group” and “service_group_backend”."));
    }
    machine.set_backends(user, &backends)?;
    Ok(Value::Null.into())
}

/// `get_service_proxy_backends`.
pub(super) fn get_backends(machine: &Machine, _caller: &Caller, args: &Args) -> Reply {
    let user = args.need("username")?;
    machine.account(user)?;
    let backends = machine.backends(user)?;
    let mut payload = Vec::new();
    payload.extend(backends.general.map(|host| json!({"backend": host, "service_group": null})));
    payload.extend(backends.mail.map(|host| json!({"backend": host, "service_group": "Mail"})));
    Ok(json!({"payload": payload}).into())
}

/// `unset_all_service_proxy_backends`.
pub(super) fn unset_backends(machine: &Machine, _caller: &Caller, args: &Args) -> Reply {
    let user = args.need("username")?;
    machine.account(user)?;
    machine.set_backends(user, &Backends::default())?;
    Ok(Value::Null.into())
}

/// A service: its name, its title, the port it answers on, the program that runs it, the role it belongs to.
const SERVICES: &[(&str, &str, u16, &str, &str)] = &[
    ("cpsrvd", "cPanel Daemon", 2087, "/usr/local/cpanel/cpanel", ""),
    ("exim", "Exim Mail Server", 25, "/usr/sbin/exim4", "MailLocal"),
    ("imap", "IMAP Server", 143, "/usr/sbin/dovecot", "MailReceive"),
    ("pop", "POP3 Server", 110, "/usr/sbin/dovecot", "MailReceive"),
    ("named", "Nameserver", 53, "/usr/sbin/pdns_server", "DNS"),
];

fn answers(port: u16, address: Ipv4Addr) -> bool {
    TcpStream::connect_timeout(&SocketAddr::from((address, port)), Duration::from_secs(2)).is_ok()
}

/// `servicestatus`: a service runs when its port answers.
pub(super) fn servicestatus(machine: &Machine, _caller: &Caller, args: &Args) -> Reply {
    let wanted = args.get("service").filter(|name| !name.is_empty());
    if let Some(name) = wanted.filter(|name| !SERVICES.iter().any(|(known, ..)| known == name)) {
        return Err(Failure::new(format!("The service “{name}” does not exist.")));
    }
    let own = match machine.address() {
        std::net::IpAddr::V4(address) => address,
        std::net::IpAddr::V6(_) => Ipv4Addr::LOCALHOST,
    };
    let shown: Vec<Value> = SERVICES
        .iter()
        .filter(|(name, ..)| wanted.is_none_or(|wanted| wanted == *name))
        .map(|(name, title, port, program, role)| {
            let installed = machine.path(program).exists();
            let enabled = installed && (role.is_empty() || machine.role_enabled(role) == Some(true));
            let running = enabled && machine.is_live() && (answers(*port, Ipv4Addr::LOCALHOST) || answers(*port, own));
            json!({
                "name": name,
                "display_name": title,
                "installed": u8::from(installed),
                "enabled": u8::from(enabled),
                "monitored": u8::from(enabled),
                "running": u8::from(running),
            })
        })
        .collect();
    Ok(json!({"service": shown}).into())
}
