//! Whether one direction's delay has shifted by less than its jitter reaches, so that no single sample tells.
//!
//! A route that becomes a few milliseconds longer under as much jitter moves no floor in sight, but the mean of every bucket.
//! The buckets are cut in two where both parts differ most, as in a test for one change point: Student's t of the parts' means.
//! A queue moves means, too; a route moves the least delays with them. And so does a slope that is not well known: what that
//! explains is no shift.

use alloc::vec::Vec;

use super::{
    ClockConfig,
    floor::listened,
    history::{Bucket, Direction, History, Line},
};
use crate::time::{NodeTime, Ppm, Span};

/// Since when the delay of the current segment is another, if it is and has been so for long enough.
pub(super) fn find(
    config: &ClockConfig,
    direction: Direction,
    history: &History,
    line: &Line,
    drift_error: Ppm,
    now: NodeTime,
) -> Option<NodeTime> {
    let buckets: Vec<&Bucket> = history.current().collect();
    let seen = |bucket: &Bucket| {
        let mean = bucket.mean();
        let age = (line.at - mean.at).as_secs_f64();
        [mean.lateness(direction, line), bucket.best().lateness(direction, line), age]
    };
    let mut earlier = Part::default();
    for bucket in &buckets {
        earlier.add(seen(bucket), 1.0);
    }
    let (mut later, mut heard, mut next) = (Part::default(), Span::ZERO, now);
    let mut found: Option<(Cut, Span, NodeTime)> = None;
    for pair in buckets.windows(2).rev() {
        let &[before, bucket] = pair else { continue };
        let [first, last] = bucket.lasts();
        heard += listened(next.since(last)) + listened(last.since(first));
        next = first;
        later.add(seen(bucket), 1.0);
        earlier.add(seen(bucket), -1.0);
        if later.count < PART_MIN || earlier.count < PART_MIN {
            continue;
        }
        let cut = Cut::between(&earlier, &later);
        if found.is_none_or(|(best, ..)| cut.clarity > best.clarity) {
            let [_, since] = before.lasts();
            found = Some((cut, heard, since));
        }
    }
    let (cut, held, since) = found?;
    let least = config.floor_step.as_secs_f64() + drift_error.0 * 1e-6 * cut.apart;
    let is_shift = held >= config.floor_hold
        && cut.clarity >= CLARITY_MIN
        && cut.means.abs() >= least
        && cut.bests * cut.means.signum() >= cut.means.abs() * BESTS_SHARE;
    is_shift.then_some(since)
}

/// Sums over the buckets on one side of a cut, of their mean and their least lateness and their age, in seconds.
#[derive(Clone, Copy, Default)]
struct Part {
    count: f64,
    means: f64,
    squares: f64,
    bests: f64,
    ages: f64,
}

impl Part {
    fn add(&mut self, [mean, best, age]: [f64; 3], sign: f64) {
        self.count += sign;
        self.means += sign * mean;
        self.squares += sign * mean * mean;
        self.bests += sign * best;
        self.ages += sign * age;
    }

    /// The sum of the squared distances from the mean.
    fn scatter(&self) -> f64 {
        (self.squares - self.means * self.means / self.count).max(0.0)
    }
}

/// What differs between both sides of a cut.
#[derive(Clone, Copy)]
struct Cut {
    /// How much later the later buckets are, by their means and by their least samples, in seconds.
    means: f64,
    bests: f64,
    /// The means in standard errors: Student's t.
    clarity: f64,
    /// How much time lies between them, in seconds.
    apart: f64,
}

impl Cut {
    fn between(earlier: &Part, later: &Part) -> Self {
        let means = later.means / later.count - earlier.means / earlier.count;
        let bests = later.bests / later.count - earlier.bests / earlier.count;
        let apart = earlier.ages / earlier.count - later.ages / later.count;
        let variance = (earlier.scatter() + later.scatter()) / (earlier.count + later.count - 2.0);
        let error = libm::sqrt(variance * (1.0 / earlier.count + 1.0 / later.count)).max(NO_ERROR);
        Self { means, bests, clarity: means.abs() / error, apart }
    }
}

/// Buckets on either side of a cut at least.
const PART_MIN: f64 = 6.0;
/// Of 12 buckets that differ by chance alone, one cut in 80,000 is so clear.
const CLARITY_MIN: f64 = 8.0;
/// The least samples move by at least this part of it.
const BESTS_SHARE: f64 = 0.5;
/// A standard error is never taken for less, in seconds: no clock is read better.
const NO_ERROR: f64 = 2e-7;
