//! The bytes of every message, pinned: `tests/golden/` holds each with its hexadecimal bytes and its decoded
//! form. A difference in a line that was there before breaks every peer of an older version.
//!
//! `UPDATE_GOLDEN=1` writes the files anew.

mod activity;
mod chat;
mod conversation;
mod coord;
mod identity;
mod peer;
mod queue;

use std::{
    collections::BTreeSet,
    env,
    fmt::{Debug, Write as _},
    fs,
    io::ErrorKind,
    path::PathBuf,
    process::Command,
};

use jamsync_protocol::{
    id::{EntryId, Participant, TrackId},
    media::{Frames, SampleRate, Track},
    text::{List, Text},
    wire::codec,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

pub(crate) use coord::calls as coord_calls;

use crate::tidy;

/// One golden file: values of one type.
struct Golden {
    /// The file's name without its ending.
    name: &'static str,
    /// The type's name in the wire document.
    kind: &'static str,
    lines: Vec<Line>,
}

/// One value: what it is called, its bytes or its text, and what they mean.
struct Line {
    name: &'static str,
    coded: String,
    decoded: Value,
}

impl Golden {
    /// Values as bytes, each no longer than `limit`, and each the same after decoding.
    fn bytes<T>(name: &'static str, kind: &'static str, limit: usize, values: Vec<(&'static str, T)>) -> Self
    where
        T: Serialize + DeserializeOwned + PartialEq + Debug,
    {
        let line = |(name, value): (&'static str, T)| {
            let bytes = codec::encode(&value, limit).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(codec::decode::<T>(&bytes).as_ref(), Ok(&value), "{kind} {name}");
            let coded = bytes.iter().fold(String::new(), |mut hex, byte| {
                let _ = write!(hex, "{byte:02x}");
                hex
            });
            Line { name, coded, decoded: decoded(&value) }
        };
        Self { name, kind, lines: values.into_iter().map(line).collect() }
    }

    fn file(&self) -> String {
        let mut text = format!("# {}: name, bytes, value. Written by `UPDATE_GOLDEN=1`.\n", self.kind);
        for Line { name, coded, decoded } in &self.lines {
            let _ = writeln!(text, "{name}\t{coded}\t{decoded}");
        }
        text
    }
}

/// A value as JSON, with bytes as hexadecimal digits.
fn decoded(value: &impl Serialize) -> Value {
    compact(serde_json::to_value(value).expect("every wire type has a JSON form"))
}

fn compact(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            Value::Object(fields.into_iter().map(|(name, value)| (name, compact(value))).collect())
        }
        Value::Array(items) => {
            let bytes: Option<Vec<u64>> = items.iter().map(Value::as_u64).collect();
            match bytes {
                Some(bytes) if bytes.len() >= 16 => {
                    Value::String(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
                }
                Some(_) | None => halves(items.into_iter().map(compact).collect()),
            }
        }
        other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => other,
    }
}

/// A signature has two halves of 32 bytes in JSON, and is one value on the wire.
fn halves(items: Vec<Value>) -> Value {
    match &items[..] {
        [Value::String(low), Value::String(high)] if low.len() == 64 && high.len() == 64 => {
            Value::String(format!("{low}{high}"))
        }
        _ => Value::Array(items),
    }
}

fn all() -> Vec<Golden> {
    [
        peer::golden(),
        queue::golden(),
        chat::golden(),
        coord::golden(),
        conversation::golden(),
        activity::golden(),
        identity::golden(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn folder() -> PathBuf {
    tidy::root().join("tests/golden")
}

#[test]
fn every_message_has_the_bytes_that_are_pinned() {
    for golden in all() {
        let (path, text) = (folder().join(golden.name).with_extension("txt"), golden.file());
        if env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&path, &text).expect("the golden files can be written");
        }
        let pinned = fs::read_to_string(&path).unwrap_or_default();
        for (number, (is, was)) in text.lines().zip(pinned.lines()).enumerate() {
            assert_eq!(is, was, "{}:{}", path.display(), number + 1);
        }
        assert_eq!(
            text,
            pinned,
            "{}: lines are new or missing; write them with UPDATE_GOLDEN=1",
            path.display()
        );
    }
}

#[test]
fn names_within_a_golden_file_differ() {
    for golden in all() {
        let names: BTreeSet<&str> = golden.lines.iter().map(|line| line.name).collect();
        assert_eq!(names.len(), golden.lines.len(), "{}", golden.name);
    }
}

/// The enums are read from the source, so that a variant that is added there is missed here.
#[test]
fn every_variant_on_the_wire_has_golden_bytes() {
    let mut seen = BTreeSet::new();
    for line in all().iter().flat_map(|golden| &golden.lines) {
        collect_names(&line.decoded, &mut seen);
    }
    let missing: Vec<String> = tidy::all_wire_enums()
        .into_iter()
        .flat_map(|(name, variants)| variants.into_iter().map(move |variant| (name.clone(), variant)))
        .filter(|(_, variant)| !seen.contains(variant))
        .map(|(name, variant)| format!("{name}::{variant}"))
        .collect();
    assert!(missing.is_empty(), "without golden bytes: {missing:#?}");
}

/// Every text and field name of a value: the names of its variants are among them.
fn collect_names(value: &Value, into: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => drop(into.insert(text.clone())),
        Value::Array(items) => items.iter().for_each(|item| collect_names(item, into)),
        Value::Object(fields) => fields.iter().for_each(|(name, value)| {
            into.insert(name.clone());
            collect_names(value, into);
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[test]
fn the_wire_document_alone_suffices_to_decode_the_golden_bytes() {
    match Command::new("python3").arg(folder().join("decode.py")).output() {
        Ok(output) => {
            let said = [output.stdout, output.stderr].concat();
            let said = String::from_utf8_lossy(&said);
            assert!(output.status.success(), "{said}");
            println!("{said}");
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            println!("skipped: python3 is not installed, so the wire document is not tried out");
        }
        Err(error) => panic!("python3 cannot be run: {error}"),
    }
}

fn participant(index: u8) -> Participant {
    Participant::new(index).expect("a place in a grant")
}

fn entry(author: u8, number: u32) -> EntryId {
    EntryId { author: participant(author), number }
}

fn track(seed: u8, title: &str) -> Track {
    Track {
        id: TrackId([seed; 32]),
        title: text(title),
        artist: text("Größe & Söhne"),
        album: text(""),
        rate: SampleRate::HZ_44100,
        length: Frames(13_230_000),
    }
}

fn text<const MAX: usize>(text: &str) -> Text<MAX> {
    Text::new(text).expect("short enough")
}

fn list<T, const MAX: usize>(items: impl Into<Vec<T>>) -> List<T, MAX> {
    let Ok(list) = List::new(items.into()) else { panic!("more than {MAX} items") };
    list
}
