//! Steering: the error of the next frame to the servo, its answer to the resampler.

use jamsync_protocol::{
    servo::{Action, feed_forward},
    time::{NodeTime, Ppm, Span},
};

use super::{Engine, GUARD_SOUND, LEAP};
use crate::audio::player::{PlayerEvent, schedule::Scene, tape::Blend};

impl Engine {
    /// Every 100 ms: the error of the next frame to the servo, its answer to the resampler.
    pub(super) fn steer(&mut self, now: NodeTime) {
        let due = self.steered.is_none_or(|last| now.since(last) >= STEER_EVERY);
        let Some(error) = self.error().filter(|_| due) else { return };
        self.steered = Some(now);
        self.servo.handle_spread(self.line.spread());
        match self.servo.step(now, error, self.feed_forward()) {
            Action::Rate(rate) => {
                if let Some(voice) = &mut self.voice {
                    voice.set_correction(rate);
                }
            }
            Action::Reanchor => {
                let at = self.tape.taken().plus(self.device.frames_in(GUARD_SOUND));
                self.cut(at.min(self.tape.head()), CROSS, Blend::Cross);
                self.events.push(PlayerEvent::Reanchored { by: error });
            }
        }
    }

    /// A sound begins at a new place: the rate that it starts with.
    pub(super) fn begin_steering(&mut self, now: NodeTime) -> Ppm {
        self.servo.handle_start(now);
        self.steered = None;
        // A step without an error yields what was learnt before.
        match self.servo.step(now, Span::ZERO, self.feed_forward()) {
            Action::Rate(rate) => rate,
            Action::Reanchor => self.feed_forward(),
        }
    }

    fn feed_forward(&self) -> Ppm {
        feed_forward(self.line.dac(), self.map.map_or(Ppm::ZERO, |map| map.rate))
    }

    /// When the next frame will be heard minus when it should be; `None` while nothing sounds.
    pub(super) fn error(&self) -> Option<Span> {
        let Scene::Sound(spot) = self.schedule()?.scene_at(self.tape.head()) else { return None };
        let ahead = self.voice.as_ref()?.ahead_of(spot)?;
        let rate = self.plan.source(spot.entry)?.rate;
        let error = Span::from_secs_f64(-ahead / rate.as_f64());
        (error.abs() < LEAP).then_some(error)
    }
}

/// How often the servo steps.
pub(super) const STEER_EVERY: Span = Span::from_millis(100);

/// Length of the cross-fade of a re-anchor. Milliseconds, 5 to 50, default 10.
const CROSS: Span = Span::from_millis(10);
