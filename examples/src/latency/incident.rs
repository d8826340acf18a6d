//! What is done to the processes and the path of a live run: a process is killed and started again, a node gets a new
//! address.
//!
//! Nothing is left out of the score for a new address or for what the coordinator suffers: nobody is to hear of it. A
//! node that is killed is silent, so both cannot be compared until it is back; meanwhile the other's sound is held
//! against the music itself, and how long both take to be in step again is a figure of its own.

use std::fmt;

use jamsync_protocol::time::Span;
use serde::{Deserialize, Serialize};

use super::{
    Case,
    case::Who,
    range::{Kept as _, ranged},
    whereabouts::Whereabouts,
};
use crate::score::{Anchor, Disturbance, Plan, Recording, TrueRange, TrueTime, score};

/// A process is killed, as by `kill -9`, and started again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kill {
    /// When, counted from A's joining. 5 to 3,600 s.
    #[serde(deserialize_with = "at")]
    pub at_s: f64,
    /// Which: a, b or coordinator.
    pub of: Process,
    /// How long it stays away. 0 to 120 s.
    #[serde(deserialize_with = "away")]
    pub away_s: f64,
}

/// The node that dialled the other gets a new address: what it sends comes from another port from then on, and nothing that
/// is sent to the old one arrives.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewAddress {
    /// When, counted from A's joining. 5 to 3,600 s.
    #[serde(deserialize_with = "at")]
    pub at_s: f64,
}

/// One of the processes of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Process {
    /// The node of the guest.
    A,
    /// The node of the host.
    B,
    /// The coordinator.
    Coordinator,
}

/// What is to be done next to a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Incident {
    Kill(Process),
    Start(Process),
    Move,
}

/// How both found together again after a node was killed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recovery {
    /// Who was killed.
    pub of: Who,
    /// From then until both must be in step again.
    #[serde(flatten)]
    pub range: TrueRange,
    /// When it was started again.
    pub back_ns: TrueTime,
    /// From the start until the end of the first window of a second that was within 1 ms, as all further ones were; none
    /// where that did not come within the time that is allowed.
    pub in_step_after_ms: Option<f64>,
    /// The places at which the other's sound did not simply go on, from the kill until both must be in step; none where
    /// what it plays is not the music.
    pub other_side: Option<Vec<Disturbance>>,
}

/// The recoveries of all runs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecoveryFigures {
    /// How many.
    pub count: usize,
    /// The slowest: from the start of the node until both were within 1 ms for good; none where one did not come in time.
    pub slowest_ms: Option<f64>,
    /// Places at which the sound of who was not killed did not simply go on; a sound that could not be followed counts
    /// as one.
    pub disturbed: usize,
}

/// How long after its start a node that was killed may take to be in step again.
const BACK_WITHIN: Span = Span::from_secs(5);
/// A recording is written to disk once a second: what was played last before the kill is lost with its process.
const UNWRITTEN: Span = Span::from_millis(1_100);
/// How far apart both may be to be in step.
const IN_STEP: Span = Span::from_millis(1);

impl Case {
    /// What is done to the processes and the path in the time of the run, in order. Who could not be back and in step
    /// before its end is not killed.
    pub(super) fn incidents(&self) -> Vec<(Span, Incident)> {
        let after = Span::from_secs_f64;
        let killed = |kill: &Kill| {
            let back = after(kill.at_s + kill.away_s);
            [(after(kill.at_s), Incident::Kill(kill.of)), (back, Incident::Start(kill.of))]
        };
        let moved = |new: &NewAddress| (after(new.at_s), Incident::Move);
        let end = Span::from_secs(i64::from(self.seconds));
        let in_time = |kill: &&Kill| after(kill.at_s + kill.away_s) + BACK_WITHIN < end;
        let mut all: Vec<(Span, Incident)> = self.kills.iter().filter(in_time).flat_map(killed).collect();
        all.extend(self.new_addresses.iter().map(moved));
        all.sort_by_key(|(at, _)| *at);
        all
    }
}

impl Process {
    /// Whose node it is; none for the coordinator.
    pub(super) const fn who(self) -> Option<Who> {
        match self {
            Self::A => Some(Who::A),
            Self::B => Some(Who::B),
            Self::Coordinator => None,
        }
    }
}

impl Recovery {
    /// The node of `of` was killed at `killed` and started again at `back`; nothing is measured yet.
    pub(super) fn new(of: Who, killed: TrueTime, back: TrueTime) -> Self {
        let range = TrueRange { from: killed - UNWRITTEN, until: back + BACK_WITHIN };
        Self { of, range, back_ns: back, in_step_after_ms: None, other_side: None }
    }

    /// Fills in what the recordings of A and B tell. `plan` is that of the whole run, `heard` what should be heard at the
    /// time of the kill.
    pub(super) fn measure(&mut self, a: &Recording, b: &Recording, plan: &Plan, heard: Whereabouts<'_>) {
        let others: Vec<Anchor> =
            plan.anchors.iter().filter(|anchor| anchor.effect != self.range).cloned().collect();
        let over = |span| Plan { span, anchors: others.clone(), pauses: plan.pauses.clone() };
        let until = (self.range.until + Span::from_secs(1)).min(plan.span.until);
        if let Ok(score) = score(a, b, &over(TrueRange { from: self.back_ns, until })) {
            let apart = |skew: Option<Span>| skew.is_none_or(|skew| skew.abs() > IN_STEP);
            let last = score.windows.iter().rposition(|window| apart(window.verdict.skew()));
            let first = last.map_or(0, |index| index + 1);
            // A window that is silent at first counts, too, so in step is who has been for all of one: at its end.
            let ends = score.windows.get(first).map(|window| window.at + Span::from_millis(500));
            self.in_step_after_ms = ends.map(|at| (at - self.back_ns).as_secs_f64() * 1e3);
        }
        let other = if self.of == Who::A { b } else { a };
        let music = heard.reference(other, self.range);
        let score = music.and_then(|music| score(other, &music, &over(self.range)).ok());
        self.other_side = score.filter(|score| score.windows_failed == 0).map(|score| score.disturbances);
    }
}

impl RecoveryFigures {
    /// Of these, if there are any.
    pub(super) fn of<'a>(all: impl Iterator<Item = &'a Recovery>) -> Option<Self> {
        let all: Vec<&Recovery> = all.collect();
        let slowest = all.iter().map(|one| one.in_step_after_ms).collect::<Option<Vec<f64>>>();
        let disturbed = |one: &&Recovery| one.other_side.as_ref().map_or(1, Vec::len);
        (!all.is_empty()).then(|| Self {
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
        write!(
            f,
            "both within 1 ms {within} after the start, {count} kills; the other's sound disturbed {disturbed} times"
        )
    }
}

ranged!(at: f64, 5.0 to 3600.0 "s");
ranged!(away: f64, 0.0 to 120.0 "s");
