//! What is sealed is opened by whom it is for, and a coordinator that mixes, forges or keeps back is found out.

use jamsync_protocol::{
    activity::{BeatChain, PlayState, SharedTrack},
    chat::Reaction,
    id::TrackId,
    text::Text,
    time::{Span, UtcTime},
};

use super::*;

const ANA: AccountId = AccountId([1; 32]);
const LAPTOP: DeviceKey = DeviceKey([11; 32]);
const EPOCH: Epoch = Epoch { generation: 1, number: 5 };

fn activity(title: &str) -> Activity {
    Activity {
        at: UtcTime::from_nanos(1_795_219_500_000_000_000),
        state: PlayState::Playing,
        track: SharedTrack {
            id: TrackId([7; 32]),
            title: Text::truncated(title),
            artist: Text::truncated(&"a".repeat(256)),
            album: Text::truncated(&"b".repeat(256)),
            duration: Span::from_secs(180),
        },
        position: Span::from_secs(3),
        beats: BeatChain::new([3; 16]).anchor(),
        cover: None,
    }
}

fn origin(number: u64) -> Origin {
    Origin { account: ANA, device: LAPTOP, number: ActivityNumber(number) }
}

/// The keys of a conversation as each of its two sides has them.
fn sides(seed: u8, epoch: Epoch) -> [ActivityKeys; 2] {
    let conversation = ConversationId([seed; 32]);
    let keys = |own: u8, theirs: u8| {
        let number = u8::try_from(epoch.number).expect("small");
        let key = |side: u8| {
            let mut key = [seed; 32];
            (key[0], key[1]) = (side, number);
            key
        };
        ActivityKeys { conversation, epoch, own: key(own), theirs: key(theirs) }
    };
    [keys(1, 2), keys(2, 1)]
}

#[test]
fn a_viewer_opens_what_is_for_it_and_every_length_is_the_same() {
    let sealer = Sealer::default();
    let [ana, ben] = sides(9, EPOCH);
    for title in ["", "x", &"t".repeat(256)] {
        let shown = activity(title);
        let wrapped = sealer.wrap(origin(1), &shown).expect("sealed");
        let key = sealer.key_for(origin(1), &wrapped, &ana).expect("sealed");
        assert_eq!(sealer.open_activity(origin(1), (&key, &wrapped.sealed), &ben), Some(shown));
    }
}

#[test]
fn the_same_state_is_never_sealed_to_the_same_bytes() {
    let sealer = Sealer::default();
    let [one, other] = [(), ()].map(|()| sealer.wrap(origin(1), &activity("same")).expect("sealed").sealed);
    assert_ne!(one, other);
}

#[test]
fn what_is_mixed_up_forged_or_of_another_epoch_is_not_opened() {
    let sealer = Sealer::default();
    let [ana, ben] = sides(9, EPOCH);
    let [with_carl, carl] = sides(8, EPOCH);
    let (one, two) = (activity("one"), activity("two"));
    let [first, second] =
        [(1, &one), (2, &two)].map(|(number, shown)| sealer.wrap(origin(number), shown).expect("sealed"));
    let key = sealer.key_for(origin(1), &first, &ana).expect("sealed");
    let opens = |origin, key: &SealedKey, sealed: &SealedActivity, keys: &ActivityKeys| {
        sealer.open_activity(origin, (key, sealed), keys).is_some()
    };
    assert!(opens(origin(1), &key, &first.sealed, &ben), "the check can pass");
    let stranger = AccountId([5; 32]);
    for (name, other) in [
        ("another publisher", Origin { account: stranger, ..origin(1) }),
        ("another device", Origin { device: DeviceKey([12; 32]), ..origin(1) }),
        ("another number", origin(2)),
    ] {
        assert!(!opens(other, &key, &first.sealed, &ben), "{name}");
    }
    assert!(!opens(origin(1), &key, &second.sealed, &ben), "the state of another number");
    let for_carl = sealer.key_for(origin(1), &first, &with_carl).expect("sealed");
    assert!(opens(origin(1), &for_carl, &first.sealed, &carl));
    assert!(!opens(origin(1), &for_carl, &first.sealed, &ben), "the key of another viewer");
    let [_, later] = sides(9, EPOCH.next());
    assert!(!opens(origin(1), &key, &first.sealed, &later), "another epoch");
    assert!(!opens(origin(1), &key, &first.sealed, &ana), "one's own words back");
    // A viewer knows the key to the state, and still cannot make another state pass for it at another viewer.
    let forged =
        sealer.seal(&first.key, &two.encode().expect("fits"), &bound("activity", &origin(1)).expect("fits"));
    let forged = Block::new(forged.expect("sealed")).expect("of its size");
    assert!(!opens(origin(1), &key, &forged, &ben), "a state that another viewer has made");
    for at in 0..key.len() {
        let mut bytes = key.to_vec();
        bytes[at] ^= 1;
        assert!(!opens(origin(1), &Block::new(bytes).expect("of its size"), &first.sealed, &ben), "{at}");
    }
}

