//! The ordered log: which fact has which number, and whether two participants share a history.
//!
//! As in Raft, a number is given once per term, so two logs that hold the same [`Head`] are equal up to it.

use alloc::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::{
    edit::{Edit, EditId, EntryId},
    limits::LOG_BYTES,
};
use crate::id::Participant;

/// One stretch of time in which one participant gave the order. A host never uses an epoch twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Term {
    /// Counted upwards from 1 at each change of host; 0 belongs to nobody.
    pub epoch: u32,
    /// Who gives the order.
    pub host: Participant,
}

impl Term {
    /// The term of those who know of none.
    pub const NONE: Self = Self { epoch: 0, host: Participant::FIRST };
}

/// A point in the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// How many facts came before and here.
    pub number: u64,
    /// The term in which the number was given.
    pub term: Term,
}

/// What the host puts in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fact {
    /// Somebody's edit.
    Edit(Edit),
    /// Playback is settled up to and including this entry: later edits go behind it.
    Freeze(EntryId),
}

/// The newest facts in order, bounded by [`LOG_BYTES`].
#[derive(Clone, Debug)]
pub(super) struct Log {
    /// The point before the first record.
    start: Head,
    records: VecDeque<(Head, Fact)>,
    bytes: usize,
}

impl Head {
    /// The point before anything was ordered.
    pub const ZERO: Self = Self { number: 0, term: Term::NONE };
}

impl Fact {
    /// Roughly the memory that the fact holds, in bytes.
    fn bytes(&self) -> usize {
        match self {
            Self::Edit(edit) => edit.bytes(),
            Self::Freeze(_) => size_of::<Self>(),
        }
    }
}

impl Log {
    /// A log without records, whose next one follows `start`.
    pub(super) const fn starting_at(start: Head) -> Self {
        Self { start, records: VecDeque::new(), bytes: 0 }
    }

    /// The newest point.
    pub(super) fn head(&self) -> Head {
        self.records.back().map_or(self.start, |(at, _)| *at)
    }

    /// The record with this number, while it is remembered.
    pub(super) fn record(&self, number: u64) -> Option<&(Head, Fact)> {
        let index = number.checked_sub(self.start.number)?.checked_sub(1)?;
        self.records.get(usize::try_from(index).ok()?)
    }

    /// Whether the order up to `at` is the same here, as far as this log can tell.
    pub(super) fn shares(&self, at: Head) -> bool {
        at == self.start || self.record(at.number).is_some_and(|(known, _)| *known == at)
    }

    /// The edit of that name, while it is remembered.
    pub(super) fn edit(&self, id: EditId) -> Option<&Edit> {
        self.records.iter().rev().find_map(|(_, fact)| match fact {
            Fact::Edit(edit) if edit.id == id => Some(edit),
            Fact::Edit(_) | Fact::Freeze(_) => None,
        })
    }

    /// Adds the next record, in `term`, and forgets the oldest where there is no room.
    pub(super) fn push(&mut self, term: Term, fact: Fact) {
        self.bytes += fact.bytes();
        let at = Head { number: self.head().number.saturating_add(1), term };
        self.records.push_back((at, fact));
        while self.bytes > LOG_BYTES {
            let Some((oldest, fact)) = self.records.pop_front() else { break };
            self.bytes -= fact.bytes();
            self.start = oldest;
        }
    }

    /// Roughly the memory that the records hold, in bytes.
    #[cfg(test)]
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }
}
