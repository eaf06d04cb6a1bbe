//! `/xml-api/`: a JSON answer written as XML, and accounts decorated in an XML answer.

use crate::rules::nodes::user_of;
use crate::wire::Routing;
use serde_json::Value;
use std::fmt::Write as _;

/// Text made safe for an element or a page.
pub fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            // XML 1.0 has no spelling for these.
            c if c < ' ' && !matches!(c, '\n' | '\r' | '\t') => safe.push('\u{fffd}'),
            c => safe.push(c),
        }
    }
    safe
}

/// A JSON document as XML: members are elements, a list repeats its element.
pub fn document(root: &str, value: &Value) -> String {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n");
    element(&mut out, root, value);
    out.push('\n');
    out
}

/// An element name from any text.
fn name(text: &str) -> String {
    let mut name: String =
        text.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.') { c } else { '_' }).collect();
    if !name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
        name.insert(0, '_');
    }
    name
}

fn element(out: &mut String, tag: &str, value: &Value) {
    if let Value::Array(items) = value {
        for item in items {
            element(out, tag, item);
        }
        return;
    }
    let tag = name(tag);
    let _ = write!(out, "<{tag}>");
    match value {
        Value::Object(members) => {
            for (member, value) in members {
                element(out, member, value);
            }
        }
        Value::String(text) => out.push_str(&escape(text)),
        Value::Null => {}
        Value::Bool(flag) => out.push(if *flag { '1' } else { '0' }),
        other => out.push_str(&other.to_string()),
    }
    let _ = write!(out, "</{tag}>");
}

/// Adds `<child_nodes>` to every `<acct>` of an answer of `accountsummary` or `listaccts`. `None` when it is not XML.
pub fn add_child_nodes(answer: &[u8], routing: &Routing) -> Option<Vec<u8>> {
    use quick_xml::events::{BytesText, Event};
    let mut reader = quick_xml::Reader::from_reader(answer);
    let mut writer = quick_xml::Writer::new(Vec::with_capacity(answer.len() + 1024));
    let mut open: Vec<Vec<u8>> = Vec::new();
    let (mut user, mut domain) = (None::<String>, None::<String>);
    loop {
        let event = reader.read_event().ok()?;
        match &event {
            Event::Eof => return open.is_empty().then(|| writer.into_inner()),
            Event::Start(start) => {
                if start.name().as_ref() == b"acct" {
                    (user, domain) = (None, None);
                }
                open.push(start.name().as_ref().to_vec());
            }
            Event::Text(text) => {
                if let [.., parent, this] = open.as_slice()
                    && parent == b"acct"
                {
                    let said = text.decode().ok()?.into_owned();
                    match this.as_slice() {
                        b"user" => user = Some(said),
                        b"domain" => domain = Some(said),
                        _ => {}
                    }
                }
            }
            Event::End(end) => {
                open.pop();
                if end.name().as_ref() == b"acct"
                    && let Some(one) =
                        user_of(user.as_deref(), domain.as_deref(), routing).and_then(|user| routing.distributed.get(user))
                {
                    let nodes =
                        format!("<child_nodes><alias>{}</alias><workload>Mail</workload></child_nodes>", escape(&one.alias));
                    writer.write_event(Event::Text(BytesText::from_escaped(nodes))).ok()?;
                }
            }
            _ => {}
        }
        writer.write_event(event).ok()?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Distributed;
    use serde_json::json;

    #[test]
    fn lists_repeat_and_text_is_escaped() {
        let xml = document("result", &json!({"data": {"payload": [{"a": 1}, {"a": "<&>"}], "none": []}, "1 odd": null}));
        assert!(xml.ends_with("<result><data><payload><a>1</a></payload><payload><a>&lt;&amp;&gt;</a></payload></data><_1_odd></_1_odd></result>\n"), "{xml}");
    }

    #[test]
    fn accounts_are_decorated_where_they_stand() {
        let one = Distributed { alias: "m1".into(), hostname: "m".into(), domains: vec!["a.test".into()] };
        let routing = Routing { distributed: [("anna".to_owned(), one)].into(), ..Routing::default() };
        let answer =
            b"<listaccts><acct><user>bert</user></acct><acct><ip>1</ip><user>anna</user></acct><status>1</status></listaccts>";
        let decorated = String::from_utf8(add_child_nodes(answer, &routing).unwrap()).unwrap();
        assert_eq!(
            decorated,
            "<listaccts><acct><user>bert</user></acct><acct><ip>1</ip><user>anna</user><child_nodes><alias>m1</alias><workload>Mail</workload></child_nodes></acct><status>1</status></listaccts>"
        );
        assert_eq!(add_child_nodes(b"{\"json\":1", &routing), Some(b"{\"json\":1".to_vec()));
    }
}
