//! The player as a machine without IO, threads or clock: commands and the time in; frames on the tape, events
//! and the time of the next step out.
//!
//! Every frame on the tape is what the [`Schedule`] says of it. When plan, Jam clock or device turn out to be
//! other than was known when frames were written, the tape is cut at the first frame that is wrong and
//! written again. The servo keeps a sound that is already right from drifting away.

use jamsync_protocol::{
    id::EntryId,
    media::{Frames, SampleRate},
    servo::{Action, AudibleLine, LineEvent, Servo, ServoConfig, feed_forward},
    time::{NodeTime, Ppm, Span},
    timeline::JamMap,
};

use super::{
    PlayerEvent, Report,
    deck::{Deck, OpenRequest},
    schedule::{Plan, Scene, Schedule, Spot},
    tape::{Blend, Tape},
    voice::Voice,
};
use crate::audio::{
    decode::{DecodeError, TrackReader},
    playout::Writer,
};

/// The player's whole state.
#[derive(Debug)]
pub(super) struct Engine {
    device: SampleRate,
    tape: Tape,
    line: AudibleLine,
    servo: Servo,
    plan: Plan,
    map: Option<JamMap>,
    trim: Span,
    deck: Deck,
    voice: Option<Voice>,
    /// What was last said to sound.
    entered: Option<EntryId>,
    steered: Option<NodeTime>,
    missed: Frames,
    idle: bool,
    report: Report,
    events: Vec<PlayerEvent>,
}

impl Engine {
    pub(super) fn new(
        writer: Writer,
        device: SampleRate,
        remembered: Option<Ppm>,
        servo: ServoConfig,
    ) -> Self {
        Self {
            device,
            tape: Tape::new(writer),
            line: AudibleLine::new(device, remembered),
            servo: Servo::new(servo),
            plan: Plan::default(),
            map: None,
            trim: Span::ZERO,
            deck: Deck::default(),
            voice: None,
            entered: None,
            steered: None,
            missed: Frames::ZERO,
            idle: true,
            report: Report::default(),
            events: Vec::new(),
        }
    }

    pub(super) fn handle_plan(&mut self, plan: Plan) {
        self.deck.follow(&plan);
        self.plan = plan;
    }

    pub(super) fn handle_jam_map(&mut self, map: Option<JamMap>) {
        self.map = map;
    }

    pub(super) fn handle_trim(&mut self, trim: Span) {
        self.trim = trim;
    }

    pub(super) fn handle_gain(&mut self, gain: f32) {
        self.tape.writer().set_gain(gain);
    }

    pub(super) fn handle_opened(&mut self, request: &OpenRequest, result: Result<TrackReader, DecodeError>) {
        if let Err(reason) = self.deck.handle_opened(request, result) {
            self.events.push(PlayerEvent::Unplayable { entry: request.entry, reason });
        }
    }

    /// A file to open; answer with [`handle_opened`](Self::handle_opened).
    #[must_use]
    pub(super) fn poll_open(&mut self) -> Option<OpenRequest> {
        self.deck.poll_open()
    }

    /// What happened since it was last asked, oldest first.
    #[must_use]
    pub(super) fn poll_events(&mut self) -> Vec<PlayerEvent> {
        std::mem::take(&mut self.events)
    }

    #[cfg(test)]
    pub(super) fn plan(&self) -> &Plan {
        &self.plan
    }

    #[must_use]
    pub(super) fn report(&self) -> Report {
        self.report
    }

    /// Brings the tape up to date and says how long it stays so. A command makes an earlier step worthwhile.
    #[must_use]
    pub(super) fn step(&mut self, now: NodeTime) -> Span {
        self.take_stamps(now);
        self.watch_for_stalls();
        let earliest = self.tape.taken().plus(self.device.frames_in(GUARD));
        if self.tape.head() < earliest {
            self.tape.skip_to(earliest.plus(self.device.frames_in(GUARD_SOUND)));
            self.retire_voice(Blend::Out);
        }
        self.correct(earliest);
        self.steer(now);
        self.idle = self.fill(now);
        self.tape.publish(self.idle);
        self.update_report(now);
        self.rest()
    }

