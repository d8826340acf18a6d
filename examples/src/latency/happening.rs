//! What happens to a machine by itself: its clock jumps, or it sleeps.
//!
//! Nobody can be in step while it happens, so each has a time to heal, in which nothing is scored and no bound is
//! held against the truth: until the first probes have come back, no node can know of it. All that follows is held
//! to the same rules as ever.

use jamsync_node::clock::ClockFaults;
use jamsync_protocol::time::Span;
use serde::{Deserialize, Serialize};

use super::{
    Case,
    case::Who,
    range::{Kept as _, ranged, shown},
};
use crate::score::{TrueRange, TrueTime};

/// A clock jumps, and its node is not told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClockStep {
    /// When, counted from A's joining. 5 to 3,600 s.
    #[serde(deserialize_with = "at")]
    pub at_s: f64,
    /// Whose: a or b.
    pub of: Who,
    /// By how much. -3,600 to 3,600 s.
    #[serde(deserialize_with = "step_by")]
    pub by_s: f64,
}

/// A machine sleeps: nothing on it runs, its clock and its sound card stand still.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sleep {
    /// When, counted from A's joining. 5 to 3,600 s.
    #[serde(deserialize_with = "at")]
    pub at_s: f64,
    /// Whose: a or b.
    pub of: Who,
    /// For how long. 1 to 8 s: after 10 s the connection is given up.
    #[serde(deserialize_with = "sleep_for")]
    pub for_s: f64,
}

/// Something that happened in a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Happening {
    /// What, in a word.
    pub what: String,
    /// To whom.
    pub of: Who,
    /// From its beginning until both must be in step again.
    #[serde(flatten)]
    pub range: TrueRange,
}

/// How long after a jump or a sleep both sides may take to be in step again: to notice by a probe, to learn the
/// other clock anew, which a guest may wait 3 s for, and to fill the sound card.
const HEALS_WITHIN: Span = Span::from_secs(5);

impl Happening {
    /// All that happens in `case` to one that joined at `begun`, within the time of the run.
    pub(super) fn of_case(case: &Case, begun: TrueTime) -> Vec<Self> {
        let at = |at_s: f64| begun + Span::from_secs_f64(at_s);
        let step = |step: &ClockStep| Self::step(step.of, at(step.at_s));
        let sleep = |sleep: &Sleep| Self::sleep(sleep.of, at(sleep.at_s), Span::from_secs_f64(sleep.for_s));
        let all = case.clock_steps.iter().map(step).chain(case.sleeps.iter().map(sleep));
        let end = begun + Span::from_secs(i64::from(case.seconds));
        all.filter(|happening| happening.range.from < end).collect()
    }

    fn step(of: Who, at: TrueTime) -> Self {
        Self { what: "clock step".to_owned(), of, range: TrueRange { from: at, until: at + HEALS_WITHIN } }
    }

    fn sleep(of: Who, at: TrueTime, length: Span) -> Self {
        let range = TrueRange { from: at, until: at + length + HEALS_WITHIN };
        Self { what: "sleep".to_owned(), of, range }
    }
}

/// What happens to the clock of `who` in `case` where A joins at `begun`.
pub(super) fn faults(case: &Case, who: Who, begun: TrueTime) -> ClockFaults {
    let at = |at_s: f64| begun - TrueTime::default() + Span::from_secs_f64(at_s);
    let step = case.clock_steps.iter().find(|step| step.of == who);
    let sleep = case.sleeps.iter().find(|sleep| sleep.of == who);
    ClockFaults {
        step: step.map(|step| (at(step.at_s), Span::from_secs_f64(step.by_s))),
        sleep: sleep.map(|sleep| (at(sleep.at_s), Span::from_secs_f64(sleep.for_s))),
    }
}

ranged!(at: f64, 5.0 to 3600.0 "s");
ranged!(step_by: f64, -3600.0 to 3600.0 "s");
ranged!(sleep_for: f64, 1.0 to 8.0 "s");
