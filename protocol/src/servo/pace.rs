//! The pace of a device's callbacks, which shows when its reports of delay are wrong.
//!
//! At every callback a sink says how long it takes until the next frame is heard. Sound servers work that out from a
//! model of the device, and where the machine is busy the model errs by milliseconds for seconds, both ways. The
//! callbacks themselves still come as the device uses up frames: late at times, never early. So the callbacks have a
//! line of their own, and what the reports say beyond it is compared with what they usually said.

use alloc::{boxed::Box, collections::VecDeque, vec::Vec};

use super::{
    AudibleLine, LineEvent,
    fit::{count_f64, median},
    halt::Sight,
    settling::{STRETCH, Settling, Turn},
    window::Stamp,
};
use crate::{
    media::{Frames, SampleRate},
    time::{NodeTime, Span},
};

/// The line of the callbacks, and the delay that the reports usually give beyond it.
#[derive(Debug, Clone)]
pub(super) struct Pace {
    rate: SampleRate,
    callbacks: Box<AudibleLine>,
    /// When a callback last fitted its line.
    fitted: Option<NodeTime>,
    /// When that line was last sure.
    sure_at: Option<NodeTime>,
    /// Delays beyond the line of the callbacks in nanoseconds: one for each [`PART`] of the last [`PARTS`].
    parts: VecDeque<f64>,
    part: Vec<f64>,
    part_since: Frames,
    /// It belongs to the device's buffer, so it holds on where the device has moved.
    usual: Option<f64>,
    scratch: Vec<f64>,
    settling: Settling,
    turn: Option<Turn>,
    trial: Option<Trial>,
    moved: Option<Move>,
}

/// A device that stood still, or skipped.
#[derive(Clone, Copy, Debug)]
pub(super) struct Move {
    /// Its first frame since, or one soon after.
    pub(super) since: Frames,
    /// How much later frames are heard since.
    pub(super) by: Span,
}

/// Callbacks that have moved. Whether the device has moved with them, the reports of the next parts tell on average: what
/// they give beyond the callbacks is as before, or it differs by as much as the callbacks have moved.
#[derive(Clone, Copy, Debug)]
struct Trial {
    moved: Move,
    /// The parts' mean until then, in nanoseconds.
    mean: f64,
    /// Sum and number of the parts since.
    sum: f64,
    parts: u32,
}

impl Pace {
    pub(super) fn new(rate: SampleRate) -> Self {
        Self {
            rate,
            callbacks: Box::new(AudibleLine::new(rate, None)),
            fitted: None,
            sure_at: None,
            parts: VecDeque::with_capacity(PARTS + 1),
            part: Vec::with_capacity(PART_MAX),
            part_since: Frames::ZERO,
            usual: None,
            scratch: Vec::with_capacity(PARTS),
            settling: Settling::default(),
            turn: None,
            trial: None,
            moved: None,
        }
    }

    /// When `frame` will be audible, its callback having come at `entered` with a report of `delay`: by that report, or,
    /// where it is wrong in a way that no device is, by the pace of the callbacks. While the reports move against the
    /// callbacks: by the callbacks, and the newest part of the reports. `is_on_line` says that the report is
    /// where the device was foretold to be.
    pub(super) fn audible(
        &mut self,
        frame: Frames,
        entered: NodeTime,
        delay: Span,
        is_on_line: bool,
    ) -> NodeTime {
        let reported = entered + delay;
        let before = self.callbacks.audible_at(frame);
        let event = self.callbacks.handle_stamp(frame, entered);
        let Some(paced) = self.callbacks.audible_at(frame) else { return reported };
        let beyond = (reported - paced).as_secs_f64() * 1e9;
        if let (LineEvent::Restarted, Some(before)) = (event, before) {
            self.part.clear();
            let by = paced - before;
            if is_on_line {
                self.rebase(by);
            } else {
                self.settling.handle_callbacks_moved(beyond);
                self.try_move(Move { since: self.callbacks.since().unwrap_or(frame), by });
                // What a server gave beyond callbacks that had not found their pace tells nothing of how it moves.
                if self.settling == Settling::Young && self.trial.is_none() {
                    self.parts.clear();
                }
            }
        }
        let sure = self.callbacks.spread() < SPREAD_MAX;
        if sure {
            // What was usual before callbacks came unevenly for long may be so no more.
            if self.sure_at.is_some_and(|at| entered.since(at) > UNSURE_MAX) {
                self.parts.clear();
                self.part.clear();
                self.usual = None;
            }
            self.sure_at = Some(entered);
        }
        if event == LineEvent::Fine {
            self.fitted = Some(entered);
            if sure {
                self.learn(frame, beyond);
            }
        }
        if !sure || self.fitted.is_none_or(|at| entered.since(at) >= UNFIT_MAX) {
            return reported;
        }
        let unsure = 2.0 * self.callbacks.spread().as_secs_f64() * 1e9;
        let is_wrong = |usual: f64| {
            let off = libm::fabs(beyond - usual);
            off > unsure && MISREPORT.contains(&off)
        };
        match (self.settling, self.usual) {
            (Settling::Moving { newest, .. }, _) => paced + Span::from_secs_f64(newest * 1e-9),
            (Settling::Settled, Some(usual)) if is_wrong(usual) => paced + Span::from_secs_f64(usual * 1e-9),
            _ => reported,
        }
    }

