//! A coordinator, two friends, and music.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use jamsync_coordinator::{data::DataFolder, store::Store};
use jamsync_examples::{
    link::{LinkConfig, Loss, PathConfig, RandomLoss, forwarder::Forwarder},
    ports,
};
use jamsync_node::api::{Event, NowPlaying, QueueEntry, Reply, RequestOutcome, Snapshot};
use jamsync_protocol::time::UtcTime;
use rustix::process::Signal;

use super::{
    node::Node,
    process::{PATIENCE, Process, binary},
};

/// Everything that runs. Dropping it ends every process.
#[derive(Debug)]
pub(super) struct Stage {
    coordinator: Option<Process>,
    port: u16,
    pub(super) folder: tempfile::TempDir,
    /// Real time is shared: Jams take turns, also under a harness that knows no groups.
    _turn: MutexGuard<'static, ()>,
}

/// Two friends at a coordinator. Ana asks and becomes the guest; Ben accepts and becomes the host.
#[derive(Debug)]
pub(super) struct Friends {
    pub(super) ana: Node,
    pub(super) ben: Node,
    pub(super) stage: Stage,
}

static TURN: Mutex<()> = Mutex::new(());

impl Stage {
    /// A coordinator alone.
    pub(super) fn set() -> Self {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = tempfile::Builder::new().prefix("jamsync-it-").tempdir().expect("a folder");
        let mut stage = Self { coordinator: None, port: free_port(), folder, _turn: turn };
        stage.start_coordinator();
        stage
    }

    pub(super) fn start_coordinator(&mut self) {
        self.start_coordinator_with(&[]);
    }

    /// Serves the same data by other rules: settings by the names of their environment variables.
    pub(super) fn serve_with(&mut self, rules: &[(&str, &str)]) {
        self.stop_coordinator();
        self.start_coordinator_with(rules);
    }

    /// As its operator does; nodes are told, and look for it at once.
    pub(super) fn stop_coordinator(&mut self) {
        let mut coordinator = self.coordinator.take().expect("it runs");
        coordinator.signal(Signal::TERM);
        assert!(coordinator.end().success());
    }

    /// Serves the same data at another address, and gives the one where nodes look for it and the new one.
    pub(super) fn move_coordinator(&mut self) -> [SocketAddr; 2] {
        let ports = [self.port, free_port()];
        self.stop_coordinator();
        self.port = ports[1];
        self.start_coordinator();
        ports.map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
    }

    /// Lets the coordinator forget what it counts, as it does a day later: how often somebody asked.
    pub(super) fn let_time_pass(&self) {
        let store = DataFolder::open_existing(&self.data()).expect("the data of a coordinator").store;
        let later = UtcTime::from_nanos(i64::MAX);
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(store.write(move |tables| tables.prune(later, u32::MAX))).expect("written");
    }

    fn start_coordinator_with(&mut self, rules: &[(&str, &str)]) {
        let rules = rules.iter().map(|(name, value)| (format!("JAMSYNC_COORDINATOR_{name}"), *value));
        let mut coordinator = Process::start(
            Command::new(binary("jamsync-coordinator"))
                .envs(rules)
                .args(["serve", "--json", "--listen", &format!("127.0.0.1:{}", self.port), "--data"])
                .arg(self.data())
                .stderr(fs::File::create(self.folder.path().join("coordinator.log")).expect("a log")),
        );
        coordinator.lines().recv_timeout(PATIENCE).expect("the coordinator is ready in time");
        self.coordinator = Some(coordinator);
    }

    /// As a power cut would.
    pub(super) fn kill_coordinator(&mut self) {
        self.coordinator.take().expect("it runs").kill();
    }

    /// Where the coordinator listens.
    pub(super) fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// The number of the coordinator's process.
    pub(super) fn coordinator_process(&self) -> u32 {
        self.coordinator.as_ref().expect("it runs").id()
    }

    pub(super) fn data(&self) -> PathBuf {
        self.folder.path().join("coordinator")
    }

