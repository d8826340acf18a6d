//! The demo: a coordinator and two nodes on this machine, driven by the commands that a user types, and the
//! two recordings of their virtual sound cards scored at the end.
//!
//! It stands on the rig, which knows the binaries and the recordings only.

mod music;
mod options;
mod outcome;
mod script;
mod session;

pub use options::{Options, Sabotage};
pub use outcome::{Injected, Outcome, Step};

use std::path::Path;

use anyhow::Context;
use jamsync_node::clock::ClockFaults;
use jamsync_protocol::time::Span;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::rig::{
    node::{LOOPBACK, Setup},
    stage,
};

use crate::lateness::Watcher;

/// Plays the whole demo and says how it went.
///
/// Dropping the future ends every process that it started.
///
/// # Errors
/// What kept the demo from running at all, such as binaries that are not built. A step that fails, or a Jam
/// that is not in sync, is no error but an [`Outcome`].
pub async fn run(options: &Options) -> anyhow::Result<Outcome> {
    let folder = tempfile::Builder::new().prefix("jamsync-demo-").tempdir().context("no temporary folder")?;
    let music = music::choose(options, folder.path())?;
    let seed = options.seed.unwrap_or_else(|| rand::rng().random_range(0..1_000_000));
    let binaries = stage::binaries(options.binaries.as_deref())?;
    let stage = stage::Stage::set(folder.path(), &binaries, setups(options, folder.path(), seed)?).await?;
    let mut session = session::Session::new(stage, options, seed);
    session.tell(&format!("Playing {}.", music.origin));
    let watcher = Watcher::start().context("cannot watch how late this machine is")?;
    script::play(&mut session, &music).await;
    let recordings = session.end().await;
    outcome::judge(options, &music, recordings, watcher.stop())
}

/// How the two nodes are set up; `seed` decides their clocks.
fn setups(options: &Options, folder: &Path, seed: u64) -> anyhow::Result<[Setup; 2]> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let fault = options.sabotage.map(|sabotage| match sabotage {
        Sabotage::ZeroOffset => "--test-zero-offset",
        Sabotage::HoldRate => "--test-hold-rate",
    });
    let mut setup = |index: usize, name: &'static str| -> anyhow::Result<Setup> {
        let home = folder.join(name);
        std::fs::create_dir_all(&home)?;
        let recordings = options.keep.as_deref().unwrap_or(folder);
        std::fs::create_dir_all(recordings)?;
        Ok(Setup {
            name,
            home,
            log: recordings.join(format!("{name}.log")),
            record: (!options.audible).then(|| recordings.join(format!("{name}-recording"))),
            dac_rate: options.dac_ppm.get(index).copied().unwrap_or_default(),
            dac_latency: DAC_LATENCIES[index],
            clock_offset: Span::from_secs_f64(random.random_range(stage::HOURS) * 3_600.0),
            clock_rate: stage::CLOCK_RATES[index],
            clock_faults: ClockFaults::default(),
            fault: fault.filter(|_| index == 0),
            listen: LOOPBACK,
            peer_via: None,
        })
    };
    Ok([setup(0, "ana")?, setup(1, "ben")?])
}

/// The latencies of the two virtual sound cards: long enough that a busy machine does not run them dry.
const DAC_LATENCIES: [Span; 2] = [Span::from_millis(60), Span::from_millis(90)];
