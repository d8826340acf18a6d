//! Line and servo in closed loop with the simulated card. Each test prints its rows of the table in
//! `docs/servo.md`: `cargo test -p jamsync-protocol servo::tests -- --nocapture`.

extern crate std;

mod coarse;
mod settling;

use alloc::{vec, vec::Vec};
use std::println;

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::{
    AudibleLine, LineEvent, ServoConfig,
    sim::{Outcome, Scene, play, quantile, sizes},
};
use crate::{
    media::{Frames, SampleRate},
    time::{NodeTime, Ppm, Span},
};

/// Seeds of every scene; errors of all of them are pooled.
const SEEDS: core::ops::Range<u64> = 1..4;

/// What a scene has to keep, in µs of heard error against the clock that the servo was given.
struct Limits {
    /// Worst within the first 100 ms of sound.
    start: f64,
    /// 99th percentile of the first minute.
    minute_p99: f64,
    /// Median and 99th percentile after a minute.
    steady: (f64, f64),
    /// Re-anchors of the worst seed.
    reanchors: usize,
}

fn run(name: &str, scene: &Scene) -> (Limits, Vec<Outcome>) {
    let outcomes: Vec<Outcome> = SEEDS.map(|seed| play(&Scene { seed, ..scene.clone() })).collect();
    let heard: Vec<(f64, f64)> = outcomes.iter().flat_map(|out| out.heard.iter().copied()).collect();
    let (start, minute, steady) =
        (sizes(&heard, 0.0, 0.1), sizes(&heard, 0.0, 60.0), sizes(&heard, 60.0, 1e9));
    let seen = Limits {
        start: quantile(&start, 1.0),
        minute_p99: quantile(&minute, 0.99),
        steady: (quantile(&steady, 0.5), quantile(&steady, 0.99)),
        reanchors: outcomes.iter().map(|out| out.reanchors.len()).max().unwrap_or(0),
    };
    println!(
        "| {name} | {:.0} | {:.0} | {:.0} | {:.0} | {:.0} | {:.0} | {} |",
        seen.start,
        quantile(&minute, 0.5),
        seen.minute_p99,
        seen.steady.0,
        seen.steady.1,
        quantile(&steady, 1.0),
        seen.reanchors,
    );
    (seen, outcomes)
}

fn hold(name: &str, scene: &Scene, limits: &Limits) -> Vec<Outcome> {
    let (seen, outcomes) = run(name, scene);
    assert!(seen.start <= limits.start, "{name}: start error");
    assert!(seen.minute_p99 <= limits.minute_p99, "{name}: first minute");
    assert!(seen.steady.0 <= limits.steady.0, "{name}: median");
    assert!(seen.steady.1 <= limits.steady.1, "{name}: 99th percentile");
    assert!(seen.reanchors <= limits.reanchors, "{name}: re-anchors");
    let limit = scene.config.limit.0 + 1e-9;
    assert!(outcomes.iter().all(|out| out.correction_max <= limit), "{name}: correction");
    outcomes
}

fn scene() -> Scene {
    Scene { seconds: 180.0, ..Scene::default() }
}

const FINE: Limits = Limits { start: 60.0, minute_p99: 60.0, steady: (10.0, 15.0), reanchors: 0 };

#[test]
fn a_usual_device_is_on_time_from_the_first_sample() {
    println!("seeds {SEEDS:?}");
    for outcome in hold("usual", &scene(), &FINE) {
        let beyond = f64::from(outcome.beyond_spread) / f64::from(outcome.judged);
        println!("beyond the spread: {beyond}; rate off by {:.2} ppm", outcome.dac_error_ppm);
        assert!(beyond < 0.1, "the spread is too narrow");
        assert!(outcome.dac_error_ppm.abs() < 1.0, "the rate is wrong");
    }
    let fast = Scene { dac_ppm: 60.0, jam_ppm: 30.0, ..scene() };
    hold("60 ppm fast, Jam clock 30 ppm fast", &fast, &FINE);
    let known = Limits { start: 20.0, minute_p99: 20.0, ..FINE };
    let remembered = Scene { dac_ppm: -200.0, remembered: Some(Ppm(-198.0)), ..scene() };
    hold("200 ppm slow, remembered", &remembered, &known);
    hold("200 ppm slow, 1 s of silence before", &Scene { dac_ppm: -200.0, warm: 1.0, ..scene() }, &FINE);
}

