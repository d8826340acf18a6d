//! A sound card made of code, so that sync can be measured without one.
//!
//! It must not flatter the node. It is paced by the system's own clock, which it reads itself in a function
//! that nothing outside this file can call; the node's clock, which may be shifted and skewed, is not within
//! its reach. Its frames last as long as a crystal of its own says, its callbacks come late as a busy machine
//! makes them, and what it reports can be made as coarse as bad drivers are.
//!
//! It records what it plays and, beside it, the true time at which each period is heard. The two are all a
//! scorer needs; they owe nothing to what the node believes.

mod model;
mod tape;

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use jamsync_protocol::{
    media::SampleRate,
    time::{Ppm, Span},
};
use rustix::time::{ClockId, clock_gettime};

use super::{OnLost, Output, Running, Sink, paced::Paced};
use crate::audio::AudioError;
pub use model::{Model, Period};
use tape::Tape;

/// How a virtual DAC behaves.
#[derive(Clone, Debug)]
pub struct DacConfig {
    /// Frames per second that it declares; default 48 kHz.
    pub rate: SampleRate,
    /// How much faster it really runs than it declares, beside a wander of 5 ppm over 15 min. ppm, -1,000 to
    /// 1,000, default 0.
    pub error: Ppm,
    /// From the instant a period is due to the instant its first frame is heard. Must exceed the worst
    /// lateness of this process, or the card runs dry as a real one does. 6 ms to 1 s, default 60 ms.
    pub latency: Span,
    /// Reported delays are whole multiples of this. Zero to 20 ms, default zero: exact.
    pub coarseness: Span,
    /// Decides the lateness of callbacks and the phase of the wander.
    pub seed: u64,
    /// Where to record: `NAME.wav` and `NAME.stamps.csv` for a path that ends in `NAME`; default nowhere.
    pub record: Option<PathBuf>,
}

/// A sink that behaves like a card and records what was heard when.
pub struct VirtualDac {
    config: DacConfig,
    tape: Option<Tape>,
}

impl Default for DacConfig {
    fn default() -> Self {
        Self {
            rate: SampleRate::HZ_48000,
            error: Ppm::ZERO,
            latency: Span::from_millis(60),
            coarseness: Span::ZERO,
            seed: 0,
            record: None,
        }
    }
}

impl std::fmt::Debug for VirtualDac {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VirtualDac").field("config", &self.config).finish_non_exhaustive()
    }
}

impl VirtualDac {
    /// A virtual DAC; its recording is created at once.
    ///
    /// # Errors
    /// [`AudioError::Recording`] if the recording cannot be written.
    pub fn new(config: DacConfig) -> Result<Self, AudioError> {
        let tape = config.record.as_deref().map(|path| Tape::create(path, config.rate)).transpose()?;
        Ok(Self { config, tape })
    }
}

impl Sink for VirtualDac {
    fn rate(&self) -> SampleRate {
        self.config.rate
    }

    fn start(self: Box<Self>, mut output: Output, lost: OnLost) -> Result<Box<dyn Running>, AudioError> {
        let Self { config, mut tape } = *self;
        let mut model = Model::new(config.rate, config.error, config.seed, true_now());
        let mut sound = vec![[0.0; 2]; model.period_frames()];
        let mut period = model.next_period();
        Ok(Box::new(Paced::start(move || {
            let now = true_now();
            if now >= period.wakes {
                // A card whose buffer ran dry stands still and goes on from there.
                period.due += (now - (period.due + config.latency)).max(Span::ZERO);
                model.stand_still_until(period.due);
                let heard = period.due + config.latency;
                output.fill(sound.as_flattened_mut(), coarsened(heard - now, config.coarseness));
                if let Some(Err(reason)) = tape.as_ref().map(|tape| tape.push(&sound, heard)) {
                    tape = None;
                    lost(reason);
                }
                period = model.next_period();
            }
            let left = u64::try_from((period.wakes - true_now()).as_nanos()).unwrap_or(0);
            Instant::now() + Duration::from_nanos(left)
        })?))
    }
}

fn coarsened(delay: Span, step: Span) -> Span {
    if step <= Span::ZERO {
        return delay;
    }
    Span::from_nanos(delay.as_nanos().div_euclid(step.as_nanos()) * step.as_nanos())
}

/// The true time, since the machine's start: the system's clock, unshifted.
fn true_now() -> Span {
    let reading = clock_gettime(TRUE_CLOCK);
    Span::from_secs(reading.tv_sec) + Span::from_nanos(reading.tv_nsec)
}

#[cfg(target_os = "linux")]
const TRUE_CLOCK: ClockId = ClockId::MonotonicRaw;
#[cfg(not(target_os = "linux"))]
const TRUE_CLOCK: ClockId = ClockId::Monotonic;
