//! What a card may say, and what is refused.

use alloc::{string::ToString, vec};

use super::*;
use crate::media::{Frames, SampleRate};

fn text(text: &str) -> CardText {
    text.parse().expect("may stand on a card")
}

fn length(seconds: i64) -> CardLength {
    CardLength::new(Span::from_secs(seconds)).expect("a length")
}

fn entry(title: &str) -> PlaylistEntry {
    PlaylistEntry { id: TrackId([7; 32]), title: text(title), artist: None, length: length(61) }
}

#[test]
fn what_is_empty_too_long_or_steers_a_terminal_stands_on_no_card() {
    for (bad, why) in [
        ("", CardError::Empty),
        (" \u{3000}", CardError::Empty),
        ("a\u{1b}[2J", CardError::Control('\u{1b}')),
        ("two\nlines", CardError::Control('\n')),
    ] {
        assert_eq!(bad.parse::<CardText>(), Err(why), "{bad:?}");
        let bytes = postcard::to_allocvec(bad).expect("encodes");
        assert!(postcard::from_bytes::<CardText>(&bytes).is_err(), "{bad:?} came over the wire");
    }
    let actual = CARD_TEXT_BYTES_MAX + 1;
    assert_eq!("x".repeat(actual).parse::<CardText>(), Err(CardError::TooLong { actual }));
}

#[test]
fn a_length_that_no_recording_has_is_refused_where_it_is_made_and_where_it_arrives() {
    for nanos in [0, -1, i64::MIN, i64::MAX, CARD_LENGTH_MAX.as_nanos() + 1] {
        let actual = Span::from_nanos(nanos);
        assert_eq!(CardLength::new(actual), Err(CardError::Length { actual }));
        let bytes = postcard::to_allocvec(&actual).expect("encodes");
        assert!(postcard::from_bytes::<CardLength>(&bytes).is_err(), "{nanos} came over the wire");
    }
    assert_eq!(length(360_000).to_string(), "100:00:00");
    assert_eq!(length(185).to_string(), "3:05");
}

#[test]
fn a_playlist_tells_how_many_it_has_and_names_as_many_as_have_room() {
    let long = "x".repeat(CARD_TEXT_BYTES_MAX);
    let card = PlaylistCard::new(text(&long), 900, (0..900).map(|_| entry(&long))).expect("a playlist");
    assert!(card.entries().len() > 5 && card.count() == 900);
    assert!(codec::encode(&Card::Playlist(card), CARD_BYTES_MAX).is_ok());
    let short = PlaylistCard::new(text("Mix"), 900, (0..900).map(|_| entry("a"))).expect("a playlist");
    assert_eq!(short.entries().len(), PLAYLIST_NAMED_MAX);
    for (count, entries) in [(0, vec![]), (1, vec![]), (1, vec![entry("a"), entry("b")])] {
        assert_eq!(PlaylistCard::new(text("Mix"), count, entries), Err(CardError::Count { count }));
    }
    let count = PLAYLIST_COUNT_MAX + 1;
    assert_eq!(PlaylistCard::new(text("Mix"), count, [entry("a")]), Err(CardError::Count { count }));
    let forged = postcard::to_allocvec(&(text("Mix"), 0_u32, vec![entry("a")])).expect("encodes");
    assert!(postcard::from_bytes::<PlaylistCard>(&forged).is_err());
}

#[test]
fn the_tags_of_a_file_make_a_card_whatever_they_hold() {
    let track = Track {
        id: TrackId([1; 32]),
        title: Text::truncated(" \u{1b}[31mRed\n"),
        artist: Text::truncated("\u{7}"),
        album: Text::truncated("שלום"),
        rate: SampleRate::HZ_44100,
        length: Frames(44_100 * 61),
    };
    let card = TrackCard::of(&track).expect("a card");
    assert_eq!((card.title.as_str(), card.artist.as_ref()), ("[31mRed", None));
    assert_eq!(Card::Track(card).to_string(), "track: [31mRed (1:01)");
    let silent = Track { length: Frames(0), ..track };
    assert_eq!(TrackCard::of(&silent), Err(CardError::Length { actual: Span::ZERO }));
}

#[test]
fn a_card_is_one_line_that_steers_nothing() {
    let card = Card::Chapter(ChapterCard {
        id: TrackId([1; 32]),
        book: text("The \u{202e}Book"),
        author: Some(text("שלום")),
        title: text("One"),
        length: length(3_723),
    });
    assert_eq!(card.to_string(), "chapter: One, of The \u{fffd}Book, by \u{2068}שלום\u{2069} (1:02:03)");
}