#[test]
fn a_device_far_off_its_rate_is_held() {
    println!("seeds {SEEDS:?}");
    let limits = Limits { start: 120.0, minute_p99: 120.0, ..FINE };
    hold("200 ppm fast", &Scene { dac_ppm: 200.0, jam_ppm: 30.0, ..scene() }, &limits);
    hold("200 ppm slow", &Scene { dac_ppm: -200.0, jam_ppm: -30.0, ..scene() }, &limits);
    let further = Limits { start: 160.0, minute_p99: 200.0, steady: (10.0, 25.0), reanchors: 0 };
    let slower = Scene { dac_ppm: -280.0, jam_ppm: 30.0, ..scene() };
    hold("280 ppm slow, Jam clock 30 ppm fast", &slower, &further);
}

#[test]
fn the_clock_estimate_is_followed_as_it_slews() {
    println!("seeds {SEEDS:?}");
    let limits = Limits { steady: (10.0, 30.0), ..FINE };
    hold("clock estimate wanders by 30 µs", &Scene { clock_us: 30.0, ..scene() }, &limits);
}

#[test]
fn late_callbacks_do_not_move_the_line() {
    println!("seeds {SEEDS:?}");
    hold("stalls up to 300 ms every 10 s", &Scene { stall_every: 10.0, ..scene() }, &FINE);
    let busy = Limits { start: 100.0, minute_p99: 150.0, steady: (60.0, 80.0), reanchors: 0 };
    hold("lateness 1 ms", &Scene { late_us: 1_000.0, ..scene() }, &busy);
    let blocks = Limits { start: 150.0, minute_p99: 400.0, steady: (70.0, 150.0), reanchors: 0 };
    let lumpy = Scene { period: 96_000, warm: 3.0, buffer: 2.0, seconds: 300.0, ..scene() };
    hold("blocks of 2 s", &lumpy, &blocks);
    let both = Limits { start: 100.0, minute_p99: 100.0, steady: (60.0, 80.0), reanchors: 0 };
    hold("stamps 50 µs off both ways", &Scene { stamp_noise_us: 50.0, ..scene() }, &both);
}

#[test]
fn nonsense_first_stamps_are_forgotten() {
    println!("seeds {SEEDS:?}");
    for outcome in hold("3 nonsense stamps", &Scene { nonsense: 3, ..scene() }, &FINE) {
        assert!(outcome.restarts.iter().all(|at| *at < 0.15), "restarted at {:?}", outcome.restarts);
    }
}

#[test]
fn hidden_underruns_are_found_and_made_good() {
    println!("seeds {SEEDS:?}");
    let shifts = vec![(70.0, 0.01), (100.0, 0.001), (130.0, 3_600.0)];
    let shifted = Scene { shifts, seconds: 3_780.0, ..scene() };
    let limits = Limits { steady: (15.0, f64::INFINITY), reanchors: 3, ..FINE };
    for outcome in hold("underruns of 10 and 1 ms, an hour asleep", &shifted, &limits) {
        for shift in [70.0, 3_730.0] {
            let found = |at: &f64| (shift..shift + 0.3).contains(at);
            assert!(outcome.restarts.iter().any(found), "{shift}: restarts {:?}", outcome.restarts);
        }
        // A small shift may be a sound server's, which takes it back, so the line only leans towards it at first.
        for (shift, settled) in [(70.0, 1.0), (100.0, 15.0), (3_730.0, 1.0)] {
            let after = sizes(&outcome.heard, shift + settled, shift + 20.0);
            assert!(quantile(&after, 1.0) < 150.0, "after the shift at {shift}");
        }
    }
}

#[test]
fn a_card_that_stands_still_twice_within_seconds_is_made_good_both_times() {
    println!("seeds {SEEDS:?}");
    let shifts = vec![(70.0, 0.006), (72.8, 0.018)];
    let limits = Limits { steady: (15.0, f64::INFINITY), reanchors: 2, ..FINE };
    for outcome in hold("two stops, 2.8 s apart", &Scene { shifts, ..scene() }, &limits) {
        for (shift, until) in [(70.0, 72.2), (72.8, 90.0)] {
            let after = sizes(&outcome.heard, shift + 1.2, until);
            assert!(quantile(&after, 1.0) < 150.0, "after the stop at {shift}");
        }
    }
}

