//! The Jam clock of one participant: the host's own clock, or the host's clock as a guest estimates it.

use crate::{
    clock::Estimate,
    time::{JamTime, NodeTime, PeerTime, Ppm},
    timeline::JamMap,
};

/// Where Jam time zero lies, and on whose clock.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum JamClock {
    /// This node is the host: the Jam clock is its own.
    Own {
        /// Jam time zero.
        zero: NodeTime,
    },
    /// This node is a guest: the Jam clock is the host's.
    Hosts {
        /// Jam time zero on the host's clock.
        zero: PeerTime,
    },
    /// This node is a guest that has not been told yet.
    Unknown,
}

impl JamClock {
    /// The Jam clock around `now` as a line over this node's clock; `None` for a guest without an `estimate` of the
    /// host's clock.
    pub(crate) fn map(self, estimate: Option<Estimate>, now: NodeTime) -> Option<JamMap> {
        match self {
            Self::Own { zero } => Some(JamMap { node: zero, jam: JamTime::ZERO, rate: Ppm::ZERO }),
            Self::Hosts { zero } => {
                let estimate = estimate?;
                let jam = JamTime::ZERO + (estimate.peer_at(now) - zero);
                Some(JamMap { node: now, jam, rate: estimate.drift })
            }
            Self::Unknown => None,
        }
    }
}
