//! What a listener should know of the conversations.

use jamsync_protocol::{
    chat::Reaction,
    conversation::{Content, PostId},
    id::AccountId,
    time::UtcTime,
};

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
