//! What a request asks of cpsrvd, as cpsrvd will understand it: one pure function, so that the guard judges what will be acted on.
//!
//! Several spellings mean the same call; each is brought to one [`Target`]. A spelling that two readers could take for different calls is
//! [`Unclear`]: a child refuses it, a parent leaves it to cpsrvd.

use super::params::{Found, base_name, decode, first};
use crate::rules::verdict;
use crate::wire::Params;
use serde_json::Value;

/// The service a port belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Service {
    /// 2086 and 2087.
    Whm,
    /// 2082 and 2083.
    Cpanel,
    /// 2095 and 2096.
    Webmail,
}

/// How an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `/json-api/`
    Json,
    /// `/xml-api/`
    Xml,
}

/// The version of the WHM API a call asks for: without `api.version=1` the older shapes come back (F5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhmVersion {
    /// The older shapes.
    Zero,
    /// `data` and `metadata`.
    One,
}

/// The version of the cPanel API behind `/json-api/cpanel` (F5.3; 2 unless said).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CpanelVersion {
    /// API 1.
    One,
    /// API 2.
    Two,
    /// UAPI, wrapped.
    Three,
}

/// A request that readers could take for different calls. Says why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unclear(pub &'static str);

/// What the path alone says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shape {
    /// `/json-api/FUNCTION` or `/xml-api/FUNCTION`.
    Api {
        /// How the answer is written.
        format: Format,
        /// The function.
        function: String,
    },
    /// `/execute/MODULE/FUNCTION`.
    Execute {
        /// The module.
        module: String,
        /// The function.
        function: String,
    },
    /// Signing in.
    Login,
    /// The channel between nodes.
    AgentChannel,
    /// Anything else.
    Page(String),
}

/// A path, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The `/cpsess…` prefix of a login session.
    pub session: Option<String>,
    /// What the rest says.
    pub shape: Shape,
}

/// One call of a `batch`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// The WHM function.
    pub function: String,
    /// What it asks.
    pub kind: Kind,
    /// Its arguments, all of them.
    pub raw: Params,
    /// Its arguments without what only selects the call.
    pub params: Params,
    /// What a more forgiving reader might see as well.
    pub also: Params,
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A WHM function that stands for itself.
    Whm {
        /// The function.
        function: String,
        /// The shapes asked for.
        version: WhmVersion,
        /// How the answer is written.
        format: Format,
    },
    /// `batch`: several WHM calls.
    Batch {
        /// The calls, in order.
        commands: Vec<Command>,
        /// Calls that only a more forgiving reader would see.
        hidden: Vec<Command>,
        /// Whether the first failure ends it.
        abort_on_error: bool,
        /// How the answer is written.
        format: Format,
    },
    /// `uapi_cpanel`: UAPI through WHM.
    UapiCpanel {
        /// The account.
        user: String,
        /// The module.
        module: String,
        /// The function.
        function: String,
        /// How the answer is written.
        format: Format,
    },
    /// `/json-api/cpanel`, through WHM or on the cPanel ports.
    Cpanel {
        /// The account; on the cPanel ports it may be left out.
        user: Option<String>,
        /// Which API.
        version: CpanelVersion,
        /// The module.
        module: String,
        /// The function.
        function: String,
        /// How the answer is written.
        format: Format,
    },
    /// `/execute/…`
    Uapi {
        /// The module.
        module: String,
        /// The function.
        function: String,
    },
    /// Signing in.
    Login,
    /// The channel between nodes.
    AgentChannel,
    /// Anything else.
    Page(String),
}

/// A request, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The service.
    pub service: Service,
    /// The `/cpsess…` prefix of a login session.
    pub session: Option<String>,
    /// What is asked.
    pub kind: Kind,
    /// The call's own arguments: query, then body; what only selects the call is taken out.
    pub params: Params,
    /// What a more forgiving reader might see as well.
    pub also: Params,
    /// Whether an argument was not UTF-8.
    pub odd: bool,
}

/// A request as it came.
#[derive(Debug, Clone, Copy)]
pub struct Raw<'a> {
    /// The service of the port it came to.
    pub service: Service,
    /// The path, as sent.
    pub path: &'a str,
    /// The query, as sent.
    pub query: Option<&'a str>,
    /// The body's type.
    pub content_type: Option<&'a str>,
    /// The body; empty when there is none.
    pub body: &'a [u8],
}

/// How deep a `batch` may stand inside another.
const MAX_DEPTH: usize = 8;

