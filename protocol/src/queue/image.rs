//! The whole state as data: in one part for the disk, in pieces for the wire.

use alloc::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
    vec::Vec,
};

use serde::{Deserialize, Serialize};

use super::{
    edit::{Edit, Entry, EntryId},
    error::QueueError,
    limits::{
        EFFECTS_MAX, ENTRIES_MAX, PARTICIPANTS_MAX, PIECE_EFFECTS, PIECE_SLOTS, SLOTS_MAX, TOMBSTONES_MAX,
    },
    log::Head,
    message::Piece,
    state::{Queue, Slot, Used},
    undo::{Effect, Effects},
};
use crate::{id::Participant, text::List};

/// The ordered queue at one point of the order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    at: Head,
    numbers: List<Numbers, PARTICIPANTS_MAX>,
    frozen: Option<EntryId>,
    removals: u64,
    slots: List<SlotImage, SLOTS_MAX>,
    effects: List<Effect, EFFECTS_MAX>,
}

/// One participant's replica as it is kept on disk: see [`Replica::restore`](super::Replica::restore).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saved {
    pub(super) me: Participant,
    pub(super) image: Image,
    pub(super) own: List<Edit, OWN_SAVED_MAX>,
    pub(super) next_edit: u32,
    pub(super) next_entry: u32,
    pub(super) hosted_epoch: u32,
}

impl Saved {
    /// Whose replica it is.
    pub(crate) const fn author(&self) -> Participant {
        self.me
    }

    /// The highest epoch that it holds.
    pub(crate) fn epoch(&self) -> u32 {
        self.hosted_epoch.max(self.image.at.term.epoch)
    }
}

/// Own edits in what is saved: those that wait, and the newest others.
pub(super) const OWN_SAVED_MAX: usize = 4_096;

/// The highest numbers that one author used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Numbers {
    author: Participant,
    edit: u32,
    entry: u32,
}

/// An entry at its place, with the stamp of its removal where it was removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotImage {
    entry: Entry,
    removed: Option<u64>,
}

impl Image {
    /// What `queue` is after all up to `at` was applied.
    pub(super) fn of(queue: &Queue, at: Head) -> Self {
        let numbers = queue.used.iter().map(|(author, used)| Numbers {
            author: *author,
            edit: used.edit,
            entry: used.entry,
        });
        let slots =
            queue.slots.iter().map(|slot| SlotImage { entry: (*slot.entry).clone(), removed: slot.removed });
        // The queue keeps each of these within its bound, so nothing is cut.
        Self {
            at,
            numbers: bounded(numbers.collect()),
            frozen: queue.frozen,
            removals: queue.removals,
            slots: bounded(slots.collect()),
            effects: bounded(queue.effects.iter().cloned().collect()),
        }
    }

    /// The queue, and the point it shows.
    ///
    /// # Errors
    /// [`QueueError::BadSnapshot`] where no sequence of edits leads to such a queue.
    pub(super) fn into_queue(self) -> Result<(Queue, Head), QueueError> {
        let mut queue = Queue { frozen: self.frozen, removals: self.removals, ..Queue::default() };
        for numbers in self.numbers {
            let used = Used { edit: numbers.edit, entry: numbers.entry };
            if queue.used.insert(numbers.author, used).is_some() {
                return Err(QueueError::BadSnapshot("an author has two counts"));
            }
        }
        let mut known = BTreeSet::new();
        for SlotImage { entry, removed } in self.slots {
            let id = entry.id;
            if !known.insert(id) {
                return Err(QueueError::BadSnapshot("an entry has two places"));
            }
            if id.number > queue.used(id.author).entry {
                return Err(QueueError::BadSnapshot("an entry is newer than its author's newest"));
            }
            if removed.is_some_and(|stamp| stamp >= self.removals) {
                return Err(QueueError::BadSnapshot("an entry was removed by an edit to come"));
            }
            queue.live += usize::from(removed.is_none());
            queue.slots.push(Slot { id, removed, entry: Arc::new(entry) });
        }
        if queue.live > ENTRIES_MAX || queue.slots.len() - queue.live > TOMBSTONES_MAX {
            return Err(QueueError::BadSnapshot("more entries than a queue holds"));
        }
        let mut effects = Effects::default();
        for effect in self.effects {
            if effect.edit.number > queue.used(effect.edit.author).edit {
                return Err(QueueError::BadSnapshot("an edit is newer than its author's newest"));
            }
            effects.push(effect);
        }
        queue.effects = effects;
        Ok((queue, self.at))
    }

