//! The clock: probes in, the peer's clock out, as an offset, a drift and how far both may be off.
//!
//! Each node runs one [`Clock`] per peer. It sends the probes that [`Clock::poll_probe`] gives it as datagrams,
//! stamped at that moment, and feeds the peer's probes to [`Clock::handle_probe`] with the instant of arrival.
//! The mathematics, its units and its limits stand in `docs/clock.md`.
//!
//! The clock never asks for the time, never does IO, and never trusts a reading of the peer's further than to
//! place it between what was sent and what was received.

mod blend;
mod config;
mod error;
mod estimate;
mod estimator;
mod exchange;
mod fit;
mod floor;
mod history;
mod limits;
mod loss;
mod probe;
mod round_trips;
mod schedule;
mod shift;
mod way;

pub use config::ClockConfig;
pub use error::ClockError;
pub use estimate::{Estimate, PathReport};
pub use probe::{Echo, Probe, ReceivedProbe};

use self::{
    estimator::{Estimator, Finding},
    exchange::Exchange,
    loss::Losses,
    schedule::{Need, Schedule},
};
use crate::time::{NodeTime, PeerTime, Span};

/// The clock of one peer, as this node knows it.
///
/// After each `handle_*`, and whenever [`poll_timeout`](Self::poll_timeout) has passed, call
/// [`poll_probe`](Self::poll_probe) until it gives nothing.
#[derive(Clone, Debug)]
pub struct Clock {
    config: ClockConfig,
    session_epoch: u32,
    clock_epoch: u32,
    path_epoch: u32,
    peer_clock_epoch: Option<u32>,
    exchange: Exchange,
    losses: Losses,
    schedule: Schedule,
    estimator: Estimator,
    refused: u64,
    /// When the first estimate came since the clocks last lost continuity.
    known_since: Option<NodeTime>,
    /// Whether an estimate since then was good enough to begin to follow it.
    steady: bool,
}

impl Clock {
    /// A clock that knows nothing yet and begins to probe at `now`.
    #[must_use]
    pub fn new(config: ClockConfig, session_epoch: u32, now: NodeTime) -> Self {
        Self {
            config,
            session_epoch,
            clock_epoch: 0,
            path_epoch: 0,
            peer_clock_epoch: None,
            exchange: Exchange::default(),
            losses: Losses::default(),
            schedule: Schedule::new(&config, now),
            estimator: Estimator::new(config),
            refused: 0,
            known_since: None,
            steady: false,
        }
    }

    /// Takes in a probe of the peer's that arrived at `rx`.
    ///
    /// # Errors
    /// A probe that is stale, repeated or impossible is refused and changes nothing but the count of refusals.
    pub fn handle_probe(&mut self, probe: &Probe, rx: NodeTime) -> Result<(), ClockError> {
        let exchanged =
            self.check(probe, rx).inspect_err(|_| self.refused = self.refused.saturating_add(1))?;
        if self.peer_clock_epoch != Some(probe.clock_epoch) {
            if self.peer_clock_epoch.is_some() {
                self.forget(rx);
            }
            self.peer_clock_epoch = Some(probe.clock_epoch);
        }
        if probe.path_epoch > self.path_epoch {
            self.path_epoch = probe.path_epoch;
            self.change_path(rx);
        }
        self.exchange.receive(probe, rx);
        self.losses.handle_arrival(probe.seq, rx);
        self.schedule.heard(&self.config, rx);

        let t3 = probe.received().t_tx;
        let mut findings =
            [self.estimator.handle_arrival(rx, apart(t3, rx)), Finding::Steady, Finding::Steady];
        // A probe that left on another path says nothing of this one.
        if let Some(there) = exchanged.filter(|there| there.path_epoch == self.path_epoch) {
            findings[1] = self.estimator.handle_echo(there.t1, apart(there.t2, there.t1), rx, t3 - there.t2);
        }
        findings[2] = self.estimator.update(rx);
        if findings.contains(&Finding::Changed) {
            self.schedule.burst(&self.config, rx);
        }
        self.judge_entry(rx);
        Ok(())
    }

    /// The probe that is due at `now`, stamped `now`: to be sent at once. Call until it gives `None`.
    #[must_use]
    pub fn poll_probe(&mut self, now: NodeTime) -> Option<Probe> {
        let (pair, index) = self.schedule.take(&self.config, self.need(now), now)?;
        let (seq, echo) = self.exchange.send(self.path_epoch, now);
        Some(Probe {
            session_epoch: self.session_epoch,
            clock_epoch: self.clock_epoch,
            path_epoch: self.path_epoch,
            seq,
            pair,
            index,
            t_tx: now,
            echo,
        })
    }

