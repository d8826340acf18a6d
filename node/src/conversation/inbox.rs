//! Dealing with the entries of a log, one by one and in order: whatever an entry is, it is dealt with in one transaction with
//! how far the log was read.

use jamsync_protocol::{
    conversation::{ConversationId, Message, PostId},
    id::{AccountId, DeviceKey},
    time::UtcTime,
    wire::coord::{ConversationEntry, ConversationItem},
};
use rusqlite::Connection;

use super::{
    Conversations, Note, Said, Trouble,
    group::{Group, Leaf, OpenError, Opened},
    rows::{Heard, Known, Unsent, Waiting, last_heard, set_heard},
};

/// What became of an entry.
pub(super) enum Dealt {
    /// It is dealt with.
    Done,
    /// It names a device that no known log has: the log of that account is to be looked at first.
    WantsLog(AccountId),
}

/// What an entry has brought.
enum Brought {
    /// Nothing that a listener sees.
    Nothing,
    /// Something that was said, and how many before it are missing.
    Said { said: Said, missing: u64 },
    /// Something that a later version has said.
    Unknown,
}

/// Why an entry is not what it should be.
enum Fault {
    /// It cannot be opened.
    Unreadable(String),
    /// It names a device that does not speak for its account.
    Stranger(Leaf),
    /// This device has said it and does not know: its database is of an earlier day, and its keys were used since.
    PutBack,
    Trouble(Trouble),
}

impl Conversations {
    /// Deals with one entry.
    pub(super) fn take(
        &mut self,
        id: ConversationId,
        entry: &ConversationEntry,
        now: UtcTime,
    ) -> Result<Dealt, Trouble> {
        let mut known = Known::load(&self.database, id)?;
        if entry.sequence <= known.read {
            return Ok(Dealt::Done);
        }
        if entry.sequence.0 > known.read.0.saturating_add(1) {
            let name = self.name_of(id);
            self.warn(format!(
                "messages with {name} were not fetched in time and are lost here; your other devices may have them"
            ));
        }
        let before = known;
        let transaction = self.database.unchecked_transaction()?;
        let outcome = self.attempt(&transaction, &mut known, entry);
        known.read = entry.sequence;
        match outcome {
            Ok(brought) => {
                known.save(&transaction)?;
                transaction.commit()?;
                self.tell(id, brought);
                self.note_rekeyed(id, &entry.what);
            }
            Err(Fault::Trouble(trouble)) => return Err(trouble),
            Err(Fault::Stranger(leaf)) if self.asked_log(id) != Some(leaf.account) => {
                return Ok(Dealt::WantsLog(leaf.account));
            }
            Err(fault) => {
                // Nothing of the attempt is kept.
                drop(transaction);
                self.pass_over(before, entry, fault)?;
            }
        }
        let live = self.live.entry(id).or_default();
        live.newest = live.newest.max(entry.sequence);
        live.generation = live.generation.max(entry.epoch.generation);
        let joined = Known::load(&self.database, id)?.joined;
        live.waiting_since = if joined { None } else { Some(now) };
        Ok(Dealt::Done)
    }

    fn asked_log(&self, id: ConversationId) -> Option<AccountId> {
        self.live.get(&id).and_then(|live| live.asked_log)
    }

    fn attempt(
        &self,
        transaction: &Connection,
        known: &mut Known,
        entry: &ConversationEntry,
    ) -> Result<Brought, Fault> {
        match &entry.what {
            ConversationItem::Begun { welcome } => {
                self.begun(transaction, known, entry, welcome)?;
                Ok(Brought::Nothing)
            }
            ConversationItem::Changed { commit, welcome } => {
                self.changed(transaction, known, entry, commit, welcome.as_deref())?;
                Ok(Brought::Nothing)
            }
            ConversationItem::Post { id, sealed } => self.posted(transaction, known, entry, *id, sealed),
        }
    }

    /// The conversation begins, by this device's own doing or another's.
    fn begun(
        &self,
        transaction: &Connection,
        known: &mut Known,
        entry: &ConversationEntry,
        welcome: &[u8],
    ) -> Result<(), Fault> {
        let generation = entry.epoch.generation;
        if generation <= known.generation {
            return Err(Fault::Unreadable("it begins a conversation that has begun already".to_owned()));
        }
        let waiting = Waiting::load(transaction, known.id)?;
        let is_own = waiting
            .is_some_and(|waiting| waiting.is_beginning() && waiting.welcome.as_deref() == Some(welcome));
        if !is_own {
            self.join(transaction, known.id, generation, welcome)?;
        }
        Waiting::drop(transaction, known.id)?;
        if let Some(former) = Group::load(transaction, &self.keys, known.id, known.generation)? {
            former.forget()?;
        }
        (known.generation, known.joined) = (generation, true);
        Ok(())
    }

