//! What the clock says: the peer's clock as a line over this node's clock, and how far it may be off.

use crate::time::{NodeTime, PeerTime, Ppm, Span};

/// The peer's clock seen from this node, as a line through one instant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The instant that `offset` and `bound` belong to.
    pub at: NodeTime,
    /// The peer's clock less this node's clock at `at`.
    pub offset: Span,
    /// The rate of the peer's clock against this node's: positive where the peer's gains.
    pub drift: Ppm,
    /// The true offset at `at` is no further from `offset` than this, however asymmetric the path is, as long as
    /// neither clock jumps and the peer reports its stamps truthfully. It takes both for clocks that run
    /// steadily, as one that a time daemon slews does not: see [the clock](crate#the-clock).
    pub bound: Span,
    /// The statistical error of `offset` with about 95 % confidence, if the least delays of both directions are equal.
    pub spread: Span,
    /// The least round trip measured on the path in use.
    pub least_round_trip: Span,
    /// Whether the estimate is good enough to start playback on.
    pub converged: bool,
}

/// What the probes tell of the path, for scheduling and for transfers.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PathReport {
    /// The least round trip measured on the path in use.
    pub least_round_trip: Span,
    /// The time within which 95 % of the packets arrive, with all queueing counted on one direction.
    pub one_way_p95: Span,
    /// The least round trip of the last second above the least of all: a standing queue, mostly one's own.
    pub queueing: Span,
    /// The part of the peer's probes of the last 20 s that did not arrive, 0 to 1; none while too few came to tell.
    /// What was sent while nothing at all came for more than 2 s counts neither way.
    pub loss: Option<f64>,
    /// Jumps of the peer's clock within one of its clock epochs.
    pub jumps: u64,
    /// Probes refused with a [`ClockError`](super::ClockError).
    pub refused: u64,
}

impl Estimate {
    /// The peer's clock at the instant `t` of this node's.
    #[must_use]
    pub fn peer_at(&self, t: NodeTime) -> PeerTime {
        let elapsed = t - self.at;
        self.peer_origin() + elapsed + elapsed.gained_at(self.drift)
    }

    /// This node's clock at the instant `t` of the peer's.
    #[must_use]
    pub fn node_at(&self, t: PeerTime) -> NodeTime {
        let elapsed = t - self.peer_origin();
        let gained = elapsed.gained_at(Ppm(self.drift.0 / self.drift.as_factor()));
        self.at + elapsed - gained
    }

    /// The peer's clock at `self.at`: the one place where a reading changes its scale.
    fn peer_origin(&self) -> PeerTime {
        PeerTime::from_nanos(self.at.as_nanos()) + self.offset
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apart_by_1000_hours(drift: Ppm) -> Estimate {
        Estimate {
            at: NodeTime::from_nanos(7_000_000_001),
            offset: Span::from_secs(-3_600_000),
            drift,
            bound: Span::ZERO,
            spread: Span::ZERO,
            least_round_trip: Span::ZERO,
            converged: true,
        }
    }

    #[test]
    fn there_and_back_is_exact_to_a_nanosecond_a_thousand_hours_apart() {
        for ppm in [-500.0, -30.0, 0.0, 17.3, 500.0] {
            let estimate = apart_by_1000_hours(Ppm(ppm));
            for nanos in [0, 1, 7_000_000_002, 600_000_000_003, 36_000_000_000_007] {
                let t = NodeTime::from_nanos(nanos);
                let back = estimate.node_at(estimate.peer_at(t));
                assert!((back - t).abs() <= Span::from_nanos(1), "{back:?} for {t:?} at {ppm} ppm");
            }
        }
    }

    #[test]
    fn a_peer_that_gains_is_ahead_later() {
        let estimate = apart_by_1000_hours(Ppm(30.0));
        let later = estimate.at + Span::from_secs(100);
        let gained = estimate.peer_at(later) - estimate.peer_at(estimate.at) - Span::from_secs(100);
        assert_eq!(gained, Span::from_millis(3));
    }
}
