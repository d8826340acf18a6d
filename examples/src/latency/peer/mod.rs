//! Two real machines: how far apart are two recordings that were made a long way from each other?
//!
//! Both run `latency peer`, one listens. While the music plays and each side records its own output, the two
//! programs compare their clocks by probes of their own, through the protocol's clock machine and independent of
//! the nodes. Then they exchange the stretch they have both recorded and each scores it.
//!
//! No exchange of packets can tell a path that is slower one way from clocks that differ, so the result carries an
//! uncertainty of at least half the least round trip. What lies within it is never called in sync.
//!
//! Everything from the other side is bounded: messages by their frame, the recording by `excerpt::FRAMES_MAX`,
//! waiting by a time. A listener talks only to who knows its code. Nothing is encrypted: the code keeps strangers
//! out, not those who can read the path.

mod clocks;
mod excerpt;
mod report;
mod wire;

use std::{io, path::PathBuf, time::Duration};

use jamsync_node::clock::NodeClock;
use jamsync_protocol::{
    time::{NodeTime, Span},
    wire::codec::CodecError,
};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

pub use report::{Finding, PeerReport};
pub use wire::{Code, CodeError};

use self::{
    clocks::Prober,
    excerpt::Excerpt,
    wire::{Connection, Message, VERSION},
};
use crate::score::{Plan, Recording, ScoreError, TrueRange, TrueTime, score};

/// One side of a comparison.
#[derive(Clone, Debug)]
pub struct PeerOptions {
    /// Where the other side is met.
    pub meeting: Meeting,
    /// This side's recording: `NAME` of `NAME.wav` and `NAME.stamps.csv`. It may still be growing when the
    /// comparison begins, and is read when the clocks have been compared.
    pub recording: PathBuf,
    /// The clock that the recording's stamps are readings of.
    pub clock: NodeClock,
}

/// Who waits for whom.
#[derive(Clone, Debug)]
pub enum Meeting {
    /// This side waits, and says how long the clocks are compared.
    Listen {
        /// Where: TCP and UDP, `ADDRESS:PORT`.
        address: String,
        /// For how long. 10 s to 5 min.
        lasts: Span,
    },
    /// This side goes to the other.
    Connect {
        /// Where it listens, `HOST:PORT`.
        address: String,
        /// What it printed.
        code: Code,
    },
}

/// What happens on the way, for whoever looks on.
#[derive(Clone, Copy, Debug)]
pub enum Progress {
    /// This side listens, and the other needs this code.
    Listening {
        /// The port.
        port: u16,
        /// The code.
        code: Code,
    },
    /// Somebody came who did not know the code, or went away at once.
    Stranger,
    /// The clocks are being compared.
    Comparing {
        /// For how long so far.
        elapsed: Span,
        /// For how long in all.
        lasts: Span,
        /// How far the comparison may be off so far; none before the first probe came.
        uncertainty: Option<Span>,
    },
    /// The recordings are being exchanged.
    Exchanging,
    /// The recordings are being compared.
    Scoring,
}

/// Why two machines could not be compared. Music that is out of sync is no error: it is a result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PeerError {
    /// The network failed.
    #[error("{doing} failed: {source}")]
    Network {
        /// What was being done.
        doing: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The other side said nothing for too long.
    #[error("the other side was silent for {} s; is it still running?", waited.as_secs_f64())]
    Silent {
        /// How long it was waited for.
        waited: Span,
    },
    /// The other side hung up.
    #[error("the other side went away")]
    Gone,
    /// The other side ended the comparison.
    #[error("the other side refused: {reason}")]
    Refused {
        /// Why, in its words.
        reason: String,
    },
    /// The other side sent what nobody should.
    #[error("the other side sent something wrong: {0}")]
    Malformed(#[from] CodecError),
    /// The other side sent more than its header announced, or another message than expected.
    #[error("the other side sent {actual} where {expected} was expected")]
    Unexpected {
        /// What should have come.
        expected: &'static str,
        /// What came.
        actual: &'static str,
    },
    /// The other side runs another version of this program.
    #[error(
        "the other side speaks version {actual} of this exchange, this side {expected}; use the same build on both"
    )]
    Version {
        /// This side's.
        expected: u32,
        /// The other's.
        actual: u32,
    },
    /// A recording is longer than may be exchanged.
    #[error("{whose} recording has {actual} {what} in the time compared, at most {limit} can be exchanged")]
    TooLong {
        /// Whose.
        whose: &'static str,
        /// Frames or stamps.
        what: &'static str,
        /// How many.
        actual: u64,
        /// How many are allowed.
        limit: u64,
    },
    /// Too few probes came through.
    #[error("the clocks could not be compared: no probe came back; UDP must pass on the same port as TCP")]
    NoProbes,
    /// A recording does not cover the time in which the clocks were compared.
    #[error(
        "{whose} recording has {actual} in common with the time compared, at least {expected} is needed: \
             start recording before `latency peer`, and go on until it says that it exchanges the recordings"
    )]
    NothingInCommon {
        /// Whose.
        whose: &'static str,
        /// What is needed.
        expected: Span,
        /// What there is.
        actual: Span,
    },
    /// A recording is silent.
    #[error("{whose} recording is silent; does it record what is played?")]
    NoSound {
        /// Whose.
        whose: &'static str,
    },
    /// The recordings cannot be scored.
    #[error(transparent)]
    Score(#[from] ScoreError),
}

