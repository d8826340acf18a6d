//! Listening activity: what somebody plays, shown live to the contacts that were chosen, and to nobody else.
//!
//! This module holds what is shown ([`Activity`], and the [`Thumbnail`] of its cover), by what a viewer knows that it still holds ([`BeatChain`]), and two machines
//! without IO: [`Publisher`] says when this device has what to tell, [`Viewed`] what a viewer makes of it. It never encrypts:
//! sealing is the node's, and passing on is the coordinator's, which reads none of it.
//!
//! Of an activity only the newest state counts. Nothing queues anywhere: whoever is slow gets the newest and nothing before.

use serde::{Deserialize, Serialize};

use crate::time::Span;

mod beat;
mod block;
mod content;
mod cover;
mod publisher;
mod viewed;

pub use beat::{BEATS_MAX, Beat, BeatChain, BeatProof};
pub use block::Block;
pub use content::{Activity, ContentError, PlayState, ReactionNote, SharedTrack};
pub use cover::{Cover, CoverAddress, CoverKey, Thumbnail, ThumbnailError};
pub use publisher::{Publisher, Sharing, Step, Told};
pub use viewed::{Newest, ViewState, Viewed};

/// The bytes of an activity before it is sealed, whatever is in it: three texts of 256 bytes, where the cover
/// is, and what stands beside them.
pub const ACTIVITY_BYTES: usize = 960;
/// The bytes of a sealed activity: a nonce of 12, the activity, and a tag of 16.
pub const SEALED_ACTIVITY_BYTES: usize = ACTIVITY_BYTES + 28;
/// The bytes of the sealed key to an activity: nonce, a key of 32, the hash of the sealed activity, and a tag.
pub const SEALED_KEY_BYTES: usize = 64 + 28;
/// The bytes of a thumbnail before it is sealed, whatever is in it. Bytes, 8,192: half of what a frame takes; a JPEG of 160 pixels
/// is seldom longer, and each that is shown costs the coordinator as much memory.
pub const COVER_BYTES: usize = 8_192;
/// The bytes of a sealed thumbnail.
pub const SEALED_COVER_BYTES: usize = COVER_BYTES + 28;
/// How wide and how high a thumbnail is at most. Pixels, 160: enough beside a message, too little to be worth stealing.
pub const COVER_SIDE_MAX: u16 = 160;
/// The bytes of a reaction before it is sealed.
pub const REACTION_BYTES: usize = 32;
/// The bytes of a sealed reaction.
pub const SEALED_REACTION_BYTES: usize = REACTION_BYTES + 28;
/// How many changes of an activity may be told at once. Count, default 5: somebody who looks for a song is followed.
pub const CHANGES_BURST: u32 = 5;
/// How long one change takes to come back. Seconds, default 1: friends do not see more often what they would not read.
pub const CHANGE_EVERY: Span = Span::from_secs(1);
/// How often an activity that plays is renewed. Seconds, default 4: two may be late before it counts as stale; more often
/// costs bytes for nothing.
pub const RENEW_EVERY: Span = Span::from_secs(4);
/// After how long without renewal an activity that played counts as stale. Seconds, 10.
pub const STALE_AFTER: Span = Span::from_secs(10);

/// Which state of an activity it is. A device never uses one twice, nor a lower one after a higher.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ActivityNumber(pub u64);

/// How often the activity of an account has gone over to a device that began to play.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SlotGeneration(pub u64);

#[cfg(test)]
mod tests;
