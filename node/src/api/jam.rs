//! A Jam as one of its two sees it: who is in it, how they are connected, and what each is ready for and may be sent.

use std::net::SocketAddr;

use jamsync_protocol::{
    id::{Handle, JamId},
    identity, readiness,
    time::Span,
};
use serde::{Deserialize, Serialize};

use super::{chat::Chat, unit};

/// A Jam as one of its two sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Jam {
    /// Which Jam.
    #[serde(with = "unit::hex")]
    pub id: JamId,
    /// The friend.
    pub with: Handle,
    /// This node's role.
    pub role: Role,
    /// Whether the guest may play, pause, seek, skip and edit.
    pub guest_controls: bool,
    /// The connection to the friend.
    pub peer: Peer,
    /// What the grant lets each be sent.
    pub quality: BothQualities,
    /// Whether both sides' sound is there.
    pub readiness: BothReadiness,
    /// What was said.
    pub chat: Chat,
    /// How long the Jam has lasted.
    #[serde(rename = "age_s", with = "unit::secs")]
    pub age: Span,
}

/// The best quality in which each of a Jam may be sent a track it lacks, by its tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BothQualities {
    /// This account.
    pub you: Quality,
    /// The friend.
    pub friend: Quality,
}

/// A quality of sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quality {
    /// Encoded anew at a modest bit rate.
    Standard,
    /// The file itself.
    Original,
}

impl From<identity::Quality> for Quality {
    fn from(granted: identity::Quality) -> Self {
        match granted {
            identity::Quality::Standard => Self::Standard,
            identity::Quality::Original => Self::Original,
        }
    }
}

/// Who orders the timeline and the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// This node.
    Host,
    /// The friend's node.
    Guest,
}

/// The connection to the friend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Peer {
    /// Not reached yet.
    Connecting,
    /// Reached.
    Connected {
        /// How.
        path: Path,
        /// Its address on that path.
        address: SocketAddr,
    },
    /// This node was cut short in the Jam, and is on its way back into it.
    Returning {
        /// For how long it has been looking for the friend.
        #[serde(rename = "for_s", with = "unit::secs")]
        for_time: Span,
    },
    /// Lost; the nodes look for each other.
    Lost {
        /// For how long.
        #[serde(rename = "for_s", with = "unit::secs")]
        for_time: Span,
        /// Whether the music waits here until the friend is back; otherwise it goes on.
        waits: bool,
    },
}

/// How both sides are doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BothReadiness {
    /// This node.
    pub you: SideReadiness,
    /// The friend's node.
    pub friend: SideReadiness,
}

/// How a side is doing, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SideReadiness {
    /// What it is.
    pub is: Readiness,
    /// For how long.
    #[serde(rename = "for_s", with = "unit::secs")]
    pub for_time: Span,
}

/// Whether a side's sound is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Readiness {
    /// It plays, or could at once.
    Ready,
    /// It opens files, or does not know the host's clock yet.
    Buffering,
    /// It is silent although it should play: the computer is too busy, or its audio device is gone.
    Stalled,
    /// There is no connection to it.
    Away,
}

impl From<readiness::Readiness> for Readiness {
    fn from(readiness: readiness::Readiness) -> Self {
        match readiness {
            readiness::Readiness::Ready => Self::Ready,
            readiness::Readiness::Buffering => Self::Buffering,
            readiness::Readiness::Stalled => Self::Stalled,
            readiness::Readiness::Away => Self::Away,
        }
    }
}

/// How packets reach the friend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Path {
    /// From node to node.
    Direct,
    /// Through the coordinator's relay, which cannot read them.
    Relayed,
}
