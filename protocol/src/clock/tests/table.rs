//! The table of precision: every kind of link, several seeds, the error of the clock alone.

use alloc::vec::Vec;

use super::{
    std::println,
    world::{Jitter, Scenario, Score, Way, World},
};
use crate::{
    clock::ClockConfig,
    time::{Ppm, Span},
};

const SEEDS: u64 = 8;

/// Percentiles of one row, in microseconds.
#[derive(Clone, Copy, Debug)]
struct Row {
    p50: f64,
    p99: f64,
    max: f64,
}

fn measure(name: &str, scenario: Scenario) -> [Row; 2] {
    let mut early = Vec::new();
    let mut late = Vec::new();
    let (mut covered, mut all) = (0, 0);
    let mut probes = 0;
    let mut bound = Span::ZERO;
    let mut converged = 0.0_f64;
    for seed in 0..SEEDS {
        let mut world = World::new(scenario, seed);
        let scores = world.run();
        let begin = scores.iter().find(|score| score.estimate.converged).expect("converges").second;
        converged = converged.max(begin);
        for score in &scores {
            assert!(
                score.raw.abs() <= score.estimate.bound,
                "{name}, seed {seed}: the truth is outside the bound: {score:?}"
            );
        }
        let steady = |score: &&Score| score.second >= 60.0;
        early
            .extend(scores.iter().filter(|score| score.estimate.converged && score.second < 60.0).map(error));
        late.extend(scores.iter().filter(steady).map(error));
        bound = bound.max(scores.iter().filter(steady).map(excess).max().unwrap_or_default());
        covered += scores.iter().filter(|score| score.error.abs() <= score.estimate.spread).count();
        all += scores.len();
        probes += world.sent;
    }
    let rows = [row(&mut early), row(&mut late)];
    println!(
        "{name:16} {:7.1} {:7.1} {:7.1} | {:7.1} {:7.1} {:7.1} | {converged:5.1} s | {bound} | {:.1}/s | {:.3}",
        rows[0].p50,
        rows[0].p99,
        rows[0].max,
        rows[1].p50,
        rows[1].p99,
        rows[1].max,
        probes as f64 / 2.0 / SEEDS as f64 / scenario.seconds,
        covered as f64 / all as f64,
    );
    rows
}

fn error(score: &Score) -> f64 {
    score.error.abs().as_secs_f64() * 1e6
}

/// How far the bound exceeds what is promised for it in steady state, if positive.
fn excess(score: &Score) -> Span {
    score.estimate.bound - score.estimate.least_round_trip.scaled(0.55)
}

fn row(errors: &mut [f64]) -> Row {
    errors.sort_by(f64::total_cmp);
    let at = |q: usize| errors.get(errors.len() * q / 100).copied().unwrap_or(f64::NAN);
    Row { p50: at(50), p99: at(99), max: errors.last().copied().unwrap_or(f64::NAN) }
}

#[test]
fn table() {
    use Jitter::{Exponential, Normal};
    let spiky = Way { spike: (0.03, 5.0, 30.0), ..Way::of(2.0, Exponential(1.0)) };
    println!("                 first 60 s: p50 p99 max | then");
    measure("lan", Scenario::symmetric(Way::of(0.1, Exponential(0.05))));
    measure("wifi", Scenario::symmetric(spiky));
    measure("wan50", Scenario::symmetric(Way::of(25.0, Exponential(2.0))));
    measure("wan50-jitter", Scenario::symmetric(Way::of(25.0, Exponential(5.0))));
    measure("wan-normal", Scenario::symmetric(Way::of(20.0, Normal(5.0))));
    measure("40/1", Scenario::of(Way::of(40.0, Exponential(2.0)), Way::of(1.0, Exponential(2.0))));
    measure("30/15", Scenario::of(Way::of(30.0, Exponential(2.0)), Way::of(15.0, Exponential(2.0))));
    let bloated = Way { bloat: Some((60.0, 20.0, 200.0)), ..Way::of(25.0, Exponential(2.0)) };
    measure("bufferbloat", Scenario::of(bloated, Way::of(25.0, Exponential(2.0))));
    let out = Way { outage: Some((200.0, 230.0)), ..Way::of(25.0, Exponential(2.0)) };
    measure("outage", Scenario::symmetric(out));
    let lossy = Way { loss: 0.1, duplicate: 0.05, reorder: true, ..Way::of(25.0, Exponential(2.0)) };
    measure("lossy", Scenario::symmetric(lossy));
    measure("lan-wander", Scenario { wander: 0.02, ..Scenario::symmetric(Way::of(0.1, Exponential(0.05))) });
    measure("normal-wander", Scenario { wander: 0.02, ..Scenario::symmetric(Way::of(20.0, Normal(5.0))) });
    let _ = (ClockConfig::default(), Ppm::ZERO);
}

#[test]
fn tune() {
    for window in [1] {
        let _ = window;
        let scenario = Scenario::symmetric(Way::of(20.0, Jitter::Normal(5.0)));
        let mut at: [Vec<f64>; 5] = Default::default();
        for seed in 0..64 {
            for score in World::new(scenario, seed).run() {
                for (slot, second) in at.iter_mut().zip([5.0, 30.0, 60.0, 200.0, 500.0]) {
                    if (score.second - second).abs() < 0.06 {
                        slot.push(score.error.as_secs_f64() * 1e6);
                        if slot.len() == 2 { println!("{second} {:?}", score.estimate.spread) }
                    }
                }
            }
        }
        for slot in at {
            println!("{:.1}", libm::sqrt(slot.iter().map(|x| x * x).sum::<f64>() / slot.len() as f64));
        }
    }
}
