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
mod receipts;
mod roster;
mod rows;
mod standing;
mod storage;
mod talk;

use std::{
    collections::{BTreeMap, VecDeque},
    path::{Path, PathBuf},
};

use jamsync_protocol::{
    chat::Reaction,
    conversation::{Content, ConversationId, PostId},
    id::{AccountId, DeviceKey},
    identity::DeviceSecret,
    time::UtcTime,
    wire::coord::{ConversationEntry, CoordRequest, KeyPackage, Sequence},
};
use rusqlite::Connection;

pub use self::{
    activity_keys::ActivityKeys,
    answers::NoAnswer,
    roster::{Friend, Roster},
    storage::ShelfError,
    talk::Shown,
};
use self::{complaints::Complaints, keys::Keys, rows::Known};

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

/// What is known of a conversation until the node ends.
#[derive(Debug, Default)]
struct Live {
    /// The newest entry of the log that was heard of.
    newest: Sequence,
    /// How often it was begun, as far as was heard of.
    generation: u32,
    /// Since when this device waits to be let in.
    waiting_since: Option<UtcTime>,
    /// Since when the devices in it are not those of its accounts.
    differs_since: Option<UtcTime>,
    /// Whose log is to be asked for, before the next entry is judged.
    wants_log: Option<AccountId>,
    /// Whose log was asked for, for the entry that is next.
    asked_log: Option<AccountId>,
    /// Whether it has grown by an unknown number of entries.
    unsure: bool,
    /// Whether it has grown since it was asked about last.
    told: bool,
    /// Until when it is left to the coordinator to tell what is missing, before it is asked.
    missing_until: Option<UtcTime>,
    /// When what was read is acknowledged, where nothing more is read until then.
    acknowledge_at: Option<UtcTime>,
    /// Entries that came, and are not dealt with yet.
    entries: VecDeque<ConversationEntry>,
    /// Entries that came before one that is missing.
    ahead: BTreeMap<Sequence, ConversationEntry>,
    /// Key packages in hand, by device.
    packages: BTreeMap<DeviceKey, KeyPackage>,
    /// When it is asked again for those that were not there, and how often it was asked in vain.
    packages_again: Option<UtcTime>,
    packages_tries: u32,
    /// When time alone brings something to do.
    due: Option<UtcTime>,
    /// Whether nothing is to be done before something happens.
    settled: bool,
    /// Nothing is sent before this time, because the coordinator would refuse it.
    held_until: Option<UtcTime>,
    /// Nothing is read before this time, because the coordinator would refuse that too.
    reads_again: Option<UtcTime>,
    /// Since when a receipt is owed, and when it is sent.
    owes_since: Option<UtcTime>,
    receipt_at: Option<UtcTime>,
    /// Whether entries were lost since the last one that could be read.
    has_gap: bool,
    complaints: Complaints,
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

/// What a listener should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// Somebody said something, or what this account said is on its way.
    Said {
        /// With whom.
        with: AccountId,
        /// What.
        said: Said,
        /// Whether somebody writes whom the listener has not let in yet.
        is_request: bool,
    },
    /// How an account stands to a message has changed.
    Reacted {
        /// With whom the conversation is.
        with: AccountId,
        /// Whose reaction.
        by: AccountId,
        /// To which message.
        to: PostId,
        /// The reaction; none where it was taken back.
        reaction: Option<Reaction>,
    },
    /// What this account said has come further with a contact.
    Progress {
        /// With whom.
        with: AccountId,
        /// Up to which message.
        upto: PostId,
        /// How far.
        progress: Progress,
    },
    /// The keys of a conversation are others now.
    Rekeyed {
        /// With whom.
        with: AccountId,
    },
    /// Something is wrong.
    Warning(String),
}

/// A message of a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// Its name.
    pub id: PostId,
    /// Whose it is.
    pub by: AccountId,
    /// When it was said, by its author's calendar.
    pub at: UtcTime,
    /// What was said.
    pub content: Content,
    /// How far it has come; none for what others said.
    pub progress: Option<Progress>,
    /// Who has reacted to it, and how, each once.
    pub reactions: Vec<(AccountId, Reaction)>,
}

