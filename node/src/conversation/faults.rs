//! Entries that are not what they should be: why, what is told of it, and what follows.

use jamsync_protocol::{
    conversation::Epoch,
    time::UtcTime,
    wire::coord::{ConversationEntry, ConversationItem},
};

use super::{
    Conversations, Trouble,
    complaints::Complaint,
    group::{Group, Leaf, OpenError},
    rows::{Known, Waiting},
};

/// Why an entry is not what it should be.
pub(super) enum Fault {
    /// It cannot be opened.
    Unreadable(String),
    /// It was sealed for another conversation of the same name.
    Forked,
    /// It names a device that does not speak for its account.
    Stranger(Leaf),
    /// This device has said it and does not know: its database is of an earlier day, and its keys were used since.
    PutBack,
    Trouble(Trouble),
}

impl Conversations {
    /// Leaves an entry out that is not what it should be.
    pub(super) fn pass_over(
        &mut self,
        mut known: Known,
        entry: &ConversationEntry,
        fault: Fault,
        now: UtcTime,
    ) -> Result<(), Trouble> {
        let name = self.name_of(known.id);
        let generation = entry.epoch.generation;
        let loses_keys = match entry.what {
            // Whoever began it had no key of this device, or let a stranger in.
            ConversationItem::Begun { .. } => generation > known.generation,
            ConversationItem::Changed { .. } => known.joined,
            // Nothing may be sealed with them any more.
            ConversationItem::Post { .. } => match fault {
                Fault::PutBack | Fault::Forked => true,
                Fault::Unreadable(_) => self.is_behind(known, entry.epoch)?,
                Fault::Stranger(_) | Fault::Trouble(_) => false,
            },
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
            Fault::Forked => {
                tracing::error!(conversation = ?known.id, "the conversation is forked");
                self.warn(format!(
                    "the coordinator shows you and {name} different conversations, so that messages of one side do not \
                     reach the other. The conversation begins anew; say again what was not answered, and let the \
                     coordinator's operator know"
                ));
            }
            Fault::Unreadable(why) => {
                tracing::debug!(conversation = ?known.id, sequence = entry.sequence.0, why, "an entry cannot be read");
                match entry.what {
                    ConversationItem::Begun { .. } if loses_keys => {}
                    ConversationItem::Begun { .. } | ConversationItem::Changed { .. } if !known.joined => {}
                    ConversationItem::Begun { .. } | ConversationItem::Changed { .. } => self.warn(format!(
                        "the conversation with {name} has changed in a way that does not follow from what was there \
                         before; it was not taken over"
                    )),
                    ConversationItem::Post { .. } if loses_keys => self.warn(format!(
                        "this device has missed a change of its conversation with {name}, which begins anew; what is said \
                         until then is missing here, and your other devices may have it"
                    )),
                    ConversationItem::Post { .. } => {
                        let sentence = format!(
                            "a message with {name} cannot be read and was left out: it was damaged on its way"
                        );
                        self.complain(known.id, Complaint::Unreadable, now, sentence);
                    }
                }
            }
            Fault::Trouble(trouble) => return Err(trouble),
        }
        known.read = entry.sequence;
        let transaction = self.database.unchecked_transaction()?;
        if loses_keys {
            self.live.entry(known.id).or_default().has_gap = false;
            (known.generation, known.joined) = (known.generation.max(generation), false);
            Waiting::drop(&transaction, known.id)?;
        }
        known.save(&transaction)?;
        transaction.commit()?;
        Ok(())
    }

    /// Whether this device lacks what it takes to read the conversation as it is: entries are gone, or it is of a later epoch than is
    /// known here.
    fn is_behind(&self, known: Known, epoch: Epoch) -> Result<bool, Trouble> {
        if !known.joined {
            return Ok(false);
        }
        let group = Group::load(&self.database, &self.keys, known.id, known.generation)?;
        let is_later = group.is_some_and(|group| epoch > group.epoch(known.generation));
        Ok(is_later || self.live.get(&known.id).is_some_and(|live| live.has_gap))
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
            OpenError::Forked => Self::Forked,
            OpenError::Unreadable(why) => Self::Unreadable(why.to_string()),
            OpenError::Trouble(trouble) => Self::Trouble(trouble),
        }
    }
}
