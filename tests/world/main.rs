//! Runs worlds by their seeds: `cargo run --release -p jamsync-tests --bin world -- --seeds 10000 --from 1`.

use std::{
    process::ExitCode,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use clap::{Parser, ValueEnum as _};
use jamsync_protocol::time::Span;
use jamsync_tests::world::{Counters, Lie, Outcome, Plan, Score, Trouble, run, shrink};

/// Runs seeded worlds of two nodes in virtual time and stops at the first that breaks a rule.
#[derive(Debug, Parser)]
struct Options {
    /// How many seeds.
    #[arg(long, default_value_t = 300)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// Replays one seed and tells what happens.
    #[arg(long)]
    seed: Option<u64>,
    /// Virtual minutes per seed, 2 to 600.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(i64).range(2..=600))]
    minutes: i64,
    /// A scenario by name, in place of one of the seed's choice.
    #[arg(long)]
    scenario: Option<String>,
    /// Nobody does anything after the start: the scenario alone.
    #[arg(long)]
    calm: bool,
    /// The host lies about its clock from 60 to 120 s; with --scenario and --calm.
    #[arg(long, value_enum, requires_all = ["scenario", "calm"])]
    lie: Option<Lie>,
    /// How many threads.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=64))]
    threads: u64,
    /// Runs on after a failure and counts.
    #[arg(long)]
    keep_going: bool,
}

fn main() -> anyhow::Result<ExitCode> {
    let options = Options::parse();
    let begun = Instant::now();
    let (from, seeds) = options.seed.map_or((options.from, options.seeds), |seed| (seed, 1));
    let (next, failed) = (AtomicU64::new(0), AtomicU64::new(0));
    let total = Mutex::new(Total::default());
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..options.threads)
            .map(|_| {
                scope.spawn(|| -> anyhow::Result<()> {
                    while failed.load(Ordering::Relaxed) == 0 || options.keep_going {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= seeds {
                            break;
                        }
                        let plan = plan(&options, from + number)?;
                        if options.seed.is_some() {
                            println!("{plan:#?}");
                        }
                        let Ok(outcome) = std::panic::catch_unwind(|| run(&plan)) else {
                            failed.fetch_add(1, Ordering::Relaxed);
                            println!("seed {} on {} panicked, as said above", plan.seed, plan.scenario);
                            println!("{}", replay(&options, &plan));
                            continue;
                        };
                        if outcome.failure.is_some() {
                            failed.fetch_add(1, Ordering::Relaxed);
                            tell(&options, &plan, &outcome);
                        }
                        let done = total.lock().unwrap_or_else(PoisonError::into_inner).add(&outcome);
                        if done.is_multiple_of(100) {
                            eprintln!("{done} of {seeds} worlds, {:.0} s", begun.elapsed().as_secs_f64());
                        }
                    }
                    Ok(())
                })
            })
            .collect();
        workers
            .into_iter()
            .try_for_each(|worker| worker.join().unwrap_or_else(|_| anyhow::bail!("a world panicked")))
    })?;
    let total = total.into_inner().unwrap_or_else(PoisonError::into_inner);
    total.tell(options.minutes, begun.elapsed().as_secs_f64());
    let failed = failed.into_inner();
    println!("{} worlds, {failed} failed", total.worlds);
    let drawn = options.scenario.is_none() && !options.calm && seeds >= SEEDS_TOLD;
    let missed = if drawn { total.missed() } else { Vec::new() };
    for name in &missed {
        println!("{name} happened in less than 1 % of the worlds: these seeds prove nothing of it");
    }
    Ok(if failed == 0 && missed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn plan(options: &Options, seed: u64) -> anyhow::Result<Plan> {
    let lasts = Span::from_secs(60 * options.minutes);
    let trouble = if options.calm { Trouble::None } else { Trouble::Everything };
    let mut plan = match &options.scenario {
        Some(name) => Plan::on(name, seed, lasts, trouble)?,
        None => Plan::draw(seed, lasts, trouble)?,
    };
    plan.lie = options.lie;
    Ok(plan)
}

fn tell(options: &Options, plan: &Plan, outcome: &Outcome) {
    let Some(failure) = &outcome.failure else { return };
    println!("seed {} on {}, after {}: {}", plan.seed, plan.scenario, failure.at, failure.what);
    println!("{}", replay(options, plan));
    if options.keep_going {
        return;
    }
    let small = shrink(plan, SHRINK_RUNS);
    println!("with {} of {} actions it still fails so:", small.actions.len(), plan.actions.len());
    for action in &small.actions {
        println!("  at {}: side {} {:?}", action.at, action.side, action.deed);
    }
}

/// The command that plays a world again.
fn replay(options: &Options, plan: &Plan) -> String {
    let scenario = options.scenario.as_ref().map(|name| format!(" --scenario {name}")).unwrap_or_default();
    let calm = if options.calm { " --calm" } else { "" };
    let lie = options.lie.and_then(|lie| Some(format!(" --lie {}", lie.to_possible_value()?.get_name())));
    let lie = lie.unwrap_or_default();
    format!(
        "replay: cargo run --release -p jamsync-tests --bin world -- --seed {} --minutes {}{scenario}{calm}{lie}",
        plan.seed, options.minutes
    )
}

/// What came of all worlds.
#[derive(Debug, Default)]
struct Total {
    worlds: u64,
    seen: [u64; SEEN.len()],
    actions: u64,
    score: Score,
}

impl Total {
    fn add(&mut self, outcome: &Outcome) -> u64 {
        let Counters { reanchors, outages, epochs, stale, accepted, refused, doubts: _, .. } =
            outcome.counters;
        let Counters { steps, stops, handovers, takeovers, returns, restarts, lefts, kills, .. } =
            outcome.counters;
        let let_go = u32::from(outcome.counters.let_go > 0);
        self.worlds += 1;
        self.actions += u64::from(accepted + refused);
        let hosts = [handovers, takeovers, returns, restarts, lefts, kills];
        let counts =
            [reanchors, outages, epochs, steps, stops, stale].into_iter().chain(hosts).chain([let_go]);
        for (seen, count) in self.seen.iter_mut().zip(counts) {
            *seen += u64::from(count > 0);
        }
        self.score.settled.extend(&outcome.score.settled);
        self.score.settling.extend(&outcome.score.settling);
        self.score.coarse.extend(&outcome.score.coarse);
        self.score.first.extend(&outcome.score.first);
        self.score.bound_used = self.score.bound_used.max(outcome.score.bound_used);
        self.worlds
    }

    /// What happened in less than one world of a hundred.
    fn missed(&self) -> Vec<&'static str> {
        let rare = |&(_, seen): &(&str, u64)| seen * 100 < self.worlds;
        SEEN.into_iter().zip(self.seen).filter(rare).map(|(name, _)| name).collect()
    }

    fn tell(&self, minutes: i64, secs: f64) {
        println!(
            "{} virtual minutes in {secs:.0} s, {} commands",
            self.worlds * minutes.unsigned_abs(),
            self.actions
        );
        for (name, seen) in SEEN.iter().zip(self.seen) {
            println!("worlds with {name}: {seen}");
        }
        let scores = [
            ("settled", &self.score.settled),
            ("settling", &self.score.settling),
            ("coarse cards", &self.score.coarse),
            ("first 20 s", &self.score.first),
        ];
        for (name, skews) in scores {
            let mut skews = skews.clone();
            skews.sort_by(f64::total_cmp);
            let at =
                |share: usize| skews.get((skews.len() * share / 1_000).min(skews.len().saturating_sub(1)));
            let micros = |share| at(share).map_or(f64::NAN, |skew| skew * 1e6);
            println!(
                "skew, {name}: p50 {:.0} us, p99 {:.0} us, largest {:.0} us of {}",
                micros(500),
                micros(990),
                micros(1_000),
                skews.len()
            );
        }
        println!("largest clock error: {:.0} % of its bound", self.score.bound_used * 100.0);
    }
}

/// What must happen often enough for the rules about it to be tried, in the order of [`Total::seen`].
const SEEN: [&str; 13] = [
    "a re-anchor",
    "an outage",
    "a new clock epoch",
    "a clock that jumped",
    "a sound card that stood still",
    "a stale revision",
    "a handover",
    "a guest that took over after silence",
    "a host that came back",
    "a host that came back without its session",
    "a host that left",
    "a process that was killed",
    "a queue that let go of what was played",
];
/// From so many seeds on, what happens too rarely is a failure.
const SEEDS_TOLD: u64 = 100;
/// Worlds that shrinking may run.
const SHRINK_RUNS: u32 = 150;
