//! The host changes while both are there, and where one of them leaves, dies or sleeps.

use super::*;
use crate::{queue::Term, time::NodeTime};

/// What a side hears, to the nanosecond of the music.
pub(super) fn music(world: &World, side: usize) -> Span {
    let (session, now) = (&world.sides[side].session, world.sides[side].time(world.now));
    let jam_now = session.jam_map(now).expect("knows the Jam time").jam_at(now);
    session.timeline().in_force(jam_now).expect("plays").music_at(jam_now, SampleRate::HZ_44100)
}

pub(super) fn changes(world: &World, side: usize) -> Vec<(usize, HostChange)> {
    let change = |event: &Event| {
        if let Event::HostChanged { host, why } = event { Some((host.index(), *why)) } else { None }
    };
    world.sides[side].events.iter().filter_map(change).collect()
}

/// One is the host by right, and both say so.
pub(super) fn assert_one_host(world: &World, host: usize) {
    let [here, there] = &world.sides;
    assert_eq!([here.session.is_host(), there.session.is_host()], [host == 0, host == 1]);
    assert_eq!(here.session.host(), there.session.host());
    assert_eq!(here.session.term(), there.session.term());
    assert!(!world.sides[host].session.is_provisional());
    assert_eq!(world.entries(0), world.entries(1));
}

/// The process of a side is killed and begins anew with what its disk holds.
pub(super) fn kill(world: &mut World, side: usize) {
    let now = world.sides[side].time(world.now);
    let saved = world.sides[side].session.snapshot(now);
    let bytes = codec::encode(&saved, usize::MAX).unwrap();
    let saved: SavedSession = codec::decode(&bytes).unwrap();
    world.sides[side].session = Session::restore(saved, now).unwrap();
}

pub(super) fn append(world: &mut World, side: usize, number: u8) -> EntryId {
    world.command(side, Command::Edit(Intent::Append(vec![track(number, 60)]))).unwrap();
    *world.entries(side).last().unwrap()
}

#[test]
fn where_the_host_leaves_the_guest_plays_on_as_host_without_a_gap() {
    let mut world = World::with_tracks(vec![track(1, 60), track(2, 60)]);
    let entries = world.entries(1);
    world.command(0, Command::Leave).unwrap();
    world.run(DELAY - Span::from_millis(1));
    let before = music(&world, 1);
    world.run(Span::from_millis(1));
    assert_eq!(changes(&world, 1), [(1, HostChange::Left)]);
    assert_eq!(world.sides[1].events.last(), Some(&Event::PeerLeft));
    let moved = music(&world, 1) - before;
    assert!((moved - Span::from_millis(1)).abs() < Span::from_nanos(100), "the music moved by {moved}");
    assert!(world.sides[1].session.is_host() && !world.sides[1].session.is_provisional());
    assert_eq!(world.entries(1), entries, "the whole queue as it stood");
    world.cut();
    append(&mut world, 1, 3);
    world.command(1, Command::Skip).unwrap();
    world.run(Span::from_secs(61));
    let heard = world.heard(1).unwrap();
    assert!(heard.playing && heard.entry == world.entries(1)[2], "tracks follow each other: {heard:?}");
}

#[test]
fn a_guest_that_knows_nothing_yet_takes_over_nothing() {
    let mut world = World::before_the_jam(vec![track(1, 60)]);
    world.connect();
    world.cut();
    world.run(Span::from_secs(30));
    assert_eq!(changes(&world, 1), []);
    let now = world.sides[1].time(world.now);
    world.sides[1].session.handle_peer_left(now);
    assert!(!world.sides[1].session.is_host());
}

#[test]
fn a_handover_moves_neither_the_music_nor_the_queue() {
    let mut world = World::with_tracks(vec![track(1, 240), track(2, 60)]);
    world.run(Span::from_secs(30));
    for (turn, host) in [1, 0, 1].into_iter().enumerate() {
        let before = [music(&world, 0), music(&world, 1)];
        assert_eq!(world.command(host, Command::HandOver), Err(SessionError::HostOnly));
        world.command(1 - host, Command::HandOver).unwrap();
        world.run(Span::from_secs(2));
        for (side, before) in before.into_iter().enumerate() {
            let moved = music(&world, side) - before - Span::from_secs(2);
            assert!(moved.abs() < Span::from_micros(100), "turn {turn}: side {side} moved by {moved}");
            assert_eq!(changes(&world, side).last(), Some(&(host, HostChange::Agreed)));
        }
        assert_one_host(&world, host);
        world.assert_together();
        for side in [0, 1] {
            let added = append(&mut world, side, 3);
            world.run(Span::from_millis(200));
            assert!(world.entries(1 - side).contains(&added), "turn {turn}: an edit of side {side}");
            world.command(side, Command::Seek(Frames(44_100 * 30))).unwrap();
            world.run(Span::from_secs(1));
            assert!(world.assert_together().position > Frames(44_100 * 30));
        }
    }
}

