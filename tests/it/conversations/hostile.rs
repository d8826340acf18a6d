//! A coordinator that lies: whatever it drops, repeats, reorders, forges or hands out twice is noticed, or does no harm.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use jamsync_node::conversation::NoAnswer;
use jamsync_protocol::{
    conversation::Epoch,
    text::List,
    wire::coord::{ConversationEntry, ConversationItem, CoordReply, CoordRequest, Sequence, TakenPackage},
};

use super::World;

const ANA: usize = 0;
const BEN: usize = 1;
const EVE: usize = 2;

/// Ana and Ben, who have spoken.
fn acquainted(seed: u64) -> World {
    let mut world = World::of(&["ana", "ben"], seed);
    world.say(ANA, BEN, "hello");
    world.settle();
    world
}

/// Changes what a log shows.
fn shown_as(change: impl Fn(&mut Vec<ConversationEntry>) + 'static) -> super::Lie {
    Box::new(move |_, answer| match answer {
        Ok(CoordReply::Entries { entries, newest }) => {
            let mut entries = entries.into_vec();
            change(&mut entries);
            Ok(CoordReply::Entries { entries: List::new(entries).expect("few"), newest })
        }
        other => other,
    })
}

fn is_post(entry: &ConversationEntry) -> bool {
    matches!(entry.what, ConversationItem::Post { .. })
}

#[test]
fn a_message_that_is_held_back_is_missed() {
    let mut world = acquainted(1);
    world.kill(BEN);
    for words in ["one", "two", "three"] {
        world.say(ANA, BEN, words);
    }
    world.settle();
    world.start(BEN);
    world.lie = Some(shown_as(|entries| {
        if entries.len() == 3 {
            // The place of the second is filled with the third.
            entries[1].what = entries[2].what.clone();
            entries.truncate(2);
        }
    }));
    world.settle();
    assert_eq!(world.words(BEN, ANA), ["hello", "one", "three"]);
    let warnings = world.warnings(BEN).join("\n");
    assert!(warnings.contains("1 messages with ana are missing"), "{warnings}");
}

#[test]
fn what_is_shown_twice_or_in_another_order_is_shown_once() {
    let mut world = acquainted(2);
    world.kill(BEN);
    for words in ["one", "two", "three"] {
        world.say(ANA, BEN, words);
    }
    world.settle();
    world.start(BEN);
    world.lie = Some(shown_as(|entries| {
        if entries.len() == 3 {
            let first = entries[0].clone();
            entries.reverse();
            for (entry, sequence) in entries.iter_mut().zip(first.sequence.0..) {
                entry.sequence = Sequence(sequence);
            }
            entries.push(ConversationEntry { sequence: Sequence(first.sequence.0 + 3), ..first });
        }
    }));
    world.settle();
    let mut words = world.words(BEN, ANA);
    words.sort();
    assert_eq!(words, ["hello", "one", "three", "two"]);
}

#[test]
fn an_old_change_that_is_replayed_changes_nothing() {
    let mut world = acquainted(3);
    world.join(ANA);
    world.settle();
    // Every change that Ben ever saw, shown again as the newest entry.
    let seen: Rc<RefCell<Vec<ConversationEntry>>> = Rc::default();
    let (talk, ben) = (world.talk(ANA, BEN), world.devices[BEN].secret.public());
    let log = world.ask(ben, CoordRequest::ConversationLog { conversation: talk, after: Sequence(0) });
    let Ok(CoordReply::Entries { newest, .. }) = log else { panic!("no log: {log:?}") };
    let keep = Rc::clone(&seen);
    world.lie = Some(Box::new(move |_, answer| {
        if let Ok(CoordReply::Entries { entries, .. }) = &answer {
            keep.borrow_mut().extend(entries.iter().filter(|entry| !is_post(entry)).cloned());
        }
        answer
    }));
    world.join(ANA);
    world.settle();
    assert!(!seen.borrow().is_empty() || newest.0 > 1, "something has changed");
    let replayed = seen.borrow().clone();
    world.say(ANA, BEN, "after it");
    world.lie = Some(shown_as(move |entries| {
        if let (Some(last), Some(old)) = (entries.last().cloned(), replayed.first()) {
            let sequence = Sequence(last.sequence.0 + 1);
            entries.push(ConversationEntry { sequence, ..old.clone() });
        }
    }));
    world.settle();
    world.lie = None;
    world.say(BEN, ANA, "and again");
    world.settle();
    let words = world.words(ANA, BEN);
    assert!(words.contains(&"after it".to_owned()) && words.contains(&"and again".to_owned()), "{words:?}");
}

