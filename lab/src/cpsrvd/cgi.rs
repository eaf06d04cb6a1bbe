//! Programs below the document root, run as CGI: their environment, their user, their output passed on as it comes.
//!
//! Sources: RFC 3875; "Guide to the AppConfig" and plugins in the open for what cpsrvd adds (`REMOTE_USER`, `cp_security_token`).

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Response, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::mpsc;

use super::pages;
use super::reply::{Answer, html};
use crate::machine::system::SystemUser;

/// How long a program may think before its first word.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long it may be silent afterwards.
const SILENCE: Duration = Duration::from_secs(600);
/// How long its output is waited for once it has ended; what it left running may hold it open.
const GRACE: Duration = Duration::from_secs(2);
/// The most that its header may be, bytes.
const MOST_HEAD: usize = 64 << 10;

/// A program that a request asks for, and that its caller may run.
#[derive(Debug)]
pub struct Program {
    /// The file that is run.
    pub file: PathBuf,
    /// Whom it runs as; `None` is root.
    pub user: Option<SystemUser>,
    /// Its whole environment.
    pub environment: Vec<(String, String)>,
    /// Its standard input.
    pub body: Bytes,
    /// Where its standard error goes.
    pub error_log: PathBuf,
}

/// What the environment is made of.
#[derive(Debug)]
pub struct Visit<'a> {
    /// Request line and headers.
    pub parts: &'a Parts,
    /// The length of the body, bytes.
    pub length: usize,
    /// The other end.
    pub peer: IpAddr,
    /// This server's address, name and port.
    pub server: (IpAddr, &'a str, u16),
    /// The path without the security token.
    pub script: &'a str,
    /// The document root.
    pub root: &'a str,
    /// The signed-in user.
    pub user: &'a str,
    /// `/cpsess##########`; nothing for a caller without a session.
    pub security_token: &'a str,
}

/// The environment of a program: that of RFC 3875, and cPanel's own.
pub fn environment(visit: &Visit<'_>) -> Vec<(String, String)> {
    let uri = &visit.parts.uri;
    let (address, name, port) = visit.server;
    let content_type = visit.parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let has_body = visit.length > 0 || visit.parts.method == hyper::Method::POST;
    let mut all: Vec<(String, String)> = [
        ("DOCUMENT_ROOT", visit.root.to_owned()),
        ("GATEWAY_INTERFACE", "CGI/1.1".to_owned()),
        ("HTTPS", "on".to_owned()),
        ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned()),
        ("QUERY_STRING", uri.query().unwrap_or_default().to_owned()),
        ("REMOTE_ADDR", visit.peer.to_string()),
        ("REMOTE_HOST", visit.peer.to_string()),
        ("REMOTE_USER", visit.user.to_owned()),
        ("REQUEST_METHOD", visit.parts.method.to_string()),
        ("REQUEST_URI", uri.path_and_query().map_or_else(|| uri.path().to_owned(), ToString::to_string)),
        ("SCRIPT_FILENAME", format!("{}{}", visit.root, visit.script)),
        ("SCRIPT_NAME", visit.script.to_owned()),
        ("SERVER_ADDR", address.to_string()),
        ("SERVER_NAME", name.to_owned()),
        ("SERVER_PORT", port.to_string()),
        ("SERVER_PROTOCOL", "HTTP/1.1".to_owned()),
        ("SERVER_SOFTWARE", "cpsrvd".to_owned()),
        ("cp_security_token", visit.security_token.to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .to_vec();
    if has_body {
        all.push(("CONTENT_LENGTH".to_owned(), visit.length.to_string()));
        all.extend(content_type.map(|kind| ("CONTENT_TYPE".to_owned(), kind.to_owned())));
    }
    // `Proxy` would change what programs take for their proxy; credentials stay with the server (RFC 3875, 4.1.18).
    let kept = |name: &HeaderName| {
        !matches!(name.as_str(), "proxy" | "authorization" | "proxy-authorization" | "content-type" | "content-length")
    };
    for name in visit.parts.headers.keys().filter(|name| kept(name)) {
        let values: Vec<&str> = visit.parts.headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
        let separator = if name == hyper::header::COOKIE { "; " } else { ", " };
        all.push((format!("HTTP_{}", name.as_str().to_ascii_uppercase().replace('-', "_")), values.join(separator)));
    }
    all
}

/// A program at work. Dropped before its end, it is killed with all of its process group.
struct Running {
    child: Child,
}

impl Drop for Running {
    fn drop(&mut self) {
        // A number is there only until the child was waited for, so it is still this group's.
        let pid = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw);
        if let Some(pid) = pid {
            let _ = rustix::process::kill_process_group(pid, rustix::process::Signal::KILL);
        }
    }
}

/// Runs a program and answers with what it prints.
pub async fn run(program: Program) -> Answer {
    let file = program.file.display().to_string();
    match begun(program).await {
        Ok(answer) => answer,
        Err(problem) => {
            tracing::warn!(file, %problem, "a program gave no answer");
            let text = format!("The program “{file}” gave no answer: {problem}. See /usr/local/cpanel/logs/error_log.");
            html(StatusCode::INTERNAL_SERVER_ERROR, pages::message("Internal Server Error", &text))
        }
    }
}

