//! A node that is cut short comes back into its Jam by itself, with all that it has called done.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use jamsync_node::api::{Event, Peer, Role, Who};
use rustix::process::Signal;

use super::{
    node::Node,
    stage::{Friends, Stage, in_step, titles},
};

/// Starts a node that was killed, and says how long it takes until it is in step.
fn back(name: &str, home: PathBuf) -> Node {
    let began = Instant::now();
    let mut node = Node::start(name, home);
    node.until("it is in step again", |node| in_step(&node.status()).then_some(()));
    eprintln!("{name} is back and in step {:?} after its start", began.elapsed());
    node
}

fn is_back(event: &Event) -> Option<()> {
    matches!(event, Event::PeerBack { .. }).then_some(())
}

/// A pause of either side stops both at the same place.
fn assert_together(friends: &mut Friends) {
    friends.ana.run(&["pause"]);
    friends.hear("the pause", |now| !now.playing);
    let [ana, ben] = [friends.ana.status(), friends.ben.status()].map(|status| status.now.expect("on"));
    assert_eq!(ana.title, ben.title);
    assert!((ana.position - ben.position).abs().as_millis() <= 1, "{} and {}", ana.position, ben.position);
    friends.ben.run(&["resume"]);
    friends.hear("the music", |now| now.playing);
}

fn add(file: &Path) -> [PathBuf; 3] {
    ["queue".into(), "add".into(), file.to_owned()]
}

fn state_file(node: &Node) -> PathBuf {
    node.home.join("jam.state")
}

#[test]
fn a_guest_that_was_killed_is_back_in_the_jam_and_its_own_music_waits_still() {
    let mut friends = Friends::meet();
    let music = friends.stage.music(5, 120);
    friends.ana.run(&[PathBuf::from("play"), music[4].clone()]);
    friends.begin_jam_with(&music[..3]);
    friends.ana.run(&["library", "add", &music[3].display().to_string()]);
    let mark = friends.ben.mark();

    // What is called done a moment before the end is not lost.
    friends.ana.run(&add(&music[3]));
    let Friends { ana, mut ben, stage } = friends;
    let ana = back("ana", ana.kill());
    ben.event_since(mark, "its friend's return", is_back);
    let mut friends = Friends { ana, ben, stage };
    assert_eq!(friends.ana.status().jam.map(|jam| jam.role), Some(Role::Guest));
    friends.hear("the music, all the while", |now| now.playing && now.title.as_str() == "Piece 1");
    assert_together(&mut friends);
    let queue = friends.agree("as before", |queue| titles(queue) == ["Piece 2", "Piece 3", "Piece 4"]);
    assert_eq!(queue[2].added_by, Who::You);
    friends.ana.run(&["queue", "undo"]);
    friends.agree("with her own edit taken back", |queue| titles(queue) == ["Piece 2", "Piece 3"]);

    assert!(state_file(&friends.ana).exists());
    friends.ana.run(&["leave"]);
    friends.ana.until("nothing is kept of it", |ana| (!state_file(ana).exists()).then_some(()));
    let now = friends.ana.status().now.expect("her own track");
    assert_eq!((now.title.as_str(), now.playing), ("Piece 5", false));
    friends.assert_sound();
}

#[test]
fn an_edit_that_was_called_done_while_the_host_was_away_survives_the_end_of_its_node() {
    let mut friends = Friends::meet();
    let music = friends.stage.music(4, 120);
    friends.begin_jam_with(&music[..3]);
    friends.ana.run(&["library", "add", &music[3].display().to_string()]);
    friends.ben.signal(Signal::STOP);
    friends.ana.run(&add(&music[3]));
    friends.ana.run(&["queue", "remove", "1"]);
    let Friends { ana, ben, stage } = friends;
    let ana = Node::start("ana", ana.kill());
    let peer = ana.status().jam.map(|jam| jam.peer);
    assert!(matches!(peer, Some(Peer::Returning { .. })), "{peer:?}");
    assert_eq!(titles(&ana.status().queue).last(), Some(&"Piece 4"), "known before the host is there");
    ben.signal(Signal::CONT);
    let mut friends = Friends { ana, ben, stage };
    friends.agree("merged", |queue| titles(queue) == ["Piece 3", "Piece 4"]);
    friends.hear("the music", |now| now.playing && now.title.as_str() == "Piece 1");
    assert_together(&mut friends);
    friends.assert_sound();
}

#[test]
fn without_a_coordinator_a_guest_comes_back_all_the_same_and_later_the_coordinator_harms_nothing() {
    let mut friends = Friends::meet();
    let music = friends.stage.music(3, 120);
    friends.begin_jam_with(&music);
    friends.stage.kill_coordinator();
    let Friends { ana, ben, stage } = friends;
    let ana = back("ana", ana.kill());
    let mut friends = Friends { ana, ben, stage };
    friends.hear("the music", |now| now.playing && now.title.as_str() == "Piece 1");
    let marks = [friends.ana.mark(), friends.ben.mark()];
    friends.stage.start_coordinator();
    for node in [&mut friends.ana, &mut friends.ben] {
        node.until("the coordinator answers again", |node| node.try_run(&["link"]).ok());
    }
    assert_together(&mut friends);
    for (node, mark) in [&mut friends.ana, &mut friends.ben].into_iter().zip(marks) {
        let harm = node.events_since(mark).iter().find(|event| {
            matches!(event, Event::PeerLost { .. } | Event::JamEnded { .. } | Event::JamStarted { .. })
        });
        let harm = harm.cloned();
        assert_eq!(harm, None, "{}", node.name);
    }
    friends.assert_sound();
}