    /// Runs a command of the operator and gives what it prints.
    pub(super) fn operate(&self, verb: &str, arguments: &[&str]) -> String {
        let mut command = Command::new(binary("jamsync-coordinator"));
        command.arg(verb).arg("--data").arg(self.data()).args(arguments);
        let output = command.output().expect("runs");
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// A node that plays alone.
    pub(super) fn node(&self, name: &str) -> Node {
        Node::start(name, self.folder.path().join(name))
    }

    /// A node signed up under its name.
    pub(super) fn person(&self, name: &str, birth: &str) -> Node {
        let node = self.node(name);
        self.sign_up(&node, birth);
        node
    }

    /// Signs a node up under its name.
    pub(super) fn sign_up(&self, node: &Node, birth: &str) {
        let (name, code) = (node.name.as_str(), self.operate("join-code", &[]));
        node.run(&["init", "--coordinator", &code, "--handle", name, "--birth", birth, "--market", "DE"]);
    }

    /// Folder `name`, made.
    pub(super) fn subfolder(&self, name: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::create_dir_all(&path).expect("a folder");
        path
    }

    /// WAV files called `Piece N`, each of `seconds`.
    pub(super) fn music(&self, count: u64, seconds: u32) -> Vec<PathBuf> {
        let folder = self.subfolder("music");
        let write = |number: u64| piece(&folder.join(format!("Piece {number}.wav")), number, seconds);
        (1..=count).map(write).collect()
    }
}

impl Friends {
    /// Both are signed up and contacts.
    pub(super) fn meet() -> Self {
        let stage = Stage::set();
        let [ana, ben] = ["ana", "ben"].map(|name| stage.person(name, "1990-05-17"));
        Self::introduce(stage, ana, ben)
    }

    /// The same, and the music of each waits for the other.
    pub(super) fn who_wait() -> Self {
        let stage = Stage::set();
        let [ana, ben] = ["ana", "ben"].map(|name| {
            let node = Node::start_with(name, stage.folder.path().join(name), &["--when-away", "wait"]);
            stage.sign_up(&node, "1990-05-17");
            node
        });
        Self::introduce(stage, ana, ben)
    }

    /// The same, and all that goes from one to the other goes over a path, which the test may change.
    pub(super) fn meet_over(path: &PathConfig, seed: u64) -> (Self, Forwarder) {
        let forwarder = Forwarder::start(path, seed).expect("two ports and a thread");
        let [door_of_ana, door_of_ben] = forwarder.doors();
        let stage = Stage::set();
        let [ana, ben] = [("ana", door_of_ana), ("ben", door_of_ben)].map(|(name, door)| {
            let options = ["--test-peer-via", &door.to_string()];
            let node = Node::start_with(name, stage.folder.path().join(name), &options);
            stage.sign_up(&node, "1990-05-17");
            node
        });
        forwarder.connect([&ana, &ben].map(|node| node.status().me.listen));
        (Self::introduce(stage, ana, ben), forwarder)
    }

    /// Two who are signed up become contacts.
    pub(super) fn introduce(stage: Stage, ana: Node, ben: Node) -> Self {
        let mut friends = Self { ana, ben, stage };
        befriend(&friends.ana, &mut friends.ben);
        friends
    }

    /// Both are in a Jam, connected and in step.
    pub(super) fn begin_jam(&mut self) {
        let marks = [self.ana.mark(), self.ben.mark()];
        self.ana.run(&["request", "ben"]);
        self.ben.event_since(marks[1], "the request", |event| {
            matches!(event, Event::RequestOpened { .. }).then_some(())
        });
        self.ben.run(&["accept"]);
        for (node, mark) in [&mut self.ana, &mut self.ben].into_iter().zip(marks) {
            node.event_since(mark, "the Jam", |event| {
                matches!(event, Event::JamStarted { .. }).then_some(())
            });
            node.until("both are in step", |node| in_step(&node.status()).then_some(()));
        }
    }

