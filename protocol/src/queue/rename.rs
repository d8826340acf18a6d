//! Edits that were made before anything was heard of the queue: their names may have been given out by whoever had this place
//! in the Jam before, so they are moved above all of those.

use super::{
    edit::{Change, Edit, EntryId, Place},
    log::Head,
    replica::Replica,
    state::Used,
};
use crate::id::Participant;

impl Replica {
    /// Raises the names of what was edited before the first word of the host, who says that this place has used up `used`.
    /// Where the host may know an edit by its name already, nothing is raised.
    pub(super) fn rename_unheard(&mut self, used: Used) {
        if self.has_proposed || self.log.head() != Head::ZERO {
            return;
        }
        for edit in &mut self.own {
            edit.raise(self.me, used);
        }
        self.next_edit = self.next_edit.saturating_add(used.edit);
        self.next_entry = self.next_entry.saturating_add(used.entry);
    }
}

impl Edit {
    /// Raises its name, and those of the entries of `me` that it adds or means.
    fn raise(&mut self, me: Participant, used: Used) {
        let raise = |id: &mut EntryId| {
            if id.author == me {
                id.number = id.number.saturating_add(used.entry);
            }
        };
        let raise_place = |place: &mut Place| {
            if let Place::After(id) = place {
                raise(id);
            }
        };
        self.id.number = self.id.number.saturating_add(used.edit);
        match &mut self.change {
            Change::Add { first, place, .. } => {
                *first = first.saturating_add(used.entry);
                raise_place(place);
            }
            Change::Move { entry, place } => {
                raise(entry);
                raise_place(place);
            }
            Change::Remove { entries: ids }
            | Change::Clear { seen: ids }
            | Change::Shuffle { order: ids } => {
                ids.iter_mut().for_each(raise);
            }
            Change::Undo { edit } => edit.number = edit.number.saturating_add(used.edit),
        }
    }
}
