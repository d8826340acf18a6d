//! The wire form of a probe, and what it says to the node that receives it.
//!
//! A probe carries no reading of its receiver's clock: the receiver remembers when it sent the probe that is
//! echoed, so that a peer cannot misquote it.

use serde::{Deserialize, Serialize};

use crate::time::{NodeTime, PeerTime};

/// One clock probe, a datagram of its own. Both nodes send them, and each carries an echo of the other's.
///
/// Every instant in it is a reading of the *sender's* clock. To the node that builds the probe this is
/// [`NodeTime`]; the node that receives it reads it through [`received`](Self::received).
///
/// Fields are in wire order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// The session both nodes agreed on; probes of another one are refused.
    pub session_epoch: u32,
    /// Raised by the sender when its own clock lost continuity (sleep, restart of the clock).
    pub clock_epoch: u32,
    /// Raised by either node when packets take another path; the greater of the two counts.
    pub path_epoch: u32,
    /// Number of this probe, counted from 0 by its sender within the session.
    pub seq: u32,
    /// Number of the pair this probe belongs to.
    pub pair: u32,
    /// 0 for the first probe of a pair, 1 for the second.
    pub index: u8,
    /// When the sender sent this probe, on the sender's clock. It is the echo's time of departure as well.
    pub t_tx: NodeTime,
    /// The receiver's own probe that arrived at the sender, if one is still to be reported.
    pub echo: Option<Echo>,
}

/// The news that a probe arrived, carried by a probe in the other direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Echo {
    /// [`Probe::seq`] of the probe that arrived.
    pub seq: u32,
    /// When it arrived, on the clock of the node that sends this echo.
    pub rx: NodeTime,
}

/// The instants of a [`Probe`] in the eyes of its receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceivedProbe {
    /// When the peer sent the probe.
    pub t_tx: PeerTime,
    /// Which of this node's probes had arrived at the peer, and when.
    pub echo: Option<(u32, PeerTime)>,
}

impl Probe {
    /// The probe's instants as the receiver must read them: on the clock of its peer.
    #[must_use]
    pub fn received(&self) -> ReceivedProbe {
        ReceivedProbe {
            t_tx: on_peer_clock(self.t_tx),
            echo: self.echo.map(|echo| (echo.seq, on_peer_clock(echo.rx))),
        }
    }
}

/// The sender's own clock is the peer's clock to whoever receives the reading.
fn on_peer_clock(reading: NodeTime) -> PeerTime {
    PeerTime::from_nanos(reading.as_nanos())
}
