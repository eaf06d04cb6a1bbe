//! `Email`: mailboxes, their passwords and quotas, and what a mail client needs to know.

use serde_json::{Value, json};

use crate::call::{Args, Failure, Outcome, Reply};
use crate::machine::{files, passwords};
use crate::uapi::Context;
use crate::uapi::mailboxes::{Address, MIB, Mailboxes};
use crate::uapi::suspension;

/// `add_pop`: makes a mailbox.
pub fn add_pop(cx: &Context<'_>) -> Reply {
    let boxes = Mailboxes::open(cx.machine, cx.account)?;
    let address = Address::from_args(cx.account, cx.args)?;
    let hash = new_hash(cx)?;
    let quota = wanted_quota(cx, default_quota(cx)?)?;
    if boxes.has(&address)? {
        return Err(Failure::new(format!("The account “{address}” already exists!")));
    }
    if let Some(most) = cx.account.limit("MAXPOP")
        && boxes.all()?.len() as u64 >= most
    {
        return Err(Failure::new(format!("You have reached the maximum number of email accounts that you may have ({most}).")));
    }
    boxes.create(&address, &hash, quota)?;
    Ok(json!(format!("{}+{}", address.local, address.domain)).into())
}

/// `delete_pop`: removes a mailbox, with its messages unless `flags=passwd`.
pub fn delete_pop(cx: &Context<'_>) -> Reply {
    let boxes = Mailboxes::open(cx.machine, cx.account)?;
    let address = Address::from_args(cx.account, cx.args)?;
    boxes.need(&address)?;
    let keep_mail = cx.args.get("flags") == Some("passwd");
    boxes.delete(&address, keep_mail, cx.args.flag("skip_quota"))?;
    let mut outcome = Outcome::from(Value::Null);
    if let Err(failure) = suspension::kick(cx.machine, &[address.to_string()]) {
        outcome.warnings.push(failure.reason);
    }
    Ok(outcome)
}

/// `passwd_pop`: another password, given itself or as a hash. A suspended login stays suspended.
pub fn passwd_pop(cx: &Context<'_>) -> Reply {
    let boxes = Mailboxes::open(cx.machine, cx.account)?;
    let address = Address::from_args(cx.account, cx.args)?;
    boxes.need(&address)?;
    let hash = new_hash(cx)?;
    let suspended = boxes.hash(&address)?.is_some_and(|hash| hash.starts_with('!'));
    let mark = if suspended && !hash.starts_with('!') { "!" } else { "" };
    boxes.set_hash(&address, &format!("{mark}{hash}"))?;
    Ok(Value::Null.into())
}

/// The hash of `password`, or `password_hash` itself; one of them, not both.
fn new_hash(cx: &Context<'_>) -> Result<String, Failure> {
    let given = |key| cx.args.get(key).filter(|value: &&str| !value.is_empty());
    match (given("password"), given("password_hash")) {
        (Some(_), Some(_)) => Err(Failure::new("You cannot use both the “password” and the “password_hash” arguments.")),
        (Some(password), None) => {
            if password.contains(['\0', '\n', '\r']) {
                return Err(Failure::new("A password holds no line breaks."));
            }
            cx.machine.check_strength("pop", password)?;
            passwords::hash(password)
        }
        (None, Some(hash)) if is_hash(hash) => Ok(hash.to_owned()),
        (None, Some(_)) => Err(Failure::new("The “password_hash” argument is not a valid password hash.")),
        (None, None) => Err(Failure::new("Provide the “password” argument.")),
    }
}

/// Whether `text` is a crypt(3) hash: `$id$…` in crypt's alphabet, perhaps locked by a leading `!`.
fn is_hash(text: &str) -> bool {
    let hash = text.strip_prefix('!').unwrap_or(text);
    hash.starts_with('$')
        && hash.matches('$').count() >= 3
        && hash.len() <= 512
        && hash.bytes().all(|b| b.is_ascii_alphanumeric() || b"./$=,-+_".contains(&b))
}

/// The greatest quota the account may give a mailbox, in megabytes; `None` is unlimited.
fn most_quota(cx: &Context<'_>) -> Option<u64> {
    cx.account.limit("MAX_EMAILACCT_QUOTA").filter(|most| *most > 0)
}

