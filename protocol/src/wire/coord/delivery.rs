//! What passes through a coordinator of a conversation: one log, of which it reads the order and nothing else.

use serde::{Deserialize, Serialize};

use crate::{
    conversation::{
        COMMIT_BYTES_MAX, ConversationId, Epoch, KEY_PACKAGE_BYTES_MAX, Members, POST_BYTES_MAX, PostId,
        WELCOME_BYTES_MAX,
    },
    id::DeviceKey,
    text::List,
    time::UtcTime,
};

/// What lets others add a device to a conversation while it is away.
pub type KeyPackage = List<u8, KEY_PACKAGE_BYTES_MAX>;
/// A sealed message.
pub type Sealed = List<u8, POST_BYTES_MAX>;
/// A change of a conversation's devices or keys.
pub type Commit = List<u8, COMMIT_BYTES_MAX>;
/// What lets new devices in.
pub type GroupWelcome = List<u8, WELCOME_BYTES_MAX>;

/// The most log entries in one reply.
pub const ENTRIES_PER_REPLY_MAX: usize = 64;
/// The most conversations in one reply.
pub const CONVERSATIONS_PER_REPLY_MAX: usize = 64;

/// The place of an entry in a conversation's log, from 1 and without gaps. Zero stands before the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sequence(pub u64);

/// An entry of a conversation's log. Who wrote it is inside, where only the members read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConversationEntry {
    /// Its place.
    pub sequence: Sequence,
    /// The epoch for which it was made.
    pub epoch: Epoch,
    /// When the coordinator took it.
    pub at: UtcTime,
    /// What it is.
    pub what: ConversationItem,
}

/// What stands in a conversation's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConversationItem {
    /// The conversation begins, or begins anew.
    Begun {
        /// For every device in it but the one that began it.
        welcome: GroupWelcome,
    },
    /// Its devices or keys change; the next epoch begins.
    Changed {
        /// For every device in it.
        commit: Commit,
        /// For those that it adds.
        welcome: Option<GroupWelcome>,
    },
    /// Somebody says something.
    Post {
        /// Its name.
        id: PostId,
        /// What is said.
        sealed: Sealed,
    },
}

/// How a conversation stands for the device that asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConversationState {
    /// Which.
    pub conversation: ConversationId,
    /// Who is in it.
    pub members: Members,
    /// Its epoch.
    pub epoch: Epoch,
    /// The newest entry of its log.
    pub newest: Sequence,
    /// The newest entry that this device has dealt with.
    pub acknowledged: Sequence,
}

/// A device, and a key package of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakenPackage {
    /// Whose it is, by the coordinator's word: hold it against the key inside.
    pub device: DeviceKey,
    /// The package.
    pub package: KeyPackage,
}
