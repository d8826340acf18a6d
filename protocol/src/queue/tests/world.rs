//! Random worlds: participants who edit, links that break, processes that die, hosts that change. After quiet all
//! show the queue that the history of the last host leads to, and every edit is in that history once.

use alloc::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    vec,
    vec::Vec,
};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{
    std::{env, eprintln, thread},
    *,
};
use crate::{
    limits::{PEER_FRAME_BYTES_MAX, TRACKS_PER_EDIT_MAX},
    wire::codec::{decode, encode},
};

const STEPS: usize = 400;

/// How many worlds each test tries: 60, or as many as the environment says.
fn seeds() -> core::ops::Range<u64> {
    0..env::var("QUEUE_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(60)
}

/// Prints the seed if the test fails before this is dropped.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("failing seed: {}", self.0);
        }
    }
}

/// One participant: the process, and what its disk holds.
struct Node {
    replica: Replica,
    disk: Vec<u8>,
    /// Edits since the disk was last written: a kill loses them, and nobody else has seen them.
    unsaved: Vec<EditId>,
    /// How much of this host's log is in the history.
    recorded: Head,
}

struct World {
    random: ChaCha8Rng,
    nodes: Vec<Node>,
    /// Bytes under way, per direction. A direction that is missing is not connected.
    links: BTreeMap<(usize, usize), VecDeque<Vec<u8>>>,
    /// Each point that a host gave, with the point before it.
    history: BTreeMap<(u64, u32, usize), (Head, Fact)>,
    base: Queue,
    epoch: u32,
    /// Which participants can reach each other: those with the same number.
    island: Vec<u8>,
    /// Every edit that a disk has held.
    made: BTreeSet<EditId>,
    /// What each entry was called when it was added.
    added: BTreeMap<EntryId, String>,
    titles: u32,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let count = random.random_range(2..=4u8);
        // Every other world begins with more than stays once it is played.
        let begins = if seed.is_multiple_of(2) { 8 } else { 2 * PLAYED_MAX };
        let begins = (0..begins).map(|number| track(&format!("at first {number}"))).collect();
        let host = Replica::adopting(who(0), 1, begins).expect("within the limit");
        let base = host.ordered.clone();
        let mut nodes = vec![host];
        nodes.extend((1..count).map(|index| {
            let mut guest = Replica::new(who(index));
            guest.become_guest(who(0));
            guest
        }));
        let nodes: Vec<Node> = nodes
            .into_iter()
            .map(|replica| Node {
                disk: encode(&replica.snapshot(), usize::MAX).expect("encodes"),
                unsaved: Vec::new(),
                recorded: replica.ordered_through(),
                replica,
            })
            .collect();
        let added = base.entries().map(|entry| (entry.id, entry.track.title.as_str().into())).collect();
        let island = vec![0; nodes.len()];
        let (links, history, made) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
        Self { random, nodes, links, history, base, epoch: 1, island, made, added, titles: 0 }
    }

    fn pick(&mut self) -> usize {
        self.random.random_range(0..self.nodes.len())
    }

    fn edit(&mut self, node: usize) {
        let ids: Vec<EntryId> = self.nodes[node].replica.entries().map(|entry| entry.id).collect();
        let some = ids.get(self.random.random_range(0..=ids.len())).copied();
        let other = ids.get(self.random.random_range(0..=ids.len())).copied();
        let place = match self.random.random_range(0..3) {
            0 => Place::Start,
            1 => other.map_or(Place::End, Place::After),
            _ => Place::End,
        };
        let intent = match (self.random.random_range(0..20), some) {
            (0..=5, _) => Intent::Append(self.fresh_tracks()),
            (6..=8, after) => Intent::PlayNext { after, tracks: self.fresh_tracks() },
            (9..=12, Some(entry)) => Intent::Move { entry, place },
            (13..=15, Some(entry)) => Intent::Remove(vec![entry]),
            (16, _) => Intent::Clear,
            (17, _) => Intent::Shuffle { seed: self.random.random() },
            _ => Intent::Undo,
        };
        let adds = match &intent {
            Intent::Append(tracks) | Intent::PlayNext { tracks, .. } => tracks.clone(),
            Intent::Move { .. }
            | Intent::Remove(_)
            | Intent::Clear
            | Intent::Shuffle { .. }
            | Intent::Undo => Vec::new(),
        };
        let first = self.nodes[node].replica.next_entry;
        if let Ok(id) = self.nodes[node].replica.edit(intent) {
            self.nodes[node].unsaved.push(id);
            for (number, track) in (first..).zip(adds) {
                let title = track.title.as_str().into();
                let entry = EntryId { author: who(u8::try_from(node).expect("few")), number };
                assert_eq!(self.added.insert(entry, title), None, "an entry's name was given twice");
            }
        }
    }

    fn fresh_tracks(&mut self) -> Vec<Track> {
        // Now and then a whole folder, so that more is played than stays.
        let most = if self.random.random_bool(0.15) { TRACKS_PER_EDIT_MAX } else { 3 };
        (0..self.random.random_range(1..=most))
            .map(|_| {
                self.titles += 1;
                track(&format!("{}", self.titles))
            })
            .collect()
    }

    fn save(&mut self, node: usize) {
        let node = &mut self.nodes[node];
        node.disk = encode(&node.replica.snapshot(), usize::MAX).expect("encodes");
        self.made.extend(node.unsaved.drain(..));
    }

    /// Puts the next message on its link, after the state was written to disk.
    fn transmit(&mut self, from: usize) -> bool {
        let Some(transmit) = self.nodes[from].replica.poll_transmit() else { return false };
        self.save(from);
        let bytes = encode(&transmit.message, PEER_FRAME_BYTES_MAX).expect("fits a frame");
        let link = self.links.get_mut(&(from, transmit.to.index())).expect("only to who is connected");
        link.push_back(bytes);
        true
    }

    fn deliver(&mut self, from: usize, to: usize) -> bool {
        let Some(bytes) = self.links.get_mut(&(from, to)).and_then(VecDeque::pop_front) else { return false };
        let message: QueueMessage = decode(&bytes).expect("decodes");
        // A snapshot is a sequence within one stream, which never repeats; all else may be said twice.
        let repeat = !matches!(message, QueueMessage::Snapshot { .. }) && self.random.random_bool(0.1);
        let from = who(u8::try_from(from).expect("few"));
        for message in core::iter::repeat_n(message, if repeat { 2 } else { 1 }) {
            match self.nodes[to].replica.handle_message(from, message) {
                Ok(()) | Err(QueueError::NotHost { .. } | QueueError::NotFromHost { .. }) => {}
                Err(error) => panic!("an honest message was refused: {error}"),
            }
        }
        let replica = &mut self.nodes[to].replica;
        while replica.poll_event().is_some() {}
        let mut shown = replica.ordered.clone();
        for edit in replica.pending() {
            let _ = shown.apply(edit);
        }
        assert!(replica.queue() == &shown, "what is shown is not the ordered queue and the pending edits");
        true
    }

    fn connect(&mut self, a: usize, b: usize) {
        if a == b || self.island[a] != self.island[b] || self.links.contains_key(&(a, b)) {
            return;
        }
        for (from, to) in [(a, b), (b, a)] {
            self.links.insert((from, to), VecDeque::new());
            self.nodes[from].replica.handle_connected(who(u8::try_from(to).expect("few")));
        }
    }

    fn disconnect(&mut self, a: usize, b: usize) {
        for (from, to) in [(a, b), (b, a)] {
            if self.links.remove(&(from, to)).is_some() {
                self.nodes[from].replica.handle_disconnected(who(u8::try_from(to).expect("few")));
            }
        }
    }

    /// Kills a process and starts it again from its disk. A host goes on in a new epoch, as its peers know it.
    fn restart(&mut self, node: usize) {
        for peer in 0..self.nodes.len() {
            self.disconnect(node, peer);
        }
        let host = self.nodes[node].replica.host().expect("always named here");
        let saved: Saved = decode(&self.nodes[node].disk).expect("decodes");
        let mut replica = Replica::restore(saved).expect("consistent");
        self.nodes[node].disk = encode(&replica.snapshot(), usize::MAX).expect("encodes");
        self.nodes[node].unsaved.clear();
        if host.index() == node {
            self.epoch += 1;
            self.nodes[node].recorded = replica.ordered_through();
            replica.become_host(self.epoch).expect("a new epoch");
        } else {
            replica.become_guest(host);
        }
        self.nodes[node].replica = replica;
    }

    /// Makes `host` the host of its island.
    fn appoint(&mut self, host: usize) {
        self.record();
        if self.nodes[host].replica.host().map(Participant::index) != Some(host) {
            self.epoch += 1;
            self.nodes[host].recorded = self.nodes[host].replica.ordered_through();
            self.nodes[host].replica.become_host(self.epoch).expect("a new epoch");
        }
        self.follow(host);
    }

    /// Makes all others on the island of `host` its guests.
    fn follow(&mut self, host: usize) {
        for node in 0..self.nodes.len() {
            if node != host && self.island[node] == self.island[host] {
                self.nodes[node].replica.become_guest(who(u8::try_from(host).expect("few")));
            }
        }
        self.record();
    }

    /// Writes down what hosts ordered.
    fn record(&mut self) {
        for (index, node) in self.nodes.iter_mut().enumerate() {
            if node.replica.host().map(Participant::index) != Some(index) {
                continue;
            }
            while let Some((at, fact)) = node.replica.log.record(node.recorded.number + 1).cloned() {
                let key = (at.number, at.term.epoch, at.term.host.index());
                let known = self.history.insert(key, (node.recorded, fact.clone()));
                assert!(known.is_none_or(|known| known == (node.recorded, fact)), "a number was given twice");
                node.recorded = at;
            }
        }
    }

    fn step(&mut self) {
        let (a, b) = (self.pick(), self.pick());
        match self.random.random_range(0..100) {
            0..25 => self.edit(a),
            25..55 => drop(self.transmit(a)),
            55..85 => drop(self.deliver(a, b)),
            85..92 => self.connect(a, b),
            92..95 => self.disconnect(a, b),
            95..97 => self.restart(a),
            _ => {
                let queue = self.nodes[a].replica.queue();
                let next = queue.frozen().and_then(|frozen| queue.next_after(frozen));
                let goes_on = next.filter(|_| self.random.random_bool(0.4)).map(|entry| entry.id);
                let ids: Vec<EntryId> = queue.entries().map(|entry| entry.id).collect();
                let somewhere = ids.get(self.random.random_range(0..=ids.len())).copied();
                if let Some(entry) = goes_on.or(somewhere) {
                    // Only a host may.
                    let _ = self.nodes[a].replica.freeze(entry);
                }
            }
        }
        self.record();
    }

    /// All reach the host and say what they have to say.
    fn settle(&mut self, host: usize) {
        let count = self.nodes.len();
        for node in 0..count {
            self.connect(host, node);
        }
        let mut busy = true;
        while busy {
            busy = false;
            for node in 0..count {
                busy |= self.transmit(node);
                busy |= self.deliver(host, node) | self.deliver(node, host);
            }
        }
        for node in 0..count {
            self.save(node);
        }
        self.record();
    }

    /// All that must hold once `host` has settled.
    /// Returns how many entries the queue has let go of in all.
    fn check(&self, host: usize) -> usize {
        let last = &self.nodes[host].replica;
        for node in &self.nodes {
            assert!(node.replica.ordered == last.ordered, "two ordered queues differ");
            assert!(node.replica.queue() == last.queue(), "two shown queues differ");
            assert_eq!(node.replica.ordered_through(), last.ordered_through());
            assert_eq!(node.replica.pending().count(), 0);
        }
        let facts = self.history_to(last.ordered_through());
        let mut replayed = self.base.clone();
        let (mut ordered, mut let_go) = (BTreeSet::new(), BTreeSet::new());
        for fact in &facts {
            match fact {
                Fact::Freeze(entry) => {
                    let before: Vec<EntryId> = replayed.entries().map(|entry| entry.id).collect();
                    replayed.freeze(*entry);
                    let_go.extend(before.into_iter().filter(|id| !replayed.contains(*id)));
                }
                Fact::Edit(edit) => {
                    assert!(ordered.insert(edit.id), "{:?} is in the history twice", edit.id);
                    let _ = replayed.apply(edit);
                }
            }
        }
        assert!(replayed == last.ordered, "the history leads elsewhere");
        assert!(last.entries().all(|entry| !let_go.contains(&entry.id)), "what was let go of came back");
        assert_eq!(ordered, self.made, "an edit was lost, or one was made up");
        for slot in &last.ordered.slots {
            assert_eq!(self.added.get(&slot.id).map(String::as_str), Some(slot.entry.track.title.as_str()));
        }
        let_go.len()
    }

    /// The facts in order up to `head`, from the start of the Jam.
    fn history_to(&self, head: Head) -> Vec<Fact> {
        let mut facts = Vec::new();
        let mut at = head;
        while at.number > 1 {
            let key = (at.number, at.term.epoch, at.term.host.index());
            let (before, fact) = self.history.get(&key).expect("a point that a host gave");
            facts.push(fact.clone());
            at = *before;
        }
        facts.reverse();
        facts
    }
}