/// What the path alone says.
///
/// # Errors
/// [`Unclear`] when readers could take the path for different calls.
pub fn place(raw: &str) -> Result<Place, Unclear> {
    // A reader may decode once, or once too often: each result must mean the same.
    let mut decoded = raw.to_owned();
    let mut agreed: Option<Place> = None;
    for _ in 0..4 {
        let (next, odd) = decode(decoded.as_bytes(), false);
        let place = read_path(&next, odd)?;
        match &agreed {
            Some(before) if *before != place => {
                let both_pages = matches!((&before.shape, &place.shape), (Shape::Page(_), Shape::Page(_)));
                if !both_pages {
                    return Err(Unclear("the path means different things when it is decoded twice"));
                }
            }
            Some(_) => {}
            None => agreed = Some(place),
        }
        if next == decoded {
            break;
        }
        decoded = next;
    }
    agreed.ok_or(Unclear("the path is empty"))
}

/// The first segments of paths that make calls.
fn calls(segment: &str) -> bool {
    ["json-api", "xml-api", "execute", "linked-nodes"].iter().any(|name| segment.eq_ignore_ascii_case(name))
}

fn read_path(path: &str, odd: bool) -> Result<Place, Unclear> {
    let mut segments: Vec<&str> = Vec::new();
    let mut dotted = false;
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                dotted = true;
                segments.pop();
            }
            other => segments.push(other),
        }
    }
    let strange = odd || path.bytes().any(|byte| byte < 0x20 || byte == 0x7f || byte == b'\\');
    let dotted_call = dotted && path.split('/').any(calls);
    let session = segments.first().filter(|first| first.starts_with("cpsess")).map(|first| format!("/{first}"));
    let rest = &segments[usize::from(session.is_some())..];
    let name = |segment: &str| !segment.is_empty() && segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let shape = match rest {
        ["json-api" | "xml-api"] | ["execute"] | ["execute", _] | [] => Shape::Page(format!("/{}", rest.join("/"))),
        [api @ ("json-api" | "xml-api"), function] if name(function) => {
            Shape::Api { format: if *api == "json-api" { Format::Json } else { Format::Xml }, function: (*function).to_owned() }
        }
        ["execute", module, function] if name(module) && name(function) => {
            Shape::Execute { module: (*module).to_owned(), function: (*function).to_owned() }
        }
        ["linked-nodes", "agent"] => Shape::AgentChannel,
        ["login", ..] => Shape::Login,
        // `calls` anywhere else than above: trailing parts, another case, a second session prefix, a prefix before it.
        other if other.iter().any(|segment| calls(segment.split(';').next().unwrap_or(segment))) => {
            return Err(Unclear("the path holds an API call in an unusual place"));
        }
        other => Shape::Page(format!("/{}", other.join("/"))),
    };
    if !matches!(shape, Shape::Page(_)) && strange || dotted_call {
        return Err(Unclear("the path of the API call holds unusual characters"));
    }
    Ok(Place { session, shape })
}

/// What a request asks.
///
/// # Errors
/// [`Unclear`] when readers could take it for different calls.
pub fn normalise(raw: Raw<'_>) -> Result<Target, Unclear> {
    let Place { session, shape } = place(raw.path)?;
    let mut found = Found::default();
    found.form(raw.query.unwrap_or("").as_bytes());
    found.body(raw.content_type, raw.body)?;
    let (kind, params, also) = match shape {
        Shape::Api { format, function } => understand(format, function, found.params, found.also, 0)?,
        Shape::Execute { module, function } => (Kind::Uapi { module, function }, found.params, found.also),
        Shape::Login => (Kind::Login, found.params, found.also),
        Shape::AgentChannel => (Kind::AgentChannel, found.params, found.also),
        Shape::Page(path) => (Kind::Page(path), found.params, found.also),
    };
    Ok(Target { service: raw.service, session, kind, params, also, odd: found.odd })
}

