//! The commands a node has at cPanel's paths: one program, told apart by the name it is called by.

use std::path::Path;
use std::process::ExitCode;

use crate::{appconfig, client, cpsrvd, hooks, uapi};

/// A command: it takes the words after its name and gives its exit code.
type Command = fn(&[String]) -> i32;

/// Commands by name.
const COMMANDS: &[(&str, Command)] = &[
    ("autorespond", uapi::autorespond::main),
    ("client", client::main),
    ("cpanel", cpsrvd::command::cpanel),
    ("cpsrvd", cpsrvd::command::serve),
    ("is_registered_with_appconfig", appconfig::command::is_registered),
    ("manage_hooks", hooks::command::main),
    ("register_appconfig", appconfig::command::register),
    ("show_appconfig", appconfig::command::show),
    ("uapi", uapi::command::main),
    ("unregister_appconfig", appconfig::command::unregister),
    ("whmapi1", cpsrvd::command::whmapi1),
];

/// Runs the command that `words` (a whole command line) names: by the program's own name, or by the first word after it. `None` when
/// it names none.
pub fn run(words: &[String]) -> Option<ExitCode> {
    let (program, rest) = words.split_first()?;
    let name = Path::new(program).file_name()?.to_str()?;
    let by_name = |name: &str| COMMANDS.iter().find(|(known, _)| *known == name).map(|(_, command)| command);
    let (command, rest) = match by_name(name) {
        Some(command) => (command, rest),
        None => {
            let (first, rest) = rest.split_first()?;
            (by_name(first)?, rest)
        }
    };
    Some(ExitCode::from(u8::try_from(command(rest)).unwrap_or(1)))
}
