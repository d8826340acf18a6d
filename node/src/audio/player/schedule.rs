//! What each device frame should be: a pure function of the plan, the Jam clock and the device's line.

use std::path::PathBuf;

use jamsync_protocol::{
    id::EntryId,
    media::{Frames, SampleRate},
    servo::{AudibleLine, FramePosition},
    time::{JamTime, Span},
    timeline::{Anchor, JamMap},
};

/// What to play: the anchors of the timeline, and the files behind their entries.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// The anchor in force and those to come, in the order in which they take effect.
    pub anchors: Vec<Anchor>,
    /// The file of each entry that an anchor names. An entry without one is silent.
    pub sources: Vec<(EntryId, Source)>,
}

/// The file of an entry, and what the queue says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Where it is.
    pub path: PathBuf,
    /// The declared rate: the unit of the entry's positions.
    pub rate: SampleRate,
    /// The declared length.
    pub length: Frames,
}

/// What one device frame should be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Scene {
    Silence,
    Sound(Spot),
}

/// A place in an entry.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Spot {
    pub(super) entry: EntryId,
    /// In frames of the entry's own rate, with a fraction.
    pub(super) position: f64,
    /// When the entry's first frame is due by the anchor in force, which may be long before that anchor.
    pub(super) origin: JamTime,
}

/// Answers for one moment's knowledge.
pub(super) struct Schedule<'a> {
    pub(super) plan: &'a Plan,
    pub(super) map: JamMap,
    pub(super) line: &'a AudibleLine,
    /// What the listener says the device hides: sound is heard this much later than the line says.
    pub(super) trim: Span,
}

impl Spot {
    /// Whether the anchor that `written` was written by has been overruled: the same entry is due elsewhere. That is
    /// a fact, and no error for a servo to make good in its time.
    pub(super) fn has_moved_since(&self, written: &Self) -> bool {
        self.entry == written.entry && (self.origin - written.origin).abs() > MOVED
    }
}

impl Plan {
    pub(super) fn source(&self, entry: EntryId) -> Option<&Source> {
        self.sources.iter().find(|(id, _)| *id == entry).map(|(_, source)| source)
    }

    /// The entries that an anchor names, each once.
    pub(super) fn entries(&self) -> impl Iterator<Item = (EntryId, &Source)> {
        let named = |entry| self.anchors.iter().any(|anchor| anchor.entry == Some(entry));
        self.sources.iter().filter(move |(entry, _)| named(*entry)).map(|(entry, source)| (*entry, source))
    }

    /// The entry that begins in the very frame in which `entry` ends, at the same rate, so that one resampler
    /// can run across.
    pub(super) fn joined_to(&self, entry: EntryId) -> Option<EntryId> {
        let (first, second) = self
            .anchors
            .iter()
            .zip(self.anchors.iter().skip(1))
            .find(|(first, second)| first.entry == Some(entry) && second.entry != Some(entry))?;
        let next = second.entry?;
        let (source, following) = (self.source(entry)?, self.source(next)?);
        let end = first.end(source.length, source.rate)?;
        let close = (second.at - end).abs() <= source.rate.span_of(Frames(1));
        let starts = second.playing && second.position == Frames::ZERO;
        (close && starts && source.rate == following.rate).then_some(next)
    }
}

impl Schedule<'_> {
    /// What is due in the device frame.
    pub(super) fn scene_at(&self, frame: Frames) -> Scene {
        self.jam_at(frame).and_then(|jam| self.sound_at(jam)).map_or(Scene::Silence, Scene::Sound)
    }

    /// The first frame after `after` in which something else begins: an anchor, or the silence behind an end.
    pub(super) fn next_change(&self, after: Frames) -> Option<Frames> {
        let jam = self.jam_at(after)?;
        let coming = self.plan.anchors.iter().filter(|anchor| anchor.at > jam).map(|anchor| anchor.at);
        coming
            .chain(self.end_in_force(jam))
            .filter_map(|at| self.first_frame_at(at))
            .filter(|f| *f > after)
            .min()
    }

    /// What is due at an instant of the Jam clock, also before it starts; paused entries stand.
    pub(super) fn standing_at(&self, frame: Frames) -> Option<(EntryId, Frames)> {
        let jam = self.jam_at(frame)?;
        let anchor = self.in_force(jam)?;
        let entry = anchor.entry?;
        let source = self.plan.source(entry)?;
        Some((entry, anchor.position_at(jam, source.rate).min(source.length)))
    }

    fn sound_at(&self, jam: JamTime) -> Option<Spot> {
        let anchor = self.in_force(jam).filter(|anchor| anchor.playing)?;
        let entry = anchor.entry?;
        let source = self.plan.source(entry)?;
        let position = anchor.position.as_f64() + source.rate.frames_f64(jam - anchor.at);
        let origin = anchor.at - source.rate.span_of(anchor.position);
        (position < source.length.as_f64() - LAST_SLIVER).then_some(Spot { entry, position, origin })
    }

    fn end_in_force(&self, jam: JamTime) -> Option<JamTime> {
        let anchor = self.in_force(jam)?;
        let source = self.plan.source(anchor.entry?)?;
        anchor.end(source.length, source.rate).filter(|end| *end > jam)
    }

    fn in_force(&self, jam: JamTime) -> Option<&Anchor> {
        self.plan.anchors.iter().rev().find(|anchor| anchor.at <= jam)
    }

    /// The Jam time at which a frame is heard.
    fn jam_at(&self, frame: Frames) -> Option<JamTime> {
        Some(self.map.jam_at(self.line.audible_at(frame)? + self.trim))
    }

    /// The first frame that is heard at or after an instant.
    fn first_frame_at(&self, jam: JamTime) -> Option<Frames> {
        let FramePosition(position) = self.line.frame_at(self.map.node_at(jam) - self.trim)?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates at zero")]
        let frame = Frames(position.ceil() as u64);
        // Both ways round to a nanosecond, so the frame found may be a hair early.
        let early = self.jam_at(frame).is_some_and(|heard| heard < jam);
        Some(if early { frame.plus(Frames(1)) } else { frame })
    }
}

/// How far apart the origins of two anchors must be before they are two places. Anchors that carry the music on are
/// rounded to a frame, and what is nearer than this is not heard as a step.
const MOVED: Span = Span::from_micros(500);

/// A last part of a frame that is not worth a frame: ends are rounded to a nanosecond.
const LAST_SLIVER: f64 = 0.01;