    fn take_stamps(&mut self, now: NodeTime) {
        while let Some(stamp) = self.tape.writer().poll_stamp() {
            if self.line.handle_stamp(stamp.frame, stamp.entered + stamp.delay) == LineEvent::Restarted {
                self.servo.handle_start(now);
            }
            let latency = self.report.output_latency;
            let share = if latency == Span::ZERO { 1.0 } else { LATENCY_SHARE };
            self.report.output_latency = latency + (stamp.delay - latency).scaled(share);
        }
    }

    fn watch_for_stalls(&mut self) {
        let missed = self.tape.writer().missed();
        let stalled = missed > self.missed && !self.idle;
        if stalled != self.report.stalled {
            self.events.push(if stalled { PlayerEvent::Stalled } else { PlayerEvent::Recovered });
        }
        self.report.stalled = stalled;
        self.missed = missed;
    }

    /// Cuts the tape where it no longer says what the schedule says.
    fn correct(&mut self, earliest: Frames) {
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
                due.entry != written.entry || (due.position - written.position).abs() > self.leap(due.entry)
            }
            _ => true,
        }
    }

    /// How many source frames off a sound is another place and no longer the servo's business.
    fn leap(&self, entry: EntryId) -> f64 {
        self.plan.source(entry).map_or(f64::MAX, |source| source.rate.frames_f64(LEAP))
    }

    /// Every 100 ms: the error of the next frame to the servo, its answer to the resampler.
    fn steer(&mut self, now: NodeTime) {
        let due = self.steered.is_none_or(|last| now.since(last) >= STEER_EVERY);
        let Some(error) = self.error().filter(|_| due) else { return };
        self.steered = Some(now);
        self.servo.handle_spread(self.line.spread());
        let feed_forward = feed_forward(self.line.dac(), self.map.map_or(Ppm::ZERO, |map| map.rate));
        match self.servo.step(now, error, feed_forward) {
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

    /// When the next frame will be heard minus when it should be; `None` while nothing sounds.
    fn error(&self) -> Option<Span> {
        let Scene::Sound(spot) = self.schedule()?.scene_at(self.tape.head()) else { return None };
        let ahead = self.voice.as_ref()?.ahead_of(spot)?;
        let rate = self.plan.source(spot.entry)?.rate;
        let error = Span::from_secs_f64(-ahead / rate.as_f64());
        (error.abs() < LEAP).then_some(error)
    }

    /// Writes ahead to the full depth. Whether there is nothing to play now or later.
    fn fill(&mut self, now: NodeTime) -> bool {
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
        let holds = |voice: &Voice| voice.ahead_of(spot).is_some_and(|ahead| ahead.abs() <= leap);
        if !self.voice.as_ref().is_some_and(holds) {
            let from_start = spot.position < 1.0;
            self.retire_voice(if from_start { Blend::Out } else { Blend::Cross });
            let Some(reader) = self.deck.lend(spot.entry) else { return false };
            self.servo.handle_start(now);
            self.steered = None;
            let feed_forward = feed_forward(self.line.dac(), self.map.map_or(Ppm::ZERO, |map| map.rate));
            let correction = match self.servo.step(now, Span::ZERO, feed_forward) {
                Action::Rate(rate) => rate,
                Action::Reanchor => feed_forward,
            };
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
        let fault = voice.take_fault();
        self.tape.append(&mut sound, written, step);
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
        let rewind = self.device.frames_in(REWIND);
        let room = self.plan.source(spot.entry).map_or(f64::MAX, |source| source.rate.frames_f64(REWIND));
        let at = self.tape.head().minus(rewind);
        let earliest = self.tape.taken().plus(self.device.frames_in(GUARD + GUARD_SOUND));
        if at < earliest || spot.position < 2.0 * room {
            return false;
        }
        self.cut(at, FADE, Blend::Same);
        true
    }

    /// Ends the voice; a short part of what would have come fades out.
    fn retire_voice(&mut self, blend: Blend) {
        let Some(mut voice) = self.voice.take() else { return };
        if !self.tape.is_fading() {
            let mut rest = vec![[0.0; 2]; self.frames(FADE)];
            voice.render(&mut rest);
            self.tape.fade_from(rest, blend);
        }
        self.keep_readers(voice);
    }

    /// Goes on from an earlier frame.
    fn cut(&mut self, at: Frames, fade: Span, blend: Blend) {
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

    fn schedule(&self) -> Option<Schedule<'_>> {
        let map = self.map?;
        self.line.audible_at(Frames::ZERO)?;
        Some(Schedule { plan: &self.plan, map, line: &self.line, trim: self.trim })
    }

    fn frames(&self, span: Span) -> usize {
        usize::try_from(self.device.frames_in(span).0).unwrap_or(0)
    }

    fn update_report(&mut self, now: NodeTime) {
        self.report.error = self.error();
        self.report.rate = self.servo.rate();
        self.report.dac = self.line.dac();
        self.report.missed_frames = self.missed;
        let heard = self.line.frame_at(now - self.trim).map(|position| position.0.max(0.0));
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not below zero")]
        let heard = heard.map(|position| Frames(position as u64));
        self.report.position = heard.and_then(|heard| self.schedule()?.standing_at(heard));
    }

    /// How long the tape lasts until it should be filled again.
    fn rest(&self) -> Span {
        if self.idle {
            return IDLE_STEP;
        }
        let ready = self.device.span_of(self.tape.head().minus(self.tape.taken()));
        (ready - (DEPTH - BLOCK)).max(STEP_MIN).min(STEER_EVERY)
    }
}

/// How far ahead the tape is written. Shorter stutters when the machine is busy, longer only costs memory:
/// commands rewrite what is ahead. Milliseconds, 100 to 400, default 250.
const DEPTH: Span = Span::from_millis(250);

/// How much is written per step. Shorter wakes the thread more often, longer leaves less in reserve.
/// Milliseconds, 20 to 100, default 50.
const BLOCK: Span = Span::from_millis(50);

/// Frames rendered at once.
const BLOCK_FRAMES: usize = 480;

/// How far ahead of the device the tape may still be rewritten. Shorter may be overtaken by a callback while
/// it writes, longer lets a pause be heard later. Milliseconds, 1 to 10, default 2.
const GUARD: Span = Span::from_millis(2);

/// The same where a sound must be begun first, which takes a seek and some decoding. Milliseconds, 5 to 50,
/// default 10.
const GUARD_SOUND: Span = Span::from_millis(10);

/// Length of a fade at a pause, a start or a cut. Milliseconds, 1 to 20, default 5: shorter clicks on bass,
/// longer is heard as sluggish.
const FADE: Span = Span::from_millis(5);

/// How far a sound is begun again where what follows it has changed. Longer than the fade and the filter.
const REWIND: Span = Span::from_millis(10);

/// Length of the cross-fade of a re-anchor. Milliseconds, 5 to 50, default 10.
const CROSS: Span = Span::from_millis(10);

/// How often the servo steps.
const STEER_EVERY: Span = Span::from_millis(100);

/// A difference of plan and tape that ends within this is a boundary that moved by a frame or two.
const TOLERANCE: Span = Span::from_millis(1);

/// A distance that is a seek, not an error of sync. The servo re-anchors well below it.
const LEAP: Span = Span::from_millis(20);

/// The tape is looked after at most this often...
const STEP_MIN: Span = Span::from_millis(5);
/// ...and this often while there is nothing to play, to learn the device's line.
const IDLE_STEP: Span = Span::from_secs(1);

/// Weight of a stamp in the mean output latency.
const LATENCY_SHARE: f64 = 1.0 / 16.0;