#[test]
fn a_shift_that_a_sound_server_reports_and_takes_back_is_not_followed() {
    println!("seeds {SEEDS:?}");
    let misreports = vec![(70.0, 0.001, 4.0), (90.0, -0.001, 4.0)];
    let limits = Limits { steady: (15.0, 400.0), ..FINE };
    for outcome in hold("reports off by 1 ms, back after 4 s", &Scene { misreports, ..scene() }, &limits) {
        assert!(outcome.restarts.is_empty(), "{:?}", outcome.restarts);
    }
}

#[test]
fn coarse_devices_are_detected_and_averaged() {
    println!("seeds {SEEDS:?}");
    let limits = Limits { start: 6_000.0, minute_p99: 5_000.0, steady: (160.0, 250.0), reanchors: 1 };
    let steps = |coarse_ms, period| Scene { coarse_ms, period, dac_ppm: 60.0, ..scene() };
    for (name, coarse) in [
        ("steps of 10 ms", steps(10.0, 512)),
        ("steps of 3 ms", steps(3.0, 511)),
        ("steps of 1 ms", steps(1.0, 511)),
        ("steps of 10 ms of the clock", Scene { coarse_node: true, ..steps(10.0, 512) }),
    ] {
        for outcome in hold(name, &coarse, &limits) {
            assert!(outcome.coarse, "{name} was not seen to be coarse");
        }
    }
    for outcome in run("usual", &scene()).1 {
        assert!(!outcome.coarse);
    }
}

#[test]
fn the_measurement_sees_what_is_taken_away() {
    println!("seeds {SEEDS:?}");
    let fast = Scene { dac_ppm: 60.0, ..scene() };
    let (raw, _) = run("without the line", &Scene { without_line: true, ..fast.clone() });
    assert!(raw.steady.1 > 4.0 * FINE.steady.1);
    let proportional = ServoConfig { ki: 0.0, fast_factor: 1.0, ..ServoConfig::default() };
    let blind = Scene { without_feed_forward: true, config: proportional, ..fast };
    let (slow, _) = run("without feed-forward and integral", &blind);
    assert!(slow.steady.0 > 10.0 * FINE.steady.0);
    let stuck =
        ServoConfig { limit: Ppm::ZERO, reanchor: Span::MAX, reanchor_fresh: Span::MAX, ..proportional };
    let (held, _) = run("with the rate held", &Scene { config: stuck, ..blind });
    assert!(held.steady.1 > 5_000.0);
}

#[test]
fn a_device_that_reports_in_steps_recovers_from_nonsense_at_its_start() {
    for seed in 1..=5 {
        let outcome = play(&Scene { seed, seconds: 20.0, coarse_ms: 3.2, nonsense: 3, ..Scene::default() });
        let errors = sizes(&outcome.heard, 1.0, 20.0);
        let worst = quantile(&errors, 1.0);
        assert!(worst < 4_000.0, "seed {seed}: {worst} us of {} periods", errors.len());
    }
}

/// How far the line is off at its worst from a second to 20 s after a sleep, in which a card 60 ppm fast stood still for
/// `lost` less than the clock did. It had run for seven seconds; callbacks are late by 0.1 ms on average, some by
/// milliseconds.
fn off_after_a_sleep(seed: u64, lost: Span, told: bool) -> Span {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut line = AudibleLine::new(SampleRate::HZ_48000, None);
    let mut worst = Span::ZERO;
    for callback in 0..2_700_u64 {
        let slept = callback >= 700;
        if callback == 700 && told {
            line.handle_suspend();
        }
        let due = 9_999_400 * i64::try_from(callback).expect("small");
        let heard = NodeTime::from_nanos(due) - if slept { lost } else { Span::ZERO };
        let spike = if rng.random_bool(0.01) { rng.random_range(0.001..0.005) } else { 0.0 };
        let late = Span::from_secs_f64(spike - 0.000_1 * libm::log(1.0 - rng.random::<f64>()));
        let _ = line.handle_stamp(Frames(480 * callback), heard + late);
        if callback > 800 {
            worst = worst.max((line.audible_at(Frames(480 * callback)).expect("stamped") - heard).abs());
        }
    }
    worst
}

