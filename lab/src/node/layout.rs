//! Names, addresses and places: what a lab looks like, decided once and written to `lab.json`.

use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::{Context as _, Error, Result, at};

/// Where labs keep their state unless `LAB_DIR` says otherwise.
pub const BASE: &str = "/var/lib/linked-nodes-lab";
/// The domain all nodes' hostnames are in.
pub const DOMAIN: &str = "lab.test";
/// The address of the caching resolver all nodes use.
pub const RESOLVER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);
/// The address of the parent, which also holds the zones.
pub const PARENT: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 10);
/// The address of the node test clients run in.
pub const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 200);
/// Most children a lab may have: their addresses follow the parent's and stay below the client's.
pub const MOST_CHILDREN: u8 = 20;
/// What each node is: decides which daemons it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A server with mail daemons and the zones.
    Parent,
    /// A server with mail daemons.
    Child,
    /// The caching resolver.
    Resolver,
    /// A place for clients: no daemons.
    Client,
}

/// One node of a lab.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Short name: `parent`, `mail1`, `resolver`, `client`.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// Its address on the lab's network.
    pub address: Ipv4Addr,
    /// cPanel's server profile code (`STANDARD`, `MAILNODE` …); empty where there is no cPanel.
    pub profile: String,
    /// Size of a `/home` of its own in bytes, to try out full disks; the machine's disk otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub home_size: Option<u64>,
}

impl Node {
    /// The full host name.
    pub fn hostname(&self) -> String {
        format!("{}.{DOMAIN}", self.name)
    }

    /// Whether it looks like a cPanel server.
    pub fn is_server(&self) -> bool {
        matches!(self.kind, Kind::Parent | Kind::Child)
    }
}

/// A whole lab, as written to `lab.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The lab's name.
    pub name: String,
    /// All nodes, servers first.
    pub nodes: Vec<Node>,
}

impl Plan {
    /// A lab with this many children; `profiles` and `home_sizes` are `(node, value)` pairs that override the defaults.
    pub fn new(name: &str, children: u8, profiles: &[(String, String)], home_sizes: &[(String, u64)]) -> Result<Self> {
        check_name(name)?;
        if children > MOST_CHILDREN {
            return Err(Error::Refused(format!("a lab has at most {MOST_CHILDREN} children, not {children}")));
        }
        let mut nodes = vec![Node {
            name: "parent".into(),
            kind: Kind::Parent,
            address: PARENT,
            profile: "STANDARD".into(),
            home_size: None,
        }];
        for number in 1..=children {
            nodes.push(Node {
                name: format!("mail{number}"),
                kind: Kind::Child,
                address: Ipv4Addr::from(u32::from(PARENT) + u32::from(number)),
                profile: if number == 1 { "MAILNODE" } else { "STANDARD" }.into(),
                home_size: None,
            });
        }
        for (node, profile) in profiles {
            server(&mut nodes, node)?.profile.clone_from(profile);
        }
        for (node, size) in home_sizes {
            server(&mut nodes, node)?.home_size = Some(*size);
        }
        for (name, kind, address) in [("resolver", Kind::Resolver, RESOLVER), ("client", Kind::Client, CLIENT)] {
            nodes.push(Node { name: name.into(), kind, address, profile: String::new(), home_size: None });
        }
        Ok(Self { name: name.into(), nodes })
    }

    /// The node called `name`, by short name or host name.
    pub fn node(&self, name: &str) -> Result<&Node> {
        let short = name.strip_suffix(DOMAIN).and_then(|n| n.strip_suffix('.')).unwrap_or(name);
        self.nodes.iter().find(|node| node.name == short).ok_or_else(|| {
            let known: Vec<&str> = self.nodes.iter().map(|node| node.name.as_str()).collect();
            Error::Refused(format!("no node “{name}” in lab “{}”; it has {}", self.name, known.join(", ")))
        })
    }

    /// The nodes that look like cPanel servers.
    pub fn servers(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|node| node.is_server())
    }
}

fn server<'a>(nodes: &'a mut [Node], name: &str) -> Result<&'a mut Node> {
    nodes.iter_mut().find(|node| node.name == name).ok_or_else(|| Error::Refused(format!("no server “{name}” in this lab")))
}

/// A lab's name becomes part of namespace names, where `-` separates: letters and digits only.
pub fn check_name(name: &str) -> Result<()> {
    let plain = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    if plain && (1..=24).contains(&name.len()) {
        return Ok(());
    }
    Err(Error::Refused(format!("“{name}” is no name for a lab: use 1 to 24 of a-z, 0-9 and _")))
}

/// The network namespace of a node, or of the bridge (`net`), of a lab.
pub fn namespace(lab: &str, node: &str) -> String {
    format!("ln-{lab}-{node}")
}

