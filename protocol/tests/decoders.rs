//! What arrives from outside never panics, never makes room for more than it brings, and means one thing: for
//! each message that a stream, a datagram or a person hands in.
//!
//! Bytes are made at random, and from the golden files of `tests/golden/` by damaging them, which gets further.

use std::{collections::BTreeSet, fmt::Debug, fs, path::Path, str::FromStr};

use jamsync_protocol::{
    activity::{Activity, ReactionNote},
    chat::ChatMessage,
    conversation::Message,
    id::{AccountId, DeviceKey, Handle},
    identity::{Date, DeviceCode, DeviceLog, FriendLink, Grant, JoinCode, Market, RecoveryCode, SignedGrant},
    limits::PEER_FRAME_BYTES_MAX,
    queue::QueueMessage,
    wire::{
        codec::{self, CodecError},
        coord::{ActivityNews, CoordCall, CoordReply, EventNumber, NumberedEvent},
        peer::{ControlMessage, Datagram},
    },
};
use proptest::{prelude::*, sample::Index};
use serde::{Serialize, de::DeserializeOwned};

/// What a decoder made of some bytes.
type Outcome = Result<(), CodecError>;
/// A decoder, followed by the checks of what came out.
type Decode = fn(&[u8]) -> Outcome;
/// A type's name in the golden files, and its decoder.
type Decoder = (&'static str, Decode);

const DECODERS: [Decoder; 14] = [
    ("ControlMessage", decode::<ControlMessage>),
    ("QueueMessage", decode::<QueueMessage>),
    ("ChatMessage", decode::<ChatMessage>),
    ("Datagram", decode::<Datagram>),
    ("CoordCall", decode::<CoordCall>),
    ("CoordReply", decode::<CoordReply>),
    ("NumberedEvent", decode::<NumberedEvent>),
    ("EventNumber", decode::<EventNumber>),
    ("SignedGrant", decode::<SignedGrant>),
    ("Grant", decode::<Grant>),
    ("Message", decode::<Message>),
    ("ActivityNews", decode::<ActivityNews>),
    ("Activity", decode::<Activity>),
    ("ReactionNote", decode::<ReactionNote>),
];

/// Decodes; what comes out holds no more than went in, and survives its own bytes.
fn decode<T: Serialize + DeserializeOwned + PartialEq + Debug>(bytes: &[u8]) -> Outcome {
    let value: T = codec::decode(bytes)?;
    let again = codec::encode(&value, PEER_FRAME_BYTES_MAX).expect("what arrived in a frame fits a frame");
    assert!(again.len() <= bytes.len(), "{} bytes became {}", bytes.len(), again.len());
    assert_eq!(codec::decode::<T>(&again).as_ref(), Ok(&value));
    Ok(())
}

/// A device log is also verified: nearly every damaged one is refused there.
fn decode_log(bytes: &[u8]) -> Outcome {
    decode::<DeviceLog>(bytes)?;
    let log: DeviceLog = codec::decode(bytes)?;
    if let Ok(verified) = log.verify() {
        assert_eq!(verified.as_log(), &log);
        assert_eq!(verified.extends(&verified.pin()), Ok(()));
    }
    Ok(())
}

fn decoder(kind: &str) -> Option<Decode> {
    let logs: Decoder = ("DeviceLog", decode_log);
    DECODERS.into_iter().chain([logs]).find(|(name, _)| *name == kind).map(|(_, decode)| decode)
}

/// The lines of the golden files: type and bytes, or type and text.
fn golden() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden");
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("the golden files are there") {
        let path = entry.expect("a file").path();
        if path.extension().is_none_or(|extension| extension != "txt") {
            continue;
        }
        let text = fs::read_to_string(path).expect("a golden file can be read");
        let kind = text.trim_start_matches("# ").split(':').next().expect("the type stands first").to_owned();
        let coded = text.lines().skip(1).filter_map(|line| line.split('\t').nth(1));
        found.extend(coded.map(|coded| (kind.clone(), coded.to_owned())));
    }
    found.sort();
    found
}

/// The golden lines that are bytes, with their decoders.
fn golden_bytes() -> Vec<(Decode, Vec<u8>)> {
    let of_bytes = golden().into_iter().filter_map(|(kind, coded)| Some((decoder(&kind)?, unhex(&coded))));
    of_bytes.collect()
}

fn unhex(digits: &str) -> Vec<u8> {
    let digit = |c: u8| char::from(c).to_digit(16).expect("a hexadecimal digit");
    let byte = |pair: &[u8]| u8::try_from(digit(pair[0]) * 16 + digit(pair[1])).expect("two digits");
    digits.as_bytes().chunks(2).map(byte).collect()
}

/// Codes that people pass to each other and to their own devices.
fn read_codes(text: &str) -> [bool; 4] {
    [
        read_code::<JoinCode>(text),
        read_code::<FriendLink>(text),
        read_code::<DeviceCode>(text),
        read_code::<RecoveryCode>(text),
    ]
}

fn read_code<T: FromStr + ToString + PartialEq>(text: &str) -> bool {
    let code = text.parse::<T>().ok();
    assert!(code.as_ref().is_none_or(|code| code.to_string().parse::<T>().ok().as_ref() == Some(code)));
    code.is_some()
}

/// What is read from a text is read from its own text again.
fn same_again<T: FromStr + ToString + PartialEq>(text: &str) {
    if let Ok(value) = text.parse::<T>() {
        assert!(value.to_string().parse::<T>().is_ok_and(|again| again == value), "{text:?}");
    }
}

