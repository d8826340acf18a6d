//! Tests of backups: complete or not there, held against their digests, and never written over anything.

use jamsync_protocol::{
    id::DeviceKey,
    wire::coord::{CoordEvent, EventNumber, RequestId},
};

use proptest::{prelude::*, sample::Index};

use super::*;
use crate::{
    data::DataFolder,
    env::SystemEnv,
    store::{SqliteStore, Store, fixture::person},
};

const EVENT: CoordEvent = CoordEvent::RequestExpired { request: RequestId([0; 16]) };

async fn account(store: &SqliteStore, seed: u8) -> DeviceKey {
    let (account, log) = person(seed);
    store.write(move |tables| tables.insert_account(&account)).await.expect("writes");
    log.devices()[0]
}

async fn tell(store: &SqliteStore, device: DeviceKey) -> EventNumber {
    store.write(move |tables| tables.push_event(device, &EVENT)).await.expect("writes")
}

fn contents(accounts: u64, events: u64) -> Contents {
    let schema = crate::store::archive::newest();
    Contents { schema, accounts, devices: accounts, contacts: 0, events }
}

#[tokio::test]
async fn a_backup_beside_a_server_holds_one_moment_and_a_restore_gives_it_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let [data, copy, again] = ["data", "copy", "again"].map(|name| folder.path().join(name));
    let served = DataFolder::open(&data, &SystemEnv).expect("opens");
    let device = account(&served.store, 1).await;
    tell(&served.store, device).await;
    assert_eq!(create(&data, &copy, &SystemEnv).expect("a backup"), contents(1, 1));
    // What comes later is not in it.
    account(&served.store, 2).await;
    let last = tell(&served.store, device).await;
    assert_eq!(verify(&data).expect("sound beside a server"), contents(2, 2));
    assert_eq!(verify(&copy).expect("sound"), contents(1, 1));

    assert_eq!(restore(&copy, &again).expect("a restore"), contents(1, 1));
    let restored = DataFolder::open(&again, &SystemEnv).expect("opens");
    assert_eq!(restored.secret.public(), served.secret.public());
    let kept = restored.store.read(move |view| view.events_after(device, EventNumber(0), 9)).await;
    assert_eq!(kept.expect("reads").len(), 1, "what waited before the backup waits still");
    let next = tell(&restored.store, device).await;
    assert!(next > last, "{next:?} is one that the device has seen, as {last:?}");
}

#[test]
fn only_its_owner_reads_a_backup() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().expect("a folder");
    let [data, copy] = ["data", "copy"].map(|name| folder.path().join(name));
    drop(DataFolder::open(&data, &SystemEnv).expect("opens"));
    create(&data, &copy, &SystemEnv).expect("a backup");
    let mode = |path: &Path| fs::metadata(path).expect("is there").permissions().mode() & 0o777;
    assert_eq!(mode(&copy), 0o700);
    for name in [KEY_FILE, DATABASE_FILE, MANIFEST_FILE] {
        assert_eq!(mode(&copy.join(name)), 0o600, "{name}");
    }
}

#[test]
fn what_root_restores_belongs_to_the_server_whose_place_it_is() {
    use std::os::unix::fs::chown;
    let folder = tempfile::tempdir().expect("a folder");
    let [data, copy, place] = ["data", "copy", "place"].map(|name| folder.path().join(name));
    drop(DataFolder::open(&data, &SystemEnv).expect("opens"));
    create(&data, &copy, &SystemEnv).expect("a backup");
    fs::create_dir(&place).expect("a folder");
    // Whoever is not root cannot, and then all that is made is theirs in any case.
    drop(chown(&place, Some(4_470), Some(4_471)));
    let again = place.join("data");
    restore(&copy, &again).expect("a restore");
    // A command in between, as root too, makes files that the server opens.
    drop(DataFolder::open_existing(&again).expect("opens"));
    let inside = fs::read_dir(&again).expect("reads").flatten().map(|entry| entry.path());
    let made: Vec<_> = inside.chain([again.clone()]).collect();
    assert!(made.len() > 4, "{made:?}");
    for path in made {
        assert_eq!(owner(&path), owner(&place), "{}", path.display());
    }
}

