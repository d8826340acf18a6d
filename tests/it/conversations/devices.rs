//! Several devices of an account: each sees what is said from its coming to its going, and a lost database heals.

use std::fs;

use super::World;

const ANA: usize = 0;
const BEN: usize = 1;
const EVE: usize = 2;

#[test]
fn two_who_begin_at_once_make_one_conversation() {
    for seed in 0..4 {
        let mut world = World::of(&["ana", "ben"], seed);
        world.say(ANA, BEN, "first");
        world.say(BEN, ANA, "also first");
        world.settle();
        let words = world.words(ANA, BEN);
        assert_eq!(words.len(), 2, "{words:?}");
        assert_eq!(world.words(BEN, ANA), words, "in the same order");
        assert_eq!((world.warnings(ANA), world.warnings(BEN)), (vec![], vec![]));
    }
}

#[test]
fn a_new_device_sees_what_is_said_from_then_on_and_a_revoked_one_nothing_more() {
    let mut world = World::of(&["ana", "ben"], 1);
    world.say(ANA, BEN, "before");
    world.settle();
    let laptop = world.join(ANA);
    world.settle();
    world.say(BEN, ANA, "to all of you");
    world.say(laptop, BEN, "from the laptop");
    world.settle();
    assert_eq!(world.words(laptop, BEN), ["to all of you", "from the laptop"]);
    for (device, with) in [(ANA, BEN), (BEN, ANA)] {
        assert_eq!(world.words(device, with), ["before", "to all of you", "from the laptop"]);
    }
    world.revoke(laptop);
    world.settle();
    world.say(ANA, BEN, "without the laptop");
    world.settle();
    assert_eq!(world.words(BEN, ANA).len(), 4);
    assert_eq!(world.words(laptop, BEN).len(), 2);
    for device in [ANA, BEN] {
        assert_eq!(world.warnings(device), Vec::<&str>::new());
    }
}

#[test]
fn what_is_said_before_a_revoked_device_is_taken_out_waits_for_that() {
    let mut world = World::of(&["ana", "ben"], 8);
    let laptop = world.join(ANA);
    world.settle();
    world.revoke(laptop);
    world.say(BEN, ANA, "not for the thief");
    let now = world.now;
    let ask =
        world.devices[BEN].machine.as_mut().expect("it runs").poll_ask(now).expect("its database works");
    assert!(ask.is_none(), "the other account has the first word, and nothing is sealed meanwhile: {ask:?}");
    world.settle();
    assert_eq!(world.words(ANA, BEN), ["not for the thief"]);
    assert_eq!(world.words(laptop, BEN), Vec::<String>::new());
}

#[test]
fn what_was_said_while_a_device_was_away_comes_when_it_is_back() {
    let mut world = World::of(&["ana", "ben"], 2);
    let laptop = world.join(BEN);
    world.settle();
    world.kill(laptop);
    for number in 0..100 {
        world.say(ANA, BEN, &format!("number {number}"));
    }
    world.settle();
    world.start(laptop);
    world.settle();
    let all: Vec<String> = (0..100).map(|number| format!("number {number}")).collect();
    assert_eq!((world.words(BEN, ANA), world.words(laptop, ANA)), (all.clone(), all));
    assert_eq!(world.warnings(laptop), Vec::<&str>::new());
}

#[test]
fn a_damaged_database_is_put_aside_and_the_device_is_let_in_again() {
    let mut world = World::of(&["ana", "ben", "eve"], 3);
    let phone = world.join(BEN);
    world.settle();
    world.say(ANA, BEN, "before");
    world.say(EVE, BEN, "from Eve");
    world.settle();
    world.kill(BEN);
    let path = world.devices[BEN].path.clone();
    for ending in ["-wal", "-shm"] {
        let _ = fs::remove_file(format!("{}{ending}", path.display()));
    }
    fs::write(&path, [0x5a; 9_000]).expect("writes");
    let aside = world.start(BEN).expect("it is put aside");
    assert_eq!(fs::read(aside).expect("the damaged file").len(), 9_000);
    world.say(ANA, BEN, "meanwhile");
    world.settle();
    world.say(ANA, BEN, "after");
    world.say(BEN, ANA, "here again");
    world.settle();
    let words = world.words(BEN, ANA);
    assert!(words.ends_with(&["after".to_owned(), "here again".to_owned()]), "{words:?}");
    // Nothing of others is lost: neither Ana's nor Eve's, nor what stands on Ben's other device.
    for (device, with) in [(ANA, BEN), (phone, ANA)] {
        assert_eq!(world.words(device, with), ["before", "meanwhile", "after", "here again"]);
    }
    world.say(EVE, BEN, "still there?");
    world.say(phone, EVE, "yes");
    world.settle();
    for (device, with) in [(EVE, BEN), (phone, EVE)] {
        assert_eq!(world.words(device, with), ["from Eve", "still there?", "yes"]);
    }
    let words = world.words(BEN, EVE);
    assert!(words.ends_with(&["still there?".to_owned(), "yes".to_owned()]), "{words:?}");
}

#[test]
fn a_coordinator_whose_data_went_back_in_time_goes_on_and_nothing_that_was_heard_is_lost() {
    let mut world = World::of(&["ana", "ben"], 5);
    world.say(ANA, BEN, "one");
    world.settle();
    world.back_up("before");
    for words in ["two", "three"] {
        world.say(ANA, BEN, words);
        world.say(BEN, ANA, &format!("{words} too"));
    }
    world.settle();
    world.restore("before");
    world.say(ANA, BEN, "four");
    world.say(BEN, ANA, "four too");
    world.settle();
    for (device, with) in [(ANA, BEN), (BEN, ANA)] {
        let mut words = world.words(device, with);
        words.sort();
        assert_eq!(words, ["four", "four too", "one", "three", "three too", "two", "two too"]);
    }
}

#[test]
fn a_message_tells_little_of_its_length() {
    let mut world = World::of(&["ana", "ben"], 4);
    for words in ["a".to_owned(), "b".repeat(80), "c".repeat(1_000), "d".repeat(4_096)] {
        world.say(ANA, BEN, &words);
    }
    world.settle();
    assert_eq!(world.words(BEN, ANA).len(), 4);
    let mut lengths: Vec<usize> = Vec::new();
    for post in &world.posts {
        if let jamsync_protocol::wire::coord::CoordRequest::Post { sealed, .. } = post {
            lengths.push(sealed.len());
        }
    }
    println!("{lengths:?}");
    assert_eq!(lengths[0], lengths[1], "both are short");
    assert!(lengths.iter().all(|length| (length - lengths[0]).is_multiple_of(256)), "{lengths:?}");
}
