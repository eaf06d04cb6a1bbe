//! Answers in the caller's own form (F5.2–F5.4): every envelope that cPanel's APIs have, for answers and for failures.

use super::normalise::{Command, CpanelVersion, Format, Kind, Service, Target, WhmVersion};
use super::xml;
use serde_json::{Value, json};

/// The form in which a caller expects its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Envelope {
    /// WHM API 1.
    Whm {
        /// The function called.
        function: String,
        /// Which shapes.
        version: WhmVersion,
        /// How it is written.
        format: Format,
    },
    /// UAPI, flat.
    Uapi,
    /// UAPI inside WHM API 1 (`uapi_cpanel`).
    UapiInWhm {
        /// How it is written.
        format: Format,
    },
    /// The cPanel APIs behind `/json-api/cpanel`.
    Cpanel {
        /// Which API.
        version: CpanelVersion,
        /// The module.
        module: String,
        /// The function.
        function: String,
        /// How it is written.
        format: Format,
    },
    /// A sign-in by a program (`login_only=1`).
    Login,
    /// A page for a person.
    Page,
    /// A page's own call: neither API nor person.
    Plain,
}

/// A reply, ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// `Content-Type`.
    pub content_type: &'static str,
    /// The body.
    pub body: Vec<u8>,
}

/// What cPanel says to a caller without the right (F5.4).
const ACCESS_DENIED: &str =
    r#"{"cpanelresult":{"apiversion":"2","error":"Access denied","data":{"reason":"Access denied","result":"0"},"type":"text"}}"#;

impl Reply {
    /// A JSON document.
    pub fn json(status: u16, document: &Value) -> Self {
        Self { status, content_type: "application/json; charset=utf-8", body: document.to_string().into_bytes() }
    }

    /// cPanel's 403 for a caller without the right.
    pub fn access_denied() -> Self {
        Self { status: 403, content_type: "text/plain; charset=utf-8", body: ACCESS_DENIED.as_bytes().to_vec() }
    }

    /// A line of text.
    pub fn text(status: u16, text: &str) -> Self {
        Self { status, content_type: "text/plain; charset=utf-8", body: format!("{text}\n").into_bytes() }
    }

    fn page(status: u16, text: &str) -> Self {
        let text = xml::escape(text);
        let body =
            format!("<!DOCTYPE html><html lang=\"en\"><meta charset=\"utf-8\"><title>Linked Nodes</title><p>{text}</p></html>\n");
        Self { status, content_type: "text/html; charset=utf-8", body: body.into_bytes() }
    }
}

impl Envelope {
    /// The form for this request. `html`: whether the caller reads pages.
    pub fn of(target: &Target, html: bool) -> Self {
        match &target.kind {
            Kind::Whm { function, version, format } => {
                Self::Whm { function: function.clone(), version: *version, format: *format }
            }
            Kind::Batch { format, .. } => Self::Whm { function: "batch".into(), version: WhmVersion::One, format: *format },
            Kind::UapiCpanel { format, .. } => Self::UapiInWhm { format: *format },
            Kind::Cpanel { version, module, function, format, .. } => {
                Self::Cpanel { version: *version, module: module.clone(), function: function.clone(), format: *format }
            }
            Kind::Uapi { .. } => Self::Uapi,
            Kind::Login if target.param("login_only").is_some_and(|value| value != "0") => Self::Login,
            _ if html => Self::Page,
            _ => Self::Plain,
        }
    }

    /// The form for a request of which only path and query could be read: as near as these allow.
    pub fn guess(service: Service, path: &str, query: &str, html: bool) -> Self {
        let format = if path.contains("xml-api") { Format::Xml } else { Format::Json };
        if path.contains("/execute/") {
            return Self::Uapi;
        }
        if !path.contains("json-api") && !path.contains("xml-api") {
            return if html { Self::Page } else { Self::Plain };
        }
        if service == Service::Whm {
            let function: String =
                path.rsplit('/').next().unwrap_or("").chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
            let version = if query.contains("api.version=1") { WhmVersion::One } else { WhmVersion::Zero };
            return Self::Whm { function, version, format };
        }
        Self::Cpanel { version: CpanelVersion::Two, module: String::new(), function: String::new(), format }
    }

    /// A failure, with its reason, in this form.
    pub fn failure(&self, reason: &str) -> Reply {
        match self {
            Self::Whm { function, version: WhmVersion::One, format } => {
                written(*format, "result", &whm_failure(function, reason))
            }
            Self::Whm { function, version: WhmVersion::Zero, format } => {
                written(*format, function, &json!({ "result": [{ "status": 0, "statusmsg": reason }] }))
            }
            Self::Uapi => Reply::json(200, &uapi_failure(reason)),
            Self::UapiInWhm { format } => written(*format, "result", &whm_failure("uapi_cpanel", reason)),
            Self::Cpanel { version: CpanelVersion::Three, module, function, format } => {
                written(*format, "cpanelresult", &wrapped(module, function, uapi_failure(reason)))
            }
            Self::Cpanel { version, module, function, format } => {
                let number = if *version == CpanelVersion::One { 1 } else { 2 };
                let inner = json!({
                    "apiversion": number, "module": module, "func": function, "error": reason,
                    "data": { "result": "0", "reason": reason }, "type": "text", "event": { "result": 0, "reason": reason },
                });
                match format {
                    Format::Json => Reply::json(200, &json!({ "cpanelresult": inner })),
                    Format::Xml => written(*format, "cpanelresult", &inner),
                }
            }
            Self::Login => Reply::json(403, &json!({ "status": 0, "message": reason })),
            Self::Page => Reply::page(403, reason),
            Self::Plain => Reply::json(403, &json!({ "status": 0, "errors": [reason], "error": reason })),
        }
    }

