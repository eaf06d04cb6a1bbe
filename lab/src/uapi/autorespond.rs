//! `/usr/local/cpanel/bin/autorespond ADDRESS DIRECTORY`: answers the message on standard input.
//!
//! Exim runs it as the account's user. It answers people, never machines: no null sender, no list, no other automatic mail (RFC 3834),
//! and one sender at most once in the responder's interval.

use std::fs;
use std::io::{self, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::uapi::autoresponders::AutoResponder;

/// How much of the message is looked at, in bytes: the headers are within it.
const HEAD_LIMIT: u64 = 256 << 10;

/// What is known of the message to answer.
#[derive(Debug, Default)]
struct Incoming {
    sender: String,
    subject: String,
    message_id: String,
    automatic: bool,
}

/// Runs with the command line's arguments (without the program's name); the exit code.
pub fn main(arguments: &[String]) -> i32 {
    let [address, directory] = arguments else {
        let _ = writeln!(io::stderr(), "usage: autorespond ADDRESS DIRECTORY < MESSAGE");
        return 64;
    };
    match respond(address, Path::new(directory)) {
        Ok(()) => 0,
        Err(error) => {
            let _ = writeln!(io::stderr(), "autorespond {address}: {error}");
            // EX_TEMPFAIL: Exim tries again; the message itself is delivered apart from this.
            75
        }
    }
}

fn respond(address: &str, directory: &Path) -> io::Result<()> {
    let mut message = Vec::new();
    let mut input = io::stdin().lock();
    input.by_ref().take(HEAD_LIMIT).read_to_end(&mut message)?;
    // The rest is read, so that Exim's pipe does not break.
    io::copy(&mut input, &mut io::sink())?;
    let envelope = std::env::var("SENDER").unwrap_or_default();
    let incoming = Incoming::parse(&String::from_utf8_lossy(&message), &envelope);

    let path = directory.join(address);
    let Ok(text) = fs::read_to_string(&path) else {
        return Ok(());
    };
    let beside = |ending: &str| directory.join(format!("{address}.{ending}"));
    let times = fs::read_to_string(beside("conf")).unwrap_or_default();
    let responder = AutoResponder::parse(&text, &times);
    let now = crate::uapi::now();
    let sent = fs::read_to_string(beside("sent")).unwrap_or_default();
    if !due(&responder, &incoming, address, &sent, now) {
        return Ok(());
    }
    let mut mail = Command::new("/usr/sbin/sendmail").args(["-i", "-f", "<>", &incoming.sender]).stdin(Stdio::piped()).spawn()?;
    if let Some(mut pipe) = mail.stdin.take() {
        pipe.write_all(answer(&responder, &incoming, address).as_bytes())?;
    }
    let status = mail.wait()?;
    if !status.success() {
        return Err(io::Error::other(format!("sendmail: {status}")));
    }
    if responder.interval > 0 {
        let scratch = beside(&format!("sent.{}", std::process::id()));
        fs::write(&scratch, remembered(&sent, &incoming.sender, &responder, now))?;
        fs::rename(scratch, beside("sent"))?;
    }
    Ok(())
}

impl Incoming {
    /// Reads a message's headers. The answer goes to the envelope's sender.
    fn parse(message: &str, envelope: &str) -> Self {
        let message = message.replace("\r\n", "\n");
        let head = message.split_once("\n\n").map_or(&*message, |(head, _)| head);
        let unfolded = head.replace("\n ", " ").replace("\n\t", " ");
        let mut incoming = Self { sender: envelope.trim_matches(['<', '>']).to_owned(), ..Self::default() };
        for (name, value) in unfolded.lines().filter_map(|line| line.split_once(':')) {
            let value = value.trim();
            let word = value.to_ascii_lowercase();
            match &*name.to_ascii_lowercase() {
                "subject" => value.clone_into(&mut incoming.subject),
                "message-id" => value.clone_into(&mut incoming.message_id),
                "auto-submitted" => incoming.automatic |= word != "no",
                "precedence" => {
                    incoming.automatic |= ["bulk", "list", "junk", "auto_reply"].contains(&&*word);
                }
                "x-autorespond" | "x-loop" | "list-id" | "list-unsubscribe" | "feedback-id" => {
                    incoming.automatic = true;
                }
                "x-auto-response-suppress" => incoming.automatic |= word != "none",
                _ => {}
            }
        }
        let local = incoming.sender.split('@').next().unwrap_or_default();
        let local = local.to_ascii_lowercase();
        incoming.automatic |= ["mailer-daemon", "postmaster", "noreply", "no-reply"].contains(&&*local)
            || local.starts_with("owner-")
            || local.ends_with("-request")
            || local.ends_with("-bounces");
        incoming
    }
}

/// Whether to answer now. `sent` holds `time sender` lines of answers given.
fn due(responder: &AutoResponder, incoming: &Incoming, address: &str, sent: &str, now: i64) -> bool {
    let sender = &incoming.sender;
    let plain = sender.contains('@') && !sender.starts_with('-') && !sender.contains(char::is_whitespace);
    if !plain || incoming.automatic || sender.eq_ignore_ascii_case(address) {
        return false;
    }
    if responder.start.is_some_and(|start| now < start) || responder.stop.is_some_and(|stop| now > stop) {
        return false;
    }
    !answers(sent).any(|(time, to)| to.eq_ignore_ascii_case(sender) && now < time.saturating_add(seconds(responder)))
}

fn seconds(responder: &AutoResponder) -> i64 {
    i64::try_from(responder.interval.saturating_mul(3600)).unwrap_or(i64::MAX)
}

fn answers(sent: &str) -> impl Iterator<Item = (i64, &str)> {
    sent.lines().filter_map(|line| line.split_once(' ')).filter_map(|(time, to)| Some((time.parse().ok()?, to)))
}

/// The list of answers with this one; those that no longer matter are dropped.
fn remembered(sent: &str, sender: &str, responder: &AutoResponder, now: i64) -> String {
    let mut text: String = answers(sent)
        .filter(|(time, to)| now < time.saturating_add(seconds(responder)) && !to.eq_ignore_ascii_case(sender))
        .map(|(time, to)| format!("{time} {to}\n"))
        .collect();
    text.push_str(&format!("{now} {sender}\n"));
    text
}

/// The answer as it is sent.
fn answer(responder: &AutoResponder, incoming: &Incoming, address: &str) -> String {
    let filled = |text: &str| {
        text.replace("%subject%", &incoming.subject).replace("%from%", &incoming.sender).replace("%email%", &incoming.sender)
    };
    let filled = AutoResponder {
        subject: filled(&responder.subject).replace(['\n', '\r'], " "),
        body: filled(&responder.body),
        ..responder.clone()
    };
    let mut head = format!(
        "To: <{}>\nAuto-Submitted: auto-replied\nPrecedence: auto_reply\nX-Autorespond: {}\nX-Loop: {address}\n",
        incoming.sender, incoming.subject
    );
    if !incoming.message_id.is_empty() {
        head.push_str(&format!("In-Reply-To: {0}\nReferences: {0}\n", incoming.message_id));
    }
    head.push_str("MIME-Version: 1.0\n");
    head.push_str(&filled.message(address));
    head
}

#[cfg(test)]
mod tests {
    use super::*;

    fn responder() -> AutoResponder {
        AutoResponder {
            from: "Ann".into(),
            subject: "Re: %subject%".into(),
            body: "away".into(),
            charset: "utf-8".into(),
            interval: 2,
            start: Some(100),
            stop: Some(100_000),
            ..AutoResponder::default()
        }
    }

    #[test]
    fn people_are_answered_and_machines_are_not() {
        let ask = |head: &str, sender: &str| {
            let incoming = Incoming::parse(&format!("{head}\n\nhi"), sender);
            due(&responder(), &incoming, "ann@a.test", "", 1000)
        };
        assert!(ask("Subject: x", "bob@b.test"));
        assert!(!ask("Subject: x", ""));
        assert!(!ask("Subject: x", "ann@a.test"));
        assert!(!ask("Subject: x", "MAILER-DAEMON@b.test"));
        assert!(!ask("List-Id: <l.b.test>", "bob@b.test"));
        assert!(!ask("Precedence: bulk", "bob@b.test"));
        assert!(!ask("Auto-Submitted: auto-replied", "bob@b.test"));
        assert!(ask("Auto-Submitted: no", "bob@b.test"));
    }

    #[test]
    fn one_sender_once_in_the_interval() {
        let incoming = Incoming::parse("Subject: x", "bob@b.test");
        let at = |sent: &str, now| due(&responder(), &incoming, "ann@a.test", sent, now);
        let sent = remembered("5 old@b.test\n", "bob@b.test", &responder(), 1000);
        assert!(!at(&sent, 1000 + 7199));
        assert!(at(&sent, 1000 + 7200));
        assert!(!at("", 99) && !at("", 100_001));
    }

    #[test]
    fn the_answer_names_the_subject() {
        let incoming = Incoming::parse("Subject: Hello\nMessage-ID: <1@b>", "bob@b.test");
        let text = answer(&responder(), &incoming, "ann@a.test");
        assert!(text.contains("\nSubject: Re: Hello\n"));
        assert!(text.contains("\nIn-Reply-To: <1@b>\n"));
        assert!(text.ends_with("\n\naway"));
    }
}
