//! The timeline: which position of which entry is heard at each instant of the Jam clock.
//!
//! It holds *anchors*, ordered by the Jam time at which they take effect: the one in force and those that are
//! agreed but not yet due. What is heard at a Jam time is a pure function of them. The timeline never asks a
//! clock, never decides what plays next, and never knows who is allowed to send: the session does.

mod anchor;
mod jam_clock;
mod lead;

use alloc::vec::Vec;

pub use anchor::{Anchor, Revision};
pub use jam_clock::JamMap;
pub use lead::{Lead, LeadConfig};

use crate::{
    id::{EntryId, Participant},
    limits::{ANCHOR_AHEAD_MAX, ANCHORS_MAX},
    media::Frames,
    time::{JamTime, Span},
};

/// The anchors in force and to come.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Timeline {
    /// Ascending in `at` and in `revision`; never empty once an anchor was taken.
    anchors: Vec<Anchor>,
}

/// Why an anchor was not taken. The timeline is unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TimelineError {
    /// Not newer than what is known already: late, repeated or replayed.
    #[error("anchor revision {offered:?} is not newer than {known:?}")]
    Stale {
        /// The revision that came.
        offered: Revision,
        /// The newest revision known.
        known: Revision,
    },
    /// It would take effect later than anything sensible.
    #[error("anchor takes effect {ahead} ahead, more than {limit} allowed")]
    TooFarAhead {
        /// How far ahead.
        ahead: Span,
        /// The limit.
        limit: Span,
    },
    /// More anchors wait than a timeline keeps.
    #[error("more than {ANCHORS_MAX} anchors wait to take effect")]
    TooMany,
}

/// What is heard at one instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// The entry.
    pub entry: EntryId,
    /// The position at that instant, in frames of the entry's declared rate; it may lie past the entry's end.
    pub position: Frames,
    /// Whether it moves on; otherwise nothing sounds and the position stands.
    pub playing: bool,
}

impl Timeline {
    /// A timeline on which nothing plays.
    #[must_use]
    pub const fn new() -> Self {
        Self { anchors: Vec::new() }
    }

    /// Takes an anchor. It replaces every anchor that would take effect at its time or later: what was agreed
    /// for afterwards no longer follows from it.
    ///
    /// # Errors
    /// [`TimelineError`]; the timeline is unchanged.
    pub fn handle_anchor(&mut self, anchor: Anchor, now: JamTime) -> Result<(), TimelineError> {
        if let Some(newest) = self.revision()
            && anchor.revision <= newest
        {
            return Err(TimelineError::Stale { offered: anchor.revision, known: newest });
        }
        let ahead = anchor.at - now;
        if ahead > ANCHOR_AHEAD_MAX {
            return Err(TimelineError::TooFarAhead { ahead, limit: ANCHOR_AHEAD_MAX });
        }
        let kept = self.anchors.iter().filter(|a| a.at < anchor.at).count();
        if self.anchors.iter().filter(|a| a.at < anchor.at && a.at > now).count() >= ANCHORS_MAX {
            return Err(TimelineError::TooMany);
        }
        self.anchors.truncate(kept);
        self.anchors.push(anchor);
        self.forget_past(now);
        Ok(())
    }

    /// Whether an anchor behind all others would be taken.
    #[must_use]
    pub fn has_room(&self, now: JamTime) -> bool {
        self.upcoming(now).count() < ANCHORS_MAX
    }

    /// When an anchor that is wanted at `at` takes effect, so that the timeline has room however fast people ask: at
    /// `at`, but into the last place no sooner than `lead` behind the next one. Until that next one takes effect
    /// everything else that is asked for goes to this same place, and supersedes what nobody can have heard.
    #[must_use]
    pub(crate) fn place(&self, at: JamTime, lead: Span, now: JamTime) -> JamTime {
        let waiting: Vec<JamTime> = self.upcoming(now).map(|anchor| anchor.at).collect();
        let before = waiting.iter().filter(|waits| **waits < at).count();
        let next = waiting.first().filter(|_| before + 1 == ANCHORS_MAX);
        let place = next.map_or(at, |next| at.max(*next + lead));
        waiting.get(ANCHORS_MAX - 1).map_or(place, |last| place.min(*last))
    }

    /// The newest revision taken.
    #[must_use]
    pub fn revision(&self) -> Option<Revision> {
        self.anchors.last().map(|a| a.revision)
    }

    /// The anchor in force at `now`: the last one whose time has come; none before the first.
    #[must_use]
    pub fn in_force(&self, now: JamTime) -> Option<&Anchor> {
        self.anchors.iter().rev().find(|a| a.at <= now)
    }

    /// The anchors that take effect after `now`, in order.
    pub fn upcoming(&self, now: JamTime) -> impl Iterator<Item = &Anchor> {
        self.anchors.iter().filter(move |a| a.at > now)
    }

    /// The last anchor of all: what plays once everything agreed has taken effect.
    #[must_use]
    pub fn last(&self) -> Option<&Anchor> {
        self.anchors.last()
    }

    /// Every anchor kept, in the order in which they take effect.
    #[must_use]
    pub fn anchors(&self) -> &[Anchor] {
        &self.anchors
    }

