//! A running Jam does not need its coordinator.

use std::{
    collections::VecDeque,
    env,
    path::PathBuf,
    time::{Duration, Instant},
};

use jamsync_node::{
    api::{AccountDevice, Contact, Coordinator, ErrorCode, Event, Reply},
    net::coordinator::REQUEST_TIME_MAX,
};
use jamsync_protocol::time::UtcTime;

use super::{
    chat::{hears, say},
    node::{Node, jamsync},
    stage::{Friends, now, titles},
};

/// How long at least: one round of everything where `JAMSYNC_DEAD_SECONDS` does not say otherwise.
fn dead_for() -> Duration {
    let seconds =
        env::var("JAMSYNC_DEAD_SECONDS").ok().map(|text| text.parse().expect("a number of seconds"));
    Duration::from_secs(seconds.unwrap_or(0))
}

#[test]
fn killing_the_coordinator_changes_nothing_for_the_listeners() {
    let mut friends = Friends::meet();
    let music = friends.stage.music(4, 40);
    friends.begin_jam_with(&music[..3]);
    let marks = [friends.ana.mark(), friends.ben.mark()];

    friends.stage.kill_coordinator();
    let until = Instant::now() + dead_for();
    let mut next = VecDeque::from(["Piece 2", "Piece 3"]);
    friends.ana.run(&["library", "add", &music[3].display().to_string()]);
    for round in 1.. {
        friends.ana.run(&["pause"]);
        friends.hear("a pause", |now| !now.playing);
        friends.ben.run(&["resume"]);
        friends.hear("music again", |now| now.playing);
        friends.ana.run(&["seek", "20"]);
        friends.hear("the place", |now| now.position.as_millis() >= 20_000 && now.playing);
        friends.ben.run(&[PathBuf::from("queue"), "add".into(), music[3].clone()]);
        next.push_back("Piece 4");
        friends.agree("an edit without a coordinator", |queue| next.iter().eq(&titles(queue)));
        // No more often than a person can.
        if round % 8 == 1 {
            let text = format!("still here, for the {round}th time");
            say(&friends.ben, &text);
            hears(&mut friends.ana, marks[0], &text);
        }
        friends.ana.run(&["skip"]);
        let first = next.pop_front().expect("one was added");
        friends.hear("the next one", |now| now.title.as_str() == first && now.playing);
        if Instant::now() >= until {
            eprintln!("{round} rounds without a coordinator");
            break;
        }
    }

    for (node, mark) in [&mut friends.ana, &mut friends.ben].into_iter().zip(marks) {
        let harm = node.events_since(mark).iter().find(|event| {
            matches!(event, Event::PeerLost { .. } | Event::Reanchored { .. } | Event::JamEnded { .. })
        });
        let harm = harm.cloned();
        assert_eq!(harm, None, "{}", node.name);
        assert_eq!(node.status().output.underruns, 0, "{}", node.name);
    }
    let reason = friends.ana.fails(&["link"], ErrorCode::Unreachable);
    assert!(reason.contains("coordinator"), "{reason}");

    // It comes back, and so does what needs it, without harm to the Jam.
    friends.stage.start_coordinator();
    friends.ana.until("a link is made again", |ana| ana.try_run(&["link"]).ok());
    assert!(friends.ana.status().jam.is_some());
    friends.ana.run(&["leave"]);
    friends.ben.event("the guest's leaving", |event| matches!(event, Event::JamEnded { .. }).then_some(()));
    friends.begin_jam();
    friends.assert_sound();
}

/// The contacts, and from when that is where it is not live.
fn contacts(node: &Node) -> (Vec<Contact>, Option<UtcTime>) {
    match node.run(&["contacts"]) {
        Reply::Contacts { contacts, as_of } => (contacts, as_of),
        other => panic!("no contacts, but {other:?}"),
    }
}

/// The account's devices, and from when that is where it is not live.
fn devices(node: &Node) -> (Vec<AccountDevice>, Option<UtcTime>) {
    match node.run(&["account", "devices"]) {
        Reply::AccountDevices { devices, as_of } => (devices, as_of),
        other => panic!("no devices, but {other:?}"),
    }
}

#[test]
fn a_node_shows_what_it_knows_of_contacts_and_devices_with_its_age_while_the_coordinator_is_away() {
    let Friends { mut ana, ben, mut stage } = Friends::meet();
    let before = now();
    let (live, as_of) = contacts(&ana);
    let after = now();
    assert_eq!((live.len(), live[0].handle.as_str(), live[0].online), (1, "ben", Some(true)));
    assert_eq!(as_of, None, "it is live");

    let (own, as_of) = devices(&ana);
    assert_eq!((own.len(), own[0].online, own[0].this, as_of), (1, Some(true), true, None));
    let asked = now();
    stage.kill_coordinator();
    let (known, as_of) = contacts(&ana);
    assert_eq!(known, live, "as it was told last");
    let told = as_of.expect("it is not live");
    // Printed in whole milliseconds.
    assert!((before - told).as_millis() <= 1 && told <= after, "{before:?}, {told:?}, {after:?}");
    let output = jamsync(&ana.home).arg("contacts").output().expect("runs");
    let words = String::from_utf8_lossy(&output.stdout).into_owned();
    println!("{words}");
    let lines: Vec<_> = words.lines().collect();
    assert!(lines[0].starts_with("ben") && lines[0].ends_with("online"), "{words}");
    assert!(lines[1].contains("does not answer") && lines[1].contains("as of ") && lines[1].contains(" ago"));

    // Once that is known nobody waits for it.
    ana.until("it is known to be away", |ana| {
        matches!(ana.status().coordinator, Coordinator::Offline { .. }).then_some(())
    });
    let begun = Instant::now();
    assert_eq!(contacts(&ana), (known, Some(told)));
    let (known, as_of) = devices(&ana);
    assert_eq!(known, own, "as it was told last");
    assert!(as_of.is_some_and(|as_of| as_of <= asked), "{as_of:?}");
    assert!(begun.elapsed() < REQUEST_TIME_MAX / 2, "{:?}", begun.elapsed());
    let output = jamsync(&ana.home).args(["account", "devices"]).output().expect("runs");
    let words = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines: Vec<_> = words.lines().collect();
    assert!(lines[0].ends_with("this device") && lines[1].contains("does not answer"), "{words}");

    // The age outlives the node, presence does not.
    ana.assert_sound();
    ana = Node::start("ana", ana.kill());
    let (known, as_of) = contacts(&ana);
    assert_eq!(known, [Contact { online: None, ..live[0].clone() }]);
    assert!(as_of.is_some_and(|as_of| as_of <= after), "{as_of:?}");
    let (known, as_of) = devices(&ana);
    assert_eq!(known, [AccountDevice { online: None, ..own[0].clone() }]);
    assert!(as_of.is_some_and(|as_of| as_of <= asked), "{as_of:?}");
    stage.start_coordinator();
    ana.until("it is live again", |ana| (contacts(ana) == (live.clone(), None)).then_some(()));
    assert_eq!(devices(&ana), (own, None));
    ana.assert_sound();
    drop(ben);
}
