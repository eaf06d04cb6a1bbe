//! The parent's proxy: calls that a child answers, calls that the product answers, and listings that say where mail lives.

use super::caller::{Answer, Unproved};
use super::envelope::{Envelope, Reply, command_failure, number, uapi_failure, uapi_in_whm, whm_failure};
use super::front::{Asker, Front, rebuilt, written};
use super::normalise::{Command, CpanelVersion, Format, Kind, Service, Shape, Target};
use super::params::first;
use super::upstream::{Body, full};
use super::xml;
use crate::error::{Code, Error};
use crate::rules::nodes::add_child_nodes;
use crate::rules::verdict::{self, Verdict};
use crate::wire::{Params, Routing, ShimCall};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use hyper::header::{self, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Response, StatusCode};
use serde_json::{Value, json};
use std::future::Future;
use std::pin::Pin;

/// Whether a request of this shape has to be read: the product may have an opinion on it.
pub(super) fn interesting(asker: &Asker, routing: Option<&Routing>, shape: &Shape) -> bool {
    let some_distributed = routing.is_some_and(|routing| !routing.distributed.is_empty() || !routing.held.is_empty());
    match (asker.entrance.service, shape) {
        (Service::Whm, Shape::Api { function, .. }) => match function.as_str() {
            "cpanel" | "uapi_cpanel" => some_distributed,
            "batch" => true,
            function if verdict::whm_depends_on_params(function) => true,
            function => match verdict::whm(function, false) {
                Verdict::Local => false,
                Verdict::Child => some_distributed,
                Verdict::Decorated | Verdict::Ours => true,
            },
        },
        (Service::Whm, _) => false,
        (_, Shape::Api { function, .. }) => function == "cpanel" && some_distributed && may_be_distributed(asker, routing),
        (_, Shape::Execute { module, function }) => {
            verdict::uapi(module, function) == Verdict::Child && some_distributed && may_be_distributed(asker, routing)
        }
        (Service::Webmail, Shape::Login) => some_distributed,
        _ => false,
    }
}

/// Whether the caller could be a distributed account: what it claims says no sooner than cpsrvd could.
fn may_be_distributed(asker: &Asker, routing: Option<&Routing>) -> bool {
    let (Some(routing), Some(claimed)) = (routing, asker.credential.claimed()) else { return true };
    match claimed.rsplit_once('@') {
        None => touched(routing, claimed),
        // A mailbox, or a member of a cPanel team: its account is known once it is proved.
        Some(_) => true,
    }
}

fn touched(routing: &Routing, user: &str) -> bool {
    routing.distributed.contains_key(user) || routing.held.contains(user)
}

/// Where a UAPI function of an account is answered.
enum Where {
    Here,
    Child,
    /// The account is being moved, and the function writes.
    Held,
}

fn place(routing: Option<&Routing>, user: &str, module: &str, function: &str) -> Where {
    let Some(routing) = routing else { return Where::Here };
    if verdict::uapi(module, function) != Verdict::Child {
        return Where::Here;
    }
    if routing.held.contains(user) && verdict::uapi_writes(function) {
        return Where::Held;
    }
    if routing.distributed.contains_key(user) { Where::Child } else { Where::Here }
}

fn held(user: &str) -> Value {
    uapi_failure(&format!("The mail of “{user}” is being moved to another server. Try again in a minute."))
}

impl Front {
    /// Answers a request that was read, or passes it on.
    pub(super) async fn proxy(
        &self,
        asker: &Asker,
        routing: Option<&Routing>,
        target: Target,
        parts: Parts,
        body: Bytes,
    ) -> Response<Body> {
        let envelope = Envelope::of(&target, asker.html);
        let decided = match &target.kind {
            Kind::Whm { function, format, .. } => self.whm(asker, routing, function, *format, &target, &envelope).await,
            Kind::Batch { commands, abort_on_error, .. } if commands.iter().any(|command| !plain(routing, command)) => {
                let answer = self.batch(asker, routing, commands, *abort_on_error).await;
                Decided::Reply(envelope.whm_answer(&answer))
            }
            Kind::UapiCpanel { user, module, function, .. } => {
                match self.through_whm(asker, routing, true, user, module, function, &target.params).await {
                    Ok(None) => Decided::Pass,
                    Ok(Some(result)) => Decided::Reply(envelope.uapi_answer(result)),
                    Err(why) => turned_away(asker, why, &envelope),
                }
            }
            Kind::Cpanel { user, version, module, function, .. } => {
                let call = CpanelCall { user: user.as_deref(), version: *version, module, function, params: &target.params };
                self.cpanel(asker, routing, &call, &envelope).await
            }
            Kind::Uapi { module, function } => self.uapi(asker, routing, module, function, &target.params, &envelope).await,
            Kind::Login => webmail_login(routing, &target, &envelope),
            _ => Decided::Pass,
        };
        match decided {
            Decided::Pass => self.forward(asker, rebuilt(parts, body)).await,
            Decided::Decorate(format) => self.decorated(asker, routing, format, parts, body).await,
            Decided::Reply(reply) => written(reply),
            Decided::Relay(response) => response,
        }
    }

