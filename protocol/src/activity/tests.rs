//! What is shown is read back, and only in its size; renewals are proven; the two machines in virtual time.

use alloc::{vec, vec::Vec};

use super::*;
use crate::{
    chat::Reaction,
    conversation::CARD_LENGTH_MAX,
    id::{DeviceKey, TrackId},
    text::Text,
    time::{NodeTime, UtcTime},
};

const START: NodeTime = NodeTime::from_nanos(3_600_000_000_000);
const TODAY: UtcTime = UtcTime::from_nanos(1_795_219_500_000_000_000);
const LAPTOP: DeviceKey = DeviceKey([1; 32]);

fn secs(secs: i64) -> Span {
    Span::from_secs(secs)
}

fn track(number: u8) -> SharedTrack {
    let title = Text::truncated(&"t".repeat(256));
    SharedTrack {
        id: TrackId([number; 32]),
        artist: title.clone(),
        album: title.clone(),
        title,
        duration: secs(200),
    }
}

fn activity(state: PlayState, chain: &BeatChain) -> Activity {
    let cover = Cover { address: CoverAddress([255; 32]), key: CoverKey([255; 32]) };
    Activity {
        at: TODAY,
        state,
        track: track(1),
        position: secs(10),
        beats: chain.anchor(),
        cover: Some(cover),
    }
}

fn playing(number: u8, position: i64, at: NodeTime) -> Option<Sharing> {
    Some(Sharing {
        state: PlayState::Playing,
        track: track(number),
        position: secs(position),
        at,
        cover: None,
    })
}

#[test]
fn the_longest_activity_fits_and_what_is_filled_up_otherwise_is_refused() {
    let shown = Activity {
        at: UtcTime::from_nanos(i64::MIN),
        position: CARD_LENGTH_MAX,
        track: SharedTrack { duration: CARD_LENGTH_MAX, ..track(1) },
        ..activity(PlayState::Playing, &BeatChain::new([255; 16]))
    };
    let bytes = shown.encode().expect("fits");
    assert_eq!((bytes.len(), Activity::decode(&bytes)), (ACTIVITY_BYTES, Ok(shown)));
    for at in [0, 1, ACTIVITY_BYTES - 1] {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x80;
        assert!(Activity::decode(&damaged).is_err(), "{at}");
    }
    assert!(Activity::decode(&bytes[1..]).is_err() && Activity::decode(&[]).is_err());
    let note = ReactionNote { at: TODAY, reaction: Reaction::Sad };
    let bytes = note.encode().expect("fits");
    assert_eq!((bytes.len(), ReactionNote::decode(&bytes)), (REACTION_BYTES, Ok(note)));
}

#[test]
fn what_lasts_less_than_nothing_or_for_ever_is_refused() {
    let (nanosecond, longest) = (Span::from_nanos(1), CARD_LENGTH_MAX);
    for absurd in [
        Span::ZERO - nanosecond,
        longest + nanosecond,
        Span::from_nanos(i64::MIN),
        Span::from_nanos(i64::MAX),
    ] {
        let shown = activity(PlayState::Playing, &BeatChain::new([1; 16]));
        let lasts = Activity { track: SharedTrack { duration: absurd, ..track(1) }, ..shown.clone() };
        let stands = Activity { position: absurd, ..shown };
        for shown in [lasts, stands] {
            let refused = Err(ContentError::Length { actual: absurd });
            assert_eq!(shown.encode().map(drop), refused.clone());
            // As one sends it who does not look.
            let bytes = content::fill(&shown, ACTIVITY_BYTES).expect("fits");
            assert_eq!(Activity::decode(&bytes).map(drop), refused);
        }
    }
    for fine in [Span::ZERO, longest] {
        let shown = Activity { position: fine, ..activity(PlayState::Playing, &BeatChain::new([1; 16])) };
        assert_eq!(Activity::decode(&shown.encode().expect("fits")), Ok(shown));
    }
}

