//! How two found together again after a node was killed, had a new address, or after the path was cut.
//!
//! Who is killed is silent until it is back, and the other plays on; through a new address and an outage both do. Whoever
//! should play on is held against the music itself, since the other may be off, too.

use std::fmt;

use jamsync_protocol::time::Span;
use serde::{Deserialize, Serialize};

use super::{Case, case::Who, whereabouts::Whereabouts};
use crate::score::{Anchor, Disturbance, Plan, Recording, TrueRange, TrueTime, score};

/// How both found together again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recovery {
    /// After what.
    #[serde(default)]
    pub after: Blow,
    /// Who was killed; none where both suffer alike.
    pub of: Option<Who>,
    /// From the blow until both must be in step again.
    #[serde(flatten)]
    pub range: TrueRange,
    /// When nothing stood in the way any more: the start of the node, the new address, the end of the outage.
    pub back_ns: TrueTime,
    /// From then until both were within 1 ms for good: 0 where they always were, else the end of the first window of a
    /// second that was, as all further ones were; none where that did not come within the time that is allowed.
    pub in_step_after_ms: Option<f64>,
    /// The places at which the sound of whoever was not killed did not simply go on, from the blow until both must be in
    /// step, or the first command if that comes before; none where what is played is not the music.
    pub other_side: Option<Vec<Disturbance>>,
}

/// What two recover from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Blow {
    /// A node was killed and started again.
    #[default]
    Kill,
    /// The node that dialled got a new address.
    NewAddress,
    /// The path was cut in one direction or both.
    Outage,
}

/// The recoveries of all runs from one kind of blow.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecoveryFigures {
    /// From which.
    #[serde(default)]
    pub after: Blow,
    /// How many.
    pub count: usize,
    /// The slowest: until both were within 1 ms for good; none where one did not come in time.
    pub slowest_ms: Option<f64>,
    /// Places at which the sound of who was not killed did not simply go on; a sound that could not be followed counts
    /// as one.
    pub disturbed: usize,
}

/// How long after the blow is over both may take to be in step again.
pub(super) const BACK_WITHIN: Span = Span::from_secs(5);
/// A recording is written to disk once a second: what was played last before the kill is lost with its process.
const UNWRITTEN: Span = Span::from_millis(1_100);
/// How far apart both may be to be in step.
const IN_STEP: Span = Span::from_millis(1);
/// Half a window of the scorer.
const HALF_WINDOW: Span = Span::from_millis(500);

impl Recovery {
    /// The node of `of` was killed at `killed` and started again at `back`; nothing is measured yet.
    pub(super) fn from_kill(of: Who, killed: TrueTime, back: TrueTime) -> Self {
        Self::new(Blow::Kill, Some(of), killed - UNWRITTEN, back)
    }

    /// A node has a new address since `at`.
    pub(super) fn from_new_address(at: TrueTime) -> Self {
        Self::new(Blow::NewAddress, None, at, at)
    }

    /// The outages of `case`, either way, that begin and end in time within `span`, the part that is scored.
    pub(super) fn from_outages(case: &Case, link_began: TrueTime, span: TrueRange) -> Vec<Self> {
        let outages = case.path.a_to_b.outages.iter().chain(&case.path.b_to_a.outages);
        let mut cuts: Vec<_> = outages.map(|cut| (cut.from, cut.from + cut.lasts)).collect();
        cuts.sort();
        // A cut of both ways is one, and so are two of which one begins before both are back from the other.
        let mut merged: Vec<(Span, Span)> = Vec::new();
        for (from, until) in cuts {
            match merged.last_mut() {
                Some(last) if from < last.1 + BACK_WITHIN => last.1 = last.1.max(until),
                _ => merged.push((from, until)),
            }
        }
        let all = merged.into_iter().map(|(from, until)| (link_began + from, link_began + until));
        let all = all.map(|(from, until)| Self::new(Blow::Outage, None, from, until));
        all.filter(|one| span.holds(one.range)).collect()
    }

    fn new(after: Blow, of: Option<Who>, from: TrueTime, back: TrueTime) -> Self {
        let range = TrueRange { from, until: back + BACK_WITHIN };
        Self { after, of, range, back_ns: back, in_step_after_ms: None, other_side: None }
    }

    /// When the blow fell.
    pub(super) fn fell_at(&self) -> TrueTime {
        if self.after == Blow::Kill { self.range.from + UNWRITTEN } else { self.range.from }
    }

