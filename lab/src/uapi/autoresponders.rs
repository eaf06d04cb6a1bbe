//! `Email`: autoresponders: a pipe in the aliases, the answer in `~/.autorespond/ADDRESS`, its times in `ADDRESS.conf`.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::call::{Args, Failure, Reply};
use crate::uapi::Context;
use crate::uapi::account::Account;
use crate::uapi::aliases::Aliases;
use crate::uapi::home::Home;
use crate::uapi::mailboxes::Address;
use crate::uapi::pops::pattern;

/// The program behind the pipe, at cPanel's place.
pub const PROGRAM: &str = "/usr/local/cpanel/bin/autorespond";

/// Where an account's answers are, below its home directory.
const DIR: &str = ".autorespond";

/// One autoresponder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AutoResponder {
    /// The `From:` name.
    pub from: String,
    /// The subject; `%subject%` stands for the message's own.
    pub subject: String,
    /// The text.
    pub body: String,
    /// Its character set.
    pub charset: String,
    /// Whether the text is HTML.
    pub is_html: bool,
    /// Hours between two answers to one sender; 0 answers every message.
    pub interval: u64,
    /// From when it answers, in Unix time.
    pub start: Option<i64>,
    /// Until when, in Unix time.
    pub stop: Option<i64>,
}

impl AutoResponder {
    /// The answer's file: headers, an empty line, the text.
    pub fn message(&self, address: &str) -> String {
        let kind = if self.is_html { "html" } else { "plain" };
        let from = self.from.replace('\\', "\\\\").replace('"', "\\\"");
        format!(
            "From: \"{from}\" <{address}>\nSubject: {}\nContent-Type: text/{kind}; charset={}\n\n{}",
            self.subject, self.charset, self.body
        )
    }

    /// The file of times.
    pub fn times(&self) -> String {
        let mut text = format!("---\ninterval: {}\n", self.interval);
        for (key, time) in [("start", self.start), ("stop", self.stop)] {
            if let Some(time) = time {
                let _ = writeln!(text, "{key}: {time}");
            }
        }
        text
    }

    /// Reads both files.
    pub fn parse(message: &str, times: &str) -> Self {
        let (head, body) = message.split_once("\n\n").unwrap_or((message, ""));
        let mut responder = Self { body: body.to_owned(), charset: "utf-8".to_owned(), ..Self::default() };
        for (name, value) in head.lines().filter_map(|line| line.split_once(':')) {
            let value = value.trim();
            match &*name.to_ascii_lowercase() {
                "from" => responder.from = display_name(value),
                "subject" => value.clone_into(&mut responder.subject),
                "content-type" => {
                    responder.is_html = value.starts_with("text/html");
                    if let Some((_, charset)) = value.split_once("charset=") {
                        charset.trim().clone_into(&mut responder.charset);
                    }
                }
                _ => {}
            }
        }
        for (name, value) in times.lines().filter_map(|line| line.split_once(':')) {
            let value = value.trim();
            match name.trim() {
                "interval" => responder.interval = value.parse().unwrap_or(0),
                "start" => responder.start = value.parse().ok(),
                "stop" => responder.stop = value.parse().ok(),
                _ => {}
            }
        }
        responder
    }

    /// The answer of `address`; `None` when there is none.
    ///
    /// # Errors
    /// When its files cannot be read safely.
    pub fn load(home: &Home, address: &str) -> std::io::Result<Option<Self>> {
        let Some(message) = home.read(&format!("{DIR}/{address}"))? else {
            return Ok(None);
        };
        let times = home.text(&format!("{DIR}/{address}.conf"))?;
        Ok(Some(Self::parse(&String::from_utf8_lossy(&message), &times)))
    }
}

/// `"Name" <address>` gives Name.
fn display_name(value: &str) -> String {
    let name = value.rsplit_once('<').map_or(value, |(name, _)| name).trim();
    match name.strip_prefix('"').and_then(|name| name.strip_suffix('"')) {
        Some(inside) => inside.replace("\\\"", "\"").replace("\\\\", "\\"),
        None => name.to_owned(),
    }
}

/// The alias that runs an address's autoresponder.
fn pipe(account: &Account, address: &Address) -> String {
    format!("|{PROGRAM} {address} {}/{DIR}", account.home)
}

/// Whether a destination of an alias is an autoresponder.
pub fn is_pipe(destination: &str) -> bool {
    destination.strip_prefix('|').is_some_and(|command| command.trim_start().starts_with(PROGRAM))
}

fn one_line<'a>(args: &'a Args, name: &str) -> Result<&'a str, Failure> {
    let value = args.need(name)?;
    if value.chars().any(char::is_control) {
        return Err(Failure::new(format!("“{name}” is one line of text.")));
    }
    Ok(value)
}

fn time(args: &Args, name: &str) -> Result<Option<i64>, Failure> {
    match args.get(name).map(str::trim) {
        None | Some("" | "0") => Ok(None),
        Some(text) => text.parse().map(Some).map_err(|_| Failure::new(format!("“{text}” is not a valid time for “{name}”."))),
    }
}

