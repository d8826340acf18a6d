//! A run with real processes: a Jam of two as users drive it, through the link, recorded and scored.

mod course;

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

use anyhow::Context;
use jamsync_node::api::Event;
use jamsync_protocol::time::{Ppm, Span};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use course::Run;

use super::{
    Case, Lateness, Mode, RunRecord, SCHEMA_VERSION, case::Who, dry::dry, happening::faults,
    measure::measure, music::Music, progress::Played,
};
use crate::{
    lateness::Watcher,
    link::forwarder::Forwarder,
    rig::{
        clock::true_now,
        node::{LOOPBACK, Node, Setup},
        stage::{CLOCK_RATES, HOURS, Stage},
    },
    score::{Plan, Recording, Score, ScoreError, TrueTime},
};

/// Where a run finds and keeps what it needs.
#[derive(Clone, Debug)]
pub struct Places {
    /// The binaries of the node and the coordinator.
    pub binaries: PathBuf,
    /// The music that is made.
    pub music: PathBuf,
    /// Where recordings are kept; by default they go with the run.
    pub recordings: Option<PathBuf>,
}

/// How fast the sound cards of A and B run.
const DAC_RATES: [Ppm; 2] = [Ppm(60.0), Ppm(-40.0)];
/// From the start of the nodes to the guest's entry, the wait for it not counted, where something is to happen to their
/// clocks: enough to sign up, to read the music and to meet on a busy machine.
const ENTRY_AFTER: Span = Span::from_secs(40);

/// The binaries beside this program, or in `chosen`.
///
/// # Errors
/// Where they are not built.
pub fn binaries(chosen: Option<&Path>) -> anyhow::Result<PathBuf> {
    crate::rig::stage::binaries(chosen)
}

/// Which build measures: that of the node and of the coordinator in a folder, and of this program, whose link and scorer
/// take part.
///
/// # Errors
/// Where one of them is missing.
pub fn build(binaries: &Path) -> anyhow::Result<String> {
    let programs = [binaries.join("jamsync"), binaries.join("jamsync-coordinator"), harness()?];
    let builds = programs.iter().map(|program| build_of(program)).collect::<anyhow::Result<Vec<String>>>()?;
    Ok(builds.join(", "))
}

/// This program.
pub(super) fn harness() -> anyhow::Result<PathBuf> {
    std::env::current_exe().context("unknown which program this is")
}

/// Which build a program is: its size and when it was made.
pub(super) fn build_of(program: &Path) -> anyhow::Result<String> {
    let data = std::fs::metadata(program).with_context(|| format!("there is no {}", program.display()))?;
    let made = data.modified()?.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Ok(format!("{}-{}", data.len(), made.as_secs()))
}

/// Whether `case` can be played by real processes.
///
/// # Errors
/// What it holds that is simulated only.
pub fn check(case: &Case) -> anyhow::Result<()> {
    anyhow::ensure!(
        case.edits.is_none(),
        "{} edits the queue, which is simulated only: use `latency simulate`",
        case.name
    );
    Ok(())
}

