//! Dovecot's `dovecot-uidlist` (versions 1 and 3) and `dovecot-keywords`.
//!
//! Source: Dovecot's documentation, “Maildir Mailbox Format” (<https://doc.dovecot.org/2.3/admin_manual/mailbox_formats/maildir/>).

use super::names::base;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// The first line.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// UIDVALIDITY.
    pub validity: u32,
    /// The UID that the next message will get.
    pub next: u32,
    /// The mailbox's GUID, if it says one.
    pub guid: Option<String>,
}

/// The whole list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Uidlist<'a> {
    /// The first line.
    pub header: Header,
    /// UIDs by base name. Of a name that is listed twice the later line counts, as for Dovecot.
    pub uids: HashMap<&'a [u8], u32>,
}

/// Parses a list; `None` when its first line is not understood. Lines that are not understood (a torn last line) are passed over.
pub fn parse(text: &[u8]) -> Option<Uidlist<'_>> {
    let mut lines = text.split(|byte| *byte == b'\n');
    let first = std::str::from_utf8(lines.next()?).ok()?;
    let mut words = first.split(' ');
    let mut header = Header::default();
    let version = words.next()?;
    match version {
        "3" => {
            for word in words {
                let mut letters = word.chars();
                match letters.next() {
                    Some('V') => header.validity = letters.as_str().parse().ok()?,
                    Some('N') => header.next = letters.as_str().parse().ok()?,
                    Some('G') => header.guid = Some(letters.as_str().to_owned()),
                    _ => {}
                }
            }
        }
        "1" => {
            header.validity = words.next()?.parse().ok()?;
            header.next = words.next()?.parse().ok()?;
        }
        _ => return None,
    }
    let mut uids = HashMap::new();
    for line in lines {
        let Some(space) = line.iter().position(|byte| *byte == b' ') else { continue };
        let (number, rest) = line.split_at(space);
        let Some(uid) = std::str::from_utf8(number).ok().and_then(|digits| digits.parse::<u32>().ok()) else { continue };
        let name = if version == "1" {
            rest.get(1..)
        } else {
            rest.windows(2).position(|pair| pair == b" :").and_then(|at| rest.get(at + 2..))
        };
        match name {
            Some(name) if !name.is_empty() && uid != 0 => {
                uids.insert(base(name), uid);
                header.next = header.next.max(uid.saturating_add(1));
            }
            _ => {}
        }
    }
    Some(Uidlist { header, uids })
}

/// The names of the keyword letters: position 0 is `a`. Lines that are not understood are passed over; a letter without a name is empty.
pub fn keywords(text: &[u8]) -> Vec<String> {
    let mut names = Vec::new();
    for line in String::from_utf8_lossy(text).lines() {
        let Some((index, name)) = line.split_once(' ') else { continue };
        let Ok(index) = index.parse::<usize>() else { continue };
        if index < 1024 && name.len() < 1024 {
            if names.len() <= index {
                names.resize(index + 1, String::new());
            }
            name.clone_into(&mut names[index]);
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn versions_extensions_and_flags_in_names() {
        let list = parse(b"3 V1700000000 N9 G5fa3\n1 :a.b:2,S\n4 W12 Pold id :c,S=1\n7 :a.b\ntorn").unwrap();
        assert_eq!(list.header, Header { validity: 1_700_000_000, next: 9, guid: Some("5fa3".into()) });
        assert_eq!(list.uids, HashMap::from([(&b"a.b"[..], 7), (&b"c,S=1"[..], 4)]));
        assert_eq!(parse(b"1 55 3\n2 x:2,\n").unwrap().uids, HashMap::from([(&b"x"[..], 2)]));
        assert_eq!(parse(b"3 V1 N2\n8 :x\n").unwrap().header.next, 9);
        assert!(parse(b"2 V1 N2\n").is_none());
        assert!(parse(b"").is_none());
    }

    #[test]
    fn keyword_letters() {
        assert_eq!(keywords(b"0 $Junk\n2 Work\nx y\n99999999 far\n"), ["$Junk", "", "Work"]);
    }

    proptest! {
        #[test]
        fn no_text_breaks_it(text in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&text);
            let _ = parse(&[b"3 V1 N1\n", text.as_slice()].concat());
            let _ = keywords(&text);
        }

        #[test]
        fn what_is_written_is_read(rows in proptest::collection::btree_map(1u32..9999, "[0-9]{3}\\.[a-zA-Z0-9,=]{1,9}", 0..20), ext in "( [A-Z][a-z0-9]{0,4}){0,3}", flags in "(:2,[A-Z]{0,3})?") {
            let mut text = String::from("3 V77 N10000 Gff\n");
            for (uid, name) in &rows {
                text.push_str(&format!("{uid}{ext} :{name}{flags}\n"));
            }
            let list = parse(text.as_bytes()).unwrap();
            prop_assert_eq!(list.header.next, 10_000);
            for (uid, name) in &rows {
                let last = rows.iter().rev().find(|(_, other)| *other == name).map(|(uid, _)| *uid).unwrap();
                prop_assert_eq!(list.uids.get(name.as_bytes()).copied(), Some(last));
                prop_assert!(*uid <= last);
            }
        }
    }
}
