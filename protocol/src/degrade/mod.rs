//! Degrading in steps: what is given up where the path between two nodes is poor, and taken back when that passes.
//!
//! | given up | from | until | what it means |
//! |---|---|---|---|
//! | full precision | off by more than 1 ms | less than 0.5 ms | "in step" is said with a range |
//! | the claim to be in step | off by more than 15 ms | less than 8 ms | being in step is not claimed at all |
//! | quick controls | lead above 500 ms | below 350 ms | play, seek and skip take effect that much later |
//! | prompt edits and commands | more than 10 % lost | less than 5 % | what is said has to be sent again, and may arrive late |
//!
//! Nothing is brought about here: the sound is as good as the clock lets it be, the lead grows with the path by
//! itself ([`Lead`](crate::timeline::Lead)), and streams repeat what is lost. This is the one place that judges when
//! listeners are told, from what was measured alone, so that two nodes with the same figures say the same.

use crate::time::{NodeTime, Span};

/// What was measured of the path, and of the sound over it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measured {
    /// How far both sounds are probably apart: the spread of the clocks' offset, or where that is larger, how far
    /// either side's sound is from where it should be.
    pub off: Span,
    /// How far ahead play, seek and skip are scheduled.
    pub lead: Span,
    /// The part of the peer's packets that is lost on the way here, 0 to 1; none while too few came to tell. A path
    /// that is gone for a while loses nothing. What is lost on the way there is for the peer to tell its listener.
    pub loss: Option<f64>,
}

/// What is given up at present; the default is nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct GivenUp {
    /// What can be said of being in step.
    pub precision: Precision,
    /// Whether play, seek and skip take effect noticeably late.
    pub slow_controls: bool,
    /// Whether edits and commands may arrive late.
    pub late_edits: bool,
}

/// What can be said of being in step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Precision {
    /// In step, as far as anybody hears.
    #[default]
    Full,
    /// In step within a range that is worth naming.
    Range,
    /// Nothing.
    Unknown,
}

/// Judges again and again, and tells of a change once it has lasted. Each step has a patience of its own, so that one
/// that comes and goes holds up no other.
#[derive(Clone, Copy, Debug)]
pub struct DegradeWatch {
    /// [`Precision::Range`] or worse.
    range: Step,
    /// [`Precision::Unknown`].
    unknown: Step,
    slow_controls: Step,
    late_edits: Step,
}

/// Whether one thing is given up.
#[derive(Clone, Copy, Debug)]
struct Step {
    told: bool,
    seen: bool,
    seen_since: NodeTime,
}

impl GivenUp {
    /// What is given up under `measured` where `self` is given up already: what was given up is taken back only
    /// well below the figure at which it was.
    #[must_use]
    pub fn under(self, measured: &Measured) -> Self {
        let unknown = self.precision == Precision::Unknown;
        let range = self.precision >= Precision::Range;
        let precision = if above(measured.off, UNKNOWN_FROM, UNKNOWN_UNTIL, unknown) {
            Precision::Unknown
        } else if above(measured.off, RANGE_FROM, RANGE_UNTIL, range) {
            Precision::Range
        } else {
            Precision::Full
        };
        let slow_controls = above(measured.lead, LEAD_FROM, LEAD_UNTIL, self.slow_controls);
        let late_edits =
            measured.loss.map_or(self.late_edits, |loss| above(loss, LOSS_FROM, LOSS_UNTIL, self.late_edits));
        Self { precision, slow_controls, late_edits }
    }
}

impl DegradeWatch {
    /// A path of which nothing bad is known.
    #[must_use]
    pub const fn new(now: NodeTime) -> Self {
        let step = Step { told: false, seen: false, seen_since: now };
        Self { range: step, unknown: step, slow_controls: step, late_edits: step }
    }

    /// What was measured at `now`; the answer is what is given up from now on, if that is news.
    #[must_use]
    pub fn handle(&mut self, measured: &Measured, now: NodeTime) -> Option<GivenUp> {
        let told = self.told();
        let seen = told.under(measured);
        self.range.handle(seen.precision >= Precision::Range, now);
        self.unknown.handle(seen.precision == Precision::Unknown, now);
        self.slow_controls.handle(seen.slow_controls, now);
        if measured.loss.is_some() {
            self.late_edits.handle(seen.late_edits, now);
        }
        Some(self.told()).filter(|news| *news != told)
    }

    /// What is given up, as it was told.
    #[must_use]
    pub const fn told(&self) -> GivenUp {
        let precision = match (self.unknown.told, self.range.told) {
            (true, _) => Precision::Unknown,
            (false, true) => Precision::Range,
            (false, false) => Precision::Full,
        };
        GivenUp { precision, slow_controls: self.slow_controls.told, late_edits: self.late_edits.told }
    }
}

impl Step {
    fn handle(&mut self, seen: bool, now: NodeTime) {
        if seen != self.seen {
            (self.seen, self.seen_since) = (seen, now);
        }
        if now - self.seen_since >= PATIENCE {
            self.told = seen;
        }
    }
}

/// Whether something that is given up from one figure on, and until another, is given up at `value`.
fn above<T: PartialOrd + Copy>(value: T, from: T, until: T, already: bool) -> bool {
    value > if already { until } else { from }
}

