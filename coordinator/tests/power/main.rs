//! Power cuts. A process writes to a store as fast as it can while `record.c` writes down every write, sync and
//! acknowledgement in their order. The power is then cut at random places of that record: what was synced is there, and of
//! what was not, any part may be, in sectors. Every write that was acknowledged before the cut must be found after it.
//!
//! The same cuts with the syncs left out, which is what `synchronous=OFF` means, must lose something: otherwise this test
//! could not fail. Names of files count as durable at once. `JAMSYNC_CUTS` says how many, `JAMSYNC_SEED` which.

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use jamsync_coordinator::store::{JoinPermit, SqliteStore, Store};
use jamsync_protocol::time::UtcTime;
use rand::{Rng, SeedableRng, rngs::StdRng};

const CUTS: u64 = 60;
/// Writes of the process, in lanes as a server has them, and enough for the log to be folded into the file some times.
const WRITES: u64 = 3_000;
const LANES: u64 = 16;
/// What a disk writes whole or not at all.
const SECTOR: usize = 512;
const FOLDER: &str = "JAMSYNC_TEST_WRITE_INTO";

/// What the process did, in order.
enum Record {
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
    Said(Vec<u64>),
}

/// A file as the program sees it, and what of it is surely on the disk.
#[derive(Clone, Default)]
struct Disk {
    durable: Vec<u8>,
    unsynced: Vec<Change>,
}

#[derive(Clone)]
enum Change {
    Write { offset: usize, data: Vec<u8> },
    Truncate(usize),
}

fn permit(number: u64) -> JoinPermit {
    let fingerprint = *blake3::hash(&number.to_be_bytes()).as_bytes();
    JoinPermit { fingerprint, uses_left: 1, expires: UtcTime::from_nanos(i64::MAX) }
}

/// Writes, several at once, and says each number once it is acknowledged.
async fn write_all(path: &Path) {
    let store = SqliteStore::open(path).expect("opens");
    let mut lanes = tokio::task::JoinSet::new();
    for lane in 0..LANES {
        let store = store.clone();
        lanes.spawn(async move {
            for number in (lane..WRITES).step_by(usize::try_from(LANES).expect("few")) {
                store.write(move |tables| tables.put_join_permit(permit(number))).await.expect("writes");
                println!("ACK {number}");
            }
        });
    }
    while lanes.join_next().await.is_some() {}
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_when_the_power_is_cut() {
    if let Some(folder) = env::var_os(FOLDER) {
        return write_all(&PathBuf::from(folder).join("db")).await;
    }
    let number = |name: &str| env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let (seed, cuts) = (number("JAMSYNC_SEED").unwrap_or(5), number("JAMSYNC_CUTS").unwrap_or(CUTS));
    println!("seed {seed}, {cuts} cuts");
    let folder = tempfile::tempdir().expect("a folder");
    let records = record(folder.path());
    let count = |is: fn(&Record) -> bool| records.iter().filter(|record| is(record)).count();
    let (writes, syncs) =
        (count(|r| matches!(r, Record::Write { .. })), count(|r| matches!(r, Record::Sync { .. })));
    println!("{writes} writes and {syncs} syncs of {WRITES} transactions");
    assert!(writes > 1_000 && syncs > 20, "hardly anything was recorded");

    let mut random = StdRng::seed_from_u64(seed);
    let (mut lost_without_syncs, mut acknowledged) = (0, 0);
    for cut in 0..cuts {
        let at = random.random_range(1..=records.len());
        let expected = acknowledged_before(&records, at);
        acknowledged += expected.len();
        let left = folder.path().join("left");
        play(&records[..at], true, &mut random, &left);
        assert_eq!(lost(&left, &expected).await, Ok(0), "cut {cut}, after {at} records");
        play(&records[..at], false, &mut random, &left);
        lost_without_syncs += u64::from(lost(&left, &expected).await != Ok(0));
    }
    println!("{cuts} cuts, {acknowledged} acknowledged writes looked for, none lost");
    println!("without syncs {lost_without_syncs} of {cuts} cuts lose something");
    assert!(lost_without_syncs > cuts / 4, "the test could not fail");
}

/// Lets the process write, and returns what it did.
fn record(folder: &Path) -> Vec<Record> {
    let (recorder, into, data) = (folder.join("record.so"), folder.join("record"), folder.join("data"));
    fs::create_dir(&data).expect("a folder");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/power/record.c");
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&recorder).arg(source).arg("-ldl");
    assert!(compiler.status().expect("a C compiler, which the database needs too").success());
    let status = Command::new(env::current_exe().expect("this program"))
        .args(["--exact", "nothing_acknowledged_is_lost_when_the_power_is_cut", "--nocapture"])
        .env(FOLDER, &data)
        .env("LD_PRELOAD", &recorder)
        .env("RECORD_INTO", &into)
        .env("RECORD_BELOW", &data)
        .stdout(Stdio::null())
        .status();
    assert!(status.expect("runs").success());
    parse(&fs::read(&into).expect("a record"))
}

