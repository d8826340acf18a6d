//! The floor of one direction: its least lateness of late, and whether it has moved.
//!
//! A lower floor shows in all samples that follow. A higher one may be a queue, so it counts only after the old one
//! has not been seen for long.

use alloc::vec::Vec;

use super::{
    ClockConfig,
    history::{Bucket, Direction, History, Line},
};
use crate::time::{NodeTime, Span};

/// The least lateness of one direction.
#[derive(Clone, Debug, Default)]
pub(super) struct Floor {
    /// `None` while a segment is too young.
    known: Option<Level>,
    /// How far from the floor a sample may be, in seconds, and still be of the same path.
    tolerance: f64,
}

/// Seconds against the present line.
#[derive(Clone, Copy, Debug)]
struct Level {
    least: f64,
    /// The median of the buckets' means.
    usual: f64,
}

impl Floor {
    /// How far below the least lateness this one is, if by so much that the path may have become shorter; and the usual
    /// lateness. Both in seconds.
    pub(super) fn undercut_by(&self, lateness: f64) -> Option<(f64, f64)> {
        let Level { least, usual } = self.known?;
        (lateness < least - self.tolerance).then_some((least - lateness, usual))
    }

    /// Finds the floor anew against `line`. Returns since when the old floor was not seen, if that is long enough ago
    /// for the path to have become longer.
    pub(super) fn find(
        &mut self,
        config: &ClockConfig,
        direction: Direction,
        history: &History,
        line: &Line,
        now: NodeTime,
    ) -> Option<NodeTime> {
        self.known = None;
        if history.count() < SAMPLES_MIN {
            self.tolerance = 0.0;
            return None;
        }
        let window = config.floor_hold + config.floor_hold;
        let recent = || history.current().filter(|bucket| now - bucket.best().at <= window);
        let lateness = |bucket: &Bucket| bucket.best().lateness(direction, line);
        let least = recent().map(lateness).reduce(f64::min)?;
        let near = |tolerance: f64| {
            let seen = recent().filter(|&bucket| lateness(bucket) <= least + tolerance);
            seen.map(|bucket| bucket.best().at).max()
        };
        // While the floor is out of sight, what lies above it must not widen the tolerance.
        if self.tolerance <= 0.0 || near(self.tolerance).is_some_and(|seen| now - seen <= IN_SIGHT) {
            let mut excess: Vec<f64> = recent().map(|bucket| lateness(bucket) - least).collect();
            let rank = (excess.len() / 4).max(RANK_MIN).min(excess.len() - 1);
            let (_, &mut typical, _) = excess.select_nth_unstable_by(rank, f64::total_cmp);
            self.tolerance = (TOLERANCE * typical).max(config.floor_step.as_secs_f64());
        }
        let seen = near(self.tolerance)?;
        let mut means: Vec<f64> = recent().map(|bucket| bucket.mean().lateness(direction, line)).collect();
        let middle = means.len() / 2;
        let (_, &mut usual, _) = means.select_nth_unstable_by(middle, f64::total_cmp);
        self.known = Some(Level { least, usual });
        let above: u32 = recent().filter(|bucket| bucket.best().at > seen).map(|bucket| bucket.count()).sum();
        let missed = heard(recent(), seen, now) >= config.floor_hold;
        (missed && above >= SAMPLES_MIN).then_some(seen)
    }

    /// Forgets the floor: what follows is another path.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }
}

/// How much of the time since `seen` anything was heard in: a path on which nothing passes does not show its floor.
fn heard<'a>(buckets: impl Iterator<Item = &'a Bucket>, seen: NodeTime, now: NodeTime) -> Span {
    let mut heard = Span::ZERO;
    let mut until = seen;
    for at in buckets.flat_map(|bucket| bucket.lasts()).chain([now]) {
        heard += listened(at.since(until));
        until = until.max(at);
    }
    heard
}

/// How much of the time between two samples was listened in: all of it, or nothing where it is a silence. A path that was cut
/// for half a minute has shown nothing of its floor meanwhile, and a queue may stand before and after.
pub(super) fn listened(gap: Span) -> Span {
    if gap > SILENCE { Span::ZERO } else { gap }
}

/// Samples in a segment before its floor counts as known.
const SAMPLES_MIN: u32 = 16;
/// At least so many buckets lie below the typical excess, or it is too small by chance now and then.
const RANK_MIN: usize = 7;
/// In units of the excess that a quarter of the buckets stay below.
const TOLERANCE: f64 = 8.0;
/// A floor seen within this time is in sight.
const IN_SIGHT: Span = Span::from_secs(10);
/// A full bucket of the slowest probing lasts so long; a longer pause is a silence.
const SILENCE: Span = Span::from_secs(16);