#[test]
fn nothing_that_is_there_is_written_over() {
    let folder = tempfile::tempdir().expect("a folder");
    let [data, copy] = ["data", "copy"].map(|name| folder.path().join(name));
    drop(DataFolder::open(&data, &SystemEnv).expect("opens"));
    create(&data, &copy, &SystemEnv).expect("a backup");
    assert!(matches!(create(&data, &copy, &SystemEnv), Err(BackupError::Exists(_))));
    assert!(matches!(restore(&copy, &data), Err(BackupError::Exists(_))));
    let empty = folder.path().join("empty");
    fs::create_dir(&empty).expect("a folder");
    restore(&copy, &empty).expect("an empty folder is as good as none");
    let left = fs::read_dir(folder.path()).expect("reads").flatten().map(|entry| entry.file_name());
    assert!(left.into_iter().all(|name| !name.to_string_lossy().contains("unfinished")));
}

#[test]
fn damage_is_named_and_nothing_is_restored_from_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let [data, copy, again] = ["data", "copy", "again"].map(|name| folder.path().join(name));
    drop(DataFolder::open(&data, &SystemEnv).expect("opens"));
    for damaged in [KEY_FILE, DATABASE_FILE, MANIFEST_FILE] {
        create(&data, &copy, &SystemEnv).expect("a backup");
        let mut bytes = fs::read(copy.join(damaged)).expect("reads");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x20;
        fs::write(copy.join(damaged), bytes).expect("writes");
        let refused = restore(&copy, &again).expect_err("damaged").to_string();
        let named = if damaged == MANIFEST_FILE { "copy" } else { damaged };
        assert!(refused.contains(named) && refused.contains("damaged"), "{refused}");
        assert!(!again.exists());
        fs::remove_dir_all(&copy).expect("removes");
    }
    let refused = restore(&data, &again).expect_err("no backup").to_string();
    assert!(refused.contains("it is no backup"), "{refused}");
}

#[test]
fn a_database_that_was_scribbled_on_is_not_called_sound() {
    let folder = tempfile::tempdir().expect("a folder");
    drop(DataFolder::open(folder.path(), &SystemEnv).expect("opens"));
    let path = folder.path().join(DATABASE_FILE);
    let connection = rusqlite::Connection::open(&path).expect("opens");
    connection
        .execute_batch("INSERT INTO events (device, number, body) VALUES (zeroblob(32), 1, x'ff')")
        .expect("writes");
    drop(connection);
    let refused = verify(folder.path()).expect_err("no event").to_string();
    assert!(refused.contains("unreadable event"), "{refused}");
    let mut bytes = fs::read(&path).expect("reads");
    bytes[4_096..4_200].fill(0xa5);
    fs::write(&path, bytes).expect("writes");
    assert!(matches!(verify(folder.path()), Err(BackupError::Damaged { .. })));
}

#[test]
fn a_newer_database_is_neither_copied_nor_called_sound() {
    let folder = tempfile::tempdir().expect("a folder");
    let [data, copy] = ["data", "copy"].map(|name| folder.path().join(name));
    drop(DataFolder::open(&data, &SystemEnv).expect("opens"));
    let connection = rusqlite::Connection::open(data.join(DATABASE_FILE)).expect("opens");
    connection.execute_batch("PRAGMA user_version = 999").expect("sets");
    drop(connection);
    for outcome in [create(&data, &copy, &SystemEnv), verify(&data)] {
        let newer = outcome.expect_err("newer");
        assert!(matches!(newer, BackupError::Newer { actual: 999, .. }), "{newer}");
        assert!(newer.to_string().contains("install that version"), "{newer}");
    }
    assert!(!copy.exists());
}

#[test]
fn a_damaged_manifest_says_the_same_or_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let [data, copy] = ["data", "copy"].map(|name| folder.path().join(name));
    drop(DataFolder::open(&data, &SystemEnv).expect("opens"));
    create(&data, &copy, &SystemEnv).expect("a backup");
    let path = copy.join(MANIFEST_FILE);
    let whole = fs::read(&path).expect("reads");
    let said = |bytes: &[u8]| {
        let manifest: Manifest = toml::from_slice(bytes).expect("a manifest");
        (manifest.format, manifest.key, manifest.database)
    };
    let changes = prop::collection::vec((any::<Index>(), any::<u8>(), 0u8..3), 0..4);
    proptest!(ProptestConfig::with_cases(200), |(changes in changes)| {
        let mut bytes = whole.clone();
        for (at, byte, how) in changes {
            let at = at.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => drop(bytes.remove(at)),
            }
        }
        fs::write(&path, &bytes).expect("writes");
        match verify(&copy) {
            Ok(_) => prop_assert_eq!(said(&bytes), said(&whole)),
            Err(BackupError::Damaged { path, .. } | BackupError::Unusable { path, .. }) => {
                prop_assert!(path.starts_with(&copy), "{}", path.display());
            }
            Err(other) => prop_assert!(false, "{other}"),
        }
    });
}
