//! The virtual sound card in virtual time: the model of `node/src/audio/sink/virtual_dac`, and worse devices that
//! report in steps or nonsense at first.

use std::f64::consts::TAU;

use jamsync_protocol::{
    media::{Frames, SampleRate},
    time::{Ppm, Span},
};
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

/// How a card behaves.
#[derive(Clone, Copy, Debug)]
pub(super) struct DacPlan {
    pub(super) rate: SampleRate,
    pub(super) error: Ppm,
    /// From the instant a period is due to the instant it is heard.
    pub(super) latency: Span,
    /// Step of the reported delays; zero where they are exact.
    pub(super) step: Span,
    /// How many stamps are nonsense before the first good one.
    pub(super) nonsense: u32,
    pub(super) seed: u64,
}

/// A card that runs.
#[derive(Clone, Debug)]
pub(super) struct Dac {
    plan: DacPlan,
    random: ChaCha8Rng,
    phase: f64,
    frame: u64,
    /// When the next period is due, in ns of true time: rounding must not become a rate.
    due: f64,
    wakes: Span,
    stamps: u32,
}

/// A period that the card takes now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taken {
    pub(super) first: u64,
    pub(super) frames: u64,
    /// True time at which its first frame is heard.
    pub(super) heard: f64,
    /// How long each frame lasts, in ns of true time.
    pub(super) frame_ns: f64,
    /// What the card says: from now until the first frame is heard.
    pub(super) delay: Span,
}

impl Dac {
    pub(super) fn new(plan: DacPlan) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(plan.seed);
        let phase = random.random_range(0.0..TAU);
        let mut dac = Self { plan, random, phase, frame: 0, due: 0.0, wakes: Span::ZERO, stamps: 0 };
        dac.schedule();
        dac
    }

    pub(super) fn poll_timeout(&self) -> Span {
        self.wakes
    }

    /// The callback at its time.
    pub(super) fn take(&mut self) -> Taken {
        let frames = self.plan.rate.frames_in(PERIOD).0;
        let wander = WANDER * (self.phase + TAU * self.due * 1e-9 / WANDER_SECS).sin();
        let crystal = self.plan.rate.as_f64() * (self.plan.error + Ppm(wander)).as_factor();
        let heard = self.due + nanos(self.plan.latency);
        let true_delay = Span::from_secs_f64(heard * 1e-9) - self.wakes;
        let taken = Taken {
            first: self.frame,
            frames,
            heard,
            frame_ns: 1e9 / crystal,
            delay: self.reported(true_delay),
        };
        self.frame += frames;
        self.due += Frames(frames).as_f64() * taken.frame_ns;
        self.stamps += 1;
        self.schedule();
        taken
    }

    /// The machine slept until `now`: the card stood still and goes on.
    pub(super) fn resume(&mut self, now: Span) {
        self.due = self.due.max(nanos(now));
        self.schedule();
    }

    /// It stands still for `lasts`, as one does that nobody served in time: what follows is heard so much later.
    pub(super) fn stand_still(&mut self, lasts: Span) {
        self.due += nanos(lasts);
        self.schedule();
    }

    fn schedule(&mut self) {
        let usual = -LATE_MEAN_NS * (1.0 - self.random.random::<f64>()).ln();
        let spike = self.random.random_bool(SPIKE_SHARE);
        let late = if spike { self.random.random_range(1e6..5e6) } else { usual.min(5e6) };
        self.wakes = Span::from_secs_f64((self.due + late) * 1e-9);
    }

    fn reported(&mut self, true_delay: Span) -> Span {
        if self.stamps < self.plan.nonsense {
            return Span::from_secs_f64(self.random.random_range(-4e6..4e6));
        }
        if self.plan.step <= Span::ZERO {
            return true_delay;
        }
        // The hardware's pointer moves in steps of its own, so the reported delay is off by up to half a step.
        let steps = Frames(self.frame).as_f64() / self.plan.rate.as_f64() / self.plan.step.as_secs_f64();
        true_delay + self.plan.step.scaled(steps - steps.round())
    }
}

pub(super) fn nanos(span: Span) -> f64 {
    span.as_secs_f64() * 1e9
}

const PERIOD: Span = Span::from_millis(10);
/// The crystal's rate moves by this much either way, in ppm...
const WANDER: f64 = 5.0;
/// ...and back over this time.
const WANDER_SECS: f64 = 900.0;
const LATE_MEAN_NS: f64 = 1e5;
const SPIKE_SHARE: f64 = 0.01;
