//! The table of precision: every kind of link, several seeds, the error of the clock alone.
//!
//! The limits asserted are for two seeds; `docs/clock.md` shows the same rows over more.

use alloc::vec::Vec;

use super::{
    std::{println, string::ToString},
    world::{Jitter, Scenario, Score, Way, World},
};

use Jitter::{Exponential, Normal};

/// What a row may not exceed, in microseconds.
struct Limit {
    /// The 99th percentile from the first converged estimate to the 60th second.
    early: f64,
    /// The same after it.
    steady: f64,
    /// How far the bound may exceed 0.55 times the least round trip after it, in milliseconds: half of one is promised
    /// while the floors of both directions are in sight. Without them the drift adds what it is not proven to be.
    excess: f64,
}

/// All that was seen of a row.
#[derive(Default)]
struct Row {
    early: Vec<f64>,
    steady: Vec<f64>,
    /// Whether the error was within the spread.
    covered: Vec<bool>,
    /// When each run converged, in seconds.
    converged: Vec<f64>,
    /// Probes a second of each node.
    rates: Vec<f64>,
    /// The bound less 0.55 times the least round trip, in milliseconds, after the 60th second.
    excess: Vec<f64>,
}

impl Row {
    /// Runs the scenario with every seed, and holds each estimate of both nodes against the truth.
    fn measure(name: &str, scenario: Scenario) -> Self {
        let mut row = Self::default();
        for seed in 0..seeds() {
            let mut world = World::new(scenario, seed);
            let scores = world.run();
            let converged = scores.iter().find(|score| score.estimate.converged);
            row.converged.push(converged.map_or(f64::INFINITY, |score| score.second));
            row.rates.push(f64::from(world.sent) / 2.0 / scenario.seconds);
            for score in scores {
                assert!(score.is_bounded(), "{name}, seed {seed}: the truth is outside the bound: {score:?}");
                row.enter(&score);
            }
        }
        println!("{name:14} {row}");
        row
    }

    fn enter(&mut self, score: &Score) {
        let error = score.error.abs().as_secs_f64() * 1e6;
        if score.second >= 60.0 {
            self.steady.push(error);
            let promised = score.estimate.least_round_trip.scaled(0.55);
            self.excess.push((score.estimate.bound - promised).as_secs_f64() * 1e3);
        } else if score.estimate.converged {
            self.early.push(error);
        }
        self.covered.push(score.error.abs() <= score.estimate.spread);
    }

    fn check(&self, limit: &Limit) {
        assert!(percentile(&self.early, 99) < limit.early, "first minute: {self}");
        assert!(percentile(&self.steady, 99) < limit.steady, "steady state: {self}");
        assert!(percentile(&self.excess, 99) < limit.excess, "the bound is wider than promised: {self}");
        assert!(percentile(&self.converged, 100) < 5.0, "slow to converge: {self}");
        let covered = self.covered.iter().filter(|&&covered| covered).count();
        assert!(covered * 100 > self.covered.len() * 90, "the spread is too narrow: {self}");
    }
}

impl core::fmt::Display for Row {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let [early, steady] = [&self.early, &self.steady]
            .map(|errors| [50, 99, 100].map(|q| percentile(errors, q)).map(|us| alloc::format!("{us:6.1}")));
        let covered = self.covered.iter().filter(|&&covered| covered).count() * 100 / self.covered.len();
        write!(
            f,
            "| {} | {} | {:4.1} s | {:6.2} ms | {covered:3} % | {:4.1}/s |",
            early.join(" | "),
            steady.join(" | "),
            percentile(&self.converged, 100),
            percentile(&self.excess, 99),
            percentile(&self.rates, 50),
        )
    }
}

fn percentile(values: &[f64], q: usize) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get((sorted.len() * q / 100).min(sorted.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
}

/// Two, or as many as `JAMSYNC_CLOCK_SEEDS` says.
fn seeds() -> u64 {
    super::std::env::var("JAMSYNC_CLOCK_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(2)
}

fn wan(base: f64) -> Way {
    Way::of(base, Exponential(2.0))
}

#[test]
fn lan() {
    let row = Row::measure("lan", Scenario::symmetric(Way::of(0.1, Exponential(0.05))));
    row.check(&Limit { early: 40.0, steady: 15.0, excess: 0.5 });
}

#[test]
fn lan_with_a_drift_that_wanders() {
    let lan = Scenario::symmetric(Way::of(0.1, Exponential(0.05)));
    Row::measure("lan-wander", Scenario { wander: 0.02, ..lan }).check(&Limit {
        early: 40.0,
        steady: 20.0,
        excess: 0.5,
    });
}

#[test]
fn wifi() {
    let way = Way { spike: (0.03, 5.0, 30.0), ..Way::of(2.0, Exponential(1.0)) };
    Row::measure("wifi", Scenario::symmetric(way)).check(&Limit { early: 250.0, steady: 80.0, excess: 0.5 });
}

#[test]
fn wan50() {
    Row::measure("wan50", Scenario::symmetric(wan(25.0))).check(&Limit {
        early: 300.0,
        steady: 120.0,
        excess: 0.5,
    });
}

#[test]
fn wan50_jitter() {
    let scenario = Scenario::symmetric(Way::of(25.0, Exponential(5.0)));
    Row::measure("wan50-jitter", scenario).check(&Limit { early: 400.0, steady: 250.0, excess: 0.5 });
}

#[test]
fn wan_normal() {
    let scenario = Scenario::symmetric(Way::of(20.0, Normal(5.0)));
    Row::measure("wan-normal", scenario).check(&Limit { early: 800.0, steady: 500.0, excess: 4.0 });
}

#[test]
fn asymmetric() {
    let limit = Limit { early: 300.0, steady: 120.0, excess: 0.5 };
    Row::measure("40/1", Scenario::of(wan(40.0), wan(1.0))).check(&limit);
    Row::measure("30/15", Scenario::of(wan(30.0), wan(15.0))).check(&limit);
}

#[test]
fn bufferbloat_after_a_quiet_start() {
    let bloated = Way { bloat: Some((60.0, 40.0, 20.0, 200.0)), ..wan(25.0) };
    let row = Row::measure("bufferbloat", Scenario::of(bloated, wan(25.0)));
    row.check(&Limit { early: 300.0, steady: 150.0, excess: 10.0 });
}

#[test]
fn loss_reordering_and_duplication() {
    let way = Way { loss: 0.1, duplicate: 0.05, reorder: true, ..wan(25.0) };
    Row::measure("lossy", Scenario::symmetric(way)).check(&Limit {
        early: 400.0,
        steady: 150.0,
        excess: 0.5,
    });
}

#[test]
fn an_outage_of_30_seconds() {
    let way = Way { outage: Some((200.0, 230.0)), ..wan(25.0) };
    let row = Row::measure("outage", Scenario::symmetric(way));
    row.check(&Limit { early: 300.0, steady: 120.0, excess: 8.0 });
}

#[test]
fn bad_crystals_a_thousand_hours_apart_either_way() {
    for (hours_apart, ppm) in [(1_000, (50.0, -50.0)), (-1_000, (-100.0, 100.0))] {
        let scenario = Scenario { hours_apart, ppm, seconds: 200.0, ..Scenario::symmetric(wan(25.0)) };
        let name = hours_apart.to_string();
        Row::measure(&name, scenario).check(&Limit { early: 1_000.0, steady: 150.0, excess: 0.5 });
    }
}
