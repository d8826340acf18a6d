//! From one-way samples of both directions to the peer's clock.
//!
//! Two estimates run side by side. The *limits* hold whatever the delays are: no packet arrives before it is sent, so
//! each sample is a limit of the offset, above on the way there and below on the way back. The *line* lies where
//! the delays of both directions look alike, and is what playback follows; the limits say how wrong it may be.

use super::{
    ClockConfig, Estimate,
    blend::blend,
    fit::{Fit, Prior},
    history::{Direction, Line, Sample},
    limits::{Limits, Verdict},
    round_trips::RoundTrips,
    way::Way,
};
use crate::time::{NodeTime, Ppm, Span};

/// What is known of the peer's clock.
#[derive(Clone, Debug)]
pub(super) struct Estimator {
    config: ClockConfig,
    there: Way,
    back: Way,
    /// The samples to a bucket of both histories: doubled when one of them is full.
    quota: u32,
    /// The newest line, against which samples are held; through the first sample at first.
    line: Option<Line>,
    /// The drift expected before any sample: zero, or what it was before a clock lost continuity;
    expected_drift: Ppm,
    /// and one standard deviation of it.
    drift_doubt: Ppm,
    solution: Option<Solution>,
    round_trips: RoundTrips,
    /// Samples since the last update.
    fresh: u32,
    jumps: u64,
}

/// The outcome of an update.
#[derive(Clone, Copy, Debug)]
struct Solution {
    line: Line,
    limits: Limits,
    /// Two standard deviations of the line's offset.
    spread: Span,
    /// Three of its drift, by the line's own residuals: for the spread alone, which promises nothing.
    drift_error: Ppm,
    /// What is left at `line.at` of a correction that is slewed: added to the line, it shrinks to zero.
    slew: Span,
    /// Samples in each direction that the line was fitted to; none if it only lies half way between the limits.
    samples: u32,
}

/// Whether the path was found to have changed, so that more probes are worth their price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Finding {
    /// Nothing new.
    Steady,
    /// The least delay changed, or a clock jumped.
    Changed,
}

impl Estimator {
    pub(super) fn new(config: ClockConfig) -> Self {
        Self {
            config,
            there: Way::new(Direction::There),
            back: Way::new(Direction::Back),
            quota: 1,
            line: None,
            expected_drift: Ppm::ZERO,
            drift_doubt: config.drift_prior,
            solution: None,
            round_trips: RoundTrips::default(),
            fresh: 0,
            jumps: 0,
        }
    }

    /// Takes in what a probe of the peer's saw that arrived at `at`.
    pub(super) fn handle_arrival(&mut self, at: NodeTime, offset: Span) -> Finding {
        let line = self.line_through(at, offset);
        self.fresh = self.fresh.saturating_add(1);
        self.back.push(Sample { at, offset }, &line)
    }

    /// Takes in what a probe of this node's saw that was sent at `at`, and the exchange that ended at `rx`, in which
    /// the peer `held` the probe for a while by its own clock.
    pub(super) fn handle_echo(&mut self, at: NodeTime, offset: Span, rx: NodeTime, held: Span) -> Finding {
        let line = self.line_through(at, offset);
        let held = held - held.gained_at(line.drift) - held.gained_at(self.drift_error());
        self.round_trips.push(rx, (rx - at) - held);
        self.fresh = self.fresh.saturating_add(1);
        self.there.push(Sample { at, offset }, &line)
    }

    /// Brings the estimate up to date, if enough has come in since the last time.
    pub(super) fn update(&mut self, now: NodeTime) -> Finding {
        let known = self.known();
        let Some(line) = self.line.filter(|_| self.fresh >= (known / FRESH_SHARE).min(FRESH_MAX)) else {
            return Finding::Steady;
        };
        self.fresh = 0;
        self.make_room(now, &line);
        let line = Line { at: now, offset: line.offset_at(now), drift: line.drift };
        let fit = if known >= FITTED_MIN { self.fit(&line) } else { None };
        if self.solve(line, fit) == Finding::Changed {
            return Finding::Changed;
        }
        self.find_floors(now)
    }

    /// Packets take another path from `now` on.
    pub(super) fn change_path(&mut self, now: NodeTime) {
        self.there.begin_segment();
        self.back.begin_segment();
        self.round_trips.raise(now);
    }

