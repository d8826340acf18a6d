//! The Jam clock of one participant: a line over its own clock, or its host's line over the host's clock as a guest
//! estimates it.
//!
//! The line outlives its host. Whoever takes over goes on with exactly the line it used the instant before, frozen,
//! and tells it to the other in its welcome: so a change of host does not move the music.

use crate::{
    clock::Estimate,
    time::{JamTime, NodeTime, PeerTime, Ppm},
    timeline::JamMap,
    wire::peer::JamLine,
};

/// How this node reads the Jam time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum JamClock {
    /// By a line over its own clock: it is the host, or it keeps to the line it last knew until its host speaks.
    Own(JamMap),
    /// By its host's line over the host's clock.
    Hosts {
        /// The host's line.
        line: JamLine,
        /// The last reading of it that was good enough to play by.
        last: Option<JamMap>,
        /// Whether the music goes on by `last` until the host's clock is known well enough.
        bridges: bool,
    },
    /// This node is a guest that has not been told yet.
    Unknown,
}

impl JamClock {
    /// The clock of a Jam that begins at `now`, on its host.
    pub(crate) const fn beginning(now: NodeTime) -> Self {
        Self::Own(JamMap { node: now, jam: JamTime::ZERO, rate: Ppm::ZERO })
    }

    /// The Jam clock around `now` as a line over this node's clock; `None` for a guest without an `estimate` of the
    /// host's clock.
    pub(crate) fn map(self, estimate: Option<Estimate>, now: NodeTime) -> Option<JamMap> {
        match self {
            Self::Own(map) => Some(map),
            Self::Hosts { line, last, bridges } => match estimate {
                Some(estimate) => Some(line.seen_through(&estimate, now)),
                None => last.filter(|_| bridges),
            },
            Self::Unknown => None,
        }
    }

    /// Notes what a good `estimate` says, so that this node can go on by it when the host's clock is lost.
    pub(crate) fn handle_estimate(&mut self, estimate: Option<Estimate>, now: NodeTime) {
        if let (Self::Hosts { line, last, bridges }, Some(estimate)) = (self, estimate) {
            *last = Some(line.seen_through(&estimate, now));
            *bridges = false;
        }
    }

    /// The line by which this node goes on alone: the one it reads at `now`, or the last one it read; `None` where it
    /// never read one. Its rate is rounded to what the wire carries, so that both sides mean the same line.
    pub(crate) fn frozen(self, estimate: Option<Estimate>, now: NodeTime) -> Option<JamMap> {
        let last = if let Self::Hosts { last, .. } = self { last } else { None };
        let map = self.map(estimate, now).or(last)?;
        Some(JamMap { rate: from_ppb(to_ppb(map.rate)), ..map })
    }

    /// Follows the host's `line` from `now` on. Where `bridges`, the music goes on by what this node read until now
    /// while the host's clock is not known well enough.
    pub(crate) fn follow(&mut self, line: JamLine, estimate: Option<Estimate>, bridges: bool, now: NodeTime) {
        let plays = self.map(estimate, now);
        *self = Self::Hosts { line, last: self.frozen(estimate, now), bridges: bridges && plays.is_some() };
    }
}

impl JamLine {
    /// The line of a host, as it tells it.
    pub(crate) fn of(map: &JamMap) -> Self {
        let origin = PeerTime::from_nanos(map.node.as_nanos());
        Self { origin, jam: map.jam, rate_ppb: to_ppb(map.rate) }
    }

    /// Whether two clocks can differ so much: a line that runs faster is a lie.
    pub(crate) fn is_possible(&self) -> bool {
        self.rate_ppb.unsigned_abs() <= RATE_PPB_MAX
    }

    /// The line over this node's clock, by what is known of the host's.
    fn seen_through(&self, estimate: &Estimate, now: NodeTime) -> JamMap {
        let rate = from_ppb(self.rate_ppb);
        let elapsed = estimate.peer_at(now) - self.origin;
        let jam = self.jam + elapsed + elapsed.gained_at(rate);
        JamMap { node: now, jam, rate: Ppm::from_factor(estimate.drift.as_factor() * rate.as_factor()) }
    }
}

/// A rate in parts per billion, to the nearest.
#[expect(clippy::cast_possible_truncation, reason = "`as` saturates and turns NaN into zero")]
pub(crate) fn to_ppb(rate: Ppm) -> i32 {
    libm::round(rate.0 * 1e3) as i32
}

/// The rate of so many parts per billion.
pub(crate) fn from_ppb(ppb: i32) -> Ppm {
    Ppm(f64::from(ppb) * 1e-3)
}

/// The most that a line may run faster or slower than its host's clock: twice what a clock's estimate takes for
/// possible, for a Jam may have changed its host and back.
const RATE_PPB_MAX: u32 = 1_000_000;
