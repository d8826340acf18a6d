//! What the music does by itself: one track ends and the next begins, and what cannot be played on both sides
//! is passed over. Only the host decides; a guest hears of it.

use super::{JamTime, NodeTime, Session, SessionError, Span, Target, Verb};
use crate::{
    id::EntryId,
    media::Frames,
    timeline::{Anchor, Heard},
};

/// How long before a track's end the next one is agreed, beyond the lead. It covers the frames that a player
/// has already handed to its device, so that tracks join without a gap.
const FREEZE_MARGIN: Span = Span::from_millis(750);

impl Session {
    /// Agrees on what follows, where it is time to.
    pub(super) fn progress(&mut self, now: NodeTime) -> Result<(), SessionError> {
        if !self.is_host() {
            return Ok(());
        }
        // Each round adds one anchor or ends the loop; very short tracks may need several.
        for _ in 0..PROGRESS_ROUNDS_MAX {
            let Some(target) = self.due(now) else { return Ok(()) };
            let jam_now = self.jam_now(now)?;
            let me = self.me;
            match self.conductor.direct(target, me, None, jam_now, now)? {
                super::Outcome::Announce(announcement) => self.announce(announcement),
                super::Outcome::Ask(_) => return Ok(()),
            }
        }
        Ok(())
    }

    /// When [`progress`](Self::progress) will have something to do.
    pub(super) fn progress_due(&self, now: NodeTime) -> Option<NodeTime> {
        if !self.is_host() {
            return None;
        }
        let map = self.jam_map(now)?;
        let last = self.timeline().last()?;
        let freeze = self.freeze_at(last)?;
        // A timeline that is full has room again when its next anchor takes effect.
        let jam_now = map.jam_at(now);
        let room = self.timeline().upcoming(jam_now).next().filter(|_| !self.timeline().has_room(jam_now));
        Some(map.node_at(room.map_or(freeze, |next| next.at.max(freeze))))
    }

    /// What has to be agreed at `now`.
    fn due(&self, now: NodeTime) -> Option<Target> {
        let jam_now = self.jam_now(now).ok()?;
        let last = self.timeline().last().filter(|_| self.timeline().has_room(jam_now))?;
        let entry = last.entry?;
        let gone = !self.replica.queue().contains(entry);
        if gone || !self.availabilities.is_playable(entry) {
            let verb = if gone { Verb::Removed } else { Verb::Unplayable };
            let at = last.at.max(jam_now + self.lead_time());
            return Some(self.next_target(verb, entry, at, last.playing));
        }
        (self.freeze_at(last)? <= jam_now).then(|| {
            let end = self.end_of(last).unwrap_or(jam_now);
            self.next_target(Verb::TrackEnd, entry, end, true)
        })
    }

    /// The entry after `entry` from its start at `at`. Where there is none, the music stands at the end of
    /// `entry`, so that what is added later follows it; nothing is left to stand at where `entry` is of no use.
    fn next_target(&self, verb: Verb, entry: EntryId, at: JamTime, playing: bool) -> Target {
        if let Some(next) = self.playable_after(entry) {
            return Target { verb, entry: Some(next), position: Frames::ZERO, at, playing };
        }
        let ended = if verb == Verb::TrackEnd { self.replica.entry(entry) } else { None };
        let position = ended.map_or(Frames::ZERO, |entry| entry.track.length);
        Target { verb, entry: ended.map(|entry| entry.id), position, at, playing: false }
    }

    fn freeze_at(&self, anchor: &Anchor) -> Option<JamTime> {
        Some(self.end_of(anchor)? - self.lead_time() - FREEZE_MARGIN)
    }

    fn end_of(&self, anchor: &Anchor) -> Option<JamTime> {
        let track = &self.replica.entry(anchor.entry?)?.track;
        anchor.end(track.length, track.rate)
    }

    /// What the listener means by "this": what is heard, or what was asked for a moment ago and takes effect
    /// soon. The next track that is agreed because this one ends is not meant yet.
    #[must_use]
    pub fn intended(&self, now: NodeTime) -> Option<Heard> {
        let heard = self.heard_at(now);
        let jam_now = self.jam_now(now).ok()?;
        let (last, in_force) = (self.timeline().last()?, self.timeline().in_force(jam_now));
        let joins = in_force.and_then(|anchor| self.end_of(anchor)) == Some(last.at);
        if last.at <= jam_now || joins {
            return heard;
        }
        Some(Heard { entry: last.entry?, position: last.position, playing: last.playing })
    }

    pub(super) fn playable_after(&self, entry: EntryId) -> Option<EntryId> {
        self.playable_from(self.replica.next_after(entry).map(|entry| entry.id))
    }

    /// The first entry from `candidate` on that both sides can play.
    pub(super) fn playable_from(&self, mut candidate: Option<EntryId>) -> Option<EntryId> {
        while let Some(entry) = candidate {
            if self.availabilities.is_playable(entry) {
                return Some(entry);
            }
            candidate = self.replica.next_after(entry).map(|entry| entry.id);
        }
        None
    }
}

/// How many anchors one call agrees on at most.
const PROGRESS_ROUNDS_MAX: usize = 4;
