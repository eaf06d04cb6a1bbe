//! What would run a program when a message comes: forwarders, default addresses and filters that pipe.
//!
//! Pipe-to-a-Program forwarders are off for distributed accounts (cPanel Linked Nodes Guide): the program is on the parent, the mail is
//! not. This is the one place that knows them, in every spelling Exim takes: the plan names them, every interface refuses them, and
//! the copy leaves them where they are. In doubt something is a program: no address begins with a vertical bar.
//!
//! Source of the spellings: “The redirect router”, Exim's specification; Email::add_forwarder, set_default_address and store_filter
//! (UAPI) and their API 2 forms.

use crate::wire::Params;
use serde_json::Value;

/// Programs of cPanel's own that stand in alias files: it makes these entries itself, on whichever server the mail is.
const OWN_PROGRAMS: [&str; 4] = [
    "/usr/local/cpanel/bin/autorespond",
    "/usr/local/cpanel/bin/boxtrapper",
    "/usr/local/cpanel/bin/mailman",
    "/usr/local/cpanel/3rdparty/mailman/mail/",
];

/// What an item of a destination leads to, beside addresses.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Found {
    /// A program, as the item spells it behind the bar.
    Program(String),
    /// A file with more items (`:include:`): its path.
    Include(String),
}

/// The programs and list files in a destination as an alias file, a list file or an API call has it.
pub fn find(destination: &str) -> Vec<Found> {
    items(destination).iter().filter_map(|item| classify(item)).collect()
}

/// Whether a forwarder is not copied to another server: it runs a program (cPanel's own too, which it sets up itself where it needs
/// them), or leads to a file that is on one server only.
pub fn stays_behind(destination: &str) -> bool {
    items(destination).iter().any(|item| bare(item).starts_with('|') || classify(item).is_some())
}

/// Whether a filter is not copied to another server.
pub fn filter_stays_behind(filter: &Value) -> bool {
    !of_filter(filter).is_empty()
}

/// The programs that a filter runs, as `get_filter` and `list_filters` give it (`actions`: `[{action, dest}]`).
pub fn of_filter(filter: &Value) -> Vec<String> {
    let actions = filter["actions"].as_array().into_iter().flatten();
    actions
        .filter_map(|row| of_action(row["action"].as_str().unwrap_or_default(), row["dest"].as_str().unwrap_or_default()))
        .collect()
}

/// What a call would have run: `None` when the call sets up no program. Module and function as UAPI or API 2 names them.
///
/// A list file counts: what is in it can change any day.
pub fn of_call(module: &str, function: &str, params: &Params) -> Option<String> {
    if !module.eq_ignore_ascii_case("email") {
        return None;
    }
    let function = function.to_ascii_lowercase().replace('_', "");
    match function.as_str() {
        "addforwarder" | "addforward" | "setdefaultaddress" | "setdefault" => of_forwarder(params),
        "storefilter" => of_stored_filter(params),
        _ => None,
    }
}

fn of_forwarder(params: &Params) -> Option<String> {
    let is = |key: &str, name: &str| key.trim().eq_ignore_ascii_case(name);
    let piped = params.iter().any(|(key, value)| is(key, "fwdopt") && word(value) == "pipe");
    let command =
        params.iter().find(|(key, value)| is(key, "pipefwd") && !value.trim().is_empty()).map(|(_, value)| value.clone());
    if piped || command.is_some() {
        return Some(command.unwrap_or_else(|| "a program".to_owned()));
    }
    // The text of a refusal is a text, whatever it begins with.
    let destinations = params.iter().filter(|(key, _)| key.to_ascii_lowercase().starts_with("fwd") && !is(key, "fwdopt"));
    destinations.flat_map(|(_, value)| find(value)).next().map(|found| match found {
        Found::Program(command) => command,
        Found::Include(path) => format!(":include:{path}"),
    })
}

/// `action1`, `dest1`, …: any number, in any order.
fn of_stored_filter(params: &Params) -> Option<String> {
    let numbered = |prefix: &'static str| {
        params.iter().filter_map(move |(key, value)| {
            let key = key.trim().to_ascii_lowercase();
            let number = key.strip_prefix(prefix)?.trim_start_matches('-').to_owned();
            number.bytes().all(|byte| byte.is_ascii_digit()).then_some((number, value.as_str()))
        })
    };
    let action_of = |number: &str| numbered("action").find(|(its, _)| its == number).map_or("", |(_, action)| action);
    let piped = numbered("action").find_map(|(number, action)| {
        let dest = numbered("dest").find(|(its, _)| *its == number).map_or("", |(_, dest)| dest);
        of_action(action, dest)
    });
    piped.or_else(|| numbered("dest").find_map(|(number, dest)| of_action(action_of(&number), dest)))
}

