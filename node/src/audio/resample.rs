//! The servo's actuator: an asynchronous resampler that knows exactly where in its input each output frame
//! lies.
//!
//! The filter is rubato's windowed sinc. What this module adds is the *position*: rubato reports its delay in
//! whole frames, off by up to one, which at 44.1 kHz is 23 µs. The position is therefore mirrored with the
//! same additions in the same order as rubato does them, so the two can never drift apart. A test measures
//! pulses against it.
//!
//! It never reads a file and never decides on a rate.

use jamsync_protocol::{
    media::{Frames, SampleRate},
    time::Ppm,
};
use rubato::{
    Async, FixedAsync, Resampler as _, SincInterpolationParameters, SincInterpolationType, WindowFunction,
    audioadapter_buffers::direct::InterleavedSlice,
};

use crate::audio::{AudioError, playout::Stereo};

/// Turns frames of one rate into frames of another, with a correction of parts per million.
pub struct Resampler {
    inner: Async<f32>,
    mirror: Mirror,
    /// Output frames per input frame without correction.
    nominal: f64,
    correction: Ppm,
    positions: Vec<f64>,
}

impl std::fmt::Debug for Resampler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resampler").field("mirror", &self.mirror).finish_non_exhaustive()
    }
}

/// Output frames of one [`Resampler::process`].
pub const CHUNK: usize = 480;

impl Resampler {
    /// A resampler whose first output frame lies exactly at input frame [`lead_in`](Self::lead_in) + `phase`,
    /// `phase` in 0 to 1: as many frames before the wanted one must be fed first, silence where there are
    /// none. `pull` is asked for them at once.
    ///
    /// # Errors
    /// [`AudioError::Resampler`] for rates that are too far apart, and any error of `pull`.
    pub fn starting_at<E: From<AudioError>>(
        source: SampleRate,
        device: SampleRate,
        phase: f64,
        correction: Ppm,
        mut pull: impl FnMut(&mut [Stereo]) -> Result<(), E>,
    ) -> Result<Self, E> {
        let mut resampler = Self::new(source, device, correction)?;
        let gap = resampler.lead_in() + phase.clamp(0.0, 1.0) - resampler.mirror.next_position();
        let step = resampler.step();
        let mut discard = (gap / step).floor();
        // The first frame takes a longer step, by the part that whole frames cannot make up.
        resampler.set_step(step + (gap - discard * step), false)?;
        let mut dropped = [[0.0; 2]; CHUNK];
        resampler.run(1, &mut pull, &mut dropped)?;
        resampler.set_step(step, false)?;
        discard -= 1.0;
        while discard >= 1.0 {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "1 to CHUNK")]
            let count = discard.min(exact(CHUNK)) as usize;
            resampler.run(count, &mut pull, &mut dropped)?;
            discard -= exact(count);
        }
        Ok(resampler)
    }

    /// How many input frames lie before the first output frame: half the filter and the frames that settle
    /// it.
    #[must_use]
    pub fn lead_in(&self) -> f64 {
        exact(self.mirror.taps)
    }

    /// The lead-in for these rates, in frames of the source.
    #[must_use]
    pub fn lead_in_frames(source: SampleRate, device: SampleRate) -> usize {
        filter_length(source, device)
    }

    /// Makes the next [`CHUNK`] output frames, asking `pull` for the input frames they need.
    ///
    /// # Errors
    /// Any error of `pull`; [`AudioError::Resampler`] never with the arguments this module gives.
    pub fn process<E: From<AudioError>>(
        &mut self,
        out: &mut [Stereo; CHUNK],
        mut pull: impl FnMut(&mut [Stereo]) -> Result<(), E>,
    ) -> Result<(), E> {
        self.set_step(self.step(), true)?;
        self.run(CHUNK, &mut pull, out)
    }

    /// Lets the output run faster through the input by `correction`; the next chunk moves there in a ramp.
    pub fn set_correction(&mut self, correction: Ppm) {
        self.correction = correction.clamped(CORRECTION_LIMIT);
    }

    /// The correction in force.
    #[must_use]
    pub fn correction(&self) -> Ppm {
        self.correction
    }

    /// The position of each output frame of the last chunk, in input frames since the first that was fed.
    #[must_use]
    pub fn positions(&self) -> &[f64] {
        &self.positions
    }

    /// The position of the next output frame.
    #[must_use]
    pub fn next_position(&self) -> f64 {
        self.mirror.next_position()
    }

    fn new(source: SampleRate, device: SampleRate, correction: Ppm) -> Result<Self, AudioError> {
        let nominal = device.as_f64() / source.as_f64();
        let parameters = SincInterpolationParameters::new(filter_length(source, device), WINDOW)
            .oversampling_factor(OVERSAMPLING)
            .interpolation(SincInterpolationType::Cubic);
        let inner = Async::new_sinc(nominal, STRETCH_MAX, &parameters, CHUNK, 2, FixedAsync::Output)
            .map_err(|error| AudioError::Resampler { reason: error.to_string() })?;
        let mirror = Mirror::new(filter_length(source, device), nominal);
        let correction = correction.clamped(CORRECTION_LIMIT);
        let mut resampler = Self { inner, mirror, nominal, correction, positions: Vec::with_capacity(CHUNK) };
        resampler.set_step(resampler.step(), false)?;
        Ok(resampler)
    }

    /// Input frames per output frame at the wanted correction.
    fn step(&self) -> f64 {
        self.correction.as_factor() / self.nominal
    }

    fn set_step(&mut self, step: f64, ramp: bool) -> Result<(), AudioError> {
        let ratio = 1.0 / step;
        self.inner
            .as_adjustable()
            .map_or(Ok(()), |inner| inner.set_resample_ratio(ratio, ramp))
            .map_err(|error| AudioError::Resampler { reason: error.to_string() })?;
        self.mirror.target = ratio;
        if !ramp {
            self.mirror.ratio = ratio;
        }
        Ok(())
    }

    fn run<E: From<AudioError>>(
        &mut self,
        count: usize,
        pull: &mut impl FnMut(&mut [Stereo]) -> Result<(), E>,
        out: &mut [Stereo; CHUNK],
    ) -> Result<(), E> {
        let failed = |reason: String| AudioError::Resampler { reason };
        if self.mirror.chunk != count {
            self.inner
                .as_resizable()
                .map_or(Ok(()), |inner| inner.set_chunk_size(count))
                .map_err(|error| failed(error.to_string()))?;
            self.mirror.chunk = count;
        }
        let needed = self.inner.input_frames_next();
        let mut input = vec![[0.0; 2]; needed];
        pull(&mut input)?;
        let source = InterleavedSlice::new(input.as_flattened(), 2, needed)
            .map_err(|error| failed(error.to_string()))?;
        let flat = out.as_flattened_mut();
        let mut sink =
            InterleavedSlice::new_mut(flat, 2, CHUNK).map_err(|error| failed(error.to_string()))?;
        self.inner
            .process_into_buffer(&source, &mut sink, None)
            .map_err(|error| failed(error.to_string()))?;
        self.positions.clear();
        self.mirror.advance(needed, |position| self.positions.push(position));
        Ok(())
    }
}