async fn begun(program: Program) -> io::Result<Answer> {
    let (mut running, mut stdout) = start(program)?;
    let mut bytes = BytesMut::new();
    let head = tokio::time::timeout(PATIENCE, read_head(&mut stdout, &mut bytes)).await;
    let (status, headers) = head.map_err(|_| io::Error::other(format!("silent for {} seconds", PATIENCE.as_secs())))??;
    let (send, receive) = mpsc::channel::<io::Result<Bytes>>(4);
    tokio::spawn(async move { pump(&mut running, stdout, bytes.freeze(), send).await });
    let frames = stream::unfold(receive, |mut receive| async move {
        let next = receive.recv().await?;
        Some((next.map(Frame::data), receive))
    });
    let mut response = Response::new(StreamBody::new(frames).boxed_unsync());
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(response)
}

fn start(program: Program) -> io::Result<(Running, ChildStdout)> {
    if let Some(folder) = program.error_log.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let errors = std::fs::OpenOptions::new().append(true).create(true).open(&program.error_log)?;
    let folder = program.file.parent().map_or_else(|| PathBuf::from("/"), PathBuf::from);
    let mut command = Command::new(&program.file);
    command
        .env_clear()
        .envs(program.environment)
        .current_dir(folder)
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(errors);
    match &program.user {
        None => {
            command.env("HOME", "/root").env("USER", "root");
        }
        Some(user) => {
            // The standard library drops the supplementary groups with the uid.
            command.uid(user.uid).gid(user.gid).env("HOME", &user.home).env("USER", &user.name);
        }
    }
    let mut child = command.spawn()?;
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    let running = Running { child };
    let stdout = stdout.ok_or_else(|| io::Error::other("no standard output"))?;
    if let Some(mut pipe) = stdin {
        let body = program.body;
        // A program may end without reading its input.
        tokio::spawn(async move { pipe.write_all(&body).await });
    }
    Ok((running, stdout))
}

/// Reads up to the empty line. What follows it stays in `bytes`.
async fn read_head(stdout: &mut ChildStdout, bytes: &mut BytesMut) -> io::Result<(StatusCode, HeaderMap)> {
    loop {
        if let Some((end, after)) = end_of_head(bytes) {
            let text = String::from_utf8_lossy(&bytes[..end]).into_owned();
            let _ = bytes.split_to(after);
            return understood(&text);
        }
        if bytes.len() > MOST_HEAD {
            return Err(io::Error::other("its header does not end"));
        }
        if stdout.read_buf(bytes).await? == 0 {
            return Err(io::Error::other("it ended before its header did"));
        }
    }
}

/// Where the header ends, and where the body begins.
fn end_of_head(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut line = 0;
    for (at, _) in bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n') {
        if matches!(&bytes[line..at], b"" | b"\r") {
            return Some((line, at + 1));
        }
        line = at + 1;
    }
    None
}

fn understood(text: &str) -> io::Result<(StatusCode, HeaderMap)> {
    let bad = |line: &str| io::Error::other(format!("“{line}” is no header line"));
    let mut status = None;
    let mut headers = HeaderMap::new();
    for line in text.lines() {
        let (name, value) = line.split_once(':').ok_or_else(|| bad(line))?;
        let value = value.trim();
        if name.eq_ignore_ascii_case("status") {
            let code = value.split(' ').next().unwrap_or_default();
            status = Some(code.parse::<StatusCode>().map_err(|_| bad(line))?);
            continue;
        }
        let name = HeaderName::try_from(name).map_err(|_| bad(line))?;
        // How the body is framed, and whether the connection stays, is between the server and the browser.
        if matches!(name.as_str(), "connection" | "content-length" | "keep-alive" | "transfer-encoding" | "upgrade") {
            continue;
        }
        headers.append(name, HeaderValue::from_str(value).map_err(|_| bad(line))?);
    }
    if headers.is_empty() {
        return Err(io::Error::other("its header is empty"));
    }
    let usual = if headers.contains_key(hyper::header::LOCATION) { StatusCode::FOUND } else { StatusCode::OK };
    Ok((status.unwrap_or(usual), headers))
}

/// Passes the program's output on as it comes, until it ends, or the browser goes away, or nothing comes for too long.
async fn pump(running: &mut Running, mut stdout: ChildStdout, first: Bytes, send: mpsc::Sender<io::Result<Bytes>>) {
    if !first.is_empty() && send.send(Ok(first)).await.is_err() {
        return;
    }
    let mut bytes = BytesMut::with_capacity(16 << 10);
    let mut patience = SILENCE;
    let mut ended = false;
    loop {
        bytes.reserve(16 << 10);
        tokio::select! {
            () = send.closed() => return,
            read = tokio::time::timeout(patience, stdout.read_buf(&mut bytes)) => match read {
                Ok(Ok(0)) => break,
                Ok(Ok(_)) => {
                    if send.send(Ok(bytes.split().freeze())).await.is_err() {
                        return;
                    }
                }
                Ok(Err(error)) => {
                    let _ = send.send(Err(error)).await;
                    return;
                }
                Err(_) if ended => break,
                Err(_) => {
                    // The connection is cut, so that the browser does not take this for the end.
                    let _ = send.send(Err(io::ErrorKind::TimedOut.into())).await;
                    return;
                }
            },
            _ = running.child.wait(), if !ended => {
                ended = true;
                patience = GRACE;
            }
        }
    }
    drop(send);
    // A program may go on quietly after its answer.
    let _ = tokio::time::timeout(SILENCE, running.child.wait()).await;
}

#[cfg(test)]
mod tests;
