//! Who gives a cover, who gets it, and what is left of it.

use jamsync_protocol::activity::Block;

use super::{
    super::tests::{ANA, BEN, BENS, CARL, CARLS, LAPTOP, NOW, PHONE, publication, publish, told},
    *,
};

const FIRST: SlotGeneration = SlotGeneration(1);

fn cover(byte: u8) -> SealedCover {
    Block::new(vec![byte; SEALED_COVER_BYTES]).expect("of its size")
}

fn at(byte: u8) -> CoverAddress {
    CoverAddress::of(&cover(byte))
}

fn give(activities: &Activities, byte: u8) -> Result<(), Refusal> {
    activities.give_cover((ANA, LAPTOP), FIRST, cover(byte), NOW)
}

fn fetched(activities: &Activities, me: AccountId, byte: u8) -> Option<SealedCover> {
    match activities.cover(me, ANA, at(byte)) {
        Ok(sealed) => Some(sealed),
        Err(refusal) => {
            assert_eq!(refusal, Refusal::UnknownCover, "the same words for every reason");
            None
        }
    }
}

/// Ana shows something to Ben, with the covers 1 and 2.
fn shown() -> Activities {
    let activities = Activities::default();
    publish(&activities, LAPTOP, publication(1, true, 0, &[BEN])).expect("taken");
    for byte in [1, 2] {
        assert_eq!(give(&activities, byte), Ok(()));
    }
    activities
}

#[test]
fn a_cover_is_for_those_alone_who_are_shown_the_activity_now() {
    let activities = shown();
    assert_eq!(fetched(&activities, BEN, 1), Some(cover(1)));
    assert_eq!(fetched(&activities, BEN, 2), Some(cover(2)));
    assert_eq!(fetched(&activities, CARL, 2), None, "who is not shown it");
    assert_eq!(fetched(&activities, ANA, 2), None, "not even its own account");
    assert_eq!(activities.cover(BEN, CARL, at(2)), Err(Refusal::UnknownCover), "of whom shows nothing");
    // Whom the newest state does not name is not shown it, also while its other parts are still under way.
    let part =
        jamsync_protocol::wire::coord::Publication { whole: false, ..publication(2, false, 1, &[CARL]) };
    publish(&activities, LAPTOP, part).expect("taken");
    assert_eq!((fetched(&activities, BEN, 2), fetched(&activities, CARL, 2)), (None, Some(cover(2))));
    activities.part(CARL, ANA);
    assert_eq!(fetched(&activities, CARL, 2), None, "who was blocked");
}

#[test]
fn it_is_taken_from_the_device_that_holds_the_activity_and_from_no_other() {
    let activities = Activities::default();
    let elsewhere = |number| Err(Refusal::ActivityElsewhere { generation: SlotGeneration(number) });
    assert_eq!(give(&activities, 1), elsewhere(0), "a coordinator that began anew knows of none");
    publish(&activities, LAPTOP, publication(1, true, 0, &[BEN])).expect("taken");
    assert_eq!(activities.give_cover((ANA, PHONE), FIRST, cover(1), NOW), elsewhere(1));
    assert_eq!(activities.give_cover((ANA, LAPTOP), SlotGeneration(2), cover(1), NOW), elsewhere(1));
    assert_eq!(activities.give_cover((CARL, CARLS), FIRST, cover(1), NOW), elsewhere(0));
    assert_eq!(fetched(&activities, BEN, 1), None);
    assert_eq!(give(&activities, 1), Ok(()));
    publish(&activities, PHONE, publication(1, true, 0, &[BEN])).expect("it starts");
    assert_eq!(fetched(&activities, BEN, 1), None, "another device shows other things");
    assert_eq!(activities.lock().cover_bytes, 0);
}

#[test]
fn who_sees_the_activity_is_shown_it_again_when_the_cover_is_there_and_once() {
    let activities = Activities::default();
    activities.watch(BEN, BENS, &[], NOW);
    activities.watch(CARL, CARLS, &[], NOW);
    publish(&activities, LAPTOP, publication(1, true, 0, &[BEN])).expect("taken");
    assert_eq!(told(&activities, BENS), (vec![1], 0));
    assert_eq!(give(&activities, 1), Ok(()));
    assert_eq!(told(&activities, BENS), (vec![1], 0), "now it can be fetched");
    assert_eq!(give(&activities, 1), Ok(()));
    assert_eq!((told(&activities, BENS), told(&activities, CARLS)), ((vec![], 0), (vec![], 0)));
}

#[test]
fn the_newest_two_are_kept_and_none_outlives_the_activity() {
    let activities = shown();
    assert_eq!(give(&activities, 3), Ok(()));
    let there = || [1, 2, 3].map(|byte| fetched(&activities, BEN, byte).is_some());
    assert_eq!(there(), [false, true, true]);
    assert_eq!(activities.lock().cover_bytes, COVERS_MAX * SEALED_COVER_BYTES);
    activities.hide((ANA, LAPTOP), Some(BEN), None, NOW);
    assert_eq!(there(), [false; 3], "hidden from one");
    activities.hide((ANA, LAPTOP), None, None, NOW);
    assert_eq!(activities.lock().cover_bytes, 0, "nothing of it is left");
    publish(&activities, LAPTOP, publication(2, true, 0, &[BEN])).expect("taken");
    assert_eq!(there(), [false; 3], "shown again, it begins anew");
    assert_eq!(give(&activities, 1), Ok(()));
    activities.forget_devices(&[LAPTOP]);
    assert_eq!(activities.lock().cover_bytes, 0);
}

#[test]
fn where_there_is_no_room_covers_go_or_are_refused_and_no_activity_is() {
    let activities = shown();
    activities.lock().cover_bytes = COVER_BYTES_MAX;
    let bens = |now| {
        activities
            .publish((BEN, BENS), publication(1, true, 0, &[ANA]), &[ANA], now)
            .expect("no cover keeps it out");
        activities.give_cover((BEN, BENS), FIRST, cover(9), now)
    };
    assert_eq!(bens(NOW), Err(Refusal::Unavailable { retry_after: RETRY_AFTER }));
    assert_eq!(fetched(&activities, BEN, 2), Some(cover(2)), "who is there keeps it");
    let later = NOW + KEPT_LEAST + jamsync_protocol::time::Span::from_secs(1);
    assert_eq!(bens(later), Ok(()));
    assert_eq!(fetched(&activities, BEN, 2), None, "the longest untouched went");
    assert_eq!(activities.pairs().len(), 2, "the activity itself did not");
}
