//! Rewriting: what was written ahead and is no longer what is due.

use jamsync_protocol::{id::EntryId, media::Frames, time::Span};

use super::{Engine, FADE, GUARD_SOUND, LEAP, REWIND};
use crate::audio::player::{schedule::Scene, tape::Blend};

impl Engine {
    /// Cuts the tape where it no longer says what the schedule says.
    pub(super) fn correct(&mut self, earliest: Frames) {
        let Some(wrong) = self.first_difference(earliest) else { return };
        let Some(schedule) = self.schedule() else {
            self.cut(wrong, FADE, Blend::Out);
            return;
        };
        let due = schedule.scene_at(wrong);
        let before = Frames(wrong.0.saturating_sub(1));
        // The sound before is right and ends here, or leads on into what is due.
        let ends = match (self.tape.written_at(before), schedule.scene_at(before), due) {
            (Scene::Sound(written), Scene::Sound(sound), due) if written.entry == sound.entry => match due {
                Scene::Sound(due) => self.plan.joined_to(sound.entry) == Some(due.entry),
                Scene::Silence => true,
            },
            _ => false,
        };
        let ready = earliest.plus(self.device.frames_in(GUARD_SOUND));
        let overlap = wrong.minus(self.device.frames_in(REWIND));
        let (at, blend) = match due {
            // What follows an end must come out of the same resampler, so the end is begun again.
            _ if ends && overlap >= ready => (overlap, Blend::Same),
            Scene::Silence => (wrong, Blend::Out),
            // The first frame of a track is heard as it is.
            Scene::Sound(spot) if spot.position < 1.0 && wrong >= ready => (wrong, Blend::Out),
            Scene::Sound(_) => (wrong.max(ready), Blend::Cross),
        };
        self.cut(at.min(self.tape.head()), FADE, blend);
    }

    /// The first frame from `from` on that was written as something else than is due now. Differences that
    /// last less than [`TOLERANCE`] are a boundary that moved by a frame, or the servo's to correct.
    fn first_difference(&self, from: Frames) -> Option<Frames> {
        let head = self.tape.head();
        let schedule = self.schedule();
        let mut candidates = vec![from];
        candidates.extend(self.tape.turns().filter(|turn| *turn > from));
        if let Some(schedule) = &schedule {
            let mut change = schedule.next_change(from);
            while let Some(frame) = change.filter(|frame| *frame < head) {
                candidates.push(frame);
                change = schedule.next_change(frame);
            }
        }
        candidates.sort_unstable();
        let differs = |frame: Frames| {
            let due = schedule.as_ref().map_or(Scene::Silence, |schedule| schedule.scene_at(frame));
            self.differ(self.playable(due), self.tape.written_at(frame))
        };
        let lasting = self.device.frames_in(TOLERANCE);
        candidates.into_iter().find(|frame| {
            let later = frame.plus(lasting);
            later < head && differs(*frame) && differs(later)
        })
    }

    /// What can be played of what is due.
    fn playable(&self, due: Scene) -> Scene {
        match due {
            Scene::Sound(spot) if !self.deck.can_play(spot.entry) => Scene::Silence,
            Scene::Silence | Scene::Sound(_) => due,
        }
    }

    fn differ(&self, due: Scene, written: Scene) -> bool {
        match (due, written) {
            (Scene::Silence, Scene::Silence) => false,
            (Scene::Sound(due), Scene::Sound(written)) => {
                due.entry != written.entry
                    || due.has_moved_since(&written)
                    || (due.position - written.position).abs() > self.leap(due.entry)
            }
            _ => true,
        }
    }

    /// How many source frames off a sound is another place and no longer the servo's business.
    pub(super) fn leap(&self, entry: EntryId) -> f64 {
        self.plan.source(entry).map_or(f64::MAX, |source| source.rate.frames_f64(LEAP))
    }
}

/// A difference of plan and tape that ends within this is a boundary that moved by a frame or two.
const TOLERANCE: Span = Span::from_millis(1);
