//! Connections between peers: whom to expect, how to reach them, and the bytes that pass.
//!
//! The introduction fixes who dials, because dialling from both sides makes two connections. The dialling side
//! tries every candidate address at once and keeps the first that answers; the other side sends a few tiny
//! packets towards the same candidates, which open its NAT. A connection counts once the other side's first
//! frame has come. What the frames say is not this module's business.

mod dial;
mod expected;
mod link;
#[cfg(test)]
mod tests;

use std::{net::SocketAddr, sync::Arc};

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

/// A peer that is looked for, or met and looked for again when it is lost.
#[derive(Debug)]
struct Seeking {
    jam: JamId,
    candidates: Vec<SocketAddr>,
    dials: bool,
    task: AbortHandle,
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
    /// Whether this side dials.
    pub dials: bool,
    /// Where it may be.
    pub candidates: Vec<SocketAddr>,
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

    /// Expects `target`, and looks for it until [`forget`](Self::forget) or another call replaces it: after a
    /// lost connection the search goes on by itself.
    pub fn seek(&mut self, target: PeerTarget) {
        self.stop_seeking();
        let (jam, dials, candidates) = (target.hello.jam, target.dials, target.candidates.clone());
        self.shared.expected.expect(target.key, target.hello.clone());
        let shared = Arc::clone(&self.shared);
        let task = if dials {
            tokio::spawn(dial::dial(shared, target))
        } else {
            tokio::spawn(dial::punch(shared, target))
        };
        self.seeking = Some(Seeking { jam, candidates, dials, task: task.abort_handle() });
    }

    /// The peer that is looked for is there: nothing more needs to open its way. A dialling side goes on watching its
    /// connection.
    pub fn met(&mut self) {
        if let Some(seeking) = self.seeking.as_ref().filter(|seeking| !seeking.dials) {
            seeking.task.abort();
        }
    }

    /// The connection to `target` is lost. A dialling side is about to dial again by itself, so that a peer which
    /// closes every connection meets growing pauses; it begins anew only where the addresses have changed.
    pub fn miss(&mut self, target: PeerTarget) {
        let known = self.seeking.as_ref();
        let same = |seeking: &Seeking| {
            seeking.jam == target.hello.jam && seeking.dials && seeking.candidates == target.candidates
        };
        if !known.is_some_and(same) {
            self.seek(target);
        }
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
