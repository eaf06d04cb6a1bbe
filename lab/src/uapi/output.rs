//! The output formats of cPanel's command-line tools.

use quick_xml::escape::escape;
use serde_json::Value;

use crate::call::Failure;

/// How a reply is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// The default.
    #[default]
    Yaml,
    /// One line.
    Json,
    /// Indented.
    JsonPretty,
    /// Elements named after keys.
    Xml,
}

impl Format {
    /// From the value of `--output=`.
    ///
    /// # Errors
    /// When there is no such format.
    pub fn parse(name: &str) -> Result<Self, Failure> {
        match name {
            "yaml" => Ok(Self::Yaml),
            "json" => Ok(Self::Json),
            "jsonpretty" => Ok(Self::JsonPretty),
            "xml" => Ok(Self::Xml),
            other => Err(Failure::new(format!("“{other}” is not an output format: use yaml, json, jsonpretty, or xml."))),
        }
    }

    /// The text of `value`, whose outermost XML element is `root`. It ends with a line break.
    ///
    /// # Errors
    /// When the value cannot be written in this format.
    pub fn render(self, value: &Value, root: &str) -> Result<String, Failure> {
        let sorry = |error: &dyn std::fmt::Display| Failure::new(error.to_string());
        match self {
            Self::Yaml => serde_yaml_ng::to_string(value).map(|text| format!("---\n{text}")).map_err(|error| sorry(&error)),
            Self::Json => Ok(format!("{value}\n")),
            Self::JsonPretty => serde_json::to_string_pretty(value).map(|text| text + "\n").map_err(|error| sorry(&error)),
            Self::Xml => {
                let mut text = String::from("<?xml version=\"1.0\" ?>\n");
                element(root, value, &mut text);
                text.push('\n');
                Ok(text)
            }
        }
    }
}

/// Arrays become one element for each item, under the array's own name.
fn element(name: &str, value: &Value, out: &mut String) {
    let name: String = name.chars().map(|c| if c.is_ascii_alphanumeric() || "_-.".contains(c) { c } else { '_' }).collect();
    let name = match name.chars().next() {
        Some(c) if c.is_ascii_alphabetic() || c == '_' => name,
        _ => format!("_{name}"),
    };
    match value {
        Value::Array(items) => {
            for item in items {
                match item {
                    // An array inside an array would lose its borders.
                    Value::Array(_) => {
                        out.push_str(&format!("<{name}>"));
                        element("item", item, out);
                        out.push_str(&format!("</{name}>"));
                    }
                    _ => element(&name, item, out),
                }
            }
        }
        Value::Object(map) => {
            out.push_str(&format!("<{name}>"));
            for (key, inner) in map {
                element(key, inner, out);
            }
            out.push_str(&format!("</{name}>"));
        }
        Value::Null => out.push_str(&format!("<{name}></{name}>")),
        Value::String(text) => {
            // What XML 1.0 cannot hold is left out.
            let clean: String = text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t' | '\r')).collect();
            out.push_str(&format!("<{name}>{}</{name}>", escape(clean.as_str())));
        }
        other => out.push_str(&format!("<{name}>{other}</{name}>")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn xml_repeats_the_name_of_an_array() {
        let value = json!({"data": [{"a": "x<y"}, {"a": null}], "1": true});
        let text = Format::Xml.render(&value, "result").unwrap();
        assert!(text.contains("<data><a>x&lt;y</a></data><data><a></a></data><_1>true</_1>"));
    }

    #[test]
    fn yaml_keeps_words_that_look_like_numbers() {
        let text = Format::Yaml.render(&json!({"a": "007", "b": 7, "c": null}), "r").unwrap();
        assert_eq!(text, "---\na: '007'\nb: 7\nc: null\n");
    }
}
