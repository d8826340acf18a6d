//! One connection to a peer: its streams opened, its frames cut, its bytes moved.
//!
//! Each stream begins with one byte that names its [`Channel`], so that the order in which streams arrive does
//! not matter. The dialling side opens them all.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use jamsync_protocol::{
    id::DeviceKey,
    limits::PEER_FRAME_BYTES_MAX,
    session::{Channel, Transmit},
    wire::{
        codec::{self, FrameReader},
        peer::{ControlMessage, Hello},
    },
};
use quinn::{Connection, RecvStream, SendStream, Side, VarInt};
use tokio::{sync::mpsc, time::timeout};

use super::{PeerEvent, Shared};
use crate::net::{socket::canonical, tls};

/// A connection that can be written to.
#[derive(Debug)]
pub struct PeerLink {
    id: u64,
    key: DeviceKey,
    dialled: bool,
    connection: Connection,
    control: mpsc::Sender<Vec<u8>>,
    queue: mpsc::Sender<Vec<u8>>,
    chat: mpsc::Sender<Vec<u8>>,
}

/// Why this side closes a connection, as the code that the other side sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CloseCode {
    /// This side leaves the Jam or ends.
    Left = 0,
    /// The peer broke the protocol; the reason names how.
    Violation = 1,
    /// The peer's grant is not good for this Jam.
    Refused = 2,
    /// A newer connection has taken over.
    Superseded = 3,
    /// The peer does not take what it is sent.
    Stalled = 4,
}

impl PeerLink {
    /// A number that no other connection of this process has.
    #[must_use]
    pub const fn id(&self) -> u64 {
        self.id
    }

    /// The key that the peer has proven to hold.
    #[must_use]
    pub const fn key(&self) -> DeviceKey {
        self.key
    }

    /// Whether this side has dialled it.
    #[must_use]
    pub const fn dialled(&self) -> bool {
        self.dialled
    }

    /// Where the peer is.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        canonical(self.connection.remote_address())
    }

    /// Sends a frame or a datagram of the session.
    pub fn send(&self, transmit: Transmit) {
        match transmit.channel {
            Channel::Control => self.put(&self.control, transmit.bytes),
            Channel::Queue => self.put(&self.queue, transmit.bytes),
            // A datagram that cannot leave now is lost, as on any network.
            Channel::Datagram => drop(self.connection.send_datagram(transmit.bytes.into())),
        }
    }

    /// Sends the body of a frame of the chat.
    pub fn say(&self, body: Vec<u8>) {
        self.put(&self.chat, body);
    }

    /// A peer that has stopped reading its streams is cut off, because what waits for it would grow without end.
    fn put(&self, stream: &mpsc::Sender<Vec<u8>>, body: Vec<u8>) {
        if let Err(mpsc::error::TrySendError::Full(_)) = stream.try_send(body) {
            self.close(CloseCode::Stalled, "peer does not read what it is sent");
        }
    }

    /// Closes the connection and tells the peer why.
    pub fn close(&self, code: CloseCode, reason: &str) {
        self.connection.close(VarInt::from_u32(code as u32), reason.as_bytes());
    }

    /// Lets what was sent arrive, then closes: for a farewell.
    pub async fn finish(self) {
        let Self { connection, control, queue, chat, .. } = self;
        drop((control, queue, chat));
        // The peer closes when it has read the farewell; a silent one is not waited for.
        let _ = timeout(FAREWELL, connection.closed()).await;
        connection.close(VarInt::from_u32(CloseCode::Left as u32), b"left the Jam");
    }
}

/// The dialling side's part: opens the streams and says hello first.
pub(super) async fn greet(shared: &Arc<Shared>, connection: Connection, hello: &Hello) -> Result<(), String> {
    let opened = async {
        let control = open(&connection, CONTROL_STREAM).await?;
        let queue = open(&connection, QUEUE_STREAM).await?;
        Ok::<_, String>([control, queue, open(&connection, CHAT_STREAM).await?])
    };
    let streams = timeout(HELLO_PATIENCE, opened).await.map_err(|_| TOO_SLOW.to_owned())??;
    establish(shared, connection, hello, streams).await
}

