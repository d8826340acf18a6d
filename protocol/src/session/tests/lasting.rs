//! A Jam that goes on for days: its queue lets go of what has been played, and never fills up.

use alloc::collections::BTreeSet;

use super::*;
use crate::{
    limits::TRACKS_PER_EDIT_MAX,
    queue::{PLAYED_MAX, SLOTS_MAX},
};

/// So many tracks of this length.
fn short(count: usize, millis: u64) -> Vec<Track> {
    vec![Track { length: Frames(millis * 441 / 10), ..track(1, 1) }; count]
}

/// How many entries have begun on a side, by what it was told.
fn begun(world: &World, side: usize) -> usize {
    let moves = world.sides[side].events.iter().filter_map(|event| {
        if let Event::Moved(announcement) = event { announcement.anchor.entry } else { None }
    });
    moves.collect::<BTreeSet<EntryId>>().len()
}

#[test]
fn more_than_three_thousand_pieces_pass_through_one_jam() {
    const MILLIS: u64 = 600;
    let mut world = World::with_tracks(short(4, 1_000));
    let mut added = 4;
    while added < 3_200 {
        // Both add as many as an edit takes, and all of them are played.
        for side in [0, 1] {
            world.command(side, Command::Edit(Intent::Append(short(TRACKS_PER_EDIT_MAX, MILLIS)))).unwrap();
            added += TRACKS_PER_EDIT_MAX;
        }
        world.run(Span::from_millis(2 * 600 * i64::try_from(TRACKS_PER_EDIT_MAX).unwrap()));
        // The guest may be about to hear that the next has begun.
        assert!(world.entries(1).ends_with(&world.entries(0)));
        assert!(world.entries(0).len() <= PLAYED_MAX + 10, "{} are there", world.entries(0).len());
        assert!(world.assert_within(88).playing);
        for side in &mut world.sides {
            let remembered = side.session.availabilities.counts();
            assert!(remembered.0.max(remembered.1) <= SLOTS_MAX);
        }
    }
    world.run(Span::from_secs(20));
    assert_eq!(world.entries(0), world.entries(1));
    assert_eq!([begun(&world, 0), begun(&world, 1)], [added, added], "every piece was played, on both sides");
    let failed = |event: &Event| matches!(event, Event::WishFailed(_));
    assert!(!world.sides.iter().any(|side| side.events.iter().any(failed)));
}

#[test]
fn going_far_ahead_is_heard_without_a_hole_though_what_plays_is_let_go_of() {
    let mut world = World::with_tracks(vec![track(1, 60); TRACKS_PER_EDIT_MAX]);
    for _ in 0..4 {
        world.command(0, Command::Edit(Intent::Append(vec![track(2, 60); TRACKS_PER_EDIT_MAX]))).unwrap();
    }
    world.run(Span::from_secs(1));
    let entries = world.entries(0);
    for (asked, to) in [(0, 200), (1, 230), (0, 150)] {
        let before = world.assert_together().entry;
        world.command(asked, Command::Play(entries[to])).unwrap();
        // Every millisecond until it takes effect, and after.
        for _ in 0..600 {
            world.run(Span::from_millis(1));
            for side in [0, 1] {
                let heard = world.heard(side).expect("something is heard at every moment");
                assert!(heard.playing && [before, entries[to]].contains(&heard.entry), "{heard:?}");
            }
        }
        assert_eq!(world.assert_together().entry, entries[to]);
        assert_eq!(world.entries(0), world.entries(1));
    }
    for side in [0, 1] {
        assert!(!world.entries(side).contains(&entries[0]), "it was let go of");
        assert_eq!(world.command(side, Command::Play(entries[0])), Err(SessionError::UnknownEntry));
    }
}

#[test]
fn a_guest_that_was_away_while_the_host_played_on_finds_the_hosts_queue_and_keeps_its_edits() {
    let mut world = World::with_tracks(short(TRACKS_PER_EDIT_MAX, 2_000));
    for _ in 0..5 {
        world.command(0, Command::Edit(Intent::Append(short(TRACKS_PER_EDIT_MAX, 2_000)))).unwrap();
    }
    world.run(Span::from_secs(2));
    let seen = world.entries(1);
    world.cut();
    // The guest takes over on its side ten seconds later, and its edits name what the host is about to let go of.
    world.command(1, Command::Edit(Intent::Remove(vec![seen[20]]))).unwrap();
    world
        .command(1, Command::Edit(Intent::PlayNext { after: Some(seen[3]), tracks: vec![track(7, 2)] }))
        .unwrap();
    world.run(Span::from_secs(2 * 160));
    world.command(1, Command::Edit(Intent::Append(vec![track(8, 2)]))).unwrap();
    assert!(!world.entries(0).contains(&seen[3]) && !world.entries(1).contains(&seen[3]));
    world.connect();
    world.run(Span::from_secs(3));
    assert_eq!(world.entries(0), world.entries(1));
    assert!(world.sides[0].session.is_host());
    let queue = world.sides[0].session.queue();
    let guests = queue.entries().filter(|entry| entry.id.author == guest_id());
    let titles: Vec<&str> = guests.map(|entry| entry.track.title.as_str()).collect();
    assert_eq!(titles, ["7", "8"], "each of its additions once");
    assert!(!world.entries(0).contains(&seen[3]), "what was let go of stays away");
    world.assert_within(88);
}
