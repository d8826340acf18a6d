//! What the queue lets go of once it has been played, and what becomes of those who still name it.

use alloc::{collections::BTreeSet, vec, vec::Vec};

use rand::{Rng, SeedableRng, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::limits::TRACKS_PER_EDIT_MAX;

/// So many tracks.
fn many(count: usize) -> Vec<Track> {
    (0..count).map(|number| track(&format!("{number}"))).collect()
}

/// A host with so many entries and a guest, connected and in step; and the entries.
fn pair_of(count: usize) -> (Replica, Replica, Vec<EntryId>) {
    let mut host = Replica::adopting(who(0), 1, many(count)).expect("within the limit");
    let mut guest = Replica::new(who(1));
    guest.become_guest(who(0));
    host.handle_connected(who(1));
    guest.handle_connected(who(0));
    settle(&mut host, &mut guest);
    let ids = host.entries().map(|entry| entry.id).collect();
    (host, guest, ids)
}

fn ids(queue: &Queue) -> Vec<EntryId> {
    queue.entries().map(|entry| entry.id).collect()
}

#[test]
fn any_number_of_pieces_passes_through_one_queue() {
    let (mut host, mut guest, _) = pair_of(1);
    let (mut passed, mut plays) = (0, host.first().expect("one").id);
    while passed < 6_000 {
        for adder in [&mut host, &mut guest] {
            adder
                .edit(Intent::Append(many(TRACKS_PER_EDIT_MAX)))
                .expect("what has been played takes no room");
        }
        settle(&mut host, &mut guest);
        for _ in 0..2 * TRACKS_PER_EDIT_MAX {
            plays = host.next_after(plays).expect("added").id;
            host.freeze(plays).expect("the host");
            passed += 1;
        }
        settle(&mut host, &mut guest);
        assert!(host.ordered == guest.ordered, "both let go of the same entries");
        assert!(host.queue().played() <= PLAYED_MAX && host.ordered.slots.len() <= SLOTS_MAX);
    }
    assert_eq!(host.queue().len(), PLAYED_MAX + 1, "the last played ones stay, and what plays");
    let saved = Replica::restore(guest.snapshot()).expect("consistent");
    assert!(saved.ordered == host.ordered);
}

#[test]
fn what_was_played_leaves_the_whole_room_to_what_comes() {
    let (mut host, _, ids) = pair_of(TO_COME_MAX);
    let full = QueueError::Refused(Refusal::Full { would_have: TO_COME_MAX + 1 });
    assert_eq!(host.edit(Intent::Append(many(1))), Err(full));
    host.freeze(ids[40]).expect("the host");
    host.edit(Intent::Append(many(40))).expect("room for as many as were played");
    assert_eq!(host.edit(Intent::Append(many(1))), Err(full));
    assert_eq!(host.queue().len(), TO_COME_MAX + 40);
    // Who goes back has more to come than anybody could add, and loses nothing by it.
    host.freeze(ids[0]).expect("the host");
    assert_eq!(
        host.edit(Intent::Append(many(1))),
        Err(QueueError::Refused(Refusal::Full { would_have: 1_041 }))
    );
    host.edit(Intent::Shuffle { seed: 1 }).expect("always");
    host.edit(Intent::Clear).expect("always");
    assert_eq!(host.queue().len(), 1);
}

#[test]
fn the_last_played_ones_stay_and_can_be_gone_back_to() {
    let (mut host, mut guest, all) = pair_of(PLAYED_MAX + 50);
    let last = all[PLAYED_MAX + 30];
    host.freeze(last).expect("the host");
    settle(&mut host, &mut guest);
    assert_eq!(ids(guest.queue()), all[30..]);
    assert_eq!(guest.queue().played(), PLAYED_MAX);
    host.freeze(all[30]).expect("it stayed");
    assert_eq!(host.queue().played(), 0);
    assert_eq!(host.next_after(all[30]).map(|entry| entry.id), Some(all[31]));
}

#[test]
fn what_sounds_while_somebody_goes_far_ahead_is_still_known() {
    let (mut host, mut guest, all) = pair_of(TO_COME_MAX);
    host.freeze(all[0]).expect("the host");
    // Twice, faster than the first takes effect.
    for ahead in [TO_COME_MAX - 1, TO_COME_MAX - 40] {
        host.freeze(all[ahead]).expect("the host");
        settle(&mut host, &mut guest);
        for replica in [&host, &guest] {
            assert!(replica.entry(all[0]).is_some() && !replica.queue().contains(all[0]));
            assert!(replica.next_after(all[0]).is_some());
        }
    }
}

#[test]
fn edits_under_way_that_name_what_was_let_go_of_mean_the_same_on_both_sides() {
    let (mut host, mut guest, all) = pair_of(PLAYED_MAX + 50);
    guest.handle_disconnected(who(0));
    host.handle_disconnected(who(1));
    // The guest adds one while it is away from the host, and all its other edits are about the first ones.
    let appended = guest.edit(Intent::Append(tracks("x"))).expect("room");
    guest.edit(Intent::Move { entry: all[1], place: Place::End }).expect("there");
    guest.edit(Intent::Remove(vec![all[2], all[PLAYED_MAX + 40]])).expect("there");
    guest.edit(Intent::PlayNext { after: Some(all[0]), tracks: tracks("n") }).expect("room");
    guest.edit(Intent::Move { entry: all[PLAYED_MAX + 45], place: Place::After(all[0]) }).expect("there");
    guest.edit(Intent::Shuffle { seed: 4 }).expect("always");
    guest.edit(Intent::Undo).expect("the shuffle");
    let plays = all[PLAYED_MAX + 30];
    host.freeze(plays).expect("the host");
    host.handle_connected(who(1));
    guest.handle_connected(who(0));
    settle(&mut host, &mut guest);
    assert!(host.ordered == guest.ordered);
    assert_eq!(host.queue().seen(who(1)), 7, "each was ordered once");
    let shown = ids(guest.queue());
    let at = shown.iter().position(|id| *id == plays).expect("it plays");
    assert_eq!(
        shown[at + 1],
        all[PLAYED_MAX + 45],
        "what was let go of is settled: directly behind what plays"
    );
    assert_eq!(guest.entry(shown[at + 2]).map(|entry| entry.track.title.as_str()), Some("n"));
    assert!(!shown.contains(&all[1]) && !shown.contains(&all[PLAYED_MAX + 40]));
    assert_eq!(shown.last().map(|id| id.author), Some(appended.author));
    // Taking back what concerns entries that are gone brings none of them back.
    while guest.edit(Intent::Undo).is_ok() {}
    settle(&mut host, &mut guest);
    assert!(host.ordered == guest.ordered);
    assert_eq!(ids(host.queue()), all[30..]);
}

#[test]
fn a_proposal_that_is_said_again_brings_nothing_back() {
    let (mut host, mut guest, _) = pair_of(1);
    guest.edit(Intent::Append(tracks("x"))).expect("room");
    let proposal = guest.poll_transmit().expect("an addition").message;
    host.handle_message(who(1), proposal.clone()).expect("new");
    let x = named(host.queue(), "x");
    let mut plays = x;
    host.edit(Intent::Append(many(TRACKS_PER_EDIT_MAX))).expect("room");
    for _ in 0..TOMBSTONES_MAX + PLAYED_MAX + 2 {
        plays = host.next_after(plays).expect("there").id;
        host.freeze(plays).expect("the host");
        host.edit(Intent::Append(tracks("y"))).expect("room");
        while host.poll_event().is_some() {}
    }
    assert_eq!(host.entry(x), None, "even its slot is forgotten");
    let before = host.queue().clone();
    host.handle_message(who(1), proposal).expect("a repeat is harmless");
    // Nor under another edit's name.
    let change =
        Change::Add { first: x.number, place: Place::End, tracks: List::new(tracks("x")).expect("one") };
    let again = Edit { id: EditId { author: who(1), number: 2 }, change };
    host.handle_message(who(1), QueueMessage::Propose(again)).expect("in its own name");
    assert_eq!(ids(host.queue()), ids(&before));
}

#[test]
fn a_save_with_more_played_than_stay_is_taken_and_loses_them_with_the_next_freeze() {
    let (mut host, _, all) = pair_of(TO_COME_MAX);
    let played = TO_COME_MAX - 10;
    // As a queue was that let go of nothing.
    host.ordered.frozen = Some(all[played]);
    let mut host = Replica::restore(host.snapshot()).expect("consistent");
    host.become_host(2).expect("new");
    assert_eq!(host.queue().played(), played);
    host.edit(Intent::Append(many(TRACKS_PER_EDIT_MAX))).expect("room");
    assert_eq!(host.queue().played(), PLAYED_MAX);
    assert_eq!(host.queue().len(), PLAYED_MAX + 10 + TRACKS_PER_EDIT_MAX);
}

/// One random fact for a queue, made from what is in it.
fn fact(random: &mut ChaCha8Rng, queue: &Queue, number: u32) -> Fact {
    let (live, author) = (ids(queue), who(random.random_range(0..3)));
    let some = live.choose(random).copied();
    let known: Vec<EntryId> = queue.slots.iter().map(|slot| slot.id).collect();
    let any = known.choose(random).copied();
    let change = match (random.random_range(0..20), some, any) {
        (0..=5, Some(entry), _) => return Fact::Freeze(entry),
        (6..=7, _, Some(entry)) => return Fact::Freeze(entry),
        (8, ..) => return Fact::Freeze(EntryId { author, number: u32::MAX }),
        (9..=13, _, after) => {
            let place = after.map_or(Place::End, Place::After);
            let tracks = List::new(many(random.random_range(1..=TRACKS_PER_EDIT_MAX))).expect("few");
            Change::Add { first: queue.used(author).entry + 1, place, tracks }
        }
        (14, _, Some(entry)) => Change::Move { entry, place: Place::End },
        (15, _, Some(entry)) => Change::Remove { entries: List::new(vec![entry]).expect("one") },
        (16, ..) => Change::Clear { seen: List::new(queue.unsettled()).expect("fits") },
        _ => {
            let edit = queue.last_undoable(author).unwrap_or(EditId { author, number });
            Change::Undo { edit }
        }
    };
    Fact::Edit(Edit { id: EditId { author, number }, change })
}

/// Applies it, and returns what the queue let go of by it.
fn take(queue: &mut Queue, fact: &Fact) -> Vec<EntryId> {
    let before = ids(queue);
    match fact {
        Fact::Freeze(entry) => queue.freeze(*entry),
        Fact::Edit(edit) => drop(queue.apply(edit)),
    }
    let takes_out = matches!(fact, Fact::Edit(edit) if !matches!(edit.change, Change::Add { .. }));
    before.into_iter().filter(|id| !takes_out && !queue.contains(*id)).collect()
}

#[test]
fn whatever_is_ordered_the_bounds_hold_and_nothing_let_go_of_comes_back() {
    for seed in 0..10 {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut queue = Queue::adopting(who(0), many(TO_COME_MAX / 2)).expect("within the limit");
        let (mut other, mut gone) = (queue.clone(), BTreeSet::new());
        for number in 1..300 {
            let fact = fact(&mut random, &queue, number);
            gone.extend(take(&mut queue, &fact));
            take(&mut other, &fact);
            if random.random_bool(0.1) {
                // One of both is on another machine from here on.
                let image = Image::of(&other, Head::ZERO);
                other = image.into_queue().expect("what a queue says, a queue takes").0;
            }
            assert!(queue == other, "seed {seed}: two that applied the same facts differ");
            assert!(queue.played() <= PLAYED_MAX && queue.len() <= ENTRIES_MAX, "seed {seed}");
            assert!(queue.slots.len() - queue.len() <= TOMBSTONES_MAX, "seed {seed}");
            let back = ids(&queue).into_iter().find(|id| gone.contains(id));
            assert_eq!(back, None, "seed {seed}: it comes back after fact {number}: {fact:?}");
        }
        assert!(!gone.is_empty(), "seed {seed}: nothing was ever let go of");
    }
}
