//! What a node and its coordinator say to each other.
//!
//! The node opens one bidirectional stream for each request: it writes one frame with a [`CoordCall`] and
//! reads one frame with a [`CoordReply`]. The first request of a connection is [`CoordRequest::Hello`]. One
//! request is different: after [`CoordRequest::Events`] its stream stays open, the coordinator writes frames
//! with a [`NumberedEvent`], and the node answers with frames that hold an [`EventNumber`]: all events up to
//! that one are dealt with and need not be sent again.
//!
//! A write that is repeated under its [`IdempotencyKey`] takes effect once and gets the same reply.
//! All enums are append-only: the place of a variant is its number on the wire.

use serde::{Deserialize, Serialize};

use crate::text::Text;

mod activity;
mod delivery;
mod event;
mod fault;
mod refusal;
mod reply;
mod request;

pub use activity::{
    ActivityCall, ActivityKey, ActivityNews, Publication, SealedActivity, SealedCover, SealedKey,
    SealedReaction, ShownActivity, VIEWERS_PER_CALL_MAX,
};
pub use delivery::{
    CONVERSATIONS_PER_REPLY_MAX, Commit, ConversationEntry, ConversationItem, ConversationState,
    ENTRIES_PER_REPLY_MAX, GroupWelcome, KeyPackage, Sealed, Sequence, TakenPackage,
};
pub use event::{CoordEvent, Introduction, NumberedEvent, Role};
pub use fault::Fault;
pub use refusal::{Refusal, RequestEnd};
pub use reply::{AcceptedLink, Contact, CoordReply, Device, Me, OpenRequest};
pub use request::{Answer, CoordRequest, Mark, ReportReason};

/// The version of this wire, as TLS negotiates it.
pub const ALPN: &[u8] = b"jamsync-coord/1";
/// The most addresses a device tells at once.
pub const CANDIDATES_MAX: usize = 16;
/// The most contacts in one reply.
pub const CONTACTS_PER_REPLY_MAX: usize = 64;
/// The most Jam requests an account may have open, made and received.
pub const OPEN_REQUESTS_MAX: usize = 64;

/// The most devices an account may have at once, recovery keys left out.
pub const DEVICES_MAX: usize = 6;

/// The most bytes of a complaint: what a person writes, and an evening's remarks beside it.
pub const REPORT_BYTES_MAX: usize = 8 * 1024;

/// The most bytes of an export in one reply, so that it fits a frame.
pub const EXPORT_PART_BYTES_MAX: usize = 12 * 1024;

/// What the holder calls a device; empty where it has no name.
pub type DeviceName = Text<64>;

/// What a node writes onto the stream of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoordCall {
    /// Chosen at random for each intention, and kept when the call is repeated.
    pub key: IdempotencyKey,
    /// What is asked.
    pub request: CoordRequest,
}

/// Makes a repeated write take effect once. Remembered for a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct IdempotencyKey(pub [u8; 16]);

/// Optional abilities, one bit each; unknown bits are ignored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Features(pub u64);

/// One Jam request, from asking to its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RequestId(pub [u8; 16]);

/// The place of an event in a device's own sequence, from 1. Zero stands before the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventNumber(pub u64);

#[cfg(test)]
mod tests;
