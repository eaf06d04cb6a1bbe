//! Names: what may stand in a path below an account's `mail` directory.
//!
//! File names are bytes. In JSON and in messages they are text with `\xNN` for every byte that is not printable UTF-8, and `\\` for a
//! backslash, so nothing is lost and nothing can forge a line of a log.

use crate::error::{Code, Error, Result};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt as _;
use std::sync::Arc;

/// One component of a path: not empty, at most 255 bytes, no `/`, no NUL, neither `.` nor `..`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Box<[u8]>);

impl Name {
    /// Checks a name.
    ///
    /// # Errors
    /// [`Code::Refused`] when it is not a single component.
    pub fn new(bytes: &[u8]) -> Result<Self> {
        let wrong = bytes.is_empty()
            || bytes.len() > 255
            || bytes == b"."
            || bytes == b".."
            || bytes.iter().any(|byte| matches!(byte, 0 | b'/'));
        if wrong {
            return Err(Error::new(Code::Refused, format!("“{}” is not the name of a file.", escape(bytes))));
        }
        Ok(Self(bytes.into()))
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// As the operating system takes it.
    pub fn os(&self) -> &OsStr {
        OsStr::from_bytes(&self.0)
    }

    /// What names the message whatever its flags are: everything before the first `:`.
    pub fn base(&self) -> &[u8] {
        base(&self.0)
    }

    /// The letters after `:2,`: flags (upper case) and keywords (lower case).
    pub fn letters(&self) -> &[u8] {
        let info = self.0.get(self.base().len()..).unwrap_or_default();
        info.strip_prefix(b":2,").unwrap_or_default()
    }
}

/// Everything before the first `:` of a message's file name.
pub fn base(name: &[u8]) -> &[u8] {
    name.split(|byte| *byte == b':').next().unwrap_or_default()
}

/// Where in a folder a message lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// Delivered and not yet seen by a client.
    New,
    /// Seen.
    Cur,
}

impl Place {
    /// The directory's name.
    pub fn dir(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Cur => "cur",
        }
    }
}

/// A folder of a mailbox, as the path below `~/mail`: empty for the INBOX of the account's own mailbox, `.A.B` for a folder of it,
/// `DOMAIN/LOCAL` for the INBOX of another mailbox, `DOMAIN/LOCAL/.A.B` for a folder of that.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Folder(Arc<[Name]>);

/// Directories of the account's own Maildir; no domain can have these names.
const OWN: [&[u8]; 6] = [b"cur", b"new", b"tmp", b"sieve", b"storage", b"mailboxes"];

impl Folder {
    /// Checks a path.
    ///
    /// # Errors
    /// [`Code::Refused`] when it is not of one of the four forms.
    pub fn new(components: Vec<Name>) -> Result<Self> {
        let dotted = |name: &Name| name.bytes().starts_with(b".");
        let fits = match components.as_slice() {
            [] => true,
            [folder] => dotted(folder),
            [domain, local] => !dotted(domain) && !dotted(local) && !OWN.contains(&domain.bytes()),
            [domain, local, folder] => !dotted(domain) && !dotted(local) && dotted(folder) && !OWN.contains(&domain.bytes()),
            _ => false,
        };
        if fits {
            Ok(Self(components.into()))
        } else {
            let path = components.iter().map(|name| escape(name.bytes())).collect::<Vec<_>>().join("/");
            Err(Error::new(Code::Refused, format!("“{path}” is not a mail folder.")))
        }
    }

    /// Whether a directory directly below `~/mail` can be that of a domain.
    pub fn may_be_domain(name: &Name) -> bool {
        !name.bytes().starts_with(b".") && !OWN.contains(&name.bytes())
    }

    /// The path, name by name.
    pub fn components(&self) -> &[Name] {
        &self.0
    }

    /// Whether this is the INBOX, which is the directory of the whole mailbox.
    pub fn is_inbox(&self) -> bool {
        self.0.len().is_multiple_of(2)
    }

    /// The INBOX of the mailbox this belongs to.
    pub fn inbox(&self) -> Self {
        Self(self.0[..self.0.len() & !1].into())
    }

    /// A folder of the mailbox whose INBOX this is.
    ///
    /// # Errors
    /// [`Code::Refused`] when the name does not start with a dot, or this is not an INBOX.
    pub fn sub(&self, name: Name) -> Result<Self> {
        let mut components = self.0.to_vec();
        components.push(name);
        Self::new(components)
    }

