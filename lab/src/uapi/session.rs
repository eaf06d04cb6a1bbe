//! `Session`: webmail sessions for the account and its mailboxes, to be opened by posting `session` to `TOKEN/login` on port 2096.
//!
//! `hostname` is null: webmail is on this server. A session is not bound to `remote_address`.

use serde_json::{Value, json};

use crate::call::{Failure, Reply};
use crate::cpsrvd::session::{self, Service};
use crate::machine::passwords;
use crate::uapi::Context;
use crate::uapi::mailboxes::{Address, Mailboxes};

/// The mailbox `login@domain`, which must exist.
fn mailbox(cx: &Context<'_>) -> Result<Address, Failure> {
    let login = cx.args.need("login")?;
    let domain = cx.args.need("domain")?;
    let local = login.strip_suffix(&format!("@{domain}")).unwrap_or(login);
    let address = Address::parse(cx.account, &format!("{local}@{domain}"))?;
    Mailboxes::open(cx.machine, cx.account)?.need(&address)?;
    Ok(address)
}

fn made(cx: &Context<'_>, mailbox: Option<&str>, origin: &str) -> Reply {
    let (name, session) = session::create(cx.machine, &cx.account.user, mailbox, Service::Webmaild, true, origin)?;
    Ok(json!({
        "hostname": Value::Null,
        "session": name,
        "token": session.security_token,
    })
    .into())
}

/// `create_webmail_session_for_mail_user`.
pub fn for_mail_user(cx: &Context<'_>) -> Reply {
    let address = mailbox(cx)?;
    made(cx, Some(&address.to_string()), "CREATE_WEBMAIL_SESSION_FOR_MAIL_USER")
}

/// `create_webmail_session_for_mail_user_check_password`: only with the mailbox's password, and not while its login is suspended.
pub fn for_mail_user_check_password(cx: &Context<'_>) -> Reply {
    let address = mailbox(cx)?;
    let password = cx.args.need("password")?;
    let hash = Mailboxes::open(cx.machine, cx.account)?.hash(&address)?.unwrap_or_default();
    if !passwords::verify(password, &hash) {
        return Err(Failure::new("The password is incorrect, or the login is suspended."));
    }
    made(cx, Some(&address.to_string()), "CREATE_WEBMAIL_SESSION_FOR_MAIL_USER_CHECK_PASSWORD")
}

/// `create_webmail_session_for_self`.
pub fn for_self(cx: &Context<'_>) -> Reply {
    made(cx, None, "CREATE_WEBMAIL_SESSION_FOR_SELF")
}
