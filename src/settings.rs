//! What an administrator may set: `/var/cpanel/linked-nodes/settings`, a line `key=value` each, `#` before comments.
//!
//! The file is read whenever a value is needed, so a change counts from the next decision on. A file that is not there means the
//! defaults; a line that is not understood is told in the log and passed over, because hosting must not stop for a typing error.

use std::path::Path;
use std::time::Duration;

/// The file's name in the state directory.
pub const FILE: &str = "settings";

/// Every setting with its value now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// `moves_per_source`: moves that copy from one node at the same time.
    pub moves_per_source: usize,
    /// `moves_per_target`: moves that copy to one node at the same time.
    pub moves_per_target: usize,
    /// `moves_at_once`: moves that copy at the same time in all.
    pub moves_at_once: usize,
    /// `node_patience`: for how long a move waits for a node that does not answer before it is undone. Seconds in the file.
    pub node_patience: Duration,
    /// `hook_deadline_ms`: how long a standard hook may take before cPanel is answered without `serve`. Milliseconds in the file.
    pub hook_deadline: Duration,
    /// `health_every`: how often children are asked how they are. Seconds in the file.
    pub health_every: Duration,
    /// `count_every`: how often the messages on a child are counted, for the day it is lost. Seconds in the file.
    pub count_every: Duration,
    /// `follow_at_once`: how many accounts are brought after their parent's half at the same time.
    pub follow_at_once: usize,
    /// `follow_patience`: how long one try to do that may take. Seconds in the file.
    pub follow_patience: Duration,
    /// `follow_first_wait_ms`: the wait after the first try that failed; each further one doubles it. Milliseconds in the file.
    pub follow_first_wait: Duration,
    /// `follow_longest_wait`: the longest wait between two tries. Seconds in the file.
    pub follow_longest_wait: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            moves_per_source: 4,
            moves_per_target: 2,
            moves_at_once: 4,
            node_patience: Duration::from_secs(300),
            hook_deadline: Duration::from_secs(2),
            health_every: Duration::from_secs(60),
            count_every: Duration::from_secs(900),
            follow_at_once: 4,
            follow_patience: Duration::from_secs(300),
            follow_first_wait: Duration::from_secs(1),
            follow_longest_wait: Duration::from_secs(300),
        }
    }
}

impl Settings {
    /// The settings of a state directory now.
    pub fn read(state_dir: &Path) -> Self {
        let file = state_dir.join(FILE);
        match std::fs::read_to_string(&file) {
            Ok(text) => {
                let (settings, wrong) = Self::parse(&text);
                for line in wrong {
                    tracing::warn!(file = %file.display(), line, "a line of the settings is not understood and is passed over");
                }
                settings
            }
            Err(cause) => {
                if cause.kind() != std::io::ErrorKind::NotFound {
                    tracing::warn!(file = %file.display(), %cause, "the settings cannot be read; the defaults count");
                }
                Self::default()
            }
        }
    }

    /// The settings of a text, and the lines that are none.
    pub fn parse(text: &str) -> (Self, Vec<String>) {
        let mut settings = Self::default();
        let mut wrong = Vec::new();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let known = line.split_once('=').is_some_and(|(key, value)| settings.set(key.trim(), value.trim()));
            if !known {
                wrong.push(line.to_owned());
            }
        }
        (settings, wrong)
    }

    fn set(&mut self, key: &str, value: &str) -> bool {
        // None of them means anything as 0.
        let Some(number) = value.parse::<u32>().ok().filter(|number| *number > 0) else { return false };
        let count = number as usize;
        match key {
            "moves_per_source" => self.moves_per_source = count,
            "moves_per_target" => self.moves_per_target = count,
            "moves_at_once" => self.moves_at_once = count,
            "node_patience" => self.node_patience = Duration::from_secs(number.into()),
            "hook_deadline_ms" => self.hook_deadline = Duration::from_millis(number.into()),
            "health_every" => self.health_every = Duration::from_secs(number.into()),
            "count_every" => self.count_every = Duration::from_secs(number.into()),
            "follow_at_once" => self.follow_at_once = count,
            "follow_patience" => self.follow_patience = Duration::from_secs(number.into()),
            "follow_first_wait_ms" => self.follow_first_wait = Duration::from_millis(number.into()),
            "follow_longest_wait" => self.follow_longest_wait = Duration::from_secs(number.into()),
            _ => return false,
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_count_and_nonsense_is_named() {
        let (settings, wrong) =
            Settings::parse("# a comment\n\n moves_per_target = 3 \nnode_patience=5\nmoves_at_once=0\nwhat=1\nx\n");
        assert_eq!(settings, Settings { moves_per_target: 3, node_patience: Duration::from_secs(5), ..Settings::default() });
        assert_eq!(wrong, ["moves_at_once=0", "what=1", "x"]);
    }

    #[test]
    fn no_file_is_the_defaults() {
        let temp = tempfile::tempdir().unwrap();
        assert_eq!(Settings::read(temp.path()), Settings::default());
        std::fs::write(temp.path().join(FILE), "moves_at_once=9\n").unwrap();
        assert_eq!(Settings::read(temp.path()).moves_at_once, 9);
    }
}