#[test]
fn what_is_under_way_while_the_host_hands_over_is_not_lost() {
    let mut world = World::with_tracks(vec![track(1, 240), track(2, 60)]);
    let mine = append(&mut world, 0, 3);
    let theirs = append(&mut world, 1, 4);
    world.command(0, Command::Seek(Frames(44_100 * 100))).unwrap();
    world.command(0, Command::HandOver).unwrap();
    // Neither knows yet what the other does in this moment.
    world.command(1, Command::Skip).unwrap();
    world.run(Span::from_millis(5));
    let later = append(&mut world, 0, 5);
    world.run(Span::from_secs(2));
    assert_one_host(&world, 1);
    for entry in [mine, theirs, later] {
        assert_eq!(world.entries(0).iter().filter(|known| **known == entry).count(), 1, "{entry:?}");
    }
    assert_eq!(world.assert_together().entry, world.entries(0)[1], "the guest's skip is an order now");
    let failed = |event: &Event| matches!(event, Event::WishFailed(_));
    assert!(!world.sides.iter().any(|side| side.events.iter().any(failed)));
}

#[test]
fn a_handover_that_is_lost_on_the_way_is_made_good_at_the_next_meeting() {
    for order in [[0, 1], [1, 0]] {
        let mut world = World::with_tracks(vec![track(1, 240), track(2, 60)]);
        world.command(0, Command::HandOver).unwrap();
        world.cut();
        world.run(Span::from_secs(2));
        assert!(!world.sides.iter().any(|side| side.session.is_host()));
        world.connect_in(order, 7);
        world.run(Span::from_secs(2));
        assert_one_host(&world, 1);
        assert_eq!(changes(&world, 1), [(1, HostChange::Agreed)]);
        world.assert_together();
    }
}

#[test]
fn ten_seconds_of_silence_make_the_guest_host_and_its_commands_orders() {
    let mut world = World::with_tracks(vec![track(1, 60), track(2, 60)]);
    world.run(Span::from_secs(8));
    world.cut();
    world.run(Span::from_millis(9_900));
    assert_eq!(changes(&world, 1), []);
    // The instant itself: the line that was read is the line that goes on.
    world.now += 200_000_000;
    let (before, now) = (music(&world, 1), world.sides[1].time(world.now));
    world.sides[1].session.handle_timeout(now).unwrap();
    world.drain(1);
    let moved = music(&world, 1) - before;
    assert!(moved.abs() <= Span::from_nanos(1), "the music moved by {moved}");
    assert_eq!(changes(&world, 1), [(1, HostChange::Silence)]);
    assert!(world.sides[1].session.is_provisional());
    world.command(1, Command::Skip).unwrap();
    world.run(Span::from_secs(7));
    assert_eq!(world.heard(1).unwrap().entry, world.entries(1)[1]);
    assert!(!world.sides[1].events.contains(&Event::WishFailed(None)));
}

#[test]
fn a_guest_locked_out_of_the_controls_has_them_when_it_takes_over_and_loses_them_when_it_yields() {
    let mut world = World::with_tracks(vec![track(1, 60)]);
    world.command(0, Command::GuestControls(false)).unwrap();
    world.run(Span::from_secs(1));
    world.cut();
    world.run(Span::from_secs(11));
    assert_eq!(world.command(1, Command::Pause), Ok(()));
    world.connect();
    world.run(Span::from_secs(1));
    assert_eq!(world.command(1, Command::Pause), Err(SessionError::GuestControlsOff));
    assert!(world.assert_within(88).playing, "the host's word counts");
}

#[test]
fn who_sleeps_does_not_take_over_for_what_it_missed() {
    let mut world = World::with_tracks(vec![track(1, 240)]);
    world.cut();
    world.run(Span::from_secs(9));
    let now = world.sides[1].time(world.now);
    world.sides[1].session.handle_suspend(now);
    world.run(Span::from_secs(9));
    assert_eq!(changes(&world, 1), []);
    // It has forgotten the host's clock, and goes on by the last line that it read.
    world.run(Span::from_secs(2));
    assert_eq!(changes(&world, 1), [(1, HostChange::Silence)]);
    assert!(world.heard(1).unwrap().playing);
}

#[test]
fn a_killed_guest_comes_back_with_its_place_its_edits_and_the_music() {
    let mut world = World::with_tracks(vec![track(1, 240)]);
    world.cut();
    let acknowledged = append(&mut world, 1, 2);
    kill(&mut world, 1);
    assert_eq!(world.sides[1].session.me(), guest_id());
    assert!(world.heard(1).unwrap().playing, "it plays on by what it knew");
    assert!(world.entries(1).contains(&acknowledged));
    world.connect_in([0, 1], 8);
    world.run(Span::from_secs(4));
    assert_one_host(&world, 0);
    assert!(world.entries(0).contains(&acknowledged), "the edit was acknowledged before the kill");
    assert_eq!(world.sides[0].session.term(), Term { epoch: 1, host: HOST });
    world.assert_together();
}

