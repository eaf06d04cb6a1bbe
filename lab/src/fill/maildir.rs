//! Writing messages the way Dovecot keeps them: Maildir files, `dovecot-uidlist`, `dovecot-keywords`, `subscriptions`.
//!
//! A folder that Dovecot already knows is added to under its own lock, with the UIDs that come next.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, chown, fchown};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use rand::Rng as _;

use super::Mailbox;
use super::folders::{self, Folder};
use super::generator::{Generator, Message};
use crate::node::error::{Context as _, Error, Result, at};

/// The newest message is of this second, so that dates follow from the seed alone (October 2025).
const NEWEST: i64 = 1_760_000_000;
/// The oldest is so many seconds older.
const SPAN: f64 = 3.0 * 365.0 * 86_400.0;
const KEYWORDS: &[&str] = &["$Forwarded", "NonJunk", "Junk", "$MDNSent", "$Label1", "$Label2", "project-x", "todo"];
/// Maildir names have letters `a` to `z` for keywords.
const MOST_KEYWORDS: usize = 26;

/// What to put into a mailbox.
#[derive(Debug, Clone)]
pub struct Order {
    /// How many messages.
    pub messages: u32,
    /// In how many folders.
    pub folders: u16,
    /// How many of them big.
    pub big: u32,
    /// Where chance begins.
    pub seed: u64,
    /// Whom they are to.
    pub address: String,
}

/// What was put into a mailbox.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Done {
    /// Messages in all.
    pub messages: u32,
    /// Of those, how many are from the corpus of real ones.
    pub real: u32,
    /// Bytes on disk.
    pub bytes: u64,
    /// Folders they went to.
    pub folders: usize,
}

/// Fills a mailbox.
pub fn fill(mailbox: &Mailbox, order: &Order) -> Result<Done> {
    let plan = folders::plan(order.folders, order.messages);
    let mut generator = Generator::new(order.seed);
    let mut done = Done { folders: plan.len(), ..Done::default() };
    let mut bigs = Bigs { left: order.big, of: order.messages };
    mailbox.folder("")?;
    for folder in &plan {
        fill_folder(mailbox, order, folder, &mut generator, &mut bigs, &mut done)?;
    }
    subscribe(mailbox, &plan)?;
    // Nothing is left for the next reader to wait for, and no crash of the node can undo what was reported.
    let root = File::open(&mailbox.dir).doing(at("open", &mailbox.dir))?;
    rustix::fs::syncfs(&root).doing(at("write out", &mailbox.dir))?;
    Ok(done)
}

/// Spreads the big messages evenly over all.
struct Bigs {
    left: u32,
    of: u32,
}

impl Bigs {
    /// Whether the next message is a big one: with `left` big ones among `of`, the first of every `of / left`.
    fn next(&mut self) -> bool {
        let big = self.left > 0 && self.of.is_multiple_of(self.of.div_ceil(self.left));
        let big = big || (self.left > 0 && self.left >= self.of);
        self.of = self.of.saturating_sub(1);
        self.left -= u32::from(big);
        big
    }
}

fn fill_folder(
    mailbox: &Mailbox,
    order: &Order,
    folder: &Folder,
    generator: &mut Generator,
    bigs: &mut Bigs,
    done: &mut Done,
) -> Result<()> {
    let dir = mailbox.folder(&folder.name)?;
    let lock = Lock::take(&dir)?;
    let mut list = UidList::read(&dir, generator)?;
    let keywords = mailbox.keywords(&dir)?;
    let mut dates: Vec<i64> =
        (0..folder.messages).map(|_| NEWEST - (SPAN * generator.random().random::<f64>().powf(1.5)) as i64).collect();
    dates.sort_unstable();
    let mut message = Message::default();
    for (at, date) in dates.into_iter().enumerate() {
        generator.next(&order.address, date, bigs.next(), &mut message);
        let random = generator.random();
        // Gaps where messages were deleted.
        list.next += if random.random_bool(0.8) { 0 } else { random.random_range(1..40) };
        let uid = list.next;
        list.next += 1;
        let base = format!(
            "{date}.M{}P{uid}V{:x}I{:x}.parent,S={},W={}",
            random.random_range(0..1_000_000),
            order.seed & 0xffff,
            random.random::<u32>(),
            message.bytes.len(),
            message.wire_size
        );
        // The latest arrivals of the inbox were not seen by any client yet.
        let fresh =
            folder.name.is_empty() && at + 1 > usize::try_from(folder.messages - folder.messages.div_ceil(60)).unwrap_or(0);
        let name = if fresh { format!("new/{base}") } else { format!("cur/{base}:2,{}", flags(&folder.name, &keywords, random)) };
        mailbox.store(&dir.join(&name), &message.bytes, date)?;
        list.add(uid, name.split_once('/').map_or(name.as_str(), |(_, name)| name));
        done.messages += 1;
        done.real += u32::from(message.real);
        done.bytes += message.bytes.len() as u64;
    }
    mailbox.replace(&dir.join("dovecot-uidlist"), &list.text())?;
    drop(lock);
    Ok(())
}

