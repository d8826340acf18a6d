//! The player without a thread: the same engine and the same tape, driven by whoever gives it the time.
//!
//! A [`Player`](super::Player) waits by itself; a [`SteppedPlayer`] does nothing between calls, so that a simulation
//! hears in virtual time, bit for bit again, what a node would play. It reads no clock and starts no thread; files
//! are opened while it steps.

use jamsync_protocol::{
    media::SampleRate,
    servo::ServoConfig,
    time::{NodeTime, Span},
    timeline::JamMap,
};

use super::{Plan, PlayerEvent, Report, engine::Engine};
use crate::audio::{
    decode::TrackReader,
    playout::{Reader, Stereo, playout},
};

/// A player that moves only when it is told to.
#[derive(Debug)]
pub struct SteppedPlayer {
    engine: Engine,
    device: Reader,
}

impl SteppedPlayer {
    /// A player for a device of `rate`, which has played nothing yet.
    #[must_use]
    pub fn new(rate: SampleRate, servo: ServoConfig) -> Self {
        let (writer, device) = playout(rate);
        Self { engine: Engine::new(writer, rate, None, servo), device }
    }

    /// Plays by another plan from the next step on.
    pub fn set_plan(&mut self, plan: Plan) {
        self.engine.handle_plan(plan);
    }

    /// Reads the Jam clock by another line from the next step on; `None` silences.
    pub fn set_jam_map(&mut self, map: Option<JamMap>) {
        self.engine.handle_jam_map(map);
    }

    /// The machine slept until `now`.
    pub fn handle_suspend(&mut self, now: NodeTime) {
        self.engine.handle_suspend(now);
    }

    /// Does what is due, and says how long nothing will be unless a plan, a map or the device changes that.
    #[must_use]
    pub fn step(&mut self, now: NodeTime) -> Span {
        let mut rest = self.engine.step(now);
        while let Some(request) = self.engine.poll_open() {
            let opened = TrackReader::open(&request.path);
            self.engine.handle_opened(&request, opened);
            rest = self.engine.step(now);
        }
        rest
    }

    /// The device takes its next frames at `entered`; the first of them is heard `delay` later.
    pub fn take(&mut self, sound: &mut [Stereo], entered: NodeTime, delay: Span) {
        self.device.take(sound.as_flattened_mut(), entered, delay);
    }

    /// What happened since it was last asked, oldest first.
    #[must_use]
    pub fn poll_events(&mut self) -> Vec<PlayerEvent> {
        self.engine.poll_events()
    }

    /// How the sound is doing.
    #[must_use]
    pub fn report(&self) -> Report {
        self.engine.report()
    }
}
