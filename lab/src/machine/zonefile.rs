//! Zone files (RFC 1035 master files): read as cPanel's `parse_dns_zone` shows them, changed as `mass_edit_dns_zone`
//! changes them: by lines, so that everything else in the file stays as it is.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::call::Failure;

/// What stands at a line of a zone file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// A resource record.
    Record(Record),
    /// `$TTL`, `$ORIGIN` …
    Control {
        /// First line, from 0.
        line: usize,
        /// The line.
        text: String,
    },
    /// A comment of its own.
    Comment {
        /// Line, from 0.
        line: usize,
        /// The line.
        text: String,
    },
}

/// A resource record and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// First line, from 0.
    pub line: usize,
    /// Lines it fills.
    pub lines: usize,
    /// Owner as written: without a trailing dot it is relative to the zone.
    pub name: String,
    /// Time to live, seconds.
    pub ttl: u32,
    /// `A`, `MX`, `TXT` …
    pub kind: String,
    /// The content's parts. Texts are without quotes.
    pub data: Vec<Vec<u8>>,
    /// Where each part of `data` stands: line and byte range.
    spans: Vec<(usize, usize, usize)>,
}

impl Record {
    /// The owner's full name, without the trailing dot, in lower case.
    pub fn full_name(&self, zone: &str) -> String {
        absolute(&self.name, zone)
    }
}

/// A name of `zone` in full, without trailing dot, in lower case.
pub fn absolute(name: &str, zone: &str) -> String {
    match name.strip_suffix('.') {
        Some(full) => full.to_ascii_lowercase(),
        None => format!("{name}.{zone}").to_ascii_lowercase(),
    }
}

/// A record to be written, as the callers of `mass_edit_dns_zone` give it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct NewRecord {
    /// For edits: the first line of the record to replace.
    #[serde(default)]
    pub line_index: Option<usize>,
    /// Owner.
    pub dname: String,
    /// Time to live, seconds.
    #[serde(deserialize_with = "number")]
    pub ttl: u32,
    /// `A`, `MX`, `TXT` …
    pub record_type: String,
    /// The content's parts.
    #[serde(deserialize_with = "strings")]
    pub data: Vec<String>,
}

/// Numbers come as strings at times.
fn number<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let value = Value::deserialize(deserializer)?;
    let number = value.as_u64().or_else(|| value.as_str()?.parse().ok());
    let number = number.and_then(|number| u32::try_from(number).ok());
    number.ok_or_else(|| serde::de::Error::custom("a whole number is needed"))
}

/// Parts of the content, numbers among them.
fn strings<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let values = Vec::<Value>::deserialize(deserializer)?;
    let text = |value: Value| match value {
        Value::String(text) => Ok(text),
        Value::Number(number) => Ok(number.to_string()),
        _ => Err(serde::de::Error::custom("“data” holds strings")),
    };
    values.into_iter().map(text).collect()
}

impl NewRecord {
    /// A record, for code.
    pub fn new(dname: &str, record_type: &str, data: &[&str]) -> Self {
        Self {
            line_index: None,
            dname: dname.to_owned(),
            ttl: 14_400,
            record_type: record_type.to_owned(),
            data: data.iter().map(|part| (*part).to_owned()).collect(),
        }
    }

