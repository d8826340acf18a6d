//! Conversations: one log each, in an order that every device sees, of sealed bytes that nobody here can read.
//!
//! A change of devices or keys is taken for the epoch that it ends and for no other, so that of two that are made at once
//! one is taken; what is said for an epoch that has ended is refused, and sealed anew by whoever said it. Devices that are
//! connected are told of an entry in passing; whoever was away looks at its conversations anyway.

use jamsync_protocol::{
    conversation::{ConversationId, Epoch, Members, PostId},
    id::AccountId,
    limits::COORD_FRAME_BYTES_MAX,
    text::List,
    wire::{
        codec,
        coord::{
            CONVERSATIONS_PER_REPLY_MAX, Commit, ConversationEntry, ConversationItem, ConversationState,
            CoordReply, ENTRIES_PER_REPLY_MAX, GroupWelcome, Refusal, Sealed, Sequence,
        },
    },
};

use super::{Act, Context, Outcome, Stop, Written, devices_of, my_account, named};
use crate::{
    eligibility::Verb,
    store::{Account, Conversation, LogCursor, LogRow, StoreError, View},
};

/// How many entries wait for an account of which no device fetches them. Count, 1 and up, default 1,000: fewer silence a
/// friend who is on holiday, more fill the disk. A device that is further behind than another of its account loses them.
const WAITING_MAX: u64 = 1_000;

/// By how much the count of beginnings may grow at once, so that nobody brings it to its end.
const GENERATIONS_AHEAD_MAX: u32 = 1_000;

