//! `load`: what a coordinator can carry, measured with simulated devices over real QUIC on this machine.
//!
//! Run it from a release build: `cargo build --release --bins && target/release/load`.

use std::{fmt::Display, path::PathBuf, process::ExitCode, time::Duration};

use anyhow::Context;
use clap::Parser;
use jamsync_examples::load::{
    Activities, Beside, Load, P99_RATIO_MAX, Report, Restart, abuse, measure, measure_activities,
    measure_messages, raise_open_files,
};
use serde::Serialize;

/// Measures logins, durable writes, events, messages, listening activity, memory and a restart of a coordinator that it starts for itself.
#[derive(Debug, Parser)]
#[command(
    name = "load",
    after_help = "Exit status 0 when it was measured, 1 when something acknowledged was lost over the restart, a newest activity did not \
                  arrive, or beside an abuser the p99 of others was more than twice the quiet one, 4 when it could not be measured."
)]
struct Options {
    /// Simulated devices, each with an account
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(2..=100_000))]
    devices: u32,
    /// How long logins are made, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    login_seconds: u64,
    /// Pairs of devices that ask each other for Jams
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=50_000))]
    pairs: u32,
    /// Conversations between accounts of several devices
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    conversations: u32,
    /// Measure messages alone, in place of the rest
    #[arg(long, conflicts_with_all = ["abuse", "activity"])]
    messages: bool,
    /// Measure listening activity alone, in place of the rest
    #[arg(long, conflicts_with = "abuse")]
    activity: bool,
    /// How long activities change, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    activity_seconds: u64,
    /// Measure what others notice of abusers, each for so many seconds, in place of the rest: in how long they are answered
    /// beside each, and the p99 of that over the quiet one
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3_600))]
    abuse: Option<u64>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Folder of jamsync-coordinator [default: this program's]
    #[arg(long, value_name = "DIR")]
    binaries: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("load: {error:#}");
            ExitCode::from(4)
        }
    }
}

/// Whether what was measured is as it should be.
fn run(options: &Options) -> anyhow::Result<bool> {
    raise_open_files()?;
    let beside = || Some(std::env::current_exe().ok()?.parent()?.to_owned());
    let binaries = options.binaries.clone().or_else(beside).context("unknown where this program is")?;
    let load = Load {
        binaries,
        devices: options.devices,
        login_time: Duration::from_secs(options.login_seconds),
        pairs: options.pairs,
        conversations: options.conversations,
        activity_time: Duration::from_secs(options.activity_seconds),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    if let Some(seconds) = options.abuse {
        let abused = runtime.block_on(abuse(&load, Duration::from_secs(seconds)))?;
        show(&abused, options.json)?;
        for Beside { abuser, p99_ratio, .. } in abused.exceeded() {
            eprintln!(
                "load: beside {abuser} others waited {p99_ratio:.2} times as long, {P99_RATIO_MAX} is the most"
            );
        }
        return Ok(abused.exceeded().next().is_none());
    }
    if options.messages {
        show(&runtime.block_on(measure_messages(&load))?, options.json)?;
        return Ok(true);
    }
    if options.activity {
        let activities = runtime.block_on(measure_activities(&load))?;
        show(&activities, options.json)?;
        return Ok(all_arrived(&activities));
    }
    let report: Report = runtime.block_on(measure(&load))?;
    show(&report, options.json)?;
    let Restart { lost, acknowledged, .. } = report.restart;
    if lost > 0 {
        eprintln!("load: {lost} of {acknowledged} acknowledged before the restart are LOST");
    }
    Ok(all_arrived(&report.activities) && lost == 0)
}

/// Whether every viewer had the newest state at the end.
fn all_arrived(Activities(mixes): &Activities) -> bool {
    let missing: usize = mixes.iter().map(|mix| mix.missing).sum();
    if missing > 0 {
        eprintln!("load: {missing} newest states of activities did NOT arrive");
    }
    missing == 0
}

fn show<T: Serialize + Display>(report: &T, json: bool) -> anyhow::Result<()> {
    if json {
        println!("{}", serde_json::to_string_pretty(report)?);
    } else {
        println!("{report}");
    }
    Ok(())
}