    /// A WHM API 1 answer (`data`, `metadata`) in this form.
    pub fn whm_answer(&self, answer: &Value) -> Reply {
        match self {
            Self::Whm { function, version: WhmVersion::Zero, format }
                if matches!(function.as_str(), "createacct" | "modifyacct") =>
            {
                written(*format, function, &older(function, answer))
            }
            Self::Whm { function, format, version } => {
                // There is no older shape of functions younger than API 1: they answer in the one they have.
                let root = if *version == WhmVersion::One { "result" } else { function.as_str() };
                written(*format, root, answer)
            }
            _ => Reply::json(200, answer),
        }
    }

    /// A flat UAPI result in this form.
    pub fn uapi_answer(&self, result: Value) -> Reply {
        match self {
            Self::UapiInWhm { format } => written(*format, "result", &uapi_in_whm(result)),
            Self::Cpanel { module, function, format, .. } => written(*format, "cpanelresult", &wrapped(module, function, result)),
            _ => Reply::json(200, &result),
        }
    }
}

/// How a command of a batch fails.
pub fn command_failure(command: &Command, reason: &str) -> Value {
    whm_failure(&command.function, reason)
}

/// A failure of WHM API 1.
pub fn whm_failure(function: &str, reason: &str) -> Value {
    json!({ "metadata": { "version": 1, "command": function, "result": 0, "reason": reason } })
}

/// A failure of UAPI.
pub fn uapi_failure(reason: &str) -> Value {
    json!({ "status": 0, "errors": [reason], "data": null, "messages": null, "warnings": null, "metadata": {} })
}

/// A flat UAPI result as `uapi_cpanel` returns it.
pub fn uapi_in_whm(result: Value) -> Value {
    json!({ "data": { "uapi": result }, "metadata": { "version": 1, "command": "uapi_cpanel", "result": 1, "reason": "OK" } })
}

/// A flat UAPI result as `/json-api/cpanel` and the command line return it.
pub fn wrapped(module: &str, function: &str, result: Value) -> Value {
    json!({ "apiversion": 3, "module": module, "func": function, "result": result })
}

fn written(format: Format, root: &str, document: &Value) -> Reply {
    match format {
        Format::Json => Reply::json(200, document),
        Format::Xml => {
            Reply { status: 200, content_type: "text/xml; charset=utf-8", body: xml::document(root, document).into_bytes() }
        }
    }
}

/// createacct and modifyacct as callers without `api.version` know them.
fn older(function: &str, answer: &Value) -> Value {
    let metadata = &answer["metadata"];
    let mut entry = json!({ "status": number(&metadata["result"]), "statusmsg": metadata["reason"] });
    if let Some(entry) = entry.as_object_mut() {
        if function == "createacct" {
            entry.insert("options".into(), answer.get("data").cloned().unwrap_or(Value::Null));
            entry.insert("rawout".into(), metadata.pointer("/output/raw").cloned().unwrap_or_else(|| json!("")));
        } else if let Some(Value::Object(data)) = answer.get("data") {
            entry.extend(data.clone());
            for list in ["messages", "warnings"] {
                entry.insert(list.into(), metadata.pointer(&format!("/output/{list}")).cloned().unwrap_or_else(|| json!([])));
            }
        }
    }
    json!({ "result": [entry] })
}

/// 1 for any spelling of success (numbers may come as strings).
pub fn number(result: &Value) -> u8 {
    u8::from(result.as_i64() == Some(1) || result.as_str() == Some("1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(reply: &Reply) -> Value {
        serde_json::from_slice(&reply.body).unwrap()
    }

    fn whm(version: WhmVersion, format: Format) -> Envelope {
        Envelope::Whm { function: "removeacct".into(), version, format }
    }

    #[test]
    fn a_failure_reads_right_in_every_form() {
        let one = document(&whm(WhmVersion::One, Format::Json).failure("no"));
        assert_eq!(one["metadata"], json!({"version": 1, "command": "removeacct", "result": 0, "reason": "no"}));
        let zero = document(&whm(WhmVersion::Zero, Format::Json).failure("no"));
        assert_eq!(zero, json!({"result": [{"status": 0, "statusmsg": "no"}]}));
        let xml = whm(WhmVersion::One, Format::Xml).failure("a < b");
        assert!(String::from_utf8(xml.body).unwrap().contains(
            "<metadata><version>1</version><command>removeacct</command><result>0</result><reason>a &lt; b</reason></metadata>"
        ));
        let flat = document(&Envelope::Uapi.failure("no"));
        assert_eq!((&flat["status"], &flat["errors"], &flat["data"]), (&json!(0), &json!(["no"]), &Value::Null));
        let cpanel = |version| Envelope::Cpanel { version, module: "Email".into(), function: "f".into(), format: Format::Json };
        assert_eq!(document(&cpanel(CpanelVersion::Three).failure("no"))["result"]["errors"][0], "no");
        let two = document(&cpanel(CpanelVersion::Two).failure("no"));
        assert_eq!((&two["cpanelresult"]["error"], &two["cpanelresult"]["event"]["result"]), (&json!("no"), &json!(0)));
        assert_eq!(Envelope::Page.failure("no").status, 403);
    }

    #[test]
    fn createacct_in_its_older_shape() {
        let envelope = Envelope::Whm { function: "createacct".into(), version: WhmVersion::Zero, format: Format::Json };
        let answer = json!({"data": {"ip": "1.2.3.4"}, "metadata": {"result": 1, "reason": "Account Creation Ok", "output": {"raw": "log"}}});
        let older = document(&envelope.whm_answer(&answer));
        assert_eq!(
            older,
            json!({"result": [{"status": 1, "statusmsg": "Account Creation Ok", "options": {"ip": "1.2.3.4"}, "rawout": "log"}]})
        );
    }
}
