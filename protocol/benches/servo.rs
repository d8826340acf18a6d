//! What a callback, a stamp and a step cost: `cargo bench -p jamsync-protocol --bench servo`.
//!
//! A node handles 100 callbacks and 10 steps per second for its one output.

use divan::{Bencher, black_box};
use jamsync_protocol::{
    media::{Frames, SampleRate},
    servo::{AudibleLine, Servo, ServoConfig},
    time::{NodeTime, Ppm, Span},
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Stamps of a 48 kHz device with 10 ms periods and exponential lateness of 0.1 ms.
fn stamps() -> impl Iterator<Item = (Frames, NodeTime)> {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    (0_i64..).zip(0_u64..).map(move |(time, frame)| {
        let late = Span::from_secs_f64(-1e-4 * (1.0 - rng.random::<f64>()).ln());
        (Frames(480 * frame), NodeTime::from_nanos(10_000_000 * time) + late)
    })
}

/// A line whose window is full.
fn warm_line() -> (AudibleLine, impl Iterator<Item = (Frames, NodeTime)>) {
    let mut line = AudibleLine::new(SampleRate::HZ_48000, None);
    let mut stamps = stamps();
    for (frame, audible) in stamps.by_ref().take(2_000) {
        let _ = line.handle_stamp(frame, audible);
    }
    (line, stamps)
}

#[divan::bench]
fn a_second_of_stamps(bencher: Bencher<'_, '_>) {
    let (mut line, mut stamps) = warm_line();
    bencher.bench_local(|| {
        for (frame, audible) in stamps.by_ref().take(100) {
            let _ = black_box(line.handle_stamp(frame, audible));
        }
    });
}

/// As a node does it: the callbacks' own times are followed as well.
#[divan::bench]
fn a_second_of_callbacks(bencher: Bencher<'_, '_>) {
    let mut line = AudibleLine::new(SampleRate::HZ_48000, None);
    let mut callbacks = stamps();
    let mut handle = |count| {
        for (frame, entered) in callbacks.by_ref().take(count) {
            let _ = black_box(line.handle_callback(frame, entered, Span::from_millis(60)));
        }
    };
    handle(2_000);
    bencher.bench_local(|| handle(100));
}

#[divan::bench]
fn the_first_second_of_stamps(bencher: Bencher<'_, '_>) {
    bencher.bench_local(|| {
        let mut line = AudibleLine::new(SampleRate::HZ_48000, None);
        for (frame, audible) in stamps().take(100) {
            let _ = black_box(line.handle_stamp(frame, audible));
        }
        line
    });
}

#[divan::bench]
fn a_question(bencher: Bencher<'_, '_>) {
    let (line, _) = warm_line();
    bencher.bench_local(|| line.audible_at(black_box(Frames(970_000))));
}

#[divan::bench]
fn a_step(bencher: Bencher<'_, '_>) {
    let mut servo = Servo::new(ServoConfig::default());
    let mut now = NodeTime::ZERO;
    bencher.bench_local(|| {
        now += Span::from_millis(100);
        servo.step(now, black_box(Span::from_micros(20)), black_box(Ppm(-30.0)))
    });
}

fn main() {
    divan::main();
}
