//! What is sealed in conversations, as it is before.

use jamsync_protocol::{
    chat::Reaction,
    conversation::{
        Card, CardLength, CardText, ChapterCard, Content, EpisodeCard, Message, POST_BYTES_MAX, PlaylistCard,
        PlaylistEntry, PostId, TrackCard,
    },
    id::TrackId,
    time::{Span, UtcTime},
};

use super::Golden;

fn text(text: &str) -> CardText {
    text.parse().expect("may stand on a card")
}

/// A card of each kind.
fn cards() -> Vec<(&'static str, Card)> {
    let length = |seconds| CardLength::new(Span::from_secs(seconds)).expect("a length");
    let (id, title) = (TrackId([0x5a; 32]), text("By-Product"));
    let artist = Some(text("Größe & Söhne"));
    let entry = |byte, artist| PlaylistEntry {
        id: TrackId([byte; 32]),
        title: text("Nebula"),
        artist,
        length: length(185),
    };
    let entries = [entry(1, artist.clone()), entry(2, None)];
    vec![
        ("Card, Track", Card::Track(TrackCard { id, title, artist, album: None, length: length(300) })),
        (
            "Card, Episode",
            Card::Episode(EpisodeCard { id, show: text("Night"), title: text("12"), length: length(3_600) }),
        ),
        (
            "Card, Chapter",
            Card::Chapter(ChapterCard {
                id,
                book: text("The Book"),
                author: Some(text("A. Uthor")),
                title: text("One"),
                length: length(360_000),
            }),
        ),
        ("Card, Playlist", Card::Playlist(PlaylistCard::new(text("Mix"), 300, entries).expect("a playlist"))),
    ]
}

pub(super) fn golden() -> Vec<Golden> {
    let at = UtcTime::from_nanos(1_795_219_500_000_000_000);
    let said = |number, words: &str| {
        let content = Content::Text(words.parse().expect("may be said"));
        Message { number, at, content }
    };
    let mut messages =
        vec![("Text", said(1, "heard the new album?")), ("Text, two lines", said(300, "oh ❤️\nyes"))];
    let other = |content| Message { number: 2, at, content };
    messages.extend(cards().into_iter().map(|(name, card)| (name, other(Content::Card(card)))));
    let [to, read] = [PostId([0x11; 16]), PostId([0x22; 16])];
    for (name, content) in [
        ("Reaction", Content::Reaction { to, reaction: Some(Reaction::Fire) }),
        ("Reaction, taken back", Content::Reaction { to, reaction: None }),
        ("Receipt", Content::Receipt { delivered: to, read: Some(read) }),
        ("Receipt, reading not told", Content::Receipt { delivered: to, read: None }),
    ] {
        messages.push((name, other(content)));
    }
    vec![Golden::bytes("conversation-message", "Message", POST_BYTES_MAX, messages)]
}