#[test]
fn a_killed_host_comes_back_as_guest_whether_the_other_took_over_or_not() {
    for (silence, order) in [(3, [0, 1]), (3, [1, 0]), (30, [0, 1]), (30, [1, 0])] {
        let mut world = World::with_tracks(vec![track(1, 240)]);
        world.run(Span::from_secs(30));
        let last_word = append(&mut world, 0, 2);
        world.cut();
        kill(&mut world, 0);
        let theirs = append(&mut world, 1, 3);
        world.run(Span::from_secs(silence));
        let before = music(&world, 1);
        world.connect_in(order, 8);
        world.run(Span::from_secs(4));
        let moved = music(&world, 1) - before - Span::from_secs(4);
        assert!(moved.abs() < Span::from_micros(200), "the music of who went on moved by {moved}");
        assert_one_host(&world, 1);
        assert_eq!(changes(&world, 0).last(), Some(&(1, HostChange::Restarted)));
        assert_eq!(world.entries(0).len(), 3);
        assert!(world.entries(0).contains(&last_word) && world.entries(0).contains(&theirs));
        world.assert_together();
    }
}

#[test]
fn a_host_that_kept_nothing_joins_what_goes_on() {
    let mut world = World::with_tracks(vec![track(1, 240), track(2, 60)]);
    let entries = world.entries(0);
    world.cut();
    world.sides[0].session = Session::guest(HOST, guest_id());
    world.connect_in([0, 1], 8);
    world.run(Span::from_secs(4));
    assert_one_host(&world, 1);
    assert_eq!(world.entries(0), entries);
    world.assert_together();
}

#[test]
fn where_both_were_killed_the_last_host_is_host_again() {
    let mut world = World::with_tracks(vec![track(1, 240)]);
    let edits = [append(&mut world, 0, 2), append(&mut world, 1, 3)];
    world.cut();
    kill(&mut world, 0);
    kill(&mut world, 1);
    world.connect_in([1, 0], 9);
    world.run(Span::from_secs(4));
    assert_one_host(&world, 0);
    assert!(edits.iter().all(|edit| world.entries(1).contains(edit)));
    world.assert_together();
}

#[test]
fn a_host_alone_comes_back_from_disk_as_it_was() {
    let mut world = World::before_the_jam(vec![track(1, 60), track(2, 60)]);
    world.run(Span::from_secs(2));
    let (before, entries) = (music(&world, 0), world.entries(0));
    kill(&mut world, 0);
    assert_eq!((music(&world, 0), world.entries(0)), (before, entries));
    world.command(0, Command::Skip).unwrap();
    world.connect();
    world.run(Span::from_secs(2));
    assert_one_host(&world, 0);
    world.assert_together();
}

#[test]
fn who_took_over_begins_the_next_jam_as_its_first() {
    let mut world = World::with_tracks(vec![track(1, 240), track(2, 60)]);
    append(&mut world, 1, 3);
    world.run(Span::from_millis(100));
    world.command(0, Command::Leave).unwrap();
    world.run(Span::from_millis(100));
    world.cut();
    append(&mut world, 1, 4);
    // Roles and places change: who was the guest accepts the next request.
    world.sides.swap(0, 1);
    world.sides[1].session = Session::guest(guest_id(), HOST);
    world.sides[0].events.clear();
    let before = music(&world, 0);
    world.connect_in([0, 1], 9);
    assert_eq!(world.sides[0].session.me(), HOST);
    let moved = music(&world, 0) - before;
    assert!(moved.abs() < Span::from_micros(1), "the music moved by {moved}");
    world.run(Span::from_secs(4));
    assert_one_host(&world, 0);
    assert_eq!(world.entries(0).len(), 4);
    world.assert_together();
    let mine = append(&mut world, 1, 5);
    world.run(Span::from_secs(1));
    assert!(world.entries(0).contains(&mine));
}

#[test]
fn what_has_to_be_saved_says_so() {
    let mut world = World::with_tracks(vec![track(1, 240)]);
    let now = world.sides[1].time(world.now);
    assert!(world.sides[1].session.is_unsaved());
    let _ = world.sides[1].session.snapshot(now);
    assert!(!world.sides[1].session.is_unsaved());
    world.run(Span::from_secs(5));
    assert!(!world.sides[1].session.is_unsaved(), "probes change nothing that is kept");
    append(&mut world, 1, 2);
    assert!(world.sides[1].session.is_unsaved(), "before the edit is sent");
}

#[test]
fn a_clock_that_began_anew_goes_on_where_the_jam_was_saved() {
    let mut world = World::with_tracks(vec![track(1, 240)]);
    let now = world.sides[1].time(world.now);
    let (saved, before) = (world.sides[1].session.snapshot(now), music(&world, 1));
    let reboot = NodeTime::from_nanos(i64::MIN / 2);
    let session = Session::restore(saved, reboot).unwrap();
    let jam_now = session.jam_map(reboot).unwrap().jam_at(reboot);
    let after = session.timeline().in_force(jam_now).unwrap().music_at(jam_now, SampleRate::HZ_44100);
    assert!((after - before).abs() < Span::from_nanos(10), "{after} instead of {before}");
}