/// `add_auto_responder`: makes one, or replaces it.
pub fn add(cx: &Context<'_>) -> Reply {
    let address = Address::from_args(cx.account, cx.args)?;
    let charset = cx.args.get("charset").filter(|set| !set.is_empty()).unwrap_or("utf-8");
    if !charset.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_:.".contains(&b)) {
        return Err(Failure::new(format!("“{charset}” is not a character set.")));
    }
    let interval = cx.args.get("interval").filter(|text| !text.is_empty()).unwrap_or("0");
    let responder = AutoResponder {
        from: one_line(cx.args, "from")?.to_owned(),
        subject: one_line(cx.args, "subject")?.to_owned(),
        body: cx.args.need("body")?.to_owned(),
        charset: charset.to_owned(),
        is_html: cx.args.flag("is_html"),
        interval: interval.parse().map_err(|_| Failure::new(format!("“{interval}” is not a number of hours.")))?,
        start: time(cx.args, "start")?,
        stop: time(cx.args, "stop")?,
    };
    if let (Some(start), Some(stop)) = (responder.start, responder.stop)
        && stop <= start
    {
        return Err(Failure::new("The “stop” time must be after the “start” time."));
    }
    let home = cx.account.open_home(cx.machine)?;
    home.make_dir(DIR, 0o700, None)?;
    let name = format!("{DIR}/{address}");
    let message = responder.message(&address.to_string());
    home.write(&format!("{name}.conf"), responder.times().as_bytes(), 0o600, None)?;
    home.write(&name, message.as_bytes(), 0o600, None)?;
    home.remove_file(&format!("{name}.sent"))?;
    let mut aliases = Aliases::load(cx.machine, &address.domain)?;
    if aliases.add(&address.to_string(), &pipe(cx.account, &address)) {
        aliases.save(cx.machine, cx.account, &address.domain)?;
    }
    Ok(Value::Null.into())
}

/// `get_auto_responder`.
pub fn get(cx: &Context<'_>) -> Reply {
    let address = Address::from_args(cx.account, cx.args)?;
    let home = cx.account.open_home(cx.machine)?;
    let responder = AutoResponder::load(&home, &address.to_string())?.ok_or_else(|| absent(&address))?;
    Ok(json!({
        "body": responder.body,
        "charset": responder.charset,
        "from": responder.from,
        "interval": responder.interval,
        "is_html": u8::from(responder.is_html),
        "start": responder.start,
        "stop": responder.stop,
        "subject": responder.subject,
    })
    .into())
}

fn absent(address: &Address) -> Failure {
    Failure::new(format!("“{address}” has no autoresponder."))
}

/// Addresses of `domain` that have an autoresponder.
fn in_domain(cx: &Context<'_>, domain: &str) -> Result<Vec<Address>, Failure> {
    let aliases = Aliases::load(cx.machine, domain)?;
    let mut found: Vec<Address> = aliases
        .pairs()
        .filter(|(_, to)| is_pipe(to))
        .filter_map(|(address, _)| Address::parse(cx.account, address).ok())
        .collect();
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

/// `list_auto_responders` of a domain.
pub fn list(cx: &Context<'_>) -> Reply {
    let domain = cx.account.own_domain(cx.args.need("domain")?)?;
    let filter = pattern(cx.args)?;
    let home = cx.account.open_home(cx.machine)?;
    let own = cx.caller.mailbox.as_deref();
    let mut list = Vec::new();
    for address in in_domain(cx, &domain)? {
        let name = address.to_string();
        if own.is_none_or(|own| own.eq_ignore_ascii_case(&name)) && filter.is_none_or_matches(&name) {
            let subject = AutoResponder::load(&home, &name)?.map_or(String::new(), |it| it.subject);
            list.push(json!({"email": name, "subject": subject}));
        }
    }
    Ok(Value::Array(list).into())
}

/// `count_auto_responders`.
pub fn count(cx: &Context<'_>) -> Reply {
    let mut count = 0;
    for domain in &cx.account.domains {
        count += in_domain(cx, domain)?.len();
    }
    Ok(json!(count).into())
}

/// `delete_auto_responder`.
pub fn delete(cx: &Context<'_>) -> Reply {
    let address = Address::from_args(cx.account, cx.args)?;
    let home = cx.account.open_home(cx.machine)?;
    let mut aliases = Aliases::load(cx.machine, &address.domain)?;
    let name = address.to_string();
    let pipes: Vec<String> = aliases
        .pairs()
        .filter(|(from, to)| from.eq_ignore_ascii_case(&name) && is_pipe(to))
        .map(|(_, to)| to.to_owned())
        .collect();
    if pipes.is_empty() && AutoResponder::load(&home, &name)?.is_none() {
        return Err(absent(&address));
    }
    for pipe in &pipes {
        aliases.remove(&name, pipe);
    }
    aliases.save(cx.machine, cx.account, &address.domain)?;
    for ending in ["", ".conf", ".sent"] {
        home.remove_file(&format!("{DIR}/{name}{ending}"))?;
    }
    Ok(Value::Null.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_give_back_what_was_stored() {
        let responder = AutoResponder {
            from: "Ann \"A\" Lee".into(),
            subject: "Away: %subject%".into(),
            body: "I am away.\n\nBack soon.\n".into(),
            charset: "UTF-8".into(),
            is_html: true,
            interval: 24,
            start: Some(10),
            stop: None,
        };
        let message = responder.message("ann@a.test");
        assert_eq!(AutoResponder::parse(&message, &responder.times()), responder);
    }
}
