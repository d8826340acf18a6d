//! Keys for listening activity: the same on every device of both sides in an epoch, others in the next, and none for a device that
//! is not in the conversation.

use jamsync_node::conversation::{ActivityKeys, Note};

use super::World;

const ANA: usize = 0;
const BEN: usize = 1;

/// The keys that a device has for a person.
fn keys(world: &World, device: usize, with: usize) -> Option<ActivityKeys> {
    let machine = world.devices[device].machine.as_ref().expect("it runs");
    machine.activity_keys(world.account(with)).expect("the database works")
}

fn rekeyed(world: &World, device: usize) -> usize {
    world.devices[device].notes.iter().filter(|note| matches!(note, Note::Rekeyed { .. })).count()
}

#[test]
fn both_sides_have_the_same_keys_in_an_epoch_and_others_in_the_next() {
    let mut world = World::of(&["ana", "ben", "carl"], 11);
    world.settle();
    let [ana, ben] = [(ANA, BEN), (BEN, ANA)].map(|(device, with)| keys(&world, device, with).expect("keys"));
    assert_eq!((ana.epoch, ana.conversation), (ben.epoch, ben.conversation));
    assert_eq!((ana.own, ana.theirs), (ben.theirs, ben.own), "one key for each direction");
    assert_ne!(ana.own, ana.theirs);
    let with_carl = keys(&world, ANA, 2).expect("keys");
    assert_ne!(with_carl.own, ana.own, "a key of its own for each contact");
    assert!(rekeyed(&world, ANA) >= 2, "it is told when there are keys");

    let told = rekeyed(&world, BEN);
    let laptop = world.join(ANA);
    assert_eq!(keys(&world, laptop, BEN), None, "it is not let in yet");
    world.settle();
    assert!(rekeyed(&world, BEN) > told, "it is told that the keys are others");
    let [again, on_laptop] = [ANA, laptop].map(|device| keys(&world, device, BEN).expect("keys"));
    assert_eq!(again, on_laptop, "both devices of an account show and see alike");
    assert!(again.epoch > ana.epoch && again.own != ana.own && again.theirs != ana.theirs);
    assert_eq!(keys(&world, BEN, ANA).expect("keys").own, again.theirs);

    world.revoke(laptop);
    world.settle();
    let after = keys(&world, ANA, BEN).expect("keys");
    assert_ne!(after.own, again.own, "whoever was revoked has no key to what is shown from then on");
    let revoked = keys(&world, laptop, BEN);
    assert!(revoked.is_none_or(|keys| keys.own != after.own && keys.theirs != after.theirs));
}
