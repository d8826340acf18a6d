//! What an operator does with the program: configure, reload, look at its health, stop, back up and restore.

use std::fs;

use jamsync_coordinator::{
    data::DataFolder,
    eligibility::AgeRecord,
    env::SystemEnv,
    store::{Account, ContactRow, Store, Tables},
};
use jamsync_protocol::{
    identity::{DeviceLog, DeviceSecret, Tier},
    time::UtcTime,
    wire::coord::{CoordEvent, EventNumber},
};
use rustix::process::Signal;

use crate::served::{self, Served, run, said, text};

#[test]
fn health_and_metrics_are_told_on_loopback_and_a_stop_is_clean() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let served = Served::start(&data, &[]);
    assert!(served.page("/livez").0.contains(" 200 "));
    assert_eq!(served.page("/readyz").1, "ready\n");
    let (status, metrics) = served.page("/metrics");
    assert!(status.contains(" 200 "), "{status}");
    for name in ["jamsync_connections 0", "jamsync_store_failing 0", "jamsync_draining 0"] {
        assert!(metrics.lines().any(|line| line == name), "{name} is not in\n{metrics}");
    }
    let writes = metrics.lines().find_map(|line| line.strip_prefix("jamsync_store_writes_total "));
    assert!(writes.is_some_and(|count| count.parse::<u64>().is_ok_and(|count| count > 0)), "{metrics}");
    assert!(served.stop().iter().any(|line| line.contains("shutting down")));
}

#[test]
fn a_changed_file_is_taken_on_sighup_and_a_wrong_one_is_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let (data, file) = (folder.path().join("data"), folder.path().join("coordinator.toml"));
    fs::write(&file, "minimum_age = 18\n").expect("writes");
    let mut served = Served::start(&data, &["--config", text(&file)]);

    fs::write(&file, "minimum_age = 14\nlisten = \"127.0.0.1:9\"\n").expect("writes");
    served.signal(Signal::HUP);
    let changed = served.hear("setting=\"minimum_age\"");
    assert!(changed.contains("was=minimum_age = 18 is=minimum_age = 14"), "{changed}");
    served.hear("the configuration was read again");

    fs::write(&file, "\nminimum_age = 140\n").expect("writes");
    served.signal(Signal::HUP);
    let refused = served.hear("the configuration is not taken; the one before holds");
    assert!(refused.contains("line 2: `minimum_age` must be a whole number from 0 to 99"), "{refused}");
    assert_eq!(served.page("/readyz").1, "ready\n");

    // Held against what held before, not against what was refused.
    fs::write(&file, "minimum_age = 14\noperations = \"off\"\n").expect("writes");
    served.signal(Signal::HUP);
    served.hear("the configuration was read again");
    assert!(!served.stop().iter().any(|line| line.contains("is=minimum_age = 14 was")));
}

#[test]
fn the_environment_stands_between_flags_and_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("coordinator.toml");
    fs::write(&file, "minimum_age = 18\nrequest_expiry_s = 60\n").expect("writes");
    let mut check = served::coordinator();
    check.args(["check", "--data", text(folder.path()), "--listen", "127.0.0.1:0", "--config", text(&file)]);
    check.env("JAMSYNC_COORDINATOR_MINIMUM_AGE", "21");
    let said = String::from_utf8(check.output().expect("runs").stdout).expect("text");
    let line = |name: &str| said.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_owned();
    assert!(
        line("minimum_age").ends_with("# environment") && line("minimum_age").starts_with("minimum_age = 21")
    );
    assert!(line("request_expiry_s").ends_with("# file, line 2"), "{said}");
    assert!(line("listen").ends_with("# flag"), "{said}");
    assert!(line("tier_default").ends_with("# default"), "{said}");
}

#[test]
fn a_check_says_what_would_keep_it_from_starting() {
    let folder = tempfile::tempdir().expect("a folder");
    let (data, file) = (folder.path().join("data"), folder.path().join("coordinator.toml"));
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
    let listen = taken.local_addr().expect("bound").to_string();
    let bad = run(&["check", "--data", text(&data), "--listen", &listen]);
    assert_eq!(bad.status.code(), Some(1));
    let said = String::from_utf8_lossy(&bad.stdout);
    assert!(
        said.contains("# BAD:  cannot listen on UDP") && said.contains("makes a new coordinator"),
        "{said}"
    );
    assert!(!data.exists(), "a check makes nothing");

    fs::write(&file, "minimumage = 18\n").expect("writes");
    for command in ["check", "serve"] {
        let wrong = run(&[command, "--data", text(&data), "--config", text(&file)]);
        assert_eq!(wrong.status.code(), Some(2));
        let said = String::from_utf8_lossy(&wrong.stderr);
        assert!(said.contains("coordinator.toml, line 1: `minimumage` is no setting"), "{said}");
    }
    assert_eq!(run(&["check"]).status.code(), Some(1), "no folder is named");
    assert_eq!(run(&["serve"]).status.code(), Some(2), "no folder is named");
    assert_eq!(run(&["serve", "--operations", "0.0.0.0:80"]).status.code(), Some(2));
}

