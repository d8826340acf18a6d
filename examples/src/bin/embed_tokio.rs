//! `embed_tokio`: a Jam in an asynchronous program, on tokio and without QUIC.
//!
//! The whole shell is one `select!`: a [`Session`] has no tasks, locks or callbacks of its own, so it lives where
//! it is driven. The wire is that of `embed_udp`, which tells why it is made so; each of the two programs can be
//! host to the other.
//!
//! ```text
//! embed_tokio                       both players on this machine for 5 s, measured against true time
//! embed_tokio host 0.0.0.0:4480     one of them; the other may run elsewhere, or be an `embed_udp`
//! embed_tokio guest HOST:4480
//! ```

use std::{error::Error, net::Ipv4Addr, process::ExitCode, thread};

use jamsync_examples::toy::{Machine, Player, Side, verdict};
use jamsync_protocol::{
    limits::{DATAGRAM_BYTES_MAX, PEER_FRAME_BYTES_MAX},
    session::{Channel, Event, Session, Transmit},
    time::Span,
    wire::codec::{self, FrameReader},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, ToSocketAddrs, UdpSocket},
    sync::mpsc,
    time::sleep,
};

/// Any error ends the program.
type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// The three ways to the peer.
struct Wire {
    control: Stream,
    queue: Stream,
    datagrams: UdpSocket,
}

/// A TCP connection that carries frames.
struct Stream {
    tcp: TcpStream,
    frames: FrameReader,
    bytes: Vec<u8>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    verdict(run().await)
}

/// Whether the players were in step.
async fn run() -> Result<bool> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => both().await,
        ["host", address] => Ok(host(TcpListener::bind(address).await?).await?.says_in_step()),
        ["guest", address] => Ok(guest(address).await?.says_in_step()),
        _ => Err("usage: embed_tokio [host ADDRESS | guest ADDRESS]".into()),
    }
}

/// Both sides in one process, so that one true time can judge them.
async fn both() -> Result<bool> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    let (host, guest) = tokio::try_join!(host(listener), guest(address))?;
    Ok(host.is_in_step_with(&guest))
}

async fn host(listener: TcpListener) -> Result<Player> {
    let datagrams = UdpSocket::bind(listener.local_addr()?).await?;
    let ((control, guest), (queue, _)) = (listener.accept().await?, listener.accept().await?);
    datagrams.connect(guest).await?;
    take_part(Side::Host, Wire::new(control, queue, datagrams)?).await
}

async fn guest(address: impl ToSocketAddrs) -> Result<Player> {
    let control = TcpStream::connect(&address).await?;
    let queue = TcpStream::connect(&address).await?;
    // The UDP port is the one that the control stream comes from, so the host knows where to send.
    let datagrams = UdpSocket::bind(control.local_addr()?).await?;
    datagrams.connect(control.peer_addr()?).await?;
    take_part(Side::Guest, Wire::new(control, queue, datagrams)?).await
}

/// The run loop: one input, drain, sleep.
async fn take_part(side: Side, mut wire: Wire) -> Result<Player> {
    let machine = Machine::new(side);
    // Sound cards call on a thread of their own, never on the runtime's.
    let (callbacks, mut card) = mpsc::channel(16);
    thread::spawn(move || machine.run_card(|callback| callbacks.blocking_send(callback).is_ok()));

    let now = machine.now();
    let (mut session, mut player) = (side.session(now)?, Player::new(machine));
    // Both sides begin anew with each connection, so any session epoch will do that both know.
    session.handle_connected(side.other().participant(), 1, now);
    let mut script = side.script().into_iter().peekable();
    let mut datagram = vec![0; DATAGRAM_BYTES_MAX];
    loop {
        let now = machine.now();
        let rest = session.poll_timeout(now).map_or(Span::from_secs(1), |due| due.since(now));
        let Wire { control, queue, datagrams } = &mut wire;
        // Every branch may be dropped half-way without losing anything. Each input is stamped as it arrives.
        tokio::select! {
            Some(callback) = card.recv() => player.handle_callback(callback, &mut session, machine.now()),
            received = datagrams.recv(&mut datagram) => {
                // An error here is an ICMP message about an earlier datagram: no more than a loss.
                let bytes = received.ok().and_then(|length| datagram.get(..length));
                // And anybody can forge one here: none of them ends the Jam.
                let _ = bytes.map(|bytes| session.handle_bytes(Channel::Datagram, bytes, machine.now()));
            }
            open = control.read() => match open {
                Ok(true) => take_frames(Channel::Control, control, &mut session, machine)?,
                Ok(false) | Err(_) => return Ok(player), // The peer hung up.
            },
            open = queue.read() => match open {
                Ok(true) => take_frames(Channel::Queue, queue, &mut session, machine)?,
                Ok(false) | Err(_) => return Ok(player), // The peer hung up.
            },
            () = sleep(rest.as_duration()) => {}
        }
        while let Some((_, command)) = script.next_if(|(at, _)| *at <= machine.truth()) {
            println!("{side:?} does {command:?}");
            session.handle_command(command, machine.now())?;
        }
        session.handle_timeout(machine.now())?;
        if drain(side, &mut session, machine, &mut wire).await? {
            return Ok(player);
        }
    }
}

/// Hands the whole frames of a stream to the session.
fn take_frames(channel: Channel, from: &mut Stream, to: &mut Session, machine: Machine) -> Result<()> {
    while let Some(body) = from.frames.poll_frame()? {
        to.handle_bytes(channel, &body, machine.now())?;
    }
    Ok(())
}

/// The drain rule: polls every output until it gives nothing. Whether the Jam is over.
async fn drain(side: Side, session: &mut Session, machine: Machine, wire: &mut Wire) -> Result<bool> {
    // A probe is stamped as it is polled, so the clock is read for each.
    while let Some(transmit) = session.poll_transmit(machine.now()) {
        wire.send(&transmit).await?;
    }
    let mut over = false;
    while let Some(event) = session.poll_event() {
        over |= event == Event::PeerLeft;
        side.show(&event);
    }
    Ok(over)
}

impl Wire {
    fn new(control: TcpStream, queue: TcpStream, datagrams: UdpSocket) -> Result<Self> {
        Ok(Self { control: Stream::new(control)?, queue: Stream::new(queue)?, datagrams })
    }

    async fn send(&mut self, transmit: &Transmit) -> Result<()> {
        let stream = match transmit.channel {
            Channel::Control => &mut self.control,
            Channel::Queue => &mut self.queue,
            Channel::Datagram => {
                // A datagram that cannot leave is lost, as on any network.
                let _ = self.datagrams.try_send(&transmit.bytes);
                return Ok(());
            }
        };
        Ok(stream.tcp.write_all(&codec::frame(&transmit.bytes, PEER_FRAME_BYTES_MAX)?).await?)
    }
}

impl Stream {
    fn new(tcp: TcpStream) -> Result<Self> {
        // A pause must not wait for more to say.
        tcp.set_nodelay(true)?;
        Ok(Self { tcp, frames: FrameReader::new(PEER_FRAME_BYTES_MAX), bytes: vec![0; 4_096] })
    }

    /// Reads what there is. False where the peer has hung up.
    async fn read(&mut self) -> Result<bool> {
        let length = self.tcp.read(&mut self.bytes).await?;
        self.frames.handle_bytes(self.bytes.get(..length).unwrap_or_default());
        Ok(length > 0)
    }
}
