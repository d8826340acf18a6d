//! The node's player without its sound: which position of which entry is in each device frame, reckoned exactly.
//!
//! It follows `node/src/audio/player/engine`: it writes ahead, rewrites what is no longer due, and lets the real
//! line and the real servo steer. It holds positions where the player holds samples, and nothing can fail to open.

use std::collections::VecDeque;

use jamsync_protocol::{
    id::EntryId,
    media::{Frames, SampleRate},
    servo::{Action, AudibleLine, FramePosition, LineEvent, Servo, ServoConfig, feed_forward},
    time::{JamTime, NodeTime, Ppm, Span},
    timeline::{Anchor, JamMap},
    wire::peer::PlayoutReport,
};

/// Positions on a tape, written by what is known.
#[derive(Debug)]
pub(super) struct Player {
    device: SampleRate,
    line: AudibleLine,
    servo: Servo,
    anchors: Vec<Anchor>,
    sources: Vec<Source>,
    map: Option<JamMap>,
    tape: VecDeque<Piece>,
    taken: u64,
    head: u64,
    voice: Option<Sound>,
    steered: Option<NodeTime>,
    latency: Span,
    missed: u64,
    pub(super) reanchors: u32,
    /// The furthest the rate went beyond what the servo is allowed, in ppm.
    pub(super) rate_excess: f64,
    /// A wrong build: sound is taken to be this many source frames further than it is.
    pub(super) off_by: f64,
}

/// An entry that can sound.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Source {
    pub(super) entry: EntryId,
    pub(super) rate: SampleRate,
    pub(super) length: Frames,
}

/// Frames in sequence that hold one thing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece {
    pub(super) first: u64,
    pub(super) frames: u64,
    pub(super) sound: Option<Sound>,
    /// Why this does not continue the sound before it, where it does not.
    pub(super) cause: Cause,
}

/// Sound from a position on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sound {
    pub(super) entry: EntryId,
    /// In source frames, at the piece's first device frame.
    pub(super) position: f64,
    /// Source frames per device frame.
    pub(super) step: f64,
    /// When the entry's first frame is due by the anchor in force.
    pub(super) origin: JamTime,
}

/// Why sound begins at a new place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// It goes on from the piece before.
    Continues,
    /// Something else is due: a start, a seek, a skip, or a clock that was learnt anew.
    Due,
    /// The servo jumped.
    Reanchored,
}

impl Player {
    pub(super) fn new(device: SampleRate) -> Self {
        Self {
            device,
            line: AudibleLine::new(device, None),
            servo: Servo::new(ServoConfig::default()),
            anchors: Vec::new(),
            sources: Vec::new(),
            map: None,
            tape: VecDeque::new(),
            taken: 0,
            head: 0,
            voice: None,
            steered: None,
            latency: Span::ZERO,
            missed: 0,
            reanchors: 0,
            rate_excess: 0.0,
            off_by: 0.0,
        }
    }

    pub(super) fn set_plan(&mut self, anchors: Vec<Anchor>, sources: Vec<Source>, map: Option<JamMap>) {
        self.anchors = anchors;
        self.sources = sources;
        self.map = map;
    }

    /// The card takes frames and says when the first is heard.
    pub(super) fn take(&mut self, first: u64, frames: u64, delay: Span, now: NodeTime) -> Vec<Piece> {
        if self.line.handle_callback(Frames(first), now, delay) == LineEvent::Restarted {
            self.servo.handle_start(now);
        }
        self.latency = if self.latency == Span::ZERO {
            delay
        } else {
            self.latency + (delay - self.latency).scaled(1.0 / 16.0)
        };
        let end = first + frames;
        self.taken = end;
        if self.head < end {
            self.missed += end - self.head.max(first);
            self.voice = None;
            self.append(end - self.head, None, Cause::Continues);
        }
        let mut out = Vec::new();
        while let Some(piece) = self.tape.front().copied().filter(|piece| piece.first < end) {
            let till = (piece.first + piece.frames).min(end);
            out.push(Piece { frames: till - piece.first, ..piece });
            self.tape.pop_front();
            if till < piece.first + piece.frames {
                self.tape.push_front(piece.without(till - piece.first));
            }
        }
        out
    }

    /// The machine slept.
    pub(super) fn handle_suspend(&mut self) {
        self.line.handle_suspend();
    }

    /// Brings the tape up to date.
    pub(super) fn step(&mut self, now: NodeTime) {
        let earliest = self.taken + self.frames(GUARD);
        if self.head < earliest {
            self.voice = None;
            self.append(earliest + self.frames(GUARD_SOUND) - self.head, None, Cause::Continues);
        }
        self.correct(earliest);
        self.steer(now);
        self.fill(now);
    }

    pub(super) fn report(&self) -> PlayoutReport {
        #[expect(clippy::cast_possible_truncation, reason = "`as` saturates")]
        let correction_ppb = (self.servo.rate().0 * 1e3) as i32;
        PlayoutReport {
            output_latency: self.latency.max(Span::ZERO),
            error: self.error(),
            correction_ppb,
            missed_frames: self.missed,
            ..PlayoutReport::default()
        }
    }

