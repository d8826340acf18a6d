//! When will a device frame be audible? A robust lower envelope through the sink's stamps.

use alloc::vec::Vec;

use super::{
    fit::{Fit, Prior, Sample, fit},
    window::{Bin, Stamp, Window, seconds_between},
};
use crate::{
    media::{Frames, SampleRate},
    time::{NodeTime, Ppm, Span},
};

/// The line between device frames and node time.
///
/// Feed it one stamp per callback with [`handle_stamp`](Self::handle_stamp); ask it with
/// [`audible_at`](Self::audible_at). It answers from the first stamp on and needs no tuning; memory and work per
/// stamp are bounded. Frames count from the opening of the stream and include silence and underruns that the sink
/// filled itself; a stream that is opened anew needs a new line with the old one's [`dac`](Self::dac).
#[derive(Debug, Clone)]
pub struct AudibleLine {
    rate: SampleRate,
    window: Window,
    prior: Prior,
    /// The frame and time that the fit counts from; `None` before the first stamp.
    origin: Option<Stamp>,
    fit: Fit,
    newest: Frames,
    /// Stamps since the line began, up to a few.
    support: u32,
    coarse: bool,
    tolerance: f64,
    suspects: Suspects,
    scratch: Vec<f64>,
}

/// What a stamp meant to the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum LineEvent {
    /// It fits.
    Fine,
    /// It is far from the line, perhaps the first of many.
    Ignored,
    /// Enough stamps agree that the device has moved (a hidden underrun, a sleep, nonsense at the start): the line
    /// begins anew with the known slope, and frames already written are audible at other times than foretold.
    Restarted,
}

/// A position in the stream of a device, in frames with a fraction. Exact to 2^-11 frames after 1,000 h.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct FramePosition(pub f64);

/// Stamps off the line, in a row. They win when two runs of them agree.
#[derive(Debug, Clone, Default)]
struct Suspects {
    run: Run,
    confirmed: Run,
}

/// Consecutive stamps off the line: how many, since when, and the least late of them.
#[derive(Debug, Clone, Copy, Default)]
struct Run {
    count: u32,
    first: Option<Stamp>,
    low: Option<(f64, Stamp)>,
}

/// Spread of crystals about their nominal rate, in ns/s: 100 ppm, twice the usual tolerance.
const SLOPE_SD_UNKNOWN: f64 = 100_000.0;
/// Spread about a remembered rate, in ns/s: 10 ppm for temperature and age.
const SLOPE_SD_REMEMBERED: f64 = 10_000.0;
/// The least spread granted to the slope after a restart, in ns/s: 2 ppm.
const SLOPE_SD_RESTART: f64 = 2_000.0;
/// A remembered rate beyond this is a mistake; no converter is that far off.
const REMEMBERED_MAX: Ppm = Ppm(1_000.0);
/// Spread expected of the bins' low points, in ns, before any is seen.
const SCALE: f64 = 20_000.0;
/// The weight of bins above the line: lateness is one-sided, so the lower ones know better.
const LATE_WEIGHT: f64 = 0.3;
/// The least distance from the line, in ns, that makes a stamp suspect.
const TOLERANCE: f64 = 500_000.0;
/// Tolerance in units of the typical scatter below the middle of a bin.
const TOLERANCE_SCATTERS: f64 = 8.0;
/// Tolerance in units of the bins' deviation from the line.
const TOLERANCE_SCALES: f64 = 8.0;
/// Growth of the tolerance with the distance from the newest stamp, in ns/s: what the slope may have changed.
const TOLERANCE_GROWTH: f64 = 50_000.0;
/// Most stamps in a run of suspects.
const RUN: u32 = 5;
/// A run that lasts this long is complete with fewer stamps.
const RUN_LENGTH: f64 = 0.5;
/// Below this many bins the line is fitted at every stamp, above it at every bin.
const BINS_YOUNG: usize = 10;
/// Scatter in ns below which it does not matter whether it is one-sided.
const COARSE_SCATTER: f64 = 250_000.0;
/// One-sided lateness lies further above the middle than below it, by 2.2 if exponential; below this it is scatter.
const COARSE_ENTER: f64 = 1.5;
/// Above this a coarse device is taken for a fine one again.
const COARSE_LEAVE: f64 = 2.0;
/// Bins needed to judge whether a device is coarse.
const COARSE_BINS: usize = 5;