    /// The mailbox as people name it: `LOCAL@DOMAIN`, or `user` for the account's own.
    pub fn mailbox(&self, user: &str) -> String {
        match &*self.0 {
            [domain, local, ..] => format!("{}@{}", escape(local.bytes()), escape(domain.bytes())),
            _ => user.to_owned(),
        }
    }

    /// The folder as IMAP names it, with cPanel's prefix: `INBOX`, `INBOX.Sent`.
    pub fn imap(&self) -> String {
        match self.0.last() {
            Some(name) if !self.is_inbox() => format!("INBOX{}", escape(name.bytes())),
            _ => "INBOX".to_owned(),
        }
    }
}

/// A file of Dovecot's that belongs to a folder or a mailbox and moves with it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Control {
    sieve: bool,
    name: Name,
}

impl Control {
    /// UIDs of the messages.
    pub const UIDLIST: &[u8] = b"dovecot-uidlist";
    /// Names of the keyword letters.
    pub const KEYWORDS: &[u8] = b"dovecot-keywords";

    /// The control file of this name in a folder's directory; `None` when the name is not one of a control file.
    ///
    /// `inbox`: whether the directory is that of a whole mailbox, where some more may lie.
    pub fn in_folder(name: &[u8], inbox: bool) -> Option<Self> {
        let everywhere = matches!(name, Self::UIDLIST | Self::KEYWORDS | b"dovecot-acl" | b"maildirfolder");
        let at_root = matches!(
            name,
            b"subscriptions"
                | b"dovecot-acl-list"
                | b"dovecot-attributes"
                | b"dovecot-metadata"
                | b"dovecot-uidvalidity"
                | b".dovecot.sieve"
        ) || name
            .strip_prefix(b"dovecot-uidvalidity.")
            .is_some_and(|tail| tail.len() == 8 && tail.iter().all(u8::is_ascii_hexdigit));
        if everywhere || (inbox && at_root) { Some(Self { sieve: false, name: Name::new(name).ok()? }) } else { None }
    }

    /// The sieve script of this name; `None` for temporary files.
    pub fn in_sieve(name: &Name) -> Option<Self> {
        let bytes = name.bytes();
        let passing = bytes.starts_with(b".") || bytes.ends_with(b".tmp") || bytes.ends_with(b".lock") || bytes == b"tmp";
        (!passing).then(|| Self { sieve: true, name: name.clone() })
    }

    /// Whether it lies in the mailbox's `sieve` directory.
    pub fn is_sieve(&self) -> bool {
        self.sieve
    }

    /// The file's name.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// Whether this is the list of UIDs.
    pub fn is_uidlist(&self) -> bool {
        !self.sieve && self.name.bytes() == Self::UIDLIST
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        match bytes.strip_prefix(b"sieve/") {
            Some(script) => Self::in_sieve(&Name::new(script).ok()?),
            None => Self::in_folder(bytes, true),
        }
    }
}

/// Whether a file in a folder's directory is a cache that Dovecot builds anew, or a passing lock of it.
pub fn is_cache(name: &[u8]) -> bool {
    name.starts_with(b"dovecot.index")
        || name.starts_with(b"dovecot.list.index")
        || name.starts_with(b"dovecot.mailbox.log")
        || matches!(name, b"maildirsize" | b"dovecot-uidlist.lock" | b"dovecot-uidlist.tmp" | b"dovecot-keywords.lock")
}

/// Bytes as text that can be read back.
pub fn escape(bytes: &[u8]) -> String {
    use fmt::Write as _;
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for letter in chunk.valid().chars() {
            match letter {
                '\\' => text.push_str("\\\\"),
                control if control.is_control() => {
                    let mut buffer = [0; 4];
                    for byte in control.encode_utf8(&mut buffer).bytes() {
                        let _ = write!(text, "\\x{byte:02x}");
                    }
                }
                plain => text.push(plain),
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

/// The reverse of [`escape`]; `None` for text that it does not write.
pub fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        if *first != b'\\' {
            bytes.push(*first);
            continue;
        }
        match rest {
            [b'\\', tail @ ..] => {
                bytes.push(b'\\');
                rest = tail;
            }
            [b'x', high, low, tail @ ..] => {
                let digit = |letter: u8| char::from(letter).to_digit(16);
                bytes.push(u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()?);
                rest = tail;
            }
            _ => return None,
        }
    }
    Some(bytes)
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&escape(&self.0))
    }
}

