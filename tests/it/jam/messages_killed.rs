//! Messages that flow both ways while the coordinator and the nodes are killed: what was acknowledged arrives once on every
//! device, in one order, and no key seals twice. One of them has two devices that are there, and a third that is seldom:
//! the coordinator keeps for it all that was said, which is where the sealed messages are looked at.
//!
//! `JAMSYNC_KILL_ROUNDS` says how many rounds, a few seconds each, and `JAMSYNC_SEED` which.

use std::{
    collections::BTreeSet,
    env,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use jamsync_node::api::{ConversationMessage, Reply, Request, client::Client};
use jamsync_protocol::wire::{codec, coord::ConversationItem};
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use rusqlite::{Connection, OpenFlags};

use super::{
    devices::second_device,
    messages::{messages, write},
    node::{Node, jamsync, try_run},
    process::{PATIENCE, POLL},
    stage::Friends,
};
use crate::conversations::ledger::Ledger;

/// How many rounds there are where nothing says how many: one for each that may die.
const ROUNDS: usize = 4;
/// How many messages each device writes in a round.
const MESSAGES: usize = 3;
/// The longest that a round goes on before somebody dies.
const LIFE_MAX: Duration = Duration::from_millis(300);
/// How often the device that is seldom there fetches what was said.
const TABLET_EVERY: usize = 20;

/// How much of what was said before is looked at again: nearly all that a command shows at once.
const SHOWN_LEAST: usize = 900;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victim {
    Coordinator,
    Ana,
    Laptop,
    Ben,
}

const VICTIMS: [Victim; 4] = [Victim::Coordinator, Victim::Ana, Victim::Laptop, Victim::Ben];

/// All that runs, and all that is known of what was said.
struct Rounds {
    friends: Friends,
    laptop: Node,
    /// The state folder of the device that is away.
    tablet: PathBuf,
    random: StdRng,
    /// Everything that was said, in the order that all devices show.
    order: Vec<String>,
    acknowledged: usize,
    unacknowledged: usize,
    kills: usize,
    ledger: Ledger,
    /// How far the coordinator's log was looked at.
    looked: i64,
}

#[test]
fn what_was_acknowledged_arrives_once_and_in_order_whoever_is_killed_and_no_key_seals_twice() {
    let number = |name: &str| env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let count = number("JAMSYNC_KILL_ROUNDS").map_or(ROUNDS, |count| usize::try_from(count).expect("fewer"));
    let seed = number("JAMSYNC_SEED").unwrap_or(1);
    println!("seed {seed}, {count} rounds");
    let mut rounds = Rounds::begin(seed);
    for round in 0..count {
        rounds = rounds.play(round);
        if (round + 1) % TABLET_EVERY == 0 || round + 1 == count {
            rounds.wake_tablet();
        }
    }
    assert_eq!(rounds.ledger.used_twice(), [], "no key seals twice");
    let Rounds { order, acknowledged, unacknowledged, kills, ledger, .. } = &rounds;
    println!(
        "{kills} kills; {acknowledged} messages acknowledged, all there, once and in order on four devices; of \
         {unacknowledged} that were not, {} are there, once; {} sealed messages in the log, no key used twice",
        order.len() - acknowledged,
        ledger.count()
    );
    assert!(ledger.count() >= order.len(), "every message was looked at");
    rounds.friends.assert_sound();
    rounds.laptop.assert_sound();
}

impl Rounds {
    fn begin(seed: u64) -> Self {
        let mut friends = Friends::meet();
        let [mut laptop, mut tablet] =
            ["laptop", "tablet"].map(|name| second_device(&friends.stage, &friends.ana, name));
        // Both are let in once they see what is said.
        for device in [&mut laptop, &mut tablet] {
            let mut tries = 0;
            device.until("the device is let in", |device| {
                tries += 1;
                let text = format!("to the {}, {tries}", device.name);
                let is_known = device.try_run(&["safety", "ben"]).is_ok();
                if is_known {
                    write(&friends.ben, "ana", &text);
                }
                device_shows(device, &text).then_some(())
            });
        }
        friends.ben.until("all is sent", |ben| shown(ben, "ana").map(drop));
        let mut rounds = Self {
            friends,
            laptop,
            tablet: tablet.kill(),
            random: StdRng::seed_from_u64(seed),
            order: Vec::new(),
            acknowledged: 0,
            unacknowledged: 0,
            kills: 0,
            ledger: Ledger::default(),
            looked: 0,
        };
        rounds.looked = rounds.newest();
        rounds
    }

    /// Everybody writes, somebody dies meanwhile and comes back, and all see the same in the end.
    fn play(mut self, round: usize) -> Self {
        let victim = VICTIMS.get(round).or_else(|| VICTIMS.choose(&mut self.random)).copied();
        let victim = victim.expect("there are some");
        let life = LIFE_MAX.mul_f64(self.random.random());
        println!("round {round}: {victim:?} dies after {} ms", life.as_millis());
        let Friends { ana, ben, .. } = &self.friends;
        let writers =
            [(ana, "ben", Victim::Ana), (&self.laptop, "ben", Victim::Laptop), (ben, "ana", Victim::Ben)];
        let writers = writers.map(|(node, to, may_die)| {
            let (home, who) = (node.home.clone(), node.name.clone());
            let writer = Writer { home, to, dies: victim == may_die };
            thread::spawn(move || writer.write_all(&format!("round {round}, {who}")))
        });
        // The moment is drawn: nothing is waited for.
        thread::sleep(life);
        self = self.kill(victim);
        let written = writers.map(|writer| writer.join().expect("a writer"));
        self.agree(round, &written);
        self.look();
        self
    }

    fn kill(mut self, victim: Victim) -> Self {
        self.kills += 1;
        match victim {
            Victim::Coordinator => {
                self.friends.stage.kill_coordinator();
                self.friends.stage.start_coordinator();
            }
            Victim::Ana => self.friends.ana = Node::start("ana", self.friends.ana.kill()),
            Victim::Ben => self.friends.ben = Node::start("ben", self.friends.ben.kill()),
            Victim::Laptop => self.laptop = Node::start("laptop", self.laptop.kill()),
        }
        self
    }

    /// All show the same, in which everything that was acknowledged stands once.
    fn agree(&mut self, round: usize, written: &[Written]) {
        let acknowledged: Vec<&String> = written.iter().flat_map(|written| &written.acknowledged).collect();
        let Self { friends: Friends { ana, ben, .. }, laptop, .. } = self;
        let all = ana.until("all show the same, with all that was acknowledged", |ana| {
            let mine = shown(ana, "ben")?;
            let same = shown(laptop, "ben")? == mine && shown(ben, "ana")? == mine;
            (same && acknowledged.iter().all(|text| mine.contains(text))).then_some(mine)
        });
        let prefix = format!("round {round}, ");
        let before = all.iter().take_while(|text| !text.starts_with(&prefix)).count();
        let (before, new) = all.split_at(before);
        assert!(self.order.ends_with(before), "what was said before stays as it was");
        assert!(before.len() >= self.order.len().min(SHOWN_LEAST), "it is all there: {}", before.len());
        assert!(new.iter().all(|text| text.starts_with(&prefix)), "it stands behind that: {new:?}");
        let once: BTreeSet<&String> = new.iter().collect();
        assert_eq!(once.len(), new.len(), "each once: {new:?}");
        for Written { who, .. } in written {
            let own: Vec<&String> = new.iter().filter(|text| text.starts_with(who)).collect();
            assert!(own.is_sorted(), "in the order in which it was said: {own:?}");
        }
        self.order.extend_from_slice(new);
        self.acknowledged += acknowledged.len();
        self.unacknowledged += written.iter().map(|written| written.unacknowledged).sum::<usize>();
    }

    /// Takes down what the coordinator's log has got, and what reads whose keys have sealed it.
    fn look(&mut self) {
        let sql = "SELECT sequence, body FROM conversation_log WHERE sequence > ?1 ORDER BY sequence";
        let log = self.log();
        let mut statement = log.prepare(sql).expect("the log");
        let mut rows = statement.query([self.looked]).expect("read");
        while let Some(row) = rows.next().expect("read") {
            self.looked = row.get(0).expect("a number");
            let body: Vec<u8> = row.get(1).expect("kept until the last device has it");
            match codec::decode(&body).expect("an entry") {
                ConversationItem::Post { sealed, .. } => self.ledger.note(&sealed),
                ConversationItem::Changed { commit, .. } => self.ledger.note(&commit),
                ConversationItem::Begun { .. } => {}
            }
        }
        for node in [&self.friends.ana, &self.friends.ben, &self.laptop] {
            self.ledger.learn(&node.home.join("messages.sqlite"));
        }
    }

    fn newest(&self) -> i64 {
        let sql = "SELECT max(sequence) FROM conversation_log";
        self.log().query_row(sql, [], |row| row.get(0)).expect("a log")
    }

    /// The coordinator's own database, of which nobody else knows.
    fn log(&self) -> Connection {
        let path = self.friends.stage.data().join("coordinator.sqlite");
        let log = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE).expect("a database");
        log.busy_timeout(PATIENCE).expect("set");
        log
    }

    /// The device that was away sees what the others see, and goes again.
    fn wake_tablet(&mut self) {
        let mut tablet = Node::start("tablet", self.tablet.clone());
        let all = shown(&self.friends.ana, "ben").expect("nothing waits");
        tablet.until("the tablet shows what the others show", |tablet| {
            (shown(tablet, "ben")? == all).then_some(())
        });
        tablet.assert_sound();
        tablet.kill();
        // Of what was told beside meanwhile, such as that something has come, the coordinator keeps nothing once all have it.
        self.looked = self.newest();
    }
}

