//! Why a probe was refused.

use crate::time::Span;

/// A probe that the clock refused. The clock is unharmed by it, and nothing but counters changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClockError {
    /// The probe belongs to another session, for example to a connection that was replaced.
    #[error("session epoch: expected {expected}, got {actual}")]
    SessionEpoch {
        /// The epoch of this session.
        expected: u32,
        /// The epoch in the probe.
        actual: u32,
    },
    /// The probe was stamped by a clock that its sender has given up since.
    #[error("clock epoch: expected {expected} or later, got {actual}")]
    ClockEpoch {
        /// The newest epoch seen from this peer.
        expected: u32,
        /// The epoch in the probe.
        actual: u32,
    },
    /// The probe travelled on a path that is no longer in use.
    #[error("path epoch: expected {expected} or later, got {actual}")]
    PathEpoch {
        /// The epoch of the path in use.
        expected: u32,
        /// The epoch in the probe.
        actual: u32,
    },
    /// The probe was received before, or is so old that this can no longer be told.
    #[error("probe {seq} repeated or older than the {window} last ones")]
    Repeated {
        /// The number of the probe.
        seq: u32,
        /// How many numbers are remembered.
        window: u32,
    },
    /// The index within the pair is neither 0 nor 1.
    #[error("index within the pair: expected 0 or 1, got {actual}")]
    PairIndex {
        /// The index in the probe.
        actual: u8,
    },
    /// A reading so far from zero that differences to it would overflow.
    #[error("clock reading: expected within 73 years of the clock's origin, got {actual}")]
    Range {
        /// The reading, as a distance from the clock's origin.
        actual: Span,
    },
    /// The echo names a probe that this node has not sent.
    #[error("echo of probe {seq}, which was never sent: next is {next}")]
    EchoNeverSent {
        /// The number in the echo.
        seq: u32,
        /// The first number not sent yet.
        next: u32,
    },
    /// The echo was reported before.
    #[error("echo of probe {seq} repeated")]
    EchoRepeated {
        /// The number in the echo.
        seq: u32,
    },
    /// The peer claims to have received a probe after it reported so.
    #[error("echo of probe {seq} received {ahead} after it was sent back")]
    EchoAhead {
        /// The number in the echo.
        seq: u32,
        /// By how much.
        ahead: Span,
    },
    /// The peer claims to have held an echo for longer than the whole exchange took.
    #[error("echo of probe {seq} held for {held} in an exchange of {whole}")]
    EchoHeld {
        /// The number in the echo.
        seq: u32,
        /// The time between arrival and departure, on the peer's clock.
        held: Span,
        /// The time between sending and receiving, on this node's clock.
        whole: Span,
    },
}

impl ClockError {
    /// Whether no network can have caused it: the peer claims what cannot be. What is stale or repeated comes from
    /// honest peers, too.
    #[must_use]
    pub const fn is_impossible(&self) -> bool {
        match self {
            Self::SessionEpoch { .. }
            | Self::ClockEpoch { .. }
            | Self::PathEpoch { .. }
            | Self::Repeated { .. } => false,
            Self::PairIndex { .. }
            | Self::Range { .. }
            | Self::EchoNeverSent { .. }
            | Self::EchoRepeated { .. }
            | Self::EchoAhead { .. }
            | Self::EchoHeld { .. } => true,
        }
    }
}
