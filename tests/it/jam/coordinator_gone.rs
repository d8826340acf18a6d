//! A running Jam does not need its coordinator.

use std::path::PathBuf;

use jamsync_node::api::{ErrorCode, Event};

use super::stage::{Friends, titles};

#[test]
fn killing_the_coordinator_changes_nothing_for_the_listeners() {
    let mut friends = Friends::meet();
    let music = friends.stage.music(4, 40);
    friends.begin_jam_with(&music[..3]);
    let marks = [friends.ana.mark(), friends.ben.mark()];

    friends.stage.kill_coordinator();
    friends.ana.run(&["pause"]);
    friends.hear("a pause", |now| !now.playing);
    friends.ben.run(&["resume"]);
    friends.hear("music again", |now| now.playing);
    friends.ana.run(&["seek", "20"]);
    friends.hear("the place", |now| now.position.as_millis() >= 20_000 && now.playing);
    friends.ana.run(&["library", "add", &music[3].display().to_string()]);
    friends.ben.run(&[PathBuf::from("queue"), "add".into(), music[3].clone()]);
    friends
        .agree("an edit without a coordinator", |queue| titles(queue) == ["Piece 2", "Piece 3", "Piece 4"]);
    friends.ana.run(&["skip"]);
    friends.hear("the next one", |now| now.title.as_str() == "Piece 2" && now.playing);

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
