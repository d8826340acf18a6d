//! Who may not is told why, with the exit status of a refusal.

use jamsync_node::api::{ErrorCode, Event};

use super::stage::{Friends, Stage, befriend, in_step};

#[test]
fn a_free_requester_is_refused_and_may_be_asked() {
    let mut friends = Friends::meet();
    friends.stage.operate("account", &["tier", "ana", "free"]);
    let reason = friends.ana.fails(&["request", "ben"], ErrorCode::Refused);
    assert!(reason.contains("Premium"), "{reason}");
    let mark = friends.ana.mark();
    friends.ben.run(&["request", "ana"]);
    friends
        .ana
        .event_since(mark, "the request", |event| matches!(event, Event::RequestOpened { .. }).then_some(()));
    friends.ana.run(&["accept"]);
    friends.ben.event("the Jam", |event| matches!(event, Event::JamStarted { .. }).then_some(()));
}

#[test]
fn a_fifteen_year_old_and_a_stranger_are_refused_with_the_reason() {
    let stage = Stage::set();
    let this_year = 1970 + days_since_1970() / 366;
    let ana = stage.person("ana", "1990-05-17");
    let mut kid = stage.person("kid", &format!("{}-01-01", this_year - 14));
    befriend(&ana, &mut kid);
    let reason = kid.fails(&["request", "ana"], ErrorCode::Refused);
    assert!(reason.contains("16"), "{reason}");
    stage.person("carl", "1990-05-17");
    let reason = ana.fails(&["request", "carl"], ErrorCode::Refused);
    assert!(reason.contains("carl") && reason.contains("contact"), "{reason}");
    assert!(ana.status().requests.is_empty() && ana.status().jam.is_none());
}

#[test]
fn a_guest_is_refused_while_the_host_has_guest_controls_off() {
    let mut friends = Friends::meet();
    let music = friends.stage.music(3, 30);
    friends.begin_jam_with(&music);
    let mark = friends.ana.mark();
    friends.ben.run(&["guests", "off"]);
    friends.ana.event_since(mark, "the switch", |event| {
        matches!(event, Event::GuestControls { allowed: false }).then_some(())
    });
    for refused in [&["pause"][..], &["seek", "10"], &["skip"], &["guests", "on"]] {
        let reason = friends.ana.fails(refused, ErrorCode::Refused);
        assert!(reason.contains("host"), "{refused:?}: {reason}");
    }
    friends.hear("the music, undisturbed", |now| now.playing && now.title.as_str() == "Piece 1");
    let mark = friends.ana.mark();
    friends.ben.run(&["guests", "on"]);
    friends.ana.event_since(mark, "the switch", |event| {
        matches!(event, Event::GuestControls { allowed: true }).then_some(())
    });
    friends.ana.run(&["skip"]);
    friends.hear("the guest's skip", |now| now.title.as_str() == "Piece 2");
}

#[test]
fn one_jam_at_a_time_and_after_leaving_the_next_begins() {
    let mut friends = Friends::meet();
    let mut carl = friends.stage.person("carl", "1990-05-17");
    befriend(&friends.ben, &mut carl);
    let music = friends.stage.music(1, 60);
    friends.begin_jam_with(&music);
    let mark = friends.ben.mark();
    carl.run(&["request", "ben"]);
    let opened = |event: &Event| matches!(event, Event::RequestOpened { .. }).then_some(());
    friends.ben.event_since(mark, "the second request", opened);
    for refused in ["request", "accept"] {
        let reason = friends.ben.fails(&[refused, "carl"], ErrorCode::InJam);
        assert!(reason.contains("ana") && reason.contains("`jamsync leave`"), "{reason}");
    }
    assert_eq!(friends.ben.status().requests.len(), 1, "it stays open");
    friends.hear("the Jam, undisturbed", |now| now.playing && now.title.as_str() == "Piece 1");
    assert!(friends.ana.status().jam.is_some());

    friends.ben.run(&["leave"]);
    friends.ben.run(&["accept"]);
    for node in [&mut friends.ben, &mut carl] {
        node.until("the next Jam stands", |node| in_step(&node.status()).then_some(()));
    }
    let with = |node: &super::node::Node| node.status().jam.map(|jam| jam.with.to_string());
    assert_eq!(with(&friends.ben).as_deref(), Some("carl"));
    assert_eq!(with(&friends.ana), None);
    friends.assert_sound();
}

/// Rounded so that dividing by 366 never names a later year than this one.
fn days_since_1970() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.expect("the calendar is set").as_secs() / 86_400
}
