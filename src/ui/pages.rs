//! The pages: which address is which, and what all of them have.

mod account;
mod accounts;
mod force;
mod link;
pub mod message;
mod moves;
mod node;
mod nodes;
mod plan;

use super::answer::Answer;
use super::assets;
use super::form::address;
use super::means::Means;
use super::request::{Method, Request};
use crate::error::{Code, Error, Result};
use crate::wire::{NoteLine, PageNote, PageSession, Role};
use askama::Template;

/// What the layout shows around every page.
pub struct Frame {
    /// The page's own title.
    title: String,
    /// The tab it belongs to.
    tab: &'static str,
    /// What every page shows; `None` when `serve` could not be asked.
    session: Option<PageSession>,
    /// Path of the session, for the way back to WHM.
    home: String,
    css: String,
    js: String,
    icon: String,
    /// Without scripts, the page comes again after this many seconds.
    refresh: Option<u32>,
    /// With scripts, a stream brings what is new.
    streams: bool,
}

impl Frame {
    fn new(title: impl Into<String>, tab: &'static str, session: Option<PageSession>, request: &Request) -> Self {
        Self {
            title: title.into(),
            tab,
            session,
            home: format!("{}/", request.session),
            css: assets::address("app.css"),
            js: assets::address("app.js"),
            icon: assets::address("icon.png"),
            refresh: None,
            streams: false,
        }
    }

    fn note(&self) -> Option<&PageNote> {
        self.session.as_ref()?.note.as_ref()
    }

    /// The token of this page's forms.
    fn token(&self) -> &str {
        self.session.as_ref().map(|session| session.form_token.as_str()).unwrap_or_default()
    }

    /// The parent of this server, when it is a child: nothing is managed here then.
    fn parent(&self) -> Option<&str> {
        match &self.session.as_ref()?.role {
            Role::Child { parent, .. } => Some(parent),
            _ => None,
        }
    }
}

/// What a page needs to be made.
struct Here<'a> {
    means: &'a Means<'a>,
    request: &'a Request,
    session: PageSession,
    /// Unix time, seconds.
    now: i64,
}

impl Here<'_> {
    fn frame(&self, title: impl Into<String>, tab: &'static str) -> Frame {
        Frame::new(title, tab, Some(self.session.clone()), self.request)
    }

    /// Sends the browser to a page, with something to say there.
    async fn see(&self, fields: &[(&str, &str)], note: PageNote) -> Result<Answer> {
        let name = self.means.keep(note).await?;
        let mut fields = fields.to_vec();
        fields.push(("note", &name));
        Ok(Answer::see(format!("{}{}", self.request.session, address(&fields).replacen("index.cgi", super::SCRIPT, 1))))
    }
}

fn html(status: u16, page: &impl Template) -> Result<Answer> {
    page.render().map(|html| Answer::html(status, html)).map_err(|cause| Error::machine("making the page", cause))
}

/// The page a request asks for.
pub async fn respond(means: &Means<'_>, request: &Request) -> Answer {
    let session = match means.session().await {
        Ok(session) => session,
        Err(error) => return message::failed(None, request, &error),
    };
    let here = Here { means, request, session: session.clone(), now: jiff::Timestamp::now().as_second() };
    if request.method == Method::Post && !request.changes(&session.form_token) {
        return message::stale(&here);
    }
    match page(&here).await {
        Ok(answer) => answer,
        Err(error) => message::failed(Some(session), request, &error),
    }
}

async fn page(here: &Here<'_>) -> Result<Answer> {
    let posted = here.request.method == Method::Post;
    match (here.request.query("page").unwrap_or("nodes"), posted) {
        ("nodes", false) => nodes::show(here).await,
        ("link", false) => link::show(here),
        ("link", true) => link::change(here).await,
        ("node", false) => node::show(here).await,
        ("node", true) => node::change(here).await,
        ("accounts", false) => accounts::show(here).await,
        ("account", false) => account::show(here).await,
        ("account", true) => account::change(here).await,
        ("plan", false) => plan::show(here).await,
        ("plan", true) => plan::change(here).await,
        ("force", false) => force::show(here).await,
        ("force", true) => force::change(here).await,
        ("moves", false) => moves::list(here).await,
        ("move", false) => moves::show(here).await,
        ("move", true) => moves::change(here).await,
        ("progress", false) => moves::progress(here).await,
        _ => Err(Error::new(Code::NotFound, "There is no such page.")),
    }
}

/// A note of one sentence.
fn said(good: bool, title: impl Into<String>) -> PageNote {
    PageNote { good, title: title.into(), lines: Vec::new() }
}

/// A note of an error: the message, and the next step below it.
fn error_note(title: impl Into<String>, error: &Error) -> PageNote {
    PageNote { good: false, title: title.into(), lines: vec![error_line("", error)] }
}

fn error_line(name: &str, error: &Error) -> NoteLine {
    NoteLine { passed: Some(false), name: name.to_owned(), text: error.one_line() }
}
