//! Who gives the order: handed over, taken over from a host that left, fell silent or was killed, and one host again
//! once both are there.

use std::path::PathBuf;

use jamsync_examples::link::{PathConfig, forwarder::Forwarder};
use jamsync_node::api::{AnchorCause, Event, JamEnd, Role, RoleWhy, Who};
use jamsync_protocol::time::Span;
use rustix::process::Signal;

use super::{
    node::Node,
    stage::{Friends, cut, in_step, piece, titles},
};

/// Waits until the node is told of its new part.
fn becomes(node: &mut Node, mark: usize, role: Role, why: RoleWhy) {
    let told = Event::RoleChanged { role, why };
    node.event_since(mark, &format!("{told:?}"), |event| (*event == told).then_some(()));
    assert_eq!(node.status().jam.map(|jam| jam.role), Some(role), "{}", node.name);
}

fn roles(friends: &Friends) -> [Option<Role>; 2] {
    [&friends.ana, &friends.ben].map(|node| node.status().jam.map(|jam| jam.role))
}

fn plays(now: &jamsync_node::api::NowPlaying) -> bool {
    now.playing && now.title.as_str() == "Piece 1"
}

fn add(file: &std::path::Path) -> [PathBuf; 3] {
    ["queue".into(), "add".into(), file.to_owned()]
}

fn until_in_step(friends: &mut Friends) {
    for node in [&mut friends.ana, &mut friends.ben] {
        node.until("both are in step", |node| in_step(&node.status()).then_some(()));
    }
}

#[test]
fn a_host_hands_over_and_both_stay() {
    let mut friends = Friends::meet();
    let music = friends.stage.music(3, 120);
    friends.begin_jam_with(&music);
    let marks = [friends.ana.mark(), friends.ben.mark()];
    let refused = friends.ana.fails(&["hand-over"], jamsync_node::api::ErrorCode::Refused);
    assert!(refused.contains("host"), "{refused}");
    friends.ben.run(&["hand-over"]);
    becomes(&mut friends.ana, marks[0], Role::Host, RoleWhy::Agreed);
    becomes(&mut friends.ben, marks[1], Role::Guest, RoleWhy::Agreed);
    friends.hear("the music, all the while", plays);
    friends.ben.run(&["queue", "remove", "1"]);
    friends.agree("the new guest's edit", |queue| titles(queue) == ["Piece 3"]);
    friends.ana.run(&["guests", "off"]);
    friends.ben.until("the new host's switch", |ben| {
        ben.status().jam.is_some_and(|jam| !jam.guest_controls).then_some(())
    });
    let stopped =
        friends.ana.events_since(marks[0]).iter().any(|event| matches!(event, Event::Anchor { .. }));
    assert!(!stopped, "nothing was done to the music");
    friends.assert_sound();
}

#[test]
fn when_the_host_leaves_the_guest_plays_on_and_gets_its_own_music_back_by_leaving_too() {
    let mut friends = Friends::meet();
    let music = friends.stage.music(4, 120);
    friends.ana.run(&[PathBuf::from("play"), music[3].clone()]);
    friends.begin_jam_with(&music[..3]);
    let mark = friends.ana.mark();
    friends.ben.run(&["leave"]);
    let waits = friends.ana.event_since(mark, "the host's leaving", |event| match event {
        Event::JamEnded { reason: JamEnd::PeerLeft, own_music_waits, .. } => Some(*own_music_waits),
        _ => None,
    });
    assert!(waits);
    let ana = friends.ana.status();
    assert!(ana.jam.is_none() && ana.own_music_waits);
    assert_eq!(titles(&ana.queue), ["Piece 2", "Piece 3"]);
    assert!(ana.now.is_some_and(|now| plays(&now)));
    friends.ana.run(&["skip"]);
    friends.ana.until("it is hers to skip", |ana| {
        ana.status().now.is_some_and(|now| now.playing && now.title.as_str() == "Piece 2").then_some(())
    });
    let harm = friends.ana.events_since(mark).iter().any(|event| matches!(event, Event::Reanchored { .. }));
    assert!(!harm, "the music went on as it was");
    friends.ana.run(&["leave"]);
    let ana = friends.ana.status();
    let now = ana.now.expect("her own track");
    assert_eq!((now.title.as_str(), now.playing, now.added_by), ("Piece 4", false, Who::You));
    assert!(!ana.own_music_waits && ana.queue.is_empty());
    friends.begin_jam();
    friends.assert_sound();
}