#[test]
fn a_beat_is_proven_by_the_one_before_and_made_by_nobody_else() {
    let chain = BeatChain::new([7; 16]);
    let (anchor, first, third) = (chain.anchor(), chain.beat(1).expect("one"), chain.beat(3).expect("one"));
    assert!(first.continues(0, anchor) && third.continues(0, anchor), "one that was lost does no harm");
    assert!(third.continues(1, first.proof));
    assert!(!first.continues(1, first.proof) && !first.continues(3, third.proof), "none comes twice");
    let forged = Beat { count: 4, proof: third.proof };
    assert!(!forged.continues(3, third.proof) && !forged.continues(0, anchor));
    let of_another = BeatChain::new([8; 16]).beat(4).expect("one");
    assert!(!of_another.continues(3, third.proof));
    assert!(chain.beat(0).is_none() && chain.beat(BEATS_MAX + 1).is_none());
    let last = chain.beat(BEATS_MAX).expect("the last");
    assert!(last.continues(0, anchor));
    assert!(!Beat { count: u16::MAX, ..last }.continues(0, anchor), "nobody makes us hash without end");
}

/// A publisher, what it told and when.
struct Side {
    publisher: Publisher,
    now: NodeTime,
    told: Vec<(NodeTime, Step)>,
}

impl Side {
    fn new() -> Self {
        let mut publisher = Publisher::new(ActivityNumber(100));
        publisher.handle_connected();
        Self { publisher, now: START, told: Vec::new() }
    }

    fn share(&mut self, sharing: Option<Sharing>) {
        self.publisher.handle_sharing(sharing);
        self.drain();
    }

    /// Everything that is to be told now is told, and done at once.
    fn drain(&mut self) {
        while let Some(step) = self.publisher.poll_step(self.now) {
            self.told.push((self.now, step));
            self.publisher.handle_told(Told::Done(SlotGeneration(1)), self.now);
        }
    }

    /// Leaps from one thing to do to the next.
    fn pass(&mut self, span: Span) {
        let until = self.now + span;
        while let Some(due) = self.publisher.poll_timeout().filter(|due| *due <= until) {
            self.now = self.now.max(due);
            self.drain();
        }
        self.now = until;
    }

    fn published(&self) -> Vec<(NodeTime, u8)> {
        let publication = |(at, step): &(NodeTime, Step)| match step {
            Step::Publish { sharing, .. } => Some((*at, sharing.track.id.0[0])),
            Step::Renew { .. } => None,
        };
        self.told.iter().filter_map(publication).collect()
    }
}

#[test]
fn of_a_storm_of_skips_five_are_told_at_once_then_one_a_second_and_the_last_always() {
    let mut side = Side::new();
    for number in 1..=100 {
        side.share(playing(number, 0, side.now));
        side.pass(Span::from_millis(50));
    }
    side.pass(secs(10));
    let told = side.published();
    assert_eq!(told.last().map(|(_, number)| *number), Some(100), "the last state arrives");
    assert!(told.len() <= 11, "{told:?}");
    assert_eq!(told.iter().filter(|(at, _)| *at - START < Span::from_millis(250)).count(), 5, "{told:?}");
    let within = told.iter().filter(|(at, _)| *at - START <= secs(5)).count();
    assert!(within <= 10, "{told:?}");
    for pair in told.windows(2).skip(5) {
        assert!(pair[1].0 - pair[0].0 >= Span::from_millis(900), "{pair:?}");
    }
}