/// The accepting side's part: takes the streams and answers the hello.
pub(super) async fn welcome(shared: &Arc<Shared>, connection: Connection) -> Result<(), String> {
    let key = tls::peer_key(&connection).ok_or("the peer showed no key")?;
    let hello = shared.expected.hello_for(&key).ok_or("the peer is no longer expected")?;
    let accepted = async {
        let mut streams = [const { None }; STREAMS];
        while streams.iter().any(Option::is_none) {
            let (send, mut receive) = connection.accept_bi().await.map_err(|error| error.to_string())?;
            let mut kind = [0];
            receive.read_exact(&mut kind).await.map_err(|error| error.to_string())?;
            let [kind] = kind;
            let unknown = || format!("the peer opened a stream of unknown kind {kind}");
            let place = streams.get_mut(usize::from(kind)).ok_or_else(unknown)?;
            if place.replace((send, receive)).is_some() {
                return Err("the peer opened the same stream twice".to_owned());
            }
        }
        let [Some(control), Some(queue), Some(chat)] = streams else { return Err(TOO_SLOW.to_owned()) };
        Ok([control, queue, chat])
    };
    let streams = timeout(HELLO_PATIENCE, accepted).await.map_err(|_| TOO_SLOW.to_owned()).flatten();
    match streams {
        Ok(streams) => establish(shared, connection, &hello, streams).await,
        Err(reason) => {
            connection.close(VarInt::from_u32(CloseCode::Violation as u32), reason.as_bytes());
            Err(reason)
        }
    }
}

type Stream = (SendStream, RecvStream);

async fn open(connection: &Connection, kind: u8) -> Result<Stream, String> {
    let (mut send, receive) = connection.open_bi().await.map_err(|error| error.to_string())?;
    // What is heard comes before what is listed, and that before what is said about it.
    send.set_priority(-i32::from(kind)).map_err(|error| error.to_string())?;
    send.write_all(&[kind]).await.map_err(|error| error.to_string())?;
    Ok((send, receive))
}

/// Says hello, hears the other's, and lets the bytes flow.
async fn establish(
    shared: &Arc<Shared>,
    connection: Connection,
    hello: &Hello,
    [(mut control, control_in), queue, chat]: [Stream; STREAMS],
) -> Result<(), String> {
    static LINKS: AtomicU64 = AtomicU64::new(1);
    let key = tls::peer_key(&connection).ok_or("the peer showed no key")?;
    let mut reader = Reader { stream: control_in, frames: FrameReader::new(PEER_FRAME_BYTES_MAX) };
    let greeted = async {
        let frame = codec::encode_frame(&ControlMessage::Hello(hello.clone()), PEER_FRAME_BYTES_MAX)
            .map_err(|error| error.to_string())?;
        control.write_all(&frame).await.map_err(|error| error.to_string())?;
        let first = reader.next().await?.ok_or("the peer ended the stream before its hello")?;
        match codec::decode(&first) {
            Ok(ControlMessage::Hello(hello)) => Ok(hello),
            Ok(_) => Err("the peer's first message was no hello".to_owned()),
            Err(error) => Err(format!("the peer's hello: {error}")),
        }
    };
    let theirs = match timeout(HELLO_PATIENCE, greeted).await.map_err(|_| TOO_SLOW.to_owned()).flatten() {
        Ok(theirs) => theirs,
        Err(reason) => {
            connection.close(VarInt::from_u32(CloseCode::Violation as u32), reason.as_bytes());
            return Err(reason);
        }
    };
    let id = LINKS.fetch_add(1, Ordering::Relaxed);
    let (control_out, control_outbox) = mpsc::channel(FRAMES_WAITING);
    let (queue_out, queue_outbox) = mpsc::channel(FRAMES_WAITING);
    let (chat_out, chat_outbox) = mpsc::channel(FRAMES_WAITING);
    let dialled = connection.side() == Side::Client;
    let link = PeerLink {
        id,
        key,
        dialled,
        connection: connection.clone(),
        control: control_out,
        queue: queue_out,
        chat: chat_out,
    };
    let connected = PeerEvent::Connected { link, hello: theirs };
    shared.events.send(connected).await.map_err(|_| "the node is ending".to_owned())?;
    tokio::spawn(write(control, control_outbox));
    tokio::spawn(read(
        Arc::clone(shared),
        id,
        connection.clone(),
        Content::Session(Channel::Control),
        reader,
    ));
    for ((send, receive), outbox, content) in
        [(queue, queue_outbox, Content::Session(Channel::Queue)), (chat, chat_outbox, Content::Chat)]
    {
        tokio::spawn(write(send, outbox));
        let reader = Reader { stream: receive, frames: FrameReader::new(PEER_FRAME_BYTES_MAX) };
        tokio::spawn(read(Arc::clone(shared), id, connection.clone(), content, reader));
    }
    tokio::spawn(read_datagrams(Arc::clone(shared), id, connection));
    Ok(())
}