impl Act<'_> {
    pub(super) fn begin_conversation(
        &mut self,
        members: &Members,
        generation: u32,
        welcome: &GroupWelcome,
    ) -> Outcome {
        let me = self.me()?;
        let mut others = members.others(me.id);
        let (Some(friend), None, true) = (others.next(), others.next(), members.contains(me.id)) else {
            return Err(Refusal::NoSuchMembers.into());
        };
        let id = ConversationId::of(members);
        let known = self.tables.conversation(id)?;
        let friend = self.tables.account(friend)?;
        self.check_member(&me, friend.as_ref(), Refusal::NoSuchMembers)?;
        let friend = friend.ok_or(Refusal::NoSuchMembers)?;
        let is_new = known.is_none();
        let known = known.unwrap_or_else(|| Conversation {
            id,
            members: members.clone(),
            epoch: Epoch::default(),
            newest: Sequence(0),
            forgotten: Sequence(0),
        });
        // A coordinator whose data went back in time is behind those who begin anew.
        let ahead = generation.checked_sub(known.epoch.generation);
        if !ahead.is_some_and(|ahead| (1..=GENERATIONS_AHEAD_MAX).contains(&ahead)) {
            return Err(moved(&known));
        }
        if is_new {
            self.tables.put_conversation(&known)?;
            for account in [&me, &friend] {
                for device in devices_of(account)? {
                    self.tables.put_log_cursor(id, device, Sequence(0))?;
                }
            }
        }
        let (begun, cursors) = (Epoch::begun(generation), self.tables.log_cursors(id)?);
        self.place(known, &cursors, begun, begun, ConversationItem::Begun { welcome: welcome.clone() })
    }

    pub(super) fn change_conversation(
        &mut self,
        id: ConversationId,
        epoch: Epoch,
        commit: &Commit,
        welcome: Option<&GroupWelcome>,
    ) -> Outcome {
        let me = self.me()?;
        let known = my_conversation(&*self.tables, &me, id)?;
        let cursors = self.may_speak(&me, &known)?;
        if epoch != known.epoch {
            return Err(moved(&known));
        }
        let what = ConversationItem::Changed { commit: commit.clone(), welcome: welcome.cloned() };
        self.place(known, &cursors, epoch, epoch.next(), what)
    }

    pub(super) fn post(
        &mut self,
        id: ConversationId,
        epoch: Epoch,
        post: PostId,
        sealed: &Sealed,
    ) -> Outcome {
        let me = self.me()?;
        let known = my_conversation(&*self.tables, &me, id)?;
        if let Some((sequence, at)) = self.tables.posted(id, post)? {
            return Ok(CoordReply::Placed { sequence, at });
        }
        let cursors = self.may_speak(&me, &known)?;
        if epoch != known.epoch {
            return Err(moved(&known));
        }
        self.place(known, &cursors, epoch, epoch, ConversationItem::Post { id: post, sealed: sealed.clone() })
    }

    pub(super) fn acknowledge_log(&mut self, id: ConversationId, upto: Sequence) -> Outcome {
        let me = self.me()?;
        let known = my_conversation(&*self.tables, &me, id)?;
        let mut cursors = self.tables.log_cursors(id)?;
        let mine = cursors.iter_mut().find(|cursor| cursor.device == self.context.device);
        let mine = mine.ok_or(StoreError::Corrupt("cursor"))?;
        let upto = upto.min(known.newest).max(mine.upto);
        if upto > mine.upto {
            mine.upto = upto;
            self.tables.put_log_cursor(id, mine.device, upto)?;
            let dealt_with = cursors.iter().map(|cursor| cursor.upto).min().unwrap_or_default();
            if dealt_with > known.forgotten {
                self.tables.forget_log(id, dealt_with)?;
            }
        }
        Ok(CoordReply::Conversation(state_at(known, upto)))
    }

    /// A device that is new in an account finds no log that began before it, and waits for what lets it in.
    pub(super) fn start_log_cursors(&mut self, account: AccountId) -> Result<(), StoreError> {
        let mut after = None;
        loop {
            let some = self.tables.conversations_after(account, after, CONVERSATIONS_TOGETHER)?;
            let Some(last) = some.last() else { return Ok(()) };
            after = Some(last.id);
            for conversation in &some {
                for device in self.tables.devices_of(account)? {
                    let known = self.tables.log_cursors(conversation.id)?;
                    if known.iter().all(|cursor| cursor.device != device.key) {
                        self.tables.put_log_cursor(conversation.id, device.key, conversation.newest)?;
                    }
                }
            }
        }
    }

    /// Whether this account may speak to another, which need not exist: one that is no contact is refused as one that is not
    /// there, and takes as long.
    pub(super) fn check_member(
        &self,
        me: &Account,
        other: Option<&Account>,
        unknown: Refusal,
    ) -> Result<(), Stop> {
        let handle = &other.unwrap_or(me).handle;
        self.check(Verb::Message, me, handle, other).map_err(|stop| match stop {
            Stop::Refused(Refusal::NotContact { .. }) => Stop::Refused(unknown),
            stop @ (Stop::Refused(_) | Stop::Store(_)) => stop,
        })
    }

    /// How far the devices of a conversation are, where this account may speak to everybody in it.
    fn may_speak(&self, me: &Account, known: &Conversation) -> Result<Vec<LogCursor>, Stop> {
        let cursors = self.tables.log_cursors(known.id)?;
        // A queue that is full looks like a block: both are looked at in any case, and say the same.
        let full = full_for(known, &cursors, me.id);
        for other in known.members.others(me.id) {
            let friend = named(&*self.tables, other)?;
            self.check(Verb::Message, me, &friend.handle, Some(&friend))?;
            if full == Some(other) {
                return Err(Refusal::CannotDeliver { handle: friend.handle }.into());
            }
        }
        Ok(cursors)
    }

    /// Writes an entry behind the others.
    fn place(
        &mut self,
        known: Conversation,
        cursors: &[LogCursor],
        made_for: Epoch,
        after: Epoch,
        what: ConversationItem,
    ) -> Outcome {
        let (id, at) = (known.id, self.context.now);
        let sequence = Sequence(known.newest.0 + 1);
        let device = self.context.device;
        let entry = ConversationEntry { sequence, epoch: made_for, at, what };
        self.tables.put_conversation(&Conversation { epoch: after, newest: sequence, ..known.clone() })?;
        self.tables.insert_log_row(&LogRow { conversation: id, device, entry: entry.clone() })?;
        let forgotten = Sequence(sequence.0.saturating_sub(WAITING_MAX));
        if forgotten > known.forgotten {
            self.tables.forget_log(id, forgotten)?;
        }
        let to = cursors.iter().map(|cursor| cursor.device).filter(|other| *other != device).collect();
        self.written = Some(Written { conversation: id, entry, to });
        Ok(CoordReply::Placed { sequence, at })
    }
}

