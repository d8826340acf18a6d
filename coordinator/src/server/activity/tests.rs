//! The rules of activities, without a network.

use jamsync_protocol::{
    activity::{BeatChain, Block},
    text::List,
    wire::coord::VIEWERS_PER_CALL_MAX,
};

use super::*;

pub(super) const NOW: NodeTime = NodeTime::from_nanos(3_600_000_000_000);
pub(super) const ANA: AccountId = AccountId([1; 32]);
pub(super) const BEN: AccountId = AccountId([2; 32]);
pub(super) const CARL: AccountId = AccountId([3; 32]);
pub(super) const LAPTOP: DeviceKey = DeviceKey([11; 32]);
pub(super) const PHONE: DeviceKey = DeviceKey([12; 32]);
pub(super) const BENS: DeviceKey = DeviceKey([21; 32]);
pub(super) const CARLS: DeviceKey = DeviceKey([31; 32]);

pub(super) fn publication(number: u64, starts: bool, generation: u64, to: &[AccountId]) -> Publication {
    let key = |viewer: &AccountId| ActivityKey {
        viewer: *viewer,
        epoch: Epoch::begun(1),
        sealed: Block::new(vec![viewer.0[0]; 92]).expect("its size"),
    };
    Publication {
        number: ActivityNumber(number),
        starts,
        generation: SlotGeneration(generation),
        whole: true,
        sealed: Block::new(vec![u8::try_from(number % 256).expect("a byte"); 988]).expect("its size"),
        to: List::new(to.iter().map(key).collect()).expect("few"),
    }
}

pub(super) fn publish(
    activities: &Activities,
    device: DeviceKey,
    publication: Publication,
) -> Result<SlotGeneration, Refusal> {
    activities.publish((ANA, device), publication, &[BEN, CARL], NOW)
}

/// Which numbers a device is shown now, and who is hidden from it.
pub(super) fn told(activities: &Activities, device: DeviceKey) -> (Vec<u64>, usize) {
    let all: Vec<ActivityNews> = std::iter::from_fn(|| activities.next(device, NOW)).collect();
    let shown = all.iter().filter_map(|news| match news {
        ActivityNews::Shown(shown) => Some(shown.number.0),
        ActivityNews::Renewed { .. }
        | ActivityNews::Hidden { .. }
        | ActivityNews::Reacted { .. }
        | ActivityNews::Silenced { .. } => None,
    });
    let hidden = all.iter().filter(|news| matches!(news, ActivityNews::Hidden { .. })).count();
    (shown.collect(), hidden)
}

#[test]
fn whoever_is_slow_is_told_the_newest_and_nothing_before_it() {
    let activities = Activities::default();
    activities.watch(BEN, BENS, &[], NOW);
    for number in 1..=100 {
        publish(&activities, LAPTOP, publication(number, number == 1, 1, &[BEN])).expect("taken");
    }
    assert_eq!(told(&activities, BENS), (vec![100], 0));
    assert_eq!(told(&activities, BENS), (vec![], 0));
    activities.watch(BEN, BENS, &[], NOW);
    assert_eq!(told(&activities, BENS), (vec![100], 0), "who comes back sees what is");
    let late = publish(&activities, LAPTOP, publication(50, false, 1, &[BEN]));
    assert_eq!(late, Ok(SlotGeneration(1)));
    assert_eq!(told(&activities, BENS), (vec![], 0), "what was overtaken is not shown");
}

#[test]
fn there_is_one_activity_for_an_account_and_only_who_starts_takes_it() {
    let activities = Activities::default();
    activities.watch(BEN, BENS, &[], NOW);
    assert_eq!(publish(&activities, LAPTOP, publication(1, true, 0, &[BEN])), Ok(SlotGeneration(1)));
    let elsewhere = Err(Refusal::ActivityElsewhere { generation: SlotGeneration(1) });
    for generation in [0, 1, 2, u64::MAX] {
        assert_eq!(publish(&activities, PHONE, publication(9, false, generation, &[BEN])), elsewhere);
    }
    assert_eq!(publish(&activities, PHONE, publication(1, true, 0, &[BEN])), Ok(SlotGeneration(2)));
    let beat = BeatChain::new([1; 16]).beat(1).expect("one");
    let late = activities.renew((ANA, LAPTOP), SlotGeneration(1), beat, NOW);
    assert_eq!(late, Err(Refusal::ActivityElsewhere { generation: SlotGeneration(2) }));
    assert!(publish(&activities, LAPTOP, publication(2, false, 1, &[BEN])).is_err());
    assert_eq!(activities.renew((ANA, PHONE), SlotGeneration(2), beat, NOW), Ok(()));
    assert_eq!(told(&activities, BENS), (vec![1], 0), "one, whatever two devices say");
    let nobody = activities.renew((CARL, CARLS), SlotGeneration(1), beat, NOW);
    assert_eq!(nobody, Err(Refusal::ActivityElsewhere { generation: SlotGeneration(0) }));
}

