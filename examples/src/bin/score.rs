//! `score`: compares two recordings of a Jam and says how far apart they are.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context;
use clap::Parser;
use jamsync_examples::score::{Assertion, Plan, Recording, score};

/// Compare the recorded outputs of two nodes, from the sound alone.
///
/// Exit status 0 when every assertion holds, 1 when one does not, 2 when the recordings cannot be scored.
#[derive(Debug, Parser)]
struct Arguments {
    /// First side: NAME of NAME.wav and NAME.stamps.csv. Alone: one WAV of both sides, channels 1-2
    /// against 3-4, or left against right.
    first: PathBuf,
    /// Second side.
    second: Option<PathBuf>,
    /// JSON of the stretch to score, the anchors that took effect and the pauses, in true nanoseconds.
    #[arg(long, value_name = "FILE")]
    anchors: Option<PathBuf>,
    /// Write the whole score to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Fail unless this holds, for example p99_us<=1000. May be given several times.
    #[arg(long = "assert", value_name = "FIGURE<=NUMBER")]
    assertions: Vec<Assertion>,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("score: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Whether every assertion holds.
fn run(arguments: &Arguments) -> anyhow::Result<bool> {
    let (a, b) = match &arguments.second {
        Some(second) => (Recording::read(&arguments.first)?, Recording::read(second)?),
        None => Recording::read_both_sides(&arguments.first)?,
    };
    let plan = match &arguments.anchors {
        Some(path) => read_plan(path)?,
        None => Plan::everything_in(&a, &b),
    };
    let score = score(&a, &b, &plan)?;
    if let Some(path) = &arguments.json {
        let file = std::fs::File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
        serde_json::to_writer_pretty(file, &score)?;
    }
    score.judged()?;
    print!("{score}");
    let broken: Vec<&Assertion> = arguments.assertions.iter().filter(|claim| !claim.holds(&score)).collect();
    for assertion in &broken {
        println!("does not hold      {assertion}");
    }
    Ok(broken.is_empty())
}

fn read_plan(path: &Path) -> anyhow::Result<Plan> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is not a plan", path.display()))
}