/// Plays `case` once; `played` is told how far it is. Dropping the future ends every process that it started.
///
/// # Errors
/// What kept the run from happening at all. What goes wrong in the Jam is recorded.
pub async fn run(case: &Case, seed: u64, places: &Places, played: &Played) -> anyhow::Result<RunRecord> {
    check(case)?;
    let folder =
        tempfile::Builder::new().prefix("jamsync-latency-").tempdir().context("no temporary folder")?;
    let forwarder = Forwarder::start(&case.path, seed).context("cannot start the link")?;
    // Clocks are told before they start what will happen to them, so the entry is reckoned with, not known.
    let begins = true_now() + ENTRY_AFTER + Span::from_secs_f64(case.join_after_s);
    let setups = setups(case, seed, folder.path(), places, &forwarder, begins)?;
    let music = Music::of(case, &places.music)?;
    let mut watcher = Watcher::start()?;
    let stage = Stage::set(folder.path(), &places.binaries, setups).await?;
    let mut run = Run::new(case, stage, begins);
    run.play(&music, &forwarder, played).await;
    let (plan, commands, observations, troubles) = run.end().await;
    let scheduler = Lateness::of(watcher.overshoots());
    let forwarded = forwarder.stop();
    let mut record = RunRecord {
        schema_version: SCHEMA_VERSION,
        mode: Mode::Live,
        build: build(&places.binaries)?,
        case: case.clone(),
        seed,
        link_began_ns: run.link_began,
        score: None,
        troubles,
        observations,
        happenings: run.happenings,
        recoveries: run.recoveries,
        named_missing: [&run.stage.ana, &run.stage.ben].map(named_missing),
        edits: None,
        commands,
        scheduler,
        dry_cards: Vec::new(),
        link: Lateness::of(forwarded.lateness),
        datagrams: forwarded.counts.map(|counts| [counts.sent, counts.delivered]),
    };
    record.check_names();
    match plan {
        Some(plan) => match scored([&run.stage.ana, &run.stage.ben], plan, &music, &mut record) {
            Ok(score) => record.score = Some(score),
            Err(error) => record.troubles.push(format!("not scored: {error}")),
        },
        None => record.troubles.push("the two never played together".to_owned()),
    }
    Ok(record)
}

fn scored(nodes: [&Node; 2], plan: Plan, music: &Music, record: &mut RunRecord) -> Result<Score, ScoreError> {
    let mut read = |node: &Node, of: Who| {
        let lives = node.lives.iter().map(|life| Recording::read(life)).collect::<Result<Vec<_>, _>>()?;
        record.dry_cards.extend(lives.iter().flat_map(|life| dry(life, of)));
        Recording::joined(lives)
    };
    let (a, b) = (read(nodes[0], Who::A)?, read(nodes[1], Who::B)?);
    measure(&a, &b, plan, music, record)
}

fn setups(
    case: &Case,
    seed: u64,
    folder: &Path,
    places: &Places,
    forwarder: &Forwarder,
    begins: TrueTime,
) -> anyhow::Result<[Setup; 2]> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let recordings = places.recordings.as_deref().unwrap_or(folder);
    std::fs::create_dir_all(recordings)?;
    let mut setup = |index: usize, name: &'static str| -> anyhow::Result<Setup> {
        let home = folder.join(name);
        std::fs::create_dir_all(&home)?;
        Ok(Setup {
            name,
            home,
            log: recordings.join(format!("{}-{seed}-{name}.log", case.name)),
            record: Some(recordings.join(format!("{}-{seed}-{name}", case.name))),
            dac_rate: DAC_RATES[index],
            dac_latency: Span::from_millis(i64::from(case.dac_latency_ms[index])),
            clock_offset: Span::from_secs_f64(random.random_range(HOURS) * 3_600.0),
            clock_rate: CLOCK_RATES[index],
            clock_faults: faults(case, [Who::A, Who::B][index], begins),
            fault: None,
            listen: LOOPBACK,
            peer_via: Some(forwarder.doors()[index]),
        })
    };
    Ok([setup(0, "ana")?, setup(1, "ben")?])
}

/// How many entries a node has named as not to be had.
fn named_missing(node: &Node) -> usize {
    let named = node.seen.iter().filter_map(|event| {
        let Event::TrackMissing { entry, .. } = event else { return None };
        Some(entry)
    });
    named.collect::<HashSet<_>>().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_coordinator_is_another_build_and_a_missing_one_is_none() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name, text: &str| std::fs::write(folder.path().join(name), text).expect("writes");
        write("jamsync", "node");
        assert!(build(folder.path()).is_err());
        write("jamsync-coordinator", "one");
        let before = build(folder.path()).expect("both are there");
        assert!(before.ends_with(&build_of(&harness().expect("this")).expect("is there")), "{before}");
        write("jamsync-coordinator", "another");
        assert_ne!(build(folder.path()).expect("both are there"), before);
    }
}
