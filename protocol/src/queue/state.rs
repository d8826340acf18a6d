//! The queue as a pure function of the edits applied to it.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    vec::Vec,
};

use super::{
    edit::{Change, Edit, EditId, Entry, EntryId, Place},
    error::Refusal,
    event::What,
    limits::{ENTRIES_MAX, TOMBSTONES_MAX},
    undo::{Effect, Effects, Reverse},
};
use crate::{id::Participant, media::Track, text::List};

/// The queue that a sequence of edits leads to. Two queues that applied the same sequence are equal.
///
/// A removed entry keeps its place among the others, unseen: so an edit that names it still has a meaning, and
/// undo finds its place again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Queue {
    /// All that is remembered, in order.
    pub(super) slots: Vec<Slot>,
    /// How many slots are live.
    pub(super) live: usize,
    /// How often entries were removed or let go of: stamps tombstones, so that the oldest are forgotten first.
    pub(super) removals: u64,
    /// Playback is settled up to and including this entry.
    pub(super) frozen: Option<EntryId>,
    /// The highest numbers used, per author.
    pub(super) used: BTreeMap<Participant, Used>,
    pub(super) effects: Effects,
}

/// An entry at its place. The entry is shared because rebasing copies the whole queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) id: EntryId,
    /// `None` while the entry is live, else the stamp of its removal.
    pub(super) removed: Option<u64>,
    pub(super) entry: Arc<Entry>,
}

/// The highest numbers that one author used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Used {
    pub(super) edit: u32,
    pub(super) entry: u32,
}

impl Queue {
    /// The queue of a host who begins a Jam with `tracks`.
    pub(super) fn adopting(author: Participant, tracks: Vec<Track>) -> Result<Self, Refusal> {
        let mut queue = Self::default();
        queue.room_for(tracks.len())?;
        for (number, track) in (1..).zip(tracks) {
            let id = EntryId { author, number };
            queue.slots.push(Slot { id, removed: None, entry: Arc::new(Entry { id, track }) });
            queue.used.insert(author, Used { edit: 0, entry: number });
        }
        queue.live = queue.slots.len();
        Ok(queue)
    }

    /// The entries in order, the last played ones included.
    pub fn entries(&self) -> impl DoubleEndedIterator<Item = &Entry> + Clone {
        self.slots.iter().filter(|slot| slot.removed.is_none()).map(|slot| &*slot.entry)
    }