    /// What is heard at `now`, given the entry's declared rate through `rate_of`; `None` where nothing is.
    #[must_use]
    pub fn heard_at(
        &self,
        now: JamTime,
        rate_of: impl Fn(EntryId) -> Option<crate::media::SampleRate>,
    ) -> Option<Heard> {
        let anchor = self.in_force(now)?;
        let entry = anchor.entry?;
        let position = anchor.position_at(now, rate_of(entry)?);
        Some(Heard { entry, position, playing: anchor.playing })
    }

    /// Says the same again under revisions of `host` in `epoch`, counted from 1: a new host's word stands above all
    /// that was said before it. Returns the count.
    pub(crate) fn restate(&mut self, epoch: u32, host: Participant) -> u64 {
        let mut count = 0;
        for anchor in &mut self.anchors {
            count += 1;
            anchor.revision = Revision { epoch, host, counter: count };
        }
        count
    }

    /// Drops anchors that a later one has replaced by `now`, so that the list stays short for ever.
    pub fn forget_past(&mut self, now: JamTime) {
        let past = self.anchors.iter().filter(|a| a.at <= now).count();
        self.anchors.drain(..past.saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::media::SampleRate;

    fn entry(number: u32) -> EntryId {
        EntryId { author: Participant::FIRST, number }
    }

    fn anchor(counter: u64, at_ms: i64, playing: bool) -> Anchor {
        Anchor {
            revision: Revision { epoch: 0, host: Participant::FIRST, counter },
            entry: Some(entry(u32::try_from(counter).unwrap())),
            position: Frames(48_000),
            at: JamTime::ZERO + Span::from_millis(at_ms),
            playing,
        }
    }

    fn ms(at: i64) -> JamTime {
        JamTime::ZERO + Span::from_millis(at)
    }

    #[test]
    fn an_anchor_takes_effect_at_its_time_and_not_before() {
        let mut timeline = Timeline::new();
        timeline.handle_anchor(anchor(1, 0, true), ms(0)).unwrap();
        timeline.handle_anchor(anchor(2, 500, true), ms(100)).unwrap();
        let heard = |at| timeline.heard_at(ms(at), |_| Some(SampleRate::HZ_48000)).unwrap();
        assert_eq!((heard(499).entry, heard(499).position), (entry(1), Frames(48_000 + 499 * 48)));
        assert_eq!((heard(600).entry, heard(600).position), (entry(2), Frames(48_000 + 100 * 48)));
    }

    #[test]
    fn a_pause_now_replaces_what_was_agreed_for_later() {
        let mut timeline = Timeline::new();
        timeline.handle_anchor(anchor(1, 0, true), ms(0)).unwrap();
        timeline.handle_anchor(anchor(2, 500, true), ms(100)).unwrap();
        timeline.handle_anchor(anchor(3, 200, false), ms(200)).unwrap();
        let heard = timeline.heard_at(ms(10_000), |_| Some(SampleRate::HZ_48000)).unwrap();
        assert_eq!(heard, Heard { entry: entry(3), position: Frames(48_000), playing: false });
    }

    #[test]
    fn stale_and_absurd_anchors_change_nothing() {
        let mut timeline = Timeline::new();
        timeline.handle_anchor(anchor(5, 0, true), ms(0)).unwrap();
        let before = timeline.clone();
        assert!(matches!(
            timeline.handle_anchor(anchor(5, 1, false), ms(0)),
            Err(TimelineError::Stale { .. })
        ));
        let far = Anchor { at: ms(0) + ANCHOR_AHEAD_MAX + Span::from_nanos(1), ..anchor(6, 0, true) };
        assert!(matches!(timeline.handle_anchor(far, ms(0)), Err(TimelineError::TooFarAhead { .. })));
        assert_eq!(timeline, before);
    }

    proptest! {
        #[test]
        fn the_list_stays_short_and_ordered(anchors in prop::collection::vec((0u64..200, -1_000i64..5_000, any::<bool>()), 0..100)) {
            let mut timeline = Timeline::new();
            for (step, (counter, at, playing)) in anchors.into_iter().enumerate() {
                let now = ms(i64::try_from(step).unwrap() * 20);
                let _ = timeline.handle_anchor(anchor(counter, at, playing), now);
                prop_assert!(timeline.anchors().len() <= ANCHORS_MAX + 2);
                prop_assert!(timeline.anchors().is_sorted_by(|a, b| a.at < b.at && a.revision < b.revision));
            }
        }

        #[test]
        fn however_fast_people_ask_there_is_room_and_no_anchor_waits_longer_than_two_leads(
            steps in prop::collection::vec((0i64..400, 50i64..3_000), 1..100),
        ) {
            let (mut timeline, mut now) = (Timeline::new(), 0);
            for (counter, (pause, lead)) in (1u64..).zip(steps) {
                now += pause;
                let lead = Span::from_millis(lead);
                let at = timeline.place(ms(now) + lead, lead, ms(now));
                let asked = Anchor { at, ..anchor(counter, 0, true) };
                prop_assert_eq!(timeline.handle_anchor(asked, ms(now)), Ok(()));
                prop_assert_eq!(timeline.last(), Some(&asked));
                prop_assert!(at - ms(now) <= Span::from_secs(6));
            }
        }
    }
}
