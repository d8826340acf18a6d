//! The chat of a Jam: what was said, by whom, and whether it has arrived.

use jamsync_protocol::{chat::ChatText, time::UtcTime};
use serde::{Deserialize, Serialize};

use super::{snapshot::Who, unit};

/// A message of the present Jam.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Counts the messages of both sides in the Jam at this node, from 1.
    pub number: u64,
    /// Who said it.
    pub by: Who,
    /// When, by its author's calendar.
    #[serde(rename = "said_unix_ms", with = "unit::unix_ms")]
    pub at: UtcTime,
    /// What was said; of control characters it holds at most line feeds.
    pub text: ChatText,
    /// Whether the other side's node has it; true of what the friend said.
    pub delivered: bool,
}

/// How the chat stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chat {
    /// How many messages there were in this Jam; the number of the last one.
    pub messages: u64,
    /// How many of this listener's messages the friend's node has not got yet.
    pub waiting: u32,
    /// The latest messages, oldest first, at most five; [`Request::Chat`](super::Request::Chat) gives more.
    pub latest: Vec<Message>,
}
