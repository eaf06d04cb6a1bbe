//! The passwd family of files: a node starts without the machine's people.

/// Lowest and highest id of a person, as Debian assigns them.
const PEOPLE: std::ops::Range<u32> = 1000..60_000;

/// Drops the lines of people from a `passwd` or `group` text and returns what stays, with the names that went.
pub fn without_people(text: &str) -> (String, Vec<String>) {
    let mut gone = Vec::new();
    let mut kept = String::new();
    for line in text.lines() {
        let mut fields = line.split(':');
        let name = fields.next().unwrap_or_default();
        let id = fields.nth(1).and_then(|id| id.parse::<u32>().ok());
        if id.is_some_and(|id| PEOPLE.contains(&id)) {
            gone.push(name.to_owned());
        } else {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    (kept, gone)
}

/// Drops the lines of these names (`shadow`, `gshadow`, `subuid`, `subgid`).
pub fn without_names(text: &str, names: &[String]) -> String {
    text.lines()
        .filter(|line| !names.iter().any(|name| line.split(':').next() == Some(name)))
        .flat_map(|line| [line, "\n"])
        .collect()
}

/// Adds `member` to `group` in a `group` text.
pub fn with_member(text: &str, group: &str, member: &str) -> String {
    text.lines()
        .map(|line| {
            let (head, members) = line.rsplit_once(':').unwrap_or((line, ""));
            if line.split(':').next() != Some(group) || members.split(',').any(|m| m == member) {
                return format!("{line}\n");
            }
            let comma = if members.is_empty() { "" } else { "," };
            format!("{head}:{members}{comma}{member}\n")
        })
        .collect()
}

/// The id of `name` in a `passwd` or `group` text.
pub fn id_of(text: &str, name: &str) -> Option<u32> {
    text.lines().find(|line| line.split(':').next() == Some(name)).and_then(|line| line.split(':').nth(2)?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_go_and_daemons_stay() {
        let (kept, gone) = without_people("root:x:0:0:\nann:x:1000:1000:\nnobody:x:65534:65534:\n");
        assert_eq!(kept, "root:x:0:0:\nnobody:x:65534:65534:\n");
        assert_eq!(gone, ["ann"]);
        assert_eq!(without_names("root:*:1\nann:$6$:1\nanna:!:1\n", &gone), "root:*:1\nanna:!:1\n");
    }

    #[test]
    fn a_member_is_added_once() {
        let text = "mail:x:8:\nadm:x:4:syslog\n";
        let once = with_member(text, "mail", "exim");
        assert_eq!(once, "mail:x:8:exim\nadm:x:4:syslog\n");
        assert_eq!(with_member(&once, "mail", "exim"), once);
        assert_eq!(with_member(&once, "adm", "exim"), "mail:x:8:exim\nadm:x:4:syslog,exim\n");
        assert_eq!(id_of(text, "adm"), Some(4));
    }
}
