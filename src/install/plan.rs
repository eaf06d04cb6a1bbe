//! What an installation consists of: a pure function from what the machine is to a list of items.

use super::layout::{
    APP_CONF, APP_CONF_TEXT, CGI, CGI_TEXT, COMMAND, CPANEL, EXTENSION, EXTENSION_TEXT, ICON, ICON_BYTES, LAUNCHER_TEXT, LIB_DIR,
    MANAGE_HOOKS, PRODUCT_DIR, PROGRAM, REDIRECT, REGISTER_APPCONFIG, RUN_DIR, STATE_DIR, UNIT_DIR, UNITS, UNREGISTER_APPCONFIG,
    USER,
};
use super::redirect;
use crate::error::{Code, Error, Result};
use crate::hooks::LAUNCHER;
use crate::rules::extension::FRAGMENT;
use std::fmt;
use std::path::PathBuf;

/// What matters of the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Whether this process is root.
    pub root: bool,
    /// cPanel's version, where cPanel is.
    pub cpanel: Option<String>,
    /// Programs that are needed and not there.
    pub missing: Vec<Missing>,
    /// Whether systemd runs the machine.
    pub systemd: bool,
    /// The program to install: the one that runs.
    pub program: PathBuf,
}

/// A program that is needed and not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// Its name or path.
    pub program: String,
    /// What it is needed for.
    pub purpose: &'static str,
}

/// Who starts serve and shim and starts them again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Supervision {
    /// systemd, by units.
    Systemd,
    /// The product itself: `linked-nodes supervise`.
    Own,
}

/// Where a file's content comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// This text.
    Text(String),
    /// These bytes.
    Bytes(&'static [u8]),
    /// The content of this file (never read as a whole into memory).
    CopyOf(PathBuf),
}

/// One thing that has to be so. Everything on disk belongs to root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// The system user and group of the shim.
    User,
    /// A directory. `ours`: everything below it is the product's and goes when the product goes.
    Directory {
        /// Absolute path.
        path: &'static str,
        /// Permission bits.
        mode: u32,
        /// Whether everything below is the product's.
        ours: bool,
    },
    /// A file.
    File {
        /// Absolute path.
        path: String,
        /// What it holds.
        content: Content,
        /// Permission bits.
        mode: u32,
    },
    /// A symbolic link.
    Link {
        /// Absolute path.
        path: &'static str,
        /// What it points to.
        target: &'static str,
    },
    /// Our fields in WHM's forms; `serve` writes them again whenever links change.
    Fragment,
    /// The page, permitted by AppConfig and in WHM's menu.
    Page,
    /// The standard hooks, registered with cPanel.
    Hooks,
    /// serve, shim and the redirect: running, and started again at boot where the machine can.
    Services(Supervision),
}

impl Item {
    /// The item's name in the manifest; the same thing always has the same name.
    pub fn key(&self) -> String {
        match self {
            Self::User => format!("user {USER}"),
            Self::Directory { path, .. } | Self::Link { path, .. } => (*path).to_owned(),
            Self::File { path, .. } => path.clone(),
            Self::Fragment => FRAGMENT.to_owned(),
            Self::Page => "page in WHM".to_owned(),
            Self::Hooks => "standard hooks".to_owned(),
            Self::Services(_) => "services".to_owned(),
        }
    }
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User => write!(f, "user       {USER} (system user and group, no login, for the shim)"),
            Self::Directory { path, mode, .. } => write!(f, "directory  {path}/ (root:root {mode:04o})"),
            Self::File { path, mode, .. } => write!(f, "file       {path} (root:root {mode:04o})"),
            Self::Link { path, target } => write!(f, "link       {path} → {target}"),
            Self::Fragment => write!(f, "file       {FRAGMENT} (written by serve whenever links change)"),
            Self::Page => write!(f, "page       WHM » Plugins » Linked Nodes, registered with register_appconfig"),
            Self::Hooks => write!(f, "hooks      {LAUNCHER}, registered with manage_hooks"),
            Self::Services(Supervision::Systemd) => {
                write!(f, "services   serve, shim and the redirect of cpsrvd's ports, as systemd units")
            }
            Self::Services(Supervision::Own) => {
                write!(f, "services   serve, shim and the redirect of cpsrvd's ports, kept running by “linked-nodes supervise”")
            }
        }
    }
}

