//! The rules said a second time, over every combination of facts, and what is kept of a birth date.

use jamsync_protocol::time::Span;

use super::*;

const BOTH: [bool; 2] = [false, true];

fn date(text: &str) -> Date {
    text.parse().expect("a date")
}
fn at(text: &str) -> UtcTime {
    let wanted = date(text);
    let mut time = UtcTime::ZERO;
    while Date::of(time) < wanted {
        time += Span::from_secs(86_400);
    }
    time
}

/// Every age, market, rollout and opt-out.
fn standings() -> Vec<Standing> {
    let mut all = Vec::new();
    for age in [Age::Enough, Age::TooYoung, Age::Unknown] {
        for market_open in BOTH {
            for rolled_out in BOTH {
                for opted_out in BOTH {
                    all.push(Standing { age, market_open, rolled_out, opted_out });
                }
            }
        }
    }
    all
}

/// The rules in the words of the feature list: the first reason that holds, in the order in which they are told.
fn expected(verb: Verb, facts: &Facts<'_>) -> Option<Refusal> {
    let of_me = because_of_me(verb, facts);
    of_me.or_else(|| facts.friend.as_ref().and_then(|friend| because_of_friend(verb, friend)))
}

fn because_of_me(verb: Verb, facts: &Facts<'_>) -> Option<Refusal> {
    let (me, jam) = (facts.me, verb != Verb::Befriend);
    let reasons = [
        (jam && !me.market_open, Refusal::NotInMarket),
        (jam && !me.rolled_out, Refusal::NotRolledOut),
        (jam && me.age == Age::TooYoung, Refusal::TooYoung { minimum_age: 16 }),
        (jam && me.age == Age::Unknown, Refusal::AgeUnknown { minimum_age: 16 }),
        (jam && verb != Verb::Message && me.opted_out, Refusal::OptedOut),
        (verb == Verb::RequestJam && facts.tier == Tier::Free, Refusal::NotPremium),
    ];
    reasons.into_iter().find_map(|(holds, refusal)| holds.then_some(refusal))
}

fn because_of_friend(verb: Verb, friend: &Friend<'_>) -> Option<Refusal> {
    let (them, handle, jam) = (friend.standing, friend.handle.clone(), verb != Verb::Befriend);
    let away = || {
        let handle = handle.clone();
        if verb == Verb::Message {
            Refusal::CannotDeliver { handle }
        } else {
            Refusal::FriendUnavailable { handle }
        }
    };
    let reasons = [
        (!jam && friend.blocks_me && !friend.is_contact, Refusal::UnknownLink),
        (jam && !friend.is_contact, Refusal::NotContact { handle: handle.clone() }),
        (jam && friend.blocked, Refusal::Blocked { handle: handle.clone() }),
        (jam && friend.blocks_me, away()),
        (jam && them.age != Age::Enough, away()),
        (jam && !them.market_open, away()),
        (jam && !them.rolled_out, away()),
        (jam && verb != Verb::Message && them.opted_out, away()),
    ];
    reasons.into_iter().find_map(|(holds, refusal)| holds.then_some(refusal))
}

#[test]
fn every_combination_of_facts_is_decided_as_the_rules_say() {
    let ben: Handle = "ben".parse().expect("a handle");
    let mut friends = vec![None];
    for standing in standings() {
        for contact in 0..8 {
            let [is_contact, blocked, blocks_me] = [1, 2, 4].map(|bit| contact & bit != 0);
            friends.push(Some(Friend { handle: &ben, is_contact, blocked, blocks_me, standing }));
        }
    }
    let (mut decided, mut permitted, mut alone) = (0, 0, 0);
    for verb in [Verb::Befriend, Verb::RequestJam, Verb::AcceptJam, Verb::Message] {
        for me in standings() {
            for tier in [Tier::Free, Tier::Premium] {
                for friend in friends.iter().copied() {
                    let facts = Facts { me, tier, minimum_age: 16, friend };
                    let wanted = expected(verb, &facts).map_or(Ok(()), Err);
                    let outcome = check(verb, &facts);
                    assert_eq!(outcome, wanted, "{verb:?} {facts:?}");
                    decided += 1;
                    permitted += usize::from(outcome.is_ok());
                    alone += usize::from(outcome.is_ok() && friend.is_none());
                }
            }
        }
    }
    assert_eq!(decided, 4 * 24 * 2 * (24 * 8 + 1));
    // With nobody to befriend, befriending always; a Jam for one standing, to ask in one tier, to accept in two; a message
    // opted out or not, in two tiers.
    assert_eq!(alone, 24 * 2 + 1 + 2 + 2 * 2);
    // Befriending unless blocked by a stranger; a Jam in one case of all each, for one tier or two; a message in as many as
    // either may have opted out.
    assert_eq!(permitted - alone, 24 * 2 * 24 * 6 + 1 + 2 + 2 * 2 * 2);
}

