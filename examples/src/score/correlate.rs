//! The skew of one window: at which lag two stretches of sound match best, and whether any other lag
//! matches nearly as well.
//!
//! Two steps. A weighted, normalised cross-correlation over all lags (by Fourier transform) finds the
//! candidates to a sample. For each, Newton's method then finds the maximum of the correlation between
//! samples, exactly, from the cross-spectrum: C(t) = sum of Re S(w) e^(iwt). A Hann weight over the window
//! keeps its edges from pulling the peak.

use std::{f64::consts::PI, sync::Arc};

use realfft::{ComplexToReal, RealFftPlanner, RealToComplex, num_complex::Complex64};

use super::number::float;

/// Measures windows of one length, over one range of lags.
pub(super) struct Correlator {
    /// Samples of the window.
    length: usize,
    /// The largest lag searched, in samples, either way.
    reach: usize,
    /// Hann, over the window.
    weights: Vec<f64>,
    weights_spectrum: Vec<Complex64>,
    wide: Arc<dyn RealToComplex<f64>>,
    wide_back: Arc<dyn ComplexToReal<f64>>,
    narrow: Arc<dyn RealToComplex<f64>>,
}

/// Where two windows match best.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Peak {
    /// By how many samples the second is late.
    pub(super) lag: f64,
    /// How alike they are at that lag, 1 for equal but for the volume.
    pub(super) likeness: f64,
    /// How alike they are at the next best lag; 0 where no other stands out.
    pub(super) rival: f64,
}

impl Peak {
    /// Whether this lag stands out: most of the sound is explained by it, and every other lag leaves at
    /// least [`RIVAL_FACTOR`] times as much unexplained.
    pub(super) fn is_clear(&self) -> bool {
        let unexplained = |likeness: f64| 1.0 - likeness * likeness;
        self.likeness >= LIKENESS_MIN
            && unexplained(self.rival) >= RIVAL_FACTOR * unexplained(self.likeness) + RIVAL_MIN
    }
}

/// The least likeness of two windows of the same music.
const LIKENESS_MIN: f64 = 0.7;
/// How much worse every other lag must be.
const RIVAL_FACTOR: f64 = 1.5;
/// What every other lag must leave unexplained even of sound that is equal on both sides.
const RIVAL_MIN: f64 = 1e-4;
/// How many candidates are looked at between samples.
const CANDIDATES: usize = 4;
/// How much a candidate may fall behind the best: half a sample beside its peak, white noise is at 0.64.
const CANDIDATE_LEVEL: f64 = 0.6;

impl Correlator {
    pub(super) fn new(length: usize, reach: usize) -> Self {
        let mut planner = RealFftPlanner::new();
        let wide = planner.plan_fft_forward(length + 2 * reach);
        let wide_back = planner.plan_fft_inverse(length + 2 * reach);
        let narrow = planner.plan_fft_forward(length);
        let hann = |n| 0.5 - 0.5 * (2.0 * PI * (float(n) + 0.5) / float(length)).cos();
        let weights: Vec<f64> = (0..length).map(hann).collect();
        let weights_spectrum = spectrum(&wide, weights.iter().copied());
        Self { length, reach, weights, weights_spectrum, wide, wide_back, narrow }
    }

    /// The best match of the window of `a` that begins at `start` with what `b` holds around it, over all
    /// channels; `None` where either is silent or the range is not held.
    pub(super) fn measure(&self, a: &[Vec<f32>], b: &[Vec<f32>], start: usize) -> Option<Peak> {
        let likeness = self.likeness_by_lag(a, b, start)?;
        let mut found: Vec<(f64, f64)> =
            candidates(&likeness).into_iter().filter_map(|place| self.refine(a, b, start, place)).collect();
        found.sort_by(|x, y| y.1.total_cmp(&x.1));
        let &(lag, best) = found.first()?;
        // Newton's steps may end on one peak from two candidates: that is no rival.
        let rival = found.iter().find(|(other, _)| (other - lag).abs() > 1.0).map_or(0.0, |other| other.1);
        Some(Peak { lag, likeness: best, rival })
    }

