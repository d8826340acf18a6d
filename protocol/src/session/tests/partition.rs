//! Two hosts after a partition: one rule, one outcome, and nothing of the losing branch comes back. Whoever claims what
//! the rules did not give is refused by name.

use super::{
    takeover::{append, assert_one_host, changes, kill, music},
    *,
};
use crate::{
    queue::{Change, Edit, EditId, Head, Term},
    wire::peer::{Claim, Standing},
};

fn hear(world: &mut World, side: usize, message: &ControlMessage) -> Result<(), SessionError> {
    let bytes = codec::encode(message, PEER_FRAME_BYTES_MAX).unwrap();
    let now = world.sides[side].time(world.now);
    world.sides[side].session.handle_bytes(Channel::Control, &bytes, now)
}

fn hear_queue(world: &mut World, side: usize, message: &QueueMessage) -> Result<(), SessionError> {
    let bytes = codec::encode(message, PEER_FRAME_BYTES_MAX).unwrap();
    let now = world.sides[side].time(world.now);
    world.sides[side].session.handle_bytes(Channel::Queue, &bytes, now)
}

fn moves(world: &World, side: usize) -> usize {
    world.sides[side].events.iter().filter(|event| matches!(event, Event::Moved(_))).count()
}

#[test]
fn where_nobody_moved_anything_a_partition_moves_nothing() {
    for order in [[0, 1], [1, 0]] {
        let mut world = World::with_tracks(vec![track(1, 240)]);
        world.run(Span::from_secs(60));
        let moved = [moves(&world, 0), moves(&world, 1)];
        world.cut();
        world.run(Span::from_secs(60));
        let before = [music(&world, 0), music(&world, 1)];
        world.connect_in(order, 7);
        world.run(Span::from_secs(4));
        for (side, before) in before.into_iter().enumerate() {
            let by = music(&world, side) - before - Span::from_secs(4);
            // Sixty seconds of drift that was held over on.
            assert!(by.abs() < Span::from_millis(1), "side {side} moved by {by}");
        }
        assert_eq!([moves(&world, 0), moves(&world, 1)], moved);
        assert_eq!(changes(&world, 0), []);
        assert_eq!(changes(&world, 1), [(1, HostChange::Silence), (0, HostChange::Returned)]);
        assert_one_host(&world, 0);
        world.assert_together();
    }
}

/// What both did in the dark: the host's place counts, and every edit of both.
#[test]
fn after_a_minute_of_edits_and_seeks_on_both_sides_the_host_that_lived_on_counts() {
    for seed in 0u64..100 {
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
        let mut world = World::with_tracks((1..=20).map(|number| track(number, 240)).collect());
        let entries = world.entries(0);
        world.run(Span::from_secs(5));
        world.cut();
        let (mut added, mut removed) = (vec![], vec![]);
        for _ in 0..30 {
            world.run(Span::from_secs(2));
            let side = random.random_range(0..2);
            match random.random_range(0..4) {
                0 => {
                    let seek = Command::Seek(Frames(44_100 * random.random_range(1..100)));
                    assert_eq!(world.command(side, seek), Ok(()), "seed {seed}");
                }
                1 => {
                    let known = world.entries(side);
                    let gone = known[random.random_range(1..known.len())];
                    world.command(side, Command::Edit(Intent::Remove(vec![gone]))).unwrap();
                    removed.push(gone);
                }
                _ => added.push(append(&mut world, side, 99)),
            }
        }
        world.command(0, Command::Seek(Frames(44_100 * 120))).unwrap();
        world.command(1, Command::Seek(Frames(44_100 * 10))).unwrap();
        world.connect_in([[0, 1], [1, 0]][usize::from(random.random_bool(0.5))], 7);
        world.run(Span::from_secs(3));
        assert_one_host(&world, 0);
        let epoch = world.sides[0].session.term().epoch;
        assert!(epoch > 2, "seed {seed}: above both branches, {epoch}");
        let heard = world.assert_within(50);
        assert!(heard.playing && heard.position >= Frames(44_100 * 120), "seed {seed}: {heard:?}");
        let mut expected: Vec<EntryId> = entries.into_iter().chain(added).collect();
        expected.retain(|entry| !removed.contains(entry));
        expected.sort();
        let mut shown = world.entries(0);
        shown.sort();
        assert_eq!(shown, expected, "seed {seed}");
    }
}

