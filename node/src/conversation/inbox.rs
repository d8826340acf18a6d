//! Dealing with the entries of a log, one by one and in order: whatever an entry is, it is dealt with in one transaction with
//! how far the log was read.

use jamsync_protocol::{
    chat::Reaction,
    conversation::{Content, ConversationId, Epoch, Message, PostId},
    id::{AccountId, DeviceKey},
    time::UtcTime,
    wire::coord::{ConversationEntry, ConversationItem},
};
use rusqlite::Connection;

use super::{
    Conversations, Note, Progress, Said, Trouble,
    complaints::Complaint,
    faults::Fault,
    group::{Group, Leaf, Opened},
    history::{Heard, Place, count_of_others, set_reaction},
    receipts,
    rows::{Known, Unsent, Waiting, forget_heard, last_heard, set_heard},
    standing::{Decision, Standing, tells_reading},
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
    /// Something that was said.
    Said { said: Said, is_request: bool },
    /// Another thought about a message.
    Reacted { by: AccountId, to: PostId, reaction: Option<Reaction> },
    /// What was said has come further.
    Progress { upto: PostId, progress: Progress },
    /// Something that a later version has said, or that is not what it should be.
    Unknown,
}

/// What an entry has brought, and how many messages before it are missing.
struct Dispatch {
    brought: Brought,
    missing: u64,
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
            self.note_gap(id)?;
        }
        let before = known;
        let transaction = self.database.unchecked_transaction()?;
        let outcome = self.attempt(&transaction, &mut known, entry);
        known.read = entry.sequence;
        match outcome {
            Ok(dispatch) => {
                known.save(&transaction)?;
                transaction.commit()?;
                self.live.entry(id).or_default().has_gap &=
                    matches!(entry.what, ConversationItem::Changed { .. });
                self.tell(id, dispatch, now);
                self.note_rekeyed(id, &entry.what);
            }
            Err(Fault::Trouble(trouble)) => return Err(trouble),
            Err(Fault::Stranger(leaf)) if self.asked_log(id) != Some(leaf.account) => {
                return Ok(Dealt::WantsLog(leaf.account));
            }
            Err(fault) => {
                // Nothing of the attempt is kept.
                drop(transaction);
                self.pass_over(before, entry, fault, now)?;
            }
        }
        let live = self.live.entry(id).or_default();
        live.newest = live.newest.max(entry.sequence);
        live.generation = live.generation.max(entry.epoch.generation);
        let joined = Known::load(&self.database, id)?.joined;
        // Where others change it they may be about to let this device in. What is said puts nothing off.
        let begins_anew = !matches!(entry.what, ConversationItem::Post { .. });
        let since = live.waiting_since.filter(|_| !begins_anew).unwrap_or(now);
        live.waiting_since = (!joined).then_some(since);
        Ok(Dealt::Done)
    }

    /// Entries before the next one are gone. What each device said last is not known any more, and the keys may have changed.
    fn note_gap(&mut self, id: ConversationId) -> Result<(), Trouble> {
        if std::mem::replace(&mut self.live.entry(id).or_default().has_gap, true) {
            return Ok(());
        }
        forget_heard(&self.database, id)?;
        let name = self.name_of(id);
        self.warn(format!(
            "messages with {name} were not fetched in time and are lost here; your other devices may have them"
        ));
        Ok(())
    }

    fn asked_log(&self, id: ConversationId) -> Option<AccountId> {
        self.live.get(&id).and_then(|live| live.asked_log)
    }

    fn attempt(
        &self,
        transaction: &Connection,
        known: &mut Known,
        entry: &ConversationEntry,
    ) -> Result<Dispatch, Fault> {
        match &entry.what {
            ConversationItem::Begun { welcome } => {
                self.begun(transaction, known, entry, welcome)?;
                Ok(Brought::Nothing.into())
            }
            ConversationItem::Changed { commit, welcome } => {
                self.changed(transaction, known, entry, commit, welcome.as_deref())?;
                Ok(Brought::Nothing.into())
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
                let former = Group::load(transaction, &self.keys, known.id, generation)?;
                let former = former.map(|group| group.epoch(generation));
                let epoch = self.join(transaction, known.id, generation, welcome)?;
                if former.is_some_and(|former| epoch <= former) {
                    // With the last resort of its packages it could be led back to keys that it has used.
                    return Err(Fault::Unreadable("it lets this device in where it was already".to_owned()));
                }
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
    ) -> Result<Epoch, Fault> {
        let group = Group::join(transaction, &self.keys, id, generation, welcome)?;
        self.check(group.leaves().into_iter())?;
        Ok(group.epoch(generation))
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
    ) -> Result<Dispatch, Fault> {
        if Heard::is_known(transaction, known.id, id)? {
            return Ok(Brought::Nothing.into());
        }
        if let Some(unsent) = Unsent::find(transaction, known.id, id)? {
            return self.own_post(transaction, known, unsent, sealed);
        }
        if !known.joined {
            // It was said before this device was let in.
            return Ok(Brought::Nothing.into());
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
            let number = Message::number_in(&bytes);
            let missing = number.map_or(Ok(0), |number| count(transaction, known.id, device, number))?;
            return Ok(Dispatch { brought: Brought::Unknown, missing });
        };
        let missing = count(transaction, known.id, device, number)?;
        let heard = Heard { id, account, device, at, content };
        let brought = self.heed(transaction, known.id, heard, entry.at)?;
        Ok(Dispatch { brought, missing })
    }

    /// What this device has said stands in the log.
    fn own_post(
        &self,
        transaction: &Connection,
        known: &Known,
        unsent: Unsent,
        sealed: &[u8],
    ) -> Result<Dispatch, Fault> {
        if unsent.sealed.is_none_or(|(_, own)| own != sealed) {
            return Err(Fault::Unreadable("it bears the name of a message of this device".to_owned()));
        }
        let Unsent { id, at, content, .. } = unsent;
        let (account, device) = (self.keys.account, self.keys.device);
        Unsent::drop(transaction, id)?;
        Ok(self.heed(transaction, known.id, Heard { id, account, device, at, content }, at)?.into())
    }

    /// Keeps what was said, or what it changes.
    fn heed(
        &self,
        transaction: &Connection,
        id: ConversationId,
        heard: Heard,
        at: UtcTime,
    ) -> Result<Brought, Trouble> {
        let (by, me) = (heard.account, self.keys.account);
        if by != me && self.friend_in(id).is_some_and(|friend| friend.blocked) {
            // It was said before the coordinator knew of the block.
            return Ok(Brought::Nothing);
        }
        match heard.content {
            Content::Text(_) | Content::Card(_) => self.heed_said(transaction, id, heard, at),
            Content::Reaction { to, reaction } => {
                if !Heard::is_known(transaction, id, to)? {
                    return Ok(Brought::Nothing);
                }
                set_reaction(transaction, id, to, by, reaction)?;
                Ok(Brought::Reacted { by, to, reaction })
            }
            Content::Receipt { delivered, read } => {
                let new = receipts::take(transaction, id, by, delivered, read)?;
                if by == me {
                    // Another device of this account may be where its listener reads, and only where whoever writes was let
                    // in is anything told.
                    Standing::accept(transaction, id, at)?;
                    receipts::see_what_was_read(transaction, id, me)?;
                    return Ok(Brought::Nothing);
                }
                let most = if tells_reading(transaction)? { Progress::Read } else { Progress::Delivered };
                Ok(new.map_or(Brought::Nothing, |(upto, progress)| Brought::Progress {
                    upto,
                    progress: progress.min(most),
                }))
            }
            // What only a later version knows does not come here.
            _ => Ok(Brought::Unknown),
        }
    }

    fn heed_said(
        &self,
        transaction: &Connection,
        id: ConversationId,
        heard: Heard,
        at: UtcTime,
    ) -> Result<Brought, Trouble> {
        let me = self.keys.account;
        if heard.account == me {
            Standing::accept(transaction, id, at)?;
        }
        let decision = Standing::load(transaction, id)?.decision;
        let is_full = decision == Decision::Open
            && count_of_others(transaction, id, me, Place::default())? >= REQUEST_MESSAGES_MAX;
        if decision == Decision::Declined || is_full {
            return Ok(Brought::Nothing);
        }
        let place = heard.add(transaction, id)?;
        let said = self.said(id, place, heard)?;
        Ok(Brought::Said { said, is_request: decision == Decision::Open })
    }

    fn tell(&mut self, id: ConversationId, Dispatch { brought, missing }: Dispatch, now: UtcTime) {
        if missing > 0 {
            let name = self.name_of(id);
            let sentence = format!(
                "{missing} messages with {name} are missing: the coordinator has not delivered them. Let its operator know"
            );
            self.complain(id, Complaint::Missing, now, sentence);
        }
        let Some(with) = self.friend_in(id).map(|friend| friend.account) else { return };
        match brought {
            Brought::Nothing => {}
            Brought::Unknown => {
                let name = self.name_of(id);
                let sentence = format!(
                    "a message with {name} was left out: it is of a kind that this version does not know, or is not what \
                     it should be; update jamsync"
                );
                self.complain(id, Complaint::Unknown, now, sentence);
            }
            Brought::Said { said, is_request } => self.note(Note::Said { with, said, is_request }),
            Brought::Reacted { by, to, reaction } => self.note(Note::Reacted { with, by, to, reaction }),
            Brought::Progress { upto, progress } => self.note(Note::Progress { with, upto, progress }),
        }
    }
}

impl From<Brought> for Dispatch {
    fn from(brought: Brought) -> Self {
        Self { brought, missing: 0 }
    }
}

/// Counts what a device says, and tells how many messages before this one are missing.
fn count(
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

/// How many messages of somebody who was not let in are kept. Count, default 100: fewer lose what a friend has to say at
/// first, more let a stranger fill the disk.
const REQUEST_MESSAGES_MAX: u32 = 100;
