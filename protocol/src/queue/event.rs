//! What the listener is told.

use super::{
    edit::{EditId, EntryId},
    error::Refusal,
};

/// Something that a listener may want to see. The author of a change is that of its edit id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum QueueEvent {
    /// The queue as shown changed: one's own edit at once, another's when the host has ordered it.
    Changed {
        /// By which edit.
        edit: EditId,
        /// What it did, in short.
        what: What,
    },
    /// The host ordered an edit, but at its turn it could do nothing.
    Refused {
        /// Which.
        edit: EditId,
        /// Why.
        reason: Refusal,
    },
    /// This entry plays or is about to: later edits go behind it.
    Frozen {
        /// Which.
        entry: EntryId,
    },
    /// The whole queue was replaced: look at it anew.
    Replaced,
}

/// What an edit did, in short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum What {
    /// Added this many entries, the first of them named.
    Added {
        /// The first.
        first: EntryId,
        /// How many, numbered upwards from the first.
        count: usize,
    },
    /// Moved one entry.
    Moved(EntryId),
    /// Removed this many entries.
    Removed(usize),
    /// Cleared this many entries away.
    Cleared(usize),
    /// Gave this many entries another order.
    Shuffled(usize),
    /// Took back an edit.
    Undid(EditId),
    /// Nothing: what it named was gone, or it was applied before.
    Nothing,
}
