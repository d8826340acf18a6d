//! What one run leaves behind: the score, the nodes' own figures, and under which conditions.

use jamsync_protocol::time::Span;
use serde::{Deserialize, Serialize};

use super::{Action, Blow, Case, Deed, DryCard, EditRecord, Happening, Recovery, case::Who};
use crate::score::{Score, TrueTime};

/// The version of the JSON of records and reports. It rises when a field changes its meaning or goes away.
pub const SCHEMA_VERSION: u32 = 1;

/// One run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// How it was played.
    #[serde(default)]
    pub mode: Mode,
    /// Which programs played and measured: it changes with each build of one of them.
    pub build: String,
    /// What the run was put through.
    pub case: Case,
    /// Decides link, clocks and phases.
    pub seed: u64,
    /// When the link began.
    pub link_began_ns: TrueTime,
    /// The score; none where there was nothing to score.
    pub score: Option<Score>,
    /// Steps that failed, in words.
    pub troubles: Vec<String>,
    /// What the nodes said of themselves, A's and B's by turns.
    pub observations: Vec<Observation>,
    /// What happened to the machines by itself.
    #[serde(default)]
    pub happenings: Vec<Happening>,
    /// How both found together again after a kill, a new address or an outage.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recoveries: Vec<Recovery>,
    /// How many entries A and B have named as not to be had by one of them, and so passed over.
    #[serde(default)]
    pub named_missing: [usize; 2],
    /// The edits of the queue, where the case has any.
    #[serde(default)]
    pub edits: Option<EditRecord>,
    /// From each command to the sound.
    pub commands: Vec<CommandDelay>,
    /// How late the machine ran what was due.
    pub scheduler: Lateness,
    /// Virtual cards that the machine did not serve in time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dry_cards: Vec<DryCard>,
    /// How late datagrams left the link.
    pub link: Lateness,
    /// Datagrams from A to B and back: handed in, and delivered.
    pub datagrams: [[u64; 2]; 2],
}

/// How a run is played.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// By real processes in real time.
    #[default]
    Live,
    /// By the same machines in virtual time.
    Simulated,
}

/// What a node said of itself at one moment, and the truth beside it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// When.
    pub at_ns: TrueTime,
    /// Who.
    pub by: Who,
    /// Its idea of the offset between the clocks minus the true one.
    pub clock_error_us: f64,
    /// What it guarantees that error to be within.
    pub bound_us: f64,
    /// How large it believes that error to be.
    pub spread_us: f64,
    /// The least recent round trip.
    pub round_trip_us: f64,
    /// How much faster it believes the other clock to run.
    pub drift_ppm: f64,
    /// How far its playback rate is from the nominal one.
    pub rate_ppm: f64,
    /// How far it believes its sound to be off.
    pub servo_error_us: f64,
    /// How often its playback has jumped to catch up.
    pub reanchors: u32,
    /// How often its sound card ran dry.
    pub underruns: u64,
}

impl Observation {
    /// Whether the true clock error passes the bound.
    #[must_use]
    pub fn breaks_bound(&self) -> bool {
        self.clock_error_us.abs() > self.bound_us
    }
}

/// From a command to what is heard of it, by the recordings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CommandDelay {
    /// When the command was given.
    pub at_ns: TrueTime,
    /// Who gave it.
    pub by: Who,
    /// What.
    pub deed: Deed,
    /// For a seek: by how many seconds.
    #[serde(default)]
    pub by_s: i32,
    /// Until A's output obeyed; none where the recording does not show it.
    pub until_a_ms: Option<f64>,
    /// Until B's output obeyed.
    pub until_b_ms: Option<f64>,
}

impl CommandDelay {
    /// A command that is given at `at`; what becomes of it is not known yet.
    pub(super) const fn of(at: TrueTime, action: &Action) -> Self {
        let Action { by, deed, by_s, .. } = *action;
        Self { at_ns: at, by, deed, by_s, until_a_ms: None, until_b_ms: None }
    }
}

/// How late something was, over a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Lateness {
    /// Half were at most this late.
    pub p50_us: f64,
    /// 99 % were at most this late.
    pub p99_us: f64,
    /// The worst.
    pub max_us: f64,
}

/// Whether a run says anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Voidness {
    /// It does.
    Valid,
    /// The machine was too busy to measure on.
    Busy,
}

/// The lateness of the scheduler beyond which a run says more of the machine than of the nodes. Unit ms, range 0.5
/// to 5, default 2; less voids runs on any desktop, more lets a busy machine pass for a bad engine.
const LATENESS_P99_MAX: Span = Span::from_millis(2);

/// A stall of the whole machine beyond which a run is void, too: one sleep of thousands does not move the p99, and no
/// output goes on while nothing runs. Unit ms, range 200 to 5,000, default 1,000; less excuses an engine that is
/// starved where it should not be, more blames it for a suspended machine.
const STALL_MAX: Span = Span::from_millis(1_000);

impl RunRecord {
    /// Whether the run counts.
    #[must_use]
    pub fn voidness(&self) -> Voidness {
        let micros = |span: Span| span.as_secs_f64() * 1e6;
        let limit = micros(LATENESS_P99_MAX);
        if self.scheduler.max_us > micros(STALL_MAX) {
            return Voidness::Busy;
        }
        if self.scheduler.p99_us > limit || self.link.p99_us > limit {
            Voidness::Busy
        } else {
            Voidness::Valid
        }
    }

    /// What the nodes said of themselves while nothing had happened of which they could not know yet.
    pub fn observations_at_peace(&self) -> impl Iterator<Item = &Observation> {
        let ranges = self.happenings.iter().map(|one| one.range);
        let kills = self.recoveries.iter().filter(|one| one.after == Blow::Kill);
        let ranges: Vec<_> = ranges.chain(kills.map(|one| one.range)).collect();
        let happens = move |at| ranges.iter().any(|range| range.from <= at && at < range.until);
        self.observations.iter().filter(move |seen| !happens(seen.at_ns))
    }

    /// What is wrong where the case has a track that one side lacks: both must name it.
    pub(super) fn check_names(&mut self) {
        let silent = [Who::A, Who::B].into_iter().zip(self.named_missing).filter(|(_, count)| *count == 0);
        for (who, _) in silent.filter(|_| self.case.two_encodings) {
            self.troubles.push(format!("{who:?} does not name the track that A has in another encoding"));
        }
    }

    /// How late B sounds at `at` because of the asymmetry that was injected.
    #[must_use]
    pub fn hidden_skew_at(&self, at: TrueTime) -> Span {
        self.case.hidden_skew_at(at - self.link_began_ns)
    }
}

impl Lateness {
    /// Of these values, in any order.
    #[must_use]
    pub fn of(mut values: Vec<Span>) -> Self {
        values.sort();
        let micros = |span: Option<Span>| span.map_or(0.0, |span| span.as_secs_f64() * 1e6);
        let share = |share| micros(crate::score::percentile(&values, share));
        Self { p50_us: share(0.5), p99_us: share(0.99), max_us: micros(values.last().copied()) }
    }
}
