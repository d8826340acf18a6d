//! A running Jam does not need its coordinator.

use std::{
    collections::VecDeque,
    env,
    path::PathBuf,
    time::{Duration, Instant},
};

use jamsync_node::api::{ErrorCode, Event};

use super::{
    chat::{hears, say},
    stage::{Friends, titles},
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