#[test]
fn what_goes_on_by_itself_is_only_renewed_and_what_stands_is_not_even_that() {
    let mut side = Side::new();
    side.share(playing(1, 0, side.now));
    for second in 1..=20 {
        side.pass(secs(1));
        side.share(playing(1, second, side.now));
    }
    assert_eq!(side.published().len(), 1);
    let counts: Vec<u16> = side
        .told
        .iter()
        .filter_map(|(_, step)| if let Step::Renew { count, .. } = step { Some(*count) } else { None })
        .collect();
    assert_eq!(counts, [1, 2, 3, 4, 5]);
    side.share(playing(1, 120, side.now));
    assert_eq!(side.published().len(), 2, "a seek is a change");
    let cover = Some(Cover { address: CoverAddress([1; 32]), key: CoverKey([2; 32]) });
    let covered = Sharing { cover, ..playing(1, 120, side.now).expect("one") };
    side.share(Some(covered.clone()));
    assert_eq!(side.published().len(), 3, "and so is a cover that was not there before");
    let paused = Sharing { state: PlayState::Paused, ..covered };
    side.share(Some(paused));
    let told = side.told.len();
    side.pass(secs(3_600));
    assert_eq!(side.told.len(), told, "what stands is not renewed");
    side.share(None);
    side.share(None);
    assert!(matches!(&side.told[told..], [(_, Step::Publish { sharing, .. })]
            if sharing.state == PlayState::Ended && sharing.cover == cover));
}

#[test]
fn only_who_begins_to_play_takes_the_activity_from_another_device() {
    let mut side = Side::new();
    side.share(playing(1, 0, side.now));
    assert!(matches!(side.told[..], [(_, Step::Publish { starts: true, .. })]));
    side.share(playing(2, 0, side.now));
    assert!(matches!(side.told[1], (_, Step::Publish { starts: false, generation: SlotGeneration(1), .. })));
    // Another device has begun to play meanwhile.
    side.now += secs(5);
    let renew = side.publisher.poll_step(side.now);
    assert!(matches!(renew, Some(Step::Renew { .. })), "{renew:?}");
    side.publisher.handle_told(Told::Elsewhere, side.now);
    side.share(playing(3, 0, side.now));
    side.pass(secs(60));
    assert_eq!(side.told.len(), 2, "a track that follows is no beginning");
    let paused = Sharing { state: PlayState::Paused, ..playing(3, 60, side.now).expect("one") };
    side.share(Some(paused));
    assert_eq!(side.told.len(), 2);
    side.share(playing(3, 60, side.now));
    assert!(matches!(side.told[2..], [(_, Step::Publish { starts: true, .. })]), "{:?}", &side.told[2..]);
}

#[test]
fn whoever_asks_to_play_where_it_plays_already_takes_the_activity_back_once() {
    let mut side = Side::new();
    side.share(playing(1, 0, side.now));
    side.now += secs(5);
    assert!(matches!(side.publisher.poll_step(side.now), Some(Step::Renew { .. })));
    side.publisher.handle_told(Told::Elsewhere, side.now);
    side.publisher.handle_play();
    side.share(playing(1, 5, side.now));
    assert!(matches!(side.told[1..], [(_, Step::Publish { starts: true, .. })]), "{:?}", &side.told[1..]);
    side.share(playing(2, 0, side.now));
    assert!(matches!(side.told[2..], [(_, Step::Publish { starts: false, .. })]), "{:?}", &side.told[2..]);
    // Asked for and hidden before it came to that: what plays later is no beginning by hand.
    side.publisher.handle_play();
    side.publisher.handle_hidden();
    side.share(Some(Sharing { state: PlayState::Paused, ..playing(2, 0, side.now).expect("one") }));
    assert!(matches!(side.told[3..], [(_, Step::Publish { starts: false, .. })]), "{:?}", &side.told[3..]);
}

#[test]
fn what_stands_has_stood_while_the_machine_slept_too() {
    let mut side = Side::new();
    side.share(Some(Sharing { state: PlayState::Paused, ..playing(1, 30, side.now).expect("one") }));
    let began = side.now;
    side.now += secs(60);
    side.publisher.handle_slept(secs(3_600));
    side.publisher.handle_again();
    side.drain();
    let Some((_, Step::Publish { sharing, .. })) = side.told.last() else { panic!("{:?}", side.told) };
    assert_eq!((sharing.at, sharing.position), (began - secs(3_600), secs(30)));
}