impl AudibleLine {
    /// A line without stamps for a device that declares `rate`. `remembered` is the [`dac`](Self::dac) rate of an
    /// earlier line of the same device.
    #[must_use]
    pub fn new(rate: SampleRate, remembered: Option<Ppm>) -> Self {
        let slope = remembered.map_or(0.0, |dac| slope_of(dac.clamped(REMEMBERED_MAX)));
        let slope_sd = if remembered.is_some() { SLOPE_SD_REMEMBERED } else { SLOPE_SD_UNKNOWN };
        Self {
            rate,
            window: Window::new(rate),
            prior: Prior { slope, slope_sd, scale: SCALE, late_weight: LATE_WEIGHT },
            origin: None,
            fit: Fit { offset: 0.0, slope, scale: SCALE, offset_se: SCALE, slope_se: slope_sd },
            newest: Frames::ZERO,
            support: 0,
            coarse: false,
            tolerance: TOLERANCE,
            suspects: Suspects::default(),
            scratch: Vec::new(),
        }
    }

    /// A stamp: `frame` will be audible (or was) at `audible`, as far as the sink can tell. The time is that of
    /// the callback's entry plus the sink's (playback - callback), both free to be late or wrong.
    pub fn handle_stamp(&mut self, frame: Frames, audible: NodeTime) -> LineEvent {
        let stamp = Stamp { frame, audible };
        let Some(origin) = self.origin else {
            self.begin(stamp);
            return LineEvent::Fine;
        };
        let late = self.above(origin, stamp);
        let gap = seconds_between(self.rate, self.newest, frame);
        let forward = frame > self.newest;
        if !forward || libm::fabs(late) > self.tolerance + TOLERANCE_GROWTH * libm::fabs(gap) {
            let needed = self.support.clamp(1, RUN);
            let agreement = self.tolerance / 2.0;
            if let Some(lows) = self.suspects.push(stamp, late, needed, agreement, self.rate) {
                self.restart(lows);
                return LineEvent::Restarted;
            }
            if forward {
                // The bins are proof against late stamps, and must see the scatter as it is.
                self.newest = frame;
                self.learn(stamp);
            }
            return LineEvent::Ignored;
        }
        self.suspects = Suspects::default();
        self.newest = frame;
        self.support = self.support.saturating_add(1);
        self.learn(stamp);
        LineEvent::Fine
    }

    /// When `frame` will be audible; `None` before the first stamp. Saturates at the ends of time.
    #[must_use]
    pub fn audible_at(&self, frame: Frames) -> Option<NodeTime> {
        let origin = self.origin?;
        let x = seconds_between(self.rate, origin.frame, frame);
        let nominal = nominal_span(self.rate, origin.frame, frame);
        Some(origin.audible + nominal + nanos(self.fit.offset + self.fit.slope * x))
    }

    /// When `position`, between two frames, will be audible; `None` before the first stamp.
    #[must_use]
    pub fn audible_at_position(&self, position: FramePosition) -> Option<NodeTime> {
        let whole = libm::floor(position.0);
        let fraction = position.0 - whole;
        let audible = self.audible_at(whole_frames(whole))?;
        let behind = if whole < 0.0 { whole } else { 0.0 };
        let per_frame = (1.0 + self.fit.slope * 1e-9) / self.rate.as_f64();
        Some(audible + Span::from_secs_f64((fraction + behind) * per_frame))
    }