#[test]
fn all_show_the_same_queue_after_breaks_repeats_and_restarts() {
    let mut let_go = 0;
    for seed in seeds() {
        let _seed = Seed(seed);
        let mut world = World::new(seed);
        for _ in 0..STEPS {
            world.step();
        }
        world.settle(0);
        let_go += world.check(0);
    }
    assert!(let_go > 0, "no queue was long enough to let go of anything");
}

#[test]
fn no_edit_is_lost_or_doubled_when_hosts_change_and_partitions_heal() {
    let mut let_go = 0;
    for seed in seeds() {
        let _seed = Seed(seed);
        let mut world = World::new(seed);
        let mut host = 0;
        // Only who has seen the Jam can take it over.
        world.settle(0);
        for _ in 0..world.random.random_range(1..5) {
            for _ in 0..STEPS / 4 {
                world.step();
            }
            // A part of the participants loses the host and takes one of its own.
            let count = world.nodes.len();
            for node in 0..count {
                world.island[node] = u8::from(node != host && world.random.random_bool(0.6));
                for peer in 0..node {
                    if world.island[node] != world.island[peer] {
                        world.disconnect(node, peer);
                    }
                }
            }
            let cut_off: Vec<usize> = (0..count).filter(|node| world.island[*node] == 1).collect();
            if let Some(taker) = cut_off.first() {
                world.appoint(*taker);
            }
            for _ in 0..STEPS / 4 {
                world.step();
            }
            // The partition heals, and either host may win.
            world.island.fill(0);
            if let Some(taker) = cut_off.first().filter(|_| world.random.random_bool(0.5)) {
                host = *taker;
            }
            world.record();
            world.follow(host);
            // The host's part is handed on, over connections that stay.
            for _ in 0..world.random.random_range(0..4) {
                for _ in 0..world.random.random_range(0..30) {
                    world.step();
                }
                host = world.pick();
                world.appoint(host);
            }
        }
        world.settle(host);
        let_go += world.check(host);
    }
    assert!(let_go > 0, "no queue was long enough to let go of anything");
}
