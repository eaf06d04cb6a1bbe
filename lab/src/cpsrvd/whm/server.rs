//! The server itself: version, profile, privileges, sessions, password rules.

use serde_json::{Map, Value, json};

use super::managed;
use crate::call::{Args, Caller, Failure, Outcome, Reply};
use crate::cpsrvd::path::percent_encode;
use crate::cpsrvd::session::{self, Service};
use crate::machine::names::STRENGTH_APPS;
use crate::machine::profile::{PROFILES, Profile, ROLES, services_of};
use crate::machine::{Machine, files, names};

/// Every ACL, as `myprivs` lists them.
pub(super) const ACLS: &[&str] = &[
    "acct-summary",
    "add-pkg",
    "add-pkg-ip",
    "add-pkg-shell",
    "all",
    "allow-addoncreate",
    "allow-emaillimits-pkgs",
    "allow-parkedcreate",
    "allow-shell",
    "allow-unlimited-bw-pkgs",
    "allow-unlimited-disk-pkgs",
    "allow-unlimited-pkgs",
    "assign-root-account-enhancements",
    "basic-system-info",
    "basic-whm-functions",
    "clustering",
    "connected-applications",
    "cors-proxy-get",
    "cpanel-api",
    "cpanel-integration",
    "create-acct",
    "create-dns",
    "create-user-session",
    "demo-setup",
    "digest-auth",
    "edit-account",
    "edit-dns",
    "edit-mx",
    "edit-pkg",
    "file-restore",
    "generate-email-config",
    "kill-acct",
    "kill-dns",
    "limit-bandwidth",
    "list-accts",
    "list-pkgs",
    "locale-edit",
    "mailcheck",
    "manage-api-tokens",
    "manage-dns-records",
    "manage-oidc",
    "manage-styles",
    "mysql-info",
    "news",
    "ns-config",
    "park-dns",
    "passwd",
    "public-contact",
    "quota",
    "rearrange-accts",
    "resftp",
    "restart",
    "show-bandwidth",
    "ssl",
    "ssl-buy",
    "ssl-gencrt",
    "ssl-info",
    "stats",
    "status",
    "suspend-acct",
    "thirdparty",
    "track-email",
    "upgrade-account",
    "viewglobalpackages",
    "wp-toolkit",
];

/// What a reseller made by `createacct reseller=1` may do: cPanel's default list.
pub(super) const RESELLER_ACLS: &[&str] = &[
    "acct-summary",
    "basic-system-info",
    "basic-whm-functions",
    "cors-proxy-get",
    "cpanel-api",
    "cpanel-integration",
    "create-acct",
    "create-dns",
    "create-user-session",
    "digest-auth",
    "edit-account",
    "edit-dns",
    "edit-mx",
    "generate-email-config",
    "kill-acct",
    "kill-dns",
    "list-accts",
    "list-pkgs",
    "mailcheck",
    "manage-api-tokens",
    "manage-dns-records",
    "manage-oidc",
    "manage-styles",
    "mysql-info",
    "news",
    "ns-config",
    "park-dns",
    "passwd",
    "public-contact",
    "quota",
    "show-bandwidth",
    "ssl",
    "ssl-gencrt",
    "ssl-info",
    "stats",
    "status",
    "suspend-acct",
    "thirdparty",
    "track-email",
    "upgrade-account",
    "viewglobalpackages",
];

/// `version`.
pub(super) fn version(machine: &Machine, _caller: &Caller, _args: &Args) -> Reply {
    Ok(json!({"version": machine.version()}).into())
}

/// `gethostname`.
pub(super) fn gethostname(machine: &Machine, _caller: &Caller, _args: &Args) -> Reply {
    Ok(json!({"hostname": machine.hostname()}).into())
}

/// `myprivs`.
pub(super) fn myprivs(_machine: &Machine, caller: &Caller, _args: &Args) -> Reply {
    let mut privileges: Map<String, Value> =
        ACLS.iter().map(|acl| ((*acl).to_owned(), json!(u8::from(caller.may(acl))))).collect();
    privileges.extend(caller.acls.iter().map(|acl| (acl.clone(), json!(1))));
    Ok(json!({"privileges": [privileges]}).into())
}

