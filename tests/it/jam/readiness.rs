//! Each side sees how the other's sound is doing, in time and without flicker.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use jamsync_node::api::{AnchorCause, EntryState, Event, Readiness, Side};
use rustix::process::Signal;

use super::{
    node::Node,
    stage::{Friends, Stage},
};

fn tells(node: &mut Node, mark: usize, of: Side, what: Readiness) {
    node.event_since(mark, &format!("{of:?} {what:?}"), |event| match event {
        Event::Readiness { side, is, .. } if (*side, *is) == (of, what) => Some(()),
        _ => None,
    });
}

/// Ben plays music of which Ana has copies of her own, and both have found all of it.
fn begin_jam_with_copies(friends: &mut Friends, count: u64) -> Vec<PathBuf> {
    let music = friends.stage.music(count, 120);
    let folder = friends.stage.subfolder("copies");
    let copy = |path: &PathBuf| {
        let copy = folder.join(path.file_name().expect("a file"));
        fs::copy(path, &copy).expect("copied");
        copy
    };
    let copies: Vec<PathBuf> = music.iter().map(copy).collect();
    friends.ana.run(&[&[PathBuf::from("library"), "add".into()], &copies[..]].concat());
    friends.ben.run(&[&[PathBuf::from("play")], &music[..]].concat());
    friends.begin_jam();
    friends.ana.until("both have all, and she hears it", |ana| {
        let status = ana.status();
        let found = status.queue.iter().all(|entry| entry.state == EntryState::Ready);
        (found && status.now.is_some_and(|now| now.playing)).then_some(())
    });
    copies
}

/// From now on the file takes for ever to open.
fn replace_by_pipe(path: &Path) {
    fs::remove_file(path).expect("removed");
    assert!(Command::new("mkfifo").arg(path).status().expect("runs").success());
}

fn causes(node: &mut Node, mark: usize, wanted: AnchorCause, title: &str) {
    node.event_since(mark, &format!("{wanted:?} of {title}"), |event| match event {
        Event::Anchor { cause, title: of, .. } if *cause == wanted && of.as_str() == title => Some(()),
        _ => None,
    });
}

#[test]
fn what_begins_waits_for_a_side_that_is_not_ready_and_not_for_ever() {
    let mut friends = Friends::who_wait();
    let copies = begin_jam_with_copies(&mut friends, 3);
    replace_by_pipe(&copies[1]);
    friends.ana.run(&["skip"]);
    let mark = friends.ben.mark();
    tells(&mut friends.ben, mark, Side::Peer, Readiness::Buffering);

    friends.ben.run(&["pause"]);
    let marks = [friends.ana.mark(), friends.ben.mark()];
    friends.ben.run(&["resume"]);
    for (node, mark) in [&mut friends.ana, &mut friends.ben].into_iter().zip(marks) {
        causes(node, mark, AnchorCause::Wait, "Piece 2");
        causes(node, mark, AnchorCause::Resume, "Piece 2");
    }
    friends.ben.event_since(marks[1], "that it waits no longer", |event| match event {
        Event::Warning { message } if message.contains("without waiting longer") => Some(()),
        _ => None,
    });

    let marks = [friends.ana.mark(), friends.ben.mark()];
    friends.ana.run(&["skip"]);
    for (node, mark) in [&mut friends.ana, &mut friends.ben].into_iter().zip(marks) {
        causes(node, mark, AnchorCause::Wait, "Piece 3");
        causes(node, mark, AnchorCause::Resume, "Piece 3");
    }
    friends.hear("the third piece, together", |now| now.playing && now.title.as_str() == "Piece 3");
    friends.assert_sound();
}

/// An output that records what it plays, onto a disk that is full.
fn broken_output(home: &Path) -> [String; 4] {
    let record = home.join("record");
    fs::create_dir_all(home).expect("a folder");
    symlink("/dev/full", record.with_extension("wav")).expect("a link");
    ["--sink".into(), "wav".into(), "--record".into(), record.display().to_string()]
}

#[test]
fn a_side_whose_output_is_gone_is_shown_to_both_as_without_sound_until_it_has_another() {
    let stage = Stage::set();
    let home = stage.folder.path().join("ana");
    let options = broken_output(&home);
    let ana = Node::start_with("ana", home, &options.each_ref().map(String::as_str));
    stage.sign_up(&ana, "1990-05-17");
    let ben = stage.person("ben", "1990-05-17");
    let mut friends = Friends::introduce(stage, ana, ben);
    let music = friends.stage.music(1, 120);
    let marks = [friends.ana.mark(), friends.ben.mark()];
    friends.begin_jam_with(&music);
    tells(&mut friends.ana, marks[0], Side::Here, Readiness::Stalled);
    tells(&mut friends.ben, marks[1], Side::Peer, Readiness::Stalled);
    let seen = friends.ben.status().jam.expect("in a Jam").readiness;
    assert_eq!((seen.you.is, seen.friend.is), (Readiness::Ready, Readiness::Stalled));
    friends.assert_sound();

    let Friends { ana, ben, stage } = friends;
    let mut friends = Friends { ana: Node::start("ana", ana.kill()), ben, stage };
    tells(&mut friends.ben, marks[1], Side::Peer, Readiness::Ready);
    friends.hear("the music", |now| now.playing);
    friends.assert_sound();
}

#[test]
fn a_side_that_loads_or_is_away_is_shown_to_both_until_it_is_ready() {
    let mut friends = Friends::meet();
    let copies = begin_jam_with_copies(&mut friends, 2);
    let marks = [friends.ana.mark(), friends.ben.mark()];

    // From now on her second file takes for ever to open.
    replace_by_pipe(&copies[1]);
    friends.ben.run(&["skip"]);
    tells(&mut friends.ana, marks[0], Side::Here, Readiness::Buffering);
    tells(&mut friends.ben, marks[1], Side::Peer, Readiness::Buffering);
    let seen = friends.ben.status().jam.expect("in a Jam").readiness;
    assert_eq!((seen.you.is, seen.friend.is), (Readiness::Ready, Readiness::Buffering));
    // It turns out to be no music, and nothing is waited for any more.
    drop(fs::OpenOptions::new().write(true).open(&copies[1]).expect("her node reads it"));
    tells(&mut friends.ben, marks[1], Side::Peer, Readiness::Ready);

    let mark = friends.ben.mark();
    friends.ana.signal(Signal::STOP);
    tells(&mut friends.ben, mark, Side::Peer, Readiness::Away);
    friends.ana.signal(Signal::CONT);
    tells(&mut friends.ben, mark, Side::Peer, Readiness::Ready);
    let told = friends.ben.events_since(mark).iter().filter(|event| {
        matches!(event, Event::Readiness { side: Side::Peer, is: Readiness::Away | Readiness::Ready, .. })
    });
    assert_eq!(told.count(), 2, "each is told once");
    friends.assert_sound();
}