    /// The record's line, or what is wrong with it.
    pub fn line(&self) -> Result<String, Failure> {
        let sorry = |what: &str| Failure::new(format!("Invalid {} record for “{}”: {what}", self.record_type, self.dname));
        let plain = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_graphic() && !b"\";()".contains(&b));
        if !plain(&self.dname) || self.dname.starts_with('$') {
            return Err(sorry("the name is not valid."));
        }
        let kind = self.record_type.to_ascii_uppercase();
        if kind.is_empty() || !kind.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Err(sorry("the type is not valid."));
        }
        let counts: &[usize] = match kind.as_str() {
            "A" | "AAAA" | "CNAME" | "NS" | "PTR" | "DNAME" => &[1],
            "MX" => &[2],
            "CAA" => &[3],
            "SRV" => &[4],
            "SOA" => &[7],
            _ => &[],
        };
        if !counts.is_empty() && !counts.contains(&self.data.len()) || self.data.is_empty() {
            return Err(sorry("the data has the wrong number of parts."));
        }
        let first = self.data.first().map_or("", String::as_str);
        let fits = match kind.as_str() {
            "A" => first.parse::<std::net::Ipv4Addr>().is_ok(),
            "AAAA" => first.parse::<std::net::Ipv6Addr>().is_ok(),
            "MX" | "CAA" => first.parse::<u16>().is_ok(),
            "SRV" => self.data.iter().take(3).all(|part| part.parse::<u16>().is_ok()),
            _ => true,
        };
        if !fits {
            return Err(sorry("the data is not valid."));
        }
        let parts: Vec<String> = match kind.as_str() {
            "TXT" | "SPF" => self.data.iter().flat_map(|part| quoted(part.as_bytes())).collect(),
            "CAA" => {
                let [flags, tag, value] = self.data.as_slice() else { return Err(sorry("three parts are needed.")) };
                if !plain(tag) {
                    return Err(sorry("the tag is not valid."));
                }
                vec![flags.clone(), tag.clone(), quoted(value.as_bytes()).concat()]
            }
            _ if self.data.iter().all(|part| plain(part)) => self.data.clone(),
            _ => return Err(sorry("the data is not valid.")),
        };
        Ok(format!("{}\t{}\tIN\t{kind}\t{}", self.dname, self.ttl, parts.join(" ")))
    }
}

/// A text as quoted strings of at most 255 bytes.
fn quoted(text: &[u8]) -> Vec<String> {
    let escape = |chunk: &[u8]| {
        let mut out = String::from("\"");
        for byte in chunk {
            match byte {
                b'"' | b'\\' => out.extend(['\\', char::from(*byte)]),
                0x20..=0x7e => out.push(char::from(*byte)),
                other => out.push_str(&format!("\\{other:03}")),
            }
        }
        out.push('"');
        out
    };
    if text.is_empty() {
        return vec!["\"\"".to_owned()];
    }
    text.chunks(255).map(escape).collect()
}

struct Token {
    text: Vec<u8>,
    quoted: bool,
    span: (usize, usize, usize),
}

/// One entry of the file: what it says, and the lines it fills.
struct Entry {
    tokens: Vec<Token>,
    blank_start: bool,
    comment_only: bool,
    lines: usize,
}

fn entry(lines: &[&str], first: usize) -> Result<Entry, Failure> {
    let sorry = |line: usize, what: &str| Failure::new(format!("The zone file is damaged at line {}: {what}.", line + 1));
    let mut found = Entry { tokens: Vec::new(), blank_start: false, comment_only: false, lines: 0 };
    let mut depth = 0_u32;
    for (number, line) in lines.iter().enumerate().skip(first) {
        let bytes = line.as_bytes();
        if number == first {
            found.blank_start = bytes.first().is_some_and(u8::is_ascii_whitespace);
        }
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            let start = at;
            match byte {
                b';' => {
                    found.comment_only = found.tokens.is_empty();
                    break;
                }
                b'(' => (depth, at) = (depth + 1, at + 1),
                b')' => (depth, at) = (depth.checked_sub(1).ok_or_else(|| sorry(number, "“)” without “(”"))?, at + 1),
                b'"' => {
                    let mut text = Vec::new();
                    at += 1;
                    loop {
                        match bytes.get(at) {
                            None => return Err(sorry(number, "a quoted text does not end")),
                            Some(b'"') => break,
                            Some(b'\\') => at += unescape(&bytes[at..], &mut text),
                            Some(other) => {
                                text.push(*other);
                                at += 1;
                            }
                        }
                    }
                    at += 1;
                    found.tokens.push(Token { text, quoted: true, span: (number, start, at) });
                }
                byte if byte.is_ascii_whitespace() => at += 1,
                _ => {
                    let mut escaped = false;
                    while let Some(&byte) = bytes.get(at) {
                        if !escaped && (byte.is_ascii_whitespace() || b";()\"".contains(&byte)) {
                            break;
                        }
                        escaped = byte == b'\\' && !escaped;
                        at += 1;
                    }
                    found.tokens.push(Token { text: bytes[start..at].to_vec(), quoted: false, span: (number, start, at) });
                }
            }
        }
        found.lines += 1;
        if depth == 0 {
            return Ok(found);
        }
    }
    Err(sorry(first, "“(” without “)”"))
}