    fn changed(
        &self,
        transaction: &Connection,
        known: &mut Known,
        entry: &ConversationEntry,
        commit: &[u8],
        welcome: Option<&[u8]>,
    ) -> Result<(), Fault> {
        let generation = entry.epoch.generation;
        if !known.joined {
            if let Some(welcome) = welcome.filter(|_| generation >= known.generation) {
                self.join(transaction, known.id, generation, welcome)?;
                (known.generation, known.joined) = (generation, true);
            }
            return Ok(());
        }
        let group = Group::load(transaction, &self.keys, known.id, known.generation)?;
        let mut group = group.ok_or_else(|| Fault::Unreadable("the keys for it are gone".to_owned()))?;
        let waiting = Waiting::load(transaction, known.id)?;
        if waiting.is_some_and(|waiting| waiting.commit == commit) {
            group.enact()?;
        } else {
            let before = group.leaves();
            let Opened::Changed = group.open(commit)? else {
                return Err(Fault::Unreadable("it is no change".to_owned()));
            };
            let new = group.leaves().into_iter().filter(|leaf| !before.contains(leaf));
            self.check(new)?;
        }
        Waiting::drop(transaction, known.id)?;
        known.joined = group.is_active();
        Ok(())
    }

    fn join(
        &self,
        transaction: &Connection,
        id: ConversationId,
        generation: u32,
        welcome: &[u8],
    ) -> Result<(), Fault> {
        let group = Group::join(transaction, &self.keys, id, generation, welcome)?;
        self.check(group.leaves().into_iter())
    }

    /// Every device must stand in the pinned log of its account, and be of somebody who is in the conversation.
    fn check(&self, mut leaves: impl Iterator<Item = Leaf>) -> Result<(), Fault> {
        match leaves.find(|leaf| !self.roster.speaks_for(leaf.device, leaf.account)) {
            Some(stranger) => Err(Fault::Stranger(stranger)),
            None => Ok(()),
        }
    }

    fn posted(
        &self,
        transaction: &Connection,
        known: &Known,
        entry: &ConversationEntry,
        id: PostId,
        sealed: &[u8],
    ) -> Result<Brought, Fault> {
        if Heard::is_known(transaction, known.id, id)? {
            return Ok(Brought::Nothing);
        }
        if let Some(unsent) = Unsent::find(transaction, known.id, id)? {
            return self.own_post(transaction, known, entry, unsent, sealed);
        }
        if !known.joined {
            // It was said before this device was let in.
            return Ok(Brought::Nothing);
        }
        let group = Group::load(transaction, &self.keys, known.id, known.generation)?;
        let mut group = group.ok_or_else(|| Fault::Unreadable("the keys for it are gone".to_owned()))?;
        let (device, account, named, bytes) = match group.open(sealed)? {
            Opened::Said { device, account, id: named, bytes } => (device, account, named, bytes),
            Opened::Own { id: named } if named == id => return Err(Fault::PutBack),
            Opened::Own { .. } | Opened::Changed => {
                return Err(Fault::Unreadable("it is no message".to_owned()));
            }
        };
        if named != id {
            return Err(Fault::Unreadable("it was sent under another name".to_owned()));
        }
        let leaf = group.leaves().into_iter().find(|leaf| leaf.device == device);
        self.check(leaf.into_iter())?;
        let Ok(Message { number, at, content }) = Message::decode(&bytes) else {
            return Ok(Brought::Unknown);
        };
        let missing = self.count(transaction, known.id, device, number)?;
        let heard = Heard { sequence: entry.sequence, id, account, device, at, content };
        heard.add(transaction, known.id)?;
        Ok(Brought::Said { said: Said::of(heard), missing })
    }

