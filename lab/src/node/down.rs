//! Taking a lab down, also one that broke half way, and proving that nothing of it is left.

use std::collections::HashSet;
use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::error::{Context as _, Error, Result, at};
use super::layout::Place;
use super::{boot, net};

/// Ends and removes everything of a lab.
pub fn down(place: &Place, out: &mut dyn Write) -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        return Err(Error::Lacking(vec!["root: run this as root".into()]));
    }
    let was_there = place.dir().exists() || !net::existing(&place.name).is_empty();
    let lock = place.lock()?;
    clear(place)?;
    let left = left_over(place);
    if !left.is_empty() {
        return Err(Error::NotReady(format!("lab “{}” is not gone:\n  {}", place.name, left.join("\n  "))));
    }
    let _ = fs::remove_file(place.lock_file());
    drop(lock);
    // Other labs keep the base folder.
    let _ = fs::remove_dir(&place.base);
    let line = if was_there { "is down; nothing of it is left" } else { "was not up" };
    writeln!(out, "lab “{}” {line}", place.name).doing("write")
}

/// Ends every process of the lab, removes its namespaces and its folder.
pub fn clear(place: &Place) -> Result<()> {
    for node in node_folders(place) {
        boot::stop(place, &node, true)?;
    }
    end_processes(place)?;
    for namespace in net::existing(&place.name) {
        net::remove(&namespace)?;
    }
    let dir = place.dir();
    match fs::remove_dir_all(&dir) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e).doing(at("remove", &dir)),
        _ => Ok(()),
    }
}

fn node_folders(place: &Place) -> Vec<String> {
    let entries = fs::read_dir(place.dir().join("nodes"));
    entries.into_iter().flatten().flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

/// Ends whatever still runs in the lab's network namespaces or from its folder: clients somebody left, a node whose number
/// was never written down.
fn end_processes(place: &Place) -> Result<()> {
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        let left = processes(place);
        if left.is_empty() {
            return Ok(());
        }
        if Instant::now() > end {
            return Err(Error::NotReady(format!("lab “{}”: processes {left:?} do not end", place.name)));
        }
        for pid in left {
            if let Some(pid) = Pid::from_raw(pid) {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The processes, as this machine numbers them, that belong to the lab.
fn processes(place: &Place) -> Vec<i32> {
    let namespaces: HashSet<u64> = net::existing(&place.name)
        .iter()
        .filter_map(|name| fs::metadata(Path::new("/run/netns").join(name)).ok())
        .map(|found| found.ino())
        .collect();
    let binary = place.dir().join("bin/lab");
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        let inside = fs::metadata(entry.path().join("ns/net")).is_ok_and(|ns| namespaces.contains(&ns.ino()));
        // `unshare` and `setsid` on their way to becoming a node carry the binary's path in their command line.
        let starting = fs::read(entry.path().join("cmdline"))
            .is_ok_and(|line| line.split(|&b| b == 0).any(|word| word == binary.as_os_str().as_encoded_bytes()));
        if pid != own && (inside || starting) && boot::start_time(pid).is_some() {
            found.push(pid);
        }
    }
    found
}

/// What is still there of a lab that should be gone.
fn left_over(place: &Place) -> Vec<String> {
    let mut left: Vec<String> = processes(place).into_iter().map(|pid| format!("process {pid}")).collect();
    left.extend(net::existing(&place.name).into_iter().map(|name| format!("network namespace {name}")));
    let dir = place.dir();
    if dir.exists() {
        left.push(format!("folder {}", dir.display()));
    }
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let shown = dir.display().to_string();
    left.extend(
        mounts
            .lines()
            .filter_map(|line| line.split(' ').nth(4))
            .filter(|target| *target == shown || target.starts_with(&format!("{shown}/")))
            .map(|target| format!("mount {target}")),
    );
    left
}