    /// The weighted, normalised correlation at every lag from `-reach` to `reach`.
    fn likeness_by_lag(&self, a: &[Vec<f32>], b: &[Vec<f32>], start: usize) -> Option<Vec<f64>> {
        let bins = self.weights_spectrum.len();
        let (mut cross, mut power) = (vec![Complex64::default(); bins], vec![Complex64::default(); bins]);
        let mut energy_a = 0.0;
        for (a, b) in a.iter().zip(b) {
            let a = a.get(start..start + self.length)?;
            let b = b.get(start.checked_sub(self.reach)?..start + self.length + self.reach)?;
            let weighted = || a.iter().zip(&self.weights).map(|(x, w)| f64::from(*x) * w);
            energy_a += weighted().zip(a).map(|(wx, x)| wx * f64::from(*x)).sum::<f64>();
            let spectrum_a = spectrum(&self.wide, weighted());
            let spectrum_b = spectrum(&self.wide, b.iter().map(|x| f64::from(*x)));
            let squares = spectrum(&self.wide, b.iter().map(|x| f64::from(*x).powi(2)));
            for (k, bin) in cross.iter_mut().enumerate() {
                *bin += spectrum_a[k].conj() * spectrum_b[k];
                power[k] += self.weights_spectrum[k].conj() * squares[k];
            }
        }
        let floor = energy_a * 1e-6;
        if energy_a <= 0.0 {
            return None;
        }
        let (cross, power) = (self.lags(cross), self.lags(power));
        let normalised = |(c, p): (&f64, &f64)| c / (energy_a * p.max(floor)).sqrt();
        Some(cross.iter().zip(&power).map(normalised).collect())
    }

    /// A spectrum as a function of the lag.
    fn lags(&self, mut spectrum: Vec<Complex64>) -> Vec<f64> {
        let mut lags = self.wide_back.make_output_vec();
        clear_unpaired_bins(&mut spectrum, lags.len());
        // The lengths are those of the plan, so that the transform cannot fail.
        if self.wide_back.process(&mut spectrum, &mut lags).is_err() {
            lags.fill(0.0);
        }
        let scale = 1.0 / float(lags.len());
        lags.truncate(2 * self.reach + 1);
        lags.iter_mut().for_each(|value| *value *= scale);
        lags
    }

    /// The exact peak near `place`, counted from the lag `-reach`: its lag and the likeness there.
    fn refine(&self, a: &[Vec<f32>], b: &[Vec<f32>], start: usize, place: usize) -> Option<(f64, f64)> {
        let mut cross = vec![Complex64::default(); self.length / 2 + 1];
        let (mut energy_a, mut energy_b) = (0.0, 0.0);
        let start_b = (start + place).checked_sub(self.reach)?;
        for (a, b) in a.iter().zip(b) {
            let a = self.tapered(a.get(start..start + self.length)?);
            let b = self.tapered(b.get(start_b..start_b + self.length)?);
            for ((bin, x), y) in cross.iter_mut().zip(&a).zip(&b) {
                *bin += x.conj() * y;
                energy_a += x.norm_sqr();
                energy_b += y.norm_sqr();
            }
        }
        let lag = newton(&cross, self.length)?;
        let likeness = correlation(&cross, self.length, lag)[0] / (energy_a * energy_b).sqrt();
        Some((float(place) - float(self.reach) + lag, likeness))
    }

    /// The spectrum of a window under the square root of the weight.
    fn tapered(&self, samples: &[f32]) -> Vec<Complex64> {
        spectrum(&self.narrow, samples.iter().zip(&self.weights).map(|(x, w)| f64::from(*x) * w.sqrt()))
    }
}

/// The highest local maxima, best first.
fn candidates(likeness: &[f64]) -> Vec<usize> {
    let best = likeness.iter().copied().fold(0.0, f64::max);
    let is_peak = |trio: &[f64]| matches!(trio, [before, here, after] if here >= before && here > after && *here > best * CANDIDATE_LEVEL);
    let mut places: Vec<usize> = likeness
        .windows(3)
        .enumerate()
        .filter(|(_, trio)| is_peak(trio))
        .map(|(index, _)| index + 1)
        .collect();
    places.sort_by(|x, y| likeness[*y].total_cmp(&likeness[*x]));
    places.truncate(CANDIDATES);
    places
}

