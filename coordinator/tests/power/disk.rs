//! What a process did to its files, in order, and what of it a power cut leaves.

use std::{collections::BTreeMap, fs, ops::Range, path::Path};

use rand::{Rng, rngs::StdRng};

/// What a disk writes whole or not at all.
const SECTOR: usize = 512;
/// The database itself, beside its log.
const MAIN_FILE: &str = "db";

/// What the process did.
pub(crate) enum Record {
    Write {
        file: String,
        offset: usize,
        data: Vec<u8>,
    },
    Truncate {
        file: String,
        length: usize,
    },
    Sync {
        file: String,
    },
    Remove {
        file: String,
    },
    /// It acknowledged these.
    Said(Vec<usize>),
}

/// A file: what of it is surely on the disk, and what was done to it since.
#[derive(Default)]
struct Disk<'a> {
    durable: Vec<u8>,
    unsynced: Vec<Change<'a>>,
}

#[derive(Clone, Copy)]
enum Change<'a> {
    Write { offset: usize, data: &'a [u8] },
    Truncate(usize),
}

/// Reads what `record.c` wrote.
pub(crate) fn parse(mut bytes: &[u8]) -> Vec<Record> {
    let mut records = Vec::new();
    while let Some((&kind, rest)) = bytes.split_first() {
        let number = |at: usize| u64::from_ne_bytes(rest[at..at + 8].try_into().expect("eight"));
        let [name, offset, length] = [0, 8, 16].map(|at| usize::try_from(number(at)).expect("fits"));
        let (file, rest) = rest[24..].split_at(name);
        let (data, rest) = rest.split_at(length);
        let file = String::from_utf8(file.to_vec()).expect("text");
        records.push(match kind {
            b'W' => Record::Write { file, offset, data: data.to_vec() },
            b'T' => Record::Truncate { file, length: offset },
            b'S' => Record::Sync { file },
            b'U' => Record::Remove { file },
            b'A' => Record::Said(said(&String::from_utf8_lossy(data))),
            other => unreachable!("a record of kind {other}"),
        });
        bytes = rest;
    }
    records
}

/// The harness of tests writes lines of its own.
fn said(text: &str) -> Vec<usize> {
    text.lines().filter_map(|line| line.split_once("ACK ")?.1.parse().ok()).collect()
}

/// From the first acknowledgement to the last: opening and closing a file fold and sync it too.
pub(crate) fn run(records: &[Record]) -> Range<usize> {
    let is_said = |record: &Record| matches!(record, Record::Said(numbers) if !numbers.is_empty());
    let first = records.iter().position(is_said).expect("it acknowledges something");
    first..records.iter().rposition(is_said).expect("it acknowledges something")
}

/// Where in its run the log was folded into the main file: from the first page that is written there to the sync.
pub(crate) fn folds(records: &[Record]) -> Vec<Range<usize>> {
    let run = run(records);
    let (mut begun, mut found) = (None, Vec::new());
    for at in run {
        match &records[at] {
            Record::Write { file, .. } if file == MAIN_FILE => begun = begun.or(Some(at)),
            Record::Sync { file } if file == MAIN_FILE => {
                found.extend(begun.take().map(|begun| begun..at + 1));
            }
            Record::Write { .. }
            | Record::Truncate { .. }
            | Record::Sync { .. }
            | Record::Remove { .. }
            | Record::Said(_) => {}
        }
    }
    found
}

/// Makes the folder that a power cut leaves after these records, where about `kept` of what was not synced is there, from
/// none at 0 to all at 1.
pub(crate) fn play(records: &[Record], kept: f64, random: &mut StdRng, left: &Path) {
    let mut disks: BTreeMap<&str, Disk<'_>> = BTreeMap::new();
    for record in records {
        match record {
            Record::Write { file, offset, data } => {
                let change = Change::Write { offset: *offset, data };
                disks.entry(file).or_default().unsynced.push(change);
            }
            Record::Truncate { file, length } => {
                disks.entry(file).or_default().unsynced.push(Change::Truncate(*length));
            }
            Record::Sync { file } => {
                let disk = disks.entry(file).or_default();
                for change in std::mem::take(&mut disk.unsynced) {
                    apply(&mut disk.durable, change);
                }
            }
            Record::Remove { file } => drop(disks.remove(file.as_str())),
            Record::Said(_) => {}
        }
    }
    drop(fs::remove_dir_all(left));
    fs::create_dir(left).expect("a folder");
    for (file, Disk { mut durable, unsynced }) in disks {
        for change in unsynced {
            match change {
                Change::Write { offset, data } => {
                    for (at, sector) in data.chunks(SECTOR).enumerate() {
                        if random.random_bool(kept) {
                            let offset = offset + at * SECTOR;
                            apply(&mut durable, Change::Write { offset, data: sector });
                        }
                    }
                }
                Change::Truncate(_) if !random.random_bool(kept) => {}
                truncate @ Change::Truncate(_) => apply(&mut durable, truncate),
            }
        }
        fs::write(left.join(file), durable).expect("writes");
    }
}

fn apply(bytes: &mut Vec<u8>, change: Change<'_>) {
    match change {
        Change::Write { offset, data } => {
            let end = offset + data.len();
            if bytes.len() < end {
                bytes.resize(end, 0);
            }
            bytes[offset..end].copy_from_slice(data);
        }
        Change::Truncate(length) => bytes.resize(length, 0),
    }
}
