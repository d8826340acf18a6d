//! What an activity says, as it is before it is sealed: always of one size, so that its length tells nothing.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{ACTIVITY_BYTES, BeatProof, Cover, REACTION_BYTES};
use crate::{
    chat::Reaction,
    conversation::CARD_LENGTH_MAX,
    id::TrackId,
    text::Text,
    time::{Span, UtcTime},
    wire::codec::{self, CodecError},
};

/// What somebody plays, or played last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Activity {
    /// When it was so, by the calendar of whoever plays: what is told long after is not taken for live.
    pub at: UtcTime,
    /// Whether it plays.
    pub state: PlayState,
    /// What.
    pub track: SharedTrack,
    /// Where in the track it was then.
    pub position: Span,
    /// By what its renewals are known.
    pub beats: BeatProof,
    /// Where its cover is; none where it has none.
    pub cover: Option<Cover>,
}

/// Whether something plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PlayState {
    /// It plays on.
    Playing,
    /// It stands.
    Paused,
    /// Nothing is on any more; the track was the last.
    Ended,
}

/// A track as a friend sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharedTrack {
    /// Which.
    pub id: TrackId,
    /// Title.
    pub title: Text<256>,
    /// Artist; empty where unknown.
    pub artist: Text<256>,
    /// Album; empty where unknown.
    pub album: Text<256>,
    /// How long it is.
    pub duration: Span,
}

/// A reaction to what somebody plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReactionNote {
    /// When, by the calendar of whoever reacts. With the sender it names the reaction: one that comes again is left out.
    pub at: UtcTime,
    /// Which.
    pub reaction: Reaction,
}

/// What was unsealed is nothing that this version knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ContentError {
    /// It does not have its one size, or is filled up with something.
    #[error("what is shown does not have its size")]
    Size,
    /// It cannot be read.
    #[error("what is shown cannot be read: {0}")]
    Codec(#[from] CodecError),
    /// Nothing lasts so long, or less than nothing.
    #[error("what is shown lasts, or stands at, {actual:?}, and music lasts 100 hours at most")]
    Length {
        /// How long it is to last, or where it is to stand.
        actual: Span,
    },
}

impl Activity {
    /// The bytes that are sealed, [`ACTIVITY_BYTES`] of them.
    ///
    /// # Errors
    /// [`ContentError::Length`], as [`decode`](Self::decode) gives it.
    pub fn encode(&self) -> Result<Vec<u8>, ContentError> {
        self.check()?;
        fill(self, ACTIVITY_BYTES)
    }

    /// What was sealed.
    ///
    /// # Errors
    /// [`ContentError`]; [`ContentError::Length`] where the track or the position is less than nothing, or more than
    /// [`CARD_LENGTH_MAX`].
    pub fn decode(bytes: &[u8]) -> Result<Self, ContentError> {
        let activity: Self = empty(bytes, ACTIVITY_BYTES)?;
        activity.check()?;
        Ok(activity)
    }

    fn check(&self) -> Result<(), ContentError> {
        let absurd = [self.track.duration, self.position]
            .into_iter()
            .find(|length| !(Span::ZERO..=CARD_LENGTH_MAX).contains(length));
        absurd.map_or(Ok(()), |actual| Err(ContentError::Length { actual }))
    }
}

impl ReactionNote {
    /// The bytes that are sealed, [`REACTION_BYTES`] of them.
    ///
    /// # Errors
    /// [`ContentError`], which no reaction gives.
    pub fn encode(&self) -> Result<Vec<u8>, ContentError> {
        fill(self, REACTION_BYTES)
    }

    /// What was sealed.
    ///
    /// # Errors
    /// [`ContentError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, ContentError> {
        empty(bytes, REACTION_BYTES)
    }
}

/// A value, [filled up](fill_up).
pub(super) fn fill<T: Serialize>(value: &T, size: usize) -> Result<Vec<u8>, ContentError> {
    fill_up(&codec::encode(value, size - LENGTH_BYTES)?, size)
}

fn empty<T: DeserializeOwned>(bytes: &[u8], size: usize) -> Result<T, ContentError> {
    Ok(codec::decode(content(bytes, size)?)?)
}

/// Bytes behind their length in two bytes, filled up with zeros.
pub(super) fn fill_up(body: &[u8], size: usize) -> Result<Vec<u8>, ContentError> {
    let length = u16::try_from(body.len()).map_err(|_| ContentError::Size)?;
    if body.len() + LENGTH_BYTES > size {
        return Err(ContentError::Size);
    }
    let mut bytes = Vec::with_capacity(size);
    bytes.extend(length.to_be_bytes());
    bytes.extend(body);
    bytes.resize(size, 0);
    Ok(bytes)
}

/// What was filled up.
pub(super) fn content(bytes: &[u8], size: usize) -> Result<&[u8], ContentError> {
    let (length, rest) = bytes.split_first_chunk::<LENGTH_BYTES>().ok_or(ContentError::Size)?;
    let length = usize::from(u16::from_be_bytes(*length));
    let (body, filling) = rest.split_at_checked(length).ok_or(ContentError::Size)?;
    if bytes.len() != size || filling.iter().any(|byte| *byte != 0) {
        return Err(ContentError::Size);
    }
    Ok(body)
}

/// The bytes of the length before what is filled up.
pub(super) const LENGTH_BYTES: usize = 2;
