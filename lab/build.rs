//! Finds the real messages that ship inside the `mail-parser` crate, and lists them for `fill`.

use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=../Cargo.lock");
    let corpus = package_dir("mail-parser")?.join("resources/eml");
    let mut files = Vec::new();
    collect(&corpus, &mut files)?;
    files.sort();
    if files.is_empty() {
        return Err(format!("no messages in {}: another version of mail-parser?", corpus.display()).into());
    }
    let mut list = String::from("/// Messages as their senders wrote them.\npub static MESSAGES: &[&[u8]] = &[\n");
    for file in files {
        writeln!(list, "    include_bytes!({:?}),", file.display().to_string())?;
    }
    list.push_str("];\n");
    fs::write(Path::new(&env::var("OUT_DIR")?).join("real.rs"), list)?;
    Ok(())
}

/// The folder of a dependency: where cargo unpacks what it downloads, else where cargo says (vendored crates).
fn package_dir(name: &str) -> Result<PathBuf, Box<dyn Error>> {
    let lock = fs::read_to_string("../Cargo.lock")?;
    let version = lock
        .split("[[package]]")
        .find(|package| package.contains(&format!("name = \"{name}\"")))
        .and_then(|package| package.split("version = \"").nth(1)?.split('"').next())
        .ok_or_else(|| format!("{name} is not among the dependencies"))?;
    let home = env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cargo")))
        .ok_or("neither CARGO_HOME nor HOME is set")?;
    for registry in fs::read_dir(home.join("registry/src")).into_iter().flatten().flatten() {
        let unpacked = registry.path().join(format!("{name}-{version}"));
        if unpacked.is_dir() {
            return Ok(unpacked);
        }
    }
    let output = Command::new(env::var("CARGO")?).args(["metadata", "--format-version=1"]).output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let manifest = metadata["packages"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|package| package["name"] == name && package["version"] == version)
        .and_then(|package| package["manifest_path"].as_str())
        .ok_or_else(|| format!("cargo metadata does not list {name} {version}"))?;
    Ok(Path::new(manifest).parent().ok_or("a manifest has a folder")?.to_owned())
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|kind| kind == "eml") {
            files.push(path);
        }
    }
    Ok(())
}