fn understand(
    format: Format,
    function: String,
    mut params: Params,
    also: Params,
    depth: usize,
) -> Result<(Kind, Params, Params), Unclear> {
    // Functions that are decided by their name must not pass under another case of it.
    let lower = function.to_ascii_lowercase();
    if lower != function
        && (matches!(lower.as_str(), "cpanel" | "uapi_cpanel" | "batch" | "create_user_session") || verdict::makes_links(&lower))
    {
        return Err(Unclear("the function is spelled in another case"));
    }
    let kind = match function.as_str() {
        "cpanel" => cpanel(format, &mut params)?,
        "uapi_cpanel" => Kind::UapiCpanel {
            user: select(&mut params, &["cpanel.user"])?.unwrap_or_default(),
            module: select(&mut params, &["cpanel.module"])?.unwrap_or_default(),
            function: select(&mut params, &["cpanel.function"])?.unwrap_or_default(),
            format: drop_version(format, &mut params)?,
        },
        "batch" => {
            if depth >= MAX_DEPTH {
                return Err(Unclear("the batch stands too deep inside others"));
            }
            let abort_on_error = select(&mut params, &["abort_on_error"])?.is_some_and(|value| !value.is_empty() && value != "0");
            let read = |params: &Params| -> Result<Vec<Command>, Unclear> {
                let texts = params.iter().filter(|(name, _)| base_name(name) == "command");
                texts.map(|(_, text)| command(format, text, depth + 1)).collect()
            };
            let (commands, hidden) = (read(&params)?, read(&also)?);
            Kind::Batch { commands, hidden, abort_on_error, format: drop_version(format, &mut params)? }
        }
        _ => {
            let version = match select(&mut params, &["api.version"])?.as_deref() {
                None | Some("" | "0") => WhmVersion::Zero,
                Some(_) => WhmVersion::One,
            };
            Kind::Whm { function, version, format }
        }
    };
    Ok((kind, params, also))
}

fn cpanel(format: Format, params: &mut Params) -> Result<Kind, Unclear> {
    let mut take = |json: &str, xml: &str| select(params, &[json, xml]);
    let version = match take("cpanel_jsonapi_apiversion", "cpanel_xmlapi_apiversion")?.as_deref().map(str::trim) {
        None | Some("" | "2") => CpanelVersion::Two,
        Some("1") => CpanelVersion::One,
        Some("3") => CpanelVersion::Three,
        Some(_) => return Err(Unclear("the cPanel API version is none of 1, 2 and 3")),
    };
    let user = take("cpanel_jsonapi_user", "cpanel_xmlapi_user")?.filter(|user| !user.is_empty());
    let module = take("cpanel_jsonapi_module", "cpanel_xmlapi_module")?.unwrap_or_default();
    let function = take("cpanel_jsonapi_func", "cpanel_xmlapi_func")?.unwrap_or_default();
    let format = drop_version(format, params)?;
    Ok(Kind::Cpanel { user, version, module, function, format })
}

/// `fn?arg=v&…`, or `["fn",{"arg":"v"}]`.
fn command(format: Format, text: &str, depth: usize) -> Result<Command, Unclear> {
    let mut found = Found::default();
    let name = if text.trim_start().starts_with('[') {
        let Ok(Value::Array(parts)) = serde_json::from_str::<Value>(text) else {
            return Err(Unclear("a command of the batch is not JSON"));
        };
        let mut parts = parts.into_iter();
        let Some(Value::String(name)) = parts.next() else { return Err(Unclear("a command of the batch has no name")) };
        if let Some(arguments) = parts.next() {
            found.body(Some("application/json"), arguments.to_string().as_bytes())?;
        }
        name
    } else {
        let (name, arguments) = text.split_once('?').unwrap_or((text, ""));
        found.form(arguments.as_bytes());
        decode(name.as_bytes(), false).0
    };
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return Err(Unclear("a command of the batch has an unusual name"));
    }
    if found.odd {
        return Err(Unclear("a command of the batch is not UTF-8"));
    }
    let raw = found.params.clone();
    let (mut kind, params, also) = understand(format, name.clone(), found.params, found.also, depth)?;
    if let Kind::Whm { version, .. } = &mut kind {
        *version = WhmVersion::One;
    }
    Ok(Command { function: name, kind, raw, params, also })
}

/// Takes an argument that selects the call out of the others. Given twice with different values, readers may differ.
fn select(params: &mut Params, names: &[&str]) -> Result<Option<String>, Unclear> {
    let mut chosen: Option<String> = None;
    let mut differ = false;
    params.retain(|(name, value)| {
        let mine = names.contains(&name.as_str());
        if mine {
            match &chosen {
                Some(before) => differ |= before != value,
                None => chosen = Some(value.clone()),
            }
        }
        !mine
    });
    if differ { Err(Unclear("an argument that selects the call is given twice")) } else { Ok(chosen) }
}

fn drop_version(format: Format, params: &mut Params) -> Result<Format, Unclear> {
    select(params, &["api.version"]).map(|_| format)
}

impl Target {
    /// The first value of the argument `name`.
    pub fn param(&self, name: &str) -> Option<&str> {
        first(&self.params, name)
    }
}

#[cfg(test)]
mod tests;