    /// How many entries there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.live
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.live == 0
    }

    /// The entry of that name, also where it was removed and is remembered.
    #[must_use]
    pub fn entry(&self, id: EntryId) -> Option<&Entry> {
        self.slots.iter().find(|slot| slot.id == id).map(|slot| &*slot.entry)
    }

    /// Whether the entry is in the queue and not removed.
    #[must_use]
    pub fn contains(&self, id: EntryId) -> bool {
        self.slots.iter().any(|slot| slot.id == id && slot.removed.is_none())
    }

    /// The entry that plays after `id`, also where `id` was removed and is remembered.
    #[must_use]
    pub fn next_after(&self, id: EntryId) -> Option<&Entry> {
        let behind = self.position(id)?.saturating_add(1);
        self.slots.iter().skip(behind).find(|slot| slot.removed.is_none()).map(|slot| &*slot.entry)
    }

    /// The entry that plays before `id`, also where `id` was removed and is remembered.
    #[must_use]
    pub fn previous_before(&self, id: EntryId) -> Option<&Entry> {
        let position = self.position(id)?;
        self.slots.iter().take(position).rev().find(|slot| slot.removed.is_none()).map(|slot| &*slot.entry)
    }

    /// The number of the newest edit by `author` that was applied or refused.
    #[must_use]
    pub fn seen(&self, author: Participant) -> u32 {
        self.used(author).edit
    }

    /// Applies an edit. One that was applied before, or is older than the newest of its author, does nothing.
    ///
    /// # Errors
    /// [`Refusal`]: the edit is done with, but changed nothing. All who apply the same edits in the same order
    /// refuse the same ones.
    pub fn apply(&mut self, edit: &Edit) -> Result<What, Refusal> {
        if edit.id.number <= self.seen(edit.id.author) {
            return Ok(What::Nothing);
        }
        let outcome = self.check(edit);
        self.used.entry(edit.id.author).or_default().edit = edit.id.number;
        outcome?;
        let what = self.change(edit);
        self.let_go();
        Ok(what)
    }

    /// Forgets what was removed, what stands before `heard`, and how to take any edit back; `heard` itself stays in
    /// any case. What is settled stays settled. What others than `host` added becomes the host's under a new name: who
    /// joins may stand in the place of one who has left. Only `heard` keeps its name, for anchors name it.
    pub(super) fn forget_history(&mut self, host: Participant, heard: &[EntryId]) {
        let floor = self.floor();
        let first = self.slots.iter().position(|slot| heard.contains(&slot.id)).unwrap_or(0);
        let (mut slots, mut frozen) = (Vec::new(), None);
        let mut used = self.used(host);
        for (index, mut slot) in self.slots.drain(..).enumerate() {
            let is_heard = heard.contains(&slot.id);
            if is_heard || (slot.removed.is_none() && index >= first) {
                if slot.id.author != host && !is_heard {
                    used.entry = used.entry.saturating_add(1);
                    slot.id = EntryId { author: host, number: used.entry };
                    slot.entry = Arc::new(Entry { id: slot.id, track: slot.entry.track.clone() });
                }
                frozen = if index < floor { Some(slot.id) } else { frozen };
                slots.push(slot);
            }
        }
        self.used.insert(host, used);
        self.live = slots.iter().filter(|slot| slot.removed.is_none()).count();
        (self.slots, self.frozen, self.effects) = (slots, frozen, Effects::default());
    }

    /// Whether the edit would be refused now.
    ///
    /// # Errors
    /// The [`Refusal`] that [`apply`](Self::apply) would return.
    pub fn check(&self, edit: &Edit) -> Result<(), Refusal> {
        match &edit.change {
            Change::Add { first, tracks, .. } => {
                let expected = self.used(edit.id.author).entry.saturating_add(1);
                let fits =
                    u32::try_from(tracks.len()).ok().and_then(|more| first.checked_add(more)).is_some();
                if *first < expected || !fits {
                    return Err(Refusal::EntryReused { expected, actual: *first });
                }
                self.room_for(tracks.len())
            }
            Change::Move { entry, .. } if self.frozen == Some(*entry) => Err(Refusal::Frozen(*entry)),
            Change::Undo { edit: target } if target.author != edit.id.author => {
                Err(Refusal::NotYours(*target))
            }
            Change::Undo { edit: target } => match self.effects.of(*target) {
                None => Err(Refusal::NotUndoable(*target)),
                Some(Reverse::Restore(ids)) => self.room_for(self.restorable_to_come(ids)),
                Some(Reverse::Move { entry, .. }) if self.frozen == Some(*entry) => {
                    Err(Refusal::Frozen(*entry))
                }
                Some(Reverse::Move { .. } | Reverse::Remove(_) | Reverse::Reorder(_)) => Ok(()),
            },
            Change::Move { .. } | Change::Remove { .. } | Change::Clear { .. } | Change::Shuffle { .. } => {
                Ok(())
            }
        }
    }

    /// The newest edit of `author` that can be undone.
    pub(super) fn last_undoable(&self, author: Participant) -> Option<EditId> {
        self.effects.last_of(author)
    }

    pub(super) fn used(&self, author: Participant) -> Used {
        self.used.get(&author).copied().unwrap_or_default()
    }

    /// Applies an edit that [`check`](Self::check) found good, and remembers how to take it back.
    fn change(&mut self, edit: &Edit) -> What {
        let id = edit.id;
        match &edit.change {
            Change::Add { first, place, tracks } => self.add(id, *first, *place, tracks),
            Change::Move { entry, place } => match self.shift(*entry, *place) {
                Some(before) => {
                    self.done(id, Reverse::Move { entry: *entry, place: before }, What::Moved(*entry))
                }
                None => What::Nothing,
            },
            Change::Remove { entries } => {
                let removed = self.remove(entries);
                let count = removed.len();
                self.done_with(id, removed, Reverse::Restore, What::Removed(count))
            }
            Change::Clear { seen } => {
                let removed = self.remove(seen);
                let count = removed.len();
                self.done_with(id, removed, Reverse::Restore, What::Cleared(count))
            }
            Change::Shuffle { order } => {
                let before = self.reorder(order);
                let count = before.len();
                self.done_with(id, before, Reverse::Reorder, What::Shuffled(count))
            }
            Change::Undo { edit: target } => self.undo(*target),
        }
    }

    fn add(&mut self, edit: EditId, first: u32, place: Place, tracks: &[Track]) -> What {
        let author = edit.author;
        let ids: Vec<EntryId> = (first..).zip(tracks).map(|(number, _)| EntryId { author, number }).collect();
        let (Some(first), Some(last)) = (ids.first().copied(), ids.last().copied()) else {
            return What::Nothing;
        };
        let slots = ids.iter().zip(tracks).map(|(id, track)| Slot {
            id: *id,
            removed: None,
            entry: Arc::new(Entry { id: *id, track: track.clone() }),
        });
        let index = self.index(place);
        self.slots.splice(index..index, slots);
        self.live = self.live.saturating_add(ids.len());
        self.used.entry(author).or_default().entry = last.number;
        let count = ids.len();
        self.done_with(edit, ids, Reverse::Remove, What::Added { first, count })
    }

    /// Moves a live entry and returns where it was; `None` where that changes nothing.
    fn shift(&mut self, id: EntryId, place: Place) -> Option<Place> {
        let from = self.slots.iter().position(|slot| slot.id == id && slot.removed.is_none())?;
        let to = self.index(place);
        // Its own place and the one behind it are the same to an entry that leaves first.
        let to = if to > from { to.saturating_sub(1) } else { to };
        if to == from {
            return None;
        }
        let before = from.checked_sub(1).and_then(|index| self.slots.get(index));
        let before = before.map_or(Place::Start, |slot| Place::After(slot.id));
        let slot = self.slots.remove(from);
        self.slots.insert(to.min(self.slots.len()), slot);
        Some(before)
    }

    /// Removes those that are live and returns them in order.
    fn remove(&mut self, ids: &[EntryId]) -> Vec<EntryId> {
        let named: BTreeSet<EntryId> = ids.iter().copied().collect();
        let mut removed = Vec::new();
        for slot in &mut self.slots {
            if slot.removed.is_none() && named.contains(&slot.id) {
                slot.removed = Some(self.removals);
                removed.push(slot.id);
            }
        }
        self.live = self.live.saturating_sub(removed.len());
        self.removals = self.removals.saturating_add(u64::from(!removed.is_empty()));
        self.forget();
        removed
    }

    /// Restores those that are removed and remembered.
    fn restore(&mut self, ids: &[EntryId]) {
        let named: BTreeSet<EntryId> = ids.iter().copied().collect();
        for slot in &mut self.slots {
            if slot.removed.is_some() && named.contains(&slot.id) {
                slot.removed = None;
                self.live = self.live.saturating_add(1);
            }
        }
    }

    /// Gives the live and unsettled among `order` that order, within the places they hold together. Returns the
    /// former order; it is empty where nothing changed.
    fn reorder(&mut self, order: &[EntryId]) -> Vec<EntryId> {
        let rank: BTreeMap<EntryId, usize> = order.iter().enumerate().map(|(rank, id)| (*id, rank)).collect();
        let floor = self.floor();
        let chosen = |slot: &Slot| slot.removed.is_none() && rank.contains_key(&slot.id);
        let mut taken: Vec<Slot> =
            self.slots.iter().skip(floor).filter(|slot| chosen(slot)).cloned().collect();
        let before: Vec<EntryId> = taken.iter().map(|slot| slot.id).collect();
        taken.sort_by_cached_key(|slot| rank.get(&slot.id).copied());
        if taken.iter().map(|slot| slot.id).eq(before.iter().copied()) {
            return Vec::new();
        }
        let places = self.slots.iter_mut().skip(floor).filter(|slot| chosen(slot));
        for (place, slot) in places.zip(taken) {
            *place = slot;
        }
        before
    }

    fn undo(&mut self, target: EditId) -> What {
        let Some(effect) = self.effects.take(target) else { return What::Nothing };
        match &effect.reverse {
            Reverse::Remove(ids) => drop(self.remove(ids)),
            Reverse::Restore(ids) => self.restore(ids),
            Reverse::Move { entry, place } => drop(self.shift(*entry, *place)),
            Reverse::Reorder(order) => drop(self.reorder(order)),
        }
        What::Undid(target)
    }

    /// Remembers how to take an edit back that touched `ids`; touching none is nothing.
    fn done_with(
        &mut self,
        edit: EditId,
        ids: Vec<EntryId>,
        reverse: impl Fn(List<EntryId, ENTRIES_MAX>) -> Reverse,
        what: What,
    ) -> What {
        match List::new(ids) {
            Ok(ids) if !ids.is_empty() => self.done(edit, reverse(ids), what),
            Ok(_) | Err(_) => What::Nothing,
        }
    }

    fn done(&mut self, edit: EditId, reverse: Reverse, what: What) -> What {
        self.effects.push(Effect { edit, reverse });
        what
    }

    /// Forgets the entries that went first where more than [`TOMBSTONES_MAX`] are gone.
    pub(super) fn forget(&mut self) {
        let surplus = self.slots.len().saturating_sub(self.live).saturating_sub(TOMBSTONES_MAX);
        if surplus == 0 {
            return;
        }
        let mut stamps: Vec<(u64, EntryId)> =
            self.slots.iter().filter_map(|slot| slot.removed.map(|stamp| (stamp, slot.id))).collect();
        stamps.sort_unstable();
        let frozen = self.frozen;
        let gone: BTreeSet<EntryId> =
            stamps.into_iter().map(|(_, id)| id).filter(|id| frozen != Some(*id)).take(surplus).collect();
        self.slots.retain(|slot| !gone.contains(&slot.id));
    }

    /// Where a slot at this place is inserted.
    fn index(&self, place: Place) -> usize {
        let index = match place {
            Place::Start => 0,
            Place::After(id) => {
                self.position(id).map_or(self.slots.len(), |position| position.saturating_add(1))
            }
            Place::End => self.slots.len(),
        };
        index.max(self.floor())
    }

    pub(super) fn position(&self, id: EntryId) -> Option<usize> {
        self.slots.iter().position(|slot| slot.id == id)
    }

    fn room_for(&self, more: usize) -> Result<(), Refusal> {
        self.too_many_to_come(more).map_or(Ok(()), |would_have| Err(Refusal::Full { would_have }))
    }
}
