//! The bounds: what happens at each, and that memory and frames stay within them.

use alloc::vec::Vec;

use super::*;
use crate::{
    limits::{PEER_FRAME_BYTES_MAX, TRACKS_PER_EDIT_MAX},
    wire::codec::encode,
};

/// Room in a frame for what the session wraps around a message.
const WRAPPING_BYTES: usize = 64;

/// The track that takes most bytes.
fn largest_track() -> Track {
    let text = || Text::truncated(&"x".repeat(256));
    Track {
        id: TrackId([0xff; 32]),
        title: text(),
        artist: text(),
        album: text(),
        rate: SampleRate::new(SampleRate::MAX).expect("in range"),
        length: Frames(u64::MAX),
    }
}

/// A host's replica with `count` entries.
fn host_of(count: usize) -> Replica {
    Replica::adopting(who(0), 1, (0..count).map(|_| largest_track()).collect()).expect("within the limit")
}

#[test]
fn a_full_queue_refuses_more_and_takes_it_once_there_is_room() {
    assert!(Replica::adopting(who(0), 1, (0..=TO_COME_MAX).map(|_| track("x")).collect()).is_err());
    let mut host = host_of(TO_COME_MAX);
    let full = Err(QueueError::Refused(Refusal::Full { would_have: TO_COME_MAX + 1 }));
    assert_eq!(host.edit(Intent::Append(tracks("x"))), full);
    let first = host.first().expect("full").id;
    host.edit(Intent::Remove(Vec::from([first]))).expect("there");
    host.edit(Intent::Append(tracks("x"))).expect("room");
    let second = host.first().expect("full").id;
    host.edit(Intent::Remove(Vec::from([second]))).expect("there");
    host.edit(Intent::Undo).expect("room for what was removed");
    assert_eq!(host.queue().len(), TO_COME_MAX);
}

#[test]
fn an_edit_that_finds_the_queue_full_at_its_turn_is_refused_on_all_sides_alike() {
    let mut host = host_of(TO_COME_MAX - 1);
    let mut guest = Replica::new(who(1));
    guest.become_guest(who(0));
    host.handle_connected(who(1));
    guest.handle_connected(who(0));
    settle(&mut host, &mut guest);
    host.edit(Intent::Append(tracks("x"))).expect("room");
    let late = guest.edit(Intent::Append(tracks("y"))).expect("room as the guest knows");
    settle(&mut host, &mut guest);
    assert!(host.queue() == guest.queue());
    assert_eq!(guest.queue().len(), TO_COME_MAX);
    for replica in [&mut host, &mut guest] {
        let told = core::iter::from_fn(|| replica.poll_event())
            .any(|event| matches!(event, QueueEvent::Refused { edit, reason: Refusal::Full { .. } } if edit == late));
        assert!(told);
    }
}

#[test]
fn an_edit_carries_so_many_tracks_and_no_more() {
    let mut host = host_of(0);
    let tracks = |count| (0..count).map(|_| track("x")).collect();
    host.edit(Intent::Append(tracks(TRACKS_PER_EDIT_MAX))).expect("fits");
    let (actual, limit) = (TRACKS_PER_EDIT_MAX + 1, TRACKS_PER_EDIT_MAX);
    assert_eq!(host.edit(Intent::Append(tracks(actual))), Err(QueueError::TooMany { actual, limit }));
}

#[test]
fn the_largest_messages_fit_a_frame() {
    let mut host = host_of(TO_COME_MAX);
    let ids: Vec<EntryId> = host.entries().map(|entry| entry.id).collect();
    // Somebody goes on by as many as stay, fills the room that makes, and goes back: more are to come than ever otherwise.
    for entry in [ids[PLAYED_MAX], ids[0]] {
        host.freeze(entry).expect("there");
        while host.edit(Intent::Append(Vec::from([largest_track()]))).is_ok() {}
    }
    assert_eq!(host.queue().len(), ENTRIES_MAX);
    host.edit(Intent::Shuffle { seed: 5 }).expect("fits an edit");
    host.edit(Intent::Clear).expect("fits an edit");
    for _ in 0..=PIECE_EFFECTS {
        for _ in 0..TO_COME_MAX / TRACKS_PER_EDIT_MAX {
            let tracks = (0..TRACKS_PER_EDIT_MAX).map(|_| largest_track()).collect();
            host.edit(Intent::Append(tracks)).expect("room");
        }
        host.edit(Intent::Shuffle { seed: 5 }).expect("always");
        host.edit(Intent::Clear).expect("always");
    }
    host.handle_connected(who(1));
    let mut largest = 0;
    for at in [Head::ZERO, Head { number: host.ordered_through().number - 40, ..host.ordered_through() }] {
        host.handle_message(who(1), QueueMessage::Resume { question: u32::MAX, at }).expect("connected");
        while let Some(transmit) = host.poll_transmit() {
            let bytes = encode(&transmit.message, PEER_FRAME_BYTES_MAX - WRAPPING_BYTES).expect("fits");
            largest = largest.max(bytes.len());
        }
    }
    assert!(largest > PEER_FRAME_BYTES_MAX / 2, "the test reaches for the bound: {largest} bytes");
}