/// Which of the others has too much waiting.
fn full_for(known: &Conversation, cursors: &[LogCursor], me: AccountId) -> Option<AccountId> {
    let nearest = |account| {
        let theirs = cursors.iter().filter(|cursor| cursor.account == account);
        theirs.map(|cursor| cursor.upto.0).max().unwrap_or(known.newest.0)
    };
    let waits = |account: &AccountId| known.newest.0.saturating_sub(nearest(*account)) >= WAITING_MAX;
    known.members.others(me).find(waits)
}

/// A part of a log.
pub(super) fn log(view: &dyn View, context: &Context, id: ConversationId, after: Sequence) -> Outcome {
    let known = my_conversation(view, &my_account(view, context)?, id)?;
    let limit = u32::try_from(ENTRIES_PER_REPLY_MAX).unwrap_or(u32::MAX);
    let mut room = COORD_FRAME_BYTES_MAX - REPLY_BYTES;
    let mut entries = Vec::new();
    for entry in view.log_after(id, after, limit)? {
        let needed =
            codec::encode(&entry, COORD_FRAME_BYTES_MAX).map_err(|_| StoreError::Corrupt("log entry"))?;
        let Some(left) = room.checked_sub(needed.len()) else { break };
        room = left;
        entries.push(entry);
    }
    let entries = List::new(entries).map_err(|_| StoreError::Corrupt("log entry"))?;
    Ok(CoordReply::Entries { entries, newest: known.newest })
}

/// The conversations of the account that asks.
pub(super) fn list(view: &dyn View, context: &Context, after: Option<ConversationId>) -> Outcome {
    let me = my_account(view, context)?;
    let found = view.conversations_after(me.id, after, CONVERSATIONS_TOGETHER + 1)?;
    let more = found.len() > CONVERSATIONS_PER_REPLY_MAX;
    let states = found.into_iter().take(CONVERSATIONS_PER_REPLY_MAX).map(|known| state(view, context, known));
    let states = states.collect::<Result<Vec<_>, _>>()?;
    let conversations = List::new(states).map_err(|_| StoreError::Corrupt("conversation"))?;
    let left = view.key_packages_left(context.device)?;
    let key_packages = u16::try_from(left).unwrap_or(u16::MAX);
    Ok(CoordReply::Conversations { conversations, more, key_packages })
}

/// The conversation, if the account is in it.
fn my_conversation(view: &dyn View, me: &Account, id: ConversationId) -> Result<Conversation, Stop> {
    let known = view.conversation(id)?.filter(|known| known.members.contains(me.id));
    known.ok_or(Stop::Refused(Refusal::UnknownConversation))
}

fn state(view: &dyn View, context: &Context, known: Conversation) -> Result<ConversationState, StoreError> {
    let cursors = view.log_cursors(known.id)?;
    let mine = cursors.into_iter().find(|cursor| cursor.device == context.device);
    Ok(state_at(known, mine.map(|cursor| cursor.upto).unwrap_or_default()))
}

fn state_at(known: Conversation, acknowledged: Sequence) -> ConversationState {
    let Conversation { id: conversation, members, epoch, newest, .. } = known;
    ConversationState { conversation, members, epoch, newest, acknowledged }
}

fn moved(known: &Conversation) -> Stop {
    Stop::Refused(Refusal::EpochMoved { epoch: known.epoch, newest: known.newest })
}

/// More than a reply needs around its entries.
const REPLY_BYTES: usize = 32;
/// How many conversations are read together.
const CONVERSATIONS_TOGETHER: u32 = 64;
