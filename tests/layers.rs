//! Imports point down the list in the crate's documentation.

#![allow(clippy::unwrap_used, reason = "a test that cannot read the sources fails")]

use std::collections::BTreeSet;
use std::path::Path;

/// From the top down.
const ORDER: [&str; 21] = [
    "cli",
    "install",
    "ui",
    "hooks",
    "shim",
    "serve",
    "moves",
    "halves",
    "agent",
    "authority",
    "child",
    "host",
    "panel",
    "roster",
    "mailbox",
    "store",
    "secrets",
    "settings",
    "drill",
    "wire",
    "rules",
];

/// Neighbours that may look up: what one says of the other is data.
const ALLOWED: [(&str, &str); 3] = [
    ("child", "agent"), // the words of the channel it calls
    ("rules", "wire"),  // the words a plan is asked in
    ("host", "store"),
];

fn sources(dir: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The code of a file without comments, up to its tests.
fn code(text: &str) -> String {
    let end = text.find("#[cfg(test)]").unwrap_or(text.len());
    text[..end].lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

fn modules_used(code: &str) -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        if let Some(group) = rest.strip_prefix('{') {
            let group = &group[..group.find('}').unwrap_or(group.len())];
            used.extend(group.split(',').map(|item| item.trim().split("::").next().unwrap_or_default().to_owned()));
        } else {
            used.insert(rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect());
        }
    }
    used
}

#[test]
fn imports_point_down() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    let rank = |module: &str| ORDER.iter().position(|name| *name == module);
    let mut wrong = Vec::new();
    for file in &files {
        let relative = file.strip_prefix(&src).unwrap();
        let module = relative.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs").to_owned();
        let Some(own) = rank(&module) else { continue };
        for used in modules_used(&code(&std::fs::read_to_string(file).unwrap())) {
            let upwards = rank(&used).is_some_and(|other| other < own);
            if upwards && !ALLOWED.contains(&(module.as_str(), used.as_str())) {
                wrong.push(format!("{} uses {used}", relative.display()));
            }
        }
    }
    assert!(files.len() > 40, "the sources were not found");
    assert!(wrong.is_empty(), "imports that point up:\n{}", wrong.join("\n"));
}

#[test]
fn the_lab_stays_outside() {
    let manifest = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).unwrap();
    assert!(!manifest.contains("path = \"lab\""), "the product depends on the lab");
}
