//! What participants tell each other of the queue. Wire types: enums are append-only and fields stay in order.

use serde::{Deserialize, Serialize};

use super::{
    edit::{Edit, EntryId},
    image::{Numbers, SlotImage},
    limits::{PARTICIPANTS_MAX, PIECE_EFFECTS, PIECE_SLOTS},
    log::{Fact, Head},
    undo::Effect,
};
use crate::{id::Participant, text::List};

/// A message about the queue; each fits a frame of 64 KiB.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum QueueMessage {
    /// Guest to host: this is how far I know the order. First after each connection and each change of host.
    Resume {
        /// Counted upwards by the guest; the answer names it, so that an older answer is not taken for this one's.
        question: u32,
        /// The newest point the guest knows.
        at: Head,
    },
    /// Host to guest: our orders agree up to there; what you lack follows.
    Resumed {
        /// Which `Resume` this answers.
        question: u32,
    },
    /// Host to guest: our orders do not agree or too much is missing; this replaces what you have.
    Snapshot {
        /// Which `Resume` this answers.
        question: u32,
        /// The point the whole snapshot shows.
        at: Head,
        /// One piece of it.
        piece: Piece,
    },
    /// Guest to host: my edit, to be ordered. Only after the host has answered `Resume`.
    Propose(Edit),
    /// Host to guest: the next fact in order.
    Ordered {
        /// Its number and the term that gave it.
        at: Head,
        /// What it says.
        fact: Fact,
    },
}

/// One piece of a snapshot: a `Start`, the entries, the undoable edits, an `End`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Piece {
    /// Begins a snapshot; an unfinished one is dropped.
    Start {
        /// The highest numbers used, per author.
        numbers: List<Numbers, PARTICIPANTS_MAX>,
        /// The frozen entry.
        frozen: Option<EntryId>,
        /// How often entries were removed or let go of.
        removals: u64,
    },
    /// The next entries in order, removed ones included.
    Slots(List<SlotImage, PIECE_SLOTS>),
    /// The next undoable edits, oldest first.
    Effects(List<Effect, PIECE_EFFECTS>),
    /// The snapshot is complete.
    End,
}

/// A message and whom it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// The receiver, who is connected.
    pub to: Participant,
    /// What to send.
    pub message: QueueMessage,
}
