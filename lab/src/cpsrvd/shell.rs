//! WHM as an administrator sees it in a browser: header, menu, home, the forms for accounts and packages, and what plugins bring.
//!
//! The look is the lab's own. What plugins rely on is as on cPanel: the menu comes from AppConfig, forms take package extensions, and
//! what a form does it does in this process, where only hooks hear of it.
//!
//! ```text
//! menu       what the caller may see, from the lab's own forms and from AppConfig
//! forms      accounts and packages: the forms and what they do
//! fragment   package extensions rendered by the Template Toolkit
//! ```

mod forms;
mod fragment;
mod menu;

use askama::Template;
use hyper::{Method, StatusCode};

use super::auth::SignedIn;
use super::cgi::Program;
use super::docroot::{self, Found};
use super::pages;
use super::reply::{Answer, html, reply};
use super::route::Asked;
use crate::call::{Args, Failure};
use crate::machine::Machine;
use menu::Section;

/// The look of every page, which also the sign-in page needs.
pub const STYLE: &str = "/unprotected/shell.css";

/// What a request for a page comes to.
#[derive(Debug)]
pub enum Answered {
    /// An answer.
    Page(Answer),
    /// A program to run, whose output is the answer.
    Program(Box<Program>),
}

impl From<Answer> for Answered {
    fn from(answer: Answer) -> Self {
        Self::Page(answer)
    }
}

/// What every page of the shell shows around its content.
#[derive(Debug)]
struct Frame {
    title: String,
    hostname: String,
    version: String,
    user: String,
    /// `/cpsess##########`.
    prefix: String,
    /// The path of this page, to mark it in the menu.
    path: String,
    /// What was searched for in the menu.
    find: String,
    sections: Vec<Section>,
}

/// Who asks for which page.
struct Visitor<'a> {
    machine: &'a Machine,
    signed: &'a SignedIn,
    prefix: &'a str,
    path: &'a str,
    args: &'a Args,
}

impl Visitor<'_> {
    fn frame(&self, title: &str) -> Frame {
        let find = self.args.get("find").unwrap_or_default().trim().to_owned();
        Frame {
            title: title.to_owned(),
            hostname: self.machine.hostname(),
            version: self.machine.version(),
            user: self.signed.caller.user.clone(),
            prefix: self.prefix.to_owned(),
            path: self.path.to_owned(),
            sections: menu::of(self.machine, &self.signed.caller, self.prefix),
            find,
        }
    }

    fn show(&self, status: StatusCode, page: &impl Template) -> Answer {
        match page.render() {
            Ok(text) => html(status, text),
            Err(error) => html(StatusCode::INTERNAL_SERVER_ERROR, pages::message("Internal Server Error", &error.to_string())),
        }
    }

    /// What a form did, or why it did not.
    fn told(&self, title: &str, outcome: Result<Done, Failure>) -> Answer {
        let (done, failed) = match outcome {
            Ok(done) => (done, String::new()),
            Err(failure) => (Done::default(), failure.reason),
        };
        self.show(StatusCode::OK, &Told { frame: self.frame(title), done, failed })
    }
}

/// What a form did.
#[derive(Debug, Default)]
struct Done {
    message: String,
    notes: Vec<String>,
    raw: String,
}

#[derive(Template)]
#[template(path = "whm/told.html")]
struct Told {
    frame: Frame,
    done: Done,
    /// Why it did not work; empty when it did.
    failed: String,
}

#[derive(Template)]
#[template(path = "whm/home.html")]
struct Home {
    frame: Frame,
    found: Vec<Section>,
}

/// Files that need no sign-in: the look of the sign-in page, and icons.
pub fn open_file(machine: &Machine, method: &Method, path: &str) -> Option<Answer> {
    if !matches!(*method, Method::GET | Method::HEAD) {
        return None;
    }
    if path == STYLE {
        return Some(reply(StatusCode::OK, "text/css; charset=utf-8", include_str!("../../templates/whm/shell.css")));
    }
    if path == "/unprotected/shell.js" {
        return Some(reply(StatusCode::OK, "text/javascript; charset=utf-8", include_str!("../../templates/whm/shell.js")));
    }
    let open = path.starts_with("/addon_plugins/") || path.starts_with("/unprotected/");
    if open { docroot::plain(machine, path) } else { None }
}

/// The page at `path`, for a signed-in caller.
pub fn page(machine: &Machine, asked: &Asked, signed: &SignedIn, prefix: &str, path: &str, args: &Args) -> Answered {
    let visitor = Visitor { machine, signed, prefix, path, args };
    if path.starts_with("/cgi/") {
        return match docroot::find(machine, asked, &signed.caller, prefix, path) {
            Ok(Found::Program(program)) => Answered::Program(program),
            Ok(Found::File(answer)) => answer.into(),
            Ok(Found::Forbidden) => forbidden(&visitor).into(),
            Ok(Found::Nothing) => missing(&visitor).into(),
            Err(error) => visitor.told("Plugin", Err(error.into())).into(),
        };
    }
    if path == "/" {
        let frame = visitor.frame("Home");
        let found = menu::matching(&frame.sections, &frame.find);
        return visitor.show(StatusCode::OK, &Home { frame, found }).into();
    }
    forms::answer(&visitor, &asked.parts.method).unwrap_or_else(|| missing(&visitor)).into()
}

fn forbidden(visitor: &Visitor<'_>) -> Answer {
    let text = format!("You do not have permission to use “{}”.", visitor.path);
    visitor.show(StatusCode::FORBIDDEN, &Told { frame: visitor.frame("Access Denied"), done: Done::default(), failed: text })
}

fn missing(visitor: &Visitor<'_>) -> Answer {
    let text = format!("There is no page “{}” here.", visitor.path);
    visitor.show(StatusCode::NOT_FOUND, &Told { frame: visitor.frame("Not Found"), done: Done::default(), failed: text })
}

#[cfg(test)]
mod tests;
