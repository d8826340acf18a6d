//! One direction of the path: its samples, its floor, and whether the floor has moved.
//!
//! Samples and lines come from the estimator; which of them belong together is decided here.

use alloc::vec::Vec;

use super::{
    ClockConfig,
    estimator::Finding,
    floor::Floor,
    history::{Direction, History, Line, Sample},
    shift,
};
use crate::time::{NodeTime, Ppm};

/// One direction of the path.
#[derive(Clone, Debug)]
pub(super) struct Way {
    pub(super) history: History,
    direction: Direction,
    floor: Floor,
    descent: Option<Descent>,
}

/// A sample came in below the floor. On a shorter path all that follow are as much lower; if it was the rare end of a wide
/// jitter, they are not.
#[derive(Clone, Debug)]
struct Descent {
    at: NodeTime,
    /// How far below the floor it was, in seconds.
    depth: f64,
    /// The usual lateness before it, in seconds.
    usual: f64,
    /// How late the samples are that came since, in seconds.
    after: Vec<f64>,
}

impl Way {
    pub(super) fn new(direction: Direction) -> Self {
        Self { direction, history: History::new(direction), floor: Floor::default(), descent: None }
    }

    /// Whether nothing is known yet of what follows a sample below the floor. Until then the samples say too little
    /// of where the line lies now.
    pub(super) fn is_descending(&self) -> bool {
        self.descent.is_some()
    }

    /// Takes in a sample; `line` is what it is held against.
    pub(super) fn push(&mut self, sample: Sample, line: &Line) -> Finding {
        let lateness = sample.lateness(self.direction, line);
        if let Some(descent) = &mut self.descent {
            self.history.push(sample, line);
            descent.after.push(lateness);
            return if descent.after.len() >= AFTER { self.end_descent() } else { Finding::Steady };
        }
        let Some((depth, usual)) = self.floor.undercut_by(lateness) else {
            self.history.push(sample, line);
            return Finding::Steady;
        };
        // It lies in a bucket of its own, so that what follows can be told from what was before.
        self.history.close();
        self.history.push(sample, line);
        self.history.close();
        self.descent = Some(Descent { at: sample.at, depth, usual, after: Vec::with_capacity(AFTER) });
        Finding::Changed
    }

    /// Looks for the floor anew. Returns since when the path is another, if it has been for long enough.
    pub(super) fn find_floor(
        &mut self,
        config: &ClockConfig,
        line: &Line,
        drift_error: Ppm,
        now: NodeTime,
    ) -> Option<NodeTime> {
        if self.is_descending() {
            return None;
        }
        let floor = self.floor.find(config, self.direction, &self.history, line, now);
        let since =
            floor.or_else(|| shift::find(config, self.direction, &self.history, line, drift_error, now))?;
        self.history.begin_segment_at(since);
        self.floor.forget();
        Some(since)
    }

    /// What follows is another path.
    pub(super) fn begin_segment(&mut self) {
        self.history.begin_segment();
        self.floor.forget();
        self.descent = None;
    }

    /// The sample itself was chosen for its rarity, so it stays with those before it.
    fn end_descent(&mut self) -> Finding {
        let Some(mut descent) = self.descent.take() else { return Finding::Steady };
        let (_, &mut median, _) = descent.after.select_nth_unstable_by(AFTER / 2, f64::total_cmp);
        if descent.usual - median < descent.depth * FOLLOWED {
            return Finding::Steady;
        }
        self.history.begin_segment_at(descent.at);
        self.floor.forget();
        Finding::Changed
    }
}

/// So many samples tell whether a sample below the floor was the first of a shorter path.
const AFTER: usize = 16;
/// They do if half of them lie lower than usual by this part of its depth.
const FOLLOWED: f64 = 0.5;

#[cfg(test)]
mod tests {
    extern crate std;

    use std::println;

    use rand::{Rng as _, SeedableRng as _};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::time::Span;

    const LINE: Line = Line { at: NodeTime::ZERO, offset: Span::ZERO, drift: Ppm::ZERO };

    /// A way back whose delays are about normal: 120 ms with a deviation of 5 ms.
    struct Jittery {
        way: Way,
        at: NodeTime,
        rng: ChaCha8Rng,
    }

    impl Jittery {
        /// 400 samples of it, and none that has to be explained.
        fn new(seed: u64) -> Self {
            let rng = ChaCha8Rng::seed_from_u64(seed);
            let mut jittery = Self { way: Way::new(Direction::Back), at: NodeTime::ZERO, rng };
            jittery.way.history.coarsen(16, &LINE);
            while jittery.way.history.count() < 400 || jittery.way.is_descending() {
                let _ = jittery.take(120.0);
            }
            jittery
        }

        fn take(&mut self, delay_ms: f64) -> Finding {
            let normal = (0..12).map(|_| self.rng.random::<f64>()).sum::<f64>() - 6.0;
            self.take_exactly(delay_ms + 5.0 * normal)
        }

        fn take_exactly(&mut self, delay_ms: f64) -> Finding {
            self.at += Span::from_millis(250);
            let at = self.at;
            let finding = self.way.push(Sample { at, offset: Span::from_secs_f64(-delay_ms * 1e-3) }, &LINE);
            assert_eq!(self.way.find_floor(&ClockConfig::default(), &LINE, Ppm(1.0), at), None);
            finding
        }
    }

    #[test]
    fn one_sample_below_the_floor_of_a_wide_jitter_is_no_shorter_path() {
        for seed in 0..20 {
            println!("seed {seed}");
            let mut jittery = Jittery::new(seed);
            let before = jittery.way.history.count();
            assert_eq!(jittery.take_exactly(20.0), Finding::Changed, "more probes are worth their price");
            for _ in 0..AFTER {
                assert!(jittery.way.is_descending());
                assert_eq!(jittery.take(120.0), Finding::Steady);
            }
            assert!(!jittery.way.is_descending());
            assert_eq!(jittery.way.history.count(), before + 1 + 16, "all samples are of one path");
        }
    }

    #[test]
    fn a_silence_is_no_time_in_which_the_floor_was_missed() {
        // A queue of 100 ms stands for half a minute, the path is cut, and it stands again.
        for seed in 0..20 {
            println!("seed {seed}");
            let mut jittery = Jittery::new(seed);
            let mut queued = |seconds: i64| {
                for _ in 0..4 * seconds {
                    let _ = jittery.take(220.0);
                }
                jittery.at += Span::from_secs(36);
            };
            queued(29);
            queued(20);
        }
    }

    #[test]
    fn a_shorter_path_counts_from_the_first_sample_on_that_follows_one_below_the_floor() {
        for seed in 0..20 {
            println!("seed {seed}");
            let mut jittery = Jittery::new(seed);
            let _ = jittery.take_exactly(20.0);
            let findings = (0..AFTER).filter(|_| jittery.take(60.0) == Finding::Changed).count();
            assert_eq!(findings, 1);
            assert_eq!(jittery.way.history.count(), 16);
        }
    }
}
