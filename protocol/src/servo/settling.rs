//! A sound server that still gets to know its device: what it reports moves against the callbacks, by milliseconds in
//! the first seconds of a stream.
//!
//! What a server works out from a young model is wrong in offset and, because it moves, in rate: a line through ten seconds
//! of it trails behind and bends. The callbacks come at the device's rate from the beginning. So while the reports move,
//! the rate is theirs, and the offset is what the newest reports give beyond them.

use alloc::collections::VecDeque;

use super::fit::count_f64;
use crate::time::Ppm;

/// How far a device's reports have come to rest.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) enum Settling {
    /// Not known yet.
    #[default]
    Young,
    /// They move. For so many parts now; the newest gives so much beyond the callbacks, in nanoseconds.
    Moving { parts: u32, newest: f64 },
    /// They are at rest, and what they dwell at is usual. Once and for all: errors from now on are temporary.
    Settled,
}

/// What a part of the reports changed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Turn {
    /// The reports are found to move.
    Begun,
    /// They have moved on by so much, in nanoseconds.
    On(f64),
    /// They have come to rest.
    Ended,
}

impl Settling {
    /// Takes what the reports gave beyond the callbacks in the last parts, oldest first, one of them being new. The line of
    /// the callbacks is sure to `spread` nanoseconds and shows a device that is fast by `dac`.
    pub(super) fn handle(&mut self, parts: &VecDeque<f64>, spread: f64, dac: Ppm) -> Option<Turn> {
        let newest = *parts.back()?;
        let (next, turn) = match *self {
            Self::Settled => return None,
            Self::Young => match Motion::of(parts).map(|motion| motion.has_begun(spread)) {
                // Callbacks that say so of a device have not found their pace: it is they that move.
                Some(true) if dac.0.abs() > CRYSTAL_MAX.0 && parts.len() < OLD => return None,
                Some(true) if dac.0.abs() <= CRYSTAL_MAX.0 => {
                    (Self::Moving { parts: 0, newest }, Some(Turn::Begun))
                }
                _ if parts.len() < STRETCH => return None,
                _ => (Self::Settled, None),
            },
            Self::Moving { parts: lasted, newest: before } => match Motion::of(parts) {
                Some(motion) if parts.len() >= STRETCH && (lasted >= LONGEST || motion.has_ended(spread)) => {
                    (Self::Settled, Some(Turn::Ended))
                }
                _ => (Self::Moving { parts: lasted + 1, newest }, Some(Turn::On(newest - before))),
            },
        };
        *self = next;
        turn
    }

    /// The callbacks come otherwise from now on: where the reports move, they give so much beyond them, in nanoseconds.
    pub(super) fn handle_callbacks_moved(&mut self, beyond: f64) {
        if let Self::Moving { newest, .. } = self {
            *newest = beyond;
        }
    }
}

/// How reports moved over the last stretch, in nanoseconds.
struct Motion {
    /// Between the lowest and the highest mean of a second.
    range: f64,
    /// Between neighbouring parts: the mean, and the largest.
    step: f64,
    largest_step: f64,
}

impl Motion {
    /// `None` where the parts are too few to tell.
    fn of(parts: &VecDeque<f64>) -> Option<Self> {
        let count = parts.len().min(STRETCH) / MEAN_OF * MEAN_OF;
        if count < STRETCH / 2 {
            return None;
        }
        let newest = || parts.iter().skip(parts.len() - count).copied();
        let (mut least, mut most, mut sum) = (f64::INFINITY, f64::NEG_INFINITY, 0.0);
        for (at, part) in newest().enumerate() {
            sum += part;
            if (at + 1).is_multiple_of(MEAN_OF) {
                let mean = sum / count_f64(MEAN_OF);
                (least, most, sum) = (least.min(mean), most.max(mean), 0.0);
            }
        }
        let steps = || newest().zip(newest().skip(1)).map(|(before, after)| libm::fabs(after - before));
        Some(Self {
            range: most - least,
            step: steps().sum::<f64>() / count_f64(count - 1),
            largest_step: steps().fold(0.0, f64::max),
        })
    }

    /// Whether they move, and did not jump once: a jump is a misreport, or other headphones.
    fn has_begun(&self, spread: f64) -> bool {
        self.range > BEGUN_LEAST.max(spread).max(BEGUN_STEPS * self.largest_step)
    }

    /// Whether they have come to rest: what moves less than the callbacks are sure, or no further than it scatters, is.
    fn has_ended(&self, spread: f64) -> bool {
        self.range <= ENDED_LEAST.max(spread).max(ENDED_STEPS * self.step)
    }
}

/// Parts from which it is judged, 6 to 7 s; half of them are enough to see that reports move.
pub(super) const STRETCH: usize = 24;
/// Parts of a mean: 1 s.
const MEAN_OF: usize = 4;
/// Parts after which nothing more is waited for, 25 s: what reports dwell at is usual then, even if they move a little.
const OLD: usize = 96;
/// No card and clock together are further off their rate. 100 ppm are usual at most of the one, 50 of the other.
const CRYSTAL_MAX: Ppm = Ppm(150.0);
/// Parts that reports are followed for at most, 40 to 50 s: PulseAudio's were seen to move for 28. Reports in steps that beat
/// slowly with the callbacks would be followed for ever.
const LONGEST: u32 = 160;
/// The least range that counts as movement, in nanoseconds; what is less is left to the line. And in largest steps: an even
/// movement has 8 after half a stretch, a jump at most one.
const BEGUN_LEAST: f64 = 500_000.0;
const BEGUN_STEPS: f64 = 1.2;
/// The range from which on down reports are at rest, in nanoseconds; and in mean steps: reports that only scatter have 1.1 on
/// average. Lower than where it begins, since a model that learns moves by jerks as well.
const ENDED_LEAST: f64 = 200_000.0;
const ENDED_STEPS: f64 = 1.5;
