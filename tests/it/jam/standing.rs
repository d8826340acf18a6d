//! Blocking, muting, removing and reporting a friend, and opting out, by the commands that people type; what came of it
//! is judged by what the other side's device says.

use jamsync_node::api::{Contact, ErrorCode, Event, JamEnd, Reply, RequestOutcome};

use super::{
    node::Node,
    prompt::{Stopwatch, promptly},
    stage::{Friends, closed, in_step, opened},
};

fn contact(node: &Node, name: &str) -> Option<Contact> {
    match node.run(&["contacts"]) {
        Reply::Contacts { contacts, .. } => contacts.into_iter().find(|known| known.handle.as_str() == name),
        other => panic!("no contacts, but {other:?}"),
    }
}

fn ended(event: &Event) -> Option<JamEnd> {
    match event {
        Event::JamEnded { reason, .. } => Some(reason.clone()),
        _ => None,
    }
}

#[test]
fn a_block_ends_a_running_jam_within_a_second_and_says_nothing_of_itself() {
    let mut friends = Friends::meet();
    let music = friends.stage.music(1, 60);
    friends.begin_jam_with(&music);
    promptly(|_| {
        if friends.ana.status().jam.is_none() {
            friends.begin_jam();
        }
        let prompt = block_in_a_jam(&mut friends);
        friends.ana.run(&["contacts", "unblock", "ben"]);
        prompt
    });
    friends.begin_jam();
    friends.assert_sound();
}

/// Ana blocks Ben in their Jam: whether his node tells of its end at once.
fn block_in_a_jam(friends: &mut Friends) -> bool {
    let mark = friends.ben.mark();
    let mut watch = Stopwatch::start();
    friends.ana.run(&["contacts", "block", "ben"]);
    watch.succeeded();
    let reason = friends.ben.event_since(mark, "the end of the Jam", ended);
    watch.note("the blocked friend's Jam ended");
    let prompt = watch.was_prompt();
    assert_eq!(reason, JamEnd::PeerLeft, "as if she had left");
    let missed = friends.ben.events_since(mark).iter().any(|event| matches!(event, Event::PeerLost { .. }));
    assert!(!missed, "the Jam was closed, not lost");
    assert!(friends.ana.status().jam.is_none());
    assert_eq!(contact(&friends.ben, "ana").and_then(|ana| ana.online), Some(false));
    let reason = friends.ben.fails(&["request", "ana"], ErrorCode::Refused);
    assert!(reason.contains("cannot take part") && !reason.contains("block"), "{reason}");
    let reason = friends.ana.fails(&["request", "ben"], ErrorCode::Refused);
    assert!(reason.contains("unblock"), "{reason}");
    for event in friends.ben.events_since(mark) {
        let told = format!("{event:?}").to_lowercase();
        assert!(!told.contains("block"), "{told}");
    }
    assert!(contact(&friends.ana, "ben").is_some_and(|ben| ben.blocked));
    prompt
}

#[test]
fn a_block_acts_without_the_coordinator_and_is_told_when_it_is_back() {
    let mut friends = Friends::meet();
    friends.begin_jam();
    friends.stage.kill_coordinator();
    let mark = friends.ben.mark();
    let reason = friends.ana.fails(&["contacts", "block", "ben"], ErrorCode::Unreachable);
    assert!(reason.contains("done on this device"), "{reason}");
    assert_eq!(friends.ben.event_since(mark, "the end of the Jam", ended), JamEnd::PeerLeft);
    friends.stage.start_coordinator();
    friends.ben.until("Ana is closed to him", |ben| {
        let refused = ben.try_run(&["request", "ana"]).err()?;
        refused.message.contains("cannot take part").then_some(())
    });
    friends.assert_sound();
}

#[test]
fn a_muted_friend_waits_without_ringing_and_a_removed_one_is_gone_on_both_sides() {
    let mut friends = Friends::meet();
    friends.ana.run(&["contacts", "mute", "ben"]);
    let mark = friends.ana.mark();
    friends.ben.run(&["request", "ana"]);
    friends.ana.until("the request waits", |ana| (ana.status().requests.len() == 1).then_some(()));
    assert!(friends.ana.events_since(mark).iter().all(|event| opened(event).is_none()), "nothing rings");
    friends.ana.run(&["accept", "ben"]);
    for node in [&mut friends.ana, &mut friends.ben] {
        node.until("the Jam stands", |node| in_step(&node.status()).then_some(()));
    }
    friends.ana.run(&["leave"]);
    friends.ana.run(&["contacts", "unmute", "ben"]);
    assert!(contact(&friends.ana, "ben").is_some_and(|ben| !ben.muted));

    let mark = friends.ben.mark();
    friends.ana.run(&["contacts", "remove", "ben"]);
    friends.ben.event_since(mark, "the removal", |event| {
        matches!(event, Event::ContactRemoved { .. }).then_some(())
    });
    assert!(contact(&friends.ben, "ana").is_none() && contact(&friends.ana, "ben").is_none());
    let reason = friends.ben.fails(&["request", "ana"], ErrorCode::Refused);
    assert!(reason.contains("not among your contacts"), "{reason}");
    let unknown = friends.ana.fails(&["contacts", "block", "ben"], ErrorCode::NotFound);
    assert!(unknown.contains("ben"), "{unknown}");
    friends.assert_sound();
}

#[test]
fn a_complaint_discloses_what_the_reporter_chose_and_opting_out_closes_the_door() {
    let mut friends = Friends::meet();
    friends.begin_jam();
    let mark = friends.ana.mark();
    friends.ben.run(&["say", "one"]);
    friends.ben.run(&["say", "two"]);
    for _ in 0..2 {
        friends.ana.event("what Ben says", |event| matches!(event, Event::Said(_)).then_some(()));
    }
    let to_ben = friends.ben.mark();
    friends.ana.run(&["contacts", "report", "ben", "--reason", "harassment", "--chat", "1", "again"]);
    friends.ana.run(&["contacts", "report", "ben", "--reason", "spam", "only", "words"]);
    let reports = friends.stage.operate("report", &["list", "--json"]);
    let reports: Vec<serde_json::Value> =
        reports.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!((&reports[0]["by"], &reports[0]["about"]), (&"ana".into(), &"ben".into()));
    let words = reports[0]["words"].as_str().expect("text");
    assert!(words.starts_with("again") && words.contains("two") && !words.contains("one"), "{words}");
    assert_eq!(reports[1]["words"], "only words");
    friends.stage.operate("report", &["close", "1"]);
    assert_eq!(friends.stage.operate("report", &["list", "--json"]).lines().count(), 1);
    assert!(friends.ben.events_since(to_ben).is_empty(), "he hears nothing of it");
    friends.ana.run(&["leave"]);
    friends.ana.event_since(mark, "the end", ended);

    let mark = friends.ben.mark();
    friends.ben.run(&["request", "ana"]);
    friends.ana.event("the request", opened);
    friends.ana.run(&["account", "opt-out"]);
    assert_eq!(friends.ben.event_since(mark, "the answer", closed), RequestOutcome::Declined);
    let reason = friends.ben.fails(&["request", "ana"], ErrorCode::Refused);
    assert!(reason.contains("cannot take part"), "{reason}");
    let reason = friends.ana.fails(&["request", "ben"], ErrorCode::Refused);
    assert!(reason.contains("opt-in"), "{reason}");
    friends.ana.run(&["account", "opt-in"]);
    friends.begin_jam();
    friends.assert_sound();
}