#[test]
fn a_device_of_somebody_else_is_never_let_in() {
    let mut world = World::of(&["ana", "ben", "eve"], 4);
    // Whoever asks for a package of Ben's gets one of Eve's.
    world.step(EVE, false);
    while world.step(EVE, false) {}
    let eve = world.devices[EVE].secret.public();
    let ana = world.devices[ANA].secret.public();
    let taken = world.ask(ana, CoordRequest::TakeKeyPackages { devices: List::new(vec![eve]).expect("one") });
    let Ok(CoordReply::TakenPackages(of_eve)) = taken else { panic!("none: {taken:?}") };
    let of_eve = of_eve[0].package.clone();
    let ben = world.devices[BEN].secret.public();
    // He is known, and away.
    for _ in 0..2 {
        world.step(BEN, false);
    }
    let lies = Rc::new(RefCell::new(0));
    let counted = Rc::clone(&lies);
    world.lie = Some(Box::new(move |_, answer| match answer {
        Ok(CoordReply::TakenPackages(taken)) => {
            let forged = taken.into_vec().into_iter().map(|package| {
                if package.device != ben {
                    return package;
                }
                *counted.borrow_mut() += 1;
                TakenPackage { package: of_eve.clone(), ..package }
            });
            Ok(CoordReply::TakenPackages(List::new(forged.collect()).expect("few")))
        }
        other => other,
    }));
    world.say(ANA, BEN, "for Ben alone");
    world.kill(BEN);
    world.settle();
    assert!(*lies.borrow() > 0, "it was tried");
    assert_eq!(world.shown(ANA, BEN), [(false, "for Ben alone".to_owned())], "it waits");
    world.lie = None;
    world.start(BEN);
    world.settle();
    assert_eq!(world.words(BEN, ANA), ["for Ben alone"]);
}

#[test]
fn a_package_that_is_handed_out_twice_harms_nobody() {
    let mut world = World::of(&["ana", "ben", "eve"], 5);
    let first: Rc<RefCell<BTreeMap<_, _>>> = Rc::default();
    let kept = Rc::clone(&first);
    world.lie = Some(Box::new(move |_, answer| match answer {
        Ok(CoordReply::TakenPackages(taken)) => {
            let same = taken.into_vec().into_iter().map(|package| {
                let mut kept = kept.borrow_mut();
                let first = kept.entry(package.device).or_insert_with(|| package.package.clone());
                TakenPackage { package: first.clone(), ..package }
            });
            Ok(CoordReply::TakenPackages(List::new(same.collect()).expect("few")))
        }
        other => other,
    }));
    world.say(ANA, BEN, "from Ana");
    world.say(EVE, BEN, "from Eve");
    world.settle();
    world.lie = None;
    world.settle();
    world.say(ANA, BEN, "from Ana again");
    world.say(EVE, BEN, "from Eve again");
    world.settle();
    assert!(world.words(BEN, ANA).contains(&"from Ana again".to_owned()), "{:?}", world.warnings(BEN));
    assert!(world.words(BEN, EVE).contains(&"from Eve again".to_owned()), "{:?}", world.warnings(BEN));
}

#[test]
fn a_sealed_message_that_is_damaged_or_renamed_is_left_out_and_named() {
    for renamed in [false, true] {
        let mut world = acquainted(6);
        world.kill(BEN);
        world.say(ANA, BEN, "one");
        world.settle();
        world.start(BEN);
        world.lie = Some(shown_as(move |entries| {
            for entry in entries {
                if let ConversationItem::Post { id, sealed } = &mut entry.what {
                    if renamed {
                        id.0[0] ^= 1;
                    } else {
                        let mut bytes = sealed.clone().into_vec();
                        *bytes.last_mut().expect("bytes") ^= 1;
                        *sealed = List::new(bytes).expect("as long");
                    }
                }
            }
        }));
        world.settle();
        assert_eq!(world.words(BEN, ANA), ["hello"]);
        let warnings = world.warnings(BEN).join("\n");
        assert!(warnings.contains("a message with ana cannot be read"), "{warnings}");
    }
}

