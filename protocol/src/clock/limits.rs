//! The limits of the truth: no packet arrives before it is sent, whatever the path does to it.

use super::{
    ClockConfig,
    history::{Direction, History, Line},
};
use crate::time::{NodeTime, Ppm, Span};

/// How far the true offset may lie from a line at one instant.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Above the line.
    pub(super) above: Span,
    /// Below the line.
    pub(super) below: Span,
}

/// How samples lose their worth with age.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ageing {
    /// How far the true drift may be from the line's.
    pub(super) drift_error: Ppm,
    /// The drift's wander, per root of a second.
    pub(super) wander: Ppm,
}

impl Limits {
    /// The tightest limits that the samples of both directions set at `now`, measured from `line`. `None` until
    /// there are samples in both.
    pub(super) fn of(
        there: &History,
        back: &History,
        line: &Line,
        ageing: &Ageing,
        now: NodeTime,
    ) -> Option<Self> {
        Some(Self {
            above: closest(Direction::There, there, line, ageing, now)?,
            below: closest(Direction::Back, back, line, ageing, now)?,
        })
    }

    /// Half the distance between the limits. Negative where they contradict each other.
    pub(super) fn half(&self) -> Span {
        (self.above + self.below).scaled(0.5)
    }

    /// The further of both limits: no truth within them is further from the line.
    pub(super) fn furthest(&self) -> Span {
        self.above.max(self.below)
    }

    /// By how much the line must be raised to lie within the limits; negative where it must be lowered.
    pub(super) fn correction(&self) -> Span {
        self.above.min(Span::ZERO) - self.below.min(Span::ZERO)
    }

    /// The limits measured from a line raised by `by`.
    pub(super) fn raised_by(&self, by: Span) -> Self {
        Self { above: self.above - by, below: self.below + by }
    }
}

impl Ageing {
    /// The ageing of samples on a line whose drift is fully unknown.
    pub(super) fn unknown(config: &ClockConfig) -> Self {
        Self { drift_error: config.drift_limit, wander: config.drift_wander }
    }

    /// What the two clocks may have gained on each other against the line within `age`.
    pub(super) fn over(&self, age: Span) -> Span {
        Span::from_secs_f64(self.gained(age.as_secs_f64()))
    }

    /// What the two clocks may have gained on each other against the line over `age` seconds: the drift's error, and
    /// four standard deviations of its wander.
    fn gained(&self, age: f64) -> f64 {
        (self.drift_error.0 * age + WANDER_SIGMAS * self.wander.0 * age * libm::sqrt(age / 3.0)) * 1e-6
    }
}

fn closest(
    direction: Direction,
    history: &History,
    line: &Line,
    ageing: &Ageing,
    now: NodeTime,
) -> Option<Span> {
    let limit = history.buckets().map(|bucket| {
        let sample = bucket.best();
        sample.lateness(direction, line) + ageing.gained((now - sample.at).as_secs_f64().max(0.0))
    });
    limit.reduce(f64::min).map(Span::from_secs_f64)
}

/// The drift's wander is guaranteed by no law; four standard deviations of what is assumed are allowed for.
const WANDER_SIGMAS: f64 = 4.0;
