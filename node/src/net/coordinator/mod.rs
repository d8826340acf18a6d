//! The link to the coordinator: one connection that is kept, requests with typed replies, and the events that
//! arrive unasked.
//!
//! The link decides nothing. It goes on trying while the coordinator cannot be reached, and tells when that
//! begins and ends; a Jam does not need it. It uses the node's one endpoint, so that the address which the
//! coordinator sees is the address at which the peer can be met.

use std::{sync::Arc, time::Duration};

use jamsync_protocol::{
    id::DeviceKey,
    text::Text,
    time::{NodeTime, UtcTime},
    wire::{
        codec::CodecError,
        coord::{
            ALPN, ActivityNews, CoordCall, CoordReply, CoordRequest, EventNumber, Fault, IdempotencyKey,
            NumberedEvent, Refusal,
        },
    },
};
use quinn::{ClientConfig, Connection, Endpoint, TransportConfig, VarInt};
use rand::TryRngCore as _;
use tokio::{
    sync::{Notify, mpsc, watch},
    task::JoinHandle,
    time::{Instant, timeout_at},
};

use super::tls::{self, TlsError};
use crate::{clock::NodeClock, identity::Identity};

mod activity;
mod dial;
mod exchange;

/// Where the coordinator is, and how it proves itself.
#[derive(Clone, Debug)]
pub struct LinkConfig {
    /// Where it listens, each `host:port`; all are tried.
    pub addresses: Vec<String>,
    /// The key it must show.
    pub coordinator: DeviceKey,
    /// Program and version, for the operator's log.
    pub program: Text<64>,
    /// Tells since when the coordinator has been away.
    pub clock: NodeClock,
}

/// Whether the coordinator is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkState {
    /// Not tried yet.
    Connecting,
    /// A connection stands and was greeted.
    Connected {
        /// The address that the coordinator sees.
        observed: std::net::SocketAddr,
    },
    /// No connection, and it is tried again and again.
    Unreachable {
        /// Since when.
        since: NodeTime,
        /// Why the last attempt failed.
        reason: String,
    },
}

/// What the link tells unasked.
#[derive(Clone, Debug)]
pub enum LinkEvent {
    /// A connection stands. Addresses told before are forgotten by the coordinator: tell them again, and ask
    /// for contacts and open requests, which may have changed meanwhile.
    Connected {
        /// The address that the coordinator sees.
        observed: std::net::SocketAddr,
        /// The coordinator's calendar.
        now: UtcTime,
        /// Whether this device belongs to an account there.
        signed_up: bool,
    },
    /// The connection was lost, or none could be made at first. Told once.
    Unreachable {
        /// Why.
        reason: String,
    },
    /// Something happened. It is told again after a restart until it is
    /// [acknowledged](CoordinatorLink::acknowledge).
    Event(NumberedEvent),
    /// Events were dropped by the coordinator before this node fetched them: ask for contacts and open requests.
    Missed,
    /// Something about the listening activity of a contact, or of this account.
    Activity(Box<ActivityNews>),
    /// The coordinator told an event again, or after a later one; it was left out. An honest one never does. Told once.
    OutOfOrder,
}

/// Why a request has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// The coordinator understood and refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// No connection in time. A write may have been done all the same; repeated under the same key it is done
    /// once.
    #[error("the coordinator cannot be reached ({reason}); check the network, or try again later")]
    Unreachable {
        /// What was tried last.
        reason: String,
    },
    /// The coordinator closed the stream.
    #[error("the coordinator closed the stream: {0}")]
    Closed(Fault),
    /// The reply is not one that this version reads.
    #[error("the coordinator's reply cannot be read: {0}")]
    Reply(#[from] CodecError),
    /// The reply is of another kind than the request has.
    #[error("the coordinator answered something else than was asked")]
    Unexpected,
    /// The system gives no random numbers.
    #[error("the operating system gave no random bytes")]
    NoRandomness,
}