#[test]
fn what_was_not_taken_is_told_again_and_what_was_hidden_is_not() {
    let mut side = Side::new();
    side.publisher.handle_sharing(playing(1, 0, side.now));
    let first = side.publisher.poll_step(side.now);
    assert!(matches!(first, Some(Step::Publish { starts: true, .. })));
    assert_eq!(side.publisher.poll_step(side.now), None, "one at a time");
    side.publisher.handle_sharing(playing(2, 0, side.now));
    side.publisher.handle_told(Told::Wait(secs(2)), side.now);
    side.pass(secs(1));
    assert_eq!(side.told, []);
    side.pass(secs(1));
    let Some((_, Step::Publish { starts: true, sharing, number, .. })) = side.told.first() else {
        panic!("{:?}", side.told)
    };
    assert_eq!((sharing.track.id.0[0], *number), (2, ActivityNumber(102)), "the newest, under a new number");
    side.publisher.handle_disconnected();
    side.pass(secs(20));
    side.publisher.handle_connected();
    side.drain();
    assert_eq!(side.published().len(), 2, "a coordinator that began anew is told again");
    side.now += secs(4);
    assert!(side.publisher.poll_step(side.now).is_some());
    side.publisher.handle_hidden();
    side.publisher.handle_told(Told::Away, side.now);
    side.publisher.handle_connected();
    side.pass(secs(60));
    assert_eq!(side.published().len(), 2, "nothing is told of what is hidden");
}

#[test]
fn what_plays_is_live_for_ten_seconds_after_each_renewal() {
    let chain = BeatChain::new([7; 16]);
    let mut viewed = Viewed::new(
        (LAPTOP, ActivityNumber(1)),
        activity(PlayState::Playing, &chain),
        secs(2),
        START,
        TODAY + secs(2),
    );
    assert_eq!(viewed.state(START), ViewState::Playing { position: secs(12) });
    let nearly = START + secs(7);
    assert_eq!(viewed.state(nearly), ViewState::Playing { position: secs(19) });
    assert_eq!(viewed.poll_timeout(START), Some(START + secs(8)));
    assert_eq!(viewed.state(START + secs(8)), ViewState::Stale { age: secs(10) });
    assert!(viewed.handle_beat(chain.beat(1).expect("one"), Span::ZERO, nearly));
    assert_eq!(viewed.state(START + secs(8)), ViewState::Playing { position: secs(20) });
    // One that comes again, as a coordinator could repeat it for ever, keeps nothing alive.
    assert!(!viewed.handle_beat(chain.beat(1).expect("one"), Span::ZERO, START + secs(15)));
    assert_eq!(viewed.state(START + secs(17)), ViewState::Stale { age: secs(10) });
    assert!(viewed.handle_beat(chain.beat(3).expect("one"), Span::ZERO, START + secs(18)));
    assert_eq!(viewed.state(START + secs(18)), ViewState::Playing { position: secs(30) }, "it is back");
}

#[test]
fn what_is_kept_back_and_told_later_is_not_taken_for_live() {
    let chain = BeatChain::new([7; 16]);
    let told = |late| {
        let shown = activity(PlayState::Playing, &chain);
        Viewed::new((LAPTOP, ActivityNumber(1)), shown, Span::ZERO, START, TODAY + late)
    };
    assert!(!told(secs(299)).is_doubted() && !told(secs(-299)).is_doubted());
    for late in [secs(301), secs(-301), secs(86_400)] {
        let viewed = told(late);
        assert!(viewed.is_doubted() && matches!(viewed.state(START), ViewState::Stale { .. }), "{late}");
    }
}

