//! Receipts and reactions: what each side learns of the other's reading, how little that costs, and who learns nothing.

use jamsync_node::conversation::{Note, Progress, Trouble};
use jamsync_protocol::{chat::Reaction, conversation::PostId, wire::coord::CoordRequest};

use super::World;

const ANA: usize = 0;
const BEN: usize = 1;

impl World {
    /// The device's listener looks at the conversation.
    pub(super) fn see(&mut self, number: usize, with: usize) {
        let account = self.account(with);
        self.devices[number].machine.as_mut().expect("it runs").see(account).expect("its database works");
    }

    /// How far each message of this device's account has come.
    pub(super) fn progress(&self, number: usize, with: usize) -> Vec<Progress> {
        let machine = self.devices[number].machine.as_ref().expect("it runs");
        let shown = machine.history(self.account(with), 10_000).expect("its database works");
        shown.said.into_iter().filter_map(|said| said.progress).collect()
    }

    /// The name of the newest message.
    fn newest(&self, number: usize, with: usize) -> PostId {
        let machine = self.devices[number].machine.as_ref().expect("it runs");
        machine.history(self.account(with), 1).expect("its database works").said[0].id
    }

    fn react(
        &mut self,
        number: usize,
        with: usize,
        to: PostId,
        reaction: Option<Reaction>,
    ) -> Result<(), Trouble> {
        let (account, now) = (self.account(with), self.now);
        self.devices[number].machine.as_mut().expect("it runs").react(account, to, reaction, now)
    }

    /// The reactions to a message, each with whether it is Ana's.
    fn reactions(&self, number: usize, with: usize, to: PostId) -> Vec<(bool, Reaction)> {
        let machine = self.devices[number].machine.as_ref().expect("it runs");
        let said = machine.find(self.account(with), &to.to_string()).expect("it is there");
        said.reactions.iter().map(|(by, reaction)| (*by == self.account(ANA), *reaction)).collect()
    }

    /// How many messages of any kind the coordinator was handed, each counted once.
    fn posted(&self) -> usize {
        let names = self.posts.iter().filter_map(|post| match post {
            CoordRequest::Post { id, .. } => Some(*id),
            // A change of the devices says nothing.
            _ => None,
        });
        names.collect::<std::collections::BTreeSet<_>>().len()
    }
}

/// Ana and Ben, who have written to each other.
fn acquainted(seed: u64) -> World {
    let mut world = World::of(&["ana", "ben"], seed);
    world.say(ANA, BEN, "hello");
    world.say(BEN, ANA, "hello Ana");
    world.settle();
    world
}

#[test]
fn a_message_is_sent_then_delivered_then_read() {
    let mut world = acquainted(1);
    world.kill(BEN);
    world.say(ANA, BEN, "are you there?");
    assert_eq!(world.progress(ANA, BEN).last(), Some(&Progress::Waits));
    world.settle();
    assert_eq!(world.progress(ANA, BEN).last(), Some(&Progress::Sent));
    world.start(BEN);
    world.settle();
    assert_eq!(world.progress(ANA, BEN).last(), Some(&Progress::Delivered));
    world.see(BEN, ANA);
    world.settle();
    assert_eq!(world.progress(ANA, BEN), [Progress::Read, Progress::Read], "a receipt stands for all before");
    let told = world.devices[ANA].notes.iter().filter(|note| matches!(note, Note::Progress { .. }));
    assert!(told.count() >= 2, "the listener is told");
}

#[test]
fn a_hundred_messages_cost_one_receipt_and_no_receipt_another() {
    let mut world = acquainted(2);
    world.kill(BEN);
    for number in 0..100 {
        world.say(ANA, BEN, &format!("number {number}"));
    }
    world.settle();
    let before = world.posted();
    world.start(BEN);
    world.settle();
    assert_eq!(world.progress(ANA, BEN).last(), Some(&Progress::Delivered));
    assert!(world.posted() - before <= 2, "{} receipts", world.posted() - before);
    let before = world.posted();
    world.see(BEN, ANA);
    world.settle();
    assert_eq!(world.posted() - before, 1, "one for all that was read");
    world.settle();
    assert_eq!(world.posted() - before, 1, "nothing is said about it any more");
}

