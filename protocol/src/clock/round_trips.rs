//! The round trips of late, for the path report.

use alloc::{collections::VecDeque, vec::Vec};

use crate::time::{NodeTime, Span};

/// The last round trips, and the least one of the path in use.
#[derive(Clone, Debug, Default)]
pub(super) struct RoundTrips {
    recent: VecDeque<(NodeTime, Span)>,
    least: Option<Span>,
}

impl RoundTrips {
    /// Enters one exchange that ended at `at`.
    pub(super) fn push(&mut self, at: NodeTime, round_trip: Span) {
        let round_trip = round_trip.max(Span::ZERO);
        if self.recent.len() >= RECENT_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back((at, round_trip));
        self.least = Some(self.least.map_or(round_trip, |least| least.min(round_trip)));
    }

    /// Gives up the least round trip for the least of those since `since`: the path has become longer.
    pub(super) fn raise(&mut self, since: NodeTime) {
        self.recent.retain(|&(at, _)| at >= since);
        self.least = self.recent.iter().map(|&(_, round_trip)| round_trip).min();
    }

    /// The least round trip of the path in use, or zero.
    pub(super) fn least(&self) -> Span {
        self.least.unwrap_or_default()
    }

    /// Half the least round trip, and all the queueing that 95 % of the round trips stay below.
    pub(super) fn one_way_p95(&self) -> Span {
        let mut sorted: Vec<Span> = self.recent.iter().map(|&(_, round_trip)| round_trip).collect();
        let Some(last) = sorted.len().checked_sub(1) else { return Span::ZERO };
        let (_, &mut p95, _) = sorted.select_nth_unstable(last * 95 / 100);
        p95 - self.least().scaled(0.5)
    }

    /// How far the least round trip of the last second stands above the least of all.
    pub(super) fn queueing(&self, now: NodeTime) -> Span {
        let late = self.recent.iter().filter(|&&(at, _)| now - at <= QUEUE_WINDOW).map(|&(_, rtt)| rtt).min();
        late.map_or(Span::ZERO, |late| (late - self.least()).max(Span::ZERO))
    }
}

/// 16 s at the normal rate.
const RECENT_MAX: usize = 128;
/// At the slow rate of probing a second holds four probes.
const QUEUE_WINDOW: Span = Span::from_secs(1);
