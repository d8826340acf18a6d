//! Message requests: whoever writes for the first time waits at the door, and learns nothing of who looks.

use jamsync_node::conversation::{Note, Progress, Trouble};

use super::World;

const ANA: usize = 0;
const BEN: usize = 1;

impl World {
    fn answer_request(&mut self, number: usize, with: usize, accept: bool) -> Result<(), Trouble> {
        let (account, now) = (self.account(with), self.now);
        self.devices[number].machine.as_mut().expect("it runs").answer_request(account, accept, now)
    }

    /// Whether the conversation is shown as a request, and how many messages it has.
    fn stands(&self, number: usize, with: usize) -> (bool, usize) {
        let machine = self.devices[number].machine.as_ref().expect("it runs");
        let shown = machine.history(self.account(with), 10_000).expect("its database works");
        (shown.is_request, shown.said.len())
    }
}

/// Ben has heard Ana for the first time, and looks.
fn asked(seed: u64) -> World {
    let mut world = World::of(&["ana", "ben"], seed);
    world.say(ANA, BEN, "may I?");
    world.settle();
    world.see(BEN, ANA);
    world.settle();
    assert_eq!(world.stands(BEN, ANA), (true, 1));
    let told = world.devices[BEN].notes.iter();
    assert!(told.into_iter().any(|note| matches!(note, Note::Said { is_request: true, .. })));
    assert_eq!(world.progress(ANA, BEN), [Progress::Sent], "who is not let in learns nothing");
    assert_eq!(world.stands(ANA, BEN), (false, 1), "who writes has decided");
    world
}

#[test]
fn who_is_let_in_learns_from_then_on_what_has_come_and_was_read() {
    let mut world = asked(1);
    world.answer_request(BEN, ANA, true).expect("accepted");
    world.settle();
    assert_eq!(world.stands(BEN, ANA), (false, 1));
    assert_eq!(world.progress(ANA, BEN), [Progress::Read]);
    assert_eq!(world.answer_request(BEN, ANA, false), Err(Trouble::NoRequest), "it is none any more");
}

#[test]
fn an_answer_lets_in_on_every_device() {
    let mut world = World::of(&["ana", "ben"], 2);
    let laptop = world.join(BEN);
    world.settle();
    world.say(ANA, BEN, "may I?");
    world.settle();
    assert_eq!((world.stands(BEN, ANA), world.stands(laptop, ANA)), ((true, 1), (true, 1)));
    world.say(laptop, ANA, "of course");
    world.settle();
    assert_eq!((world.stands(BEN, ANA), world.stands(laptop, ANA)), ((false, 2), (false, 2)));
    assert_eq!(world.progress(ANA, BEN), [Progress::Delivered]);
}

#[test]
fn accepting_without_a_word_lets_in_on_every_device() {
    let mut world = World::of(&["ana", "ben"], 3);
    let laptop = world.join(BEN);
    world.settle();
    world.say(ANA, BEN, "may I?");
    world.settle();
    world.answer_request(laptop, ANA, true).expect("accepted");
    world.settle();
    assert_eq!((world.stands(BEN, ANA), world.stands(laptop, ANA)), ((false, 1), (false, 1)));
}

#[test]
fn who_is_declined_does_not_notice_and_is_heard_no_more_until_written_to() {
    let mut world = asked(4);
    world.answer_request(BEN, ANA, false).expect("declined");
    assert_eq!(world.stands(BEN, ANA), (false, 0), "what was said is forgotten");
    world.say(ANA, BEN, "please?");
    world.settle();
    assert_eq!(world.progress(ANA, BEN), [Progress::Sent, Progress::Sent], "as if nobody had looked");
    world.kill(BEN);
    world.start(BEN);
    world.say(ANA, BEN, "anybody?");
    world.settle();
    assert_eq!(world.stands(BEN, ANA), (false, 0), "it holds over a restart");
    assert_eq!((world.warnings(ANA), world.warnings(BEN)), (vec![], vec![]));
    world.say(BEN, ANA, "I have changed my mind");
    world.say(ANA, BEN, "at last");
    world.settle();
    assert_eq!(world.stands(BEN, ANA), (false, 2));
    assert_eq!(world.progress(ANA, BEN).last(), Some(&Progress::Delivered));
}

#[test]
fn a_stranger_who_floods_fills_no_disk() {
    let mut world = asked(5);
    for number in 0..150 {
        world.say(ANA, BEN, &format!("hello? {number}"));
    }
    world.settle();
    assert_eq!(world.stands(BEN, ANA), (true, 100), "no more than a hundred are kept of a request");
    assert_eq!(world.warnings(BEN), Vec::<&str>::new());
}