#[test]
fn a_partition_in_which_the_host_began_anew_leaves_the_order_with_who_took_over() {
    for order in [[0, 1], [1, 0]] {
        let mut world = World::with_tracks(vec![track(1, 240), track(2, 240)]);
        world.cut();
        world.run(Span::from_secs(20));
        kill(&mut world, 0);
        world.run(Span::from_secs(20));
        // It took over from itself, as it were, and moved the music.
        assert_eq!(changes(&world, 0), [(0, HostChange::Silence)]);
        let theirs = append(&mut world, 0, 3);
        world.command(0, Command::Skip).unwrap();
        world.command(1, Command::Seek(Frames(44_100 * 200))).unwrap();
        world.run(Span::from_secs(5));
        world.connect_in(order, 8);
        world.run(Span::from_secs(4));
        assert_one_host(&world, 1);
        assert!(world.entries(1).contains(&theirs));
        let heard = world.assert_together();
        assert!(heard.position > Frames(44_100 * 200), "{heard:?}");
    }
}

#[test]
fn a_silence_that_the_connection_outlives_ends_with_one_host() {
    let mut world = World::with_tracks(vec![track(1, 240)]);
    world.run(Span::from_secs(20));
    world.stalled = world.now + Span::from_secs(12).as_nanos();
    let theirs = append(&mut world, 1, 2);
    world.run(Span::from_millis(11_500));
    assert!(world.sides[1].session.is_provisional());
    let mine = append(&mut world, 0, 3);
    world.command(1, Command::Seek(Frames(44_100 * 200))).unwrap();
    world.run(Span::from_secs(3));
    assert_one_host(&world, 0);
    assert!(world.entries(0).contains(&mine) && world.entries(0).contains(&theirs));
    assert!(world.assert_together().position < Frames(44_100 * 60));
    append(&mut world, 1, 4);
    world.run(Span::from_secs(1));
    assert_one_host(&world, 0);
}

#[test]
fn a_second_host_by_right_is_refused() {
    let mut world = World::with_tracks(vec![track(1, 60)]);
    let (known, claimed) = (Term { epoch: 1, host: HOST }, Term { epoch: 2, host: guest_id() });
    let refused = Err(SessionError::NotGiven { known, claimed });
    let standing = Standing { claim: Claim::Host, term: claimed };
    assert_eq!(hear(&mut world, 0, &ControlMessage::Standing(standing)), refused);
    assert!(world.sides[0].session.is_host());
    // A handover by leaps, and one by who is no host.
    let claimed = Term { epoch: 9, host: guest_id() };
    let refused = Err(SessionError::NotGiven { known, claimed });
    assert_eq!(hear(&mut world, 1, &ControlMessage::HandOver { epoch: 9 }), refused);
    assert!(!world.sides[1].session.is_host());
    world.run(Span::from_secs(1));
    assert_one_host(&world, 0);
}

#[test]
fn an_anchor_replayed_from_an_old_epoch_is_refused() {
    let mut world = World::with_tracks(vec![track(1, 60), track(2, 60)]);
    let old = world.sides[0].session.announced()[0];
    world.command(0, Command::HandOver).unwrap();
    world.run(Span::from_secs(1));
    let (expected, actual) = (Term { epoch: 2, host: guest_id() }, Term { epoch: 1, host: HOST });
    let refused = Err(SessionError::WrongTerm { expected, actual });
    assert_eq!(hear(&mut world, 0, &ControlMessage::Anchor(old)), refused);
    assert!(world.assert_together().playing);
}