#[test]
fn who_is_left_out_parted_or_not_permitted_is_told_that_nothing_is_shown() {
    let activities = Activities::default();
    activities.watch(BEN, BENS, &[], NOW);
    activities.watch(CARL, CARLS, &[], NOW);
    publish(&activities, LAPTOP, publication(1, true, 0, &[BEN, CARL, AccountId([9; 32]), ANA]))
        .expect("taken");
    assert_eq!((told(&activities, BENS), told(&activities, CARLS)), ((vec![1], 0), (vec![1], 0)));
    assert_eq!(activities.pairs().len(), 2, "nobody whom the rules do not permit");
    publish(&activities, LAPTOP, publication(2, false, 1, &[BEN])).expect("taken");
    assert_eq!((told(&activities, BENS), told(&activities, CARLS)), ((vec![2], 0), (vec![], 1)));
    activities.part(BEN, ANA);
    assert_eq!(told(&activities, BENS), (vec![], 1));
    publish(&activities, LAPTOP, publication(3, false, 1, &[BEN, CARL])).expect("taken");
    told(&activities, BENS);
    activities.hide((ANA, LAPTOP), Some(BEN), None, NOW);
    assert_eq!((told(&activities, BENS), told(&activities, CARLS)), ((vec![], 1), (vec![3], 0)));
    activities.forget_devices(&[LAPTOP]);
    assert_eq!(told(&activities, CARLS), (vec![], 1), "who was revoked shows nothing");
    assert_eq!(activities.pairs(), []);
    assert_eq!(activities.lock().bytes, 0, "nothing of it is left");
}

#[test]
fn off_hides_it_from_all_and_tells_the_accounts_other_devices() {
    let activities = Activities::default();
    activities.watch(BEN, BENS, &[], NOW);
    activities.watch(ANA, PHONE, &[], NOW);
    activities.watch(ANA, LAPTOP, &[], NOW);
    publish(&activities, LAPTOP, publication(1, true, 0, &[BEN])).expect("taken");
    assert_eq!(told(&activities, BENS), (vec![1], 0));
    activities.hide((ANA, LAPTOP), None, None, NOW);
    assert_eq!(told(&activities, BENS), (vec![], 1));
    assert_eq!(activities.next(PHONE, NOW), Some(ActivityNews::Silenced { until: None }));
    assert_eq!(activities.next(LAPTOP, NOW), None);
    activities.watch(BEN, BENS, &[], NOW);
    assert_eq!(told(&activities, BENS), (vec![], 0), "who comes later does not hear of it at all");
}

#[test]
fn a_state_for_more_than_fit_a_call_is_told_in_parts_and_replaces_nobody_in_between() {
    let activities = Activities::default();
    let many: Vec<AccountId> = (0..200_u8).map(|number| AccountId([number; 32])).collect();
    let tell = |number: u64, starts: bool| {
        let parts: Vec<&[AccountId]> = many.chunks(VIEWERS_PER_CALL_MAX).collect();
        for (at, part) in parts.iter().enumerate() {
            let whole = at + 1 == parts.len();
            let publication = Publication { whole, ..publication(number, starts, 1, part) };
            assert_eq!(
                activities.is_further((AccountId([250; 32]), LAPTOP), &publication),
                at > 0,
                "one change"
            );
            let told = activities.publish((AccountId([250; 32]), LAPTOP), publication, &many, NOW);
            assert_eq!(told, Ok(SlotGeneration(1)));
        }
    };
    activities.watch(many[199], BENS, &[], NOW);
    tell(1, true);
    assert_eq!(told(&activities, BENS), (vec![1], 0));
    tell(2, false);
    assert_eq!(told(&activities, BENS), (vec![2], 0), "never hidden in between");
    assert_eq!(activities.pairs().len(), 200);
    let again = publication(2, false, 1, &many[..1]);
    assert!(
        !activities.is_further((AccountId([250; 32]), LAPTOP), &again),
        "who was named already counts anew"
    );
}

#[test]
fn a_state_that_is_told_in_ever_more_parts_counts_as_a_change_each_time() {
    let activities = Activities::default();
    publish(&activities, LAPTOP, publication(1, true, 0, &[BEN])).expect("taken");
    let stranger = || publication(1, false, 1, &[AccountId([77; 32])]);
    let mut free = 0;
    while activities.is_further((ANA, LAPTOP), &stranger()) {
        publish(&activities, LAPTOP, stranger()).expect("taken");
        free += 1;
        assert!(free <= PARTS_MAX, "without end");
    }
    assert_eq!(free, PARTS_MAX - 1);
}