#[test]
fn a_jam_that_the_host_has_left_meanwhile_is_over_for_a_guest_that_comes_back() {
    let mut friends = Friends::meet();
    let music = friends.stage.music(2, 120);
    friends.begin_jam_with(&music);
    let Friends { ana, mut ben, stage: _stage } = friends;
    let home = ana.kill();
    ben.run(&["leave"]);
    ben.until("the coordinator knows", |ben| {
        let account = fs::read_to_string(ben.home.join("account.json")).expect("an account");
        account.contains(r#""told": true"#).then_some(())
    });
    let mut ana = Node::start("ana", home);
    ana.until("the Jam is over", |ana| ana.status().jam.is_none().then_some(()));
    ana.until("nothing is kept of it", |ana| (!state_file(ana).exists()).then_some(()));
    ana.assert_sound();
}

#[test]
fn a_state_that_is_damaged_is_named_once_and_set_aside() {
    let mut friends = Friends::meet();
    let music = friends.stage.music(2, 120);
    friends.begin_jam_with(&music);
    let Friends { mut ana, ben, stage } = friends;
    let file = state_file(&ana);
    ana.run(&["queue", "remove", "1"]);
    let mut home = ana.kill();
    let whole = fs::read(&file).expect("a state");
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 0x10;
    let newer = [b"jamsync Jam, version 99\n", &whole[23..]].concat();
    let cases: [(&[u8], &str); 5] = [
        (&whole[..whole.len() / 2], "damaged"),
        (&flipped, "damaged"),
        (&newer, "another version"),
        (b"", "damaged"),
        (&[0; 9_000], "no file of jamsync's"),
    ];
    for (bytes, reason) in cases {
        fs::write(&file, bytes).expect("written");
        ana = Node::start("ana", home);
        let status = ana.status();
        assert!(status.jam.is_none());
        let [warning] = &status.warnings[..] else { panic!("{:?}", status.warnings) };
        assert!(warning.contains(reason) && warning.contains("jam.damaged"), "{warning}");
        assert_eq!(fs::read(ana.home.join("jam.damaged")).expect("set aside"), bytes);
        home = ana.kill();
        ana = Node::start("ana", home);
        assert!(ana.status().warnings.is_empty(), "it is told once");
        ana.assert_sound();
        home = ana.kill();
    }
    // The two of them begin anew, although one is still in the old Jam.
    let mut friends = Friends { ana: Node::start("ana", home), ben, stage };
    friends.ben.until("its friend is missed", |ben| {
        ben.status().jam.is_some_and(|jam| matches!(jam.peer, Peer::Lost { .. })).then_some(())
    });
    friends.begin_jam();
    friends.hear("the music", |now| now.playing);
    friends.assert_sound();
}

#[test]
fn lists_that_are_damaged_or_of_another_version_are_named_once_and_set_aside() {
    let stage = Stage::set();
    let mut home = stage.person("ana", "1990-05-17").kill();
    for (name, lost) in [("agreements", "asked for or accepted"), ("devices", "audio devices")] {
        for (bytes, reason) in
            [(&b"[{"[..], "damaged"), (b"", "damaged"), (br#"{"version": 2}"#, "another version")]
        {
            fs::write(home.join(format!("{name}.json")), bytes).expect("written");
            let node = Node::start("ana", home);
            let warnings = node.status().warnings;
            let [warning] = &warnings[..] else { panic!("{warnings:?}") };
            let aside = format!("{name}.damaged");
            assert!([lost, reason, &aside].iter().all(|part| warning.contains(part)), "{warning}");
            assert_eq!(fs::read(node.home.join(aside)).expect("set aside"), bytes);
            let mut again = Node::start("ana", node.kill());
            assert_eq!(again.status().warnings, Vec::<String>::new(), "it is told once");
            again.assert_sound();
            home = again.kill();
        }
    }
}

#[test]
fn where_nothing_can_be_kept_the_listener_is_told_once_and_the_jam_goes_on() {
    let mut friends = Friends::meet();
    let music = friends.stage.music(4, 120);
    friends.begin_jam_with(&music);
    let file = state_file(&friends.ana);
    // No file takes the place of a folder; one that is being written may come in between.
    friends.ana.until("a folder is in the way", |_| {
        let _ = fs::remove_file(&file);
        fs::create_dir_all(file.join("in the way")).ok()
    });
    let mark = friends.ana.mark();
    for _ in 0..2 {
        friends.ana.run(&["queue", "remove", "1"]);
    }
    friends.agree("edits all the same", |queue| titles(queue) == ["Piece 4"]);
    let told = friends.ana.events_since(mark).iter().filter(
        |event| matches!(event, Event::Warning { message } if message.contains("jam.state cannot be written")),
    );
    assert_eq!(told.count(), 1);
    friends.assert_sound();
}
