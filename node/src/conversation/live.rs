//! What is known of one conversation until the node ends: what has come, what is missing, and when to look again.

use std::collections::{BTreeMap, VecDeque};

use jamsync_protocol::{
    id::{AccountId, DeviceKey},
    time::UtcTime,
    wire::coord::{ConversationEntry, KeyPackage, Sequence},
};

use super::complaints::Complaints;

/// What is known of a conversation until the node ends.
#[derive(Debug, Default)]
pub(super) struct Live {
    /// The newest entry of the log that was heard of.
    pub(super) newest: Sequence,
    /// How often it was begun, as far as was heard of.
    pub(super) generation: u32,
    /// Since when this device waits to be let in.
    pub(super) waiting_since: Option<UtcTime>,
    /// Since when the devices in it are not those of its accounts.
    pub(super) differs_since: Option<UtcTime>,
    /// Whose log is to be asked for, before the next entry is judged.
    pub(super) wants_log: Option<AccountId>,
    /// Whose log was asked for, for the entry that is next.
    pub(super) asked_log: Option<AccountId>,
    /// Whether it has grown by an unknown number of entries.
    pub(super) unsure: bool,
    /// Whether it has grown since it was asked about last.
    pub(super) told: bool,
    /// Until when it is left to the coordinator to tell what is missing, before it is asked.
    pub(super) missing_until: Option<UtcTime>,
    /// When what was read is acknowledged, where nothing more is read until then.
    pub(super) acknowledge_at: Option<UtcTime>,
    /// Entries that came, and are not dealt with yet.
    pub(super) entries: VecDeque<ConversationEntry>,
    /// Entries that came before one that is missing.
    pub(super) ahead: BTreeMap<Sequence, ConversationEntry>,
    /// Key packages in hand, by device.
    pub(super) packages: BTreeMap<DeviceKey, KeyPackage>,
    /// When it is asked again for those that were not there, and how often it was asked in vain.
    pub(super) packages_again: Option<UtcTime>,
    pub(super) packages_tries: u32,
    /// When time alone brings something to do.
    pub(super) due: Option<UtcTime>,
    /// Whether nothing is to be done before something happens.
    pub(super) settled: bool,
    /// Nothing is sent before this time, because the coordinator would refuse it.
    pub(super) held_until: Option<UtcTime>,
    /// Nothing is read before this time, because the coordinator would refuse that too.
    pub(super) reads_again: Option<UtcTime>,
    /// Since when a receipt is owed, and when it is sent.
    pub(super) owes_since: Option<UtcTime>,
    pub(super) receipt_at: Option<UtcTime>,
    /// Whether entries were lost since the last one that could be read.
    pub(super) has_gap: bool,
    pub(super) complaints: Complaints,
}

impl Live {
    /// The last entry that is here, where all up to `read` are dealt with.
    pub(super) fn last(&self, read: Sequence) -> Sequence {
        self.entries.back().map_or(read, |entry| entry.sequence.max(read))
    }

    /// Takes an entry that need not be the next, where all up to `read` are dealt with.
    pub(super) fn bring(&mut self, read: Sequence, entry: ConversationEntry) {
        if self.ahead.len() < ENTRIES_MAX && self.entries.len() < ENTRIES_MAX {
            self.ahead.insert(entry.sequence, entry);
        }
        self.join_up(read);
    }

    /// Puts those entries behind the others that are next now.
    pub(super) fn join_up(&mut self, read: Sequence) {
        while let Some(first) = self.ahead.first_entry() {
            let next = self.entries.back().map_or(read, |entry| entry.sequence.max(read)).0.saturating_add(1);
            if first.key().0 > next {
                return;
            }
            let entry = first.remove();
            if entry.sequence.0 == next {
                self.entries.push_back(entry);
            }
        }
    }

    /// Something has happened that may bring something to do.
    pub(super) fn stir(&mut self) {
        (self.settled, self.due) = (false, None);
    }

    /// The same, and whoever had no key package may have one now.
    pub(super) fn look_again(&mut self) {
        self.stir();
        (self.packages_again, self.packages_tries) = (None, 0);
    }
}

/// How many entries of a conversation wait to be dealt with that were told unasked.
const ENTRIES_MAX: usize = 64;
