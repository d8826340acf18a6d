//! Power cuts. A process does what people do, through the coordinator's rules, while `record.c` writes down every write, sync
//! and acknowledgement in their order. The power is then cut at random places of that record, half of them in and around
//! those where the log is folded into the database: what was synced is there, and of what was not, any part may be, in
//! sectors. After each cut every pair of people must have left what it had after its last acknowledged step, or after the
//! one that was under way: nothing acknowledged is lost, nothing is there by half or twice.
//!
//! A second process does the same with `synchronous=OFF`, and the same judgement must find that some of its cuts lose
//! something: otherwise this test could not fail. Names of files count as durable at once. `JAMSYNC_CUTS` says how many cuts
//! there are, `JAMSYNC_SEED` which.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
};

use disk::Record;
use jamsync_coordinator::store::{SqliteStore, Store, StoreError, View};
use rand::{Rng, SeedableRng, rngs::StdRng};
use script::{LANES, Step};

#[cfg(test)]
mod disk;
#[cfg(test)]
mod script;

const CUTS: usize = 60;
/// Pages after which the log is folded, so that a short run has many folds. A server folds after thousands.
const FOLD_AFTER_PAGES: u32 = 150;
/// How far before and after a fold a cut still counts as one around it. Records.
const AROUND: usize = 6;
/// More than the steps of a lane: a step is acknowledged as this many times its lane, and its number.
const LANE: usize = 10_000;
const FOLDER: &str = "JAMSYNC_TEST_WRITE_INTO";
const UNSYNCED: &str = "JAMSYNC_TEST_UNSYNCED";

/// What every lane does, and the digest of what it has left after each number of steps.
struct Expected {
    scripts: Vec<Vec<Step>>,
    states: Vec<Vec<[u8; 32]>>,
}