    /// The position that is audible at `time`, negative before the stream; `None` before the first stamp.
    #[must_use]
    pub fn frame_at(&self, time: NodeTime) -> Option<FramePosition> {
        let origin = self.origin?;
        let elapsed = (time - origin.audible).as_secs_f64() - self.fit.offset * 1e-9;
        let frames = elapsed / (1.0 + self.fit.slope * 1e-9) * self.rate.as_f64();
        Some(FramePosition(origin.frame.as_f64() + frames))
    }

    /// The device's rate against its declared one, in node time: positive where it is fast.
    #[must_use]
    pub fn dac(&self) -> Ppm {
        Ppm::from_factor(1.0 / (1.0 + self.fit.slope * 1e-9))
    }

    /// How far [`audible_at`](Self::audible_at) may be off for frames near the newest stamp: two standard errors.
    /// It says nothing of latency that the device hides.
    #[must_use]
    pub fn spread(&self) -> Span {
        nanos(2.0 * self.fit.offset_se)
    }

    /// Whether the stamps scatter both ways by much (a device that reports in steps), so that they are averaged.
    #[must_use]
    pub fn is_coarse(&self) -> bool {
        self.coarse
    }

    fn begin(&mut self, stamp: Stamp) {
        self.origin = Some(stamp);
        self.newest = stamp.frame;
        self.support = 1;
        self.learn(stamp);
    }

    /// Begins anew at the lows of two runs of suspects, keeping what is known of the slope and the scatter.
    fn restart(&mut self, lows: [Stamp; 2]) {
        if self.window.len() >= BINS_YOUNG {
            self.prior.slope = self.fit.slope;
            self.prior.slope_sd = self.fit.slope_se.max(SLOPE_SD_RESTART);
        }
        self.window.clear();
        self.suspects = Suspects::default();
        let [first, second] = lows;
        self.origin = Some(first);
        self.support = 2;
        for stamp in [first, second] {
            self.newest = stamp.frame;
            self.learn(stamp);
        }
    }

    /// Adds a stamp to the window and fits the line where that may change it.
    fn learn(&mut self, stamp: Stamp) {
        let closed = self.window.push(stamp, self.fit.slope, self.coarse);
        let young = self.window.len() < BINS_YOUNG;
        if !closed && !young {
            return;
        }
        if closed {
            self.judge_scatter();
        }
        let open = if young { self.window.open_bin(self.fit.slope) } else { None };
        let coarse = self.coarse;
        let pick = move |bin: &Bin| if coarse { bin.centre } else { bin.low };
        let Some(origin) = open.as_ref().or(self.window.bins().last()).map(pick) else { return };
        let rate = self.rate;
        let samples = self.window.bins().chain(open.as_ref()).map(|bin| {
            let stamp = pick(bin);
            let x = seconds_between(rate, origin.frame, stamp.frame);
            let y = (stamp.audible - origin.audible - nominal_span(rate, origin.frame, stamp.frame))
                .as_secs_f64()
                * 1e9;
            Sample { x, y, weight: f64::from(bin.count.min(RUN)) / f64::from(RUN) }
        });
        let prior = Prior { late_weight: if coarse { 1.0 } else { LATE_WEIGHT }, ..self.prior };
        if let Some(line) = fit(samples, prior, &mut self.scratch) {
            self.fit = line;
            self.origin = Some(origin);
        }
    }

    /// Sets the tolerance and decides whether the device is coarse.
    fn judge_scatter(&mut self) {
        let (below, above, bins) = self.window.scatter();
        self.tolerance = TOLERANCE.max(TOLERANCE_SCATTERS * below).max(TOLERANCE_SCALES * self.fit.scale);
        if bins < COARSE_BINS {
            return;
        }
        let limit = if self.coarse { COARSE_LEAVE } else { COARSE_ENTER };
        self.coarse = below + above > COARSE_SCATTER && above < limit * below;
    }

