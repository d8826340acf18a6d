//! Random edits of the queue from both sides, and how soon the other side sees them.

use serde::{Deserialize, Serialize};

use super::{
    allowed::Allowed,
    case::Who,
    range::{Kept as _, ranged, shown},
};
use crate::score::{TrueTime, percentile};
use jamsync_protocol::time::Span;

/// Random edits, by either side at random.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Edits {
    /// When they begin, counted from A's joining. 0 to 3,600 s.
    #[serde(deserialize_with = "at")]
    pub at_s: f64,
    /// How many in a second. 0.1 to 20.
    #[serde(deserialize_with = "rate")]
    pub per_s: f64,
    /// How many in all. 1 to 10,000.
    #[serde(deserialize_with = "count")]
    pub count: u32,
}

/// What became of the edits of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EditRecord {
    /// Every edit.
    pub delays: Vec<EditDelay>,
    /// How long after the last edit both queues were equal for good; none where they were not.
    pub equal_after_ms: Option<f64>,
    /// How long the queue was then.
    pub entries: usize,
}

/// One edit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EditDelay {
    /// When it was made.
    pub at_ns: TrueTime,
    /// By whom.
    pub by: Who,
    /// Until the other side showed it; none where it never did.
    pub until_other_ms: Option<f64>,
}

/// The edits of all runs of a case.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct EditFigures {
    /// How many edits.
    pub count: usize,
    /// How many of them the other side never showed.
    pub unseen: usize,
    /// Half of them were seen by the other side within this.
    pub p50_ms: f64,
    /// 99 % were.
    pub p99_ms: f64,
    /// What is allowed for 99 %: what 99 % of the packets need, and 5 ms.
    pub allowed_ms: f64,
    /// The longest time after the last edit until both queues were equal; none where they did not become so.
    pub equal_after_ms: Option<f64>,
}

/// How long after the last edit of a run both queues are to be equal.
pub(super) const SETTLES_WITHIN: Span = Span::from_secs(1);
/// What an edit may take beside the path.
const SLACK: Span = Span::from_millis(5);

impl Edits {
    /// How long after their beginning the run must still last.
    pub(super) fn need_s(&self) -> f64 {
        f64::from(self.count) / self.per_s + SETTLES_WITHIN.as_secs_f64()
    }

    /// As many of them as a run of so many seconds has room for; none where it has none.
    pub(super) fn within(self, seconds: f64) -> Option<Self> {
        let fits = |count: u32| self.at_s + Self { count, ..self.clone() }.need_s() < seconds;
        // Each number is tried by halves: all below the first that does not fit do.
        let (mut least, mut most) = (0, self.count);
        while least < most {
            let count = least + (most - least).div_ceil(2);
            if fits(count) { least = count } else { most = count - 1 }
        }
        (least > 0).then_some(Self { count: least, ..self })
    }
}

impl EditFigures {
    pub(super) fn of(allowed: &Allowed, runs: &[&EditRecord]) -> Option<Self> {
        let all = || runs.iter().flat_map(|run| &run.delays);
        let mut seen: Vec<Span> =
            all().filter_map(|edit| Some(Span::from_secs_f64(edit.until_other_ms? * 1e-3))).collect();
        seen.sort();
        let millis = |span: Span| span.as_secs_f64() * 1e3;
        let share = |share| percentile(&seen, share).map(millis);
        let equal: Option<Vec<f64>> = runs.iter().map(|run| run.equal_after_ms).collect();
        Some(Self {
            count: all().count(),
            unseen: all().count() - seen.len(),
            p50_ms: share(0.5)?,
            p99_ms: share(0.99)?,
            allowed_ms: millis(allowed.one_way_p99() + SLACK),
            equal_after_ms: equal.and_then(|each| each.into_iter().max_by(f64::total_cmp)),
        })
    }

    /// What 99 % took where those that were never shown count, too: infinite where they are more than the last one.
    pub(super) const fn judged_p99_ms(&self) -> f64 {
        if self.unseen * 100 > self.count { f64::INFINITY } else { self.p99_ms }
    }
}

ranged!(at: f64, 0.0 to 3600.0 "s");
ranged!(rate: f64, 0.1 to 20.0 "a second");
ranged!(count: u32, 1.0 to 10000.0 "whole edits");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::latency::Case;

    #[test]
    fn queues_that_never_become_equal_are_told_and_edits_that_are_never_seen_keep_no_limit() {
        let case = Case::built_in("edits150").expect("known");
        let edit = |until_other_ms| EditDelay { at_ns: TrueTime::default(), by: Who::A, until_other_ms };
        let of = |delays, equal_after_ms| {
            let record = EditRecord { delays, equal_after_ms, entries: 3 };
            EditFigures::of(&Allowed::by(&case), &[&record]).expect("one was seen")
        };
        let seen = of(vec![edit(Some(80.0))], Some(100.0));
        assert_eq!((seen.equal_after_ms, seen.judged_p99_ms()), (Some(100.0), 80.0));
        let never = of(vec![edit(Some(80.0)), edit(None)], None);
        assert_eq!((never.equal_after_ms, never.unseen), (None, 1));
        assert!(never.judged_p99_ms().is_infinite());
    }
}
