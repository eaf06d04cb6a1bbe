//! Sign-in sessions: one file each in `/var/cpanel/sessions/raw`, named by a hash of the session's name, so that reading
//! the folder gives no one a session.

use serde::{Deserialize, Serialize};

use crate::call::Failure;
use crate::machine::tokens::{self, SESSIONS};
use crate::machine::{Machine, files};

/// How long a session made for somebody else waits for its first use, seconds (WHM documentation, `create_user_session`).
const PENDING: i64 = 15 * 60;
/// How long a session lives without use, seconds.
const IDLE: i64 = 60 * 60;

/// Which of cpsrvd's services a session is for; the names are the API's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Service {
    /// cPanel, 2083.
    Cpaneld,
    /// WHM, 2087.
    Whostmgrd,
    /// Webmail, 2096.
    Webmaild,
}

impl Service {
    /// The service named in an API call.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "cpaneld" => Some(Self::Cpaneld),
            "whostmgrd" => Some(Self::Whostmgrd),
            "webmaild" => Some(Self::Webmaild),
            _ => None,
        }
    }

    /// Its name in API calls.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpaneld => "cpaneld",
            Self::Whostmgrd => "whostmgrd",
            Self::Webmaild => "webmaild",
        }
    }

    /// Its cookie.
    pub fn cookie(self) -> &'static str {
        match self {
            Self::Cpaneld => "cpsession",
            Self::Whostmgrd => "whostmgrsession",
            Self::Webmaild => "webmailsession",
        }
    }

    /// Its TLS port.
    pub fn port(self) -> u16 {
        match self {
            Self::Cpaneld => 2083,
            Self::Whostmgrd => 2087,
            Self::Webmaild => 2096,
        }
    }
}

/// A session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// The system user; for a mailbox its owner.
    pub user: String,
    /// The mailbox, for webmail.
    pub mailbox: Option<String>,
    /// What it is for.
    pub service: Service,
    /// The prefix its URLs need, `/cpsess##########`.
    pub security_token: String,
    /// Made for somebody who has not come yet.
    pub pending: bool,
    /// When it was made, seconds since 1970.
    pub created: i64,
    /// When it was last used.
    pub used: i64,
}

impl Session {
    /// When it ends unless used.
    pub fn expires(&self) -> i64 {
        self.used + if self.pending { PENDING } else { IDLE }
    }
}

fn file(name: &str) -> String {
    format!("{SESSIONS}/{}", tokens::digest(name))
}

/// A new prefix `/cpsess##########`.
fn security_token() -> String {
    use rand::Rng;
    format!("/cpsess{:010}", rand::rng().random_range(0..10_000_000_000_u64))
}

fn save(machine: &Machine, name: &str, session: &Session) -> Result<(), Failure> {
    let text = serde_json::to_string(session).map_err(|error| Failure::new(error.to_string()))?;
    Ok(files::replace(&machine.path(&file(name)), text.as_bytes(), 0o600)?)
}

/// Makes a session and gives its name, which is the secret. A `pending` one is for another person: its first visit signs
/// that person in. `origin` (`CREATE_USER_SESSION` …) becomes part of the name, as in cPanel.
pub fn create(
    machine: &Machine,
    user: &str,
    mailbox: Option<&str>,
    service: Service,
    pending: bool,
    origin: &str,
) -> Result<(String, Session), Failure> {
    let now = tokens::now();
    let session = Session {
        user: user.to_owned(),
        mailbox: mailbox.map(str::to_owned),
        service,
        security_token: security_token(),
        pending,
        created: now,
        used: now,
    };
    let origin = if origin.is_empty() { String::new() } else { format!(":{origin}") };
    let name = format!(
        "{}:{}{origin},{}",
        mailbox.unwrap_or(user),
        tokens::random_text(16),
        tokens::digest(&tokens::random_secret()).get(..32).unwrap_or_default()
    );
    save(machine, &name, &session)?;
    Ok((name, session))
}

/// The live session `name`. An ended one is removed.
pub fn find(machine: &Machine, name: &str) -> Option<Session> {
    let path = machine.path(&file(name));
    let session: Session = serde_json::from_str(&files::read(&path).ok()??).ok()?;
    if session.expires() <= tokens::now() {
        let _ = files::remove(&path);
        return None;
    }
    Some(session)
}

/// Signs in with a session made for somebody: it is used up, and another one with the same prefix takes its place.
pub fn redeem(machine: &Machine, name: &str, session: &Session) -> Result<(String, Session), Failure> {
    end(machine, name)?;
    let (fresh, made) = create(machine, &session.user, session.mailbox.as_deref(), session.service, false, "")?;
    let made = Session { security_token: session.security_token.clone(), ..made };
    save(machine, &fresh, &made)?;
    Ok((fresh, made))
}

/// Notes that a session is in use.
pub fn touch(machine: &Machine, name: &str, session: &Session) -> Result<(), Failure> {
    let now = tokens::now();
    if now - session.used < 60 {
        return Ok(());
    }
    save(machine, name, &Session { used: now, ..session.clone() })
}

/// Ends a session.
pub fn end(machine: &Machine, name: &str) -> Result<(), Failure> {
    Ok(files::remove(&machine.path(&file(name)))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::scratch;

    #[test]
    fn sessions_are_found_by_name_only_and_end_with_their_user() {
        let (_folder, machine) = scratch::machine();
        let (name, session) = create(&machine, "alice", None, Service::Cpaneld, true, "CREATE_USER_SESSION").unwrap();
        assert_eq!(find(&machine, &name), Some(session.clone()));
        assert_eq!(find(&machine, &tokens::digest(&name)), None);
        let (fresh, redeemed) = redeem(&machine, &name, &session).unwrap();
        assert_eq!(find(&machine, &name), None);
        assert!(!redeemed.pending && redeemed.security_token == session.security_token);
        assert_eq!(find(&machine, &fresh), Some(redeemed));
        tokens::forget_sessions(&machine, "alice").unwrap();
        assert_eq!(find(&machine, &fresh), None);
    }
}