fn role(name: &str) -> Value {
    let known = ROLES.iter().find(|(role, ..)| *role == name);
    let (title, description) = known.map_or(("", ""), |(_, title, description)| (*title, *description));
    json!({"module": name, "name": title, "description": description})
}

fn roles(names: &[&str]) -> Vec<Value> {
    names.iter().map(|name| role(name)).collect()
}

fn described(profile: &Profile) -> Value {
    json!({
        "code": profile.code,
        "name": profile.name,
        "description": profile.description,
        "experimental": u8::from(profile.experimental),
        "enabled_roles": roles(&profile.enabled()),
        "optional_roles": roles(&profile.optional()),
        "disabled_roles": roles(&profile.disabled()),
    })
}

/// `get_current_profile`: optional roles that are on are listed as enabled.
pub(super) fn get_current_profile(machine: &Machine, _caller: &Caller, _args: &Args) -> Reply {
    let (profile, chosen) = machine.profile();
    let is_chosen = |role: &&str| chosen.iter().any(|name| name == role);
    let mut shown = described(profile);
    let mut enabled = profile.enabled();
    enabled.extend(profile.optional().into_iter().filter(|role| is_chosen(role)));
    let optional: Vec<&str> = profile.optional().into_iter().filter(|role| !is_chosen(role)).collect();
    shown["enabled_roles"] = json!(roles(&enabled));
    shown["optional_roles"] = json!(roles(&optional));
    Ok(shown.into())
}

/// `get_available_profiles`.
pub(super) fn get_available_profiles(_machine: &Machine, _caller: &Caller, _args: &Args) -> Reply {
    Ok(json!({"profiles": PROFILES.iter().map(described).collect::<Vec<_>>()}).into())
}

/// `start_profile_activation`: takes effect before it returns; the log is cPanel's place for it.
pub(super) fn start_profile_activation(machine: &Machine, _caller: &Caller, args: &Args) -> Reply {
    let code = args.need("code")?;
    let optional = match args.get("optional").filter(|text| !text.is_empty()) {
        None => Vec::new(),
        Some(text) => {
            let chosen: Map<String, Value> =
                serde_json::from_str(text).map_err(|error| Failure::new(format!("“optional” is no JSON object: {error}")))?;
            let on = |value: &Value| *value == json!(1) || *value == json!("1") || *value == json!(true);
            chosen.into_iter().filter(|(_, value)| on(value)).map(|(name, _)| name).collect()
        }
    };
    let before = machine.enabled_roles();
    machine.set_profile(code, &optional)?;
    let now = machine.enabled_roles();
    crate::node::services::follow_roles(machine)?;
    for (event, had, has) in [("disable", &before, &now), ("enable", &now, &before)] {
        let changed: Vec<&str> = had.iter().copied().filter(|role| !has.contains(role)).collect();
        if !changed.is_empty() {
            // A service that another role still runs is not among them.
            let others: Vec<&str> = had.iter().copied().filter(|role| has.contains(role)).collect();
            let kept = services_of(&others);
            let services: Vec<&str> = services_of(&changed).into_iter().filter(|name| !kept.contains(name)).collect();
            let data = json!({"services": services, "changed_roles": changed});
            super::accounts::after(machine, &format!("Server::Type::Change::{event}"), data);
        }
    }
    let log_id = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ.1").to_string();
    let log = format!("The system activated the “{code}” profile. Optional roles: {}\n", optional.join(", "));
    files::replace(&machine.path(&format!("/var/cpanel/logs/activate_profile/{log_id}/txt")), log.as_bytes(), 0o600)?;
    Ok(json!({"log_id": log_id}).into())
}

/// `is_role_enabled`.
pub(super) fn is_role_enabled(machine: &Machine, _caller: &Caller, args: &Args) -> Reply {
    let role = args.need("role")?;
    let enabled = machine.role_enabled(role).ok_or_else(|| Failure::new(format!("The role “{role}” does not exist.")))?;
    Ok(json!({"enabled": u8::from(enabled)}).into())
}

