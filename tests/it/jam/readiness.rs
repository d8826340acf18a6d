//! Each side sees how the other's sound is doing, in time and without flicker.

use std::{fs, path::PathBuf, process::Command};

use jamsync_node::api::{EntryState, Event, Readiness, Side};
use rustix::process::Signal;

use super::{node::Node, stage::Friends};

fn tells(node: &mut Node, mark: usize, of: Side, what: Readiness) {
    node.event_since(mark, &format!("{of:?} {what:?}"), |event| match event {
        Event::Readiness { side, is, .. } if (*side, *is) == (of, what) => Some(()),
        _ => None,
    });
}

#[test]
fn a_side_that_loads_or_is_away_is_shown_to_both_until_it_is_ready() {
    let mut friends = Friends::meet();
    let music = friends.stage.music(2, 60);
    let copies = friends.stage.subfolder("copies");
    let copy = |path: &PathBuf| {
        let copy = copies.join(path.file_name().expect("a file"));
        fs::copy(path, &copy).expect("copied");
        copy
    };
    let copies: Vec<PathBuf> = music.iter().map(copy).collect();
    friends.ana.run(&[&[PathBuf::from("library"), "add".into()], &copies[..]].concat());
    friends.ben.run(&[&[PathBuf::from("play")], &music[..]].concat());
    friends.begin_jam();
    friends.ana.until("both have all", |ana| {
        let queue = ana.status().queue;
        (!queue.is_empty() && queue.iter().all(|entry| entry.state == EntryState::Ready)).then_some(())
    });
    let marks = [friends.ana.mark(), friends.ben.mark()];

    // From now on her second file takes for ever to open.
    fs::remove_file(&copies[1]).expect("removed");
    assert!(Command::new("mkfifo").arg(&copies[1]).status().expect("runs").success());
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
