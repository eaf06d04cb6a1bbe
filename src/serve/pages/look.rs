//! How an account's names look from here: as the zone says them, as the resolver finds them, and what mail programs are shown.

use super::{Serve, lock};
use crate::authority::now_ms;
use crate::panel::{self, dns};
use crate::rules::dns::Record;
use crate::wire::{NameView, ShownCertificate};
use std::collections::{BTreeSet, HashMap};
use std::sync::Mutex;
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// How long a page waits before it shows what was seen last, or nothing yet.
const WAIT: Duration = Duration::from_millis(300);
/// How long a look is shown before it is taken again.
const FRESH: Duration = Duration::from_secs(30);
/// How long looking may take.
const DEADLINE: Duration = Duration::from_secs(4);
/// IMAP over TLS.
const IMAPS: u16 = 993;
/// Webmail over TLS.
const WEBMAIL: u16 = 2096;
/// The most accounts whose looks are kept.
const KEPT: usize = 1000;

/// What was seen.
#[derive(Debug, Clone)]
pub struct Looked {
    /// Unix time, milliseconds.
    pub at_ms: i64,
    /// The names.
    pub names: Vec<NameView>,
    /// The certificates.
    pub certificates: Vec<ShownCertificate>,
}

#[derive(Default)]
struct Look {
    /// What it was taken for: where the mail was. A move makes an older look worthless.
    at: Option<String>,
    begun: Option<Instant>,
    seen: Option<(Instant, Looked)>,
}

/// Looks, taken and under way, by user.
#[derive(Default)]
pub struct Looks {
    taken: Mutex<HashMap<String, Look>>,
    news: Notify,
}

/// What the account's names look like, when that is known; begins to look when it is not, or is old.
pub async fn look(serve: &Serve, user: &str, domain: &str, child: Option<&str>) -> Option<Looked> {
    begin(serve, user, domain, child);
    let deadline = tokio::time::Instant::now() + WAIT;
    loop {
        let news = serve.pages.looks.news.notified();
        let (seen, begun) = {
            let taken = lock(&serve.pages.looks.taken);
            let look = taken.get(user)?;
            (look.seen.as_ref().map(|(_, looked)| looked.clone()), look.begun.is_some())
        };
        if !begun || tokio::time::timeout_at(deadline, news).await.is_err() {
            return seen;
        }
    }
}

fn begin(serve: &Serve, user: &str, domain: &str, child: Option<&str>) {
    {
        let mut taken = lock(&serve.pages.looks.taken);
        if taken.len() >= KEPT {
            taken.retain(|_, look| look.begun.is_some());
        }
        let look = taken.entry(user.to_owned()).or_default();
        if look.at.as_deref() != child {
            *look = Look { at: child.map(str::to_owned), ..Look::default() };
        }
        let fresh = look.seen.as_ref().is_some_and(|(at, _)| at.elapsed() < FRESH);
        if look.begun.is_some() || fresh {
            return;
        }
        look.begun = Some(Instant::now());
    }
    let (serve, user, domain, child) = (serve.clone(), user.to_owned(), domain.to_owned(), child.map(str::to_owned));
    tokio::spawn(async move {
        let looked = take(&serve, &domain, child.as_deref()).await;
        if let Some(look) = lock(&serve.pages.looks.taken).get_mut(&user).filter(|look| look.at == child) {
            (look.begun, look.seen) = (None, Some((Instant::now(), looked)));
        }
        serve.pages.looks.news.notify_waiters();
    });
}

async fn take(serve: &Serve, domain: &str, child: Option<&str>) -> Looked {
    let host = child.unwrap_or(&serve.authority.hostname);
    let wanted = async { resolved(host).await.unwrap_or_default() };
    let zone = async {
        let records = tokio::time::timeout(DEADLINE, dns::records(&serve.authority.own, domain)).await;
        records.ok().and_then(Result::ok)
    };
    let names = [format!("mail.{domain}"), format!("webmail.{domain}")];
    let seen = futures_util::future::join_all(names.iter().map(|name| resolved(name)));
    let shown = futures_util::future::join_all(names.iter().map(|name| certificate(name, host)));
    let (wanted, zone, seen, certificates) = tokio::join!(wanted, zone, seen, shown);
    let names = names
        .into_iter()
        .zip(seen)
        .map(|(name, seen)| NameView {
            published: zone.as_ref().map(|records| published(records, &name)),
            wanted: wanted.clone(),
            seen,
            name,
        })
        .collect();
    Looked { at_ms: now_ms(), names, certificates }
}

/// The certificate that a mail program is shown by `host` when it asks for `name`. Nothing but the handshake is sent.
async fn certificate(name: &str, host: &str) -> ShownCertificate {
    let port = if name.starts_with("webmail.") { WEBMAIL } else { IMAPS };
    let mut shown = ShownCertificate {
        name: name.to_owned(),
        node: host.to_owned(),
        names: Vec::new(),
        issuer: String::new(),
        not_after: None,
        trouble: None,
    };
    let look = async { panel::show_on(panel::connect(host, port).await?, name).await?.view() };
    match tokio::time::timeout(DEADLINE, look).await {
        Ok(Ok(view)) => {
            (shown.names, shown.issuer, shown.not_after) = (view.names, view.issuer, Some(view.not_after));
            shown.trouble = view.distrust;
        }
        Ok(Err(error)) => shown.trouble = Some(error.message),
        Err(_) => shown.trouble = Some(format!("“{host}” showed none within {} s.", DEADLINE.as_secs())),
    }
    shown
}

/// The addresses and targets that a zone holds for a name.
fn published(records: &[Record], name: &str) -> Vec<String> {
    records
        .iter()
        .filter(|record| record.name == name && matches!(record.kind.as_str(), "A" | "AAAA" | "CNAME"))
        .map(|record| format!("{} {}", record.kind, record.data.join(" ")))
        .collect()
}

/// The addresses of a name as this machine's resolver finds them, in order; `None` when it finds none in time.
async fn resolved(name: &str) -> Option<Vec<String>> {
    let found = tokio::time::timeout(DEADLINE, tokio::net::lookup_host((name, 0))).await.ok()?.ok()?;
    let addresses: BTreeSet<String> = found.map(|address| address.ip().to_canonical().to_string()).collect();
    Some(addresses.into_iter().collect())
}
