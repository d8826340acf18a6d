//! A friend whose address changes in mid-song: a router that forgot, another network.

use std::{
    net::{SocketAddr, UdpSocket},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use jamsync_node::api::{Event, Peer};

use super::{
    node::Node,
    stage::{Friends, Stage, in_step, titles},
};

/// The way between two nodes, each of which meets the other at a door that can be moved to another address.
struct Way {
    doors: [Arc<Door>; 2],
    ends: Arc<AtomicBool>,
    carriers: Vec<JoinHandle<()>>,
}

/// Where one node meets the other.
struct Door(Mutex<Arc<UdpSocket>>);

impl Door {
    fn open() -> Arc<UdpSocket> {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        socket.set_read_timeout(Some(Duration::from_millis(20))).expect("a time above zero");
        Arc::new(socket)
    }

    fn socket(&self) -> Arc<UdpSocket> {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn address(&self) -> SocketAddr {
        self.socket().local_addr().expect("bound")
    }
}

impl Way {
    fn new() -> Self {
        let door = || Arc::new(Door(Mutex::new(Door::open())));
        Self { doors: [door(), door()], ends: Arc::default(), carriers: Vec::new() }
    }

    /// Carries packets between the nodes, the first of which knocks at the first door.
    fn carry(&mut self, nodes: [SocketAddr; 2]) {
        for (from, to) in [(0, 1), (1, 0)] {
            let (inner, outer) = (Arc::clone(&self.doors[from]), Arc::clone(&self.doors[to]));
            let (ends, [sender, receiver]) = (Arc::clone(&self.ends), [nodes[from], nodes[to]]);
            self.carriers.push(thread::spawn(move || {
                let mut packet = [0; 65_536];
                while !ends.load(Ordering::Relaxed) {
                    // Who reads the clock for nothing more than an end finds nothing within 20 ms.
                    let Ok((length, address)) = inner.socket().recv_from(&mut packet) else { continue };
                    if address == sender {
                        let _ = outer.socket().send_to(&packet[..length], receiver);
                    }
                }
            }));
        }
    }

    /// From now on the node that knocks at the other door meets its friend at another address, and nobody at the old.
    fn move_door(&self, which: usize) {
        let mut socket = self.doors[which].0.lock().unwrap_or_else(PoisonError::into_inner);
        *socket = Door::open();
    }
}

impl Drop for Way {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        for carrier in self.carriers.drain(..) {
            // One that panicked has failed the test already.
            let _ = carrier.join();
        }
    }
}

#[test]
fn whoevers_address_changes_the_jam_goes_on_without_the_coordinator() {
    let stage = Stage::set();
    let mut way = Way::new();
    let person = |name: &str, door: usize| {
        let via = way.doors[door].address().to_string();
        let node = Node::start_with(name, stage.folder.path().join(name), &["--test-peer-via", &via]);
        stage.sign_up(&node, "1990-05-17");
        node
    };
    let (ana, ben) = (person("ana", 0), person("ben", 1));
    way.carry([ana.status().me.listen, ben.status().me.listen]);
    let mut friends = Friends::introduce(stage, ana, ben);
    let music = friends.stage.music(4, 120);
    friends.begin_jam_with(&music);
    friends.stage.kill_coordinator();
    let marks = [friends.ana.mark(), friends.ben.mark()];

    // One of the two is the server, whose clients take no packets from another address: both cases come.
    for (round, (door, whose)) in [(1, "ana"), (0, "ben"), (1, "ana")].into_iter().enumerate() {
        way.move_door(door);
        let began = Instant::now();
        let met_at = Some(way.doors[door].address());
        let facing = if door == 0 { &mut friends.ana } else { &mut friends.ben };
        facing.until("the friend is met at the new address", |node| {
            let peer = node.status().jam.map(|jam| jam.peer);
            let address = if let Some(Peer::Connected { address, .. }) = peer { Some(address) } else { None };
            (address == met_at).then_some(())
        });
        friends.ana.run(&["queue", "remove", "1"]);
        friends.agree("an edit after the change", |queue| queue.len() == 2 - round);
        eprintln!("an edit arrives {:?} after {whose}'s address changed", began.elapsed());
        friends.hear("the music, all the while", |now| now.playing && now.title.as_str() == "Piece 1");
        for node in [&mut friends.ana, &mut friends.ben] {
            node.until("both are in step", |node| in_step(&node.status()).then_some(()));
        }
        friends.ben.run(&["seek", "30"]);
        friends.hear("a place", |now| now.playing && now.position.as_millis() >= 30_000);
    }
    assert_eq!(titles(&friends.ben.status().queue), Vec::<&str>::new());
    for (node, mark) in [&mut friends.ana, &mut friends.ben].into_iter().zip(marks) {
        let ended = node.events_since(mark).iter().find(|event| matches!(event, Event::JamEnded { .. }));
        let ended = ended.cloned();
        assert_eq!(ended, None, "{}", node.name);
    }
    friends.assert_sound();
}