    /// Ben, the host, plays `music`, and Ana hears it with him.
    pub(super) fn begin_jam_with(&mut self, music: &[PathBuf]) {
        self.ana.run(&[&[PathBuf::from("library"), "add".into()], music].concat());
        self.ben.run(&[&[PathBuf::from("play")], music].concat());
        self.begin_jam();
        self.ana.until("the guest hears the host's music", |node| {
            node.status().now.is_some_and(|now| now.playing).then_some(())
        });
    }

    /// Waits until both show the same queue, which fits, and gives it as Ana sees it.
    pub(super) fn agree(&mut self, what: &str, fits: impl Fn(&[QueueEntry]) -> bool) -> Vec<QueueEntry> {
        let Self { ana, ben, .. } = self;
        ana.until(&format!("both show the same queue, {what}"), |ana| {
            let (mine, theirs) = (ana.status().queue, ben.status().queue);
            let same = ids(&mine) == ids(&theirs) && fits(&mine);
            if !same {
                eprintln!("{what}: ana {:?}, ben {:?}", titles(&mine), titles(&theirs));
            }
            same.then_some(mine)
        })
    }

    /// Waits until both hear the same, which fits.
    pub(super) fn hear(&mut self, what: &str, fits: impl Fn(&NowPlaying) -> bool) {
        for node in [&mut self.ana, &mut self.ben] {
            node.until(what, |node| node.status().now.is_some_and(|now| fits(&now)).then_some(()));
        }
    }

    /// Both live, and neither log tells of a panic.
    pub(super) fn assert_sound(&mut self) {
        self.ana.assert_sound();
        self.ben.assert_sound();
    }
}

/// Makes two people contacts.
pub(super) fn befriend(creator: &Node, accepter: &mut Node) {
    let Reply::Link { link } = creator.run(&["link"]) else { panic!("no link") };
    accepter.run(&["join", &link]);
}

/// Whether the node is connected to its friend and knows its clock.
pub(super) fn in_step(status: &Snapshot) -> bool {
    let connected =
        |jam: &jamsync_node::api::Jam| matches!(jam.peer, jamsync_node::api::Peer::Connected { .. });
    status.jam.as_ref().is_some_and(connected) && status.sync.is_some()
}

/// An event: somebody asks.
pub(super) fn opened(event: &Event) -> Option<()> {
    matches!(event, Event::RequestOpened { .. }).then_some(())
}

/// An event: the asking is over, and how.
pub(super) fn closed(event: &Event) -> Option<RequestOutcome> {
    match event {
        Event::RequestClosed { outcome, .. } => Some(*outcome),
        _ => None,
    }
}

/// The calendar time of this machine, and of every process here.
pub(super) fn now() -> UtcTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("the calendar is set");
    UtcTime::from_nanos(i64::try_from(since.as_nanos()).expect("this age"))
}

fn free_port() -> u16 {
    ports::lasting().expect("a free port")
}

/// Entries by id.
pub(super) fn ids(queue: &[QueueEntry]) -> Vec<&str> {
    queue.iter().map(|entry| entry.entry.0.as_str()).collect()
}

/// Entries by title.
pub(super) fn titles(queue: &[QueueEntry]) -> Vec<&str> {
    queue.iter().map(|entry| entry.title.as_str()).collect()
}

/// A WAV file in 16 bits, quick to make: a tone of its own, other for every `seed`.
pub(super) fn piece(path: &Path, seed: u64, seconds: u32) -> PathBuf {
    const RATE: u32 = 44_100;
    let spec = hound::WavSpec {
        channels: 2,
        sample_rate: RATE,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::create(path, spec).expect("a file");
    let step = i16::try_from(250 + 40 * seed).expect("a small seed");
    let mut level: i16 = 0;
    for _ in 0..RATE * seconds {
        level = level.wrapping_add(step);
        writer.write_sample(level / 4).expect("written");
        writer.write_sample(level / 8).expect("written");
    }
    writer.finalize().expect("written");
    path.to_owned()
}

/// From now on nothing passes over the path.
pub(super) fn cut(path: &Forwarder) {
    let all = Loss::Random(RandomLoss { share: 1.0 });
    path.change(PathConfig::symmetric(LinkConfig { loss: all, ..LinkConfig::default() }));
}
