//! The standard hooks: what is registered with cPanel, and what happens when cPanel calls.
//!
//! cPanel's contract (<https://api.docs.cpanel.net/guides/guide-to-standardized-hooks/>, script hook action code): `--describe` prints a
//! JSON array of hooks; for an event one JSON document `{context, data, hook}` comes on standard input, and one line `1 message` or
//! `0 message` goes to standard output. An event is vetoed only by a hook that was registered as blocking for the stage `pre` and whose
//! line holds the word `BAILOUT`. No meaning of the exit code is documented, so it is always 0.
//!
//! The hook itself decides nothing: it asks `serve`, with a deadline. What happens to an event when `serve` is silent is in the
//! table `hooks/hooks.json`, with the reason.

mod answer;
mod event;

pub use answer::Line;
pub use event::{MAX_DOCUMENT, read_document};

use crate::error::{Code, Error, Result};
use crate::wire::{AdminCall, Client, HookAnswer};
use serde::Deserialize;
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

/// The launcher that is registered with cPanel.
pub const LAUNCHER: &str = "/usr/local/cpanel/3rdparty/bin/linked-nodes-hook";
/// Where `serve` leaves this server's role for those who cannot ask it: `child PARENT`, `parent` or `unlinked`.
pub const ROLE_FILE: &str = "/var/lib/linked-nodes/role";
/// How long cPanel waits for us at most, all in all.
pub const DEADLINE: Duration = Duration::from_millis(2000);

const TABLE: &str = include_str!("../hooks/hooks.json");

/// One event that the product hears.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hook {
    /// cPanel's category, for example `Whostmgr`.
    pub category: String,
    /// cPanel's event; case matters.
    pub event: String,
    /// `pre` or `post`.
    pub stage: String,
    /// Whether the hook may veto the event.
    #[serde(default)]
    pub blocking: bool,
    /// What becomes of the event when `serve` does not answer.
    pub without_serve: WithoutServe,
    /// Only a new name or main domain is stopped, nothing else that the event may be.
    #[serde(default)]
    pub only_renames: bool,
    /// Why that is right; told to the person who meets it.
    pub because: String,
}

/// What becomes of an event when `serve` does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WithoutServe {
    /// It goes on.
    Proceed,
    /// It is stopped, unless this server is known to be linked to nobody.
    Stop,
}

/// The events the product hears.
///
/// # Errors
/// When the embedded table is broken, which a test excludes.
pub fn table() -> Result<Vec<Hook>> {
    serde_json::from_str(TABLE).map_err(|cause| Error::machine("reading the table of hooks", cause))
}

/// What `--describe` prints: the hooks as `manage_hooks` reads them.
///
/// # Errors
/// As [`table`].
pub fn describe() -> Result<Value> {
    let hooks = table()?;
    Ok(Value::Array(
        hooks
            .iter()
            .map(|hook| {
                let mut described = json!({
                    "category": hook.category,
                    "event": hook.event,
                    "stage": hook.stage,
                    "hook": action(hook),
                    "exectype": "script",
                    "notes": "Linked Nodes",
                });
                if hook.blocking {
                    described["blocking"] = json!(1);
                }
                if hook.category == "Cpanel" {
                    // cPanel runs these as the account's user, whom serve does not hear.
                    described["escalateprivs"] = json!(1);
                }
                described
            })
            .collect(),
    ))
}

/// What cPanel starts for a hook: the launcher with the event as switches.
pub fn action(hook: &Hook) -> String {
    format!("{LAUNCHER} --category={} --event={} --stage={}", hook.category, hook.event, hook.stage)
}

/// Answers one event: asks `serve` on `socket` and falls back to the table. Never fails: a hook always has a line.
pub async fn hear(hook: &Hook, document: Result<Value>, socket: &Path, role_file: &Path, left: Duration) -> Line {
    // Asked of what came, so that it can be said without serve too.
    let stops = !hook.only_renames || document.as_ref().map_or(true, |document| event::renames(&document["data"]));
    let answered = match document {
        Ok(document) => {
            let asking = ask(hook, event::for_serve(document), socket);
            tokio::time::timeout(left, asking).await.unwrap_or_else(|_| {
                Err(Error::new(Code::NotSent, format!("linked-nodes serve did not answer within {} ms.", left.as_millis())))
            })
        }
        Err(error) => Err(error),
    };
    match answered {
        Ok(HookAnswer { proceed: true, message }) => Line::proceed(&message),
        Ok(HookAnswer { proceed: false, message }) => Line::refuse(hook.blocking, &message),
        Err(error) if !stops => Line::trouble(&format!(
            "Linked Nodes: {} It is neither renamed nor moved; what changes is followed later.",
            error.message
        )),
        Err(error) => without_serve(hook, &error, std::fs::read_to_string(role_file).ok().as_deref()),
    }
}

async fn ask(hook: &Hook, data: Value, socket: &Path) -> Result<HookAnswer> {
    let call = AdminCall::Hook { category: hook.category.clone(), event: hook.event.clone(), stage: hook.stage.clone(), data };
    Client::connect(socket).await?.call(&call).await
}

