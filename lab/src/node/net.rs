//! The lab's network: a bridge in a namespace of its own, a namespace a node. The machine's own network is never touched, so every
//! lab can use the same addresses.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use super::error::{Context as _, Result, run};
use super::layout::{Node, Plan, namespace, owns_namespace};

/// Where `ip netns` keeps named namespaces.
const NAMED: &str = "/run/netns";

/// The file by which a network namespace can be entered.
pub fn path(lab: &str, node: &str) -> PathBuf {
    Path::new(NAMED).join(namespace(lab, node))
}

/// The lab's network namespaces that exist.
pub fn existing(lab: &str) -> Vec<String> {
    let Ok(entries) = fs::read_dir(NAMED) else {
        return Vec::new();
    };
    let mut found: Vec<String> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| owns_namespace(lab, name))
        .collect();
    found.sort();
    found
}

/// Makes the namespaces, the bridge and the links of a whole lab.
pub fn build(plan: &Plan) -> Result<()> {
    let hub = namespace(&plan.name, "net");
    run(&["ip", "netns", "add", &hub], "")?;
    for node in &plan.nodes {
        run(&["ip", "netns", "add", &namespace(&plan.name, &node.name)], "")?;
    }
    run(&["ip", "-n", &hub, "-batch", "-"], &bridge_script(plan))?;
    for node in &plan.nodes {
        run(&["ip", "-n", &namespace(&plan.name, &node.name), "-batch", "-"], &node_script(node))?;
    }
    Ok(())
}

/// Removes a network namespace, and with it the links in it.
pub fn remove(namespace: &str) -> Result<()> {
    run(&["ip", "netns", "del", namespace], "").map(drop)
}

/// What `ip -batch` does in the bridge's namespace.
fn bridge_script(plan: &Plan) -> String {
    let mut script = String::from("link set lo up\nlink add br0 type bridge\nlink set br0 up\n");
    for node in &plan.nodes {
        let (name, inside) = (&node.name, namespace(&plan.name, &node.name));
        // Writing to a String cannot fail.
        let _ = writeln!(script, "link add v-{name} type veth peer name eth0 netns {inside}");
        let _ = writeln!(script, "link set v-{name} master br0 up");
    }
    script
}

/// What `ip -batch` does in a node's namespace.
fn node_script(node: &Node) -> String {
    format!("link set lo up\naddr add {}/24 dev eth0\nlink set eth0 up\n", node.address)
}

/// Runs `work` on a thread of its own inside a node's network namespace.
pub fn inside<T: Send>(lab: &str, node: &str, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
    use std::os::fd::AsFd as _;
    let path = path(lab, node);
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let file = fs::File::open(&path).doing(super::error::at("open", &path))?;
            move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).doing(super::error::at("enter", &path))?;
            work()
        });
        thread.join().unwrap_or_else(|_| Err(super::error::Error::Refused("a thread of the lab panicked".into())))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_node_gets_a_link_with_a_short_name() {
        let plan = Plan::new("a_rather_long_lab_name", 20, &[], &[]).unwrap();
        let script = bridge_script(&plan);
        assert!(script.contains("link add v-mail20 type veth peer name eth0 netns ln-a_rather_long_lab_name-mail20\n"));
        for word in script.split_whitespace().filter(|word| word.starts_with("v-")) {
            assert!(word.len() <= 15, "{word} is longer than a link's name may be");
        }
    }
}