/// The least stretch that both must have recorded.
const COMMON_MIN: Span = Span::from_secs(3);
/// How long the other side may take to say hello. Unit s, range 2 to 60, default 10; less refuses slow paths, more
/// lets a stranger hold the only door for longer.
const HELLO_MAX: Duration = Duration::from_secs(10);
/// Ports that are tried until one is free for TCP and UDP. Count, default 32: fewer fail on a machine whose ports are
/// mostly taken, more are never needed.
const DOOR_TRIES_MAX: u32 = 32;

/// Meets the other side, compares the clocks, exchanges recordings and scores them.
///
/// # Errors
/// [`PeerError`] says which side's fault it was, and what to do.
pub async fn run(options: &PeerOptions, tell: impl Fn(Progress)) -> Result<PeerReport, PeerError> {
    let (mut connection, prober) = meet(options, &tell).await?;
    let outcome = compare(options, &mut connection, prober, &tell).await;
    if let Err(error) = &outcome
        && !matches!(error, PeerError::Refused { .. } | PeerError::Gone)
    {
        connection.refuse(&error.to_string()).await;
    }
    outcome
}

async fn compare(
    options: &PeerOptions,
    connection: &mut Connection,
    prober: Prober,
    tell: &impl Fn(Progress),
) -> Result<PeerReport, PeerError> {
    let clocks = prober.compare(&mut connection.incoming, tell).await?;
    tell(Progress::Exchanging);
    let (from, until) = clocks.range();
    let span = TrueRange { from: on_axis(from), until: on_axis(until) };
    let ours = Excerpt::cut(&Recording::read(&options.recording)?, span)?;
    let Connection { incoming, outgoing } = connection;
    let (theirs, ()) = tokio::try_join!(Excerpt::receive(incoming), ours.send(outgoing))?;

    tell(Progress::Scoring);
    let theirs = theirs.recording(|reading| on_axis(clocks.node_at(reading)))?;
    let ours = ours.recording(|reading| TrueTime::from_nanos(reading.as_nanos()))?;
    let mut plan = Plan::everything_in(&theirs, &ours);
    plan.span.from = plan.span.from.max(span.from);
    plan.span.until = plan.span.until.min(span.until);
    let actual = plan.span.length();
    if actual < COMMON_MIN {
        return Err(PeerError::NothingInCommon { whose: "the other side's", expected: COMMON_MIN, actual });
    }
    let score = score(&theirs, &ours, &plan)?;
    let summary = score.judged()?;
    Ok(PeerReport::of(score, summary, &clocks))
}

/// Both recordings are put on this machine's clock.
fn on_axis(reading: NodeTime) -> TrueTime {
    TrueTime::from_nanos(reading.as_nanos())
}

async fn meet(options: &PeerOptions, tell: &impl Fn(Progress)) -> Result<(Connection, Prober), PeerError> {
    match &options.meeting {
        Meeting::Listen { address, lasts } => listen(address, *lasts, options.clock, tell).await,
        Meeting::Connect { address, code } => connect(address, *code, options.clock).await,
    }
}

