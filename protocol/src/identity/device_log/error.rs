//! Why a device log, or an entry that should become part of one, is refused.

use super::ENTRIES_MAX;
use crate::id::{AccountId, DeviceKey};

/// Why a log is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// It has no entry at all.
    #[error("the device log is empty")]
    Empty,
    /// An entry does not decode.
    #[error("entry {index} of the device log does not decode")]
    Undecodable {
        /// Which entry, from 0.
        index: usize,
    },
    /// An entry does not name the hash of the one before it.
    #[error("entry {index} of the device log does not follow the one before it")]
    Broken {
        /// Which entry, from 0.
        index: usize,
    },
    /// The first entry must found the account, and no other may.
    #[error("entry {index} of the device log has the wrong kind for its place")]
    Misplaced {
        /// Which entry, from 0.
        index: usize,
    },
    /// The author was not an active device at that point.
    #[error("entry {index} of the device log is by {author:?}, which was no active device then")]
    NotActive {
        /// Which entry, from 0.
        index: usize,
        /// The key that wrote it.
        author: DeviceKey,
    },
    /// The author's signature, or the new device's consent, does not verify.
    #[error("entry {index} of the device log is not signed by {expected:?}")]
    BadSignature {
        /// Which entry, from 0.
        index: usize,
        /// The key that should have signed.
        expected: DeviceKey,
    },
    /// A key is added that is, or once was, in the log.
    #[error("entry {index} of the device log adds {device:?} a second time")]
    Repeated {
        /// Which entry, from 0.
        index: usize,
        /// The key.
        device: DeviceKey,
    },
    /// A key is revoked that is not active.
    #[error("entry {index} of the device log revokes {device:?}, which is not active")]
    NothingToRevoke {
        /// Which entry, from 0.
        index: usize,
        /// The key.
        device: DeviceKey,
    },
    /// The only device left is revoked: nobody could ever change the log again.
    #[error("entry {index} of the device log revokes the last device")]
    LastDevice {
        /// Which entry, from 0.
        index: usize,
    },
    /// It is the log of another account.
    #[error("the log belongs to account {actual:?}, not {expected:?}")]
    OtherAccount {
        /// The account that was pinned.
        expected: AccountId,
        /// The account of this log.
        actual: AccountId,
    },
    /// It is shorter than a log that was seen before.
    #[error("the device log has {actual} entries, but {pinned} were seen before")]
    RolledBack {
        /// How many were seen.
        pinned: u16,
        /// How many there are.
        actual: usize,
    },
    /// It leaves out or changes an entry that was seen before.
    #[error("the device log differs from the one seen before at entry {index}")]
    Forked {
        /// The last entry that was seen, from 0.
        index: usize,
    },
    /// There is no room for another entry.
    #[error("the device log is full: it has {ENTRIES_MAX} entries")]
    Full,
}
