//! `/usr/local/cpanel/bin/whmapi1 [--output=FORMAT] FUNCTION KEY=VALUE…` and `/usr/local/cpanel/cpanel -V`.
//!
//! Source: api.docs.cpanel.net, "WHM API 1 – Call from the command line".

use std::io::{self, Write};

use super::envelope;
use super::whm::{self, Refusal};
use crate::call::{Args, Caller, Failure, Reply};
use crate::machine::Machine;
use crate::uapi::command::pairs_of;
use crate::uapi::output::Format;

const USAGE: &str = "usage: whmapi1 [--output=yaml|json|jsonpretty|xml] FUNCTION [KEY=VALUE …]\n";

/// Runs `whmapi1` with its arguments (without the program's name) and gives the exit code: 0 when the function was called,
/// whatever it answered.
pub fn whmapi1(arguments: &[String]) -> i32 {
    match called(&Machine::here(), arguments) {
        Ok(text) => i32::from(io::stdout().lock().write_all(text.as_bytes()).is_err()),
        Err(failure) => complain(&failure),
    }
}

fn complain(failure: &Failure) -> i32 {
    // Nobody is left to hear that standard error is closed.
    let _ = writeln!(io::stderr(), "{}", failure.reason.trim_end());
    1
}

fn called(machine: &Machine, arguments: &[String]) -> Result<String, Failure> {
    if !rustix::process::geteuid().is_root() {
        return Err(Failure::new("whmapi1: run as root"));
    }
    let mut format = Format::default();
    let mut words: Vec<&str> = Vec::new();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match argument.strip_prefix("--").filter(|_| words.is_empty()) {
            None => words.push(argument),
            Some("help") => return Err(Failure::new(USAGE)),
            Some("output") => format = Format::parse(rest.next().map_or("", String::as_str))?,
            Some(option) => match option.strip_prefix("output=") {
                Some(name) => format = Format::parse(name)?,
                None => return Err(Failure::new(format!("unknown option --{option}\n{USAGE}"))),
            },
        }
    }
    let [function, pairs @ ..] = words.as_slice() else { return Err(Failure::new(USAGE)) };
    let mut args: Args = pairs_of(pairs)?;
    args.0.retain(|(name, _)| name != "api.version");
    let reply: Reply = match whm::call(machine, &Caller::root(), function, &args) {
        Ok(outcome) => Ok(outcome),
        Err(Refusal::Failed(failure)) => Err(failure),
        Err(Refusal::Denied) => Err(Failure::new("Access denied")),
    };
    format.render(&envelope::whm(function, &args, reply), "result")
}

/// Runs `/usr/local/cpanel/cpsrvd`: serves until the process is ended, logging to standard error.
pub fn serve(_arguments: &[String]) -> i32 {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_ansi(false).init();
    let built = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let served = built.map_err(Failure::from).and_then(|runtime| runtime.block_on(super::run(Machine::here())));
    served.map_or_else(|failure| complain(&failure), |()| 0)
}

/// Runs `/usr/local/cpanel/cpanel` and gives the exit code. `-V` is all it knows: the version, as `138.0 (build 19)`.
pub fn cpanel(arguments: &[String]) -> i32 {
    let told = match arguments {
        [option] if option == "-V" => Ok(shown(&Machine::here().version())),
        _ => Err(Failure::new("usage: cpanel -V")),
    };
    match told {
        Ok(text) => i32::from(writeln!(io::stdout().lock(), "{text}").is_err()),
        Err(failure) => complain(&failure),
    }
}

/// `11.138.0.19` as `cpanel -V` shows it.
fn shown(version: &str) -> String {
    match version.split('.').collect::<Vec<_>>().as_slice() {
        ["11", major, minor, build] => format!("{major}.{minor} (build {build})"),
        _ => version.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::scratch;

    #[test]
    fn values_are_decoded_and_formats_honoured() {
        let (_folder, machine) = scratch::machine();
        let run = |words: &[&str]| called(&machine, &words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>());
        let made =
            run(&["--output=json", "createacct", "username=alice", "domain=alice.example", "password=Wonderland-7%20rabbits"])
                .unwrap();
        assert!(made.contains("\"reason\":\"Account Creation Ok\""), "{made}");
        let hash = machine.shadow_hash("alice").unwrap();
        assert!(crate::machine::passwords::verify("Wonderland-7 rabbits", &hash));
        assert!(run(&["version"]).unwrap().starts_with("---\n"));
        assert!(run(&["--output=json", "nonsense"]).unwrap().contains("\"result\":0"));
        assert!(run(&[]).is_err() && run(&["version", "x"]).is_err());
        assert_eq!(shown("11.138.0.19"), "138.0 (build 19)");
    }
}