    /// A clock lost continuity: all but the drift is forgotten, because the crystals are the same as before.
    pub(super) fn forget(&mut self) {
        let known = self.line.zip(self.solution.filter(|solution| solution.samples > 0));
        let (expected_drift, drift_doubt) =
            known.map_or((self.expected_drift, self.drift_doubt), |(line, solution)| {
                let doubt = (solution.drift_error.0 / DRIFT_SIGMAS).max(DRIFT_KEPT.0);
                (line.drift, Ppm(doubt.min(self.config.drift_prior.0)))
            });
        *self = Self { jumps: self.jumps, expected_drift, drift_doubt, ..Self::new(self.config) };
    }

    /// The peer's clock at `now`.
    pub(super) fn estimate(&self, now: NodeTime) -> Option<Estimate> {
        let solution = self.solution?;
        let age = (now - solution.line.at).abs();
        let slew = solution.slew_at(now, &self.config);
        let spread = solution.spread_at(now);
        let bound = solution.limits.furthest_after(age) + slew.abs();
        Some(Estimate {
            at: now,
            offset: solution.line.offset_at(now) + slew,
            drift: solution.line.drift,
            bound,
            spread: spread.min(bound),
            least_round_trip: self.round_trips.least(),
            converged: solution.samples >= CONVERGED_MIN && spread <= self.config.converged_spread,
        })
    }

    pub(super) fn round_trips(&self) -> &RoundTrips {
        &self.round_trips
    }

    pub(super) fn jumps(&self) -> u64 {
        self.jumps
    }

    fn line_through(&mut self, at: NodeTime, offset: Span) -> Line {
        *self.line.get_or_insert(Line { at, offset, drift: self.expected_drift })
    }

    /// Samples in each direction that tell where the line lies now.
    fn known(&self) -> u32 {
        if self.there.is_descending() || self.back.is_descending() {
            return 0;
        }
        self.there.history.count().min(self.back.history.count())
    }

    fn drift_error(&self) -> Ppm {
        self.solution.map_or(self.config.drift_limit, |solution| solution.drift_error)
    }

    /// Keeps both histories within their size: coarser buckets first, then a window that moves on. The buckets of both
    /// stay alike, because the least delay of many samples does not compare with that of few.
    fn make_room(&mut self, now: NodeTime, line: &Line) {
        let young = now - WINDOW_MIN;
        let is_full =
            |way: &Way| way.history.is_full() && way.history.since().is_some_and(|since| since > young);
        while is_full(&self.there) || is_full(&self.back) {
            self.quota = self.quota.saturating_mul(2);
            self.there.history.coarsen(self.quota, line);
            self.back.history.coarsen(self.quota, line);
        }
        let oldest = now - WINDOW;
        self.there.history.truncate(oldest);
        self.back.history.truncate(oldest);
    }

    fn fit(&self, line: &Line) -> Option<Fit> {
        let fraction = |ppm: Ppm| ppm.0 * 1e-6;
        let prior = Prior {
            slope: fraction(self.expected_drift),
            start: fraction(line.drift),
            deviation: fraction(self.drift_doubt),
            limit: fraction(self.config.drift_limit),
            wander: fraction(self.config.drift_wander),
        };
        blend(&self.there.history, &self.back.history, line, &prior)
    }

