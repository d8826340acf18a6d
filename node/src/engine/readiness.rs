//! Readiness of both sides: watched between two steps of the engine, and told to the listener when it changes.

use jamsync_protocol::{
    readiness::{PlayoutState, Readiness, ReadinessWatch},
    time::NodeTime,
};

use super::Engine;
use crate::api::{self, Side, SideReadiness};

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
}
