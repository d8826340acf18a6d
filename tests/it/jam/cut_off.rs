//! A friend who cannot be reached for a while: both go on, and come together again by themselves.

use std::path::PathBuf;

use jamsync_node::api::{Event, Peer, RoleWhy};
use rustix::process::Signal;

use super::stage::{Friends, in_step, titles};

#[test]
fn a_node_that_stood_still_comes_back_by_itself_with_one_queue() {
    let mut friends = Friends::meet();
    let music = friends.stage.music(4, 60);
    friends.begin_jam_with(&music[..3]);
    friends.ana.run(&["library", "add", &music[3].display().to_string()]);
    let marks = [friends.ana.mark(), friends.ben.mark()];

    friends.ana.signal(Signal::STOP);
    friends.ben.event_since(marks[1], "the loss of its friend", |event| {
        matches!(event, Event::PeerLost { .. }).then_some(())
    });
    let ben = friends.ben.status();
    assert!(matches!(ben.jam.map(|jam| jam.peer), Some(Peer::Lost { .. })));
    assert!(ben.now.is_some_and(|now| now.playing), "the one who is left plays on");
    friends.ben.run(&[PathBuf::from("queue"), "add".into(), music[3].clone()]);
    friends.ben.run(&["queue", "remove", "1"]);
    friends.ana.signal(Signal::CONT);

    // Where its friend is back before it has told of the loss, it tells of the order alone.
    friends.ana.event_since(marks[0], "its friend's return", |event| {
        matches!(event, Event::PeerBack { .. } | Event::RoleChanged { why: RoleWhy::Returned, .. })
            .then_some(())
    });
    friends.ben.event_since(marks[1], "its friend's return", |event| {
        matches!(event, Event::PeerBack { .. }).then_some(())
    });
    friends.agree("merged", |queue| titles(queue) == ["Piece 3", "Piece 4"]);
    for node in [&mut friends.ana, &mut friends.ben] {
        node.until("both are in step again", |node| in_step(&node.status()).then_some(()));
    }
    friends.ana.run(&["pause"]);
    friends.hear("the guest's pause", |now| !now.playing);
    let [ana, ben] = [friends.ana.status(), friends.ben.status()].map(|status| status.now.expect("on"));
    assert!((ana.position - ben.position).abs().as_millis() <= 1, "{} and {}", ana.position, ben.position);
    friends.assert_sound();
}

#[test]
fn what_a_guest_edits_while_its_host_stands_still_is_kept_and_taken_over() {
    let mut friends = Friends::meet();
    let music = friends.stage.music(4, 60);
    friends.begin_jam_with(&music[..3]);
    let marks = [friends.ana.mark(), friends.ben.mark()];

    friends.ben.signal(Signal::STOP);
    friends.ana.event_since(marks[0], "the loss of its friend", |event| {
        matches!(event, Event::PeerLost { .. }).then_some(())
    });
    assert!(friends.ana.status().now.is_some_and(|now| now.playing), "the one who is left plays on");
    friends.ana.run(&[PathBuf::from("queue"), "add".into(), music[3].clone()]);
    friends.ana.run(&["queue", "remove", "2"]);
    friends.ben.signal(Signal::CONT);

    friends.ben.event_since(marks[1], "its friend's return", |event| {
        matches!(event, Event::PeerBack { .. }).then_some(())
    });
    friends.agree("merged", |queue| titles(queue) == ["Piece 2", "Piece 4"]);
    friends.hear("the music, all the while", |now| now.playing && now.title.as_str() == "Piece 1");
    friends.assert_sound();
}
