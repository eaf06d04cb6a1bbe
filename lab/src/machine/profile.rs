//! Server profiles and roles: `/var/cpanel/server_profile.json`.
//!
//! Source: docs.cpanel.net, "How to Use Server Profiles"; WHM API 1 `get_current_profile`.

use serde::{Deserialize, Serialize};

use super::{Machine, files};
use crate::call::Failure;

const FILE: &str = "/var/cpanel/server_profile.json";

/// A role: its name in API calls, its title, and what it gives.
pub const ROLES: &[(&str, &str, &str)] = &[
    ("CalendarContact", "Calendars and Contacts", "Serve calendars and contacts."),
    ("DNS", "DNS", "Serve DNS zones."),
    ("FileStorage", "File Storage", "Let users store and manage files."),
    ("FTP", "FTP", "Transfer files by FTP."),
    ("MailLocal", "Local Mail", "Deliver system mail on this server."),
    ("MailReceive", "Receive Mail", "Receive mail and let users read it."),
    ("MailRelay", "Relay Mail", "Relay mail for other servers."),
    ("MailSend", "Send Mail", "Send mail."),
    ("MySQL", "MySQL/MariaDB", "Run a MySQL or MariaDB server."),
    ("MySQLClient", "MySQL/MariaDB Client", "Manage MySQL or MariaDB databases."),
    ("Postgres", "PostgreSQL", "Run a PostgreSQL server."),
    ("PostgresClient", "PostgreSQL Client", "Manage PostgreSQL databases."),
    ("SpamFilter", "Spam Filter", "Filter spam."),
    ("WebDisk", "Web Disk", "Serve files by WebDAV."),
    ("Webmail", "Webmail", "Read and send mail in a browser."),
    ("WebServer", "Web Server", "Serve websites."),
];

/// Services a role runs, by the names `servicestatus` and the hooks of a changed profile use.
/// Source: docs.cpanel.net, "How to Use Server Profiles".
const SERVICES: &[(&str, &[&str])] = &[
    ("DNS", &["named", "pdns"]),
    ("FTP", &["ftpd"]),
    ("MailLocal", &["exim"]),
    ("MailReceive", &["cpdavd", "cpgreylistd", "imap", "mailman", "pop"]),
    ("MailRelay", &["exim"]),
    ("MailSend", &["exim"]),
    ("MySQL", &["mysql"]),
    ("Postgres", &["postgresql"]),
    ("SpamFilter", &["spamd"]),
    ("WebDisk", &["cpdavd"]),
    ("WebServer", &["httpd"]),
];

/// The services of these roles, each once, by name.
pub fn services_of(roles: &[&str]) -> Vec<&'static str> {
    let of_roles = SERVICES.iter().filter(|(role, _)| roles.contains(role));
    let mut services: Vec<&str> = of_roles.flat_map(|(_, services)| services.iter().copied()).collect();
    services.sort_unstable();
    services.dedup();
    services
}

/// A profile: code, name, description, experimental, roles it enables, roles it leaves to choice.
#[derive(Debug)]
pub struct Profile {
    /// `STANDARD`, `MAILNODE`, `DNSNODE`, `DATABASENODE`.
    pub code: &'static str,
    /// Title.
    pub name: &'static str,
    /// What it is for.
    pub description: &'static str,
    /// Whether cPanel calls it experimental.
    pub experimental: bool,
    enabled: &'static [&'static str],
    optional: &'static [&'static str],
}

