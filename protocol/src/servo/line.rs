//! When will a device frame be audible? A robust lower envelope through the sink's stamps.

use alloc::vec::Vec;

use super::{
    fit::{Fit, Prior, Sample, fit},
    halt::Halt,
    pace::Pace,
    suspects::{RUN, Suspects},
    window::{Bin, Stamp, Window, nanos, nominal_span, seconds_between, slope_of, whole_frames},
};
use crate::{
    media::{Frames, SampleRate},
    time::{NodeTime, Ppm, Span},
};

/// The line between device frames and node time.
///
/// Feed it each callback with [`handle_callback`](Self::handle_callback), which sees through what sound servers report
/// wrongly; a device that has no callbacks, or tells no more than when a frame is heard, with
/// [`handle_stamp`](Self::handle_stamp). Ask it with [`audible_at`](Self::audible_at). It answers from the first stamp on and needs no tuning; memory and work per
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
    /// Whether a full window has shown the slope.
    slope_shown: bool,
    newest: Frames,
    /// Stamps since the line began, up to a few.
    support: u32,
    coarse: bool,
    tolerance: f64,
    suspects: Suspects,
    samples: Vec<Sample>,
    scratch: Vec<f64>,
    pace: Option<Pace>,
    halt: Halt,
    /// Whether the machine has slept since the last stamp.
    slept: bool,
}

/// What a stamp meant to the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum LineEvent {
    /// It fits.
    Fine,
    /// It is far from the line, perhaps the first of many.
    Ignored,
    /// Enough stamps agree that the device has moved (a hidden underrun, a sleep, nonsense at the start), or its reports are
    /// found to move against its callbacks: the line begins anew, and frames already written are audible at other times than
    /// foretold.
    Restarted,
}

