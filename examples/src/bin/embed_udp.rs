//! `embed_udp`: a Jam in a program of one's own, with the standard library alone.
//!
//! No runtime and no QUIC. A [`Session`] wants three ways to its peer: two ordered, reliable streams and
//! datagrams that may be lost. Here the streams are two TCP connections, because TCP is in the standard library
//! and does just that; the datagrams go over UDP, because a probe that TCP held back would measure TCP. Nothing
//! is encrypted and nobody is asked who he is: that is the shell's part, and `jamsync` itself does it by QUIC,
//! with a hello that both sides check before the session hears of the connection.
//!
//! ```text
//! embed_udp                       both players on this machine for 5 s, measured against true time
//! embed_udp host 0.0.0.0:4480     one of them; the other may run elsewhere, or be an `embed_tokio`
//! embed_udp guest HOST:4480
//! ```

use std::{
    error::Error,
    io::{Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream, ToSocketAddrs, UdpSocket},
    process::ExitCode,
    sync::mpsc::{self, RecvTimeoutError, Sender},
    thread,
};

use jamsync_examples::toy::{Callback, Machine, Player, Side, verdict};
use jamsync_protocol::{
    limits::{DATAGRAM_BYTES_MAX, PEER_FRAME_BYTES_MAX},
    session::{Channel, Event, Session, Transmit},
    time::{NodeTime, Span},
    wire::codec::{self, FrameReader},
};

/// Any error ends the program, also one of another thread.
type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Everything that can wake the session's thread.
enum Input {
    Callback(Callback),
    Bytes(Channel, Vec<u8>, NodeTime),
    Closed,
}

/// The three ways to the peer.
struct Wire {
    control: TcpStream,
    queue: TcpStream,
    datagrams: UdpSocket,
}

fn main() -> ExitCode {
    verdict(run())
}

/// Whether the players were in step.
fn run() -> Result<bool> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => both(),
        ["host", address] => Ok(host(&TcpListener::bind(address)?)?.says_in_step()),
        ["guest", address] => Ok(guest(address)?.says_in_step()),
        _ => Err("usage: embed_udp [host ADDRESS | guest ADDRESS]".into()),
    }
}

/// Both sides in one process, so that one true time can judge them.
fn both() -> Result<bool> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    let hosting = thread::spawn(move || host(&listener));
    let guest = guest(address)?;
    let host = hosting.join().map_err(|_| "the host's thread panicked")??;
    Ok(host.is_in_step_with(&guest))
}

fn host(listener: &TcpListener) -> Result<Player> {
    let datagrams = UdpSocket::bind(listener.local_addr()?)?;
    let ((control, guest), (queue, _)) = (listener.accept()?, listener.accept()?);
    datagrams.connect(guest)?;
    take_part(Side::Host, Machine::new(Side::Host), Wire { control, queue, datagrams })
}

fn guest(address: impl ToSocketAddrs) -> Result<Player> {
    let control = TcpStream::connect(address)?;
    let queue = TcpStream::connect(control.peer_addr()?)?;
    // The UDP port is the one that the control stream comes from, so the host knows where to send.
    let datagrams = UdpSocket::bind(control.local_addr()?)?;
    datagrams.connect(control.peer_addr()?)?;
    take_part(Side::Guest, Machine::new(Side::Guest), Wire { control, queue, datagrams })
}

