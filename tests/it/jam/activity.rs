//! Listening activity between real nodes: shown to whom it is for, live, and gone at once.

use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use jamsync_node::api::{ActivityState, ActivityView, ErrorCode, Event, FriendActivity, Reply};
use jamsync_protocol::{chat::Reaction, time::Span};

use super::{
    devices::second_device,
    messages::{self, write},
    node::Node,
    stage::{Friends, piece},
};

/// What `node` sees of `with`.
pub(super) fn seen(node: &Node, with: &str) -> FriendActivity {
    let mut view = view(node, &["activity", "show", with]);
    view.friends.pop().expect("one contact")
}

pub(super) fn view(node: &Node, arguments: &[&str]) -> Box<ActivityView> {
    match node.run(arguments) {
        Reply::Activity(view) => view,
        other => panic!("no activity, but {other:?}"),
    }
}

pub(super) fn title(shown: &FriendActivity) -> &str {
    shown.track.as_ref().map_or("", |track| track.title.as_str())
}

pub(super) fn plays(shown: &FriendActivity, wanted: &str) -> bool {
    matches!(shown.state, ActivityState::Playing { .. }) && title(shown) == wanted
}

/// Until `node` sees `with` like that.
pub(super) fn until(
    node: &mut Node,
    with: &str,
    what: &str,
    fits: impl Fn(&FriendActivity) -> bool,
) -> FriendActivity {
    node.until(what, |node| Some(seen(node, with)).filter(&fits))
}

/// An event that tells of an activity like that.
pub(super) fn told(fits: impl Fn(&FriendActivity) -> bool) -> impl Fn(&Event) -> Option<FriendActivity> {
    move |event| match event {
        Event::Activity(shown) if fits(shown) => Some(FriendActivity::clone(shown)),
        _ => None,
    }
}

/// Two friends whose conversation has begun, and Ana's music.
pub(super) fn friends() -> (Friends, Vec<PathBuf>) {
    let mut friends = Friends::meet();
    let music = friends.stage.music(3, 300);
    allow(&mut friends.ana, "ben");
    allow(&mut friends.ben, "ana");
    (friends, music)
}

/// Lets a friend see what `node` plays, once there are keys for it.
pub(super) fn allow(node: &mut Node, friend: &str) {
    node.until("there are keys for the friend", |node| {
        node.run(&["activity", "allow", friend]);
        let own = view(node, &["activity"]).own;
        own.shown_to.iter().any(|name| name.as_str() == friend).then_some(())
    });
}

/// Ana says something, and Ben has it: what was on its way to him before has come.
fn all_has_come(friends: &mut Friends, text: &str) {
    let mark = friends.ben.mark();
    write(&friends.ana, "ben", text);
    friends.ben.event_since(mark, text, messages::told(text));
}

pub(super) fn play(node: &Node, music: &[PathBuf]) {
    node.run(&[&[PathBuf::from("play")], music].concat());
}

#[test]
fn it_is_off_until_it_is_switched_on_then_live_and_gone_within_a_second() {
    let (mut friends, music) = friends();
    play(&friends.ana, &music);
    // L1: nothing is shown that nobody switched on, although Ben was allowed.
    friends.ana.until("the music plays", |ana| ana.status().now.filter(|now| now.playing));
    assert!(!view(&friends.ana, &["activity"]).own.on);
    let mark = friends.ben.mark();
    friends.ana.run(&["activity", "on"]);
    let shown = friends.ben.event_since(mark, "what Ana plays", told(|shown| plays(shown, "Piece 1")));
    assert_eq!(shown.with.as_str(), "ana");
    let earlier =
        friends.ben.events_since(0)[..mark].iter().filter(|event| matches!(event, Event::Activity(_)));
    assert_eq!(earlier.count(), 0, "nothing was shown before");
    // L9: Ben sees without showing.
    assert!(!view(&friends.ben, &["activity"]).own.on);
    assert_eq!(seen(&friends.ana, "ben").state, ActivityState::Hidden);
    // L2: it stands above the messages.
    let Reply::Messages { activity, .. } = friends.ben.run(&["messages", "ana"]) else {
        panic!("no messages")
    };
    assert!(activity.is_some_and(|shown| plays(&shown, "Piece 1")));
    // L3: skip, pause, seek and going on are seen as they happen.
    type Fits = fn(&FriendActivity) -> bool;
    let commands: [(&[&str], Fits); 4] = [
        (&["skip"], |shown| plays(shown, "Piece 2")),
        (&["pause"], |shown| matches!(shown.state, ActivityState::Paused { .. })),
        (&["seek", "2:00"], |shown| at(shown) >= Span::from_secs(120)),
        (&["resume"], |shown| plays(shown, "Piece 2") && at(shown) >= Span::from_secs(120)),
    ];
    for (command, fits) in commands {
        let mark = friends.ben.mark();
        let began = Instant::now();
        friends.ana.run(command);
        friends.ben.event_since(mark, &format!("{command:?}"), told(fits));
        println!("{command:?} was seen {:?} after the command began", began.elapsed());
    }
    // L8: off is off on the other side, and leaves nothing.
    let mark = friends.ben.mark();
    friends.ana.run(&["activity", "off"]);
    let off = Instant::now();
    friends.ben.event_since(mark, "that it is hidden", told(|shown| shown.state == ActivityState::Hidden));
    assert!(off.elapsed() < Duration::from_secs(1), "hidden after {:?}", off.elapsed());
    let hidden = seen(&friends.ben, "ana");
    assert_eq!((hidden.state, hidden.track), (ActivityState::Hidden, None));
    let mark = friends.ben.mark();
    friends.ana.run(&["skip"]);
    friends
        .ana
        .until("the next track plays", |ana| ana.status().now.filter(|now| now.title.as_str() == "Piece 3"));
    all_has_come(&mut friends, "after it was off");
    let after =
        friends.ben.events_since(mark).iter().filter(|event| matches!(event, Event::Activity(_))).count();
    assert_eq!(after, 0, "nothing is shown any more");
    friends.assert_sound();
}