/// The items in the order in which they are put in place.
///
/// # Errors
/// When the machine is not one to install on: not root, no cPanel, or something is missing; names all that is missing.
pub fn plan(facts: &Facts) -> Result<Vec<Item>> {
    if facts.cpanel.is_none() {
        return Err(Error::new(Code::Refused, format!("This machine is not a cPanel & WHM server: {CPANEL} does not exist."))
            .hint("Linked Nodes runs on servers with cPanel & WHM only; install cPanel & WHM first. Nothing was changed."));
    }
    if !facts.root {
        return Err(Error::new(Code::Denied, "Installing needs root.").hint("Run it again as root, for example with sudo."));
    }
    if !facts.missing.is_empty() {
        let list: Vec<String> =
            facts.missing.iter().map(|missing| format!("{} ({})", missing.program, missing.purpose)).collect();
        return Err(Error::new(Code::Refused, format!("Missing on this machine: {}.", list.join(", ")))
            .hint("Install what is missing and run it again. Nothing was changed."));
    }
    let supervision = if facts.systemd { Supervision::Systemd } else { Supervision::Own };
    let mut items = vec![
        Item::Directory { path: STATE_DIR, mode: 0o700, ours: true },
        Item::User,
        Item::Directory { path: LIB_DIR, mode: 0o755, ours: true },
        Item::Directory { path: RUN_DIR, mode: 0o755, ours: true },
        Item::Directory { path: PRODUCT_DIR, mode: 0o755, ours: false },
        Item::File { path: PROGRAM.to_owned(), content: Content::CopyOf(facts.program.clone()), mode: 0o755 },
        Item::Link { path: COMMAND, target: PROGRAM },
        Item::File { path: LAUNCHER.to_owned(), content: Content::Text(LAUNCHER_TEXT.to_owned()), mode: 0o755 },
        Item::File { path: REDIRECT.to_owned(), content: Content::Text(redirect::table()), mode: 0o600 },
    ];
    if supervision == Supervision::Systemd {
        items.extend(UNITS.map(|(name, text)| Item::File {
            path: format!("{UNIT_DIR}/{name}"),
            content: Content::Text(text.to_owned()),
            mode: 0o644,
        }));
    }
    items.extend([
        Item::File { path: CGI.to_owned(), content: Content::Text(CGI_TEXT.to_owned()), mode: 0o755 },
        Item::File { path: ICON.to_owned(), content: Content::Bytes(ICON_BYTES), mode: 0o644 },
        Item::File { path: APP_CONF.to_owned(), content: Content::Text(APP_CONF_TEXT.to_owned()), mode: 0o644 },
        Item::Page,
        Item::File { path: EXTENSION.to_owned(), content: Content::Text(EXTENSION_TEXT.to_owned()), mode: 0o644 },
        Item::Fragment,
    ]);
    items.push(Item::Hooks);
    items.push(Item::Services(supervision));
    Ok(items)
}

/// Programs the product cannot do without, and what for.
pub const NEEDED: [(&str, &str); 7] = [
    (REGISTER_APPCONFIG, "permits the page in WHM"),
    (UNREGISTER_APPCONFIG, "takes that back"),
    (MANAGE_HOOKS, "registers the standard hooks"),
    ("nft", "redirects cpsrvd's ports to the shim; package nftables"),
    ("doveadm", "speaks to Dovecot about mailboxes"),
    ("useradd", "creates the shim's user"),
    ("groupadd", "creates the shim's group"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts {
        Facts { root: true, cpanel: Some("138.0".into()), missing: vec![], systemd: false, program: "/tmp/linked-nodes".into() }
    }

    #[test]
    fn the_plan_reads_as_what_an_administrator_wants_to_know() {
        let lines: Vec<String> = plan(&facts()).unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(
            lines.join("\n"),
            "directory  /var/cpanel/linked-nodes/ (root:root 0700)\n\
             user       linkednodes (system user and group, no login, for the shim)\n\
             directory  /var/lib/linked-nodes/ (root:root 0755)\n\
             directory  /run/linked-nodes/ (root:root 0755)\n\
             directory  /usr/local/cpanel/3rdparty/linked-nodes/ (root:root 0755)\n\
             file       /usr/local/cpanel/3rdparty/linked-nodes/bin/linked-nodes (root:root 0755)\n\
             link       /usr/local/bin/linked-nodes → /usr/local/cpanel/3rdparty/linked-nodes/bin/linked-nodes\n\
             file       /usr/local/cpanel/3rdparty/bin/linked-nodes-hook (root:root 0755)\n\
             file       /var/cpanel/linked-nodes/nftables.conf (root:root 0600)\n\
             file       /usr/local/cpanel/whostmgr/docroot/cgi/linkednodes/index.cgi (root:root 0755)\n\
             file       /usr/local/cpanel/whostmgr/docroot/addon_plugins/linkednodes.png (root:root 0644)\n\
             file       /usr/local/cpanel/3rdparty/linked-nodes/linkednodes.conf (root:root 0644)\n\
             page       WHM » Plugins » Linked Nodes, registered with register_appconfig\n\
             file       /var/cpanel/packages/extensions/linkednodes (root:root 0644)\n\
             file       /var/cpanel/packages/extensions/linkednodes.tt2 (written by serve whenever links change)\n\
             hooks      /usr/local/cpanel/3rdparty/bin/linked-nodes-hook, registered with manage_hooks\n\
             services   serve, shim and the redirect of cpsrvd's ports, kept running by “linked-nodes supervise”"
        );
    }

    #[test]
    fn systemd_gets_units() {
        let items = plan(&Facts { systemd: true, ..facts() }).unwrap();
        assert_eq!(items.iter().filter(|item| item.key().starts_with("/etc/systemd/system/linked-nodes")).count(), 3);
        assert_eq!(items.last(), Some(&Item::Services(Supervision::Systemd)));
    }

    #[test]
    fn machines_that_are_not_fit_are_refused_with_what_is_missing() {
        let none = plan(&Facts { cpanel: None, root: false, ..facts() }).unwrap_err();
        assert!(none.message.contains("/usr/local/cpanel/cpanel"), "{none:?}");
        assert_eq!(plan(&Facts { root: false, ..facts() }).unwrap_err().code, Code::Denied);
        let missing = ["nft", "doveadm"].map(|program| Missing { program: program.into(), purpose: "x" }).to_vec();
        let refused = plan(&Facts { missing, ..facts() }).unwrap_err();
        assert!(refused.message.contains("nft") && refused.message.contains("doveadm"), "{refused:?}");
    }
}
