//! A run with real processes: a Jam of two as users drive it, through the link, recorded and scored.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, bail};
use jamsync_node::api::{AnchorCause, Event, Reply, Request, SeekTo, client::Client};
use jamsync_protocol::time::{Ppm, Span};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tokio::{task::JoinSet, time::sleep};

use super::{
    Action, Case, CommandDelay, Deed, Happening, Lateness, Mode, Observation, RunRecord, SCHEMA_VERSION,
    case::Who, happening::faults, measure::measure, music::Music, observe::Observer,
};
use crate::{
    lateness::Watcher,
    link::forwarder::Forwarder,
    rig::{
        clock::{sleep_until, true_now},
        journal::Journal,
        node::{Node, Setup},
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
/// From asking for the Jam to the entry, about.
const JOINING: Span = Span::from_secs(4);
/// How long before something happens to the clocks the guest must have entered.
const ENTRY_BEFORE: Span = Span::from_secs(3);
/// A node is stopped a little longer than its clock stands still, so that none of it is seen.
const SLEEP_MARGIN: Span = Span::from_millis(5);
/// How long to wait for what the coordinator or the friend does.
const SEEN_MAX: Duration = Duration::from_secs(30);

/// The binaries beside this program, or in `chosen`.
///
/// # Errors
/// Where they are not built.
pub fn binaries(chosen: Option<&Path>) -> anyhow::Result<PathBuf> {
    crate::rig::stage::binaries(chosen)
}

/// Which build of the node a folder holds: its size and when it was made.
///
/// # Errors
/// Where there is none.
pub fn build(binaries: &Path) -> anyhow::Result<String> {
    build_of(&binaries.join("jamsync"))
}

/// Which build a program is: its size and when it was made.
pub(super) fn build_of(program: &Path) -> anyhow::Result<String> {
    let data = std::fs::metadata(program).with_context(|| format!("there is no {}", program.display()))?;
    let made = data.modified()?.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Ok(format!("{}-{}", data.len(), made.as_secs()))
}

/// Plays `case` once. Dropping the future ends every process that it started.
///
/// # Errors
/// What kept the run from happening at all. What goes wrong in the Jam is recorded.
pub async fn run(case: &Case, seed: u64, places: &Places) -> anyhow::Result<RunRecord> {
    anyhow::ensure!(
        case.edits.is_none(),
        "{} edits the queue, which is simulated only: use `latency simulate`",
        case.name
    );
    let folder =
        tempfile::Builder::new().prefix("jamsync-latency-").tempdir().context("no temporary folder")?;
    let forwarder = Forwarder::start(&case.path, seed).context("cannot start the link")?;
    // Clocks are told before they start what will happen to them, so the entry is reckoned with, not known.
    let begins = true_now() + ENTRY_AFTER + Span::from_secs_f64(case.join_after_s);
    let setups = setups(case, seed, folder.path(), places, &forwarder, begins)?;
    let records = [setups[0].record.clone(), setups[1].record.clone()].map(Option::unwrap_or_default);
    let music = Music::of(case, &places.music)?;
    let mut watcher = Watcher::start()?;
    let stage = Stage::set(folder.path(), &places.binaries, setups).await?;
    let mut run = Run::new(case, stage, begins);
    run.play(&music, &forwarder).await;
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
        named_missing: [&run.stage.ana, &run.stage.ben].map(named_missing),
        edits: None,
        commands,
        scheduler,
        link: Lateness::of(forwarded.lateness),
        datagrams: forwarded.counts.map(|counts| [counts.sent, counts.delivered]),
    };
    record.check_names();
    match plan {
        Some(plan) => match scored(&records, plan, &music, &mut record) {
            Ok(score) => record.score = Some(score),
            Err(error) => record.troubles.push(format!("not scored: {error}")),
        },
        None => record.troubles.push("the two never played together".to_owned()),
    }
    Ok(record)
}

fn scored(
    records: &[PathBuf; 2],
    plan: Plan,
    music: &Music,
    record: &mut RunRecord,
) -> Result<Score, ScoreError> {
    let (a, b) = (Recording::read(&records[0])?, Recording::read(&records[1])?);
    measure(&a, &b, plan, music, &mut record.commands)
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
            peer_via: Some(forwarder.doors()[index]),
        })
    };
    Ok([setup(0, "ana")?, setup(1, "ben")?])
}

/// A run under way. Ana is A, the guest; Ben is B, the host.
struct Run<'a> {
    case: &'a Case,
    stage: Stage,
    journal: Journal,
    observer: Option<Observer>,
    commands: Vec<CommandDelay>,
    troubles: Vec<String>,
    link_began: TrueTime,
    /// When the guest's entry is reckoned with.
    begins: TrueTime,
    happenings: Vec<Happening>,
    sleepers: JoinSet<()>,
}

impl<'a> Run<'a> {
    fn new(case: &'a Case, stage: Stage, begins: TrueTime) -> Self {
        Self {
            case,
            stage,
            journal: Journal::default(),
            observer: None,
            commands: Vec::new(),
            troubles: Vec::new(),
            link_began: true_now(),
            begins,
            happenings: Happening::of_case(case, begins),
            sleepers: JoinSet::new(),
        }
    }

    async fn play(&mut self, music: &Music, forwarder: &Forwarder) {
        if let Err(error) = self.try_to_play(music, forwarder).await {
            self.troubles.push(format!("{error:#}"));
        }
    }

