//! `lab fill`: puts mail into a mailbox, as Dovecot would have it after years of use.
//!
//! Two sources: messages that people and programs wrote (they ship inside the `mail-parser` crate), each with the lines a delivery
//! puts on top, and a generator for size. Both are driven by one seed: the same seed and the same mailbox give the same mail.

mod folders;
mod generator;
mod maildir;

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::time::Instant;

use clap::Args;

use crate::node::enter;
use crate::node::error::{Context as _, Error, Result, at};
use crate::node::layout::Place;

/// What to put where.
#[derive(Debug, Clone, Args)]
pub struct Fill {
    /// The mailbox (local@domain), or an account's user name for its own mailbox.
    address: String,
    /// The node it is on.
    #[arg(long, default_value = "parent")]
    node: String,
    /// How many messages.
    #[arg(long, default_value_t = 1000)]
    messages: u32,
    /// In how many folders, INBOX included.
    #[arg(long, default_value_t = 12)]
    folders: u16,
    /// Another seed gives other mail.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many of the messages are of 5 to 20 MB.
    #[arg(long, default_value_t = 3)]
    big: u32,
    /// Fill on this machine: the command runs itself again inside the node.
    #[arg(long, hide = true)]
    here: bool,
}

/// Runs `lab fill`.
pub fn run(place: &Place, fill: &Fill, out: &mut dyn Write) -> Result<()> {
    if fill.folders == 0 || fill.big > fill.messages {
        return Err(Error::Refused("there is at least one folder, and no more big messages than messages".into()));
    }
    if fill.here {
        return here(fill, out);
    }
    let words = [
        "/usr/local/cpanel/bin/lab".to_owned(),
        "fill".into(),
        "--here".into(),
        format!("--messages={}", fill.messages),
        format!("--folders={}", fill.folders),
        format!("--seed={}", fill.seed),
        format!("--big={}", fill.big),
        "--".into(),
        fill.address.clone(),
    ];
    enter::exec(place, &fill.node, &words).map(|nothing| match nothing {})
}

fn here(fill: &Fill, out: &mut dyn Write) -> Result<()> {
    let mailbox = Mailbox::find(&fill.address)?;
    let began = Instant::now();
    let order = maildir::Order {
        messages: fill.messages,
        folders: fill.folders,
        big: fill.big,
        seed: fill.seed,
        address: fill.address.clone(),
    };
    let done = maildir::fill(&mailbox, &order)?;
    let seconds = began.elapsed().as_secs_f64();
    writeln!(
        out,
        "{}: {} messages ({} real, {} generated), {:.1} MB, in {} folders; {seconds:.1} s",
        fill.address,
        done.messages,
        done.real,
        done.messages - done.real,
        done.bytes as f64 / 1e6,
        done.folders,
    )
    .doing("write")
}

/// Where a mailbox lies, and whose it is.
#[derive(Debug, Clone)]
pub struct Mailbox {
    /// Its Maildir.
    pub dir: PathBuf,
    /// The account's user id.
    pub uid: u32,
    /// The account's group id.
    pub gid: u32,
}

impl Mailbox {
    fn find(address: &str) -> Result<Self> {
        let unknown = || Error::Refused(format!("there is no mailbox “{address}” on this node; make it first"));
        let (dir, owner) = match address.split_once('@') {
            None => (format!("/home/{address}/mail"), address.to_owned()),
            Some((local, domain)) => {
                let owner = value_of(&read("/etc/userdomains")?, domain).ok_or_else(unknown)?;
                let passwd = read(&format!("/home/{owner}/etc/{domain}/passwd"))?;
                passwd.lines().find(|line| line.split(':').next() == Some(local)).ok_or_else(unknown)?;
                (format!("/home/{owner}/mail/{domain}/{local}"), owner)
            }
        };
        let passwd = read("/etc/passwd")?;
        let mut fields = passwd
            .lines()
            .find(|line| line.split(':').next() == Some(owner.as_str()))
            .ok_or_else(unknown)?
            .split(':')
            .skip(2)
            .map(str::parse::<u32>);
        match (fields.next(), fields.next()) {
            (Some(Ok(uid)), Some(Ok(gid))) => Ok(Self { dir: dir.into(), uid, gid }),
            _ => Err(unknown()),
        }
    }
}

fn read(path: &str) -> Result<String> {
    match fs::read_to_string(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        other => other.doing(at("read", path.as_ref())),
    }
}

fn value_of(text: &str, key: &str) -> Option<String> {
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.trim() == key)
        .map(|(_, value)| value.trim().to_owned())
}
