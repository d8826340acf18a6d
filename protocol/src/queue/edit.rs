//! What an edit says. These are wire types: enums are append-only and fields stay in order.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::limits::ENTRIES_MAX;
pub use crate::id::{EditId, EntryId};
use crate::{limits::TRACKS_PER_EDIT_MAX, media::Track, text::List};

/// One place in the queue and the track that plays there. Who added it is the author of its id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The entry's name.
    pub id: EntryId,
    /// What plays.
    pub track: Track,
}

/// Where an entry goes. No place lies before the frozen entry: a place that would, means directly behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Place {
    /// First of all, which is next to play while something is frozen.
    Start,
    /// Directly behind this entry; where it was removed, behind its nearest surviving predecessor; where it is
    /// unknown, the end.
    After(EntryId),
    /// Last of all.
    End,
}

/// What an edit does. Applying one never fails for want of an entry: see the tables in `docs/queue.md`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// Adds tracks, side by side.
    Add {
        /// The number of the first new entry; the others count on from it. Their author is the edit's.
        first: u32,
        /// Where the first goes.
        place: Place,
        /// What the entries play.
        tracks: List<Track, TRACKS_PER_EDIT_MAX>,
    },
    /// Moves one entry.
    Move {
        /// Which.
        entry: EntryId,
        /// Where to.
        place: Place,
    },
    /// Removes entries.
    Remove {
        /// Which.
        entries: List<EntryId, ENTRIES_MAX>,
    },
    /// Removes all that its author saw; what was added meanwhile stays.
    Clear {
        /// The entries the author saw.
        seen: List<EntryId, ENTRIES_MAX>,
    },
    /// Puts entries in another order: they share out the places that they hold together.
    Shuffle {
        /// The resulting order.
        order: List<EntryId, ENTRIES_MAX>,
    },
    /// Takes back an edit of the same author.
    Undo {
        /// Which.
        edit: EditId,
    },
}

/// An edit with its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edit {
    /// The edit's name; its author is also that of the entries it adds.
    pub id: EditId,
    /// What it does.
    pub change: Change,
}

/// What a listener wants, before it becomes an [`Edit`] with names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Intent {
    /// Add tracks at the end.
    Append(Vec<Track>),
    /// Add tracks directly behind an entry, or with `None` directly behind what is frozen (see
    /// [`Replica::freeze`](super::Replica::freeze)).
    PlayNext {
        /// The entry, usually the one that plays.
        after: Option<EntryId>,
        /// What to add.
        tracks: Vec<Track>,
    },
    /// Move one entry.
    Move {
        /// Which.
        entry: EntryId,
        /// Where to.
        place: Place,
    },
    /// Remove entries.
    Remove(Vec<EntryId>),
    /// Remove everything shown behind what is frozen.
    Clear,
    /// Shuffle everything shown behind what is frozen, by a seed that the caller drew at random.
    Shuffle {
        /// The same seed over the same queue gives the same order.
        seed: u64,
    },
    /// Take back my last edit that can be.
    Undo,
}

impl Edit {
    /// Roughly the memory that the edit holds, in bytes.
    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>()
            + match &self.change {
                Change::Add { tracks, .. } => tracks.iter().map(track_bytes).sum(),
                Change::Remove { entries: ids }
                | Change::Clear { seen: ids }
                | Change::Shuffle { order: ids } => size_of::<EntryId>() * ids.len(),
                Change::Move { .. } | Change::Undo { .. } => 0,
            }
    }
}

/// Roughly the memory of a track, in bytes.
fn track_bytes(track: &Track) -> usize {
    size_of::<Track>()
        + [&track.title, &track.artist, &track.album].map(|text| text.as_str().len()).iter().sum::<usize>()
}
