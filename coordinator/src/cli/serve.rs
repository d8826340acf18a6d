//! `serve`: the server from start to drain.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    sync::Arc,
};

use jamsync_protocol::time::Span;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{CliError, ServeOptions, say};
use crate::{
    data::{DataFolder, ServerLock},
    env::{Env, SystemEnv},
    rules::Settings,
    server::Server,
    store::Store,
};

pub(super) async fn serve(options: ServeOptions, json: bool) -> Result<(), CliError> {
    start_log();
    let env: Arc<dyn Env> = Arc::new(SystemEnv);
    // Held until the end.
    let _lock = ServerLock::take(&options.data.data)?;
    let data = DataFolder::open(&options.data.data, env.as_ref())?;
    let settings = Settings {
        minimum_age: options.minimum_age,
        tier_default: options.tier_default.into(),
        request_life: Span::from_secs(options.request_expiry.into()),
    };
    let stops = [signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?];
    let store = data.store.clone();
    let server = Server::start(options.listen, data.secret, settings, data.store, env)?;
    let public: Vec<String> = if options.public.is_empty() {
        reachable_at(server.address()).iter().map(ToString::to_string).collect()
    } else {
        options.public.iter().map(|address| address.as_str().to_owned()).collect()
    };
    let noted = public.clone();
    store.write(move |tables| tables.set_public_addresses(&noted)).await?;
    say_ready(&server, &public, &options, json)?;

    wait_for(stops).await;
    tracing::info!("shutting down");
    server.shut_down().await;
    Ok(())
}

/// The line that scripts wait for.
fn say_ready(server: &Server, public: &[String], options: &ServeOptions, json: bool) -> Result<(), CliError> {
    if json {
        let ready = serde_json::json!({
            "event": "ready",
            "address": server.address().to_string(),
            "key": server.key().to_string(),
            "public": public,
        });
        return say(&ready.to_string());
    }
    say(&format!("Listening on {} (UDP). Friends reach it at {}.", server.address(), public.join(", ")))?;
    let data = options.data.data.display();
    say(&format!("To invite someone: jamsync-coordinator join-code --data {data}"))
}

async fn wait_for([mut terminate, mut interrupt]: [Signal; 2]) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
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

/// Logs to standard error. They name devices by the start of their keys, and never what anyone says or plays.
fn start_log() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("JAMSYNC_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // Fails only where a log is set up already.
    drop(log.try_init());
}
