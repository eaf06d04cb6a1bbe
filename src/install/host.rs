//! The machine that is installed on: a root directory and its tools.

use crate::error::{Error, Result};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The search path for tools, whatever the caller's was.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What a tool said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    /// Whether it ended with 0.
    pub good: bool,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

/// Runs programs of the machine.
pub trait Tools {
    /// Runs a program with an empty environment but for `PATH` and `LC_ALL=C`, and waits for it.
    ///
    /// # Errors
    /// When it cannot be started; how it ended is in [`Said`].
    fn run(&self, program: &str, arguments: &[&str]) -> Result<Said>;
}

/// The tools of this machine.
#[derive(Debug, Clone, Copy)]
pub struct RealTools;

impl Tools for RealTools {
    fn run(&self, program: &str, arguments: &[&str]) -> Result<Said> {
        let done = Command::new(program)
            .args(arguments)
            .env_clear()
            .env("PATH", PATH)
            .env("LC_ALL", "C")
            .env("HOME", "/root")
            .stdin(Stdio::null())
            .output()
            .map_err(|cause| Error::machine(format!("starting {program}"), cause))?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(Said { good: done.status.success(), out: text(&done.stdout), err: text(&done.stderr) })
    }
}

/// A machine: where its root is, and its tools.
pub struct Host<'a> {
    /// `/`, or a scratch folder in tests.
    pub root: PathBuf,
    /// The tools.
    pub tools: &'a dyn Tools,
}

impl Host<'_> {
    /// The machine this process runs on.
    pub fn here() -> Host<'static> {
        Host { root: PathBuf::from("/"), tools: &RealTools }
    }

    /// An absolute path of the machine, on the disk of this process.
    pub fn path(&self, absolute: &str) -> PathBuf {
        self.root.join(absolute.trim_start_matches('/'))
    }

    /// Whether something is there, a dangling link included.
    pub fn has(&self, absolute: &str) -> bool {
        self.path(absolute).symlink_metadata().is_ok()
    }

    /// Runs a tool that has to succeed; says what it said when it does not.
    ///
    /// # Errors
    /// When it cannot be started or fails.
    pub fn must(&self, program: &str, arguments: &[&str]) -> Result<String> {
        let said = self.tools.run(program, arguments)?;
        if said.good {
            return Ok(said.out);
        }
        let words = [said.err.trim(), said.out.trim()].into_iter().find(|words| !words.is_empty()).unwrap_or("it gave no reason");
        let name = Path::new(program).file_name().and_then(OsStr::to_str).unwrap_or(program);
        Err(Error::machine(format!("“{name} {}” failed", arguments.join(" ")), words))
    }
}