#[test]
fn a_coordinator_that_always_says_that_the_epoch_has_moved_is_not_asked_without_end() {
    let mut world = acquainted(7);
    let asked = Rc::new(RefCell::new(0));
    let counted = Rc::clone(&asked);
    world.lie = Some(Box::new(move |request, answer| match request {
        CoordRequest::Post { .. } | CoordRequest::BeginConversation { .. } => {
            *counted.borrow_mut() += 1;
            let epoch = Epoch { generation: 9, number: 9 };
            let moved = jamsync_protocol::wire::coord::Refusal::EpochMoved { epoch, newest: Sequence(1) };
            Err(NoAnswer::Refused(moved))
        }
        _ => answer,
    }));
    world.say(ANA, BEN, "one");
    let until = world.now + jamsync_protocol::time::Span::from_secs(300);
    while world.now < until {
        for _ in 0..10 {
            world.step(ANA, false);
        }
        world.now += jamsync_protocol::time::Span::from_millis(500);
    }
    assert!(*asked.borrow() < 100, "{} times in five minutes", asked.borrow());
    world.lie = None;
    world.settle();
    assert!(world.shown(ANA, BEN).iter().any(|(_, words)| words == "one"));
}

/// Hands a device what it is told in passing, as a coordinator that lies would.
fn pass(world: &mut World, number: usize, told: Vec<ConversationEntry>) {
    let talk = world.talk(ANA, BEN);
    for entry in told {
        let machine = world.devices[number].machine.as_mut().expect("it runs");
        machine.handle_written(talk, entry).expect("its database works");
        world.step(number, false);
    }
}

/// The log as Ben's device sees it from `after` on.
fn entries(world: &mut World, after: u64) -> Vec<ConversationEntry> {
    let (talk, ben) = (world.talk(ANA, BEN), world.devices[BEN].secret.public());
    match world.ask(ben, CoordRequest::ConversationLog { conversation: talk, after: Sequence(after) }) {
        Ok(CoordReply::Entries { entries, .. }) => entries.into_vec(),
        other => panic!("no log: {other:?}"),
    }
}

#[test]
fn what_is_told_in_passing_twice_late_or_in_another_order_is_shown_once_and_in_order() {
    let mut world = acquainted(8);
    let read = entries(&mut world, 0).last().map_or(0, |entry| entry.sequence.0);
    // Nothing is told but by hand.
    world.devices[BEN].passing.clear();
    for words in ["one", "two", "three", "four"] {
        world.say(ANA, BEN, words);
        while world.step(ANA, false) {}
    }
    world.devices[BEN].passing.clear();
    let log = entries(&mut world, read);
    let [one, two, three, four] = &log[..] else { panic!("four entries: {log:?}") };
    let told = [three, one, one, four, two, three, two, one, four].map(Clone::clone);
    pass(&mut world, BEN, told.to_vec());
    world.settle();
    assert_eq!(world.words(BEN, ANA), ["hello", "one", "two", "three", "four"]);
    assert_eq!(world.warnings(BEN), Vec::<&str>::new());
}

#[test]
fn what_is_told_in_passing_and_is_forged_takes_the_place_of_nothing() {
    let mut world = acquainted(9);
    world.kill(BEN);
    world.say(ANA, BEN, "one");
    world.settle();
    let newest = entries(&mut world, 0).last().expect("an entry").clone();
    world.start(BEN);
    world.settle();
    let absurd = [newest.sequence.0 + 1_000, u64::MAX]
        .map(|number| ConversationEntry { sequence: Sequence(number), ..newest.clone() });
    pass(&mut world, BEN, absurd.to_vec());
    // Also in a conversation that there is not.
    let nowhere = jamsync_protocol::conversation::ConversationId([9; 32]);
    let machine = world.devices[BEN].machine.as_mut().expect("it runs");
    machine.handle_written(nowhere, newest).expect("its database works");
    world.settle();
    world.say(ANA, BEN, "still here");
    world.settle();
    assert_eq!(world.words(BEN, ANA), ["hello", "one", "still here"]);
}
