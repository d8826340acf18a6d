//! The course of a run: both meet, the music begins, and what the case says is done to them in its time.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context, bail};
use jamsync_node::api::{AnchorCause, Event, Reply, Request, SeekTo};
use jamsync_protocol::time::Span;
use tokio::{task::JoinSet, time::sleep};

use super::super::{
    Action, Case, CommandDelay, Deed, Happening, Observation, Process, Recovery, case::Who,
    incident::Incident, music::Music, observe::Observer, progress::Played,
};
use crate::{
    link::forwarder::Forwarder,
    rig::{
        clock::{sleep_until, true_now},
        journal::Journal,
        stage::Stage,
    },
    score::{Plan, TrueTime},
};

/// From asking for the Jam to the entry, about.
const JOINING: Span = Span::from_secs(4);
/// How long before something happens to the clocks the guest must have entered.
const ENTRY_BEFORE: Span = Span::from_secs(3);
/// A node is stopped a little longer than its clock stands still, so that none of it is seen.
const SLEEP_MARGIN: Span = Span::from_millis(5);
/// How long to wait for what the coordinator or the friend does.
const SEEN_MAX: Duration = Duration::from_secs(30);

/// What is done next.
enum Step {
    Deed(Action),
    Incident(Incident),
}

/// A run under way. Ana is A, the guest; Ben is B, the host.
pub(super) struct Run<'a> {
    case: &'a Case,
    pub(super) stage: Stage,
    journal: Journal,
    observer: Option<Observer>,
    commands: Vec<CommandDelay>,
    troubles: Vec<String>,
    pub(super) link_began: TrueTime,
    /// When the guest's entry is reckoned with.
    begins: TrueTime,
    pub(super) happenings: Vec<Happening>,
    pub(super) recoveries: Vec<Recovery>,
    /// When a process was killed that is not back yet.
    killed: Vec<(Process, TrueTime)>,
    sleepers: JoinSet<()>,
}

impl<'a> Run<'a> {
    pub(super) fn new(case: &'a Case, stage: Stage, begins: TrueTime) -> Self {
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
            recoveries: Vec::new(),
            killed: Vec::new(),
            sleepers: JoinSet::new(),
        }
    }

    pub(super) async fn play(&mut self, music: &Music, forwarder: &Forwarder, played: &Played) {
        if let Err(error) = self.try_to_play(music, forwarder, played).await {
            self.troubles.push(format!("{error:#}"));
        }
    }

    async fn try_to_play(
        &mut self,
        music: &Music,
        forwarder: &Forwarder,
        played: &Played,
    ) -> anyhow::Result<()> {
        self.meet(music).await?;
        let ends = [self.stage.ana.status().await?.me.listen, self.stage.ben.status().await?.me.listen];
        forwarder.connect(ends);
        self.link_began = true_now();
        self.observer = Some(Observer::start(&self.stage));
        let begun = self.join().await?;
        self.await_happenings(begun)?;
        for (at, step) in self.steps() {
            wait(begun, at, played).await;
            match step {
                Step::Deed(action) => self.act(&action).await,
                Step::Incident(incident) => self.suffer(incident, forwarder).await?,
            }
        }
        let lasts = Span::from_secs(i64::from(self.case.seconds));
        wait(begun, lasts, played).await;
        self.journal.end(begun + lasts);
        Ok(())
    }

    /// Everything that is done, in order.
    fn steps(&self) -> Vec<(Span, Step)> {
        let end = Span::from_secs(i64::from(self.case.seconds));
        let deeds = self.case.deeds().into_iter().map(|(at, action)| (at, Step::Deed(action)));
        let incidents =
            self.case.incidents().into_iter().map(|(at, incident)| (at, Step::Incident(incident)));
        let mut steps: Vec<(Span, Step)> = deeds.chain(incidents).filter(|(at, _)| *at < end).collect();
        steps.sort_by_key(|(at, _)| *at);
        steps
    }

    async fn suffer(&mut self, incident: Incident, forwarder: &Forwarder) -> anyhow::Result<()> {
        match incident {
            Incident::Move => {
                forwarder.move_dialler();
                self.recoveries.push(Recovery::from_new_address(true_now()));
            }
            Incident::Kill(process) => {
                self.killed.push((process, true_now()));
                match process {
                    Process::A => self.stage.ana.kill().await?,
                    Process::B => self.stage.ben.kill().await?,
                    Process::Coordinator => self.stage.coordinator.kill().await?,
                }
            }
            Incident::Start(process) => {
                let back = true_now();
                match process {
                    Process::A => self.stage.ana.start_again().await?,
                    Process::B => self.stage.ben.start_again().await?,
                    Process::Coordinator => return self.stage.coordinator.start_again().await,
                }
                let of = self.killed.iter().find(|(killed, _)| *killed == process);
                if let Some((who, killed)) = of.and_then(|(killed, at)| Some((killed.who()?, *at))) {
                    let recovery = Recovery::from_kill(who, killed, back);
                    self.journal.happen("a node that was killed", recovery.range);
                    self.recoveries.push(recovery);
                }
            }
        }
        Ok(())
    }

    /// Both sign up and become contacts; Ben plays, and Ana knows the same files.
    async fn meet(&mut self, music: &Music) -> anyhow::Result<()> {
        let code = self.stage.coordinator.join_code.clone();
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

    async fn act(&mut self, action: &Action) {
        let (request, what, cause) = match action.deed {
            Deed::Pause => (Request::Pause, "pause", AnchorCause::Pause),
            Deed::Resume => (Request::Resume, "resume", AnchorCause::Resume),
            Deed::Seek => {
                let to = SeekTo::ByMs(i64::from(action.by_s) * 1_000);
                (Request::Seek { to }, "seek", AnchorCause::Seek)
            }
            Deed::Skip => (Request::Skip, "skip", AnchorCause::Skip),
        };
        let node = match action.by {
            Who::A => &self.stage.ana,
            Who::B => &self.stage.ben,
        };
        // A connection that asks for nothing for long is closed, so each command has its own; that takes 0.1 ms.
        let client = node.connect().await;
        let at = true_now();
        self.journal.command(what, cause, at);
        self.commands.push(CommandDelay::of(at, action));
        let done = match client {
            Ok(mut client) => client.call(request).await.map(drop).map_err(anyhow::Error::from),
            Err(error) => Err(error),
        };
        if let Err(error) = done {
            self.troubles.push(format!("{what} at {} s: {error}", action.at_s));
        }
    }

    /// Ends every process.
    pub(super) async fn end(&mut self) -> (Option<Plan>, Vec<CommandDelay>, Vec<Observation>, Vec<String>) {
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

/// Waits until `at` after `begun`, and says every second how far the run is.
async fn wait(begun: TrueTime, at: Span, played: &Played) {
    let mut elapsed = (true_now() - begun).max(Span::ZERO);
    while elapsed < at {
        played.set(elapsed);
        sleep_until((begun + elapsed + Span::from_secs(1)).min(begun + at)).await;
        elapsed = true_now() - begun;
    }
}