/// Reads one escape (`\X`, `\DDD`) and gives its length.
fn unescape(bytes: &[u8], out: &mut Vec<u8>) -> usize {
    let digits: Option<u8> = bytes
        .get(1..4)
        .and_then(|digits| std::str::from_utf8(digits).ok())
        .filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))
        .and_then(|digits| digits.parse().ok());
    if let Some(byte) = digits {
        out.push(byte);
        return 4;
    }
    out.extend(bytes.get(1));
    bytes.len().min(2)
}

/// A time: seconds, or with units (`1h30m`, `1D`).
fn seconds(text: &str) -> Option<u32> {
    if text.is_empty() || !text.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let (mut total, mut number) = (0_u32, String::new());
    for c in text.chars() {
        if c.is_ascii_digit() {
            number.push(c);
            continue;
        }
        let unit = match c.to_ascii_lowercase() {
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            'd' => 86_400,
            'w' => 604_800,
            _ => return None,
        };
        total = total.checked_add(number.parse::<u32>().ok()?.checked_mul(unit)?)?;
        number.clear();
    }
    if number.is_empty() { Some(total) } else { total.checked_add(number.parse().ok()?) }
}

/// Reads a zone file.
pub fn parse(text: &str, zone: &str) -> Result<Vec<Item>, Failure> {
    let lines: Vec<&str> = text.lines().collect();
    let mut items = Vec::new();
    let mut default_ttl = None;
    let mut last: Option<(String, u32)> = None;
    let mut origin = zone.to_owned();
    let mut line = 0;
    while line < lines.len() {
        let entry = entry(&lines, line)?;
        let count = entry.lines;
        let raw = lines[line..line + count].join("\n");
        let word = |index: usize| {
            let token = entry.tokens.get(index).filter(|token| !token.quoted);
            token.map(|token| String::from_utf8_lossy(&token.text).into_owned()).unwrap_or_default()
        };
        if entry.tokens.is_empty() {
            if entry.comment_only {
                items.push(Item::Comment { line, text: raw });
            }
        } else if word(0).starts_with('$') && !entry.blank_start {
            match word(0).to_ascii_uppercase().as_str() {
                "$TTL" => default_ttl = seconds(&word(1)),
                "$ORIGIN" => origin = absolute(&word(1), &origin),
                _ => {}
            }
            items.push(Item::Control { line, text: raw });
        } else {
            let sorry = |what: &str| Failure::new(format!("The zone file is damaged at line {}: {what}.", line + 1));
            let mut next = 0;
            let name = if entry.blank_start {
                last.as_ref().map(|(name, _)| name.clone()).ok_or_else(|| sorry("a record has no name"))?
            } else {
                next = 1;
                match word(0).as_str() {
                    "@" => format!("{origin}."),
                    name if origin != zone && !name.ends_with('.') => format!("{name}.{origin}."),
                    name => name.to_owned(),
                }
            };
            let mut ttl = None;
            loop {
                let text = word(next);
                if let Some(value) = seconds(&text) {
                    ttl = Some(value);
                } else if !["IN", "CH", "HS"].contains(&text.to_ascii_uppercase().as_str()) {
                    break;
                }
                next += 1;
            }
            let ttl = ttl.or(default_ttl).or(last.as_ref().map(|(_, ttl)| *ttl)).unwrap_or(14_400);
            let kind = word(next).to_ascii_uppercase();
            if kind.is_empty() {
                return Err(sorry("a record has no type"));
            }
            let rest = entry.tokens.get(next + 1..).unwrap_or_default();
            items.push(Item::Record(Record {
                line,
                lines: count,
                name: name.clone(),
                ttl,
                kind,
                data: rest.iter().map(|token| token.text.clone()).collect(),
                spans: rest.iter().map(|token| token.span).collect(),
            }));
            last = Some((name, ttl));
        }
        line += count;
    }
    Ok(items)
}

