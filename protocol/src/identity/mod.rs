//! Who may speak for whom: device keys, the log that makes them an account, the grant that makes two accounts
//! a Jam, and the codes that people pass to each other, compare, or give to their own devices.
//!
//! Nothing here asks a clock, draws a random number or talks to anyone: secrets, times and random bytes are
//! passed in. Everything that arrives is a wire type that proves nothing until its `verify` has returned.
//!
//! Hashes and signatures are BLAKE3 and Ed25519. Each has a context of its own (see [`keys::Domain`]), so that
//! what was signed for one purpose is worthless for any other.

pub mod armour;
pub mod device_code;
pub mod device_log;
pub mod friend_link;
pub mod grant;
pub mod join_code;
pub mod keys;
pub mod person;
pub mod recovery_code;
pub mod safety_code;
pub mod vouch;

pub use device_code::{CodeProof, CodeToken, DeviceCode};
pub use device_log::{DeviceLog, LogError, LogPin, SignedEntry, VerifiedLog};
pub use friend_link::{FriendLink, LinkProof, LinkToken};
pub use grant::{Grant, GrantError, GrantParticipant, Quality, SignedGrant, Tier};
pub use join_code::JoinCode;
pub use keys::{DeviceSecret, Signature};
pub use person::{Date, Market};
pub use recovery_code::RecoveryCode;
pub use safety_code::SafetyCode;
pub use vouch::Vouch;