    async fn whm(
        &self,
        asker: &Asker,
        routing: Option<&Routing>,
        function: &str,
        format: Format,
        target: &Target,
        envelope: &Envelope,
    ) -> Decided {
        match verdict::whm(function, has_node_params(&target.params)) {
            Verdict::Local => Decided::Pass,
            Verdict::Decorated if routing.is_some() && wants_child_nodes(&target.params) => Decided::Decorate(format),
            Verdict::Decorated => Decided::Pass,
            Verdict::Ours => match self.ours(asker, function, &target.params).await {
                Ok(answer) => Decided::Reply(envelope.whm_answer(&answer)),
                Err(why) => turned_away(asker, why, envelope),
            },
            Verdict::Child => match self.whm_child(asker, routing, function, &target.params).await {
                Ok(None) => Decided::Pass,
                Ok(Some(answer)) => Decided::Reply(envelope.whm_answer(&answer)),
                Err(why) => turned_away(asker, why, envelope),
            },
        }
    }

    /// A call that is the product's own, for a caller proved to be root-level.
    async fn ours(&self, asker: &Asker, function: &str, params: &Params) -> Result<Value, Unproved> {
        let proved = self.prover.whm(&self.upstream, &asker.entrance, asker.peer, &asker.credential).await?;
        if !proved.root {
            return Err(Unproved::Nobody);
        }
        let caller = proved.user.unwrap_or_else(|| "root".to_owned());
        let call = ShimCall::Whm { caller, function: function.to_owned(), params: params.clone() };
        Ok(self.serve(&call).await.unwrap_or_else(|error| {
            tracing::warn!(function, error = ?error, "serve failed");
            whm_failure(function, &error.one_line())
        }))
    }

    /// A UAPI call that the account's child answers, for a caller proved to have the right to it.
    async fn child(
        &self,
        routing: Option<&Routing>,
        user: &str,
        mailbox: Option<&str>,
        module: &str,
        function: &str,
        params: &Params,
    ) -> Value {
        let call = ShimCall::Uapi {
            user: user.to_owned(),
            mailbox: mailbox.map(ToOwned::to_owned),
            module: module.to_owned(),
            function: function.to_owned(),
            params: params.clone(),
        };
        let mut result = self.serve(&call).await.unwrap_or_else(|error| {
            tracing::warn!(user, module, function, error = ?error, "serve failed");
            uapi_failure(&error.one_line())
        });
        if module == "Session"
            && let (Some(routing), Some(hostname)) = (routing, result.pointer_mut("/data/hostname").filter(|name| name.is_null()))
        {
            // `null` means “the server that answered” (F6.4), which is not the one that the caller asked.
            *hostname = json!(routing.distributed.get(user).map(|one| &one.hostname));
        }
        result
    }

    /// UAPI through WHM: `None` when it is answered here.
    #[expect(clippy::too_many_arguments, reason = "a call is its seven parts")]
    async fn through_whm(
        &self,
        asker: &Asker,
        routing: Option<&Routing>,
        uapi_cpanel: bool,
        user: &str,
        module: &str,
        function: &str,
        params: &Params,
    ) -> Result<Option<Value>, Unproved> {
        let place = place(routing, user, module, function);
        if matches!(place, Where::Here) {
            return Ok(None);
        }
        self.prover.through_whm(&self.upstream, &asker.entrance, asker.peer, &asker.credential, uapi_cpanel, user).await?;
        Ok(Some(match place {
            Where::Held => held(user),
            _ => self.child(routing, user, None, module, function, params).await,
        }))
    }