impl fmt::Display for Folder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, name) in self.0.iter().enumerate() {
            write!(f, "{}{name}", if at == 0 { "" } else { "/" })?;
        }
        Ok(())
    }
}

impl fmt::Display for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.sieve { "sieve/" } else { "" }, self.name)
    }
}

macro_rules! as_text {
    ($type:ty, $parse:expr) => {
        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "“{self}”")
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                let parse: fn(&[u8]) -> Option<Self> = $parse;
                unescape(&text)
                    .and_then(|bytes| parse(&bytes))
                    .ok_or_else(|| serde::de::Error::custom(format!("{text:?} is not a name that may stand in a mail directory")))
            }
        }
    };
}

as_text!(Name, |bytes| Name::new(bytes).ok());
as_text!(Control, Control::parse);
as_text!(Folder, |bytes| {
    if bytes.is_empty() {
        return Some(Folder::default());
    }
    let components = bytes.split(|byte| *byte == b'/').map(|part| Name::new(part).ok()).collect::<Option<Vec<_>>>()?;
    Folder::new(components).ok()
});

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_that_lead_out_are_refused() {
        for bad in [&b""[..], b".", b"..", b"a/b", b"/", b"a\0", &[b'x'; 256]] {
            assert!(Name::new(bad).is_err(), "{bad:?}");
        }
        for good in [&b"1.M2P3.host,S=4:2,FS"[..], b"a\nb", b"\xff", b"...", b"a b"] {
            assert!(Name::new(good).is_ok(), "{good:?}");
        }
        for bad in [
            "\"../x\"",
            "\"a\"",
            "\"cur\"",
            "\"a/b/c\"",
            "\"/etc\"",
            "\"a/../b\"",
            "\"a/b/.c/d\"",
            "\"cur/x\"",
            "\"sieve/x\"",
            "\"a//.b\"",
        ] {
            assert!(serde_json::from_str::<Folder>(bad).is_err(), "{bad}");
        }
        for bad in ["\"../x\"", "\"sieve/../x\"", "\"sieve/.x\"", "\"dovecot.index\"", "\"sieve/a/b\"", "\"cur\""] {
            assert!(serde_json::from_str::<Control>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn folders_tell_mailbox_and_imap_name() {
        let folder = |text: &str| serde_json::from_str::<Folder>(&format!("\"{text}\"")).unwrap();
        assert_eq!((folder("").mailbox("ada"), folder("").imap()), ("ada".into(), "INBOX".into()));
        assert_eq!((folder(".A.B").mailbox("ada"), folder(".A.B").imap()), ("ada".into(), "INBOX.A.B".into()));
        let deep = folder("example.com/bob/.Sent.");
        assert_eq!((deep.mailbox("ada"), deep.imap()), ("bob@example.com".into(), "INBOX.Sent.".into()));
        assert_eq!(deep.inbox(), folder("example.com/bob"));
        assert_eq!(folder(".A").inbox(), Folder::default());
    }

    #[test]
    fn a_message_name_falls_into_base_and_letters() {
        let name = |text: &[u8]| Name::new(text).unwrap();
        assert_eq!((name(b"1.2.h,S=3:2,FSa").base(), name(b"1.2.h,S=3:2,FSa").letters()), (&b"1.2.h,S=3"[..], &b"FSa"[..]));
        assert_eq!((name(b"1.2.h").base(), name(b"1.2.h").letters()), (&b"1.2.h"[..], &b""[..]));
        assert_eq!(name(b"1.2.h:1,S").letters(), b"");
    }

    proptest! {
        #[test]
        fn every_name_survives_json(bytes in proptest::collection::vec(any::<u8>(), 1..40)) {
            if let Ok(name) = Name::new(&bytes) {
                let json = serde_json::to_string(&name).unwrap();
                prop_assert!(!name.to_string().chars().any(char::is_control));
                prop_assert_eq!(serde_json::from_str::<Name>(&json).unwrap(), name);
            }
        }
    }
}
