//! The demo must say no when a node is broken: runs in real time, of the release binaries that
//! `cargo build --release --bins` makes and `tests/run` has made before.

use std::{
    path::{Path, PathBuf},
    process::Command,
    thread,
};

use jamsync_examples::score::Score;
use jamsync_protocol::time::Span;
use serde_json::Value;

/// Runs the demo with made music; its exit status and its JSON.
fn demo(name: &str, arguments: &[&str]) -> (Option<i32>, Value) {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target");
    let binary: PathBuf = target.join("release/demo");
    assert!(binary.is_file(), "{} is missing: cargo build --release --bins", binary.display());
    let json = target.join(format!("demo-{name}.json"));
    let output = Command::new(binary)
        .args(["--seed", "3", "--seconds", "30", "--json"])
        .arg(&json)
        .args(arguments)
        .output()
        .expect("the demo starts");
    println!("{}", String::from_utf8_lossy(&output.stdout));
    let text = std::fs::read_to_string(&json).expect("the demo writes its result");
    (output.status.code(), serde_json::from_str(&text).expect("the result is JSON"))
}

/// The score of a run in which every step worked, so that nothing but the sound can have failed it.
fn score_alone(result: &Value) -> Score {
    let steps = result["steps"].as_array().expect("steps");
    assert!(steps.iter().all(|step| step["trouble"].is_null()), "{steps:#?}");
    serde_json::from_value(result["score"].clone()).expect("a score")
}

/// Both at once: each is wrong by far more than two runs disturb each other.
#[test]
fn a_clock_offset_forced_to_zero_and_a_playback_rate_held_at_one_are_not_in_sync() {
    thread::scope(|both| {
        both.spawn(zero_offset);
        both.spawn(held_rate);
    });
}

fn zero_offset() {
    let (status, result) = demo("zero-offset", &["--sabotage", "zero-offset"]);
    // 1 says that it failed, 5 that this machine was too busy besides.
    assert!(matches!(status, Some(1 | 5)), "{status:?}");
    let score = score_alone(&result);
    assert_eq!(score.windows_scored, 0, "\n{score}");
    assert!(score.windows_failed > 0, "\n{score}");
}

fn held_rate() {
    let (status, result) = demo("hold-rate", &["--sabotage", "hold-rate", "--dac-ppm", "200", "-200"]);
    // 1 says that it failed, 5 that this machine was too busy besides.
    assert!(matches!(status, Some(1 | 5)), "{status:?}");
    let score = score_alone(&result);
    // Rates that are 400 ppm apart part by 0.4 ms in a second, until the node jumps to undo it.
    let parted = score.summary.is_some_and(|skew| skew.p99 > Span::from_millis(1));
    assert!(parted || score.windows_failed > 0, "\n{score}");
}
