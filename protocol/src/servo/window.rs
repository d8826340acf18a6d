//! The stamps of the last seconds, condensed to a low and a middle point per short bin.
//!
//! Bins bound memory and separate two questions: the lowest stamp of a bin shows where the device truly is
//! (lateness only adds), the middle of a bin is right where the stamps themselves are scattered both ways.

use alloc::{collections::VecDeque, vec::Vec};

use super::fit::{count_f64, median};
use crate::{
    media::{Frames, SampleRate},
    time::{NodeTime, Ppm, Span},
};

/// A device frame and the node time at which a stamp says it is audible.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stamp {
    pub(super) frame: Frames,
    pub(super) audible: NodeTime,
}

/// What is kept of the stamps of one bin.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bin {
    /// The stamp with the least lateness.
    pub(super) low: Stamp,
    /// The middle of all stamps but the earliest and the latest.
    pub(super) centre: Stamp,
    /// Stamps in the bin.
    pub(super) count: u32,
    /// How far the middle lies above the low end, in nanoseconds; zero with few stamps.
    depth: f64,
}

/// How stamps scatter about their line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scatter {
    /// How far the middle of a bin typically lies above its low end, in nanoseconds.
    pub(super) depth: f64,
    /// How much more the low ends jump from bin to bin than the middles do, times the root of the stamps in a bin:
    /// 1 for exponential lateness, 3.5 for a uniform error (steps), 6 for a normal one.
    pub(super) sidedness: f64,
    /// Pairs of bins that this was judged from.
    pub(super) bins: usize,
}

/// The closed bins of the window and the open one.
#[derive(Debug, Clone)]
pub(super) struct Window {
    rate: SampleRate,
    bins: VecDeque<Bin>,
    open: Vec<Stamp>,
    open_since: Option<Frames>,
    scratch: Vec<(f64, Stamp)>,
    medians: Vec<f64>,
}

impl Window {
    pub(super) fn new(rate: SampleRate) -> Self {
        Self {
            rate,
            bins: VecDeque::with_capacity(BINS + 1),
            open: Vec::with_capacity(STAMPS),
            open_since: None,
            scratch: Vec::with_capacity(STAMPS),
            medians: Vec::with_capacity(BINS + 1),
        }
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.bins.clear();
        self.open.clear();
        self.open_since = None;
    }

    /// Adds a stamp, `slope` being the line's so far (nanoseconds per second). True if a bin was closed.
    pub(super) fn push(&mut self, stamp: Stamp, slope: f64, coarse: bool) -> bool {
        let length = if coarse { BIN_COARSE } else { BIN };
        let over = self.open_since.is_some_and(|first| {
            self.rate.span_of(stamp.frame.minus(first)) >= length || self.open.len() >= STAMPS
        });
        if over {
            self.close(slope);
        }
        if self.open.is_empty() {
            self.open_since = Some(stamp.frame);
        }
        self.open.push(stamp);
        over
    }

    /// The first frame that is known of.
    pub(super) fn since(&self) -> Option<Frames> {
        self.bins.front().map(|bin| bin.low.frame.min(bin.centre.frame)).or(self.open_since)
    }

    /// What was seen before `since` is heard later by so much.
    pub(super) fn shift(&mut self, since: Frames, by: Span) {
        let stamps =
            self.bins.iter_mut().flat_map(|bin| [&mut bin.low, &mut bin.centre]).chain(&mut self.open);
        for stamp in stamps.filter(|stamp| stamp.frame < since) {
            stamp.audible += by;
        }
    }

    /// Closed bins in order of age, oldest first.
    pub(super) fn bins(&self) -> impl Iterator<Item = &Bin> + Clone {
        self.bins.iter()
    }

    /// The open bin as it stands; `None` without a stamp in it.
    pub(super) fn open_bin(&mut self, slope: f64) -> Option<Bin> {
        condense(self.rate, &self.open, slope, &mut self.scratch)
    }

    /// Closed bins.
    pub(super) fn len(&self) -> usize {
        self.bins.len()
    }

    /// How the stamps scatter, judged from the bins that hold enough of them; `slope` is the line's.
    pub(super) fn scatter(&mut self, slope: f64) -> Scatter {
        let judged = || self.bins.iter().filter(|bin| bin.count as usize >= STAMPS_JUDGED);
        let medians = &mut self.medians;
        medians.clear();
        medians.extend(judged().map(|bin| bin.depth));
        let depth = median(medians).unwrap_or(0.0);
        medians.clear();
        medians.extend(judged().map(|bin| f64::from(bin.count)));
        let count = median(medians).unwrap_or(0.0);
        let mut unrest = |of: fn(&Bin) -> Stamp| {
            medians.clear();
            medians.extend(judged().zip(judged().skip(1)).map(|(before, after)| {
                let (from, to) = (of(before), of(after));
                let x = seconds_between(self.rate, from.frame, to.frame);
                libm::fabs(lateness(from, to, x, slope))
            }));
            (median(medians).unwrap_or(0.0), medians.len())
        };
        let (low, bins) = unrest(|bin| bin.low);
        let (centre, _) = unrest(|bin| bin.centre);
        let sidedness = if centre > 0.0 { low / centre * libm::sqrt(count) } else { 0.0 };
        Scatter { depth, sidedness, bins }
    }

