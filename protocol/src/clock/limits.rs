//! The limits of the truth: no packet arrives before it is sent, whatever the path does to it.
//!
//! The truth is a line too: an offset now and a drift. Each sample rules out all lines that pass on its wrong side,
//! and what all samples leave is a convex region of offsets and drifts. Its corners are the limits. Nothing
//! statistical enters, so no queue and no route can move the truth out of them: what is assumed is that the drift
//! is within `drift_limit` and wanders no further than allowed, and that the peer tells the truth.

use alloc::vec::Vec;

use super::{
    ClockConfig,
    history::{Direction, History, Line},
};
use crate::time::{NodeTime, Ppm, Span};

/// How far the true clock may lie from a line, in offset and in drift.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// The offset above the line.
    pub(super) above: Span,
    /// The offset below the line.
    pub(super) below: Span,
    /// The drift above the line's.
    faster: Ppm,
    /// The drift below the line's.
    slower: Ppm,
    wander: Ppm,
}

/// What the samples say together.
#[derive(Clone, Copy, Debug)]
pub(super) enum Verdict {
    /// There are not yet samples of both directions.
    Unknown,
    /// The truth is within these.
    Within(Limits),
    /// No clock could have given all the samples: on the line they miss each other by this much.
    Contradiction(Span),
}

/// The limits that one direction sets, in seconds against a line: `level` now, and `age` for each unit of drift.
struct Side(Vec<Limit>);

#[derive(Clone, Copy)]
struct Limit {
    level: f64,
    age: f64,
}

impl Limits {
    /// The tightest limits that the samples of both directions set at `line.at`, measured from `line`.
    pub(super) fn of(there: &History, back: &History, line: &Line, config: &ClockConfig) -> Verdict {
        let there = Side::of(Direction::There, there, line, config);
        let back = Side::of(Direction::Back, back, line, config);
        let limit = config.drift_limit.0 * 1e-6;
        let drift = line.drift.0 * 1e-6;
        let Some(gap) = gap(&there, &back, 0.0).map(|(gap, _)| gap) else { return Verdict::Unknown };
        let (slowest, fastest) = (-limit - drift, limit - drift);
        let corners = corner(&there, &back, slowest, fastest).zip(corner(&there, &back, fastest, slowest));
        let Some((slowest, fastest)) = corners else {
            return Verdict::Contradiction(Span::from_secs_f64(gap.abs()));
        };
        let (Some(above), Some(below)) = (there.least(fastest), back.least(-slowest)) else {
            return Verdict::Unknown;
        };
        Verdict::Within(Self {
            above: Span::from_secs_f64(above.level),
            below: Span::from_secs_f64(below.level),
            faster: Ppm(fastest * 1e6),
            slower: Ppm(-slowest * 1e6),
            wander: config.drift_wander,
        })
    }

    /// Half the distance between the limits.
    pub(super) fn half(&self) -> Span {
        (self.above + self.below).scaled(0.5)
    }

    /// How far the truth can be from the line after `age` at most.
    pub(super) fn furthest_after(&self, age: Span) -> Span {
        let (above, below) =
            (self.above + age.gained_at(self.faster), self.below + age.gained_at(self.slower));
        above.max(below) + Span::from_secs_f64(wandered(self.wander, age.as_secs_f64()))
    }

    /// By how much the line must be raised to lie within the limits; negative where it must be lowered.
    pub(super) fn correction(&self) -> Span {
        self.above.min(Span::ZERO) - self.below.min(Span::ZERO)
    }

    /// By how much the line's drift must be raised to lie within the limits; negative where it must be lowered.
    pub(super) fn drift_correction(&self) -> Ppm {
        Ppm(self.faster.0.min(0.0) - self.slower.0.min(0.0))
    }

    /// The limits measured from a line that lies higher `by` this much and is faster by `drift`.
    pub(super) fn raised_by(&self, by: Span, drift: Ppm) -> Self {
        Self {
            above: self.above - by,
            below: self.below + by,
            faster: self.faster - drift,
            slower: self.slower + drift,
            ..*self
        }
    }

    /// The limits where both are further away by this much, and nothing is known of the drift any more.
    pub(super) fn widened_by(&self, by: Span, config: &ClockConfig, drift: Ppm) -> Self {
        Self {
            above: self.above + by,
            below: self.below + by,
            faster: config.drift_limit - drift,
            slower: config.drift_limit + drift,
            ..*self
        }
    }
}

impl Side {
    fn of(direction: Direction, history: &History, line: &Line, config: &ClockConfig) -> Self {
        let limits = history.buckets().map(|bucket| {
            let sample = bucket.best();
            let age = seconds_between(sample.at, line.at);
            let level = sample.lateness(direction, line)
                + wandered(config.drift_wander, age)
                + config.stamp_error.as_secs_f64();
            Limit { level, age }
        });
        Self(limits.collect())
    }

    /// The closest limit where the truth recedes from the line by `slope`, its level being that of now.
    fn least(&self, slope: f64) -> Option<Limit> {
        let now = self.0.iter().map(|limit| Limit { level: limit.level + slope * limit.age, ..*limit });
        now.reduce(|least, limit| if limit.level < least.level { limit } else { least })
    }
}

/// The room between both directions' limits for a truth that is faster than the line by `drift`, and how fast it grows
/// with the drift. A concave function, a straight line in pieces.
fn gap(there: &Side, back: &Side, drift: f64) -> Option<(f64, f64)> {
    let (above, below) = (there.least(drift)?, back.least(-drift)?);
    Some((above.level + below.level, above.age - below.age))
}

/// The first drift on the way from `from` to `to` that leaves room for a truth. Newton's method on a concave
/// function from outside: it never passes the corner, and it ends on it after a few pieces.
fn corner(there: &Side, back: &Side, from: f64, to: f64) -> Option<f64> {
    let mut drift = from;
    for _ in 0..STEPS_MAX {
        let (room, growth) = gap(there, back, drift)?;
        if room >= 0.0 {
            break;
        }
        let next = drift - room / growth;
        if !next.is_finite() || (next - drift) * (to - from) < 0.0 || (to - next) * (to - from) < 0.0 {
            return None;
        }
        if (next - drift).abs() <= DRIFT_STEP_MIN {
            break;
        }
        drift = next;
    }
    Some(drift)
}

/// What the drift's wander may have added within `age` seconds: four standard deviations.
fn wandered(wander: Ppm, age: f64) -> f64 {
    WANDER_SIGMAS * wander.0 * 1e-6 * age * libm::sqrt(age / 3.0)
}

fn seconds_between(earlier: NodeTime, later: NodeTime) -> f64 {
    (later - earlier).as_secs_f64().max(0.0)
}

/// Where it does not end sooner, the limits are those of a drift further out: wider, never wrong.
const STEPS_MAX: u32 = 32;
/// A step of this fraction adds less than a nanosecond over the longest window.
const DRIFT_STEP_MIN: f64 = 1e-12;
/// The drift's wander is guaranteed by no law; four standard deviations of what is assumed are allowed for.
const WANDER_SIGMAS: f64 = 4.0;