    /// Fills in what the recordings of A and B tell. `plan` is that of the whole run, `heard` what should be heard when it
    /// began, `commanded` when the first command came after that.
    pub(super) fn measure(
        &mut self,
        [a, b]: [&Recording; 2],
        plan: &Plan,
        heard: &Whereabouts<'_>,
        commanded: Option<TrueTime>,
    ) {
        let others: Vec<Anchor> =
            plan.anchors.iter().filter(|anchor| anchor.effect != self.range).cloned().collect();
        let over = |span| Plan { span, anchors: others.clone(), pauses: plan.pauses.clone() };
        let until = (self.range.until + HALF_WINDOW + HALF_WINDOW).min(plan.span.until);
        if let Ok(score) = score(a, b, &over(TrueRange { from: self.back_ns, until })) {
            let skew = |index: usize| score.windows.get(index).and_then(|window| window.verdict.skew());
            // A window that an anchor or a pause takes out of the score says nothing either way.
            let apart = |index: &usize| {
                let failed = score.windows.get(*index).is_some_and(|window| window.verdict.is_failure());
                failed || skew(*index).is_some_and(|skew| skew.abs() > IN_STEP)
            };
            let last = (0..score.windows.len()).rev().find(apart);
            let first = (last.map_or(0, |last| last + 1)..score.windows.len()).find(|at| skew(*at).is_some());
            // A window that is silent at first counts, too, so in step is who has been for all of one: at its end.
            let ends = first.and_then(|first| score.windows.get(first)).map(|window| window.at + HALF_WINDOW);
            let always = last.is_none() && self.after != Blow::Kill;
            let took = |at: TrueTime| if always { Span::ZERO } else { at - self.back_ns };
            self.in_step_after_ms = ends.map(|at| took(at).as_secs_f64() * 1e3);
        }
        let until = commanded.map_or(self.range.until, |at| at.min(self.range.until));
        let range = TrueRange { until, ..self.range };
        let sides = [(Who::A, a), (Who::B, b)].into_iter().filter(|(who, _)| self.of != Some(*who));
        let each = sides.map(|(_, side)| {
            if range.length() < HALF_WINDOW + HALF_WINDOW {
                return Some(Vec::new());
            }
            let music = heard.clone().reference(side, range)?;
            let score = score(side, &music, &over(range)).ok()?;
            (score.windows_failed == 0).then_some(score.disturbances)
        });
        self.other_side = each.collect::<Option<Vec<_>>>().map(|each| each.concat());
    }
}

impl RecoveryFigures {
    /// Of those of `all` that are from such a blow, if there are any.
    pub(super) fn of<'a>(after: Blow, all: impl Iterator<Item = &'a Recovery>) -> Option<Self> {
        let all: Vec<&Recovery> = all.filter(|one| one.after == after).collect();
        let slowest = all.iter().map(|one| one.in_step_after_ms).collect::<Option<Vec<f64>>>();
        let disturbed = |one: &&Recovery| one.other_side.as_ref().map_or(1, Vec::len);
        (!all.is_empty()).then(|| Self {
            after,
            count: all.len(),
            slowest_ms: slowest.and_then(|each| each.into_iter().max_by(f64::total_cmp)),
            disturbed: all.iter().map(disturbed).sum(),
        })
    }
}

impl fmt::Display for RecoveryFigures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let within = self.slowest_ms.map_or("NOT in time".to_owned(), |ms| format!("at most {ms:.0} ms"));
        let Self { count, disturbed, .. } = self;
        let (since, blows, whose) = match self.after {
            Blow::Kill => ("the start", "kills", "the other's sound"),
            Blow::NewAddress => ("it", "new addresses", "either's sound"),
            Blow::Outage => ("its end", "outages", "either's sound"),
        };
        write!(
            f,
            "both within 1 ms {within} after {since}, {count} {blows}; {whose} disturbed {disturbed} times"
        )
    }
}

impl fmt::Display for Blow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kill => "kill",
            Self::NewAddress => "new address",
            Self::Outage => "outage",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::latency::music::Music;
    use jamsync_protocol::media::Frames;

    /// What is heard of the first piece, with so many samples put in (of silence) at each place; both in frames.
    fn heard(music: &Music, put_in: &[(usize, usize)]) -> Recording {
        let whole = music.sound(0, 0.0, Span::from_secs(18)).expect("music");
        let channels = whole.channels().iter().map(|channel| {
            let mut channel = channel.clone();
            for (at, count) in put_in {
                channel.splice(*at..*at, std::iter::repeat_n(0.0, *count));
            }
            channel
        });
        Recording::on_one_clock(whole.rate(), channels.collect()).expect("sound")
    }

    fn measured(music: &Music, b: &Recording) -> Recovery {
        let a = heard(music, &[]);
        let at = a.time_of(Frames(44_100 * 6)).expect("within");
        let mut recovery = Recovery::from_new_address(at);
        let plan = Plan::everything_in(&a, b);
        recovery.measure([&a, b], &plan, &Whereabouts::of(b, music), None);
        recovery
    }

    #[test]
    fn who_is_never_apart_recovers_at_once_and_who_stays_apart_or_falls_silent_does_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let case = Case { piece_s: 20, ..Case::built_in("lan").expect("known") };
        let music = Music::of(&case, folder.path()).expect("music");
        let never = measured(&music, &heard(&music, &[]));
        assert_eq!((never.in_step_after_ms, never.other_side), (Some(0.0), Some(Vec::new())));
        // From a second after the new address on it is 3 ms late, for good.
        let late = measured(&music, &heard(&music, &[(44_100 * 7, 132)]));
        assert_eq!(late.in_step_after_ms, None);
        assert!(late.other_side.is_none_or(|places| !places.is_empty()));
    }

    #[test]
    fn outages_of_both_ways_are_one_and_those_beyond_the_run_are_none() {
        let case = Case::built_in("outage60").expect("known");
        let began = TrueTime::default();
        let within = |seconds| {
            let span = TrueRange { from: began, until: began + Span::from_secs(seconds) };
            Recovery::from_outages(&case, began, span).len()
        };
        assert_eq!([within(180), within(109)], [1, 0]);
    }
}
