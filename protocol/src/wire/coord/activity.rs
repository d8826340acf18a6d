//! What passes through a coordinator of listening activity: the newest sealed state of each account, and who may have it.

use core::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    activity::{
        ActivityNumber, Beat, Block, CoverAddress, SEALED_ACTIVITY_BYTES, SEALED_COVER_BYTES,
        SEALED_KEY_BYTES, SEALED_REACTION_BYTES, SlotGeneration,
    },
    conversation::Epoch,
    id::{AccountId, DeviceKey},
    text::List,
    time::{Span, UtcTime},
};

/// A sealed activity, one for all that may see it.
pub type SealedActivity = Block<SEALED_ACTIVITY_BYTES>;
/// The key to an activity, sealed for one that may see it.
pub type SealedKey = Block<SEALED_KEY_BYTES>;
/// A sealed thumbnail of a cover, one for all that may see it.
pub type SealedCover = Block<SEALED_COVER_BYTES>;
/// A sealed reaction.
pub type SealedReaction = Block<SEALED_REACTION_BYTES>;

/// The most contacts that are named in one call, so that it fits a frame.
pub const VIEWERS_PER_CALL_MAX: usize = 96;

/// What a device does about listening activity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ActivityCall {
    /// Turns this stream into the one on which this device is told, in frames with an [`ActivityNews`].
    Watch,
    /// What plays is otherwise now. Answer: `CoordReply::ActivityHeld`.
    Publish(Publication),
    /// It is still so. Answer: `CoordReply::ActivityHeld`.
    Renew {
        /// As how manieth device this one holds the activity of the account.
        generation: SlotGeneration,
        /// What proves it to who may see it.
        beat: Beat,
    },
    /// Hides the activity of the account, of whichever device it is. Answer: `CoordReply::Done`.
    Hide {
        /// From one contact; none from all, which the account's other devices are told as well.
        from: Option<AccountId>,
        /// Until when, where the account is to show nothing for a time; none where it is switched off.
        until: Option<UtcTime>,
    },
    /// Reacts to what a contact plays. Answer: `CoordReply::Done`, whether or not it gets there.
    React {
        /// The contact.
        to: AccountId,
        /// The epoch of the conversation for which it is sealed.
        epoch: Epoch,
        /// The reaction.
        sealed: SealedReaction,
    },
    /// Gives a cover that the activity names, after it was named. Its address is made of its bytes. Those who see the activity are
    /// shown that once more, so that they fetch it. Answer: `CoordReply::Done`.
    GiveCover {
        /// As how manieth device this one holds the activity of the account.
        generation: SlotGeneration,
        /// The cover.
        sealed: SealedCover,
    },
    /// Fetches a cover that an activity names which this account is shown. Answer: `CoordReply::Cover`, or
    /// `Refusal::UnknownCover`.
    FetchCover {
        /// Whose activity.
        of: AccountId,
        /// Which.
        address: CoverAddress,
    },
}

/// One state of an activity, or a further part of those who may see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publication {
    /// Which state of this device's.
    pub number: ActivityNumber,
    /// Whether this device has begun to play, which takes the account's activity over from another.
    pub starts: bool,
    /// As how manieth device it holds the activity of the account; of no meaning where it starts.
    pub generation: SlotGeneration,
    /// Whether this names the last of those who may see it; it is hidden from all whom this state did not name.
    pub whole: bool,
    /// The activity.
    pub sealed: SealedActivity,
    /// Who may see it.
    pub to: List<ActivityKey, VIEWERS_PER_CALL_MAX>,
}

/// The key to an activity for one that may see it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActivityKey {
    /// Who.
    pub viewer: AccountId,
    /// The epoch of the conversation for which the key is sealed.
    pub epoch: Epoch,
    /// The key.
    pub sealed: SealedKey,
}

/// What a device is told of the activity of contacts. Only the newest counts: what was superseded is never told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ActivityNews {
    /// A contact shows what it plays.
    Shown(ShownActivity),
    /// What it plays is still so.
    Renewed {
        /// Whose.
        of: AccountId,
        /// What proves it.
        beat: Beat,
    },
    /// A contact shows nothing, or nothing any more.
    Hidden {
        /// Which.
        of: AccountId,
    },
    /// A contact reacts to what this account plays.
    Reacted {
        /// Which.
        by: AccountId,
        /// The epoch of the conversation for which it is sealed.
        epoch: Epoch,
        /// The reaction.
        sealed: SealedReaction,
    },
    /// Another device of this account has hidden its activity.
    Silenced {
        /// Until when; none where it was switched off.
        until: Option<UtcTime>,
    },
}

/// A sealed activity, and what it takes to open it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownActivity {
    /// Whose.
    pub of: AccountId,
    /// Of which device.
    pub device: DeviceKey,
    /// Which state of that device's.
    pub number: ActivityNumber,
    /// The epoch of the conversation for which the key is sealed.
    pub epoch: Epoch,
    /// The key.
    pub key: SealedKey,
    /// The activity.
    pub sealed: SealedActivity,
    /// How long ago it was told.
    pub told_ago: Span,
    /// The newest renewal, if there was one, and how long ago.
    pub renewed: Option<(Beat, Span)>,
}

impl fmt::Debug for ActivityKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "key for {:?} in {:?}", self.viewer, self.epoch)
    }
}
impl fmt::Debug for ShownActivity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "activity {:?} of {:?}, told {:?} ago", self.number, self.of, self.told_ago)
    }
}