#[test]
fn a_card_that_stood_still_for_a_little_less_than_the_clock_is_found_where_it_is_after_a_sleep() {
    for seed in 0..10 {
        let lost = Span::from_micros(1_400);
        let (told, untold) = (off_after_a_sleep(seed, lost, true), off_after_a_sleep(seed, lost, false));
        println!("seed {seed}: off by {told}, and by {untold} where nobody tells the line");
        assert!(told < Span::from_micros(150), "seed {seed}: off by {told}");
    }
}

/// What a line is told at a callback.
#[derive(Clone, Copy, PartialEq)]
enum Told {
    /// When the callback came and a delay, together true.
    CallbackAndDelay,
    /// A stamp, as late as the callback.
    Stamp,
}

/// A card 60 ppm fast that stands still for `stop` after `at` seconds: how many seconds later its line is within 150 µs of
/// it for good. Callbacks are `late_us` late on average, some by milliseconds.
fn found_after_a_stop(seed: u64, told: Told, at: f64, stop: f64, late_us: f64) -> f64 {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut line = AudibleLine::new(SampleRate::HZ_48000, None);
    let node = |seconds: f64| NodeTime::ZERO + Span::from_secs_f64(seconds);
    let mut found = 0.0;
    for callback in 0..7_000_u32 {
        let due = f64::from(callback) * 0.009_999_4;
        let due = if due > at { due + stop } else { due };
        let spike = if rng.random_bool(0.01) { rng.random_range(0.001..0.005) } else { 0.0 };
        let late = spike - late_us * 1e-6 * libm::log(1.0 - rng.random::<f64>());
        let (entered, audible) = (node(due + late), node(due + 0.02));
        let frame = Frames(480 * u64::from(callback));
        let _ = match told {
            Told::CallbackAndDelay => line.handle_callback(frame, entered, audible - entered),
            Told::Stamp => line.handle_stamp(frame, entered + Span::from_millis(20)),
        };
        let off = (line.audible_at(frame).expect("stamped") - audible).abs();
        if due > at && off > Span::from_micros(150) {
            found = due - at;
        }
    }
    found
}

/// The longest time until a card is found, of stops of various lengths after various times.
fn slowest_to_find(told: Told, late_us: f64) -> f64 {
    let mut slowest = 0.0_f64;
    for (seed, stop) in (1..).zip([0.000_4, 0.001, 0.001_9, 0.002_9, 0.005, 0.02]) {
        for at in [1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 30.0] {
            slowest = slowest.max(found_after_a_stop(seed, told, at, stop, late_us));
        }
    }
    println!("late by {late_us} µs on average: found after {slowest:.1} s at the latest");
    slowest
}

#[test]
fn a_card_that_stood_still_is_found_at_once_by_its_callbacks_and_reports() {
    // Of callbacks so late that even the least late of a quarter of a second tells little, a stop of 0.4 ms is not.
    for (late_us, limit) in [(20.0, 0.35), (100.0, 0.35), (250.0, 0.35), (600.0, 6.0)] {
        assert!(slowest_to_find(Told::CallbackAndDelay, late_us) < limit, "late by {late_us} us");
    }
}

#[test]
fn a_card_that_stood_still_is_found_by_stamps_alone_however_late_they_are() {
    // A wrong rate, learned while the line stood half before and half after the stop, held it off for minutes once.
    for (late_us, limit) in [(20.0, 7.0), (100.0, 8.0), (250.0, 25.0), (600.0, 35.0)] {
        assert!(slowest_to_find(Told::Stamp, late_us) < limit, "late by {late_us} us");
    }
}

/// How a line fares over a sound server: callbacks every 33 ms, late by 0.5 ms on average, and reports of a model that
/// errs for ten seconds at a time, and of a device that stands still once meanwhile.
#[derive(Default)]
struct Served {
    /// The furthest its rate was off after twenty seconds, in ppm.
    rate: f64,
    /// The furthest it was off after twenty seconds, but for the time after the stop.
    off: Span,
    /// When it restarted after the first twenty, but for the time after the stop.
    restarts: Vec<f64>,
}

/// When the device stands still for 2 ms, and for how long it may take to find it: while the reports are wrong anyway, a stop
/// is told from that by what lasts.
const STOP_AT: f64 = 95.0;
const STOP_LOST_FOR: f64 = 11.0;

