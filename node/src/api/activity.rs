//! Listening activity: what the listener asks, sets and sees.

use jamsync_protocol::{
    chat::Reaction,
    id::{Handle, TrackId},
    text::Text,
    time::{Span, UtcTime},
};
use serde::{Deserialize, Serialize};

use super::unit;

/// What is asked about listening activity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActivityRequest {
    /// What this account shows, and what contacts show. Answered by `Reply::Activity`.
    Show {
        /// One contact alone.
        name: Option<Handle>,
    },
    /// Shows what plays here, to those contacts that were chosen.
    On {
        /// To all contacts but those that were denied.
        all: bool,
    },
    /// Shows nothing, and hides what is shown at once.
    Off,
    /// Shows it to a contact.
    Allow {
        /// Whom.
        name: Handle,
    },
    /// Hides it from a contact.
    Deny {
        /// Whom.
        name: Handle,
    },
    /// Shows nothing for a time.
    Private {
        /// For how long, at most thirty days.
        #[serde(rename = "for_s", with = "unit::secs")]
        span: Span,
    },
    /// Where this node's own copy is of what a contact plays. Answered by `Reply::OwnCopy`.
    Find {
        /// Whose.
        name: Handle,
    },
    /// Keeps what a contact plays. Answered by `Reply::Saved`.
    Save {
        /// Whose.
        name: Handle,
        /// In which playlist; empty for none.
        playlist: Text<64>,
    },
    /// What was kept. Answered by `Reply::Saved`.
    Saved {
        /// Of this playlist alone.
        playlist: Option<Text<64>>,
    },
    /// Shows a contact what another one plays, as a card. Answered by `Reply::Message`.
    Share {
        /// Whose.
        name: Handle,
        /// To whom.
        with: Handle,
    },
    /// What this node has of the artist whom a contact plays. Answered by `Reply::OwnTracks`.
    Artist {
        /// Whose.
        name: Handle,
    },
    /// Reacts to what a contact plays. It is kept by nobody.
    React {
        /// Whose.
        name: Handle,
        /// How: its name or its picture.
        #[serde(with = "unit::reaction")]
        reaction: Reaction,
    },
}

/// What this account shows, and what its contacts show.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActivityView {
    /// What is set here.
    pub own: OwnActivity,
    /// What contacts show, by name.
    pub friends: Vec<FriendActivity>,
    /// Reactions of the last minutes, oldest first. Nobody keeps them.
    pub reactions: Vec<FriendReaction>,
}

/// What is set on this device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnActivity {
    /// Whether anything is shown.
    pub on: bool,
    /// Whether to all contacts, and not only to those that were chosen.
    pub all: bool,
    /// Until when nothing is shown all the same.
    #[serde(
        rename = "private_until_unix_ms",
        default,
        skip_serializing_if = "Option::is_none",
        with = "unit::unix_ms_or_none"
    )]
    pub private_until: Option<UtcTime>,
    /// Who may see it.
    pub shown_to: Vec<Handle>,
    /// Who may, but with whom there is no conversation yet; it begins by itself as soon as both nodes are there.
    pub waiting: Vec<Handle>,
    /// Whether another device of this account plays, so that its music is shown.
    pub elsewhere: bool,
}

/// What a contact shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FriendActivity {
    /// The contact.
    pub with: Handle,
    /// How it stands.
    #[serde(flatten)]
    pub state: ActivityState,
    /// What it plays, or played last.
    pub track: Option<ActivityTrack>,
    /// The file with its cover, a JPEG of at most 160 pixels each way; none where it has none, or it is not there yet. The file goes
    /// when nothing is shown any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cover: Option<String>,
    /// Whether the contact's clock or this one's is wrong by more than five minutes, so that nothing is taken for live.
    #[serde(default)]
    pub clock_off: bool,
}

/// How a contact's activity stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum ActivityState {
    /// Nothing is shown.
    Hidden,
    /// It plays.
    Playing {
        /// Where in the track, at this moment.
        #[serde(rename = "position_ms", with = "unit::ms")]
        position: Span,
    },
    /// It stands.
    Paused {
        /// Where in the track.
        #[serde(rename = "position_ms", with = "unit::ms")]
        position: Span,
        /// For how long.
        #[serde(rename = "age_s", with = "unit::secs")]
        age: Span,
    },
    /// Nothing plays; the track was the last.
    Last {
        /// For how long.
        #[serde(rename = "age_s", with = "unit::secs")]
        age: Span,
    },
    /// It played when its node was heard of last, which is more than ten seconds ago.
    Stale {
        /// How long ago.
        #[serde(rename = "age_s", with = "unit::secs")]
        age: Span,
    },
}

/// A track that a contact plays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActivityTrack {
    /// Which.
    #[serde(with = "unit::hex")]
    pub track: TrackId,
    /// Title.
    pub title: Text<256>,
    /// Artist; empty where unknown.
    pub artist: Text<256>,
    /// Album; empty where unknown.
    pub album: Text<256>,
    /// How long it is.
    #[serde(rename = "length_ms", with = "unit::ms")]
    pub length: Span,
}

/// A file of this node's music.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnTrack {
    /// The file; what is not UTF-8 is shown as `�`.
    pub path: String,
    /// What it is.
    pub track: ActivityTrack,
}

/// A contact's reaction to what plays here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FriendReaction {
    /// Whose.
    pub with: Handle,
    /// Which.
    #[serde(with = "unit::reaction")]
    pub reaction: Reaction,
    /// How long ago it came.
    #[serde(rename = "age_s", with = "unit::secs")]
    pub age: Span,
}

/// An entry that was kept of what a contact played.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedEntry {
    /// The playlist; empty for none.
    pub playlist: Text<64>,
    /// What.
    pub track: ActivityTrack,
    /// Who played it.
    pub from: Handle,
}
