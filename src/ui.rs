//! The pages in WHM: `linked-nodes cgi`, started by cpsrvd for each request. One request in, one page out; what is shown and done
//! goes through the administrators' socket to `serve`, and nothing here waits for a child.
//!
//! # A page of its own
//!
//! WHM's frame can be had by a program in Perl or PHP alone, from files of cPanel's that change with every version. A page of our own,
//! registered with AppConfig and linked back to WHM, needs nothing of that: it looks the same on every version, and its content
//! security policy can forbid every inline script, which WHM's frame needs.
//!
//! # Who may
//!
//! cpsrvd proves the user (`REMOTE_USER`) and starts this program as root for everybody whom AppConfig lets in, so the right is looked
//! up here again, for every request, in cPanel's own data ([`rights`]), never taken from a page. A change is a POST, carries a token
//! bound to user and session ([`request::Request::changes`]), and comes through a `cpsess` path. After a change the browser is sent to
//! a page that can be reloaded; what is to be said is kept in `serve` and named in the address, never written there.
//!
//! # Without scripts
//!
//! Every page is complete without JavaScript. With it, search answers while you type and progress comes by server-sent events
//! ([`stream`]), or by asking again where those do not get through.
//!
//! Sources: AppConfig and the environment of a CGI, <https://api.docs.cpanel.net/guides/guide-to-the-appconfig>; who is root-level,
//! <https://api.docs.cpanel.net/guides/guide-to-whm-plugins> (`/var/cpanel/resellers`).

pub mod answer;
mod assets;
mod form;
mod format;
mod means;
mod pages;
mod progress;
pub mod request;
pub mod rights;
pub mod stream;
#[cfg(test)]
mod tests;

use answer::Answer;
use means::Means;
use request::Request;
use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a browser may take to send what it posts.
const BODY_PATIENCE: Duration = Duration::from_secs(10);
/// How long a whole page may take; actions that speak to a child have their own, shorter ones.
const PAGE_PATIENCE: Duration = Duration::from_secs(150);

/// What a request is answered from.
pub struct Settings {
    /// The administrators' socket.
    pub socket: PathBuf,
    /// Root-level resellers, a line each.
    pub resellers: PathBuf,
}

impl Settings {
    /// The places of a cPanel server, with this socket.
    pub fn here(socket: PathBuf) -> Self {
        Self { socket, resellers: rights::RESELLERS.into() }
    }
}

/// Answers the request that this process was started for.
///
/// # Errors
/// When the browser is gone.
pub fn run(settings: &Settings) -> io::Result<()> {
    let mut out = io::stdout().lock();
    // Whatever happens in here, cpsrvd gets a page: a broken-off CGI shows people a bare server error.
    let answered = std::panic::catch_unwind(|| read_and_answer(settings));
    match answered.unwrap_or_else(|_| Done::Page(Answer::plain(500, "The page failed while it was being made."))) {
        Done::Page(answer) => answer.write(&mut out),
        Done::Stream(stream) => stream.run(&mut out),
    }
}

/// What a request came to.
enum Done {
    Page(Answer),
    Stream(stream::Stream),
}

fn read_and_answer(settings: &Settings) -> Done {
    let length = std::env::var("CONTENT_LENGTH").ok();
    let body = match body_within(length.as_deref(), BODY_PATIENCE) {
        Ok(body) => body,
        Err(answer) => return Done::Page(*answer),
    };
    match Request::read(|name| std::env::var_os(name), &body) {
        Ok(request) => respond_here(settings, request),
        Err(answer) => Done::Page(*answer),
    }
}

/// Reads what was posted on a thread of its own, because a browser that stops sending would hold us for ever.
fn body_within(length: Option<&str>, patience: Duration) -> Result<Vec<u8>, Box<Answer>> {
    let Some(length) = length.filter(|length| !length.is_empty()) else { return Ok(Vec::new()) };
    let length: u64 = length.parse().map_err(|_| Box::new(Answer::plain(400, "The length of the request makes no sense.")))?;
    if length > request::MAX_BODY {
        return Err(Box::new(Answer::plain(413, "The request is too long.")));
    }
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut body = Vec::new();
        let read = io::stdin().lock().take(length).read_to_end(&mut body);
        let _ = sender.send(read.map(|_| body));
    });
    let late = || Box::new(Answer::plain(408, "The request did not come in time."));
    let body = receiver.recv_timeout(patience).map_err(|_| late())?.map_err(|_| late())?;
    if body.len() as u64 == length { Ok(body) } else { Err(late()) }
}

fn respond_here(settings: &Settings, request: Request) -> Done {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(_) => return Done::Page(Answer::plain(500, "This machine has no room to make the page.")),
    };
    let done = runtime.block_on(async {
        tokio::time::timeout(PAGE_PATIENCE, respond(settings, &request)).await.unwrap_or_else(|_| {
            Done::Page(Answer::plain(504, "The page took too long. What was begun goes on; look at the moves and nodes."))
        })
    });
    runtime.shutdown_background();
    done
}

async fn respond(settings: &Settings, request: &Request) -> Done {
    if let Some(name) = request.query("asset") {
        return Done::Page(assets::serve(name));
    }
    if !rights::root_level(&request.user, &settings.resellers) {
        return Done::Page(pages::message::denied(request));
    }
    let means = Means::new(&settings.socket, request);
    if request.query("page") == Some("events") {
        return Done::Stream(stream::Stream::new(&settings.socket, request));
    }
    Done::Page(pages::respond(&means, request).await)
}

/// Answers one request in memory: for tests and measurements.
///
/// # Errors
/// When the output cannot be written.
pub fn answer_to(
    settings: &Settings,
    environment: impl Fn(&str) -> Option<OsString>,
    body: &[u8],
    out: &mut impl Write,
) -> io::Result<()> {
    let done = match Request::read(environment, body) {
        Ok(request) => respond_here(settings, request),
        Err(answer) => Done::Page(*answer),
    };
    match done {
        Done::Page(answer) => answer.write(out),
        Done::Stream(stream) => stream.run(out),
    }
}

/// Where cpsrvd finds the CGI, below the document root of WHM.
pub const SCRIPT: &str = "/cgi/linkednodes/index.cgi";

/// The folder of cPanel's document root of WHM.
pub fn docroot() -> &'static Path {
    Path::new("/usr/local/cpanel/whostmgr/docroot")
}
