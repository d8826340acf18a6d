//! A device that stood still: from then on its callbacks and what it reports are later by the same.
//!
//! A report that alone is off its line may be wrong, as those of sound servers are for seconds; a callback that alone is
//! off was served late. Where both are off by the same, for longer than a machine is late without a break, nothing but the
//! device itself has moved, and there is no use in waiting for more.

use super::{
    fit::Fit,
    window::{Stamp, seconds_between},
};
use crate::media::SampleRate;

/// What is seen of a device at a callback, on one of its two lines: that of its reports, or that of its callbacks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sight {
    pub(super) stamp: Stamp,
    /// How much later than the line it is, in nanoseconds.
    pub(super) late: f64,
    /// The line.
    pub(super) fit: Fit,
}

impl Sight {
    /// Whether it is where the line has it, as near as counts.
    pub(super) fn is_on_line(&self) -> bool {
        libm::fabs(self.late) < LEAST
    }
}

/// Watches for a device that has stood still, or skipped.
#[derive(Debug, Clone, Default)]
pub(super) struct Halt {
    run: Option<Run>,
}

/// Reports off their line in a row, and the callbacks that they came with.
#[derive(Debug, Clone, Copy)]
struct Run {
    first: Sight,
    /// The line of the callbacks when the run began.
    callbacks: Fit,
    count: u32,
    report_least: Sight,
    report_most: f64,
    callback_least: Sight,
}

impl Halt {
    /// Takes what one callback shows. Where it proves that the device has moved: where its reports and its callbacks are
    /// since then, each by the line of before.
    pub(super) fn handle(&mut self, rate: SampleRate, report: Sight, callback: Sight) -> Option<[Sight; 2]> {
        if report.is_on_line() {
            self.run = None;
            return None;
        }
        let begun = Run {
            first: report,
            callbacks: callback.fit,
            count: 0,
            report_least: report,
            report_most: report.late,
            callback_least: callback,
        };
        let mut run = self.run.filter(|run| run.first.late * report.late > 0.0).unwrap_or(begun);
        run.count = run.count.saturating_add(1);
        run.report_most = run.report_most.max(report.late);
        if report.late < run.report_least.late {
            run.report_least = report;
        }
        if callback.late < run.callback_least.late {
            run.callback_least = callback;
        }
        let lasted = seconds_between(rate, run.first.stamp.frame, report.stamp.frame);
        let complete = run.count >= CALLBACKS && lasted >= SECONDS;
        self.run = if complete { None } else { Some(run) };
        (complete && run.agrees()).then_some([
            Sight { fit: run.first.fit, ..run.report_least },
            Sight { fit: run.callbacks, ..run.callback_least },
        ])
    }
}

impl Run {
    /// Whether its reports agree with each other, and the least late of its callbacks with them.
    fn agrees(&self) -> bool {
        let (least, most) = (self.report_least.late, self.report_most);
        let agreement = AGREEMENT.min(0.25 * libm::fabs(least).min(libm::fabs(most)));
        most - least < agreement && (least - agreement..most + agreement).contains(&self.callback_least.late)
    }
}

/// The least distance of a report from its line that counts, in nanoseconds. What is nearer is left to the line.
const LEAST: f64 = 300_000.0;
/// How closely reports have to agree with each other and with the callbacks, in nanoseconds; after a small shift, to a
/// quarter of it.
const AGREEMENT: f64 = 300_000.0;
/// Callbacks that make a run complete, and how long it lasts at least, in seconds.
const CALLBACKS: u32 = 8;
const SECONDS: f64 = 0.25;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        media::Frames,
        time::{NodeTime, Span},
    };

    /// The first callback of 10 ms at which a halt is seen; reports and callbacks are late by what `late` says of each.
    fn seen(late: impl Fn(u32) -> (f64, f64)) -> Option<u32> {
        let mut halt = Halt::default();
        let fit = Fit { offset: 0.0, slope: 0.0, scale: 1.0, offset_se: 1.0, slope_se: 1.0 };
        (0..200).find(|n| {
            let stamp = Stamp {
                frame: Frames(480 * u64::from(*n)),
                audible: NodeTime::ZERO + Span::from_millis(10 * i64::from(*n)),
            };
            let (report, callback) = late(*n);
            let sight = |late: f64| Sight { stamp, late, fit };
            halt.handle(SampleRate::HZ_48000, sight(report), sight(callback)).is_some()
        })
    }

    #[test]
    fn a_stop_and_a_skip_are_seen_within_a_quarter_of_a_second() {
        // Callbacks are late by up to 0.9 ms besides.
        let busy = |n: u32| f64::from(n * 7 % 10) * 1e5;
        let after = |by: f64| move |n: u32| if n < 100 { (0.0, busy(n)) } else { (by, by + busy(n)) };
        for by in [4e5, 1.9e6, 5e6, -1.9e6] {
            assert_eq!(seen(after(by)), Some(125), "{by}");
        }
        assert_eq!(seen(after(2e5)), None);
    }

    #[test]
    fn a_misreport_and_late_callbacks_are_no_stop() {
        assert_eq!(seen(|n| (1.9e6, if n % 20 == 0 { 0.0 } else { 1.9e6 })), None, "a report alone");
        assert_eq!(seen(|_| (0.0, 5e6)), None, "callbacks alone");
        assert_eq!(seen(|_| (4e6, 1e6)), None, "not by the same");
        assert_eq!(seen(|n| (f64::from(n % 8) * 1e6 + 4e5, 2e6)), None, "reports that do not agree");
        assert_eq!(seen(|n| if n % 3 == 0 { (-2e6, -2e6) } else { (2e6, 2e6) }), None, "to and fro");
    }
}
