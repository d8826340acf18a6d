//! What is said in a conversation, as it is before it is sealed.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::{Card, POST_BYTES_MAX, PostId};
use crate::{
    chat::{ChatText, Reaction},
    time::UtcTime,
    wire::codec::{self, CodecError},
};

/// A message as a device seals it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Counts what this device says in the conversation, from 1 and without gaps: a number that is left out is a message
    /// that somebody has held back.
    pub number: u64,
    /// When it was said by its author's calendar: for display only.
    pub at: UtcTime,
    /// What is said.
    pub content: Content,
}

/// What is said. Append-only: what a later version says, an earlier one shows as something that it does not know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Content {
    /// Words.
    Text(ChatText),
    /// Music.
    Card(Card),
    /// How the account stands to a message, in place of what it said to it before.
    Reaction {
        /// The message.
        to: PostId,
        /// The reaction; none takes back the one before.
        reaction: Option<Reaction>,
    },
    /// How far this account has come with what others say. It stands for all before it in the log.
    Receipt {
        /// The newest message of others that one of its devices has.
        delivered: PostId,
        /// The newest that its listener has seen; none where that is kept to oneself, or nothing was seen.
        read: Option<PostId>,
    },
}

impl Message {
    /// The bytes that are sealed.
    ///
    /// # Errors
    /// [`CodecError::TooLong`], which no message is that this version can make.
    pub fn encode(&self) -> Result<Vec<u8>, CodecError> {
        codec::encode(self, POST_BYTES_MAX)
    }

    /// What was sealed.
    ///
    /// # Errors
    /// [`CodecError`], also for what only a later version knows.
    pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        codec::decode(bytes)
    }

    /// The number of a message, also of one whose content only a later version knows.
    #[must_use]
    pub fn number_in(bytes: &[u8]) -> Option<u64> {
        postcard::take_from_bytes(bytes).ok().map(|(number, _)| number)
    }
}

impl Content {
    /// Whether it stands in the history by itself. All else changes how something in the history is shown.
    #[must_use]
    pub const fn is_shown(&self) -> bool {
        match self {
            Self::Text(_) | Self::Card(_) => true,
            Self::Reaction { .. } | Self::Receipt { .. } => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_a_later_version_says_is_counted() {
        let content = Content::Reaction { to: PostId([7; 16]), reaction: Some(Reaction::Fire) };
        let message = Message { number: 300, at: UtcTime::ZERO, content };
        let mut bytes = message.encode().expect("encodes");
        assert_eq!(Message::decode(&bytes), Ok(message));
        let unknown = bytes.len() - 19;
        assert_eq!(bytes[unknown], 2, "the kind of content");
        for kind in [4_u8, 127] {
            bytes[unknown] = kind;
            assert!(Message::decode(&bytes).is_err());
            assert_eq!(Message::number_in(&bytes), Some(300));
        }
        assert_eq!(Message::number_in(&[0x80]), None);
    }

    #[test]
    fn a_reaction_outside_the_palette_is_no_message() {
        let content = Content::Reaction { to: PostId([7; 16]), reaction: Some(Reaction::Sad) };
        let message = Message { number: 1, at: UtcTime::ZERO, content };
        let mut bytes = message.encode().expect("encodes");
        assert_eq!(bytes.pop(), Some(5), "the last of six");
        for outside in [6, 100] {
            bytes.push(outside);
            assert!(Message::decode(&bytes).is_err(), "{outside}");
            bytes.pop();
        }
    }
}