    /// Pieces kept, to show that they stay few.
    pub(super) fn pieces(&self) -> usize {
        self.tape.len()
    }

    fn correct(&mut self, earliest: u64) {
        let Some(wrong) = self.first_difference(earliest) else { return };
        let ready = earliest + self.frames(GUARD_SOUND);
        let at = match self.scene_at(wrong) {
            None => wrong,
            Some(due) if due.position < 1.0 && wrong >= ready => wrong,
            Some(_) => wrong.max(ready),
        };
        self.cut(at, Cause::Due);
    }

    fn first_difference(&self, from: u64) -> Option<u64> {
        let mut candidates = vec![from];
        candidates.extend(self.tape.iter().map(|piece| piece.first).filter(|first| *first > from));
        let mut change = self.next_change(from);
        while let Some(frame) = change.filter(|frame| *frame < self.head) {
            candidates.push(frame);
            change = self.next_change(frame);
        }
        candidates.sort_unstable();
        let lasting = self.frames(TOLERANCE);
        candidates.into_iter().find(|frame| {
            frame + lasting < self.head && self.differs(*frame) && self.differs(frame + lasting)
        })
    }

    fn differs(&self, frame: u64) -> bool {
        match (self.scene_at(frame), self.written_at(frame)) {
            (None, None) => false,
            (Some(due), Some(written)) => {
                due.entry != written.entry
                    || due.has_moved_since(&written)
                    || (due.position - written.position).abs() > self.leap(due.entry)
            }
            (None, Some(_)) | (Some(_), None) => true,
        }
    }

    fn steer(&mut self, now: NodeTime) {
        let due = self.steered.is_none_or(|last| now.since(last) >= STEER_EVERY);
        let Some(error) = self.error().filter(|_| due) else { return };
        self.steered = Some(now);
        self.servo.handle_spread(self.line.spread());
        match self.servo.step(now, error, self.feed_forward()) {
            Action::Rate(rate) => self.set_rate(rate),
            Action::Reanchor => {
                self.reanchors += 1;
                self.cut((self.taken + self.frames(GUARD_SOUND)).min(self.head), Cause::Reanchored);
            }
        }
    }

    fn set_rate(&mut self, rate: Ppm) {
        let config = ServoConfig::default();
        let excess = (rate - self.feed_forward().clamped(config.feed_forward_limit)).0.abs() - config.limit.0;
        self.rate_excess = self.rate_excess.max(excess);
        if let Some(voice) = &mut self.voice
            && let Some(source) = self.sources.iter().find(|source| source.entry == voice.entry)
        {
            voice.step = source.rate.as_f64() / self.device.as_f64() * rate.as_factor();
        }
    }

    /// How much faster than its nominal rate the source is used up.
    pub(super) fn rate(&self) -> Ppm {
        self.servo.rate()
    }

    fn feed_forward(&self) -> Ppm {
        feed_forward(self.line.dac(), self.map.map_or(Ppm::ZERO, |map| map.rate))
    }

    /// When the next frame will be heard minus when it should be.
    fn error(&self) -> Option<Span> {
        let due = self.scene_at(self.head)?;
        let ahead = self.ahead_of(due)?;
        let error = Span::from_secs_f64(-ahead / self.source(due.entry)?.rate.as_f64());
        (error.abs() < LEAP).then_some(error)
    }

    fn fill(&mut self, now: NodeTime) {
        let target = self.taken + self.frames(DEPTH);
        let mut cause = Cause::Continues;
        while self.head < target {
            let change = self.next_change(self.head).unwrap_or(target);
            let count = (change.min(target) - self.head).min(self.frames(BLOCK));
            let Some(due) = self.scene_at(self.head) else {
                self.voice = None;
                self.append(count, None, Cause::Continues);
                continue;
            };
            let ahead = self.ahead_of(due);
            let moved = self.voice.is_some_and(|voice| due.has_moved_since(&voice));
            match ahead.filter(|ahead| !moved && ahead.abs() <= self.leap(due.entry)) {
                Some(ahead) => {
                    let step = self.voice.map_or(due.step, |voice| voice.step);
                    self.voice = Some(Sound { position: due.position + ahead - self.off_by, step, ..due });
                }
                None => {
                    self.servo.handle_start(now);
                    self.steered = None;
                    self.voice = Some(due);
                    cause = Cause::Due;
                    if let Action::Rate(rate) = self.servo.step(now, Span::ZERO, self.feed_forward()) {
                        self.set_rate(rate);
                    }
                }
            }
            self.append(count, self.voice, cause);
            cause = Cause::Continues;
            if let Some(voice) = &mut self.voice {
                voice.position += voice.step * Frames(count).as_f64();
            }
        }
    }

