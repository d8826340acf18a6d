//! Keys for what is not said but shown: the exporter of a conversation's group gives one for each side of it, other in every epoch.

use jamsync_protocol::{
    conversation::{ConversationId, Epoch},
    id::AccountId,
    wire::coord::ConversationItem,
};

use super::{Conversations, Note, Trouble, group::Group, rows::Known};

/// What activities of two contacts are sealed with, in one epoch of their conversation.
#[derive(Clone, PartialEq, Eq)]
pub struct ActivityKeys {
    /// The conversation.
    pub conversation: ConversationId,
    /// The epoch.
    pub epoch: Epoch,
    /// For what this account shows.
    pub own: [u8; 32],
    /// For what the contact shows.
    pub theirs: [u8; 32],
}

impl Conversations {
    /// The keys for a contact in the epoch as it is; none before this device is in the conversation.
    ///
    /// # Errors
    /// [`Trouble`].
    pub fn activity_keys(&self, with: AccountId) -> Result<Option<ActivityKeys>, Trouble> {
        let Some((id, _)) = self.roster.conversation_with(with) else { return Ok(None) };
        let known = Known::load(&self.database, id)?;
        if !known.joined {
            return Ok(None);
        }
        let group = Group::load(&self.database, &self.keys, id, known.generation)?;
        let Some(group) = group.filter(Group::is_active) else { return Ok(None) };
        let [own, theirs] = [self.keys.account, with].map(|account| group.export(LABEL, &account.0));
        let (own, theirs, epoch) = (own?, theirs?, group.epoch(known.generation));
        Ok(Some(ActivityKeys { conversation: id, epoch, own, theirs }))
    }

    /// Says that the keys with a contact are others now, where an entry has changed them.
    pub(super) fn note_rekeyed(&mut self, id: ConversationId, what: &ConversationItem) {
        let with = self.friend_in(id).map(|friend| friend.account);
        if let (Some(with), false) = (with, matches!(what, ConversationItem::Post { .. })) {
            self.note(Note::Rekeyed { with });
        }
    }
}

/// The keys stay out of logs.
impl std::fmt::Debug for ActivityKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ActivityKeys").field("epoch", &self.epoch).finish_non_exhaustive()
    }
}

/// The label of the exporter. Another one would be another wire.
const LABEL: &str = "jamsync activity v1";
