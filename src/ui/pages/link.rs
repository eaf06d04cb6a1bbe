//! Linking a server: first who it is, then, when its certificate is known, what proves us to it. A secret is asked for only after the
//! certificate was seen, is used at once, and never comes back in a page.

use super::{Frame, Here, html, said};
use crate::error::{Code, Error, Result};
use crate::rules::names;
use crate::ui::answer::Answer;
use crate::ui::format::{When, fingerprint};
use crate::wire::{AdminCall, CertificateView, CheckView, Credential, LinkReport, NoteLine, PageNote, Tls};
use askama::Template;

#[derive(Template)]
#[template(path = "link.html")]
struct Link {
    frame: Frame,
    hostname: String,
    alias: String,
    username: String,
    by_password: bool,
    shown: Option<Shown>,
    /// What went wrong.
    wrong: Option<PageNote>,
}

/// A certificate, ready to be shown.
struct Shown {
    fingerprint: String,
    pairs: String,
    subject: String,
    issuer: String,
    names: Vec<String>,
    from: When,
    until: When,
    distrust: Option<String>,
}

impl Shown {
    fn of(view: CertificateView, now: i64) -> Self {
        Self {
            pairs: fingerprint(&view.fingerprint),
            fingerprint: view.fingerprint,
            subject: view.subject,
            issuer: view.issuer,
            names: view.names,
            from: When::seconds(view.not_before, now),
            until: When::seconds(view.not_after, now),
            distrust: view.distrust,
        }
    }
}

/// The first step.
pub fn show(here: &Here<'_>) -> Result<Answer> {
    page(here, 200, None, None)
}

fn page(here: &Here<'_>, status: u16, shown: Option<Shown>, wrong: Option<PageNote>) -> Result<Answer> {
    let given = |name: &str| here.request.form(name).unwrap_or_default().trim().to_owned();
    let username = given("username");
    html(
        status,
        &Link {
            frame: here.frame("Link a server", "nodes"),
            hostname: given("hostname"),
            alias: given("alias"),
            username: if username.is_empty() { "root".to_owned() } else { username },
            by_password: given("by") == "password",
            shown,
            wrong,
        },
    )
}

/// Looks at the server, or links it.
pub async fn change(here: &Here<'_>) -> Result<Answer> {
    let hostname = here.request.form("hostname").unwrap_or_default().trim().to_owned();
    let alias = here.request.form("alias").unwrap_or_default().trim().to_owned();
    if let Err(error) = names::hostname(&hostname).and_then(|_| names::alias(&alias)) {
        return page(here, 422, None, Some(super::error_note("These names cannot be used.", &error)));
    }
    let certificate: Result<CertificateView> = here.means.act(AdminCall::NodeProbe { hostname: hostname.clone() }).await;
    let shown = match certificate {
        Ok(view) => Shown::of(view, here.now),
        Err(error) => return page(here, 422, None, Some(super::error_note("The server was not seen.", &error))),
    };
    if here.request.form("do") == Some("link") {
        link(here, hostname, alias, shown).await
    } else {
        page(here, 200, Some(shown), None)
    }
}

async fn link(here: &Here<'_>, hostname: String, alias: String, shown: Shown) -> Result<Answer> {
    let given = here.request.form("fingerprint").unwrap_or_default();
    if given != shown.fingerprint {
        let text = "The server shows another certificate than a moment ago. Look at it again before you go on.";
        return page(here, 422, Some(shown), Some(said(false, text)));
    }
    let tls = match (&shown.distrust, here.request.form("confirm")) {
        (None, _) => Tls::Verified,
        (Some(_), Some("yes")) => Tls::Pinned(shown.fingerprint.clone()),
        (Some(_), _) => {
            return page(
                here,
                422,
                Some(shown),
                Some(said(false, "Confirm the certificate, or give the server one that this system trusts.")),
            );
        }
    };
    let secret = here.request.form("secret").unwrap_or_default().to_owned();
    if secret.trim().is_empty() {
        return page(here, 422, Some(shown), Some(said(false, "Give an API token or a password of the server.")));
    }
    let credential = match here.request.form("by") {
        Some("password") => Credential::Password(secret),
        _ => Credential::Token(secret.trim().to_owned()),
    };
    let username = here.request.form("username").map_or("root", str::trim).to_owned();
    let call = AdminCall::NodeLink { alias: alias.clone(), hostname, username, credential, tls };
    let report: LinkReport = match here.means.act(call).await {
        Ok(report) => report,
        Err(error) => {
            return page(
                here,
                422,
                Some(shown),
                Some(super::error_note("The server was not linked. Nothing was changed.", &error)),
            );
        }
    };
    let lines = report.checks.into_iter().map(check_line);
    match report.error {
        None => {
            let note = PageNote { good: true, title: format!("“{alias}” is linked."), lines: lines.collect() };
            here.see(&[("page", "node"), ("alias", &alias)], note).await
        }
        Some(error) => {
            let mut lines: Vec<NoteLine> = lines.collect();
            lines.push(super::error_line("", &error));
            let note = PageNote { good: false, title: "The server was not linked. Nothing was changed.".into(), lines };
            page(here, 422, Some(shown), Some(note))
        }
    }
}

fn check_line(check: CheckView) -> NoteLine {
    NoteLine { passed: check.passed, name: check.name, text: check.found }
}

/// For actions that need a field.
pub fn required<'a>(here: &'a Here<'_>, name: &str) -> Result<&'a str> {
    let given = here.request.form(name).or_else(|| here.request.query(name)).map(str::trim).filter(|given| !given.is_empty());
    given.ok_or_else(|| Error::new(Code::Invalid, format!("“{name}” is missing.")).hint("Go back and fill it in."))
}
