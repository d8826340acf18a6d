//! Where in the music a run is, by the music itself: what a seek or a skip leads away from, and whereto.
//!
//! The commands say what should be heard within a second or so; the recordings, held against the files, say the rest.
//! No node is asked.

use jamsync_protocol::{media::Frames, time::Span};

use super::{CommandDelay, Deed, music::Music, onset};
use crate::score::{
    Recording, Stamp, TrueRange, TrueTime,
    follow::{Sound, change, place_in, rendered},
};

/// What should be heard, as the driver of a run can tell.
#[derive(Clone, Debug)]
pub(super) struct Whereabouts<'a> {
    music: &'a Music,
    /// Which entry of the queue, and which second of it was heard when.
    entry: usize,
    position: f64,
    at: TrueTime,
    playing: bool,
}

/// A seek or a skip: from one place in the music to another.
#[derive(Debug)]
pub(super) struct Move<'a> {
    music: &'a Music,
    /// The entry and the second of it heard at the command, about.
    from: (usize, f64),
    /// The same of what is heard first after it, exactly from then on.
    to: (usize, f64),
}

/// The stretch that is looked for in the music.
const STRETCH: Span = Span::from_millis(300);
/// How far from where it should be it is looked for, either way.
const REACH: Span = Span::from_secs(2);
/// How long after a command its effect is looked for, and what is heard then is the new music.
const PATIENCE: Span = Span::from_millis(1_500);
/// What a comparison looks at beyond either end of what is compared.
const MARGIN: Span = Span::from_secs(2);
/// A command takes effect about so much later: half of what a place may be off for this is far within the reach.
const LEAD: f64 = 0.25;

impl<'a> Whereabouts<'a> {
    /// At the host's first sound, the beginning of its queue.
    pub(super) fn of(host: &Recording, music: &'a Music) -> Self {
        let first = onset::first_sound(host).and_then(|frame| host.time_of(Frames(frame)));
        let at = first.unwrap_or(host.range().from);
        Self { music, entry: 0, position: 0.0, at, playing: true }
    }

    /// Follows a command; what it leads from and whereto, if it moves within the music.
    pub(super) fn follow(&mut self, command: &CommandDelay, host: &Recording) -> Option<Move<'a>> {
        self.advance(command.at_ns);
        let from = (self.entry, self.position);
        match command.deed {
            Deed::Pause => self.playing = false,
            Deed::Resume => self.playing = true,
            Deed::Seek => self.position = (self.position + f64::from(command.by_s)).max(0.0),
            Deed::Skip => (self.entry, self.position) = (self.entry + 1, 0.0),
        }
        if matches!(command.deed, Deed::Pause | Deed::Resume) {
            return None;
        }
        // The music goes on from the new place when the command takes effect.
        self.position -= LEAD;
        let moves = Move { music: self.music, from, to: (self.entry, self.position) };
        if let Some(heard) = moves.arrival(host, command.at_ns) {
            self.position += heard;
        }
        Some(moves)
    }

    /// The music itself as `recording` plays it from the beginning of `range` on: what it would go on with undisturbed.
    pub(super) fn reference(mut self, recording: &Recording, range: TrueRange) -> Option<Recording> {
        self.advance(range.from);
        let expected = (self.entry, self.position);
        let here = Move { music: self.music, from: expected, to: expected };
        let position = here.place(recording, range.from, expected, Span::ZERO)? - MARGIN.as_secs_f64();
        let length = range.length() + MARGIN + MARGIN;
        let (rate, channels) = self.music.across(self.entry, position, length)?;
        let frames = u64::try_from(channels.first()?.len()).ok()?;
        let stamp = |frame: Frames| Stamp { frame, at: range.from - MARGIN + rate.span_of(frame) };
        Recording::new(rate, channels, vec![stamp(Frames::ZERO), stamp(Frames(frames))]).ok()
    }

    /// Whether music should be heard.
    pub(super) const fn is_playing(&self) -> bool {
        self.playing
    }

    fn advance(&mut self, now: TrueTime) {
        if self.playing {
            self.position += (now - self.at).as_secs_f64();
        }
        self.at = now;
        while self.position >= self.music.piece_s {
            self.position -= self.music.piece_s;
            self.entry += 1;
        }
    }
}

impl Move<'_> {
    /// From the command at `at` until `recording` goes over to the new place.
    pub(super) fn delay(&self, recording: &Recording, at: TrueTime) -> Option<Span> {
        let before = self.place(recording, at - STRETCH, self.from, -STRETCH)?;
        let after = self.place(recording, at + PATIENCE, self.to, PATIENCE)?;
        let old = self.sound(self.from.0, before + STRETCH.as_secs_f64())?;
        let new = self.sound(self.to.0, after - PATIENCE.as_secs_f64())?;
        change(&rendered(recording, at, PATIENCE), &old, &new)
    }

    /// By how much what is heard after the move is further in the music than expected.
    fn arrival(&self, recording: &Recording, at: TrueTime) -> Option<f64> {
        let heard = self.place(recording, at + PATIENCE, self.to, PATIENCE)?;
        Some(heard - PATIENCE.as_secs_f64() - self.to.1)
    }

    /// Which second of the entry the recording plays at `when`, where `expected` was to be heard `after` earlier.
    fn place(
        &self,
        recording: &Recording,
        when: TrueTime,
        expected: (usize, f64),
        after: Span,
    ) -> Option<f64> {
        let (entry, position) = expected;
        let begins = position + (after - REACH).as_secs_f64();
        let around = self.music.sound(entry, begins, REACH + REACH + STRETCH)?;
        let around = rendered(&around, TrueTime::default(), REACH + REACH + STRETCH);
        let heard = place_in(&around, &rendered(recording, when, STRETCH))?;
        Some(begins + heard.as_secs_f64())
    }

    fn sound(&self, entry: usize, from: f64) -> Option<Sound> {
        Some(rendered(&self.music.sound(entry, from, PATIENCE)?, TrueTime::default(), PATIENCE))
    }
}
