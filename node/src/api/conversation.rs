//! The messages of conversations with contacts, outside of Jams too.

use jamsync_protocol::{chat::ChatText, id::Handle, time::UtcTime};
use serde::{Deserialize, Serialize};

use super::unit;

/// A message of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConversationMessage {
    /// Its name: 32 hexadecimal digits, the same on every device.
    pub id: String,
    /// The contact whose conversation it is.
    pub with: Handle,
    /// Whether this account said it, on whichever device; else the contact did.
    pub mine: bool,
    /// When it was said, by its author's calendar.
    #[serde(rename = "said_unix_ms", with = "unit::unix_ms")]
    pub at: UtcTime,
    /// What was said.
    pub text: ChatText,
    /// Whether the coordinator has it; else it waits on this device.
    pub sent: bool,
}
