//! Folder names as people make them, and what becomes of them on disk.

use base64::Engine as _;
use base64::alphabet::IMAP_MUTF7;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};

/// Names as a client shows them, levels apart by `.`; the first is INBOX itself. Further ones are numbered.
const NAMES: &[(&str, u32)] = &[
    ("", 400),
    ("Sent", 150),
    ("Archive", 20),
    ("Archive.2023", 110),
    ("Archive.2024", 120),
    ("Drafts", 5),
    ("Trash", 40),
    ("Junk", 40),
    ("Projects.Alpha", 40),
    ("Projects.Beta 2 (old)", 25),
    ("Entwürfe", 15),
    ("R&D.日本語.Ελληνικά", 10),
    ("Müller & Söhne GmbH", 10),
    // A dot inside a name, as clients and migrations spell it where the dot parts levels.
    ("Version 1\\2e0", 5),
    (" two  spaces ", 5),
    ("quote\"d, 'and' [odd] {names} 100% *star*", 5),
    ("emoji 📬 inbox", 5),
    ("a.b.c.d.e.f.g.h", 5),
    ("A rather long name that somebody once typed into a form because the search of the program did not work well", 5),
    ("INBOXes", 2),
];

/// A folder to fill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    /// Its name below the mailbox, on disk and in `subscriptions`: modified UTF-7, levels apart by `.`; empty for INBOX.
    pub name: String,
    /// How many messages go in.
    pub messages: u32,
}

/// `count` folders that share `messages` between them: some full, some nearly empty.
pub fn plan(count: u16, messages: u32) -> Vec<Folder> {
    let named: Vec<(String, u32)> = (0..usize::from(count))
        .map(|at| match NAMES.get(at) {
            Some((name, weight)) => (encode(name), *weight),
            None => (encode(&format!("More.Folder № {at}")), 5),
        })
        .collect();
    let total: u64 = named.iter().map(|(_, weight)| u64::from(*weight)).sum();
    let mut folders: Vec<Folder> = named
        .into_iter()
        .map(|(name, weight)| Folder {
            name,
            messages: u32::try_from(u64::from(messages) * u64::from(weight) / total).unwrap_or(u32::MAX),
        })
        .collect();
    let placed: u32 = folders.iter().map(|folder| folder.messages).sum();
    if let Some(inbox) = folders.first_mut() {
        inbox.messages += messages - placed;
    }
    folders
}

/// Modified UTF-7 (RFC 3501, 5.1.3).
pub fn encode(name: &str) -> String {
    let engine = GeneralPurpose::new(&IMAP_MUTF7, NO_PAD);
    let mut encoded = String::new();
    let mut run = Vec::new();
    let flush = |run: &mut Vec<u8>, encoded: &mut String| {
        if !run.is_empty() {
            encoded.push('&');
            engine.encode_string(&*run, encoded);
            encoded.push('-');
            run.clear();
        }
    };
    for letter in name.chars() {
        if (' '..='~').contains(&letter) {
            flush(&mut run, &mut encoded);
            encoded.push(letter);
            if letter == '&' {
                encoded.push('-');
            }
        } else {
            let mut units = [0; 2];
            run.extend(letter.encode_utf16(&mut units).iter().flat_map(|unit| unit.to_be_bytes()));
        }
    }
    flush(&mut run, &mut encoded);
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modified_utf7_as_in_the_rfc() {
        assert_eq!(encode("~peter/mail/台北/日本語"), "~peter/mail/&U,BTFw-/&ZeVnLIqe-");
        assert_eq!(encode("R&D"), "R&-D");
        assert_eq!(encode("Entwürfe"), "Entw&APw-rfe");
        assert_eq!(encode("📬"), "&2D3c7A-");
    }

    #[test]
    fn every_message_has_a_folder() {
        for (count, messages) in [(1, 10), (12, 10_000), (40, 3)] {
            let folders = plan(count, messages);
            assert_eq!(folders.len(), usize::from(count));
            assert_eq!(folders.iter().map(|f| f.messages).sum::<u32>(), messages);
            let names: std::collections::HashSet<_> = folders.iter().map(|f| &f.name).collect();
            assert_eq!(names.len(), folders.len());
        }
    }
}
