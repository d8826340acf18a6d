//! The messages of conversations with contacts, outside of Jams too.

use std::path::PathBuf;

use jamsync_protocol::{
    chat::{ChatText, Reaction},
    conversation::{Card, CardText},
    id::{Handle, TrackId},
    time::{Span, UtcTime},
};
use serde::{Deserialize, Serialize};

use super::unit;

/// A message of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConversationMessage {
    /// Its name: 32 hexadecimal digits, the same on every device.
    pub id: String,
    /// The contact whose conversation it is.
    pub with: Handle,
    /// Whether this account said it, on whichever device; else the contact did.
    pub mine: bool,
    /// When it was said, by its author's calendar.
    #[serde(rename = "said_unix_ms", with = "unit::unix_ms")]
    pub at: UtcTime,
    /// What was said; of a card, one line that says what it shows.
    pub text: ChatText,
    /// The card, where it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub card: Option<MessageCard>,
    /// How far it has come, where this account said it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<MessageProgress>,
    /// How the two have reacted to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reactions: Vec<MessageReaction>,
    /// Whether it is a message request: its author was not let in yet.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub request: bool,
}

/// How far a message has come. A later one is greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageProgress {
    /// It waits on this device.
    Waits,
    /// The coordinator has it.
    Sent,
    /// A device of the contact has it.
    Delivered,
    /// The contact has seen it.
    Read,
}

/// A reaction to a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageReaction {
    /// Whether this account reacts; else the contact does.
    pub mine: bool,
    /// How.
    #[serde(with = "unit::reaction")]
    pub reaction: Reaction,
}

/// A conversation among others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Talk {
    /// With whom.
    pub with: Handle,
    /// Whether it is a message request, which waits for an answer.
    pub request: bool,
    /// How many messages of the contact were not shown yet, at most 1,000.
    pub unread: u32,
}

/// Music that a message shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum MessageCard {
    /// A track.
    Track {
        /// The track, by its content.
        #[serde(with = "unit::hex")]
        track: TrackId,
        /// Its title.
        title: CardText,
        /// Its artist, where known.
        artist: Option<CardText>,
        /// Its album, where known.
        album: Option<CardText>,
        /// How long it lasts.
        #[serde(rename = "length_ms", with = "unit::ms")]
        length: Span,
    },
    /// An episode of a podcast.
    Episode {
        /// The recording, by its content.
        #[serde(with = "unit::hex")]
        track: TrackId,
        /// The podcast.
        show: CardText,
        /// Its title.
        title: CardText,
        /// How long it lasts.
        #[serde(rename = "length_ms", with = "unit::ms")]
        length: Span,
    },
    /// A chapter of an audiobook.
    Chapter {
        /// The recording, by its content.
        #[serde(with = "unit::hex")]
        track: TrackId,
        /// The book.
        book: CardText,
        /// Who wrote it, where known.
        author: Option<CardText>,
        /// The chapter's title.
        title: CardText,
        /// How long it lasts.
        #[serde(rename = "length_ms", with = "unit::ms")]
        length: Span,
    },
    /// A playlist.
    Playlist {
        /// Its title.
        title: CardText,
        /// How many entries it has.
        count: u32,
        /// The first of them.
        entries: Vec<CardEntry>,
    },
}

/// An entry of a playlist that a message shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardEntry {
    /// The track, by its content.
    #[serde(with = "unit::hex")]
    pub track: TrackId,
    /// Its title.
    pub title: CardText,
    /// Its artist, where known.
    pub artist: Option<CardText>,
    /// How long it lasts.
    #[serde(rename = "length_ms", with = "unit::ms")]
    pub length: Span,
}

/// What a card is to be made from. Names that are not given are taken from the file's tags.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "from", rename_all = "snake_case")]
pub enum CardSource {
    /// The track that this node plays.
    Playing,
    /// A track.
    Track {
        /// Its file.
        path: PathBuf,
        /// Its title.
        title: Option<CardText>,
    },
    /// An episode of a podcast.
    Episode {
        /// Its file.
        path: PathBuf,
        /// Its title.
        title: Option<CardText>,
        /// The podcast.
        show: Option<CardText>,
    },
    /// A chapter of an audiobook.
    Chapter {
        /// Its file.
        path: PathBuf,
        /// Its title.
        title: Option<CardText>,
        /// The book.
        book: Option<CardText>,
        /// Who wrote it.
        author: Option<CardText>,
    },
    /// A playlist.
    Playlist {
        /// A folder, or a file with one path a line (M3U).
        path: PathBuf,
        /// Its title.
        title: Option<CardText>,
    },
}

impl ConversationMessage {
    /// Whether the coordinator has it.
    #[must_use]
    pub fn is_sent(&self) -> bool {
        self.progress.is_none_or(|progress| progress > MessageProgress::Waits)
    }
}

impl MessageCard {
    /// A card as the API tells of it; none for a kind that this version does not show.
    #[must_use]
    pub fn of(card: &Card) -> Option<Self> {
        Some(match card.clone() {
            Card::Track(card) => Self::Track {
                track: card.id,
                title: card.title,
                artist: card.artist,
                album: card.album,
                length: card.length.span(),
            },
            Card::Episode(card) => Self::Episode {
                track: card.id,
                show: card.show,
                title: card.title,
                length: card.length.span(),
            },
            Card::Chapter(card) => Self::Chapter {
                track: card.id,
                book: card.book,
                author: card.author,
                title: card.title,
                length: card.length.span(),
            },
            Card::Playlist(card) => {
                let entries = card.entries().iter().cloned().map(|entry| CardEntry {
                    track: entry.id,
                    title: entry.title,
                    artist: entry.artist,
                    length: entry.length.span(),
                });
                Self::Playlist {
                    title: card.title().clone(),
                    count: card.count(),
                    entries: entries.collect(),
                }
            }
            _ => return None,
        })
    }
}
