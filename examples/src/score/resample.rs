//! Both recordings on one axis of true time, by windowed-sinc interpolation.

use jamsync_protocol::time::Span;

use super::{
    Recording, TrueRange, TrueTime,
    number::{float, sample, whole},
};

/// Samples per second of the axis.
pub(super) const AXIS_HZ: usize = 48_000;
/// What is rendered beyond either end of the scored span, so that a lag can be searched there too.
pub(super) const MARGIN: usize = AXIS_HZ;

/// Two recordings on one axis, which begins [`MARGIN`] samples before the scored span. Where a recording
/// holds nothing, the axis holds silence.
#[derive(Debug)]
pub(super) struct Both {
    /// The instant of sample [`MARGIN`].
    pub(super) from: TrueTime,
    /// Samples of the scored span, margins not counted.
    pub(super) samples: usize,
    /// The first recording, by channel.
    pub(super) a: Vec<Vec<f32>>,
    /// The second recording, by channel.
    pub(super) b: Vec<Vec<f32>>,
}

impl Both {
    /// Renders what `span` covers of both.
    pub(super) fn render(a: &Recording, b: &Recording, span: TrueRange) -> Self {
        let samples = sample_count(span);
        let origin = span.from - span_of(MARGIN);
        let on_axis = |recording| aligned(recording, origin, samples + 2 * MARGIN, |_| 0.0);
        Self { from: span.from, samples, a: on_axis(a), b: on_axis(b) }
    }

    /// The instant of a sample of the axis.
    pub(super) fn time_of(&self, sample: usize) -> TrueTime {
        self.from + span_of(sample) - span_of(MARGIN)
    }

    /// The sample of the axis at or after `time`, or `None` where that is outside the scored span.
    pub(super) fn sample_at(&self, time: TrueTime) -> Option<usize> {
        let offset = (time - self.from).as_secs_f64() * float(AXIS_HZ);
        (offset >= 0.0 && offset < float(self.samples)).then(|| MARGIN + whole(offset.ceil()))
    }
}

/// `length` samples of a recording from `origin` on, each read by its instant's `delay` in seconds later.
pub(super) fn aligned(
    recording: &Recording,
    origin: TrueTime,
    length: usize,
    delay: impl Fn(TrueTime) -> f64,
) -> Vec<Vec<f32>> {
    let kernel = Kernel::new();
    let mut cursor = Cursor::new(recording);
    let lead = (origin - recording.range().from).as_secs_f64();
    let places: Vec<f64> =
        (0..length).map(|n| cursor.frame_at(lead + seconds(n) + delay(origin + span_of(n)))).collect();
    recording.channels().iter().map(|channel| kernel.read_all(channel, &places)).collect()
}

/// How many samples of the axis `range` lasts.
pub(super) fn sample_count(range: TrueRange) -> usize {
    whole(range.length().as_secs_f64() * float(AXIS_HZ) + 0.5)
}

/// How long `samples` of the axis last.
pub(super) fn span_of(samples: usize) -> Span {
    Span::from_secs_f64(seconds(samples))
}

fn seconds(samples: usize) -> f64 {
    float(samples) / float(AXIS_HZ)
}

/// Finds the frame that was audible at ascending instants, walking along the stamps.
#[derive(Debug)]
struct Cursor {
    /// Seconds since the first stamp, and frames.
    points: Vec<(f64, f64)>,
    next: usize,
}

impl Cursor {
    fn new(recording: &Recording) -> Self {
        let from = recording.range().from;
        let point = |stamp: &super::Stamp| ((stamp.at - from).as_secs_f64(), stamp.frame.as_f64());
        Self { points: recording.stamps().iter().map(point).collect(), next: 1 }
    }

    /// The frame, with its fraction, at `seconds` after the first stamp. Before the first stamp and after
    /// the last, the nearest two are continued.
    fn frame_at(&mut self, seconds: f64) -> f64 {
        while self.next + 1 < self.points.len() && self.points.get(self.next).is_some_and(|p| p.0 < seconds) {
            self.next += 1;
        }
        match self.points.get(self.next - 1..=self.next) {
            Some([(t0, f0), (t1, f1)]) => f0 + (seconds - t0) * (f1 - f0) / (t1 - t0),
            _ => f64::NAN,
        }
    }
}

/// A sinc under a Kaiser window, tabled at [`PHASES`] fractions of a sample and interpolated between them.
/// Its pass band reaches 0.46 of the sampling rate; the error below is under -90 dB.
#[derive(Debug)]
struct Kernel {
    rows: Vec<[f32; TAPS]>,
}

impl Kernel {
    fn new() -> Self {
        Self { rows: (0..=PHASES).map(|phase| row(float(phase) / float(PHASES))).collect() }
    }

    /// `channel` read at every one of `places`, in frames.
    fn read_all(&self, channel: &[f32], places: &[f64]) -> Vec<f32> {
        places.iter().map(|&place| self.read(channel, place)).collect()
    }

    /// `channel` read between its samples; silence outside of it.
    fn read(&self, channel: &[f32], place: f64) -> f32 {
        let first = place.floor() - float(TAPS / 2 - 1);
        if first.is_nan() || first < 0.0 {
            return 0.0;
        }
        let Some(around) = channel.get(whole(first)..).and_then(|rest| rest.first_chunk::<TAPS>()) else {
            return 0.0;
        };
        let phase = place.fract() * float(PHASES);
        let Some([low, high]) = self.rows.get(whole(phase)..whole(phase) + 2) else { return 0.0 };
        let blend = sample(phase.fract());
        let mut sum = 0.0;
        for ((x, l), h) in around.iter().zip(low).zip(high) {
            sum += x * (l + (h - l) * blend);
        }
        sum
    }
}

const TAPS: usize = 64;
const PHASES: usize = 1_024;
/// Shape of the Kaiser window: side lobes at -100 dB.
const KAISER_BETA: f64 = 10.0;

/// The kernel's taps for a place `fraction` after the tap in the middle.
fn row(fraction: f64) -> [f32; TAPS] {
    std::array::from_fn(|tap| {
        let x = float(tap) - float(TAPS / 2 - 1) - fraction;
        let edge = x / float(TAPS / 2);
        let window = bessel_i0(KAISER_BETA * (1.0 - edge * edge).max(0.0).sqrt()) / bessel_i0(KAISER_BETA);
        let angle = std::f64::consts::PI * x;
        let sinc = if angle.abs() < 1e-9 { 1.0 } else { angle.sin() / angle };
        sample(sinc * window)
    })
}

/// The modified Bessel function of order zero, by its power series.
fn bessel_i0(x: f64) -> f64 {
    let mut term = 1.0;
    let mut sum = 1.0;
    for k in 1..40_u32 {
        term *= (x / 2.0 / f64::from(k)).powi(2);
        sum += term;
    }
    sum
}
