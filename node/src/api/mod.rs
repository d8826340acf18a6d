//! The local API: how a terminal interface, a command, a web page or a script drives the engine of one node.
//!
//! It is newline-delimited JSON over a Unix socket that only its owner may open. A client writes one
//! [`RequestLine`] per line and reads one [`ServerLine`] for each; after [`Request::Watch`] the connection
//! carries events only. Every line names the [`VERSION`] it is written in.
//!
//! This module knows the words and carries them. It decides nothing: every request goes to the engine through an
//! [`EngineHandle`], and what the engine answers goes back unchanged.

mod activity;
mod argument;
mod chat;
pub mod client;
mod conversation;
mod error;
mod event;
mod handle;
mod jam;
mod line;
mod message;
mod reply;
pub mod server;
mod snapshot;
mod unit;

pub use activity::{
    ActivityRequest, ActivityState, ActivityTrack, ActivityView, FriendActivity, FriendReaction, OwnActivity,
    OwnTrack, SavedEntry,
};
pub use argument::{ContactMark, EntryKey, Percent, ReportReason, SeekTo};
pub use chat::{Chat, Message};
pub use conversation::{
    CardEntry, CardSource, ConversationMessage, MessageCard, MessageProgress, MessageReaction, Talk,
};
pub use error::{ApiError, ErrorCode};
pub use event::{AnchorCause, Event, JamEnd, QueueEdit, RequestOutcome, RoleWhy};
pub use handle::{Call, Engine, EngineHandle};
pub use jam::{BothQualities, BothReadiness, Jam, Path, Peer, Quality, Readiness, Role, SideReadiness};
pub use line::{LineError, encode};
pub use message::{Body, Request, RequestLine, ServerLine, VERSION};
pub use reply::{AccountDevice, Contact, Device, Queued, Reply, Skipped};
pub use snapshot::{
    Coordinator, Direction, EntryState, JamRequest, Me, NowPlaying, Output, Precision, QueueEntry, Side,
    Snapshot, Sync, Who,
};
