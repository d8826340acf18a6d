//! What requests are made of: places, shares, keys, and how the listener stands to somebody.

use jamsync_protocol::text::Text;
use serde::{Deserialize, Deserializer, Serialize, de::Error};

/// A place in a track.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SeekTo {
    /// From the start.
    PositionMs(u64),
    /// From where it is now; negative goes back.
    ByMs(i64),
}

/// How the listener stands to a contact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ContactMark {
    /// Nothing passes between the two: no requests, no Jams, no presence.
    Blocked,
    /// Requests wait for an answer and do not ring.
    Muted,
}

/// What a complaint is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum ReportReason {
    /// Requests or messages that nobody wanted.
    Spam,
    /// Insults, threats, pestering.
    Harassment,
    /// Somebody pretends to be somebody else.
    Impersonation,
    /// What the words say.
    Other,
}

/// The id of a queue entry, as text that only the engine reads.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EntryKey(pub Text<64>);

/// 0 to 100 %.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Percent(u8);

impl Percent {
    /// All of it.
    pub const FULL: Self = Self(100);

    /// `percent`, or `None` above 100.
    #[must_use]
    pub const fn new(percent: u8) -> Option<Self> {
        if percent <= 100 { Some(Self(percent)) } else { None }
    }

    /// A share of 0 to 1, rounded; one beyond counts as the nearer of the two.
    #[must_use]
    pub const fn of_share(share: f64) -> Self {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 100")]
        Self((share.clamp(0.0, 1.0) * 100.0).round() as u8)
    }

    /// 0 to 100.
    #[must_use]
    pub const fn as_u8(self) -> u8 {
        self.0
    }
}

impl<'de> Deserialize<'de> for Percent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(u8::deserialize(deserializer)?)
            .ok_or_else(|| D::Error::custom("percentage outside 0 to 100"))
    }
}
