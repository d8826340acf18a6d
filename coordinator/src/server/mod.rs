//! The QUIC server: carries requests from devices to the rules, and events back.
//!
//! It decides nothing. Every device that shows an Ed25519 certificate may connect; what it may do, the rules
//! say.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    sync::Arc,
    time::Duration,
};

use jamsync_protocol::{id::DeviceKey, identity::DeviceSecret, time::Span};
use quinn::{Endpoint, TokioRuntime, TransportConfig, crypto::rustls::QuicServerConfig};
use tokio::{
    sync::{Notify, watch},
    task::{JoinHandle, JoinSet},
};

mod origins;
mod presence;
mod resets;
mod session;
mod tls;

use crate::{
    env::Env,
    rules::{self, Settings},
    store::{Store, StoreError},
};
use origins::{Admission, Origins};
use presence::Presence;
use resets::endpoint_config;

/// A running server. Dropping it stops nothing; call [`shut_down`](Self::shut_down).
#[derive(Debug)]
pub struct Server {
    endpoint: Endpoint,
    stop: watch::Sender<bool>,
    tasks: [JoinHandle<()>; 2],
    address: SocketAddr,
    key: DeviceKey,
}

/// Why the server does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// Another program has the port.
    #[error("UDP port {} is in use; stop the other program, or choose another port with --listen", .0.port())]
    PortTaken(SocketAddr),
    /// The system refuses the address.
    #[error("cannot listen on {address}: {reason}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// What the system says.
        reason: String,
    },
    /// The certificate cannot be made from the key.
    #[error("cannot make the certificate: {0}")]
    Certificate(String),
}

/// What every connection shares.
#[derive(Debug)]
struct Shared<S> {
    store: S,
    env: Arc<dyn Env>,
    settings: Arc<Settings>,
    secret: Arc<DeviceSecret>,
    presence: Arc<Presence>,
    expiry_changed: Notify,
}

impl Server {
    /// Binds `listen` and serves until [`shut_down`](Self::shut_down). Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`ServeError`].
    pub fn start<S: Store>(
        listen: SocketAddr,
        secret: DeviceSecret,
        settings: Settings,
        store: S,
        env: Arc<dyn Env>,
    ) -> Result<Self, ServeError> {
        let config = quic_config(&secret)?;
        let failed = |error: std::io::Error| {
            if error.kind() == std::io::ErrorKind::AddrInUse {
                ServeError::PortTaken(listen)
            } else {
                ServeError::Listen { address: listen, reason: error.to_string() }
            }
        };
        let socket = bind(listen).map_err(failed)?;
        let endpoint = Endpoint::new(endpoint_config(&secret), Some(config), socket, Arc::new(TokioRuntime))
            .map_err(failed)?;
        let address = endpoint.local_addr().map_err(failed)?;
        let key = secret.public();
        let shared = Arc::new(Shared {
            store,
            env,
            settings: Arc::new(settings),
            secret: Arc::new(secret),
            presence: Arc::default(),
            expiry_changed: Notify::new(),
        });
        let (stop, stopping) = watch::channel(false);
        let tasks = [
            tokio::spawn(accept(endpoint.clone(), Arc::clone(&shared), stopping.clone())),
            tokio::spawn(keep_time(shared, stopping)),
        ];
        Ok(Self { endpoint, stop, tasks, address, key })
    }

    /// The address that is bound.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The key that the server shows and signs grants with.
    #[must_use]
    pub fn key(&self) -> DeviceKey {
        self.key
    }

    /// Takes no more connections, ends what is under way, tells the nodes, and returns when all are gone.
    pub async fn shut_down(self) {
        self.endpoint.set_server_config(None);
        self.stop.send_replace(true);
        for task in self.tasks {
            // A task that panicked has ended too.
            drop(task.await);
        }
        self.endpoint.close(0u32.into(), b"");
        // Lets the last close frames leave; a node that is gone does not hold us.
        drop(tokio::time::timeout(CLOSE_TIME_MAX, self.endpoint.wait_idle()).await);
    }
}

/// Serves each connection in a task of its own.
async fn accept<S: Store>(endpoint: Endpoint, shared: Arc<Shared<S>>, mut stopping: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    let origins = Arc::<Origins>::default();
    loop {
        let incoming = tokio::select! {
            incoming = endpoint.accept() => incoming,
            Some(_) = connections.join_next() => continue,
            () = stopped(&mut stopping) => break,
        };
        let Some(incoming) = incoming else { break };
        let proved = incoming.remote_address_validated();
        if connections.len() >= CONNECTIONS_MAX {
            incoming.refuse();
            continue;
        }
        let place = match origins.enter(incoming.remote_address().ip(), proved) {
            Admission::Granted(place) if proved || connections.len() < CONNECTIONS_UNPROVED_MAX => place,
            Admission::Granted(_) | Admission::Unproved => {
                // Under load an address must prove that it is one. A retry fails only for a proved one.
                drop(incoming.retry());
                continue;
            }
            Admission::Full => {
                incoming.refuse();
                continue;
            }
        };
        let (shared, stopping) = (Arc::clone(&shared), stopping.clone());
        connections.spawn(async move {
            match incoming.await {
                Ok(connection) => session::serve(shared, connection, stopping).await,
                Err(error) => tracing::debug!(%error, "a handshake failed"),
            }
            drop(place);
        });
    }
    while connections.join_next().await.is_some() {}
}