#[test]
fn what_stands_or_has_ended_has_its_age() {
    let chain = BeatChain::new([7; 16]);
    let state = |state| {
        let shown = Viewed::new(
            (LAPTOP, ActivityNumber(1)),
            activity(state, &chain),
            secs(60),
            START,
            TODAY + secs(60),
        );
        shown.state(START + secs(40))
    };
    assert_eq!(state(PlayState::Paused), ViewState::Paused { position: secs(10), age: secs(100) });
    assert_eq!(state(PlayState::Ended), ViewState::Last { age: secs(100) });
}

#[test]
fn what_is_told_again_later_is_where_it_is_by_then_and_what_stands_keeps_its_age() {
    let mut publisher = Publisher::new(ActivityNumber(0));
    publisher.handle_connected();
    publisher.handle_sharing(playing(1, 10, START));
    assert!(publisher.poll_step(START).is_some());
    publisher.handle_told(Told::Done(SlotGeneration(1)), START);
    publisher.handle_again();
    let later = START + secs(120);
    let Some(Step::Publish { sharing, .. }) = publisher.poll_step(later) else { panic!("it is told again") };
    assert_eq!((sharing.position, sharing.at), (secs(130), later));
    let shown = activity(PlayState::Paused, &BeatChain::new([7; 16]));
    let again = Viewed::new((LAPTOP, ActivityNumber(2)), shown, Span::ZERO, START, TODAY + secs(7_200));
    assert_eq!(again.state(START), ViewState::Paused { position: secs(10), age: secs(7_200) });
    assert!(!again.is_doubted());
}

#[test]
fn what_was_live_when_the_viewers_machine_fell_asleep_is_stale_when_it_wakes_and_what_stood_is_older() {
    let chain = BeatChain::new([7; 16]);
    let woken = |state| {
        let shown = activity(state, &chain);
        let mut viewed = Viewed::new((LAPTOP, ActivityNumber(1)), shown, Span::ZERO, START, TODAY);
        viewed.handle_slept(secs(3_600));
        viewed.state(START + secs(1))
    };
    assert_eq!(woken(PlayState::Playing), ViewState::Stale { age: secs(3_601) });
    assert_eq!(woken(PlayState::Ended), ViewState::Last { age: secs(3_601) });
}

#[test]
fn a_renewal_that_was_refused_is_not_due_before_it_may_be_tried() {
    let mut publisher = Publisher::new(ActivityNumber(0));
    publisher.handle_connected();
    publisher.handle_sharing(playing(1, 10, START));
    assert!(publisher.poll_step(START).is_some());
    publisher.handle_told(Told::Done(SlotGeneration(1)), START);
    let renewal = START + RENEW_EVERY;
    assert!(matches!(publisher.poll_step(renewal), Some(Step::Renew { .. })));
    publisher.handle_told(Told::Wait(secs(60)), renewal);
    assert_eq!(publisher.poll_timeout(), Some(renewal + secs(60)));
}

#[test]
fn no_state_is_seen_twice_and_no_device_hides_another() {
    let mut newest = Newest::default();
    let phone = DeviceKey([2; 32]);
    assert!(newest.admit(LAPTOP, ActivityNumber(5)));
    assert!(!newest.admit(LAPTOP, ActivityNumber(5)) && !newest.admit(LAPTOP, ActivityNumber(4)));
    assert!(newest.admit(phone, ActivityNumber(1)), "each device counts for itself");
    assert!(!newest.admit(LAPTOP, ActivityNumber(5)), "also when another has played in between");
    assert!(newest.admit(LAPTOP, ActivityNumber(6)));
    let strangers = (0..1_000_u16).map(|number| {
        let mut key = vec![9; 32];
        key[..2].copy_from_slice(&number.to_be_bytes());
        DeviceKey(key.try_into().expect("32 bytes"))
    });
    assert!(strangers.into_iter().all(|device| newest.admit(device, ActivityNumber(1))));
}