#[test]
fn a_guest_takes_over_from_a_host_that_was_killed_and_stays_the_host_when_it_is_back() {
    let mut friends = Friends::meet();
    let music = friends.stage.music(5, 120);
    friends.begin_jam_with(&music[..3]);
    friends.ana.run(&["library", "add", &music[3].display().to_string()]);
    friends.ben.run(&["library", "add", &music[3].display().to_string(), &music[4].display().to_string()]);
    friends.ben.run(&add(&music[3]));
    friends.agree("before", |queue| queue.len() == 3);
    let mark = friends.ana.mark();
    let Friends { mut ana, ben, stage } = friends;
    let home = ben.kill();
    becomes(&mut ana, mark, Role::Host, RoleWhy::Silence);
    ana.run(&add(&music[4]));
    ana.run(&["queue", "remove", "1"]);
    assert_eq!(titles(&ana.status().queue), ["Piece 3", "Piece 4", "Piece 5"]);
    let ben = Node::start("ben", home);
    let mut friends = Friends { ana, ben, stage };
    until_in_step(&mut friends);
    friends.agree("one queue", |queue| titles(queue) == ["Piece 3", "Piece 4", "Piece 5"]);
    assert_eq!(roles(&friends), [Some(Role::Host), Some(Role::Guest)]);
    friends.hear("the music, all the while", plays);
    let harm = friends.ana.events_since(mark).iter().any(|event| matches!(event, Event::Reanchored { .. }));
    assert!(!harm, "the music of who stayed went on as it was");
    friends.ben.run(&["pause"]);
    friends.hear("the new guest's pause", |now| !now.playing);
    friends.assert_sound();
}

#[test]
fn a_host_that_stood_still_is_the_host_again_and_no_edit_of_either_is_lost() {
    let mut friends = Friends::meet();
    let music = friends.stage.music(5, 120);
    friends.begin_jam_with(&music[..3]);
    for node in [&friends.ana, &friends.ben] {
        node.run(&[&[PathBuf::from("library"), "add".into()], &music[3..]].concat());
    }
    let marks = [friends.ana.mark(), friends.ben.mark()];
    friends.ben.signal(Signal::STOP);
    becomes(&mut friends.ana, marks[0], Role::Host, RoleWhy::Silence);
    friends.ana.run(&add(&music[3]));
    friends.ben.signal(Signal::CONT);
    friends.ben.run(&add(&music[4]));
    becomes(&mut friends.ana, marks[0], Role::Guest, RoleWhy::Returned);
    until_in_step(&mut friends);
    let queue = friends.agree("merged", |queue| queue.len() == 4);
    let mut known = titles(&queue);
    known.sort_unstable();
    assert_eq!(known, ["Piece 2", "Piece 3", "Piece 4", "Piece 5"]);
    assert_eq!(roles(&friends), [Some(Role::Guest), Some(Role::Host)]);
    friends.hear("the music", plays);
    friends.assert_sound();
}

