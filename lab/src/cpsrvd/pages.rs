//! The pages beside WHM's own: sign-in, and what is said in one sentence.

use askama::Template;

use super::session::Service;
use crate::call::Caller;
use crate::machine::Machine;
use crate::uapi::pops::html;

/// A page. `body` is HTML.
pub fn page(title: &str, body: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title>\
         <style>body{{font:16px/1.5 sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem}}table{{border-collapse:collapse;width:100%}}\
         td,th{{text-align:left;padding:.25rem .5rem;border-bottom:1px solid #ddd}}pre{{white-space:pre-wrap}}</style>\
         </head><body><h1>{title}</h1>\n{body}\n</body></html>\n",
        title = html(title),
    )
}

/// A page with one message.
pub fn message(title: &str, text: &str) -> String {
    page(title, &format!("<p>{}</p>", html(text)))
}

/// What the sign-in page says above its form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// Nothing.
    None,
    /// User or password is wrong.
    Login,
    /// There is no session, or it has ended, or the security token is not its own.
    Session,
    /// The session was ended.
    LoggedOut,
}

#[derive(Template)]
#[template(path = "whm/sign_in.html")]
struct SignIn {
    title: &'static str,
    hostname: String,
    notice: &'static str,
    wrong: bool,
    /// Whether the look is served on this port.
    styled: bool,
}

/// The sign-in form.
pub fn sign_in(machine: &Machine, service: Service, notice: Notice) -> String {
    let title = match service {
        Service::Cpaneld => "cPanel Login",
        Service::Whostmgrd => "WHM Login",
        Service::Webmaild => "Webmail Login",
    };
    let notice_text = match notice {
        Notice::None => "",
        Notice::Login => "The login is invalid.",
        Notice::Session => "Your session is not valid here. Log in again.",
        Notice::LoggedOut => "You have logged out.",
    };
    let page = SignIn {
        title,
        hostname: machine.hostname(),
        notice: notice_text,
        wrong: matches!(notice, Notice::Login | Notice::Session),
        styled: service == Service::Whostmgrd,
    };
    page.render().unwrap_or_else(|error| message(title, &error.to_string()))
}

/// Where somebody arrives who signed in to cPanel.
pub fn home(machine: &Machine, caller: &Caller) -> String {
    let text = format!("Signed in to cPanel on {} as {}. This server offers the API only.", machine.hostname(), caller.user);
    message("cPanel", &text)
}
