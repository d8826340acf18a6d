//! What a peer may try: each attempt is refused by name and leaves the queue as it was.

use alloc::{vec, vec::Vec};

use proptest::prelude::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::wire::codec::{decode, encode};

/// An edit in the name of `author`.
fn edit(author: u8, number: u32, change: Change) -> Edit {
    Edit { id: EditId { author: who(author), number }, change }
}

fn add(first: u32, titles: &str) -> Change {
    Change::Add { first, place: Place::End, tracks: List::new(tracks(titles)).expect("few") }
}

/// Hands `message` in and expects it to be refused without a trace.
#[track_caller]
fn refused(replica: &mut Replica, from: u8, message: QueueMessage) -> QueueError {
    let before = replica.snapshot();
    let error = replica.handle_message(who(from), message).expect_err("must be refused");
    assert_eq!(replica.snapshot(), before);
    error
}

/// The point after the one that `replica` knows, in the same term.
fn next(replica: &Replica) -> Head {
    let head = replica.ordered_through();
    Head { number: head.number + 1, ..head }
}

#[test]
fn an_edit_in_anothers_name_is_refused() {
    let (mut host, _) = pair("abc");
    let error = refused(&mut host, 1, QueueMessage::Propose(edit(0, 9, add(9, "x"))));
    assert_eq!(error, QueueError::ForeignAuthor { claimed: who(0), actual: who(1) });
}

#[test]
fn an_edits_name_is_good_for_one_content() {
    let (mut host, _) = pair("abc");
    let first = edit(1, 1, add(1, "x"));
    host.handle_message(who(1), QueueMessage::Propose(first.clone())).expect("new");
    host.handle_message(who(1), QueueMessage::Propose(first.clone())).expect("a repeat is harmless");
    assert_eq!(titles(host.queue()), "abcx");
    let error = refused(&mut host, 1, QueueMessage::Propose(edit(1, 1, add(1, "y"))));
    assert_eq!(error, QueueError::EditReused(first.id));
}

#[test]
fn an_entrys_name_is_good_for_one_track() {
    let (mut host, mut guest) = pair("abc");
    for (number, change) in [(1, add(5, "x")), (2, add(5, "y")), (3, add(0, "z")), (4, add(u32::MAX, "z"))] {
        host.handle_message(who(1), QueueMessage::Propose(edit(1, number, change))).expect("in its own name");
    }
    let reasons: Vec<QueueEvent> = core::iter::from_fn(|| host.poll_event())
        .filter(|event| matches!(event, QueueEvent::Refused { .. }))
        .collect();
    let reason = |actual| Refusal::EntryReused { expected: 6, actual };
    assert_eq!(
        reasons,
        [(2, 5), (3, 0), (4, u32::MAX)].map(|(number, actual)| QueueEvent::Refused {
            edit: EditId { author: who(1), number },
            reason: reason(actual)
        })
    );
    settle(&mut host, &mut guest);
    assert_eq!(titles(host.queue()), "abcx");
    assert_eq!(titles(guest.queue()), "abcx");
}

#[test]
fn an_order_with_gaps_or_two_meanings_is_refused() {
    let (mut host, mut guest) = pair("abc");
    host.edit(Intent::Append(tracks("x"))).expect("room");
    settle(&mut host, &mut guest);
    let at = next(&guest);
    let fact = Fact::Edit(edit(0, 9, add(9, "z")));
    let ordered = |number| QueueMessage::Ordered { at: Head { number, ..at }, fact: fact.clone() };
    assert_eq!(
        refused(&mut guest, 0, ordered(at.number + 1)),
        QueueError::OrderGap { expected: at.number, actual: at.number + 1 }
    );
    assert_eq!(
        refused(&mut guest, 0, ordered(u64::MAX)),
        QueueError::OrderGap { expected: at.number, actual: u64::MAX }
    );
    assert_eq!(refused(&mut guest, 0, ordered(at.number - 1)), QueueError::OrderConflict(at.number - 1));
}

#[test]
fn a_host_cannot_put_words_into_a_guests_mouth_that_the_guest_knows_better() {
    let (_, mut guest) = pair("abc");
    let mine = guest.edit(Intent::Append(tracks("x"))).expect("room");
    let forged = Edit { id: mine, change: Change::Clear { seen: List::empty() } };
    let message = QueueMessage::Ordered { at: next(&guest), fact: Fact::Edit(forged) };
    assert_eq!(refused(&mut guest, 0, message), QueueError::EditReused(mine));
    assert_eq!(titles(guest.queue()), "abcx");
}

#[test]
fn only_the_host_gives_the_order() {
    let (mut host, mut guest) = pair("abc");
    let fact = Fact::Freeze(named(host.queue(), "a"));
    let from_third = QueueMessage::Ordered { at: next(&guest), fact: fact.clone() };
    assert_eq!(
        refused(&mut guest, 2, from_third),
        QueueError::NotFromHost { expected: Some(who(0)), actual: who(2) }
    );
    let to_host = QueueMessage::Ordered { at: next(&host), fact };
    assert_eq!(
        refused(&mut host, 1, to_host),
        QueueError::NotFromHost { expected: Some(who(0)), actual: who(1) }
    );
    let proposal = QueueMessage::Propose(edit(0, 1, add(9, "x")));
    assert_eq!(refused(&mut guest, 0, proposal), QueueError::NotHost { from: who(0) });
}