fn flags(folder: &str, keywords: &BTreeMap<usize, char>, random: &mut rand_chacha::ChaCha8Rng) -> String {
    let mut flags: Vec<char> = Vec::new();
    for (flag, chance) in [('S', 0.78), ('R', 0.18), ('F', 0.05), ('P', 0.02)] {
        if random.random_bool(chance) {
            flags.push(flag);
        }
    }
    if folder == "Drafts" {
        flags.push('D');
    }
    if folder == "Trash" && random.random_bool(0.3) {
        flags.push('T');
    }
    if random.random_bool(0.22) {
        for _ in 0..random.random_range(1..4) {
            flags.extend(keywords.get(&random.random_range(0..KEYWORDS.len())));
        }
    }
    flags.sort_unstable();
    flags.dedup();
    flags.into_iter().collect()
}

/// Names Dovecot's own list of messages and UIDs: `3 V<validity> N<next> G<guid>`, then `<uid> :<file>`.
struct UidList {
    validity: u32,
    guid: String,
    next: u32,
    lines: String,
}

impl UidList {
    fn read(dir: &Path, generator: &mut Generator) -> Result<Self> {
        let random = generator.random();
        let fresh = Self {
            validity: random.random_range(1_500_000_000..1_750_000_000),
            guid: format!("{:032x}", random.random::<u128>()),
            next: random.random_range(1..500),
            lines: String::new(),
        };
        let path = dir.join("dovecot-uidlist");
        match fs::read_to_string(&path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(fresh),
            other => Self::parse(&other.doing(at("read", &path))?)
                .ok_or_else(|| Error::Refused(format!("{} is not a list of version 3", path.display()))),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let (head, lines) = text.split_once('\n')?;
        let mut fields = head.split(' ');
        if fields.next() != Some("3") {
            return None;
        }
        let mut list = Self { validity: 0, guid: String::new(), next: 1, lines: lines.to_owned() };
        for field in fields {
            match field.split_at_checked(1)? {
                ("V", value) => list.validity = value.parse().ok()?,
                ("N", value) => list.next = value.parse().ok()?,
                ("G", value) => value.clone_into(&mut list.guid),
                _ => {}
            }
        }
        // Dovecot appends lines without writing the head anew.
        let last = list.lines.lines().filter_map(|line| line.split(' ').next()?.parse::<u32>().ok()).max();
        list.next = list.next.max(last.map_or(1, |uid| uid + 1));
        Some(list)
    }

    fn add(&mut self, uid: u32, file: &str) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.lines, "{uid} :{file}");
    }

    fn text(&self) -> String {
        format!("3 V{} N{} G{}\n{}", self.validity, self.next, self.guid, self.lines)
    }
}

/// Dovecot's lock of a folder's UID list.
struct Lock(PathBuf);

