//! What a listener does in conversations: saying, reacting, looking, and letting somebody in or not.

use jamsync_protocol::{
    chat::Reaction,
    conversation::{Content, ConversationId, PostId},
    id::AccountId,
    time::UtcTime,
};
use rand::TryRngCore as _;

use super::{
    Conversations, OUTBOX_MAX, Progress, Said, Trouble,
    history::{self, Heard, Place, count_of_others, set_reaction},
    rows::{Known, Unsent},
    standing::{Decision, Standing, set_tells_reading, tells_reading},
};

/// What a listener sees of a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// With whom.
    pub with: AccountId,
    /// Whether somebody has written whom the listener has not let in yet.
    pub is_request: bool,
    /// How many messages of others were not seen yet, at most 1,000.
    pub unread: u32,
    /// What was said, oldest first, and behind it what waits to be sent.
    pub said: Vec<Said>,
}

impl Conversations {
    /// Says something to a contact. When this returns, it is kept, and goes out as soon as it can. Whoever is answered is let in.
    ///
    /// # Errors
    /// [`Trouble`]; nothing is said then.
    pub fn say(&mut self, to: AccountId, content: Content, now: UtcTime) -> Result<Said, Trouble> {
        let id = self.open_to(to)?;
        let unsent = self.keep(id, content, now)?;
        Ok(self.own(unsent))
    }

    /// Reacts to a message, in place of what was thought of it before; `None` takes that back.
    ///
    /// # Errors
    /// [`Trouble::NoMessage`] for one that is not in the history; others as [`say`](Self::say).
    pub fn react(
        &mut self,
        with: AccountId,
        to: PostId,
        reaction: Option<Reaction>,
        now: UtcTime,
    ) -> Result<(), Trouble> {
        let (id, me) = (self.open_to(with)?, self.keys.account);
        if !Heard::is_known(&self.database, id, to)? {
            return Err(Trouble::NoMessage);
        }
        let known = history::reactions(&self.database, id, to)?;
        let present = known.into_iter().find(|(by, _)| *by == me).map(|(_, reaction)| reaction);
        if present == reaction {
            return Ok(());
        }
        // Shown at once; what the log says later is the same, or newer.
        self.keep(id, Content::Reaction { to, reaction }, now)?;
        set_reaction(&self.database, id, to, me, reaction)
    }

    /// What was said with a contact: the last `limit` messages.
    ///
    /// # Errors
    /// [`Trouble`].
    pub fn history(&self, with: AccountId, limit: u32) -> Result<Shown, Trouble> {
        let Some((id, _)) = self.roster.conversation_with(with) else { return Err(Trouble::NoContact) };
        let mut said = Vec::new();
        for (place, heard) in Heard::last(&self.database, id, limit)? {
            said.push(self.said(id, place, heard)?);
        }
        let unsent = Unsent::all(&self.database, id, OUTBOX_MAX)?.into_iter();
        said.extend(unsent.filter(|unsent| unsent.content.is_shown()).map(|unsent| self.own(unsent)));
        let surplus = said.len().saturating_sub(usize::try_from(limit).unwrap_or(usize::MAX));
        said.drain(..surplus);
        let Standing { decision, seen, .. } = Standing::load(&self.database, id)?;
        let unread = count_of_others(&self.database, id, self.keys.account, seen)?;
        let is_request = decision == Decision::Open && said.iter().any(|said| said.by != self.keys.account);
        Ok(Shown { with, is_request, unread, said })
    }

    /// The listener has seen all that was said with a contact.
    ///
    /// # Errors
    /// [`Trouble`].
    pub fn see(&mut self, with: AccountId) -> Result<(), Trouble> {
        let Some((id, _)) = self.roster.conversation_with(with) else { return Ok(()) };
        let newest = Heard::last(&self.database, id, 1)?.last().map(|(place, _)| *place);
        let standing = Standing::load(&self.database, id)?;
        if let Some(seen) = newest.filter(|newest| *newest > standing.seen) {
            Standing { seen, ..standing }.save(&self.database, id)?;
            self.live.entry(id).or_default().stir();
        }
        Ok(())
    }

    /// Lets a contact in who has written, or not: what was written is forgotten then, and what else comes is left out. The
    /// contact does not learn of the latter.
    ///
    /// # Errors
    /// [`Trouble::NoRequest`] where nothing is to be declined; [`Trouble`] of the database.
    pub fn answer_request(&mut self, with: AccountId, accept: bool, now: UtcTime) -> Result<(), Trouble> {
        let friend = self.roster.friend(with).ok_or(Trouble::NoContact)?.account;
        let (id, _) = self.roster.conversation_with(friend).ok_or(Trouble::NoContact)?;
        let before = Standing::load(&self.database, id)?;
        let decision = if accept { Decision::Accepted } else { Decision::Declined };
        if !accept && before.decision != Decision::Open {
            return Err(Trouble::NoRequest);
        }
        if before.decision != decision {
            self.decide(id, decision, now)?;
        }
        Ok(())
    }