/// The error of a report at `at` seconds: from half a minute on `size`, up and down in turn.
fn misreport(at: f64, size: f64) -> f64 {
    let (turn, within) = (libm::floor(at / 30.0), at % 30.0);
    let sign = if turn % 2.0 == 0.0 { 1.0 } else { -1.0 };
    if turn >= 1.0 && within < 10.0 { sign * size * (1.0 - within / 20.0) } else { 0.0 }
}

fn served(seed: u64, size: f64) -> Served {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut line = AudibleLine::new(SampleRate::HZ_48000, None);
    let mut seen = Served::default();
    let node = |seconds: f64| NodeTime::ZERO + Span::from_secs_f64(seconds);
    for callback in 0..4_500_u32 {
        let at = f64::from(callback) * 0.033;
        let due = at * (1.0 - 60e-6) + if at > STOP_AT { 0.002 } else { 0.0 };
        let late = -0.000_5 * libm::log(1.0 - rng.random::<f64>());
        let (entered, audible) = (node(due + late), node(due + 0.08));
        let frame = Frames(1_584 * u64::from(callback));
        let reported = audible + Span::from_secs_f64(misreport(at, size));
        let event = line.handle_callback(frame, entered, reported - entered);
        let judged = at > 20.0 && !(STOP_AT..STOP_AT + STOP_LOST_FOR).contains(&at);
        if event == LineEvent::Restarted && judged {
            seen.restarts.push(at);
        }
        if judged {
            seen.rate = seen.rate.max(libm::fabs(line.dac().0 - 60.0));
        }
        if judged {
            seen.off = seen.off.max((line.audible_at(frame).expect("stamped") - audible).abs());
        }
    }
    seen
}

#[test]
fn a_sound_server_that_errs_does_not_bend_the_line() {
    for seed in 1..=3 {
        for size in [0.0, 0.001, 0.004, 0.015] {
            let seen = served(seed, size);
            println!(
                "seed {seed}, {size} s off: rate off by {:.1} ppm, line by {}, restarts {:?}",
                seen.rate, seen.off, seen.restarts
            );
            assert!(seen.rate < 20.0, "a misreport was taken for the crystal's rate");
            assert!(seen.off < Span::from_micros(400), "the line followed the reports");
            assert!(seen.restarts.is_empty(), "the device never moved then");
        }
    }
}

/// How far the line is off at its worst where the callbacks alone move by `by_ms` after twenty seconds: a sound server fills its
/// buffer otherwise, the reports say so, and the device plays on. Callbacks every 33 ms, late by 0.1 ms on average.
fn off_where_callbacks_alone_move(seed: u64, by_ms: f64) -> (Span, usize) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut line = AudibleLine::new(SampleRate::HZ_48000, None);
    let node = |seconds: f64| NodeTime::ZERO + Span::from_secs_f64(seconds);
    let (mut worst, mut restarts) = (Span::ZERO, 0);
    for callback in 0..1_500_u32 {
        let at = f64::from(callback) * 0.033;
        let moved = if at > 20.0 { by_ms * 1e-3 } else { 0.0 };
        let (entered, audible) = (at + moved - 1e-4 * libm::log(1.0 - rng.random::<f64>()), node(at + 0.08));
        let frame = Frames(1_584 * u64::from(callback));
        let event = line.handle_callback(frame, node(entered), audible - node(entered));
        if at > 10.0 {
            worst = worst.max((line.audible_at(frame).expect("stamped") - audible).abs());
            restarts += usize::from(event == LineEvent::Restarted);
        }
    }
    (worst, restarts)
}

#[test]
fn a_sound_server_that_fills_its_buffer_otherwise_does_not_move_the_line() {
    // It was followed for fifteen seconds once, and then back.
    for (seed, by_ms) in (1..).zip([-15.0, -5.0, -1.5, 1.5, 5.0, 10.0, 15.0]) {
        let (worst, restarts) = off_where_callbacks_alone_move(seed, by_ms);
        println!("callbacks move by {by_ms} ms: off by {worst}, {restarts} restarts");
        assert!(worst < Span::from_micros(300) && restarts == 0, "{by_ms} ms: {worst}, {restarts}");
    }
}
