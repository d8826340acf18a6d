//! What became of every entry: none that was accepted may be lost, none that was removed may stay, and none that the
//! queue let go of, because it was played long ago, may come back.

use std::collections::BTreeSet;

use jamsync_protocol::{
    id::EntryId,
    queue::{Intent, PLAYED_MAX, Queue},
};

/// What became of the entries that were added.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    added: BTreeSet<EntryId>,
    removed: BTreeSet<EntryId>,
    /// An undo or a refusal touched them: either is right.
    open: BTreeSet<EntryId>,
    edits: [Vec<BTreeSet<EntryId>>; 2],
    /// What each side showed last, and what has gone from its front since.
    shown: [Vec<EntryId>; 2],
    /// How long each queue was, and what was frozen in it.
    seen: [(usize, Option<EntryId>); 2],
    let_go: [BTreeSet<EntryId>; 2],
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

    /// The queue of `who` has changed, or was replaced as a whole: by a branch in which less may have been played.
    pub(super) fn shows(&mut self, who: usize, queue: &Queue, replaced: bool) {
        let now: Vec<EntryId> = queue.entries().map(|entry| entry.id).collect();
        if replaced {
            self.rename(who, &now);
            self.let_go[who].retain(|entry| !now.contains(entry));
        } else if queue.played() >= PLAYED_MAX {
            let is_there: BTreeSet<EntryId> = now.iter().copied().collect();
            let front = self.shown[who].iter().take_while(|entry| !is_there.contains(entry));
            self.let_go[who].extend(front);
        }
        self.shown[who] = now;
    }

    /// What `who` added before it heard of the queue has other names since: those that are new to both, as many as have gone.
    fn rename(&mut self, who: usize, now: &[EntryId]) {
        let is_known = |entry: &EntryId| self.shown.iter().any(|shown| shown.contains(entry));
        let gone = self.shown[who].iter().copied().filter(|entry| {
            self.added.contains(entry) && !now.contains(entry) && !self.shown[1 - who].contains(entry)
        });
        let gone: Vec<EntryId> = gone.collect();
        let new: Vec<EntryId> = now.iter().copied().filter(|entry| !is_known(entry)).collect();
        if gone.len() != new.len() || new.iter().any(|entry| self.added.contains(entry)) {
            return;
        }
        for (before, after) in gone.into_iter().zip(new) {
            let sets = [&mut self.added, &mut self.removed, &mut self.open];
            for set in sets.into_iter().chain(self.edits[who].iter_mut()) {
                if set.remove(&before) {
                    set.insert(after);
                }
            }
        }
    }

    /// The queue of `who` as it is, in case it has let go of something since.
    pub(super) fn looks(&mut self, who: usize, queue: &Queue) {
        let now = (queue.len(), queue.frozen());
        if self.seen[who] != now {
            self.seen[who] = now;
            self.shows(who, queue, false);
        }
    }

    /// How many entries both sides have let go of, or somebody took away at the queue's front.
    pub(super) fn let_go(&self) -> usize {
        self.let_go[0].intersection(&self.let_go[1]).count()
    }

    /// Holds what is shown at the end against what was accepted.
    pub(super) fn judge(&self, shown: &BTreeSet<EntryId>) -> Result<(), String> {
        for entry in self.added.difference(&self.open).filter(|entry| !self.removed.contains(entry)) {
            if shown.contains(entry) && self.let_go.iter().any(|gone| gone.contains(entry)) {
                return Err(format!("what was let go of came back: {entry:?}"));
            }
        }
        let let_go = |entry| self.let_go.iter().any(|gone| gone.contains(entry));
        for entry in self.added.difference(&self.open).filter(|entry| !let_go(entry)) {
            if self.removed.contains(entry) == shown.contains(entry) {
                let what =
                    if shown.contains(entry) { "removed and still there" } else { "added and not there" };
                return Err(format!("an accepted edit is lost: {entry:?} was {what}"));
            }
        }
        Ok(())
    }
}
