//! Stamps far from the line, in a row: one may be a late callback, many that agree are a device that has moved.

use super::window::{Stamp, seconds_between};
use crate::media::SampleRate;

/// The stamps since the last one that fitted.
#[derive(Debug, Clone, Default)]
pub(super) struct Suspects {
    all: Runs,
    /// Those that are far off and follow each other: a device that moves while a small shift is still on trial need not
    /// wait for its end.
    far: Runs,
}

/// Runs of stamps. Two in sequence that agree are believed.
#[derive(Debug, Clone, Default)]
struct Runs {
    run: Run,
    before: Run,
    /// Whether two runs disagreed.
    disagreed: bool,
}

/// Consecutive stamps off the line: how many, since when, and the least late of them.
#[derive(Debug, Clone, Copy, Default)]
struct Run {
    count: u32,
    first: Option<Stamp>,
    low: Option<(f64, Stamp)>,
}

impl Suspects {
    /// Whether these may still be a device that has moved once and for all: no two runs have disagreed yet.
    pub(super) fn are_undecided(&self) -> bool {
        !self.all.disagreed
    }

    /// Adds a stamp that is `late` against the line by so many nanoseconds (negative if early). Once two runs of
    /// `length` stamps are complete and their least late stamps are within `agreement` nanoseconds of each other,
    /// returns those two stamps.
    pub(super) fn push(
        &mut self,
        rate: SampleRate,
        stamp: Stamp,
        late: f64,
        length: u32,
        agreement: f64,
    ) -> Option<[Stamp; 2]> {
        let far = if libm::fabs(late) < FAR {
            self.far = Runs::default();
            None
        } else {
            self.far.push(rate, stamp, late, length, agreement)
        };
        self.all.push(rate, stamp, late, length, agreement).or(far)
    }
}

impl Runs {
    fn push(
        &mut self,
        rate: SampleRate,
        stamp: Stamp,
        late: f64,
        length: u32,
        agreement: f64,
    ) -> Option<[Stamp; 2]> {
        let first = *self.run.first.get_or_insert(stamp);
        self.run.count = self.run.count.saturating_add(1);
        if self.run.low.is_none_or(|(least, _)| late < least) {
            self.run.low = Some((late, stamp));
        }
        let lasted = seconds_between(rate, first.frame, stamp.frame);
        let small = self.run.low.is_some_and(|(least, _)| libm::fabs(least) < SMALL);
        let complete = if small {
            lasted >= RUN_SECONDS_SMALL
        } else {
            self.run.count >= length || lasted >= RUN_SECONDS
        };
        if !complete {
            return None;
        }
        let before = core::mem::replace(&mut self.before, core::mem::take(&mut self.run));
        let (earlier_late, earlier) = before.low?;
        let (later_late, later) = self.before.low?;
        let agree = libm::fabs(later_late - earlier_late) <= agreement && later.frame > earlier.frame;
        self.disagreed |= !agree;
        agree.then_some([earlier, later])
    }
}

/// Most stamps in a run.
pub(super) const RUN: u32 = 5;
/// A run that lasts this long, in seconds, is complete with fewer stamps.
const RUN_SECONDS: f64 = 0.5;
/// A shift below this, in nanoseconds, takes longer to be believed: sound servers report such shifts and take them
/// back within seconds, and to wait costs no more than to follow a shift that was none.
const SMALL: f64 = 3_000_000.0;
/// A shift from this on, in nanoseconds, is believed even while a smaller one is on trial. Well above what is small: else the
/// lateness of callbacks alone would make of one shift a small one to the reports and a far one to the callbacks.
const FAR: f64 = 2.0 * SMALL;
/// Seconds that a run of small shifts lasts.
const RUN_SECONDS_SMALL: f64 = 2.5;