    /// How far the voice is ahead of what is due, in source frames; also across the join of two entries.
    fn ahead_of(&self, due: Sound) -> Option<f64> {
        let voice = self.voice?;
        if voice.entry == due.entry {
            return Some(voice.position + self.off_by - due.position);
        }
        let (over, next) = (self.source(voice.entry)?, self.source(due.entry)?);
        let past_end = voice.position + self.off_by - over.length.as_f64();
        (over.rate == next.rate && past_end.abs() <= self.leap(due.entry) && due.position < 2.0)
            .then_some(past_end - due.position)
    }

    fn cut(&mut self, at: u64, cause: Cause) {
        while let Some(last) = self.tape.back_mut() {
            if last.first < at {
                last.frames = last.frames.min(at - last.first);
                break;
            }
            self.tape.pop_back();
        }
        self.head = self.head.min(at);
        self.voice = None;
        // The next sound begins at the place that is due, by the cause of the cut.
        if cause == Cause::Reanchored
            && let Some(mut due) = self.scene_at(self.head)
        {
            due.step *= self.servo.rate().as_factor();
            self.voice = Some(due);
            let block = self.frames(BLOCK);
            self.append(block, Some(due), cause);
            due.position += due.step * Frames(block).as_f64();
            self.voice = Some(due);
        }
    }

    fn append(&mut self, frames: u64, sound: Option<Sound>, cause: Cause) {
        self.tape.push_back(Piece { first: self.head, frames, sound, cause });
        self.head += frames;
    }

    fn written_at(&self, frame: u64) -> Option<Sound> {
        let after = self.tape.partition_point(|piece| piece.first <= frame);
        let piece = self.tape.get(after.checked_sub(1)?)?;
        piece.without(frame - piece.first).sound
    }

    fn scene_at(&self, frame: u64) -> Option<Sound> {
        let jam = self.jam_at(frame)?;
        let anchor = self.in_force(jam).filter(|anchor| anchor.playing)?;
        let source = self.source(anchor.entry?)?;
        let position = anchor.position.as_f64() + source.rate.frames_f64(jam - anchor.at);
        let step = source.rate.as_f64() / self.device.as_f64();
        let origin = anchor.at - source.rate.span_of(anchor.position);
        let entry = source.entry;
        (position < source.length.as_f64() - 0.01).then_some(Sound { entry, position, step, origin })
    }

    fn next_change(&self, after: u64) -> Option<u64> {
        let jam = self.jam_at(after)?;
        let coming = self.anchors.iter().filter(|anchor| anchor.at > jam).map(|anchor| anchor.at);
        let end = self.in_force(jam).and_then(|anchor| {
            let source = self.source(anchor.entry?)?;
            anchor.end(source.length, source.rate).filter(|end| *end > jam)
        });
        coming.chain(end).filter_map(|at| self.first_frame_at(at)).filter(|frame| *frame > after).min()
    }

    fn in_force(&self, jam: JamTime) -> Option<&Anchor> {
        self.anchors.iter().rev().find(|anchor| anchor.at <= jam)
    }

    fn source(&self, entry: EntryId) -> Option<Source> {
        self.sources.iter().find(|source| source.entry == entry).copied()
    }

    fn jam_at(&self, frame: u64) -> Option<JamTime> {
        Some(self.map?.jam_at(self.line.audible_at(Frames(frame))?))
    }

    fn first_frame_at(&self, jam: JamTime) -> Option<u64> {
        let FramePosition(position) = self.line.frame_at(self.map?.node_at(jam))?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates at zero")]
        let frame = position.ceil() as u64;
        let early = self.jam_at(frame).is_some_and(|heard| heard < jam);
        Some(if early { frame + 1 } else { frame })
    }

    fn leap(&self, entry: EntryId) -> f64 {
        self.source(entry).map_or(f64::MAX, |source| source.rate.frames_f64(LEAP))
    }

    fn frames(&self, span: Span) -> u64 {
        self.device.frames_in(span).0
    }
}

impl Sound {
    fn has_moved_since(&self, written: &Self) -> bool {
        self.entry == written.entry && (self.origin - written.origin).abs() > MOVED
    }
}

impl Piece {
    /// What is left of it behind its first `frames`.
    fn without(self, frames: u64) -> Self {
        let sound = self
            .sound
            .map(|sound| Sound { position: sound.position + sound.step * Frames(frames).as_f64(), ..sound });
        Self {
            first: self.first + frames,
            frames: self.frames.saturating_sub(frames),
            sound,
            cause: Cause::Continues,
        }
    }

    /// Where its sound would go on behind it.
    pub(super) fn end(&self) -> Option<Sound> {
        self.without(self.frames).sound
    }
}

// The player's own figures: see `node/src/audio/player/engine`.
const DEPTH: Span = Span::from_millis(250);
const BLOCK: Span = Span::from_millis(10);
const GUARD: Span = Span::from_millis(2);
const GUARD_SOUND: Span = Span::from_millis(10);
const LEAP: Span = Span::from_millis(20);
const MOVED: Span = Span::from_micros(500);
const TOLERANCE: Span = Span::from_millis(1);
const STEER_EVERY: Span = Span::from_millis(100);