    /// `/json-api/cpanel`, on the WHM ports and on the cPanel ports.
    async fn cpanel(&self, asker: &Asker, routing: Option<&Routing>, call: &CpanelCall<'_>, envelope: &Envelope) -> Decided {
        let childs = match call.version {
            CpanelVersion::Three => verdict::uapi(call.module, call.function) == Verdict::Child,
            CpanelVersion::One | CpanelVersion::Two => verdict::api2_is_childs(call.module, call.function),
        };
        if !childs {
            return Decided::Pass;
        }
        if call.version != CpanelVersion::Three {
            let user = match (asker.entrance.service, call.user) {
                (Service::Whm, Some(user)) => user.to_owned(),
                (Service::Whm, None) => return Decided::Pass,
                _ => match self.account(asker, routing).await {
                    Ok((user, _)) => user,
                    Err(why) => return turned_away(asker, why, envelope),
                },
            };
            if !routing.is_some_and(|routing| touched(routing, &user)) {
                return Decided::Pass;
            }
            // Says no more than that the account is distributed, which its DNS says as well.
            let api = if call.version == CpanelVersion::One { 1 } else { 2 };
            let reason = format!(
                "{}::{} of cPanel API {api} is not supported for “{user}”, whose mail is on another server. Use UAPI.",
                call.module, call.function
            );
            return Decided::Reply(envelope.failure(&reason));
        }
        if asker.entrance.service != Service::Whm {
            return self.uapi(asker, routing, call.module, call.function, call.params, envelope).await;
        }
        let Some(user) = call.user else { return Decided::Pass };
        match self.through_whm(asker, routing, false, user, call.module, call.function, call.params).await {
            Ok(None) => Decided::Pass,
            Ok(Some(result)) => Decided::Reply(envelope.uapi_answer(result)),
            Err(why) => turned_away(asker, why, envelope),
        }
    }

    /// UAPI of a caller on the cPanel or webmail ports.
    async fn uapi(
        &self,
        asker: &Asker,
        routing: Option<&Routing>,
        module: &str,
        function: &str,
        params: &Params,
        envelope: &Envelope,
    ) -> Decided {
        let (user, mailbox) = match self.account(asker, routing).await {
            Ok(proved) => proved,
            Err(why) => return turned_away(asker, why, envelope),
        };
        match place(routing, &user, module, function) {
            Where::Here => Decided::Pass,
            Where::Held => Decided::Reply(envelope.uapi_answer(held(&user))),
            Where::Child => {
                let result = self.child(routing, &user, mailbox.as_deref(), module, function, params).await;
                Decided::Reply(envelope.uapi_answer(result))
            }
        }
    }

    /// The account of a caller on the cPanel or webmail ports, and the mailbox when it is one.
    async fn account(&self, asker: &Asker, routing: Option<&Routing>) -> Result<(String, Option<String>), Unproved> {
        let proved = self.prover.account(&self.upstream, &asker.entrance, asker.peer, &asker.credential).await?;
        let claimed = asker.credential.claimed();
        // Whoever comes through webmail has a mailbox's rights, and never the account's, also when no mailbox is named.
        let of_webmail = asker.entrance.service == Service::Webmail;
        let mailbox = of_webmail.then(|| claimed.or(proved.user.as_deref()).unwrap_or_default().to_owned());
        let by_domain = || distributed(routing, mailbox.as_deref()?).map(ToOwned::to_owned);
        match proved.user.clone().filter(|user| !user.contains('@')).or_else(by_domain).or(proved.user) {
            Some(user) => Ok((user, mailbox)),
            None => Ok((claimed.unwrap_or_default().to_owned(), mailbox)),
        }
    }

