//! What can be wrong with talking.

use crate::{id::Participant, limits::CHAT_WAITING_MAX, time::Span, wire::codec::CodecError};

/// Why something was not said, or what the peer did that ends its connection. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChatError {
    /// The listener's messages wait for a peer that does not take them.
    #[error(
        "{waiting} messages wait for your friend already, and {CHAT_WAITING_MAX} are the most; say it again when they have arrived"
    )]
    Full {
        /// How many wait.
        waiting: usize,
    },
    /// The listener says more than a person does.
    #[error("that is too fast; say it again in {:.1} s", again_in.as_secs_f64())]
    TooFast {
        /// When it can be said.
        again_in: Span,
    },
    /// Nobody is there.
    #[error("your friend is not there to see it; say it in words, which wait")]
    Away,
    /// The peer sent bytes that are no message.
    #[error("malformed message on Chat: {0}")]
    Codec(#[from] CodecError),
    /// The peer says more than it may.
    #[error("peer floods the chat with {0}")]
    Flooded(&'static str),
    /// The peer speaks in another's name.
    #[error("peer says something in the name of {author:?}")]
    NotTheirs {
        /// In whose.
        author: Participant,
    },
    /// The peer left out a message.
    #[error("peer says message {actual} where {expected} is next")]
    Gap {
        /// The number that is next.
        expected: u32,
        /// The number that came.
        actual: u32,
    },
    /// The peer has heard what was never said.
    #[error("peer claims to have heard message {actual} where {last} is the last")]
    NeverSaid {
        /// The number it claims.
        actual: u32,
        /// The last there is.
        last: u32,
    },
    /// The peer sent something at the wrong moment.
    #[error("peer sent {0} on the chat stream")]
    OutOfTurn(&'static str),
}