#[test]
fn of_several_devices_the_first_to_be_there_tells_for_all_and_knows_what_another_has_read() {
    let mut world = acquainted(3);
    let laptop = world.join(BEN);
    world.settle();
    let before = world.posted();
    world.say(ANA, BEN, "to both of you");
    world.settle();
    assert_eq!(world.posted() - before, 2, "the message and one receipt");
    world.see(laptop, ANA);
    world.settle();
    assert_eq!(world.progress(ANA, BEN).last(), Some(&Progress::Read));
    let machine = world.devices[BEN].machine.as_ref().expect("it runs");
    let shown = machine.history(world.account(ANA), 10).expect("its database works");
    assert_eq!(shown.unread, 0, "it was read on the laptop");
}

#[test]
fn who_tells_nobody_what_was_read_is_told_by_nobody_and_arrival_is_told_all_the_same() {
    let mut world = acquainted(4);
    world.devices[BEN].machine.as_mut().expect("it runs").set_tells_reading(false).expect("set");
    world.say(ANA, BEN, "secretly read");
    world.say(BEN, ANA, "and back");
    world.settle();
    world.see(BEN, ANA);
    world.see(ANA, BEN);
    world.settle();
    assert_eq!(world.progress(ANA, BEN).last(), Some(&Progress::Delivered), "Ben does not tell");
    assert_eq!(world.progress(BEN, ANA).last(), Some(&Progress::Delivered), "and is not told");
    world.kill(BEN);
    world.start(BEN);
    assert!(!world.devices[BEN].machine.as_ref().expect("it runs").tells_reading().expect("kept"));
    world.devices[BEN].machine.as_mut().expect("it runs").set_tells_reading(true).expect("set");
    world.settle();
    assert_eq!(world.progress(ANA, BEN).last(), Some(&Progress::Read));
    assert_eq!(world.progress(BEN, ANA).last(), Some(&Progress::Read));
}

#[test]
fn each_account_has_one_reaction_to_a_message_which_it_changes_and_takes_back() {
    let mut world = acquainted(5);
    let laptop = world.join(ANA);
    world.settle();
    world.say(BEN, ANA, "heard this?");
    world.settle();
    let to = world.newest(ANA, BEN);
    world.react(ANA, BEN, to, Some(Reaction::Fire)).expect("kept");
    world.react(BEN, ANA, to, Some(Reaction::Heart)).expect("kept");
    world.settle();
    world.react(laptop, BEN, to, Some(Reaction::Wow)).expect("kept");
    world.settle();
    let all = |world: &World| {
        [(ANA, BEN), (laptop, BEN), (BEN, ANA)].map(|(device, with)| {
            let mut all = world.reactions(device, with, to);
            all.sort_by_key(|(is_ana, _)| *is_ana);
            all
        })
    };
    let expected = vec![(false, Reaction::Heart), (true, Reaction::Wow)];
    assert_eq!(all(&world), [expected.clone(), expected.clone(), expected], "the same on every device");
    let posted = world.posted();
    world.react(ANA, BEN, to, Some(Reaction::Wow)).expect("it is so already");
    world.settle();
    assert_eq!(world.posted(), posted, "what is so already is not said again");
    world.react(ANA, BEN, to, None).expect("kept");
    world.settle();
    assert_eq!(all(&world), [const { (false, Reaction::Heart) }; 3].map(|one| vec![one]));
    let unknown = world.react(ANA, BEN, PostId([9; 16]), Some(Reaction::Fire));
    assert_eq!(unknown, Err(Trouble::NoMessage));
}

#[test]
fn a_message_is_found_by_the_first_digits_of_its_name() {
    let world = acquainted(6);
    let (name, ben) = (world.newest(ANA, BEN).to_string(), world.account(BEN));
    let machine = world.devices[ANA].machine.as_ref().expect("it runs");
    assert_eq!(machine.find(ben, &name[..8].to_uppercase()).expect("found").id.to_string(), name);
    for none in ["", "xyz", "'; --", &"0".repeat(33), &format!("{name}0")] {
        assert_eq!(machine.find(ben, none), Err(Trouble::NoMessage), "{none:?}");
    }
}
