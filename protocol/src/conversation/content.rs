//! What is said in a conversation, as it is before it is sealed.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::POST_BYTES_MAX;
use crate::{
    chat::ChatText,
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
}