async fn listen(
    address: &str,
    lasts: Span,
    clock: NodeClock,
    tell: &impl Fn(Progress),
) -> Result<(Connection, Prober), PeerError> {
    let (listener, datagrams) = open_door(address).await?;
    let local = listener.local_addr().map_err(network("listening by TCP"))?;
    let (code, session_epoch) = (Code::random(), rand::random());
    tell(Progress::Listening { port: local.port(), code });
    loop {
        let (stream, from) = match listener.accept().await {
            // Who hung up while he waited at the door is a stranger too.
            Err(error) if is_hang_up(&error) => {
                tell(Progress::Stranger);
                continue;
            }
            accepted => accepted.map_err(network("waiting for the other side"))?,
        };
        let admitted = tokio::time::timeout(HELLO_MAX, admit(stream, code, session_epoch, lasts)).await;
        match admitted {
            Ok(Ok(connection)) => {
                let prober = Prober::new(datagrams, (from.ip(), None), clock, session_epoch, lasts);
                return Ok((connection, prober));
            }
            // A version that does not fit is worth knowing on both sides; a stranger is not worth an end.
            Ok(Err(error @ PeerError::Version { .. })) => return Err(error),
            Ok(Err(_)) | Err(_) => tell(Progress::Stranger),
        }
    }
}

/// TCP and UDP at one port. Where the system chooses it, it may choose one that is free for TCP alone, and is asked
/// again; a port that was asked for stays taken.
async fn open_door(address: &str) -> Result<(TcpListener, UdpSocket), PeerError> {
    let mut tries_left = DOOR_TRIES_MAX;
    loop {
        let listener = TcpListener::bind(address).await.map_err(network("listening by TCP"))?;
        let local = listener.local_addr().map_err(network("listening by TCP"))?;
        tries_left -= 1;
        match UdpSocket::bind(local).await {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && tries_left > 0 => {}
            bound => return Ok((listener, bound.map_err(network("listening by UDP"))?)),
        }
    }
}

/// Lets in who knows the code.
async fn admit(
    stream: TcpStream,
    code: Code,
    session_epoch: u32,
    lasts: Span,
) -> Result<Connection, PeerError> {
    let mut connection = Connection::new(stream)?;
    let message = connection.incoming.receive().await?;
    let Message::Hello { version, code: told } = message else { return Err(message.instead_of("a hello")) };
    if told != code {
        connection.refuse("the code is not the one that the listener printed").await;
        return Err(PeerError::Gone);
    }
    let welcome = Message::Welcome { version: VERSION, session_epoch, lasts };
    connection.outgoing.send(&welcome).await?;
    if version == VERSION {
        Ok(connection)
    } else {
        Err(PeerError::Version { expected: VERSION, actual: version })
    }
}

async fn connect(address: &str, code: Code, clock: NodeClock) -> Result<(Connection, Prober), PeerError> {
    let stream = TcpStream::connect(address).await.map_err(network("connecting to the other side"))?;
    let (here, there) = (stream.local_addr(), stream.peer_addr());
    let here = here.map_err(network("connecting to the other side"))?;
    let there = there.map_err(network("connecting to the other side"))?;
    let datagrams = UdpSocket::bind((here.ip(), 0)).await.map_err(network("opening a UDP socket"))?;
    let mut connection = Connection::new(stream)?;
    connection.outgoing.send(&Message::Hello { version: VERSION, code }).await?;
    let message = connection.incoming.receive().await?;
    let Message::Welcome { version, session_epoch, lasts } = message else {
        return Err(message.instead_of("a welcome"));
    };
    if version != VERSION {
        return Err(PeerError::Version { expected: VERSION, actual: version });
    }
    // The listener chooses, but not for ever.
    let lasts = lasts.max(LASTS_MIN).min(LASTS_MAX);
    Ok((connection, Prober::new(datagrams, (there.ip(), Some(there)), clock, session_epoch, lasts)))
}

/// The least time for which clocks are compared: over a path with jitter they are known after some seconds, and what is
/// recorded from then on must be long enough to be scored.
pub const LASTS_MIN: Span = Span::from_secs(10);
/// The most, since the recording of that time is exchanged.
pub const LASTS_MAX: Span = Span::from_secs(300);

fn network(doing: &'static str) -> impl Fn(io::Error) -> PeerError {
    move |source| if is_hang_up(&source) { PeerError::Gone } else { PeerError::Network { doing, source } }
}

/// Whether it means no more than that the other side hung up: what was on its way to it is given back so.
fn is_hang_up(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected)
}

#[cfg(test)]
mod tests;
