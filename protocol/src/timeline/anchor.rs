//! One agreed fact of the timeline, and the order of such facts.

use serde::{Deserialize, Serialize};

use crate::{
    id::{EntryId, Participant},
    media::{Frames, SampleRate},
    time::{JamTime, Span},
};

/// The order of anchors: first by host epoch, then by host, then by that host's count. Totally ordered, so
/// that any two nodes agree which of two anchors is the newer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Revision {
    /// How often the host has changed in this Jam.
    pub epoch: u32,
    /// Who was host.
    pub host: Participant,
    /// Counts that host's anchors in that epoch, from 1.
    pub counter: u64,
}

/// "From Jam time `at`, `entry` is at `position` and plays, or stands."
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Anchor {
    /// Which anchor is newer.
    pub revision: Revision,
    /// What plays; `None` where the queue holds nothing to play.
    pub entry: Option<EntryId>,
    /// Position at `at`, in frames of the entry's declared rate.
    pub position: Frames,
    /// When the anchor takes effect.
    pub at: JamTime,
    /// Whether the position moves on from there.
    pub playing: bool,
}

impl Anchor {
    /// Whether both say the same of the music, whoever said it and when.
    #[must_use]
    pub(crate) fn says_as(&self, other: &Self) -> bool {
        Self { revision: other.revision, ..*self } == *other
    }

    /// The position at `now` in frames of `rate`, the entry's declared rate: it stands before the anchor takes
    /// effect and while paused, and moves on past the entry's end, which the anchor does not know.
    #[must_use]
    pub fn position_at(&self, now: JamTime, rate: SampleRate) -> Frames {
        if self.playing { self.position.plus(rate.frames_in(now.since(self.at))) } else { self.position }
    }

    /// The time from the entry's start to what is heard at `now`, exact to a nanosecond where
    /// [`position_at`](Self::position_at) rounds to a frame; `rate` is the entry's declared rate. What a player
    /// steers by.
    #[must_use]
    pub fn music_at(&self, now: JamTime, rate: SampleRate) -> Span {
        let moved = if self.playing { now.since(self.at) } else { Span::ZERO };
        rate.span_of(self.position) + moved
    }

    /// When an entry of `length` frames ends, if it plays on from this anchor; rounded down to a nanosecond.
    #[must_use]
    pub fn end(&self, length: Frames, rate: SampleRate) -> Option<JamTime> {
        self.playing.then(|| self.at + rate.span_of(length.minus(self.position)))
    }

    /// How long before `now` the anchor took effect; zero if it has not.
    #[must_use]
    pub fn age(&self, now: JamTime) -> Span {
        now.since(self.at)
    }
}
