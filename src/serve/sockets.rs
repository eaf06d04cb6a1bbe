//! The two sockets: requests in, answers out.

use super::{Serve, api, events, follow, forced, links, pages};
use crate::agent::{self, Opener};
use crate::error::{Code, Context as _, Error, Result};
use crate::rules::verdict::{self, NODE_PARAMS, Verdict};
use crate::wire::{AccountView, AdminCall, Answer, MoveView, ShimCall, Status, read_line, write_line};
use crate::{host, wire};
use serde::Serialize;
use serde_json::Value;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;
use tokio::io::BufReader;
use tokio::net::{UnixListener, UnixStream};

/// The group of the shim.
pub const SHIM_GROUP: &str = "linkednodes";
/// How long a call that the shim announced may take until cpsrvd runs its hook.
const TICKET: Duration = Duration::from_secs(10);
/// How long the shim is kept waiting for news.
const NEWS_AFTER: Duration = Duration::from_secs(30);

/// The number of a group.
pub fn group_id(name: &str) -> Result<u32> {
    let groups = std::fs::read_to_string("/etc/group").context("reading /etc/group")?;
    groups
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .find(|fields| fields.first() == Some(&name))
        .and_then(|fields| fields.get(2)?.parse().ok())
        .ok_or_else(|| {
            Error::new(Code::Machine, format!("There is no group “{name}” on this machine.")).hint("Run “linked-nodes install”.")
        })
}

/// Listens on a socket that root alone, or root and a group, may use.
pub fn listen(path: &Path, group: Option<&str>) -> Result<UnixListener> {
    let what = format!("listening on {}", path.display());
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir).context(&what)?;
    }
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        return Err(Error::new(Code::Conflict, format!("Another linked-nodes serve answers on {}.", path.display())));
    }
    let _ = std::fs::remove_file(path);
    let listener = UnixListener::bind(path).context(&what)?;
    let mode = match group {
        Some(group) => {
            std::os::unix::fs::chown(path, Some(0), Some(group_id(group)?)).context(&what)?;
            0o660
        }
        None => 0o600,
    };
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).context(&what)?;
    Ok(listener)
}

/// Serves administrators.
pub async fn accept_admin(listener: UnixListener, serve: Serve) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let serve = serve.clone();
                tokio::spawn(async move { quietly(admin(stream, serve).await) });
            }
            Err(error) => pause_after(&error).await,
        }
    }
}

/// Serves the shim.
pub async fn accept_shim(listener: UnixListener, serve: Serve) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let serve = serve.clone();
                tokio::spawn(async move { quietly(shim(stream, serve).await) });
            }
            Err(error) => pause_after(&error).await,
        }
    }
}

async fn pause_after(error: &std::io::Error) {
    tracing::warn!(%error, "accepting a connection");
    tokio::time::sleep(Duration::from_millis(100)).await;
}

fn quietly(result: Result<()>) {
    if let Err(error) = result {
        tracing::debug!(?error, "a connection ended");
    }
}

fn value(result: impl Serialize) -> Result<Value> {
    serde_json::to_value(result).context("writing an answer")
}

fn answered(result: Result<Value>) -> Answer {
    match result {
        Ok(value) => Answer::Ok(value),
        Err(error) => {
            if error.code == Code::Machine {
                tracing::warn!(?error, "a request failed");
            }
            Answer::Error(error)
        }
    }
}

async fn admin(stream: UnixStream, serve: Serve) -> Result<()> {
    let mut stream = BufReader::new(stream);
    while let Some(call) = read_line::<AdminCall, _>(&mut stream).await? {
        let answer = if let AdminCall::MoveWatch { id } = call {
            answered(watch(&mut stream, &serve, id).await.and_then(value))
        } else {
            answered(admin_call(&serve, call).await)
        };
        write_line(&mut stream, &answer).await?;
    }
    Ok(())
}