pub(super) fn at(shown: &FriendActivity) -> Span {
    match shown.state {
        ActivityState::Playing { position } | ActivityState::Paused { position, .. } => position,
        ActivityState::Hidden | ActivityState::Last { .. } | ActivityState::Stale { .. } => Span::ZERO,
    }
}

#[test]
fn only_chosen_contacts_see_it_and_none_that_is_denied_blocked_or_removed() {
    let (mut friends, music) = friends();
    play(&friends.ana, &music);
    // L7: on is on for those who were chosen, and `deny` takes one out at once.
    friends.ana.run(&["activity", "on"]);
    until(&mut friends.ben, "ana", "Ana plays", |shown| plays(shown, "Piece 1"));
    let mark = friends.ben.mark();
    friends.ana.run(&["activity", "deny", "ben"]);
    let hidden = |shown: &FriendActivity| shown.state == ActivityState::Hidden;
    friends.ben.event_since(mark, "that it is hidden", told(hidden));
    friends.ana.run(&["activity", "on", "--all"]);
    friends.ana.run(&["skip"]);
    friends
        .ana
        .until("the next track plays", |ana| ana.status().now.filter(|now| now.title.as_str() == "Piece 2"));
    all_has_come(&mut friends, "after the next track began");
    assert!(hidden(&seen(&friends.ben, "ana")), "who was denied is not among all");
    friends.ana.run(&["activity", "allow", "ben"]);
    until(&mut friends.ben, "ana", "Ana plays", |shown| plays(shown, "Piece 2"));
    // A private session hides it for its time, and `on` ends it.
    let mark = friends.ben.mark();
    friends.ana.run(&["activity", "private", "2h"]);
    friends.ben.event_since(mark, "that it is hidden", told(hidden));
    assert!(view(&friends.ana, &["activity"]).own.private_until.is_some());
    friends.ana.fails(&["activity", "private", "31d"], ErrorCode::Usage);
    friends.ana.run(&["activity", "on", "--all"]);
    until(&mut friends.ben, "ana", "Ana plays", |shown| plays(shown, "Piece 2"));
    // A short one ends by itself.
    let mark = friends.ben.mark();
    friends.ana.run(&["activity", "private", "2s"]);
    friends.ben.event_since(mark, "that it is hidden", told(hidden));
    friends.ben.event_since(mark, "that it is shown again", told(|shown| plays(shown, "Piece 2")));
    // A block takes it away at once, in either direction, and lifting it brings it back.
    let mark = friends.ben.mark();
    friends.ana.run(&["contacts", "block", "ben"]);
    friends.ben.event_since(mark, "that it is hidden", told(hidden));
    friends.ana.run(&["contacts", "unblock", "ben"]);
    until(&mut friends.ben, "ana", "Ana plays", |shown| plays(shown, "Piece 2"));
    friends.ben.run(&["contacts", "block", "ana"]);
    until(&mut friends.ben, "ana", "who is blocked is not seen", hidden);
    friends.ben.run(&["contacts", "unblock", "ana"]);
    friends.ana.run(&["skip"]);
    until(&mut friends.ben, "ana", "Ana plays", |shown| plays(shown, "Piece 3"));
    friends.ana.run(&["contacts", "remove", "ben"]);
    friends.ben.until("Ana is no contact", |ben| ben.try_run(&["activity", "show", "ana"]).err());
    assert!(view(&friends.ben, &["activity"]).friends.is_empty());
    friends.assert_sound();
}

