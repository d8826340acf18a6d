//! `serve`: the server from start to drain.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    path::Path,
    sync::Arc,
    time::Instant,
};

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{CliError, log::Log, notify::Manager, say};
use crate::{
    config::{Config, Loaded, Operations as Where, Sources},
    data::{DataFolder, ServerLock},
    env::{Env, SystemEnv},
    operations::{Facts, Operations},
    server::Server,
    store::{SqliteStore, Store},
};

pub(super) async fn serve(sources: &Sources, json: bool) -> Result<(), CliError> {
    let started = Instant::now();
    let mut loaded = sources.load()?;
    let log = Log::start(&loaded.config);
    let folder = loaded.data()?.to_owned();
    let env: Arc<dyn Env> = Arc::new(SystemEnv);
    // Held until the end.
    let _lock = ServerLock::take(&folder)?;
    let data = DataFolder::open(&folder, env.as_ref())?;
    if let Some(copy) = &data.migrated {
        tracing::warn!(copy = %copy.display(), "the database was of an older version; a copy of it is kept");
    }
    let mut signals = Signals::new()?;
    let store = data.store.clone();
    let server = Server::start(loaded.config.listen, data.secret, loaded.config.rules(), data.store, env)?;
    server.change(loaded.config.rules(), loaded.config.limits());
    let operations = match loaded.config.operations {
        Where::Off => None,
        Where::At(address) => {
            let facts =
                Facts { server: server.metrics(), store: store.metrics(), data: folder.clone(), started };
            Some(Operations::start(address, facts).await?)
        }
    };
    let public = note_addresses(&store, &server, &loaded.config).await?;
    say_ready(&server, operations.as_ref(), &public, &folder, json)?;
    let manager = Manager::of_environment();
    manager.tell("READY=1");

    let told = loop {
        let told = tokio::select! {
            told = signals.next() => told,
            () = server.broken() => Told::Broken,
        };
        if told != Told::Reload {
            break told;
        }
        if let Some(now) = reload(sources, &loaded) {
            server.change(now.config.rules(), now.config.limits());
            // Whoever waits for this line finds the settings in force.
            tracing::info!("the configuration was read again");
            log.change(&now.config);
            loaded = now;
            if let Err(error) = note_addresses(&store, &server, &loaded.config).await {
                tracing::error!(%error, "the addresses for join codes could not be noted");
            }
        }
    };
    tracing::info!("shutting down");
    manager.tell("STOPPING=1");
    server.shut_down().await;
    if told == Told::Broken { Err(CliError::Broken) } else { Ok(()) }
}

/// The settings of the file as it is now; `None` where they cannot be taken, and those before hold.
fn reload(sources: &Sources, before: &Loaded) -> Option<Loaded> {
    let now = match sources.load() {
        Ok(now) => now,
        Err(error) => {
            tracing::error!(%error, "the configuration is not taken; the one before holds");
            return None;
        }
    };
    for (was, is) in before.settings.iter().zip(&now.settings).filter(|(was, is)| was.values != is.values) {
        if AT_START.contains(&is.name.as_str()) {
            tracing::warn!(setting = is.name, "changed; this takes effect at the next start");
        } else {
            tracing::info!(setting = is.name, was = %was, is = %is, "changed");
        }
    }
    Some(now)
}

/// Settings that are looked at once.
const AT_START: [&str; 4] = ["data", "listen", "operations", "log_format"];

/// Notes where the server can be reached, for join codes.
async fn note_addresses(
    store: &SqliteStore,
    server: &Server,
    config: &Config,
) -> Result<Vec<String>, CliError> {
    let public: Vec<String> = if config.public.is_empty() {
        reachable_at(server.address()).iter().map(ToString::to_string).collect()
    } else {
        config.public.iter().map(|address| address.as_str().to_owned()).collect()
    };
    let noted = public.clone();
    store.write(move |tables| tables.set_public_addresses(&noted)).await?;
    Ok(public)
}

/// The line that scripts wait for.
fn say_ready(
    server: &Server,
    operations: Option<&Operations>,
    public: &[String],
    data: &Path,
    json: bool,
) -> Result<(), CliError> {
    let operations = operations.map(|operations| operations.address().to_string());
    if json {
        let ready = serde_json::json!({
            "event": "ready",
            "address": server.address().to_string(),
            "key": server.key().to_string(),
            "public": public,
            "operations": operations,
        });
        return say(&ready.to_string());
    }
    say(&format!("Listening on {} (UDP). Friends reach it at {}.", server.address(), public.join(", ")))?;
    if let Some(address) = operations {
        say(&format!(
            "Health and metrics: http://{address}/readyz, /livez and /metrics, on this machine alone."
        ))?;
    }
    say(&format!("To invite someone: jamsync-coordinator join-code --data {}", data.display()))
}

/// What the operator says while it serves, or what happens to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Stop,
    Reload,
    /// Nothing can be written any more.
    Broken,
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Told {
        tokio::select! {
            _ = self.terminate.recv() => Told::Stop,
            _ = self.interrupt.recv() => Told::Stop,
            _ = self.hang_up.recv() => Told::Reload,
        }
    }
}

/// Where a server bound to `bound` may be reached: there, or, where it listens on all addresses, at those from
/// which this machine would send.
fn reachable_at(bound: SocketAddr) -> Vec<SocketAddr> {
    if !bound.ip().is_unspecified() {
        return vec![bound];
    }
    let outside: [(IpAddr, IpAddr); 2] = [
        (Ipv6Addr::UNSPECIFIED.into(), Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into()),
        (Ipv4Addr::UNSPECIFIED.into(), Ipv4Addr::new(192, 0, 2, 1).into()),
    ];
    let mut reachable: Vec<SocketAddr> = outside
        .into_iter()
        .filter(|(any, _)| bound.is_ipv6() || any.is_ipv4())
        .filter_map(|(any, target)| source_towards(any, target))
        .map(|ip| SocketAddr::new(ip, bound.port()))
        .collect();
    // For nodes on this very machine; elsewhere it leads nowhere, and the key would not match.
    reachable.push(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), bound.port()));
    reachable
}

/// The address that the system would send from. Connecting a UDP socket sends nothing.
fn source_towards(any: IpAddr, target: IpAddr) -> Option<IpAddr> {
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect((target, 9)).ok()?;
    let ip = socket.local_addr().ok()?.ip();
    (!ip.is_unspecified() && !ip.is_loopback()).then_some(ip)
}