/// The lag between -1.5 and 1.5 samples at which the correlation of a cross-spectrum is greatest.
fn newton(cross: &[Complex64], length: usize) -> Option<f64> {
    const STEPS: usize = 12;
    let mut lag: f64 = 0.0;
    for _ in 0..STEPS {
        let [_, slope, curvature] = correlation(cross, length, lag);
        if curvature >= 0.0 || !slope.is_finite() {
            return None;
        }
        let step = (-slope / curvature).clamp(-0.5, 0.5);
        lag = (lag + step).clamp(-1.5, 1.5);
        if step.abs() < 1e-6 {
            break;
        }
    }
    Some(lag)
}

/// The correlation that belongs to a cross-spectrum at a lag, with its first and second derivative.
fn correlation(cross: &[Complex64], length: usize, lag: f64) -> [f64; 3] {
    let mut sums = [0.0; 3];
    for (k, bin) in cross.iter().enumerate() {
        let omega = 2.0 * PI * float(k) / float(length);
        let turned = bin * Complex64::from_polar(1.0, omega * lag);
        sums[0] += turned.re;
        sums[1] -= omega * turned.im;
        sums[2] -= omega * omega * turned.re;
    }
    sums
}

/// The spectrum of real samples, padded with silence to the length of the transform.
fn spectrum(transform: &Arc<dyn RealToComplex<f64>>, samples: impl Iterator<Item = f64>) -> Vec<Complex64> {
    let mut input = transform.make_input_vec();
    for (slot, value) in input.iter_mut().zip(samples) {
        *slot = value;
    }
    let mut output = transform.make_output_vec();
    // The lengths are those of the plan, so that the transform cannot fail.
    if transform.process(&mut input, &mut output).is_err() {
        output.fill(Complex64::default());
    }
    output
}

/// The first and last bin of a real signal have no imaginary part; rounding leaves one, which the inverse
/// transform refuses.
fn clear_unpaired_bins(spectrum: &mut [Complex64], length: usize) {
    if let Some(first) = spectrum.first_mut() {
        first.im = 0.0;
    }
    if length.is_multiple_of(2)
        && let Some(last) = spectrum.last_mut()
    {
        last.im = 0.0;
    }
}

/// Sound with its treble raised: a first difference, which sharpens the peak of the correlation. Being the
/// same for both sides, it moves no peak.
pub(super) fn emphasised(channels: &[Vec<f32>]) -> Vec<Vec<f32>> {
    const SHARE: f32 = 0.95;
    let difference = |channel: &Vec<f32>| {
        let before = std::iter::once(&0.0).chain(channel);
        channel.iter().zip(before).map(|(here, before)| here - SHARE * before).collect()
    };
    channels.iter().map(difference).collect()
}

/// The root of the mean square over all channels.
pub(super) fn rms(channels: &[Vec<f32>], start: usize, length: usize) -> f64 {
    let squares = channels.iter().flat_map(|channel| channel.iter().skip(start).take(length));
    let sum: f64 = squares.map(|x| f64::from(*x).powi(2)).sum();
    (sum / float((length * channels.len()).max(1))).sqrt()
}

/// The largest sample over all channels.
pub(super) fn loudest(channels: &[Vec<f32>], start: usize, length: usize) -> f32 {
    let samples = channels.iter().flat_map(|channel| channel.iter().skip(start).take(length));
    samples.fold(0.0, |most, x| most.max(x.abs()))
}

/// Samples of the axis in a time of milliseconds.
pub(super) const fn millis(count: usize) -> usize {
    super::resample::AXIS_HZ / 1_000 * count
}

impl std::fmt::Debug for Correlator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Correlator").field("length", &self.length).field("reach", &self.reach).finish()
    }
}