/// How far off a range is said, and below what it no longer is. Two ears find clicks apart from 1 ms on, and
/// music from 5 ms on. Milliseconds, 0.2 to 5, default 1 and 0.5: less talks of what nobody hears, more hides it.
const RANGE_FROM: Span = Span::from_micros(1_000);
const RANGE_UNTIL: Span = Span::from_micros(500);

/// How far off nothing is claimed any more. Milliseconds, 5 to 50, default 15 and 8: less gives up what is still
/// together for a listener, more claims what is an echo.
const UNKNOWN_FROM: Span = Span::from_millis(15);
const UNKNOWN_UNTIL: Span = Span::from_millis(8);

/// Lead above which it is said. Milliseconds, 200 to 2,000, default 500 and 350: less talks of every path across an
/// ocean, more leaves a person to press again.
const LEAD_FROM: Span = Span::from_millis(500);
const LEAD_UNTIL: Span = Span::from_millis(350);

/// Part lost above which it is said. 0.03 to 0.3, default 0.1 and 0.05: less talks of what repeating hides, more leaves
/// a person to press again.
const LOSS_FROM: f64 = 0.1;
const LOSS_UNTIL: f64 = 0.05;

/// How long something has to be so before it is told. Seconds, 1 to 30, default 5: less tells of the first seconds
/// of every Jam, in which the clock is still learnt, more explains what is over.
const PATIENCE: Span = Span::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;
    use Precision::{Full, Range, Unknown};

    fn measured(off_us: i64, lead_ms: i64) -> Measured {
        Measured { off: Span::from_micros(off_us), lead: Span::from_millis(lead_ms), loss: Some(0.0) }
    }

    #[test]
    fn each_step_begins_and_ends_at_its_own_figure() {
        let nothing = GivenUp::default();
        let given = |precision, slow_controls| GivenUp { precision, slow_controls, late_edits: false };
        for (before, off_us, lead_ms, after) in [
            (nothing, 100, 200, nothing),
            (nothing, 1_000, 500, nothing),
            (nothing, 1_001, 501, given(Range, true)),
            (given(Range, true), 501, 351, given(Range, true)),
            (given(Range, true), 500, 350, nothing),
            (nothing, 15_001, 0, given(Unknown, false)),
            (given(Unknown, false), 8_001, 0, given(Unknown, false)),
            (given(Unknown, false), 8_000, 0, given(Range, false)),
            (given(Unknown, false), 501, 0, given(Range, false)),
            (given(Unknown, false), 499, 0, nothing),
            (given(Range, false), 9_000, 0, given(Range, false)),
        ] {
            assert_eq!(
                before.under(&measured(off_us, lead_ms)),
                after,
                "{before:?} {off_us} µs {lead_ms} ms"
            );
        }
    }

    #[test]
    fn a_path_that_loses_much_gives_up_prompt_edits_until_it_loses_little() {
        let late = GivenUp { late_edits: true, ..GivenUp::default() };
        for (before, percent, after) in [
            (GivenUp::default(), Some(10.0), GivenUp::default()),
            (GivenUp::default(), Some(10.1), late),
            (GivenUp::default(), None, GivenUp::default()),
            (late, Some(5.1), late),
            (late, Some(5.0), GivenUp::default()),
            (late, None, late),
        ] {
            let measured = Measured { loss: percent.map(|percent| percent / 100.0), ..measured(100, 100) };
            assert_eq!(before.under(&measured), after, "{percent:?} % of {before:?}");
        }
    }

    #[test]
    fn what_passes_within_seconds_is_not_told_and_what_lasts_is_told_once() {
        let start = NodeTime::from_nanos(9);
        let mut watch = DegradeWatch::new(start);
        let mut told = alloc::vec![];
        for second in 0..60 {
            let off_us = match second {
                // The clock is still learnt.
                0..3 => 20_000,
                10..20 => 3_000,
                // It comes and goes around the figure at which it began.
                20..40 => 800 + 400 * (second % 2),
                _ => 200,
            };
            let news = watch.handle(&measured(off_us, 100), start + Span::from_secs(second));
            told.extend(news.map(|given| (second, given.precision)));
        }
        assert_eq!(told, [(15, Range), (45, Full)]);
        assert_eq!(watch.told(), GivenUp::default());
    }

    #[test]
    fn what_comes_and_goes_holds_up_nothing_else() {
        let start = NodeTime::from_nanos(9);
        let mut watch = DegradeWatch::new(start);
        let mut told = alloc::vec![];
        for second in 0..30_i64 {
            // Always off by more than the one figure, now and then by more than the other; always lossy, as far as is known.
            let off_us = if second % 4 < 2 { 20_000 } else { 10_000 };
            let loss = (second % 3 != 1).then_some(0.2);
            let measured = Measured { loss, ..measured(off_us, 400 + 200 * (second % 2)) };
            let news = watch.handle(&measured, start + Span::from_secs(second));
            told.extend(news.map(|given| (second, given)));
        }
        let given = GivenUp { precision: Range, slow_controls: false, late_edits: true };
        assert_eq!(told, [(5, given)]);
    }
}