impl Lock {
    fn take(dir: &Path) -> Result<Self> {
        let path = dir.join("dovecot-uidlist.lock");
        let end = Instant::now() + Duration::from_secs(30);
        loop {
            match File::options().write(true).create_new(true).mode(0o600).open(&path) {
                Ok(_) => return Ok(Self(path)),
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists && Instant::now() < end => {
                    std::thread::sleep(Duration::from_millis(50));
                }
                Err(e) => return Err(e).doing(at("lock", &path)),
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

impl Mailbox {
    /// The folder `name` on disk, made if it is not there, the levels above it too.
    fn folder(&self, name: &str) -> Result<PathBuf> {
        let mut dir = self.dir.clone();
        self.directory(&dir)?;
        if !name.is_empty() {
            let levels: Vec<&str> = name.split('.').collect();
            for depth in 1..=levels.len() {
                let level = levels.get(..depth).unwrap_or_default().join(".");
                dir = self.dir.join(format!(".{level}"));
                self.directory(&dir)?;
                self.replace(&dir.join("maildirfolder"), "")?;
                self.subdirectories(&dir)?;
            }
        }
        self.subdirectories(&dir)?;
        Ok(dir)
    }

    fn subdirectories(&self, dir: &Path) -> Result<()> {
        ["cur", "new", "tmp"].iter().try_for_each(|part| self.directory(&dir.join(part)))
    }

    fn directory(&self, path: &Path) -> Result<()> {
        match fs::DirBuilder::new().mode(0o751).create(path) {
            Ok(()) => chown(path, Some(self.uid), Some(self.gid)).doing(at("set the owner of", path)),
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
            Err(e) => Err(e).doing(at("create", path)),
        }
    }

    fn store(&self, path: &Path, bytes: &[u8], date: i64) -> Result<()> {
        let mut file = File::options().write(true).create_new(true).mode(0o660).open(path).doing(at("create", path))?;
        file.write_all(bytes).doing(at("write", path))?;
        fchown(&file, Some(self.uid), Some(self.gid)).doing(at("set the owner of", path))?;
        let date = SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(date).unwrap_or(0));
        let times = fs::FileTimes::new().set_modified(date).set_accessed(date);
        file.set_times(times).doing(at("set the date of", path))
    }

    fn replace(&self, path: &Path, text: &str) -> Result<()> {
        let mut name = path.file_name().unwrap_or_default().to_os_string();
        name.push(".tmp");
        let fresh = path.with_file_name(name);
        fs::write(&fresh, text).doing(at("write", &fresh))?;
        chown(&fresh, Some(self.uid), Some(self.gid)).doing(at("set the owner of", &fresh))?;
        fs::rename(&fresh, path).doing(at("write", path))
    }

    /// The letters of our keywords in this folder; those it lacks are added, as far as there are letters.
    fn keywords(&self, dir: &Path) -> Result<BTreeMap<usize, char>> {
        let path = dir.join("dovecot-keywords");
        let mut text = match fs::read_to_string(&path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => String::new(),
            other => other.doing(at("read", &path))?,
        };
        let known: Vec<String> = text.lines().filter_map(|line| Some(line.split_once(' ')?.1.to_owned())).collect();
        let mut next = text.lines().filter_map(|line| line.split_once(' ')?.0.parse::<usize>().ok()).max().map_or(0, |at| at + 1);
        for keyword in KEYWORDS.iter().filter(|keyword| !known.iter().any(|name| name == *keyword)) {
            if next < MOST_KEYWORDS {
                let _ = writeln!(text, "{next} {keyword}");
                next += 1;
            }
        }
        self.replace(&path, &text)?;
        let letter = |at: usize| u8::try_from(at).ok().map(|at| char::from(b'a' + at));
        Ok(text
            .lines()
            .filter_map(|line| {
                let (number, name) = line.split_once(' ')?;
                let ours = KEYWORDS.iter().position(|keyword| *keyword == name)?;
                Some((ours, letter(number.parse().ok()?)?))
            })
            .collect())
    }
}

/// Subscribes to most of the folders (`subscriptions`, version 2: levels apart by tabs).
fn subscribe(mailbox: &Mailbox, plan: &[Folder]) -> Result<()> {
    let path = mailbox.dir.join("subscriptions");
    let mut text = match fs::read_to_string(&path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => "V\t2\n\n".to_owned(),
        other => other.doing(at("read", &path))?,
    };
    for (at, folder) in plan.iter().enumerate().filter(|(_, folder)| !folder.name.is_empty()) {
        let line = folder.name.replace('.', "\t");
        if at % 5 != 4 && !text.lines().any(|known| known == line) {
            text.push_str(&line);
            text.push('\n');
        }
    }
    mailbox.replace(&path, &text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mailbox_can_be_filled_twice() {
        let dir = tempfile::tempdir().unwrap();
        let meta = fs::metadata(dir.path()).unwrap();
        let mailbox = Mailbox {
            dir: dir.path().join("ann"),
            uid: std::os::unix::fs::MetadataExt::uid(&meta),
            gid: std::os::unix::fs::MetadataExt::gid(&meta),
        };
        let mut order = Order { messages: 100, folders: 14, big: 1, seed: 1, address: "ann@a.test".into() };
        let first = fill(&mailbox, &order).unwrap();
        assert_eq!((first.messages, first.folders), (100, 14));
        order.messages = 50;
        fill(&mailbox, &order).unwrap();
        let list = UidList::parse(&fs::read_to_string(mailbox.dir.join("dovecot-uidlist")).unwrap()).unwrap();
        let uids: Vec<u32> = list.lines.lines().map(|l| l.split_once(' ').unwrap().0.parse().unwrap()).collect();
        assert!(uids.is_sorted_by(|a, b| a < b) && uids.last().is_some_and(|last| *last < list.next));
        let mut files = 0;
        for part in ["cur", "new"] {
            for entry in fs::read_dir(mailbox.dir.join(part)).unwrap() {
                let entry = entry.unwrap();
                let name = entry.file_name().into_string().unwrap();
                assert!(list.lines.contains(&format!(" :{name}\n")), "{name} has no UID");
                let size = name.split_once(",S=").unwrap().1.split_once(',').unwrap().0;
                assert_eq!(size.parse::<u64>().unwrap(), entry.metadata().unwrap().len());
                files += 1;
            }
        }
        assert_eq!(files, uids.len());
    }

    #[test]
    fn the_next_uid_follows_the_last_line() {
        let list = UidList::parse("3 V5 N7 Gab\n7 :a\n9 W3 :b\n").unwrap();
        assert_eq!((list.validity, list.next), (5, 10));
        assert_eq!(UidList::parse("3 V5 N7 Gab\n").unwrap().next, 7);
        assert!(UidList::parse("1 5 7\n").is_none());
    }

    #[test]
    fn big_messages_are_as_many_as_asked() {
        for (left, of) in [(0, 10), (3, 3), (3, 10), (7, 1000)] {
            let mut bigs = Bigs { left, of };
            let count = (0..of).filter(|_| bigs.next()).count();
            assert_eq!(count, left as usize, "{left} of {of}");
        }
    }
}
