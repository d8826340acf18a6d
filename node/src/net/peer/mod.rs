//! Connections between peers: whom to expect, how to reach them, and the bytes that pass.
//!
//! The introduction fixes who dials first, because dialling from both sides makes two connections. The dialling side
//! tries every candidate address at once and keeps the first that answers; the other side sends a few tiny
//! packets towards the same candidates, which open its NAT, and dials only where the first does not come. A connection
//! counts once the other side's first frame has come. What the frames say, and which of two connections is used, is
//! not this module's business.

mod dial;
mod expected;
mod link;
#[cfg(test)]
mod tests;

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use expected::ExpectedPeers;
use jamsync_protocol::{
    id::{DeviceKey, JamId},
    session::Channel,
    time::NodeTime,
    wire::peer::{Hello, PEER_ALPN},
};
pub use link::{CloseCode, PeerLink};
use quinn::Endpoint;
use tokio::{
    sync::{Semaphore, mpsc},
    task::AbortHandle,
};

use super::{
    socket::{canonical, peer_transport},
    tls::{self, TlsError},
};
use crate::{clock::NodeClock, identity::Identity};

/// The node's door for peers.
#[derive(Debug)]
pub struct PeerPort {
    shared: Arc<Shared>,
    accepting: AbortHandle,
    seeking: Option<Seeking>,
}

/// A peer that is looked for, or was met.
#[derive(Debug)]
struct Seeking {
    jam: JamId,
    task: AbortHandle,
    met: Option<Instant>,
    /// Before the next search; it grows with each connection that does not last.
    pause: Duration,
}

/// What every connection task holds.
#[derive(Debug)]
struct Shared {
    endpoint: Endpoint,
    raw: std::net::UdpSocket,
    identity: Arc<Identity>,
    expected: Arc<ExpectedPeers>,
    clock: NodeClock,
    events: mpsc::Sender<PeerEvent>,
}

/// A peer to be met, as the introduction names it.
#[derive(Clone, Debug)]
pub struct PeerTarget {
    /// The key it must hold.
    pub key: DeviceKey,
    /// What to say first; it names the Jam.
    pub hello: Hello,
    /// When this side dials.
    pub dialling: Dialling,
    /// Where it may be.
    pub candidates: Vec<SocketAddr>,
}

/// When a side dials. The other side may dial too: then there are two connections, of which both must keep the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialling {
    /// From the beginning.
    AtOnce,
    /// Where the other side has not come by then; until then this side opens its NAT.
    After(Duration),
    /// Never: this side opens its NAT for as long as it looks.
    Never,
}

/// What happens on peer connections.
#[derive(Debug)]
pub enum PeerEvent {
    /// A connection stands and the peer has said its hello, which is still to be judged.
    Connected {
        /// The connection.
        link: PeerLink,
        /// What the peer said first.
        hello: Hello,
    },
    /// A frame or a datagram came.
    Bytes {
        /// On which connection.
        link: u64,
        /// On which stream.
        channel: Channel,
        /// The frame's body or the datagram.
        bytes: Vec<u8>,
        /// When it was read, on the node's clock.
        at: NodeTime,
    },
    /// A frame of the chat came.
    Chat {
        /// On which connection.
        link: u64,
        /// The frame's body.
        bytes: Vec<u8>,
        /// When it was read, on the node's clock.
        at: NodeTime,
    },
    /// A connection is gone.
    Lost {
        /// Which.
        link: u64,
        /// Why, in words.
        reason: String,
    },
    /// A candidate or an incoming connection came to nothing.
    Failed {
        /// Where.
        address: SocketAddr,
        /// Why, in words.
        reason: String,
    },
}