    /// Whether the listener lets others know what was read.
    ///
    /// # Errors
    /// [`Trouble`] of the database.
    pub fn tells_reading(&self) -> Result<bool, Trouble> {
        tells_reading(&self.database)
    }

    /// Lets others know what was read from now on, or not; whoever does not tell is not told either.
    ///
    /// # Errors
    /// [`Trouble`] of the database.
    pub fn set_tells_reading(&mut self, tells: bool) -> Result<(), Trouble> {
        set_tells_reading(&self.database, tells)?;
        self.live.values_mut().for_each(super::Live::stir);
        Ok(())
    }

    /// The message whose name begins with these hexadecimal digits.
    ///
    /// # Errors
    /// [`Trouble::NoMessage`] for none, [`Trouble::Ambiguous`] for several.
    pub fn find(&self, with: AccountId, digits: &str) -> Result<Said, Trouble> {
        let (id, _) = self.roster.conversation_with(with).ok_or(Trouble::NoMessage)?;
        let digits = digits.to_ascii_lowercase();
        let is_hex = (1..=32).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_hexdigit());
        if !is_hex {
            return Err(Trouble::NoMessage);
        }
        let mut found = Heard::named(&self.database, id, &digits, 2)?;
        let (place, heard) = found.pop().ok_or(Trouble::NoMessage)?;
        if let Some((_, other)) = found.pop() {
            return Err(Trouble::Ambiguous { one: heard.id.to_string(), other: other.id.to_string() });
        }
        self.said(id, place, heard)
    }

    /// The conversation with a contact who may be written to, who is let in by that.
    fn open_to(&self, to: AccountId) -> Result<ConversationId, Trouble> {
        let friend = self.roster.friend(to).ok_or(Trouble::NoContact)?;
        if friend.blocked {
            return Err(Trouble::Blocked);
        }
        self.roster.conversation_with(to).map(|(id, _)| id).ok_or(Trouble::NoContact)
    }

    /// Keeps what this device says, to be sent when that is possible.
    pub(super) fn keep(
        &mut self,
        id: ConversationId,
        content: Content,
        now: UtcTime,
    ) -> Result<Unsent, Trouble> {
        let mut name = [0; 16];
        rand::rngs::OsRng.try_fill_bytes(&mut name).map_err(|error| Trouble::Keys(error.to_string()))?;
        let transaction = self.database.unchecked_transaction()?;
        let waiting = Unsent::count(&transaction, id)?;
        // Of receipts one waits at most, and that must not stop whatever else is to be done.
        if waiting >= OUTBOX_MAX && !matches!(content, Content::Receipt { .. }) {
            return Err(Trouble::Full { waiting });
        }
        let mut known = Known::load(&transaction, id)?;
        known.said += 1;
        known.save(&transaction)?;
        if content.is_shown() {
            Standing::accept(&transaction, id, now)?;
        }
        let unsent = Unsent { id: PostId(name), count: known.said, at: now, content, sealed: None };
        unsent.add(&transaction, id)?;
        transaction.commit()?;
        self.live.entry(id).or_default().stir();
        Ok(unsent)
    }

    /// Notes what was decided about whoever writes.
    pub(super) fn decide(
        &mut self,
        id: ConversationId,
        decision: Decision,
        at: UtcTime,
    ) -> Result<(), Trouble> {
        let transaction = self.database.unchecked_transaction()?;
        let before = Standing::load(&transaction, id)?;
        Standing { decision, decided: at, ..before }.save(&transaction, id)?;
        if decision == Decision::Declined {
            history::forget(&transaction, id)?;
        }
        transaction.commit()?;
        self.live.entry(id).or_default().stir();
        Ok(())
    }

    /// A message of the history as a listener sees it.
    pub(super) fn said(&self, id: ConversationId, place: Place, heard: Heard) -> Result<Said, Trouble> {
        let Heard { id: post, account: by, at, content, .. } = heard;
        let progress = if by == self.keys.account { Some(self.progress_of(id, place)?) } else { None };
        let reactions = history::reactions(&self.database, id, post)?;
        Ok(Said { id: post, by, at, content, progress, reactions })
    }

    fn own(&self, unsent: Unsent) -> Said {
        let Unsent { id, at, content, .. } = unsent;
        let (by, progress) = (self.keys.account, Some(Progress::Waits));
        Said { id, by, at, content, progress, reactions: Vec::new() }
    }
}
