//! Whose music it is: the Jam begins with the host's, the guest's own waits.

use jamsync_node::api::{Event, Role, Who};

use super::stage::{Friends, titles};

#[test]
fn the_guests_own_music_is_parked_and_back_after_leaving_and_the_host_goes_on() {
    let mut friends = Friends::meet();
    let music = friends.stage.music(6, 40);
    let [own, hosts] = [&music[..3], &music[3..]];
    let paths =
        |word: &str, files: &[std::path::PathBuf]| [&[std::path::PathBuf::from(word)], files].concat();
    friends.ben.run(&paths("play", hosts));
    friends.ben.run(&["seek", "15"]);
    friends.ana.run(&[&["library".into(), "add".into()], hosts].concat());
    friends.ana.run(&paths("play", own));
    friends.ana.run(&["seek", "5"]);
    friends.ana.until("her own music plays", |ana| {
        ana.status().now.is_some_and(|now| now.playing && now.position.as_millis() >= 5_000).then_some(())
    });
    friends.begin_jam();
    assert_eq!(friends.ana.status().jam.map(|jam| jam.role), Some(Role::Guest));
    assert_eq!(friends.ben.status().jam.map(|jam| jam.role), Some(Role::Host));
    friends.hear("the host's track where it was", |now| {
        now.playing && now.title.as_str() == "Piece 4" && now.position.as_millis() >= 15_000
    });
    friends.agree("the host's queue", |queue| titles(queue) == ["Piece 5", "Piece 6"]);

    friends.ana.run(&["leave"]);
    friends.ben.event("the guest's leaving", |event| matches!(event, Event::JamEnded { .. }).then_some(()));
    let ana = friends.ana.status();
    assert!(ana.jam.is_none());
    assert_eq!(titles(&ana.queue), ["Piece 2", "Piece 3"]);
    let now = ana.now.expect("her own track");
    assert_eq!((now.title.as_str(), now.playing, &now.added_by), ("Piece 1", false, &Who::You));
    assert!(now.position.as_millis() >= 5_000, "{}", now.position);
    friends.ana.run(&["resume"]);
    friends.hear("each their own", |now| now.playing);
    let ben = friends.ben.status();
    assert!(ben.jam.is_none());
    assert_eq!(ben.now.expect("goes on").title.as_str(), "Piece 4");
    friends.assert_sound();
}

#[test]
fn with_a_host_who_plays_nothing_it_begins_paused_and_both_hear_the_first_music_put_on() {
    let mut friends = Friends::meet();
    let music = friends.stage.music(1, 30);
    friends.ben.run(&["library", "add", &music[0].display().to_string()]);
    friends.begin_jam();
    assert_eq!(friends.ana.status().now, None);
    assert_eq!(friends.ben.status().now, None);
    friends.ana.run(&["play", &music[0].display().to_string()]);
    friends.hear("the guest's music", |now| now.playing && now.title.as_str() == "Piece 1");
    let by = friends.ben.status().now.expect("plays").added_by;
    assert!(matches!(&by, Who::Peer(ana) if ana.as_str() == "ana"), "{by:?}");
    friends.ana.run(&["leave"]);
    friends.ben.until("what the guest left behind is the host's own", |ben| {
        let status = ben.status();
        (status.jam.is_none() && status.now.is_some_and(|now| now.added_by == Who::You)).then_some(())
    });
    friends.assert_sound();
}