impl PeerPort {
    /// Opens the door: the endpoint accepts peers that are expected, and nobody is yet.
    ///
    /// # Errors
    /// [`TlsError`] for an identity that TLS does not take.
    pub fn open(
        endpoint: Endpoint,
        raw: std::net::UdpSocket,
        identity: Arc<Identity>,
        clock: NodeClock,
        events: mpsc::Sender<PeerEvent>,
    ) -> Result<Self, TlsError> {
        let expected = Arc::new(ExpectedPeers::default());
        let crypto = tls::server(&identity, Arc::<ExpectedPeers>::clone(&expected), PEER_ALPN)?;
        let mut config = quinn::ServerConfig::with_crypto(Arc::new(crypto));
        config
            .transport_config(peer_transport())
            .max_incoming(HANDSHAKES_MAX)
            .incoming_buffer_size(64 * 1024)
            .incoming_buffer_size_total(512 * 1024);
        endpoint.set_server_config(Some(config));
        let shared = Arc::new(Shared { endpoint, raw, identity, expected, clock, events });
        let accepting = tokio::spawn(accept(Arc::clone(&shared))).abort_handle();
        Ok(Self { shared, accepting, seeking: None })
    }

    /// Expects `target`, and looks for it until it is [met](Self::met) or [forgotten](Self::forget), or another call
    /// replaces it. Connections that stand are not touched.
    pub fn seek(&mut self, target: PeerTarget) {
        self.seek_after(Duration::ZERO, dial::PAUSE_LEAST, target);
    }

    /// The peer that is looked for is there: nothing more needs to be done to reach it.
    pub fn met(&mut self) {
        if let Some(seeking) = &mut self.seeking {
            seeking.task.abort();
            seeking.met = Some(Instant::now());
        }
    }

    /// The connection to `target` is lost or of no use: looks for it again, after a pause that grows where connections
    /// do not last, so that a peer which ends every one at once is not dialled for ever at the same pace.
    pub fn miss(&mut self, target: PeerTarget) {
        let known = self.seeking.as_ref().filter(|seeking| seeking.jam == target.hello.jam);
        let lasted = |met: Instant| met.elapsed() > dial::STEADY;
        let pause = match known {
            Some(seeking) if !seeking.met.is_some_and(lasted) => seeking.pause,
            Some(_) | None => dial::PAUSE_LEAST,
        };
        self.seek_after(pause, (pause * 2).min(dial::PAUSE_MOST), target);
    }

    fn seek_after(&mut self, pause: Duration, next: Duration, target: PeerTarget) {
        self.stop_seeking();
        let jam = target.hello.jam;
        self.shared.expected.expect(target.key, target.hello.clone());
        let task = tokio::spawn(dial::seek(Arc::clone(&self.shared), target, pause)).abort_handle();
        self.seeking = Some(Seeking { jam, task, met: None, pause: next });
    }

    /// No longer expects anyone of this Jam.
    pub fn forget(&mut self, jam: JamId) {
        self.shared.expected.forget(jam);
        if self.seeking.as_ref().is_some_and(|seeking| seeking.jam == jam) {
            self.stop_seeking();
        }
    }

    fn stop_seeking(&mut self) {
        if let Some(seeking) = self.seeking.take() {
            seeking.task.abort();
        }
    }
}

impl Drop for PeerPort {
    fn drop(&mut self) {
        self.stop_seeking();
        self.accepting.abort();
    }
}

/// Lets expected peers in. While none is expected, packets of strangers are dropped without an answer, so that
/// the node costs and tells them nothing; while one is, only so many strangers at once can make it calculate.
async fn accept(shared: Arc<Shared>) {
    let room = Arc::new(Semaphore::new(HANDSHAKES_MAX));
    while let Some(incoming) = shared.endpoint.accept().await {
        if shared.expected.is_empty() {
            incoming.ignore();
            continue;
        }
        if room.available_permits() <= HANDSHAKES_MAX / 2 && !incoming.remote_address_validated() {
            // Under load an address must prove that it is one. A retry fails only for a proved one.
            drop(incoming.retry());
            continue;
        }
        let Ok(place) = Arc::clone(&room).try_acquire_owned() else {
            incoming.ignore();
            continue;
        };
        let address = canonical(incoming.remote_address());
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let outcome = match incoming.await {
                Ok(connection) => link::welcome(&shared, connection).await,
                Err(error) => Err(error.to_string()),
            };
            drop(place);
            if let Err(reason) = outcome {
                tracing::info!(%address, reason, "a peer connection came to nothing");
                let _ = shared.events.send(PeerEvent::Failed { address, reason }).await;
            }
        });
    }
}

/// Handshakes under way at once, in number: a Jam needs one, a restart a few.
const HANDSHAKES_MAX: usize = 32;