/// The run loop: one input, drain, sleep.
fn take_part(side: Side, machine: Machine, mut wire: Wire) -> Result<Player> {
    let (inputs, inbox) = mpsc::channel();
    wire.listen(machine, &inputs)?;
    thread::spawn(move || machine.run_card(|callback| inputs.send(Input::Callback(callback)).is_ok()));

    let now = machine.now();
    let (mut session, mut player) = (side.session(now)?, Player::new(machine));
    // Both sides begin anew with each connection, so any session epoch will do that both know.
    session.handle_connected(side.other().participant(), 1, now);
    let mut script = side.script().into_iter().peekable();
    loop {
        // Sleep until something arrives or the session wants to be woken.
        let now = machine.now();
        let rest = session.poll_timeout(now).map_or(Span::from_secs(1), |due| due.since(now));
        match inbox.recv_timeout(rest.as_duration()) {
            Ok(Input::Callback(callback)) => player.handle_callback(callback, &mut session, machine.now()),
            Ok(Input::Bytes(channel, bytes, at)) => match session.handle_bytes(channel, &bytes, at) {
                // Anybody can forge a datagram here, and none of them ends the Jam.
                Err(_) if channel == Channel::Datagram => {}
                handled => handled?,
            },
            Ok(Input::Closed) | Err(RecvTimeoutError::Disconnected) => return Ok(player),
            Err(RecvTimeoutError::Timeout) => {}
        }
        while let Some((_, command)) = script.next_if(|(at, _)| *at <= machine.truth()) {
            println!("{side:?} does {command:?}");
            session.handle_command(command, machine.now())?;
        }
        session.handle_timeout(machine.now())?;
        if drain(side, &mut session, machine, &mut wire)? {
            return Ok(player);
        }
    }
}

/// The drain rule: polls every output until it gives nothing. Whether the Jam is over.
fn drain(side: Side, session: &mut Session, machine: Machine, wire: &mut Wire) -> Result<bool> {
    // A probe is stamped as it is polled, so the clock is read for each.
    while let Some(transmit) = session.poll_transmit(machine.now()) {
        wire.send(&transmit)?;
    }
    let mut over = false;
    while let Some(event) = session.poll_event() {
        over |= event == Event::PeerLeft;
        side.show(&event);
    }
    Ok(over)
}

impl Wire {
    fn send(&mut self, transmit: &Transmit) -> Result<()> {
        let stream = match transmit.channel {
            Channel::Control => &mut self.control,
            Channel::Queue => &mut self.queue,
            Channel::Datagram => {
                // A datagram that cannot leave is lost, as on any network.
                let _ = self.datagrams.send(&transmit.bytes);
                return Ok(());
            }
        };
        Ok(stream.write_all(&codec::frame(&transmit.bytes, PEER_FRAME_BYTES_MAX)?)?)
    }

    /// Starts one thread for each way in. Each stamps what arrives before anything else happens to it.
    fn listen(&self, machine: Machine, inputs: &Sender<Input>) -> Result<()> {
        for (channel, stream) in [(Channel::Control, &self.control), (Channel::Queue, &self.queue)] {
            stream.set_nodelay(true)?;
            let (stream, inputs) = (stream.try_clone()?, inputs.clone());
            thread::spawn(move || {
                // A peer that breaks the framing and one that hangs up end the Jam alike.
                let _ = read_frames(stream, channel, machine, &inputs);
                inputs.send(Input::Closed)
            });
        }
        let (socket, inputs) = (self.datagrams.try_clone()?, inputs.clone());
        thread::spawn(move || -> Result<()> {
            let mut bytes = [0; DATAGRAM_BYTES_MAX];
            loop {
                // An error here is an ICMP message about an earlier datagram: no more than a loss.
                let Ok(length) = socket.recv(&mut bytes) else { continue };
                let datagram = bytes.iter().take(length).copied().collect();
                inputs.send(Input::Bytes(Channel::Datagram, datagram, machine.now()))?;
            }
        });
        Ok(())
    }
}

/// Cuts a stream into frames until it ends.
fn read_frames(mut from: TcpStream, channel: Channel, machine: Machine, to: &Sender<Input>) -> Result<()> {
    let mut frames = FrameReader::new(PEER_FRAME_BYTES_MAX);
    let mut bytes = [0; 4_096];
    loop {
        let length = from.read(&mut bytes)?;
        frames.handle_bytes(bytes.get(..length).filter(|some| !some.is_empty()).ok_or("the peer hung up")?);
        while let Some(body) = frames.poll_frame()? {
            to.send(Input::Bytes(channel, body, machine.now()))?;
        }
    }
}

/// The host hangs up when its guest has left; the threads that listen hold the streams too.
impl Drop for Wire {
    fn drop(&mut self) {
        for stream in [&self.control, &self.queue] {
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
    }
}