    async fn try_to_play(&mut self, music: &Music, forwarder: &Forwarder) -> anyhow::Result<()> {
        self.meet(music).await?;
        let ends = [self.stage.ana.status().await?.me.listen, self.stage.ben.status().await?.me.listen];
        forwarder.connect(ends);
        self.link_began = true_now();
        self.observer = Some(Observer::start(&self.stage).await?);
        let begun = self.join().await?;
        self.await_happenings(begun)?;
        let mut clients = [self.stage.ana.connect().await?, self.stage.ben.connect().await?];
        for (at, action) in self.case.deeds() {
            sleep_until(begun + at).await;
            self.act(&action, &mut clients).await;
        }
        let end = begun + Span::from_secs(i64::from(self.case.seconds));
        sleep_until(end).await;
        self.journal.end(end);
        Ok(())
    }

    /// Both sign up and become contacts; Ben plays, and Ana knows the same files.
    async fn meet(&mut self, music: &Music) -> anyhow::Result<()> {
        let code = self.stage.join_code.clone();
        for name in ["ana", "ben"] {
            let birth = "1990-05-17";
            let sign_up =
                ["init", "--coordinator", &code, "--handle", name, "--birth", birth, "--market", "DE"];
            let node = self.stage.node(name);
            node.run(&sign_up).await?;
            node.follow(None).await?;
        }
        let Reply::Link { link } = self.stage.ana.run(&["link"]).await? else { bail!("no link to send") };
        self.stage.ben.run(&["join", &link]).await?;
        let text =
            |files: &[PathBuf]| files.iter().map(|path| path.display().to_string()).collect::<Vec<_>>();
        let (add, play) = (["library", "add"].map(str::to_owned), ["play".to_owned()]);
        self.stage.ana.run(&[&add[..], &text(&music.guest)].concat()).await?;
        self.stage.ben.run(&[&play[..], &text(&music.queue)].concat()).await?;
        sleep(Duration::from_secs_f64(self.case.join_after_s)).await;
        if !self.happenings.is_empty() {
            sleep_until(self.begins - JOINING).await;
        }
        Ok(())
    }

    /// The Jam begins. Scored from Ana's first sample.
    async fn join(&mut self) -> anyhow::Result<TrueTime> {
        let from = [self.stage.ana.catch_up(), self.stage.ben.catch_up()];
        self.stage.ana.run(&["request", "ben"]).await?;
        let asked = |event: &Event| matches!(event, Event::RequestOpened { .. });
        self.stage.ben.wait(from[1], SEEN_MAX, asked).await.context("the request")?;
        self.stage.ben.run(&["accept"]).await?;
        let joined = |event: &Event| matches!(event, Event::JamStarted { .. });
        let plays = |event: &Event| matches!(event, Event::Anchor { playing: true, .. });
        let ana = &mut self.stage.ana;
        ana.wait(from[0], SEEN_MAX, joined).await.context("the start of the Jam")?;
        let joined = ana.seen.iter().rposition(joined).unwrap_or(0);
        ana.wait(joined, SEEN_MAX, plays).await.context("the guest's entry")?;
        let entered = true_now();
        self.journal.enter(entered);
        Ok(entered)
    }

    /// What the clocks were told to go through is left out of the score, and who sleeps is stopped meanwhile.
    fn await_happenings(&mut self, begun: TrueTime) -> anyhow::Result<()> {
        for happening in &self.happenings {
            anyhow::ensure!(
                happening.range.from > begun + ENTRY_BEFORE,
                "the guest entered too late for what was to happen to it; run it on a machine with less to do"
            );
            self.journal.happen(&happening.what, happening.range);
        }
        for node in [&self.stage.ana, &self.stage.ben] {
            if let Some((from, length)) = node.setup.clock_faults.sleep {
                let from = TrueTime::default() + from;
                self.sleepers.spawn(node.stopped(from - SLEEP_MARGIN, from + length + SLEEP_MARGIN)?);
            }
        }
        Ok(())
    }

    async fn act(&mut self, action: &Action, clients: &mut [Client; 2]) {
        let (request, what, cause) = match action.deed {
            Deed::Pause => (Request::Pause, "pause", AnchorCause::Pause),
            Deed::Resume => (Request::Resume, "resume", AnchorCause::Resume),
            Deed::Seek => {
                let to = SeekTo::ByMs(i64::from(action.by_s) * 1_000);
                (Request::Seek { to }, "seek", AnchorCause::Seek)
            }
            Deed::Skip => (Request::Skip, "skip", AnchorCause::Skip),
        };
        let client = match action.by {
            Who::A => &mut clients[0],
            Who::B => &mut clients[1],
        };
        let at = true_now();
        self.journal.command(what, cause, at);
        self.commands.push(CommandDelay::of(at, action));
        if let Err(error) = client.call(request).await {
            self.troubles.push(format!("{what} at {} s: {error}", action.at_s));
        }
    }

    /// Ends every process.
    async fn end(&mut self) -> (Option<Plan>, Vec<CommandDelay>, Vec<Observation>, Vec<String>) {
        let observations = match self.observer.take() {
            Some(observer) => observer.stop().await,
            None => Vec::new(),
        };
        for node in [&mut self.stage.ana, &mut self.stage.ben] {
            node.catch_up();
            if let Err(error) = node.stop().await {
                self.troubles.push(format!("{}'s daemon does not stop: {error:#}", node.setup.name));
            }
        }
        // Nothing is left to lose in the coordinator: its folder goes with this run.
        let _ = self.stage.coordinator.kill().await;
        let plan = self.journal.plan([&self.stage.ana, &self.stage.ben]);
        (plan, std::mem::take(&mut self.commands), observations, std::mem::take(&mut self.troubles))
    }
}

/// How many entries a node has named as not to be had.
fn named_missing(node: &Node) -> usize {
    let named = node.seen.iter().filter_map(|event| {
        let Event::TrackMissing { entry, .. } = event else { return None };
        Some(entry)
    });
    named.collect::<HashSet<_>>().len()
}
