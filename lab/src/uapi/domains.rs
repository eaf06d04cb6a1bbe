//! Domains and the account itself: `DomainInfo`, `Variables`, `PasswdStrength`, and `Email`'s list of mail domains.

use serde_json::{Map, Value, json};

use crate::call::{Failure, Reply};
use crate::machine::domains::{Domains, Kind};
use crate::uapi::Context;

/// `Email::list_mail_domains`, the main domain first.
pub fn list_mail_domains(cx: &Context<'_>) -> Reply {
    let select = cx.args.get("select").filter(|select| !select.is_empty());
    let mut list = Vec::new();
    for domain in &cx.account.domains {
        let mut names = vec![domain.clone()];
        if cx.args.flag("add_www") {
            names.push(format!("www.{domain}"));
        }
        if cx.args.flag("include_wildcard") {
            names.push(format!("*.{domain}"));
        }
        for name in names {
            let mut entry = json!({"domain": name});
            if let (Some(select), Value::Object(map)) = (select, &mut entry)
                && select.eq_ignore_ascii_case(&name)
            {
                map.insert("select".into(), json!(1));
            }
            list.push(entry);
        }
    }
    Ok(Value::Array(list).into())
}

/// `Email::account_name`: what an account is called on pages.
pub fn account_name(cx: &Context<'_>) -> Reply {
    let display = cx.args.get("display").filter(|name| !name.is_empty());
    let account = cx.args.get("account").unwrap_or_default();
    let all = account.is_empty() || account == cx.account.user;
    Ok(json!(match display {
        Some(display) => display,
        None if all => "All Mail On The Account",
        None => account,
    })
    .into())
}

/// `DomainInfo::list_domains`.
pub fn list_domains(cx: &Context<'_>) -> Reply {
    let domains = cx.machine.domains_of(&cx.account.user)?;
    Ok(json!({
        "addon_domains": domains.addon_domains.keys().collect::<Vec<_>>(),
        "main_domain": domains.main_domain,
        "parked_domains": domains.parked_domains,
        "sub_domains": domains.sub_domains,
    })
    .into())
}

/// `DomainInfo::domains_data`, `format` hash (default) or list. Parked domains have no data of their own; they stand in the main domain's
/// `serveralias`.
pub fn domains_data(cx: &Context<'_>) -> Reply {
    let redirects = cx.args.flag("return_https_redirects_status");
    let domains = cx.machine.domains_of(&cx.account.user)?;
    let main = main_data(cx, &domains, redirects);
    let addons = domains.addon_domains.iter().map(|(addon, sub)| site_data(cx, addon, sub, redirects));
    let addons = addons.collect::<Result<Vec<_>, _>>()?;
    let subs = domains.sub_domains.iter().filter(|sub| !domains.carries_addon(sub));
    let subs = subs.map(|sub| site_data(cx, sub, sub, redirects)).collect::<Result<Vec<_>, _>>()?;
    Ok(match cx.args.get("format") {
        Some("list") => json!(std::iter::once(main).chain(addons).chain(subs).collect::<Vec<_>>()),
        None | Some("" | "hash") => json!({
            "addon_domains": addons,
            "main_domain": main,
            "parked_domains": domains.parked_domains,
            "sub_domains": subs,
        }),
        Some(other) => {
            return Err(Failure::new(format!("“{other}” is not a valid “format”: use “hash” or “list”.")));
        }
    }
    .into())
}

/// `DomainInfo::single_domain_data`.
pub fn single_domain_data(cx: &Context<'_>) -> Reply {
    let domain = cx.account.own_domain(cx.args.need("domain")?)?;
    let redirects = cx.args.flag("return_https_redirect_status");
    let domains = cx.machine.domains_of(&cx.account.user)?;
    let mut data = match domains.kind(&domain) {
        Some(Kind::Main) => main_data(cx, &domains, redirects),
        Some(Kind::Parked) | None => {
            return Err(Failure::new(format!("“{domain}” is an alias, which has no data of its own.")));
        }
        Some(Kind::Addon | Kind::Sub) => {
            let sub = domains.addon_domains.get(&domain).unwrap_or(&domain);
            let mut data = site_data(cx, &domain, sub, redirects)?;
            let root = data["documentroot"].as_str().unwrap_or_default().to_owned();
            data["customlog"] = json!([{"format": "combined", "target": format!("/etc/apache2/logs/domlogs/{sub}")}]);
            data["ifmodulemodsuphpc"] = json!({"group": cx.account.user});
            data["scriptalias"] = json!([{"path": format!("{root}/cgi-bin"), "url": "/cgi-bin/"}]);
            data
        }
    };
    if let Value::Object(map) = &mut data {
        // The two functions publish different members of the same file.
        map.retain(|name, _| !["ipv6", "no_cache_update"].contains(&name.as_str()));
        map.insert("options".into(), json!("ExecCGI Includes"));
        map.insert("port".into(), json!("80"));
    }
    Ok(data.into())
}

