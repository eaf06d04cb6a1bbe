//! `register_appconfig FILE`, `unregister_appconfig NAME|FILE`, `is_registered_with_appconfig SERVICE NAME`, `show_appconfig`.

use std::io::{self, Write};
use std::path::Path;

use serde_json::{Map, Value};

use super::{Application, all};
use crate::call::Failure;
use crate::machine::Machine;
use crate::uapi::output::Format;

/// `register_appconfig`; the exit code.
pub fn register(arguments: &[String]) -> i32 {
    finish("register_appconfig", register_file(&Machine::here(), arguments))
}

/// `unregister_appconfig`; the exit code.
pub fn unregister(arguments: &[String]) -> i32 {
    finish("unregister_appconfig", unregister_named(&Machine::here(), arguments))
}

/// `is_registered_with_appconfig`: prints 1 or 0; the exit code.
pub fn is_registered(arguments: &[String]) -> i32 {
    finish("is_registered_with_appconfig", registered(&Machine::here(), arguments))
}

/// `show_appconfig`: every application, as YAML; the exit code.
pub fn show(_: &[String]) -> i32 {
    finish("show_appconfig", shown(&Machine::here()))
}

fn finish(command: &str, result: Result<String, Failure>) -> i32 {
    match result {
        Ok(text) => i32::from(io::stdout().lock().write_all(text.as_bytes()).is_err()),
        Err(failure) => {
            let _ = writeln!(io::stderr(), "{command}: {}", failure.reason);
            1
        }
    }
}

fn need_root() -> Result<(), Failure> {
    if rustix::process::geteuid().is_root() { Ok(()) } else { Err(Failure::new("only root may do this")) }
}

fn register_file(machine: &Machine, arguments: &[String]) -> Result<String, Failure> {
    need_root()?;
    let [path] = arguments else { return Err(Failure::new("usage: register_appconfig FILE")) };
    let text = std::fs::read_to_string(path).map_err(|error| Failure::new(format!("{path}: {error}")))?;
    let application = Application::parse(&text).map_err(|failure| Failure::new(format!("{path}: {}", failure.reason)))?;
    super::register(machine, &application)?;
    Ok(format!("{} registered\n", application.name()))
}

/// The name, or a file that says it. A file that is gone still has its name.
fn unregister_named(machine: &Machine, arguments: &[String]) -> Result<String, Failure> {
    need_root()?;
    let [given] = arguments else { return Err(Failure::new("usage: unregister_appconfig NAME|FILE")) };
    let name = if given.contains('/') || given.ends_with(".conf") {
        let in_file = std::fs::read_to_string(given).ok().and_then(|text| Application::parse(&text).ok());
        let of_path = || Path::new(given).file_stem().unwrap_or_default().to_string_lossy().into_owned();
        in_file.map_or_else(of_path, |application| application.name().to_owned())
    } else {
        given.clone()
    };
    if super::unregister(machine, &name)? {
        return Ok(format!("{name} unregistered\n"));
    }
    Err(Failure::new(format!("{name} is not registered")))
}

fn registered(machine: &Machine, arguments: &[String]) -> Result<String, Failure> {
    let [service, name] = arguments else { return Err(Failure::new("usage: is_registered_with_appconfig SERVICE NAME")) };
    let known = all(machine)?.iter().any(|application| application.service() == service && application.name() == name);
    Ok(format!("{}\n", u8::from(known)))
}

fn shown(machine: &Machine) -> Result<String, Failure> {
    let applications: Map<String, Value> =
        all(machine)?.iter().map(|application| (application.name().to_owned(), application.as_json())).collect();
    Format::Yaml.render(&Value::Object(applications), "appconfig")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commands_say_what_cpanels_say() {
        let folder = tempfile::tempdir().unwrap();
        let machine = Machine { root: folder.path().to_owned() };
        let conf = folder.path().join("csf.conf");
        std::fs::write(&conf, "name=csf\nservice=whostmgr\nurl=/cgi/csf.cgi\nacls=any\n").unwrap();
        let words = |list: &[&str]| list.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let path = conf.to_str().unwrap();
        assert_eq!(register_file(&machine, &words(&[path])).unwrap(), "csf registered\n");
        assert_eq!(registered(&machine, &words(&["whostmgr", "csf"])).unwrap(), "1\n");
        assert_eq!(registered(&machine, &words(&["cpanel", "csf"])).unwrap(), "0\n");
        assert!(shown(&machine).unwrap().contains("csf:\n"));
        assert_eq!(unregister_named(&machine, &words(&["csf"])).unwrap(), "csf unregistered\n");
        register_file(&machine, &words(&[path])).unwrap();
        assert_eq!(unregister_named(&machine, &words(&[path])).unwrap(), "csf unregistered\n");
        assert!(unregister_named(&machine, &words(&["csf"])).is_err());
    }
}