/// A handle on the link; cheap to clone. The link ends with its last handle.
#[derive(Clone, Debug)]
pub struct CoordinatorLink {
    shared: Arc<Shared>,
    _driver: Arc<Driver>,
}

/// What handles and the driver share.
#[derive(Debug)]
struct Shared {
    endpoint: Endpoint,
    config: LinkConfig,
    client: ClientConfig,
    events: mpsc::Sender<LinkEvent>,
    state: watch::Sender<LinkState>,
    connection: watch::Sender<Option<Connection>>,
    acknowledged: watch::Sender<EventNumber>,
    hurry: Notify,
    /// Whether this device wants to be told of activities.
    watching: watch::Sender<bool>,
}

/// Ends the driver's task with the last handle.
#[derive(Debug)]
struct Driver(JoinHandle<()>);

impl CoordinatorLink {
    /// Starts to connect. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// [`TlsError`] for an identity that TLS does not take.
    pub fn spawn(
        endpoint: Endpoint,
        config: LinkConfig,
        identity: &Identity,
        events: mpsc::Sender<LinkEvent>,
    ) -> Result<Self, TlsError> {
        let mut client = ClientConfig::new(Arc::new(tls::client(identity, config.coordinator, ALPN)?));
        client.transport_config(transport());
        let shared = Arc::new(Shared {
            endpoint,
            config,
            client,
            events,
            state: watch::Sender::new(LinkState::Connecting),
            connection: watch::Sender::new(None),
            acknowledged: watch::Sender::new(EventNumber::default()),
            hurry: Notify::new(),
            watching: watch::Sender::new(false),
        });
        let driver = Driver(tokio::spawn(dial::keep_connected(Arc::clone(&shared))));
        Ok(Self { shared, _driver: Arc::new(driver) })
    }

    /// Asks the coordinator. A connection that is lost meanwhile is waited for, and the request repeated under
    /// the same key, so a write takes effect once.
    ///
    /// # Errors
    /// [`LinkError`], also for a refusal; after [`REQUEST_TIME_MAX`] at the latest.
    pub async fn request(&self, request: CoordRequest) -> Result<CoordReply, LinkError> {
        let mut key = [0; 16];
        rand::rngs::OsRng.try_fill_bytes(&mut key).map_err(|_| LinkError::NoRandomness)?;
        let call = CoordCall { key: IdempotencyKey(key), request };
        let deadline = Instant::now() + REQUEST_TIME_MAX;
        let mut connections = self.shared.connection.subscribe();
        // Someone wants something: a pause between two attempts to connect is over.
        self.shared.hurry.notify_one();
        loop {
            let waited = timeout_at(deadline, connections.wait_for(Option::is_some)).await;
            let Ok(Ok(Some(connection))) = waited.map(|found| found.map(|found| found.clone())) else {
                return Err(LinkError::Unreachable { reason: self.reason() });
            };
            match timeout_at(deadline, exchange::ask(&connection, &call)).await {
                Ok(Ok(CoordReply::Refused(refusal))) => return Err(LinkError::Refused(refusal)),
                Ok(Ok(reply)) => return Ok(reply),
                Ok(Err(exchange::AskError::Lost)) => {
                    // The driver notices too; until it has, the same dead connection would be found again.
                    let gone = |now: &Option<Connection>| {
                        now.as_ref().is_none_or(|now| now.stable_id() != connection.stable_id())
                    };
                    connection.close(0u32.into(), b"");
                    if !matches!(timeout_at(deadline, connections.wait_for(gone)).await, Ok(Ok(_))) {
                        return Err(LinkError::Unreachable { reason: self.reason() });
                    }
                }
                Ok(Err(exchange::AskError::Failed(error))) => return Err(error),
                Err(_) => {
                    // Whoever does not answer in time is not there; a new connection may do better.
                    connection.close(0u32.into(), b"");
                    return Err(LinkError::Unreachable { reason: "no answer in time".to_owned() });
                }
            }
        }
    }