#[test]
fn a_guest_that_knows_the_future_is_refused() {
    let (mut host, _) = pair("abc");
    let known = host.ordered_through().number;
    let at = Head { number: known + 1, ..host.ordered_through() };
    assert_eq!(
        refused(&mut host, 1, QueueMessage::Resume { question: 9, at }),
        QueueError::FromTheFuture { known, actual: known + 1 }
    );
    let at = host.ordered_through();
    assert_eq!(
        refused(&mut host, 2, QueueMessage::Resume { question: 1, at }),
        QueueError::NotConnected(who(2))
    );
}

#[test]
fn each_undoes_only_their_own_edits() {
    let (mut host, mut guest) = pair("abc");
    let hosts = host.edit(Intent::Append(tracks("x"))).expect("room");
    settle(&mut host, &mut guest);
    assert_eq!(guest.edit(Intent::Undo), Err(QueueError::NothingToUndo));
    let stolen = edit(1, 1, Change::Undo { edit: hosts });
    host.handle_message(who(1), QueueMessage::Propose(stolen)).expect("in its own name");
    assert_eq!(titles(host.queue()), "abcx");
    let refused = core::iter::from_fn(|| host.poll_event()).any(
        |event| matches!(event, QueueEvent::Refused { reason: Refusal::NotYours(id), .. } if id == hosts),
    );
    assert!(refused);
}

#[test]
fn a_snapshot_that_contradicts_itself_is_refused() {
    let (mut host, _) = pair("abc");
    let at = host.ordered_through();
    let image = || Image::of(&host.ordered, at).into_pieces();
    let mut doubled = image();
    doubled.insert(1, doubled[1].clone());
    let mut unstarted = image();
    unstarted.pop_front();
    let mut endless = image();
    for _ in 0..=SLOTS_MAX / 3 {
        endless.insert(1, endless[1].clone());
    }
    let mut uncounted = image();
    uncounted[0] = Piece::Start { numbers: List::empty(), frozen: None, removals: 0 };
    let cases = [
        (doubled, QueueError::BadSnapshot("an entry has two places")),
        (unstarted, QueueError::PieceOutOfOrder),
        (endless, QueueError::BadSnapshot("more pieces than a queue has")),
        (uncounted, QueueError::BadSnapshot("an entry is newer than its author's newest")),
    ];
    for (pieces, expected) in cases {
        let mut guest = Replica::new(who(1));
        guest.become_guest(who(0));
        guest.handle_connected(who(0));
        let Some(Transmit { message: QueueMessage::Resume { question, .. }, .. }) = guest.poll_transmit()
        else {
            panic!("a guest asks first");
        };
        let error = pieces.into_iter().find_map(|piece| {
            guest.handle_message(who(0), QueueMessage::Snapshot { question, at, piece }).err()
        });
        assert_eq!(error, Some(expected));
        assert_eq!(titles(guest.queue()), "");
    }
    host.handle_disconnected(who(1));
}

#[test]
fn garbled_messages_never_panic_and_errors_change_nothing() {
    for seed in 0..300 {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let (mut host, mut guest) = pair("abcdef");
        host.edit(Intent::Remove(vec![named(host.queue(), "c")])).expect("there");
        guest.edit(Intent::Shuffle { seed }).expect("always");
        guest.handle_disconnected(who(0));
        guest.handle_connected(who(0));
        host.become_host(u32::try_from(seed).expect("small") + 2).expect("new");
        for _ in 0..40 {
            let (sender, receiver, name) =
                if random.random() { (&mut host, &mut guest, 0) } else { (&mut guest, &mut host, 1) };
            let Some(transmit) = sender.poll_transmit() else { continue };
            let mut bytes = encode(&transmit.message, usize::MAX).expect("encodes");
            let at = random.random_range(0..bytes.len());
            if random.random_bool(0.5) {
                bytes[at] = random.random();
            }
            let Ok(message) = decode::<QueueMessage>(&bytes) else { continue };
            let before = receiver.snapshot();
            if receiver.handle_message(who(name), message).is_err() {
                assert_eq!(receiver.snapshot(), before, "seed {seed}");
            }
        }
    }
}

#[test]
fn a_damaged_save_is_refused_or_restored_but_never_a_panic() {
    let (mut host, _) = pair("abcdef");
    host.edit(Intent::Remove(vec![named(host.queue(), "c")])).expect("there");
    host.edit(Intent::Shuffle { seed: 1 }).expect("always");
    let bytes = encode(&host.snapshot(), usize::MAX).expect("encodes");
    assert!(Replica::restore(decode(&bytes).expect("whole")).is_ok());
    for length in 0..bytes.len() {
        assert!(decode::<Saved>(&bytes[..length]).is_err());
    }
    for at in 0..bytes.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut damaged = bytes.clone();
            damaged[at] ^= flip;
            if let Ok(mut replica) = decode::<Saved>(&damaged)
                .map_err(drop)
                .and_then(|saved| Replica::restore(saved).map_err(drop))
            {
                let _ = replica.edit(Intent::Append(tracks("x")));
                let _ = replica.edit(Intent::Clear);
                let _ = replica.edit(Intent::Undo);
                let _ = replica.become_host(u32::MAX);
            }
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_are_a_message_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let (mut host, mut guest) = pair("abc");
        if let Ok(message) = decode::<QueueMessage>(&bytes) {
            let _ = host.handle_message(who(1), message.clone());
            let _ = guest.handle_message(who(0), message);
        }
    }
}