/// The path is cut until each goes on alone; then both edit and seek, and the path is there again.
fn part_and_meet_again(friends: &mut Friends, path: &Forwarder, music: &[PathBuf]) {
    let marks = [friends.ana.mark(), friends.ben.mark()];
    cut(path);
    becomes(&mut friends.ana, marks[0], Role::Host, RoleWhy::Silence);
    friends.ben.event_since(marks[1], "the loss of its friend", |event| {
        matches!(event, Event::PeerLost { .. }).then_some(())
    });
    for (node, file, place) in [(&mut friends.ana, &music[3], 250), (&mut friends.ben, &music[4], 100)] {
        node.run(&add(file));
        node.run(&["seek", &place.to_string()]);
    }
    for ((node, mark), place) in [&mut friends.ana, &mut friends.ben].into_iter().zip(marks).zip([250, 100]) {
        node.event_since(mark, "its own place", |event| match event {
            Event::Anchor { cause: AnchorCause::Seek, position, .. } => {
                (*position == Span::from_secs(place)).then_some(())
            }
            _ => None,
        });
    }
    let parted = [&friends.ana, &friends.ben].map(|node| titles(&node.status().queue).join(", "));
    assert_eq!(parted, ["Piece 2, Piece 3, Piece 4", "Piece 2, Piece 3, Piece 5"]);
    assert_eq!(roles(friends), [Some(Role::Host); 2]);

    let mark = friends.ben.mark();
    path.change(PathConfig::default());
    becomes(&mut friends.ana, marks[0], Role::Guest, RoleWhy::Returned);
    until_in_step(friends);
    let moved = |event: &&Event| matches!(event, Event::Anchor { .. } | Event::RoleChanged { .. });
    assert_eq!(friends.ben.events_since(mark).iter().find(moved), None, "the host's music went on as it was");
}

#[test]
fn two_hosts_after_a_partition_with_edits_and_seeks_on_both_sides_end_by_the_rule_every_time() {
    let (mut friends, path) = Friends::meet_over(&PathConfig::default(), 1);
    let mut music = friends.stage.music(5, 10);
    // None but the first is heard.
    music[0] = piece(&music[0], 1, 400);
    friends.begin_jam_with(&music[..3]);
    for node in [&friends.ana, &friends.ben] {
        node.run(&[&[PathBuf::from("library"), "add".into()], &music[3..]].concat());
    }
    for round in 0..2 {
        eprintln!("round {round}");
        part_and_meet_again(&mut friends, &path, &music);
        // The host by right is the host, at the place to which it was sent, and its edits come before the other's.
        assert_eq!(roles(&friends), [Some(Role::Guest), Some(Role::Host)]);
        friends.agree("merged", |queue| titles(queue) == ["Piece 2", "Piece 3", "Piece 5", "Piece 4"]);
        let places = Span::from_secs(100)..Span::from_secs(250);
        friends.hear("the host's place", |now| plays(now) && places.contains(&now.position));
        friends.ana.run(&["pause"]);
        friends.hear("the guest's pause", |now| !now.playing);
        let [ana, ben] = [&friends.ana, &friends.ben].map(|node| node.status().now.expect("on").position);
        assert!((ana - ben).abs() <= Span::from_millis(1), "{ana} and {ben}");
        friends.ana.run(&["resume"]);
        friends.hear("the music", plays);
        for entry in ["4", "3"] {
            friends.ben.run(&["queue", "remove", entry]);
        }
        friends.agree("as before", |queue| titles(queue) == ["Piece 2", "Piece 3"]);
    }
    friends.assert_sound();
}

#[test]
fn both_killed_and_started_again_are_in_one_jam_with_one_host() {
    let mut friends = Friends::meet();
    let music = friends.stage.music(3, 120);
    friends.begin_jam_with(&music);
    friends.ana.run(&["queue", "remove", "1"]);
    friends.agree("before", |queue| titles(queue) == ["Piece 3"]);
    let Friends { ana, ben, mut stage } = friends;
    stage.kill_coordinator();
    let homes = [ana.kill(), ben.kill()];
    let [ana, ben] = homes;
    let (ana, ben) = (Node::start("ana", ana), Node::start("ben", ben));
    let mut friends = Friends { ana, ben, stage };
    until_in_step(&mut friends);
    friends.agree("after", |queue| titles(queue) == ["Piece 3"]);
    friends.hear("the music", plays);
    let mut both = roles(&friends).map(|role| role.map(|role| role == Role::Host));
    both.sort_unstable();
    assert_eq!(both, [Some(false), Some(true)]);
    friends.ana.run(&["skip"]);
    friends.hear("a skip", |now| now.playing && now.title.as_str() == "Piece 3");
    friends.assert_sound();
}
