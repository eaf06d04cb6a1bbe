//! Links, distributed accounts, and a child's own record of its parent.

use super::{Store, json, to_json};
use crate::error::{Code, Error, Result};
use crate::wire::Distributed;
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// A linked child as the parent remembers it. The token lives in [`crate::secrets`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Node {
    /// Friendly name.
    pub alias: String,
    /// Hostname, lower case.
    pub hostname: String,
    /// The user whose token we hold.
    pub username: String,
    /// SHA-256 of the certificate that was accepted instead of a verified one; `None` when TLS is verified.
    pub pin: Option<String>,
    /// cPanel version.
    pub version: String,
    /// Server profile code.
    pub profile: String,
    /// Services it runs.
    pub services: Vec<String>,
    /// Unix time of its last answer, seconds.
    pub last_check: i64,
    /// Why the last check failed.
    pub trouble: Option<String>,
    /// Free bytes for mail.
    pub disk_free: Option<u64>,
}

/// What a parent last learned of a child and needs for no decision of its own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Seen {
    /// The child's identity.
    pub node_id: String,
    /// Bytes of mail it serves.
    pub mail_bytes: Option<u64>,
    /// Unix time, seconds, at which its trouble began.
    pub trouble_since: Option<i64>,
    /// Unix time, seconds, at which its certificate stops being valid.
    pub certificate_expires: Option<i64>,
    /// Its own minimum password strengths.
    pub password_strengths: BTreeMap<String, u64>,
    /// What works and should be looked at, as the child said.
    pub warnings: Vec<String>,
}

/// A child's record of its parent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parent {
    /// Hostname, for messages and for routing back.
    pub hostname: String,
    /// The parent's identity.
    pub id: String,
    /// Digest of the token that the parent calls with.
    pub token_digest: String,
    /// Digest of the token before it, while the parent changes over.
    pub former_digest: Option<String>,
}

/// How far an account has come on a child.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServedState {
    /// A move is bringing it.
    Arriving,
    /// Its mail is here.
    Served,
    /// Its mail went back to the parent; account and data stay.
    Retained,
}

impl ServedState {
    fn word(self) -> &'static str {
        match self {
            Self::Arriving => "arriving",
            Self::Served => "served",
            Self::Retained => "retained",
        }
    }
}

/// An account on a child that belongs to the parent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// cPanel user, the same on both.
    pub user: String,
    /// Its domains.
    pub domains: Vec<String>,
    /// How far it is.
    pub state: ServedState,
}

fn node(row: &Row<'_>) -> rusqlite::Result<Node> {
    Ok(Node {
        alias: row.get("alias")?,
        hostname: row.get("hostname")?,
        username: row.get("username")?,
        pin: row.get("pin")?,
        version: row.get("version")?,
        profile: row.get("profile")?,
        services: json(row, "services")?,
        last_check: row.get("last_check")?,
        trouble: row.get("trouble")?,
        disk_free: row.get::<_, Option<i64>>("disk_free")?.map(i64::unsigned_abs),
    })
}

/// The whole row of a link, new or not.
fn put(c: &Connection, node: &Node) -> rusqlite::Result<()> {
    c.execute(
        "INSERT INTO nodes (alias, hostname, username, pin, version, profile, services, last_check, trouble, disk_free)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
         ON CONFLICT (alias) DO UPDATE SET hostname = excluded.hostname, username = excluded.username, pin = excluded.pin,
         version = excluded.version, profile = excluded.profile, services = excluded.services, last_check = excluded.last_check,
         trouble = excluded.trouble, disk_free = excluded.disk_free",
        params![
            node.alias,
            node.hostname,
            node.username,
            node.pin,
            node.version,
            node.profile,
            to_json(&node.services)?,
            node.last_check,
            node.trouble,
            node.disk_free.map(u64::cast_signed),
        ],
    )
    .map(drop)
}

