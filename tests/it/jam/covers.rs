//! The covers of listening activity between real nodes: shown with it, fetched once, and gone with it.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use jamsync_node::api::{ActivityState, Event, FriendActivity};
use rustix::process::Signal;

use super::{
    activity::{friends, play, plays, seen, told, until},
    node::{Node, jamsync},
    pictured::{noisy, pictured},
    stage::{Friends, piece},
};

const RED: [u8; 3] = [192, 0, 0];
const BLUE: [u8; 3] = [0, 0, 192];

/// The file of a cover that came.
fn came(event: &Event) -> Option<PathBuf> {
    match event {
        Event::ActivityCover { cover, .. } => Some(PathBuf::from(cover)),
        _ => None,
    }
}

/// The file of the cover that is shown.
fn cover_of(shown: &FriendActivity) -> Option<PathBuf> {
    shown.cover.as_ref().map(PathBuf::from)
}

/// How many covers came since.
fn count(node: &mut Node, mark: usize) -> usize {
    node.events_since(mark).iter().filter_map(came).count()
}

/// What covers of friends are on a node's disk.
fn kept(node: &Node) -> Vec<PathBuf> {
    let entries = fs::read_dir(node.home.join("covers")).expect("the folder of covers");
    entries.map(|entry| entry.expect("an entry").path()).collect()
}

/// The picture has at most 160 pixels each way, and is of this colour all over.
fn assert_colour(cover: &Path, colour: [u8; 3]) {
    let drawn = image::open(cover).expect("a picture").to_rgb8();
    assert_eq!((drawn.width(), drawn.height()), (160, 160));
    let pixels = u64::from(drawn.width() * drawn.height());
    for (at, wanted) in colour.into_iter().enumerate() {
        let mean = drawn.pixels().map(|pixel| u64::from(pixel.0[at])).sum::<u64>() / pixels;
        assert!(mean.abs_diff(u64::from(wanted)) < 80, "{mean} instead of {wanted} in {}", cover.display());
    }
}

/// Two friends, and music of which the first two share a cover, the third has another, and the fourth has none.
fn with_covers() -> (Friends, Vec<PathBuf>) {
    let (friends, _) = friends();
    let folder = friends.stage.subfolder("pictured");
    let (red, blue) = (noisy(RED, 700, 1), noisy(BLUE, 400, 2));
    let track =
        |title: &str, picture: &[u8]| pictured(&folder.join(format!("{title}.wav")), 300, title, picture);
    let mut music = vec![track("Red 1", &red), track("Red 2", &red), track("Blue", &blue)];
    music.push(piece(&folder.join("Plain.wav"), 77, 300));
    (friends, music)
}

fn covered(shown: &FriendActivity, title: &str) -> bool {
    plays(shown, title) && shown.cover.is_some()
}