/// The data of an addon or sub domain: of the sub domain's site.
fn site_data(cx: &Context<'_>, domain: &str, sub: &str, redirects: bool) -> Result<Value, Failure> {
    let account = cx.account;
    let site = cx.machine.site(&account.user, sub)?;
    let mut data = json!({
        "documentroot": site.documentroot,
        "domain": domain,
        "group": account.user,
        "hascgi": u8::from(account.record.get("HASCGI") == Some("1")),
        "homedir": account.home,
        "ip": account.record.get("IP"),
        "ipv6": Value::Null,
        "no_cache_update": 0,
        "owner": account.record.owner(),
        "serveradmin": format!("webmaster@{sub}"),
        "serveralias": site.serveralias,
        "servername": sub,
        "type": if domain == sub { "sub_domain" } else { "addon_domain" },
        "usecanonicalname": site.usecanonicalname,
        "user": account.user,
        "userdirprotect": 0,
    });
    add_redirects(cx, &mut data, domain, redirects);
    Ok(data)
}

fn main_data(cx: &Context<'_>, domains: &Domains, redirects: bool) -> Value {
    let account = cx.account;
    let domain = account.main_domain();
    let aliases: Vec<String> = domains
        .parked_domains
        .iter()
        .flat_map(|alias| [alias.clone(), format!("mail.{alias}"), format!("www.{alias}")])
        .chain([format!("mail.{domain}"), format!("www.{domain}")])
        .collect();
    let user = &account.user;
    let mut data = json!({
        "customlog": [{"format": "combined", "target": format!("/etc/apache2/logs/domlogs/{domain}")}],
        "documentroot": format!("{}/public_html", account.home),
        "domain": domain,
        "group": user,
        "hascgi": u8::from(account.record.get("HASCGI") == Some("1")),
        "homedir": account.home,
        "ifmodulemodsuphpc": {"group": user},
        "ip": account.record.get("IP"),
        "ipv6": Value::Null,
        "no_cache_update": 0,
        "owner": account.record.owner(),
        "scriptalias": [{"path": format!("{}/public_html/cgi-bin", account.home), "url": "/cgi-bin/"}],
        "serveradmin": format!("webmaster@{domain}"),
        "serveralias": aliases.join(" "),
        "servername": domain,
        "type": "main_domain",
        "usecanonicalname": "Off",
        "user": user,
        "userdirprotect": 0,
    });
    add_redirects(cx, &mut data, domain, redirects);
    data
}

/// What `domains_data` tells of HTTPS when asked.
fn add_redirects(cx: &Context<'_>, data: &mut Value, domain: &str, wanted: bool) {
    if let (true, Value::Object(map)) = (wanted, data) {
        let certified = cx.machine.certificate(domain).is_some();
        map.insert("all_aliases_valid".into(), json!(u8::from(certified)));
        map.insert("can_https_redirect".into(), json!(u8::from(certified)));
        map.insert("is_https_redirecting".into(), json!(0));
    }
}

/// `DomainInfo::main_domain_builtin_subdomain_aliases`.
pub fn builtin_aliases(_: &Context<'_>) -> Reply {
    Ok(json!(["mail", "www"]).into())
}

/// `PasswdStrength::get_required_strength`.
pub fn get_required_strength(cx: &Context<'_>) -> Reply {
    const APPS: &[&str] = &[
        "cpaddons",
        "createacct",
        "ftp",
        "htaccess",
        "list",
        "mysql",
        "passwd",
        "pop",
        "postgres",
        "sshkey",
        "virtual",
        "webdisk",
    ];
    let app = cx.args.need("app")?;
    if !APPS.contains(&app) {
        return Err(Failure::new(format!("“{app}” is not a valid “app”.")));
    }
    Ok(json!({"strength": cx.machine.required_strength(app)}).into())
}

/// `Variables::get_user_information`: all of it, or only what `name`, `name-1` … ask for.
pub fn get_user_information(cx: &Context<'_>) -> Reply {
    let wanted = cx.args.all("name");
    let mut all = information(cx)?;
    if !wanted.is_empty() {
        if let Some(unknown) = wanted.iter().find(|name| !all.contains_key(**name)) {
            return Err(Failure::new(format!("“{unknown}” is not a valid “name”.")));
        }
        all.retain(|name, _| wanted.contains(&name.as_str()));
    }
    Ok(Value::Object(all).into())
}