/// Rubato's own arithmetic: the index at which each output frame is taken, counted from the first input frame
/// of the chunk, and the ramp of its step.
#[derive(Debug)]
struct Mirror {
    taps: usize,
    index: f64,
    ratio: f64,
    target: f64,
    chunk: usize,
    /// Input frames of all chunks before.
    consumed: f64,
}

impl Mirror {
    fn new(taps: usize, ratio: f64) -> Self {
        Self { taps, index: 1.0 - exact(taps), ratio, target: ratio, chunk: CHUNK, consumed: 0.0 }
    }

    /// Steps over one chunk that consumes `needed` input frames.
    fn advance(&mut self, needed: usize, mut each: impl FnMut(f64)) {
        let mut step = 1.0 / self.ratio;
        let increment = (1.0 / self.target - 1.0 / self.ratio) / exact(self.chunk);
        for _ in 0..self.chunk {
            step += increment;
            self.index += step;
            each(self.position(self.index));
        }
        self.index -= exact(needed);
        self.consumed += exact(needed);
        self.ratio = self.target;
    }

    /// Where the next output frame lies if the ratio stays.
    fn next_position(&self) -> f64 {
        self.position(self.index + 1.0 / self.ratio)
    }

    /// The filter's centre lies half its length after the index, less one frame, plus one of the steps
    /// between the precomputed filters.
    fn position(&self, index: f64) -> f64 {
        self.consumed + index + exact(self.taps) / 2.0 - 1.0 + 1.0 / exact(OVERSAMPLING)
    }
}

/// A filter for a lower device rate must be longer by as much as it must cut lower.
fn filter_length(source: SampleRate, device: SampleRate) -> usize {
    let shrink = (source.as_f64() / device.as_f64()).clamp(1.0, 8.0);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "64 to 1,024")]
    let taps = (shrink * exact(TAPS)).ceil() as usize;
    taps.next_multiple_of(8)
}

/// A count for arithmetic.
fn exact(count: usize) -> f64 {
    Frames(count as u64).as_f64()
}

/// Length of the filter in frames. Longer passes more of the highest octave and costs more. Frames, 64 to
/// 512, default 128: flat to 19 kHz at 44.1 kHz, below 1 % of a core.
const TAPS: usize = 128;

/// Filters precomputed between two input frames. Fewer add noise, more fall out of the processor's cache.
/// Count, 32 to 1,024, default 128.
const OVERSAMPLING: usize = 128;

const WINDOW: WindowFunction = WindowFunction::BlackmanHarris2;

/// The longest step, relative to the nominal one: the step of the first frame chooses the phase and is up to
/// twice as long.
const STRETCH_MAX: f64 = 2.1;

/// The furthest correction. The servo keeps itself to less; this bound only keeps the filter in its range.
const CORRECTION_LIMIT: Ppm = Ppm(2_000.0);

#[cfg(test)]
#[path = "../../benches/tone/mod.rs"]
mod tone;

#[cfg(test)]
mod tests {
    use std::f64::consts::TAU;