#[test]
fn of_two_devices_the_one_that_played_last_is_shown_and_off_on_one_is_off_on_both() {
    let (mut friends, music) = friends();
    let mut laptop = second_device(&friends.stage, &friends.ana, "laptop");
    laptop.until("there are keys for Ben", |laptop| {
        let _ = laptop.try_run(&["activity", "allow", "ben"]);
        let own = view(laptop, &["activity"]).own;
        (!own.shown_to.is_empty()).then_some(())
    });
    for node in [&friends.ana, &laptop] {
        node.run(&["activity", "on"]);
    }
    play(&friends.ana, &music[..1]);
    until(&mut friends.ben, "ana", "the first device", |shown| plays(shown, "Piece 1"));
    // L11: who starts last is shown, and the other's pause changes nothing.
    play(&laptop, &music[1..2]);
    until(&mut friends.ben, "ana", "the laptop", |shown| plays(shown, "Piece 2"));
    let mark = friends.ben.mark();
    friends.ana.run(&["pause"]);
    friends
        .ana
        .until("another device is known to play", |ana| view(ana, &["activity"]).own.elsewhere.then_some(()));
    all_has_come(&mut friends, "after the pause");
    assert!(plays(&seen(&friends.ben, "ana"), "Piece 2"));
    let others = |event: &&Event| matches!(event, Event::Activity(shown) if title(shown) != "Piece 2");
    assert_eq!(friends.ben.events_since(mark).iter().filter(others).count(), 0);
    friends.ana.run(&["resume"]);
    until(&mut friends.ben, "ana", "the first device again", |shown| plays(shown, "Piece 1"));
    // L8 with two devices.
    let mark = friends.ben.mark();
    laptop.run(&["activity", "off"]);
    let off = Instant::now();
    friends.ben.event_since(mark, "that it is hidden", told(|shown| shown.state == ActivityState::Hidden));
    assert!(off.elapsed() < Duration::from_secs(1), "hidden after {:?}", off.elapsed());
    friends
        .ana
        .until("it is off on the other device", |ana| (!view(ana, &["activity"]).own.on).then_some(()));
    laptop.assert_sound();
    friends.assert_sound();
}

#[test]
fn who_is_killed_is_stale_within_ten_seconds_and_who_comes_back_sees_what_is() {
    let (mut friends, music) = friends();
    friends.ana.run(&["activity", "on"]);
    play(&friends.ana, &music);
    until(&mut friends.ben, "ana", "Ana plays", |shown| plays(shown, "Piece 1"));
    // The setting outlives a restart, and so does the coordinator's nothing.
    friends.stage.kill_coordinator();
    friends.stage.start_coordinator();
    let mark = friends.ben.mark();
    friends.ana.run(&["skip"]);
    friends.ben.event_since(mark, "what Ana tells anew", told(|shown| plays(shown, "Piece 2")));
    // A viewer that was away sees what is.
    let mut ben = Node::start("ben", friends.ben.kill());
    until(&mut ben, "ana", "Ana plays", |shown| plays(shown, "Piece 2"));
    let mark = ben.mark();
    let home = friends.ana.kill();
    let killed = Instant::now();
    ben.event_since(
        mark,
        "that it is stale",
        told(|shown| matches!(shown.state, ActivityState::Stale { .. })),
    );
    let after = killed.elapsed();
    println!("stale {after:?} after the kill");
    assert!(after < Duration::from_secs(11), "stale after {after:?}");
    let ana = Node::start("ana", home);
    assert!(view(&ana, &["activity"]).own.on, "the setting is kept");
    play(&ana, &music[2..]);
    until(&mut ben, "ana", "Ana plays again", |shown| plays(shown, "Piece 3"));
    // L4: what is over is the last track, with its age.
    let short = piece(&friends.stage.folder.path().join("Short.wav"), 9, 3);
    play(&ana, &[short]);
    let last = until(&mut ben, "ana", "the last track", |shown| {
        title(shown) == "Short" && !matches!(shown.state, ActivityState::Playing { .. })
    });
    assert!(matches!(last.state, ActivityState::Last { .. }), "{last:?}");
    // The coordinator keeps nothing of it on its disk.
    for entry in fs::read_dir(friends.stage.data()).expect("the data of the coordinator") {
        let path = entry.expect("an entry").path();
        let bytes = if path.is_file() { fs::read(&path).expect("a file") } else { Vec::new() };
        assert!(!bytes.windows(7).any(|window| window == b"Piece 1"), "{}", path.display());
    }
    ben.assert_sound();
}

