//! The output formats of cPanel's API commands.

use serde_json::{Map, Value};

/// How an API answer is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// YAML as cPanel prints it: sorted keys, `~` for nothing.
    Yaml,
    /// JSON on one line.
    Json,
    /// Indented JSON.
    Jsonpretty,
    /// XML; the members of a list repeat the list's name.
    Xml,
}

impl Format {
    /// The whole text, with a line end.
    pub fn render(self, envelope: &Value) -> String {
        match self {
            Self::Yaml => yaml(envelope),
            Self::Json => format!("{envelope}\n"),
            Self::Jsonpretty => format!("{envelope:#}\n"),
            Self::Xml => xml(envelope),
        }
    }
}

fn yaml(document: &Value) -> String {
    let mut text = "---".to_owned();
    yaml_value(document, 0, &mut text);
    text
}

/// Appends `value` after a key, a dash or the document's start, ending in a line end.
fn yaml_value(value: &Value, depth: usize, text: &mut String) {
    match value {
        Value::Object(members) if !members.is_empty() => {
            text.push('\n');
            for (key, member) in sorted(members) {
                text.push_str(&"  ".repeat(depth));
                text.push_str(&yaml_text(key));
                text.push(':');
                yaml_value(member, depth + 1, text);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            text.push('\n');
            for item in items {
                text.push_str(&"  ".repeat(depth));
                text.push('-');
                yaml_value(item, depth + 1, text);
            }
        }
        scalar => {
            text.push(' ');
            text.push_str(&match scalar {
                Value::Null => "~".to_owned(),
                Value::Bool(truth) => u8::from(*truth).to_string(),
                Value::Number(number) => number.to_string(),
                Value::String(string) => yaml_text(string),
                Value::Array(_) => "[]".to_owned(),
                Value::Object(_) => "{}".to_owned(),
            });
            text.push('\n');
        }
    }
}

fn sorted(members: &Map<String, Value>) -> Vec<(&String, &Value)> {
    let mut sorted: Vec<_> = members.iter().collect();
    sorted.sort_by_key(|(key, _)| *key);
    sorted
}

/// A string so that every YAML reader gets the same string back: plain where that is certain, quoted otherwise.
fn yaml_text(string: &str) -> String {
    if string.chars().any(|char| char.is_control() || matches!(char, '\u{85}' | '\u{2028}' | '\u{2029}' | '\u{feff}')) {
        return yaml_escaped(string);
    }
    let inside = |char: char| char.is_alphanumeric() || " _-./@+()$,;%=^~".contains(char);
    let plain = string.starts_with(|first: char| first.is_alphabetic() || first == '/' || first == '_' || first == '.')
        && string.chars().all(|char| inside(char) || char == ':')
        && !string.contains(": ")
        && !string.ends_with([':', ' '])
        && !is_yaml_word(string);
    if plain || is_plain_number_like(string) { string.to_owned() } else { format!("'{}'", string.replace('\'', "''")) }
}

/// Dotted or mixed text that starts with a digit and is no number to any YAML reader, such as a version or an address.
fn is_plain_number_like(string: &str) -> bool {
    string.starts_with(|first: char| first.is_ascii_digit())
        && string.bytes().filter(|byte| *byte == b'.').count() >= 2
        && string.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
}

/// Words that some YAML reader takes for something else than a string.
fn is_yaml_word(string: &str) -> bool {
    let lower = string.to_lowercase();
    matches!(lower.as_str(), "y" | "n" | "yes" | "no" | "true" | "false" | "on" | "off" | "null" | ".nan" | ".inf")
        || (lower.starts_with('.') && lower.as_bytes().get(1).is_some_and(u8::is_ascii_digit))
}

fn yaml_escaped(string: &str) -> String {
    let mut text = String::from('"');
    for char in string.chars() {
        match char {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\t' => text.push_str("\\t"),
            '\r' => text.push_str("\\r"),
            char if char.is_control() || matches!(char, '\u{85}' | '\u{2028}' | '\u{2029}' | '\u{feff}') => {
                text.push_str(&format!("\\u{:04x}", u32::from(char)));
            }
            char => text.push(char),
        }
    }
    text.push('"');
    text
}

fn xml(document: &Value) -> String {
    let mut text = "<?xml version=\"1.0\" ?>\n".to_owned();
    xml_element("result", document, &mut text);
    text.push('\n');
    text
}

fn xml_element(name: &str, value: &Value, text: &mut String) {
    if let Value::Array(items) = value {
        for item in items {
            match item {
                Value::Array(_) => {
                    text.push_str(&format!("<{name}>"));
                    xml_element("item", item, text);
                    text.push_str(&format!("</{name}>"));
                }
                single => xml_element(name, single, text),
            }
        }
        return;
    }
    let content = match value {
        Value::Object(members) => {
            let mut inner = String::new();
            for (key, member) in members {
                xml_element(&xml_name(key), member, &mut inner);
            }
            inner
        }
        Value::String(string) => xml_text(string),
        Value::Bool(truth) => u8::from(*truth).to_string(),
        Value::Number(number) => number.to_string(),
        Value::Null | Value::Array(_) => String::new(),
    };
    text.push_str(&format!("<{name}>{content}</{name}>"));
}

/// A key as an element name: what a name may not hold becomes `_`.
fn xml_name(key: &str) -> String {
    let mut name: String =
        key.chars().map(|char| if char.is_alphanumeric() || matches!(char, '_' | '-' | '.') { char } else { '_' }).collect();
    if !name.starts_with(|first: char| first.is_alphabetic() || first == '_') {
        name.insert(0, '_');
    }
    name
}

/// Text as XML 1.0 holds it; characters that XML cannot hold at all become `�`.
fn xml_text(string: &str) -> String {
    let held: String = string
        .chars()
        .map(|char| match char {
            '\t' | '\n' | '\r' => char,
            '\u{0}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => '\u{fffd}',
            char => char,
        })
        .collect();
    quick_xml::escape::escape(&held).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn uapi() -> Value {
        json!({
            "module": "Email", "func": "list_pops", "apiversion": 3,
            "result": {
                "data": [{"login": "Main Account", "email": "bob"}, {"login": "a@b.example", "email": "a@b.example", "suspended_login": 0}],
                "errors": null, "messages": null, "metadata": {"transformed": 1}, "status": 1, "warnings": []
            }
        })
    }

    #[test]
    fn yaml_has_cpanels_shape() {
        assert_eq!(
            Format::Yaml.render(&uapi()),
            "---\napiversion: 3\nfunc: list_pops\nmodule: Email\nresult:\n  data:\n    -\n      email: bob\n      login: Main Account\n    -\n      \
             email: a@b.example\n      login: a@b.example\n      suspended_login: 0\n  errors: ~\n  messages: ~\n  metadata:\n    \
             transformed: 1\n  status: 1\n  warnings: []\n"
        );
    }

    #[test]
    fn json_is_one_line_and_pretty_is_not() {
        let value = json!({"metadata": {"result": 1}});
        assert_eq!(Format::Json.render(&value), "{\"metadata\":{\"result\":1}}\n");
        assert_eq!(Format::Jsonpretty.render(&value), "{\n  \"metadata\": {\n    \"result\": 1\n  }\n}\n");
    }

    #[test]
    fn xml_repeats_the_name_of_a_list() {
        let value = json!({"data": {"acct": [{"user": "a<b"}, {"user": "c"}], "1x": null}, "metadata": {"result": 1}});
        assert_eq!(
            Format::Xml.render(&value),
            "<?xml version=\"1.0\" ?>\n<result><data><acct><user>a&lt;b</user></acct><acct><user>c</user></acct><_1x></_1x></data>\
             <metadata><result>1</result></metadata></result>\n"
        );
    }

    proptest::proptest! {
        #[test]
        fn every_string_survives_yaml(string in ".*", key in "[ -~]{1,12}") {
            let text = Format::Yaml.render(&json!({ key.clone(): [string.clone(), {"a": string.clone()}] }));
            let back: serde_yaml_ng::Value = serde_yaml_ng::from_str(&text).unwrap();
            let list = back.get(key.as_str()).unwrap();
            proptest::prop_assert_eq!(list.get(0).and_then(|v| v.as_str()), Some(string.as_str()));
            proptest::prop_assert_eq!(list.get(1).and_then(|v| v.get("a")).and_then(|v| v.as_str()), Some(string.as_str()));
        }
    }

    #[test]
    fn words_that_yaml_takes_for_other_things_are_quoted() {
        for word in ["no", "0", "1.5", "~", "null", "", " a", "a: b", "a #b", "- a", "1e3", "0x1f", "2026-01-01", ".5", "<<", "="]
        {
            let text = Format::Yaml.render(&json!({ "k": word }));
            let back: serde_yaml_ng::Value = serde_yaml_ng::from_str(&text).unwrap();
            assert_eq!(back["k"].as_str(), Some(word), "{text}");
        }
        assert_eq!(Format::Yaml.render(&json!({ "k": "11.138.0.19" })), "---\nk: 11.138.0.19\n");
    }
}
