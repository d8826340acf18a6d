//! The runs of one case, seed by seed, some of them at once. A run that was finished and scored before by the same build
//! is not repeated, so that an interrupted series goes on where it was.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use tokio::{task::JoinSet, time::interval};

use super::{
    Case, RunRecord, Store, Voidness, live,
    progress::{Played, Progress, erase, say},
    simulate,
};

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
/// From one drawing of the progress to the next.
const DRAW_EVERY: Duration = Duration::from_millis(500);

impl Series {
    /// The runs of `case`, of which the finished ones are kept in the folder `results`.
    ///
    /// # Errors
    /// Where the folder cannot be made or the programs to run are not built.
    pub fn new(case: Case, player: Player, results: &Path) -> anyhow::Result<Self> {
        let build = match &player {
            Player::Live(places) => live::build(&places.binaries)?,
            Player::Simulated { machine, .. } => {
                format!("{}, lateness {}", live::build_of(&live::harness()?)?, machine.lateness)
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
        let total = usize::try_from(seeds.end.saturating_sub(seeds.start)).unwrap_or(usize::MAX);
        let this = Arc::new(self);
        let mut progress = Progress::new(total, this.case.seconds);
        let mut runs: Vec<RunRecord> = Vec::new();
        let mut playing = JoinSet::new();
        for seed in seeds {
            if let Some(finished) = this.finished(seed) {
                say(&format!("{} with seed {seed}: finished before, reused", this.case.name));
                runs.push(finished);
                progress.end(seed);
                continue;
            }
            while playing.len() >= jobs.max(1) {
                runs.extend(next_of(&mut playing, &mut progress).await?);
            }
            let (this, played) = (Arc::clone(&this), progress.begin(seed));
            playing.spawn(async move { this.valid_run(seed, &played).await });
        }
        while let Some(run) = next_of(&mut playing, &mut progress).await? {
            runs.push(run);
        }
        erase();
        runs.sort_by_key(|run| run.seed);
        Ok(runs)
    }

    /// A run that was finished before; none where recordings are asked for, which it did not leave.
    fn finished(&self, seed: u64) -> Option<RunRecord> {
        let records = matches!(&self.player, Player::Live(places) if places.recordings.is_some());
        if records { None } else { self.store.find(&self.case, seed, &self.build) }
    }

    /// A run that is not void, or the last of [`ATTEMPTS`].
    async fn valid_run(&self, seed: u64, played: &Played) -> anyhow::Result<RunRecord> {
        let mut attempt = 1;
        loop {
            let (name, seconds) = (&self.case.name, self.case.seconds);
            say(&format!("{name} with seed {seed}: {seconds} s, attempt {attempt}"));
            let record = self.run(seed, played).await?;
            if record.voidness() == Voidness::Valid {
                // What could not be scored may be scored the next time.
                if record.score.is_some() {
                    self.store.keep(&record)?;
                }
                return Ok(record);
            }
            say(&format!(
                "VOID: 99 % of what was due ran within {:.0} us, of the link's packets within {:.0} us; 2,000 us \
                 are allowed; the longest stall was {:.0} ms, 1,000 are allowed",
                record.scheduler.p99_us,
                record.link.p99_us,
                record.scheduler.max_us / 1e3
            ));
            if attempt == ATTEMPTS {
                return Ok(record);
            }
            attempt += 1;
        }
    }

    async fn run(&self, seed: u64, played: &Played) -> anyhow::Result<RunRecord> {
        match &self.player {
            Player::Live(places) => live::run(&self.case, seed, places, played).await,
            Player::Simulated { music, machine } => {
                let (case, music, machine, build) =
                    (self.case.clone(), music.clone(), *machine, self.build.clone());
                let played = played.clone();
                let run = move || simulate::run(&case, seed, &music, machine, &build, &played);
                tokio::task::spawn_blocking(run).await.context("the simulation panicked")?
            }
        }
    }
}

/// The next run that is over; until then the progress is drawn.
async fn next_of(
    playing: &mut JoinSet<anyhow::Result<RunRecord>>,
    progress: &mut Progress,
) -> anyhow::Result<Option<RunRecord>> {
    let mut ticks = interval(DRAW_EVERY);
    loop {
        tokio::select! {
            run = playing.join_next() => {
                let Some(run) = run else { return Ok(None) };
                let run = run.context("a run panicked")??;
                progress.end(run.seed);
                return Ok(Some(run));
            }
            _ = ticks.tick() => progress.draw(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::latency::judge::tests::record;

    fn places(recordings: Option<PathBuf>) -> live::Places {
        live::Places { binaries: PathBuf::new(), music: PathBuf::new(), recordings }
    }

    /// A series, of which the finished ones are kept in the folder `results`.
    fn series(results: &Path) -> Series {
        let case = Case::built_in("lan").expect("known");
        let store = Store::open(results).expect("a folder");
        Series { case, store, build: "test".into(), player: Player::Live(places(None)) }
    }

    #[test]
    fn a_run_that_was_not_scored_is_played_again_and_so_is_one_whose_recordings_are_asked_for() {
        let folder = tempfile::tempdir().expect("a folder");
        let series = series(folder.path());
        let record = record(&series.case, 1, 8, 0);
        // As earlier versions kept it.
        series.store.keep(&RunRecord { score: None, ..record.clone() }).expect("writes");
        assert_eq!(series.finished(1), None);
        series.store.keep(&record).expect("writes");
        assert_eq!(series.finished(1), Some(record));
        let recording = Series { player: Player::Live(places(Some(folder.path().into()))), ..series };
        assert_eq!(recording.finished(1), None);
    }
}
