//! `/usr/local/cpanel/bin/uapi [--user=USER] [--output=FORMAT] MODULE FUNCTION KEY=VALUE…`
//!
//! Values are URI-encoded, as cPanel's tools take them. Root names the user; this server's `uapi` serves root alone.

use std::io::{self, Write};

use crate::call::{Args, Caller, Failure};
use crate::machine::Machine;
use crate::uapi::envelope;
use crate::uapi::output::Format;

/// A command line, read.
#[derive(Debug, PartialEq, Eq)]
struct Request {
    user: Option<String>,
    format: Format,
    module: String,
    function: String,
    args: Args,
}

const USAGE: &str = "usage: uapi --user=USER [--output=yaml|json|jsonpretty|xml] MODULE FUNCTION [KEY=VALUE …]\n";

/// Runs with the command line's arguments (without the program's name); the exit code. As cPanel's tool it ends with 0 when the
/// function was called, whatever it answered.
pub fn main(arguments: &[String]) -> i32 {
    match run(&Machine::here(), arguments) {
        Ok(text) => i32::from(io::stdout().lock().write_all(text.as_bytes()).is_err()),
        Err(failure) => {
            let _ = writeln!(io::stderr(), "{}", failure.reason.trim_end());
            1
        }
    }
}

fn run(machine: &Machine, arguments: &[String]) -> Result<String, Failure> {
    let request = Request::parse(arguments)?;
    if !rustix::process::geteuid().is_root() {
        return Err(Failure::new("uapi: run as root, with --user=USER"));
    }
    let user = request
        .user
        .ok_or_else(|| Failure::new("You must specify the user with the --user option when you run this command as root."))?;
    if machine.find_account(&user)?.is_none() {
        return Err(Failure::new(format!("The user “{user}” does not exist.")));
    }
    let caller = Caller { user, mailbox: None, acls: Vec::new() };
    let reply = crate::uapi::call(machine, &caller, &request.module, &request.function, &request.args);
    let value = envelope::wrapped(&request.module, &request.function, &reply, &request.args);
    request.format.render(&value, "uapi")
}

impl Request {
    fn parse(arguments: &[String]) -> Result<Self, Failure> {
        let mut user = None;
        let mut format = Format::default();
        let mut words = Vec::new();
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let option = argument.strip_prefix("--").filter(|_| words.len() < 2);
            let Some(option) = option else {
                words.push(argument.as_str());
                continue;
            };
            let (name, value) = match option.split_once('=') {
                Some((name, value)) => (name, value.to_owned()),
                None if option == "help" => return Err(Failure::new(USAGE)),
                None => (option, rest.next().cloned().unwrap_or_default()),
            };
            match name {
                "user" => user = Some(value),
                "output" => format = Format::parse(&value)?,
                _ => return Err(Failure::new(format!("unknown option --{name}\n{USAGE}"))),
            }
        }
        let [module, function, pairs @ ..] = words.as_slice() else {
            return Err(Failure::new(USAGE));
        };
        Ok(Self { user, format, module: (*module).to_owned(), function: (*function).to_owned(), args: pairs_of(pairs)? })
    }
}

/// `KEY=VALUE` words, both URI-decoded.
///
/// # Errors
/// When a word has no `=`.
pub fn pairs_of(words: &[&str]) -> Result<Args, Failure> {
    let mut args = Args::default();
    for word in words {
        let (key, value) = word.split_once('=').ok_or_else(|| Failure::new(format!("“{word}” is not KEY=VALUE.")))?;
        args.0.push((decoded(key), decoded(value)));
    }
    Ok(args)
}

/// Percent-decoding; `+` stays, as on cPanel's command line. Bytes that are no UTF-8 are replaced.
fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = bytes
            .get(at + 1..at + 3)
            .filter(|_| bytes[at] == b'%')
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match hex {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_is_read_and_decoded() {
        let words = ["--user=alice", "--output", "json", "Email", "add_pop", "email=a%40b%2", "n=1+1"];
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let request = Request::parse(&words).unwrap();
        assert_eq!(request.user.as_deref(), Some("alice"));
        assert_eq!(request.format, Format::Json);
        assert_eq!((&*request.module, &*request.function), ("Email", "add_pop"));
        assert_eq!(request.args.get("email"), Some("a@b%2"));
        assert_eq!(request.args.get("n"), Some("1+1"));
        assert!(Request::parse(&words[..4]).is_err());
    }
}
