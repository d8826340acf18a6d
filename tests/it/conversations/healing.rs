//! Devices that have missed something, or of which somebody is out of reach: each heals by itself, and harms no other conversation.

use jamsync_node::conversation::{Friend, NoAnswer, Roster, Trouble};
use jamsync_protocol::{
    chat::ChatText,
    conversation::Content,
    time::Span,
    wire::coord::{CoordReply, CoordRequest, Refusal, Sequence},
};

use super::World;

const ANA: usize = 0;
const BEN: usize = 1;
const EVE: usize = 2;

/// Lets half a minute pass in which Ana writes every few seconds, more often than anybody waits for.
fn chatter(world: &mut World, number: usize) {
    for second in 0..30 {
        if second % 5 == 0 {
            world.say(ANA, BEN, &format!("chatter {number}.{second}"));
        }
        for device in 0..world.devices.len() {
            while world.step(device, false) {}
        }
        world.now += Span::from_secs(1);
    }
}

#[test]
fn a_device_that_was_away_while_the_coordinator_went_back_in_time_hears_all_that_came_after() {
    let mut world = World::of(&["ana", "ben"], 1);
    let phone = world.join(BEN);
    world.settle();
    world.say(ANA, BEN, "one");
    world.settle();
    world.back_up("before");
    for words in ["two", "three", "four", "five"] {
        world.say(ANA, BEN, words);
    }
    world.settle();
    world.kill(phone);
    world.restore("before");
    // More than was there before the phone went, so that its place in the log tells nothing.
    for number in 0..12 {
        world.say(BEN, ANA, &format!("after {number}"));
    }
    world.settle();
    world.start(phone);
    world.settle();
    let words = world.words(phone, ANA);
    let missing: Vec<String> =
        (0..12).map(|number| format!("after {number}")).filter(|said| !words.contains(said)).collect();
    assert!(missing.is_empty(), "{missing:?} of {words:?}, {:?}", world.warnings(phone));
}

#[test]
fn a_device_without_keys_is_let_in_again_though_the_others_never_fall_silent() {
    let mut world = World::of(&["ana", "ben"], 2);
    world.say(ANA, BEN, "before");
    world.settle();
    world.kill(BEN);
    let path = world.devices[BEN].path.clone();
    for ending in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{ending}", path.display()));
    }
    world.start(BEN);
    (0..3).for_each(|number| chatter(&mut world, number));
    let heard = world.shown(BEN, ANA).len();
    assert!(heard >= 6, "after a minute and a half of chatter {heard} messages were heard");
}

#[test]
fn a_device_that_lacks_a_part_of_the_log_notices_and_reads_on() {
    let mut world = World::of(&["ana", "ben"], 3);
    world.say(ANA, BEN, "before");
    world.settle();
    world.kill(BEN);
    // While Ben is away the keys change, and the coordinator drops that part of the log.
    world.join(ANA);
    world.settle();
    world.say(ANA, BEN, "lost");
    world.settle();
    let ben = world.devices[BEN].secret.public();
    let log = CoordRequest::ConversationLog { conversation: world.talk(ANA, BEN), after: Sequence(0) };
    let Ok(CoordReply::Entries { newest, .. }) = world.ask(ben, log) else { panic!("no log") };
    world.lie = Some(Box::new(move |_, answer| match answer {
        Ok(CoordReply::Entries { entries, newest: now }) => {
            let left = entries.into_vec().into_iter().filter(|entry| entry.sequence > newest).collect();
            let entries = jamsync_protocol::text::List::new(left).expect("few");
            Ok(CoordReply::Entries { entries, newest: now })
        }
        other => other,
    }));
    world.say(ANA, BEN, "the first that is left");
    world.settle();
    world.start(BEN);
    world.settle();
    world.lie = None;
    // Ben only reads, so nothing that he says shows him that the keys are others now.
    for words in ["one", "two"] {
        world.say(ANA, BEN, words);
        world.settle();
    }
    let words = world.words(BEN, ANA);
    assert!(words.ends_with(&["one".to_owned(), "two".to_owned()]), "{words:?}, {:?}", world.warnings(BEN));
    let warnings = world.warnings(BEN).join("\n");
    assert!(!warnings.contains("has not delivered"), "nobody is blamed for it: {warnings}");
}

