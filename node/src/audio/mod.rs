//! The audio path: files to frames, frames to the device's rate, and the device's callback.
//!
//! The path from a file to the ear: [`decode`] reads frames at the file's own rate, [`resample`] brings them
//! to the device's rate with the servo's correction, [`player`] decides which frame sounds when and writes
//! it ahead into [`playout`], from which a [`sink`]'s callback takes it. Nothing here knows of friends,
//! queues or networks: the player is handed a plan and a map of the Jam clock.

pub mod decode;
pub mod playout;
pub mod resample;

/// What can go wrong between a plan and the device. Errors of a file are [`decode::DecodeError`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AudioError {
    /// The resampler refused, which happens for rates that no device has.
    #[error("cannot resample: {reason}")]
    Resampler {
        /// What it said.
        reason: String,
    },
}