/// What a mailbox gets when no quota is named, in bytes: the server's default, at most what the account may give.
fn default_quota(cx: &Context<'_>) -> Result<u64, Failure> {
    let config = files::text(&cx.machine.path("/var/cpanel/cpanel.config"))?;
    let default = config
        .lines()
        .find_map(|line| line.strip_prefix("email_account_quota_default_value="))
        .and_then(|value| value.trim().parse::<u64>().ok())
        .unwrap_or(1024);
    Ok(match most_quota(cx) {
        Some(most) if default == 0 || default > most => most,
        _ => default,
    } * MIB)
}

/// `quota` in bytes, or `default` without one. Refused above what the account may give.
fn wanted_quota(cx: &Context<'_>, default: u64) -> Result<u64, Failure> {
    let megabytes = match cx.args.get("quota") {
        None | Some("") => return Ok(default),
        Some("unlimited") => 0,
        Some(text) => text
            .parse::<u64>()
            .ok()
            .filter(|mb| *mb <= 1 << 32)
            .ok_or_else(|| Failure::new(format!("“{text}” is not a valid quota: give megabytes, or “unlimited”.")))?,
    };
    match most_quota(cx) {
        Some(most) if megabytes == 0 || megabytes > most => {
            Err(Failure::new(format!("Quotas must be between 1 and {most} MB for this account.")))
        }
        _ => Ok(megabytes * MIB),
    }
}

/// `edit_pop_quota`. What is above the account's own maximum is cut to it, as cPanel documents.
pub fn edit_pop_quota(cx: &Context<'_>) -> Reply {
    let boxes = Mailboxes::open(cx.machine, cx.account)?;
    let address = Address::from_args(cx.account, cx.args)?;
    boxes.need(&address)?;
    let bytes = match cx.args.get("quota") {
        None | Some("") => default_quota(cx)?,
        Some("unlimited" | "0") => most_quota(cx).unwrap_or(0) * MIB,
        Some(text) => {
            let bad = || Failure::new(format!("“{text}” is not a valid quota."));
            let megabytes = text.parse::<u64>().map_err(|_| bad())?;
            if megabytes > 1 << 32 {
                return Err(bad());
            }
            megabytes.min(most_quota(cx).unwrap_or(megabytes)) * MIB
        }
    };
    boxes.set_quota(&address, bytes)?;
    Ok(Value::Null.into())
}

/// `get_pop_quota`: megabytes, or bytes with `as_bytes`; 0 is unlimited.
pub fn get_pop_quota(cx: &Context<'_>) -> Reply {
    let boxes = Mailboxes::open(cx.machine, cx.account)?;
    let address = Address::from_args(cx.account, cx.args)?;
    boxes.need(&address)?;
    let bytes = boxes.quota(&address)?;
    let quota = if cx.args.flag("as_bytes") { bytes } else { bytes / MIB };
    Ok(json!(quota).into())
}

/// `verify_password`: 1 or 0.
pub fn verify_password(cx: &Context<'_>) -> Reply {
    let email = cx.args.need("email")?;
    let password = cx.args.need("password")?;
    let hash = if email == cx.account.user {
        cx.machine.shadow_hash(email)
    } else {
        let boxes = Mailboxes::open(cx.machine, cx.account)?;
        let address = Address::from_args(cx.account, cx.args)?;
        boxes.need(&address)?;
        boxes.hash(&address)?
    };
    let good = hash.is_some_and(|hash| passwords::verify(password, &hash));
    Ok(json!(u8::from(good)).into())
}

/// `list_pops`: the main account and every mailbox.
pub fn list_pops(cx: &Context<'_>) -> Reply {
    let boxes = Mailboxes::open(cx.machine, cx.account)?;
    let filter = pattern(cx.args)?;
    let mut pops = Vec::new();
    if !cx.args.flag("skip_main") && filter.is_none_or_matches(&cx.account.user) {
        let locked = cx.machine.shadow_hash(&cx.account.user).is_some_and(|hash| hash.starts_with('!'));
        pops.push(json!({
            "email": cx.account.user,
            "login": "Main Account",
            "suspended_incoming": 0,
            "suspended_login": u8::from(locked),
        }));
    }
    for address in boxes.all()? {
        let name = address.to_string();
        if filter.is_none_or_matches(&name) {
            pops.push(json!({
                "email": name,
                "login": name,
                "suspended_incoming": u8::from(boxes.incoming_suspended(&address)?),
                "suspended_login": u8::from(login_suspended(&boxes, &address)?),
            }));
        }
    }
    Ok(Value::Array(pops).into())
}

