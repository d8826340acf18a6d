//! When a device has what to tell of its activity: changes at once and then one a second, renewals, and nothing where another
//! device of the account has begun to play since.

use alloc::boxed::Box;

use super::{
    ActivityNumber, BEATS_MAX, CHANGE_EVERY, CHANGES_BURST, Cover, PlayState, RENEW_EVERY, SharedTrack,
    SlotGeneration,
};
use crate::{
    budget::Budget,
    time::{NodeTime, Span},
};

/// What plays on this device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sharing {
    /// Whether it plays.
    pub state: PlayState,
    /// What.
    pub track: SharedTrack,
    /// Where in the track it is.
    pub position: Span,
    /// When it is there.
    pub at: NodeTime,
    /// Its cover, once that is there.
    pub cover: Option<Cover>,
}

/// What to tell the coordinator now.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Step {
    /// The activity is otherwise now.
    Publish {
        /// Which state of it this is.
        number: ActivityNumber,
        /// Whether it began to play here, which takes the account's activity over from another device.
        starts: bool,
        /// As how manieth device this one holds the activity of the account.
        generation: SlotGeneration,
        /// How it is.
        sharing: Box<Sharing>,
    },
    /// It is still so.
    Renew {
        /// As how manieth device this one holds the activity of the account.
        generation: SlotGeneration,
        /// The how manieth renewal of the state this is.
        count: u16,
    },
}

/// What came of a [`Step`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// It is done, under this generation.
    Done(SlotGeneration),
    /// Another device of the account has begun to play since.
    Elsewhere,
    /// Nobody holds the activity of the account: the coordinator began anew.
    Forgotten,
    /// It is to be tried again after so long.
    Wait(Span),
    /// The coordinator is away.
    Away,
}

/// Whose the account's activity is, as far as this device knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slot {
    /// Of this device or of nobody.
    Here(SlotGeneration),
    /// Of another device.
    Elsewhere,
}

/// The publishing side, one for each device.
///
/// Inputs are what plays, the coordinator's coming and going, and what came of each step; the output is the next step. Of steps
/// one at a time is under way, and each carries the newest state, so that nothing queues.
#[derive(Clone, Debug)]
pub struct Publisher {
    connected: bool,
    slot: Slot,
    current: Option<Sharing>,
    /// Whether the current state has still to be told.
    wanted: bool,
    /// Whether it began to play since it was told last.
    starts: bool,
    /// Whether the listener has said here that it is to play, which may be so already.
    asked_to_play: bool,
    number: ActivityNumber,
    changes: Budget,
    /// The step under way.
    asked: Option<Asked>,
    /// Nothing is tried before.
    held_until: Option<NodeTime>,
    renewal: Option<Renewal>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Publish {
        starts: bool,
        plays: bool,
    },
    Renew,
    /// Something whose outcome means nothing any more.
    Nothing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Renewal {
    count: u16,
    due: NodeTime,
}

impl Publisher {
    /// Nothing plays, and no coordinator is there. `last` is a number that was not used before on this device, such as one
    /// taken from the calendar.
    #[must_use]
    pub const fn new(last: ActivityNumber) -> Self {
        Self {
            connected: false,
            slot: Slot::Here(SlotGeneration(0)),
            current: None,
            wanted: false,
            starts: false,
            asked_to_play: false,
            number: last,
            changes: Budget::new(CHANGES_BURST, CHANGE_EVERY),
            asked: None,
            held_until: None,
            renewal: None,
        }
    }

    /// What plays on this device now; none where nothing is on.
    pub fn handle_sharing(&mut self, sharing: Option<Sharing>) {
        let next = match (sharing, &self.current) {
            (Some(next), _) => next,
            (None, Some(last)) if last.state != PlayState::Ended => {
                Sharing { state: PlayState::Ended, ..last.clone() }
            }
            (None, _) => return,
        };
        let (before, plays) = (self.current.as_ref(), next.state == PlayState::Playing);
        let by_hand = plays && core::mem::take(&mut self.asked_to_play);
        if !by_hand && before.is_some_and(|before| before.goes_on_as(&next)) {
            return;
        }
        let played = before.is_some_and(|before| before.state == PlayState::Playing);
        self.starts |= plays && (by_hand || !played);
        self.starts &= next.state == PlayState::Playing;
        (self.current, self.wanted) = (Some(next), true);
    }

    /// The listener has said on this device that it is to play. The account's activity comes over to it, also where it has played on
    /// while another device had the activity.
    pub const fn handle_play(&mut self) {
        self.asked_to_play = true;
    }

    /// The machine slept for so long, and its node time stood still meanwhile: what stands has stood for so much longer.
    pub fn handle_slept(&mut self, span: Span) {
        if let Some(current) = self.current.as_mut().filter(|current| current.state != PlayState::Playing) {
            current.at = current.at - span.max(Span::ZERO);
        }
    }

    /// The coordinator answers. It may have forgotten what it was told.
    pub fn handle_connected(&mut self) {
        (self.connected, self.held_until, self.asked) = (true, None, None);
        self.handle_again();
    }

