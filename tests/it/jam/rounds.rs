//! Edits of both sides in random rounds of cuts, kills and takeovers: after each, one queue that holds every accepted
//! edit once. `JAMSYNC_ROUNDS` says how many rounds, `JAMSYNC_SEED` which.

use std::{collections::BTreeSet, env, path::Path, path::PathBuf};

use jamsync_examples::link::{PathConfig, forwarder::Forwarder};
use jamsync_node::api::{Event, Peer};
use rand::{Rng, SeedableRng, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;
use rustix::process::Signal;

use super::{
    node::Node,
    stage::{Friends, cut, in_step, titles},
};

/// What happens while edits are made.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Nothing,
    /// One side stands still for a moment.
    Hiccup,
    /// One side stands still until the other misses it, or has taken over.
    Outage,
    /// The path between them is gone until both have noticed.
    Cut,
    /// One side is killed.
    Kill,
    /// Both are killed.
    KillBoth,
}

/// Rounds where nothing says how many: enough for one of each fault.
const ROUNDS: usize = 8;
/// Edits of one side in one round at most.
const EDITS_MAX: usize = 4;

struct Rounds {
    random: ChaCha8Rng,
    path: Forwarder,
    files: Vec<PathBuf>,
    /// The titles that the queue has to hold, by all edits that were accepted.
    expected: BTreeSet<String>,
}

#[test]
fn no_round_of_edits_and_faults_loses_an_edit_or_makes_one_twice() {
    let number = |name: &str| env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let seed = number("JAMSYNC_SEED").unwrap_or(7);
    let count = number("JAMSYNC_ROUNDS").map_or(ROUNDS, |rounds| usize::try_from(rounds).expect("fits"));
    let (mut friends, path) = Friends::meet_over(&PathConfig::default(), seed);
    let music = friends.stage.music(1, 600);
    let folder = friends.stage.subfolder("many");
    let files: Vec<PathBuf> = (0..count * 2 * EDITS_MAX).map(|number| snippet(&folder, number)).collect();
    for node in [&friends.ana, &friends.ben] {
        node.run(&[Path::new("library"), Path::new("add"), &folder]);
    }
    friends.begin_jam_with(&music);
    friends.ana.run(&["pause"]);
    friends.hear("the pause", |now| !now.playing);
    let random = ChaCha8Rng::seed_from_u64(seed);
    let mut rounds = Rounds { random, path, files, expected: BTreeSet::new() };
    for round in 0..count {
        let fault = rounds.fault(round);
        eprintln!("seed {seed}, round {round}: {fault:?}");
        friends = rounds.play(friends, fault);
        for node in [&mut friends.ana, &mut friends.ben] {
            node.until("both are in step", |node| in_step(&node.status()).then_some(()));
        }
        let expected: Vec<&str> = rounds.expected.iter().map(String::as_str).collect();
        friends.agree(&format!("seed {seed}, round {round}, {fault:?}: {expected:?}"), |queue| {
            let mut found = titles(queue);
            found.sort_unstable();
            found == expected
        });
    }
    friends.assert_sound();
}

impl Rounds {
    /// The first rounds have one of each, the others what comes.
    fn fault(&mut self, round: usize) -> Fault {
        const ALL: [Fault; 6] =
            [Fault::Nothing, Fault::Kill, Fault::Hiccup, Fault::KillBoth, Fault::Outage, Fault::Cut];
        ALL.get(round).or_else(|| ALL.choose(&mut self.random)).copied().unwrap_or(Fault::Nothing)
    }