    /// A WHM function about the mail of an account: `None` when it is answered here.
    async fn whm_child(
        &self,
        asker: &Asker,
        routing: Option<&Routing>,
        function: &str,
        params: &Params,
    ) -> Result<Option<Value>, Unproved> {
        let named = |name: &str| first(params, name).and_then(|value| distributed(routing, value).map(|user| (user, value)));
        let Some((user, named)) = named(if function == "list_pops_for" { "user" } else { "account" }) else { return Ok(None) };
        if !matches!(function, "list_pops_for" | "get_mailbox_status_list") {
            let reason = format!("“{function}” is not supported for “{named}”, whose mail is on another server.");
            return Ok(Some(whm_failure(function, &reason)));
        }
        // These only read: cpsrvd's own answer proves the right to call them.
        let local = self.command_here(asker, "list_pops_for", &vec![("user".to_owned(), user.to_owned())]).await?;
        if local.status != StatusCode::OK || number(&local.json()["metadata"]["result"]) != 1 {
            return Err(Unproved::Denied(local));
        }
        let asked = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
        Ok(Some(if function == "list_pops_for" {
            let result = self.child(routing, user, None, "Email", "list_pops", &asked("skip_main", "1")).await;
            let pops =
                |data: &Value| data.as_array().map(|list| list.iter().filter_map(|one| one.get("email").cloned()).collect());
            whm_answer(function, "pops", &result, |data| pops(data).unwrap_or_default())
        } else {
            let result = self.child(routing, user, None, "Mailboxes", function, &asked("account", named)).await;
            whm_answer(function, "mailboxes", &result, Value::clone)
        }))
    }

    /// Has cpsrvd answer a WHM API 1 function, with the caller's credential.
    async fn command_here(&self, asker: &Asker, function: &str, params: &Params) -> Result<Answer, Unproved> {
        let own = params.iter().filter(|(name, _)| name != "api.version");
        let form =
            url::form_urlencoded::Serializer::new(String::new()).append_pair("api.version", "1").extend_pairs(own).finish();
        let path = format!("/json-api/{function}");
        self.prover.ask(&self.upstream, &asker.entrance, asker.peer, &asker.credential, &path, Some(form)).await
    }

    /// A batch of which some commands are not cpsrvd's alone: one command after the other.
    fn batch<'a>(
        &'a self,
        asker: &'a Asker,
        routing: Option<&'a Routing>,
        commands: &'a [Command],
        abort_on_error: bool,
    ) -> Pin<Box<dyn Future<Output = Value> + Send + 'a>> {
        Box::pin(async move {
            let mut results = Vec::with_capacity(commands.len());
            let mut failed = None;
            for command in commands {
                let result = self.command(asker, routing, command).await;
                let ok = number(&result["metadata"]["result"]) == 1;
                if !ok && failed.is_none() {
                    failed = Some(result.pointer("/metadata/reason").and_then(Value::as_str).unwrap_or("").to_owned());
                }
                results.push(result);
                if !ok && abort_on_error {
                    break;
                }
            }
            let (result, reason) = match failed {
                Some(reason) if abort_on_error => (0, reason),
                _ => (1, "OK".to_owned()),
            };
            json!({ "data": { "result": results }, "metadata": { "version": 1, "command": "batch", "result": result, "reason": reason } })
        })
    }

    async fn command(&self, asker: &Asker, routing: Option<&Routing>, command: &Command) -> Value {
        let failed = |why: Unproved| match why {
            Unproved::Denied(answer)
                if number(&answer.json()["metadata"]["result"]) == 0 && answer.json().get("metadata").is_some() =>
            {
                answer.json()
            }
            Unproved::Unreachable(_) => command_failure(command, "cpsrvd on this server does not answer."),
            _ => command_failure(command, "Access denied"),
        };
        let here = async || match self.command_here(asker, &command.function, &command.raw).await {
            Ok(answer) => match answer.json() {
                Value::Object(document) => Value::Object(document),
                _ => command_failure(command, "cpsrvd did not answer this command."),
            },
            Err(why) => failed(why),
        };
        match &command.kind {
            Kind::Whm { function, .. } => match verdict::whm(function, has_node_params(&command.params)) {
                Verdict::Local => here().await,
                Verdict::Decorated => {
                    let mut answer = here().await;
                    if let Some(routing) = routing.filter(|_| wants_child_nodes(&command.params)) {
                        add_child_nodes(&mut answer, routing);
                    }
                    answer
                }
                Verdict::Ours => self.ours(asker, function, &command.params).await.unwrap_or_else(failed),
                Verdict::Child => match self.whm_child(asker, routing, function, &command.params).await {
                    Ok(Some(answer)) => answer,
                    Ok(None) => here().await,
                    Err(why) => failed(why),
                },
            },
            Kind::Batch { commands, abort_on_error, .. } => self.batch(asker, routing, commands, *abort_on_error).await,
            Kind::UapiCpanel { user, module, function, .. } => {
                match self.through_whm(asker, routing, true, user, module, function, &command.params).await {
                    Ok(Some(result)) => uapi_in_whm(result),
                    Ok(None) => here().await,
                    Err(why) => failed(why),
                }
            }
            Kind::Cpanel { user, version, module, function, format } => {
                let envelope =
                    Envelope::Cpanel { version: *version, module: module.clone(), function: function.clone(), format: *format };
                let call = CpanelCall { user: user.as_deref(), version: *version, module, function, params: &command.params };
                match self.cpanel(asker, routing, &call, &envelope).await {
                    Decided::Reply(reply) => {
                        serde_json::from_slice(&reply.body).unwrap_or_else(|_| command_failure(command, "Access denied"))
                    }
                    Decided::Relay(_) => command_failure(command, "Access denied"),
                    Decided::Pass | Decided::Decorate(_) => here().await,
                }
            }
            Kind::Uapi { .. } | Kind::Login | Kind::AgentChannel | Kind::Page(_) => here().await,
        }
    }

    /// An account listing by cpsrvd, with `child_nodes` added.
    async fn decorated(
        &self,
        asker: &Asker,
        routing: Option<&Routing>,
        format: Format,
        mut parts: Parts,
        body: Bytes,
    ) -> Response<Body> {
        parts.headers.remove(header::ACCEPT_ENCODING);
        let response = self.forward(asker, rebuilt(parts, body)).await;
        let Some(routing) = routing.filter(|_| response.status() == StatusCode::OK) else { return response };
        let (mut parts, body) = response.into_parts();
        let answer = match Limited::new(body, self.limits().inspected_answer).collect().await {
            Ok(answer) => answer.to_bytes(),
            Err(error) => {
                tracing::warn!(%error, "an account listing could not be read");
                return written(Reply::text(502, "The account listing of cpsrvd could not be read."));
            }
        };
        let decorated = match format {
            Format::Json => serde_json::from_slice::<Value>(&answer).ok().map(|mut document| {
                add_child_nodes(&mut document, routing);
                Bytes::from(document.to_string())
            }),
            Format::Xml => xml::add_child_nodes(&answer, routing).map(Bytes::from),
        };
        let answer = decorated.unwrap_or(answer);
        parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(answer.len()));
        Response::from_parts(parts, full(answer))
    }
}