    /// The coordinator is away.
    pub fn handle_disconnected(&mut self) {
        self.connected = false;
        self.asked = None;
        self.renewal = None;
    }

    /// The same is to be told again: to others, or sealed with other keys.
    pub fn handle_again(&mut self) {
        self.wanted |= self.current.is_some();
    }

    /// The activity is hidden: nothing is told before something plays anew.
    pub fn handle_hidden(&mut self) {
        (self.slot, self.current, self.renewal) = (Slot::Here(SlotGeneration(0)), None, None);
        (self.wanted, self.starts, self.asked_to_play) = (false, false, false);
        self.asked = self.asked.map(|_| Asked::Nothing);
    }

    /// What was told came about, or did not.
    pub fn handle_told(&mut self, told: Told, now: NodeTime) {
        let Some(asked) = self.asked.take().filter(|asked| *asked != Asked::Nothing) else { return };
        match told {
            Told::Done(generation) => {
                self.slot = Slot::Here(generation);
                if let Asked::Publish { plays, .. } = asked {
                    self.renewal = plays.then_some(Renewal { count: 0, due: now + RENEW_EVERY });
                }
                return;
            }
            Told::Elsewhere => (self.slot, self.renewal) = (Slot::Elsewhere, None),
            Told::Forgotten => self.wanted = self.current.is_some(),
            Told::Wait(span) => self.held_until = Some(now + span),
            Told::Away => self.handle_disconnected(),
        }
        if let Asked::Publish { starts, .. } = asked {
            // What was to be told is told once it can be, in its newest form.
            self.wanted |= !matches!(told, Told::Elsewhere);
            let plays = self.current.as_ref().is_some_and(|current| current.state == PlayState::Playing);
            self.starts |= starts && plays;
        }
    }

    /// What to tell next, if anything is to be told now. What came of it is to be [told](Self::handle_told) before the next.
    pub fn poll_step(&mut self, now: NodeTime) -> Option<Step> {
        if !self.connected || self.asked.is_some() || self.held_until.is_some_and(|until| now < until) {
            return None;
        }
        self.held_until = None;
        let generation = match self.slot {
            Slot::Here(generation) => generation,
            Slot::Elsewhere if self.starts => SlotGeneration(0),
            Slot::Elsewhere => {
                self.wanted = false;
                return None;
            }
        };
        if self.renewal.is_some_and(|renewal| renewal.due <= now && renewal.count >= BEATS_MAX) {
            self.wanted = true;
        }
        if self.wanted {
            return self.publish(generation, now);
        }
        let renewal = self.renewal.as_mut().filter(|renewal| renewal.due <= now)?;
        renewal.count += 1;
        renewal.due = now + RENEW_EVERY;
        self.asked = Some(Asked::Renew);
        Some(Step::Renew { generation, count: renewal.count })
    }

    fn publish(&mut self, generation: SlotGeneration, now: NodeTime) -> Option<Step> {
        let mut sharing = self.current.clone()?;
        if let Err(wait) = self.changes.spend(now) {
            self.held_until = Some(now + wait);
            return None;
        }
        self.number = ActivityNumber(self.number.0.saturating_add(1));
        let (starts, plays) = (self.starts, sharing.state == PlayState::Playing);
        (self.wanted, self.starts, self.renewal) = (false, false, None);
        self.asked = Some(Asked::Publish { starts, plays });
        if plays {
            // Told again, or held back: what has played on since is where it is now.
            let reached = sharing.position + (now - sharing.at).max(Span::ZERO);
            (sharing.position, sharing.at) = (reached.min(sharing.track.duration), now);
        }
        Some(Step::Publish { number: self.number, starts, generation, sharing: Box::new(sharing) })
    }

    /// When there may be something to tell though nothing happens.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<NodeTime> {
        if !self.connected || self.asked.is_some() {
            return None;
        }
        let held = self.held_until.filter(|_| self.wanted);
        let renewal =
            self.renewal.map(|renewal| self.held_until.map_or(renewal.due, |held| held.max(renewal.due)));
        held.or(renewal)
    }

    /// Whether another device of the account has the activity.
    #[must_use]
    pub fn is_elsewhere(&self) -> bool {
        self.slot == Slot::Elsewhere
    }

    /// Whether something is under way, so that what is asked now might be overtaken.
    #[must_use]
    pub const fn is_asking(&self) -> bool {
        self.asked.is_some()
    }
}

impl Sharing {
    /// Whether `next` is what this one has become by time alone.
    fn goes_on_as(&self, next: &Self) -> bool {
        if self.state != next.state || self.track != next.track || self.cover != next.cover {
            return false;
        }
        let expected = match self.state {
            PlayState::Playing => self.position + (next.at - self.at),
            PlayState::Paused => self.position,
            // What has ended is nowhere.
            PlayState::Ended => return true,
        };
        (next.position - expected).abs() < JUMP_LEAST
    }
}

/// How far off a position is at least that somebody has gone to. Milliseconds, default 300: less takes the steps of a clock that is
/// learnt for a seek, more does not show a small one.
const JUMP_LEAST: Span = Span::from_millis(300);