/// A position in the stream of a device, in frames with a fraction. Exact to 2^-11 frames after 1,000 h.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct FramePosition(pub f64);

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
            slope_shown: false,
            newest: Frames::ZERO,
            support: 0,
            coarse: false,
            tolerance: TOLERANCE,
            suspects: Suspects::default(),
            samples: Vec::new(),
            scratch: Vec::new(),
            pace: None,
            halt: Halt::default(),
            slept: false,
        }
    }

    /// The machine slept, and this node's clock with it. The device stood still for about as long, but not to the
    /// millisecond: what comes may lie beside the line by less than tells. The next stamp begins it anew, with the known
    /// slope; until then it answers as before. How a shell notices: [the clock](crate#the-clock).
    pub fn handle_suspend(&mut self) {
        self.slept = true;
        if let Some(pace) = &mut self.pace {
            pace.handle_suspend();
        }
    }

    /// A stamp: `frame` will be audible (or was) at `audible`, as far as the sink can tell. The time is that of
    /// the callback's entry plus the sink's (playback - callback), both free to be late or wrong. Where the two are known
    /// apart, [`handle_callback`](Self::handle_callback) makes more of them.
    pub fn handle_stamp(&mut self, frame: Frames, audible: NodeTime) -> LineEvent {
        let stamp = Stamp { frame, audible };
        let Some(origin) = self.origin else {
            self.restart(&[stamp]);
            return LineEvent::Fine;
        };
        if core::mem::take(&mut self.slept) {
            self.restart(&[stamp]);
            return LineEvent::Restarted;
        }
        let late = self.above(origin, stamp);
        let gap = seconds_between(self.rate, self.newest, frame);
        let forward = frame > self.newest;
        if !forward || libm::fabs(late) > self.tolerance + TOLERANCE_GROWTH * libm::fabs(gap) {
            let length = self.support.clamp(1, RUN);
            // A line so far off stands on nonsense: stamps overrule it that agree as well as any device's do.
            let agreement = if libm::fabs(late) > NONSENSE { SCATTER_MAX } else { self.tolerance / 2.0 };
            if let Some(lows) = self.suspects.push(self.rate, stamp, late, length, agreement) {
                self.restart(&lows);
                return LineEvent::Restarted;
            }
            if forward && libm::fabs(late) < SCATTER_MAX {
                self.newest = frame;
                // The bins must see the scatter as it is, but not a device that may have moved: the line would bend
                // towards where it is now, and soon its stamps would be none to be suspected.
                if self.window.len() < BINS_YOUNG || !self.suspects.are_undecided() {
                    self.learn(stamp);
                }
            }
            return LineEvent::Ignored;
        }
        self.suspects = Suspects::default();
        if gap > GAP_MAX {
            // Over so long a gap the rate may have wandered by more than the bins scatter: only the slope is kept.
            self.restart(&[stamp]);
            return LineEvent::Fine;
        }
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

    /// How far [`audible_at`](Self::audible_at) may be off for frames near the newest stamp: two standard errors,
    /// and the scatter of the bins for the lateness that even their lowest stamps have. It says nothing of
    /// latency that the device hides, nor of reports that are wrong and still move.
    #[must_use]
    pub fn spread(&self) -> Span {
        let lateness = if self.coarse { 0.0 } else { self.fit.scale };
        nanos(2.0 * self.fit.offset_se + lateness)
    }

    /// Whether the stamps scatter both ways by much (a device that reports in steps), so that they are averaged.
    #[must_use]
    pub fn is_coarse(&self) -> bool {
        self.coarse
    }

    /// Begins anew at `stamps`, keeping what is known of the slope and the scatter.
    fn restart(&mut self, stamps: &[Stamp]) {
        if self.window.len() >= BINS_YOUNG && !self.slope_shown {
            self.prior.slope = self.fit.slope;
            self.prior.slope_sd = self.fit.slope_se.max(SLOPE_SD_KNOWN);
        }
        self.window.clear();
        self.suspects = Suspects::default();
        self.halt = Halt::default();
        self.support = 0;
        self.slept = false;
        for stamp in stamps {
            self.origin.get_or_insert(*stamp);
            self.newest = stamp.frame;
            self.support += 1;
            self.learn(*stamp);
        }
    }

    /// Adds a stamp to the window and fits the line where that may change it.
    fn learn(&mut self, stamp: Stamp) {
        let closed = self.window.push(stamp, self.fit.slope, self.coarse);
        if closed {
            self.judge_scatter();
        }
        let young = self.window.len() < BINS_YOUNG;
        if closed || young {
            self.draw(young);
        }
        if closed {
            self.remember_slope();
        }
    }

    /// Fits the line to the window, a `young` one with the open bin.
    fn draw(&mut self, young: bool) {
        if let Some((mut line, origin)) = self.fitted(self.prior, young) {
            line.slope = line.slope.clamp(-SLOPE_MAX, SLOPE_MAX);
            self.fit = line;
            self.origin = Some(origin);
        }
    }

    /// The line that the window shows to one who believes `prior`, and the stamp that it counts from.
    fn fitted(&mut self, prior: Prior, young: bool) -> Option<(Fit, Stamp)> {
        let open = if young { self.window.open_bin(self.fit.slope) } else { None };
        let coarse = self.coarse;
        let pick = move |bin: &Bin| if coarse { bin.centre } else { bin.low };
        let origin = open.as_ref().or(self.window.bins().last()).map(pick)?;
        let rate = self.rate;
        self.samples.clear();
        self.samples.extend(self.window.bins().chain(open.as_ref()).map(|bin| {
            let stamp = pick(bin);
            let x = seconds_between(rate, origin.frame, stamp.frame);
            let y = (stamp.audible - origin.audible - nominal_span(rate, origin.frame, stamp.frame))
                .as_secs_f64()
                * 1e9;
            Sample { x, y, weight: f64::from(bin.count.min(RUN)) / f64::from(RUN) }
        }));
        let prior = Prior { late_weight: if coarse { 1.0 } else { LATE_WEIGHT }, ..prior };
        Some((fit(&self.samples, prior, &mut self.scratch)?, origin))
    }

    /// Sets the tolerance and decides whether the device is coarse.
    fn judge_scatter(&mut self) {
        let scatter = self.window.scatter(self.fit.slope);
        self.tolerance = (TOLERANCE_DEPTHS * scatter.depth)
            .max(TOLERANCE_SCALES * self.fit.scale)
            .clamp(TOLERANCE, TOLERANCE_MAX);
        let plain = scatter.bins >= COARSE_BINS_PLAIN && scatter.depth > COARSE_DEPTH_PLAIN;
        if scatter.bins < COARSE_BINS {
            self.coarse |= plain;
            return;
        }
        let limit = if self.coarse { COARSE_LEAVE } else { COARSE_ENTER };
        self.coarse = plain || (scatter.depth > COARSE_DEPTH && scatter.sidedness > limit);
    }

    /// Lets the prior follow what a full window says of the slope by itself, slowly: crystals wander by some ppm in
    /// minutes, so a window that suddenly says otherwise is a window full of trouble. What it says together with the prior
    /// would not do: a wrong prior holds the line off its points, and so far off they seem to know nothing. A coarse
    /// device's is believed no more than such a window can know, or the line would be held to whatever the first one said.
    fn remember_slope(&mut self) {
        if !self.window.is_full() {
            return;
        }
        let unbiased = Prior { slope_sd: SLOPE_SD_UNKNOWN, ..self.prior };
        let Some((told, _)) = self.fitted(unbiased, false) else { return };
        let alone = if self.coarse { told.slope_se } else { 0.0 };
        let share = if self.slope_shown { SLOPE_SHARE } else { 1.0 };
        self.prior.slope += share * (told.slope.clamp(-SLOPE_MAX, SLOPE_MAX) - self.prior.slope);
        self.prior.slope_sd = alone.max(SLOPE_SD_KNOWN);
        self.slope_shown = true;
    }

    /// How much later than the line `stamp` is, in nanoseconds.
    fn above(&self, origin: Stamp, stamp: Stamp) -> f64 {
        let x = seconds_between(self.rate, origin.frame, stamp.frame);
        let nominal = nominal_span(self.rate, origin.frame, stamp.frame);
        (stamp.audible - origin.audible - nominal).as_secs_f64() * 1e9 - self.fit.offset - self.fit.slope * x
    }
}

