//! Bringing a lab up, and a single node of it.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::authority::Authority;
use super::error::{Context as _, Error, Result, at};
use super::layout::{Kind, Node, Place, Plan};
use super::{boot, check, down, net, ready};

/// How long a node may take until it does all that it should.
const LIMIT: Duration = Duration::from_secs(60);

/// Brings a lab up; with one of this name running already, checks its health and says so.
pub fn up(place: &Place, plan: &Plan, out: &mut (dyn Write + Send)) -> Result<()> {
    check::ready(place)?;
    let _lock = place.lock()?;
    if let Ok(running) = place.plan() {
        if running.nodes.iter().any(|node| boot::process(place, &node.name).is_some()) {
            return again(place, &running, plan, out);
        }
        say(out, &format!("lab “{}” is left from a run that ended; clearing it away", place.name))?;
    }
    down::clear(place)?;

    let began = Instant::now();
    let dir = place.dir();
    fs::create_dir_all(dir.join("bin")).doing(at("create", &dir))?;
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o700)).doing(at("set the mode of", &dir))?;
    // The plan comes first: `down` finds by it whatever was made when something breaks half way.
    place.write_plan(plan)?;
    let own = std::env::current_exe().doing("find the lab's own binary")?;
    fs::copy(&own, dir.join("bin/lab")).doing(at("copy", &own))?;
    Authority::in_dir(&dir.join("ca"))?;
    net::build(plan)?;
    say(out, &format!("lab “{}”: network and certificate authority made", plan.name))?;
    start_all(place, plan, &plan.nodes.iter().collect::<Vec<_>>(), out)?;
    say(out, &format!("lab “{}” is up after {:.1} s", plan.name, began.elapsed().as_secs_f64()))?;
    for node in plan.servers() {
        say(out, &format!("  {:8} {:11} {:18} {}", node.name, node.address, node.hostname(), node.profile))?;
    }
    say(out, &format!("try:  lab --name {} exec parent -- hostname", plan.name))
}

/// A lab of this name is running: start what of it was stopped, and check all of it.
fn again(place: &Place, running: &Plan, wanted: &Plan, out: &mut (dyn Write + Send)) -> Result<()> {
    if running != wanted {
        return Err(Error::Refused(format!(
            "lab “{0}” is up with {1} children and other settings than asked for now; take it down first with: lab --name {0} down",
            place.name,
            running.servers().count() - 1
        )));
    }
    say(out, &format!("lab “{}” is up already; checking its health", place.name))?;
    let stopped: Vec<&Node> = running.nodes.iter().filter(|node| boot::process(place, &node.name).is_none()).collect();
    start_all(place, running, &stopped, out)?;
    for node in &running.nodes {
        ready::wait(place, running, node, LIMIT)?;
    }
    say(out, &format!("lab “{}” is healthy", place.name))
}

/// Starts nodes side by side and waits for all of them.
fn start_all(place: &Place, plan: &Plan, nodes: &[&Node], out: &mut (dyn Write + Send)) -> Result<()> {
    let out = Mutex::new(out);
    let began = Instant::now();
    // The resolver remembers for a minute that a name server did not know its zones yet: it starts after the parent's.
    let (late, early): (Vec<&&Node>, Vec<&&Node>) = nodes.iter().partition(|node| node.kind == Kind::Resolver);
    for node in early {
        boot::start(place, node)?;
    }
    for node in late {
        ready::names(place, plan, node, LIMIT)?;
        boot::start(place, node)?;
    }
    std::thread::scope(|scope| {
        let waiting: Vec<_> = nodes
            .iter()
            .map(|node| {
                scope.spawn(|| {
                    ready::wait(place, plan, node, LIMIT)?;
                    let mut out = out.lock().map_err(|_| Error::Refused("output is broken".into()))?;
                    say(&mut **out, &format!("  {} is ready ({:.1} s)", node.name, began.elapsed().as_secs_f64()))
                })
            })
            .collect();
        let mut result = Ok(());
        for thread in waiting {
            let one = thread.join().unwrap_or_else(|_| Err(Error::Refused("a thread of the lab panicked".into())));
            result = result.and(one);
        }
        result
    })
}

/// Starts a node that was stopped; its disk is as it was left.
pub fn start(place: &Place, name: &str, out: &mut (dyn Write + Send)) -> Result<()> {
    let plan = place.plan()?;
    let node = plan.node(name)?;
    if boot::process(place, &node.name).is_some() {
        return say(out, &format!("{} is running", node.name));
    }
    start_all(place, &plan, &[node], out)
}

fn say(out: &mut (dyn Write + Send), line: &str) -> Result<()> {
    writeln!(out, "{line}").and_then(|()| out.flush()).doing("write")
}