/// The profiles there are.
pub const PROFILES: &[Profile] = &[
    Profile {
        code: "STANDARD",
        name: "Standard",
        description: "This profile provides all services.",
        experimental: false,
        enabled: &[
            "CalendarContact",
            "DNS",
            "FileStorage",
            "FTP",
            "MailLocal",
            "MailReceive",
            "MailRelay",
            "MailSend",
            "MySQL",
            "MySQLClient",
            "Postgres",
            "PostgresClient",
            "SpamFilter",
            "WebDisk",
            "Webmail",
            "WebServer",
        ],
        optional: &[],
    },
    Profile {
        code: "MAILNODE",
        name: "Mail",
        description: "This profile provides services that serve mail.",
        experimental: false,
        enabled: &["CalendarContact", "MailLocal", "MailReceive", "MailRelay", "MailSend", "Webmail"],
        optional: &["DNS", "MySQL", "Postgres", "SpamFilter"],
    },
    Profile {
        code: "DNSNODE",
        name: "DNS",
        description: "This profile provides services that serve DNS zones.",
        experimental: false,
        enabled: &["DNS", "MailLocal", "MailSend"],
        optional: &["MySQL", "MailRelay"],
    },
    Profile {
        code: "DATABASENODE",
        name: "Database",
        description: "This profile provides services that serve databases.",
        experimental: true,
        enabled: &["MySQL", "MailLocal", "MailSend"],
        optional: &["Postgres"],
    },
];

impl Profile {
    /// The profile with this code.
    pub fn find(code: &str) -> Option<&'static Self> {
        PROFILES.iter().find(|profile| profile.code == code)
    }

    /// Roles always on, in this profile.
    pub fn enabled(&self) -> Vec<&'static str> {
        self.enabled.to_vec()
    }

    /// Roles the administrator may choose.
    pub fn optional(&self) -> Vec<&'static str> {
        self.optional.to_vec()
    }

    /// Roles the profile never has.
    pub fn disabled(&self) -> Vec<&'static str> {
        let known = |role: &&str| self.enabled.contains(role) || self.optional.contains(role);
        ROLES.iter().map(|(role, ..)| *role).filter(|role| !known(role)).collect()
    }
}

/// The file's content.
#[derive(Debug, Serialize, Deserialize)]
struct Stored {
    code: String,
    /// Optional roles chosen.
    #[serde(default)]
    optional: Vec<String>,
}

impl Machine {
    fn stored_profile(&self) -> Stored {
        let text = files::text(&self.path(FILE)).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_else(|_| Stored { code: "STANDARD".to_owned(), optional: Vec::new() })
    }

    /// The server's profile and which of its optional roles are on.
    pub fn profile(&self) -> (&'static Profile, Vec<String>) {
        let stored = self.stored_profile();
        let profile = Profile::find(&stored.code).unwrap_or(&PROFILES[0]);
        let chosen = stored.optional.into_iter();
        (profile, chosen.filter(|role| profile.optional.contains(&role.as_str())).collect())
    }

    /// Whether a role is on; `None` for a name that is no role.
    pub fn role_enabled(&self, role: &str) -> Option<bool> {
        ROLES.iter().find(|(name, ..)| *name == role)?;
        let (profile, chosen) = self.profile();
        // Clients of databases work wherever a server for them may be reached.
        Some(profile.enabled.contains(&role) || chosen.iter().any(|name| name == role))
    }

    /// Makes `code` the server's profile with these optional roles.
    pub fn set_profile(&self, code: &str, optional: &[String]) -> Result<(), Failure> {
        let profile = Profile::find(code).ok_or_else(|| Failure::new(format!("The server profile “{code}” does not exist.")))?;
        if let Some(role) = optional.iter().find(|role| !profile.optional.contains(&role.as_str())) {
            return Err(Failure::new(format!("The role “{role}” is not an optional role of the profile “{code}”.")));
        }
        let stored = Stored { code: code.to_owned(), optional: optional.to_vec() };
        let text = serde_json::to_string(&stored).map_err(|error| Failure::new(error.to_string()))?;
        self.edit(FILE, 0o644, |_| Ok(text))
    }

    /// Every role that is on.
    pub fn enabled_roles(&self) -> Vec<&'static str> {
        ROLES.iter().map(|(role, ..)| *role).filter(|role| self.role_enabled(role) == Some(true)).collect()
    }

    /// Whether this server keeps DNS zones: it has a `named.conf` and the DNS role.
    pub fn serves_dns(&self) -> bool {
        self.path("/etc/named.conf").exists() && self.role_enabled("DNS") == Some(true)
    }
}