    /// Whether the closed bins say as much of the slope as a window can.
    pub(super) fn is_full(&self) -> bool {
        self.bins.len() >= BINS
    }

    /// Whether memory is within what the constants allow.
    #[cfg(test)]
    pub(super) fn is_bounded(&self) -> bool {
        self.bins.len() <= BINS && self.open.len() <= STAMPS
    }

    fn close(&mut self, slope: f64) {
        let bin = condense(self.rate, &self.open, slope, &mut self.scratch);
        self.open.clear();
        let Some(bin) = bin else { return };
        self.bins.push_back(bin);
        let newest = bin.low.frame;
        while self.bins.len() > BINS
            || (self.bins.len() > BINS_KEPT
                && self
                    .bins
                    .front()
                    .is_some_and(|old| self.rate.span_of(newest.minus(old.low.frame)) > AGE_MAX))
        {
            self.bins.pop_front();
        }
    }
}

/// Condenses stamps to a bin, after taking the line's slope off them.
fn condense(rate: SampleRate, stamps: &[Stamp], slope: f64, scratch: &mut Vec<(f64, Stamp)>) -> Option<Bin> {
    let first = *stamps.first()?;
    scratch.clear();
    scratch.extend(stamps.iter().map(|stamp| {
        let x = seconds_between(rate, first.frame, stamp.frame);
        (lateness(first, *stamp, x, slope), *stamp)
    }));
    scratch.sort_unstable_by(|a, b| f64::total_cmp(&a.0, &b.0));
    let at = |index: usize| scratch.get(index).or(scratch.last()).map_or(0.0, |(late, _)| *late);
    let low = scratch.first()?.1;
    let count = scratch.len();
    let trim = usize::from(count >= STAMPS_JUDGED);
    let kept = scratch.get(trim..count - trim)?;
    let share = 1.0 / count_f64(kept.len());
    let x_mean = share * kept.iter().map(|(_, s)| seconds_between(rate, first.frame, s.frame)).sum::<f64>();
    let late_mean = share * kept.iter().map(|(late, _)| late).sum::<f64>();
    // The middle is placed on a whole frame, to which the line's slope moves it without harm.
    let frames = rate.frames_in(Span::from_secs_f64(x_mean));
    let x = rate.span_of(frames).as_secs_f64();
    let audible = first.audible + Span::from_secs_f64(x + (late_mean + slope * x) * 1e-9);
    let depth = if trim > 0 { at(count / 2) - at(count / 10) } else { 0.0 };
    Some(Bin {
        low,
        centre: Stamp { frame: first.frame.plus(frames), audible },
        count: u32::try_from(count).unwrap_or(u32::MAX),
        depth,
    })
}

/// How much later than on the line through `from` the stamp `to` is, `x` seconds of frames on, in nanoseconds.
fn lateness(from: Stamp, to: Stamp, x: f64, slope: f64) -> f64 {
    ((to.audible - from.audible).as_secs_f64() - x) * 1e9 - slope * x
}

/// Seconds that the frames from `from` to `to` last at the declared rate; negative where `to` is earlier.
pub(super) fn seconds_between(rate: SampleRate, from: Frames, to: Frames) -> f64 {
    if to >= from {
        to.minus(from).as_f64() / rate.as_f64()
    } else {
        -from.minus(to).as_f64() / rate.as_f64()
    }
}

/// The slope in nanoseconds per second of a device that is fast by `dac`.
pub(super) fn slope_of(dac: Ppm) -> f64 {
    (1.0 / dac.as_factor() - 1.0) * 1e9
}

/// How long the frames from `from` to `to` last at the declared rate, to the nanosecond; negative backwards.
pub(super) fn nominal_span(rate: SampleRate, from: Frames, to: Frames) -> Span {
    if to >= from { rate.span_of(to.minus(from)) } else { -rate.span_of(from.minus(to)) }
}

/// A span of `value` nanoseconds.
pub(super) fn nanos(value: f64) -> Span {
    Span::from_secs_f64(value * 1e-9)
}

/// The frames of a whole, non-negative position; zero for a negative one.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "`as` saturates and turns NaN into zero, as wanted"
)]
pub(super) fn whole_frames(position: f64) -> Frames {
    Frames(position as u64)
}

/// Length of a bin: at the usual 10 ms periods ten stamps, whose lowest is 10 µs late where the mean is 100 µs.
const BIN: Span = Span::from_millis(100);
/// Length of a bin of a coarse device, so that the window holds a minute.
const BIN_COARSE: Span = Span::from_millis(600);
/// Most bins in the window: 10 s, or a minute of a coarse device.
const BINS: usize = 100;
/// Bins older than this leave the window, if enough younger ones are there.
const AGE_MAX: Span = Span::from_secs(60);
/// Bins that are kept whatever their age, for devices that work in blocks of seconds.
const BINS_KEPT: usize = 20;
/// Most stamps in the open bin; it closes early at that many.
const STAMPS: usize = 64;
/// Fewest stamps from which a bin's scatter is judged.
const STAMPS_JUDGED: usize = 5;