#[test]
fn the_golden_files_hold_bytes_for_every_decoder() {
    let kinds: BTreeSet<String> = golden().into_iter().map(|(kind, _)| kind).collect();
    for (name, _) in DECODERS {
        assert!(kinds.contains(name), "no golden bytes of {name}");
    }
    for kind in kinds {
        assert!(decoder(&kind).is_some() || kind.ends_with("Bytes"), "{kind} is decoded by no test here");
    }
}

#[test]
fn every_whole_message_decodes_and_every_part_or_surplus_of_one_is_refused() {
    for (decode, bytes) in golden_bytes() {
        assert_eq!(decode(&bytes), Ok(()));
        for end in 0..bytes.len() {
            assert_eq!(decode(&bytes[..end]), Err(CodecError::Truncated), "{end} of {bytes:02x?}");
        }
        assert_eq!(decode(&[&bytes[..], &[0]].concat()), Err(CodecError::TrailingBytes(1)));
    }
}

/// A length of 2^64 - 1, of 2^32 - 1 or of 2^40 in any place ends the message, and makes no room first: room for
/// it could not be made.
#[test]
fn an_absurd_length_in_any_place_is_survived() {
    let lengths: [&[u8]; 3] = [
        &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
        &[0xff, 0xff, 0xff, 0xff, 0x0f],
        &[0x80, 0x80, 0x80, 0x80, 0x80, 0x20],
    ];
    for (decode, bytes) in golden_bytes() {
        for at in 0..bytes.len() {
            for length in lengths {
                let _ = decode(&[&bytes[..at], length, &bytes[at + 1..]].concat());
            }
        }
    }
}

/// What a certificate says of an Ed25519 key before the key itself (RFC 8410).
const SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn random_bytes_are_a_message_or_a_named_error(bytes in prop::collection::vec(any::<u8>(), 0..400), small in any::<bool>()) {
        // Small numbers pass for variants, counts and options more often.
        let bytes: Vec<u8> = bytes.into_iter().map(|byte| if small { byte % 8 } else { byte }).collect();
        for (_, decode) in DECODERS {
            let _ = decode(&bytes);
        }
        let _ = decode_log(&bytes);
    }

    #[test]
    fn damaged_messages_are_a_message_or_a_named_error(
        message in any::<Index>(),
        other in any::<Index>(),
        changes in prop::collection::vec((any::<Index>(), any::<u8>(), 0u8..4), 1..6),
    ) {
        let golden = golden_bytes();
        let (decode, bytes) = message.get(&golden);
        let mut bytes = bytes.clone();
        for (at, byte, how) in changes {
            if bytes.is_empty() {
                break;
            }
            let at = at.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                2 => drop(bytes.remove(at)),
                _ => {
                    let from = &other.get(&golden).1;
                    bytes.splice(at.., from[at.min(from.len())..].iter().copied());
                }
            }
        }
        let _ = decode(&bytes);
    }

    #[test]
    fn a_damaged_code_is_refused(code in any::<Index>(), at in any::<Index>(), to in "[ -~é]") {
        let codes: Vec<String> =
            golden().into_iter().filter(|(kind, _)| kind.ends_with("Bytes")).map(|(_, text)| text).collect();
        let text = code.get(&codes);
        prop_assert!(read_codes(text).contains(&true));
        let at = at.index(text.len());
        let damaged = [&text[..at], &to, &text[at + 1..]].concat();
        let same = |c: &str| c.to_lowercase().replace('o', "0").replace(['i', 'l'], "1");
        prop_assume!(same(&damaged) != same(text));
        prop_assert_eq!(read_codes(&damaged), [false; 4]);
    }

    #[test]
    fn random_text_is_a_code_or_a_named_error(text in "(jamsync(-join|-device|-recovery)?:)?\\PC{0,200}") {
        read_codes(&text);
    }

    #[test]
    fn a_key_in_a_certificate_is_taken_whole_or_not_at_all(
        key in any::<[u8; 32]>(),
        at in any::<Index>(),
        byte in any::<u8>(),
        how in 0u8..4,
    ) {
        let whole = [&SPKI[..], &key].concat();
        prop_assert_eq!(DeviceKey::from_spki(&whole), Ok(DeviceKey(key)));
        let (mut damaged, at) = (whole.clone(), at.index(whole.len()));
        match how {
            0 => damaged[at] = byte,
            1 => damaged.insert(at, byte),
            2 => damaged.truncate(at),
            _ => drop(damaged.remove(at)),
        }
        let is_key = damaged.len() == whole.len() && damaged.starts_with(&SPKI);
        prop_assert_eq!(DeviceKey::from_spki(&damaged).is_ok(), is_key);
        prop_assert!(DeviceKey::from_spki(&key).is_err());
    }

    #[test]
    fn random_text_is_a_name_a_date_a_country_or_a_key_that_says_the_same_or_a_named_error(
        text in "\\PC{0,40}|[0-9]{1,5}-[0-9]{1,3}-[0-9]{1,3}|[A-Za-z]{2}|[0-9a-fA-F]{62,66}"
    ) {
        same_again::<Handle>(&text);
        same_again::<Date>(&text);
        same_again::<Market>(&text);
        same_again::<DeviceKey>(&text);
        same_again::<AccountId>(&text);
    }
}