#[test]
fn a_welcome_from_another_term_or_by_an_impossible_clock_is_refused() {
    let mut world = World::before_the_jam(vec![track(1, 60)]);
    let now = world.sides[1].time(world.now);
    world.sides[1].session.handle_connected(HOST, 7, now);
    let term = Term { epoch: 3, host: HOST };
    hear(&mut world, 1, &ControlMessage::Standing(Standing { claim: Claim::Host, term })).unwrap();
    let line = JamLine { origin: PeerTime::ZERO, jam: JamTime::ZERO, rate_ppb: 2_000_000 };
    let welcome = Welcome { term, line, guest_controls: true, anchors: List::empty() };
    let other = Welcome { term: Term { epoch: 2, host: HOST }, ..welcome.clone() };
    let refused = Err(SessionError::WrongTerm { expected: term, actual: other.term });
    assert_eq!(hear(&mut world, 1, &ControlMessage::Welcome(other)), refused);
    let refused = Err(SessionError::BadClock { rate_ppb: 2_000_000 });
    assert_eq!(hear(&mut world, 1, &ControlMessage::Welcome(welcome)), refused);
    assert_eq!(world.sides[1].session.term(), Term::NONE);
}

#[test]
fn an_order_from_the_future_and_an_edit_in_anothers_name_are_refused() {
    let mut world = World::with_tracks(vec![track(1, 60)]);
    let (known, claimed) = (Term { epoch: 1, host: HOST }, Term { epoch: 2, host: guest_id() });
    let resume = QueueMessage::Resume { question: 9, at: Head { number: 5, term: claimed } };
    assert_eq!(hear_queue(&mut world, 0, &resume), Err(SessionError::NotGiven { known, claimed }));
    let resume = QueueMessage::Resume { question: 9, at: Head { number: 500, term: known } };
    let refused = hear_queue(&mut world, 0, &resume);
    assert!(matches!(refused, Err(SessionError::Queue(QueueError::FromTheFuture { .. }))), "{refused:?}");
    let id = EditId { author: HOST, number: 900 };
    let edit = Edit { id, change: Change::Undo { edit: id } };
    let refused = hear_queue(&mut world, 0, &QueueMessage::Propose(edit));
    let foreign = QueueError::ForeignAuthor { claimed: HOST, actual: guest_id() };
    assert_eq!(refused, Err(SessionError::Queue(foreign)));
    assert_one_host(&world, 0);
}

#[test]
fn two_that_both_kept_nothing_are_told_so() {
    let mut world = World::before_the_jam(vec![track(1, 60)]);
    let now = world.sides[1].time(world.now);
    world.sides[1].session.handle_connected(HOST, 7, now);
    let standing = Standing { claim: Claim::Nothing, term: Term::NONE };
    assert_eq!(hear(&mut world, 1, &ControlMessage::Standing(standing)), Err(SessionError::NothingLeft));
}

#[test]
fn a_damaged_snapshot_is_a_session_or_a_named_error() {
    let mut world = World::with_tracks(vec![track(1, 60), track(2, 60)]);
    append(&mut world, 1, 3);
    let now = world.sides[1].time(world.now);
    let good = codec::encode(&world.sides[1].session.snapshot(now), usize::MAX).unwrap();
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(1);
    let mut restored = 0;
    for _ in 0..5_000 {
        let mut bytes = good.clone();
        for _ in 0..random.random_range(1..4) {
            let at = random.random_range(0..bytes.len());
            bytes[at] = random.random();
        }
        if random.random_bool(0.1) {
            bytes.truncate(random.random_range(0..bytes.len()));
        }
        if let Ok(mut session) = codec::decode(&bytes).map(|saved| Session::restore(saved, now))
            && let Ok(session) = &mut session
        {
            restored += 1;
            for secs in [0, 11] {
                let later = now + Span::from_secs(secs);
                let _ = (session.handle_timeout(later), session.heard_at(later), session.snapshot(later));
            }
        }
    }
    assert!(restored > 100, "{restored} of the damaged ones are sessions: damage in a title is none");
}
