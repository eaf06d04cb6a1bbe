//! Webmail: the folders and messages of the signed-in mailbox, read through Dovecot's own `doveadm`, which opens the
//! mailbox as its owner.

use hyper::StatusCode;
use hyper::header::{HeaderName, HeaderValue};
use mail_parser::MessageParser;
use serde_json::Value;

use super::pages;
use super::path::percent_encode;
use super::reply::{Answer, html as html_page};
use crate::call::{Args, Caller, Failure};
use crate::machine::{Machine, system};
use crate::uapi::pops::html;

/// How many messages of a folder are listed.
const LISTED: usize = 200;

/// A webmail page: `[]` the folders, `["folder"]` a folder's messages, `["message"]` one message.
pub fn page(machine: &Machine, caller: &Caller, prefix: &str, path: &[&str], args: &Args) -> Answer {
    let user = caller.mailbox.as_deref().unwrap_or(&caller.user);
    let folder = args.get("folder").unwrap_or("INBOX");
    let made = match path {
        [] | ["" | "webmail"] => folders(machine, user, prefix),
        ["folder"] => messages(machine, user, prefix, folder),
        ["message"] => message(machine, user, prefix, folder, args.get("uid").unwrap_or_default()),
        _ => return html_reply(StatusCode::NOT_FOUND, pages::message("Not Found", "There is no such page.")),
    };
    match made {
        Ok(body) => html_reply(StatusCode::OK, pages::page(&format!("Webmail – {user}"), &body)),
        Err(failure) => html_reply(StatusCode::OK, pages::message("Webmail", &failure.reason)),
    }
}

fn html_reply(status: StatusCode, text: String) -> Answer {
    let mut answer = html_page(status, text);
    // Mail is hostile text: nothing in a page runs or loads.
    let policy = HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; form-action 'self'");
    answer.headers_mut().insert(HeaderName::from_static("content-security-policy"), policy);
    answer
}

/// Runs `doveadm` and reads its JSON.
fn doveadm(machine: &Machine, arguments: &[&str]) -> Result<Vec<Value>, Failure> {
    if !machine.is_live() {
        return Err(Failure::new("There is no mail server here."));
    }
    let mut all = vec!["-f", "json"];
    all.extend(arguments);
    let text = system::run("doveadm", &all, b"").map_err(|failure| {
        tracing::warn!(reason = failure.reason, "doveadm");
        Failure::new("The mailbox cannot be read.")
    })?;
    serde_json::from_str(&text).map_err(|_| Failure::new("The mailbox cannot be read."))
}

fn link(prefix: &str, page: &str, query: &[(&str, &str)], text: &str) -> String {
    let query: Vec<String> = query.iter().map(|(name, value)| format!("{name}={}", percent_encode(value))).collect();
    format!("<a href=\"{prefix}/{page}?{}\">{}</a>", query.join("&amp;"), html(text))
}

fn folders(machine: &Machine, user: &str, prefix: &str) -> Result<String, Failure> {
    let listed = doveadm(machine, &["mailbox", "status", "-u", user, "messages unseen", "INBOX", "INBOX.*"])?;
    let rows: String = listed
        .iter()
        .map(|folder| {
            let text = |key: &str| folder[key].as_str().unwrap_or_default();
            let name = text("mailbox");
            format!(
                "<tr><td>{}</td><td>{}</td><td>{}</td></tr>",
                link(prefix, "folder", &[("folder", name)], name),
                html(text("messages")),
                html(text("unseen"))
            )
        })
        .collect();
    Ok(format!("<table><tr><th>Folder</th><th>Messages</th><th>Unseen</th></tr>{rows}</table>"))
}

fn messages(machine: &Machine, user: &str, prefix: &str, folder: &str) -> Result<String, Failure> {
    let fields = "uid date.received hdr.from hdr.subject";
    let mut listed = doveadm(machine, &["fetch", "-u", user, fields, "mailbox", folder, "all"])?;
    let count = listed.len();
    listed.reverse();
    listed.truncate(LISTED);
    let rows: String = listed
        .iter()
        .map(|message| {
            let text = |key: &str| message[key].as_str().unwrap_or_default();
            let subject = Some(text("hdr.subject")).filter(|subject| !subject.trim().is_empty()).unwrap_or("(no subject)");
            let query = [("folder", folder), ("uid", text("uid"))];
            format!(
                "<tr><td>{}</td><td>{}</td><td>{}</td></tr>",
                html(text("date.received")),
                html(text("hdr.from")),
                link(prefix, "message", &query, subject)
            )
        })
        .collect();
    Ok(format!(
        "<p><a href=\"{prefix}/\">Folders</a> › {}, {count} messages</p><table><tr><th>Date</th><th>From</th><th>Subject</th></tr>{rows}</table>",
        html(folder)
    ))
}

fn message(machine: &Machine, user: &str, prefix: &str, folder: &str, uid: &str) -> Result<String, Failure> {
    let missing = || Failure::new("There is no such message.");
    if uid.is_empty() || !uid.bytes().all(|b| b.is_ascii_digit()) {
        return Err(missing());
    }
    let found = doveadm(machine, &["fetch", "-u", user, "text", "mailbox", folder, "uid", uid])?;
    let text = found.first().and_then(|message| message["text"].as_str()).ok_or_else(missing)?;
    let parsed = MessageParser::default().parse(text.as_bytes());
    let body = parsed.as_ref().and_then(|message| message.body_text(0));
    let subject = parsed.as_ref().and_then(|message| message.subject()).unwrap_or("(no subject)");
    Ok(format!(
        "<p><a href=\"{prefix}/\">Folders</a> › {}</p><h2>{}</h2><pre>{}</pre>",
        link(prefix, "folder", &[("folder", folder)], folder),
        html(subject),
        html(body.as_deref().unwrap_or(text))
    ))
}