/// The line when `serve` has no answer: by the table, and always onward on a server that is linked to nobody.
fn without_serve(hook: &Hook, error: &Error, role: Option<&str>) -> Line {
    let unlinked = role.is_some_and(|role| role.trim() == "unlinked");
    match hook.without_serve {
        WithoutServe::Stop if !unlinked => Line::refuse(
            hook.blocking,
            &format!(
                "Linked Nodes cannot judge this now: {} {} Start it (linked-nodes doctor) and try again.",
                error.message, hook.because
            ),
        ),
        WithoutServe::Stop => Line::proceed("Linked Nodes: this server is linked to nobody"),
        WithoutServe::Proceed => Line::trouble(&format!("Linked Nodes: {} {}", error.message, hook.because)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;
    use tokio::io::BufReader;
    use tokio::net::UnixListener;

    fn hook(stage: &str) -> Hook {
        table().unwrap().into_iter().find(|hook| hook.event == "Accounts::Remove" && hook.stage == stage).unwrap()
    }

    fn read(text: &[u8]) -> Result<Value> {
        read_document(Cursor::new(text.to_vec()))
    }

    async fn alone(hook: &Hook, document: Result<Value>, role: Option<&str>) -> String {
        let room = tempfile::tempdir().unwrap();
        let role_file = room.path().join("role");
        if let Some(role) = role {
            std::fs::write(&role_file, role).unwrap();
        }
        hear(hook, document, &room.path().join("none.sock"), &role_file, DEADLINE).await.to_string()
    }

    #[test]
    fn the_description_is_what_manage_hooks_reads() {
        let described = describe().unwrap();
        for hook in described.as_array().unwrap() {
            for key in ["category", "event", "stage", "hook", "exectype"] {
                assert!(hook[key].is_string(), "{hook}");
            }
            assert!(hook["hook"].as_str().unwrap().starts_with(LAUNCHER));
            assert!(hook.get("blocking").is_none() || hook["stage"] == "pre", "only pre can block: {hook}");
        }
        assert!(table().unwrap().iter().all(|hook| hook.without_serve == WithoutServe::Proceed || hook.blocking));
    }

    #[tokio::test]
    async fn a_dead_serve_stops_a_removal_unless_the_server_is_linked_to_nobody() {
        let document = || read(br#"{"context":{},"data":{"user":"bob"},"hook":{}}"#);
        assert!(alone(&hook("pre"), document(), Some("parent\n")).await.starts_with("0 BAILOUT "));
        assert!(alone(&hook("pre"), document(), None).await.starts_with("0 BAILOUT "));
        assert!(alone(&hook("pre"), document(), Some("unlinked\n")).await.starts_with("1 "));
        let post = alone(&hook("post"), document(), Some("parent\n")).await;
        assert!(post.starts_with("0 ") && !post.contains("BAILOUT"), "{post}");
    }

    #[tokio::test]
    async fn garbage_gets_the_answer_of_a_dead_serve() {
        for garbage in [&b""[..], b"{", b"not json", b"[1,2]", b"{\"data\":", b"\xff\xfe\x00"] {
            assert!(alone(&hook("pre"), read(garbage), Some("parent")).await.starts_with("0 BAILOUT "), "{garbage:?}");
            assert!(!alone(&hook("post"), read(garbage), Some("parent")).await.contains("BAILOUT"));
        }
        let mut long = br#"{"data":{"user":"bob","pad":""#.to_vec();
        long.resize(usize::try_from(MAX_DOCUMENT).unwrap() + 2, b'x');
        assert!(alone(&hook("pre"), read(&long), Some("parent")).await.contains("too long"));
    }

    #[tokio::test]
    async fn serve_decides_and_never_sees_a_password() {
        let room = tempfile::tempdir().unwrap();
        let socket = room.path().join("admin.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let serve = tokio::spawn(async move {
            let mut stream = BufReader::new(listener.accept().await.unwrap().0);
            let call: Value = crate::wire::read_line(&mut stream).await.unwrap().unwrap();
            let answer = json!({"ok": {"proceed": false, "message": "bob's mail\nlives on mail1"}});
            crate::wire::write_line(&mut stream, &answer).await.unwrap();
            call
        });
        let document = read(br#"{"data":{"user":"bob","pass":"s3cret","nested":[{"Password":"s3cret"}],"maxpassengerapps":4}}"#);
        let line = hear(&hook("pre"), document, &socket, room.path(), DEADLINE).await;
        assert_eq!(line.to_string(), "0 BAILOUT bob's mail lives on mail1");
        let call = serve.await.unwrap();
        assert!(!call.to_string().contains("s3cret"), "{call}");
        assert_eq!(call["data"], json!({"user": "bob", "nested": [{}], "maxpassengerapps": 4}));
    }

    #[tokio::test]
    async fn a_serve_that_hangs_is_not_waited_for() {
        let room = tempfile::tempdir().unwrap();
        let socket = room.path().join("admin.sock");
        let _listener = UnixListener::bind(&socket).unwrap();
        let begun = std::time::Instant::now();
        let line = hear(&hook("pre"), read(br#"{"data":{}}"#), &socket, room.path(), Duration::from_millis(50)).await;
        assert!(line.to_string().starts_with("0 BAILOUT "), "{line}");
        assert!(begun.elapsed() < DEADLINE);
    }
}
