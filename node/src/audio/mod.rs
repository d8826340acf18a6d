//! The audio path: files to frames, frames to the device's rate, and the device's callback.
//!
//! The path from a file to the ear: [`decode`] reads frames at the file's own rate, [`resample`] brings them
//! to the device's rate with the servo's correction, [`player`] decides which frame sounds when and writes
//! it ahead into [`playout`], from which a [`sink`]'s callback takes it. Nothing here knows of friends,
//! queues or networks: the player is handed a plan and a map of the Jam clock.

pub mod decode;
pub mod player;
pub mod playout;
mod priority;
pub mod resample;
pub mod sink;

/// What can go wrong between a plan and the device. Errors of a file are [`decode::DecodeError`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AudioError {
    /// There is no such card, or no card at all.
    #[error("no sound card {}; see `jamsync devices` for the names, or choose `--sink null`", name.as_deref().unwrap_or("was found"))]
    NoDevice {
        /// What was asked for; `None` for the default card.
        name: Option<String>,
    },
    /// The card cannot be used.
    #[error(
        "the sound card cannot be used: {}; close what else may hold it, choose another of `jamsync devices` with `--device`, or play \
         without sound with `--sink null`",
        reason.trim_end_matches('.')
    )]
    Device {
        /// What the system said.
        reason: String,
    },
    /// A recording cannot be written.
    #[error("cannot record to {path}: {reason}", path = path.display())]
    Recording {
        /// The file.
        path: std::path::PathBuf,
        /// What the system said.
        reason: String,
    },
    /// The system gave no thread.
    #[error("cannot start a thread for sound: {reason}")]
    Thread {
        /// What the system said.
        reason: String,
    },
    /// The resampler refused, which happens for rates that no device has.
    #[error("cannot resample: {reason}")]
    Resampler {
        /// What it said.
        reason: String,
    },
}