/// How far a message of this account has come. A later one is greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Progress {
    /// It waits on this device.
    Waits,
    /// The coordinator has it.
    Sent,
    /// A device of each other account has it.
    Delivered,
    /// The others have seen it, as far as they tell.
    Read,
}

/// Why conversations cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Trouble {
    /// The database failed.
    #[error(
        "the database of conversations failed: {0}; see that the disk has room and the state folder is yours"
    )]
    Database(String),
    /// The database does not hold what was written.
    #[error("the database of conversations is damaged: {0}")]
    Damaged(String),
    /// A newer version has written it.
    #[error("the database of conversations has version {actual}, this program knows {known}; update jamsync")]
    Newer {
        /// The version found.
        actual: i64,
        /// The version known.
        known: i64,
    },
    /// A key could not be used.
    #[error("a message could not be sealed: {0}; let us know")]
    Keys(String),
    /// Too much waits to be sent already.
    #[error(
        "{waiting} messages to this contact wait to be sent already; they go out once the coordinator takes them"
    )]
    Full {
        /// How many.
        waiting: u32,
    },
    /// The account is none of the contacts.
    #[error("that is none of your contacts; `jamsync contacts` lists them")]
    NoContact,
    /// No such message is known here.
    #[error("there is no such message here; `jamsync messages NAME` shows how each is called")]
    NoMessage,
    /// Several messages are meant.
    #[error("several messages are called so, such as {one} and {other}; name more of the digits")]
    Ambiguous {
        /// The name of one.
        one: String,
        /// The name of another.
        other: String,
    },
    /// There is nothing to decline.
    #[error("there is no message request of this contact; `jamsync contacts block` keeps a contact away")]
    NoRequest,
    /// The listener has blocked the contact.
    #[error("you have blocked this contact; `jamsync contacts unblock` lifts that")]
    Blocked,
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

impl Live {
    /// The last entry that is here, where all up to `read` are dealt with.
    fn last(&self, read: Sequence) -> Sequence {
        self.entries.back().map_or(read, |entry| entry.sequence.max(read))
    }

    /// Takes an entry that need not be the next, where all up to `read` are dealt with.
    fn bring(&mut self, read: Sequence, entry: ConversationEntry) {
        if self.ahead.len() < ENTRIES_MAX && self.entries.len() < ENTRIES_MAX {
            self.ahead.insert(entry.sequence, entry);
        }
        self.join_up(read);
    }

    /// Puts those entries behind the others that are next now.
    fn join_up(&mut self, read: Sequence) {
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
    fn stir(&mut self) {
        (self.settled, self.due) = (false, None);
    }

    /// The same, and whoever had no key package may have one now.
    fn look_again(&mut self) {
        self.stir();
        (self.packages_again, self.packages_tries) = (None, 0);
    }
}

impl Trouble {
    fn mls(error: impl std::fmt::Display) -> Self {
        Self::Keys(error.to_string())
    }

    fn value(error: impl std::fmt::Display) -> Self {
        Self::Damaged(error.to_string())
    }
}

impl From<rusqlite::Error> for Trouble {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
        match error.sqlite_error_code() {
            Some(DatabaseCorrupt | NotADatabase) => Self::Damaged(error.to_string()),
            _ => Self::Database(error.to_string()),
        }
    }
}

impl From<ShelfError> for Trouble {
    fn from(error: ShelfError) -> Self {
        match error {
            ShelfError::Database(error) => error.into(),
            ShelfError::Value(error) => Self::Damaged(error.to_string()),
        }
    }
}

/// How many messages wait to be sent at once: as many as a coordinator keeps for a friend who is away.
const OUTBOX_MAX: u32 = 1_000;
/// How many entries of a conversation wait to be dealt with that were told unasked.
const ENTRIES_MAX: usize = 64;
/// How many notes wait to be looked at.
const NOTES_MAX: usize = 1_000;