async fn admin_call(serve: &Serve, call: AdminCall) -> Result<Value> {
    let store = &serve.authority.store;
    match call {
        AdminCall::Status => value(Status {
            version: env!("CARGO_PKG_VERSION").into(),
            role: store.role()?,
            nodes: store.nodes()?.len(),
            distributed: store.distributed()?.len(),
            moves_running: store.running_moves()?.len(),
            troubles: links::own_troubles(serve).await.unwrap_or_else(|error| vec![error.message]),
        }),
        AdminCall::NodeLink { alias, hostname, username, credential, tls } => {
            value(links::link(serve, links::Wish { alias, hostname, username, credential, tls }).await)
        }
        AdminCall::NodeProbe { hostname } => links::probe(&hostname).await.and_then(value),
        AdminCall::NodeRotate { alias } => links::rotate(serve, &alias).await.and_then(value),
        AdminCall::AccountsMove { users, to } => value(serve.engine.start_many(&users, &to).await),
        AdminCall::AccountForcePlan { alias, users } => value(serve.engine.force_plan(&alias, &users)?),
        AdminCall::AccountForce { alias, users } => value(serve.engine.force(&alias, &users).await?),
        AdminCall::AccountShow { user } => value(forced::account_state(serve, &user)?),
        AdminCall::AccountSync { user } => follow::asked(serve, &user).await.and_then(value),
        AdminCall::Remainders => follow::remainders(serve).and_then(value),
        AdminCall::NodeList => value(links::views(serve)?),
        AdminCall::NodeShow { alias } => value(links::view(serve, &store.node(&alias)?)?),
        AdminCall::NodeStatus { alias } => {
            links::check(serve, &alias).await?;
            value(links::view(serve, &store.node(&alias)?)?)
        }
        AdminCall::NodeUpdate { alias, hostname, username, token, skip_tls_verification } => {
            let change = links::Update { hostname, username, token: token.map(Into::into), skip_tls_verification };
            links::update(serve, &alias, change).await.and_then(value)
        }
        AdminCall::NodeUnlink { alias, token_fate } => links::unlink(serve, &alias, token_fate).await.and_then(value),
        AdminCall::AccountList => accounts(serve).and_then(value),
        AdminCall::AccountPlan { user, to } => serve.engine.plan(&user, &to).await.and_then(value),
        AdminCall::AccountMove { user, to } => serve.engine.start(&user, &to).await.and_then(value),
        AdminCall::Page { ask } => pages::answer(serve, ask).await,
        AdminCall::MoveList => value(serve.engine.views()?),
        AdminCall::MoveShow { id } => value(serve.engine.view(id)?),
        AdminCall::MoveCancel { id } => value(serve.engine.cancel(id)?),
        AdminCall::Whm { function, params } => Ok(api::whm(serve, &function, params).await),
        AdminCall::Uapi { user, module, function, params } => Ok(api::uapi(serve, &user, &module, &function, params).await),
        AdminCall::Hook { category, event, stage, data } => value(events::answer(serve, &category, &event, &stage, &data).await),
        AdminCall::MoveWatch { .. } => Err(Error::new(Code::Invalid, "Watching is not a simple call.")),
    }
}

fn accounts(serve: &Serve) -> Result<Vec<AccountView>> {
    let store = &serve.authority.store;
    let distributed = store.distributed()?;
    let running = store.running_moves()?;
    let mut views: Vec<AccountView> = host::main_domains()?
        .into_iter()
        .map(|(domain, user)| {
            Ok(AccountView {
                owner: host::owner_of(&user)?,
                child: distributed.get(&user).map(|at| at.alias.clone()),
                running_move: running.iter().find(|moving| moving.user == user).map(|moving| moving.id),
                domain,
                user,
            })
        })
        .collect::<Result<_>>()?;
    views.sort_by(|a, b| a.user.cmp(&b.user));
    Ok(views)
}

/// Sends the move's state with every event until it ends.
async fn watch(stream: &mut BufReader<UnixStream>, serve: &Serve, id: i64) -> Result<MoveView> {
    serve.authority.store.get_move(id)?;
    let mut news = serve.engine.watch(id);
    loop {
        news.mark_unchanged();
        let view = serve.engine.view(id)?;
        if view.ended {
            return Ok(view);
        }
        write_line(stream, &Answer::Event(value(&view)?)).await?;
        // The time-out covers an end that came between the look and the wait.
        let _ = tokio::time::timeout(Duration::from_secs(1), news.changed()).await;
    }
}

async fn shim(stream: UnixStream, serve: Serve) -> Result<()> {
    let mut stream = BufReader::new(stream);
    while let Some(call) = read_line::<ShimCall, _>(&mut stream).await? {
        let answer = match call {
            ShimCall::Agent { username, token_digest, peer } => {
                tracing::debug!(username, %peer, "a node channel opens");
                write_line(&mut stream, &Answer::Ok(Value::Null)).await?;
                let opener = Opener { token_digest, peer };
                return agent::serve(serve.authority.store.clone(), opener, stream).await;
            }
            ShimCall::Ticket { user, module, function } => {
                serve.authority.tickets.issue(&user, &module, &function, TICKET);
                Answer::Ok(Value::Null)
            }
            ShimCall::Routing { have } => answered(routing(&serve, have).await.and_then(value)),
            ShimCall::Whm { caller, function, params } => {
                tracing::info!(caller, function, "a call that is ours");
                // The shim parses what the internet sends; it never gets root's own cPanel for the asking.
                let has_node = params.iter().any(|(key, _)| NODE_PARAMS.contains(&key.as_str()));
                if verdict::whm(&function, has_node) == Verdict::Local {
                    let error = Error::new(Code::Denied, format!("“{function}” is cPanel's to answer, not ours."));
                    Answer::Ok(api::whm_failure(&function, &error))
                } else {
                    Answer::Ok(api::whm(&serve, &function, params).await)
                }
            }
            ShimCall::Uapi { user, mailbox, module, function, params } => {
                Answer::Ok(api::child_uapi(&serve, &user, mailbox.as_deref(), &module, &function, params).await)
            }
        };
        write_line(&mut stream, &answer).await?;
    }
    Ok(())
}

async fn routing(serve: &Serve, have: u64) -> Result<wire::Routing> {
    let mut news = serve.authority.store.watch_routing();
    if *news.borrow_and_update() == have {
        let _ = tokio::time::timeout(NEWS_AFTER, news.changed()).await;
    }
    serve.authority.store.routing(&serve.authority.hostname)
}
