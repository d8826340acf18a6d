//! The QUIC server: carries requests from devices to the rules, and events back.
//!
//! It decides nothing. Every device that shows an Ed25519 certificate may connect; what it may do, the rules
//! say.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use jamsync_protocol::{id::DeviceKey, identity::DeviceSecret};
use quinn::{Endpoint, TokioRuntime, TransportConfig, crypto::rustls::QuicServerConfig};
use tokio::{
    sync::{Notify, watch},
    task::JoinHandle,
};

mod accept;
mod activity;
mod calendar;
mod damaged;
mod limits;
mod meters;
mod misses;
mod origins;
mod passing;
mod presence;
mod resets;
mod session;
mod takes;
#[cfg(test)]
mod tests;
mod timekeeper;
mod tls;
mod writes;

use crate::{env::Env, metrics::ServerMetrics, rules::Settings, store::Store};
use activity::Activities;
use calendar::Calendar;
use damaged::Damaged;
pub use limits::Limits;
use meters::Meters;
use misses::Misses;
use presence::Presence;
use resets::endpoint_config;
use takes::Takes;

/// A running server. Dropping it stops nothing; call [`shut_down`](Self::shut_down).
#[derive(Debug)]
pub struct Server {
    endpoint: Endpoint,
    stop: watch::Sender<bool>,
    broken: watch::Receiver<bool>,
    tasks: [JoinHandle<()>; 2],
    address: SocketAddr,
    key: DeviceKey,
    live: Arc<Live>,
    metrics: Arc<ServerMetrics>,
}

/// What the operator may change while the server runs.
#[derive(Debug)]
struct Live(RwLock<(Arc<Settings>, Arc<Limits>)>);

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
    calendar: Arc<Calendar>,
    live: Arc<Live>,
    metrics: Arc<ServerMetrics>,
    secret: Arc<DeviceSecret>,
    presence: Arc<Presence>,
    activities: Activities,
    meters: Meters,
    misses: Arc<Misses>,
    takes: Arc<Takes>,
    damaged: Damaged,
    /// A request may expire sooner than any did, or the store has failed.
    look_again: Notify,
}

impl Server {
    /// Binds `listen` and serves until [`shut_down`](Self::shut_down), within [`Limits::default`] unless
    /// [`change`](Self::change) says otherwise. Must be called within a tokio runtime.
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
        let live = Arc::new(Live(RwLock::new((Arc::new(settings), Arc::default()))));
        let metrics = Arc::<ServerMetrics>::default();
        let shared = Arc::new(Shared {
            store,
            calendar: Arc::new(Calendar::new(Arc::clone(&env))),
            env,
            live: Arc::clone(&live),
            metrics: Arc::clone(&metrics),
            secret: Arc::new(secret),
            presence: Arc::default(),
            activities: Activities::default(),
            meters: Meters::default(),
            misses: Arc::default(),
            takes: Arc::default(),
            damaged: Damaged::default(),
            look_again: Notify::new(),
        });
        let ((stop, stopping), (breaks, broken)) = (watch::channel(false), watch::channel(false));
        let tasks = [
            tokio::spawn(accept::accept(endpoint.clone(), Arc::clone(&shared), stopping.clone())),
            tokio::spawn(timekeeper::keep_time(shared, stopping, breaks)),
        ];
        Ok(Self { endpoint, stop, broken, tasks, address, key, live, metrics })
    }

    /// Takes other rules and limits, from the next request and the next connection on.
    pub fn change(&self, settings: Settings, limits: Limits) {
        *self.live.0.write().unwrap_or_else(PoisonError::into_inner) = (Arc::new(settings), Arc::new(limits));
    }

    /// What the server counts.
    #[must_use]
    pub fn metrics(&self) -> Arc<ServerMetrics> {
        Arc::clone(&self.metrics)
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

    /// Returns where nothing can be written any more, whatever anybody does, until the program is started anew. It stands
    /// still as long as all is well.
    pub async fn broken(&self) {
        let mut broken = self.broken.clone();
        if broken.wait_for(|broken| *broken).await.is_err() {
            // The server has stopped by itself.
            std::future::pending::<()>().await;
        }
    }

    /// Takes no more connections, ends what is under way, tells the nodes, and returns when all are gone.
    pub async fn shut_down(self) {
        self.metrics.draining.set(true);
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

impl Live {
    fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner).0)
    }
    fn limits(&self) -> Arc<Limits> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner).1)
    }
}

/// Returns when the server is to stop.
async fn stopped(stopping: &mut watch::Receiver<bool>) {
    // An error means that the server itself is gone.
    drop(stopping.wait_for(|stopping| *stopping).await);
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
        // Frames are small, so that looking for larger packets costs each login more than it ever gains.
        .mtu_discovery_config(None)
        .max_idle_timeout(Some(quinn::VarInt::from_u32(IDLE_TIMEOUT_MS).into()));
    let mut config = quinn::ServerConfig::with_crypto(Arc::new(quic));
    config
        .transport_config(Arc::new(transport))
        .max_incoming(INCOMING_MAX)
        .incoming_buffer_size(u64::from(STREAM_WINDOW_BYTES))
        .incoming_buffer_size_total(INCOMING_BUFFER_BYTES_TOTAL);
    Ok(config)
}

/// A UDP socket on `listen`, with room for a burst of packets.
fn bind(listen: SocketAddr) -> std::io::Result<UdpSocket> {
    use rustix::net::sockopt;
    let socket = bind_dual(listen)?;
    for set in [sockopt::set_socket_recv_buffer_size, sockopt::set_socket_send_buffer_size] {
        // The system gives as much of it as it permits, which may be what it gives without asking.
        let _ = set(&socket, SOCKET_BUFFER_BYTES);
    }
    Ok(socket)
}

/// The unspecified IPv6 address takes IPv4 too, and falls back to IPv4 alone on a machine without IPv6.
pub(crate) fn bind_dual(listen: SocketAddr) -> std::io::Result<UdpSocket> {
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

/// What the system may keep of packets that have not been looked at, default 4 MiB: a second of a thousand devices that
/// come back at once. Less loses packets, which cost their senders a second each.
const SOCKET_BUFFER_BYTES: usize = 4 << 20;
/// Streams that a client may have open: the event stream and requests side by side. Count, default 8: fewer
/// slow a node that starts, more let one client hold more memory, a frame of 16 KiB for each.
const STREAMS_MAX: u8 = 8;
/// Bytes a client may send ahead on one stream, default 32 KiB: twice the largest frame.
const STREAM_WINDOW_BYTES: u32 = 32 * 1024;
/// Bytes a client may send ahead in all, and we to it, default 64 KiB each way. With the frames of
/// [`STREAMS_MAX`] streams, the events of one read and what waits to be told in passing it is the bound on what one client can
/// make the server keep: 64 + 64 + 8 x 16 + 8 x 16 + 32 = 416 KiB, and the connection itself.
const CONNECTION_WINDOW_BYTES: u32 = 64 * 1024;
/// A connection without a packet for so long is gone. Milliseconds, default 60,000: nodes send every 15 s, so
/// three may be lost; longer shows friends online who are not.
const IDLE_TIMEOUT_MS: u32 = 60_000;
/// Handshakes that may wait to be looked at. Count, default 1,024.
const INCOMING_MAX: usize = 1_024;
/// Bytes that waiting handshakes may hold in all, default 8 MiB.
const INCOMING_BUFFER_BYTES_TOTAL: u64 = 8 * 1024 * 1024;
/// How long to wait for the last packets when shutting down.
const CLOSE_TIME_MAX: Duration = Duration::from_secs(2);
