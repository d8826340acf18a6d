//! When the periods of a virtual DAC are due, and how late its callbacks come. No clock, no IO: the virtual DAC
//! drives it by the system's clock, a simulation in virtual time.

use std::f64::consts::TAU;

use jamsync_protocol::{
    media::{Frames, SampleRate},
    time::{Ppm, Span},
};
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

/// The crystal and the scheduler of one virtual DAC.
#[derive(Debug)]
pub struct Model {
    rate: SampleRate,
    error: Ppm,
    phase: f64,
    random: ChaCha8Rng,
    start: Span,
    /// When the next period is due, from `start`, in ns with a fraction: rounding must not become a rate.
    due: f64,
}

/// One period.
#[derive(Clone, Copy, Debug)]
pub struct Period {
    /// When the card is ready for it.
    pub due: Span,
    /// When its callback is called.
    pub wakes: Span,
}

impl Model {
    /// A card of `rate` frames a second that really runs `error` faster; its first period is due at `start`. The
    /// seed decides the lateness of callbacks and the phase of the wander.
    #[must_use]
    pub fn new(rate: SampleRate, error: Ppm, seed: u64, start: Span) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let phase = random.random_range(0.0..TAU);
        Self { rate, error: error.clamped(ERROR_MAX), phase, random, start, due: 0.0 }
    }

    /// Frames in each period.
    #[must_use]
    pub fn period_frames(&self) -> usize {
        usize::try_from(self.rate.frames_in(PERIOD).0).unwrap_or(1).max(1)
    }

    /// The next period.
    #[must_use]
    pub fn next_period(&mut self) -> Period {
        let due = self.start + Span::from_secs_f64(self.due * 1e-9);
        let wander = WANDER.0 * (self.phase + TAU * self.due * 1e-9 / WANDER_SECS).sin();
        let frames = Frames(self.period_frames() as u64).as_f64();
        let crystal = self.rate.as_f64() * (self.error + Ppm(wander)).as_factor();
        self.due += frames / crystal * 1e9;
        Period { due, wakes: due + self.lateness() }
    }

    /// The card stood still: the period just given is due at `due`, and what follows is later by as much.
    pub fn stand_still_until(&mut self, due: Span) {
        let frames = Frames(self.period_frames() as u64);
        let next = (due - self.start).as_secs_f64() * 1e9 + self.rate.span_of(frames).as_secs_f64() * 1e9;
        // Less than a period off is the crystal's own error, which stays.
        if next - self.due > 1e5 {
            self.due = next;
        }
    }

    fn lateness(&mut self) -> Span {
        let uniform: f64 = self.random.random();
        let usual = LATE_MEAN.scaled(-(1.0 - uniform).ln());
        let spike = self.random.random_bool(SPIKE_SHARE);
        let spike_late = LATE_SPIKE_MIN + (LATE_SPIKE_MAX - LATE_SPIKE_MIN).scaled(self.random.random());
        if spike { spike_late } else { usual.min(LATE_SPIKE_MAX) }
    }
}

const PERIOD: Span = Span::from_millis(10);
/// The crystal's rate moves by this much either way...
const WANDER: Ppm = Ppm(5.0);
/// ...and back over this time, as a room warms and cools.
const WANDER_SECS: f64 = 900.0;
/// Mean of the exponential lateness of a callback.
const LATE_MEAN: Span = Span::from_micros(100);
/// Share of callbacks that are late by more.
const SPIKE_SHARE: f64 = 0.01;
const LATE_SPIKE_MIN: Span = Span::from_millis(1);
const LATE_SPIKE_MAX: Span = Span::from_millis(5);
const ERROR_MAX: Ppm = Ppm(1_000.0);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_runs_as_fast_as_it_was_told() {
        for error in [-200.0, 0.0, 60.0] {
            let mut model = Model::new(SampleRate::HZ_48000, Ppm(error), 7, Span::from_secs(5));
            let first = model.next_period().due;
            // The wander comes round after 15 min.
            let last = (0..90_000).map(|_| model.next_period().due).last().unwrap();
            let rate = Span::from_secs(900).as_secs_f64() / (last - first).as_secs_f64();
            let off = Ppm::from_factor(rate) - Ppm(error);
            assert!(off.0.abs() < 0.05, "told {error}, off by {off:?}");
        }
    }

    #[test]
    fn its_callbacks_are_late_as_described_and_repeat_with_the_seed() {
        let late = |seed| {
            let mut model = Model::new(SampleRate::HZ_48000, Ppm::ZERO, seed, Span::ZERO);
            (0..20_000).map(|_| model.next_period()).map(|p| p.wakes - p.due).collect::<Vec<_>>()
        };
        let first = late(3);
        assert_eq!(first, late(3));
        assert_ne!(first, late(4));
        let mut sorted = first;
        sorted.sort();
        assert!(sorted[0] >= Span::ZERO && sorted[19_999] <= LATE_SPIKE_MAX);
        assert!(
            (sorted[10_000] - Span::from_micros(69)).abs() < Span::from_micros(5),
            "{:?}",
            sorted[10_000]
        );
        assert!(sorted[19_900] > Span::from_millis(1), "{:?}", sorted[19_900]);
    }

    #[test]
    fn a_card_that_ran_dry_is_later_for_ever() {
        let mut model = Model::new(SampleRate::HZ_48000, Ppm::ZERO, 1, Span::ZERO);
        let period = model.next_period();
        model.stand_still_until(period.due + Span::from_millis(300));
        let next = model.next_period().due;
        assert!((next - Span::from_millis(310)).abs() < Span::from_micros(1), "{next:?}");
    }
}