/// Spread of crystals about their nominal rate, in ns/s: 100 ppm, twice the usual tolerance.
const SLOPE_SD_UNKNOWN: f64 = 100_000.0;
/// Spread about a remembered rate, in ns/s: 10 ppm for temperature and age.
const SLOPE_SD_REMEMBERED: f64 = 10_000.0;
/// Spread about the slope that full windows have shown, in ns/s: 5 ppm.
const SLOPE_SD_KNOWN: f64 = 5_000.0;
/// Share of a full window's slope that enters the prior at each bin: a time constant of 10 s.
const SLOPE_SHARE: f64 = 0.01;
/// A remembered rate beyond this is a mistake; no converter is that far off.
const REMEMBERED_MAX: Ppm = Ppm(1_000.0);
/// Spread expected of the bins' low points, in ns, before any is seen.
const SCALE: f64 = 10_000.0;
/// The weight of bins above the line: lateness is one-sided, so the lower ones know better.
const LATE_WEIGHT: f64 = 0.3;
/// The least distance from the line, in ns, that makes a stamp suspect.
const TOLERANCE: f64 = 500_000.0;
/// The most that the tolerance becomes, in ns: a device that scatters more is beyond help.
const TOLERANCE_MAX: f64 = 100_000_000.0;
/// Tolerance in units of the scatter's depth.
const TOLERANCE_DEPTHS: f64 = 8.0;
/// Tolerance in units of the bins' deviation from the line.
const TOLERANCE_SCALES: f64 = 8.0;
/// Growth of the tolerance with the distance from the newest stamp, in ns/s: what the slope may have changed.
const TOLERANCE_GROWTH: f64 = 50_000.0;
/// Longest gap between stamps, in seconds, over which the window is believed; blocks of 2 s are usual.
const GAP_MAX: f64 = 10.0;
/// The steepest line, in ns/s: no converter is 2,000 ppm off.
const SLOPE_MAX: f64 = 2_000_000.0;
/// Distance from the line, in ns, up to which a suspect counts as scatter: coarse devices report steps of 10 ms,
/// and what is further off is a stall.
const SCATTER_MAX: f64 = 15_000_000.0;
/// Off the line by more than this, in nanoseconds, no stamp is merely late.
const NONSENSE: f64 = 1e9;
/// Below this many bins the line is fitted at every stamp, above it at every bin.
const BINS_YOUNG: usize = 10;
/// Depth of the scatter in ns below which averaging gains nothing that is heard.
const COARSE_DEPTH: f64 = 120_000.0;
/// [`Scatter::sidedness`](super::window::Scatter) above which a device is taken for a coarse one.
const COARSE_ENTER: f64 = 2.2;
/// The same below which it is taken for a fine one again.
const COARSE_LEAVE: f64 = 1.6;
/// Bins needed to judge that: half the window knows it to a sixth.
const COARSE_BINS: usize = 50;
/// Depth in ns that no scheduler causes in most bins, so that a few are enough to tell a coarse device.
const COARSE_DEPTH_PLAIN: f64 = 3_000_000.0;
/// Bins needed where the scatter is that deep.
const COARSE_BINS_PLAIN: usize = 3;

mod callback;
#[cfg(test)]
mod tests;
