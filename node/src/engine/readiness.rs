//! Readiness of both sides: watched between two steps of the engine, and told to the listener when it changes.

use jamsync_protocol::{
    readiness::{PlayoutState, Readiness, ReadinessWatch},
    session::Command,
    time::{NodeTime, Span},
    wire::peer::{Announcement, Verb},
};

use super::Engine;
use crate::{
    api::{self, Side, SideReadiness},
    config::WhenAway,
};

/// Both sides of a Jam.
#[derive(Debug)]
pub(super) struct Watches {
    here: ReadinessWatch,
    there: ReadinessWatch,
}

impl Watches {
    pub(super) const fn new(now: NodeTime) -> Self {
        Self { here: ReadinessWatch::new(now), there: ReadinessWatch::new(now) }
    }

    /// Whether a side that is there cannot play what is to begin.
    fn is_either_late(&self) -> bool {
        let late = |watch: &ReadinessWatch| matches!(watch.told(), Readiness::Buffering | Readiness::Stalled);
        late(&self.here) || late(&self.there)
    }

    pub(super) fn view(&self, now: NodeTime) -> api::BothReadiness {
        let side =
            |watch: &ReadinessWatch| SideReadiness { is: watch.told().into(), for_time: watch.since(now) };
        api::BothReadiness { you: side(&self.here), friend: side(&self.there) }
    }
}

impl Engine {
    /// Tells the listener where a side has become ready or is no longer so. Nothing is told before both have met.
    pub(super) fn watch_readiness(&mut self) {
        let now = self.stage.now();
        let here = self.stage.playout_state().into();
        let reported = self.stage.session().peer_report().map_or(PlayoutState::Ready, |report| report.state);
        let Some(jam) = self.jam.as_mut().filter(|jam| jam.met.is_some()) else { return };
        let there = if jam.link.is_some() { reported.into() } else { Readiness::Away };
        let with = jam.with().clone();
        let news = [
            (Side::Here, jam.readiness.here.handle(here, now)),
            (Side::Peer, jam.readiness.there.handle(there, now)),
        ];
        for (side, readiness) in news {
            if let Some(readiness) = readiness {
                self.tell(api::Event::Readiness { with: with.clone(), side, is: readiness.into() });
            }
        }
    }

    /// The timeline has changed. Where the listener lets music wait for the friend, what begins while a side is not
    /// ready waits for it; the host alone can do that.
    pub(super) fn heed_start(&mut self, announcement: &Announcement) {
        let now = self.stage.now();
        let is_host = self.stage.session().is_host();
        if announcement.verb == Verb::Pause {
            self.end_hold_for_good();
        }
        let Some(jam) = self.jam.as_mut().filter(|_| announcement.anchor.playing) else { return };
        // Whoever starts it again while it waits does not want to wait.
        let goes_on = jam.held_until.take().is_some();
        let begins = match announcement.verb {
            Verb::Start | Verb::Play | Verb::Resume | Verb::Skip => true,
            Verb::Pause | Verb::Wait | Verb::Seek | Verb::TrackEnd | Verb::Unplayable | Verb::Removed => {
                false
            }
        };
        let waits = self.settings.when_away == WhenAway::Wait && jam.link.is_some();
        if goes_on || !begins || !is_host || !waits || !jam.readiness.is_either_late() {
            return;
        }
        match self.stage.command(Command::Wait) {
            Ok(()) => jam.held_until = Some(now + HOLD_MAX),
            Err(error) => tracing::warn!(%error, "the music could not be made to wait"),
        }
    }

    /// Somebody decides about the music, so that nothing begins by itself any more. Whether something was to.
    pub(super) fn end_hold_for_good(&mut self) -> bool {
        self.jam.as_mut().is_some_and(|jam| jam.held_until.take().is_some())
    }

    /// Plays on where both have become ready, or have not in time.
    pub(super) fn end_hold(&mut self) {
        let now = self.stage.now();
        let Some(jam) = &mut self.jam else { return };
        let Some(until) = jam.held_until else { return };
        let in_time = !jam.readiness.is_either_late();
        if !in_time && now < until {
            return;
        }
        let with = jam.with().clone();
        if let Err(error) = self.stage.command(Command::Resume) {
            jam.held_until = None;
            self.warn(format!("the music does not go on by itself: {error}; `jamsync resume` plays on"));
        } else if !in_time {
            self.warn(format!(
                "not both of you and {with} are ready, and the music goes on without waiting longer"
            ));
        }
    }
}

/// How long what begins waits for a side that is not ready. Range 2 to 60 s, default 10 s: less goes on without a slow
/// disk, more lets one broken computer keep both silent.
const HOLD_MAX: Span = Span::from_secs(10);
