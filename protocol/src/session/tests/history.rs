//! A Jam begins with the queue as it stands: what was in it before is nobody's business.

use super::*;

fn named(title: &str, number: u8, secs: u64) -> Track {
    Track { title: Text::truncated(title), ..track(number, secs) }
}

fn titles(world: &World, side: usize) -> Vec<&str> {
    world.sides[side].session.queue().entries().map(|entry| entry.track.title.as_str()).collect()
}

fn edit(world: &mut World, side: usize, intent: Intent) {
    world.command(side, Command::Edit(intent)).unwrap();
    world.run(Span::from_millis(200));
}

fn is_on_the_wire(world: &World, text: &[u8]) -> bool {
    world.wire.iter().any(|bytes| bytes.windows(text.len()).any(|part| part == text))
}

/// A host that has played one track, plays the next of three, has taken others out again, and moved what was left.
fn host_with_a_past() -> World {
    let played = named("guilty pleasure", 9, 60);
    let kept = vec![named("opener", 1, 240), named("second", 2, 60), named("third", 3, 60)];
    let mut world = World::before_the_jam([vec![played], kept].concat());
    world.run(Span::from_secs(1));
    world.command(0, Command::Skip).unwrap();
    world.run(Span::from_secs(1));
    edit(&mut world, 0, Intent::Append(vec![named("embarrassing", 4, 60)]));
    let [_, opener, _, third, removed] = world.entries(0)[..] else { panic!("five entries") };
    edit(&mut world, 0, Intent::Remove(vec![removed]));
    edit(&mut world, 0, Intent::PlayNext { after: Some(opener), tracks: vec![named("secret", 5, 60)] });
    edit(&mut world, 0, Intent::Undo);
    edit(&mut world, 0, Intent::Move { entry: third, place: crate::queue::Place::After(opener) });
    world
}

#[test]
fn what_left_the_queue_before_the_jam_is_never_sent() {
    let mut world = host_with_a_past();
    world.connect();
    world.run(Span::from_secs(2));
    assert_eq!(titles(&world, 1), ["opener", "third", "second"]);
    assert!(is_on_the_wire(&world, b"second"), "the test sees what is sent");
    for secret in [&b"embarrassing"[..], b"secret", b"guilty pleasure"] {
        assert!(!is_on_the_wire(&world, secret), "{:?} was sent", core::str::from_utf8(secret));
    }
    assert_eq!(world.assert_together().entry, world.entries(0)[0]);
}

#[test]
fn what_an_earlier_guest_added_is_the_hosts_and_never_the_next_guests() {
    let mut world = World::with_tracks(vec![named("hosts", 1, 240)]);
    edit(&mut world, 1, Intent::Append(vec![named("guests", 2, 60), named("another", 3, 60)]));
    world.command(1, Command::Leave).unwrap();
    world.run(Span::from_millis(100));
    let now = world.sides[0].time(world.now);
    world.sides[0].session.handle_peer_left(now);
    world.sides[1].session = Session::guest(guest_id(), HOST);
    world.connect();
    world.run(Span::from_secs(2));
    assert_eq!(titles(&world, 1), ["hosts", "guests", "another"]);
    assert!(world.entries(0).iter().all(|entry| entry.author == HOST), "{:?}", world.entries(0));
    edit(&mut world, 0, Intent::Append(vec![named("later", 4, 60)]));
    edit(&mut world, 1, Intent::Append(vec![named("mine", 5, 60)]));
    assert_eq!(titles(&world, 0), ["hosts", "guests", "another", "later", "mine"]);
    assert_eq!(world.entries(0), world.entries(1));
    let authors = world.entries(0).iter().map(|entry| entry.author.index()).collect::<Vec<_>>();
    assert_eq!(authors, [0, 0, 0, 0, 1]);
    assert_eq!(world.assert_together().entry, world.entries(0)[0]);
}

#[test]
fn undo_reaches_back_to_the_beginning_of_the_jam() {
    let mut world = host_with_a_past();
    world.connect();
    world.run(Span::from_secs(2));
    let before = world.entries(0);
    let nothing = Err(SessionError::Queue(QueueError::NothingToUndo));
    assert_eq!(world.command(0, Command::Edit(Intent::Undo)), nothing);
    for side in [0, 1] {
        edit(&mut world, side, Intent::Append(vec![named("new", 6, 60)]));
        edit(&mut world, side, Intent::Remove(vec![before[1]]));
        assert_eq!(titles(&world, 1 - side), ["opener", "second", "new"]);
        edit(&mut world, side, Intent::Undo);
        edit(&mut world, side, Intent::Undo);
        assert_eq!(world.entries(1 - side), before, "same entries, same authors, same places");
    }
}

#[test]
fn who_was_away_in_the_middle_of_a_jam_finds_the_same_queue() {
    let mut world = host_with_a_past();
    world.connect();
    world.run(Span::from_secs(2));
    let gone = world.entries(0)[1];
    world.connected = false;
    world.under_way.clear();
    world.sides.iter_mut().for_each(|side| side.session.handle_disconnected());
    edit(&mut world, 0, Intent::Remove(vec![gone]));
    edit(&mut world, 1, Intent::Append(vec![named("from afar", 7, 60)]));
    world.connect();
    world.run(Span::from_secs(2));
    for side in [0, 1] {
        assert_eq!(titles(&world, side), ["opener", "second", "from afar"]);
    }
    edit(&mut world, 0, Intent::Undo);
    assert_eq!(titles(&world, 1), ["opener", "third", "second", "from afar"], "the Jam's own past is kept");
    assert_eq!(world.entries(0), world.entries(1));
}

#[test]
fn what_plays_is_heard_by_both_even_where_it_was_removed_as_the_jam_began() {
    let mut world = World::before_the_jam(vec![track(1, 60), track(2, 60)]);
    world.run(Span::from_secs(1));
    let [first, second] = world.entries(0)[..] else { panic!("two entries") };
    world.command(0, Command::Edit(Intent::Remove(vec![first]))).unwrap();
    assert_eq!(world.heard(0).map(|heard| heard.entry), Some(first), "the next begins a moment later");
    world.connect();
    world.run(Span::from_secs(2));
    assert_eq!(world.assert_together().entry, second);
    edit(&mut world, 1, Intent::PlayNext { after: None, tracks: vec![track(3, 60)] });
    assert_eq!(world.entries(0), world.entries(1));
    assert_eq!(world.entries(0)[0], second, "what plays stays settled");
}
