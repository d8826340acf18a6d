//! Cards: music that is shown in a conversation, with what the other side needs to play its own copy.
//!
//! Every field is bounded and checked where it is made and again where it arrives: a title has something to read and
//! nothing that steers a terminal, a length is one that a recording can have.

use alloc::vec::Vec;
use core::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, de::Error};

use crate::{
    id::TrackId,
    media::Track,
    text::{List, Text, isolated},
    time::Span,
    wire::codec,
};

/// The most bytes of one text of a card.
pub const CARD_TEXT_BYTES_MAX: usize = 256;
/// The longest that something on a card may last: 100 hours, more than any audiobook.
pub const CARD_LENGTH_MAX: Span = Span::from_secs(360_000);
/// The most entries of a playlist that a card may tell of.
pub const PLAYLIST_COUNT_MAX: u32 = 10_000;
/// The most entries of a playlist that a card names.
pub const PLAYLIST_NAMED_MAX: usize = 64;
/// The most bytes of a card, so that it fits a sealed message.
pub const CARD_BYTES_MAX: usize = 4_096;

/// Music that somebody shows. Append-only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Card {
    /// A track.
    Track(TrackCard),
    /// An episode of a podcast.
    Episode(EpisodeCard),
    /// A chapter of an audiobook.
    Chapter(ChapterCard),
    /// A playlist.
    Playlist(PlaylistCard),
}

/// A track.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackCard {
    /// Identity by content: whoever has a copy finds it by this.
    pub id: TrackId,
    /// Its title.
    pub title: CardText,
    /// Its artist, where known.
    pub artist: Option<CardText>,
    /// Its album, where known.
    pub album: Option<CardText>,
    /// How long it lasts.
    pub length: CardLength,
}

/// An episode of a podcast.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpisodeCard {
    /// Identity by content.
    pub id: TrackId,
    /// The podcast.
    pub show: CardText,
    /// Its title.
    pub title: CardText,
    /// How long it lasts.
    pub length: CardLength,
}

/// A chapter of an audiobook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChapterCard {
    /// Identity by content.
    pub id: TrackId,
    /// The book.
    pub book: CardText,
    /// Who wrote it, where known.
    pub author: Option<CardText>,
    /// The chapter's title.
    pub title: CardText,
    /// How long it lasts.
    pub length: CardLength,
}

/// A playlist: how many entries it has, and the first of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct PlaylistCard {
    title: CardText,
    count: u32,
    entries: List<PlaylistEntry, PLAYLIST_NAMED_MAX>,
}

/// An entry of a playlist.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlaylistEntry {
    /// Identity by content.
    pub id: TrackId,
    /// Its title.
    pub title: CardText,
    /// Its artist, where known.
    pub artist: Option<CardText>,
    /// How long it lasts.
    pub length: CardLength,
}

/// A playlist as it arrives.
#[derive(Deserialize)]
struct Unchecked {
    title: CardText,
    count: u32,
    entries: List<PlaylistEntry, PLAYLIST_NAMED_MAX>,
}

/// A text of a card: one line of 1 to [`CARD_TEXT_BYTES_MAX`] bytes with something to read in it and no control character.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct CardText(Text<CARD_TEXT_BYTES_MAX>);

/// How long something on a card lasts: more than nothing, and at most [`CARD_LENGTH_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct CardLength(Span);

/// Why there is no such card.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CardError {
    /// A text has nothing to read in it.
    #[error("a card's title and names cannot be empty; name it")]
    Empty,
    /// A text is too long.
    #[error("a text of a card has {actual} bytes and at most {CARD_TEXT_BYTES_MAX} are possible; shorten it")]
    TooLong {
        /// How many bytes it has.
        actual: usize,
    },
    /// A text holds a control character.
    #[error("a text of a card holds the control character {0:?}, which steers terminals; leave it out")]
    Control(char),
    /// Nothing lasts so long, or so short.
    #[error(
        "a card tells of {actual:?}, and music lasts more than nothing and at most 100 hours; choose another file"
    )]
    Length {
        /// How long it is to last.
        actual: Span,
    },
    /// The playlist is empty, or has too many entries, or names more than it has.
    #[error("a playlist with {count} entries cannot be shown; 1 to {PLAYLIST_COUNT_MAX} are possible")]
    Count {
        /// How many it is to have.
        count: u32,
    },
}

impl CardText {
    /// The text of a file's tags, with what cannot be shown left out and what is too long cut off; none where nothing is
    /// left.
    #[must_use]
    pub fn of_tag(tag: &str) -> Option<Self> {
        let plain: alloc::string::String =
            tag.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        Text::<CARD_TEXT_BYTES_MAX>::truncated(plain.trim()).as_str().parse().ok()
    }

    /// The text as it was written. It may hold direction overrides: show the text itself to a terminal.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl CardLength {
    /// A length that a recording can have.
    ///
    /// # Errors
    /// [`CardError::Length`] for nothing, less than nothing, or more than [`CARD_LENGTH_MAX`].
    pub fn new(length: Span) -> Result<Self, CardError> {
        if length > Span::ZERO && length <= CARD_LENGTH_MAX {
            Ok(Self(length))
        } else {
            Err(CardError::Length { actual: length })
        }
    }

