//! Replies: what a node answers, each to a [`Request`](super::Request).

use std::path::{Path, PathBuf};

use jamsync_protocol::{
    id::{DeviceKey, Handle},
    text::Text,
    time::{Span, UtcTime},
};
use serde::{Deserialize, Serialize};

use super::{
    ActivityTrack, ActivityView, ApiError, ConversationMessage, ErrorCode, FriendActivity, Message, OwnTrack,
    SavedEntry, Snapshot, Talk, unit,
};

/// The answer to a request that was carried out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Reply {
    /// It is done, or, in a Jam, scheduled.
    Done,
    /// To [`Request::Status`](super::Request::Status).
    Status(Box<Snapshot>),
    /// To [`Request::SignUp`](super::Request::SignUp).
    Account {
        /// The name as the coordinator keeps it.
        handle: Handle,
        /// Where the coordinator is.
        coordinator: String,
    },
    /// To [`Request::DeviceCode`](super::Request::DeviceCode).
    DeviceCode {
        /// One line for the new device.
        code: String,
        /// For how long it admits.
        #[serde(rename = "expires_in_s", with = "unit::secs")]
        expires_in: Span,
    },
    /// To [`Request::AccountDevices`](super::Request::AccountDevices).
    AccountDevices {
        /// In the order in which they were added.
        devices: Vec<AccountDevice>,
        /// When the coordinator told of them last; none where it did so just now.
        #[serde(
            rename = "as_of_unix_ms",
            default,
            skip_serializing_if = "Option::is_none",
            with = "unit::unix_ms_or_none"
        )]
        as_of: Option<UtcTime>,
    },
    /// To [`Request::RecoveryCode`](super::Request::RecoveryCode).
    RecoveryCode {
        /// One line to keep on paper. It is shown once and kept nowhere.
        code: String,
    },
    /// To [`Request::ExportAccount`](super::Request::ExportAccount).
    Export {
        /// Every row by its table; times in nanoseconds since 1970, keys in hexadecimal digits.
        data: Box<serde_json::Value>,
    },
    /// To [`Request::Link`](super::Request::Link).
    Link {
        /// One line to send to a friend.
        link: String,
    },
    /// To [`Request::Join`](super::Request::Join).
    Contact(Contact),
    /// To [`Request::Contacts`](super::Request::Contacts).
    Contacts {
        /// By name.
        contacts: Vec<Contact>,
        /// When the coordinator told them last; none where it did so just now, or never.
        #[serde(
            rename = "as_of_unix_ms",
            default,
            skip_serializing_if = "Option::is_none",
            with = "unit::unix_ms_or_none"
        )]
        as_of: Option<UtcTime>,
    },
    /// To [`Request::Message`](super::Request::Message).
    Message {
        /// The message as it is kept.
        message: ConversationMessage,
    },
    /// To [`Request::Messages`](super::Request::Messages).
    Messages {
        /// With whom; none where it is the last message with each contact.
        with: Option<Handle>,
        /// Oldest first.
        messages: Vec<ConversationMessage>,
        /// What that contact plays, where it shows it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        activity: Option<Box<FriendActivity>>,
        /// The conversations that were looked at and in which something was said.
        #[serde(default)]
        talks: Vec<Talk>,
    },
    /// To [`Request::MessageTracks`](super::Request::MessageTracks).
    MessageTracks {
        /// The own copies, in the order of the card.
        paths: Vec<PathBuf>,
        /// How many of its tracks this node has no copy of.
        missing: u32,
    },
    /// To [`Request::ReadReceipts`](super::Request::ReadReceipts).
    ReadReceipts {
        /// Whether others are told what was read here, and this listener what they have read.
        on: bool,
    },
    /// To [`Request::Safety`](super::Request::Safety).
    Safety {
        /// Whose.
        name: Handle,
        /// Sixty digits in groups of five, the same at the contact's.
        code: String,
        /// How many devices speak for this account.
        devices: u32,
        /// How many devices speak for the contact, as far as this node has seen.
        friend_devices: u32,
    },
    /// To [`Request::Play`](super::Request::Play), [`Request::QueueAdd`](super::Request::QueueAdd) and [`Request::LibraryAdd`](super::Request::LibraryAdd).
    Queued(Queued),
    /// To [`Request::Say`](super::Request::Say).
    Said {
        /// The message as it is kept.
        message: Message,
        /// To whom.
        to: Handle,
        /// Whether the friend is away; the message is delivered when both are connected again.
        away: bool,
    },
    /// To [`Request::Chat`](super::Request::Chat).
    Chat {
        /// The friend.
        with: Handle,
        /// Whether the friend is away.
        away: bool,
        /// Oldest first.
        messages: Vec<Message>,
    },
    /// What this account shows, and what its contacts show.
    Activity(Box<ActivityView>),
    /// Where this node's own copy is of what a contact plays.
    OwnCopy {
        /// The file; what is not UTF-8 is shown as `�`.
        path: String,
        /// What it is.
        track: ActivityTrack,
        /// Where the contact is in it at this moment; the start, where it does not play.
        #[serde(rename = "position_ms", with = "unit::ms")]
        position: Span,
    },
    /// What this node has of the artist whom a contact plays.
    OwnTracks {
        /// The artist.
        artist: Text<256>,
        /// By their paths, at most 200.
        tracks: Vec<OwnTrack>,
    },
    /// What was kept of what contacts played.
    Saved {
        /// Oldest first.
        entries: Vec<SavedEntry>,
    },
    /// To [`Request::Devices`](super::Request::Devices).
    Devices {
        /// In the order of the system.
        devices: Vec<Device>,
    },
}

