//! What a viewer makes of an activity: where it is now, and whether that is still live.

use alloc::vec::Vec;

use super::{Activity, ActivityNumber, Beat, BeatProof, PlayState, STALE_AFTER};
use crate::{
    id::DeviceKey,
    time::{NodeTime, Span, UtcTime},
    wire::coord::DEVICES_MAX,
};

/// The newest that a viewer knows of one contact's activity.
#[derive(Clone, Debug)]
pub struct Viewed {
    device: DeviceKey,
    number: ActivityNumber,
    activity: Activity,
    /// When it was as it says, on the viewer's clock.
    held: NodeTime,
    /// When it was known to hold last.
    renewed: NodeTime,
    beat: (u16, BeatProof),
    /// Whether it says of itself that it is of another time than it was told.
    doubted: bool,
}

/// How an activity stands at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ViewState {
    /// It plays, and is here.
    Playing {
        /// Where in the track.
        position: Span,
    },
    /// It stands.
    Paused {
        /// Where in the track.
        position: Span,
        /// For how long.
        age: Span,
    },
    /// Nothing plays; it was the last.
    Last {
        /// For how long.
        age: Span,
    },
    /// It played when it was heard of last.
    Stale {
        /// For how long nothing was heard.
        age: Span,
    },
}

impl Viewed {
    /// An activity as it came, with how long ago that was where it passed through.
    #[must_use]
    pub fn new(
        (device, number): (DeviceKey, ActivityNumber),
        activity: Activity,
        told_ago: Span,
        now: NodeTime,
        today: UtcTime,
    ) -> Self {
        let told = told_ago.clamp(Span::ZERO, AGO_MAX);
        let by_calendar = today - activity.at;
        let plays = activity.state == PlayState::Playing;
        let doubted = plays && (by_calendar - told).abs() > CALENDAR_OFF_MAX;
        // What stands may be told again long after: then only its own word says since when.
        let held = if plays { told } else { told.max(by_calendar.min(AGO_MAX)) };
        let beat = (0, activity.beats);
        Self { device, number, activity, held: now - held, renewed: now - told, beat, doubted }
    }

    /// Whether it is this state.
    #[must_use]
    pub fn is(&self, device: DeviceKey, number: ActivityNumber) -> bool {
        (self.device, self.number) == (device, number)
    }

    /// It is still so. Whether that is proven; a renewal that is not, or comes again, changes nothing.
    pub fn handle_beat(&mut self, beat: Beat, ago: Span, now: NodeTime) -> bool {
        let (count, proof) = self.beat;
        if !beat.continues(count, proof) {
            return false;
        }
        self.beat = (beat.count, beat.proof);
        self.renewed = self.renewed.max(now - ago.clamp(Span::ZERO, AGO_MAX));
        true
    }

    /// The viewer's machine slept for so long, and its node time stood still meanwhile.
    pub fn handle_slept(&mut self, span: Span) {
        let span = span.clamp(Span::ZERO, AGO_MAX);
        (self.held, self.renewed) = (self.held - span, self.renewed - span);
    }

    /// What is shown.
    #[must_use]
    pub const fn activity(&self) -> &Activity {
        &self.activity
    }

    /// Whether the friend's clock or this one's is wrong by so much that nothing is taken for live.
    #[must_use]
    pub const fn is_doubted(&self) -> bool {
        self.doubted
    }

    /// How it stands.
    #[must_use]
    pub fn state(&self, now: NodeTime) -> ViewState {
        let Activity { state, position, track, .. } = &self.activity;
        let age = (now - self.held).max(Span::ZERO);
        match state {
            PlayState::Ended => ViewState::Last { age },
            PlayState::Paused => ViewState::Paused { position: (*position).min(track.duration), age },
            PlayState::Playing => {
                let silent = now - self.renewed;
                if self.doubted || silent >= STALE_AFTER {
                    return ViewState::Stale { age: silent };
                }
                ViewState::Playing { position: (*position + age).min(track.duration) }
            }
        }
    }

    /// When it changes by time alone: from playing to stale.
    #[must_use]
    pub fn poll_timeout(&self, now: NodeTime) -> Option<NodeTime> {
        matches!(self.state(now), ViewState::Playing { .. }).then(|| self.renewed + STALE_AFTER)
    }
}

/// How far two calendars may differ. Seconds, default 300: less doubts a friend whose clock is a little off, more lets whoever passes
/// an activity on keep it back for so long and have it taken for live.
const CALENDAR_OFF_MAX: Span = Span::from_secs(300);
/// What passes for long ago, so that no sum leaves its range: a year.
const AGO_MAX: Span = Span::from_secs(365 * 86_400);
/// The newest state of an activity that was seen of each device of a contact, so that none comes twice: neither one that was
/// superseded, nor one that was hidden since. It holds numbers, and nothing of what was shown.
#[derive(Clone, Debug, Default)]
pub struct Newest(Vec<(DeviceKey, ActivityNumber)>);

impl Newest {
    /// Whether this state is newer than all that were seen of its device; then it is seen.
    pub fn admit(&mut self, device: DeviceKey, number: ActivityNumber) -> bool {
        if let Some((_, newest)) = self.0.iter_mut().find(|(known, _)| *known == device) {
            let newer = number > *newest;
            *newest = number.max(*newest);
            return newer;
        }
        if self.0.len() >= DEVICES_KEPT_MAX {
            self.0.remove(0);
        }
        self.0.push((device, number));
        true
    }
}

/// Of how many devices of one contact that is remembered: those of an account, and as many that it had before.
const DEVICES_KEPT_MAX: usize = 2 * DEVICES_MAX;