    /// What this device has said stands in the log.
    fn own_post(
        &self,
        transaction: &Connection,
        known: &Known,
        entry: &ConversationEntry,
        unsent: Unsent,
        sealed: &[u8],
    ) -> Result<Brought, Fault> {
        if unsent.sealed.is_none_or(|(_, own)| own != sealed) {
            return Err(Fault::Unreadable("it bears the name of a message of this device".to_owned()));
        }
        let Unsent { id, at, content, .. } = unsent;
        let (account, device) = (self.keys.account, self.keys.device);
        let heard = Heard { sequence: entry.sequence, id, account, device, at, content };
        heard.add(transaction, known.id)?;
        Unsent::drop(transaction, id)?;
        Ok(Brought::Said { said: Said::of(heard), missing: 0 })
    }

    /// Counts what a device says, and tells how many messages before this one are missing.
    fn count(
        &self,
        transaction: &Connection,
        id: ConversationId,
        device: DeviceKey,
        number: u64,
    ) -> Result<u64, Trouble> {
        let Some(last) = last_heard(transaction, id, device)? else {
            set_heard(transaction, id, device, number)?;
            return Ok(0);
        };
        if number > last {
            set_heard(transaction, id, device, number)?;
        }
        Ok(number.saturating_sub(last.saturating_add(1)))
    }

    fn tell(&mut self, id: ConversationId, brought: Brought) {
        match brought {
            Brought::Nothing => {}
            Brought::Unknown => {
                let name = self.name_of(id);
                self.warn(format!(
                    "a message with {name} is of a kind that this version does not know; update jamsync"
                ));
            }
            Brought::Said { said, missing } => {
                if missing > 0 {
                    let name = self.name_of(id);
                    self.warn(format!(
                        "{missing} messages with {name} are missing: the coordinator has not delivered them. Let its \
                         operator know"
                    ));
                }
                if let Some(with) = self.friend_in(id).map(|friend| friend.account) {
                    self.note(Note::Said { with, said });
                }
            }
        }
    }

    /// Leaves an entry out that is not what it should be.
    fn pass_over(
        &mut self,
        mut known: Known,
        entry: &ConversationEntry,
        fault: Fault,
    ) -> Result<(), Trouble> {
        let name = self.name_of(known.id);
        let generation = entry.epoch.generation;
        let loses_keys = match entry.what {
            // Whoever began it had no key of this device, or let a stranger in.
            ConversationItem::Begun { .. } => generation > known.generation,
            ConversationItem::Changed { .. } => known.joined,
            // Nothing may be sealed with them any more.
            ConversationItem::Post { .. } => matches!(fault, Fault::PutBack),
        };
        match fault {
            Fault::PutBack => self.warn(format!(
                "messages with {name} on this device are of an earlier day, as if its files had been put back: something \
                 that it has said is missing here, and your other devices may have it; the conversation begins anew"
            )),
            Fault::Stranger(leaf) => {
                tracing::error!(device = %leaf.device, account = %leaf.account, "a stranger in a conversation");
                self.warn(format!(
                    "SOMEBODY ELSE tried to read along with {name}: a device that is in neither of your accounts was \
                     refused. Compare the digits of `jamsync safety {name}` by voice; the conversation begins anew \
                     without that device"
                ));
            }
            Fault::Unreadable(why) => {
                tracing::warn!(conversation = ?known.id, sequence = entry.sequence.0, why, "an entry cannot be read");
                match entry.what {
                    ConversationItem::Begun { .. } if loses_keys => {}
                    ConversationItem::Begun { .. } | ConversationItem::Changed { .. } if !known.joined => {}
                    ConversationItem::Begun { .. } | ConversationItem::Changed { .. } => self.warn(format!(
                        "the conversation with {name} has changed in a way that does not follow from what was there \
                         before; it was not taken over"
                    )),
                    ConversationItem::Post { .. } => self.warn(format!(
                        "a message with {name} cannot be read and was left out: it is damaged, or the coordinator shows \
                         the two of you different conversations"
                    )),
                }
            }
            Fault::Trouble(trouble) => return Err(trouble),
        }
        known.read = entry.sequence;
        let transaction = self.database.unchecked_transaction()?;
        if loses_keys {
            (known.generation, known.joined) = (known.generation.max(generation), false);
            Waiting::drop(&transaction, known.id)?;
        }
        known.save(&transaction)?;
        transaction.commit()?;
        Ok(())
    }
}

impl From<Trouble> for Fault {
    fn from(trouble: Trouble) -> Self {
        Self::Trouble(trouble)
    }
}

impl From<OpenError> for Fault {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Unreadable(why) => Self::Unreadable(why.to_string()),
            OpenError::Trouble(trouble) => Self::Trouble(trouble),
        }
    }
}