fn login_suspended(boxes: &Mailboxes<'_>, address: &Address) -> Result<bool, Failure> {
    Ok(boxes.hash(address)?.is_some_and(|hash| hash.starts_with('!')))
}

/// `list_pops_with_disk`: every mailbox with what it takes and may take.
pub fn list_pops_with_disk(cx: &Context<'_>) -> Reply {
    let boxes = Mailboxes::open(cx.machine, cx.account)?;
    let filter = pattern(cx.args)?;
    let most = cx.args.get("maxaccounts").and_then(|most| most.parse().ok()).filter(|most| *most > 0).unwrap_or(usize::MAX);
    let addresses = match cx.args.get("domain").filter(|domain| !domain.is_empty()) {
        Some(domain) => boxes.in_domain(&cx.account.own_domain(domain)?)?,
        None => boxes.all()?,
    };
    let wanted = cx.args.get("email").filter(|email| !email.is_empty());
    let mut list = Vec::new();
    for address in addresses {
        let name = address.to_string();
        let asked = wanted.is_none_or(|wanted| wanted == address.local || wanted == name);
        if asked && filter.is_none_or_matches(&name) && list.len() < most {
            list.push(with_disk(cx, &boxes, &address)?);
        }
    }
    Ok(Value::Array(list).into())
}

fn with_disk(cx: &Context<'_>, boxes: &Mailboxes<'_>, address: &Address) -> Result<Value, Failure> {
    let name = address.to_string();
    let quota = boxes.quota(address)?;
    let used = if cx.args.flag("no_disk") { 0 } else { boxes.home.mail_bytes(&address.maildir())? };
    let incoming = boxes.incoming_suspended(address)?;
    let login = login_suspended(boxes, address)?;
    let percent = if quota == 0 { 0.0 } else { hundredths(as_float(used) * 100.0 / as_float(quota)) };
    let whole = percent.floor();
    let unlimited = match cx.args.get("infinityimg").filter(|image| !image.is_empty()) {
        Some(image) => format!("<img src=\"{}\" border=\"0\"/>", html(image)),
        None if cx.args.flag("infinitylang") => "∞".to_owned(),
        None => "unlimited".to_owned(),
    };
    let megabytes = json!(quota / MIB);
    Ok(json!({
        "_diskquota": quota,
        "_diskused": used,
        "diskquota": if quota == 0 { json!(unlimited) } else { megabytes.clone() },
        "diskused": number(hundredths(as_float(used) / as_float(MIB))),
        "diskusedpercent": number(whole),
        "diskusedpercent20": number((whole / 5.0).round() * 5.0),
        "diskusedpercent_float": number(percent),
        "domain": address.domain,
        "email": name,
        "has_suspended": u8::from(incoming || login),
        "hold_outgoing": 0,
        "humandiskquota": if quota == 0 { json!("None") } else { json!(human(quota)) },
        "humandiskused": human(used),
        "login": name,
        "mtime": boxes.home.changed(&address.maildir())?.unwrap_or(0),
        "suspended_incoming": u8::from(incoming),
        "suspended_login": u8::from(login),
        "suspended_outgoing": 0,
        "txtdiskquota": if quota == 0 { json!("unlimited") } else { megabytes },
        "user": address.local,
    }))
}

/// Sizes here are far below the 2^53 that a float holds exactly.
#[expect(clippy::cast_precision_loss, reason = "sizes of mailboxes")]
fn as_float(bytes: u64) -> f64 {
    bytes as f64
}

