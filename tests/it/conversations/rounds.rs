//! Devices that die at random moments, and a coordinator whose answers get lost: every message arrives once, in the same
//! order everywhere, and no key is used twice.

use std::{collections::BTreeMap, env};

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
    assert_no_key_is_used_twice(&world);
}

/// For one epoch a message has one form: whoever sealed it anew after a crash would have used a key again, or skipped one.
fn assert_no_key_is_used_twice(world: &World) {
    let mut sealed_as = BTreeMap::new();
    for post in &world.posts {
        if let CoordRequest::Post { epoch, id, sealed, .. } = post {
            let before = sealed_as.insert((*id, *epoch), sealed.clone());
            assert!(before.is_none_or(|before| before == *sealed), "{id:?} was sealed twice for {epoch:?}");
        }
    }
}