    /// The length.
    #[must_use]
    pub const fn span(self) -> Span {
        self.0
    }
}

impl TrackCard {
    /// The card of a track as a file's tags have it.
    ///
    /// # Errors
    /// [`CardError`] for a track without a title or with a length that no recording has.
    pub fn of(track: &Track) -> Result<Self, CardError> {
        Ok(Self {
            id: track.id,
            title: CardText::of_tag(track.title.as_str()).ok_or(CardError::Empty)?,
            artist: CardText::of_tag(track.artist.as_str()),
            album: CardText::of_tag(track.album.as_str()),
            length: CardLength::new(track.duration())?,
        })
    }
}

impl PlaylistCard {
    /// The card of a playlist of `count` entries that begins with `entries`. As many of them are named as have room.
    ///
    /// # Errors
    /// [`CardError::Count`] for an empty playlist, one that is too long, or one that has fewer entries than are given.
    pub fn new(
        title: CardText,
        count: u32,
        entries: impl IntoIterator<Item = PlaylistEntry>,
    ) -> Result<Self, CardError> {
        let mut named = Vec::new();
        let mut room = CARD_BYTES_MAX - 2 * CARD_TEXT_BYTES_MAX;
        for entry in entries.into_iter().take(PLAYLIST_NAMED_MAX) {
            let needed = codec::encode(&entry, CARD_BYTES_MAX).map_or(usize::MAX, |bytes| bytes.len());
            let Some(left) = room.checked_sub(needed) else { break };
            room = left;
            named.push(entry);
        }
        let entries = List::new(named).unwrap_or_default();
        Unchecked { title, count, entries }.try_into()
    }

    /// Its title.
    #[must_use]
    pub const fn title(&self) -> &CardText {
        &self.title
    }

    /// How many entries it has: at least as many as are named.
    #[must_use]
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// The first of its entries.
    #[must_use]
    pub fn entries(&self) -> &[PlaylistEntry] {
        &self.entries
    }
}

impl TryFrom<Unchecked> for PlaylistCard {
    type Error = CardError;
    fn try_from(Unchecked { title, count, entries }: Unchecked) -> Result<Self, CardError> {
        let named = u32::try_from(entries.len()).unwrap_or(u32::MAX);
        if named == 0 || named > count || count > PLAYLIST_COUNT_MAX {
            return Err(CardError::Count { count });
        }
        Ok(Self { title, count, entries })
    }
}

impl Card {
    /// The tracks that it names, by content, in order.
    #[must_use]
    pub fn tracks(&self) -> Vec<TrackId> {
        match self {
            Self::Track(card) => alloc::vec![card.id],
            Self::Episode(card) => alloc::vec![card.id],
            Self::Chapter(card) => alloc::vec![card.id],
            Self::Playlist(card) => card.entries().iter().map(|entry| entry.id).collect(),
        }
    }
}

impl FromStr for CardText {
    type Err = CardError;
    fn from_str(text: &str) -> Result<Self, CardError> {
        if let Some(control) = text.chars().find(|c| c.is_control()) {
            return Err(CardError::Control(control));
        }
        if text.trim().is_empty() {
            return Err(CardError::Empty);
        }
        Text::new(text).map(Self).map_err(|long| CardError::TooLong { actual: long.actual })
    }
}

impl<'de> Deserialize<'de> for CardText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Text::<CARD_TEXT_BYTES_MAX>::deserialize(deserializer)?;
        text.as_str().parse().map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for CardLength {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(Span::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// Harmless to a terminal and to what stands beside it.
impl fmt::Display for CardText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&isolated(self.as_str()))
    }
}

/// As a clock shows it, `3:05` or `1:02:03`, rounded down to a second.
impl fmt::Display for CardLength {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_millis() / 1_000;
        let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
        if hours > 0 {
            write!(f, "{hours}:{minutes:02}:{seconds:02}")
        } else {
            write!(f, "{minutes}:{seconds:02}")
        }
    }
}

/// One line that a person reads, harmless to a terminal.
impl fmt::Display for Card {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Track(TrackCard { title, artist, length, .. }) => {
                write!(f, "track: {title}")?;
                by(f, artist.as_ref())?;
                write!(f, " ({length})")
            }
            Self::Episode(EpisodeCard { show, title, length, .. }) => {
                write!(f, "episode: {title}, of {show} ({length})")
            }
            Self::Chapter(ChapterCard { book, author, title, length, .. }) => {
                write!(f, "chapter: {title}, of {book}")?;
                by(f, author.as_ref())?;
                write!(f, " ({length})")
            }
            Self::Playlist(card) => {
                let entries = if card.count == 1 { "entry" } else { "entries" };
                write!(f, "playlist: {} ({} {entries})", card.title, card.count)
            }
        }
    }
}

fn by(f: &mut fmt::Formatter<'_>, whom: Option<&CardText>) -> fmt::Result {
    whom.map_or(Ok(()), |whom| write!(f, ", by {whom}"))
}

#[cfg(test)]
mod tests;