/// What is to be done with a request.
enum Decided {
    /// cpsrvd answers.
    Pass,
    /// cpsrvd answers; `child_nodes` is added.
    Decorate(Format),
    /// This is the answer.
    Reply(Reply),
    /// This is cpsrvd's answer, given before.
    Relay(Response<Body>),
}

struct CpanelCall<'a> {
    user: Option<&'a str>,
    version: CpanelVersion,
    module: &'a str,
    function: &'a str,
    params: &'a Params,
}

/// What a caller is told who is not proved: cpsrvd's own words where there are any.
fn turned_away(asker: &Asker, why: Unproved, envelope: &Envelope) -> Decided {
    match why {
        // A plain port sends everybody to TLS.
        Unproved::Denied(answer) if answer.status.is_redirection() => Decided::Pass,
        Unproved::Denied(answer) if answer.status != StatusCode::OK => {
            let mut response = Response::new(full(answer.body));
            (*response.status_mut(), *response.headers_mut()) = (answer.status, answer.headers);
            Decided::Relay(response)
        }
        Unproved::Denied(answer) => {
            let document = answer.json();
            let places = ["/metadata/reason", "/data/uapi/errors/0", "/result/errors/0", "/cpanelresult/error", "/errors/0"];
            let mut reasons = places.iter().filter_map(|place| document.pointer(place)?.as_str());
            match reasons.find(|text| *text != "OK") {
                Some(reason) => Decided::Reply(envelope.failure(reason)),
                None => Decided::Reply(Reply::access_denied()),
            }
        }
        Unproved::Nobody => Decided::Reply(Reply::access_denied()),
        Unproved::Unreachable(why) => {
            let error = Error::new(Code::NotSent, "cpsrvd on this server does not answer.").detail(why);
            tracing::warn!(peer = %asker.peer, error = ?error, "a caller cannot be proved");
            Decided::Reply(envelope.failure(&error.one_line()))
        }
    }
}

