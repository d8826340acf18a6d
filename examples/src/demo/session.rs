//! One run of the demo: the stage, the story told so far, and what every step came to.

use std::time::Duration;

use jamsync_node::api::AnchorCause;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};

use super::{Options, Step, outcome::Recordings};
use crate::rig::{clock::true_now, journal::Journal, node::Story, stage::Stage};

/// A run that is under way.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) stage: Stage,
    pub(super) journal: Journal,
    steps: Vec<Step>,
    story: Story,
    /// How long the parts of the script last, 1 for a minute in all.
    pace: f64,
    seed: u64,
}

impl Session {
    pub(super) fn new(stage: Stage, options: &Options, seed: u64) -> Self {
        let (story, mut lines) = mpsc::unbounded_channel::<String>();
        let begun = Instant::now();
        tokio::spawn(async move {
            while let Some(line) = lines.recv().await {
                let seconds = begun.elapsed().as_secs();
                println!("{:>2}:{:02}  {line}", seconds / 60, seconds % 60);
            }
        });
        let pace = f64::from(options.seconds) / 60.0;
        Self { stage, journal: Journal::default(), steps: Vec::new(), story, pace, seed }
    }

    /// Tells one line of the story.
    pub(super) fn tell(&self, line: &str) {
        // The story is told by a task that lives as long as this session.
        let _ = self.story.send(line.to_owned());
    }

    /// Where the nodes tell their part of the story.
    pub(super) fn story(&self) -> Story {
        self.story.clone()
    }

    /// Notes what a step came to.
    pub(super) fn note(&mut self, what: &str, result: anyhow::Result<()>) {
        let trouble = result.err().map(|error| format!("{error:#}"));
        if let Some(trouble) = &trouble {
            self.tell(&format!("FAILED: {what}: {trouble}"));
        }
        self.steps.push(Step { what: what.to_owned(), trouble });
    }

    /// Runs one command of `who` and notes what it came to.
    pub(super) async fn command(
        &mut self,
        who: &str,
        arguments: &[&str],
    ) -> Option<jamsync_node::api::Reply> {
        let line = format!("{who}: jamsync {}", arguments.join(" "));
        self.tell(&format!("$ {line}"));
        match self.stage.node(who).run(arguments).await {
            Ok(reply) => {
                self.note(&line, Ok(()));
                Some(reply)
            }
            Err(error) => {
                self.note(&line, Err(error));
                None
            }
        }
    }

    /// Runs a command that changes what is heard, and waits until it has taken effect on both sides.
    pub(super) async fn control(
        &mut self,
        who: &str,
        arguments: &[&str],
        what: &'static str,
        cause: AnchorCause,
    ) {
        let from = [self.stage.ana.catch_up(), self.stage.ben.catch_up()];
        self.journal.command(what, cause, true_now());
        if self.command(who, arguments).await.is_none() {
            return;
        }
        for (name, from) in ["ana", "ben"].into_iter().zip(from) {
            let seen = self.stage.node(name).wait(from, EFFECT_SEEN_MAX, |event| {
                matches!(event, jamsync_node::api::Event::Anchor { cause: found, .. } if *found == cause)
            });
            let seen = seen.await;
            self.note(&format!("{what} takes effect at {name}"), seen);
        }
    }

    /// Lets the music play for a part of the script, given in seconds of a script of one minute, and tells
    /// now and then how the nodes see themselves.
    pub(super) async fn listen(&mut self, seconds: f64) {
        let until = Instant::now() + Duration::from_secs_f64(seconds * self.pace);
        loop {
            let left = until.saturating_duration_since(Instant::now());
            sleep(left.min(STATUS_EVERY)).await;
            if left <= STATUS_EVERY {
                return;
            }
            self.tell_sync().await;
        }
    }

    async fn tell_sync(&self) {
        let node = &self.stage.ana;
        let Ok(status) = node.status().await else { return };
        if let (Some(sync), Some(now)) = (&status.sync, &status.now) {
            self.tell(&format!(
                "{} at {}; ana's clock found {:.3} h apart to ±{}, speed {:+.1} ppm, {} from the beat as she sees it",
                now.title,
                now.position,
                sync.offset.as_secs_f64().abs() / 3_600.0,
                sync.bound,
                sync.rate.0,
                sync.servo_error
            ));
        }
    }

    /// Ends the Jam's scored part and every process.
    pub(super) async fn end(mut self) -> Recordings {
        self.stage.ana.catch_up();
        self.stage.ben.catch_up();
        for name in ["ana", "ben"] {
            let stopped = self.stage.node(name).stop().await;
            self.note(&format!("{name}'s daemon stops"), stopped);
        }
        let plan = self.journal.plan([&self.stage.ana, &self.stage.ben]);
        let setups = [self.stage.ana.setup.clone(), self.stage.ben.setup.clone()];
        // Nothing is left to lose in the coordinator: its folder goes with this run.
        let _ = self.stage.coordinator.kill().await;
        Recordings { plan, setups, steps: self.steps, seed: self.seed }
    }
}

/// How long to wait until a node has told of an effect.
const EFFECT_SEEN_MAX: Duration = Duration::from_secs(5);
/// How often to tell how the nodes see themselves.
const STATUS_EVERY: Duration = Duration::from_secs(4);
