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

/// The folder of a dependency, as cargo knows it.
fn package_dir(name: &str) -> Result<PathBuf, Box<dyn Error>> {
    // Crates for other platforms were never downloaded.
    let platform = format!("--filter-platform={}", env::var("TARGET")?);
    let output = Command::new(env::var("CARGO")?)
        .args(["metadata", "--offline", "--format-version=1", &platform])
        .output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let packages = metadata["packages"].as_array().ok_or("cargo metadata lists no packages")?;
    let manifest = packages
        .iter()
        .filter(|package| package["name"] == name)
        // Of several versions the newest holds the most messages.
        .max_by_key(|package| package["version"].as_str().map(str::to_owned))
        .and_then(|package| package["manifest_path"].as_str())
        .ok_or_else(|| format!("{name} is not among the dependencies"))?;
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