#[test]
fn a_reaction_is_opened_by_whom_it_is_for() {
    let sealer = Sealer::default();
    let [ana, ben] = sides(9, EPOCH);
    let note = ReactionNote { at: UtcTime::from_nanos(5), reaction: Reaction::Wow };
    let sealed = sealer.seal_reaction(ANA, &note, &ana).expect("sealed");
    assert_eq!(sealer.open_reaction(ANA, &sealed, &ben), Some(note));
    assert_eq!(sealer.open_reaction(AccountId([5; 32]), &sealed, &ben), None);
    assert_eq!(sealer.open_reaction(ANA, &sealed, &ana), None);
}

/// The smallest JPEG that is taken: grey, one pixel each way.
fn thumbnail() -> Thumbnail {
    let frame = [0xff, 0xc0, 0, 11, 8, 0, 1, 0, 1, 1, 1, 0x11, 0];
    let scan = [0xff, 0xda, 0, 8, 1, 1, 0, 0, 63, 0, 0x12];
    Thumbnail::new([&[0xff, 0xd8][..], &frame, &scan, &[0xff, 0xd9]].concat()).expect("a thumbnail")
}

#[test]
fn a_cover_is_opened_by_its_key_alone_and_the_same_picture_is_sealed_otherwise_each_time() {
    let sealer = Sealer::default();
    let (cover, sealed) = sealer.seal_cover(ANA, &thumbnail()).expect("sealed");
    assert_eq!(sealer.open_cover(ANA, cover, &sealed), Ok(thumbnail()));
    let (other, again) = sealer.seal_cover(ANA, &thumbnail()).expect("sealed");
    assert!(other.address != cover.address && other.key != cover.key && again != sealed);
    let wrong_key = Cover { key: other.key, ..cover };
    assert_eq!(sealer.open_cover(ANA, wrong_key, &sealed), Err(CoverError::Key));
    assert_eq!(sealer.open_cover(AccountId([5; 32]), cover, &sealed), Err(CoverError::Key), "of another");
    let swapped = CoverError::Address { expected: cover.address, actual: other.address };
    assert_eq!(sealer.open_cover(ANA, cover, &again), Err(swapped), "one that was put in its place");
    for at in [0, 12, 100, sealed.len() - 1] {
        let mut bytes = sealed.to_vec();
        bytes[at] ^= 1;
        let changed = Block::new(bytes).expect("of its size");
        assert!(matches!(sealer.open_cover(ANA, cover, &changed), Err(CoverError::Address { .. })), "{at}");
        let named = Cover { address: CoverAddress::of(&changed), ..cover };
        assert_eq!(sealer.open_cover(ANA, named, &changed), Err(CoverError::Key), "{at}");
    }
}

#[test]
fn what_a_contact_seals_in_place_of_a_thumbnail_is_left_out() {
    let sealer = Sealer::default();
    let sealed = |plain: &[u8]| {
        let key = [9; 32];
        let sealed = sealer.seal(&key, plain, &bound("cover", &ANA).expect("fits")).expect("sealed");
        let sealed = Block::new(sealed).expect("of its size");
        (Cover { address: CoverAddress::of(&sealed), key: CoverKey(key) }, sealed)
    };
    let mut plain = thumbnail().encode().expect("fits");
    let (cover, whole) = sealed(&plain);
    assert_eq!(sealer.open_cover(ANA, cover, &whole), Ok(thumbnail()));
    *plain.last_mut().expect("one") = 1;
    let (cover, filled) = sealed(&plain);
    assert_eq!(sealer.open_cover(ANA, cover, &filled), Err(CoverError::Thumbnail(ThumbnailError::Size)));
    let mut plain = thumbnail().encode().expect("fits");
    plain[..4].copy_from_slice(&[0, 60, 0x89, b'P']);
    let (cover, other) = sealed(&plain);
    assert_eq!(sealer.open_cover(ANA, cover, &other), Err(CoverError::Thumbnail(ThumbnailError::NoJpeg)));
}