/// A device of the account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountDevice {
    /// Its key.
    #[serde(with = "unit::hex")]
    pub key: DeviceKey,
    /// What it is called; the coordinator's word alone. Empty where it has no name.
    pub name: String,
    /// Since when it is in.
    #[serde(rename = "added_unix_ms", with = "unit::unix_ms")]
    pub added: UtcTime,
    /// Whether it is connected to the coordinator, or was when that told last; none where this is not known.
    pub online: Option<bool>,
    /// Whether it is this one.
    pub this: bool,
}

/// A friend with whom Jams are possible.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contact {
    /// The name.
    pub handle: Handle,
    /// Whether a device of the friend is signed in at the coordinator, or was when it told last; none where this is not
    /// known.
    pub online: Option<bool>,
    /// Whether the listener has blocked the friend.
    #[serde(default)]
    pub blocked: bool,
    /// Whether the friend's requests do not ring.
    #[serde(default)]
    pub muted: bool,
}

/// What became of files that were named.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queued {
    /// How many were added.
    pub added: u32,
    /// How many are still being read; they are added as they are ready.
    pub pending: u32,
    /// The first ones that cannot be played, at most 20.
    pub skipped: Vec<Skipped>,
    /// How many cannot be played in all.
    pub skipped_total: u32,
}

impl Queued {
    /// Counts a file that cannot be played, and names it if it is among the first.
    pub fn skip(&mut self, path: &Path, reason: String) {
        self.skipped_total += 1;
        if self.skipped.len() < SKIPPED_NAMED_MAX {
            self.skipped.push(Skipped { path: path.display().to_string(), reason });
        }
    }

    /// Adds what became of other files.
    pub fn add(&mut self, other: Self) {
        self.added += other.added;
        self.pending += other.pending;
        self.skipped_total += other.skipped_total;
        let room = SKIPPED_NAMED_MAX.saturating_sub(self.skipped.len());
        self.skipped.extend(other.skipped.into_iter().take(room));
    }

    /// The failure where none of the files can be played.
    #[must_use]
    pub fn nothing(&self) -> ApiError {
        let first = self.skipped.first();
        let why = first
            .map_or_else(|| "no music found".to_owned(), |file| format!("{}: {}", file.path, file.reason));
        let remedy = "name WAV, FLAC, MP3 or Ogg Vorbis files, or folders of them";
        ApiError::new(ErrorCode::Unplayable, why, remedy)
    }
}

/// How many files that cannot be played are named.
const SKIPPED_NAMED_MAX: usize = 20;

/// A file that was not added.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// Its path; what is not UTF-8 is shown as `�`.
    pub path: String,
    /// Why: lower case, no full stop.
    pub reason: String,
}

/// An audio device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// What `--device` takes.
    pub name: String,
    /// Whether it is used where none is named.
    pub default: bool,
}
