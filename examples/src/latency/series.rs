//! The runs of one case, seed by seed, some of them at once. A run that was finished before by the same build is not
//! repeated, so that an interrupted series goes on where it was.

use std::{
    fmt::Write as _,
    io::{IsTerminal as _, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context as _;
use tokio::task::JoinSet;

use super::{Case, RunRecord, Store, Voidness, live, simulate};

/// A case that is about to be played.
#[derive(Debug)]
pub struct Series {
    case: Case,
    store: Store,
    build: String,
    player: Player,
}

/// How the runs are played.
#[derive(Clone, Debug)]
pub enum Player {
    /// By real processes.
    Live(live::Places),
    /// In virtual time.
    Simulated {
        /// Where the music is kept.
        music: PathBuf,
        /// The machine that is imagined.
        machine: simulate::Machine,
    },
}

/// How often a run is tried on a machine that is too busy.
const ATTEMPTS: u32 = 3;
/// Steps of the progress bar.
const BAR: usize = 30;

impl Series {
    /// The runs of `case`, of which the finished ones are kept in the folder `results`.
    ///
    /// # Errors
    /// Where the folder cannot be made or the programs to run are not built.
    pub fn new(case: Case, player: Player, results: &Path) -> anyhow::Result<Self> {
        let build = match &player {
            Player::Live(places) => live::build(&places.binaries)?,
            Player::Simulated { machine, .. } => {
                let program = std::env::current_exe().context("unknown which program this is")?;
                format!("{}, lateness {}", live::build_of(&program)?, machine.lateness)
            }
        };
        let store = match &player {
            Player::Live(_) => Store::open(results)?,
            Player::Simulated { .. } => Store::open(&results.join("simulated"))?,
        };
        Ok(Self { case, store, build, player })
    }

    /// Plays every seed, `jobs` at once, and gives the runs in the order of their seeds.
    ///
    /// # Errors
    /// What kept a run from happening at all, or its result from being kept.
    pub async fn play(self, seeds: std::ops::Range<u64>, jobs: usize) -> anyhow::Result<Vec<RunRecord>> {
        let total = seeds.end.saturating_sub(seeds.start);
        let this = Arc::new(self);
        let mut runs: Vec<RunRecord> = Vec::new();
        let mut playing = JoinSet::new();
        for seed in seeds {
            if let Some(finished) = this.store.find(&this.case, seed, &this.build) {
                println!("{} with seed {seed}: finished before, reused", this.case.name);
                runs.push(finished);
                continue;
            }
            while playing.len() >= jobs.max(1) {
                runs.extend(next_of(&mut playing).await?);
                show_progress(runs.len(), total);
            }
            let this = Arc::clone(&this);
            playing.spawn(async move { this.valid_run(seed).await });
        }
        while let Some(run) = next_of(&mut playing).await? {
            runs.push(run);
            show_progress(runs.len(), total);
        }
        runs.sort_by_key(|run| run.seed);
        Ok(runs)
    }

    /// A run that is not void, or the last of [`ATTEMPTS`].
    async fn valid_run(&self, seed: u64) -> anyhow::Result<RunRecord> {
        let mut attempt = 1;
        loop {
            println!("{} with seed {seed}: {} s, attempt {attempt}", self.case.name, self.case.seconds);
            let record = self.run(seed).await?;
            if record.voidness() == Voidness::Valid {
                self.store.keep(&record)?;
                return Ok(record);
            }
            println!(
                "VOID: 99 % of what was due ran within {:.0} us, of the link's packets within {:.0} us; 2,000 us \
                 are allowed; the longest stall was {:.0} ms, 1,000 are allowed",
                record.scheduler.p99_us,
                record.link.p99_us,
                record.scheduler.max_us / 1e3
            );
            if attempt == ATTEMPTS {
                return Ok(record);
            }
            attempt += 1;
        }
    }

    async fn run(&self, seed: u64) -> anyhow::Result<RunRecord> {
        match &self.player {
            Player::Live(places) => live::run(&self.case, seed, places).await,
            Player::Simulated { music, machine } => {
                let (case, music, machine, build) =
                    (self.case.clone(), music.clone(), *machine, self.build.clone());
                let run = move || simulate::run(&case, seed, &music, machine, &build);
                tokio::task::spawn_blocking(run).await.context("the simulation panicked")?
            }
        }
    }
}

async fn next_of(playing: &mut JoinSet<anyhow::Result<RunRecord>>) -> anyhow::Result<Option<RunRecord>> {
    match playing.join_next().await {
        Some(run) => Ok(Some(run.context("a run panicked")??)),
        None => Ok(None),
    }
}

/// Draws how far the series is, where a person looks on.
fn show_progress(done: usize, total: u64) {
    let total = usize::try_from(total).unwrap_or(usize::MAX).max(1);
    let mut out = std::io::stderr();
    if !out.is_terminal() {
        return;
    }
    let full = BAR.saturating_mul(done) / total;
    let mut line = String::new();
    // Writing to a text cannot fail, and a terminal that went away needs no bar.
    let _ = write!(line, "[{}{}] {done} of {total} runs", "#".repeat(full), ".".repeat(BAR - full.min(BAR)));
    let _ = writeln!(out, "{line}");
}
