//! `linked-nodes serve`: the authority. Root; speaks on unix sockets alone and parses nothing that comes from the network but what
//! a proved parent sends over the node channel.

mod api;
mod certificates;
mod events;
mod extension;
mod follow;
mod forced;
mod links;
mod mirror;
mod nodes_api;
mod pages;
mod sockets;

use crate::authority::Authority;
use crate::error::{Context as _, Result};
use crate::moves::Engine;
use crate::store::STATE_DIR;
use crate::wire::{ADMIN_SOCKET, Role, SHIM_SOCKET};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often the mail that is served here is measured.
const VOLUME_EVERY: Duration = Duration::from_secs(60);
/// How often certificates are looked at for changes.
const CERTIFICATES_EVERY: Duration = Duration::from_secs(5);
/// Where the shim learns after a start whether it guards a child, before `serve` answers.
const ROLE_FILE: &str = "/var/lib/linked-nodes/role";

/// Where `serve` keeps its things.
#[derive(Debug, Clone)]
pub struct Settings {
    /// State.
    pub state_dir: PathBuf,
    /// The administrators' socket.
    pub admin_socket: PathBuf,
    /// The shim's socket.
    pub shim_socket: PathBuf,
    /// Certificates for the shim.
    pub tls_dir: PathBuf,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            state_dir: STATE_DIR.into(),
            admin_socket: ADMIN_SOCKET.into(),
            shim_socket: SHIM_SOCKET.into(),
            tls_dir: "/run/linked-nodes/tls".into(),
        }
    }
}

/// What every request handler has.
#[derive(Clone)]
struct Serve {
    authority: Authority,
    engine: Engine,
    nudges: mirror::Nudges,
    pages: std::sync::Arc<pages::Pages>,
    follow: follow::Follow,
    /// Held by whoever changes a link.
    links: std::sync::Arc<tokio::sync::Mutex<()>>,
}

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
/// When the state cannot be opened or a socket cannot be made.
pub async fn run(settings: Settings) -> Result<()> {
    // A gate that was closed before a reboot is closed again before anything else, cPanel's API included.
    crate::host::restore_gates(&crate::store::Store::open(&settings.state_dir)?).await?;
    let authority = Authority::open(&settings.state_dir).await?;
    let engine = Engine::new(authority.clone());
    let pages = std::sync::Arc::new(pages::Pages::new());
    let serve = Serve {
        authority,
        engine,
        nudges: mirror::Nudges::default(),
        pages,
        follow: follow::Follow::default(),
        links: std::sync::Arc::default(),
    };

    let admin = sockets::listen(&settings.admin_socket, None)?;
    let shim = sockets::listen(&settings.shim_socket, Some(sockets::SHIM_GROUP))?;
    certificates::copy(&settings.tls_dir)?;
    write_role(&serve.authority)?;
    log("writing the fields of WHM's forms", extension::write(&serve.authority));
    serve.engine.resume_all()?;
    serve.engine.resume_forcings()?;
    log("comparing the accounts", follow::round(&serve));
    tracing::info!(hostname = serve.authority.hostname, "serving");

    let tasks = [
        tokio::spawn(sockets::accept_admin(admin, serve.clone())),
        tokio::spawn(sockets::accept_shim(shim, serve.clone())),
        tokio::spawn(every(CERTIFICATES_EVERY, {
            let dir = settings.tls_dir.clone();
            move || {
                let dir = dir.clone();
                async move { log("copying certificates", certificates::copy(&dir)) }
            }
        })),
        tokio::spawn(watch_health(serve.clone())),
        tokio::spawn(every(VOLUME_EVERY, {
            let store = serve.authority.store.clone();
            move || {
                let store = store.clone();
                async move {
                    let now = crate::authority::now_ms() / 1000;
                    log("measuring the mail that is served here", crate::host::measure(&store, now).await);
                }
            }
        })),
        tokio::spawn(follow_role(serve.authority.clone())),
        tokio::spawn(mirror::follow(serve.clone())),
        tokio::spawn(mirror::watch(serve.clone())),
        tokio::spawn(forced::watch(serve.clone())),
        tokio::spawn(follow::run(serve.clone())),
    ];
    let mut terminate =
        tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).context("listening for signals")?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
    // Moves survive this as they survive a crash: every step is recorded before and after.
    tracing::info!("ending");
    for task in tasks {
        task.abort();
    }
    for socket in [&settings.admin_socket, &settings.shim_socket] {
        let _ = std::fs::remove_file(socket);
    }
    Ok(())
}

async fn every<F, W>(period: Duration, mut work: F)
where
    F: FnMut() -> W,
    W: Future<Output = ()>,
{
    let mut tick = tokio::time::interval(period);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        work().await;
    }
}

async fn watch_health(serve: Serve) {
    loop {
        look_around(&serve).await;
        tokio::time::sleep(crate::settings::Settings::read(&serve.authority.dir).health_every).await;
    }
}

/// Asks the children how they are and compares the accounts; what waited for a child that answers again waits no longer.
async fn look_around(serve: &Serve) {
    let troubled = |serve: &Serve| -> Result<std::collections::BTreeSet<String>> {
        Ok(serve.authority.store.nodes()?.into_iter().filter(|node| node.trouble.is_some()).map(|node| node.alias).collect())
    };
    let before = troubled(serve).unwrap_or_default();
    log("asking the nodes how they are", links::health(serve).await);
    let after = troubled(serve).unwrap_or_default();
    let back: Vec<&String> = before.difference(&after).collect();
    if !back.is_empty() {
        let rows = serve.authority.store.followups().unwrap_or_default();
        serve.follow.hurry(&rows.into_iter().filter(|row| back.contains(&&row.alias)).map(|row| row.user).collect());
    }
    log("comparing the accounts", follow::round(serve));
}

fn log(what: &str, result: Result<()>) {
    if let Err(error) = result {
        tracing::warn!(?error, "{what}");
    }
}

async fn follow_role(authority: Authority) {
    let mut routing = authority.store.watch_routing();
    while routing.changed().await.is_ok() {
        log("writing the role file", write_role(&authority));
        log("writing the fields of WHM's forms", extension::write(&authority));
    }
}

fn write_role(authority: &Authority) -> Result<()> {
    let text = match authority.store.role()? {
        Role::Unlinked => "unlinked\n".to_owned(),
        Role::Parent => "parent\n".to_owned(),
        Role::Child { parent, .. } => format!("child {parent}\n"),
    };
    replace(Path::new(ROLE_FILE), text.as_bytes(), 0o644, None)
}

/// Replaces a file whole, with this mode and group, when its content differs.
fn replace(path: &Path, content: &[u8], mode: u32, group: Option<u32>) -> Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
    if std::fs::read(path).is_ok_and(|present| present == content) {
        return Ok(());
    }
    let what = format!("writing {}", path.display());
    let dir = path.parent().unwrap_or(Path::new("/"));
    std::fs::create_dir_all(dir).context(&what)?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let fresh = dir.join(name);
    let _ = std::fs::remove_file(&fresh);
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh).context(&what)?;
    file.write_all(content).context(&what)?;
    std::os::unix::fs::fchown(&file, Some(0), group).context(&what)?;
    file.set_permissions(std::fs::Permissions::from_mode(mode)).context(&what)?;
    std::fs::rename(&fresh, path).context(&what)
}
