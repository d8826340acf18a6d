//! Writing ahead: which voice sounds, from where, and what follows it.

use jamsync_protocol::{
    id::EntryId,
    media::Frames,
    time::{NodeTime, Span},
};

use super::{DEPTH, Engine, FADE, GUARD, GUARD_SOUND, REWIND};
use crate::audio::{
    player::{
        PlayerEvent,
        schedule::{Scene, Spot},
        tape::Blend,
        voice::Voice,
    },
    resample::Resampler,
};

impl Engine {
    /// Writes ahead to the full depth. Whether there is nothing to play now or later.
    pub(super) fn fill(&mut self, now: NodeTime) -> bool {
        let target = self.tape.taken().plus(self.device.frames_in(DEPTH));
        while self.tape.head() < target {
            let head = self.tape.head();
            let Some(schedule) = self.schedule() else {
                self.retire_voice(Blend::Out);
                return self.rest_is_silence(target);
            };
            let (scene, change) = (schedule.scene_at(head), schedule.next_change(head));
            let until = change.map_or(target, |change| change.min(target));
            match scene {
                Scene::Sound(spot) if self.ensure_voice(spot, now) => self.write_sound(spot, until),
                Scene::Silence if change.is_none() => {
                    self.retire_voice(Blend::Out);
                    return self.rest_is_silence(target);
                }
                Scene::Sound(_) | Scene::Silence => {
                    self.retire_voice(Blend::Out);
                    self.tape.append_silence(until);
                }
            }
        }
        false
    }

    /// Lets a fade run out; then nothing needs to be written any more.
    fn rest_is_silence(&mut self, target: Frames) -> bool {
        if self.tape.is_fading() {
            self.tape.append_silence(target);
        }
        !self.tape.is_fading()
    }

    /// Whether a voice sounds at `spot`, begun if need be.
    fn ensure_voice(&mut self, spot: Spot, now: NodeTime) -> bool {
        let leap = self.leap(spot.entry);
        let before = self.tape.written_at(self.tape.head().minus(Frames(1)));
        let moved = matches!(before, Scene::Sound(written) if spot.has_moved_since(&written));
        let holds = |voice: &Voice| !moved && voice.ahead_of(spot).is_some_and(|ahead| ahead.abs() <= leap);
        if !self.voice.as_ref().is_some_and(holds) {
            let from_start = spot.position < 1.0;
            self.retire_voice(if from_start { Blend::Out } else { Blend::Cross });
            let Some(reader) = self.deck.lend(spot.entry) else { return false };
            let correction = self.begin_steering(now);
            match Voice::start(reader, spot, self.device, correction) {
                Ok(voice) => self.voice = Some(voice),
                Err(failed) => {
                    if let Some(reader) = failed.reader {
                        self.deck.give_back(spot.entry, *reader);
                    }
                    self.report_fault(spot.entry, &failed.reason);
                    return false;
                }
            }
            if !self.tape.is_fading() && !from_start {
                let silence = vec![[0.0; 2]; self.frames(FADE)];
                self.tape.fade_from(silence, Blend::Cross);
            }
        }
        if self.entered != Some(spot.entry) {
            self.entered = Some(spot.entry);
            self.events.push(PlayerEvent::Entered(spot.entry));
        }
        true
    }

    /// Writes the voice up to `until`, a block at most.
    fn write_sound(&mut self, spot: Spot, until: Frames) {
        if self.prepare_join(spot) {
            return;
        }
        let Some(voice) = &mut self.voice else { return };
        let ahead = voice.ahead_of(spot).unwrap_or(0.0);
        let step = self.plan.source(spot.entry).map_or(1.0, |s| s.rate.as_f64() / self.device.as_f64());
        let written = Scene::Sound(Spot { position: spot.position + ahead, ..spot });
        let count = usize::try_from(until.minus(self.tape.head()).0).unwrap_or(usize::MAX).min(BLOCK_FRAMES);
        let mut sound = vec![[0.0; 2]; count];
        voice.render(&mut sound);
        let (damage, fault) = (voice.take_damage(), voice.take_fault());
        self.tape.append(&mut sound, written, step);
        if let Some(reason) = damage.and_then(|(entry, at)| self.deck.describe_damage(entry, at)) {
            self.events.push(PlayerEvent::Damaged { reason });
        }
        if let Some((entry, error)) = fault {
            self.retire_voice(Blend::Out);
            self.report_fault(entry, &error.to_string());
        }
    }

    /// Leads the voice on into the entry that joins this one. Where silence, or an entry that no longer
    /// follows, was fed behind the end already, the sound is begun again a little earlier: then true.
    fn prepare_join(&mut self, spot: Spot) -> bool {
        let wanted = self.plan.joined_to(spot.entry).filter(|next| self.deck.can_play(*next));
        let Some(voice) = &mut self.voice else { return false };
        let follows = voice.follower_of(spot.entry);
        if follows == wanted {
            return false;
        }
        if let (None, Some(next), true) = (follows, wanted, voice.can_lead_on()) {
            if let Some(reader) = self.deck.lend(next) {
                for (entry, reader) in voice.lead_on(next, reader) {
                    self.deck.give_back(entry, reader);
                }
            }
            return false;
        }
        let Some(source) = self.plan.source(spot.entry) else { return false };
        let room = source.rate.frames_f64(REWIND);
        // Begun again, the resampler must not reach over the end before it is told what follows.
        let reach = Frames(Resampler::lead_in_frames(source.rate, self.device) as u64).as_f64();
        let fits = spot.position >= 2.0 * room && spot.position - room + reach < source.length.as_f64();
        let at = self.tape.head().minus(self.device.frames_in(REWIND));
        let earliest = self.tape.taken().plus(self.device.frames_in(GUARD + GUARD_SOUND));
        if at < earliest || !fits {
            return false;
        }
        self.cut(at, FADE, Blend::Same);
        true
    }

    /// Ends the voice; a short part of what would have come fades out.
    pub(super) fn retire_voice(&mut self, blend: Blend) {
        let Some(mut voice) = self.voice.take() else { return };
        if !self.tape.is_fading() {
            let mut rest = vec![[0.0; 2]; self.frames(FADE)];
            voice.render(&mut rest);
            self.tape.fade_from(rest, blend);
        }
        self.keep_readers(voice);
    }

    /// Goes on from an earlier frame.
    pub(super) fn cut(&mut self, at: Frames, fade: Span, blend: Blend) {
        let frames = self.frames(fade);
        self.tape.cut(at, frames, blend);
        if let Some(voice) = self.voice.take() {
            self.keep_readers(voice);
        }
    }

    fn keep_readers(&mut self, voice: Voice) {
        for (entry, reader) in voice.into_readers() {
            self.deck.give_back(entry, reader);
        }
    }

    fn report_fault(&mut self, entry: EntryId, reason: &str) {
        let reason = self.deck.handle_fault(entry, reason);
        self.events.push(PlayerEvent::Unplayable { entry, reason });
    }
}

/// Frames rendered at once.
const BLOCK_FRAMES: usize = 480;