    use super::*;

    const PAIRS: [(u32, u32); 5] =
        [(44_100, 48_000), (48_000, 48_000), (22_050, 48_000), (96_000, 48_000), (48_000, 44_100)];

    fn rate(hz: u32) -> SampleRate {
        SampleRate::new(hz).unwrap()
    }

    /// Feeds `signal(input frame)` and returns pairs of position and output; `steer` may set corrections.
    fn resample(
        (source, device): (u32, u32),
        phase: f64,
        chunks: usize,
        signal: impl Fn(f64) -> f64,
        steer: impl Fn(usize) -> Ppm,
    ) -> Vec<(f64, f64)> {
        let mut fed = 0.0;
        let mut pull = |input: &mut [Stereo]| -> Result<(), AudioError> {
            for frame in input {
                #[expect(clippy::cast_possible_truncation, reason = "sound is f32")]
                let value = signal(fed) as f32;
                *frame = [value, -value];
                fed += 1.0;
            }
            Ok(())
        };
        let mut resampler =
            Resampler::starting_at(rate(source), rate(device), phase, Ppm::ZERO, &mut pull).unwrap();
        let mut output = Vec::new();
        for chunk in 0..chunks {
            resampler.set_correction(steer(chunk));
            let mut out = [[0.0; 2]; CHUNK];
            resampler.process(&mut out, &mut pull).unwrap();
            for (position, [left, right]) in resampler.positions().iter().zip(out) {
                assert!((left + right).abs() < 1e-6, "channels must not mix");
                output.push((*position, f64::from(left)));
            }
        }
        output
    }

    /// The centre of gravity of pulses, in input frames by the reported positions.
    fn assert_pulses_are_where_they_were_put(pair: (u32, u32), steer: impl Fn(usize) -> Ppm) {
        let spacing = 2_000.0;
        let width = 6.0 * f64::from(pair.0) / f64::from(pair.1).min(f64::from(pair.0));
        let pulse = |frame: f64| {
            let off = (frame + spacing / 2.0).rem_euclid(spacing) - spacing / 2.0;
            (-0.5 * (off / width).powi(2)).exp()
        };
        let output = resample(pair, 0.3, 40, pulse, steer);
        let last = output.last().unwrap().0;
        let mut centre = spacing;
        let mut count = 0;
        while centre + spacing < last {
            let near = output.iter().zip(output.iter().skip(1));
            let (weight, moment) = near
                .filter(|((position, _), _)| (position - centre).abs() < spacing / 4.0)
                .fold((0.0, 0.0), |(weight, moment), ((position, value), (next, _))| {
                    let mass = value * (next - position);
                    (weight + mass, moment + mass * (position - centre))
                });
            let off = moment / weight;
            assert!(off.abs() < 0.01, "{pair:?}: pulse at {centre} found {off} frames off");
            centre += spacing;
            count += 1;
        }
        assert!(count >= 3, "{pair:?}: only {count} pulses");
    }

    #[test]
    fn each_output_frame_lies_where_the_position_says() {
        for pair in PAIRS {
            assert_pulses_are_where_they_were_put(pair, |_| Ppm::ZERO);
        }
    }

    #[test]
    fn the_position_holds_while_the_correction_ramps() {
        for pair in PAIRS {
            let corrections = [0.0, 300.0, -300.0, 2_000.0, -1_500.0];
            assert_pulses_are_where_they_were_put(pair, |chunk| Ppm(corrections[chunk % 5]));
        }
    }

    #[test]
    fn the_first_frame_lies_at_the_phase_that_was_asked() {
        for pair in PAIRS {
            for phase in [0.0, 0.25, 0.5, 0.999] {
                let first = resample(pair, phase, 1, |_| 0.0, |_| Ppm::ZERO).first().unwrap().0;
                let wanted = exact(Resampler::lead_in_frames(rate(pair.0), rate(pair.1))) + phase;
                assert!((first - wanted).abs() < 1e-9, "{pair:?} {phase}: {first} for {wanted}");
            }
        }
    }

    /// What remains of a sine of `hertz` when the best fitting sine is taken out, relative to it.
    fn residue((source, device): (u32, u32), hertz: f64) -> f64 {
        let turn = TAU * hertz / f64::from(source);
        let output = resample(
            (source, device),
            0.0,
            100,
            |f| 0.5 * (turn * f).sin(),
            |c| Ppm(if c % 20 < 10 { 50.0 } else { -50.0 }),
        );
        let settled = output.get(CHUNK * 10..).unwrap();
        let tone: Vec<(f64, f64)> =
            settled.iter().map(|(position, value)| (turn * position, *value)).collect();
        tone::residue(&tone)
    }

    #[test]
    fn a_steered_sine_stays_clean() {
        for pair in PAIRS {
            for hertz in [1_000.0, 10_000.0] {
                let decibel = 20.0 * residue(pair, hertz).log10();
                println!("{pair:?} {hertz} Hz: THD+N {decibel:.1} dB");
                assert!(decibel < -90.0, "{pair:?} {hertz} Hz: {decibel:.1} dB");
            }
        }
    }
}
