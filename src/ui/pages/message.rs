//! Pages that only say something.

use super::{Frame, Here, html};
use crate::error::{Code, Error};
use crate::ui::answer::Answer;
use crate::ui::request::Request;
use crate::wire::PageSession;
use askama::Template;

#[derive(Template)]
#[template(path = "message.html")]
struct Message {
    frame: Frame,
    text: String,
    hint: Option<String>,
}

fn page(status: u16, frame: Frame, text: String, hint: Option<String>) -> Answer {
    html(status, &Message { frame, text: text.clone(), hint }).unwrap_or_else(|_| Answer::plain(status, &text))
}

/// For a user of WHM who has no right to this.
pub fn denied(request: &Request) -> Answer {
    let who = if request.user.is_empty() {
        "cPanel did not say who you are".to_owned()
    } else {
        format!("You are signed in as “{}”", request.user)
    };
    let frame = Frame::new("Not for this user", "", None, request);
    let text = format!("{who}. Linked Nodes is for root and for resellers with the “all” (root-level) privilege.");
    page(
        403,
        frame,
        text,
        Some("The administrator of this server can grant that privilege in WHM » Resellers » Edit Reseller Privileges.".into()),
    )
}

/// For a change without the token of this session: from another site, or from a page that is too old.
pub(super) fn stale(here: &Here<'_>) -> Answer {
    let text = "Nothing was changed: this page is too old, or the request did not come from it.".to_owned();
    let hint = if here.request.session.is_empty() {
        "Changes need WHM's security tokens (“cpsess” in the address), which are not in use. Turn them on in WHM » Tweak Settings.".to_owned()
    } else {
        "Open the page again and repeat what you did.".to_owned()
    };
    page(403, here.frame("Nothing was changed", ""), text, Some(hint))
}

/// For what went wrong.
pub fn failed(session: Option<PageSession>, request: &Request, error: &Error) -> Answer {
    let (status, title) = match error.code {
        Code::NotFound => (404, "Not found"),
        Code::Invalid => (400, "That makes no sense"),
        Code::Denied | Code::Refused | Code::Conflict | Code::Unsupported => (409, "That cannot be done"),
        Code::NotSent if session.is_none() => (503, "Linked Nodes is not running"),
        Code::NotSent | Code::Answered => (502, "The other server"),
        Code::MayHaveHappened => (504, "No answer in time"),
        _ => (500, "Something went wrong"),
    };
    page(status, Frame::new(title, "", session, request), error.message.clone(), error.hint.clone())
}