/// The zone's records.
pub fn records(text: &str, zone: &str) -> Result<Vec<Record>, Failure> {
    let records = parse(text, zone)?.into_iter().filter_map(|item| match item {
        Item::Record(record) => Some(record),
        _ => None,
    });
    Ok(records.collect())
}

fn soa(text: &str, zone: &str) -> Result<(Record, u32), Failure> {
    let missing = || Failure::new(format!("The zone “{zone}” has no valid SOA record."));
    let record = records(text, zone)?.into_iter().find(|record| record.kind == "SOA").ok_or_else(missing)?;
    let serial = record.data.get(2).and_then(|serial| std::str::from_utf8(serial).ok()?.parse().ok());
    Ok((record, serial.ok_or_else(missing)?))
}

/// The zone's serial number.
pub fn serial(text: &str, zone: &str) -> Result<u32, Failure> {
    soa(text, zone).map(|(_, serial)| serial)
}

/// What `parse_dns_zone` and `DNS::parse_zone` give.
pub fn to_json(items: &[Item]) -> Value {
    let item = |item: &Item| match item {
        Item::Record(record) => json!({
            "line_index": record.line,
            "type": "record",
            "dname_b64": BASE64.encode(&record.name),
            "ttl": record.ttl,
            "record_type": record.kind,
            "data_b64": record.data.iter().map(|part| BASE64.encode(part)).collect::<Vec<_>>(),
        }),
        Item::Control { line, text } => {
            json!({"line_index": line, "type": "control", "text_b64": BASE64.encode(text)})
        }
        Item::Comment { line, text } => {
            json!({"line_index": line, "type": "comment", "text_b64": BASE64.encode(text)})
        }
    };
    items.iter().map(item).collect()
}

/// Changes asked of a zone.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// Records to add.
    pub add: Vec<NewRecord>,
    /// Records to replace, by `line_index`.
    pub edit: Vec<NewRecord>,
    /// First lines of records to remove.
    pub remove: Vec<usize>,
}

/// Applies changes to a zone whose serial is `expected`, and gives the new text and serial. `today` is the date as
/// `YYYYMMDD`.
pub fn mass_edit(text: &str, zone: &str, expected: u32, changes: &Changes, today: u32) -> Result<(String, u32), Failure> {
    let now = serial(text, zone)?;
    if now != expected {
        return Err(Failure::new(format!(
            "The given serial number ({expected}) does not match the DNS zone’s serial number ({now}). Refresh your view of the DNS zone, then resubmit."
        )));
    }
    let items = parse(text, zone)?;
    let mut lines: Vec<Option<String>> = text.lines().map(|line| Some(line.to_owned())).collect();
    let extent = |index: usize| {
        let found = items.iter().find_map(|item| match item {
            Item::Record(record) if record.line == index => Some(record.line..record.line + record.lines),
            Item::Control { line, .. } | Item::Comment { line, .. } if *line == index => Some(index..index + 1),
            _ => None,
        });
        found.ok_or_else(|| Failure::new(format!("Nothing in the zone “{zone}” begins at line index {index}.")))
    };
    for index in &changes.remove {
        for line in extent(*index)? {
            lines[line] = None;
        }
    }
    for record in &changes.edit {
        let index = record.line_index.ok_or_else(|| Failure::new("Each “edit” needs a “line_index”."))?;
        let extent = extent(index)?;
        if lines[index].is_none() {
            return Err(Failure::new(format!("The line index {index} is given more than once.")));
        }
        // The record's other lines stay, empty of meaning, so that no later record moves.
        let new = record.line()?;
        for line in extent {
            lines[line] = Some(if line == index { new.clone() } else { ";".to_owned() });
        }
    }
    for record in &changes.add {
        lines.push(Some(record.line()?));
    }
    let edited: String = lines.into_iter().flatten().map(|line| line + "\n").collect();
    check(&edited, zone)?;
    let next = (now.wrapping_add(1)).max(today.saturating_mul(100));
    Ok((with_serial(&edited, zone, next)?, next))
}