    /// Does something with the coordinator, but gives up as soon as it is known to be away: for whoever has another answer and
    /// need not wait until it is back.
    ///
    /// # Errors
    /// [`LinkError::Unreachable`] where it is away, else whatever `work` gives.
    pub async fn unless_away<T>(
        &self,
        work: impl Future<Output = Result<T, LinkError>>,
    ) -> Result<T, LinkError> {
        let mut states = self.shared.state.subscribe();
        let away = states.wait_for(|state| matches!(state, LinkState::Unreachable { .. }));
        tokio::select! {
            biased;
            _ = away => {
                // Somebody asked, so it is tried again now; the next answer may be a new one.
                self.hurry();
                Err(LinkError::Unreachable { reason: self.reason() })
            }
            done = work => done,
        }
    }

    /// Says that all events up to `number` are dealt with and kept, so that they need not be sent again.
    pub fn acknowledge(&self, number: EventNumber) {
        self.shared.acknowledged.send_if_modified(|newest| {
            let newer = number > *newest;
            *newest = number.max(*newest);
            newer
        });
    }

    /// From now on, and on every connection to come, tells of the activities of contacts. For a device that is signed up.
    pub fn watch_activity(&self) {
        self.shared.watching.send_replace(true);
    }

    /// Whether the coordinator is there.
    #[must_use]
    pub fn state(&self) -> LinkState {
        self.shared.state.borrow().clone()
    }

    /// Says that the network may be back: a pause between two attempts to connect is over.
    pub fn hurry(&self) {
        self.shared.hurry.notify_one();
    }

    fn reason(&self) -> String {
        match self.state() {
            LinkState::Unreachable { reason, .. } => reason,
            LinkState::Connecting | LinkState::Connected { .. } => "no answer in time".to_owned(),
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A packet every 15 s keeps the NAT open (Linux forgets after 30 s without an answer). A coordinator that is
/// silent for 30 s is gone.
fn transport() -> Arc<TransportConfig> {
    let mut transport = TransportConfig::default();
    transport
        .keep_alive_interval(Some(Duration::from_secs(15)))
        .max_idle_timeout(Some(VarInt::from_u32(30_000).into()))
        .initial_rtt(Duration::from_millis(100))
        .max_concurrent_bidi_streams(0u8.into())
        .max_concurrent_uni_streams(0u8.into())
        .stream_receive_window(VarInt::from_u32(128 * 1024))
        .receive_window(VarInt::from_u32(512 * 1024))
        .datagram_receive_buffer_size(None);
    Arc::new(transport)
}

/// How long a request may take in all, reconnecting included. Seconds, default 10: shorter gives up on a bad
/// mobile link, longer leaves a person in front of a silent command.
pub const REQUEST_TIME_MAX: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use jamsync_protocol::identity::DeviceSecret;

    use super::*;

    #[tokio::test]
    async fn whoever_need_not_wait_for_a_coordinator_that_is_away_is_answered_at_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let identity = Identity::load_or_create(folder.path()).expect("a key");
        let endpoint = Endpoint::client(([127, 0, 0, 1], 0).into()).expect("a socket");
        let (events, mut inbox) = mpsc::channel(8);
        // It is looked for nowhere, and so found away at once.
        let config = LinkConfig {
            addresses: Vec::new(),
            coordinator: DeviceSecret::from_seed(&[9; 32]).public(),
            program: Text::truncated("test"),
            clock: NodeClock::system(),
        };
        let link = CoordinatorLink::spawn(endpoint, config, &identity, events).expect("an identity of ours");
        let never = std::future::pending::<Result<(), LinkError>>;
        // The first is asked before anybody knows, the second after.
        for _ in 0..2 {
            let outcome = link.unless_away(never()).await;
            assert_eq!(outcome, Err(LinkError::Unreachable { reason: "no address is known".to_owned() }));
        }
        assert!(matches!(inbox.recv().await, Some(LinkEvent::Unreachable { .. })));
    }
}