#[test]
fn a_cover_is_shown_with_the_activity_is_fetched_once_and_is_gone_with_it() {
    let (mut friends, music) = with_covers();
    friends.ana.run(&["activity", "on"]);
    let mark = friends.ben.mark();
    let began = Instant::now();
    play(&friends.ana, &music);
    let first = friends.ben.event_since(mark, "the cover", came);
    println!("the cover was there {:?} after the command began", began.elapsed());
    assert_colour(&first, RED);
    assert_eq!(cover_of(&seen(&friends.ben, "ana")).as_ref(), Some(&first));
    let words = jamsync(&friends.ben.home).args(["activity", "show", "ana"]).output().expect("it runs");
    let words = String::from_utf8(words.stdout).expect("text");
    assert!(words.contains(&format!("cover: {}", first.display())), "{words}");
    // The same album again is the same cover, there at once and not fetched again.
    let mark = friends.ben.mark();
    friends.ana.run(&["skip"]);
    let next = friends.ben.event_since(mark, "the next track", told(|shown| covered(shown, "Red 2")));
    assert_eq!(cover_of(&next).as_ref(), Some(&first));
    friends.ana.run(&["skip"]);
    let other = friends.ben.event_since(mark, "the other cover", came);
    assert_colour(&other, BLUE);
    assert_eq!(count(&mut friends.ben, mark), 1, "the first was not fetched twice");
    assert_eq!(kept(&friends.ben).len(), 2);
    // What has none shows none.
    friends.ana.run(&["skip"]);
    let plain = until(&mut friends.ben, "ana", "the track without a cover", |shown| plays(shown, "Plain"));
    assert_eq!(plain.cover, None);
    // L8: hidden without trace, also on the disk.
    let mark = friends.ben.mark();
    friends.ana.run(&["activity", "off"]);
    friends.ben.event_since(mark, "that it is hidden", told(|shown| shown.state == ActivityState::Hidden));
    friends.ben.until("no cover is left", |ben| kept(ben).is_empty().then_some(()));
    assert_eq!(seen(&friends.ben, "ana").cover, None);
    // Switched on again it is given again, to a coordinator that has forgotten it.
    let mark = friends.ben.mark();
    friends.ana.run(&["activity", "on"]);
    play(&friends.ana, &music);
    assert_colour(&friends.ben.event_since(mark, "the cover again", came), RED);
    friends.ana.run(&["activity", "deny", "ben"]);
    friends.ben.until("no cover is left", |ben| kept(ben).is_empty().then_some(()));
    assert!(kept(&friends.ana).is_empty(), "one's own are not on the disk");
    friends.assert_sound();
}

#[test]
fn a_coordinator_that_forgot_is_given_it_again_and_a_viewer_that_was_killed_fetches_it_again() {
    let (mut friends, music) = with_covers();
    friends.ana.run(&["activity", "on"]);
    let mark = friends.ben.mark();
    play(&friends.ana, &music[2..]);
    friends.ben.event_since(mark, "the cover", came);
    let home = friends.ben.kill();
    let left = home.join("covers").join("left.jpg");
    fs::write(&left, "of a friend who hid it meanwhile").expect("written");
    friends.stage.kill_coordinator();
    friends.stage.start_coordinator();
    let mut ben = Node::start("ben", home);
    assert!(!left.exists(), "who comes back begins with none");
    let shown = until(&mut ben, "ana", "the cover", |shown| covered(shown, "Blue"));
    assert_colour(&cover_of(&shown).expect("it is there"), BLUE);
    assert_eq!(kept(&ben).len(), 1);
    // Who ends in peace leaves none.
    ben.signal(Signal::TERM);
    let covers = ben.home.join("covers");
    friends.ana.until("the viewer's covers are gone", |_| (!covers.exists()).then_some(()));
    friends.ana.assert_sound();
}

#[test]
fn pictures_of_evil_in_ones_own_music_cost_the_cover_alone() {
    let (mut friends, _) = friends();
    let folder = friends.stage.subfolder("evil");
    let whole = noisy(RED, 400, 3);
    let mut bomb = whole.clone();
    bomb[16..24].copy_from_slice(&[0, 0, 0xea, 0x60, 0, 0, 0xea, 0x60]);
    let evil = [
        ("Cut short", whole[..whole.len() / 2].to_vec()),
        ("Bomb", bomb),
        ("Words", b"no picture at all".to_vec()),
        ("Nothing", Vec::new()),
    ];
    let mut music: Vec<PathBuf> = evil
        .iter()
        .map(|(title, picture)| pictured(&folder.join(format!("{title}.wav")), 60, title, picture))
        .collect();
    music.push(pictured(&folder.join("Good.wav"), 60, "Good", &whole));
    friends.ana.run(&["activity", "on"]);
    play(&friends.ana, &music);
    for (title, _) in &evil {
        let shown = until(&mut friends.ben, "ana", title, |shown| plays(shown, title));
        assert_eq!(shown.cover, None, "{title}");
        friends.ana.run(&["skip"]);
    }
    until(&mut friends.ben, "ana", "the good one behind them", |shown| covered(shown, "Good"));
    friends.assert_sound();
}