#[test]
fn the_folder_may_stand_in_the_file_for_every_command() {
    let folder = tempfile::tempdir().expect("a folder");
    let (data, file) = (folder.path().join("data"), folder.path().join("coordinator.toml"));
    fs::write(&file, format!("data = {:?}\npublic = [\"jam.example:4470\"]\n", text(&data))).expect("writes");
    let served = Served::start(&data, &["--config", text(&file)]);
    let config = ["--config", text(&file)];
    assert!(!said(&[&["join-code"][..], &config].concat()).is_empty());
    assert_eq!(said(&[&["account", "list"][..], &config].concat()), "");
    assert!(said(&[&["check", "--listen", "127.0.0.1:0"][..], &config].concat()).contains("serves"));
    assert!(said(&[&["verify"][..], &config].concat()).contains("is sound"));
    let migrated = run(&[&["migrate"][..], &config].concat());
    assert_eq!(migrated.status.code(), Some(6), "not beside a server: {migrated:?}");
    drop(served.stop());
    assert_eq!(said(&[&["migrate"][..], &config].concat()), "Nothing to do.\n");
}

#[test]
fn a_backup_of_a_running_server_is_restored_as_the_same_coordinator() {
    let folder = tempfile::tempdir().expect("a folder");
    let [data, copy, again] = ["data", "copy", "again"].map(|name| folder.path().join(name));
    let served = Served::start(&data, &["--public", "jam.example:4470"]);
    let code = said(&["join-code", "--data", text(&data)]);
    let made = said(&["backup", "--data", text(&data), "--to", text(&copy)]);
    assert!(made.contains("0 accounts"), "{made}");
    let twice = run(&["backup", "--data", text(&data), "--to", text(&copy)]);
    assert_eq!(twice.status.code(), Some(1));
    drop(served.stop());
    said(&["restore", "--from", text(&copy), "--data", text(&again)]);
    said(&["verify", "--data", text(&again)]);
    let served = Served::start(&again, &["--public", "jam.example:4470"]);
    let after = said(&["join-code", "--data", text(&again)]);
    // Addresses and key stand before the secret, which is new each time.
    let shared = code.chars().zip(after.chars()).take_while(|(before, after)| before == after).count();
    assert!(shared > 40, "another coordinator:\n{code}{after}");
    drop(served.stop());

    fs::write(copy.join("coordinator.sqlite"), b"not a database").expect("writes");
    let damaged = run(&["verify", "--data", text(&data), "--backup", text(&copy)]);
    assert_eq!(damaged.status.code(), Some(8), "{damaged:?}");
}

/// Somebody with one device.
fn person(seed: u8) -> Account {
    let log = DeviceLog::found(&DeviceSecret::from_seed(&[seed; 32]), [seed; 16]);
    Account {
        id: log.account(),
        handle: format!("person{seed}").parse().expect("a handle"),
        tier: Tier::Premium,
        age: AgeRecord { met: 16, birth_date: None },
        market: "DE".parse().expect("a country"),
        created: UtcTime::ZERO,
        log: log.as_log().clone(),
        opted_out: false,
    }
}

#[tokio::test]
async fn who_was_deleted_since_a_backup_is_deleted_again_after_a_restore() {
    let folder = tempfile::tempdir().expect("a folder");
    let [data, copy, again] = ["data", "copy", "again"].map(|name| folder.path().join(name));
    let store = DataFolder::open(&data, &SystemEnv).expect("opens").store;
    let (ana, ben) = (person(1), person(2));
    let (gone, friend) = (ana.id, DeviceSecret::from_seed(&[2; 32]).public());
    let befriend = move |tables: &mut dyn Tables| {
        tables.insert_account(&ana)?;
        tables.insert_account(&ben)?;
        [(ana.id, ben.id), (ben.id, ana.id)].into_iter().try_for_each(|(of, with)| {
            let (accepted, vouch, blocked, muted, removed) = (None, None, false, false, false);
            let since = UtcTime::ZERO;
            tables.put_contact(&ContactRow { of, with, accepted, vouch, blocked, muted, removed, since })
        })
    };
    store.write(befriend).await.expect("written");
    said(&["backup", "--data", text(&data), "--to", text(&copy)]);
    said(&["account", "delete", "person1", "--data", text(&data)]);
    said(&["restore", "--from", text(&copy), "--data", text(&again)]);
    let listed = |place| said(&["account", "list", "--data", text(place)]);
    assert!(!listed(&data).contains("person1") && listed(&again).contains("person1"));
    let deleted = said(&["--json", "account", "delete", "person1", "--data", text(&again)]);
    assert_eq!(deleted, "{\"deleted\":\"person1\"}\n");
    assert!(!listed(&again).contains("person1") && listed(&again).contains("person2"));
    let twice = run(&["account", "delete", "person1", "--data", text(&again)]);
    assert_eq!(twice.status.code(), Some(7), "{twice:?}");
    said(&["verify", "--data", text(&again)]);
    // The friend hears of it when it comes back.
    let store = DataFolder::open_existing(&again).expect("opens").store;
    let told = store.read(move |view| view.events_after(friend, EventNumber(0), 9)).await.expect("reads");
    let told: Vec<_> = told.into_iter().map(|kept| kept.event).collect();
    assert_eq!(told, [CoordEvent::ContactRemoved { account: gone }]);
}
