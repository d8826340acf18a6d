//! From one-way samples in both directions to a line: thin first form, the exchange of least round trip.

use super::{ClockConfig, Estimate, round_trips::RoundTrips};
use crate::time::{NodeTime, Ppm, Span};

/// What is known of the peer's clock.
#[derive(Clone, Debug)]
pub(super) struct Estimator {
    config: ClockConfig,
    backward: Option<(NodeTime, Span)>,
    best: Option<(NodeTime, Span, Span)>,
    exchanges: u32,
    round_trips: RoundTrips,
    jumps: u64,
}

impl Estimator {
    pub(super) fn new(config: ClockConfig, _now: NodeTime) -> Self {
        Self {
            config,
            backward: None,
            best: None,
            exchanges: 0,
            round_trips: RoundTrips::default(),
            jumps: 0,
        }
    }

    pub(super) fn handle_arrival(&mut self, at: NodeTime, offset: Span) {
        self.backward = Some((at, offset));
    }

    pub(super) fn handle_echo(&mut self, _at: NodeTime, offset: Span, rx: NodeTime, round_trip: Span) {
        self.round_trips.push(rx, round_trip);
        self.exchanges = self.exchanges.saturating_add(1);
        let Some((_, back)) = self.backward else { return };
        let aged =
            |(at, _, least): (NodeTime, Span, Span)| least + (rx - at).gained_at(self.config.drift_limit);
        if self.best.is_none_or(|best| round_trip <= aged(best)) {
            self.best = Some((rx, back + (offset - back).scaled(0.5), round_trip));
        }
    }

    pub(super) fn update(&mut self, _now: NodeTime) {}

    pub(super) fn change_path(&mut self, now: NodeTime) {
        self.round_trips.raise(now);
    }

    pub(super) fn forget(&mut self, now: NodeTime) {
        *self = Self { jumps: self.jumps, ..Self::new(self.config, now) };
    }

    pub(super) fn estimate(&self, now: NodeTime) -> Option<Estimate> {
        let (at, offset, least) = self.best?;
        let aged = (now - at).abs().gained_at(self.config.drift_limit);
        let bound = least.scaled(0.5) + aged + self.config.stamp_error;
        Some(Estimate {
            at: now,
            offset,
            drift: Ppm::ZERO,
            bound,
            spread: bound.min(self.config.converged_spread),
            least_round_trip: self.round_trips.least(),
            converged: self.exchanges >= self.config.burst_pairs,
        })
    }

    pub(super) fn round_trips(&self) -> &RoundTrips {
        &self.round_trips
    }

    pub(super) fn jumps(&self) -> u64 {
        self.jumps
    }
}
