//! What can be wrong with what a listener named.

use std::path::{Path, PathBuf};

use jamsync_protocol::text::printable;

use crate::audio::decode::DecodeError;

/// A file or folder that gives no track. Every message begins with its path, fit for a terminal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LibraryError {
    /// The system does not let us read it.
    #[error("{}: cannot be read: {reason}", shown(path))]
    Unreadable {
        /// Which one.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// A folder in which no file is music.
    #[error("{}: no WAV, FLAC, MP3 or Ogg Vorbis file in this folder", shown(path))]
    NoMusic {
        /// Which one.
        path: PathBuf,
    },
    /// A pipe, a socket or a device.
    #[error("{}: neither a file nor a folder", shown(path))]
    NotAFile {
        /// Which one.
        path: PathBuf,
    },
    /// A file that is no music at all, or of a kind that cannot be played.
    #[error("{}: {what}; WAV, FLAC, MP3 and Ogg Vorbis can be played", shown(path))]
    OtherKind {
        /// Which one.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// A file that the decoder refuses.
    #[error("{}: {why}", shown(path))]
    Undecodable {
        /// Which one.
        path: PathBuf,
        /// Why.
        why: DecodeError,
    },
    /// The file was written to while it was read.
    #[error("{}: changed while it was read", shown(path))]
    Changed {
        /// Which one.
        path: PathBuf,
    },
    /// Folders within folders, further than makes sense.
    #[error("{}: more than {limit} folders deep", shown(path))]
    TooDeep {
        /// The folder that is not looked into.
        path: PathBuf,
        /// How deep folders are looked into.
        limit: usize,
    },
}

impl LibraryError {
    /// The file or folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::Unreadable { path, .. }
            | Self::NoMusic { path }
            | Self::NotAFile { path }
            | Self::OtherKind { path, .. }
            | Self::Undecodable { path, .. }
            | Self::Changed { path }
            | Self::TooDeep { path, .. } => path,
        }
    }

    /// The message without the path.
    #[must_use]
    pub fn reason(&self) -> String {
        let message = self.to_string();
        let path = shown(self.path());
        message.strip_prefix(&path).and_then(|rest| rest.strip_prefix(": ")).unwrap_or(&message).to_owned()
    }
}

/// A path as a terminal may see it.
fn shown(path: &Path) -> String {
    printable(&path.display().to_string())
}
