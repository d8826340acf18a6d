//! What the demo can be asked to do.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use jamsync_protocol::time::{Ppm, Span};

/// Run a Jam of two listeners on this machine, then measure from the sound how well they were in step.
///
/// Exit status 0 when they were in step and every step worked, 1 when not, 2 for wrong use, 4 when the demo
/// could not run.
#[derive(Clone, Debug, Parser)]
#[command(name = "demo", max_term_width = 100)]
pub struct Options {
    /// Your own music: a folder; at least four files of half a minute are needed
    pub music: Option<PathBuf>,
    /// Decides the clocks, the sound cards' phases and the made music; another one each time by default
    #[arg(long)]
    pub seed: Option<u64>,
    /// About how many seconds of music to play
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(30..=3_600))]
    pub seconds: u32,
    /// How fast the two virtual sound cards run, in parts per million
    #[arg(long, num_args = 2, value_names = ["ANA", "BEN"], default_values = ["60", "-40"], allow_negative_numbers = true, value_parser = rate)]
    pub dac_ppm: Vec<Ppm>,
    /// Play through the sound card instead; then nothing is measured
    #[arg(long)]
    pub audible: bool,
    /// Write the result to this file
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Keep the recordings, the plan and the logs in this folder
    #[arg(long, value_name = "DIR")]
    pub keep: Option<PathBuf>,
    /// Break the guest's node, to see that the measurement notices
    #[arg(long, value_name = "HOW")]
    pub sabotage: Option<Sabotage>,
    /// Where the binaries are; by default beside this one
    #[arg(long, value_name = "DIR", hide = true)]
    pub binaries: Option<PathBuf>,
    /// Music found by the script that starts this program
    #[arg(long, value_name = "DIR", hide = true)]
    pub found_music: Option<PathBuf>,
}

/// A fault that must show in the score.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Sabotage {
    /// The guest takes the offset between the clocks for zero.
    ZeroOffset,
    /// The guest holds its playback rate at 1.
    HoldRate,
}

/// 99 % of the windows must have a skew of at most this. Unit ms, default 1; more would hide an echo, less
/// is for the latency harness.
pub(super) const SKEW_P99_MAX: Span = Span::from_millis(1);

fn rate(text: &str) -> Result<Ppm, String> {
    let ppm: f64 = text.parse().map_err(|_| "expected a number".to_owned())?;
    if ppm.abs() <= 300.0 { Ok(Ppm(ppm)) } else { Err("expected -300 to 300".to_owned()) }
}