/// `create_user_session`: a URL that signs somebody in, once.
pub(super) fn create_user_session(machine: &Machine, caller: &Caller, args: &Args) -> Reply {
    let user = args.need("user")?;
    let name = args.need("service")?;
    let service = Service::named(name).ok_or_else(|| Failure::new(format!("“{name}” is not a valid value of “service”.")))?;
    let (owner, mailbox) = match user.split_once('@') {
        Some((local, domain)) if service == Service::Webmaild => {
            let (local, domain) = (names::local_part(local)?, names::domain(domain)?);
            let owner = machine.domain_owner(&domain).unwrap_or_default();
            machine
                .mailbox_hash(&owner, &domain, &local)
                .ok_or_else(|| Failure::new(format!("The email account “{user}” does not exist.")))?;
            (owner, Some(format!("{local}@{domain}")))
        }
        _ => (user.to_owned(), None),
    };
    match service {
        Service::Whostmgrd => {
            if machine.reseller_acls(user).is_none() {
                return Err(Failure::new(format!("The user “{user}” may not use WHM.")));
            }
            if user != caller.user && !caller.may("all") {
                return Err(Failure::new(format!("You do not have permission to create a session for “{user}”.")));
            }
        }
        Service::Cpaneld | Service::Webmaild => {
            let account = managed(machine, caller, &owner)?;
            if account.is_suspended() {
                return Err(Failure::new(format!("The account “{owner}” is suspended.")));
            }
        }
    }
    let (session, made) = session::create(machine, &owner, mailbox.as_deref(), service, true, "CREATE_USER_SESSION")?;
    let host = match args.get("preferred_domain").filter(|domain| !domain.is_empty()) {
        None => machine.hostname(),
        Some(domain) if machine.owner_of_host(domain).is_some_and(|(user, _)| user == owner) => domain.to_ascii_lowercase(),
        Some(domain) => return Err(Failure::new(format!("The user “{owner}” does not own the domain “{domain}”."))),
    };
    let goto = args.get("app").filter(|app| !app.is_empty()).map(|app| format!("&goto_app={}", percent_encode(app)));
    let url = format!(
        "https://{host}:{port}{token}/login/?session={name}{goto}",
        port = service.port(),
        token = made.security_token,
        name = percent_encode(&session),
        goto = goto.unwrap_or_default(),
    );
    Ok(Outcome {
        reason: Some("Created session".to_owned()),
        ..Outcome::from(json!({
            "cp_security_token": made.security_token,
            "expires": made.expires(),
            "service": service.name(),
            "session": session,
            "url": url,
        }))
    })
}

/// `getminimumpasswordstrengths`.
pub(super) fn getminimumpasswordstrengths(machine: &Machine, _caller: &Caller, args: &Args) -> Reply {
    let wanted = args.get("name").filter(|name| !name.is_empty());
    if let Some(name) = wanted.filter(|name| *name != "default" && !STRENGTH_APPS.contains(name)) {
        return Err(Failure::new(format!("“{name}” is not a valid value of “name”.")));
    }
    let shown: Map<String, Value> = std::iter::once(&"default")
        .chain(STRENGTH_APPS)
        .filter(|app| wanted.is_none_or(|wanted| wanted == **app))
        .map(|app| ((*app).to_owned(), json!(machine.required_strength(app))))
        .collect();
    Ok(Value::Object(shown).into())
}

/// `setminimumpasswordstrengths`.
pub(super) fn setminimumpasswordstrengths(machine: &Machine, _caller: &Caller, args: &Args) -> Reply {
    let mut changes: Vec<(String, String)> = Vec::new();
    for (name, value) in &args.0 {
        let key = match name.as_str() {
            "default" => "minpwstrength".to_owned(),
            app if STRENGTH_APPS.contains(&app) => format!("minpwstrength_{app}"),
            _ => continue,
        };
        let fits = value.parse::<u32>().is_ok_and(|number| number <= 100);
        if !fits {
            return Err(Failure::new(format!("“{value}” is not a valid value of “{name}”: give 0 to 100.")));
        }
        changes.push((key, value.clone()));
    }
    machine.edit::<Failure>("/var/cpanel/cpanel.config", 0o644, |old| {
        let kept = old.lines().filter(|line| {
            let key = line.split('=').next().unwrap_or_default();
            !changes.iter().any(|(changed, _)| changed == key)
        });
        let new = changes.iter().map(|(key, value)| format!("{key}={value}\n"));
        Ok(kept.map(|line| format!("{line}\n")).chain(new).collect())
    })?;
    Ok(Value::Null.into())
}
