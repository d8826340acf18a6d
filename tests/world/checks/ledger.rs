//! What became of every entry: none that was accepted may be lost, none that was removed may stay.

use std::collections::BTreeSet;

use jamsync_protocol::{id::EntryId, queue::Intent};

/// What became of the entries that were added.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    added: BTreeSet<EntryId>,
    removed: BTreeSet<EntryId>,
    /// An undo or a refusal touched them: either is right.
    open: BTreeSet<EntryId>,
    edits: [Vec<BTreeSet<EntryId>>; 2],
}

impl Ledger {
    /// An edit of `who` was carried out and turned one set of entries into another.
    pub(super) fn edited(
        &mut self,
        who: usize,
        intent: &Intent,
        before: &BTreeSet<EntryId>,
        after: &BTreeSet<EntryId>,
    ) {
        let added: BTreeSet<EntryId> = after.difference(before).copied().collect();
        let removed: BTreeSet<EntryId> = before.difference(after).copied().collect();
        let touched = added.union(&removed).copied().collect();
        if *intent == Intent::Undo {
            self.open.extend(&touched);
            if let Some(undone) = self.edits[who].pop() {
                self.open.extend(undone);
            }
            return;
        }
        self.added.extend(added);
        self.removed.extend(removed);
        self.edits[who].push(touched);
    }

    /// The host refused an edit of `who`: what its edits touched may be there or not.
    pub(super) fn refused(&mut self, who: usize) {
        self.open.extend(self.edits[who].drain(..).flatten());
    }

    /// Holds what is shown at the end against what was accepted.
    pub(super) fn judge(&self, shown: &BTreeSet<EntryId>) -> Result<(), String> {
        for entry in self.added.difference(&self.open) {
            if self.removed.contains(entry) == shown.contains(entry) {
                let what =
                    if shown.contains(entry) { "removed and still there" } else { "added and not there" };
                return Err(format!("an accepted edit is lost: {entry:?} was {what}"));
            }
        }
        Ok(())
    }
}
