//! Which request is which function.

use std::net::IpAddr;

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, HeaderValue, SET_COOKIE};
use hyper::http::request::Parts;
use serde_json::{Value, json};

use super::auth::{self, Denied, SignedIn};
use super::pages::Notice;
use super::path::{self, Target};
use super::reply::{Answer, html, reply, see_other};
use super::session::{self, Service, Session};
use super::shell::{self, Answered};
use super::whm::{self, Refusal};
use super::{body, cpapi, envelope, legacy, pages, webmail};
use crate::call::{Args, Caller, Failure, Reply};
use crate::machine::Machine;
use crate::uapi;
use crate::uapi::output::Format;

/// A request that came in.
#[derive(Debug)]
pub struct Asked {
    /// On whose port.
    pub service: Service,
    /// The other end of the connection.
    pub peer: IpAddr,
    /// Request line and headers.
    pub parts: Parts,
    /// Body.
    pub body: Bytes,
}

fn json_reply(value: &Value) -> Answer {
    reply(StatusCode::OK, "application/json; charset=\"utf-8\"", value.to_string())
}

fn xml_reply(value: &Value, root: &str) -> Answer {
    match Format::Xml.render(value, root) {
        Ok(text) => reply(StatusCode::OK, "text/xml; charset=\"utf-8\"", text),
        Err(failure) => reply(StatusCode::INTERNAL_SERVER_ERROR, "text/plain; charset=\"utf-8\"", failure.reason),
    }
}

/// Access denied, as every API caller hears it.
fn forbidden() -> Answer {
    reply(StatusCode::FORBIDDEN, "text/plain; charset=\"utf-8\"", envelope::denied().to_string())
}

fn not_found() -> Answer {
    html(StatusCode::NOT_FOUND, pages::message("Not Found", "The server was not able to find the document."))
}

/// Answers a request, or says which program does.
pub fn answer(machine: &Machine, asked: &Asked) -> Answered {
    let Some(target) = path::understand(asked.parts.uri.path()) else {
        return reply(StatusCode::BAD_REQUEST, "text/plain; charset=\"utf-8\"", "Bad Request\n").into();
    };
    if asked.service == Service::Whostmgrd
        && let Some(file) = shell::open_file(machine, &asked.parts.method, &target.path)
    {
        return file.into();
    }
    let of_program = asked.service == Service::Whostmgrd && target.path.starts_with("/cgi/");
    let content_type = asked.parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    // The body of a request for a program is the program's own.
    let body: &[u8] = if of_program { b"" } else { &asked.body };
    let args = match body::arguments(asked.parts.uri.query(), content_type, body) {
        Ok(args) => args,
        Err(failure) => {
            return reply(StatusCode::BAD_REQUEST, "text/plain; charset=\"utf-8\"", failure.reason).into();
        }
    };
    let path = target.path.trim_end_matches('/');
    if path == "/login" {
        return login(machine, asked, &target, &args).into();
    }
    let address = auth::client_address(&asked.parts.headers, asked.peer);
    let who = auth::sign_in(machine, asked.service, &asked.parts.headers, address, target.security_token.as_deref());
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    let is_api = matches!(parts.first(), Some(&("json-api" | "xml-api" | "execute")));
    let signed = match who {
        Ok(signed) => signed,
        Err(denied) => {
            tracing::info!(%address, path, service = asked.service.name(), ?denied, "not let in");
            if is_api || denied == Denied::Wrong && asked.parts.headers.contains_key("authorization") {
                return forbidden().into();
            }
            // A page's address without its session says nothing of what is there.
            let told = if denied == Denied::Wrong { Notice::Session } else { Notice::None };
            return html(StatusCode::UNAUTHORIZED, pages::sign_in(machine, asked.service, told)).into();
        }
    };
    let token = target.security_token.as_deref().unwrap_or_default();
    match (asked.service, parts.as_slice()) {
        (_, ["logout"]) => log_out(machine, asked, &signed),
        (Service::Whostmgrd, ["json-api" | "xml-api", function]) => {
            whm_call(machine, &signed.caller, function, &args, parts.first() == Some(&"xml-api"))
        }
        (Service::Cpaneld | Service::Webmaild, ["json-api" | "xml-api", "cpanel"]) => {
            cpanel_call(machine, &signed, &args, parts.first() == Some(&"xml-api"))
        }
        (Service::Cpaneld | Service::Webmaild, ["execute", module, function]) => {
            execute(machine, &signed, module, function, &args)
        }
        (Service::Whostmgrd, _) if !is_api => {
            return shell::page(machine, asked, &signed, token, &target.path, &args);
        }
        (Service::Webmaild, rest) if !is_api => webmail::page(machine, &signed.caller, token, rest, &args),
        (_, [] | [""]) => html(StatusCode::OK, pages::home(machine, &signed.caller)),
        _ => not_found(),
    }
    .into()
}

