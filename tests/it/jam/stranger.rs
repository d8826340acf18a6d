//! A hostile peer: QUIC with whatever key and whatever bytes, and how it was shown the door.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use jamsync_coordinator::data::DataFolder;
use jamsync_node::{
    api::Snapshot,
    identity::{Identity, TLS_NAME},
    net::tls,
};
use jamsync_protocol::{
    id::{DeviceKey, JamId, Participant},
    identity::{
        DeviceSecret, SignedGrant, Tier,
        grant::{Grant, GrantParticipant, Quality},
    },
    limits::PEER_FRAME_BYTES_MAX,
    text::List,
    time::Span,
    wire::{
        codec,
        peer::{ControlMessage, Hello, PEER_ALPN},
    },
};
use quinn::{
    ClientConfig, Connection, ConnectionError, Endpoint, RecvStream, SendStream, TransportConfig, VarInt,
};
use serde::Serialize;
use tokio::time::timeout;

use super::{process::PATIENCE, stage::now};

/// A hostile peer that holds some key.
pub(super) struct Stranger {
    endpoint: Endpoint,
    identity: Identity,
    victim: DeviceKey,
    address: SocketAddr,
}

/// A connection of a stranger with its streams.
pub(super) struct Intrusion {
    pub(super) connection: Connection,
    pub(super) control: SendStream,
    pub(super) queue: SendStream,
    pub(super) chat: SendStream,
    /// Held and never read: dropping them would tell the victim to stop sending.
    _unread: [RecvStream; 3],
}

impl Stranger {
    /// One who holds `identity` and attacks the node of `victim`.
    pub(super) fn new(identity: Identity, victim: &Snapshot) -> Self {
        let endpoint = Endpoint::client("127.0.0.1:0".parse().expect("an address")).expect("a socket");
        Self { endpoint, identity, victim: victim.me.device, address: victim.me.listen }
    }

    /// One who has stolen the key of the node in `home`.
    pub(super) fn thief(home: &Path, victim: &Snapshot) -> Self {
        Self::new(Identity::load_or_create(home).expect("the key"), victim)
    }

    /// Connects and opens all streams, and says nothing.
    pub(super) async fn connect(&self) -> Result<Intrusion, String> {
        let crypto = tls::client(&self.identity, self.victim, PEER_ALPN).expect("TLS");
        let mut config = ClientConfig::new(Arc::new(crypto));
        let mut transport = TransportConfig::default();
        // Takes a hello and hardly any answer, so that a flood piles up at the victim.
        transport.stream_receive_window(VarInt::from_u32(2_048));
        config.transport_config(Arc::new(transport));
        let connecting = self.endpoint.connect_with(config, self.address, TLS_NAME).expect("dials");
        let connection = timeout(PATIENCE, connecting).await.expect("an answer in time");
        let connection = connection.map_err(|error| error.to_string())?;
        let (mut control, from_control) = connection.open_bi().await.map_err(|error| error.to_string())?;
        let (mut queue, from_queue) = connection.open_bi().await.map_err(|error| error.to_string())?;
        let (mut chat, from_chat) = connection.open_bi().await.map_err(|error| error.to_string())?;
        // A victim that closes at once is heard of when the intrusion ends.
        let _ = (control.write_all(&[0]).await, queue.write_all(&[1]).await, chat.write_all(&[2]).await);
        Ok(Intrusion { connection, control, queue, chat, _unread: [from_control, from_queue, from_chat] })
    }

    /// Connects and says `hello`.
    pub(super) async fn enter(&self, hello: &Hello) -> Intrusion {
        let mut intrusion = self.connect().await.expect("the key is expected");
        intrusion.say(&ControlMessage::Hello(hello.clone())).await;
        intrusion
    }
}

impl Intrusion {
    /// Sends a well-formed message on the control stream.
    pub(super) async fn say<T: Serialize>(&mut self, message: &T) {
        let frame = codec::encode_frame(message, PEER_FRAME_BYTES_MAX).expect("fits");
        self.send(&frame).await;
    }

    /// Sends bytes on the control stream, as far as they are still taken.
    pub(super) async fn send(&mut self, bytes: &[u8]) {
        let _ = timeout(Duration::from_secs(5), self.control.write_all(bytes)).await;
    }

    /// The reason with which the victim closes the connection.
    pub(super) async fn end(self) -> String {
        match timeout(PATIENCE, self.connection.closed()).await.expect("it is closed in time") {
            ConnectionError::ApplicationClosed(close) => String::from_utf8_lossy(&close.reason).into_owned(),
            other => panic!("not closed by the node: {other}"),
        }
    }
}

/// What a coordinator grants, signed with the key in `data`: Ben's Jam with Ana, changed in whatever way.
pub(super) fn grant(
    data: &Path,
    ben: &Snapshot,
    ana: &Snapshot,
    change: impl FnOnce(&mut Grant),
) -> SignedGrant {
    let secret = DataFolder::open_existing(data).expect("the data of a coordinator").secret;
    signed_by(&secret, ben, ana, change)
}

/// The same, signed with any key.
pub(super) fn signed_by(
    secret: &DeviceSecret,
    ben: &Snapshot,
    ana: &Snapshot,
    change: impl FnOnce(&mut Grant),
) -> SignedGrant {
    let now = now();
    let participant = |of: &Snapshot| GrantParticipant {
        account: of.me.account.expect("signed up"),
        device: of.me.device,
        handle: of.me.handle.clone().expect("signed up"),
        tier: Tier::Premium,
        quality: Quality::Original,
    };
    let mut grant = Grant {
        jam: ben.jam.as_ref().map_or(JamId([0x4a; 16]), |jam| jam.id),
        participants: List::new(vec![participant(ben), participant(ana)]).expect("two"),
        host: Participant::FIRST,
        issued: now - Span::from_secs(60),
        expires: now + Span::from_secs(3_600),
    };
    change(&mut grant);
    grant.signed_by(secret).expect("fits")
}

/// A hello for the Jam with `signed`.
pub(super) fn hello(jam: JamId, signed: &SignedGrant) -> Hello {
    let bytes = codec::encode(signed, PEER_FRAME_BYTES_MAX).expect("fits");
    Hello { features: 0, jam, run: 666, grant: List::new(bytes).expect("fits") }
}

/// The Jam that a node is in.
pub(super) fn jam_of(status: &Snapshot) -> JamId {
    status.jam.as_ref().expect("in a Jam").id
}
