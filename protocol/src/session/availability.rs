//! Who can play which entry. What neither side can hear together is passed over on both sides.

use alloc::{collections::BTreeMap, vec::Vec};

use crate::{id::EntryId, queue::SLOTS_MAX, text::List, wire::peer::Availability};

/// What this side and the other can play. An entry nobody has spoken of counts as playable: the side that
/// lacks it says so as soon as it has looked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Availabilities {
    mine: BTreeMap<EntryId, Availability>,
    theirs: BTreeMap<EntryId, Availability>,
    /// Entries of `mine` that the other side has not been told of.
    unsent: Vec<EntryId>,
}

/// How many entries of each side are remembered. Above it those are forgotten that the queue does not know (any
/// more); it must be well above what a queue and its tombstones hold, [`SLOTS_MAX`], so that there is room then.
const ENTRIES_MAX: usize = 8_192;
const _: () = assert!(ENTRIES_MAX > SLOTS_MAX);

impl Availabilities {
    /// Notes what this side found, while the queue knows which entries are meant. Whether it is news.
    pub(crate) fn set_mine(
        &mut self,
        entry: EntryId,
        availability: Availability,
        known: impl Fn(EntryId) -> bool,
    ) -> bool {
        if self.mine.get(&entry) == Some(&availability) {
            return false;
        }
        if self.mine.len() >= ENTRIES_MAX {
            self.mine.retain(|entry, _| known(*entry));
            self.unsent.retain(|entry| known(*entry));
        }
        self.mine.insert(entry, availability);
        if !self.unsent.contains(&entry) {
            self.unsent.push(entry);
        }
        true
    }

    /// Notes what the other side said, as [`set_mine`](Self::set_mine).
    pub(crate) fn set_theirs(
        &mut self,
        entry: EntryId,
        availability: Availability,
        known: impl Fn(EntryId) -> bool,
    ) -> bool {
        if self.theirs.get(&entry) == Some(&availability) {
            return false;
        }
        if self.theirs.len() >= ENTRIES_MAX {
            self.theirs.retain(|entry, _| known(*entry));
        }
        self.theirs.insert(entry, availability);
        true
    }

    /// Whether both sides can play `entry`, as far as is known.
    pub(crate) fn is_playable(&self, entry: EntryId) -> bool {
        let ready = |known: Option<&Availability>| matches!(known, None | Some(Availability::Ready));
        ready(self.mine.get(&entry)) && ready(self.theirs.get(&entry))
    }

    pub(crate) fn mine(&self, entry: EntryId) -> Option<&Availability> {
        self.mine.get(&entry)
    }

    pub(crate) fn theirs(&self, entry: EntryId) -> Option<&Availability> {
        self.theirs.get(&entry)
    }

    /// The other side is new here: it has said nothing yet and has to be told everything.
    pub(crate) fn handle_connected(&mut self) {
        self.unsent = self.mine.keys().copied().collect();
    }

    /// The other side has left: what it lacks no longer matters.
    pub(crate) fn handle_left(&mut self) {
        self.theirs.clear();
    }

    /// Forgets the entries that are `gone`.
    pub(crate) fn forget(&mut self, gone: impl Fn(EntryId) -> bool) {
        self.mine.retain(|entry, _| !gone(*entry));
        self.theirs.retain(|entry, _| !gone(*entry));
        self.unsent.retain(|entry| !gone(*entry));
    }

    /// How many entries are remembered, of this side and of the other.
    #[cfg(test)]
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.mine.len(), self.theirs.len())
    }

    /// What the other side has to be told, as much as one message holds.
    pub(crate) fn poll_transmit(&mut self) -> Option<List<(EntryId, Availability), 256>> {
        let count = self.unsent.len().min(256);
        if count == 0 {
            return None;
        }
        let told = self.unsent.drain(..count);
        let told = told.filter_map(|entry| Some((entry, self.mine.get(&entry)?.clone()))).collect();
        List::new(told).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Participant;

    #[test]
    fn one_side_that_lacks_a_track_makes_it_unplayable_until_that_side_leaves() {
        let entry = EntryId { author: Participant::FIRST, number: 1 };
        let mut known = Availabilities::default();
        assert!(known.is_playable(entry));
        assert!(known.set_mine(entry, Availability::Ready, |_| true));
        assert!(known.set_theirs(entry, Availability::Missing, |_| true));
        assert!(!known.set_theirs(entry, Availability::Missing, |_| true), "said twice, no news");
        assert!(!known.is_playable(entry));
        known.handle_left();
        assert!(known.is_playable(entry));
    }

    #[test]
    fn news_is_told_once_and_again_to_a_new_connection() {
        let entry = EntryId { author: Participant::FIRST, number: 1 };
        let mut known = Availabilities::default();
        known.set_mine(entry, Availability::Ready, |_| true);
        assert_eq!(
            known.poll_transmit().map(List::into_vec),
            Some(alloc::vec![(entry, Availability::Ready)])
        );
        assert_eq!(known.poll_transmit(), None);
        known.handle_connected();
        assert!(known.poll_transmit().is_some());
    }
}