fn of_action(action: &str, dest: &str) -> Option<String> {
    match word(action).as_str() {
        // Their text is for the sender or for nobody.
        "fail" | "finish" => None,
        "pipe" => Some(if dest.trim().is_empty() { "a program".to_owned() } else { dest.trim().to_owned() }),
        _ => find(dest).into_iter().next().map(|found| match found {
            Found::Program(command) => command,
            Found::Include(path) => format!(":include:{path}"),
        }),
    }
}

fn word(text: &str) -> String {
    text.trim().trim_matches('"').trim().to_ascii_lowercase()
}

/// The items of a list: between commas and line ends that stand outside of quotes; comments are none. A quoted text ends with its line.
fn items(list: &str) -> Vec<String> {
    let mut items = Vec::new();
    for line in list.split(['\n', '\r']) {
        let (mut item, mut quoted, mut escaped) = (String::new(), false, false);
        for character in line.chars() {
            match character {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '"' => quoted = !quoted,
                ',' if !quoted => {
                    items.push(std::mem::take(&mut item));
                    continue;
                }
                '#' if !quoted && item.trim().is_empty() => break,
                _ => {}
            }
            item.push(character);
        }
        items.push(item);
    }
    items
}

/// The text that decides what an item is: without the blanks, quotes and backslashes Exim would take off.
fn bare(item: &str) -> &str {
    let decoration =
        |character: char| character.is_whitespace() || character.is_control() || matches!(character, '"' | '\'' | '\\');
    item.trim_start_matches(decoration).trim_end_matches(|character: char| character.is_whitespace() || character == '"')
}

fn classify(item: &str) -> Option<Found> {
    let text = bare(item);
    if let Some(command) = text.strip_prefix('|') {
        let command = bare(command).to_owned();
        return (!is_own(&command)).then_some(Found::Program(command));
    }
    // A failure text may speak of anything, but it is the whole item.
    let lower = text.to_ascii_lowercase();
    let path = lower.starts_with(":include:").then(|| bare(&text[":include:".len()..]))?;
    Some(Found::Include(path.to_owned()))
}

