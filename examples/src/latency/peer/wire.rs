//! What two measuring programs say to each other over TCP: frames of postcard, each bounded before it is kept.

use std::{fmt, str::FromStr, time::Duration};

use jamsync_protocol::{
    limits::PEER_FRAME_BYTES_MAX,
    text::{List, Text},
    time::Span,
    wire::codec::{self, FrameReader},
};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    time::timeout,
};

use super::{PeerError, network};

/// What both sides must speak. It rises with every change of [`Message`].
pub(super) const VERSION: u32 = 1;
/// Samples in a message: at most three bytes each, so that the frame's limit holds.
pub(super) const SAMPLES_MAX: usize = 16_384;
/// Stamps in a message: at most fifteen bytes each.
pub(super) const STAMPS_MAX: usize = 2_048;
/// How long the other side may be silent when it has something to say. Unit s, range 5 to 300, default 30; less gives
/// up on a slow disk, more waits long for a machine that is gone.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// How long a side that was refused may take to hang up.
const FAREWELL_MAX: Duration = Duration::from_secs(3);

/// A message. The first two keep their form in every version, so that versions can be told.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Message {
    /// The connecting side's first.
    Hello { version: u32, code: Code },
    /// The listener's answer. Both send probes of this epoch for so long from now on.
    Welcome { version: u32, session_epoch: u32, lasts: Span },
    /// The end, and why.
    Refused(Text<400>),
    /// A recording follows: its rate in Hz, and how many stamps and frames.
    Excerpt { rate: u32, stamps: u32, frames: u32 },
    /// Some of its stamps: a frame, and the reading of the sender's clock when it was audible, in ns.
    Stamps(List<(u32, i64), STAMPS_MAX>),
    /// Some of its sound.
    Sound(List<i16, SAMPLES_MAX>),
}

/// What admits to a listener: 80 random bits, as hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Code([u8; 10]);

/// What is not a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected the 20 digits and letters a to f that the listener printed")]
pub struct CodeError;

/// The TCP connection of two programs.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) incoming: Incoming,
    pub(super) outgoing: Outgoing,
}

/// What the other side says.
#[derive(Debug)]
pub(super) struct Incoming {
    stream: OwnedReadHalf,
    frames: FrameReader,
    bytes: Vec<u8>,
}

/// What this side says.
#[derive(Debug)]
pub(super) struct Outgoing {
    stream: OwnedWriteHalf,
}

impl Message {
    /// The error of a message that came in place of another.
    pub(super) fn instead_of(self, expected: &'static str) -> PeerError {
        let actual = match self {
            Self::Refused(reason) => return PeerError::Refused { reason: reason.printable() },
            Self::Hello { .. } => "a hello",
            Self::Welcome { .. } => "a welcome",
            Self::Excerpt { .. } => "a recording",
            Self::Stamps(_) => "stamps",
            Self::Sound(_) => "sound",
        };
        PeerError::Unexpected { expected, actual }
    }
}

impl Connection {
    pub(super) fn new(stream: TcpStream) -> Result<Self, PeerError> {
        stream.set_nodelay(true).map_err(network("connecting to the other side"))?;
        let (stream, outgoing) = stream.into_split();
        let frames = FrameReader::new(PEER_FRAME_BYTES_MAX);
        let incoming = Incoming { stream, frames, bytes: vec![0; 16_384] };
        Ok(Self { incoming, outgoing: Outgoing { stream: outgoing } })
    }

    /// Ends it with a reason, and waits for the other side to hang up: closing while its bytes are unread would take
    /// the reason back.
    pub(super) async fn refuse(&mut self, reason: &str) {
        // Whoever is gone needs no reason.
        let _ = self.outgoing.send(&Message::Refused(Text::truncated(reason))).await;
        let _ = self.outgoing.stream.shutdown().await;
        let Incoming { stream, bytes, .. } = &mut self.incoming;
        let hung_up = async { while stream.read(bytes).await.is_ok_and(|length| length > 0) {} };
        let _ = timeout(FAREWELL_MAX, hung_up).await;
    }
}

impl Incoming {
    /// The next message.
    pub(super) async fn receive(&mut self) -> Result<Message, PeerError> {
        loop {
            if let Some(body) = self.frames.poll_frame()? {
                return Ok(codec::decode(&body)?);
            }
            let read = timeout(SILENCE_MAX, self.stream.read(&mut self.bytes)).await;
            let read = read.map_err(|_| PeerError::Silent { waited: Span::from_duration(SILENCE_MAX) })?;
            match read.map_err(network("listening to the other side"))? {
                0 => return Err(PeerError::Gone),
                length => self.frames.handle_bytes(self.bytes.get(..length).unwrap_or_default()),
            }
        }
    }

    /// Waits until something comes, which is left where it is.
    pub(super) async fn wait(&mut self) -> Result<(), PeerError> {
        match self.stream.peek(&mut [0]).await.map_err(network("listening to the other side"))? {
            0 => Err(PeerError::Gone),
            _ => Ok(()),
        }
    }
}

impl Outgoing {
    pub(super) async fn send(&mut self, message: &Message) -> Result<(), PeerError> {
        let frame = codec::encode_frame(message, PEER_FRAME_BYTES_MAX)?;
        let written = timeout(SILENCE_MAX, self.stream.write_all(&frame)).await;
        let written = written.map_err(|_| PeerError::Silent { waited: Span::from_duration(SILENCE_MAX) })?;
        written.map_err(network("talking to the other side"))
    }
}

impl Code {
    /// A code that nobody can guess.
    #[must_use]
    pub fn random() -> Self {
        Self(rand::random())
    }
}

impl FromStr for Code {
    type Err = CodeError;
    fn from_str(text: &str) -> Result<Self, CodeError> {
        let text = text.trim();
        if text.len() != 20 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(CodeError);
        }
        let mut code = [0; 10];
        for (index, byte) in code.iter_mut().enumerate() {
            let digits = text.get(2 * index..2 * index + 2).ok_or(CodeError)?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| CodeError)?;
        }
        Ok(Self(code))
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_reads_as_it_is_written_and_nothing_else_is_one() {
        let code = Code::random();
        assert_eq!(code.to_string().parse(), Ok(code));
        for wrong in ["", "12", "zz345678901234567890", "123456789012345678901", "+1345678901234567890"] {
            assert_eq!(wrong.parse::<Code>(), Err(CodeError), "{wrong:?}");
        }
    }

    #[test]
    fn the_largest_messages_fit_a_frame() {
        let sound = List::new(vec![i16::MIN; SAMPLES_MAX]).expect("as many as fit");
        let stamps = List::new(vec![(u32::MAX, i64::MIN); STAMPS_MAX]).expect("as many as fit");
        for message in [Message::Sound(sound), Message::Stamps(stamps)] {
            codec::encode_frame(&message, PEER_FRAME_BYTES_MAX).expect("within the frame's limit");
        }
    }
}