#[test]
fn reactions_wait_for_who_is_away_and_the_newest_few_alone() {
    let activities = Activities::default();
    let reaction = |byte: u8| Block::new(vec![byte; 60]).expect("its size");
    for byte in 0..100 {
        activities.react(BEN, ANA, (Epoch::begun(1), reaction(byte)), NOW);
    }
    activities.watch(ANA, LAPTOP, &[], NOW);
    let waited: Vec<u8> = std::iter::from_fn(|| activities.next(LAPTOP, NOW))
        .filter_map(
            |news| if let ActivityNews::Reacted { sealed, .. } = news { Some(sealed[0]) } else { None },
        )
        .collect();
    assert_eq!(waited, [92, 93, 94, 95, 96, 97, 98, 99]);
    activities.react(BEN, ANA, (Epoch::begun(1), reaction(1)), NOW);
    activities.watch(ANA, PHONE, &[], NOW);
    assert_eq!(activities.next(PHONE, NOW), None, "it went to the device that was there");
    assert!(activities.next(LAPTOP, NOW).is_some());
}

#[test]
fn a_reaction_that_was_written_to_a_device_that_had_gone_waits_again_for_a_while() {
    let activities = Activities::default();
    for (gone_after, again) in [(60, true), (100, false)] {
        let wake = activities.watch(ANA, LAPTOP, &[], NOW);
        while activities.next(LAPTOP, NOW).is_some() {}
        activities.react(BEN, ANA, (Epoch::begun(1), Block::new(vec![1; 60]).expect("its size")), NOW);
        assert!(activities.next(LAPTOP, NOW).is_some());
        let later = NOW + Span::from_secs(gone_after);
        activities.leave(LAPTOP, &wake, later);
        activities.watch(ANA, LAPTOP, &[], later);
        assert_eq!(activities.next(LAPTOP, later).is_some(), again, "{gone_after} s");
        let still = activities.watch(ANA, LAPTOP, &[], later + UNSURE);
        activities.leave(LAPTOP, &still, later + UNSURE);
    }
}

#[test]
fn a_reaction_that_was_written_to_two_devices_that_had_died_comes_to_both_again() {
    let activities = Activities::default();
    let wakes = [LAPTOP, PHONE].map(|device| activities.watch(ANA, device, &[], NOW));
    activities.react(BEN, ANA, (Epoch::begun(1), Block::new(vec![1; 60]).expect("its size")), NOW);
    for device in [LAPTOP, PHONE] {
        assert!(activities.next(device, NOW).is_some(), "written to a connection that is dead");
    }
    // The coordinator has not noticed yet, and each begins anew while the other passes for being there.
    for (device, wake) in [LAPTOP, PHONE].into_iter().zip(&wakes) {
        activities.leave(device, wake, NOW);
        activities.watch(ANA, device, &[], NOW);
        assert!(activities.next(device, NOW).is_some(), "{device:?}");
        assert_eq!(activities.next(device, NOW), None, "{device:?}");
    }
}

/// Longer than anything waits that was written.
const UNSURE: Span = Span::from_secs(1_000);

#[test]
fn where_there_is_no_room_the_longest_untouched_goes_and_nobody_who_is_there() {
    let activities = Activities::default();
    publish(&activities, LAPTOP, publication(1, true, 0, &[BEN])).expect("taken");
    activities.lock().bytes = BYTES_MAX;
    let full = activities.publish((CARL, CARLS), publication(1, true, 0, &[BEN]), &[BEN], NOW);
    assert_eq!(full, Err(Refusal::Unavailable { retry_after: RETRY_AFTER }));
    let later = NOW + KEPT_LEAST + Span::from_secs(1);
    let taken = activities.publish((CARL, CARLS), publication(1, true, 0, &[BEN]), &[BEN], later);
    assert_eq!(taken, Ok(SlotGeneration(1)));
    assert_eq!(activities.pairs(), [(CARL, BEN)]);
}

#[test]
fn who_was_away_while_it_was_hidden_is_told_so() {
    let activities = Activities::default();
    publish(&activities, LAPTOP, publication(1, true, 0, &[BEN])).expect("taken");
    let wake = activities.watch(BEN, BENS, &[ANA], NOW);
    assert_eq!(told(&activities, BENS), (vec![1], 0));
    activities.leave(BENS, &wake, NOW);
    activities.hide((ANA, LAPTOP), None, None, NOW);
    activities.watch(BEN, BENS, &[ANA], NOW);
    assert_eq!(told(&activities, BENS), (vec![], 1));
}