/// Returns when the server is to stop.
async fn stopped(stopping: &mut watch::Receiver<bool>) {
    // An error means that the server itself is gone.
    drop(stopping.wait_for(|stopping| *stopping).await);
}

/// Ends requests when their time is over, and forgets once an hour what is of no more use.
async fn keep_time<S: Store>(shared: Arc<Shared<S>>, mut stopping: watch::Receiver<bool>) {
    let mut prune_at = shared.env.now();
    loop {
        let now = shared.env.now();
        match shared.store.write(move |tables| rules::expire(tables, now)).await {
            Ok(wake) => shared.presence.wake(&wake),
            Err(error) => tracing::error!(%error, "requests could not be ended"),
        }
        if now >= prune_at {
            prune_at = now + PRUNE_INTERVAL;
            if let Err(error) = shared.store.write(move |tables| tables.prune(now - KEPT_SPAN)).await {
                tracing::error!(%error, "old rows could not be dropped");
            }
        }
        let next = match shared.store.read(|view| view.next_expiry()).await {
            // A failing store is asked again after a while, not at once.
            Ok(next) => {
                next.unwrap_or(prune_at).clamp(now + SHORTEST_SLEEP, prune_at.max(now + SHORTEST_SLEEP))
            }
            Err(StoreError::Closed) => return,
            Err(_) => now + Span::from_secs(5),
        };
        tokio::select! {
            () = shared.env.sleep_until(next) => {}
            () = shared.expiry_changed.notified() => {}
            () = stopped(&mut stopping) => return,
        }
    }
}

fn quic_config(secret: &DeviceSecret) -> Result<quinn::ServerConfig, ServeError> {
    let tls = tls::server_config(secret)?;
    let quic = QuicServerConfig::try_from(tls).map_err(|error| ServeError::Certificate(error.to_string()))?;
    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_bidi_streams(STREAMS_MAX.into())
        .max_concurrent_uni_streams(0u8.into())
        .stream_receive_window(STREAM_WINDOW_BYTES.into())
        .receive_window(CONNECTION_WINDOW_BYTES.into())
        .send_window(u64::from(CONNECTION_WINDOW_BYTES))
        .datagram_receive_buffer_size(None)
        .max_idle_timeout(Some(quinn::VarInt::from_u32(IDLE_TIMEOUT_MS).into()));
    let mut config = quinn::ServerConfig::with_crypto(Arc::new(quic));
    config
        .transport_config(Arc::new(transport))
        .max_incoming(INCOMING_MAX)
        .incoming_buffer_size(u64::from(STREAM_WINDOW_BYTES))
        .incoming_buffer_size_total(INCOMING_BUFFER_BYTES_TOTAL);
    Ok(config)
}

/// A UDP socket on `listen`. The unspecified IPv6 address takes IPv4 too, and falls back to IPv4 alone on a
/// machine without IPv6.
fn bind(listen: SocketAddr) -> std::io::Result<UdpSocket> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, ipproto, socket_with, sockopt};
    if !(listen.is_ipv6() && listen.ip().is_unspecified()) {
        return UdpSocket::bind(listen);
    }
    let flags = SocketFlags::CLOEXEC;
    match socket_with(AddressFamily::INET6, SocketType::DGRAM, flags, Some(ipproto::UDP)) {
        Ok(socket) => {
            sockopt::set_ipv6_v6only(&socket, false)?;
            bind(&socket, &listen)?;
            Ok(UdpSocket::from(socket))
        }
        Err(_) => UdpSocket::bind((IpAddr::from(Ipv4Addr::UNSPECIFIED), listen.port())),
    }
}

/// Streams that a client may have open: the event stream and requests side by side. Count, default 16: fewer
/// slow a node that starts, more let one client hold more memory.
const STREAMS_MAX: u8 = 16;
/// Bytes a client may send ahead on one stream, default 32 KiB: twice the largest frame.
const STREAM_WINDOW_BYTES: u32 = 32 * 1024;
/// Bytes a client may send ahead in all, and we to it, default 128 KiB: with [`CONNECTIONS_MAX`] the bound on
/// what clients can make the server keep.
const CONNECTION_WINDOW_BYTES: u32 = 128 * 1024;
/// A connection without a packet for so long is gone. Milliseconds, default 60,000: nodes send every 15 s, so
/// three may be lost; longer shows friends online who are not.
const IDLE_TIMEOUT_MS: u32 = 60_000;
/// Handshakes that may wait to be looked at. Count, default 1,024.
const INCOMING_MAX: usize = 1_024;
/// Bytes that waiting handshakes may hold in all, default 8 MiB.
const INCOMING_BUFFER_BYTES_TOTAL: u64 = 8 * 1024 * 1024;
/// Connections served at once. Count, default 20,000 at 40 KiB each: more needs a second process.
const CONNECTIONS_MAX: usize = 20_000;
/// Connections from which on a new address has to prove itself first, at the price of one round trip.
const CONNECTIONS_UNPROVED_MAX: usize = 10_000;
/// How long to wait for the last packets when shutting down.
const CLOSE_TIME_MAX: Duration = Duration::from_secs(2);
const PRUNE_INTERVAL: Span = Span::from_secs(3_600);
/// How long receipts and ended requests are kept: a day, longer than any node repeats a call.
const KEPT_SPAN: Span = Span::from_secs(86_400);
/// The timer never fires more often, whatever the rows say.
const SHORTEST_SLEEP: Span = Span::from_millis(20);