/// What a stream carries.
#[derive(Clone, Copy, Debug)]
enum Content {
    Session(Channel),
    Chat,
}

struct Reader {
    stream: RecvStream,
    frames: FrameReader,
}

impl Reader {
    /// The next frame's body; `None` where the stream ended between two frames.
    async fn next(&mut self) -> Result<Option<Vec<u8>>, String> {
        loop {
            if let Some(frame) = self.frames.poll_frame().map_err(|error| error.to_string())? {
                return Ok(Some(frame));
            }
            match self.stream.read_chunk(READ_BYTES, true).await.map_err(|error| error.to_string())? {
                Some(chunk) => self.frames.handle_bytes(&chunk.bytes),
                None if self.frames.is_at_boundary() => return Ok(None),
                None => return Err("the stream ended inside a frame".to_owned()),
            }
        }
    }
}

async fn read(shared: Arc<Shared>, link: u64, connection: Connection, content: Content, mut reader: Reader) {
    loop {
        match reader.next().await {
            Ok(Some(bytes)) => {
                let at = shared.clock.now();
                let event = match content {
                    Content::Session(channel) => PeerEvent::Bytes { link, channel, bytes, at },
                    Content::Chat => PeerEvent::Chat { link, bytes, at },
                };
                if shared.events.send(event).await.is_err() {
                    return;
                }
            }
            Ok(None) => return,
            Err(reason) => {
                // An error of the connection itself is told by the reader of datagrams.
                if connection.close_reason().is_none() {
                    tracing::warn!(?content, reason, "closing a peer connection");
                    connection.close(VarInt::from_u32(CloseCode::Violation as u32), reason.as_bytes());
                    let _ = shared.events.send(PeerEvent::Lost { link, reason }).await;
                }
                return;
            }
        }
    }
}

async fn read_datagrams(shared: Arc<Shared>, link: u64, connection: Connection) {
    let reason = loop {
        match connection.read_datagram().await {
            Ok(bytes) => {
                let at = shared.clock.now();
                let event = PeerEvent::Bytes { link, channel: Channel::Datagram, bytes: bytes.into(), at };
                // A node too busy to look at a probe at once learns nothing from it later.
                let _ = shared.events.try_send(event);
            }
            Err(error) => break error.to_string(),
        }
    };
    let _ = shared.events.send(PeerEvent::Lost { link, reason }).await;
}

async fn write(mut stream: SendStream, mut frames: mpsc::Receiver<Vec<u8>>) {
    while let Some(body) = frames.recv().await {
        let length = u32::try_from(body.len()).unwrap_or(u32::MAX).to_be_bytes();
        if stream.write_all(&length).await.is_err() || stream.write_all(&body).await.is_err() {
            return;
        }
    }
    let _ = stream.finish();
}

/// The first byte of each stream.
const CONTROL_STREAM: u8 = 0;
const QUEUE_STREAM: u8 = 1;
const CHAT_STREAM: u8 = 2;
const STREAMS: usize = 3;

/// How long the other side has for its streams and its hello.
const HELLO_PATIENCE: Duration = Duration::from_secs(5);
const TOO_SLOW: &str = "the peer did not say hello within 5 s";

/// How long a farewell may take to arrive.
const FAREWELL: Duration = Duration::from_secs(2);

/// Frames that may wait for a slow peer on each stream, in number.
const FRAMES_WAITING: usize = 256;

/// How much is read from a stream at once, in bytes.
const READ_BYTES: usize = 16 * 1024;
