//! What the runs of one case add up to. Percentiles pool the windows of all runs that are not void; a window is
//! never left out for being bad. One that failed has no skew: it is counted apart, and weighs where a claim or a goal
//! is judged.

use std::collections::BTreeMap;

use jamsync_protocol::time::Span;
use serde::{Deserialize, Serialize};

use super::{
    Blow, Case, CommandDelay, Deed, EditFigures, Goal, Observation, RecoveryFigures, RunRecord,
    SCHEMA_VERSION, Voidness, allowed::Allowed, case::Who, goals::SETTLED,
};
use crate::score::{TrueTime, percentile};

/// The result of a case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// What was measured.
    pub case: Case,
    /// What it should reach, where that is set.
    pub goal: Option<Goal>,
    /// Where it was measured.
    pub machine: Machine,
    /// The skew as heard, from the first sample; none where nothing could be scored.
    pub raw: Option<Figures>,
    /// The same, after the first minute of each run.
    pub raw_after_60_s: Option<Figures>,
    /// The skew less half the injected asymmetry, from the first sample.
    pub net: Option<Figures>,
    /// The same, after the first minute of each run.
    pub net_after_60_s: Option<Figures>,
    /// The largest p99 of a single run, as heard.
    pub worst_run_p99_us: Option<f64>,
    /// The skew of the first 100 ms after each anchor that starts music; none where no lag stood out.
    pub start_errors_us: Vec<Option<f64>>,
    /// Windows that failed: silent, or not the same music.
    pub failures: usize,
    /// Places where the sound did not simply go on.
    pub discontinuities: usize,
    /// What went wrong in the runs, in words.
    pub troubles: Vec<String>,
    /// The true error of the guest's idea of the clocks' offset, in size.
    pub clock_error: Option<Figures>,
    /// How often a node was asked for its bound.
    pub bound_asked: usize,
    /// How often the true clock error passed the bound. Must be none.
    pub bound_broken: usize,
    /// The largest bound after the first minute, over 1.1 times half the least round trip plus 0.5 ms.
    pub bound_over_goal: Option<f64>,
    /// From a command to both outputs, by what was commanded.
    pub commands: BTreeMap<String, CommandFigures>,
    /// The edits of the queue, where the case has any.
    #[serde(default)]
    pub edits: Option<EditFigures>,
    /// How both found together again after a node was killed.
    #[serde(default)]
    pub recoveries: Option<RecoveryFigures>,
    /// The same after a new address.
    #[serde(default)]
    pub after_new_addresses: Option<RecoveryFigures>,
    /// The same after an outage that lay within a run.
    #[serde(default)]
    pub after_outages: Option<RecoveryFigures>,
    /// The seeds of the runs that count.
    pub seeds: Vec<u64>,
    /// The seeds of the runs that are void, because the machine was too busy.
    pub void_seeds: Vec<u64>,
    /// Every run.
    pub runs: Vec<RunRecord>,
}

/// Percentiles of sizes, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// How many values.
    pub count: usize,
    /// Half were within this.
    pub p50_us: f64,
    /// 95 % were.
    pub p95_us: f64,
    /// 99 % were.
    pub p99_us: f64,
    /// All were.
    pub max_us: f64,
}

/// From a command to the sound, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CommandFigures {
    /// How many commands.
    pub count: usize,
    /// Median and 99 % until the output of the one who gave it; none where none showed it.
    pub own_ms: Option<[f64; 2]>,
    /// Median and 99 % until the other's.
    pub other_ms: Option<[f64; 2]>,
    /// Outputs that did not show it within 1.5 s.
    pub unseen: usize,
    /// By how much the worst output of who gave it passed what the goals allow, of those that showed it; negative where
    /// none did. It says nothing where none showed it.
    #[serde(default)]
    pub own_over_ms: f64,
    /// The same of the other's.
    #[serde(default)]
    pub other_over_ms: f64,
}

/// The machine a measurement ran on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Its processor, as the system names it.
    pub processor: String,
    /// How many threads it runs at once.
    pub cores: usize,
    /// The system's kernel.
    pub kernel: String,
    /// Seconds since 1970, when the report was made.
    pub unix_s: u64,
}

