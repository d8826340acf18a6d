//! What can be wrong with a file.

use jamsync_protocol::time::Span;

/// Why a file cannot be played. The caller knows its name and says it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The system did not let us read it.
    #[error("cannot be read: {reason}")]
    Unreadable {
        /// What the system said.
        reason: String,
    },
    /// It has no bytes.
    #[error("is empty (0 bytes)")]
    Empty,
    /// No decoder knows it.
    #[error("is not a WAV, FLAC, MP3 or Ogg Vorbis file")]
    UnknownFormat,
    /// A known container with a codec inside that is not supported.
    #[error("holds a codec that cannot be played: {codec}")]
    UnknownCodec {
        /// What the decoder said.
        codec: String,
    },
    /// More channels than two.
    #[error("has {actual} channels; mono and stereo can be played")]
    Channels {
        /// How many it has.
        actual: usize,
    },
    /// A rate no device has.
    #[error("has an impossible sample rate of {actual} Hz")]
    Rate {
        /// What the file says.
        actual: u32,
    },
    /// It says that it is longer than it is.
    #[error("is cut short: {actual} of {expected} are there")]
    Truncated {
        /// The length it claims.
        expected: Span,
        /// Where it ends.
        actual: Span,
    },
    /// It ends within a part of itself, and does not say how long it should be.
    #[error("is cut short: it ends in the middle, after {actual}")]
    CutOff {
        /// Where it ends.
        actual: Span,
    },
    /// Too many packets in a row make no sense.
    #[error("is damaged: {reason}")]
    Corrupt {
        /// What the decoder said of the last one.
        reason: String,
    },
    /// It is well-formed and holds no sound.
    #[error("holds no sound")]
    NoSound,
}