/// Whether a command is one that cPanel itself puts into alias files; nothing that a shell would read as two commands is.
fn is_own(command: &str) -> bool {
    let plain = |character: char| character.is_ascii_alphanumeric() || " /._-@+='\"".contains(character);
    let program = command.split(' ').next().unwrap_or_default();
    command.chars().all(plain)
        && !command.contains("..")
        && OWN_PROGRAMS.iter().any(|own| if own.ends_with('/') { program.starts_with(own) } else { program == *own })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn programs(text: &str) -> Vec<String> {
        find(text)
            .into_iter()
            .map(|found| match found {
                Found::Program(command) => command,
                Found::Include(path) => format!("file {path}"),
            })
            .collect()
    }

    #[test]
    fn every_spelling_of_a_pipe() {
        for spelled in [
            "|/home/ada/run",
            " |/home/ada/run",
            "\t|/home/ada/run",
            "| /home/ada/run",
            "\"|/home/ada/run\"",
            "\" |/home/ada/run\"",
            "|\"/home/ada/run\"",
            "\"| /home/ada/run\" ",
            "'|/home/ada/run",
            "\\|/home/ada/run",
            "\"\\|/home/ada/run\"",
            "bob@a.test, |/home/ada/run",
            "bob@a.test,\"|/home/ada/run\"",
            "bob@a.test\n|/home/ada/run",
            "\"bob, jr\"@a.test,|/home/ada/run",
            "\u{a0}|/home/ada/run",
        ] {
            assert_eq!(programs(spelled), ["/home/ada/run"], "{spelled:?}");
        }
    }

    #[test]
    fn commas_in_quotes_are_the_commands() {
        assert_eq!(programs("\"|/bin/run a,b\", bob@a.test"), ["/bin/run a,b"]);
        assert_eq!(programs("|/bin/one, |/bin/two"), ["/bin/one", "/bin/two"]);
        assert_eq!(programs("\"unclosed\n|/bin/two"), ["/bin/two"], "a quote does not reach over the end of a line");
    }

    #[test]
    fn list_files() {
        assert_eq!(programs(":include:/home/ada/list"), ["file /home/ada/list"]);
        assert_eq!(programs("\":include:/home/ada/list\""), ["file /home/ada/list"]);
        assert_eq!(programs("x@a.test, :INCLUDE: /home/ada/list"), ["file /home/ada/list"]);
        assert_eq!(programs("# |/bin/not\nx@a.test # y\n:include:list"), ["file list"]);
    }

    #[test]
    fn addresses_and_answers_are_not_programs() {
        for plain in [
            "ada@a.test",
            "ada",
            ":fail: no | such one",
            ":blackhole:",
            "a|b@a.test",
            "",
            "\"a b\"@a.test",
            "/home/ada/mail/x/",
            "# |/bin/sh",
        ] {
            assert_eq!(programs(plain), Vec::<String>::new(), "{plain:?}");
        }
    }

    #[test]
    fn cpanels_own_entries_are_not_the_customers_programs() {
        for own in [
            "\"|/usr/local/cpanel/bin/autorespond info@a.test /home/ada/.autorespond\"",
            "|/usr/local/cpanel/3rdparty/mailman/mail/mailman post list_a.test",
        ] {
            assert!(find(own).is_empty() && stays_behind(own), "{own:?}");
        }
        for false_one in [
            "|/usr/local/cpanel/bin/autorespond x;/bin/sh",
            "|/usr/local/cpanel/bin/autorespond `id`",
            "|/usr/local/cpanel/bin/autorespond2 x",
            "|/usr/local/cpanel/3rdparty/mailman/mail/../../../../../bin/sh",
            "|/usr/local/cpanel/bin/autorespond\n|/bin/sh",
        ] {
            assert!(!find(false_one).is_empty(), "{false_one:?}");
        }
    }

    #[test]
    fn filters() {
        let filter = |action: &str, dest: &str| json!({"actions": [{"action": "deliver", "dest": "a@a.test"}, {"action": action, "dest": dest}]});
        assert_eq!(of_filter(&filter("pipe", "/home/ada/run")), ["/home/ada/run"]);
        assert_eq!(of_filter(&filter(" Pipe ", "")), ["a program"]);
        assert_eq!(of_filter(&filter("save", "|/bin/x")), ["/bin/x"]);
        assert_eq!(of_filter(&filter("deliver", "\" |/bin/x\"")), ["/bin/x"]);
        assert_eq!(of_filter(&filter("fail", "|no")), Vec::<String>::new());
        assert_eq!(of_filter(&filter("save", "/home/ada/mail/x")), Vec::<String>::new());
        assert_eq!(of_filter(&json!({"actions": "nonsense"})), Vec::<String>::new());
    }

    #[test]
    fn calls_that_would_set_up_a_program() {
        let call = |function: &str, params: &[(&str, &str)]| {
            let params = params.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
            of_call("Email", function, &params)
        };
        let pipes: [(&str, &[(&str, &str)]); 11] = [
            ("add_forwarder", &[("fwdopt", "pipe"), ("pipefwd", "run")]),
            ("add_forwarder", &[("fwdopt", " PIPE ")]),
            ("add_forwarder", &[("pipefwd", "run")]),
            ("add_forwarder", &[("fwdopt", "fwd"), ("fwdemail", "|/bin/x")]),
            ("add_forwarder", &[("fwdopt", "fwd"), ("fwdemail", "x@a.test, \"|/bin/x\"")]),
            ("add_forwarder", &[("fwdopt", "fwd"), ("fwdemail", ":include:/home/ada/x")]),
            ("set_default_address", &[("fwdopt", "pipe"), ("pipefwd", "run")]),
            ("addforward", &[("FwdOpt", "pipe")]),
            ("store_filter", &[("action1", "deliver"), ("action2", "pipe"), ("dest2", "/bin/x")]),
            ("store_filter", &[("dest1", "|/bin/x"), ("action1", "save")]),
            ("storefilter", &[("action", "pipe")]),
        ];
        for (function, params) in pipes {
            assert!(call(function, params).is_some(), "{function} {params:?}");
        }
        let plain: [(&str, &[(&str, &str)]); 6] = [
            ("add_forwarder", &[("fwdopt", "fwd"), ("fwdemail", "x@a.test")]),
            ("add_forwarder", &[("fwdopt", "fail"), ("failmsgs", "| is not a pipe")]),
            ("add_forwarder", &[("fwdopt", "blackhole"), ("pipefwd", " ")]),
            ("store_filter", &[("action1", "fail"), ("dest1", "|x"), ("val1", "|y"), ("filtername", "|z")]),
            ("delete_forwarder", &[("address", "x@a.test"), ("forwarder", "|/bin/x")]),
            ("add_pop", &[("password", "|x")]),
        ];
        for (function, params) in plain {
            assert_eq!(call(function, params), None, "{function} {params:?}");
        }
        assert_eq!(of_call("Ftp", "add_forwarder", &vec![("fwdopt".into(), "pipe".into())]), None);
    }
}
