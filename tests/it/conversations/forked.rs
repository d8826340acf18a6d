//! A coordinator that leads two into different conversations.

use super::World;

const ANA: usize = 0;
const BEN: usize = 1;

#[test]
fn a_coordinator_that_shows_each_of_two_another_conversation_is_found_out() {
    let mut world = World::of(&["ana", "ben"], 8);
    world.say(ANA, BEN, "hello");
    world.settle();
    world.back_up("other");
    // Ana's side goes on without Ben: her laptop joins, and she writes to him.
    world.kill(BEN);
    let laptop = world.join(ANA);
    world.settle();
    for number in 0..8 {
        world.say(ANA, BEN, &format!("on Ana's side {number}"));
    }
    world.settle();
    // Ben's side goes on without Ana, from what was there before: his phone joins, and the epochs are called alike.
    let other = jamsync_coordinator::store::SqliteStore::open(&world.folder.path().join("other"));
    let anas = std::mem::replace(&mut world.store, other.expect("opens"));
    world.kill(ANA);
    world.kill(laptop);
    world.tell_of_logs();
    world.start(BEN);
    world.join(BEN);
    world.settle();
    assert_eq!(world.warnings(BEN), Vec::<&str>::new());
    // From here on he is shown Ana's.
    let bens = std::mem::replace(&mut world.store, anas);
    drop(bens);
    world.tell_of_logs();
    for device in [ANA, laptop] {
        world.start(device);
    }
    world.start(BEN);
    world.settle();
    let warnings = world.warnings(BEN).join("\n");
    assert!(warnings.contains("with ana is not the one that it was"), "{warnings}");
    assert!(
        !world.words(BEN, ANA).iter().any(|words| words.contains("Ana's side")),
        "{:?}",
        world.words(BEN, ANA)
    );
    // It is begun anew, and goes on.
    world.say(ANA, BEN, "do you hear me?");
    world.settle();
    world.say(BEN, ANA, "now I do");
    world.settle();
    for (device, with) in [(ANA, BEN), (BEN, ANA), (laptop, BEN)] {
        let words = world.words(device, with);
        assert!(words.ends_with(&["do you hear me?".to_owned(), "now I do".to_owned()]), "{words:?}");
    }
}