    /// Lays the line as `fit` has it, or keeps `held` where there is no fit, and holds it against the limits.
    fn solve(&mut self, held: Line, fit: Option<Fit>) -> Finding {
        let (mut line, mut drift_error) = (held, self.drift_error());
        let mut spread = self.solution.map(|before| before.spread_at(held.at));
        if let Some(fit) = fit {
            line.offset += Span::from_secs_f64(fit.offset);
            line.drift = Ppm(fit.slope * 1e6);
            spread =
                Some(Span::from_secs_f64(2.0 * libm::sqrt(fit.offset_variance)) + self.config.stamp_error);
            let error = DRIFT_SIGMAS * libm::sqrt(fit.slope_variance) * 1e6 + DRIFT_ERROR_MIN.0;
            drift_error = Ppm(error).clamped(self.config.drift_limit);
        }
        let limits = match Limits::of(&self.there.history, &self.back.history, &line, &self.config) {
            Verdict::Unknown => return Finding::Steady,
            Verdict::Within(limits) => limits,
            Verdict::Contradiction(gap) => {
                self.give_up(gap);
                return Finding::Changed;
            }
        };
        let before = self.solution.map_or(0, |before| before.samples);
        let known = self.there.history.count().min(self.back.history.count());
        let samples = if fit.is_some() { known.max(before) } else { before };
        let fitted = samples > 0;
        let correction = if fitted { limits.correction() } else { (limits.above - limits.below).scaled(0.5) };
        let drift_correction = limits.drift_correction();
        line.offset += correction;
        line.drift = line.drift + drift_correction;
        let limits = limits.raised_by(correction, drift_correction);
        let slew = self.slew_to(&line);
        let spread = spread.filter(|_| fitted).unwrap_or_else(|| limits.half());
        self.solution = Some(Solution { line, limits, spread, drift_error, slew, samples });
        self.line = Some(line);
        Finding::Steady
    }

    /// How far playback may lag behind a correction that leads to `line`. A correction within the spread is the estimate
    /// becoming better, and taken at once; so is one too large to be slewed.
    fn slew_to(&self, line: &Line) -> Span {
        let Some(before) = self.estimate(line.at).filter(|before| before.converged) else {
            return Span::ZERO;
        };
        let lag = before.offset - line.offset;
        let slewed = lag.abs() > before.spread && lag.abs() < self.config.step_limit;
        if slewed { lag } else { Span::ZERO }
    }

    /// The samples contradict each other by `gap`: a clock jumped, by the gap and the room between the limits at most.
    /// The line is held until there are new ones.
    fn give_up(&mut self, gap: Span) {
        self.jumps = self.jumps.saturating_add(1);
        let held = self.solution.map(|mut solution| {
            let jumped = gap + solution.limits.half() + solution.limits.half();
            solution.limits = solution.limits.widened_by(jumped, &self.config, solution.line.drift);
            solution.samples = 0;
            solution
        });
        self.forget();
        self.solution = held;
        self.line = None;
    }

    fn find_floors(&mut self, now: NodeTime) -> Finding {
        let (Some(line), config, drift_error) = (self.line, self.config, self.drift_error()) else {
            return Finding::Steady;
        };
        let mut finding = Finding::Steady;
        for way in [&mut self.there, &mut self.back] {
            if let Some(since) = way.find_floor(&config, &line, drift_error, now) {
                self.round_trips.raise(since);
                finding = Finding::Changed;
            }
        }
        finding
    }
}

impl Solution {
    /// What is left at `t` of the correction that is slewed.
    fn slew_at(&self, t: NodeTime, config: &ClockConfig) -> Span {
        let done = t.since(self.line.at).gained_at(config.slew_rate);
        let left = (self.slew.abs() - done).max(Span::ZERO);
        if self.slew < Span::ZERO { -left } else { left }
    }

    fn spread_at(&self, t: NodeTime) -> Span {
        self.spread + (t - self.line.at).abs().gained_at(Ppm(self.drift_error.0 / 2.0))
    }
}

/// Samples older than this are dropped while there are many.
const WINDOW: Span = Span::from_secs(512);
/// A full history that goes back this far drops its oldest bucket; a younger one makes its buckets coarser.
const WINDOW_MIN: Span = Span::from_secs(400);
/// Samples in each direction before a line is fitted.
const FITTED_MIN: u32 = 8;
/// Samples in each direction before an estimate counts as converged: most of a burst.
const CONVERGED_MIN: u32 = 24;
/// An update waits for this part of the known samples to come in anew, so that early ones count at once,
const FRESH_SHARE: u32 = 8;
/// but for no more than these.
const FRESH_MAX: u32 = 8;
/// How many standard deviations of the drift the spread's ageing allows for.
const DRIFT_SIGMAS: f64 = 3.0;
/// What a drift that was known well may have changed by while a machine slept: its crystal cooled, one standard deviation.
const DRIFT_KEPT: Ppm = Ppm(10.0);
/// The least error of the drift, whatever the line's residuals say of it.
const DRIFT_ERROR_MIN: Ppm = Ppm(1.0);
