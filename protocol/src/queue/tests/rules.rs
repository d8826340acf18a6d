//! What each edit does, alone and when its target or neighbour is gone.

use alloc::{vec, vec::Vec};

use super::*;

#[test]
fn a_guest_joins_the_hosts_queue_and_both_edit_it() {
    let (mut host, mut guest) = pair("abc");
    assert_eq!(titles(guest.queue()), "abc");
    guest.edit(Intent::Append(tracks("x"))).expect("room");
    assert_eq!(titles(guest.queue()), "abcx", "shown at once");
    host.edit(Intent::PlayNext { after: Some(named(host.queue(), "a")), tracks: tracks("yz") })
        .expect("room");
    settle(&mut host, &mut guest);
    assert_eq!(titles(host.queue()), "ayzbcx");
    assert_eq!(titles(guest.queue()), "ayzbcx");
    assert_eq!(named(host.queue(), "x").author, who(1));
    assert_eq!(guest.pending().count(), 0);
    assert_eq!(host.ordered, guest.ordered);
}

#[test]
fn a_guests_edit_is_rebased_behind_what_the_host_ordered_first() {
    let (mut host, mut guest) = pair("abcd");
    let (b, c) = (named(host.queue(), "b"), named(host.queue(), "c"));
    host.edit(Intent::Remove(vec![b])).expect("there");
    guest.edit(Intent::Move { entry: c, place: Place::Start }).expect("there");
    guest.edit(Intent::PlayNext { after: Some(b), tracks: tracks("x") }).expect("room");
    assert_eq!(titles(guest.queue()), "cabxd");
    settle(&mut host, &mut guest);
    assert_eq!(titles(guest.queue()), "caxd");
    assert_eq!(titles(host.queue()), "caxd");
}

#[test]
fn what_is_added_behind_a_removed_entry_follows_its_nearest_surviving_predecessor() {
    let (mut host, mut guest) = pair("abcd");
    let ids: Vec<EntryId> = host.entries().map(|entry| entry.id).collect();
    host.edit(Intent::Remove(vec![ids[1], ids[2]])).expect("there");
    guest.edit(Intent::PlayNext { after: Some(ids[2]), tracks: tracks("x") }).expect("room");
    settle(&mut host, &mut guest);
    assert_eq!(titles(host.queue()), "axd");
    assert_eq!(titles(guest.queue()), "axd");
}

#[test]
fn clear_spares_what_its_author_had_not_seen() {
    let (mut host, mut guest) = pair("abc");
    guest.edit(Intent::Append(tracks("x"))).expect("room");
    host.edit(Intent::Clear).expect("always");
    settle(&mut host, &mut guest);
    assert_eq!(titles(host.queue()), "x");
    assert_eq!(titles(guest.queue()), "x");
}

#[test]
fn undo_restores_the_same_entry_at_its_place() {
    let (mut host, mut guest) = pair("abcd");
    let c = named(guest.queue(), "c");
    guest.edit(Intent::Remove(vec![c])).expect("there");
    settle(&mut host, &mut guest);
    host.edit(Intent::Append(tracks("x"))).expect("room");
    guest.edit(Intent::Undo).expect("a removal");
    settle(&mut host, &mut guest);
    assert_eq!(titles(host.queue()), "abcdx");
    assert_eq!(named(guest.queue(), "c"), c);
    assert_eq!(guest.edit(Intent::Undo), Err(QueueError::NothingToUndo));
}

#[test]
fn undo_takes_back_each_kind_of_edit() {
    let (mut host, _) = pair("abcdef");
    let b = named(host.queue(), "b");
    let intents = [
        Intent::Append(tracks("xy")),
        Intent::Move { entry: b, place: Place::End },
        Intent::Remove(vec![b]),
        Intent::Shuffle { seed: 7 },
        Intent::Clear,
    ];
    let count = intents.len();
    for intent in intents {
        host.edit(intent).expect("possible");
    }
    assert_eq!(titles(host.queue()), "");
    for _ in 0..count {
        host.edit(Intent::Undo).expect("something to undo");
    }
    assert_eq!(titles(host.queue()), "abcdef");
    assert_eq!(host.edit(Intent::Undo), Err(QueueError::NothingToUndo));
}

#[test]
fn a_shuffle_is_the_same_on_both_sides_and_leaves_later_additions_alone() {
    let (mut host, mut guest) = pair("abcdefgh");
    guest.edit(Intent::Append(tracks("x"))).expect("room");
    host.edit(Intent::Shuffle { seed: 3 }).expect("always");
    settle(&mut host, &mut guest);
    assert_eq!(titles(host.queue()), titles(guest.queue()));
    assert_ne!(titles(host.queue()), "abcdefghx");
    assert!(titles(host.queue()).ends_with('x'));
}