#[test]
fn a_device_that_has_not_heard_that_it_holds_the_activity_is_heard_all_the_same() {
    let activities = Activities::default();
    publish(&activities, LAPTOP, publication(1, true, 0, &[BEN])).expect("taken");
    let held = publish(&activities, PHONE, publication(1, true, 0, &[BEN])).expect("it starts");
    assert_eq!(publish(&activities, PHONE, publication(2, false, 0, &[BEN])), Ok(held));
    assert!(publish(&activities, LAPTOP, publication(2, false, 1, &[BEN])).is_err());
}

/// What a device that arrives is told of its own account.
fn silenced(activities: &Activities, device: DeviceKey, now: NodeTime) -> Option<Option<UtcTime>> {
    activities.watch(ANA, device, &[], now);
    let silenced = std::iter::from_fn(|| activities.next(device, now)).find_map(|news| match news {
        ActivityNews::Silenced { until } => Some(until),
        ActivityNews::Shown(_)
        | ActivityNews::Renewed { .. }
        | ActivityNews::Hidden { .. }
        | ActivityNews::Reacted { .. } => None,
    });
    // It stays for long enough to have heard it.
    let still = activities.watch(ANA, device, &[], now);
    while activities.next(device, now).is_some() {}
    activities.leave(device, &still, now + UNSURE);
    silenced
}

#[test]
fn a_device_that_was_away_hears_that_another_has_hidden_the_activity_until_it_is_told_anew() {
    const TABLET: DeviceKey = DeviceKey([13; 32]);
    let (activities, until) = (Activities::default(), Some(UtcTime::from_nanos(9)));
    assert_eq!(silenced(&activities, PHONE, NOW), None);
    activities.hide((ANA, LAPTOP), None, None, NOW);
    activities.hide((ANA, LAPTOP), None, until, NOW);
    assert_eq!(silenced(&activities, LAPTOP, NOW), None, "it said so itself");
    // What it was told just before it went it may not have heard.
    activities.watch(ANA, PHONE, &[], NOW);
    while activities.next(PHONE, NOW).is_some() {}
    assert_eq!(silenced(&activities, PHONE, NOW), Some(until));
    assert_eq!(silenced(&activities, PHONE, NOW), None, "once");
    // One that does not know of it does not end it by what it shows.
    publish(&activities, TABLET, publication(1, true, 1, &[BEN])).expect("taken");
    assert_eq!(silenced(&activities, TABLET, NOW), Some(until));
    publish(&activities, PHONE, publication(1, true, 1, &[BEN])).expect("taken");
    assert_eq!(silenced(&activities, DeviceKey([14; 32]), NOW), None, "it is shown again");
    activities.hide((ANA, LAPTOP), None, None, NOW);
    assert_eq!(
        silenced(&activities, PHONE, NOW + Span::from_secs(31 * 86_400)),
        None,
        "a month later it is forgotten"
    );
}

#[test]
fn of_so_many_accounts_it_is_known_that_they_show_nothing_and_for_so_long_alone() {
    let activities = Activities::default();
    for number in 0..20_000_u32 {
        let mut account = [0; 32];
        account[..4].copy_from_slice(&number.to_be_bytes());
        activities.hide((AccountId(account), LAPTOP), None, None, NOW + Span::from_millis(number.into()));
    }
    activities.hide((ANA, LAPTOP), None, None, NOW + Span::from_secs(60));
    assert_eq!(activities.lock().watchers.kept(), (10_000, 0));
    assert_eq!(silenced(&activities, PHONE, NOW + Span::from_secs(60)), Some(None), "the newest are");
    activities.forget_old(NOW + Span::from_secs(31 * 86_400));
    assert_eq!(activities.lock().watchers.kept(), (0, 0));
}

#[test]
fn a_reaction_waits_for_a_day() {
    for (hours, is_told) in [(23, true), (24, false)] {
        let activities = Activities::default();
        activities.react(BEN, ANA, (Epoch::begun(1), Block::new(vec![1; 60]).expect("its size")), NOW);
        let later = NOW + Span::from_secs(hours * 3_600);
        activities.forget_old(later);
        assert_eq!(activities.lock().watchers.kept().1, usize::from(is_told), "{hours} h");
        activities.react(BEN, CARL, (Epoch::begun(1), Block::new(vec![1; 60]).expect("its size")), NOW);
        activities.watch(CARL, CARLS, &[], later);
        assert_eq!(activities.next(CARLS, later).is_some(), is_told, "{hours} h, before it was looked");
    }
}
