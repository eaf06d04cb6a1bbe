//! Every rule of cPanel's guide to linked nodes that the product keeps, with the tests that prove it: `docs/guide.md` is the list, and
//! a rule whose test is gone fails here.

#![allow(clippy::unwrap_used, reason = "a test that cannot read the sources fails")]

use std::collections::BTreeSet;
use std::path::Path;

fn sources(dir: &Path, text: &mut String) {
    for entry in std::fs::read_dir(dir).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, text);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&std::fs::read_to_string(path).unwrap());
            text.push('\n');
        }
    }
}

/// Names of functions that are marked as tests, and of the tests in nodes.
fn tests(root: &Path) -> BTreeSet<String> {
    let mut text = String::new();
    sources(&root.join("src"), &mut text);
    sources(&root.join("lab/src"), &mut text);
    let mut names = BTreeSet::new();
    let mut marked = false;
    for line in text.lines().map(str::trim) {
        if line == "#[test]" || line.starts_with("#[tokio::test") {
            marked = true;
        } else if let Some(rest) = line.strip_prefix("fn ").or_else(|| line.strip_prefix("async fn "))
            && std::mem::take(&mut marked)
        {
            names.insert(rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect());
        }
    }
    let listed = std::fs::read_to_string(root.join("tests/nodes/main.rs")).unwrap();
    let entries = listed.lines().filter_map(|line| line.trim().strip_prefix("(\"")?.split_once('"'));
    names.extend(entries.map(|(name, _)| name.to_owned()));
    names
}

/// Rows of the list: the rule, and what proves it.
fn rules(text: &str) -> Vec<(String, String)> {
    let cells = |line: &str| line.trim().trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
    text.lines()
        .filter(|line| line.starts_with('|') && !line.starts_with("|---") && !line.starts_with("| rule "))
        .map(cells)
        .map(|cells| (cells[0].clone(), cells.last().unwrap().clone()))
        .collect()
}

#[test]
fn every_rule_of_the_guide_has_a_test_that_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let known = tests(root);
    let rules = rules(&std::fs::read_to_string(root.join("docs/guide.md")).unwrap());
    assert!(rules.len() > 30, "the list is not read: {rules:?}");
    let mut wrong = Vec::new();
    for (rule, proof) in rules {
        let named: Vec<&str> = proof.split('`').skip(1).step_by(2).collect();
        if named.is_empty() && !proof.starts_with("not ours: ") {
            wrong.push(format!("no test: {rule}"));
        }
        wrong.extend(named.iter().filter(|name| !known.contains(**name)).map(|name| format!("no test “{name}”: {rule}")));
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
