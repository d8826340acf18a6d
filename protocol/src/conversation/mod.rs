//! Conversations: what people say to each other by way of the coordinator, which cannot read it.
//!
//! This module holds the names and the contents; sealing them is the node's, and keeping them in order is the
//! coordinator's. It never encrypts, and knows nothing of how that is done: a sealed message is so many bytes.

use core::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    id::AccountId,
    identity::keys::{Domain, digest},
    text::List,
};

mod card;
mod content;

pub use card::{
    CARD_BYTES_MAX, CARD_LENGTH_MAX, CARD_TEXT_BYTES_MAX, Card, CardError, CardLength, CardText, ChapterCard,
    EpisodeCard, PLAYLIST_COUNT_MAX, PLAYLIST_NAMED_MAX, PlaylistCard, PlaylistEntry, TrackCard,
};
pub use content::{Content, Message};

/// The most accounts in one conversation.
pub const MEMBERS_MAX: usize = 32;
/// The most bytes of a sealed message: a text of 4 KiB, what is said beside it, and what sealing adds.
pub const POST_BYTES_MAX: usize = 6 * 1024;
/// The most bytes of a change of a conversation's devices.
pub const COMMIT_BYTES_MAX: usize = 6 * 1024;
/// The most bytes of what lets new devices in: room for twelve.
pub const WELCOME_BYTES_MAX: usize = 9 * 1024;
/// The most bytes of a key package.
pub const KEY_PACKAGE_BYTES_MAX: usize = 512;
/// The most key packages in one call.
pub const KEY_PACKAGES_PER_CALL_MAX: usize = 24;

/// A conversation, named by who is in it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ConversationId(pub [u8; 32]);

/// A sealed message of a conversation, chosen at random by who sends it and kept when it is sealed anew.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PostId(pub [u8; 16]);

/// The accounts in a conversation: at least two, in the order of their ids, each once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Members(List<AccountId, MEMBERS_MAX>);

/// How often a conversation has changed its keys. A later one is greater.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Epoch {
    /// How often the conversation was begun: once, and again whenever a device had lost its keys.
    pub generation: u32,
    /// How often its devices or keys have changed since.
    pub number: u64,
}

/// Accounts that make no conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a conversation has 2 to {MEMBERS_MAX} members, each once, in the order of their ids")]
pub struct NoConversation;

impl ConversationId {
    /// The conversation of these members. There is one.
    #[must_use]
    pub fn of(members: &Members) -> Self {
        let ids: alloc::vec::Vec<u8> = members.iter().flat_map(|account| account.0).collect();
        Self(digest(Domain::Conversation, &ids))
    }
}

impl Members {
    /// These accounts, put in order.
    ///
    /// # Errors
    /// [`NoConversation`] for less than two, too many, or one named twice.
    pub fn new(accounts: impl IntoIterator<Item = AccountId>) -> Result<Self, NoConversation> {
        let mut accounts: alloc::vec::Vec<AccountId> = accounts.into_iter().take(MEMBERS_MAX + 1).collect();
        accounts.sort_unstable();
        Self::in_order(List::new(accounts).map_err(|_| NoConversation)?)
    }

    fn in_order(accounts: List<AccountId, MEMBERS_MAX>) -> Result<Self, NoConversation> {
        let ordered = accounts.iter().zip(accounts.iter().skip(1)).all(|(one, next)| one < next);
        if ordered && accounts.len() >= 2 { Ok(Self(accounts)) } else { Err(NoConversation) }
    }

    /// The accounts in order.
    pub fn iter(&self) -> impl Iterator<Item = &AccountId> {
        self.0.iter()
    }

    /// Whether the account is among them.
    #[must_use]
    pub fn contains(&self, account: AccountId) -> bool {
        self.0.contains(&account)
    }

    /// All but one.
    pub fn others(&self, me: AccountId) -> impl Iterator<Item = AccountId> {
        self.0.iter().copied().filter(move |account| *account != me)
    }
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::in_order(List::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

impl Epoch {
    /// The first epoch of a conversation that is begun for the `generation`th time.
    #[must_use]
    pub const fn begun(generation: u32) -> Self {
        Self { generation, number: 1 }
    }

    /// The epoch after the next change.
    #[must_use]
    pub const fn next(self) -> Self {
        Self { number: self.number.saturating_add(1), ..self }
    }
}

/// The first eight digits: enough for a log to tell two apart.
impl fmt::Debug for ConversationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().take(4).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
/// The first eight digits: enough for a log to tell two apart.
impl fmt::Debug for PostId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().take(4).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
impl fmt::Display for PostId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANA: AccountId = AccountId([1; 32]);
    const BEN: AccountId = AccountId([2; 32]);

    #[test]
    fn a_conversation_is_the_same_whoever_names_it() {
        let [one, other] = [[ANA, BEN], [BEN, ANA]].map(|who| Members::new(who).expect("two"));
        assert_eq!(ConversationId::of(&one), ConversationId::of(&other));
        let third = Members::new([ANA, BEN, AccountId([3; 32])]).expect("three");
        assert_ne!(ConversationId::of(&one), ConversationId::of(&third));
        assert_eq!(one.others(ANA).collect::<alloc::vec::Vec<_>>(), [BEN]);
    }

    #[test]
    fn members_are_several_each_once_and_in_order() {
        assert_eq!(Members::new([ANA]), Err(NoConversation));
        assert_eq!(Members::new([ANA, ANA]), Err(NoConversation));
        let many = (0..=32_u8).map(|number| AccountId([number; 32]));
        assert_eq!(Members::new(many), Err(NoConversation));
        let swapped = postcard::to_allocvec(&alloc::vec![BEN, ANA]).expect("encodes");
        assert!(postcard::from_bytes::<Members>(&swapped).is_err());
        let bytes = postcard::to_allocvec(&Members::new([BEN, ANA]).expect("two")).expect("encodes");
        assert_eq!(
            postcard::from_bytes::<Members>(&bytes),
            Members::new([ANA, BEN]).map_err(|_| unreachable!())
        );
    }

    #[test]
    fn a_conversation_begun_anew_is_later_than_every_change_before() {
        let old = Epoch { generation: 1, number: u64::MAX };
        assert!(Epoch::begun(2) > old.next() && old.next() >= old);
    }
}