    /// When the next probe is due.
    #[must_use]
    pub fn poll_timeout(&self) -> NodeTime {
        self.schedule.due()
    }

    /// The peer's clock as known at `now`; `None` until probes have arrived in both directions.
    #[must_use]
    pub fn estimate(&self, now: NodeTime) -> Option<Estimate> {
        self.estimator.estimate(now)
    }

    /// The peer's clock as known at `now`, once it is good enough to begin to play by it: the first estimates over
    /// jitter are milliseconds off, and who follows them has to jump soon. What has begun goes on.
    #[must_use]
    pub fn steady_estimate(&self, now: NodeTime) -> Option<Estimate> {
        let waited = self.known_since.is_some_and(|since| now - since >= self.config.entry_wait);
        self.estimate(now).filter(|_| self.steady || waited)
    }

    /// Packets take another path from `now` on: its delays are learnt anew, while drift and bound carry over.
    pub fn handle_path_change(&mut self, now: NodeTime) {
        self.path_epoch = self.path_epoch.saturating_add(1);
        self.change_path(now);
    }

    /// This node's own clock lost continuity, for example by sleep: everything but the drift is forgotten.
    pub fn handle_suspend(&mut self, now: NodeTime) {
        self.clock_epoch = self.clock_epoch.saturating_add(1);
        self.schedule = Schedule::new(&self.config, now);
        self.forget(now);
    }

    /// The time within which 95 % of the packets arrive; see [`PathReport::one_way_p95`].
    #[must_use]
    pub fn one_way_p95(&self) -> Span {
        self.estimator.round_trips().one_way_p95()
    }

    /// The least round trip measured on the path in use; zero before the first.
    #[must_use]
    pub fn least_round_trip(&self) -> Span {
        self.estimator.round_trips().least()
    }

    /// What the probes tell of the path.
    #[must_use]
    pub fn path_report(&self, now: NodeTime) -> PathReport {
        let round_trips = self.estimator.round_trips();
        PathReport {
            least_round_trip: round_trips.least(),
            one_way_p95: round_trips.one_way_p95(),
            queueing: round_trips.queueing(now),
            loss: self.losses.share(now),
            jumps: self.estimator.jumps(),
            refused: self.refused,
        }
    }

    fn check(&self, probe: &Probe, rx: NodeTime) -> Result<Option<exchange::Exchanged>, ClockError> {
        if probe.session_epoch != self.session_epoch {
            return Err(ClockError::SessionEpoch {
                expected: self.session_epoch,
                actual: probe.session_epoch,
            });
        }
        if let Some(expected) = self.peer_clock_epoch.filter(|&epoch| probe.clock_epoch < epoch) {
            return Err(ClockError::ClockEpoch { expected, actual: probe.clock_epoch });
        }
        if probe.path_epoch < self.path_epoch {
            return Err(ClockError::PathEpoch { expected: self.path_epoch, actual: probe.path_epoch });
        }
        self.exchange.check(&self.config, probe, rx)
    }

    fn change_path(&mut self, now: NodeTime) {
        self.estimator.change_path(now);
        self.schedule.burst(&self.config, now);
    }

    fn forget(&mut self, now: NodeTime) {
        self.exchange.forget_readings();
        self.losses.forget();
        self.estimator.forget();
        self.schedule.burst(&self.config, now);
        self.known_since = None;
        self.steady = false;
    }

    fn judge_entry(&mut self, now: NodeTime) {
        let Some(estimate) = self.estimate(now) else { return };
        self.known_since.get_or_insert(now);
        self.steady |= estimate.converged && estimate.spread <= self.config.entry_spread;
    }

    fn need(&self, now: NodeTime) -> Need {
        match self.estimate(now) {
            Some(estimate) if estimate.spread > self.config.urgent_spread => Need::Urgent,
            Some(estimate) if estimate.converged && estimate.spread <= self.config.stable_spread => {
                Need::Stable
            }
            Some(_) | None => Need::Eager,
        }
    }
}

/// The peer's clock less this node's: the one place where readings of the two clocks meet.
fn apart(peer: PeerTime, node: NodeTime) -> Span {
    Span::from_nanos(peer.as_nanos().saturating_sub(node.as_nanos()))
}

#[cfg(test)]
mod tests;