    /// How much later than the line `stamp` is, in nanoseconds.
    fn above(&self, origin: Stamp, stamp: Stamp) -> f64 {
        let x = seconds_between(self.rate, origin.frame, stamp.frame);
        let nominal = nominal_span(self.rate, origin.frame, stamp.frame);
        (stamp.audible - origin.audible - nominal).as_secs_f64() * 1e9 - self.fit.offset - self.fit.slope * x
    }
}

impl Suspects {
    /// Adds a stamp that is `late` by so many nanoseconds. Returns the lows of two runs if they agree.
    fn push(
        &mut self,
        stamp: Stamp,
        late: f64,
        needed: u32,
        agreement: f64,
        rate: SampleRate,
    ) -> Option<[Stamp; 2]> {
        let first = *self.run.first.get_or_insert(stamp);
        self.run.count = self.run.count.saturating_add(1);
        if self.run.low.is_none_or(|(least, _)| late < least) {
            self.run.low = Some((late, stamp));
        }
        if self.run.count < needed && seconds_between(rate, first.frame, stamp.frame) < RUN_LENGTH {
            return None;
        }
        let before = core::mem::replace(&mut self.confirmed, core::mem::take(&mut self.run));
        let (early, early_stamp) = before.low?;
        let (late, late_stamp) = self.confirmed.low?;
        let agree = libm::fabs(late - early) <= agreement && late_stamp.frame > early_stamp.frame;
        agree.then_some([early_stamp, late_stamp])
    }
}

/// The slope in nanoseconds per second of a device that is fast by `dac`.
fn slope_of(dac: Ppm) -> f64 {
    (1.0 / dac.as_factor() - 1.0) * 1e9
}

/// How long the frames from `from` to `to` last at the declared rate, to the nanosecond; negative backwards.
fn nominal_span(rate: SampleRate, from: Frames, to: Frames) -> Span {
    if to >= from { rate.span_of(to.minus(from)) } else { -rate.span_of(from.minus(to)) }
}

/// A span of `value` nanoseconds.
fn nanos(value: f64) -> Span {
    Span::from_secs_f64(value * 1e-9)
}

/// The frames of a whole, non-negative position; zero for a negative one.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "`as` saturates and turns NaN into zero, as wanted"
)]
fn whole_frames(position: f64) -> Frames {
    Frames(position as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_stamp_is_enough_and_time_runs_at_the_declared_rate() {
        let mut line = AudibleLine::new(SampleRate::HZ_48000, None);
        assert_eq!(line.audible_at(Frames(0)), None);
        let start = NodeTime::from_nanos(3_600_000_000_000_007);
        let event = line.handle_stamp(Frames(9_600), start);
        assert_eq!(event, LineEvent::Fine);
        assert_eq!(line.audible_at(Frames(57_600)), Some(start + Span::from_secs(1)));
        assert_eq!(line.audible_at(Frames(0)), Some(start - Span::from_millis(200)));
    }

    #[test]
    fn a_late_stamp_is_ignored_and_a_lasting_shift_restarts_the_line() {
        let mut line = AudibleLine::new(SampleRate::HZ_48000, None);
        let at = |n: u64, late: i64| {
            (
                Frames(480 * n),
                NodeTime::ZERO + Span::from_micros(10_000 * i64::try_from(n).expect("small") + late),
            )
        };
        for n in 0..200 {
            let (frame, audible) = at(n, if n == 150 { 4_000 } else { 0 });
            let expected = if n == 150 { LineEvent::Ignored } else { LineEvent::Fine };
            assert_eq!(line.handle_stamp(frame, audible), expected);
        }
        let mut restarted = 0;
        for n in 200..230 {
            let (frame, audible) = at(n, 10_000);
            restarted += u32::from(line.handle_stamp(frame, audible) == LineEvent::Restarted);
        }
        assert_eq!(restarted, 1);
        let (frame, audible) = at(300, 10_000);
        assert!((line.audible_at(frame).expect("stamps were given") - audible).abs() < Span::from_micros(1));
    }
}