/// Lets all lanes go through their steps at once, and says each step once it is acknowledged.
async fn write_all(path: &Path) {
    let store = SqliteStore::open_with(path, env::var_os(UNSYNCED).is_none(), FOLD_AFTER_PAGES);
    let store = store.expect("opens");
    script::open_doors(&store).await;
    let mut lanes = tokio::task::JoinSet::new();
    for lane in 0..LANES {
        let store = store.clone();
        lanes.spawn(async move {
            for (number, step) in script::script(lane).iter().enumerate() {
                script::perform(&store, lane, number, step).await;
                println!("ACK {}", usize::from(lane) * LANE + number);
            }
        });
    }
    while let Some(done) = lanes.join_next().await {
        done.expect("goes through");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_when_the_power_is_cut() {
    if let Some(folder) = env::var_os(FOLDER) {
        return write_all(&PathBuf::from(folder).join("db")).await;
    }
    let number = |name: &str| env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let seed = number("JAMSYNC_SEED").unwrap_or(5);
    let cuts = number("JAMSYNC_CUTS").map_or(CUTS, |cuts| usize::try_from(cuts).expect("fewer"));
    println!("seed {seed}, {cuts} cuts");
    let mut random = StdRng::seed_from_u64(seed);
    let folder = tempfile::tempdir().expect("a folder");
    let expected = Arc::new(expected(&folder.path().join("expected")).await);
    let steps: usize = expected.scripts.iter().map(Vec::len).sum();

    let records = record(&folder.path().join("synced"), true);
    let folds = disk::folds(&records);
    let syncs = syncs_in(&records);
    println!("{steps} steps: {} records, {syncs} syncs, {} folds in the run", records.len(), folds.len());
    assert!(folds.len() >= 3, "the log was hardly ever folded in the run");
    let left = folder.path().join("left");
    let (mut looked_for, mut around) = (0, 0);
    for cut in 0..cuts {
        let at = if cut % 2 == 0 {
            random.random_range(1..=records.len())
        } else {
            let fold = &folds[random.random_range(0..folds.len())];
            around += 1;
            random.random_range(fold.start.saturating_sub(AROUND)..(fold.end + AROUND).min(records.len()))
        };
        // Some cuts keep next to nothing of what was not synced, some next to everything.
        disk::play(&records[..at], random.random_range(0.0..1.0), &mut random, &left);
        let acknowledged = acknowledged_before(&records[..at]);
        looked_for += acknowledged.iter().sum::<usize>();
        let judged = judge(&left, &acknowledged, &expected).await;
        assert_eq!(judged, Ok(()), "cut {cut}, after {at} of {} records", records.len());
    }
    println!(
        "{cuts} cuts, {around} of them in and around folds: {looked_for} acknowledged writes are all there"
    );

    let records = record(&folder.path().join("unsynced"), false);
    assert_eq!(syncs_in(&records), 0, "synchronous=OFF is not in force");
    let mut losses = 0;
    for cut in 0..cuts {
        let at = random.random_range(1..=records.len());
        let acknowledged = acknowledged_before(&records[..at]);
        disk::play(&records[..at], random.random_range(0.0..1.0), &mut random, &left);
        losses += usize::from(judge(&left, &acknowledged, &expected).await.is_err());
        if cut % 8 == 0 {
            disk::play(&records[..at], 1.0, &mut random, &left);
            let judged = judge(&left, &acknowledged, &expected).await;
            assert_eq!(
                judged,
                Ok(()),
                "with all kept that was written, nothing is lost without syncs either"
            );
        }
    }
    println!("with synchronous=OFF {losses} of {cuts} cuts lose something");
    assert!(losses > cuts / 4, "the test could not fail");
}

/// Goes through every lane alone, and looks at it after each step.
async fn expected(folder: &Path) -> Expected {
    fs::create_dir(folder).expect("a folder");
    let store = SqliteStore::open_with(&folder.join("db"), false, FOLD_AFTER_PAGES).expect("opens");
    script::open_doors(&store).await;
    let scripts: Vec<_> = (0..LANES).map(script::script).collect();
    let mut states = Vec::new();
    for (lane, steps) in (0..LANES).zip(&scripts) {
        let look = || async { store.read(move |view| script::state(view, lane)).await.expect("reads") };
        let mut after = vec![look().await];
        for (number, step) in steps.iter().enumerate() {
            script::perform(&store, lane, number, step).await;
            after.push(look().await);
            let shows = after[number] != after[number + 1];
            assert!(
                shows || matches!(step, Step::Acknowledge(_)),
                "step {number} leaves nothing to judge by"
            );
        }
        states.push(after);
    }
    Expected { scripts, states }
}

/// Lets the process go through its steps, and returns what it did.
fn record(folder: &Path, synced: bool) -> Vec<Record> {
    fs::create_dir(folder).expect("a folder");
    let (recorder, into, data) = (folder.join("record.so"), folder.join("record"), folder.join("data"));
    fs::create_dir(&data).expect("a folder");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/power/record.c");
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&recorder).arg(source).arg("-ldl");
    assert!(compiler.status().expect("a C compiler, which the database needs too").success());
    let mut writer = Command::new(env::current_exe().expect("this program"));
    writer
        .args(["--exact", "nothing_acknowledged_is_lost_when_the_power_is_cut", "--nocapture"])
        .env(FOLDER, &data)
        .env("LD_PRELOAD", &recorder)
        .env("RECORD_INTO", &into)
        .env("RECORD_BELOW", &data)
        .stdout(Stdio::null());
    if !synced {
        writer.env(UNSYNCED, "1");
    }
    assert!(writer.status().expect("runs").success());
    disk::parse(&fs::read(&into).expect("a record"))
}

/// The syncs of all files between the first acknowledgement and the last.
fn syncs_in(records: &[Record]) -> usize {
    records[disk::run(records)].iter().filter(|record| matches!(record, Record::Sync { .. })).count()
}

/// How many steps of each lane were acknowledged.
fn acknowledged_before(records: &[Record]) -> Vec<usize> {
    let mut steps = vec![0; usize::from(LANES)];
    for record in records {
        let Record::Said(numbers) = record else { continue };
        for number in numbers {
            steps[number / LANE] = number % LANE + 1;
        }
    }
    steps
}

/// What a cut has spoilt, if anything.
async fn judge(folder: &Path, acknowledged: &[usize], expected: &Arc<Expected>) -> Result<(), String> {
    let failed = |error: StoreError| error.to_string();
    let store = SqliteStore::open(&folder.join("db")).map_err(failed)?;
    let (acknowledged, expected) = (acknowledged.to_owned(), Arc::clone(expected));
    store
        .read(move |view| spoilt(view, &acknowledged, &expected))
        .await
        .map_err(failed)?
        .map_or(Ok(()), Err)?;
    drop(store);
    let file = rusqlite::Connection::open(folder.join("db")).map_err(|error| error.to_string())?;
    let sound = file.query_row("PRAGMA integrity_check(1)", [], |row| row.get::<_, String>(0));
    sound.map_err(|error| error.to_string()).and_then(|said| if said == "ok" { Ok(()) } else { Err(said) })
}

fn spoilt(
    view: &dyn View,
    acknowledged: &[usize],
    expected: &Expected,
) -> Result<Option<String>, StoreError> {
    for (lane, &steps) in (0..LANES).zip(acknowledged) {
        let (script, states) = (&expected.scripts[usize::from(lane)], &expected.states[usize::from(lane)]);
        let state = script::state(view, lane)?;
        // The step under way may have come to its end, without a word.
        let done = [steps + 1, steps].into_iter().find(|&done| states.get(done) == Some(&state));
        let Some(done) = done else {
            let found = states.iter().position(|known| *known == state);
            return Ok(Some(format!("lane {lane}: {steps} steps were acknowledged, {found:?} are there")));
        };
        let asked = (0..done).filter(|&number| matches!(script[number], Step::Ask(..)));
        if script::remembered(view, script)? != asked.collect() {
            return Ok(Some(format!("lane {lane}: not the {done} steps that are there are remembered")));
        }
    }
    let agree = script::doors_agree(view)?;
    Ok((!agree).then(|| "a join code was used without a sign-up, or the other way round".to_owned()))
}