impl Store {
    /// Every linked child, by alias.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn nodes(&self) -> Result<Vec<Node>> {
        self.read("reading the linked nodes", |c| {
            c.prepare_cached("SELECT * FROM nodes ORDER BY alias")?.query_map([], node)?.collect()
        })
    }

    /// The child of this alias.
    ///
    /// # Errors
    /// [`Code::NotFound`] when there is none.
    pub fn node(&self, alias: &str) -> Result<Node> {
        self.read("reading a linked node", |c| c.query_row("SELECT * FROM nodes WHERE alias = ?1", [alias], node).optional())?
            .ok_or_else(|| {
                Error::new(
                    Code::NotFound,
                    format!("No linked server node has the alias “{}”.", crate::rules::names::printable(alias)),
                )
                .hint("See “linked-nodes node list”.")
            })
    }

    /// Records a new link.
    ///
    /// # Errors
    /// [`Code::Conflict`] when alias or hostname is taken.
    pub fn add_node(&self, node: &Node) -> Result<()> {
        for other in self.nodes()? {
            if other.alias == node.alias {
                return Err(Error::new(Code::Conflict, format!("The alias “{}” is taken by “{}”.", node.alias, other.hostname)));
            }
            if other.hostname == node.hostname {
                return Err(Error::new(Code::Conflict, format!("“{}” is linked already, as “{}”.", node.hostname, other.alias)));
            }
        }
        self.write("recording the link", true, |c| put(c, node))
    }

    /// Replaces what is known of a linked child.
    ///
    /// # Errors
    /// [`Code::NotFound`] when the alias is not linked; [`Code::Conflict`] when the hostname is another's.
    pub fn update_node(&self, node: &Node) -> Result<()> {
        let before = self.node(&node.alias)?;
        if let Some(other) = self.nodes()?.into_iter().find(|other| other.hostname == node.hostname && other.alias != node.alias)
        {
            return Err(Error::new(Code::Conflict, format!("“{}” is linked already, as “{}”.", node.hostname, other.alias)));
        }
        self.write("updating the link", before.hostname != node.hostname, |c| put(c, node))
    }

    /// Records what a look at a child brought, unless the link was changed since `node` was read.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn learn_of_node(&self, node: &Node, seen: &Seen) -> Result<()> {
        self.write("recording how a child is", false, |c| {
            let mut present = c.prepare_cached("SELECT * FROM nodes WHERE alias = ?1")?;
            let same = |now: &Node| (&now.hostname, &now.username, &now.pin) == (&node.hostname, &node.username, &node.pin);
            if present.query_row([&node.alias], self::node).optional()?.is_some_and(|now| same(&now)) {
                put(c, node)?;
                c.execute("INSERT OR REPLACE INTO seen VALUES (?1, ?2)", params![node.alias, to_json(seen)?])?;
            }
            Ok(())
        })
    }

    /// What was last learned of a child beside its link.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn seen(&self, alias: &str) -> Result<Seen> {
        let found = self.read("reading what is known of a child", |c| {
            let mut statement = c.prepare_cached("SELECT document FROM seen WHERE alias = ?1")?;
            statement.query_row([alias], |row| json(row, "document")).optional()
        })?;
        Ok(found.unwrap_or_default())
    }

    /// Records how much mail an account has that is served here.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn set_volume(&self, user: &str, bytes: u64, at: i64) -> Result<()> {
        self.write("recording how much mail an account has", false, |c| {
            c.execute(
                "INSERT OR REPLACE INTO volumes SELECT user, ?2, ?3 FROM served WHERE user = ?1",
                params![user, bytes.cast_signed(), at],
            )
            .map(drop)
        })
    }

    /// The accounts served here with how much mail they have and when that was seen, those longest ago first; those never seen are at 0.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn volumes(&self) -> Result<Vec<(String, u64, i64)>> {
        self.read("reading how much mail the accounts have", |c| {
            c.prepare_cached(
                "SELECT user, coalesce(bytes, 0), coalesce(at, 0) AS seen FROM served LEFT JOIN volumes USING (user)
                 WHERE state = 'served' ORDER BY seen",
            )?
            .query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs(), row.get(2)?)))?
            .collect()
        })
    }

    /// Forgets a link that nothing uses.
    ///
    /// # Errors
    /// [`Code::Conflict`] while accounts or moves use it.
    pub fn remove_node(&self, alias: &str) -> Result<()> {
        self.in_use(alias)?;
        self.write("removing the link", true, |c| {
            // The child forgets its parent's accounts too; what it kept is its own from here on.
            c.execute("DELETE FROM retained WHERE alias = ?1", [alias])?;
            c.execute("DELETE FROM given_up WHERE alias = ?1", [alias])?;
            c.execute("DELETE FROM followups WHERE alias = ?1", [alias])?;
            c.execute("DELETE FROM nodes WHERE alias = ?1", [alias]).map(drop)
        })
    }

    /// Complains when a link is in use, naming by whom.
    ///
    /// # Errors
    /// [`Code::Conflict`] while accounts or moves use it.
    pub fn in_use(&self, alias: &str) -> Result<()> {
        let users = self.accounts_on(alias)?;
        if !users.is_empty() {
            let shown = users.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
            let more = if users.len() > 5 { format!(" and {} more", users.len() - 5) } else { String::new() };
            return Err(Error::new(
                Code::Conflict,
                format!("“{alias}” serves the mail of {} account(s): {shown}{more}.", users.len()),
            )
            .hint("Dedistribute them first: “linked-nodes account dedistribute USER”."));
        }
        self.moved_through(alias)
    }

    /// Complains when a move uses a link, naming it.
    ///
    /// # Errors
    /// [`Code::Conflict`] while one does.
    pub fn moved_through(&self, alias: &str) -> Result<()> {
        match self.running_moves()?.into_iter().find(|m| m.origin == alias || m.target == alias) {
            None => Ok(()),
            Some(moving) => Err(Error::new(Code::Conflict, format!("Move {} of “{}” uses “{alias}”.", moving.id, moving.user))
                .hint(format!("Wait for its end: “linked-nodes move watch {}”.", moving.id))),
        }
    }

    /// Users whose mail a child serves.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn accounts_on(&self, alias: &str) -> Result<Vec<String>> {
        self.read("reading the distributed accounts", |c| {
            c.prepare_cached("SELECT user FROM accounts WHERE alias = ?1 ORDER BY user")?
                .query_map([alias], |row| row.get(0))?
                .collect()
        })
    }

    /// The alias of an account's mail child.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn child_of(&self, user: &str) -> Result<Option<String>> {
        self.read("reading an account's distribution", |c| {
            c.query_row("SELECT alias FROM accounts WHERE user = ?1", [user], |row| row.get(0)).optional()
        })
    }

    /// Every distributed account.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn distributed(&self) -> Result<BTreeMap<String, Distributed>> {
        self.read("reading the distributed accounts", |c| {
            c.prepare_cached("SELECT user, alias, hostname, domains FROM accounts JOIN nodes USING (alias)")?
                .query_map([], |row| {
                    Ok((
                        row.get("user")?,
                        Distributed { alias: row.get("alias")?, hostname: row.get("hostname")?, domains: json(row, "domains")? },
                    ))
                })?
                .collect()
        })
    }

    /// Forgets the distribution of an account that no longer exists.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn forget_account(&self, user: &str) -> Result<()> {
        self.write("forgetting an account", true, |c| c.execute("DELETE FROM accounts WHERE user = ?1", [user]).map(drop))
    }

    /// Children that keep an account and its data after the mail came back from them.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn retained(&self, user: &str) -> Result<Vec<String>> {
        self.read("reading where an account is retained", |c| {
            c.prepare_cached("SELECT alias FROM retained WHERE user = ?1 ORDER BY alias")?
                .query_map([user], |row| row.get(0))?
                .collect()
        })
    }

    /// Every account that some child keeps: user and alias.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn all_retained(&self) -> Result<Vec<(String, String)>> {
        self.read("reading what is retained", |c| {
            c.prepare_cached("SELECT user, alias FROM retained")?.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
        })
    }

    /// Records that a child keeps an account, or no longer does.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn set_retained(&self, user: &str, alias: &str, retained: bool) -> Result<()> {
        let statement = if retained {
            "INSERT OR IGNORE INTO retained VALUES (?1, ?2)"
        } else {
            "DELETE FROM retained WHERE user = ?1 AND alias = ?2"
        };
        self.write("recording where an account is retained", false, |c| c.execute(statement, [user, alias]).map(drop))
    }

    /// This server's parent, when it is a child.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn parent(&self) -> Result<Option<Parent>> {
        self.read("reading the parent's record", |c| {
            c.query_row(
                "SELECT hostname, id, parent.token_digest, parent_former.token_digest FROM parent LEFT JOIN parent_former USING (one)",
                [],
                |row| Ok(Parent { hostname: row.get(0)?, id: row.get(1)?, token_digest: row.get(2)?, former_digest: row.get(3)? }),
            )
            .optional()
        })
    }

    /// Records the parent of this child.
    ///
    /// # Errors
    /// [`Code::Conflict`] when it has another parent, or children of its own.
    pub fn set_parent(&self, parent: &Parent) -> Result<()> {
        if let Some(present) = self.parent()?.filter(|present| present.id != parent.id) {
            return Err(Error::new(
                Code::Conflict,
                format!("This server is linked to the parent “{}” already.", present.hostname),
            )
            .hint("A child has one parent; unlink it there first."));
        }
        if let Some(child) = self.nodes()?.first() {
            return Err(Error::new(
                Code::Conflict,
                format!("This server is a parent itself; its child is “{}”.", child.hostname),
            ));
        }
        self.write("recording the parent", true, |c| {
            c.execute(
                "INSERT OR REPLACE INTO parent VALUES (1, ?1, ?2, ?3)",
                params![parent.hostname, parent.id, parent.token_digest],
            )?;
            c.execute("DELETE FROM parent_former", [])?;
            if let Some(former) = &parent.former_digest {
                c.execute("INSERT INTO parent_former VALUES (1, ?1)", [former])?;
            }
            Ok(())
        })
    }

    /// Forgets the parent, and what was served for it.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn clear_parent(&self) -> Result<()> {
        self.write("forgetting the parent", true, |c| {
            c.execute("DELETE FROM gates", [])?;
            c.execute("DELETE FROM parent", [])?;
            c.execute("DELETE FROM served", []).map(drop)
        })
    }

    /// The accounts on this child that are its parent's.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn served_accounts(&self) -> Result<Vec<Served>> {
        self.read("reading the accounts served for the parent", |c| {
            c.prepare_cached("SELECT user, domains, state FROM served ORDER BY user")?
                .query_map([], |row| {
                    let state: String = row.get("state")?;
                    Ok(Served {
                        user: row.get("user")?,
                        domains: json(row, "domains")?,
                        state: match state.as_str() {
                            "served" => ServedState::Served,
                            "retained" => ServedState::Retained,
                            _ => ServedState::Arriving,
                        },
                    })
                })?
                .collect()
        })
    }

    /// One of them.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn served(&self, user: &str) -> Result<Option<Served>> {
        Ok(self.served_accounts()?.into_iter().find(|served| served.user == user))
    }

    /// Records how far an account of the parent is on this child.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn set_served(&self, served: &Served) -> Result<()> {
        self.write("recording an account of the parent", true, |c| {
            c.execute(
                "INSERT OR REPLACE INTO served VALUES (?1, ?2, ?3)",
                params![served.user, to_json(&served.domains)?, served.state.word()],
            )
            .map(drop)
        })
    }

    /// Forgets an account of the parent.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn forget_served(&self, user: &str) -> Result<()> {
        self.write("forgetting an account of the parent", true, |c| {
            c.execute("DELETE FROM served WHERE user = ?1", [user]).map(drop)
        })
    }

    /// Who keeps the gate closed to whom.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn closed_gates(&self) -> Result<Vec<IpAddr>> {
        let peers: Vec<String> = self.read("reading the gates", |c| {
            c.prepare_cached("SELECT DISTINCT peer FROM gates ORDER BY peer")?.query_map([], |row| row.get(0))?.collect()
        })?;
        Ok(peers.iter().filter_map(|peer| peer.parse().ok()).collect())
    }

    /// Records the peers that `holder` keeps out; none opens its gate.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn set_gate(&self, holder: &str, peers: &[IpAddr]) -> Result<()> {
        self.write("recording a gate", false, |c| {
            c.execute("DELETE FROM gates WHERE holder = ?1", [holder])?;
            for peer in peers {
                c.execute("INSERT OR IGNORE INTO gates VALUES (?1, ?2)", params![holder, peer.to_string()])?;
            }
            Ok(())
        })
    }

    /// Forgets the gates that `parent` keeps closed, but for these holders; returns how many.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn keep_gates(&self, parent: &str, holders: &[String]) -> Result<usize> {
        let prefix = format!("{parent}/");
        self.write("opening gates that were left closed", false, |c| {
            let all: Vec<String> = c
                .prepare("SELECT DISTINCT holder FROM gates")?
                .query_map([], |row| row.get(0))?
                .collect::<rusqlite::Result<_>>()?;
            let left: Vec<&String> =
                all.iter().filter(|holder| holder.starts_with(&prefix) && !holders.contains(holder)).collect();
            for holder in &left {
                c.execute("DELETE FROM gates WHERE holder = ?1", [holder])?;
            }
            Ok(left.len())
        })
    }
}
