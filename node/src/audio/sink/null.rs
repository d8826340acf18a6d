//! A sink that discards: it takes frames at their pace and nobody hears them.

use std::time::{Duration, Instant};

use jamsync_protocol::{
    media::{Frames, SampleRate},
    time::Span,
};

use super::{OnLost, Output, Running, Sink, paced::Paced};
use crate::audio::{AudioError, playout::Stereo};

/// Discards what it takes, paced by the system's clock.
#[derive(Clone, Copy, Debug)]
pub struct Null {
    rate: SampleRate,
}

impl Null {
    /// A null sink of `rate`.
    #[must_use]
    pub fn new(rate: SampleRate) -> Self {
        Self { rate }
    }
}

impl Sink for Null {
    fn rate(&self) -> SampleRate {
        self.rate
    }

    fn start(self: Box<Self>, mut output: Output, _lost: OnLost) -> Result<Box<dyn Running>, AudioError> {
        let mut periods = Periods::new(self.rate);
        Ok(Box::new(Paced::start(move || periods.next(&mut output, |_| ()))?))
    }
}

/// Periods of 10 ms by the system's clock, each heard [`LATENCY`] after it is due.
#[derive(Debug)]
pub(super) struct Periods {
    rate: SampleRate,
    start: Instant,
    taken: Frames,
    sound: Vec<Stereo>,
}

impl Periods {
    pub(super) fn new(rate: SampleRate) -> Self {
        let frames = usize::try_from(rate.frames_in(PERIOD).0).unwrap_or(1).max(1);
        Self { rate, start: Instant::now(), taken: Frames::ZERO, sound: vec![[0.0; 2]; frames] }
    }

    /// Takes one period, hands it to `heard` and says when the next is due.
    pub(super) fn next(&mut self, output: &mut Output, mut heard: impl FnMut(&[Stereo])) -> Instant {
        let late = Span::from_secs_f64(self.start.elapsed().as_secs_f64()) - self.rate.span_of(self.taken);
        output.fill(self.sound.as_flattened_mut(), LATENCY - late);
        heard(&self.sound);
        self.taken = self.taken.plus(Frames(self.sound.len() as u64));
        let due = u64::try_from(self.rate.span_of(self.taken).as_nanos()).unwrap_or(0);
        self.start + Duration::from_nanos(due)
    }
}

const PERIOD: Span = Span::from_millis(10);

/// What a sound card has in its buffer.
const LATENCY: Span = Span::from_millis(20);