#[test]
fn the_entry_behind_a_removed_one_is_found() {
    let (mut host, _) = pair("abc");
    let b = named(host.queue(), "b");
    host.edit(Intent::Remove(vec![b])).expect("there");
    assert_eq!(host.next_after(b).map(|entry| entry.track.title.as_str()), Some("c"));
    assert_eq!(host.entry(b).map(|entry| entry.track.title.as_str()), Some("b"));
    assert_eq!(host.queue().previous_before(b).map(|entry| entry.track.title.as_str()), Some("a"));
}

#[test]
fn an_edit_under_way_when_an_entry_freezes_goes_behind_it() {
    let (mut host, mut guest) = pair("abcd");
    let (a, b) = (named(host.queue(), "a"), named(host.queue(), "b"));
    host.freeze(b).expect("the host");
    guest.edit(Intent::PlayNext { after: Some(a), tracks: tracks("x") }).expect("room");
    guest.edit(Intent::Move { entry: b, place: Place::End }).expect("not frozen as the guest knows");
    guest.edit(Intent::PlayNext { after: None, tracks: tracks("y") }).expect("room");
    settle(&mut host, &mut guest);
    assert_eq!(titles(host.queue()), "abyxcd");
    assert_eq!(titles(guest.queue()), "abyxcd");
    assert_eq!(guest.queue().frozen(), Some(b));
    let refused = core::iter::from_fn(|| guest.poll_event())
        .any(|event| matches!(event, QueueEvent::Refused { reason: Refusal::Frozen(id), .. } if id == b));
    assert!(refused, "the guest learns that its move came too late");
    assert_eq!(guest.freeze(a), Err(QueueError::NotFromHost { expected: Some(who(0)), actual: who(1) }));
}

#[test]
fn clear_and_shuffle_leave_what_is_settled() {
    let (mut host, _) = pair("abcdef");
    host.freeze(named(host.queue(), "b")).expect("the host");
    host.edit(Intent::Shuffle { seed: 1 }).expect("always");
    assert!(titles(host.queue()).starts_with("ab"));
    host.edit(Intent::Clear).expect("always");
    assert_eq!(titles(host.queue()), "ab");
}

#[test]
fn an_edit_applied_twice_changes_nothing() {
    let (host, _) = pair("abc");
    let mut queue = host.queue().clone();
    let edits = [
        Change::Add { first: 1, place: Place::Start, tracks: List::new(tracks("x")).expect("one") },
        Change::Move { entry: named(&queue, "a"), place: Place::End },
        Change::Remove { entries: List::new(vec![named(&queue, "b")]).expect("one") },
    ];
    let edits = edits.into_iter().zip(1..).map(|(change, number)| {
        let id = EditId { author: who(1), number };
        Edit { id, change }
    });
    let edits: Vec<Edit> = edits.collect();
    for edit in &edits {
        assert_ne!(queue.apply(edit), Ok(What::Nothing));
    }
    let once = queue.clone();
    for edit in &edits {
        assert_eq!(queue.apply(edit), Ok(What::Nothing));
    }
    assert!(queue == once);
    assert_eq!(titles(&queue), "xca");
}

#[test]
fn a_replica_restored_from_an_old_save_gives_no_name_twice() {
    let (mut host, mut guest) = pair("abc");
    let saved = guest.snapshot();
    let before = guest.edit(Intent::Append(tracks("x"))).expect("room");
    settle(&mut host, &mut guest);
    let mut guest = Replica::restore(saved).expect("consistent");
    guest.become_guest(who(0));
    let after = guest.edit(Intent::Append(tracks("y"))).expect("room");
    assert_ne!(before, after);
    host.handle_disconnected(who(1));
    host.handle_connected(who(1));
    guest.handle_connected(who(0));
    settle(&mut host, &mut guest);
    assert_eq!(titles(host.queue()), "abcxy");
    assert_eq!(titles(guest.queue()), "abcxy");
}

#[test]
fn a_host_takes_no_epoch_twice() {
    let (mut host, mut guest) = pair("abc");
    assert_eq!(guest.become_host(1), Err(QueueError::StaleEpoch { expected: 2, actual: 1 }));
    guest.become_host(2).expect("new");
    host.become_guest(who(1));
    settle(&mut host, &mut guest);
    guest.edit(Intent::Append(tracks("x"))).expect("room");
    settle(&mut host, &mut guest);
    assert_eq!(titles(host.queue()), "abcx");
    assert_eq!(host.become_host(2), Err(QueueError::StaleEpoch { expected: 3, actual: 2 }));
}

#[test]
fn a_guest_that_takes_over_keeps_its_edits_and_the_old_host_gets_its_own_in() {
    let (mut host, mut guest) = pair("abc");
    host.handle_disconnected(who(1));
    guest.handle_disconnected(who(0));
    host.edit(Intent::Append(tracks("h"))).expect("room");
    guest.edit(Intent::PlayNext { after: None, tracks: tracks("g") }).expect("room");
    guest.become_host(2).expect("new");
    assert_eq!(guest.pending().count(), 0, "a host's edits wait for nobody");
    host.become_guest(who(1));
    host.handle_connected(who(1));
    guest.handle_connected(who(0));
    settle(&mut host, &mut guest);
    assert_eq!(titles(host.queue()), "gabch");
    assert_eq!(titles(guest.queue()), "gabch");
}