impl Report {
    /// Adds up the runs of `case`.
    #[must_use]
    pub fn of(case: Case, runs: Vec<RunRecord>) -> Self {
        let (valid, void): (Vec<&RunRecord>, Vec<&RunRecord>) =
            runs.iter().partition(|run| run.voidness() == Voidness::Valid);
        let allowed = Allowed::by(&case);
        let scores = || valid.iter().filter_map(|run| run.score.as_ref());
        let seeds = |runs: &[&RunRecord]| runs.iter().map(|run| run.seed).collect();
        let worst = valid.iter().filter_map(|run| Figures::of(skews(&[*run], Span::ZERO, false)));
        let starts = scores().flat_map(|score| &score.starts);
        let seen = || valid.iter().flat_map(|run| run.observations_at_peace());
        let guest = seen().filter(|seen| seen.by == Who::A);
        let scored = |from, net| Figures::of(skews(&valid, from, net));
        let recovered =
            |blow| RecoveryFigures::of(blow, valid.iter().flat_map(|run: &&RunRecord| &run.recoveries));
        Self {
            schema_version: SCHEMA_VERSION,
            goal: Goal::of(&case.name),
            machine: Machine::here(),
            raw: scored(Span::ZERO, false),
            raw_after_60_s: scored(SETTLED, false),
            net: scored(Span::ZERO, true),
            net_after_60_s: scored(SETTLED, true),
            worst_run_p99_us: worst.map(|figures| figures.p99_us).max_by(f64::total_cmp),
            start_errors_us: starts.map(|start| start.skew.map(micros)).collect(),
            failures: scores().map(|score| score.windows_failed).sum(),
            discontinuities: scores().map(|score| score.disturbances.len()).sum(),
            troubles: valid.iter().flat_map(|run| run.troubles.clone()).collect(),
            clock_error: Figures::of(
                guest.map(|seen| Span::from_secs_f64(seen.clock_error_us * 1e-6)).collect(),
            ),
            bound_asked: seen().count(),
            bound_broken: seen().filter(|seen| seen.breaks_bound()).count(),
            bound_over_goal: bound_over_goal(&valid),
            commands: commands(&allowed, &valid),
            edits: EditFigures::of(
                &allowed,
                &valid.iter().filter_map(|run| run.edits.as_ref()).collect::<Vec<_>>(),
            ),
            recoveries: recovered(Blow::Kill),
            after_new_addresses: recovered(Blow::NewAddress),
            after_outages: recovered(Blow::Outage),
            seeds: seeds(&valid),
            void_seeds: seeds(&void),
            case,
            runs,
        }
    }

    /// The recoveries, by what they were from.
    pub(super) fn recovered(&self) -> impl Iterator<Item = &RecoveryFigures> {
        [&self.recoveries, &self.after_new_addresses, &self.after_outages].into_iter().flatten()
    }
}

impl Figures {
    /// Of the sizes of `values`; none where there are none.
    #[must_use]
    pub fn of(values: Vec<Span>) -> Option<Self> {
        let mut sizes: Vec<Span> = values.into_iter().map(Span::abs).collect();
        sizes.sort();
        let share = |share| percentile(&sizes, share).map(micros);
        Some(Self {
            count: sizes.len(),
            p50_us: share(0.5)?,
            p95_us: share(0.95)?,
            p99_us: share(0.99)?,
            max_us: micros(*sizes.last()?),
        })
    }
}

impl Machine {
    fn here() -> Self {
        let about = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = about.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Self {
            processor: model.map_or("unknown", |(_, name)| name.trim()).to_owned(),
            cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            kernel: kernel.trim().to_owned(),
            unix_s: since.as_secs(),
        }
    }
}

/// The skews of all windows that begin at least `from` after the first sample.
fn skews(runs: &[&RunRecord], from: Span, net: bool) -> Vec<Span> {
    let mut all = Vec::new();
    for run in runs {
        let Some(score) = &run.score else { continue };
        let first = score.from + from;
        for window in score.windows.iter().filter(|window| window.at >= first) {
            let hidden = if net { run.hidden_skew_at(window.at) } else { Span::ZERO };
            all.extend(window.verdict.skew().map(|skew| skew - hidden));
        }
    }
    all
}