fn information(cx: &Context<'_>) -> Result<Map<String, Value>, Failure> {
    let account = cx.account;
    let text = |key: &str| account.record.get(key).map(str::trim).filter(|value| !value.is_empty());
    let flag = |key: &str| json!(u8::from(matches!(text(key), Some("1" | "y"))));
    let number = |key: &str| json!(account.limit(key).unwrap_or(0));
    // A number, or "unlimited".
    let most = |key: &str| account.limit(key).map_or(json!("unlimited"), |most| json!(most));
    let or = |key: &str, default: &str| json!(text(key).unwrap_or(default));
    let file = cx.machine.path(&format!("/var/cpanel/users/{}", account.user));
    let modified = std::os::unix::fs::MetadataExt::mtime(&std::fs::metadata(file)?);
    let routing: Map<String, Value> =
        account.domains.iter().filter_map(|domain| Some((domain.clone(), json!(text(&format!("MXCHECK-{domain}"))?)))).collect();
    let mut all = Map::new();
    for (key, value) in [
        ("backup_enabled", flag("BACKUP")),
        ("bandwidth_limit", number("BWLIMIT")),
        ("cgi_enabled", flag("HASCGI")),
        ("contact_email", or("CONTACTEMAIL", "")),
        ("contact_email_2", or("CONTACTEMAIL2", "")),
        ("cpanel_root_directory", json!("/usr/local/cpanel")),
        ("created", number("STARTDATE")),
        ("created_in_version", or("CREATED_IN_VERSION", &cx.machine.version())),
        ("database_owner", json!(account.user)),
        ("dead_domains", json!(account.record.dead_domains())),
        ("demo_mode", flag("DEMO")),
        ("disk_block_limit", number("DISK_BLOCK_LIMIT")),
        ("dkim_enabled", flag("HASDKIM")),
        ("domain", json!(account.main_domain())),
        ("domains", json!(account.domains)),
        ("feature", json!({})),
        ("feature_list", or("FEATURELIST", "default")),
        ("gid", json!(account.gid)),
        ("home", json!(account.home)),
        ("home_directory_links", json!([])),
        ("ip", or("IP", "")),
        ("lang", or("LANG", "english")),
        ("last_modified", json!(modified)),
        ("legacy_backup_enabled", flag("LEGACY_BACKUP")),
        ("locale", or("LOCALE", "en")),
        ("mailbox_format", or("MAILBOX_FORMAT", "maildir")),
        ("maximum_addon_domains", most("MAXADDON")),
        ("maximum_databases", most("MAXSQL")),
        ("maximum_defer_fail_percentage", most("MAX_DEFER_FAIL_PERCENTAGE")),
        ("maximum_email_account_disk_quota", most("MAX_EMAILACCT_QUOTA")),
        ("maximum_emails_per_hour", most("MAX_EMAIL_PER_HOUR")),
        ("maximum_ftp_accounts", most("MAXFTP")),
        ("maximum_mail_accounts", most("MAXPOP")),
        ("maximum_mailing_lists", most("MAXLST")),
        ("maximum_parked_domains", most("MAXPARK")),
        ("maximum_passenger_apps", most("MAXPASSENGERAPPS")),
        ("maximum_subdomains", most("MAXSUB")),
        ("mxcheck", Value::Object(routing)),
        ("owner", json!(account.record.owner())),
        ("package_extensions", json!(text("_PACKAGE_EXTENSIONS").map_or(vec![], |names| names.split(' ').collect()))),
        ("plan", or("PLAN", "default")),
        ("pushbullet_access_token", or("PUSHBULLET_ACCESS_TOKEN", "")),
        ("shell", json!(account.shell)),
        ("spf_enabled", flag("HASSPF")),
        ("ssl_default_key_type", or("SSL_DEFAULT_KEY_TYPE", "system")),
        ("theme", or("RS", "jupiter")),
        ("uid", json!(account.uid)),
        ("user", json!(account.user)),
        ("utf8_mailbox", flag("UTF8MAILBOX")),
    ] {
        all.insert(key.to_owned(), value);
    }
    for name in NOTIFICATIONS {
        let value = text(&format!("notify_{name}")).is_none_or(|value| value == "1");
        all.insert(format!("notify_{name}"), json!(u8::from(value)));
    }
    Ok(all)
}

/// Notices an account may switch off; all are on until it does.
const NOTIFICATIONS: &[&str] = &[
    "account_authn_link",
    "account_authn_link_notification_disabled",
    "account_login",
    "account_login_for_known_netblock",
    "account_login_notification_disabled",
    "autossl_expiry",
    "autossl_expiry_coverage",
    "autossl_renewal_coverage",
    "autossl_renewal_coverage_reduced",
    "autossl_renewal_uncovered_domains",
    "bandwidth_limit",
    "contact_address_change",
    "contact_address_change_notification_disabled",
    "disk_limit",
    "password_change",
    "password_change_notification_disabled",
    "ssl_expiry",
    "twofactorauth_change",
    "twofactorauth_change_notification_disabled",
];
