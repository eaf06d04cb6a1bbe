//! What the churning client does next: decided by the seed and by what it knows to be in the mailbox.

use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use sha2::{Digest as _, Sha256};

use super::model::{Flags, Made, Model, Operation};
use crate::client::imap::parse::hex;

/// Flags and keywords it uses.
const FLAGS: &[&str] = &["\\Seen", "\\Answered", "\\Flagged", "\\Draft", "$Forwarded", "$Label1", "churned", "Later-2"];
/// The most folders it makes.
const MOST_FOLDERS: usize = 12;
/// 2020-01-01 in seconds since 1970.
const EPOCH: i64 = 1_577_836_800;

/// Decides what to do.
pub struct Planner {
    random: ChaCha8Rng,
    seed: u64,
    base: String,
    made: u64,
}

/// A message to append.
pub struct Draft {
    /// The message.
    pub text: String,
    /// INTERNALDATE as `APPEND` takes it.
    pub date: String,
}

impl Planner {
    /// For a folder tree under `base` and the inbox.
    pub fn new(seed: u64, base: &str) -> Self {
        Self { random: ChaCha8Rng::seed_from_u64(seed), seed, base: base.into(), made: 0 }
    }

    /// The folders to begin with.
    pub fn first(&self) -> Vec<Operation> {
        let names = [self.base.clone(), format!("{}.one", self.base), format!("{}.two words &- more", self.base)];
        names.into_iter().flat_map(folder).collect()
    }

    /// The next operations, of which the later make sense only when the earlier were acknowledged.
    pub fn next(&mut self, model: &Model) -> Vec<Operation> {
        let usable: Vec<usize> = (0..model.copies.len()).filter(|&at| model.copies[at].usable()).collect();
        let Some(&copy) = usable.choose(&mut self.random) else { return self.append(model) };
        match self.random.random_range(0..100_u32) {
            0..40 => self.append(model),
            40..72 => vec![Operation::Store { copy, flags: self.flags() }],
            72..79 => self.elsewhere(model, copy).map(|folder| Operation::Copy { copy, folder }).into_iter().collect(),
            79..89 => self.elsewhere(model, copy).map(|folder| Operation::Move { copy, folder }).into_iter().collect(),
            89..99 => {
                let mut flags = model.copies[copy].place.flags.clone();
                flags.insert("\\Deleted".into());
                vec![Operation::Store { copy, flags }, Operation::Expunge { copy }]
            }
            _ if model.folders.len() < MOST_FOLDERS => folder(format!("{}.made {}", self.base, model.folders.len())),
            _ => Vec::new(),
        }
    }

    fn append(&mut self, model: &Model) -> Vec<Operation> {
        self.made += 1;
        let flags = self.flags();
        vec![Operation::Append { n: self.made, folder: self.any(model), flags }]
    }

    fn flags(&mut self) -> Flags {
        let count = self.random.random_range(0..4);
        FLAGS.choose_multiple(&mut self.random, count).map(|&flag| flag.to_owned()).collect()
    }

    /// One of the folders, or the inbox.
    fn any(&mut self, model: &Model) -> String {
        let at = self.random.random_range(0..=model.folders.len());
        model.folders.iter().nth(at).cloned().unwrap_or_else(|| "INBOX".into())
    }

    /// A folder that holds no copy of the same message: so a doubled message cannot be taken for a copy.
    fn elsewhere(&mut self, model: &Model, copy: usize) -> Option<String> {
        let folder = self.any(model);
        (!model.occupied(model.copies[copy].n, &folder)).then_some(folder)
    }

    /// The Message-ID of message `n`.
    pub fn message_id(&self, n: u64) -> String {
        format!("<churn-{n}@seed-{}.client.lab.test>", self.seed)
    }

    /// Message `n`: the same for the same seed and number, whatever happened meanwhile.
    pub fn draft(&self, n: u64) -> (Draft, Made) {
        let mut random = ChaCha8Rng::seed_from_u64(self.seed ^ n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let time = jiff::Timestamp::from_second(EPOCH + random.random_range(0..180_000_000)).unwrap_or_default();
        let zoned = time.to_zoned(jiff::tz::TimeZone::UTC);
        let mut text = format!(
            "From: churn <churn@client.lab.test>\r\nTo: churn <churn@client.lab.test>\r\nSubject: churn {n}\r\nDate: {}\r\n\
             Message-ID: {}\r\n\r\n",
            zoned.strftime("%a, %d %b %Y %H:%M:%S %z"),
            self.message_id(n),
        );
        for line in 0..2_u64.pow(random.random_range(0..9)) {
            text.push_str(&format!("{line} {:016x} {:016x}\r\n", random.random::<u64>(), random.random::<u64>()));
        }
        let made = Made { date: time.to_string(), sha256: hex(&Sha256::digest(&text)) };
        (Draft { text, date: zoned.strftime("%d-%b-%Y %H:%M:%S %z").to_string() }, made)
    }
}

/// Makes a folder and subscribes to it.
fn folder(folder: String) -> Vec<Operation> {
    vec![Operation::Create { folder: folder.clone() }, Operation::Subscribe { folder }]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(seed: u64) -> (Vec<Operation>, Model) {
        let (mut planner, mut model, mut done) = (Planner::new(seed, "INBOX.churn"), Model::default(), Vec::new());
        let mut all = planner.first();
        for uid in 1..2000 {
            for operation in all {
                if let Operation::Append { n, .. } = operation {
                    model.made.insert(n, planner.draft(n).1);
                }
                model.acknowledged(&operation, uid);
                done.push(operation);
            }
            all = planner.next(&model);
        }
        (done, model)
    }

    #[test]
    fn a_seed_gives_one_story_in_which_everything_happens() {
        let (one, model) = walk(7);
        assert_eq!(one, walk(7).0);
        assert_ne!(one, walk(8).0);
        for wanted in ["Append", "Store", "Copy", "Move", "Expunge", "Create"] {
            assert!(one.iter().any(|operation| format!("{operation:?}").starts_with(wanted)), "{wanted}");
        }
        let (expected, gone) = model.outcome(|n| n.to_string());
        assert!(expected.len() > 100 && gone.len() > 20);
        let mut places: Vec<_> = expected.iter().map(|e| (&e.message_id, &e.folder)).collect();
        places.sort();
        places.dedup();
        assert_eq!(places.len(), expected.len(), "no message is twice in a folder");
    }
}