/// A function of WHM API 1, or of version 0 when the call does not name version 1.
fn whm_call(machine: &Machine, caller: &Caller, function: &str, args: &Args, xml: bool) -> Answer {
    let legacy = matches!(args.get("api.version"), None | Some("0" | ""));
    if legacy && function != "cpanel" && !legacy::FUNCTIONS.contains(&function) {
        let reason = format!("Unknown app (“{function}”) requested for this version (0) of the API.");
        let value = json!({"status": 0, "statusmsg": reason});
        return if xml { xml_reply(&value, function) } else { json_reply(&value) };
    }
    let result: Reply = match whm::call(machine, caller, function, args) {
        Err(Refusal::Denied) => return forbidden(),
        Err(Refusal::Failed(failure)) => Err(failure),
        Ok(outcome) => Ok(outcome),
    };
    let (value, root) = match (function, result) {
        // This one answers with the inner API's own envelope, bare.
        ("cpanel", Ok(outcome)) => (outcome.data, "cpanelresult"),
        (function, result) if legacy => (legacy::shape(function, result), function),
        (function, result) => (envelope::whm(function, args, result), "result"),
    };
    if xml {
        // An outermost member of the same name would be said twice.
        let inner = value.get(root).filter(|_| value.as_object().is_some_and(|members| members.len() == 1));
        xml_reply(inner.unwrap_or(&value), root)
    } else {
        json_reply(&value)
    }
}

/// Whether a token that may only read may call this.
fn only_reads(function: &str) -> bool {
    ["get", "list", "has", "is", "count", "fetch", "parse", "single", "domains", "account", "stats", "verify"]
        .iter()
        .any(|prefix| function.starts_with(prefix))
}

/// A UAPI function, flat.
fn execute(machine: &Machine, signed: &SignedIn, module: &str, function: &str, args: &Args) -> Answer {
    if signed.readonly && !only_reads(function) {
        let refused: Reply = Err(Failure::new("This API token may only read."));
        return json_reply(&uapi::envelope::flat(&refused, args));
    }
    let reply = uapi::call(machine, &signed.caller, module, function, args);
    json_reply(&uapi::envelope::flat(&reply, args))
}

/// API 1, API 2 or UAPI at `/json-api/cpanel`.
fn cpanel_call(machine: &Machine, signed: &SignedIn, args: &Args, xml: bool) -> Answer {
    let function = cpapi::named(args, "func").unwrap_or_default();
    let foreign = cpapi::named(args, "user").is_some_and(|user| !user.is_empty() && user != signed.caller.user);
    if foreign || (signed.readonly && !only_reads(function)) {
        return forbidden();
    }
    let value = cpapi::call(machine, &signed.caller, args).unwrap_or_else(|failure| envelope::api2("", function, Err(failure)));
    if xml { xml_reply(value.get("cpanelresult").unwrap_or(&value), "cpanelresult") } else { json_reply(&value) }
}

/// Signs in: by password, or with a session made for the visitor.
fn login(machine: &Machine, asked: &Asked, target: &Target, args: &Args) -> Answer {
    let bare = args.flag("login_only");
    let made = match args.get("session").filter(|name| !name.is_empty()) {
        Some(name) => by_made_session(machine, asked.service, target, name),
        None => match (args.get("user"), args.get("pass").or_else(|| args.get("password"))) {
            (Some(user), Some(password)) => by_password(machine, asked.service, user, password),
            _ => {
                return html(StatusCode::OK, pages::sign_in(machine, asked.service, Notice::None));
            }
        },
    };
    let Some((name, session)) = made else {
        if bare {
            let told = json!({"status": 0, "message": "invalid_login"});
            return reply(StatusCode::UNAUTHORIZED, "application/json; charset=\"utf-8\"", told.to_string());
        }
        return html(StatusCode::UNAUTHORIZED, pages::sign_in(machine, asked.service, Notice::Login));
    };
    let home = format!("{}/", session.security_token);
    let mut answer = if bare {
        json_reply(&json!({"status": 1, "redirect": home, "security_token": session.security_token, "notices": []}))
    } else {
        let mut moved = see_other(&home);
        *moved.status_mut() = StatusCode::MOVED_PERMANENTLY;
        moved
    };
    let cookie = format!("{}={}; HttpOnly; Secure; path=/", asked.service.cookie(), path::percent_encode(&name));
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        answer.headers_mut().append(SET_COOKIE, cookie);
    }
    answer
}

fn by_password(machine: &Machine, service: Service, user: &str, password: &str) -> Option<(String, Session)> {
    let signed = auth::by_password(machine, service, user, password).ok()?;
    session::create(machine, &signed.caller.user, signed.caller.mailbox.as_deref(), service, false, "").ok()
}

/// The session must be for this port, unused, and come with its own prefix.
fn by_made_session(machine: &Machine, service: Service, target: &Target, name: &str) -> Option<(String, Session)> {
    let session = session::find(machine, name)?;
    let right = session.pending && session.service == service && target.security_token.as_ref() == Some(&session.security_token);
    if right { session::redeem(machine, name, &session).ok() } else { None }
}

fn log_out(machine: &Machine, asked: &Asked, signed: &SignedIn) -> Answer {
    if let Some(name) = &signed.session {
        // Its file may be gone already; the cookie goes anyhow.
        let _ = session::end(machine, name);
    }
    let mut answer = html(StatusCode::OK, pages::sign_in(machine, asked.service, Notice::LoggedOut));
    let gone = format!("{}=; HttpOnly; Secure; path=/; expires=Thu, 01 Jan 1970 00:00:01 GMT", asked.service.cookie());
    if let Ok(cookie) = HeaderValue::from_str(&gone) {
        answer.headers_mut().append(SET_COOKIE, cookie);
    }
    answer
}

#[cfg(test)]
mod tests;