fn parse(mut bytes: &[u8]) -> Vec<Record> {
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
fn said(text: &str) -> Vec<u64> {
    text.lines().filter_map(|line| line.split_once("ACK ")?.1.parse().ok()).collect()
}

fn acknowledged_before(records: &[Record], at: usize) -> Vec<u64> {
    let said = records[..at].iter().filter_map(|record| match record {
        Record::Said(numbers) => Some(numbers.clone()),
        Record::Write { .. } | Record::Truncate { .. } | Record::Sync { .. } | Record::Remove { .. } => None,
    });
    said.flatten().collect()
}

/// Makes the folder that a power cut leaves after these records.
fn play(records: &[Record], syncs_count: bool, random: &mut StdRng, left: &Path) {
    let mut disks: BTreeMap<&str, Disk> = BTreeMap::new();
    for record in records {
        match record {
            Record::Write { file, offset, data } => {
                let change = Change::Write { offset: *offset, data: data.clone() };
                disks.entry(file).or_default().unsynced.push(change);
            }
            Record::Truncate { file, length } => {
                disks.entry(file).or_default().unsynced.push(Change::Truncate(*length));
            }
            Record::Sync { file } if syncs_count => {
                let disk = disks.entry(file).or_default();
                for change in std::mem::take(&mut disk.unsynced) {
                    apply(&mut disk.durable, &change);
                }
            }
            Record::Remove { file } => drop(disks.remove(file.as_str())),
            Record::Sync { .. } | Record::Said(_) => {}
        }
    }
    drop(fs::remove_dir_all(left));
    fs::create_dir(left).expect("a folder");
    // Some cuts keep next to nothing of what was not synced, some next to everything.
    let kept = random.random_range(0.0..1.0);
    for (file, Disk { mut durable, unsynced }) in disks {
        for change in unsynced {
            match change {
                Change::Write { offset, data } => {
                    for (at, sector) in data.chunks(SECTOR).enumerate() {
                        if random.random_bool(kept) {
                            let offset = offset + at * SECTOR;
                            apply(&mut durable, &Change::Write { offset, data: sector.to_vec() });
                        }
                    }
                }
                Change::Truncate(_) if !random.random_bool(kept) => {}
                truncate @ Change::Truncate(_) => apply(&mut durable, &truncate),
            }
        }
        fs::write(left.join(file), durable).expect("writes");
    }
}

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Write { offset, data } => {
            let end = offset + data.len();
            if bytes.len() < end {
                bytes.resize(end, 0);
            }
            bytes[*offset..end].copy_from_slice(data);
        }
        Change::Truncate(length) => bytes.resize(*length, 0),
    }
}

/// How many of these are not there; an error where the store does not even open.
async fn lost(folder: &Path, expected: &[u64]) -> Result<usize, String> {
    let store = SqliteStore::open(&folder.join("db")).map_err(|error| error.to_string())?;
    let expected = expected.to_owned();
    let found = store.read(move |view| {
        let mut lost = 0;
        for number in expected {
            lost += usize::from(view.join_permit(permit(number).fingerprint)?.is_none());
        }
        Ok(lost)
    });
    found.await.map_err(|error| error.to_string())
}
