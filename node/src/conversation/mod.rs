//! Conversations: messages to contacts, sealed end to end, by way of a coordinator that keeps their order and can read none.
//!
//! [`Conversations`] is a machine with a database and without a network. What it wants to ask the coordinator comes out of
//! [`poll_ask`](Conversations::poll_ask), one at a time; the answer goes into
//! [`handle_answer`](Conversations::handle_answer); what a listener should know comes out of
//! [`poll_note`](Conversations::poll_note). After every call that changes it, both are to be polled until they give nothing.
//!
//! The coordinator's log of a conversation is the one truth about it. What this device says or changes counts when it stands
//! in the log, wherever a reply got lost, and every device deals with the same entries in the same order. A key is used in the
//! transaction that keeps what it was used for: sealed bytes stand in the outbox before they go out, and the same bytes go
//! out again after a crash; what was opened stands in the history, with how far the log was read.
//!
//! Nobody is believed about who is in a conversation: each device must stand in the pinned log of its account.

mod activity_keys;
mod answers;
mod asks;
#[cfg(test)]
mod bad_input;
mod complaints;
mod database;
mod faults;
#[cfg(test)]
mod ghosts;
mod group;
mod history;
mod inbox;
mod keys;
mod live;
mod note;
mod receipts;
mod roster;
mod rows;
mod standing;
mod storage;
mod talk;
mod trouble;

use std::{
    collections::{BTreeMap, VecDeque},
    path::{Path, PathBuf},
};

use jamsync_protocol::{
    conversation::ConversationId,
    identity::DeviceSecret,
    time::UtcTime,
    wire::coord::{ConversationEntry, CoordRequest},
};
use rusqlite::Connection;

pub use self::{
    activity_keys::ActivityKeys,
    answers::NoAnswer,
    note::{Note, Progress, Said},
    roster::{Friend, Roster},
    storage::ShelfError,
    talk::Shown,
    trouble::Trouble,
};
use self::{keys::Keys, live::Live, rows::Known};

/// The conversations of this device.
#[derive(Debug)]
pub struct Conversations {
    database: Connection,
    keys: Keys,
    roster: Roster,
    live: BTreeMap<ConversationId, Live>,
    listing: Listing,
    /// Whether something was missed since the list was asked for.
    has_missed: bool,
    /// How many key packages the coordinator has left; none before it was asked.
    packages_left: Option<u16>,
    /// Before this time nothing is asked, because the coordinator said so.
    quiet_until: Option<UtcTime>,
    /// Before this time no receipt is sent.
    receipts_again: Option<UtcTime>,
    connected: bool,
    notes: VecDeque<Note>,
}

/// How far the conversations are read through after the coordinator was away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Listing {
    /// To be asked for behind this one.
    Wanted(Option<ConversationId>),
    /// Known.
    Done,
}

/// Something to ask the coordinator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// The request.
    pub request: CoordRequest,
    about: Option<ConversationId>,
}

impl Conversations {
    /// Puts the database of `path` beside, in which damage was found while it was used, and says where it is then. Nobody may have it
    /// open.
    ///
    /// # Errors
    /// [`Trouble::Database`] with what the system says.
    pub fn put_aside(path: &Path) -> Result<PathBuf, Trouble> {
        database::put_aside(path).map_err(|error| Trouble::Database(format!("{}: {error}", path.display())))
    }

    /// Opens the conversations kept in `path`. A database that is damaged is put aside, and where it is then is given beside;
    /// this device is let in again by the others.
    ///
    /// # Errors
    /// [`Trouble`] where the file cannot be used.
    pub fn open(
        path: &Path,
        secret: &DeviceSecret,
        roster: Roster,
    ) -> Result<(Self, Option<PathBuf>), Trouble> {
        let (database, aside) = database::open(path)?;
        let conversations = Self {
            database,
            keys: Keys::new(secret, roster.me()),
            roster,
            live: BTreeMap::new(),
            listing: Listing::Wanted(None),
            has_missed: false,
            packages_left: None,
            quiet_until: None,
            receipts_again: None,
            connected: false,
            notes: VecDeque::new(),
        };
        Ok((conversations, aside))
    }

    /// The coordinator can be asked from now on; what has happened meanwhile is unknown.
    pub fn handle_connected(&mut self) {
        self.connected = true;
        self.handle_missed();
        for live in self.live.values_mut() {
            (live.held_until, live.reads_again) = (None, None);
            // What was not dealt with is fetched again, from whatever log there is now.
            live.entries.clear();
            live.ahead.clear();
            live.look_again();
        }
    }

    /// Something was not told: everything is asked for again.
    pub fn handle_missed(&mut self) {
        (self.listing, self.has_missed) = (Listing::Wanted(None), true);
        self.quiet_until = None;
    }

    /// The coordinator is gone.
    pub fn handle_disconnected(&mut self) {
        self.connected = false;
    }

    /// A conversation's log has grown.
    pub fn handle_grown(&mut self, conversation: ConversationId) {
        if self.friend_in(conversation).is_some() {
            let live = self.live.entry(conversation).or_default();
            (live.unsure, live.told) = (true, true);
            live.stir();
        }
    }

    /// A conversation's log has grown by this entry, which need not be the next.
    ///
    /// # Errors
    /// [`Trouble`] of the database.
    pub fn handle_written(
        &mut self,
        conversation: ConversationId,
        entry: ConversationEntry,
    ) -> Result<(), Trouble> {
        if self.friend_in(conversation).is_none() {
            return Ok(());
        }
        let read = Known::load(&self.database, conversation)?.read;
        let live = self.live.entry(conversation).or_default();
        if entry.sequence > live.last(read) {
            let sequence = entry.sequence;
            live.newest = live.newest.max(sequence);
            live.bring(read, entry);
            live.told |= live.last(read) < sequence;
            live.stir();
        }
        Ok(())
    }

    /// The devices of this account or of a contact have changed, or who is one.
    pub fn handle_roster(&mut self, roster: Roster) {
        self.roster.renew(roster);
        self.live.values_mut().for_each(Live::look_again);
    }

    /// The contacts of this account.
    #[must_use]
    pub const fn roster(&self) -> &Roster {
        &self.roster
    }

    /// What a listener should know next.
    #[must_use]
    pub fn poll_note(&mut self) -> Option<Note> {
        self.notes.pop_front()
    }

    fn warn(&mut self, warning: impl Into<String>) {
        self.note(Note::Warning(warning.into()));
    }

    fn note(&mut self, note: Note) {
        // Whoever does not look at them loses the oldest.
        if self.notes.len() >= NOTES_MAX {
            self.notes.pop_front();
        }
        self.notes.push_back(note);
    }

    /// The contact whose conversation it is.
    fn friend_in(&self, conversation: ConversationId) -> Option<&Friend> {
        let is_in = |friend: &&Friend| {
            self.roster.conversation_with(friend.account).is_some_and(|(id, _)| id == conversation)
        };
        self.roster.friends().iter().find(is_in)
    }

    /// The name under which the listener knows the other side of a conversation.
    fn name_of(&self, conversation: ConversationId) -> String {
        let friend = self.friend_in(conversation);
        friend.map_or_else(|| "somebody who is no contact".to_owned(), |friend| friend.name.to_string())
    }
}

/// How many messages wait to be sent at once: as many as a coordinator keeps for a friend who is away.
const OUTBOX_MAX: u32 = 1_000;
/// How many notes wait to be looked at.
const NOTES_MAX: usize = 1_000;
