//! What is settled: where playback stands in the queue, and what the queue lets go of behind it.
//!
//! Letting go is no fact of its own. It follows from the state alone after each edit and each freeze, so whoever applies
//! the same facts lets go of the same entries at the same point of the order.

use alloc::{collections::BTreeSet, vec::Vec};

use super::{
    edit::EntryId,
    limits::{PLAYED_MAX, TO_COME_MAX},
    state::{Queue, Slot},
};

impl Queue {
    /// The entry up to which playback is settled.
    #[must_use]
    pub const fn frozen(&self) -> Option<EntryId> {
        self.frozen
    }

    /// Settles playback up to and including `entry`: no later edit puts anything before it or moves it. Where the
    /// entry is unknown nothing is settled. Of what has been played by that, the last [`PLAYED_MAX`] entries stay.
    pub fn freeze(&mut self, entry: EntryId) {
        self.frozen = Some(entry);
        self.let_go();
    }

    /// How many entries have been played: those before the frozen one.
    #[must_use]
    pub fn played(&self) -> usize {
        live(self.slots.iter().take(self.played_slots()))
    }

    /// The entries behind the frozen one, in order.
    pub(super) fn unsettled(&self) -> Vec<EntryId> {
        let behind = self.slots.iter().skip(self.floor());
        behind.filter(|slot| slot.removed.is_none()).map(|slot| slot.id).collect()
    }

    /// The index of the first slot that may still change: the one behind the frozen entry.
    pub(super) fn floor(&self) -> usize {
        self.frozen.and_then(|id| self.position(id)).map_or(0, |position| position.saturating_add(1))
    }

    /// How many entries there would be from the frozen one on, with `more` added, where that is too many.
    pub(super) fn too_many_to_come(&self, more: usize) -> Option<usize> {
        let would_have = self.live.saturating_sub(self.played()).saturating_add(more);
        (would_have > TO_COME_MAX).then_some(would_have)
    }

    /// How many of these would be restored to a place that is not played yet.
    pub(super) fn restorable_to_come(&self, ids: &[EntryId]) -> usize {
        let named: BTreeSet<EntryId> = ids.iter().copied().collect();
        let to_come = self.slots.iter().skip(self.played_slots());
        to_come.filter(|slot| slot.removed.is_some() && named.contains(&slot.id)).count()
    }

    /// Lets go of the entries played first where more than [`PLAYED_MAX`] have been played. They keep their slots as removed
    /// ones do, and nothing restores them: what still sounds, and an edit under way that names one, finds its place.
    pub(super) fn let_go(&mut self) {
        if self.live <= PLAYED_MAX {
            return;
        }
        let end = self.played_slots();
        let mut surplus = self.played().saturating_sub(PLAYED_MAX);
        if surplus == 0 {
            return;
        }
        for slot in self.slots.iter_mut().take(end).filter(|slot| slot.removed.is_none()) {
            if surplus == 0 {
                break;
            }
            slot.removed = Some(self.removals);
            surplus = surplus.saturating_sub(1);
            self.live = self.live.saturating_sub(1);
        }
        self.removals = self.removals.saturating_add(1);
        self.forget();
    }

    /// How many slots stand before the frozen entry's.
    fn played_slots(&self) -> usize {
        self.floor().saturating_sub(1)
    }
}

/// How many of `slots` are live.
fn live<'a>(slots: impl Iterator<Item = &'a Slot>) -> usize {
    slots.filter(|slot| slot.removed.is_none()).count()
}