/// The largest bound in steady state over its goal, which the least round trip of the run sets.
fn bound_over_goal(runs: &[&RunRecord]) -> Option<f64> {
    let of_run = |run: &&RunRecord| {
        let from: TrueTime = run.score.as_ref()?.from + SETTLED;
        let settled: Vec<&Observation> =
            run.observations_at_peace().filter(|seen| seen.at_ns >= from).collect();
        let least = run.observations_at_peace().map(|seen| seen.round_trip_us).min_by(f64::total_cmp)?;
        let most = settled.iter().map(|seen| seen.bound_us).max_by(f64::total_cmp)?;
        Some(most / (1.1 * least / 2.0 + 500.0))
    };
    runs.iter().filter_map(of_run).max_by(f64::total_cmp)
}

fn commands(allowed: &Allowed, runs: &[&RunRecord]) -> BTreeMap<String, CommandFigures> {
    let mut by_deed: BTreeMap<String, Vec<&CommandDelay>> = BTreeMap::new();
    for command in runs.iter().flat_map(|run| &run.commands) {
        let name = match command.deed {
            Deed::Pause => "pause",
            Deed::Resume => "resume",
            Deed::Seek => "seek",
            Deed::Skip => "skip",
        };
        by_deed.entry(name.to_owned()).or_default().push(command);
    }
    by_deed.into_iter().map(|(name, commands)| (name, CommandFigures::of(allowed, &commands))).collect()
}

impl CommandFigures {
    fn of(allowed: &Allowed, commands: &[&CommandDelay]) -> Self {
        let taken = |command: &CommandDelay| match command.by {
            Who::A => [command.until_a_ms, command.until_b_ms],
            Who::B => [command.until_b_ms, command.until_a_ms],
        };
        let [own, other] = [0, 1].map(|side: usize| {
            let of = |command: &&CommandDelay| Some((taken(command)[side]?, allowed.of(command)[side]));
            let seen: Vec<(f64, Span)> = commands.iter().filter_map(of).collect();
            let mut spans: Vec<Span> = seen.iter().map(|(ms, _)| Span::from_secs_f64(ms * 1e-3)).collect();
            spans.sort();
            let share = |share| percentile(&spans, share).map(millis);
            let over = seen.iter().map(|(ms, allowed)| ms - millis(*allowed));
            let worst = over.max_by(f64::total_cmp).unwrap_or(0.0);
            (share(0.5).zip(share(0.99)).map(<[f64; 2]>::from), worst, spans.len())
        });
        Self {
            count: commands.len(),
            own_ms: own.0,
            other_ms: other.0,
            unseen: 2 * commands.len() - own.2 - other.2,
            own_over_ms: own.1,
            other_over_ms: other.1,
        }
    }

    /// By how much the worst output passed what is allowed; one that never showed the command did so without end.
    pub(super) const fn worst_over_ms(&self) -> f64 {
        if self.unseen > 0 { f64::INFINITY } else { self.own_over_ms.max(self.other_over_ms) }
    }

    /// What outputs that showed it took, median and 99 %, and by how much the worst passed what is allowed: of the one who
    /// gave it and of the other, with a dash for what was not seen.
    pub(super) fn shown(&self) -> [[String; 3]; 2] {
        [(self.own_ms, self.own_over_ms), (self.other_ms, self.other_over_ms)].map(|(took, over)| {
            took.map_or(["-", "-", "-"].map(str::to_owned), |[half, most]| {
                [format!("{half:.1}"), format!("{most:.1}"), format!("{over:+.1}")]
            })
        })
    }
}

fn millis(span: Span) -> f64 {
    span.as_secs_f64() * 1e3
}

/// In microseconds; infinite for [`Span::MAX`].
pub(super) fn micros(span: Span) -> f64 {
    if span == Span::MAX { f64::INFINITY } else { span.as_secs_f64() * 1e6 }
}

#[expect(clippy::cast_precision_loss, reason = "no report counts 2^53 of anything")]
pub(super) const fn float(count: usize) -> f64 {
    count as f64
}