/// Whether a network namespace's name belongs to the lab.
pub fn owns_namespace(lab: &str, namespace: &str) -> bool {
    namespace
        .strip_prefix("ln-")
        .and_then(|rest| rest.strip_prefix(lab))
        .and_then(|rest| rest.strip_prefix('-'))
        .is_some_and(|node| !node.is_empty() && !node.contains('-'))
}

/// The folder of a lab on this machine's disk.
#[derive(Debug, Clone)]
pub struct Place {
    /// The lab's name.
    pub name: String,
    /// The folder all labs are in.
    pub base: PathBuf,
}

impl Place {
    /// The place of the lab called `name`.
    pub fn new(name: &str) -> Result<Self> {
        check_name(name)?;
        let base = std::env::var_os("LAB_DIR").map_or_else(|| PathBuf::from(BASE), PathBuf::from);
        let plain = base.to_str().is_some_and(|text| text.starts_with('/') && !text.contains([',', ':', '\\']));
        if !plain {
            return Err(Error::Refused(format!(
                "LAB_DIR “{}” must be an absolute path without comma, colon and backslash",
                base.display()
            )));
        }
        Ok(Self { name: name.into(), base })
    }

    /// The lab's own folder.
    pub fn dir(&self) -> PathBuf {
        self.base.join(&self.name)
    }

    /// A node's folder: `upper`, `work`, `root`, `home`, `log`, `spool`, `tmp`, `pid`.
    pub fn node(&self, node: &str) -> PathBuf {
        self.dir().join("nodes").join(node)
    }

    /// Where the node's `/var/log` lies on the machine.
    pub fn log(&self, node: &str) -> PathBuf {
        self.node(node).join("log")
    }

    /// The file the plan is in.
    pub fn plan_file(&self) -> PathBuf {
        self.dir().join("lab.json")
    }

    /// Reads the plan of a lab that is up.
    pub fn plan(&self) -> Result<Plan> {
        let path = self.plan_file();
        let text = match fs::read_to_string(&path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                return Err(Error::Refused(format!(
                    "there is no lab “{}”; bring it up with: lab --name {} up",
                    self.name, self.name
                )));
            }
            other => other.doing(at("read", &path))?,
        };
        serde_json::from_str(&text).map_err(|e| Error::Refused(format!("{}: {e}", path.display())))
    }

    /// Writes the plan.
    pub fn write_plan(&self, plan: &Plan) -> Result<()> {
        let path = self.plan_file();
        let text = serde_json::to_string_pretty(plan).map_err(|e| Error::Refused(e.to_string()))?;
        fs::write(&path, text + "\n").doing(at("write", &path))
    }

    /// Takes the lab's lock, so that `up` and `down` of one lab never run side by side. It ends with the returned file.
    pub fn lock(&self) -> Result<File> {
        fs::create_dir_all(&self.base).doing(at("create", &self.base))?;
        let path = self.lock_file();
        let file = File::create(&path).doing(at("create", &path))?;
        file.lock().doing(at("lock", &path))?;
        Ok(file)
    }

    /// The lock's file.
    pub fn lock_file(&self) -> PathBuf {
        self.base.join(format!(".{}.lock", self.name))
    }
}

/// Writes a file with this mode; it is there whole or not at all.
pub fn write_with_mode(path: &Path, text: impl AsRef<[u8]>, mode: u32) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).doing(at("create", parent))?;
    }
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".lab-new");
    let fresh = path.with_file_name(name);
    fs::write(&fresh, text).doing(at("write", &fresh))?;
    fs::set_permissions(&fresh, fs::Permissions::from_mode(mode)).doing(at("set the mode of", &fresh))?;
    fs::rename(&fresh, path).doing(at("write", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_follow_the_parent() {
        let plan = Plan::new("lab", 2, &[("mail2".into(), "MAILNODE".into())], &[("mail1".into(), 4096)]).unwrap();
        let seen: Vec<String> =
            plan.nodes.iter().map(|n| format!("{} {} {} {:?}", n.hostname(), n.address, n.profile, n.home_size)).collect();
        assert_eq!(
            seen,
            [
                "parent.lab.test 10.77.0.10 STANDARD None",
                "mail1.lab.test 10.77.0.11 MAILNODE Some(4096)",
                "mail2.lab.test 10.77.0.12 MAILNODE None",
                "resolver.lab.test 10.77.0.2  None",
                "client.lab.test 10.77.0.200  None",
            ]
        );
        assert_eq!(plan.node("mail1.lab.test").unwrap().name, "mail1");
        assert!(plan.node("mail3").is_err());
    }

    #[test]
    fn namespaces_of_another_lab_are_not_ours() {
        assert!(owns_namespace("a", "ln-a-net"));
        assert!(!owns_namespace("a", "ln-ab-net"));
        assert!(!owns_namespace("a", "ln-a-"));
        assert!(!owns_namespace("ab", "ln-a-net"));
        assert!(check_name("a-b").is_err());
        assert!(check_name("").is_err());
    }
}