#[test]
fn a_proposal_to_an_earlier_term_of_the_host_does_not_overtake_the_one_before_it() {
    let (mut host, mut guest) = pair("abc");
    guest.edit(Intent::Append(tracks("x"))).expect("room");
    guest.edit(Intent::Append(tracks("y"))).expect("room");
    let (x, y) = (guest.poll_transmit().expect("x"), guest.poll_transmit().expect("y"));
    host.become_guest(who(1));
    assert_eq!(host.handle_message(who(1), x.message), Err(QueueError::NotHost { from: who(1) }));
    host.become_host(2).expect("new");
    host.handle_message(who(1), y.message).expect("ignored");
    assert_eq!(titles(host.queue()), "abc");
    guest.become_guest(who(0));
    settle(&mut host, &mut guest);
    assert_eq!(titles(host.queue()), "abcxy");
    assert_eq!(titles(guest.queue()), "abcxy");
}

#[test]
fn an_answer_to_an_earlier_question_is_not_taken_for_the_latest_ones() {
    let (mut host, mut guest) = pair("abc");
    guest.edit(Intent::Append(tracks("x"))).expect("room");
    guest.become_guest(who(0));
    let earlier = guest.poll_transmit().expect("a question");
    host.handle_message(who(1), earlier.message).expect("honest");
    let answer = host.poll_transmit().expect("an answer");
    guest.become_guest(who(0));
    let latest = guest.poll_transmit().expect("a question");
    guest.handle_message(who(0), answer.message).expect("ignored");
    assert_eq!(guest.poll_transmit(), None, "the latest question is open");
    host.handle_message(who(1), latest.message).expect("honest");
    settle(&mut host, &mut guest);
    assert_eq!(titles(host.queue()), "abcx");
}

#[test]
fn an_order_that_begins_anew_settles_what_was_settled_and_keeps_what_comes() {
    let (mut host, mut guest) = pair("abcde");
    let [a, b, c, d] = ["a", "b", "c", "d"].map(|title| named(host.queue(), title));
    host.freeze(c).expect("remembered");
    host.edit(Intent::Remove(alloc::vec![c])).expect("there");
    host.edit(Intent::Remove(alloc::vec![d])).expect("there");
    host.forget_history(&[b]);
    assert_eq!(titles(host.queue()), "be");
    assert_eq!((host.queue().frozen(), host.queue().len()), (Some(b), 2));
    assert!([a, c, d].iter().all(|gone| host.entry(*gone).is_none()));
    assert_eq!(host.edit(Intent::Undo), Err(QueueError::NothingToUndo));
    guest.become_guest(who(0));
    host.edit(Intent::PlayNext { after: None, tracks: tracks("x") }).expect("room");
    settle(&mut host, &mut guest);
    assert_eq!(titles(guest.queue()), "bxe");
    assert!(host.queue() == guest.queue(), "the guest holds the host's state to the last tombstone");
    assert_eq!(named(host.queue(), "x").number, 6, "names are never given twice");
}

#[test]
fn what_is_edited_before_the_first_word_of_the_host_is_not_lost_where_others_had_the_place_before() {
    let (mut host, mut guest) = pair("ab");
    guest.edit(Intent::Append(tracks("cde"))).expect("has room");
    guest.edit(Intent::Remove(vec![named(guest.queue(), "d")])).expect("is there");
    settle(&mut host, &mut guest);
    assert_eq!(titles(host.queue()), "abce");
    host.handle_disconnected(who(1));

    // Another one, or the same one anew, comes to the same place and edits before it has heard of the queue.
    let mut newcomer = Replica::new(who(1));
    newcomer.edit(Intent::Append(tracks("xyz"))).expect("has room");
    let (y, z) = (named(newcomer.queue(), "y"), named(newcomer.queue(), "z"));
    newcomer.edit(Intent::Remove(vec![y])).expect("is there");
    newcomer.edit(Intent::Move { entry: z, place: Place::Start }).expect("is there");
    newcomer.edit(Intent::Append(tracks("w"))).expect("has room");
    newcomer.edit(Intent::Undo).expect("there is one");
    assert_eq!(titles(newcomer.queue()), "zx");
    newcomer.become_guest(who(0));
    newcomer.handle_connected(who(0));
    host.handle_connected(who(1));
    settle(&mut host, &mut newcomer);
    assert_eq!(titles(host.queue()), "zabcex");
    assert_eq!(titles(newcomer.queue()), "zabcex");
    assert_eq!(newcomer.pending().count(), 0);
}
