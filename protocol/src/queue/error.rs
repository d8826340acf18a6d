//! What can be wrong with an edit or a message.

use super::{
    edit::{EditId, EntryId},
    limits::{PENDING_MAX, TO_COME_MAX},
};
use crate::{id::Participant, limits::TRACKS_PER_EDIT_MAX};

/// Why an edit changes nothing although it was asked for. All participants come to the same refusal, because it
/// depends on the ordered queue alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// More than [`TO_COME_MAX`] would be to come.
    #[error(
        "{would_have} entries would be to come, and a queue holds at most {TO_COME_MAX}: remove some first"
    )]
    Full {
        /// How many entries there would be from the frozen one on.
        would_have: usize,
    },
    /// New entries under numbers that their author has used.
    #[error("entry number {actual} is used: expected at least {expected}")]
    EntryReused {
        /// The lowest number still free.
        expected: u32,
        /// The number that was offered.
        actual: u32,
    },
    /// The frozen entry is about to play or plays, so it stays where it is.
    #[error("{0:?} is playing or about to: it cannot be moved")]
    Frozen(EntryId),
    /// The edit to undo changed nothing, is undone already, or is older than the edits that are remembered.
    #[error("{0:?} can no longer be undone")]
    NotUndoable(EditId),
    /// Each undoes only their own edits.
    #[error("{0:?} was made by somebody else: only its author can undo it")]
    NotYours(EditId),
}

/// Why a call or a message is refused. The state is what it was before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QueueError {
    /// The listener's edit would change nothing.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The listener has nothing to undo.
    #[error("there is no edit of yours to undo")]
    NothingToUndo,
    /// The listener named an entry that is not in the queue.
    #[error("{0:?} is not in the queue")]
    UnknownEntry(EntryId),
    /// More in one edit than it can carry.
    #[error(
        "{actual} items in one edit where at most {limit} fit, {TRACKS_PER_EDIT_MAX} tracks: use several edits"
    )]
    TooMany {
        /// How many were offered.
        actual: usize,
        /// How many fit.
        limit: usize,
    },
    /// Too many edits wait for the host.
    #[error("{PENDING_MAX} edits wait for the host: it must be reached before more are made")]
    TooManyPending,
    /// Four thousand million edits or entries were made by this participant.
    #[error("this participant has no numbers left for new edits or entries")]
    NumbersExhausted,
    /// A message that only the host may send, or a call that only the host may make. One that was under way
    /// while the host changed is harmless: drop it.
    #[error("{actual:?} is not the host: expected {expected:?}")]
    NotFromHost {
        /// The host, where there is one.
        expected: Option<Participant>,
        /// Who sent or called.
        actual: Participant,
    },
    /// A message to the host reached a participant that is not. One that was under way while the host changed is
    /// harmless: its sender says it again to the new host.
    #[error("{from:?} sent a message for the host, and this participant is not")]
    NotHost {
        /// Who sent it.
        from: Participant,
    },
    /// The host heard from a participant that is not connected.
    #[error("{0:?} is not connected")]
    NotConnected(Participant),
    /// A participant sent an edit in another's name.
    #[error("{actual:?} sent an edit in the name of {claimed:?}")]
    ForeignAuthor {
        /// The author the edit names.
        claimed: Participant,
        /// Who sent it.
        actual: Participant,
    },
    /// One name for two different edits.
    #[error("{0:?} came with another content before")]
    EditReused(EditId),
    /// The host skipped order numbers.
    #[error("order number {actual} where {expected} follows")]
    OrderGap {
        /// The number that follows what is known.
        expected: u64,
        /// The number that came.
        actual: u64,
    },
    /// The host gave one order number to two different facts.
    #[error("order number {0} came with another content before")]
    OrderConflict(u64),
    /// A guest claims to know more than the host has ordered in this term.
    #[error("resumed from order number {actual}, but only {known} are given")]
    FromTheFuture {
        /// The last number given.
        known: u64,
        /// The number claimed.
        actual: u64,
    },
    /// A piece of a snapshot that does not follow the one before.
    #[error("a piece of a snapshot came out of order")]
    PieceOutOfOrder,
    /// A snapshot, from a peer or from disk, that no sequence of edits leads to.
    #[error("the snapshot contradicts itself: {0}")]
    BadSnapshot(&'static str),
    /// An epoch that is not above all this participant knows of.
    #[error("host epoch {actual} was used: expected at least {expected}")]
    StaleEpoch {
        /// The lowest epoch still free.
        expected: u32,
        /// The epoch that was offered.
        actual: u32,
    },
}