    /// The image in pieces that each fit a frame, in the order in which they are sent.
    pub(super) fn into_pieces(self) -> VecDeque<Piece> {
        let mut pieces = VecDeque::new();
        let Self { numbers, frozen, removals, .. } = self;
        pieces.push_back(Piece::Start { numbers, frozen, removals });
        pieces.extend(chunks::<_, PIECE_SLOTS>(self.slots.into_vec()).map(Piece::Slots));
        pieces.extend(chunks::<_, PIECE_EFFECTS>(self.effects.into_vec()).map(Piece::Effects));
        pieces.push_back(Piece::End);
        pieces
    }
}

/// A snapshot that is arriving.
#[derive(Clone, Debug)]
pub(super) struct Arriving {
    at: Head,
    numbers: List<Numbers, PARTICIPANTS_MAX>,
    frozen: Option<EntryId>,
    removals: u64,
    slots: Vec<SlotImage>,
    effects: Vec<Effect>,
}

impl Arriving {
    /// Takes the next piece; the image once it is complete. After an error the snapshot is dropped.
    ///
    /// # Errors
    /// [`QueueError::PieceOutOfOrder`] without a `Start` for the same point, [`QueueError::BadSnapshot`] where
    /// there are more pieces than any queue has.
    pub(super) fn take(
        arriving: &mut Option<Self>,
        at: Head,
        piece: Piece,
    ) -> Result<Option<Image>, QueueError> {
        if let Piece::Start { numbers, frozen, removals } = piece {
            let (slots, effects) = (Vec::new(), Vec::new());
            *arriving = Some(Self { at, numbers, frozen, removals, slots, effects });
            return Ok(None);
        }
        let mut so_far =
            arriving.take().filter(|so_far| so_far.at == at).ok_or(QueueError::PieceOutOfOrder)?;
        match piece {
            Piece::Slots(slots) => so_far.slots.extend(slots),
            Piece::Effects(effects) => so_far.effects.extend(effects),
            Piece::Start { .. } | Piece::End => return so_far.complete().map(Some),
        }
        if so_far.slots.len() > SLOTS_MAX || so_far.effects.len() > EFFECTS_MAX {
            return Err(QueueError::BadSnapshot("more pieces than a queue has"));
        }
        *arriving = Some(so_far);
        Ok(None)
    }

    fn complete(self) -> Result<Image, QueueError> {
        let too_many = |_| QueueError::BadSnapshot("more pieces than a queue has");
        let Self { at, numbers, frozen, removals, slots, effects } = self;
        let slots = List::new(slots).map_err(too_many)?;
        let effects = List::new(effects).map_err(too_many)?;
        Ok(Image { at, numbers, frozen, removals, slots, effects })
    }
}

/// The last `MAX` items.
pub(super) fn bounded<T, const MAX: usize>(mut items: Vec<T>) -> List<T, MAX> {
    items.drain(..items.len().saturating_sub(MAX));
    List::new(items).unwrap_or_default()
}

/// `items` in lists of at most `MAX`.
fn chunks<T, const MAX: usize>(items: Vec<T>) -> impl Iterator<Item = List<T, MAX>> {
    let mut items = items.into_iter();
    core::iter::from_fn(move || {
        let chunk: Vec<T> = items.by_ref().take(MAX).collect();
        if chunk.is_empty() { None } else { List::new(chunk).ok() }
    })
}
