//! `demo`: a Jam of two listeners on one machine, driven by commands and scored from the sound.

use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use jamsync_examples::demo::{self, Options, Outcome};
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    let mut terminate = match signal(SignalKind::terminate()) {
        Ok(terminate) => terminate,
        Err(error) => return trouble(&error.into()),
    };
    // The branch that is not taken is dropped, and with it every process that it started.
    let outcome = tokio::select! {
        outcome = demo::run(&options) => outcome,
        _ = tokio::signal::ctrl_c() => return ExitCode::from(130),
        _ = terminate.recv() => return ExitCode::from(143),
    };
    match outcome.and_then(|outcome| report(&options, &outcome).map(|()| outcome)) {
        Ok(outcome) if outcome.passed => ExitCode::SUCCESS,
        Ok(outcome) if outcome.void => ExitCode::from(5),
        Ok(_) => ExitCode::FAILURE,
        Err(error) => trouble(&error),
    }
}

/// Prints and writes the result.
fn report(options: &Options, outcome: &Outcome) -> anyhow::Result<()> {
    println!("\n{outcome}");
    if let Some(path) = &options.json {
        let file = std::fs::File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
        serde_json::to_writer_pretty(file, outcome)?;
    }
    Ok(())
}

fn trouble(error: &anyhow::Error) -> ExitCode {
    eprintln!("demo: {error:#}");
    ExitCode::from(4)
}