    /// How the line of the callbacks sees one.
    pub(super) fn sight(&self, callback: Stamp) -> Option<Sight> {
        self.callbacks.sight(callback)
    }

    /// The device has moved, and its callbacks are where `seen` is. What the reports give beyond them is as before.
    pub(super) fn follow(&mut self, seen: Sight) {
        self.callbacks.follow(seen);
        self.part.clear();
        self.trial = None;
    }

    /// The device has moved, as callbacks and reports say. Asked for once.
    pub(super) fn poll_move(&mut self) -> Option<Move> {
        self.moved.take()
    }

    /// What the newest part of the reports changed while they were coming to rest. Asked for once.
    pub(super) fn poll_turn(&mut self) -> Option<Turn> {
        self.turn.take()
    }

    /// Whether the device has moved is known by other means.
    pub(super) fn drop_trial(&mut self) {
        self.trial = None;
    }

    /// The callbacks have moved by so much and the device has not, as where a sound server fills its buffer otherwise: its
    /// reports give as much less beyond the callbacks.
    fn rebase(&mut self, by: Span) {
        let by = by.as_secs_f64() * 1e9;
        self.parts.iter_mut().chain(&mut self.usual).for_each(|beyond| *beyond -= by);
        if let Settling::Moving { newest, .. } = self.settling {
            self.settling.handle_callbacks_moved(newest - by);
        }
    }

    /// The callbacks have moved: what follows tells whether the device has.
    fn try_move(&mut self, mut moved: Move) {
        // They have moved again before it was told whether the device had.
        if let Some(before) = self.trial.take() {
            moved.by += before.moved.by;
        }
        let known = count_f64(self.parts.len());
        let mean = self.parts.iter().sum::<f64>() / known.max(1.0);
        let reach = self.parts.iter().fold(0.0, |reach, part| libm::fabs(part - mean).max(reach));
        let is_clear = libm::fabs(moved.by.as_secs_f64() * 1e9) > (2.0 * reach).max(MOVE_LEAST);
        self.trial = (self.parts.len() >= TRIAL_AFTER && is_clear).then_some(Trial {
            moved,
            mean,
            sum: 0.0,
            parts: 0,
        });
    }

    /// One part more of the reports since the callbacks have moved.
    fn judge(&mut self, middle: f64) {
        let Some(trial) = &mut self.trial else { return };
        trial.sum += middle;
        trial.parts += 1;
        if trial.parts < TRIAL_PARTS {
            return;
        }
        let (off, moved) = (trial.sum / f64::from(trial.parts) - trial.mean, trial.moved);
        let by = moved.by.as_secs_f64() * 1e9;
        self.trial = None;
        if libm::fabs(off) < 0.5 * libm::fabs(by) {
            self.moved = Some(moved);
        } else if libm::fabs(off + by) < 0.5 * libm::fabs(by) {
            self.rebase(moved.by);
        }
    }

    /// The machine slept: the callbacks may come at other times than foretold.
    pub(super) fn handle_suspend(&mut self) {
        self.callbacks.handle_suspend();
        self.trial = None;
    }

    fn learn(&mut self, frame: Frames, beyond: f64) {
        if self.part.is_empty() {
            self.part_since = frame;
        }
        self.part.push(beyond);
        if self.rate.span_of(frame.minus(self.part_since)) < PART && self.part.len() < PART_MAX {
            return;
        }
        if let Some(middle) = median(&mut self.part) {
            self.judge(middle);
            self.parts.push_back(middle);
            self.turn = self.settling.handle(
                &self.parts,
                self.callbacks.spread().as_secs_f64() * 1e9,
                self.callbacks.dac(),
            );
            if self.turn == Some(Turn::Ended) {
                self.parts.drain(..self.parts.len().saturating_sub(STRETCH));
            }
        }
        self.part.clear();
        if self.parts.len() > PARTS {
            self.parts.pop_front();
        }
        if self.parts.len() >= STRETCH {
            self.scratch.clear();
            self.scratch.extend(&self.parts);
            self.usual = mode(&mut self.scratch);
        }
    }
}

