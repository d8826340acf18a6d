//! What must be remembered of an edit to take it back.

use alloc::{collections::VecDeque, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{
    edit::{EditId, EntryId, Place},
    limits::{EFFECTS_MAX, ENTRIES_MAX},
};
use crate::{id::Participant, text::List};

/// An edit that changed something, and how to take that back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Effect {
    /// Which edit.
    pub edit: EditId,
    /// How to take it back.
    pub reverse: Reverse,
}

/// The reverse of what an edit did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reverse {
    /// Remove what it added.
    Remove(List<EntryId, ENTRIES_MAX>),
    /// Restore what it removed, under the same names and at their places.
    Restore(List<EntryId, ENTRIES_MAX>),
    /// Move an entry back behind what preceded it.
    Move {
        /// Which.
        entry: EntryId,
        /// Where it was.
        place: Place,
    },
    /// Give entries their former order.
    Reorder(List<EntryId, ENTRIES_MAX>),
}

/// The newest [`EFFECTS_MAX`] edits that can be undone, oldest first. What they hold is shared because rebasing
/// copies the whole queue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Effects(VecDeque<Arc<Effect>>);

impl Effects {
    /// Remembers one more and forgets the oldest where there is no room.
    pub(super) fn push(&mut self, effect: Effect) {
        if self.0.len() == EFFECTS_MAX {
            self.0.pop_front();
        }
        self.0.push_back(Arc::new(effect));
    }

    /// How to take back this edit.
    pub(super) fn of(&self, edit: EditId) -> Option<&Reverse> {
        self.0.iter().rev().find(|effect| effect.edit == edit).map(|effect| &effect.reverse)
    }

    /// Forgets this edit, because it is undone.
    pub(super) fn take(&mut self, edit: EditId) -> Option<Arc<Effect>> {
        let index = self.0.iter().rposition(|effect| effect.edit == edit)?;
        self.0.remove(index)
    }

    /// The newest undoable edit of `author`.
    pub(super) fn last_of(&self, author: Participant) -> Option<EditId> {
        self.0.iter().rev().map(|effect| effect.edit).find(|edit| edit.author == author)
    }

    /// All, oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Effect> {
        self.0.iter().map(|effect| &**effect)
    }
}