/// Refuses what no name server loads: a CNAME beside other records of its name.
fn check(text: &str, zone: &str) -> Result<(), Failure> {
    let records = records(text, zone)?;
    for cname in records.iter().filter(|record| record.kind == "CNAME") {
        let name = cname.full_name(zone);
        if records.iter().any(|other| other.line != cname.line && other.full_name(zone) == name) {
            return Err(Failure::new(format!("The name “{name}” has a CNAME record and can have no other record.")));
        }
    }
    Ok(())
}

/// The zone's text with another serial number.
fn with_serial(text: &str, zone: &str, serial: u32) -> Result<String, Failure> {
    let (record, _) = soa(text, zone)?;
    let (line, start, end) = record.spans[2];
    let numbered = text.lines().enumerate().map(|(number, old)| {
        if number == line { format!("{}{serial}{}\n", &old[..start], &old[end..]) } else { format!("{old}\n") }
    });
    Ok(numbered.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ZONE: &str = "; cPanel\n$TTL 14400\nexample.com.\t86400\tIN\tSOA\tns1.lab.test. root.lab.test. (\n\t2026010100 ; serial\n\t3600\n\t1800\n\t1209600\n\t86400 )\n\nexample.com. IN A 10.0.0.1\nmail CNAME example.com.\n  300 IN TXT \"v=spf1 \\\"x\\\"\" \"b;c\"\n";

    #[test]
    fn a_zone_reads_as_cpanel_shows_it() {
        let items = parse(ZONE.replace("mail CNAME example.com.\n", "mail A 10.0.0.2\n").as_str(), "example.com").unwrap();
        assert!(matches!(items[0], Item::Comment { line: 0, .. }));
        assert!(matches!(items[1], Item::Control { line: 1, .. }));
        let Item::Record(soa) = &items[2] else { panic!("no record") };
        assert_eq!((soa.line, soa.lines, soa.data.len()), (2, 6, 7));
        let Item::Record(text) = &items[5] else { panic!("no record") };
        assert_eq!((text.line, text.name.as_str(), text.ttl), (11, "mail", 300));
        assert_eq!(text.data, [b"v=spf1 \"x\"".to_vec(), b"b;c".to_vec()]);
    }

    #[test]
    fn edits_keep_other_lines_in_place_and_bump_the_serial() {
        let text = ZONE.replace("  300 IN TXT \"v=spf1 \\\"x\\\"\" \"b;c\"\n", "");
        let mut edit = NewRecord::new("mail", "A", &["10.0.0.9"]);
        edit.line_index = Some(10);
        let changes = Changes { add: vec![NewRecord::new("t", "TXT", &["a\"b"])], edit: vec![edit], remove: vec![9] };
        let (new, serial) = mass_edit(&text, "example.com", 2_026_010_100, &changes, 20_260_101).unwrap();
        assert_eq!(serial, 2_026_010_101);
        assert!(new.contains("\t2026010101 ; serial"));
        assert!(!new.contains("10.0.0.1\n") && new.contains("mail\t14400\tIN\tA\t10.0.0.9\n"));
        assert_eq!(records(&new, "example.com").unwrap().last().unwrap().data, [b"a\"b".to_vec()]);
    }

    #[test]
    fn wrong_serials_indexes_and_records_are_refused() {
        let text = ZONE.replace("  300 IN TXT \"v=spf1 \\\"x\\\"\" \"b;c\"\n", "");
        let edit = |changes: &Changes, serial| mass_edit(&text, "example.com", serial, changes, 20_260_101);
        assert!(edit(&Changes::default(), 1).unwrap_err().reason.contains("2026010100"));
        assert!(edit(&Changes { remove: vec![4], ..Changes::default() }, 2_026_010_100).is_err());
        for (name, kind, data) in [
            ("x", "A", ["1.2.3"].as_slice()),
            ("x y", "A", &["1.2.3.4"]),
            ("x", "MX", &["10"]),
            ("x", "CNAME", &["a\nb"]),
            ("mail", "A", &["1.2.3.4"]),
        ] {
            let changes = Changes { add: vec![NewRecord::new(name, kind, data)], ..Changes::default() };
            assert!(edit(&changes, 2_026_010_100).is_err(), "{name} {kind}");
        }
    }
}
