//! Devices that die at random moments, and a coordinator whose answers get lost: every message arrives once, in the same
//! order everywhere, and no key is used twice.

use std::env;

use jamsync_protocol::wire::coord::CoordRequest;
use rand::Rng;

use super::World;

const ANA: usize = 0;
const BEN: usize = 1;
/// How many rounds there are unless `JAMSYNC_KILL_ROUNDS` says otherwise.
const ROUNDS: u64 = 6;
/// How much happens in one.
const STEPS: usize = 120;

#[test]
fn whoever_dies_at_any_moment_loses_nothing_and_uses_no_key_twice() {
    let rounds = env::var("JAMSYNC_KILL_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(ROUNDS);
    for seed in 0..rounds {
        round(seed);
    }
}

fn round(seed: u64) {
    let mut world = World::of(&["ana", "ben"], seed);
    let laptop = world.join(ANA);
    let devices = [(ANA, BEN), (BEN, ANA), (laptop, BEN)];
    world.settle();
    let mut said = 0;
    for _ in 0..STEPS {
        let (device, with) = devices[world.random.random_range(0..3)];
        match world.random.random_range(0..10) {
            0..3 => {
                if world.devices[device].machine.is_none() {
                    world.start(device);
                }
                said += 1;
                world.say(device, with, &format!("{device} says {said}"));
            }
            3 => world.kill(device),
            4 => {
                world.step(device, true);
            }
            _ => {
                if world.devices[device].machine.is_none() {
                    world.start(device);
                }
                world.step(device, false);
            }
        }
    }
    for (device, _) in devices {
        if world.devices[device].machine.is_none() {
            world.start(device);
        }
    }
    world.settle();
    let words = world.words(ANA, BEN);
    assert_eq!(words.len(), said, "all that was said, once: {words:?}");
    for (device, with) in devices {
        assert_eq!(world.words(device, with), words, "device {device}");
        assert_eq!(world.warnings(device), Vec::<&str>::new(), "device {device}");
        let own = words.iter().filter(|words| words.starts_with(&format!("{device} says")));
        let numbers: Vec<usize> =
            own.map(|words| words.rsplit(' ').next().expect("one").parse().expect("a number")).collect();
        assert!(numbers.is_sorted(), "in the order in which device {device} said it: {numbers:?}");
    }
    // What was sent again under its name was the same bytes, which stand there once.
    assert!(world.ledger.count() >= said, "{} of {said}", world.ledger.count());
    assert_eq!(world.ledger.used_twice(), [], "seed {seed}");
}

/// What a device has said and does not know tells it that its database was put back: it uses none of those keys any more.
#[test]
fn a_database_that_is_put_back_is_noticed_by_what_stands_in_the_log_and_no_key_is_used_twice() {
    let mut world = World::of(&["ana", "ben"], 2);
    let laptop = world.join(ANA);
    world.say(ANA, BEN, "before");
    world.settle();
    world.kill(ANA);
    let earlier = std::fs::read(&world.devices[ANA].path).expect("a database that nobody uses");
    world.start(ANA);
    world.say(ANA, BEN, "forgotten here");
    let before = world.posts.len();
    while world.posts.len() == before {
        // It ends before it has said that it has read its own message.
        world.step(ANA, false);
    }
    put_back(&mut world, ANA, &earlier);
    world.start(ANA);
    world.say(ANA, BEN, "after");
    world.settle();
    for (device, with) in [(BEN, ANA), (laptop, BEN)] {
        assert_eq!(world.words(device, with), ["before", "forgotten here", "after"], "device {device}");
    }
    assert_eq!(world.words(ANA, BEN), ["before", "after"]);
    let warnings = world.warnings(ANA).join("\n");
    assert!(warnings.contains("of an earlier day"), "{warnings}");
    assert_eq!(world.ledger.used_twice(), []);
}

/// Ends a device and puts an earlier copy in place of its database.
fn put_back(world: &mut World, number: usize, earlier: &[u8]) {
    world.kill(number);
    let path = world.devices[number].path.clone();
    for beside in ["-wal", "-shm"] {
        // There are none where the database was closed well.
        drop(std::fs::remove_file(format!("{}{beside}", path.display())));
    }
    std::fs::write(path, earlier).expect("put back");
}

/// The same check finds a key that is used again, as it is where somebody puts an earlier copy of the database back.
#[test]
fn a_database_that_is_put_back_uses_a_key_twice_and_the_check_finds_it() {
    let mut world = World::of(&["ana", "ben"], 1);
    world.say(ANA, BEN, "before");
    world.settle();
    world.kill(ANA);
    let path = world.devices[ANA].path.clone();
    let earlier = std::fs::read(&path).expect("a database that nobody uses");
    for words in ["one", "another"] {
        world.start(ANA);
        world.say(ANA, BEN, words);
        // The message is on its way, and no answer comes: the coordinator does not take it down.
        while world.ledger.used_twice().is_empty() {
            let now = world.now;
            let machine = world.devices[ANA].machine.as_mut().expect("it runs");
            let ask = machine.poll_ask(now).expect("its database works").expect("a message to send");
            if matches!(ask.request, CoordRequest::Post { .. }) {
                world.note(ANA, &ask.request);
                break;
            }
            let answer = world.answer(world.devices[ANA].secret.public(), &ask);
            let machine = world.devices[ANA].machine.as_mut().expect("it runs");
            machine.handle_answer(ask, answer, now).expect("its database works");
        }
        let sound = words == "one";
        assert_eq!(world.ledger.used_twice().is_empty(), sound, "after {words}");
        put_back(&mut world, ANA, &earlier);
    }
}
