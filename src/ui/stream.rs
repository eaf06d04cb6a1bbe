//! Progress while it happens: server-sent events (<https://html.spec.whatwg.org/multipage/server-sent-events.html>).
//!
//! The stream of one move is what `serve` tells of it; the stream of all is looked at once a second. A stream ends after a while, and
//! the browser comes again by itself: a CGI that nobody reads any more must not stay.

use super::answer;
use super::progress::Progress;
use super::request::Request;
use crate::error::{Code, Error, Result};
use crate::wire::{AdminCall, Client, MovePage, MoveQuery, MoveView, PageCall};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long a stream lasts.
const LASTS: Duration = Duration::from_secs(300);
/// How long it is silent at most: writing is how we learn that nobody reads any more.
const SILENT: Duration = Duration::from_secs(5);
/// How often all moves are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The most moves that are told of at once.
const MOVES: usize = 100;

/// A stream that was asked for.
pub struct Stream {
    socket: PathBuf,
    id: Option<i64>,
    user: Option<String>,
}

impl Stream {
    /// The stream of the move that the address names, else of all that are under way.
    pub fn new(socket: &Path, request: &Request) -> Self {
        Self {
            socket: socket.to_owned(),
            id: request.query("id").and_then(|id| id.parse().ok()),
            user: request.query("user").map(str::to_owned),
        }
    }

    /// Writes events until there are no more, nobody reads, or it has lasted long enough.
    ///
    /// # Errors
    /// When nobody reads.
    pub fn run(&self, out: &mut impl Write) -> io::Result<()> {
        let headers = [
            ("Content-Type", "text/event-stream; charset=utf-8".to_owned()),
            ("Cache-Control", "no-store".to_owned()),
            ("X-Accel-Buffering", "no".to_owned()),
        ];
        write!(out, "{}\r\nretry: 2000\n\n", answer::head(200, &headers))?;
        out.flush()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let ended = runtime.block_on(async {
            match self.id {
                Some(id) => self.one(id, out).await,
                None => self.all(out).await,
            }
        });
        runtime.shutdown_background();
        ended
    }

    async fn one(&self, id: i64, out: &mut impl Write) -> io::Result<()> {
        let (sender, mut events) = tokio::sync::mpsc::channel::<MoveView>(64);
        let socket = self.socket.clone();
        let watching = tokio::spawn(async move {
            let mut client = Client::connect(&socket).await?;
            // A slow reader misses states in between, never the last one.
            let event = |event| {
                if let Ok(view) = serde_json::from_value(event) {
                    let _ = sender.try_send(view);
                }
            };
            client.watch::<MoveView>(&AdminCall::MoveWatch { id }, event).await
        });
        let until = Instant::now() + LASTS;
        while Instant::now() < until {
            match tokio::time::timeout(SILENT, events.recv()).await {
                Ok(Some(event)) => send(out, &[Progress::of(&event)])?,
                Ok(None) => break,
                Err(_) => silence(out)?,
            }
        }
        if events.is_closed()
            && let Ok(ended) = watching.await
        {
            return finish(out, ended);
        }
        Ok(())
    }

    async fn all(&self, out: &mut impl Write) -> io::Result<()> {
        let until = Instant::now() + LASTS;
        let (mut last, mut said) = (String::new(), Instant::now());
        while Instant::now() < until {
            let page = match self.look().await {
                Ok(page) => page,
                Err(error) => return finish(out, Err(error)),
            };
            let rows: Vec<Progress> = page.rows.iter().map(Progress::of).collect();
            let text = serde_json::to_string(&rows).map_err(io::Error::other)?;
            if text != last {
                send(out, &rows)?;
                (last, said) = (text, Instant::now());
            } else if said.elapsed() >= SILENT {
                silence(out)?;
                said = Instant::now();
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    async fn look(&self) -> Result<MovePage> {
        let ask =
            PageCall::Moves(MoveQuery { ended: Some(false), user: self.user.clone(), limit: MOVES, ..MoveQuery::default() });
        let answer = async { Client::connect(&self.socket).await?.call(&AdminCall::Page { ask }).await };
        tokio::time::timeout(SILENT, answer)
            .await
            .unwrap_or_else(|_| Err(Error::new(Code::MayHaveHappened, "linked-nodes serve did not answer in time.")))
    }
}

fn finish(out: &mut impl Write, ended: Result<MoveView>) -> io::Result<()> {
    match ended {
        Ok(view) => send(out, &[Progress::of(&view)]),
        // The browser comes again, or asks for the page, which says what is wrong.
        Err(error) => out.write_all(format!(": {:?}\n\n", error.code).as_bytes()),
    }
}

fn send(out: &mut impl Write, moves: &[Progress]) -> io::Result<()> {
    // JSON has no raw line breaks, so one `data` line holds it.
    let data = serde_json::to_string(moves).map_err(io::Error::other)?;
    write!(out, "event: moves\ndata: {data}\n\n")?;
    out.flush()
}

fn silence(out: &mut impl Write) -> io::Result<()> {
    out.write_all(b": still here\n\n")?;
    out.flush()
}