#[test]
fn what_a_friend_plays_can_be_played_kept_and_reacted_to() {
    let (mut friends, music) = friends();
    friends.ben.fails(&["activity", "save", "ana"], ErrorCode::NotFound);
    friends.ben.fails(&["react", "ana", "fire"], ErrorCode::NotFound);
    friends.ana.run(&["activity", "on"]);
    play(&friends.ana, &music);
    friends.ana.run(&["seek", "1:30"]);
    until(&mut friends.ben, "ana", "Ana plays", |shown| at(shown) >= Span::from_secs(90));
    // L5: what Ben lacks is named with what to do; it can be kept all the same.
    let lacks = friends.ben.fails(&["activity", "play", "ana"], ErrorCode::NotFound);
    assert!(lacks.contains("Piece 1") && lacks.contains("library add"), "{lacks}");
    for arguments in [&["activity", "save", "ana"][..], &["activity", "add", "ana", "to hear"]] {
        let Reply::Saved { entries } = friends.ben.run(arguments) else { panic!("not kept") };
        assert_eq!(entries.iter().map(|entry| entry.track.title.as_str()).collect::<Vec<_>>(), ["Piece 1"]);
    }
    friends.ben.run(&[PathBuf::from("library"), "add".into(), music[0].clone()]);
    friends.ben.run(&["activity", "play", "ana"]);
    let now = friends.ben.until("Ben plays it", |ben| ben.status().now.filter(|now| now.playing));
    assert!(now.title.as_str() == "Piece 1" && now.position < Span::from_secs(60), "{now:?}");
    friends.ben.run(&["activity", "play", "ana", "--here"]);
    friends.ben.until("Ben is where Ana is", |ben| {
        ben.status().now.filter(|now| now.playing && now.position >= Span::from_secs(90))
    });
    // L6: a reaction is seen at once, no faster than one a second, and kept by nobody.
    let mark = friends.ana.mark();
    friends.ben.run(&["react", "ana", "fire"]);
    let reacted = |event: &Event| match event {
        Event::ActivityReaction { reaction, .. } => Some(*reaction),
        _ => None,
    };
    assert_eq!(friends.ana.event_since(mark, "the reaction", reacted), Reaction::Fire);
    friends.ben.until("too many reactions are refused", |ben| {
        ben.try_run(&["react", "ana", "clap"]).err().filter(|error| error.code == ErrorCode::Refused)
    });
    friends.ben.fails(&["react", "ana", "pizza"], ErrorCode::Usage);
    assert!(!view(&friends.ana, &["activity", "show", "ben"]).reactions.is_empty());
    // Who is away finds it when back.
    let home = friends.ana.kill();
    friends.ben.until("Ben reacts", |ben| ben.try_run(&["react", "ana", "wow"]).ok());
    let mut ana = Node::start("ana", home);
    ana.until("the reaction that waited", |ana| {
        let reactions = view(ana, &["activity", "show", "ben"]).reactions;
        reactions.iter().any(|one| one.reaction == Reaction::Wow).then_some(())
    });
    let Reply::Saved { entries } = friends.ben.run(&["activity", "saved"]) else { panic!("nothing kept") };
    assert_eq!(entries.len(), 2);
    friends.ben.assert_sound();
    ana.assert_sound();
}

#[test]
fn off_hides_at_once_also_where_it_cannot_be_kept_and_says_so() {
    let (mut friends, music) = friends();
    friends.ana.run(&["activity", "on"]);
    play(&friends.ana, &music);
    until(&mut friends.ben, "ana", "Ana plays", |shown| plays(shown, "Piece 1"));
    // A folder stands where the settings are kept, which nobody can write over.
    let file = friends.ana.home.join("activity.json");
    fs::remove_file(&file).expect("the settings are there");
    fs::create_dir_all(file.join("in the way")).expect("a folder");
    let mark = friends.ben.mark();
    let said = friends.ana.fails(&["activity", "off"], ErrorCode::StateUnwritable);
    assert!(said.contains("nobody sees what you play, until this node is started again"), "{said}");
    friends.ben.event_since(mark, "that it is hidden", told(|shown| shown.state == ActivityState::Hidden));
    assert!(!view(&friends.ana, &["activity"]).own.on);
    fs::remove_dir_all(&file).expect("out of the way");
    friends.ana.run(&["activity", "off"]);
    friends.ana.strike();
    friends.ana.start_again();
    assert!(!view(&friends.ana, &["activity"]).own.on, "now it is kept");
    friends.assert_sound();
}
