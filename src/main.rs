//! The `linked-nodes` program: one binary, its roles as subcommands. Everything is in the library; see [`linked_nodes::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    linked_nodes::cli::run(std::env::args_os())
}