    fn play(&mut self, mut friends: Friends, fault: Fault) -> Friends {
        let ana_suffers = self.random.random();
        let Friends { ana, ben, .. } = &mut friends;
        let (suffering, other) = if ana_suffers { (ana, ben) } else { (ben, ana) };
        self.edit(suffering);
        match fault {
            Fault::Nothing => self.edit(other),
            Fault::Hiccup => {
                suffering.signal(Signal::STOP);
                self.edit(other);
                suffering.signal(Signal::CONT);
                self.edit(suffering);
            }
            Fault::Outage => {
                let mark = other.mark();
                suffering.signal(Signal::STOP);
                self.edit(other);
                other.event_since(mark, "the loss of its friend", |event| {
                    matches!(event, Event::PeerLost { .. } | Event::RoleChanged { .. }).then_some(())
                });
                self.edit(other);
                suffering.signal(Signal::CONT);
                self.edit(suffering);
            }
            Fault::Cut => {
                let marks = [suffering.mark(), other.mark()];
                cut(&self.path);
                self.edit(other);
                for (node, mark) in [&mut *suffering, &mut *other].into_iter().zip(marks) {
                    node.event_since(mark, "the loss of its friend", |event| {
                        matches!(event, Event::PeerLost { .. } | Event::RoleChanged { .. }).then_some(())
                    });
                }
                self.edit(suffering);
                self.edit(other);
                self.path.change(PathConfig::default());
            }
            Fault::Kill | Fault::KillBoth => {}
        }
        let Friends { ana, ben, stage } = friends;
        let (ana, ben) = match fault {
            Fault::Kill if ana_suffers => (self.killed(ana, &ben), ben),
            Fault::Kill => {
                let ben = self.killed(ben, &ana);
                (ana, ben)
            }
            Fault::KillBoth => {
                self.edit(&ana);
                self.edit(&ben);
                let homes = [ana.kill(), ben.kill()];
                let [ana, ben] = homes;
                (self.start("ana", ana), self.start("ben", ben))
            }
            Fault::Nothing | Fault::Hiccup | Fault::Outage | Fault::Cut => (ana, ben),
        };
        Friends { ana, ben, stage }
    }

    /// Kills a node right after an edit of its own, and lets both edit before they have met again.
    fn killed(&mut self, node: Node, other: &Node) -> Node {
        let name = node.name.clone();
        let home = node.kill();
        self.edit(other);
        let node = self.start(&name, home);
        if matches!(
            node.status().jam.map(|jam| jam.peer),
            Some(Peer::Connected { .. } | Peer::Returning { .. })
        ) {
            self.edit(&node);
        }
        node
    }

    /// Starts a node that was killed, behind the same path.
    fn start(&self, name: &str, home: PathBuf) -> Node {
        let [door_of_ana, door_of_ben] = self.path.doors();
        let door = if name == "ana" { door_of_ana } else { door_of_ben };
        Node::start_with(name, home, &["--test-peer-via", &door.to_string()])
    }

    /// A few edits of one side, each noted once it was accepted.
    fn edit(&mut self, node: &Node) {
        for _ in 0..self.random.random_range(0..=EDITS_MAX / 2) {
            let queue = node.status().queue;
            match (self.random.random_range(0..10), queue.choose(&mut self.random)) {
                (0..3, Some(entry)) => {
                    // What the other has removed meanwhile is gone already.
                    if node.try_run(&["queue", "remove", entry.entry.0.as_str()]).is_ok() {
                        self.expected.remove(entry.title.as_str());
                    }
                }
                (3, Some(entry)) => drop(node.try_run(&["queue", "move", entry.entry.0.as_str(), "1"])),
                (4, _) => drop(node.try_run(&["queue", "shuffle"])),
                _ => {
                    let Some(file) = self.files.pop() else { return };
                    node.run(&[Path::new("queue"), Path::new("add"), &file]);
                    let title = file.file_stem().and_then(|name| name.to_str()).expect("a name");
                    self.expected.insert(title.to_owned());
                }
            }
        }
    }
}

/// A very short file unlike all others.
fn snippet(folder: &Path, number: usize) -> PathBuf {
    let path = folder.join(format!("Snippet {number:04}.wav"));
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 44_100,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::create(&path, spec).expect("a file");
    for sample in 0..4_410 {
        let level = i16::try_from(sample % 100 * (number % 300 + 1)).expect("a small level");
        writer
            .write_sample(if sample == 0 { i16::try_from(number).expect("few") } else { level })
            .expect("written");
    }
    writer.finalize().expect("written");
    path
}
