//! Messages while the coordinator and the nodes are killed at random moments: what a command called kept arrives once, in one
//! order, on both sides.

use std::env;

use rand::{Rng, SeedableRng, rngs::StdRng};

use super::{
    messages::{words, write},
    node::Node,
    stage::Friends,
};

/// How many rounds there are unless `JAMSYNC_KILL_ROUNDS` says otherwise. A few seconds each.
const ROUNDS: u64 = 3;
/// How many messages one round has.
const MESSAGES: usize = 12;

#[test]
fn what_was_kept_arrives_once_and_in_order_whoever_is_killed() {
    let number = |name: &str| env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let (rounds, seed) =
        (number("JAMSYNC_KILL_ROUNDS").unwrap_or(ROUNDS), number("JAMSYNC_SEED").unwrap_or(1));
    println!("seed {seed}, {rounds} rounds");
    let mut random = StdRng::seed_from_u64(seed);
    let mut friends = Friends::meet();
    let mut kept = Vec::new();
    for round in 0..rounds {
        friends = round_of(friends, round, &mut random, &mut kept);
        assert_all_arrive(&mut friends, &kept);
    }
}

/// Some messages from either, and now and then a death.
fn round_of(mut friends: Friends, round: u64, random: &mut StdRng, kept: &mut Vec<String>) -> Friends {
    for number in 0..MESSAGES {
        let text = format!("round {round}, number {number}");
        let (from, to) = if random.random_bool(0.5) { (&friends.ana, "ben") } else { (&friends.ben, "ana") };
        write(from, to, &text);
        kept.push(text);
        match random.random_range(0..6) {
            0 => {
                friends.stage.kill_coordinator();
                friends.stage.start_coordinator();
            }
            1 => friends.ana = Node::start("ana", friends.ana.kill()),
            2 => friends.ben = Node::start("ben", friends.ben.kill()),
            _ => {}
        }
    }
    friends
}

fn assert_all_arrive(friends: &mut Friends, kept: &[String]) {
    let Friends { ana, ben, .. } = friends;
    let ours = ana.until("all is there", |ana| {
        let shown = words(ana, "ben");
        (shown.len() == kept.len() && super::messages::all_sent(ana, "ben")).then_some(shown)
    });
    let theirs = ben.until("all is there too", |ben| {
        let shown = words(ben, "ana");
        (shown.len() == kept.len() && super::messages::all_sent(ben, "ana")).then_some(shown)
    });
    let turned: Vec<(bool, String)> = theirs.into_iter().map(|(mine, text)| (!mine, text)).collect();
    assert_eq!(ours, turned, "the same, in the same order");
    let mut once: Vec<&String> = ours.iter().map(|(_, text)| text).collect();
    once.sort();
    let mut all: Vec<&String> = kept.iter().collect();
    all.sort();
    assert_eq!(once, all, "each once");
    for mine in [true, false] {
        let order: Vec<&String> = ours.iter().filter(|(own, _)| *own == mine).map(|(_, text)| text).collect();
        let said: Vec<&String> = kept.iter().filter(|text| order.contains(text)).collect();
        assert_eq!(order, said, "in the order in which each said it");
    }
}