#[test]
fn edits_that_wait_for_the_host_are_bounded_and_go_on_once_it_is_reached() {
    let (mut host, mut guest) = pair("abc");
    guest.handle_disconnected(who(0));
    for seed in 0..PENDING_MAX {
        guest.edit(Intent::Shuffle { seed: seed as u64 }).expect("room");
    }
    assert_eq!(guest.edit(Intent::Clear), Err(QueueError::TooManyPending));
    host.handle_disconnected(who(1));
    host.handle_connected(who(1));
    guest.handle_connected(who(0));
    settle(&mut host, &mut guest);
    guest.edit(Intent::Clear).expect("the host was reached");
}

#[test]
fn a_flood_is_taken_in_bounded_memory() {
    let (mut host, mut guest) = pair("abc");
    for seed in 0..EVENTS_MAX as u64 / 2 {
        guest.edit(Intent::Append(tracks("x"))).expect("room");
        guest.edit(Intent::Shuffle { seed }).expect("room");
        guest.edit(Intent::Remove(Vec::from([guest.first().expect("some").id]))).expect("there");
        while let Some(transmit) = guest.poll_transmit() {
            host.handle_message(who(1), transmit.message).expect("honest");
        }
        while let Some(transmit) = host.poll_transmit() {
            guest.handle_message(who(0), transmit.message).expect("honest");
        }
    }
    for replica in [&host, &guest] {
        assert!(replica.events.len() <= EVENTS_MAX);
        assert!(replica.ordered.effects.iter().count() <= EFFECTS_MAX);
        assert!(replica.log.bytes() <= LOG_BYTES);
        assert!(replica.own_bytes <= OWN_BYTES);
    }
    assert!(host.events.iter().any(|event| *event == QueueEvent::Replaced), "nobody drained the events");
}

#[test]
fn the_entries_removed_first_are_forgotten_first_on_all_sides() {
    let (mut host, mut guest) = pair("a");
    let oldest = host.first().expect("one").id;
    host.edit(Intent::Clear).expect("always");
    let newest = loop {
        host.edit(Intent::Append((0..TRACKS_PER_EDIT_MAX).map(|_| track("x")).collect())).expect("room");
        let newest = host.first().expect("many").id;
        host.edit(Intent::Clear).expect("always");
        settle(&mut host, &mut guest);
        if host.entry(oldest).is_none() {
            break newest;
        }
    };
    assert_eq!(host.ordered.slots.len(), TOMBSTONES_MAX);
    assert!(host.entry(newest).is_some());
    assert!(host.ordered == guest.ordered);
    host.edit(Intent::Append(tracks("bc"))).expect("room");
    assert_eq!(
        host.edit(Intent::PlayNext { after: Some(oldest), tracks: tracks("x") }),
        Err(QueueError::UnknownEntry(oldest))
    );
    let place = Place::After(oldest);
    let number = host.next_edit;
    let late = Edit {
        id: EditId { author: who(0), number },
        change: Change::Add { first: host.next_entry, place, tracks: List::new(tracks("d")).expect("one") },
    };
    host.ordered.apply(&late).expect("room");
    assert_eq!(titles(&host.ordered), "bcd", "behind what nobody remembers is the end");
}

#[test]
fn what_was_removed_first_is_forgotten_first_whoever_added_it_when() {
    let mut host =
        Replica::adopting(who(0), 1, (0..TO_COME_MAX).map(|_| track("x")).collect()).expect("fits");
    let ids: Vec<EntryId> = host.entries().map(|entry| entry.id).collect();
    let (first, last) = (ids[0], ids[TO_COME_MAX - 1]);
    host.edit(Intent::Remove(Vec::from([last]))).expect("there");
    while host.entry(last).is_some() {
        host.edit(Intent::Clear).expect("always");
        assert!(host.entry(first).is_some());
        host.edit(Intent::Append(tracks("x"))).expect("room");
    }
    assert_eq!(host.ordered.slots.len(), TOMBSTONES_MAX + 1);
}

#[test]
fn a_guest_that_lags_behind_the_log_gets_a_snapshot() {
    let (mut host, mut guest) = pair("abc");
    let behind = guest.ordered_through();
    while host.log.shares(behind) {
        host.edit(Intent::Append((0..TRACKS_PER_EDIT_MAX).map(|_| largest_track()).collect())).expect("room");
        host.edit(Intent::Undo).expect("an addition");
    }
    // The guest's own edit is under way meanwhile and survives the snapshot.
    guest.edit(Intent::Append(tracks("x"))).expect("room");
    settle(&mut host, &mut guest);
    assert!(host.ordered == guest.ordered);
    assert_eq!(guest.queue().len(), 4);
    assert!(guest.log.record(behind.number + 1).is_none(), "it came by a snapshot");
}