#[test]
fn a_contact_is_seen_online_unless_either_blocks_the_other_or_it_stays_out() {
    let mut shown = Vec::new();
    for facts in 0..16 {
        let [connected, blocked, blocks_me, opted_out] = [1, 2, 4, 8].map(|bit| facts & bit != 0);
        let presence = Presence { connected, blocked, blocks_me, opted_out };
        let reasons_against = [!connected, blocked, blocks_me, opted_out];
        assert_eq!(presence.is_shown(), !reasons_against.contains(&true), "{presence:?}");
        shown.extend(presence.is_shown().then_some(presence));
    }
    let plain = Presence { connected: true, blocked: false, blocks_me: false, opted_out: false };
    assert_eq!(shown, [plain], "of all sixteen one alone");
}

/// What a friend's refusal says must not tell why.
#[test]
fn a_block_an_age_an_opt_out_and_a_market_of_a_friend_read_the_same() {
    let ben: Handle = "ben".parse().expect("a handle");
    let mut sentences: Vec<String> = Vec::new();
    for standing in standings() {
        for blocks_me in BOTH {
            let friend = Friend { handle: &ben, is_contact: true, blocked: false, blocks_me, standing };
            let facts =
                Facts { me: Standing::FREE, tier: Tier::Premium, minimum_age: 16, friend: Some(friend) };
            sentences.extend(check(Verb::RequestJam, &facts).err().map(|refusal| refusal.to_string()));
        }
    }
    assert_eq!(sentences.len(), 2 * 24 - 1);
    sentences.dedup();
    assert_eq!(sentences, ["ben cannot take part in a Jam at present"]);
}

#[test]
fn a_rollout_reaches_about_as_many_as_it_says_and_never_withdraws() {
    let account = |number: u32| AccountId(*blake3::hash(&number.to_be_bytes()).as_bytes());
    let mut reached = vec![false; 2_000];
    for percent in [0, 1, 10, 50, 90, 100] {
        let now: Vec<bool> = (0..2_000).map(|number| is_rolled_out(account(number), percent)).collect();
        assert!(reached.iter().zip(&now).all(|(before, now)| now | !before), "{percent} % withdrew");
        let count = now.iter().filter(|reached| **reached).count();
        let wanted = usize::from(percent) * 20;
        assert!(count.abs_diff(wanted) <= 80, "{percent} %: {count}");
        reached = now;
    }
    assert!(reached.iter().all(|reached| *reached), "100 % is everybody");
}

#[test]
fn jams_are_open_everywhere_or_where_the_operator_says() {
    let market = |text: &str| text.parse::<Market>().expect("a country");
    assert!(Markets::All.includes(market("DE")));
    let only = Markets::Only(vec![market("DE"), market("ES")]);
    assert!(only.includes(market("ES")) && !only.includes(market("US")));
}

#[test]
fn an_adult_leaves_no_birth_date() {
    for calendar in [Trust::Proven, Trust::Unproven] {
        let record = AgeRecord::of(date("2000-01-01"), 16, at("2026-11-21"), calendar);
        assert_eq!(record, AgeRecord { met: 16, birth_date: None });
        assert_eq!(record.age(16, at("2026-11-21")), Age::Enough);
    }
}

#[test]
fn a_birthday_opens_the_door_and_erases_the_date() {
    let record = AgeRecord::of(date("2010-11-22"), 16, at("2026-11-21"), Trust::Proven);
    assert_eq!(record.age(16, at("2026-11-21")), Age::TooYoung);
    assert_eq!(record.settled(16, at("2026-11-21"), Trust::Proven), None);
    assert_eq!(record.age(16, at("2026-11-22")), Age::Enough);
    let settled = record.settled(16, at("2026-11-22"), Trust::Proven);
    assert_eq!(settled, Some(AgeRecord { met: 16, birth_date: None }));
}

#[test]
fn a_calendar_that_jumps_a_year_ahead_makes_nobody_of_age_for_good() {
    let (today, ahead) = (at("2026-11-21"), at("2027-11-21"));
    let before = AgeRecord::of(date("2011-05-05"), 16, today, Trust::Proven);
    let meanwhile = AgeRecord::of(date("2011-05-05"), 16, ahead, Trust::Jumped);
    for record in [before, meanwhile] {
        assert_eq!(record.age(16, ahead), Age::Enough, "by that calendar");
        for calendar in [Trust::Jumped, Trust::Unproven] {
            assert_eq!(record.settled(16, ahead, calendar), None, "the date is kept");
        }
        assert_eq!(record.age(16, today), Age::TooYoung, "by the calendar that was put right");
        assert!(record.settled(16, ahead, Trust::Proven).is_some(), "a year later");
    }
}

#[test]
fn raising_the_minimum_asks_again_and_lowering_it_does_not() {
    let record = AgeRecord { met: 16, birth_date: None };
    assert_eq!(record.age(18, at("2026-11-21")), Age::Unknown);
    assert_eq!(record.age(13, at("2026-11-21")), Age::Enough);
}
