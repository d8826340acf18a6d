//! One simulated device: the coordinator's wire over real QUIC, and nothing that a node does beside it.

use std::{
    iter,
    net::{IpAddr, SocketAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use jamsync_node::{identity::Identity, net::tls};
use jamsync_protocol::{
    id::{DeviceKey, Handle},
    identity::{DeviceLog, DeviceSecret, VerifiedLog, join_code::JoinSecret},
    limits::COORD_FRAME_BYTES_MAX,
    text::Text,
    wire::{
        codec::{self, FrameReader},
        coord::{
            ALPN, ActivityCall, ActivityNews, CoordCall, CoordReply, CoordRequest, EventNumber, Fault,
            Features, IdempotencyKey, NumberedEvent,
        },
    },
};
use quinn::{
    ClientConfig, Connection, Endpoint, EndpointConfig, RecvStream, SendStream, TokioRuntime, TransportConfig,
};
use rustix::net::sockopt::set_socket_recv_buffer_size;

/// Who a simulated device is: everything follows from its number.
#[derive(Debug)]
pub struct Persona {
    /// Its number.
    pub number: u32,
    /// Its name at the coordinator.
    pub handle: Handle,
    /// Its account's device log.
    pub log: VerifiedLog,
    identity: Identity,
}

/// Dials one coordinator as many devices from a few sockets.
#[derive(Debug)]
pub struct Dialer {
    sockets: Vec<Endpoint>,
    next: AtomicUsize,
    server: SocketAddr,
    key: DeviceKey,
    transport: Arc<TransportConfig>,
}

/// What a device is told of activities.
#[derive(Debug)]
pub struct News {
    // The coordinator tells for as long as this side is open.
    _send: SendStream,
    receive: RecvStream,
    frames: FrameReader,
}

/// A connected device.
#[derive(Clone, Debug)]
pub struct Device {
    /// Its connection.
    pub connection: Connection,
}

/// The event stream of a device.
#[derive(Debug)]
pub struct Events {
    send: SendStream,
    receive: RecvStream,
    frames: FrameReader,
}

impl Persona {
    /// The device of this number, in the run called `run`.
    ///
    /// # Errors
    /// Where TLS does not take the key.
    pub fn new(run: u32, number: u32) -> anyhow::Result<Self> {
        let mut seed = [0x6a; 32];
        for (to, from) in seed.iter_mut().zip(run.to_be_bytes().into_iter().chain(number.to_be_bytes())) {
            *to = from;
        }
        let secret = DeviceSecret::from_seed(&seed);
        let log = DeviceLog::found(&secret, [0; 16]);
        let handle = format!("load{run}x{number}").parse().context("a handle")?;
        Ok(Self { number, handle, log, identity: Identity::from_seed(&seed)? })
    }

    /// What it signs with.
    #[must_use]
    pub const fn secret(&self) -> &DeviceSecret {
        self.identity.secret()
    }
}

impl Dialer {
    /// Opens `sockets` sockets to dial `server`, which must show `key`.
    ///
    /// # Errors
    /// Where the system gives none.
    pub fn new(server: SocketAddr, key: DeviceKey, sockets: usize) -> anyhow::Result<Self> {
        let any = if server.is_ipv6() { [0u16; 8].into() } else { [0u8; 4].into() };
        Self::at(server, key, iter::repeat_n(any, sockets.max(1)))
    }

    /// Opens a socket at each of `addresses` to dial `server`, which must show `key`.
    ///
    /// # Errors
    /// Where the system gives none.
    pub fn at(
        server: SocketAddr,
        key: DeviceKey,
        addresses: impl IntoIterator<Item = IpAddr>,
    ) -> anyhow::Result<Self> {
        let open = |address| {
            let socket = UdpSocket::bind(SocketAddr::new(address, 0))?;
            // Many devices share a socket; the system gives what it permits.
            let _ = set_socket_recv_buffer_size(&socket, SOCKET_BUFFER_BYTES);
            Endpoint::new(EndpointConfig::default(), None, socket, Arc::new(TokioRuntime))
        };
        let sockets = addresses.into_iter().map(open).collect::<Result<_, _>>()?;
        let mut transport = TransportConfig::default();
        // As a node does.
        transport.keep_alive_interval(Some(Duration::from_secs(15)));
        transport.max_idle_timeout(Some(Duration::from_secs(60).try_into()?));
        Ok(Self { sockets, next: AtomicUsize::new(0), server, key, transport: Arc::new(transport) })
    }

    /// Dials from now on with other windows and timeouts than a node has.
    pub fn set_transport(&mut self, transport: TransportConfig) {
        self.transport = Arc::new(transport);
    }

    /// Connects and says hello.
    ///
    /// # Errors
    /// Where the coordinator does not let it in.
    pub async fn log_in(&self, who: &Persona) -> anyhow::Result<Device> {
        let device = self.connect(who).await?;
        let hello =
            CoordRequest::Hello { features: Features::default(), program: Text::truncated("jamsync load") };
        let reply = device.ask(hello).await?;
        ensure!(matches!(reply, CoordReply::Welcome { .. }), "not welcome: {reply:?}");
        Ok(device)
    }

    /// Connects and says nothing.
    ///
    /// # Errors
    /// Where the handshake fails.
    pub async fn connect(&self, who: &Persona) -> anyhow::Result<Device> {
        let mut config = ClientConfig::new(Arc::new(tls::client(&who.identity, self.key, ALPN)?));
        config.transport_config(Arc::clone(&self.transport));
        let at = self.next.fetch_add(1, Ordering::Relaxed) % self.sockets.len();
        let socket = self.sockets.get(at).context("a socket")?;
        let connection = socket.connect_with(config, self.server, TLS_NAME)?.await?;
        Ok(Device { connection })
    }
}

impl Device {
    /// One request under a key of its own.
    ///
    /// # Errors
    /// Where there is no reply; a refusal is one.
    pub async fn ask(&self, request: CoordRequest) -> anyhow::Result<CoordReply> {
        self.call(&CoordCall { key: IdempotencyKey(rand::random()), request }).await
    }

    /// One request under a key that was chosen before.
    ///
    /// # Errors
    /// Where there is no reply; a refusal is one.
    pub async fn call(&self, call: &CoordCall) -> anyhow::Result<CoordReply> {
        let (mut send, mut receive) = self.connection.open_bi().await?;
        send.write_all(&codec::encode_frame(call, COORD_FRAME_BYTES_MAX)?).await?;
        send.finish()?;
        let mut frames = FrameReader::new(COORD_FRAME_BYTES_MAX);
        let frame =
            next_frame(&mut receive, &mut frames).await?.context("the stream ended without a reply")?;
        Ok(codec::decode(&frame)?)
    }

    /// Makes an account.
    ///
    /// # Errors
    /// Where it is refused.
    pub async fn sign_up(&self, who: &Persona, secret: JoinSecret) -> anyhow::Result<()> {
        let reply = self.ask(CoordRequest::SignUp {
            secret,
            handle: who.handle.clone(),
            birth_date: "1990-01-01".parse()?,
            market: "DE".parse()?,
            log: who.log.as_log().clone(),
        });
        let reply = reply.await?;
        ensure!(matches!(reply, CoordReply::Me(_)), "cannot sign {} up: {reply:?}", who.handle);
        Ok(())
    }

    /// Opens the event stream after `after`.
    ///
    /// # Errors
    /// Where the connection is gone.
    pub async fn events(&self, after: EventNumber) -> anyhow::Result<Events> {
        let (mut send, receive) = self.connection.open_bi().await?;
        let call = CoordCall { key: IdempotencyKey([0; 16]), request: CoordRequest::Events { after } };
        send.write_all(&codec::encode_frame(&call, COORD_FRAME_BYTES_MAX)?).await?;
        Ok(Events { send, receive, frames: FrameReader::new(COORD_FRAME_BYTES_MAX) })
    }
}

impl Device {
    /// Opens the stream on which it is told of activities.
    ///
    /// # Errors
    /// Where the connection is gone.
    pub async fn watch(&self) -> anyhow::Result<News> {
        let (mut send, receive) = self.connection.open_bi().await?;
        let request = CoordRequest::Activity(ActivityCall::Watch);
        let call = CoordCall { key: IdempotencyKey([0; 16]), request };
        send.write_all(&codec::encode_frame(&call, COORD_FRAME_BYTES_MAX)?).await?;
        Ok(News { _send: send, receive, frames: FrameReader::new(COORD_FRAME_BYTES_MAX) })
    }
}

impl News {
    /// What it is told next.
    ///
    /// # Errors
    /// Where the stream is closed.
    pub async fn next(&mut self) -> anyhow::Result<ActivityNews> {
        let frame = next_frame(&mut self.receive, &mut self.frames).await?.context("the news ended")?;
        Ok(codec::decode(&frame)?)
    }
}

impl Events {
    /// The next event.
    ///
    /// # Errors
    /// Where the stream is closed.
    pub async fn next(&mut self) -> anyhow::Result<NumberedEvent> {
        let frame = next_frame(&mut self.receive, &mut self.frames).await?.context("the events ended")?;
        Ok(codec::decode(&frame)?)
    }

    /// Says that all events up to `upto` are dealt with.
    ///
    /// # Errors
    /// Where the stream is closed.
    pub async fn acknowledge(&mut self, upto: EventNumber) -> anyhow::Result<()> {
        Ok(self.send.write_all(&codec::encode_frame(&upto, COORD_FRAME_BYTES_MAX)?).await?)
    }

    /// Ends the stream, so that another may be opened, and returns once the coordinator has ended it too.
    ///
    /// # Errors
    /// Where the connection is gone.
    pub async fn end(&mut self) -> anyhow::Result<()> {
        self.send.finish()?;
        while next_frame(&mut self.receive, &mut self.frames).await?.is_some() {}
        Ok(())
    }
}

async fn next_frame(receive: &mut RecvStream, frames: &mut FrameReader) -> anyhow::Result<Option<Vec<u8>>> {
    loop {
        if let Some(frame) = frames.poll_frame()? {
            return Ok(Some(frame));
        }
        match receive.read_chunk(COORD_FRAME_BYTES_MAX, true).await {
            Ok(Some(chunk)) => frames.handle_bytes(&chunk.bytes),
            Ok(None) => return Ok(None),
            Err(quinn::ReadError::Reset(code)) => match Fault::from_code(code.into_inner()) {
                Some(fault) => bail!(fault),
                None => bail!("the stream was reset with code {code}"),
            },
            Err(error) => bail!(error),
        }
    }
}

/// Names nobody: the coordinator is known by its key.
const TLS_NAME: &str = "jamsync.invalid";
/// What the system may keep of packets that a socket's devices have not read: a few hundred devices are answered at once.
const SOCKET_BUFFER_BYTES: usize = 4 << 20;