/// Where `values` are densest: of the narrowest half of them the narrowest half, and so on. The half-sample mode of
/// Bickel and Frühwirth (2006). `None` without a value.
fn mode(values: &mut [f64]) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    let mut dense: &[f64] = values;
    while dense.len() > 3 {
        let half = dense.len().div_ceil(2);
        let width = |part: &&[f64]| part.last().unwrap_or(&0.0) - part.first().unwrap_or(&0.0);
        dense = dense.windows(half).min_by(|a, b| f64::total_cmp(&width(a), &width(b)))?;
    }
    dense.get(dense.len() / 2).copied()
}

/// A report is wrong where it is this far from the usual one, in nanoseconds. What is nearer is left to the line, and
/// what is further, such as other headphones, is no error. 0.3 to 20 ms: PulseAudio was seen to err by up to 15 ms.
const MISREPORT: core::ops::Range<f64> = 300_000.0..20_000_000.0;
/// Length of the parts whose middle delays are kept.
const PART: Span = Span::from_millis(250);
/// Most callbacks of a part; it closes early at that many.
const PART_MAX: usize = 64;
/// Parts kept: what the reports dwell at for the greater part of 30 s is usual.
const PARTS: usize = 120;
/// For how long callbacks may be off their line while the line is believed: late ones come one by one, after a hidden
/// underrun all are off.
const UNFIT_MAX: Span = Span::from_millis(300);
/// The most uncertain line of callbacks that may overrule a report, or be learnt from. Devices that work in blocks of
/// seconds, or wake up by a timer of their own, are above it.
const SPREAD_MAX: Span = Span::from_micros(500);
/// For how long it may be more uncertain before what was learnt with it is forgotten.
const UNSURE_MAX: Span = Span::from_secs(1);
/// The least move of callbacks that is tried, in nanoseconds; what is less is left to the line.
const MOVE_LEAST: f64 = 2e6;
/// Parts that have to be known before, 2 s, and those that tell after it.
const TRIAL_AFTER: usize = 8;
const TRIAL_PARTS: u32 = 2;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_mode_is_where_values_dwell() {
        let mut values = [75.0, 74.0, 70.0, 78.0, 83.0, 88.9, 89.0, 89.1, 89.0, 89.2];
        let dwelt = mode(&mut values).expect("values");
        assert!((88.9..=89.2).contains(&dwelt), "{dwelt}");
        assert_eq!(mode(&mut []), None);
    }

    #[test]
    fn a_misreport_is_replaced_and_other_headphones_are_not() {
        let mut pace = Pace::new(SampleRate::HZ_48000);
        let mut heard = |n: u64, delay: Span| {
            let entered = NodeTime::ZERO + Span::from_millis(10 * i64::try_from(n).expect("small"));
            pace.audible(Frames(480 * n), entered, delay, false) - entered
        };
        let usual = Span::from_millis(80);
        for n in 0..1_000 {
            assert_eq!(heard(n, usual), usual);
        }
        let tolerated = Span::from_micros(10);
        for n in 1_000..1_500 {
            let judged = heard(n, Span::from_millis(77));
            assert!((judged - usual).abs() < tolerated, "{judged:?}");
        }
        let wireless = Span::from_millis(280);
        assert_eq!(heard(1_500, wireless), wireless);
    }

    #[test]
    fn a_delay_that_stays_changed_is_believed_once_it_is_usual() {
        let mut pace = Pace::new(SampleRate::HZ_48000);
        let mut heard = |n: u64, delay: Span| {
            let entered = NodeTime::ZERO + Span::from_millis(10 * i64::try_from(n).expect("small"));
            pace.audible(Frames(480 * n), entered, delay, false) - entered
        };
        for n in 0..3_000 {
            let _ = heard(n, Span::from_millis(80));
        }
        let changed = Span::from_millis(90);
        let followed =
            (3_000..6_000).position(|n| (heard(n, changed) - changed).abs() < Span::from_micros(10));
        let seconds = followed.expect("it is followed") / 100;
        assert!((12..18).contains(&seconds), "after {seconds} s");
    }

    proptest! {
        #[test]
        fn no_callback_breaks_it(
            callbacks in proptest::collection::vec((any::<u64>(), any::<i64>(), any::<i64>(), any::<bool>()), 0..400),
        ) {
            let rate = SampleRate::HZ_48000;
            let mut pace = Pace::new(rate);
            let mut frame = 0_u64;
            for (wild, time, delay, sane) in callbacks {
                frame = if sane { frame.saturating_add(wild % 100_000) } else { wild };
                let time = if sane { rate.span_of(Frames(frame)).as_nanos() } else { time };
                let delay = Span::from_nanos(if sane { delay % 100_000_000 } else { delay });
                let _ = pace.audible(Frames(frame), NodeTime::from_nanos(time), delay, frame.is_multiple_of(3));
                prop_assert!(pace.parts.len() <= PARTS && pace.part.len() < PART_MAX);
                prop_assert!(pace.usual.is_none_or(f64::is_finite));
            }
        }
    }
}