fn hundredths(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

/// A JSON number without a fraction where there is none.
#[expect(clippy::cast_possible_truncation, reason = "checked to be whole and small")]
fn number(value: f64) -> Value {
    if value.fract() == 0.0 && value.abs() < 1e15 { json!(value as i64) } else { json!(value) }
}

/// A size for people, with the no-break space cPanel puts before the unit.
pub fn human(bytes: u64) -> String {
    let mut value = as_float(bytes);
    for unit in ["bytes", "KB", "MB", "GB"] {
        if value < 1024.0 {
            let text = if unit == "bytes" { format!("{bytes}") } else { format!("{}", hundredths(value)) };
            return format!("{text}\u{a0}{unit}");
        }
        value /= 1024.0;
    }
    format!("{}\u{a0}TB", hundredths(value))
}

/// Text safe inside HTML.
pub fn html(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}

/// The `regex` argument of list functions.
#[derive(Debug, Default)]
pub struct Pattern(Option<regex::Regex>);

impl Pattern {
    /// Whether `text` matches, or everything does because no pattern was given.
    pub fn is_none_or_matches(&self, text: &str) -> bool {
        self.0.as_ref().is_none_or(|regex| regex.is_match(text))
    }
}

/// Reads `regex`. What only Perl's expressions can say (look-around, back-references) is refused by name.
///
/// # Errors
/// When it is no regular expression.
pub fn pattern(args: &Args) -> Result<Pattern, Failure> {
    let Some(text) = args.get("regex").filter(|text| !text.is_empty()) else {
        return Ok(Pattern(None));
    };
    let regex = regex::RegexBuilder::new(text)
        .case_insensitive(true)
        .size_limit(1 << 20)
        .build()
        .map_err(|error| Failure::new(format!("The “regex” argument is not supported: {error}")))?;
    Ok(Pattern(Some(regex)))
}

/// `count_pops`.
pub fn count_pops(cx: &Context<'_>) -> Reply {
    let boxes = Mailboxes::open(cx.machine, cx.account)?;
    Ok(json!(boxes.all()?.len()).into())
}

/// `get_main_account_disk_usage_bytes`.
pub fn main_usage_bytes(cx: &Context<'_>) -> Reply {
    let boxes = Mailboxes::open(cx.machine, cx.account)?;
    Ok(json!(boxes.main_bytes()?).into())
}

/// `get_main_account_disk_usage`.
pub fn main_usage(cx: &Context<'_>) -> Reply {
    let boxes = Mailboxes::open(cx.machine, cx.account)?;
    Ok(json!(human(boxes.main_bytes()?)).into())
}

/// `get_disk_usage` of one mailbox, in megabytes.
pub fn get_disk_usage(cx: &Context<'_>) -> Reply {
    let boxes = Mailboxes::open(cx.machine, cx.account)?;
    let email = cx.args.need("user")?;
    let domain = cx.args.need("domain")?;
    let local = email.split('@').next().unwrap_or_default();
    let address = Address::parse(cx.account, &format!("{local}@{domain}"))?;
    boxes.need(&address)?;
    let used = boxes.home.mail_bytes(&address.maildir())?;
    Ok(json!({
        "diskused": number(hundredths(as_float(used) / as_float(MIB))),
        "domain": address.domain,
        "login": address.to_string(),
        "user": address.local,
    })
    .into())
}

/// `get_client_settings`: where and how a mail client signs in.
pub fn get_client_settings(cx: &Context<'_>) -> Reply {
    let given =
        cx.args.get("account").or_else(|| cx.args.get("email")).filter(|account| !account.is_empty()).unwrap_or(&cx.account.user);
    let (account, domain) = if given == cx.account.user {
        (given.to_owned(), cx.account.main_domain().to_owned())
    } else {
        let address = Address::parse(cx.account, given)?;
        Mailboxes::open(cx.machine, cx.account)?.need(&address)?;
        (address.to_string(), address.domain)
    };
    let host = format!("mail.{domain}");
    Ok(json!({
        "account": account,
        "activesync_available": 0,
        "display": account,
        "domain": domain,
        "from_archiving": 0,
        "has_plaintext_authentication": 0,
        "inbox_host": host,
        "inbox_insecure_port": 143,
        "inbox_port": 993,
        "inbox_service": "imap",
        "inbox_username": account,
        "mail_domain": host,
        "smtp_host": host,
        "smtp_insecure_port": 25,
        "smtp_port": 465,
        "smtp_username": account,
    })
    .into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_as_cpanel_writes_them() {
        assert_eq!(human(483), "483\u{a0}bytes");
        assert_eq!(human(20_379), "19.9\u{a0}KB");
        assert_eq!(human(5 * MIB), "5\u{a0}MB");
    }

    #[test]
    fn only_crypt_hashes_pass() {
        assert!(is_hash("$6$salt$abc/."));
        assert!(is_hash("$6$rounds=5000$salt$abc"));
        assert!(is_hash("!$y$j9T$abc$def"));
        for bad in ["", "secret", "$6$salt", "$6$a$b:0", "$6$a$b\nroot"] {
            assert!(!is_hash(bad), "{bad}");
        }
    }
}