/// Somebody who writes.
struct Writer {
    home: PathBuf,
    to: &'static str,
    /// Whether its node dies while it writes. A command would start another in its place, so it asks the node itself.
    dies: bool,
}

/// What became of what somebody wrote.
struct Written {
    who: String,
    acknowledged: Vec<String>,
    unacknowledged: usize,
}

impl Writer {
    fn write_all(&self, who: &str) -> Written {
        let mut written = Written { who: who.to_owned(), acknowledged: Vec::new(), unacknowledged: 0 };
        for number in 0..MESSAGES {
            let text = format!("{who}, number {number}");
            let kept = if self.dies {
                ask_itself(&self.home, self.to, &text)
            } else {
                try_run(jamsync(&self.home).args(["--json", "msg", self.to, &text])).is_ok()
            };
            if kept {
                written.acknowledged.push(text);
            } else {
                written.unacknowledged += 1;
            }
        }
        written
    }
}

/// As the command does, once there is a node, and whether it was acknowledged.
fn ask_itself(home: &Path, to: &str, text: &str) -> bool {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let request = Request::Message { to: to.parse().expect("a name"), text: text.parse().expect("words") };
    runtime.block_on(async {
        let until = Instant::now() + PATIENCE;
        let mut client = loop {
            match Client::connect(&home.join("control.sock")).await {
                Ok(client) => break client,
                Err(error) => assert!(Instant::now() < until, "no node in time: {error}"),
            }
            tokio::time::sleep(POLL).await;
        };
        matches!(client.call(request).await, Ok(Reply::Message { .. }))
    })
}

/// What a device shows of the rounds, if nothing of it waits to be sent.
fn shown(node: &Node, with: &str) -> Option<Vec<String>> {
    let all = messages(node, with);
    let texts = all.iter().map(|message| message.text.as_str().to_owned());
    let texts = texts.filter(|text| text.starts_with("round ")).collect();
    all.iter().all(ConversationMessage::is_sent).then_some(texts)
}

fn device_shows(device: &Node, text: &str) -> bool {
    let shown = device.try_run(&["messages", "ben", "--last", "1000"]);
    let Ok(Reply::Messages { messages, .. }) = shown else { return false };
    messages.iter().any(|message| message.text.as_str() == text)
}
