//! The player as a machine without IO, threads or clock: commands and the time in; frames on the tape, events
//! and the time of the next step out.
//!
//! Every frame on the tape is what the [`Schedule`] says of it. When plan, Jam clock or device turn out to be
//! other than was known when frames were written, the tape is cut at the first frame that is wrong and
//! written again. The servo keeps a sound that is already right from drifting away.

mod rewrite;
mod steer;
mod write;

use jamsync_protocol::{
    id::EntryId,
    media::{Frames, SampleRate},
    servo::{AudibleLine, LineEvent, Servo, ServoConfig},
    time::{NodeTime, Ppm, Span},
    timeline::JamMap,
};

use steer::STEER_EVERY;

use super::{
    PlayerEvent, Report,
    deck::{Deck, OpenRequest},
    schedule::{Plan, Schedule},
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

    /// The machine slept until now, and the device may have stood still for a little more or less than the clock.
    pub(super) fn handle_suspend(&mut self, now: NodeTime) {
        // What came before the sleep belongs to the line as it was.
        self.take_stamps(now);
        self.line.handle_suspend();
    }

    /// The device has gone away, and nothing will be heard any more.
    pub(super) fn handle_lost(&mut self) {
        self.report.lost = true;
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
            if self.line.handle_callback(stamp.frame, stamp.entered, stamp.delay) == LineEvent::Restarted {
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
        self.report.opening = self.deck.is_opening();
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

/// How far ahead of the device the tape may still be rewritten. Shorter may be overtaken by a callback while
/// it writes, longer lets a pause be heard later. Milliseconds, 1 to 10, default 2.
const GUARD: Span = Span::from_millis(2);

/// The same where a sound must be begun first, which takes a seek and some decoding. Milliseconds, 5 to 50,
/// default 10.
const GUARD_SOUND: Span = Span::from_millis(10);

/// Length of a fade at a pause, a start or a cut. Milliseconds, 1 to 20, default 5: shorter clicks on bass,
/// longer is heard as sluggish.
const FADE: Span = Span::from_millis(5);

/// How far a sound is begun again where what follows it has changed. Longer than the fade. Milliseconds, 6 to
/// 50, default 10: longer needs to know earlier what follows.
const REWIND: Span = Span::from_millis(10);

/// A distance that is a seek, not an error of sync. The servo re-anchors well below it.
const LEAP: Span = Span::from_millis(20);

/// The tape is looked after at most this often...
const STEP_MIN: Span = Span::from_millis(5);
/// ...and this often while there is nothing to play, to learn the device's line.
const IDLE_STEP: Span = Span::from_secs(1);

/// Weight of a stamp in the mean output latency.
const LATENCY_SHARE: f64 = 1.0 / 16.0;