/// Whether cpsrvd alone answers a command of a batch.
fn plain(routing: Option<&Routing>, command: &Command) -> bool {
    match &command.kind {
        Kind::Whm { function, .. } => verdict::whm(function, has_node_params(&command.params)) == Verdict::Local,
        Kind::Batch { commands, .. } => commands.iter().all(|command| plain(routing, command)),
        Kind::UapiCpanel { user, .. } | Kind::Cpanel { user: Some(user), .. } => {
            !routing.is_some_and(|routing| touched(routing, user))
        }
        _ => true,
    }
}

fn has_node_params(params: &Params) -> bool {
    params.iter().any(|(name, _)| verdict::NODE_PARAMS.contains(&name.as_str()))
}

/// Whether a listing is to have `child_nodes`: `want` and `api.columns` can leave it out.
fn wants_child_nodes(params: &Params) -> bool {
    let mine = |value: &str| value.split(',').any(|field| field.trim() == "child_nodes");
    if first(params, "want").is_some_and(|want| !want.is_empty() && !mine(want)) {
        return false;
    }
    let columns = first(params, "api.columns.enable").is_some_and(|value| !value.is_empty() && value != "0");
    !columns || params.iter().any(|(name, value)| name.starts_with("api.columns.") && value == "child_nodes")
}

/// The distributed account that an account's name, a mailbox's address or a domain belongs to.
fn distributed<'a>(routing: Option<&'a Routing>, named: &str) -> Option<&'a str> {
    let all = &routing?.distributed;
    if let Some((user, _)) = all.get_key_value(named) {
        return Some(user);
    }
    let domain = named.rsplit(['@', '+']).next()?;
    all.iter().find(|(_, one)| one.domains.iter().any(|own| own.eq_ignore_ascii_case(domain))).map(|(user, _)| user.as_str())
}

/// A UAPI result of a child as WHM API 1 says it: under the `key` that its function has.
fn whm_answer(function: &str, key: &str, result: &Value, data: impl Fn(&Value) -> Value) -> Value {
    if number(&result["status"]) != 1 {
        let reason = result.pointer("/errors/0").and_then(Value::as_str).unwrap_or("The other server did not answer.");
        return whm_failure(function, reason);
    }
    json!({ "data": { key: data(&result["data"]) }, "metadata": { "version": 1, "command": function, "result": 1, "reason": "OK" } })
}

/// A sign-in to webmail here for a mailbox that lives on a child (F2.3).
fn webmail_login(routing: Option<&Routing>, target: &Target, envelope: &Envelope) -> Decided {
    let Some(named) = target.param("user") else { return Decided::Pass };
    let Some(one) = distributed(routing, named).and_then(|user| routing?.distributed.get(user)) else { return Decided::Pass };
    let host = match (named.rsplit_once(['@', '+']), one.domains.first()) {
        (Some((_, domain)), _) => format!("webmail.{}", domain.to_ascii_lowercase()),
        (None, Some(domain)) => format!("webmail.{domain}"),
        (None, None) => one.hostname.clone(),
    };
    Decided::Reply(envelope.failure(&format!("The mail of “{named}” is on another server. Sign in at https://{host}/.")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(pairs: &[(&str, &str)]) -> Params {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_listing_cut_down_stays_cut_down() {
        assert!(wants_child_nodes(&params(&[])));
        assert!(wants_child_nodes(&params(&[("want", "user,child_nodes")])));
        assert!(!wants_child_nodes(&params(&[("want", "user,domain")])));
        assert!(!wants_child_nodes(&params(&[("api.columns.enable", "1"), ("api.columns.a", "user")])));
        assert!(wants_child_nodes(&params(&[("api.columns.enable", "1"), ("api.columns.a", "child_nodes")])));
    }

    #[test]
    fn writes_wait_while_an_account_is_held() {
        let routing = Routing { held: ["anna".to_owned()].into(), ..Routing::default() };
        assert!(matches!(place(Some(&routing), "anna", "Email", "add_pop"), Where::Held));
        assert!(matches!(place(Some(&routing), "anna", "Email", "list_pops"), Where::Here));
        assert!(matches!(place(Some(&routing), "bert", "Email", "add_pop"), Where::Here));
    }

    #[test]
    fn failures_of_a_child_keep_their_reason() {
        let failure = whm_answer("list_pops_for", "pops", &uapi_failure("down"), Value::clone);
        assert_eq!(failure["metadata"]["reason"], "down");
    }
}