#[test]
fn what_waits_for_one_who_takes_nothing_stops_no_other_conversation() {
    let mut world = World::of(&["ana", "ben", "eve"], 4);
    for (from, to) in [(ANA, BEN), (BEN, ANA), (ANA, EVE), (EVE, ANA)] {
        world.say(from, to, "hello");
    }
    world.settle();
    let (talk, handle) = (world.talk(ANA, BEN), world.people[BEN].name.clone());
    world.lie = Some(Box::new(move |request, answer| match request {
        CoordRequest::Post { conversation, .. } if *conversation == talk => {
            Err(NoAnswer::Refused(Refusal::CannotDeliver { handle: handle.clone() }))
        }
        _ => answer,
    }));
    let (ben, now) = (world.account(BEN), world.now);
    let full = (0..2_000).find_map(|number| {
        let words: ChatText = format!("waits {number}").parse().expect("may be said");
        world.devices[ANA].machine.as_mut().expect("it runs").say(ben, Content::Text(words), now).err()
    });
    assert_eq!(full, Some(Trouble::Full { waiting: 1_000 }));
    // Eve is answered, with words and with a receipt.
    world.say(EVE, ANA, "are you there?");
    world.settle();
    world.say(ANA, EVE, "of course");
    world.settle();
    for (device, with) in [(ANA, EVE), (EVE, ANA)] {
        let words = world.words(device, with);
        assert!(words.ends_with(&["are you there?".to_owned(), "of course".to_owned()]), "{words:?}");
    }
    world.kill(ANA);
    world.start(ANA);
    world.lie = None;
    world.settle();
    assert_eq!(world.words(BEN, ANA).len(), 1_002, "all of it goes out once it is taken");
}

#[test]
fn one_answer_that_does_not_come_stops_nothing() {
    let mut world = World::of(&["ana", "ben"], 5);
    world.say(ANA, BEN, "one");
    world.settle();
    let mut left = 3;
    world.lie = Some(Box::new(move |_, answer| {
        left -= 1;
        if left >= 0 { Err(NoAnswer::Away) } else { answer }
    }));
    world.say(ANA, BEN, "two");
    world.settle();
    assert_eq!(world.words(BEN, ANA), ["one", "two"], "the connection stood all the time");
}

#[test]
fn what_is_told_while_an_answer_is_under_way_is_not_forgotten_over_it() {
    let mut world = World::of(&["ana", "ben"], 6);
    world.say(ANA, BEN, "one");
    world.settle();
    world.say(ANA, BEN, "two");
    while world.step(ANA, false) {}
    world.devices[BEN].passing.clear();
    let now = world.now;
    let ben = world.devices[BEN].secret.public();
    let talk = world.talk(ANA, BEN);
    world.devices[BEN].machine.as_mut().expect("it runs").handle_grown(talk);
    let ask =
        world.devices[BEN].machine.as_mut().expect("it runs").poll_ask(now).expect("its database works");
    let ask = ask.expect("it asks for what has grown");
    let answer = world.answer(ben, &ask);
    // The answer is on its way when there is more, and the word of that comes first.
    world.say(ANA, BEN, "three");
    while world.step(ANA, false) {}
    world.devices[BEN].passing.clear();
    let machine = world.devices[BEN].machine.as_mut().expect("it runs");
    machine.handle_grown(talk);
    machine.handle_answer(ask, answer, now).expect("its database works");
    for _ in 0..20 {
        world.step(BEN, false);
    }
    assert_eq!(world.words(BEN, ANA), ["one", "two", "three"]);
}

#[test]
fn a_block_holds_at_once_for_what_stands_in_the_log_already() {
    let mut world = World::of(&["ana", "ben"], 7);
    world.say(ANA, BEN, "hello");
    world.settle();
    world.kill(BEN);
    for number in 0..5 {
        world.say(ANA, BEN, &format!("and another thing {number}"));
    }
    world.settle();
    world.start(BEN);
    let (ana, name) = (world.account(ANA), world.people[ANA].name.clone());
    let friend = Friend { account: ana, name, blocked: true };
    let friends = [(friend, world.people[ANA].log.as_log().clone())];
    let roster = Roster::new(world.people[BEN].log.as_log(), friends).expect("sound");
    world.devices[BEN].machine.as_mut().expect("it runs").handle_roster(roster);
    world.settle();
    assert_eq!(world.words(BEN, ANA), ["hello"]);
}
